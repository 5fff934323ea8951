//! What `percept stream` takes, and what it says of what it cannot take.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod common;

use std::io::{Read, Write};
use std::process::Stdio;

use common::{
    float_wav, noise, path, percept, put, raw, raw_float, run_command, run_in, run_with_stdin,
    speech, wav,
};

const END: &str = "\"type\":\"end\"";

#[test]
fn raw_samples_may_have_any_format_rate_and_channels() {
    let pcm = speech(1);
    let mono = run_with_stdin(&["stream", "--format", "json", "-"], &raw(&pcm)).ok();
    let floats = run_with_stdin(
        &["stream", "--format", "json", "--pcm", "f32le", "-"],
        &raw_float(&pcm),
    );
    assert_eq!(floats.ok(), mono);

    let stereo: Vec<i16> = pcm.iter().flat_map(|&sample| [sample, sample]).collect();
    let mixed = run_with_stdin(
        &["stream", "--format", "json", "--channels", "2", "-"],
        &raw(&stereo),
    );
    assert_eq!(mixed.stdout, mono);
    assert_eq!(
        mixed.stderr,
        "percept: -: raw samples, 2 channels mixed down to one\n"
    );

    // Every sample twice is the same sound at twice the rate, nearly.
    let fast = run_with_stdin(&["stream", "--rate", "32000", "-"], &raw(&stereo));
    assert_eq!(
        fast.stderr,
        "percept: -: raw samples, 32000 Hz resampled to 16000 Hz\n"
    );
    assert!(fast.stdout.starts_with("hello we"), "{}", fast.stdout);
}

#[test]
fn left_over_bytes_are_an_error_after_everything_was_used() {
    let mut bytes = raw(&speech(1));
    let whole = run_with_stdin(&["stream", "-"], &bytes).ok();
    bytes.push(1);
    let cut = run_with_stdin(&["stream", "-"], &bytes);
    assert_eq!(
        cut.fails(&["percept: -: ends within a sample", "--pcm"]),
        whole
    );
    // Of nothing at all nothing is told.
    let nothing = run_with_stdin(&["stream", "--format", "json", "-"], &[1]);
    assert_eq!(nothing.fails(&["ends within a sample"]), "");
    let empty = run_with_stdin(&["stream", "--format", "json", "-"], &[]).ok();
    assert_eq!(empty, "{\"type\":\"end\",\"text\":\"\"}\n");
}

#[test]
fn what_is_no_number_ends_the_stream_at_its_place() {
    let mut bytes = raw_float(&speech(1));
    let whole = run_with_stdin(&["stream", "--pcm", "f32le", "-"], &bytes).ok();
    bytes.extend(f32::NAN.to_le_bytes());
    bytes.extend(raw_float(&speech(1)));
    let cut = run_with_stdin(&["stream", "--pcm", "f32le", "-"], &bytes);
    assert_eq!(cut.fails(&["percept: -: the sample at 2.93", "NaN"]), whole);
}

#[test]
fn a_file_on_stdin_is_not_taken_for_samples() {
    let outcome = run_with_stdin(&["stream", "-"], &noise(1));
    assert_eq!(
        outcome.fails(&["percept: -: begins as a WAV file does", "ffmpeg"]),
        ""
    );
}

#[test]
fn a_bad_input_is_one_line_and_the_others_are_done() {
    let folder = tempfile::tempdir().unwrap();
    let pcm = speech(1);
    let good = wav(16_000, 1, &pcm);
    put(
        folder.path(),
        &[
            ("a.wav", &good),
            ("cut.wav", &good[..good.len() - 20_000]),
            ("text.wav", b"not audio at all, whatever its name says"),
            ("empty.wav", b""),
            ("nan.wav", &float_wav(&[0.0, f32::NAN])),
        ],
    );
    for bad in ["text.wav", "empty.wav", "none.wav", "."] {
        let outcome = run_in(folder.path(), &["stream", "--format", "json", bad]);
        assert_eq!(outcome.fails(&[&format!("percept: {bad}: ")]), "", "{bad}");
        let both = run_in(folder.path(), &["stream", "--format", "json", bad, "a.wav"]);
        let told = both.fails(&[bad]);
        assert!(
            told.lines()
                .all(|line| line.contains("\"stream\":\"a.wav\"")),
            "{told}"
        );
        assert!(told.contains(END), "{told}");
    }
    let cut = run_in(folder.path(), &["stream", "--format", "json", "cut.wav"]);
    let told = cut.fails(&["cut.wav"]);
    assert!(told.contains("hello we") && told.contains(END), "{told}");
    run_in(folder.path(), &["stream", "nan.wav"]).fails(&["nan.wav"]);
}

