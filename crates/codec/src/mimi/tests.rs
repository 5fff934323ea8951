use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use percept_testkit::golden::CodecCase;
use percept_weights::Checkpoint;
use serde_json::{Value, json};

use super::MimiConfig;
use crate::{
    CodecModel, Codes, DecodeOptions, EncodeOptions, PcmRef, StreamDecoder, StreamEncoder,
};

fn case(name: &str) -> CodecCase {
    CodecCase::open("mimi", name)
}

fn config_of(case: &CodecCase) -> Value {
    let text = fs::read(case.model().join("config.json")).expect("a configuration");
    serde_json::from_slice(&text).expect("JSON")
}

/// What a model makes of a recording, and of that again.
fn round_trip(model: &CodecModel, samples: &[f32]) -> (Codes, Vec<f32>) {
    let pcm = PcmRef {
        samples,
        sample_rate: model.spec().sample_rate,
        channels: 1,
    };
    let codes = model.encode(pcm, &EncodeOptions::default()).expect("sound");
    let sound = model.decode(&codes, &DecodeOptions::default());
    (codes, sound.expect("its codes").samples)
}

/// The same weights under the names of the `moshi` package.
fn moshi() -> PathBuf {
    case("24khz").model().join("../moshi")
}

#[test]
fn both_layouts_are_the_same_model() {
    let case = case("24khz");
    let pcm = &case.seam("pcm").data;
    let expected = round_trip(&CodecModel::open(&case.model()).expect("complete"), pcm);
    let other = CodecModel::open(&moshi()).expect("the names of the moshi package");
    assert!(round_trip(&other, pcm) == expected);

    // Older files call the sums otherwise.
    let mut checkpoint = Checkpoint::open(&moshi()).expect("the same");
    let older = |name: &str| Some(name.replace("embedding_sum", "embed_sum"));
    checkpoint.rename_tensors(older).expect("as many names");
    let other = CodecModel::from_checkpoint(&checkpoint).expect("older names");
    assert!(round_trip(&other, pcm) == expected);
}

#[test]
fn weights_alone_are_taken_for_the_published_model() {
    let config = MimiConfig::default();
    config.check().expect("sound numbers");
    let spec = config.spec();
    assert_eq!(
        (spec.sample_rate, spec.hop, spec.channels),
        (24_000, 1920, 1)
    );
    assert_eq!((spec.books.len(), spec.books[0].size), (32, 2048));
    assert_eq!(spec.frame_rate(), 12.5);

    // These are of other sizes, which is what is said, and not that there is no configuration.
    let dir = tempfile::tempdir().expect("a directory");
    let weights = dir.path().join("tokenizer-tiny.safetensors");
    fs::copy(
        moshi().join("tokenizer-tiny-checkpoint.safetensors"),
        &weights,
    )
    .expect("room");
    for path in [dir.path(), &weights] {
        let error = CodecModel::open(path).expect_err("other sizes");
        assert_eq!(error.code(), "tensor-shape", "{error}");
    }
    // Under other names it is not known what they are.
    fs::copy(case("24khz").model().join("model.safetensors"), &weights).expect("room");
    let error = CodecModel::open(dir.path()).expect_err("no configuration");
    assert_eq!(error.code(), "codec-config", "{error}");
}

#[test]
fn a_frame_goes_out_as_soon_as_it_is_in() {
    for name in ["24khz", "every_field", "no_projection"] {
        let case = case(name);
        let model = Arc::new(CodecModel::open(&case.model()).expect("complete"));
        let hop = model.spec().hop as usize;
        let pcm = &case.seam("pcm").data;
        let mut encoder =
            StreamEncoder::new(model.clone(), &EncodeOptions::default()).expect("its books");
        let mut decoder = StreamDecoder::new(model.clone(), &DecodeOptions::default());
        for frame in pcm.chunks_exact(hop) {
            let mut codes = encoder.empty_codes();
            let (last, before) = frame.split_last().expect("samples");
            assert_eq!(
                encoder.push(before, &mut codes).expect("finite"),
                0,
                "{name}"
            );
            assert_eq!(
                encoder.push(&[*last], &mut codes).expect("finite"),
                1,
                "{name}"
            );
            let mut sound = Vec::new();
            assert_eq!(
                decoder.push(&codes, &mut sound).expect("its codes"),
                hop,
                "{name}"
            );
        }
        assert_eq!(
            (encoder.latency_samples(), decoder.latency_samples()),
            (0, 0),
            "{name}"
        );
    }
}

#[test]
fn a_rate_of_frames_that_is_given_counts() {
    let of = |value: Value| {
        let config: MimiConfig = serde_json::from_value(value).expect("its fields");
        config
            .check()
            .map(|()| (config.latent_stride(), config.spec().hop))
    };
    assert_eq!(of(json!({})).expect("published"), (Some(2), 1920));
    assert_eq!(
        of(json!({"frame_rate": 12.5})).expect("published"),
        (Some(2), 1920)
    );
    assert_eq!(
        of(json!({"_frame_rate": 6.25})).expect("four rows"),
        (Some(4), 3840)
    );
    assert_eq!(
        of(json!({"frame_rate": 25.0})).expect("no other rate"),
        (None, 960)
    );
    for rate in [0.0, -1.0, 26.0, 1e-9] {
        let error = of(json!({"frame_rate": rate})).expect_err("no such rate");
        assert!(error.to_string().contains("frame_rate"), "{rate}: {error}");
    }
}

#[test]
fn numbers_that_cannot_be_are_refused_by_name() {
    let good = config_of(&case("every_field"));
    let check = |config: &Value| {
        let config: MimiConfig = serde_json::from_value(config.clone()).expect("its fields");
        config.check()
    };
    check(&good).expect("a complete configuration");
    let faults = [
        ("sampling_rate", json!(0)),
        ("audio_channels", json!(3)),
        ("hidden_size", json!(0)),
        ("num_filters", json!(0)),
        ("num_filters", json!(60_000)),
        ("num_residual_layers", json!(0)),
        ("dilation_growth_rate", json!(2000)),
        ("kernel_size", json!(0)),
        ("compress", json!(5)),
        ("trim_right_ratio", json!(1.5)),
        ("pad_mode", json!("circular")),
        ("hidden_act", json!("silu")),
        ("codebook_size", json!(100_000)),
        ("codebook_dim", json!(16)),
        ("num_quantizers", json!(2)),
        ("num_semantic_quantizers", json!(0)),
        ("upsample_groups", json!(5)),
        ("upsampling_ratios", json!([4, 0])),
        ("num_attention_heads", json!(5)),
        ("num_key_value_heads", json!(3)),
        ("head_dim", json!(7)),
        ("sliding_window", json!(0)),
        (
            "rope_parameters",
            json!({"rope_type": "yarn", "rope_theta": 1.0}),
        ),
        ("rope_scaling", json!({"type": "linear"})),
    ];
    for (field, value) in faults {
        let mut config = good.clone();
        config[field] = value.clone();
        let error = check(&config).expect_err(field).to_string();
        let other = match field {
            "num_quantizers" => "num_semantic_quantizers",
            _ => field,
        };
        assert!(error.contains(other), "{field} = {value}: {error}");
    }
}
