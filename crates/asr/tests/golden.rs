//! Agreement with `transformers` at every seam, on the checkpoints of `golden/`.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use percept_asr::{
    Decoder, Model, ModelOptions, Precision, Session, Step, Transcript, WindowPolicy,
};
use percept_nn::{AttentionMask, Items};
use percept_testkit::golden::{Attention, Case, Utterance, cases};
use percept_testkit::{Tol, close};
use percept_weights::{Checkpoint, WeightCache};

/// What the encoder and everything in front of it must keep to, relative to the largest value.
const ENCODER: Tol = Tol {
    abs: 0.0,
    rel_to_max: 1e-4,
};

fn load(path: &Path, options: ModelOptions) -> Model {
    let checkpoint = Checkpoint::open(path).unwrap_or_else(|e| panic!("{e}"));
    Model::load(checkpoint, options).unwrap_or_else(|e| panic!("{e}"))
}

const PRECISIONS: [Precision; 2] = [Precision::F32, Precision::Int8];

fn in_precision(precision: Precision) -> ModelOptions {
    ModelOptions {
        precision: Some(precision),
        ..ModelOptions::default()
    }
}

/// The forms in which a case's weights are stored.
fn forms(case: &Case) -> Vec<std::path::PathBuf> {
    case.model().into_iter().chain(case.nemo()).collect()
}

fn decoder(utterance: &Utterance) -> Decoder {
    match utterance.decoder.as_str() {
        "tdt" => Decoder::Tdt,
        "rnnt" => Decoder::Rnnt,
        _ => Decoder::Ctc,
    }
}

fn mask(attention: &Attention) -> AttentionMask {
    let limit = |n: i64| usize::try_from(n).ok();
    match (attention.style.as_str(), &attention.context[..]) {
        ("regular", &[left, right]) => AttentionMask::Regular {
            left: limit(left),
            right: limit(right),
        },
        ("chunked_limited", &[left, right]) => AttentionMask::Chunked {
            left: limit(left),
            right: right as usize,
        },
        ("chunked_limited_with_rc", &[left, chunk, right]) => AttentionMask::ChunkedWithRight {
            left: left as usize,
            chunk: chunk as usize,
            right: right as usize,
        },
        ("full", []) => AttentionMask::Full,
        other => panic!("unknown mask {other:?}"),
    }
}

#[test]
fn mel_and_every_layer_agree() {
    for case in cases() {
        for path in forms(&case) {
            let name = format!("{} ({})", case.name(), path.display());
            let model = load(&path, ModelOptions::default());
            let (mel, items) = model.mel(&[&case.expect().utterances[0].pcm()]);
            close(
                &mel,
                &case.seam("mel").data,
                Tol {
                    abs: 2e-3,
                    rel_to_max: 0.0,
                },
                &format!("{name}: mel"),
            );
            let reference = &case.seam("mel").data;
            let mask = model.config().encoder.mask;
            let (mut seen, mut halves) = (Vec::new(), BTreeSet::new());
            let (encoded, _) =
                model
                    .encoder()
                    .encode_observed(reference, &items, &mask, |step, layer, x| {
                        let seam = match step {
                            Step::Subsampling => "subsampled".to_owned(),
                            // The second one ends the layer.
                            Step::FeedForward if halves.insert(layer) => return,
                            Step::FeedForward => format!("layer.{layer}"),
                            Step::Attention | Step::Convolution => return,
                        };
                        close(
                            x,
                            &case.seam(&seam).data,
                            ENCODER,
                            &format!("{name}: {seam}"),
                        );
                        seen.push(seam);
                    });
            assert_eq!(seen.len(), model.config().encoder.layers + 1, "{name}");
            close(
                &encoded,
                &case.seam("encoder").data,
                ENCODER,
                &format!("{name}: encoder"),
            );
        }
    }
}

#[test]
fn the_encoder_agrees_from_pcm_on() {
    for case in cases() {
        let path = forms(&case).remove(0);
        let model = load(&path, ModelOptions::default());
        for (stem, seam) in [("audio/a.wav", "encoder"), ("audio/b.wav", "b.encoder")] {
            let utterances = &case.expect().utterances;
            let utterance = utterances
                .iter()
                .find(|u| u.audio == stem)
                .expect("both files");
            let (encoded, items) = model.encode(&[&utterance.pcm()]);
            assert_eq!(items.total(), utterance.encoder_frames);
            close(
                &encoded,
                &case.seam(seam).data,
                ENCODER,
                &format!("{}: {seam}", case.name()),
            );
        }
    }
}

