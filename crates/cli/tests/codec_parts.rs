//! `codec decode --from --to` and `codec copy`: parts of token files.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod common;

use std::fs;
use std::path::Path;

use common::*;
use percept::NctReader;

/// A folder with six seconds of sound, `talk.wav`, and its token file, `talk.nct`, of one codec.
fn folder(model: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let rate = match model {
        "dac/44khz" => 44_100,
        _ => 24_000,
    };
    let speech = speech(3);
    put(folder.path(), &[("talk.wav", &wav(rate, 1, &speech))]);
    codec(folder.path(), model, &["encode", "talk.wav"]).ok();
    folder
}

fn codec(folder: &Path, model: &str, args: &[&str]) -> Outcome {
    let model = codec_fixture(model);
    run_in(
        folder,
        &[&["codec", args[0], "--model", &model], &args[1..]].concat(),
    )
}

/// The samples that decoding gives, as bytes of floats.
fn decode(folder: &Path, model: &str, args: &[&str]) -> Vec<u8> {
    let target = ["--raw", "-o", "part.pcm"];
    codec(folder, model, &[&["decode"], args, &target].concat()).ok();
    fs::read(folder.join("part.pcm")).unwrap()
}

#[test]
fn a_part_is_bit_for_bit_that_of_the_whole() {
    for (model, rate) in [
        ("snac/24khz", 24_000),
        ("dac/44khz", 44_100),
        ("encodec/24khz", 24_000),
        ("mimi/24khz", 24_000),
    ] {
        let folder = folder(model);
        let path = folder.path();
        let whole = decode(path, model, &["talk.nct"]);
        let seconds = whole.len() as f64 / 4.0 / f64::from(rate);
        let json = ["encode", "talk.wav", "--format", "json"];
        codec(path, model, &json).ok();
        let at = |seconds: f64| (seconds * f64::from(rate)).round() as usize * 4;
        for (from, to) in [
            (Some(0.5), Some(0.7501)),
            (None, Some(0.2)),
            (Some(seconds - 0.3), None),
            (Some(0.1), Some(seconds + 5.0)),
            (Some(seconds / 2.0), Some(seconds / 2.0 + 0.001)),
        ] {
            let mut args = Vec::new();
            args.extend(from.map(|from: f64| format!("--from={from}")));
            args.extend(to.map(|to: f64| format!("--to={to}")));
            let args: Vec<&str> = args.iter().map(String::as_str).collect();
            let end = to.map_or(whole.len(), at).min(whole.len());
            let expected = &whole[at(from.unwrap_or(0.0))..end];
            for file in ["talk.nct", "talk.json"] {
                let part = decode(path, model, &[&[file], &args[..]].concat());
                assert!(part == expected, "{model} {file} {args:?}");
            }
        }
    }
}

#[test]
fn a_part_of_fewer_books_or_with_other_noise_is_that_of_such_a_whole() {
    let model = "snac/24khz";
    let folder = folder(model);
    for more in [
        &["--books", "2"][..],
        &["--noise", "seed:9"],
        &["--noise", "off"],
    ] {
        let whole = decode(folder.path(), model, &[&["talk.nct"], more].concat());
        let span = ["talk.nct", "--from", "1", "--to", "2"];
        let part = decode(folder.path(), model, &[&span, more].concat());
        assert!(part == whole[4 * 24_000..8 * 24_000], "{more:?}");
    }
}

