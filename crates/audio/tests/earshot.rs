//! The detector that is built in hears the difference between speech and anything else.

use std::path::Path;

use percept_audio::{AudioReader, Earshot, GateConfig, GateSpan, SpeechGate, VoiceActivity};
use percept_testkit::signals;

const SAMPLES: [&str; 3] = ["hello.wav", "timer.wav", "violin.flac"];

fn speech(name: &str) -> Vec<f32> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/tiny-en/samples");
    let mut reader = AudioReader::open(&folder.join(name), 16_000).expect("the sample is there");
    let mut pcm = Vec::new();
    while reader.read(&mut pcm).expect("the sample is whole") > 0 {}
    pcm
}

/// The share of frames that are more likely speech than not.
fn share(pcm: &[f32]) -> f32 {
    let mut detector = Earshot::new();
    let frames = pcm.chunks_exact(detector.frame_samples());
    let count = frames.len() as f32;
    frames.filter(|frame| detector.speech(frame) >= 0.5).count() as f32 / count
}

#[test]
fn speech_is_heard_as_speech() {
    for name in SAMPLES {
        let share = share(&speech(name));
        assert!(share > 0.8, "{name}: {share}");
    }
}

#[test]
fn silence_and_noise_are_not_speech() {
    for (name, pcm) in [
        ("silence", signals::silence(80_000)),
        ("quiet noise", signals::noise(80_000, 0.01, 1)),
        ("noise", signals::noise(80_000, 0.1, 2)),
    ] {
        let share = share(&pcm);
        assert!(share < 0.05, "{name}: {share}");
    }
}

#[test]
fn a_sample_that_cannot_be_played_does_no_harm() {
    let mut detector = Earshot::new();
    for bad in [f32::NAN, f32::INFINITY, -1e30, 3.0] {
        let probability = detector.speech(&[bad; 256]);
        assert!((0.0..=1.0).contains(&probability), "{bad}: {probability}");
    }
    let pcm = speech(SAMPLES[0]);
    let last = pcm[..16_000]
        .chunks_exact(256)
        .map(|frame| detector.speech(frame))
        .last();
    assert!(last > Some(0.5), "{last:?}");
}

#[test]
fn the_gate_passes_a_sentence_and_skips_the_silence_around_it() {
    for name in SAMPLES {
        let sentence = speech(name);
        let silence = signals::silence(5 * 16_000);
        let mut pcm = [&silence[..], &sentence, &silence].concat();
        for (x, noise) in pcm.iter_mut().zip(signals::noise(300_000, 0.002, 1)) {
            *x += noise;
        }
        let detector = Box::new(Earshot::new());
        let mut gate = SpeechGate::new(detector, GateConfig::default()).expect("the defaults fit");
        let (mut spans, mut heard, mut ends) = (Vec::new(), Vec::new(), Vec::new());
        for packet in pcm.chunks(480) {
            gate.push(packet, &mut spans);
        }
        gate.finish(&mut spans);
        for span in spans {
            match span {
                GateSpan::Speech { start, end } => heard.push(start..end),
                GateSpan::End { at } => ends.push(at),
            }
        }
        let (start, end) = (heard[0].start as usize, heard[heard.len() - 1].end as usize);
        let (first, last) = (silence.len(), silence.len() + sentence.len());
        assert_eq!(ends, [end as u64], "{name}: one piece");
        assert!(
            (first - 16_000..first + 1_600).contains(&start),
            "{name}: from {start}, not {first}"
        );
        assert!(
            (last - 3_200..last + 16_000).contains(&end),
            "{name}: to {end}, not {last}"
        );
    }
}
