//! The searches on the reference's own encoder output find the reference's tokens, frames, durations and text.

#![allow(
    clippy::unwrap_used,
    reason = "a fixture that cannot be read fails the test"
)]

use std::path::{Path, PathBuf};

use percept_asr::{
    Activation, Aggregate, Confidence, CtcConfig, CtcHead, CtcState, CtcStream, EmittedToken,
    Transcript, TranscriptContext, Transducer, TransducerConfig, TransducerStream,
};
use percept_nn::{Loader, Precision};
use percept_weights::{Checkpoint, Tensors};
use serde_json::Value;

/// The reference takes its softmax in double precision, of logits that differ by rounding.
const PROBABILITY_TOLERANCE: f64 = 2e-5;

fn cases() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../golden/fixtures/parakeet");
    let entries = std::fs::read_dir(root).unwrap();
    let mut cases: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    cases.sort();
    cases
}

/// Every checkpoint of a case, under canonical names.
fn checkpoints(case: &Path) -> Vec<Checkpoint> {
    let paths = ["model", "model.nemo"].map(|name| case.join(name));
    let present = paths.iter().filter(|path| path.exists());
    present
        .map(|path| canonical(Checkpoint::open(path).unwrap()))
        .collect()
}

fn canonical(mut checkpoint: Checkpoint) -> Checkpoint {
    let prefixes = [
        ("decoder.embedding.", "decoder.prediction.embed."),
        ("decoder.lstm.", "decoder.prediction.dec_rnn.lstm."),
        ("decoder.decoder_projector.", "joint.pred."),
        ("encoder_projector.", "joint.enc."),
        ("joint.head.", "joint.joint_net.2."),
        ("ctc_head.", "decoder.decoder_layers.0."),
    ];
    let rename = |name: &str| {
        let (from, to) = prefixes.iter().find(|(from, _)| name.starts_with(from))?;
        Some(name.replacen(from, to, 1))
    };
    checkpoint.rename_tensors(rename).unwrap();
    checkpoint
}

/// The tensors of a bare safetensors file.
fn seams(case: &Path) -> Tensors {
    let bytes = std::fs::read(case.join("seams.safetensors")).unwrap();
    let files = [
        ("config.json", &b"{}"[..]),
        ("model.safetensors", bytes.leak()),
    ];
    let checkpoint = Checkpoint::from_memory("seams", &files).unwrap();
    checkpoint.tensors().clone()
}

/// The encoder output that an utterance was decoded from; `None` where the fixture does not keep it.
fn encoder(seams: &Tensors, utterance: &Value, spec: &Value) -> Option<Vec<f32>> {
    let audio = utterance["audio"].as_str().unwrap();
    let audio = audio.trim_start_matches("audio/").trim_end_matches(".wav");
    let lookahead = utterance["attention"]["context"][1].as_u64();
    let is_default = lookahead == spec["rights"][0].as_u64();
    let name = match (utterance["prompt"].as_u64(), audio) {
        (Some(_), _) if !is_default => return None,
        (Some(prompt), _) => format!("{audio}.prompted_{prompt}"),
        (None, "a") => "encoder".into(),
        (None, _) => format!("{audio}.encoder"),
    };
    let suffix = match lookahead {
        Some(lookahead) if !is_default => format!(".lookahead_{lookahead}"),
        _ => String::new(),
    };
    let name = name + &suffix;
    let shape = seams
        .shape(&name)
        .unwrap_or_else(|| panic!("no seam {name}"));
    Some(seams.f32(&name, shape).unwrap())
}

enum Head {
    Transducer(Box<Transducer>),
    Ctc(CtcHead),
}

impl Head {
    fn load(tensors: &Tensors, expect: &Value, decoder: &str) -> Head {
        let loader = Loader::new(tensors, Precision::F32);
        let spec = &expect["spec"];
        let vocab = spec["vocabulary"].as_u64().unwrap() as usize + 1;
        let encoder_hidden = spec["width"].as_u64().unwrap() as usize;
        let blank = expect["blank"].as_u64().unwrap() as u32;
        if decoder == "ctc" {
            let config = CtcConfig {
                vocab,
                blank,
                encoder_hidden,
            };
            let prefixes = ["ctc_decoder.decoder_layers.0", "decoder.decoder_layers.0"];
            let is_there = |prefix: &&str| tensors.contains(&format!("{prefix}.weight"));
            let prefix = prefixes.into_iter().find(is_there).unwrap();
            return Head::Ctc(CtcHead::load(&loader, prefix, config).unwrap());
        }
        let config = TransducerConfig {
            vocab,
            blank,
            pred_hidden: 32,
            pred_layers: 1,
            joint_hidden: 32,
            encoder_hidden,
            durations: if decoder == "tdt" {
                (0..5).collect()
            } else {
                Vec::new()
            },
            max_symbols: 10,
            activation: Activation::Relu,
        };
        Head::Transducer(Box::new(Transducer::load(&loader, config).unwrap()))
    }