#[test]
fn damage_outside_of_a_part_does_not_matter_and_inside_of_it_is_told() {
    let model = "snac/24khz";
    let folder = folder(model);
    let path = folder.path();
    let whole = decode(path, model, &["talk.nct"]);
    let nct = fs::read(path.join("talk.nct")).unwrap();
    let mut flipped = nct.clone();
    let middle = nct.len() / 2;
    flipped[middle] ^= 1;
    put(
        path,
        &[
            ("flipped.nct", &flipped),
            ("cut.nct", &nct[..nct.len() - 9]),
        ],
    );
    for file in ["flipped.nct", "cut.nct"] {
        let part = decode(path, model, &[file, "--from", "0.2", "--to", "0.9"]);
        assert!(part == whole[4 * 4_800..4 * 21_600], "{file}");
    }
    let late = ["flipped.nct", "--from", "4.5", "--to", "5"];
    assert!(decode(path, model, &late) == whole[4 * 108_000..4 * 120_000]);
    let across = [
        "decode",
        "flipped.nct",
        "--from",
        "0.5",
        "--to",
        "5",
        "--raw",
        "-o",
        "a.pcm",
    ];
    codec(path, model, &across).fails(&["flipped.nct", "is damaged", "encode the source again"]);
    let kept = fs::read(path.join("a.pcm")).unwrap();
    let certain = kept.len() - 4 * 6_000;
    assert!(certain > 0 && kept[..certain] == whole[4 * 12_000..][..certain]);
    let to_the_end = ["decode", "cut.nct", "--from", "0.5", "-o", "b.wav"];
    codec(path, model, &to_the_end).fails(&["cut.nct", "ends early"]);
    let behind = ["decode", "talk.nct", "--from", "60", "-o", "c.wav"];
    codec(path, model, &behind).fails(&["talk.nct", "--from 60", "begin sooner"]);
    assert!(path.join("b.wav").exists() && !path.join("c.wav").exists());
    for args in [
        &["--from", "2", "--to", "2"][..],
        &["--from", "-1"],
        &["--to", "nan"],
        &["--from", "1", "--plot", "x.svg"],
    ] {
        let usage = codec(path, model, &[&["decode", "talk.nct"], args].concat());
        assert_eq!(usage.code, Some(2), "{args:?}: {}", usage.stderr);
    }
    for args in [&["--from", "-1"], &["--from", "1e300"], &["--books", "0"]] {
        let usage = codec(path, model, &["decode", "talk.nct", args[0], args[1]]);
        assert_eq!(usage.code, Some(2), "{args:?}");
        assert!(usage.stderr.contains("give "), "{}", usage.stderr);
        assert!(usage.stderr.len() < 200, "{}", usage.stderr);
    }
    let narrow = [
        "decode", "talk.nct", "--from", "0.00001", "--to", "0.00002", "-o", "d.wav",
    ];
    codec(path, model, &narrow).fails(&["talk.nct", "no sample", "24000 Hz"]);
}

/// Packets, or lines, that begin with this one are lost.
fn damaged(folder: &Path, name: &str, at: usize) -> Vec<u8> {
    let mut bytes = fs::read(folder.join(name)).unwrap();
    match name.ends_with("json") {
        true => {
            let line = bytes[at..].iter().position(|&byte| byte == b'\n');
            bytes.truncate(at + line.unwrap());
        }
        false => bytes[at] ^= 1,
    }
    bytes
}

/// A copy of the small EnCodec of 48 kHz that works at 8 kHz, since there are no recordings at its own 800 Hz.
fn segmented(folder: &Path) -> String {
    overlapping(folder, "model", None)
}

/// The same, of another overlap.
fn overlapping(folder: &Path, name: &str, overlap: Option<f64>) -> String {
    let (fixture, model) = (codec_fixture("encodec/48khz"), folder.join(name));
    fs::create_dir(&model).unwrap();
    for file in fs::read_dir(fixture).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), model.join(file.file_name())).unwrap();
    }
    let config = fs::read(model.join("config.json")).unwrap();
    let mut config: serde_json::Value = serde_json::from_slice(&config).unwrap();
    config["sampling_rate"] = 8_000.into();
    config["target_bandwidths"] = serde_json::json!([6.0, 12.0, 24.0]);
    if let Some(overlap) = overlap {
        config["overlap"] = overlap.into();
    }
    fs::write(model.join("config.json"), config.to_string()).unwrap();
    path(folder, name)
}

#[test]
fn segments_that_lie_far_over_each_other_come_back_as_long_as_they_were() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let speech = speech(1);
    for (name, overlap) in [("quarter", 0.25), ("most", 0.75)] {
        let model = overlapping(folder, name, Some(overlap));
        let codec = |args: &[&str]| {
            let model = ["codec", args[0], "--model", &model];
            run_in(folder, &[&model, &args[1..]].concat())
        };
        for samples in [1_999, 2_007, 6_001, 7_833, 8_000, 14_003] {
            put(
                folder,
                &[("talk.wav", &wav(8_000, 2, &speech[..2 * samples]))],
            );
            codec(&["encode", "talk.wav", "-o", "talk.nct"]).ok();
            codec(&["encode", "talk.wav", "-o", "talk.json", "--format", "json"]).ok();
            for file in ["talk.nct", "talk.json"] {
                codec(&["decode", file, "--raw", "-o", "whole.pcm"]).ok();
                let whole = fs::read(folder.join("whole.pcm")).unwrap();
                assert_eq!(whole.len(), 8 * samples, "{name} {file}");
                codec(&["decode", file, "--from", "0.1", "--raw", "-o", "part.pcm"]).ok();
                let part = fs::read(folder.join("part.pcm")).unwrap();
                assert!(part == whole[8 * 800..], "{name} {file} {samples}");
            }
        }
    }
}

