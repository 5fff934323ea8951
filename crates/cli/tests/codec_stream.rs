//! `codec --stream`: what goes through pipes is what goes through files, and comes as soon as it can.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod common;

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Output, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use common::*;
use percept::{Codes, JsonCodes, NctReader};

/// Longer than anything here takes on a machine that does much else.
const PATIENCE: Duration = Duration::from_secs(120);

fn snac() -> String {
    codec_fixture("snac/24khz")
}

/// Speech, slower than it was said.
fn pcm() -> Vec<i16> {
    speech(1)
}

fn codec(args: &[&str], stdin: &[u8]) -> Output {
    let mut child = spawn(args);
    let mut pipe = child.stdin.take().unwrap();
    let bytes = stdin.to_vec();
    let writer = thread::spawn(move || drop(pipe.write_all(&bytes)));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    output
}

fn spawn(args: &[&str]) -> Child {
    percept()
        .args([&["codec", args[0], "--model", &snac()], &args[1..]].concat())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// What stdout gave, with nothing on stderr.
#[track_caller]
fn ok(output: Output) -> Vec<u8> {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), &*stderr), (Some(0), ""));
    output.stdout
}

#[track_caller]
fn text(output: Output) -> String {
    String::from_utf8(ok(output)).unwrap()
}

/// The recording in a folder, and all its samples after they went through a token file.
fn whole() -> (tempfile::TempDir, Vec<u8>) {
    let folder = tempfile::tempdir().unwrap();
    put(folder.path(), &[("talk.wav", &wav(24_000, 1, &pcm()))]);
    let (source, target) = (
        path(folder.path(), "talk.wav"),
        path(folder.path(), "talk.nct"),
    );
    ok(codec(&["encode", &source, "-o", &target], b""));
    let decoded = ok(codec(&["decode", &target, "--raw", "-o", "-"], b""));
    assert_eq!(decoded.len(), 4 * pcm().len());
    (folder, decoded)
}

fn ids(folder: &Path, layout: &[&str]) -> String {
    let source = path(folder, "talk.wav");
    text(codec(
        &[&["encode", "--format", "ids", "-o", "-", &source], layout].concat(),
        b"",
    ))
}

#[test]
fn ids_in_any_layout_and_form_give_the_samples_of_the_file() {
    let (folder, whole) = whole();
    let cases: [&[&str]; 5] = [
        &[],
        &["--layout", "flat"],
        &["--layout", "tree", "--base", "40000"],
        &["--layout", "orpheus"],
        &["--layout", "tree", "--base", "4000000000"],
    ];
    for layout in cases {
        let ids = ids(folder.path(), layout);
        let stream = |form: &[&str], bytes: &[u8]| {
            let decoded = ok(codec(
                &[&["decode", "--stream"], layout, form].concat(),
                bytes,
            ));
            // What the encoder padded is still there.
            assert!(
                decoded.len() > whole.len() && decoded.starts_with(&whole),
                "{layout:?} {form:?}"
            );
        };
        stream(&[], ids.as_bytes());
        let numbers: Vec<u32> = ids
            .split_whitespace()
            .map(|id| id.parse().unwrap())
            .collect();
        let wide: Vec<u8> = numbers.iter().flat_map(|id| id.to_le_bytes()).collect();
        stream(&["--tokens", "u32"], &wide);
        if numbers.iter().all(|&id| id < 65_536) {
            let narrow: Vec<u8> = numbers
                .iter()
                .flat_map(|&id| (id as u16).to_le_bytes())
                .collect();
            stream(&["--tokens", "u16"], &narrow);
        }
        let lines: Vec<String> = numbers
            .chunks(7)
            .map(|line| format!("{line:?}\n"))
            .collect();
        stream(&[], lines.concat().as_bytes());
    }
    put(
        folder.path(),
        &[("talk.ids", ids(folder.path(), &[]).as_bytes())],
    );
    let from_file = ok(codec(
        &["decode", "--stream", &path(folder.path(), "talk.ids")],
        b"",
    ));
    assert!(from_file.starts_with(&whole));
}

#[test]
fn text_of_orpheus_is_decoded_and_what_is_no_audio_in_it_is_counted() {
    let (folder, whole) = whole();
    let ids = ids(folder.path(), &["--layout", "orpheus"]);
    let token = |id: &str| format!("<custom_token_{}>", id.parse::<u32>().unwrap() - 128_256);
    let tokens: String = ids.split_whitespace().map(token).collect();
    let spoken = format!("<custom_token_3><|audio|>{tokens} <custom_token_2>128009\n");
    let output = codec(
        &["decode", "--stream", "--layout", "orpheus"],
        spoken.as_bytes(),
    );
    assert_eq!(
        String::from_utf8_lossy(&output.stderr),
        "percept: -: special ids skipped: 4\n"
    );
    assert!(output.status.success() && output.stdout.starts_with(&whole));
}

