//! What `percept stream` tells, and that nothing but the audio and the options decides it.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod common;

use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;

use common::{
    Outcome, cache_aware, fixture, path, percept, put, raw, run, run_in, run_with_stdin, speech,
    wav,
};
use serde_json::Value;

/// Runs `percept stream` with pieces of `bytes` on stdin, of the lengths that `next` gives.
fn stream_pieces(args: &[&str], mut bytes: &[u8], mut next: impl FnMut() -> usize) -> Outcome {
    let mut child = percept()
        .arg("stream")
        .args(args)
        .arg("-")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    while !bytes.is_empty() {
        let (now, later) = bytes.split_at(next().clamp(1, bytes.len()));
        // A command that refuses its arguments reads nothing.
        if stdin.write_all(now).is_err() {
            break;
        }
        bytes = later;
    }
    drop(stdin);
    Outcome::of(child.wait_with_output().unwrap())
}

fn events(json: &str) -> Vec<Value> {
    let line = |line: &str| serde_json::from_str(line).unwrap();
    json.lines().map(line).collect()
}

fn of_type<'a>(events: &'a [Value], name: &str) -> Vec<&'a Value> {
    events
        .iter()
        .filter(|event| event["type"] == name)
        .collect()
}

fn texts(events: &[&Value]) -> String {
    events
        .iter()
        .map(|event| event["text"].as_str().unwrap())
        .collect()
}

#[test]
fn any_packets_on_stdin_give_the_same_bytes() {
    let bytes = raw(&speech(2));
    let whole = stream_pieces(&["--format", "json"], &bytes, || usize::MAX).ok();
    assert!(whole.lines().count() > 4, "{whole}");
    let mut seed = 7_u32;
    let mut random = || {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 16) as usize % 3_001
    };
    assert_eq!(
        stream_pieces(&["--format", "json"], &bytes, &mut random).ok(),
        whole
    );
    for bytes_each in [640, 999] {
        let pieces = stream_pieces(&["--format", "json"], &bytes, || bytes_each).ok();
        assert_eq!(pieces, whole, "{bytes_each} bytes");
    }
    let short = &bytes[..40_000];
    let whole = stream_pieces(&["--format", "json"], short, || usize::MAX).ok();
    assert_eq!(
        stream_pieces(&["--format", "json"], short, || 1).ok(),
        whole
    );
}

#[test]
fn a_file_tells_what_its_samples_on_stdin_tell() {
    let folder = tempfile::tempdir().unwrap();
    let pcm = speech(1);
    put(folder.path(), &[("a.wav", &wav(16_000, 1, &pcm))]);
    for format in ["json", "text"] {
        let args = ["stream", "--format", format, "a.wav"];
        let file = run_in(folder.path(), &args).ok();
        let stdin = run_with_stdin(&["stream", "--format", format, "-"], &raw(&pcm)).ok();
        assert_eq!(stdin, file);
    }
}

#[test]
fn commits_join_to_the_text_and_tokens_to_the_commits() {
    let folder = tempfile::tempdir().unwrap();
    put(folder.path(), &[("a.wav", &wav(16_000, 1, &speech(4)))]);
    let json = run_in(folder.path(), &["stream", "--format", "json", "a.wav"]).ok();
    let events = events(&json);
    let (commits, ends) = (of_type(&events, "commit"), of_type(&events, "end"));
    assert!(
        commits.len() > 2 && !of_type(&events, "volatile").is_empty(),
        "{json}"
    );
    assert_eq!(ends.len(), 1);
    assert_eq!(events.last(), Some(ends[0]));
    let text = texts(&ends);
    assert!(text.contains("hello we should meet"), "{text}");
    assert_eq!(texts(&commits), text);

    let tokens: Vec<&Value> = commits
        .iter()
        .flat_map(|commit| commit["tokens"].as_array().unwrap())
        .collect();
    let pieces: String = tokens
        .iter()
        .map(|token| token["piece"].as_str().unwrap())
        .collect();
    assert_eq!(pieces.replace('▁', " ").trim(), text);
    let frames: Vec<u64> = tokens
        .iter()
        .map(|token| token["frame"].as_u64().unwrap())
        .collect();
    assert!(frames.is_sorted(), "{frames:?}");
    for commit in commits {
        let (first, last) = (
            &commit["tokens"][0],
            commit["tokens"].as_array().unwrap().last(),
        );
        assert_eq!(commit["start"], first["start"]);
        assert!(commit["end"].as_f64() >= last.unwrap()["end"].as_f64());
    }
    let plain = run_in(folder.path(), &["stream", "a.wav"]).ok();
    assert_eq!(plain, format!("{text}\n"));
}

