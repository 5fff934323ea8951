//! `codec`: recordings to token files and back, and what is said of both.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod common;

use std::fs;
use std::path::Path;
use std::process::{Output, Stdio};

use common::*;
use percept::{JsonCodes, NctReader, write_nct};
use serde_json::Value;

/// Speech at 24 kHz, which no codec of that rate has to resample.
fn speech_24k() -> Vec<i16> {
    let speech = speech(1);
    let between = |pair: &[i16]| {
        [
            pair[0],
            ((i32::from(pair[0]) + i32::from(pair[1])) / 2) as i16,
        ]
    };
    let doubled: Vec<i16> = speech.windows(2).flat_map(between).collect();
    doubled
        .iter()
        .copied()
        .step_by(2)
        .chain(doubled.iter().copied().skip(1).step_by(4))
        .collect()
}

/// A folder with a recording, `talk.wav`, and its token file, `talk.nct`.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    put(
        folder.path(),
        &[("talk.wav", &wav(24_000, 1, &speech_24k()))],
    );
    codec(folder.path(), &["encode", "talk.wav"]).ok();
    folder
}

/// `percept codec` with the small SNAC of 24 kHz.
fn codec(folder: &Path, args: &[&str]) -> Outcome {
    run_in(
        folder,
        &[&["codec", args[0], "--model", &snac()], &args[1..]].concat(),
    )
}

fn snac() -> String {
    codec_fixture("snac/24khz")
}

fn read(folder: &Path, name: &str) -> Vec<u8> {
    fs::read(folder.join(name)).unwrap()
}

/// The samples of a float WAV file.
fn samples(wav: &[u8]) -> Vec<f32> {
    let at = wav.windows(4).position(|four| four == b"data").unwrap() + 8;
    wav[at..]
        .chunks_exact(4)
        .map(|b| f32::from_le_bytes(b.try_into().unwrap()))
        .collect()
}

#[test]
fn a_recording_comes_back_as_long_as_it_was_and_the_same_in_every_run() {
    let folder = folder();
    let path = folder.path();
    codec(path, &["decode", "talk.nct", "-o", "back.wav"]).ok();
    let back = read(path, "back.wav");
    assert_eq!(samples(&back).len(), speech_24k().len());
    assert!(samples(&back).iter().all(|s| s.abs() <= 1.0));
    for args in [
        &["--threads", "1"][..],
        &["--threads", "3"],
        &["--noise", "seed:0"],
    ] {
        codec(
            path,
            &[&["decode", "talk.nct", "-o", "again.wav"], args].concat(),
        )
        .ok();
        assert!(read(path, "again.wav") == back, "{args:?}");
        if args[0] == "--threads" {
            codec(
                path,
                &[&["encode", "talk.wav", "-o", "again.nct"], args].concat(),
            )
            .ok();
            assert!(
                read(path, "again.nct") == read(path, "talk.nct"),
                "{args:?}"
            );
        }
    }
    for noise in ["off", "seed:1"] {
        codec(
            path,
            &["decode", "talk.nct", "-o", "other.wav", "--noise", noise],
        )
        .ok();
        let other = read(path, "other.wav");
        assert!(other.len() == back.len() && other != back, "{noise}");
    }
    assert_eq!(
        files(path, true),
        [
            "again.nct",
            "again.wav",
            "back.wav",
            "other.wav",
            "talk.nct",
            "talk.wav"
        ]
    );
}

#[test]
fn json_says_what_the_token_file_says() {
    let folder = folder();
    let path = folder.path();
    let json = codec(path, &["encode", "--format", "json", "talk.wav", "-o", "-"]).ok();
    assert_eq!(json.lines().count(), 1);
    let object: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(
        (&object["codec"], &object["sample_rate"]),
        (&"snac".into(), &24_000.into())
    );
    assert_eq!(object["source_samples"], speech_24k().len());
    let lengths: Vec<usize> = object["books"]
        .as_array()
        .unwrap()
        .iter()
        .map(|book| book.as_array().unwrap().len())
        .collect();
    assert_eq!((lengths[1], lengths[2]), (2 * lengths[0], 4 * lengths[0]));
    let nct = NctReader::new(&read(path, "talk.nct")[..])
        .unwrap()
        .read_all()
        .whole()
        .unwrap();
    assert_eq!(JsonCodes::new("snac", 24_000, &nct).text() + "\n", json);

    put(path, &[("talk.json", format!(" \n{json}").as_bytes())]);
    codec(path, &["decode", "talk.json", "-o", "a.wav"]).ok();
    codec(path, &["decode", "talk.nct", "-o", "b.wav"]).ok();
    assert!(read(path, "a.wav") == read(path, "b.wav"));
}