#[test]
fn what_another_model_has_made_is_not_measured_by_this_one() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let model = segmented(folder);
    let other = overlapping(folder, "other", Some(0.25));
    let weights = folder.join("other/model.safetensors");
    let mut bytes = fs::read(&weights).unwrap();
    let last = bytes.len() - 4;
    bytes[last] ^= 1;
    fs::write(&weights, bytes).unwrap();
    put(folder, &[("talk.wav", &wav(8_000, 2, &speech(3)))]);
    let codec = |args: &[&str], model: &str| {
        let model = ["codec", args[0], "--model", model];
        run_in(folder, &[&model, &args[1..]].concat())
    };
    codec(&["encode", "talk.wav"], &other).ok();
    let info = codec(&["info", "talk.nct"], &model).ok();
    assert!(info.contains("has other weights"), "{info}");
    assert!(
        codec(&["info", "talk.nct"], &other)
            .ok()
            .contains("made it")
    );
    // Who names a model for JSON, which names no weights, wants it measured by that.
    codec(&["encode", "talk.wav", "--format", "json"], &other).ok();
    codec(&["info", "talk.json"], &other).ok();
    codec(&["info", "talk.json"], &model).fails(&["talk.json", "latent frames"]);
}

#[test]
fn json_whose_first_codes_are_wrong_is_told_with_what_it_has() {
    let folder = tempfile::tempdir().unwrap();
    let wrong = br#"{"codec":"snac","sample_rate":24000,"source_samples":2048,
        "books":[[9999],[2,3],[4,5,6,7]]}"#;
    put(folder.path(), &[("bad.json", wrong)]);
    let args = ["info", "--format", "json", "bad.json"];
    let told = codec(folder.path(), "snac/24khz", &args).fails(&["bad.json", "9999", "book 0"]);
    let told: serde_json::Value = serde_json::from_str(&told).unwrap();
    assert_eq!(
        (&told["codes"], &told["source_samples"]),
        (&serde_json::json!([1, 2, 4]), &2_048.into())
    );
}

