//! The examples run.

use std::path::Path;

#[path = "../examples/simple_streaming.rs"]
mod simple_streaming;
#[allow(dead_code, reason = "its `main` reads the arguments of the command")]
#[path = "../examples/streaming_transcribe.rs"]
mod streaming_transcribe;

#[test]
fn made_up_live_audio_runs_through_three_threads() {
    simple_streaming::main().expect("an example that runs");
}

#[test]
fn the_samples_are_transcribed_as_they_stream() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/tiny-en/samples");
    for name in ["hello.wav", "timer.wav", "violin.flac"] {
        let file = folder.join(name);
        let want = std::fs::read_to_string(file.with_extension("txt")).expect("its text");
        let mut log = Vec::new();
        let said = streaming_transcribe::transcribe(&file, &mut log).expect("a shipped sample");
        let log = String::from_utf8(log).expect("text");
        assert_eq!(said, want.trim(), "{log}");
        assert!(log.lines().count() > 1, "{log}");
    }
}