/// Reads a pipe as it comes.
fn collect(mut pipe: impl Read + Send + 'static) -> Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut buffer = vec![0; 1 << 16];
        while let Ok(read @ 1..) = pipe.read(&mut buffer) {
            sender.send(buffer[..read].to_vec()).unwrap();
        }
    });
    receiver
}

fn say(pipe: &mut ChildStdin, ids: &[&str]) {
    pipe.write_all((ids.join(" ") + "\n").as_bytes()).unwrap();
    pipe.flush().unwrap();
}

/// Takes at least so many bytes, within reason.
fn take(pipe: &Receiver<Vec<u8>>, least: usize) -> Vec<u8> {
    let mut taken = Vec::new();
    while taken.len() < least {
        taken.extend(pipe.recv_timeout(PATIENCE).expect("it comes"));
    }
    taken
}

#[test]
fn the_first_sound_comes_after_18_ids_and_the_first_superframe_after_25() {
    let (folder, whole) = whole();
    let ids = ids(folder.path(), &["--layout", "orpheus"]);
    let ids: Vec<&str> = ids.split_whitespace().collect();
    let mut child = spawn(&["decode", "--stream", "--layout", "orpheus"]);
    let (mut stdin, stdout) = (
        child.stdin.take().unwrap(),
        collect(child.stdout.take().unwrap()),
    );
    say(&mut stdin, &ids[..18]);
    let mut heard = take(&stdout, 1);
    assert!(heard.len() < 4 * 2_048);
    say(&mut stdin, &ids[18..25]);
    heard.extend(take(&stdout, 4 * 2_048 - heard.len()));
    say(&mut stdin, &ids[25..]);
    drop(stdin);
    heard.extend(stdout.iter().flatten());
    assert!(child.wait().unwrap().success());
    assert!(heard.starts_with(&whole));
}

#[test]
fn codes_come_while_the_sound_is_still_coming() {
    let (folder, _) = whole();
    let expected = ids(folder.path(), &[]);
    let mut child = spawn(&["encode", "--stream", "--format", "ids", "-"]);
    let (mut stdin, stdout) = (
        child.stdin.take().unwrap(),
        collect(child.stdout.take().unwrap()),
    );
    let bytes = raw(&pcm());
    // A super-frame and what it takes to decide it.
    stdin.write_all(&bytes[..2 * (2_048 + 4_757)]).unwrap();
    let mut lines = take(&stdout, 1);
    stdin.write_all(&bytes[2 * (2_048 + 4_757)..]).unwrap();
    drop(stdin);
    lines.extend(stdout.iter().flatten());
    assert!(child.wait().unwrap().success());
    assert_eq!(String::from_utf8(lines).unwrap(), expected);
}

#[test]
fn a_stream_of_samples_gives_the_codes_of_the_file() {
    let (folder, _) = whole();
    let file = std::fs::read(folder.path().join("talk.nct")).unwrap();
    let expected = NctReader::new(&file[..])
        .unwrap()
        .read_all()
        .whole()
        .unwrap();

    let streamed = ok(codec(&["encode", "--stream", "-"], &raw(&pcm())));
    let streamed = NctReader::new(&streamed[..])
        .unwrap()
        .read_all()
        .whole()
        .unwrap();
    assert_eq!(streamed, expected);

    let lines = text(codec(
        &[
            "encode", "--stream", "--pcm", "f32le", "--format", "json", "-",
        ],
        &raw_float(&pcm()),
    ));
    let mut joined = Codes::new(expected.specs().clone());
    for line in lines.lines() {
        let piece = JsonCodes::parse(line.as_bytes())
            .unwrap()
            .into_codes(expected.specs())
            .unwrap();
        joined.extend(&piece).unwrap();
        joined.set_source_samples(piece.source_samples());
    }
    assert!(lines.lines().count() > 2);
    assert_eq!(joined, expected);

    let stereo: Vec<i16> = pcm().iter().flat_map(|&s| [s, s]).collect();
    let mixed = codec(
        &[
            "encode",
            "--stream",
            "--channels",
            "2",
            "--format",
            "ids",
            "-",
        ],
        &raw(&stereo),
    );
    assert_eq!(
        String::from_utf8_lossy(&mixed.stderr),
        "percept: -: 2 channels mixed down to one\n"
    );
    assert_eq!(
        String::from_utf8(mixed.stdout).unwrap(),
        ids(folder.path(), &[])
    );
    let from_file = text(codec(
        &[
            "encode",
            "--stream",
            "--format",
            "ids",
            &path(folder.path(), "talk.wav"),
        ],
        b"",
    ));
    assert_eq!(from_file, ids(folder.path(), &[]));
}