#[test]
fn a_part_before_damage_holds_what_is_certain_and_the_rest_is_told() {
    for (fixture, has_lookahead) in [
        ("snac/24khz", true),
        ("dac/44khz", true),
        ("encodec/24khz", false),
        ("encodec/48khz", true),
        ("mimi/24khz", false),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let model = match fixture {
            "encodec/48khz" => segmented(folder),
            fixture => codec_fixture(fixture),
        };
        let codec = |args: &[&str]| {
            let model = ["codec", args[0], "--model", &model];
            run_command(
                percept()
                    .current_dir(folder)
                    .args([&model, &args[1..]].concat()),
            )
        };
        let opened = percept::Codec::open(Path::new(&model), &Default::default()).unwrap();
        let spec = opened.spec();
        let (rate, channels) = (spec.sample_rate, usize::from(spec.channels));
        put(folder, &[("talk.wav", &wav(rate, 1, &speech(3)))]);
        let told = codec(&["encode", "talk.wav"]);
        assert_eq!(told.code, Some(0), "{}", told.stderr);
        let lines = [
            "--model", &model, "--stream", "--format", "json", "talk.wav",
        ];
        let mut command = percept();
        command.current_dir(folder).args(["codec", "encode"]);
        let lines = command.args(lines).output().unwrap();
        assert!(lines.status.success());
        put(folder, &[("talk.json", &lines.stdout)]);
        codec(&["decode", "talk.nct", "--raw", "-o", "whole.pcm"]).ok();
        let whole = fs::read(folder.join("whole.pcm")).unwrap();
        let sample = 4 * channels;

        for name in ["talk.nct", "talk.json"] {
            let bytes = damaged(folder, name, fs::read(folder.join(name)).unwrap().len() / 2);
            let bad = format!("bad.{name}");
            put(folder, &[(&bad, &bytes)]);
            let frames = match name {
                "talk.nct" => NctReader::new(&bytes[..])
                    .unwrap()
                    .read_all()
                    .codes
                    .frames(),
                _ => {
                    let read = percept::JsonCodes::read(&bytes[..]).unwrap();
                    assert_eq!(read.fault.as_ref().unwrap().code(), "json-cut");
                    read.into_codes(&spec.books).unwrap().codes.frames()
                }
            };
            let (border, lookahead) = (frames * u64::from(spec.hop), spec.decode_lookahead);
            let (mut good, mut told) = (0, 0);
            for before in [
                1,
                17,
                lookahead / 2,
                lookahead,
                lookahead + 2 * u64::from(spec.hop),
                border / 2,
            ] {
                let to = border.saturating_sub(before.max(1)) as usize;
                let from = to.saturating_sub(lookahead as usize + 3_000).min(to - 1);
                let at = |sample: usize| format!("{}", sample as f64 / f64::from(rate));
                let (begin, end) = (at(from), at(to));
                let span = ["--from", &begin, "--to", &end];
                let args = [&["decode", &bad][..], &span, &["--raw", "-o", "part.pcm"]].concat();
                let outcome = codec(&args);
                let part = fs::read(folder.join("part.pcm")).unwrap();
                fs::remove_file(folder.join("part.pcm")).unwrap();
                assert!(part.len() <= (to - from) * sample);
                assert!(
                    part == whole[from * sample..][..part.len()],
                    "{fixture} {name} {from}..{to}: {}",
                    part.len() / sample
                );
                match part.len() == (to - from) * sample {
                    true => {
                        outcome.ok();
                        good += 1;
                    }
                    false => {
                        outcome.fails(&[&bad, "what is before it is good"]);
                        told += 1;
                    }
                }
            }
            assert_eq!(
                (good > 0, told > 0),
                (true, has_lookahead),
                "{fixture} {name}"
            );
        }
    }
}

#[test]
fn what_is_left_of_damaged_segments_is_as_long_as_they_sound() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let model = segmented(folder);
    let run = |args: &[&str]| run_in(folder, args);
    put(folder, &[("talk.wav", &wav(8_000, 2, &speech(3)))]);
    run(&["codec", "encode", "--model", &model, "talk.wav"]).ok();
    let nct = fs::read(folder.join("talk.nct")).unwrap();
    put(
        folder,
        &[("bad.nct", &damaged(folder, "talk.nct", nct.len() / 2))],
    );
    run(&["codec", "copy", "bad.nct", "-o", "rescued.nct"]).fails(&["bad.nct", "is damaged"]);
    let decode = |file, to| {
        let args = [
            "codec", "decode", "--model", &model, file, "--raw", "-o", to,
        ];
        let outcome = run(&args);
        (outcome, fs::read(folder.join(to)).unwrap())
    };
    let (outcome, bad) = decode("bad.nct", "bad.pcm");
    outcome.fails(&["bad.nct", "is damaged"]);
    let (outcome, rescued) = decode("rescued.nct", "rescued.pcm");
    outcome.ok();
    assert!(bad == rescued);
    let (outcome, whole) = decode("talk.nct", "whole.pcm");
    outcome.ok();
    // All but the end of the last segment, which is faded into the next.
    let certain = bad.len() - 8 * 8_000;
    assert!(certain > 0 && bad[..certain] == whole[..certain]);
    assert!(bad[bad.len() - 8..] != [0; 8]);
}

#[test]
fn a_part_behind_a_cut_is_lost_by_the_file_and_not_by_who_asks() {
    let model = "snac/24khz";
    let folder = folder(model);
    let path = folder.path();
    let nct = fs::read(path.join("talk.nct")).unwrap();
    let snac = codec_fixture(model);
    let piped = ["codec", "encode", "--model", &snac, "--stream", "talk.wav"];
    let piped = percept().current_dir(path).args(piped).output().unwrap();
    let piped = piped.stdout;
    put(
        path,
        &[
            ("cut.nct", &nct[..nct.len() / 2]),
            ("piped.nct", &piped[..piped.len() / 2]),
        ],
    );
    let from = |file, from| {
        codec(
            path,
            model,
            &["decode", file, "--from", from, "-o", "a.wav"],
        )
    };
    from("cut.nct", "5").fails(&["cut.nct", "ends early"]);
    from("piped.nct", "5").fails(&["piped.nct", "ends early"]);
    from("cut.nct", "60").fails(&["cut.nct", "begin sooner"]);
    from("talk.nct", "60").fails(&["talk.nct", "begin sooner"]);
    assert!(!path.join("a.wav").exists());
}

