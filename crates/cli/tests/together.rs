//! What `percept transcribe` promises of several recordings in one call: each is what it is alone.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod common;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::Stdio;
use std::sync::mpsc;
use std::time::Duration;

use common::{Outcome, files, noise, percept, put, run_in, speech, wav};
use serde_json::Value;

/// Recordings of many kinds and lengths, more than are read ahead, in the order of their names.
fn archive(folder: &Path) -> Vec<String> {
    let mut recordings = vec![
        ("none".to_owned(), wav(16_000, 1, &[])),
        ("click".to_owned(), wav(16_000, 1, &[900; 160])),
        ("hello".to_owned(), wav(16_000, 1, &speech(1))),
        ("thrice".to_owned(), wav(16_000, 1, &speech(3))),
        // Too long to be read ahead.
        ("long".to_owned(), wav(16_000, 1, &speech(9))),
        ("stereo".to_owned(), wav(8_000, 2, &speech(2))),
    ];
    for n in 0..30 {
        let from = n * 1_000;
        let cut = &speech(2)[from..from + 12_000 + 700 * n];
        recordings.push((format!("cut-{n}"), wav(16_000, 1, cut)));
    }
    recordings.sort_by_key(|(name, bytes)| (bytes.len() % 17, name.clone()));
    let names = (10..).map(|n| format!("in/{n}"));
    let name = |((name, bytes), before): ((String, Vec<u8>), String)| {
        let file = format!("{before}-{name}.wav");
        put(folder, &[(&file, &bytes)]);
        file
    };
    recordings.into_iter().zip(names).map(name).collect()
}

/// A recording whose second half is missing.
fn cut_flac() -> Vec<u8> {
    let fixture = "../audio/tests/fixtures/chirp.flac";
    let whole = fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(fixture)).unwrap();
    whole[..whole.len() / 2].to_vec()
}

#[test]
fn one_call_says_what_a_call_for_each_says() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let names = archive(folder);
    let json = ["transcribe", "--format", "json"];
    let each = names
        .iter()
        .map(|name| run_in(folder, &[&json[..], &[name]].concat()).ok());
    let alone: String = each.collect();
    assert!(alone.contains("meet for lunch"), "there is speech in it");
    for threads in ["1", "2", "3"] {
        let all = [&json[..], &["--threads", threads, "in"]].concat();
        assert_eq!(run_in(folder, &all).ok(), alone, "{threads} threads");
    }
    for name in &names {
        run_in(folder, &["transcribe", "-o", "alone", name]).ok();
    }
    run_in(folder, &["transcribe", "-o", "together", "in"]).ok();
    let outputs = files(&folder.join("alone"), false);
    assert_eq!(outputs.len(), names.len());
    assert_eq!(files(&folder.join("together"), false), outputs);
    for output in outputs {
        let read = |side: &str| fs::read(folder.join(side).join(&output)).unwrap();
        assert_eq!(read("together"), read("alone"), "{output}");
    }
}

#[test]
fn a_bad_recording_among_others_fails_alone() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    put(
        folder,
        &[
            ("in/a.wav", &wav(16_000, 1, &speech(1))),
            ("in/b.wav", b"This is no recording."),
            ("in/c.wav", &noise(1)),
            ("in/d.flac", &cut_flac()),
            ("in/e.wav", &wav(16_000, 1, &speech(2))),
        ],
    );
    let names = ["in/a.wav", "in/b.wav", "in/c.wav", "in/d.flac", "in/e.wav"];
    let alone: Vec<Outcome> = names
        .iter()
        .map(|name| run_in(folder, &["transcribe", "--format", "json", name]))
        .collect();
    let together = run_in(folder, &["transcribe", "--format", "json", "in"]);
    assert_eq!(together.code, Some(1));
    let joined =
        |part: fn(&Outcome) -> &String| alone.iter().map(part).cloned().collect::<String>();
    assert_eq!(together.stdout, joined(|one| &one.stdout));
    assert_eq!(together.stderr, joined(|one| &one.stderr));
    assert_eq!(
        together.stderr.lines().count(),
        2,
        "one broken, one damaged"
    );

    assert_eq!(
        run_in(folder, &["transcribe", "-o", "out", "in"]).code,
        Some(1)
    );
    assert_eq!(
        files(&folder.join("out"), true),
        [
            ".a.txt.percept",
            ".c.txt.percept",
            ".e.txt.percept",
            "a.txt",
            "c.txt",
            "d.txt",
            "e.txt"
        ]
    );
}

