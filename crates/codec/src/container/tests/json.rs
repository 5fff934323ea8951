//! Codes as JSON.

use super::*;

#[test]
fn codes_survive_json() {
    let mut rng = Rng::new(SEED);
    for specs in all_books() {
        for superframes in [0, 1, 17] {
            let mut codes = random_codes(&specs, superframes, &mut rng);
            codes.set_source_samples(Some(99).filter(|_| superframes > 0));
            let text = JsonCodes::new("snac", 24_000, &codes).text();
            let json = JsonCodes::parse(text.as_bytes()).unwrap();
            assert_eq!((json.codec.as_str(), json.sample_rate), ("snac", 24_000));
            assert_eq!(json.into_codes(&specs).unwrap(), codes);
        }
    }
    let codes = segmented_codes(400, 150, SEED);
    let text = JsonCodes::new("encodec", 48_000, &codes).text();
    assert_eq!(
        JsonCodes::parse(text.as_bytes())
            .unwrap()
            .into_codes(codes.specs())
            .unwrap(),
        codes
    );
}

#[test]
fn the_text_is_the_documented_one() {
    let mut codes = Codes::new(snac());
    codes.push_superframe(&[1, 2, 3, 4, 5, 6, 7]).unwrap();
    let text = |codes: &Codes| JsonCodes::new("snac", 24_000, codes).text();
    let unknown = r#"{"codec":"snac","sample_rate":24000,"source_samples":null,"books":[[1],[2,3],[4,5,6,7]]}"#;
    assert_eq!(text(&codes), unknown);
    codes.set_source_samples(Some(2_000));
    assert_eq!(text(&codes), unknown.replace("null", "2000"));
    let short = r#"{"codec":"snac","sample_rate":24000,"books":[[1],[2,3]],"more":{}}"#;
    let short = JsonCodes::parse(short.as_bytes())
        .unwrap()
        .into_codes(&snac())
        .unwrap();
    assert_eq!((short.books(), short.source_samples()), (2, None));
}

/// A line for each piece of the codes, of so many super-frames.
fn lines(codes: &Codes, step: u64) -> String {
    let all = codes.superframes();
    let mut text = String::new();
    for first in (0..=all).step_by(step as usize) {
        let last = (first + step).min(all);
        let mut piece = codes.slice(first..last).unwrap();
        if first + step > all {
            piece.set_source_samples(codes.source_samples());
        }
        text += &(JsonCodes::new("snac", 24_000, &piece).text() + "\n");
    }
    text
}

#[test]
fn lines_of_a_stream_are_together_one() {
    let mut rng = Rng::new(SEED);
    for specs in all_books() {
        let mut codes = random_codes(&specs, 12, &mut rng);
        codes.set_source_samples(Some(24_001));
        for step in [1, 5, 12, 13] {
            let text = lines(&codes, step);
            let json = JsonCodes::read(text.as_bytes()).unwrap().whole().unwrap();
            assert_eq!(json.into_codes(&specs).unwrap(), codes);
        }
    }
    let mut codes = segmented_codes(400, 150, SEED);
    codes.set_source_samples(Some(127_000));
    let text = lines(&codes, 150);
    let json = JsonCodes::parse(text.as_bytes()).unwrap();
    assert_eq!(json.into_codes(codes.specs()).unwrap(), codes);
    let salvage = JsonCodes::read(text.as_bytes()).unwrap();
    let salvage = salvage.into_codes(codes.specs()).unwrap();
    assert_eq!(salvage.whole().unwrap(), codes);
}

#[test]
fn a_stream_that_was_cut_at_the_end_of_a_line_is_not_whole() {
    let mut codes = random_codes(&snac(), 6, &mut Rng::new(SEED));
    codes.set_source_samples(Some(12_000));
    let text = lines(&codes, 2);
    let good: Vec<&str> = text.lines().collect();
    for count in 1..good.len() {
        for end in ["", "\n"] {
            let text = good[..count].join("\n") + end;
            let JsonSalvage {
                codes: kept, fault, ..
            } = JsonCodes::read(text.as_bytes()).unwrap();
            let fault = fault.unwrap();
            assert_eq!(fault.code(), "json-cut");
            let told = match count {
                1 => "ends after 1 object, which".to_owned(),
                many => format!("ends after {many} objects"),
            };
            assert!(fault.to_string().contains(&told), "{fault}");
            let kept = kept.into_codes(&snac()).unwrap();
            assert_eq!(kept, codes.slice(0..2 * count as u64).unwrap());
            // Who takes a stream line by line sees its end.
            let parsed = JsonCodes::parse(text.as_bytes()).map_err(|fault| fault.code());
            assert_eq!(parsed.err(), (count > 1).then_some("json-cut"));
        }
    }
    // One object that says nothing of its length is all there is.
    let alone = good[0].replace("\"source_samples\":null,", "");
    assert_ne!(alone, good[0]);
    assert!(JsonCodes::read(alone.as_bytes()).unwrap().fault.is_none());
    let ended = JsonCodes::read(good[good.len() - 1].as_bytes()).unwrap();
    assert!(ended.fault.is_none());
}

