//! `percept bench`: the shape of what it says, and what it refuses. Nothing here depends on how long anything takes.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod common;

use common::{noise, path, percept, put, run, run_with_stdin};
use serde_json::Value;

const STAGES: [&str; 6] = [
    "mel",
    "subsampling",
    "feed-forward",
    "attention",
    "convolution",
    "decoder",
];

fn json(args: &[&str]) -> Value {
    let args = [&["bench", "--format", "json"], args].concat();
    serde_json::from_str(&run(args).ok()).unwrap()
}

fn number(value: &Value) -> f64 {
    value
        .as_f64()
        .unwrap_or_else(|| panic!("{value} is no number"))
}

#[test]
fn the_object_says_what_ran_and_how_fast() {
    let report = json(&["--seconds", "0.5,1", "--rounds", "3", "--threads", "1"]);
    assert_eq!(report["model"], "tiny-en");
    assert_eq!(report["precision"], "f32");
    assert_eq!(report["threads"], 1);
    assert_eq!(report["audio"], "built-in");
    assert_eq!(report["rounds"], 3);
    assert!(number(&report["parameters"]) > 1e6);
    assert!(number(&report["load_seconds"]) > 0.0);
    let lengths = report["lengths"].as_array().unwrap();
    assert_eq!(lengths.len(), 2);
    for (length, seconds) in lengths.iter().zip([0.5, 1.0]) {
        assert_eq!(number(&length["seconds"]), seconds);
        assert_eq!(length["times"].as_array().unwrap().len(), 3);
        assert!(number(&length["spread"]) >= 0.0);
        let (median, factor) = (&length["median_seconds"], &length["real_time_factor"]);
        assert!((number(median) / seconds - number(factor)).abs() < 1e-9 * number(factor));
        let stages = length["stages"].as_array().unwrap();
        let names: Vec<&str> = stages
            .iter()
            .map(|stage| stage["stage"].as_str().unwrap())
            .collect();
        assert_eq!(names, STAGES);
        let total: f64 = stages.iter().map(|stage| number(&stage["share"])).sum();
        assert!((total - 1.0).abs() < 1e-6, "{total}");
    }
    assert!(!report["kernels"].as_array().unwrap().is_empty());
}

#[test]
fn streams_are_measured_as_if_they_came_live() {
    let report = json(&["--streams", "1,3", "--seconds", "6", "--preset", "quick"]);
    assert_eq!(report["context"], "windows 4.96-0.96-0.96");
    assert_eq!(number(&report["seconds"]), 6.0);
    assert!(report["largest"].is_null() && report["lengths"].is_null());
    let runs = report["runs"].as_array().unwrap();
    for (run, streams) in runs.iter().zip([1.0, 3.0]) {
        assert_eq!(number(&run["streams"]), streams);
        assert!(run["keeps_up"].is_boolean());
        // A word is heard to the end of its chunk and the right context before it is final.
        assert!(
            number(&run["lag_p50"]) > 0.96 && number(&run["lag_p99"]) <= number(&run["lag_max"])
        );
        assert!(number(&run["real_time_factor"]) > 0.0 && number(&run["busy"]) > 0.0);
        assert!(number(&run["occupancy"]) >= 1.0 && number(&run["tokens"]) > 10.0 * streams);
    }
    assert_eq!(runs.len(), 2);
    let table = run(["bench", "--streams", "2", "--seconds", "3"]).ok();
    assert!(
        table.contains("windows 10-2-2") && table.contains("keeps up"),
        "{table}"
    );
    assert!(
        table.lines().all(|line| line.chars().count() <= 80),
        "{table}"
    );
}

#[cfg(target_os = "linux")]
#[test]
fn memory_at_its_highest_is_no_less_than_at_the_end() {
    let memory = &json(&["--seconds", "0.5", "--rounds", "1"])["memory"];
    let (resident, peak) = (
        number(&memory["resident_bytes"]),
        number(&memory["peak_bytes"]),
    );
    assert!(resident > 1e6 && peak >= resident, "{memory}");
}

