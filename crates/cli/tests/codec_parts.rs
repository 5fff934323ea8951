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
    assert!(!header.has_end && whole.len() < piped.stdout.len());
    assert_eq!(
        (header.total_samples, header.superframes),
        (expected.total_samples, expected.superframes)
    );
    assert!(decode(path, model, &["whole.nct"]) == decode(path, model, &["talk.nct"]));
    copy(&["talk.nct"]).fails(&["talk.nct", "exists already", "-o"]);
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
