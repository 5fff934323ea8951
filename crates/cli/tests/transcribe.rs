//! What `percept transcribe` promises of its inputs and outputs.

mod common;

use std::fs;
use std::io::Read;
use std::process::Stdio;

use common::{files, noise, path, percept, put, run, run_in, run_with_stdin, wav};
use serde_json::Value;

#[test]
fn one_file_is_its_text_and_a_newline() {
    let folder = tempfile::tempdir().unwrap();
    put(folder.path(), &[("a.wav", &noise(1))]);
    let text = run_in(folder.path(), &["transcribe", "a.wav"]).ok();
    let json: Value = serde_json::from_str(
        &run_in(folder.path(), &["transcribe", "--format", "json", "a.wav"]).ok(),
    )
    .unwrap();
    assert_eq!(text, format!("{}\n", json["text"].as_str().unwrap()));
}

#[test]
fn several_files_are_one_line_each_in_the_order_given() {
    let folder = tempfile::tempdir().unwrap();
    put(
        folder.path(),
        &[
            ("b.wav", &noise(1)),
            ("a.wav", &noise(2)),
            ("d/c.wav", &noise(3)),
            ("d/.x.wav", &noise(4)),
        ],
    );
    let text = run_in(folder.path(), &["transcribe", "b.wav", "a.wav", "d"]).ok();
    let labels: Vec<&str> = text
        .lines()
        .map(|line| line.split_once(": ").unwrap().0)
        .collect();
    assert_eq!(labels, ["b.wav", "a.wav", "d/c.wav"]);

    let json = run_in(
        folder.path(),
        &["transcribe", "--format", "json", "b.wav", "a.wav", "d"],
    )
    .ok();
    let objects: Vec<Value> = json
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let labels: Vec<&str> = objects
        .iter()
        .map(|object| object["file"].as_str().unwrap())
        .collect();
    assert_eq!(labels, ["b.wav", "a.wav", "d/c.wav"]);
}

#[test]
fn a_json_object_has_the_documented_keys() {
    let folder = tempfile::tempdir().unwrap();
    put(folder.path(), &[("a.wav", &noise(1))]);
    let json = run_in(folder.path(), &["transcribe", "--format", "json", "a.wav"]).ok();
    let object: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(object["file"], "a.wav");
    assert_eq!(object["duration"], 1.0);
    assert!(object["text"].is_string());
    let keys_of = |list: &str| -> Vec<Vec<String>> {
        let list = object[list]
            .as_array()
            .unwrap_or_else(|| panic!("{list} is a list"));
        list.iter()
            .map(|item| item.as_object().unwrap().keys().cloned().collect())
            .collect()
    };
    for (list, expected) in [
        (
            "tokens",
            &[
                "confidence",
                "duration",
                "end",
                "frame",
                "id",
                "piece",
                "start",
            ][..],
        ),
        ("words", &["confidence", "end", "start", "word"]),
        ("segments", &["end", "start", "text"]),
    ] {
        for mut keys in keys_of(list) {
            keys.sort();
            assert_eq!(keys, expected, "{list}");
        }
    }
}

#[test]
fn a_short_file_is_silence_and_no_error() {
    let folder = tempfile::tempdir().unwrap();
    for samples in [0, 1, 100, 200] {
        put(
            folder.path(),
            &[("a.wav", &wav(16_000, 1, &vec![0; samples]))],
        );
        for (format, expected) in [
            ("text", "\n"),
            ("srt", ""),
            ("vtt", "WEBVTT\n"),
            ("tsv", "start\tend\ttext\n"),
        ] {
            assert_eq!(
                run_in(folder.path(), &["transcribe", "--format", format, "a.wav"]).ok(),
                expected,
                "{samples}"
            );
        }
    }
}

#[test]
fn any_rate_and_any_number_of_channels_will_do() {
    let folder = tempfile::tempdir().unwrap();
    put(
        folder.path(),
        &[
            ("a.wav", &wav(192_000, 8, &vec![0; 8 * 19_200])),
            ("b.wav", &wav(8_000, 2, &[0; 800])),
        ],
    );
    run_in(folder.path(), &["transcribe", "a.wav"]).ok();
    run_in(folder.path(), &["transcribe", "b.wav"]).ok();
}

