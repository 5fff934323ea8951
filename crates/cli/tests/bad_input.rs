//! Bad input: one line that names the file, status 1, and nothing left behind.

mod common;

use std::fs;

use common::{
    codec_fixture, cut_off, files, fixture, float_wav, noise, path, percept, put, run_in,
    run_with_stdin, wav,
};

/// Recordings that are none.
fn bad_recordings() -> Vec<(&'static str, Vec<u8>)> {
    let mut seed = 1_u32;
    let random = (0..4096).map(|_| {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 24) as u8
    });
    let mut one_bad_sample = vec![0.1; 16_000];
    one_bad_sample[9_000] = f32::NAN;
    let mut no_channels = wav(16_000, 1, &[0; 100]);
    no_channels[22..24].copy_from_slice(&[0, 0]);
    let mut no_rate = wav(16_000, 1, &[0; 100]);
    no_rate[24..28].copy_from_slice(&[0; 4]);
    vec![
        ("empty.wav", Vec::new()),
        ("text.wav", b"This is not a recording.\n".repeat(50)),
        ("random.wav", random.collect()),
        ("nan.wav", float_wav(&[f32::NAN; 1600])),
        ("one-nan.wav", float_wav(&one_bad_sample)),
        ("header.wav", wav(16_000, 1, &[])[..20].to_vec()),
        ("channels.wav", no_channels),
        ("rate.wav", no_rate),
    ]
}

#[test]
fn a_bad_recording_is_one_line_and_no_output() {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in bad_recordings() {
        put(folder.path(), &[(name, &bytes)]);
        let stdout = run_in(folder.path(), &["transcribe", name]).fails(&[name]);
        assert_eq!(stdout, "", "{name}");
        run_in(folder.path(), &["transcribe", "-o", "out", name]).fails(&[name]);
        assert!(files(&folder.path().join("out"), true).is_empty(), "{name}");
        run_in(
            folder.path(),
            &["features", "--stage", "mel", name, "-o", "x.npy"],
        )
        .fails(&[name]);
        assert!(!folder.path().join("x.npy").exists(), "{name}");
        run_with_stdin(&["transcribe", "-"], &bytes).fails(&["percept: -: "]);
    }
}

#[test]
fn a_truncated_recording_is_written_down_as_far_as_it_goes() {
    let folder = tempfile::tempdir().unwrap();
    let whole = fs::read(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../audio/tests/fixtures/chirp.flac"
    ))
    .unwrap();
    put(
        folder.path(),
        &[
            ("cut.flac", &whole[..whole.len() / 2]),
            ("whole.flac", &whole),
        ],
    );
    let duration = |json: String| -> f64 {
        serde_json::from_str::<serde_json::Value>(&json).unwrap()["duration"]
            .as_f64()
            .unwrap()
    };
    let whole = duration(
        run_in(
            folder.path(),
            &["transcribe", "--format", "json", "whole.flac"],
        )
        .ok(),
    );
    let cut = run_in(
        folder.path(),
        &["transcribe", "--format", "json", "cut.flac"],
    )
    .fails(&["percept: cut.flac: "]);
    let cut = duration(cut);
    assert!(cut > 0.0 && cut < whole, "{cut} s of {whole} s");

    for args in [
        &["transcribe", "-o", "out", "cut.flac"][..],
        &["transcribe", "--resume", "-o", "out", "cut.flac"],
    ] {
        run_in(folder.path(), args).fails(&["percept: cut.flac: "]);
        assert_eq!(files(&folder.path().join("out"), true), ["cut.txt"]);
    }
    run_in(
        folder.path(),
        &["features", "--stage", "mel", "cut.flac", "-o", "x.npy"],
    )
    .fails(&["percept: cut.flac: "]);
}

#[test]
fn one_bad_input_does_not_stop_the_others() {
    let folder = tempfile::tempdir().unwrap();
    put(
        folder.path(),
        &[
            ("a.wav", &noise(1)),
            ("bad.wav", b"text"),
            ("z.wav", &noise(2)),
        ],
    );
    let stdout =
        run_in(folder.path(), &["transcribe", "a.wav", "bad.wav", "z.wav"]).fails(&["bad.wav: "]);
    assert_eq!(stdout.lines().count(), 2);
    run_in(
        folder.path(),
        &["transcribe", "-o", "out", "a.wav", "none.wav", "z.wav"],
    )
    .fails(&["none.wav: no such file"]);
    assert_eq!(files(&folder.path().join("out"), false), ["a.txt", "z.txt"]);
}

#[test]
fn a_missing_or_empty_input_is_said_so() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("empty")).unwrap();
    put(folder.path(), &[("file", b"x")]);
    run_in(folder.path(), &["transcribe", "none"])
        .fails(&["percept: none: no such file or folder; "]);
    run_in(folder.path(), &["transcribe", "file/none.wav"]).fails(&["percept: file/none.wav: "]);
    run_in(folder.path(), &["transcribe", "empty"]).fails(&["percept: empty: no audio files"]);
    run_in(
        folder.path(),
        &["features", "--stage", "mel", "none", "-o", "x.npy"],
    )
    .fails(&["percept: none: "]);
    run_in(
        folder.path(),
        &["features", "--stage", "mel", "empty", "-o", "x.npy"],
    )
    .fails(&["percept: empty: ", "is a directory"]);
}