#[test]
fn a_short_recording_reads_as_offline() {
    let folder = tempfile::tempdir().unwrap();
    put(folder.path(), &[("a.wav", &wav(16_000, 1, &speech(1)))]);
    let offline = run_in(folder.path(), &["transcribe", "--format", "json", "a.wav"]).ok();
    let offline: Value = serde_json::from_str(&offline).unwrap();
    let live = run_in(folder.path(), &["stream", "--format", "json", "a.wav"]).ok();
    let events = events(&live);
    assert_eq!(of_type(&events, "end")[0]["text"], offline["text"]);
    assert_eq!(of_type(&events, "commit")[0]["tokens"], offline["tokens"]);
}

#[test]
fn streams_side_by_side_tell_what_each_tells_alone() {
    let folder = tempfile::tempdir().unwrap();
    let pcm = speech(3);
    let names = ["a.wav", "b.wav", "c.wav"];
    let cuts = [pcm.len(), pcm.len() * 2 / 3, 1_000];
    for (name, cut) in names.iter().zip(cuts) {
        put(
            folder.path(),
            &[(name, &wav(16_000, 1, &pcm[pcm.len() - cut..]))],
        );
    }
    let together = run_in(
        folder.path(),
        &[&["stream", "--format", "json"], &names[..]].concat(),
    );
    let together = events(&together.ok());
    for name in names {
        let alone = run_in(folder.path(), &["stream", "--format", "json", name]).ok();
        let mut of_name: Vec<Value> = together
            .iter()
            .filter(|event| event["stream"] == name)
            .cloned()
            .collect();
        for event in &mut of_name {
            event.as_object_mut().unwrap().remove("stream");
        }
        assert_eq!(of_name, events(&alone), "{name}");
    }
    let again = run_in(
        folder.path(),
        &[&["stream", "--format", "json"], &names[..]].concat(),
    );
    assert_eq!(
        events(&again.ok()),
        together,
        "their order is the same, too"
    );

    let mut lines: Vec<String> = run_in(folder.path(), &[&["stream"], &names[..]].concat())
        .ok()
        .lines()
        .map(str::to_owned)
        .collect();
    lines.sort();
    let alone = names.map(|name| {
        let text = run_in(folder.path(), &["stream", name]).ok();
        format!("{name}: {}", text.trim_end())
    });
    assert_eq!(lines, alone);
}

#[test]
fn speed_and_threads_change_nothing() {
    let folder = tempfile::tempdir().unwrap();
    put(
        folder.path(),
        &[("a.wav", &wav(16_000, 1, &speech(1)[..40_000]))],
    );
    let args = [
        "stream", "--format", "json", "--preset", "quickest", "--right", "0.5",
    ];
    assert_eq!(
        run_in(folder.path(), &[&args[..], &["a.wav"]].concat()).code,
        Some(2)
    );
    let args = [
        "stream", "--format", "json", "--chunk", "0.4", "--right", "1", "a.wav",
    ];
    let fast = run_in(folder.path(), &args).ok();
    assert!(fast.lines().count() > 3, "{fast}");
    for more in [
        &["--realtime"][..],
        &["--threads", "1"],
        &["--threads", "3"],
    ] {
        let other = run_in(folder.path(), &[&args[..], more].concat()).ok();
        assert_eq!(other, fast, "{more:?}");
    }
}