#[test]
fn stdin_is_a_recording_like_any_other() {
    let folder = tempfile::tempdir().unwrap();
    put(folder.path(), &[("a.wav", &noise(1))]);
    let file = run_in(folder.path(), &["transcribe", "a.wav"]).ok();
    assert_eq!(run_with_stdin(&["transcribe", "-"], &noise(1)).ok(), file);

    let out = path(folder.path(), "out");
    assert_eq!(
        run_with_stdin(&["transcribe", "-o", &out, "-"], &noise(1)).ok(),
        ""
    );
    assert_eq!(
        fs::read_to_string(folder.path().join("out/stdin.txt")).unwrap(),
        file
    );
}

#[test]
fn outputs_keep_their_path_below_the_folder_given() {
    let folder = tempfile::tempdir().unwrap();
    let sound = noise(1);
    put(
        folder.path(),
        &[
            ("in/a.wav", &sound),
            ("in/b/a.wav", &sound),
            ("in/b/c/d.MP3.wav", &sound),
            ("x/e.wav", &sound),
        ],
    );
    for (format, extension) in [
        ("text", "txt"),
        ("json", "json"),
        ("srt", "srt"),
        ("vtt", "vtt"),
        ("tsv", "tsv"),
    ] {
        let out = format!("out-{extension}");
        assert_eq!(
            run_in(
                folder.path(),
                &[
                    "transcribe",
                    "--format",
                    format,
                    "-o",
                    &out,
                    "in",
                    "x/e.wav"
                ]
            )
            .ok(),
            ""
        );
        let expected =
            ["a.E", "b/a.E", "b/c/d.MP3.E", "e.E"].map(|name| name.replace('E', extension));
        assert_eq!(files(&folder.path().join(&out), false), expected);
        let alone = run_in(
            folder.path(),
            &["transcribe", "--format", format, "in/a.wav"],
        )
        .ok();
        assert_eq!(
            fs::read_to_string(folder.path().join(&out).join(format!("a.{extension}"))).unwrap(),
            alone
        );
    }
}

#[test]
fn two_inputs_for_one_output_are_refused_before_any_work() {
    let folder = tempfile::tempdir().unwrap();
    let sound = noise(1);
    put(
        folder.path(),
        &[
            ("a/x.wav", &sound),
            ("b/x.wav", &sound),
            ("c/y.wav", &sound),
            ("c/y.flac", &sound),
        ],
    );
    run_in(folder.path(), &["transcribe", "-o", "out", "a", "b"]).fails(&[
        "a/x.wav",
        "b/x.wav",
        "out/x.txt",
    ]);
    run_in(folder.path(), &["transcribe", "-o", "out", "c"]).fails(&[
        "c/y.wav",
        "c/y.flac",
        "out/y.txt",
    ]);
    assert!(!folder.path().join("out").exists());
}

#[test]
fn a_file_given_twice_is_done_once_or_twice_but_whole() {
    let folder = tempfile::tempdir().unwrap();
    put(folder.path(), &[("x.wav", &noise(1))]);
    let text = run_in(folder.path(), &["transcribe", "x.wav"]).ok();
    run_in(
        folder.path(),
        &["transcribe", "-o", "out", "x.wav", "./x.wav"],
    )
    .ok();
    assert_eq!(
        fs::read_to_string(folder.path().join("out/x.txt")).unwrap(),
        text
    );
    let twice = run_in(folder.path(), &["transcribe", "x.wav", "x.wav"]).ok();
    assert_eq!(twice, format!("x.wav: {text}").repeat(2));
}

#[test]
fn threads_do_not_change_the_result() {
    let folder = tempfile::tempdir().unwrap();
    put(folder.path(), &[("a.wav", &noise(1))]);
    let one = run_in(
        folder.path(),
        &["transcribe", "--format", "json", "--threads", "1", "a.wav"],
    )
    .ok();
    for threads in ["2", "3", "1000000"] {
        let more = run_in(
            folder.path(),
            &[
                "transcribe",
                "--format",
                "json",
                "--threads",
                threads,
                "a.wav",
            ],
        )
        .ok();
        assert_eq!(more, one, "{threads} threads");
    }
}

