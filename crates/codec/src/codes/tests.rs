//! Codes hold what they say, and nothing else gets in.

use std::sync::Arc;

use percept_testkit::Rng;

use super::{BookSpec, Codes, CodesError, Segment};

const SEED: u64 = 11;

pub(crate) fn books(strides: &[u32], size: u32) -> Arc<[BookSpec]> {
    strides
        .iter()
        .map(|&stride| BookSpec { size, stride })
        .collect()
}

/// `superframes` super-frames of random codes.
pub(crate) fn random_codes(specs: &Arc<[BookSpec]>, superframes: usize, rng: &mut Rng) -> Codes {
    let empty = Codes::new(specs.clone());
    let book = |k: usize| {
        let length = superframes * empty.superframe_tokens(k);
        (0..length)
            .map(|_| rng.below(specs[k].size as usize) as u16)
            .collect()
    };
    let tokens = (0..specs.len()).map(book).collect();
    Codes::from_books(specs.clone(), tokens).unwrap()
}

fn code(result: Result<Codes, CodesError>) -> &'static str {
    result.map_or_else(|error| error.code(), |_| "fine")
}

#[test]
fn books_that_no_codec_has_are_refused() {
    let book = |size, stride| BookSpec { size, stride };
    let cases: [(&[BookSpec], &str); 7] = [
        (&[], "no-books"),
        (&[book(0, 1)], "zero-size"),
        (&[book(65_537, 1)], "book-too-large"),
        (&[book(8, 0)], "zero-stride"),
        (&[book(8, 65_537), book(8, 65_539)], "strides-too-large"),
        (
            &[
                book(8, u32::MAX),
                book(8, u32::MAX - 1),
                book(8, u32::MAX - 2),
            ],
            "strides-too-large",
        ),
        (&[book(1, u32::MAX)], "fine"),
    ];
    for (specs, expected) in cases {
        let tokens = vec![vec![]; specs.len()];
        assert_eq!(
            code(Codes::from_books(specs.into(), tokens)),
            expected,
            "{specs:?}"
        );
        let mut codes = Codes::new(specs.into());
        let found = codes
            .push_token(0, 0)
            .map_or_else(|e| e.code(), |()| "fine");
        assert_eq!(found, expected, "{specs:?}");
        let mut codes = Codes::new(specs.into());
        let found = codes
            .push_superframe(&[0])
            .map_or_else(|e| e.code(), |()| "fine");
        assert_eq!(found, expected, "{specs:?}");
        assert_eq!(
            codes.superframes(),
            u64::from(expected == "fine"),
            "{specs:?}"
        );
    }
}

#[test]
fn lists_of_the_wrong_shape_or_content_are_refused() {
    let snac = books(&[4, 2, 1], 4_096);
    let list = |lengths: &[usize]| lengths.iter().map(|&n| vec![0; n]).collect::<Vec<_>>();
    let build = |tokens| code(Codes::from_books(snac.clone(), tokens));
    assert_eq!(build(list(&[1, 2, 4])), "fine");
    assert_eq!(build(list(&[0, 0, 0])), "fine");
    assert_eq!(build(list(&[1, 2])), "book-count");
    assert_eq!(build(list(&[1, 2, 4, 4])), "book-count");
    assert_eq!(build(list(&[1, 1, 4])), "ragged-books");
    assert_eq!(build(list(&[1, 2, 3])), "ragged-books");
    assert_eq!(build(list(&[0, 2, 4])), "ragged-books");
    let pair = books(&[3, 5], 4);
    assert_eq!(code(Codes::from_books(pair.clone(), list(&[5, 3]))), "fine");
    assert_eq!(
        code(Codes::from_books(pair, list(&[10, 3]))),
        "ragged-books"
    );
    let slow = books(&[2, 1], 4);
    assert_eq!(code(Codes::from_books(slow.clone(), list(&[1, 2]))), "fine");
    assert_eq!(code(Codes::from_books(slow, list(&[1, 3]))), "ragged-books");
    let error =
        Codes::from_books(snac.clone(), vec![vec![4_095], vec![0, 4_096], vec![0; 4]]).unwrap_err();
    let expected = CodesError::TokenOutOfRange {
        book: 1,
        index: 1,
        token: 4_096,
        size: 4_096,
    };
    assert_eq!(error, expected);
    let largest = books(&[1], 65_536);
    assert_eq!(
        code(Codes::from_books(largest, vec![vec![0, u16::MAX]])),
        "fine"
    );
}

