//! `features`, `inspect`, `models` and the hidden subcommands.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod common;

use std::fs;

use common::{noise, percept, put, run, run_in};
use serde_json::Value;

/// The shape and the numbers of a version 1.0 array file of little-endian `f32`.
fn read_npy(bytes: &[u8]) -> ([usize; 2], Vec<f32>) {
    assert_eq!(&bytes[..8], b"\x93NUMPY\x01\x00");
    let length = usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    let header = std::str::from_utf8(&bytes[10..10 + length]).unwrap();
    assert!(
        header.contains("'descr': '<f4'") && header.contains("'fortran_order': False"),
        "{header}"
    );
    let shape = header.split_once('(').unwrap().1.split_once(')').unwrap().0;
    let shape: Vec<usize> = shape
        .split(", ")
        .map(|number| number.parse().unwrap())
        .collect();
    let data = bytes[10 + length..]
        .chunks_exact(4)
        .map(|b| f32::from_le_bytes(b.try_into().unwrap()))
        .collect();
    (shape.try_into().unwrap(), data)
}

#[test]
fn features_are_arrays_of_the_valid_frames() {
    let folder = tempfile::tempdir().unwrap();
    put(folder.path(), &[("a.wav", &noise(1))]);
    for (stage, frames) in [("mel", 100), ("encoder", 13)] {
        run_in(
            folder.path(),
            &["features", "--stage", stage, "a.wav", "-o", "x/y.npy"],
        )
        .ok();
        let ([rows, columns], data) = read_npy(&fs::read(folder.path().join("x/y.npy")).unwrap());
        assert_eq!(rows, frames, "{stage}");
        assert_eq!(data.len(), rows * columns);
        assert!(data.iter().all(|value| value.is_finite()));
    }
}

#[test]
fn completions_know_the_commands_for_every_shell() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = run(["completions", shell]).ok();
        assert!(
            script.contains("transcribe") && script.contains("precision"),
            "{shell}"
        );
    }
}

#[test]
fn manual_pages_exist_for_the_command_and_its_subcommands() {
    assert!(run(["man"]).ok().contains(".TH percept 1"));
    for command in [
        "transcribe",
        "codec",
        "features",
        "inspect",
        "models",
        "bench",
    ] {
        assert!(
            run(["man", command])
                .ok()
                .contains(&format!(".TH percept-{command} 1"))
        );
    }
    assert_eq!(run(["man", "nothing"]).code, Some(2));
}

#[test]
fn the_built_in_model_is_listed_and_inspected() {
    assert!(run(["models", "list"]).ok().contains("tiny-en"));
    let list: Value =
        serde_json::from_str(&run(["models", "list", "--format", "json"]).ok()).unwrap();
    assert_eq!(list[0]["id"], "tiny-en");

    assert!(run(["inspect"]).ok().contains("tiny-en"));
    let object: Value = serde_json::from_str(&run(["inspect", "--format", "json"]).ok()).unwrap();
    assert!(object.is_object(), "{object}");
}

#[test]
fn a_model_is_not_verified_if_it_is_not_there() {
    run(["models", "verify", "someone/something"]).fails(&["someone/something"]);
    run(["models", "pull", "someone/something"]).fails(&["someone/something"]);
    for id in ["not an id", "nvidia"] {
        run(["models", "pull", id]).fails(&[id, "owner/name"]);
    }
}

#[cfg(unix)]
#[test]
fn a_downloaded_model_is_listed_and_checked_against_its_hashes() {
    use sha2::{Digest, Sha256};

    let home = tempfile::tempdir().unwrap();
    let repo = home.path().join("hub/models--someone--something");
    let commit = "0123456789abcdef0123456789abcdef01234567";
    put(&repo, &[("refs/main", commit.as_bytes())]);
    fs::create_dir_all(repo.join("snapshots").join(commit)).unwrap();
    for (name, contents) in [("config.json", "{}"), ("model.safetensors", "weights")] {
        let hash: String = Sha256::digest(contents)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        put(&repo, &[(&format!("blobs/{hash}"), contents.as_bytes())]);
        let link = repo.join("snapshots").join(commit).join(name);
        std::os::unix::fs::symlink(format!("../../blobs/{hash}"), link).unwrap();
    }
    let models = |args: &[&str]| {
        let output = percept()
            .env("HF_HOME", home.path())
            .arg("models")
            .args(args)
            .output()
            .unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (
            output.status.code(),
            text(output.stdout),
            text(output.stderr),
        )
    };

    let (_, list, _) = models(&["list", "--format", "json"]);
    let list: Value = serde_json::from_str(&list).unwrap();
    assert_eq!(
        (&list[1]["id"], &list[1]["commit"]),
        (&"someone/something".into(), &commit.into())
    );
    let (code, files, _) = models(&["verify", "someone/something"]);
    assert_eq!(
        (code, files.matches("intact").count()),
        (Some(0), 2),
        "{files}"
    );

    fs::write(
        repo.join("snapshots")
            .join(commit)
            .join("model.safetensors"),
        "weighty",
    )
    .unwrap();
    for args in [&["verify", "someone/something"][..], &["verify"]] {
        let (code, _, stderr) = models(args);
        assert_eq!(code, Some(1), "{args:?}");
        assert!(stderr.contains("model.safetensors is damaged"), "{stderr}");
    }

    // A download that was broken off: its weights have no link, and no branch is noted.
    let link = repo
        .join("snapshots")
        .join(commit)
        .join("model.safetensors");
    fs::remove_file(link).unwrap();
    fs::remove_file(repo.join("refs/main")).unwrap();
    for args in [&["verify", "someone/something"][..], &["verify"]] {
        let (code, _, stderr) = models(args);
        assert_eq!(code, Some(1), "{args:?}");
        assert!(stderr.contains("model.safetensors is missing"), "{stderr}");
    }
}