#[cfg(unix)]
#[test]
fn a_folder_that_may_not_be_read_is_an_error() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    put(
        folder.path(),
        &[("in/locked/a.wav", &noise(1)), ("in/b.wav", &noise(2))],
    );
    let locked = folder.path().join("in/locked");
    fs::set_permissions(&locked, fs::Permissions::from_mode(0o000)).unwrap();
    // Root reads everything, and has nothing to be told.
    let may_read = fs::read_dir(&locked).is_ok();
    let outcome = run_in(folder.path(), &["transcribe", "in"]);
    fs::set_permissions(&locked, fs::Permissions::from_mode(0o755)).unwrap();
    if may_read {
        outcome.ok();
    } else {
        assert_eq!(
            outcome
                .fails(&["in/locked: permission denied"])
                .lines()
                .count(),
            1
        );
    }
}

#[test]
fn a_folder_for_outputs_must_be_one() {
    let folder = tempfile::tempdir().unwrap();
    put(
        folder.path(),
        &[
            ("a.wav", &noise(1)),
            ("file", b"x"),
            ("voice.txt", &noise(1)),
            ("out/a.txt/x", b""),
        ],
    );
    run_in(folder.path(), &["transcribe", "-o", "file", "a.wav"])
        .fails(&["percept: file: is not a folder"]);
    run_in(folder.path(), &["transcribe", "-o", "file/below", "a.wav"])
        .fails(&["percept: file/below/a.txt: "]);
    run_in(folder.path(), &["transcribe", "-o", ".", "voice.txt"])
        .fails(&["voice.txt: is an input"]);
    assert_eq!(fs::read(folder.path().join("voice.txt")).unwrap(), noise(1));
    run_in(folder.path(), &["transcribe", "-o", "out", "a.wav"]).fails(&["out/a.txt: "]);
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_one_line_and_no_partial_file() {
    let folder = tempfile::tempdir().unwrap();
    put(folder.path(), &[("a.wav", &noise(1))]);
    let full = fs::File::options().write(true).open("/dev/full").unwrap();
    let output = percept()
        .args(["transcribe", &path(folder.path(), "a.wav")])
        .stdout(full)
        .stderr(std::process::Stdio::piped())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(
        stderr,
        "percept: stdout: the disk is full; free some space and run the command again\n"
    );

    // A limit on the size of files stands in for a small disk.
    let command = format!("ulimit -f 0; exec {} \"$@\"", env!("CARGO_BIN_EXE_percept"));
    for args in [
        &["transcribe", "-o", "out", "a.wav"][..],
        &["transcribe", "--format", "json", "-o", "out", "a.wav"],
        &["features", "--stage", "mel", "a.wav", "-o", "out/x.npy"],
    ] {
        let output = cut_off(std::process::Command::new("sh"))
            .current_dir(folder.path())
            .args(["-c", &command, "percept"])
            .args(args)
            .output()
            .unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{stderr}");
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
        assert!(
            stderr.starts_with("percept: out/") && stderr.contains("limit"),
            "{stderr}"
        );
        assert!(files(&folder.path().join("out"), true).is_empty());
    }
}

#[test]
fn a_model_that_is_none_is_one_line() {
    let folder = tempfile::tempdir().unwrap();
    put(
        folder.path(),
        &[
            ("a.wav", &noise(1)),
            ("empty.nemo", b""),
            ("text.nemo", b"not an archive"),
            ("no-config/model.safetensors", b""),
            (
                "no-weights/config.json",
                b"{\"model_type\": \"parakeet_tdt\"}",
            ),
            ("unknown/config.json", b"{\"model_type\": \"bert\"}"),
            ("broken/config.json", b"{"),
        ],
    );
    fs::create_dir(folder.path().join("nothing")).unwrap();
    for model in [
        "empty.nemo",
        "text.nemo",
        "no-config",
        "no-weights",
        "unknown",
        "broken",
        "nothing",
        "none.nemo",
        "none",
    ] {
        for args in [
            &["transcribe", "--model", model, "a.wav"][..],
            &[
                "features", "--stage", "mel", "--model", model, "a.wav", "-o", "x.npy",
            ],
            &["inspect", model],
        ] {
            assert_eq!(run_in(folder.path(), args).fails(&[model]), "", "{args:?}");
        }
    }
    // Without a network, a hub id that is not in the cache is an error as well.
    run_in(
        folder.path(),
        &["transcribe", "--model", "someone/something", "a.wav"],
    )
    .fails(&["someone/something"]);
}

#[test]
fn a_codec_is_no_recogniser_and_a_recogniser_is_no_codec() {
    let folder = tempfile::tempdir().unwrap();
    put(folder.path(), &[("a.wav", &noise(1))]);
    for (codec, family) in [
        ("snac/24khz", "snac"),
        ("dac/24khz", "dac"),
        ("encodec/24khz", "encodec"),
        ("mimi/24khz", "mimi"),
    ] {
        let model = codec_fixture(codec);
        let advice = format!("percept codec encode|decode --model {model}");
        let parts = [&model[..], &format!("is a codec ({family})"), &advice];
        for args in [
            &["transcribe", "--model", &model, "a.wav"][..],
            &["stream", "--model", &model, "a.wav"],
            &[
                "features", "--stage", "mel", "--model", &model, "a.wav", "-o", "x.npy",
            ],
        ] {
            assert_eq!(run_in(folder.path(), args).fails(&parts), "", "{args:?}");
        }
    }
    for (name, family) in [("tdt_v3", "parakeet_tdt"), ("ctc", "parakeet_ctc")] {
        let model = fixture(name);
        let advice = format!("percept transcribe --model {model}");
        let parts = [
            &model[..],
            &format!("is a speech recogniser ({family})"),
            &advice,
        ];
        let args = ["codec", "encode", "--model", &model, "a.wav", "-o", "x.nct"];
        assert_eq!(run_in(folder.path(), &args).fails(&parts), "", "{name}");
    }
    assert_eq!(files(folder.path(), true), ["a.wav"]);
}
