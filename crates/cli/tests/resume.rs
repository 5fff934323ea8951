//! What `--resume` skips and what it does again.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod common;

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use common::{Outcome, files, noise, put, run_in};

/// Puts an output's time far into the past, to see whether it is written again.
fn age(path: &Path) -> SystemTime {
    let past = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    fs::File::options()
        .append(true)
        .open(path)
        .unwrap()
        .set_modified(past)
        .unwrap();
    past
}

#[track_caller]
fn is_redone(folder: &Path, output: &str, args: &[&str]) -> bool {
    let output = folder.join(output);
    let past = age(&output);
    run_in(folder, args).ok();
    fs::metadata(&output).unwrap().modified().unwrap() != past
}

const AGAIN: [&str; 5] = ["transcribe", "--resume", "-o", "out", "in"];

#[test]
fn what_is_up_to_date_is_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    put(
        folder,
        &[("in/a.wav", &noise(1)), ("in/b/c.wav", &noise(2))],
    );
    // The first run need not know that it will be resumed.
    run_in(folder, &["transcribe", "-o", "out", "in"]).ok();
    assert!(!is_redone(folder, "out/a.txt", &AGAIN));
    assert!(!is_redone(folder, "out/b/c.txt", &AGAIN));
    assert!(
        is_redone(folder, "out/a.txt", &["transcribe", "-o", "out", "in"]),
        "only --resume skips"
    );
    assert_eq!(
        files(&folder.join("out"), true),
        [".a.txt.percept", "a.txt", "b/.c.txt.percept", "b/c.txt"]
    );
}

#[test]
fn anything_that_differs_is_done_again() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    put(folder, &[("in/a.wav", &noise(1)), ("in/b.wav", &noise(2))]);
    run_in(folder, &AGAIN).ok();
    let text = fs::read(folder.join("out/a.txt")).unwrap();

    fs::write(folder.join("out/a.txt"), "edited").unwrap();
    assert!(is_redone(folder, "out/a.txt", &AGAIN), "an edited output");
    assert_eq!(fs::read(folder.join("out/a.txt")).unwrap(), text);

    fs::remove_file(folder.join("out/a.txt")).unwrap();
    run_in(folder, &AGAIN).ok();
    assert_eq!(
        fs::read(folder.join("out/a.txt")).unwrap(),
        text,
        "a removed output"
    );

    fs::remove_file(folder.join("out/.a.txt.percept")).unwrap();
    assert!(is_redone(folder, "out/a.txt", &AGAIN), "a removed record");

    let modified = fs::metadata(folder.join("in/a.wav"))
        .unwrap()
        .modified()
        .unwrap();
    fs::write(folder.join("in/a.wav"), noise(3)).unwrap();
    fs::File::options()
        .append(true)
        .open(folder.join("in/a.wav"))
        .unwrap()
        .set_modified(modified)
        .unwrap();
    assert!(
        is_redone(folder, "out/a.txt", &AGAIN),
        "another recording of the same size and time"
    );

    assert!(!is_redone(folder, "out/b.txt", &AGAIN), "the others stay");
    let measure = [
        "transcribe",
        "--confidence",
        "max-prob",
        "--resume",
        "-o",
        "out",
        "in",
    ];
    assert!(
        is_redone(folder, "out/b.txt", &measure),
        "another measure of confidence"
    );
}

#[test]
fn a_failed_input_is_tried_again() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    put(
        folder,
        &[("in/a.wav", &noise(1)), ("in/b.wav", b"not sound")],
    );
    let try_again = || -> Outcome { run_in(folder, &AGAIN) };
    try_again().fails(&["in/b.wav"]);
    assert_eq!(
        files(&folder.join("out"), true),
        [".a.txt.percept", "a.txt"]
    );
    try_again().fails(&["in/b.wav"]);
    put(folder, &[("in/b.wav", &noise(2))]);
    try_again().ok();
    assert_eq!(files(&folder.join("out"), false), ["a.txt", "b.txt"]);
}
