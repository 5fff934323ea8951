//! Int8 weights are made once, found again, made again when damaged, and never worth a failure.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::{Outcome, copy_of_tiny_en, cut_off, files, home, noise, percept, put, run_command};
use serde_json::Value;
use tempfile::TempDir;

/// A folder with a recording, a model, and a home for caches.
struct Place {
    dir: TempDir,
}

const INT8: [&str; 5] = ["transcribe", "--model", "model", "--precision", "int8"];

impl Place {
    fn new() -> Place {
        let dir = tempfile::tempdir().unwrap();
        copy_of_tiny_en(dir.path(), "model");
        let samples = common::tiny_en().join("samples/hello.wav");
        put(
            dir.path(),
            &[("a.wav", &fs::read(samples).unwrap()), ("b.wav", &noise(1))],
        );
        Place { dir }
    }

    fn command(&self) -> Command {
        let mut command = percept();
        command
            .current_dir(self.dir.path())
            .env("HF_HOME", self.dir.path().join("home"));
        command
    }

    fn run(&self, args: &[&str]) -> Outcome {
        run_command(self.command().args(args))
    }

    /// Transcribes in int8 and returns the tokens with their confidences.
    fn transcribe(&self, more: &[&str]) -> String {
        let format = ["--format", "json", "a.wav"];
        self.run(&[&INT8, &format[..], more].concat()).ok()
    }

    fn folder(&self) -> PathBuf {
        self.dir.path().join("home/percept/weights")
    }

    fn cached(&self) -> Vec<PathBuf> {
        let names = files(&self.folder(), true);
        names.iter().map(|name| self.folder().join(name)).collect()
    }

    fn list(&self) -> Vec<Value> {
        let json = self
            .run(&["models", "cache", "list", "--format", "json"])
            .ok();
        serde_json::from_str(&json).unwrap()
    }
}

fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 0x40;
    fs::write(path, bytes).unwrap();
}

#[test]
fn int8_weights_are_made_once_and_change_nothing() {
    let place = Place::new();
    let without = place.transcribe(&["--no-cache"]);
    assert!(
        without.contains("hello we should meet for lunch"),
        "{without}"
    );
    assert_eq!(place.cached(), [""; 0].map(PathBuf::from), "--no-cache");
    assert_eq!(place.transcribe(&[]), without);
    let cached = place.cached();
    assert_eq!(cached.len(), 1);
    let modified = || fs::metadata(&cached[0]).unwrap().modified().unwrap();
    let first = modified();
    assert_eq!(place.transcribe(&[]), without);
    assert_eq!(place.transcribe(&["--threads", "1"]), without);
    assert_eq!((place.cached(), modified()), (cached.clone(), first));

    let model = place.dir.path().join("model");
    let list = place.list();
    assert_eq!(list.len(), 1);
    assert_eq!(list[0]["source"], model.to_str().unwrap());
    assert_eq!(list[0]["path"], cached[0].to_str().unwrap());
    assert_eq!(list[0]["intact"], true);
    let table = place.run(&["models", "cache", "list"]).ok();
    assert!(table.contains("int8") && table.contains("ready"), "{table}");
    assert!(table.contains(model.to_str().unwrap()), "{table}");
}

#[test]
fn nothing_is_kept_where_nothing_is_gained() {
    let place = Place::new();
    place.run(&["transcribe", "a.wav"]).ok();
    place
        .run(&["transcribe", "--precision", "int8", "a.wav"])
        .ok();
    place
        .run(&[
            "transcribe",
            "--model",
            "model",
            "--precision",
            "f32",
            "a.wav",
        ])
        .ok();
    place.run(&["inspect", "model"]).ok();
    assert_eq!(place.list().len(), 0);
    assert!(!place.folder().exists());
    assert_eq!(
        place.run(&["models", "cache", "list"]).ok().lines().count(),
        1
    );
    let cleared = place.run(&["models", "cache", "clear"]).ok();
    assert!(cleared.ends_with("removed 0 files (0 B)\n"), "{cleared}");
}

#[test]
fn every_command_that_loads_a_model_can_do_without_the_cache() {
    let place = Place::new();
    for command in [
        &[
            "features",
            "--stage",
            "encoder",
            "-o",
            "x.npy",
            "--model",
            "model",
            "--precision",
            "int8",
            "a.wav",
        ][..],
        &["inspect", "model"],
    ] {
        place.run(&[command, &["--no-cache"]].concat()).ok();
        assert!(!place.folder().exists(), "{command:?}");
    }
}