#[test]
fn samples_are_floats_or_integers_with_a_header_or_without() {
    let folder = folder();
    let path = folder.path();
    for (args, name) in [
        (&[][..], "f32.wav"),
        (&["--raw"], "f32.pcm"),
        (&["--bits", "16"], "s16.wav"),
        (&["--bits", "16", "--raw"], "s16.pcm"),
    ] {
        codec(path, &[&["decode", "talk.nct", "-o", name], args].concat()).ok();
    }
    let (floats, raw) = (read(path, "f32.wav"), read(path, "f32.pcm"));
    assert!(floats.ends_with(&raw) && raw.len() == 4 * speech_24k().len());
    let (integers, raw16) = (read(path, "s16.wav"), read(path, "s16.pcm"));
    assert!(integers.ends_with(&raw16) && raw16.len() * 2 == raw.len());
    let rounded = samples(&floats)
        .iter()
        .map(|s| (s * 32_768.0).round().clamp(-32_768.0, 32_767.0) as i16)
        .collect::<Vec<_>>();
    assert!(raw16 == common::raw(&rounded));
    let piped = percept()
        .current_dir(path)
        .args(["codec", "decode", "--model", &snac(), "talk.nct", "-o", "-"])
        .output()
        .unwrap();
    assert!(piped.status.success() && piped.stdout == floats);
}

#[test]
fn fewer_books_are_a_prefix_of_more() {
    let folder = folder();
    let path = folder.path();
    codec(
        path,
        &["encode", "talk.wav", "--books", "2", "-o", "two.nct"],
    )
    .ok();
    codec(path, &["decode", "two.nct", "-o", "a.wav"]).ok();
    codec(path, &["decode", "talk.nct", "--books", "2", "-o", "b.wav"]).ok();
    assert!(read(path, "a.wav") == read(path, "b.wav"));
    codec(path, &["decode", "talk.nct", "--books", "4", "-o", "c.wav"])
        .fails(&["talk.nct", "4 codebooks"]);
    codec(path, &["encode", "talk.wav", "--books", "4", "-o", "c.nct"])
        .fails(&["talk.wav", "4 codebooks"]);
    // 10 bits at 11.7 Hz, then at 23.4 Hz.
    for (kbps, books) in [("0.01", 1), ("0.2", 1), ("0.36", 2), ("9", 3)] {
        codec(
            path,
            &[
                "encode", "talk.wav", "--kbps", kbps, "--format", "json", "-o", "k.json",
            ],
        )
        .ok();
        let json = JsonCodes::parse(&read(path, "k.json")).unwrap();
        assert_eq!(json.books.len(), books, "{kbps}");
    }
}

#[test]
fn any_recording_is_resampled_and_mixed_down_with_a_notice() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let stereo: Vec<i16> = speech(1).iter().flat_map(|&s| [s, s / 2]).collect();
    put(path, &[("a.wav", &wav(16_000, 2, &stereo))]);
    let outcome = codec(path, &["encode", "a.wav"]);
    assert_eq!(outcome.code, Some(0));
    assert_eq!(
        outcome.stderr,
        "percept: a.wav: 2 channels mixed down to one, 16000 Hz resampled to 24000 Hz\n"
    );
    let from_stdin = percept()
        .args(["codec", "encode", "--model", &snac(), "-"])
        .stdin(Stdio::from(fs::File::open(path.join("a.wav")).unwrap()))
        .output()
        .unwrap();
    assert!(from_stdin.status.success() && from_stdin.stdout == read(path, "a.nct"));
    let flac = tiny_en().join("samples/violin.flac");
    let outcome = codec(
        path,
        &["encode", flac.to_str().unwrap(), "-o", "violin.nct"],
    );
    assert_eq!(
        (outcome.code, outcome.stderr.lines().count()),
        (Some(0), 1),
        "{}",
        outcome.stderr
    );
}