#[test]
fn a_preset_is_its_three_lengths() {
    let folder = tempfile::tempdir().unwrap();
    put(folder.path(), &[("a.wav", &wav(16_000, 1, &speech(2)))]);
    let stream = |args: &[&str]| {
        let args = [&["stream", "--format", "json", "a.wav"], args].concat();
        run_in(folder.path(), &args).ok()
    };
    let default = stream(&[]);
    assert_eq!(stream(&["--preset", "balanced"]), default);
    assert_eq!(stream(&["--right", "2"]), default);
    assert_eq!(
        stream(&["--left", "10", "--chunk", "2", "--right", "2"]),
        default
    );
    assert_ne!(stream(&["--preset", "quality"]), default);
}

#[test]
fn without_volatile_text_the_rest_is_the_same() {
    let folder = tempfile::tempdir().unwrap();
    put(folder.path(), &[("a.wav", &wav(16_000, 1, &speech(2)))]);
    let all = run_in(folder.path(), &["stream", "--format", "json", "a.wav"]).ok();
    let certain = run_in(
        folder.path(),
        &["stream", "--format", "json", "--no-volatile", "a.wav"],
    );
    let rest = |json: &str| -> Vec<Value> {
        let events = events(json).into_iter();
        events.filter(|event| event["type"] != "volatile").collect()
    };
    let certain = certain.ok();
    assert_eq!(events(&certain), rest(&all));
    assert!(of_type(&events(&certain), "volatile").is_empty());
}

/// The first event of `bytes` on a stdin that stays open.
fn first_event(args: &[&str], bytes: &[u8]) -> Value {
    let mut child = percept()
        .arg("stream")
        .args(args)
        .arg("-")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(bytes).unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    drop(stdin);
    child.wait().unwrap();
    serde_json::from_str(&line).unwrap()
}

#[test]
fn text_is_told_while_the_audio_still_comes() {
    let bytes = raw(&speech(3));
    let event = first_event(&["--format", "json"], &bytes[..2 * 16_000 * 5]);
    assert_eq!(event["type"], "commit", "{event}");
}

#[test]
fn utterances_end_at_silence() {
    let folder = tempfile::tempdir().unwrap();
    let mut pcm = speech(1);
    pcm.extend([0; 40_000]);
    pcm.extend(speech(1));
    pcm.extend([0; 40_000]);
    put(folder.path(), &[("a.wav", &wav(16_000, 1, &pcm))]);
    let json = run_in(
        folder.path(),
        &["stream", "--format", "json", "--endpoint", "a.wav"],
    )
    .ok();
    let all = events(&json);
    let endpoints = of_type(&all, "endpoint");
    let causes: Vec<&str> = endpoints
        .iter()
        .map(|end| end["cause"].as_str().unwrap())
        .collect();
    assert_eq!(causes, ["silence", "silence"], "{json}");
    assert!(endpoints[0]["time"].as_f64() > Some(3.0) && endpoints[0]["time"].as_f64() < Some(5.5));
    let lines = run_in(folder.path(), &["stream", "--endpoint", "a.wav"]).ok();
    assert_eq!(lines.lines().count(), 2, "{lines}");
    let plain = run_in(folder.path(), &["stream", "a.wav"]).ok();
    assert_eq!(plain.lines().count(), 1);
    assert_eq!(
        lines.split_whitespace().collect::<Vec<_>>(),
        plain.split_whitespace().collect::<Vec<_>>()
    );
}

/// Two stretches of speech in silence, and where the second one begins.
fn stretches() -> (Vec<u8>, f64) {
    let mut pcm = vec![0; 60_000];
    pcm.extend(speech(1));
    pcm.extend([0; 100_000]);
    let begin = pcm.len() as f64 / 16_000.0;
    pcm.extend(speech(1));
    pcm.extend([0; 60_000]);
    (raw(&pcm), begin)
}