#[test]
fn codes_can_be_open_until_the_last_token_of_a_superframe() {
    let mut codes = Codes::new(books(&[4, 2, 1], 8));
    let order = [(0, 4), (1, 2), (2, 1), (2, 2), (1, 4), (2, 3), (2, 4)];
    for (given, &(book, _)) in order.iter().enumerate() {
        assert_eq!(codes.is_whole(), given == 0, "{given}");
        codes.push_token(book, given as u16).unwrap();
        let covered = |k: usize| codes.book(k).len() as u64 * u64::from(codes.specs()[k].stride);
        assert_eq!(codes.frames(), (0..3).map(covered).min().unwrap());
    }
    assert!(codes.is_whole());
    assert_eq!(
        (
            codes.frames(),
            codes.superframes(),
            codes.align(),
            codes.tokens()
        ),
        (4, 1, 4, 7)
    );
    assert_eq!(codes.book(2), [2, 3, 5, 6]);
    codes.push_token(0, 1).unwrap();
    codes.push_token(2, 1).unwrap();
    assert_eq!(codes.slice(0..1).unwrap_err().code(), "ragged-books");
    assert_eq!(
        codes.push_superframe(&[0; 7]).unwrap_err().code(),
        "ragged-books"
    );
    assert_eq!(codes.drop_open(), 2);
    assert!(codes.is_whole());
    assert_eq!(codes.tokens(), 7);
    assert_eq!(codes.push_token(3, 0).unwrap_err().code(), "book-count");
    assert_eq!(
        codes.push_token(usize::MAX, 0).unwrap_err().code(),
        "book-count"
    );
    assert_eq!(
        codes.push_token(1, 8).unwrap_err().code(),
        "token-out-of-range"
    );
    assert_eq!(
        codes.push_superframe(&[0; 6]).unwrap_err().code(),
        "superframe-tokens"
    );
    assert_eq!(
        codes
            .push_superframe(&[0, 0, 0, 0, 0, 0, 8])
            .unwrap_err()
            .code(),
        "token-out-of-range"
    );
    assert_eq!(
        codes.tokens(),
        7,
        "a refused super-frame leaves nothing behind"
    );
}

#[test]
fn equal_books_of_a_partial_superframe_are_open_too() {
    let mut codes = Codes::new(books(&[2, 1, 4], 8));
    for book in [0, 1, 1] {
        codes.push_token(book, 1).unwrap();
    }
    codes.truncate_books(2);
    assert!(
        codes.is_whole(),
        "without the book of stride 4, super-frames have 2 frames"
    );
    let mut pair = Codes::new(books(&[2, 4], 8));
    pair.push_token(0, 1).unwrap();
    pair.push_token(0, 1).unwrap();
    pair.push_token(1, 1).unwrap();
    assert!(pair.is_whole());
    let slow = Codes::from_books(books(&[4, 6], 8), vec![vec![0; 3], vec![0; 2]]).unwrap();
    assert_eq!((slow.align(), slow.superframes()), (12, 1));
    let mut slow = Codes::new(books(&[1, 1, 2], 8));
    for book in 0..2 {
        slow.push_token(book, 1).unwrap();
    }
    assert_eq!(
        (slow.frames(), slow.is_whole(), slow.drop_open()),
        (0, false, 2)
    );
}