#[test]
fn a_stereo_codec_keeps_its_channels() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    // At the fixture's own 800 Hz there are no recordings.
    let fixture = codec_fixture("encodec/48khz");
    let model = path.join("model");
    fs::create_dir(&model).unwrap();
    for file in fs::read_dir(fixture).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), model.join(file.file_name())).unwrap();
    }
    let config = fs::read(model.join("config.json")).unwrap();
    let mut config: Value = serde_json::from_slice(&config).unwrap();
    config["sampling_rate"] = 8_000.into();
    config["target_bandwidths"] = serde_json::json!([6.0, 12.0, 24.0]);
    fs::write(model.join("config.json"), config.to_string()).unwrap();

    let left: Vec<i16> = speech(1).into_iter().step_by(2).collect();
    let stereo: Vec<i16> = left.iter().flat_map(|&s| [s, -s / 3]).collect();
    put(
        path,
        &[
            ("two.wav", &wav(8_000, 2, &stereo)),
            ("one.wav", &wav(8_000, 1, &left)),
        ],
    );
    run_in(path, &["codec", "encode", "--model", "model", "two.wav"]).ok();
    run_in(
        path,
        &[
            "codec", "decode", "--model", "model", "two.nct", "-o", "back.wav",
        ],
    )
    .ok();
    let back = read(path, "back.wav");
    assert_eq!((back[22], samples(&back).len()), (2, stereo.len()));
    let repeated = run_in(path, &["codec", "encode", "--model", "model", "one.wav"]);
    assert_eq!(
        repeated.stderr,
        "percept: one.wav: one channel repeated in 2\n"
    );
    assert!(read(path, "one.nct") != read(path, "two.nct"));
    let live = run_with_bytes(
        path,
        &[
            "codec", "encode", "--model", "model", "--stream", "--format", "json", "-",
        ],
        &raw(&stereo),
    );
    assert!(live.status.success(), "{live:?}");
    let ids = [
        "codec", "encode", "--model", "model", "--format", "ids", "two.wav",
    ];
    run_in(path, &ids).fails(&["model", "segments", "--format nct"]);
    let stream = ["codec", "decode", "--model", "model", "--stream", "two.wav"];
    run_in(path, &stream).fails(&["model", "segments"]);
}

fn run_with_bytes(folder: &Path, args: &[&str], stdin: &[u8]) -> Output {
    put(folder, &[("stdin", stdin)]);
    let stdin = fs::File::open(folder.join("stdin")).unwrap();
    percept()
        .current_dir(folder)
        .args(args)
        .stdin(Stdio::from(stdin))
        .output()
        .unwrap()
}

#[test]
fn what_is_before_the_damage_is_kept_and_the_status_is_1() {
    let folder = folder();
    let path = folder.path();
    codec(path, &["decode", "talk.nct", "-o", "whole.wav"]).ok();
    let (nct, whole) = (read(path, "talk.nct"), samples(&read(path, "whole.wav")));
    let mut flipped = nct.clone();
    let last = flipped.len() - 40;
    flipped[last] ^= 1;
    put(
        path,
        &[
            ("cut.nct", &nct[..nct.len() - 30]),
            ("flipped.nct", &flipped),
        ],
    );
    for name in ["cut.nct", "flipped.nct"] {
        codec(path, &["decode", name, "-o", "part.wav"])
            .fails(&[name, "what is before it is good"]);
        let part = samples(&read(path, "part.wav"));
        assert!(
            (24_000..whole.len()).contains(&part.len()),
            "{}",
            part.len()
        );
        // The end of what is left sounds as if nothing followed.
        assert!(
            part[..part.len() - 6_000] == whole[..part.len() - 6_000],
            "{name}"
        );
        let info = codec(path, &["info", name]).fails(&[name]);
        assert!(info.contains("what is before it is good"), "{info}");
    }
    let wav = read(path, "talk.wav");
    put(path, &[("cut.wav", &wav[..wav.len() / 2])]);
    codec(path, &["encode", "cut.wav", "-o", "half.nct"]).fails(&["cut.wav", "cut short"]);
    let half = NctReader::new(&read(path, "half.nct")[..])
        .unwrap()
        .read_all()
        .whole()
        .unwrap();
    assert!(half.source_samples().unwrap() > 20_000);
}

