//! Configurations, names and errors.

mod segments;
mod streams;

use std::fs;

use percept_testkit::golden::CodecCase;
use percept_weights::Checkpoint;
use serde_json::{Value, json};

use super::config::EncodecConfig;
use crate::{
    BookSpec, CodecError, CodecModel, CodecSpec, Codes, DecodeOptions, EncodeOptions, PcmRef,
};

fn case(name: &str) -> CodecCase {
    CodecCase::open("encodec", name)
}

fn open(name: &str) -> CodecModel {
    CodecModel::open(&case(name).model()).expect("a complete checkpoint")
}

/// The model of a case with other fields in its configuration; `null` takes one out.
fn open_with(name: &str, fields: Value) -> Result<CodecModel, CodecError> {
    let (folder, path) = (tempfile::tempdir().expect("a folder"), case(name).model());
    let config = fs::read(path.join("config.json")).expect("the configuration");
    let mut config: Value = serde_json::from_slice(&config).expect("JSON");
    let all = config.as_object_mut().expect("an object");
    for (field, value) in fields.as_object().expect("an object") {
        match value {
            Value::Null => all.remove(field),
            value => all.insert(field.clone(), value.clone()),
        };
    }
    let weights = "model.safetensors";
    fs::copy(path.join(weights), folder.path().join(weights)).expect("room");
    fs::write(folder.path().join("config.json"), config.to_string()).expect("room");
    CodecModel::open(folder.path())
}

fn encode(model: &CodecModel, pcm: &[f32]) -> Codes {
    let pcm = PcmRef {
        samples: pcm,
        sample_rate: model.spec().sample_rate,
        channels: model.spec().channels,
    };
    model.encode(pcm, &EncodeOptions::default()).expect("sound")
}

fn spec_of(fields: Value) -> CodecSpec {
    let config: EncodecConfig = serde_json::from_value(fields).expect("its fields");
    config.check().expect("a published configuration");
    config.spec()
}

#[test]
fn numbers_of_the_published_models() {
    let of_24 = spec_of(json!({}));
    let of_32 = spec_of(
        json!({"sampling_rate": 32000, "target_bandwidths": [2.2], "num_filters": 64,
        "upsampling_ratios": [8, 5, 4, 4], "codebook_size": 2048, "use_causal_conv": false, "use_conv_shortcut": false}),
    );
    let of_48 = spec_of(
        json!({"sampling_rate": 48000, "target_bandwidths": [3.0, 6.0, 12.0, 24.0],
        "audio_channels": 2, "normalize": true, "chunk_length_s": 1.0, "overlap": 0.01,
        "norm_type": "time_group_norm", "use_causal_conv": false}),
    );
    for (spec, hop, books, size, default) in [
        (&of_24, 320, 32, 1024, 2),
        (&of_32, 640, 4, 2048, 4),
        (&of_48, 320, 16, 1024, 2),
    ] {
        assert_eq!(*spec.books, *BookSpec::uniform(books, size));
        assert_eq!((spec.hop, spec.default_books), (hop, default));
    }
    let within = [1.0, 1.5, 3.0, 6.0, 12.0, 24.0, 99.0].map(|rate| of_24.books_within(rate * 1e3));
    assert_eq!(within, [1, 2, 4, 8, 16, 32, 32]);
    let within = [3.0, 6.0, 12.0, 24.0].map(|rate| of_48.books_within(rate * 1e3));
    assert_eq!(within, [2, 4, 8, 16]);
}