#[test]
fn lines_are_whole_one_by_one_for_both_readers() {
    let object = |books: &str| format!(r#"{{"codec":"snac","sample_rate":24000,"books":{books}}}"#);
    let end = r#"{"codec":"snac","sample_rate":24000,"source_samples":4000,"books":[[],[],[]]}"#;
    let (whole, none) = ("[[1],[2,3],[4,5,6,7]]", "[[],[],[]]");
    let (less, rest) = ("[[1],[2,3],[4,5,6]]", "[[1],[2,3],[4,5,6,7,8]]");
    for (books, bad) in [
        ([whole, whole], None),
        ([none, whole], None),
        ([less, rest], Some(0)),
        ([rest, less], Some(0)),
    ]
    .into_iter()
    .chain([([whole, less], Some(1)), ([none, less], Some(1))])
    {
        let lines = [&object(books[0]), &object(books[1]), end];
        let text = lines.join("\n");
        let parsed = JsonCodes::parse(text.as_bytes()).and_then(|json| json.into_codes(&snac()));
        let parsed = parsed.map_err(|fault| fault.code());
        assert_eq!(parsed.err(), bad.map(|_| "ragged-books"), "{books:?}");
        let read = JsonCodes::read(text.as_bytes()).unwrap();
        let read = read.into_codes(&snac()).and_then(Salvage::whole);
        let read = read.map_err(|fault| fault.code());
        assert_eq!(read.err(), bad.map(|_| "ragged-books"), "{books:?}");
    }
    // A line that is whole and one that is not, whole together with a third.
    let text = [&object(whole), &object(less), &object(rest), end].join("\n");
    let JsonSalvage { codes, fault, .. } = JsonCodes::read(text.as_bytes()).unwrap();
    let told = fault.unwrap().to_string();
    assert!(
        told.contains("object 1 of the JSON has 3 codes in book 2, 4 go with"),
        "{told}"
    );
    assert_eq!(codes.into_codes(&snac()).unwrap().superframes(), 1);

    // And so are segments.
    let codes = segmented_codes(300, 150, SEED);
    let line = |range, segments: &[Segment]| {
        let mut json = JsonCodes::new("encodec", 48_000, &codes.slice(range).unwrap());
        json.segments = segments.to_vec();
        json.source_samples = Some(80_000).filter(|_| json.segments[0] == codes.segments()[1]);
        json.text()
    };
    let (a, b) = (&codes.segments()[..1], &codes.segments()[1..]);
    for (first, code) in [(150, None), (100, Some("segments"))] {
        let text = line(0..first, a) + &line(first..300, b);
        let fault = JsonCodes::parse(text.as_bytes()).map_err(|fault| fault.code());
        assert_eq!(fault.err(), code);
        let read = JsonCodes::read(text.as_bytes()).unwrap();
        let read = read.into_codes(codes.specs()).and_then(Salvage::whole);
        assert_eq!(read.map_err(|fault| fault.code()).err(), code);
    }
}

#[test]
fn a_wrong_code_costs_its_object_and_what_follows() {
    let mut codes = random_codes(&snac(), 8, &mut Rng::new(SEED));
    codes.set_source_samples(Some(16_000));
    let text = lines(&codes, 2);
    let good: Vec<&str> = text.lines().collect();
    let object = |books: &str| format!(r#"{{"codec":"snac","sample_rate":24000,"books":{books}}}"#);
    for (books, code) in [
        ("[[1],[2,3],[4,5,6,4096]]", "token-out-of-range"),
        ("[[1],[70000,3],[4,5,6,7]]", "token-out-of-range"),
        ("[[1],[2,3],[4,5,6]]", "ragged-books"),
        ("[[1],[2,3],[]]", "ragged-books"),
    ] {
        let bad = object(books);
        for index in 1..4 {
            let mut lines = good.clone();
            lines.insert(index, &bad);
            let read = JsonCodes::read(lines.join("\n").as_bytes()).unwrap();
            let Salvage { codes: kept, fault } = read.into_codes(&snac()).unwrap();
            let fault = fault.unwrap();
            assert_eq!(fault.code(), code, "{books}");
            let told = format!("object {index} of the JSON");
            assert!(fault.to_string().contains(&told), "{fault}");
            assert_eq!(kept, codes.slice(0..2 * index as u64).unwrap(), "{books}");
        }
        let first = JsonCodes::read([&bad, good[4]].join("\n").as_bytes()).unwrap();
        assert_eq!(first.into_codes(&snac()).unwrap_err().code(), code);
    }
}

#[test]
fn no_more_books_are_read_than_a_codec_has() {
    let text = |count: usize| {
        let books = vec!["[]"; count].join(",");
        format!(r#"{{"codec":"snac","sample_rate":24000,"books":[{books}]}}"#)
    };
    assert_eq!(
        JsonCodes::parse(text(255).as_bytes()).unwrap().books.len(),
        255
    );
    let error = JsonCodes::parse(text(0).as_bytes()).unwrap_err();
    assert_eq!(error.code(), "no-books");
    let error = JsonCodes::parse(text(256).as_bytes()).unwrap_err();
    assert_eq!(error.code(), "json");
    assert!(error.to_string().contains("at most 255 books"), "{error}");
}

#[test]
fn lines_before_one_that_is_wrong_are_kept() {
    let mut codes = random_codes(&snac(), 6, &mut Rng::new(SEED));
    codes.set_source_samples(Some(12_000));
    let text = lines(&codes, 2);
    let good: Vec<&str> = text.lines().collect();
    let (cut, slower) = (&good[1][..20], good[1].replace("24000", "44100"));
    let cases = [
        (cut, "json-damaged"),
        ("[1]", "json-damaged"),
        (&slower, "json-stream"),
        (&good[1].replace("snac", "dac"), "json-stream"),
        (
            r#"{"codec":"snac","sample_rate":24000,"books":[[1],[2,3]]}"#,
            "json-stream",
        ),
    ];
    for (bad, code) in cases {
        let text = [good[0], bad, good[2]].join("\n");
        let JsonSalvage {
            codes: kept, fault, ..
        } = JsonCodes::read(text.as_bytes()).unwrap();
        assert_eq!(fault.unwrap().code(), code, "{bad}");
        let kept = kept.into_codes(&snac()).unwrap();
        assert_eq!(kept, codes.slice(0..2).unwrap(), "{bad}");
        assert_eq!(JsonCodes::parse(text.as_bytes()).unwrap_err().code(), code);
        let first = JsonCodes::read([bad, good[0]].join("\n").as_bytes());
        assert!(code != "json-damaged" || first.unwrap_err().code() == "json");
    }
    let joined = text.repeat(2);
    let salvage = JsonCodes::read(joined.as_bytes()).unwrap();
    assert_eq!(salvage.fault.unwrap().code(), "json-ended");
    assert_eq!(salvage.codes.into_codes(&snac()).unwrap(), codes);
    assert_eq!(JsonCodes::read(&b" \n"[..]).unwrap_err().code(), "json");
}

#[test]
fn json_that_is_no_codes_is_named() {
    let code = |books: &str| {
        let text = format!(r#"{{"codec":"snac","sample_rate":24000,"books":{books}}}"#);
        let codes = JsonCodes::parse(text.as_bytes()).and_then(|json| json.into_codes(&snac()));
        codes.map_or_else(|e| e.code(), |_| "fine")
    };
    assert_eq!(code("[[1],[2,3],[4,5,6,7]]"), "fine");
    assert_eq!(code("[[1],[2,3],[4,5,6,4096]]"), "token-out-of-range");
    assert_eq!(code("[[1],[2,3],[4,5,6,65537]]"), "token-out-of-range");
    assert_eq!(code("[[1],[2,3],[4,5,6,-1]]"), "json");
    assert_eq!(code("[[1],[2,3],[4,5,6,1.5]]"), "json");
    assert_eq!(code("[[1],[2,3],[4,5,6,4294967296]]"), "json");
    assert_eq!(code("[[1],[2,3],[4,5,6]]"), "ragged-books");
    assert_eq!(code("[[1],[2,3],[4,5,6,7],[8]]"), "book-count");
    assert_eq!(code("[]"), "no-books");
    assert_eq!(code("7"), "json");
    let error = JsonCodes::parse(b"{\n  \"codec\": 3}").unwrap_err();
    assert!(error.to_string().contains("line 2 column"), "{error}");
    assert_eq!(
        JsonCodes::parse(&b"[".repeat(100_000)).unwrap_err().code(),
        "json"
    );
}

#[test]
fn random_damage_never_panics() {
    let mut rng = Rng::new(SEED);
    let codes = random_codes(&snac(), 3, &mut rng);
    let good = lines(&codes, 2).into_bytes();
    for _ in 0..4_000 {
        let mut text = good.clone();
        for _ in 0..1 + rng.below(4) {
            let at = rng.below(text.len());
            let characters = b"0123456789[]{},:\"-.e\xFF";
            text[at] = characters[rng.below(characters.len())];
        }
        text.truncate(rng.below(text.len() * 2));
        if let Ok(salvage) = JsonCodes::read(&text[..]) {
            salvage.codes.into_codes(&snac()).ok();
        }
    }
}