#[test]
fn a_reader_that_leaves_ends_the_command_quietly() {
    let folder = tempfile::tempdir().unwrap();
    put(folder.path(), &[("a.wav", &noise(1))]);
    let mut child = percept()
        .args(["transcribe", "-", &path(folder.path(), "a.wav")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    // Only now can the first result come.
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), &noise(2)).unwrap();
    let mut stderr = String::new();
    child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut stderr)
        .unwrap();
    assert_eq!(
        (child.wait().unwrap().code(), stderr.as_str()),
        (Some(0), "")
    );
}

#[test]
fn wrong_usage_is_status_two() {
    let folder = tempfile::tempdir().unwrap();
    put(folder.path(), &[("a.wav", &noise(1)), ("b.wav", &noise(2))]);
    for args in [
        &["transcribe"][..],
        &["transcribe", "--threads", "0", "a.wav"],
        &["transcribe", "--format", "doc", "a.wav"],
        &["transcribe", "--resume", "a.wav"],
        &["transcribe", "-", "-"],
        &["transcribe", "--format", "srt", "a.wav", "b.wav"],
        &["features", "a.wav", "-o", "x.npy"],
        &["no-such-command"],
        &[],
    ] {
        let outcome = run_in(folder.path(), args);
        assert_eq!(
            (outcome.code, outcome.stdout.as_str()),
            (Some(2), ""),
            "{args:?}"
        );
        assert!(!outcome.stderr.is_empty());
    }
}

#[test]
fn progress_for_scripts_is_json_alone() {
    let folder = tempfile::tempdir().unwrap();
    put(folder.path(), &[("a.wav", &noise(1)), ("bad.wav", b"text")]);
    let outcome = run_in(
        folder.path(),
        &[
            "transcribe",
            "--progress",
            "json",
            "-o",
            "out",
            "a.wav",
            "bad.wav",
            "none.wav",
        ],
    );
    assert_eq!(outcome.code, Some(1));
    let events: Vec<Value> = outcome
        .stderr
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let of = |kind: &str| {
        events
            .iter()
            .filter(|event| event["event"] == kind)
            .collect::<Vec<_>>()
    };
    assert_eq!(of("start")[0]["file"], "a.wav");
    assert_eq!(of("start")[0]["seconds_total"], 1.0);
    assert_eq!(of("done").len(), 1);
    assert_eq!(
        (&of("done")[0]["output"], &of("done")[0]["skipped"]),
        (&Value::from("out/a.txt"), &Value::from(false))
    );
    let errors = of("error");
    assert_eq!(errors.len(), 2);
    for (error, file) in errors.iter().zip(["none.wav", "bad.wav"]) {
        assert!(
            error["message"].as_str().unwrap().starts_with(file),
            "{error}"
        );
    }
    for mode in ["auto", "none"] {
        run_in(folder.path(), &["transcribe", "--progress", mode, "a.wav"]).ok();
    }
}

#[cfg(unix)]
#[test]
fn an_interruption_ends_with_130_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = percept()
        .args(["transcribe", "-o", &path(folder.path(), "out"), "-"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // The command blocks on the rest of the recording once it has read this; its end must not come.
    let mut stdin = child.stdin.take().unwrap();
    std::io::Write::write_all(&mut stdin, &noise(1)[..20_000]).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(300));
    let kill = std::process::Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status()
        .unwrap();
    assert!(kill.success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(files(folder.path(), true).is_empty());
}

#[test]
fn help_shows_what_exists_and_nothing_else() {
    let help = run(["--help"]).ok();
    for command in [
        "transcribe",
        "stream",
        "listen",
        "features",
        "inspect",
        "models",
    ] {
        assert!(help.contains(command), "{command}");
        assert!(run([command, "--help"]).ok().contains("Usage:"));
    }
    for absent in ["completions", "serve", "chat"] {
        assert!(!help.contains(absent), "{absent}");
    }
    assert_eq!(
        run(["--version"]).ok(),
        format!("percept {}\n", env!("CARGO_PKG_VERSION"))
    );
}