#[test]
fn a_recording_is_measured_as_a_whole_or_in_part() {
    let folder = tempfile::tempdir().unwrap();
    put(folder.path(), &[("a.wav", &noise(1))]);
    let file = path(folder.path(), "a.wav");
    for (args, seconds) in [
        (&[][..], vec![1.0]),
        (&["--seconds", "0.25,0.5"], vec![0.25, 0.5]),
    ] {
        let report = json(&[&[file.as_str(), "--rounds", "1"], args].concat());
        assert_eq!(report["audio"], file.as_str());
        let lengths = report["lengths"].as_array().unwrap().iter();
        let found: Vec<f64> = lengths.map(|length| number(&length["seconds"])).collect();
        assert_eq!(found, seconds);
    }
    let args = ["bench", "--rounds", "1", "--format", "json", "-"];
    let report: Value = serde_json::from_str(&run_with_stdin(&args, &noise(2)).ok()).unwrap();
    assert_eq!(report["audio"], "-");
}

#[test]
fn precision_is_the_one_asked_for() {
    let report = json(&["--seconds", "0.5", "--rounds", "1", "--precision", "int8"]);
    assert_eq!(report["precision"], "int8");
}

#[test]
fn the_table_fits_into_80_columns() {
    let table = run(["bench", "--rounds", "1"]).ok();
    for part in [
        "tiny-en",
        "f32",
        "built-in",
        "1 s",
        "3 s",
        "14 s",
        "real-time factor",
        "memory",
    ] {
        assert!(table.contains(part), "{part:?} is not in\n{table}");
    }
    for stage in STAGES {
        assert!(table.contains(stage), "{stage}");
    }
    for line in table
        .lines()
        .chain(run(["bench", "--kernels"]).ok().lines())
    {
        assert!(line.chars().count() <= 80, "{line}");
    }
}

#[test]
fn one_kernel_of_each_operation_runs_and_can() {
    let report = json(&["--kernels"]);
    let operations = report["kernels"].as_array().unwrap();
    assert!(!operations.is_empty());
    let shown = run(["bench", "--kernels"]).ok();
    for operation in operations {
        let name = operation["operation"].as_str().unwrap();
        assert!(
            shown.lines().any(|line| line == name),
            "{name} is not in\n{shown}"
        );
        let chosen: Vec<&Value> = operation["candidates"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|candidate| candidate["chosen"] == true)
            .collect();
        assert!(
            chosen.len() == 1 && chosen[0]["supported"] == true,
            "{operation}"
        );
        let line = format!("  * {}", chosen[0]["name"].as_str().unwrap());
        assert!(shown.contains(&line), "{line:?} is not in\n{shown}");
    }
}

#[test]
fn wrong_usage_is_refused_with_status_2() {
    for args in [
        &["--seconds", "0"][..],
        &["--seconds", "1,,3"],
        &["--seconds", "inf"],
        &["--seconds", "-1"],
        &["--seconds", "three"],
        &["--rounds", "0"],
        &["--rounds", "1001"],
        &["--precision", "f16"],
        &["--format", "srt"],
        &["--kernels", "--threads", "1"],
        &["--kernels", "a.wav"],
        &["--kernels", "--streams", "1"],
        &["--streams", "0"],
        &["--streams", "many"],
        &["--streams", "1", "--seconds", "1,2"],
        &["--streams", "1", "--rounds", "3"],
        &["--preset", "quick"],
        &["--kernels", "--chunk", "1"],
        &["a.wav", "b.wav"],
    ] {
        let outcome = run([&["bench"], args].concat());
        assert_eq!(
            (outcome.code, outcome.stdout.as_str()),
            (Some(2), ""),
            "{args:?}"
        );
        assert!(!outcome.stderr.is_empty(), "{args:?}");
    }
}

#[test]
fn what_cannot_be_measured_is_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let whole = noise(3);
    put(
        folder.path(),
        &[
            ("a.wav", &whole),
            ("cut.wav", &whole[..20_000]),
            ("text.wav", b"not audio"),
        ],
    );
    let file = |name| path(folder.path(), name);
    run(["bench", "--seconds", "3", &file("a.wav")]).fails(&["a.wav", "1.00 s", "--seconds"]);
    for name in ["cut.wav", "text.wav", "missing.wav"] {
        assert_eq!(run(["bench", &file(name)]).fails(&[name]), "", "{name}");
    }
    run(["bench", "--model", &file("none")]).fails(&["none", "no such model"]);
}

#[test]
fn a_closed_pipe_is_no_failure() {
    use std::process::Stdio;

    let mut child = percept()
        .args(["bench", "--rounds", "1", "--seconds", "0.5"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(
        (output.status.code(), output.stderr.as_slice()),
        (Some(0), &b""[..])
    );
}