#[test]
fn lost_and_doubled_lines_and_wrong_codes_are_damage() {
    let model = "snac/24khz";
    let folder = folder(model);
    let path = folder.path();
    let whole = decode(path, model, &["talk.nct"]);
    let snac = codec_fixture(model);
    let lines = [
        "codec", "encode", "--model", &snac, "--stream", "--format", "json", "talk.wav",
    ];
    let lines = percept().current_dir(path).args(lines).output().unwrap();
    let lines = String::from_utf8(lines.stdout).unwrap();
    let lines: Vec<&str> = lines.lines().collect();
    let superframe = 4 * 2_048;
    let lost = [&lines[..5], &lines[6..]].concat();
    let doubled = [&lines[..6], &lines[5..]].concat();
    let wrong = lines[5].replace(":[[", ":[[9999,");
    let wrong = [&lines[..5], &[&wrong], &lines[6..]].concat();
    let last = lines[lines.len() - 1];
    let short = last.replace("\"source_samples\":", "\"source_samples\":1");
    let long = [&lines[..lines.len() - 1], &[&short]].concat();
    // The last book has a code for each latent frame, of 512 samples; four together are encoded.
    let frames = |line: &str| {
        let json = percept::JsonCodes::parse(line.as_bytes()).unwrap();
        json.books[2].len()
    };
    let all: usize = lines.iter().map(|line| frames(line)).sum();
    let one = frames(lines[5]);
    let samples = whole.len() / 4;
    assert!(one > 0 && all == samples.div_ceil(2_048) * 4);
    let told = |found: usize, samples: usize| {
        let expected = samples.div_ceil(2_048) * 4;
        format!(
            "there are {found} latent frames of codes, and a recording of {samples} samples takes {expected}"
        )
    };
    let too_long = format!("1{samples}").parse().unwrap();
    for (lines, parts) in [
        (&lost, &[&*told(all - one, samples), "missing"][..]),
        (&doubled, &[&*told(all + one, samples), "there twice"]),
        (&long, &[&*told(all, too_long), "the length is wrong"]),
        (&wrong, &["object 5 of the JSON", "9999"]),
    ] {
        put(path, &[("bad.json", lines.join("\n").as_bytes())]);
        let decode = ["decode", "bad.json", "--raw", "-o", "bad.pcm"];
        codec(path, model, &decode).fails(&[&["bad.json"], parts].concat());
        let bad = fs::read(path.join("bad.pcm")).unwrap();
        // The codes before the damage are those of the whole, and all but the last look ahead to none behind it.
        let same = if lines == &long {
            whole.len()
        } else {
            2 * superframe
        };
        assert!(bad[..same] == whole[..same], "{parts:?}");
        assert!(bad.len() >= 5 * superframe, "{parts:?}");
        let info = codec(path, model, &["info", "bad.json"]).fails(parts);
        assert!(info.contains(parts[0]), "{info}");
        let part = ["decode", "bad.json", "--to", "0.1", "-o", "part.wav"];
        let part = codec(path, model, &part);
        // Where a line was lost or doubled nobody knows.
        let is_anywhere = lines != &wrong;
        assert_eq!(part.code == Some(1), is_anywhere, "{}", part.stderr);
    }
    put(
        path,
        &[(
            "none.json",
            br#"{"codec":"snac","sample_rate":24000,"books":[]}"#,
        )],
    );
    for args in [
        &["info", "none.json"][..],
        &["decode", "none.json", "-o", "x.wav"],
    ] {
        codec(path, model, args).fails(&["none.json", "no books"]);
    }
}