#[test]
fn events_of_a_bad_recording_are_those_it_has_alone() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let whole = wav(16_000, 1, &speech(1));
    put(
        folder,
        &[
            ("in/a.wav", &whole),
            ("in/b.wav", b"This is no recording."),
            // Cut before its first sample.
            ("in/c.wav", &whole[..44]),
            ("in/d.flac", &cut_flac()),
            ("in/e.wav", &noise(1)),
        ],
    );
    let kinds = [
        ("in/a.wav", &["start", "done"][..]),
        ("in/b.wav", &["error"]),
        ("in/c.wav", &["start", "error"]),
        ("in/d.flac", &["start", "error"]),
        ("in/e.wav", &["start", "done"]),
    ];
    let json = ["transcribe", "--progress", "json"];
    let together = run_in(folder, &[&json[..], &["in"]].concat());
    assert_eq!(together.code, Some(1));
    for (index, (name, kinds)) in (1..).zip(kinds) {
        let alone = run_in(folder, &[&json[..], &[name]].concat());
        let mut expected = events_of(name, &alone);
        let told: Vec<&str> = expected
            .iter()
            .map(|event| event["event"].as_str().unwrap())
            .collect();
        assert_eq!(told, kinds, "{name}");
        for event in &mut expected {
            if event["event"] == "start" {
                event["index"] = index.into();
                event["files"] = 5.into();
            }
        }
        assert_eq!(events_of(name, &together), expected, "{name}");
    }
}

/// The events of a file, but for how far it is: that depends on the time.
fn events_of(name: &str, outcome: &Outcome) -> Vec<Value> {
    let is_of = |event: &Value| event["file"] == name && event["event"] != "progress";
    events(outcome).into_iter().filter(is_of).collect()
}

#[test]
fn only_what_is_not_up_to_date_is_done_again_among_others() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let names = archive(folder);
    let again = [
        "transcribe",
        "--resume",
        "--progress",
        "json",
        "-o",
        "out",
        "in",
    ];
    assert_eq!(run_in(folder, &again).code, Some(0));
    let output = |name: &String| {
        let stem = Path::new(name).file_stem().unwrap().to_str().unwrap();
        folder.join("out").join(format!("{stem}.txt"))
    };
    let first = fs::read(output(&names[3])).unwrap();
    fs::remove_file(output(&names[3])).unwrap();
    fs::write(output(&names[20]), b"edited").unwrap();
    let events = events(&run_in(folder, &again));
    let done: Vec<(&str, bool)> = events
        .iter()
        .filter(|event| event["event"] == "done")
        .map(|event| {
            (
                event["file"].as_str().unwrap(),
                event["skipped"].as_bool().unwrap(),
            )
        })
        .collect();
    let redone = [&names[3], &names[20]];
    let expected: Vec<(&str, bool)> = names
        .iter()
        .map(|name| (name.as_str(), !redone.contains(&name)))
        .collect();
    assert_eq!(done, expected);
    assert_eq!(fs::read(output(&names[3])).unwrap(), first);
}

#[test]
fn events_tell_of_each_file_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let names = archive(folder);
    let outcome = run_in(folder, &["transcribe", "--progress", "json", "in"]);
    assert_eq!(outcome.code, Some(0));
    let events = events(&outcome);
    for kind in ["start", "done"] {
        let of_kind = events.iter().filter(|event| event["event"] == kind);
        let told: Vec<&str> = of_kind
            .map(|event| event["file"].as_str().unwrap())
            .collect();
        assert_eq!(told, names, "{kind}");
    }
    for (index, name) in names.iter().enumerate() {
        let at = |kind: &str| {
            let is_it = |event: &Value| event["event"] == kind && event["file"] == name.as_str();
            events.iter().position(is_it).unwrap()
        };
        let start = &events[at("start")];
        assert!(at("start") < at("done"), "{name}");
        assert_eq!(start["index"], index + 1, "{name}");
        assert_eq!(start["files"], names.len(), "{name}");
        assert_eq!(
            start["seconds_total"],
            events[at("done")]["seconds_done"],
            "{name}"
        );
    }
}

fn events(outcome: &Outcome) -> Vec<Value> {
    let lines = outcome.stderr.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn stdin_has_its_turn_among_files() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    put(
        folder,
        &[
            ("a.wav", &noise(1)),
            ("b.wav", &noise(2)),
            ("c.wav", &noise(3)),
        ],
    );
    let mut child = percept()
        .current_dir(folder)
        .args(["transcribe", "a.wav", "b.wav", "-", "c.wav"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let stdout = BufReader::new(child.stdout.take().unwrap());
    let (told, lines) = mpsc::channel();
    std::thread::spawn(move || stdout.lines().try_for_each(|line| told.send(line.unwrap())));
    let next = || lines.recv_timeout(Duration::from_secs(30));
    // What comes before it does not wait for it.
    let before = [next(), next()];
    stdin.write_all(&wav(16_000, 1, &speech(1))).unwrap();
    drop(stdin);
    assert!(child.wait().unwrap().success());
    let all = before.into_iter().chain([next(), next()]);
    let all: Vec<String> = all.map(Result::unwrap).collect();
    let labels: Vec<&str> = all
        .iter()
        .map(|line| line.split(':').next().unwrap())
        .collect();
    assert_eq!(labels, ["a.wav", "b.wav", "-", "c.wav"]);
    assert!(all[2].contains("hello"), "{all:?}");
}