#[test]
fn what_cannot_be_used_is_one_line_and_leaves_nothing_behind() {
    let folder = folder();
    let path = folder.path();
    let nct = read(path, "talk.nct");
    put(
        path,
        &[
            ("head.nct", &nct[..30]),
            ("empty", b""),
            ("text.txt", b"hello"),
            ("bad.json", b"{\"codec\":\"snac\"}"),
            (
                "ragged.json",
                br#"{"codec":"snac","sample_rate":24000,"books":[[1],[2],[3,4,5,6]]}"#,
            ),
            (
                "large.json",
                br#"{"codec":"snac","sample_rate":24000,"books":[[1],[2,3],[3,4,5,1024]]}"#,
            ),
            (
                "nothing.json",
                br#"{"codec":"snac","sample_rate":24000,"books":[[],[],[]]}"#,
            ),
            (
                "mimi.json",
                br#"{"codec":"mimi","sample_rate":24000,"books":[[1]]}"#,
            ),
            ("silent.wav", &wav(24_000, 1, &[])),
        ],
    );
    let before = files(path, true);
    for (args, parts) in [
        (
            &["decode", "none.nct"][..],
            &["none.nct", "no such file"][..],
        ),
        (&["decode", "head.nct"], &["head.nct", "inside its header"]),
        (&["decode", "empty"], &["empty", "no token file"]),
        (
            &["decode", "text.txt"],
            &["text.txt", "no token file", "--stream"],
        ),
        (
            &["decode", "bad.json"],
            &["bad.json", "not the JSON of codes"],
        ),
        (&["decode", "ragged.json"], &["ragged.json", "book 1"]),
        (&["decode", "large.json"], &["large.json", "1024", "book 2"]),
        (&["decode", "nothing.json"], &["nothing.json", "no tokens"]),
        (
            &["decode", "mimi.json"],
            &[
                "mimi.json",
                "mimi at 24000 Hz",
                "snac at 24000 Hz",
                "--model",
            ],
        ),
        (&["encode", "none.wav"], &["none.wav", "no such file"]),
        (
            &["encode", "text.txt"],
            &["text.txt", "not a known audio format"],
        ),
        (&["encode", "silent.wav"], &["silent.wav", "empty"]),
        (&["info", "text.txt"], &["text.txt", "no token file"]),
        (
            &["encode", "talk.wav", "-o", "talk.wav/x/a.nct"],
            &["talk.wav/x"],
        ),
        (
            &["decode", "talk.nct", "-o", "talk.wav/x/a.wav"],
            &["talk.wav/x"],
        ),
        (
            &["encode", "talk.wav", "--format", "ids", "--layout", "frame"],
            &["talk.wav", "one rate"],
        ),
    ] {
        assert_eq!(codec(path, args).fails(parts), "", "{args:?}");
        assert_eq!(files(path, true), before, "{args:?}");
    }
}

#[test]
fn no_file_is_replaced_that_nobody_has_named() {
    let folder = folder();
    let path = folder.path();
    codec(path, &["encode", "talk.wav"]).fails(&["talk.nct", "exists already", "-o"]);
    codec(path, &["decode", "talk.nct"]).fails(&["talk.wav", "exists already", "-o"]);
    codec(path, &["decode", "talk.nct", "-o", "./talk.nct"]).fails(&["is the input"]);
    assert_eq!(read(path, "talk.wav"), wav(24_000, 1, &speech_24k()));
    codec(path, &["decode", "talk.nct", "-o", "talk.wav"]).ok();
    assert!(read(path, "talk.wav") != wav(24_000, 1, &speech_24k()));
    let usage = run_in(path, &["codec", "decode", "--noise", "loud", "talk.nct"]);
    assert_eq!(usage.code, Some(2));
}

#[test]
fn a_file_of_other_weights_is_refused_by_both_names() {
    let folder = folder();
    let path = folder.path();
    let bytes = read(path, "talk.nct");
    let reader = NctReader::new(&bytes[..]).unwrap();
    let mut header = reader.header().clone();
    let found = header.weights_id;
    header.weights_id = *b"\x01\x23\x45\x67\x89\xab\xcd\xef";
    let codes = reader.read_all().whole().unwrap();
    put(
        path,
        &[("other.nct", &write_nct(Vec::new(), header, &codes).unwrap())],
    );
    let found: String = found.iter().map(|byte| format!("{byte:02x}")).collect();
    let parts = [
        "other.nct",
        "0123456789abcdef",
        &found,
        &snac(),
        "--any-model",
    ];
    codec(path, &["decode", "other.nct"]).fails(&parts);
    codec(path, &["decode", "other.nct", "--any-model", "-o", "a.wav"]).ok();
    codec(path, &["decode", "talk.nct", "-o", "b.wav"]).ok();
    assert!(read(path, "a.wav") == read(path, "b.wav"));
    let info = codec(path, &["info", "other.nct"]).ok();
    assert!(info.contains("has other weights"), "{info}");

    let other = codec_fixture("snac/44khz");
    let refused = run_in(
        path,
        &[
            "codec",
            "decode",
            "--model",
            &other,
            "--any-model",
            "talk.nct",
            "-o",
            "c.wav",
        ],
    );
    refused.fails(&["talk.nct", "snac at 24000 Hz", &other, "snac at 44100 Hz"]);
}