#[test]
fn books_that_a_file_does_not_have_are_said_of_the_file() {
    let model = "snac/24khz";
    let folder = folder(model);
    let path = folder.path();
    let one = ["encode", "talk.wav", "--books", "1", "-o", "one.nct"];
    codec(path, model, &one).ok();
    let two = ["decode", "one.nct", "--books", "2", "-o", "x.wav"];
    codec(path, model, &two).fails(&["one.nct", "the file has 1"]);
}

#[test]
fn a_copy_has_the_books_asked_for_and_decodes_as_they_do() {
    let model = "snac/24khz";
    let folder = folder(model);
    let path = folder.path();
    let copy = |args: &[&str]| run_in(path, &[&["codec", "copy"], args].concat());
    copy(&["talk.nct", "-o", "same.nct"]).ok();
    let nct = fs::read(path.join("talk.nct")).unwrap();
    assert!(fs::read(path.join("same.nct")).unwrap() == nct);
    copy(&["talk.nct", "--books", "2", "-o", "two.nct"]).ok();
    assert!(fs::read(path.join("two.nct")).unwrap().len() < nct.len());
    let two = decode(path, model, &["two.nct"]);
    assert!(two == decode(path, model, &["talk.nct", "--books", "2"]));

    // The totals at the end of what came out of a pipe go to the beginning.
    let snac = codec_fixture(model);
    let piped = ["codec", "encode", "--model", &snac, "--stream", "talk.wav"];
    let piped = percept().current_dir(path).args(piped).output().unwrap();
    put(path, &[("piped.nct", &piped.stdout)]);
    copy(&["piped.nct", "-o", "whole.nct"]).ok();
    let whole = fs::read(path.join("whole.nct")).unwrap();
    let header = NctReader::new(&whole[..]).unwrap().header().clone();
    let expected = NctReader::new(&nct[..]).unwrap().header().clone();
    assert!(!header.has_end && whole == nct);
    assert_eq!(
        (header.total_samples, header.superframes),
        (expected.total_samples, expected.superframes)
    );
    assert!(decode(path, model, &["whole.nct"]) == decode(path, model, &["talk.nct"]));
    let unnamed = copy(&["talk.nct"]);
    assert_eq!(unnamed.code, Some(2), "{}", unnamed.stderr);
    assert!(unnamed.stderr.contains("name the copy with -o"));
    let stdin = percept()
        .args(["codec", "copy", "-"])
        .stdin(fs::File::open(path.join("piped.nct")).unwrap())
        .output()
        .unwrap();
    assert!(stdin.status.success() && stdin.stdout == nct);
    copy(&["talk.nct", "-o", "talk.nct"]).fails(&["is the input"]);
    copy(&["talk.nct", "--books", "4", "-o", "x.nct"]).fails(&["4 codebooks", "ask for 1 to 3"]);
    copy(&["talk.wav", "-o", "x.nct"]).fails(&["talk.wav", "no token file"]);
    put(path, &[("a.json", b"{}")]);
    copy(&["a.json", "-o", "x.nct"]).fails(&["a.json", "no .nct file"]);
    assert!(!path.join("x.nct").exists());
}

#[test]
fn a_copy_of_a_damaged_file_is_whole_up_to_the_damage() {
    let model = "snac/24khz";
    let folder = folder(model);
    let path = folder.path();
    let nct = fs::read(path.join("talk.nct")).unwrap();
    put(
        path,
        &[("cut.nct", &nct[..nct.len() - 9]), ("head.nct", &nct[..60])],
    );
    let copy = |args: &[&str]| run_in(path, &[&["codec", "copy"], args].concat());
    copy(&["cut.nct", "-o", "rescued.nct"]).fails(&["cut.nct", "ends early"]);
    let rescued = fs::read(path.join("rescued.nct")).unwrap();
    let codes = NctReader::new(&rescued[..]).unwrap().read_all().whole();
    assert!(codes.unwrap().source_samples().unwrap() > 24_000);
    let rescued = decode(path, model, &["rescued.nct"]);
    let cut = ["decode", "cut.nct", "--raw", "-o", "cut.pcm"];
    codec(path, model, &cut).fails(&["ends early"]);
    assert!(fs::read(path.join("cut.pcm")).unwrap() == rescued);
    copy(&["head.nct", "-o", "nothing.nct"]).fails(&["head.nct", "inside its header"]);
    assert!(!path.join("nothing.nct").exists());
}