/// Checks what is said of the small codec of 24 kHz with other fields.
#[track_caller]
fn refused(cases: impl IntoIterator<Item = (Value, &'static str)>) {
    for (fields, expected) in cases {
        let error = open_with("24khz", fields.clone())
            .expect_err("a wrong configuration")
            .to_string();
        assert!(error.contains(expected), "{fields}: {error}");
        assert!(error.contains("config.json"), "{error}");
    }
}

#[test]
fn layers_that_cannot_be_are_refused_by_name() {
    refused([
        (
            json!({"norm_type": "layer_norm"}),
            "`norm_type` is `layer_norm`, which is not supported",
        ),
        (
            json!({"pad_mode": "circular"}),
            "`pad_mode` is `circular`, which is not supported",
        ),
        (
            json!({"trim_right_ratio": 1.5}),
            "`trim_right_ratio` is `1.5`",
        ),
        (
            json!({"use_causal_conv": false, "trim_right_ratio": 0.5}),
            "`trim_right_ratio` is `0.5`",
        ),
        (
            json!({"codebook_dim": 8}),
            "`codebook_dim` is 8, which does not fit `hidden_size`",
        ),
        (
            json!({"compress": 99}),
            "`compress` is 99, which does not fit `num_filters`",
        ),
        (json!({"num_lstm_layers": 0}), "`num_lstm_layers` is 0"),
        (json!({"audio_channels": 3}), "`audio_channels` is 3"),
        (
            json!({"residual_kernel_size": 1000, "dilation_growth_rate": 900, "num_residual_layers": 3}),
            "`dilation_growth_rate` is 809190000",
        ),
        (json!({"num_filters": "many"}), "could not be understood"),
    ]);
}

#[test]
fn rates_and_books_that_cannot_be_are_refused_by_name() {
    refused([
        (
            json!({"upsampling_ratios": []}),
            "`upsampling_ratios` is empty",
        ),
        (
            json!({"upsampling_ratios": [0]}),
            "`upsampling_ratios` is 0",
        ),
        (
            json!({"target_bandwidths": []}),
            "`target_bandwidths` is 0, which does not fit",
        ),
        (
            json!({"target_bandwidths": [-1.0]}),
            "`target_bandwidths` is `[-1.0]`",
        ),
        (json!({"codebook_size": 1}), "`codebook_size` is 0"),
    ]);
}

#[test]
fn segments_that_cannot_be_are_refused_by_name() {
    refused([
        (json!({"chunk_length_s": 1.0}), "`overlap` is missing"),
        (
            json!({"chunk_length_s": 1.0, "overlap": 1.0}),
            "`overlap` is `1`",
        ),
        (
            json!({"chunk_length_s": 0.0, "overlap": 0.0}),
            "`chunk_length_s` is `0`",
        ),
    ]);
}

#[test]
fn configurations_of_other_weights_are_refused_by_name() {
    refused([
        (
            json!({"use_conv_shortcut": false}),
            "`use_conv_shortcut` is `false`, which the weights are not made for",
        ),
        (
            json!({"num_lstm_layers": 1}),
            "`num_lstm_layers` is `1`, which the weights are not made for",
        ),
    ]);
    let error = open_with("48khz", json!({"norm_type": "weight_norm"})).expect_err("with norms");
    assert!(
        error
            .to_string()
            .contains("`norm_type` is `weight_norm`, which the weights"),
        "{error}"
    );
}

/// What the original package calls a tensor of transformers.
fn original(name: &str) -> String {
    let name = name
        .replace(".layers.", ".model.")
        .replace("quantizer.model.", "quantizer.vq.layers.");
    let name = name.replace(".codebook.", "._codebook.");
    let Some((module, part)) = name.rsplit_once(".conv.") else {
        return name.replace(".norm.", ".conv.norm.");
    };
    let is_transposed = module.starts_with("decoder.") && module.split('.').count() == 3 && {
        let number: usize = module
            .rsplit('.')
            .next()
            .and_then(|n| n.parse().ok())
            .expect("a number");
        // Of the 24 kHz shape: a first convolution, the LSTM, four blocks of three modules, and the last two.
        (3..14).contains(&number)
    };
    let kind = if is_transposed { "convtr" } else { "conv" };
    format!("{module}.{kind}.{kind}.{part}")
}

#[test]
fn the_names_of_the_original_package_give_the_same_model() {
    let case = case("24khz");
    let clip = case.expect.clips.last().expect("a clip");
    let expected = encode(&open("24khz"), case.pcm(clip));
    let mut checkpoint = Checkpoint::open(&case.model()).expect("a checkpoint");
    checkpoint
        .rename_tensors(|name| Some(original(name)))
        .expect("names that differ");
    assert!(
        checkpoint
            .tensors()
            .contains("decoder.model.3.convtr.convtr.weight_g")
    );
    assert!(
        checkpoint
            .tensors()
            .contains("encoder.model.1.block.1.conv.conv.weight_v")
    );
    let model = CodecModel::from_checkpoint(&checkpoint).expect("the same model");
    assert_eq!(encode(&model, case.pcm(clip)), expected);
    let sound = |model: &CodecModel| {
        model
            .decode(&expected, &DecodeOptions::default())
            .expect("its codes")
    };
    assert_eq!(sound(&model), sound(&open("24khz")));
}

#[test]
fn without_a_model_type_the_weights_tell_but_not_the_rate() {
    let model = open_with("24khz", json!({"model_type": null})).expect("known by its weights");
    assert_eq!(model.spec().sample_rate, 24_000);
    let fields = json!({"model_type": null, "sampling_rate": null});
    let error = open_with("24khz", fields).expect_err("no rate").to_string();
    assert!(error.contains("`sampling_rate` is missing"), "{error}");
}