#[test]
fn masks_that_checkpoints_do_not_ask_for_agree() {
    let mut masks = 0;
    for case in cases() {
        let model = load(&forms(&case)[0], ModelOptions::default());
        let mel = &case.seam("mel");
        let items = Items::one(mel.shape[0]);
        for masked in &case.expect().masks {
            assert_eq!(masked.audio, "audio/a.wav");
            let (encoded, _) = model
                .encoder()
                .encode(&mel.data, &items, &mask(&masked.attention));
            close(
                &encoded,
                &case.seam(&masked.seam).data,
                ENCODER,
                &format!("{}: {}", case.name(), masked.seam),
            );
            masks += 1;
        }
        for right in [0, 1] {
            let seam = format!("encoder.lookahead_{right}");
            if let (true, AttentionMask::Chunked { left, .. }) =
                (case.has_seam(&seam), model.config().encoder.mask)
            {
                let mask = AttentionMask::Chunked { left, right };
                let (encoded, _) = model.encoder().encode(&mel.data, &items, &mask);
                close(
                    &encoded,
                    &case.seam(&seam).data,
                    ENCODER,
                    &format!("{}: {seam}", case.name()),
                );
                masks += 1;
            }
        }
    }
    assert!(masks >= 10, "only {masks} masks were compared");
}

fn assert_says(transcript: &Transcript, utterance: &Utterance, name: &str) {
    let ids: Vec<u32> = transcript.tokens.iter().map(|t| t.id).collect();
    assert_eq!(ids, utterance.tokens, "{name}: tokens");
    let frames: Vec<usize> = transcript.tokens.iter().map(|t| t.frame as usize).collect();
    assert_eq!(frames, utterance.frames, "{name}: frames");
    let durations: Vec<usize> = transcript
        .tokens
        .iter()
        .map(|t| t.duration as usize)
        .collect();
    assert_eq!(durations, utterance.durations, "{name}: durations");
    assert_eq!(transcript.text, utterance.text, "{name}: text");
    let confidence: Vec<f32> = transcript.tokens.iter().map(|t| t.confidence).collect();
    let tolerance = Tol {
        abs: 1e-3,
        rel_to_max: 0.0,
    };
    close(
        &confidence,
        &utterance.probabilities,
        tolerance,
        &format!("{name}: confidence"),
    );
}

/// The language of a prompt slot, for the models that have them.
fn language(model: &Model, slot: usize) -> Option<String> {
    let prompt = model.config().prompt.as_ref()?;
    let (language, _) = prompt.languages.iter().find(|(_, s)| **s == slot)?;
    Some(language.clone())
}

#[test]
fn tokens_frames_durations_and_text_agree_in_every_form() {
    let mut compared = 0;
    for case in cases() {
        for path in forms(&case) {
            let default = load(&path, ModelOptions::default());
            for utterance in &case.expect().utterances {
                if utterance.attention.style != "full"
                    && mask(&utterance.attention) != default.config().encoder.mask
                {
                    continue;
                }
                let options = ModelOptions {
                    decoder: Some(decoder(utterance)),
                    language: utterance.prompt.and_then(|slot| language(&default, slot)),
                    ..ModelOptions::default()
                };
                let model = load(&path, options);
                let name = format!(
                    "{} {} {}",
                    path.display(),
                    utterance.audio,
                    utterance.decoder
                );
                let said = model
                    .transcribe(&[&utterance.pcm()])
                    .expect("finite samples");
                assert_says(&said[0], utterance, &name);
                compared += 1;
            }
        }
    }
    assert!(compared >= 30, "only {compared} utterances were compared");
}

#[test]
fn long_audio_in_windows_agrees_with_the_reference_on_each_window() {
    let mut compared = 0;
    for case in cases() {
        for windowed in &case.expect().windows {
            let [left, chunk, right] = windowed.context_frames;
            let options = ModelOptions {
                decoder: Some(decoder(&windowed.utterance)),
                ..ModelOptions::default()
            };
            let policy = WindowPolicy {
                whole_frames: chunk + right,
                left,
                chunk,
                right,
            };
            let model = Arc::new(load(&forms(&case)[0], options).with_windows(policy));
            let pcm = windowed.utterance.pcm();
            let name = format!("{} in windows {:?}", case.name(), windowed.context_frames);
            let said = model.transcribe(&[&pcm]).expect("finite samples");
            assert_says(&said[0], &windowed.utterance, &name);
            let mut session = Session::new(model);
            for packet in pcm.chunks(997) {
                session.push(packet).expect("finite samples");
            }
            assert_eq!(session.finish(), said[0], "{name}, pushed");
            compared += 1;
        }
    }
    assert!(
        compared >= 3,
        "only {compared} windowed files were compared"
    );
}

#[test]
fn both_forms_of_a_checkpoint_give_the_same_bytes() {
    let mut pairs = 0;
    for case in cases() {
        let (Some(model), Some(nemo)) = (case.model(), case.nemo()) else {
            continue;
        };
        let pcm = case.expect().utterances[0].pcm();
        let output = |path: &Path, precision| {
            let model = load(path, in_precision(precision));
            let bits: Vec<u32> = model
                .encode(&[&pcm])
                .0
                .iter()
                .map(|v| v.to_bits())
                .collect();
            let transcript = model.transcribe(&[&pcm]).expect("finite samples").remove(0);
            (bits, transcript)
        };
        for precision in PRECISIONS {
            let same = output(&model, precision) == output(&nemo, precision);
            assert!(same, "{}, {precision:?}", case.name());
        }
        pairs += 1;
    }
    assert!(pairs >= 5, "only {pairs} pairs were compared");
}