#[test]
fn silence_is_spared_and_keeps_its_time() {
    let (bytes, begin) = stretches();
    let all = stream_pieces(&["--format", "json", "--vad"], &bytes, || usize::MAX).ok();
    let all = events(&all);
    assert!(of_type(&all, "gap").is_empty(), "{all:?}");
    let (commits, ends) = (of_type(&all, "commit"), of_type(&all, "end"));
    assert_eq!(texts(&commits), texts(&ends));
    let second = commits
        .iter()
        .rfind(|commit| commit["text"].as_str().unwrap().contains("hello"));
    let start = second.unwrap()["start"].as_f64().unwrap();
    assert!((start - begin).abs() < 0.5, "{start}");
    let steps = |args: &[&str]| {
        let outcome = stream_pieces(&[args, &["--stats"]].concat(), &bytes, || usize::MAX);
        assert!(
            outcome.stderr.contains("0 gaps, 0 samples dropped"),
            "{}",
            outcome.stderr
        );
        let (before, _) = outcome.stderr.split_once(" steps,").unwrap();
        let steps = before.rsplit(' ').next().unwrap();
        assert_eq!(outcome.code, Some(0));
        (steps.parse::<u32>().unwrap(), outcome.stdout)
    };
    let (all_steps, text) = steps(&[]);
    let (spared, same) = steps(&["--vad"]);
    assert_eq!(same, text);
    assert!(spared < all_steps, "{spared} steps, not {all_steps}");
    assert_eq!(ends[0]["text"].as_str().unwrap().trim(), text.trim());
}

#[test]
fn any_packets_give_the_same_stretches_of_speech() {
    let (bytes, model) = (stretches().0, cache_aware());
    for more in [&[][..], &["--preset", "quick"], &["--model", &model]] {
        let args = [&["--format", "json", "--vad", "--endpoint"], more].concat();
        let whole = stream_pieces(&args, &bytes, || usize::MAX).ok();
        for bytes_each in [777, 2_560, 100_000] {
            let pieces = stream_pieces(&args, &bytes, || bytes_each).ok();
            assert_eq!(pieces, whole, "{more:?}, {bytes_each} bytes");
        }
    }
}

#[test]
fn utterances_end_in_silence_that_the_model_does_not_hear() {
    let bytes = stretches().0;
    let endpoints = |more: &[&str]| {
        let args = [&["--format", "json", "--endpoint"], more].concat();
        let all = events(&stream_pieces(&args, &bytes, || usize::MAX).ok());
        let endpoints = of_type(&all, "endpoint");
        endpoints.into_iter().cloned().collect::<Vec<Value>>()
    };
    let gated = endpoints(&["--vad"]);
    let causes: Vec<_> = gated.iter().map(|end| end["cause"].as_str()).collect();
    let (speech, silence) = (Some("silence"), Some("silence-without-speech"));
    assert_eq!(causes, [silence, speech, silence, speech, silence]);
    assert_eq!(gated, endpoints(&[]));
}

#[test]
fn an_endpoint_in_silence_is_told_while_it_goes_on() {
    let args = ["--format", "json", "--vad", "--endpoint"];
    let event = first_event(&args, &[0; 160_000]);
    assert_eq!(event["cause"], "silence-without-speech", "{event}");
}

#[test]
fn a_stream_without_speech_ends_without_a_step() {
    let silence = vec![0; 160_000];
    let args = ["--format", "json", "--vad"];
    for bytes in [&silence[..], &silence[..2_000], &[]] {
        let all = stream_pieces(&args, bytes, || usize::MAX).ok();
        assert_eq!(
            all,
            "{\"type\":\"end\",\"text\":\"\"}\n",
            "{} bytes",
            bytes.len()
        );
    }
    let text = stream_pieces(&["--vad", "--stats"], &silence, || usize::MAX);
    assert!(text.stderr.contains(" 0 steps,"), "{}", text.stderr);
    assert_eq!((text.code, &text.stdout[..]), (Some(0), "\n"));
}