#[test]
fn slices_joined_are_the_whole() {
    let mut rng = Rng::new(SEED);
    for strides in [&[4, 2, 1][..], &[8, 4, 2, 1], &[1; 9], &[3, 5], &[2]] {
        let specs = books(strides, 300);
        let whole = random_codes(&specs, 40, &mut rng);
        let mut joined = Codes::new(specs.clone());
        let (mut at, end) = (0, whole.superframes());
        while at < end {
            let next = (at + rng.below(9) as u64).min(end);
            joined.extend(&whole.slice(at..next).unwrap()).unwrap();
            at = next;
        }
        assert_eq!(joined, whole);
        assert_eq!(whole.slice(3..41).unwrap_err().code(), "superframe-range");
        #[expect(clippy::reversed_empty_ranges)]
        let reversed = whole.slice(5..4);
        assert_eq!(reversed.unwrap_err().code(), "superframe-range");
        joined.clear();
        assert!(joined.is_empty() && joined.is_whole());
    }
}

#[test]
fn codes_fit_their_codec_or_a_codec_with_more_books() {
    let mut rng = Rng::new(SEED);
    let specs = books(&[4, 2, 1], 64);
    let mut codes = random_codes(&specs, 3, &mut rng);
    assert_eq!(codes.validate(&specs), Ok(()));
    let outcome = |codes: &Codes, specs: &[BookSpec]| codes.validate(specs).unwrap_err().code();
    assert_eq!(outcome(&codes, &specs[..2]), "book-count");
    assert_eq!(outcome(&codes, &books(&[4, 2, 1], 65)), "book-mismatch");
    assert_eq!(outcome(&codes, &books(&[4, 4, 1], 64)), "book-mismatch");
    assert_eq!(outcome(&Codes::new([].into()), &specs), "no-books");
    codes.truncate_books(2);
    assert_eq!(codes.validate(&specs), Ok(()));
    assert_eq!(
        (codes.books(), codes.superframes(), codes.tokens()),
        (2, 3, 9)
    );
    codes.truncate_books(0);
    assert_eq!(codes.books(), 1, "one book stays");
    codes.truncate_books(5);
    assert_eq!(codes.books(), 1);
    assert_eq!(
        codes.extend(&Codes::new(specs)).unwrap_err().code(),
        "book-count"
    );
}

#[test]
fn segments_cover_every_frame_and_follow_slices() {
    let mut rng = Rng::new(SEED);
    let segment = |frames, scale| Segment { frames, scale };
    let mut codes = random_codes(&books(&[1, 1], 8), 10, &mut rng);
    let mut refuse =
        |segments: &[Segment]| codes.set_segments(segments.to_vec()).unwrap_err().code();
    assert_eq!(refuse(&[segment(9, 1.0)]), "segments");
    assert_eq!(refuse(&[segment(6, 1.0), segment(5, 1.0)]), "segments");
    assert_eq!(
        refuse(&[segment(10, 1.0), segment(0, 1.0)]),
        "empty-segment"
    );
    for scale in [0.0, -1.0, f32::NAN, f32::INFINITY] {
        assert_eq!(refuse(&[segment(10, scale)]), "segment-scale");
    }
    let all = vec![segment(4, 0.5), segment(4, 2.0), segment(2, 1.5)];
    codes.set_segments(all.clone()).unwrap();
    assert_eq!(codes.scales().collect::<Vec<_>>(), [0.5, 2.0, 1.5]);
    let middle = codes.slice(3..9).unwrap();
    assert_eq!(
        middle.segments(),
        [segment(1, 0.5), segment(4, 2.0), segment(1, 1.5)]
    );
    let mut joined = codes.slice(0..4).unwrap();
    joined.extend(&codes.slice(4..10).unwrap()).unwrap();
    assert_eq!(joined, codes);
    let mut plain = codes.slice(0..4).unwrap();
    plain.set_segments(Vec::new()).unwrap();
    assert_eq!(joined.extend(&plain).unwrap_err().code(), "segments");
}
