//! What the built-in recogniser says while audio comes in, on the samples that it ships with.

use std::path::Path;

use percept::audio::{AudioReader, GateConfig};
use percept::{
    ContextConfig, Detokenizer, Preset, Recognizer, RecognizerOptions, Role, StreamEvent,
    StreamMode, StreamOptions,
};
use percept_testkit::wer::{WordErrors, word_errors};
use percept_testkit::{Rng, signals};

fn recognizer() -> Recognizer {
    Recognizer::embedded(&RecognizerOptions::default()).expect("the built-in model loads")
}

/// The samples again and again in another order, with pauses in between: audio of at least `seconds`, and its text.
fn speech(seconds: usize, seed: u64) -> (Vec<f32>, String) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/tiny-en/samples");
    let mut rng = Rng::new(seed);
    let (mut pcm, mut text) = (Vec::new(), Vec::new());
    while pcm.len() < seconds * 16_000 {
        let name = ["hello.wav", "timer.wav", "violin.flac"][rng.below(3)];
        let path = folder.join(name);
        let mut reader = AudioReader::open(&path, 16_000).expect("a shipped sample");
        while reader.read(&mut pcm).expect("an undamaged sample") > 0 {}
        let said = std::fs::read_to_string(path.with_extension("txt")).expect("its text");
        text.push(said.trim().to_owned());
        pcm.extend(signals::noise(4_000 + rng.below(12_000), 1e-3, rng.bits()));
    }
    (pcm, text.join(" "))
}

fn options(context: ContextConfig) -> StreamOptions {
    let mut options = StreamOptions::default();
    options.mode = StreamMode::Windows(context);
    options
}

fn events(
    recognizer: &Recognizer,
    options: &StreamOptions,
    pcm: &[f32],
    mut packet: impl FnMut() -> usize,
) -> Vec<StreamEvent> {
    let mut stream = recognizer.stream(options).expect("a way to stream it");
    let mut rest = pcm;
    while !rest.is_empty() {
        let (now, later) = rest.split_at(packet().min(rest.len()));
        stream.push(now).expect("finite samples");
        rest = later;
    }
    stream.finish();
    stream.events().to_vec()
}

fn text(recognizer: &Recognizer, events: &[StreamEvent]) -> String {
    let (mut detokenizer, mut text) = (Detokenizer::new(), String::new());
    for event in events {
        if let StreamEvent::Commit(token) = event {
            let role = Role::of(recognizer.model().vocabulary(), token.id);
            detokenizer.push(role, &mut text);
        }
    }
    detokenizer.finish(&mut text);
    text
}

#[test]
fn a_minute_of_speech_is_streamed_as_well_as_it_is_transcribed() {
    let recognizer = recognizer();
    let mut offline = WordErrors::default();
    let mut streamed = WordErrors::default();
    for seed in 0..2 {
        let (pcm, said) = speech(62, seed);
        let whole = recognizer.transcribe(&pcm).expect("finite samples").text;
        offline += word_errors(&said, &whole);
        let told = events(
            &recognizer,
            &options(ContextConfig::default()),
            &pcm,
            || 320,
        );
        streamed += word_errors(&said, &text(&recognizer, &told));
    }
    let (offline, streamed) = (offline.rate(), streamed.rate());
    assert!(
        streamed <= offline + 0.01,
        "{:.1} % of the words are wrong streamed, {:.1} % offline",
        100.0 * streamed,
        100.0 * offline
    );
}

#[test]
fn any_packets_tell_the_same_and_short_audio_what_the_recording_says() {
    let recognizer = recognizer();
    let (pcm, _) = speech(9, 5);
    for preset in [Preset::Balanced, Preset::Quickest] {
        let options = options(preset.context());
        let expected = events(&recognizer, &options, &pcm, || pcm.len());
        let mut rng = Rng::new(6);
        assert_eq!(events(&recognizer, &options, &pcm, || 320), expected);
        assert_eq!(events(&recognizer, &options, &pcm, || 16_000), expected);
        let random = events(&recognizer, &options, &pcm, || rng.below(9_000));
        assert_eq!(random, expected);
    }
    let short = &pcm[..4 * 16_000];
    let told = events(&recognizer, &options(ContextConfig::default()), short, || 1);
    let said = recognizer.transcribe(short).expect("finite samples");
    assert_eq!(text(&recognizer, &told), said.text);
}

#[test]
fn speech_detection_skips_silence_and_hears_the_same_words() {
    let recognizer = recognizer();
    let mut pcm = signals::silence(20 * 16_000);
    let (speech, said) = speech(6, 8);
    pcm.extend(&speech);
    pcm.extend(signals::silence(20 * 16_000));
    let mut gated = options(ContextConfig::default());
    gated.gate = Some(GateConfig::default());
    let mut stream = recognizer.stream(&gated).expect("16 kHz");
    let mut steps = 0;
    for packet in pcm.chunks(320) {
        stream.push(packet).expect("finite samples");
        let decided = |event: &&StreamEvent| matches!(event, StreamEvent::Decided { .. });
        steps = stream.events().iter().filter(decided).count();
    }
    stream.finish();
    let told = stream.events().to_vec();
    assert!(steps < 8, "{steps} steps for 6 s of speech");
    assert_eq!(word_errors(&said, &text(&recognizer, &told)).errors, 0);
    let first = told.iter().find_map(|event| match event {
        StreamEvent::Commit(token) => Some(token.frame),
        _ => None,
    });
    // 20 s are 250 frames.
    assert!(
        first.is_some_and(|frame| (248..260).contains(&frame)),
        "{first:?}"
    );
}