    /// What is found in frames that come in chunks.
    fn decode(&self, frames: &[f32], chunk_frames: usize, width: usize) -> Vec<EmittedToken> {
        let mut out = Vec::new();
        let firsts = (0..).step_by(chunk_frames);
        let chunks = frames.chunks(chunk_frames * width).zip(firsts);
        match self {
            Head::Transducer(transducer) => {
                let mut state = transducer.state();
                for (frames, first_frame) in chunks {
                    let stream = TransducerStream {
                        state: &mut state,
                        frames,
                        first_frame,
                        out: &mut out,
                    };
                    transducer.decode(Confidence::Probability, &mut [stream]);
                }
            }
            Head::Ctc(head) => {
                let mut state = CtcState::new();
                for (frames, first_frame) in chunks {
                    let stream = CtcStream {
                        state: &mut state,
                        frames,
                        first_frame,
                        out: &mut out,
                    };
                    head.decode(Confidence::Probability, &mut [stream]);
                }
                state.finish(&mut out);
            }
        }
        out
    }
}

#[test]
fn search_finds_what_the_reference_finds() {
    let mut compared = 0;
    for case in cases() {
        let expect = std::fs::read(case.join("expect.json")).unwrap();
        let expect: Value = serde_json::from_slice(&expect).unwrap();
        let width = expect["spec"]["width"].as_u64().unwrap() as usize;
        let seams = seams(&case);
        for checkpoint in checkpoints(&case) {
            for utterance in expect["utterances"].as_array().unwrap() {
                let Some(frames) = encoder(&seams, utterance, &expect["spec"]) else {
                    continue;
                };
                let decoder = utterance["decoder"].as_str().unwrap();
                let name = format!(
                    "{} {decoder} {}",
                    checkpoint.path().display(),
                    utterance["audio"]
                );
                let head = Head::load(checkpoint.tensors(), &expect, decoder);
                let found = head.decode(&frames, frames.len(), width);
                for chunk_frames in [1, 3, 10] {
                    assert_eq!(head.decode(&frames, chunk_frames, width), found, "{name}");
                }
                compare(&checkpoint, &found, utterance, &name);
                compared += 1;
            }
        }
    }
    assert!(compared >= 4, "{compared} utterances compared");
}

fn compare(checkpoint: &Checkpoint, found: &[EmittedToken], utterance: &Value, name: &str) {
    let vocabulary = checkpoint.vocabulary().unwrap();
    let context = TranscriptContext {
        vocabulary: &vocabulary,
        seconds_per_frame: 0.08,
        duration: utterance["samples"].as_f64().unwrap() / 16_000.0,
        aggregate: Aggregate::Min,
    };
    let transcript = Transcript::new(found, &context);
    let json = serde_json::to_value(&transcript).unwrap();
    let column = |field: &str| -> Value {
        json["tokens"]
            .as_array()
            .unwrap()
            .iter()
            .map(|token| token[field].clone())
            .collect()
    };
    for (field, wanted) in [
        ("id", "tokens"),
        ("piece", "pieces"),
        ("frame", "frames"),
        ("duration", "durations"),
    ] {
        assert_eq!(column(field), utterance[wanted], "{name}: {wanted}");
    }
    assert_eq!(json["text"], utterance["text"], "{name}");
    let spoken: Vec<_> = transcript.text.split_whitespace().collect();
    let words: Vec<_> = transcript
        .words
        .iter()
        .map(|word| word.word.as_str())
        .collect();
    assert_eq!(words, spoken, "{name}: words");
    let wanted = utterance["probabilities"].as_array().unwrap();
    for (index, (token, want)) in found.iter().zip(wanted).enumerate() {
        let (got, want) = (f64::from(token.confidence), want.as_f64().unwrap());
        assert!(
            (got - want).abs() < PROBABILITY_TOLERANCE,
            "{name}: token {index}: {got}, not {want}"
        );
    }
}