#[test]
fn a_batch_gives_what_each_recording_gives_alone_for_any_thread_count() {
    let cases = cases();
    let models = cases.iter().flat_map(|case| {
        let path = forms(case).remove(0);
        PRECISIONS.map(|precision| (case, load(&path, in_precision(precision))))
    });
    for (case, model) in models {
        let utterances = &case.expect().utterances;
        let recordings: Vec<Vec<f32>> = utterances.iter().map(Utterance::pcm).collect();
        let mut pieces: Vec<&[f32]> = recordings.iter().map(Vec::as_slice).collect();
        pieces.push(&recordings[0][..100]);
        pieces.push(&recordings[0][..12_000]);
        let alone: Vec<(Vec<f32>, Transcript)> = pieces
            .iter()
            .map(|p| {
                (
                    model.encode(&[p]).0,
                    model.transcribe(&[p]).expect("finite samples").remove(0),
                )
            })
            .collect();
        for threads in [1, 2, 3] {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .expect("a pool");
            let (frames, items) = pool.install(|| model.encode(&pieces));
            let said = pool
                .install(|| model.transcribe(&pieces))
                .expect("finite samples");
            let width = model.config().encoder.width();
            for (k, item) in items.ranges().enumerate() {
                assert!(
                    frames[item.start * width..item.end * width] == alone[k].0[..],
                    "{}, {threads} threads, recording {k}",
                    case.name()
                );
                assert_eq!(said[k], alone[k].1, "{}, {threads} threads", case.name());
            }
        }
    }
}

#[test]
fn eight_bits_stay_close_to_32() {
    for case in cases() {
        let path = forms(&case).remove(0);
        let pcm = case.expect().utterances[0].pcm();
        let [exact, rounded] =
            PRECISIONS.map(|precision| load(&path, in_precision(precision)).encode(&[&pcm]).0);
        let square = |v: f32| f64::from(v) * f64::from(v);
        let error: f64 = rounded.iter().zip(&exact).map(|(r, e)| square(r - e)).sum();
        let size: f64 = exact.iter().map(|e| square(*e)).sum();
        let relative = (error / size).sqrt();
        // Rows are short in these models, and their noise averages less than in a real one.
        assert!(
            relative > 0.0 && relative < 0.05,
            "{}: {relative}",
            case.name()
        );
    }
}

#[test]
fn cached_weights_give_the_same_bits() {
    for case in cases() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = forms(&case).remove(0);
        let pcm = case.expect().utterances[0].pcm();
        let [without, first, second] = [false, true, true].map(|is_cached| {
            let options = ModelOptions {
                weight_cache: is_cached.then(|| WeightCache::at(folder.path())),
                ..in_precision(Precision::Int8)
            };
            let model = load(&path, options);
            assert!(model.cache_fault().is_none(), "{:?}", model.cache_fault());
            (
                model.encode(&[&pcm]).0,
                model.transcribe(&[&pcm]).expect("finite samples"),
            )
        });
        let files = std::fs::read_dir(folder.path()).expect("the cache").count();
        assert_eq!(files, 1, "{}", case.name());
        assert!(without == first && first == second, "{}", case.name());
    }
}

#[test]
fn a_checkpoint_replaced_while_it_is_open_leaves_no_wrong_weights() {
    let cases = cases();
    let source = cases.iter().find_map(Case::model).expect("a folder");
    let folder = tempfile::tempdir().expect("a folder");
    let model = folder.path().join("model");
    std::fs::create_dir(&model).expect("a new folder");
    for entry in std::fs::read_dir(&source).expect("a checkpoint") {
        let path = entry.expect("a readable folder").path();
        let name = path.file_name().expect("a file");
        std::fs::copy(&path, model.join(name)).expect("a copy");
    }
    let weights = model.join("model.safetensors");
    let cache = WeightCache::at(folder.path().join("cache"));
    let options = |is_cached: bool| ModelOptions {
        weight_cache: is_cached.then(|| cache.clone()),
        ..in_precision(Precision::Int8)
    };
    let pcm = cases[0].expect().utterances[0].pcm();

    let opened = Checkpoint::open(&model).expect("a checkpoint");
    let mut bytes = std::fs::read(&weights).expect("its weights");
    let header = u64::from_le_bytes(bytes[..8].try_into().expect("eight bytes")) as usize;
    for value in bytes[8 + header..].chunks_exact_mut(4) {
        value[2] ^= 0x20; // a bit of the fraction
    }
    let other = model.join("other");
    std::fs::write(&other, bytes).expect("other weights");
    std::fs::rename(&other, &weights).expect("a swap");

    let old = Model::load(opened, options(true)).expect("the weights that were opened");
    assert!(old.cache_fault().is_some());
    let new = load(&model, options(true)).encode(&[&pcm]).0;
    assert!(new == load(&model, options(false)).encode(&[&pcm]).0);
    assert!(new != old.encode(&[&pcm]).0);
}