#[test]
fn a_cache_aware_model_hears_as_far_ahead_as_it_was_trained_to() {
    let bytes = raw(&speech(1));
    let stream = |model: &str, more: &[&str], each: usize| {
        let args = [&["--format", "json", "--model", model], more].concat();
        stream_pieces(&args, &bytes, || each)
    };
    let model = fixture("rnnt_nemotron");
    let own = stream(&model, &[], usize::MAX).ok();
    assert_eq!(stream(&model, &["--lookahead", "2"], 700).ok(), own);
    let mut found = vec![own.clone()];
    for frames in ["0", "1"] {
        let other = stream(&model, &["--lookahead", frames], usize::MAX).ok();
        assert_eq!(stream(&model, &["--lookahead", frames], 333).ok(), other);
        assert!(!found.contains(&other), "{frames} frames");
        found.push(other);
    }
    assert!(of_type(&events(&own), "volatile").is_empty());
    stream(&model, &["--lookahead", "3"], usize::MAX).fails(&["3 frames", "2, 1, 0"]);
    stream(&model, &["--adaptive", "2"], usize::MAX).fails(&["--adaptive", "--preset"]);
    // This one was trained with one right context, and says by itself when an utterance has ended.
    let model = cache_aware();
    stream(&model, &["--lookahead", "0"], usize::MAX).fails(&["0 frames", "ask for 1"]);
    let own = stream(&model, &[], usize::MAX).ok();
    let events = events(&own);
    let causes: Vec<&Value> = of_type(&events, "endpoint")
        .iter()
        .map(|endpoint| &endpoint["cause"])
        .collect();
    assert_eq!(causes, ["end-of-utterance"]);
}

#[test]
fn times_are_told_apart_from_the_text() {
    let folder = tempfile::tempdir().unwrap();
    put(folder.path(), &[("a.wav", &wav(16_000, 1, &speech(2)))]);
    let text = run_in(folder.path(), &["stream", "a.wav"]).ok();
    let plot = path(folder.path(), "out/latency.svg");
    let outcome = run_in(
        folder.path(),
        &["stream", "--stats", "--plot", &plot, "a.wav"],
    );
    assert_eq!((outcome.code, outcome.stdout), (Some(0), text));
    for part in [
        "tiny-en",
        "10-2-2",
        "finalisation lag",
        "real-time factor",
        "1 streams",
    ] {
        assert!(
            outcome.stderr.contains(part),
            "{part:?} is not in\n{}",
            outcome.stderr
        );
    }
    let picture = std::fs::read_to_string(plot).unwrap();
    assert!(picture.starts_with("<svg ") && picture.ends_with("</svg>\n"));
    assert!(picture.matches("<circle").count() > 20, "{picture}");
}

#[test]
fn a_latency_is_held_where_it_can_be() {
    let folder = tempfile::tempdir().unwrap();
    put(folder.path(), &[("a.wav", &wav(16_000, 1, &speech(2)))]);
    let text = run_in(folder.path(), &["stream", "--adaptive", "3", "a.wav"]).ok();
    assert!(text.contains("hello we should meet"), "{text}");
    run_in(folder.path(), &["stream", "--adaptive", "1", "a.wav"]).fails(&["--adaptive", "2.16"]);
    // It holds the latency from the first step on: shorter chunks are more steps.
    let steps = |arguments: &[&str]| {
        let outcome = run_in(folder.path(), &[&["stream", "--stats"], arguments].concat());
        let steps = outcome
            .stderr
            .split(", ")
            .find_map(|part| part.strip_suffix(" steps"));
        steps
            .and_then(|n| n.parse::<usize>().ok())
            .expect("a number of steps")
    };
    let (adaptive, fixed) = (steps(&["--adaptive", "3", "a.wav"]), steps(&["a.wav"]));
    assert!(adaptive > fixed, "{adaptive} steps, {fixed} without");
}

#[test]
fn help_shows_the_events() {
    let help = run(["stream", "--help"]).ok();
    for part in [
        "commit",
        "volatile",
        "endpoint",
        "gap",
        "--lookahead",
        "--pcm",
    ] {
        assert!(help.contains(part), "{part}");
    }
}