#[test]
fn what_a_pipe_gave_is_decoded_as_the_file_is() {
    let (folder, whole) = whole();
    let samples = pcm().len() as u64;
    for format in ["nct", "json"] {
        let bytes = ok(codec(
            &["encode", "--stream", "--format", format, "-"],
            &raw(&pcm()),
        ));
        let name = format!("piped.{format}");
        put(folder.path(), &[(&name, &bytes)]);
        let piped = path(folder.path(), &name);
        let decoded = ok(codec(&["decode", &piped, "--raw", "-o", "-"], b""));
        assert!(decoded == whole, "{format}");
        let from_stdin = ok(codec(&["decode", "-", "--raw"], &bytes));
        assert!(from_stdin == whole, "{format}");
        let info = text(codec(&["info", "--format", "json", &piped], b""));
        let info: serde_json::Value = serde_json::from_str(&info).unwrap();
        assert_eq!(
            (&info["kind"], &info["source_samples"], &info["damage"]),
            (&format.into(), &samples.into(), &serde_json::Value::Null)
        );
    }
}

#[test]
fn what_a_pipe_lost_the_end_of_is_decoded_to_there_and_told() {
    let (folder, whole) = whole();
    let nct = ok(codec(&["encode", "--stream", "-"], &raw(&pcm())));
    let args = ["encode", "--stream", "--format", "json", "-"];
    let json = text(codec(&args, &raw(&pcm())));
    let lines: Vec<&str> = json.lines().collect();
    let cut_line = format!("{}\n{}", lines[0], &lines[1][..30]);
    let short = lines[..2].join("\n") + "\n";
    let first = lines[0].to_owned() + "\n";
    let twice = json.repeat(2);
    for (name, bytes, part) in [
        ("cut.nct", &nct[..nct.len() - 22], "ends early"),
        (
            "cut.json",
            cut_line.as_bytes(),
            "object 1 of the JSON is damaged",
        ),
        (
            "short.json",
            short.as_bytes(),
            "of which none says how long",
        ),
        (
            "first.json",
            first.as_bytes(),
            "ends after 1 object, which does not say how long",
        ),
        ("twice.nct", &nct.repeat(2), "more follows"),
        ("twice.json", twice.as_bytes(), "joined"),
    ] {
        put(folder.path(), &[(name, bytes)]);
        let file = path(folder.path(), name);
        let output = codec(&["decode", &file, "--raw", "-o", "-"], b"");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{name}");
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
        assert!(stderr.contains(name) && stderr.contains(part), "{stderr}");
        assert!(stderr.contains("what is before it is good"), "{stderr}");
        match name {
            "cut.json" | "short.json" | "first.json" => assert!(output.stdout.len() >= 4 * 2_048),
            _ => assert!(output.stdout.starts_with(&whole), "{name}"),
        }
        let info = codec(&["info", &file], b"");
        assert_eq!(info.status.code(), Some(1), "{name}");
        assert!(
            String::from_utf8_lossy(&info.stdout).contains(part),
            "{name}"
        );
    }
}

#[test]
fn lost_ids_are_told_and_nothing_after_them_moves() {
    let (folder, whole) = whole();
    let text = ids(folder.path(), &["--layout", "orpheus"]);
    let mut ids: Vec<&str> = text.split_whitespace().collect();
    ids.remove(100); // in the 15th super-frame
    ids.insert(50, "4000000000");
    let output = codec(
        &["decode", "--stream", "--layout", "orpheus"],
        ids.join(" ").as_bytes(),
    );
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    for part in [
        "in step again after 4 ids were dropped and 5 codes made up",
        "special ids skipped: 1",
    ] {
        assert!(stderr.contains(part), "{part:?} is not in {stderr}");
    }
    let (superframe, reach) = (4 * 2_048, 4 * 5 * 2_048);
    assert!(output.stdout.len() > whole.len());
    assert!(output.stdout[..9 * superframe] == whole[..9 * superframe]);
    let after = 15 * superframe + reach;
    assert!(output.stdout[after..whole.len()] == whole[after..]);
}