#[test]
fn a_way_to_stream_that_the_model_has_not_is_one_line() {
    let folder = tempfile::tempdir().unwrap();
    put(folder.path(), &[("a.wav", &noise(1))]);
    for (args, parts) in [
        (
            &["--lookahead", "1"][..],
            &["parakeet_tdt", "cache-aware", "windows"][..],
        ),
        (&["--chunk", "0"], &["a chunk of 0 s", "0.08 s"]),
        (&["--chunk", "0.05"], &["a chunk of 0.05 s", "0.08 s"]),
        (&["--adaptive", "0.1"], &["--adaptive"]),
        (&["--model", "none"], &["none"]),
    ] {
        let args = [&["stream", "a.wav"], args].concat();
        assert_eq!(run_in(folder.path(), &args).fails(parts), "", "{args:?}");
    }
}

#[test]
fn little_right_context_is_warned_of() {
    let folder = tempfile::tempdir().unwrap();
    put(folder.path(), &[("a.wav", &noise(1))]);
    let outcome = run_in(folder.path(), &["stream", "--preset", "quickest", "a.wav"]);
    assert_eq!(outcome.code, Some(0));
    assert!(
        outcome.stderr.starts_with("percept: warning: "),
        "{}",
        outcome.stderr
    );
    assert_eq!(outcome.stderr.lines().count(), 1);
    run_in(folder.path(), &["stream", "--preset", "quick", "a.wav"]);
}

#[test]
fn wrong_usage_is_status_two() {
    let folder = tempfile::tempdir().unwrap();
    put(folder.path(), &[("a.wav", &noise(1))]);
    for args in [
        &[][..],
        &["a.wav", "a.wav"],
        &["-", "-"],
        &["--rate", "8000", "a.wav"],
        &["--pcm", "s24le", "-"],
        &["--rate", "1", "-"],
        &["--channels", "0", "-"],
        &["--preset", "slow", "a.wav"],
        &["--preset", "quick", "--left", "1", "a.wav"],
        &["--lookahead", "1", "--chunk", "1", "a.wav"],
        &["--lookahead", "1", "--adaptive", "1", "a.wav"],
        &["--left", "-1", "a.wav"],
        &["--left", "nan", "a.wav"],
        &["--chunk", "inf", "a.wav"],
    ] {
        let outcome = run_in(folder.path(), &[&["stream"], args].concat());
        assert_eq!(
            (outcome.code, outcome.stdout.as_str()),
            (Some(2), ""),
            "{args:?}"
        );
        assert!(!outcome.stderr.is_empty());
    }
}

#[test]
fn a_reader_that_leaves_ends_the_command_quietly() {
    let folder = tempfile::tempdir().unwrap();
    put(folder.path(), &[("a.wav", &wav(16_000, 1, &speech(6)))]);
    let mut child = percept()
        .args(["stream", "--format", "json", &path(folder.path(), "a.wav")])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = [0; 1];
    let mut stdout = child.stdout.take().unwrap();
    stdout.read_exact(&mut first).unwrap();
    drop(stdout);
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
    assert!(output.status.success());
}

#[cfg(unix)]
#[test]
fn an_interruption_ends_with_130_and_with_what_was_heard() {
    let bytes = raw(&speech(1));
    let mut child = percept()
        .args(["stream", "--format", "json", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(&bytes).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(1500));
    let kill = std::process::Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status()
        .unwrap();
    assert!(kill.success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(
        told.contains("hello we should meet") && told.contains(END),
        "{told}"
    );
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
    drop(stdin);
}

#[cfg(unix)]
#[test]
fn a_pipe_by_name_is_a_file_that_comes_slowly() {
    let folder = tempfile::tempdir().unwrap();
    let pcm = speech(1);
    put(folder.path(), &[("a.wav", &wav(16_000, 1, &pcm))]);
    let pipe = path(folder.path(), "pipe");
    let made = std::process::Command::new("mkfifo")
        .arg(&pipe)
        .status()
        .unwrap();
    assert!(made.success());
    let alone = run_in(folder.path(), &["stream", "a.wav"]).ok();
    let mut command = percept();
    command
        .current_dir(folder.path())
        .args(["stream", "a.wav", "pipe"]);
    let writer = std::thread::spawn(move || {
        let mut pipe = std::fs::File::options().write(true).open(pipe).unwrap();
        for piece in wav(16_000, 1, &pcm).chunks(30_000) {
            pipe.write_all(piece).unwrap();
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
    });
    let both = run_command(&mut command).ok();
    writer.join().unwrap();
    assert_eq!(both, format!("a.wav: {alone}pipe: {alone}"));
}

#[cfg(not(feature = "mic"))]
#[test]
fn listening_without_a_microphone_says_how_to_get_one() {
    use common::run;

    assert_eq!(
        run(["listen"]).fails(&["--features mic", "percept stream -"]),
        ""
    );
    assert!(run(["listen", "--help"]).ok().contains("--features mic"));
}