#[test]
fn a_small_model_runs_in_f32_unless_told_otherwise() {
    let place = Place::new();
    let report: Value =
        serde_json::from_str(&place.run(&["inspect", "--format", "json"]).ok()).unwrap();
    assert_eq!(report["used"]["precision"], "f32");
    let tokens = |more: &[&str]| {
        let args = ["transcribe", "--format", "json", "a.wav"];
        place.run(&[&args, more].concat()).ok()
    };
    assert_eq!(tokens(&[]), tokens(&["--precision", "f32"]));
    assert_ne!(tokens(&[]), tokens(&["--precision", "int8"]));
}

#[test]
fn first_starts_at_once_all_succeed_and_leave_one_file() {
    let place = Place::new();
    let good = place.transcribe(&["--no-cache"]);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| assert_eq!(place.transcribe(&[]), good));
        }
    });
    assert_eq!(place.cached().len(), 1);
    place.run(&["models", "verify", "model"]).ok();
}

#[test]
fn weights_with_a_damaged_table_are_made_again() {
    let place = Place::new();
    let good = place.transcribe(&[]);
    let cached = place.cached();
    let length = fs::read(&cached[0]).unwrap().len();
    for at in [0, 20, 40, length - 10] {
        flip(&cached[0], at);
        assert_eq!(place.list()[0]["intact"], false);
        let table = place.run(&["models", "cache", "list"]).ok();
        assert!(table.contains("damaged"), "{table}");
        assert_eq!(place.transcribe(&[]), good);
        assert_eq!(place.list()[0]["intact"], true);
        assert_eq!(place.cached(), cached);
    }
}

#[test]
fn a_changed_model_gets_weights_of_its_own() {
    let place = Place::new();
    let good = place.transcribe(&[]);
    let weights = place.dir.path().join("model/model.safetensors");
    let bytes = fs::read(&weights).unwrap();
    fs::remove_file(&weights).unwrap();
    fs::write(&weights, &bytes).unwrap();
    let before = fs::read(&place.cached()[0]).unwrap();
    assert_eq!(place.transcribe(&[]), good);
    assert_eq!(place.cached().len(), 1, "the old ones are replaced");
    assert_ne!(fs::read(&place.cached()[0]).unwrap(), before);
}

#[test]
fn verify_reads_all_that_is_cached() {
    let place = Place::new();
    place.transcribe(&[]);
    copy_of_tiny_en(place.dir.path(), "other");
    for args in [&["models", "verify"][..], &["models", "verify", "model"]] {
        let intact = place.run(args).ok();
        let lines: Vec<&str> = intact.lines().collect();
        assert_eq!(lines.len(), 2, "{intact}");
        assert!(lines[1].ends_with("model): intact"), "{intact}");
    }
    let cached = place.cached().remove(0);
    flip(&cached, 5000);
    assert_eq!(place.list()[0]["intact"], true, "only a full check sees it");
    for args in [&["models", "verify"][..], &["models", "verify", "model"]] {
        let stdout = place.run(args).fails(&[
            cached.to_str().unwrap(),
            "cached weights are damaged",
            "remove the file",
        ]);
        assert!(stdout.ends_with("): damaged\n"), "{stdout}");
    }
    place.run(&["models", "verify", "other"]).ok();
    fs::remove_file(&cached).unwrap();
    place.run(&["models", "verify"]).ok();
}

#[cfg(unix)]
#[test]
fn verify_finds_the_weights_of_a_model_by_its_files() {
    let place = Place::new();
    place.transcribe(&[]);
    std::os::unix::fs::symlink("model", place.dir.path().join("link")).unwrap();
    let intact = place.run(&["models", "verify", "link"]).ok();
    assert!(intact.ends_with("model): intact\n"), "{intact}");
    let cached = place.cached().remove(0);
    flip(&cached, 20);
    for model in ["model", "link"] {
        let stdout = place
            .run(&["models", "verify", model])
            .fails(&[cached.to_str().unwrap(), "remove the file"]);
        assert!(stdout.ends_with("): damaged\n"), "{stdout}");
    }
}

#[cfg(unix)]
#[test]
fn a_file_that_cannot_be_read_is_listed_and_concerns_no_other_model() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::new();
    place.transcribe(&[]);
    copy_of_tiny_en(place.dir.path(), "other");
    let cached = place.cached().remove(0);
    fs::set_permissions(&cached, fs::Permissions::from_mode(0o000)).unwrap();
    // An administrator reads it all the same.
    let may_read = fs::File::open(&cached).is_ok();
    let table = place.run(&["models", "cache", "list"]).ok();
    assert_eq!(table.contains("unreadable"), !may_read, "{table}");
    place.run(&["models", "verify", "other"]).ok();
    for args in [&["models", "verify"][..], &["models", "verify", "model"]] {
        let outcome = place.run(args);
        assert_eq!(outcome.code, Some(i32::from(!may_read)));
        let (stdout, is_bad) = (outcome.stdout, !may_read);
        assert_eq!(stdout.ends_with(": unreadable\n"), is_bad, "{stdout}");
    }
}