#[test]
fn what_is_no_id_ends_the_stream_after_all_that_came_before() {
    let (folder, whole) = whole();
    let text = ids(folder.path(), &[]);
    let lines: Vec<&str> = text.lines().collect();
    let broken = format!(
        "{}\nzwei\n{}",
        lines[..12].join("\n"),
        lines[12..].join("\n")
    );
    let output = codec(&["decode", "--stream"], broken.as_bytes());
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(
        stderr.contains("-: line 13: \"zwei\" is no token id"),
        "{stderr}"
    );
    assert_eq!(output.stdout.len(), 4 * 12 * 2_048);
    let certain = 4 * (12 * 2_048 - 4_757);
    assert!(output.stdout[..certain] == whole[..certain]);

    for (stdin, parts) in [
        (&b""[..], &["-: holds no tokens"][..]),
        (b"7000 8000", &["none of 2 ids is a code", "--layout"]),
    ] {
        let output = codec(&["decode", "--stream"], stdin);
        let outcome = Outcome::of(output);
        assert_eq!(outcome.fails(parts), "");
    }
    // A code of each book decides a frame of 512 samples; half an id more is no id.
    let mut odd: Vec<u8> = [0_u32, 1_024, 2_048]
        .iter()
        .flat_map(|id| id.to_le_bytes())
        .collect();
    odd.extend([0, 0]);
    let odd = codec(&["decode", "--stream", "--tokens", "u32"], &odd);
    assert_eq!((odd.status.code(), odd.stdout.len()), (Some(1), 4 * 512));
    assert!(String::from_utf8_lossy(&odd.stderr).contains("ends within a token id"));
}

#[test]
fn raw_samples_that_end_or_begin_wrongly_are_told() {
    let mut bytes = raw(&pcm());
    bytes.push(0);
    let output = codec(&["encode", "--stream", "--format", "ids", "-"], &bytes);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr.contains("ends within a sample"), "{stderr}");
    assert_eq!(
        String::from_utf8_lossy(&output.stdout).lines().count(),
        pcm().len().div_ceil(2_048)
    );
    let file = codec(
        &["encode", "--stream", "--format", "ids", "-"],
        &wav(24_000, 1, &pcm()),
    );
    Outcome::of(file).fails(&["-:", "WAV"]);
    Outcome::of(codec(&["encode", "--stream", "--format", "ids", "-"], b""))
        .fails(&["-:", "empty"]);
}

#[test]
fn fewer_frames_of_lookahead_are_sooner_and_nearly_right() {
    let (folder, whole) = whole();
    let ids = ids(folder.path(), &[]);
    let quick = ok(codec(
        &["decode", "--stream", "--lookahead", "6"],
        ids.as_bytes(),
    ));
    assert!(quick.len() > whole.len());
    let floats = |bytes: &[u8]| -> Vec<f32> {
        bytes
            .chunks_exact(4)
            .map(|b| f32::from_le_bytes(b.try_into().unwrap()))
            .collect()
    };
    let worst = floats(&quick)
        .iter()
        .zip(floats(&whole))
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, f32::max);
    assert!(worst < 0.5, "{worst}");
}

#[test]
fn a_codec_of_many_books_is_streamed_with_as_many_as_it_usually_has() {
    let folder = tempfile::tempdir().unwrap();
    put(folder.path(), &[("talk.wav", &wav(24_000, 1, &pcm()))]);
    let model = codec_fixture("encodec/24khz");
    let run = |args: &[&str]| {
        let output = percept()
            .current_dir(folder.path())
            .args(["codec", args[0], "--model", &model])
            .args(&args[1..])
            .output();
        ok(output.unwrap())
    };
    for books in [&[][..], &["--books", "3"]] {
        run(&[&["encode", "talk.wav", "-o", "talk.nct"], books].concat());
        run(&[
            &["encode", "talk.wav", "--format", "ids", "-o", "talk.ids"],
            books,
        ]
        .concat());
        let whole = run(&["decode", "talk.nct", "--raw", "-o", "-"]);
        let streamed = run(&[&["decode", "--stream", "talk.ids"], books].concat());
        assert!(streamed.starts_with(&whole), "{books:?}");
    }
}

#[test]
fn options_of_streams_need_a_stream() {
    for args in [
        &["decode", "--tokens", "u16", "x.nct"][..],
        &["decode", "--lookahead", "3", "x.nct"],
        &["decode", "--stream", "-o", "x.wav"],
        &["decode", "--stream", "--from", "1"],
        &["decode"],
        &["decode", "--layout", "tree", "x.nct"],
        &["decode", "--stream", "--layout", "orpheus", "--base", "7"],
        &["encode", "--layout", "tree", "-"],
        &["encode", "--pcm", "f32le", "-"],
        &["encode", "--stream", "--plot", "x.svg", "-"],
        &["encode"],
    ] {
        assert_eq!(codec(args, b"").status.code(), Some(2), "{args:?}");
    }
}