#[test]
fn info_says_what_a_file_and_a_codec_are() {
    let folder = folder();
    let path = folder.path();
    let text = codec(path, &["info", "talk.nct"]).ok();
    for part in [
        "talk.nct",
        "snac",
        "24000 Hz, mono",
        "2.93",
        "1024 entries at 46.88 Hz",
        "0.820 kbit/s",
        "made it",
        "none",
    ] {
        assert!(text.contains(part), "{part:?} is not in {text}");
    }
    let json: Value =
        serde_json::from_str(&codec(path, &["info", "--format", "json", "talk.nct"]).ok()).unwrap();
    assert_eq!(json["source_samples"], speech_24k().len());
    assert_eq!(
        (&json["model"]["made_it"], &json["damage"]),
        (&true.into(), &Value::Null)
    );
    // The folder of a model is nobody else's business.
    assert!(
        !json
            .to_string()
            .replace(&json["model"].to_string(), "")
            .contains("golden")
    );

    let model: Value =
        serde_json::from_str(&codec(path, &["info", "--format", "json"]).ok()).unwrap();
    assert_eq!(model["hop_samples"], 512);
    assert_eq!(
        (
            &model["encode_lookahead_samples"],
            &model["decode_lookahead_samples"]
        ),
        (&4_757.into(), &4_757.into())
    );
    assert!(
        codec(path, &["info"])
            .ok()
            .contains("4757 samples (198.2 ms)")
    );
    assert_eq!(model["weights_id"], json["weights_id"]);
    // The same facts under the name that all models have in common.
    let inspected: Value =
        serde_json::from_str(&run(["inspect", "--format", "json", &snac()]).ok()).unwrap();
    assert_eq!(
        (&inspected["kind"], &inspected["books"]),
        (&"codec".into(), &model["books"])
    );
    assert!(run(["models", "verify", &snac()]).ok().contains("loads"));
}

#[test]
fn files_of_the_encodec_package_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let meta = br#"{"m": "encodec_24khz", "al": 640, "nc": 2, "lm": false}"#;
    let mut ecdc = b"ECDC\0".to_vec();
    ecdc.extend((meta.len() as u32).to_be_bytes());
    ecdc.extend(meta);
    ecdc.extend([0x01, 0x08, 0x30, 0x00, 0x01]); // 1, 2, 3, 4 in 10 bits, lowest bit first
    put(path, &[("a.ecdc", &ecdc)]);
    let json: Value =
        serde_json::from_str(&run_in(path, &["codec", "info", "--format", "json", "a.ecdc"]).ok())
            .unwrap();
    assert_eq!(
        (&json["kind"], &json["codec"]),
        (&"ecdc".into(), &"encodec".into())
    );
    assert_eq!(
        (&json["source_samples"], &json["codes"]),
        (&640.into(), &serde_json::json!([2, 2]))
    );
    run_in(path, &["codec", "decode", "a.ecdc"])
        .fails(&["facebook/encodec_24khz", "percept models pull"]);
    let small = codec_fixture("encodec/24khz"); // books of 64 entries
    run_in(path, &["codec", "decode", "--model", &small, "a.ecdc"])
        .fails(&["a.ecdc", "book 0", "1024", "64"]);
}

#[test]
fn a_picture_shows_the_recording_what_is_decoded_and_the_codes() {
    let folder = folder();
    let path = folder.path();
    codec(
        path,
        &["encode", "talk.wav", "-o", "a.nct", "--plot", "a.svg"],
    )
    .ok();
    assert!(read(path, "a.nct") == read(path, "talk.nct"));
    let picture = fs::read_to_string(path.join("a.svg")).unwrap();
    for part in [
        "<title>talk.wav</title>",
        ">recording<",
        ">decoded<",
        ">codes<",
        ">book 3<",
        ">4 kHz<",
        ">seconds<",
        ">1023<",
        "3 books",
    ] {
        assert!(picture.contains(part), "{part}");
    }
    codec(
        path,
        &["decode", "talk.nct", "-o", "b.wav", "--plot", "b.svg"],
    )
    .ok();
    let picture = fs::read_to_string(path.join("b.svg")).unwrap();
    assert!(picture.contains(">decoded<") && !picture.contains(">recording<"));
    assert_eq!(
        codec(path, &["encode", "talk.wav", "--plot", "a.png"]).code,
        Some(2)
    );
}