#[test]
fn weights_of_a_removed_model_are_stale() {
    let place = Place::new();
    place.transcribe(&[]);
    assert_eq!(place.list()[0]["state"], "ready");
    fs::remove_dir_all(place.dir.path().join("model")).unwrap();
    assert_eq!(place.list()[0]["state"], "stale");
    let table = place.run(&["models", "cache", "list"]).ok();
    assert!(table.contains("stale"), "{table}");
}

#[test]
fn clear_removes_the_weights_and_nothing_else() {
    let place = Place::new();
    place.transcribe(&[]);
    put(
        &place.folder(),
        &[
            ("notes.txt", b"mine"),
            (".packing-x1y2z3.tmp", b"left behind"),
        ],
    );
    let cleared = place.run(&["models", "cache", "clear"]).ok();
    assert!(cleared.contains("removed 2 files ("), "{cleared}");
    assert_eq!(files(&place.folder(), true), ["notes.txt"]);
    assert_eq!(
        place
            .run(&["models", "cache", "list", "--format", "json"])
            .ok(),
        "[]\n"
    );
    assert!(place.dir.path().join("model/model.safetensors").exists());
}

#[test]
fn a_cache_that_cannot_be_written_costs_a_line_only() {
    let place = Place::new();
    let good = place.transcribe(&["--no-cache"]);
    put(place.dir.path(), &[("home", b"a file")]);
    let args = [&INT8, &["--format", "json", "a.wav"][..]].concat();
    let outcome = place.run(&args);
    assert_eq!((outcome.code, &outcome.stdout), (Some(0), &good));
    assert_eq!(outcome.stderr.lines().count(), 1, "{}", outcome.stderr);
    let start = format!("percept: warning: {}: cannot ", place.folder().display());
    assert!(outcome.stderr.starts_with(&start), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("set HF_HOME"), "{}", outcome.stderr);
    assert_eq!(place.transcribe(&["--no-cache"]), good);
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_leaves_no_half_of_the_weights() {
    let place = Place::new();
    let good = place.transcribe(&["--no-cache"]);
    // A limit on the size of files stands in for a small disk.
    let command = format!(
        "ulimit -f 100; exec {} \"$@\"",
        env!("CARGO_BIN_EXE_percept")
    );
    let outcome = run_command(
        cut_off(Command::new("sh"))
            .current_dir(place.dir.path())
            .env("HF_HOME", place.dir.path().join("home"))
            .args(["-c", &command, "percept"])
            .args(INT8)
            .args(["--format", "json", "a.wav"]),
    );
    assert_eq!((outcome.code, &outcome.stdout), (Some(0), &good));
    assert_eq!(outcome.stderr.lines().count(), 1, "{}", outcome.stderr);
    assert!(
        outcome.stderr.contains("no room for the weight cache"),
        "{}",
        outcome.stderr
    );
    assert!(files(&place.folder(), true).is_empty());
    assert_eq!(place.transcribe(&[]), good);
    assert_eq!(place.cached().len(), 1);
}

#[test]
fn a_test_leaves_no_weights_behind() {
    let place = Place::new();
    let folder = place.dir.path().to_owned();
    let test = std::thread::spawn(move || {
        run_command(percept().current_dir(folder).args(INT8).arg("b.wav")).ok();
        let weights = home().join("percept/weights");
        assert_eq!(files(&weights, true).len(), 1);
        home()
    });
    let home = test.join().unwrap();
    assert!(!home.exists(), "{} is left", home.display());
}

#[test]
fn resume_knows_the_precision_in_use() {
    let place = Place::new();
    let transcribe = |more: &[&str]| {
        let args = [
            "transcribe",
            "--progress",
            "json",
            "--resume",
            "-o",
            "out",
            "b.wav",
        ];
        let outcome = place.run(&[&args, more].concat());
        assert_eq!(outcome.code, Some(0));
        outcome.stderr.contains("\"skipped\":true")
    };
    assert!(!transcribe(&[]));
    assert!(
        transcribe(&["--precision", "f32"]),
        "what runs without the option"
    );
    assert!(!transcribe(&["--precision", "int8"]));
    assert!(transcribe(&["--precision", "int8", "--no-cache"]));
    assert!(!transcribe(&[]));
}