#[test]
fn progress_and_errors_are_lines_of_json_for_scripts() {
    let folder = folder();
    let path = folder.path();
    let outcome = codec(
        path,
        &["encode", "talk.wav", "-o", "a.nct", "--progress", "json"],
    );
    let events: Vec<Value> = outcome
        .stderr
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(
        (&events[0]["event"], &events.last().unwrap()["event"]),
        (&"start".into(), &"done".into())
    );
    assert_eq!(events.last().unwrap()["output"], "a.nct");
    let outcome = codec(path, &["decode", "none.nct", "--progress", "json"]);
    let event: Value = serde_json::from_str(&outcome.stderr).unwrap();
    assert_eq!(
        (&event["event"], &event["file"]),
        (&"error".into(), &"none.nct".into())
    );
}

#[test]
fn without_a_checkpoint_it_says_how_to_get_one() {
    let folder = folder();
    let path = folder.path();
    let next = "percept models pull hubertsiuzdak/snac_24khz";
    for args in [
        &["encode", "talk.wav", "-o", "a.nct"][..],
        &["decode", "talk.nct", "-o", "a.wav"],
        &["info"],
    ] {
        let outcome = run_in(path, &[&["codec"], args].concat());
        outcome.fails(&["hubertsiuzdak/snac_24khz", next, "--model"]);
    }
    run_in(
        path,
        &[
            "codec", "encode", "--model", "nothing", "talk.wav", "-o", "a.nct",
        ],
    )
    .fails(&["nothing", "no such codec", "hubertsiuzdak/snac_24khz"]);
    let recogniser = tiny_en();
    run_in(
        path,
        &[
            "codec",
            "encode",
            "--model",
            recogniser.to_str().unwrap(),
            "talk.wav",
            "-o",
            "a.nct",
        ],
    )
    .fails(&["is a speech recogniser", "no codec", "percept transcribe"]);
    run_in(path, &["transcribe", "--model", &snac(), "talk.wav"]).fails(&[
        "24khz",
        "is a codec (snac)",
        "percept codec",
    ]);
}

#[cfg(unix)]
#[test]
fn a_codec_in_the_cache_is_found_by_its_name_and_by_the_files_it_made() {
    use sha2::{Digest, Sha256};

    let folder = folder();
    let path = folder.path();
    let commit = "0123456789abcdef0123456789abcdef01234567";
    let repo = path.join("home/hub/models--hubertsiuzdak--snac_24khz");
    put(&repo, &[("refs/main", commit.as_bytes())]);
    let snapshot = repo.join("snapshots").join(commit);
    fs::create_dir_all(&snapshot).unwrap();
    for name in ["config.json", "pytorch_model.bin"] {
        let content = fs::read(Path::new(&snac()).join(name)).unwrap();
        let hash: String = Sha256::digest(&content)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        put(&repo, &[(&format!("blobs/{hash}"), &content)]);
        std::os::unix::fs::symlink(format!("../../blobs/{hash}"), snapshot.join(name)).unwrap();
    }
    let with_cache = |args: &[&str]| {
        run_command(
            percept()
                .current_dir(path)
                .env("HF_HOME", path.join("home"))
                .args(args),
        )
    };
    with_cache(&["codec", "encode", "talk.wav", "-o", "cached.nct"]).ok();
    let info = with_cache(&["codec", "info", "cached.nct"]).ok();
    assert!(info.contains("hubertsiuzdak/snac_24khz made it"), "{info}");
    assert!(
        info.contains("\"model\":\"hubertsiuzdak/snac_24khz\""),
        "{info}"
    );
    // Made by the same weights in a folder.
    with_cache(&["codec", "decode", "talk.nct", "-o", "back.wav"]).ok();
    let list = with_cache(&["models", "list"]).ok();
    assert!(
        list.contains("hubertsiuzdak/snac_24khz") && list.contains("ready"),
        "{list}"
    );
    let verified = with_cache(&["models", "verify", "hubertsiuzdak/snac_24khz"]).ok();
    assert_eq!(verified.matches("intact").count(), 2, "{verified}");
    assert!(
        with_cache(&["inspect", "hubertsiuzdak/snac_24khz"])
            .ok()
            .contains("codec      snac")
    );
}
