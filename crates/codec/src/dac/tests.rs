use std::fs;
use std::path::Path;

use percept_testkit::golden::CodecCase;
use percept_testkit::{Rng, Tol, close};
use percept_weights::Checkpoint;
use serde_json::{Value, json};

use crate::{CodecError, CodecModel, Codes, DecodeOptions, EncodeOptions, PcmRef};

const TOLERANCE: Tol = Tol {
    abs: 1e-5,
    rel_to_max: 0.0,
};

fn case(name: &str) -> CodecCase {
    CodecCase::open("dac", name)
}

/// A directory with a configuration and a copy of a file of weights.
fn directory(config: &Value, weights: &Path) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a directory");
    fs::write(dir.path().join("config.json"), config.to_string()).expect("room");
    fs::copy(
        weights,
        dir.path().join(weights.file_name().expect("a file")),
    )
    .expect("room");
    dir
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

#[test]
fn every_naming_is_the_same_model() {
    let case = case("descript_names");
    let pcm = &case.seam("pcm").data;
    let merged = round_trip(&CodecModel::open(&case.model()).expect("complete"), pcm);
    let weights = case.model().join("../descript/weights.pth");
    let arguments = json!({
        "encoder_dim": 4, "encoder_rates": [2, 4], "decoder_dim": 16, "decoder_rates": [4, 2], "n_codebooks": 2,
        "codebook_size": 32, "codebook_dim": 8, "quantizer_dropout": 0.5, "sample_rate": 44_100,
    });
    for config in [config_of(&case), arguments] {
        let dir = directory(&config, &weights);
        let model = CodecModel::open(dir.path()).expect("the original names");
        let expected = round_trip(&model, pcm);
        // There the weights are magnitudes and directions, which round when they are put together.
        assert!(expected.0 == merged.0, "{config}");
        close(&expected.1, &merged.1, TOLERANCE, &config.to_string());
        let mut checkpoint = Checkpoint::open(dir.path()).expect("the same");
        let prefixed = checkpoint.rename_tensors(|name| Some(format!("model.{name}")));
        prefixed.expect("as many names");
        let model = CodecModel::from_checkpoint(&checkpoint).expect("names behind a prefix");
        assert!(round_trip(&model, pcm) == expected, "{config}");
    }
}

#[test]
fn the_configuration_of_parler_is_that_of_the_published_model() {
    let config = json!({
        "model_type": "dac", "num_codebooks": 9, "model_bitrate": 8, "codebook_size": 1024, "latent_dim": 1024,
        "frame_rate": 86, "sampling_rate": 44_100,
    });
    let config: super::DacConfig = serde_json::from_value(config).expect("its fields");
    config.check().expect("sound numbers");
    let spec = config.spec();
    assert_eq!(
        (spec.sample_rate, spec.hop, spec.books.len()),
        (44_100, 512, 9)
    );
    assert_eq!(
        (config.latent(), config.upsampling()),
        (1024, vec![8, 8, 4, 2])
    );
}

#[test]
fn what_was_encoded_comes_back_as_long_as_it_was() {
    let case = case("24khz");
    let model = CodecModel::open(&case.model()).expect("complete");
    let mut rng = Rng::new(1);
    for samples in [1, 311, 312, 313, 320, 639, 640, 641] {
        let pcm: Vec<f32> = (0..samples).map(|_| rng.uniform(-0.5, 0.5)).collect();
        let (codes, sound) = round_trip(&model, &pcm);
        assert_eq!(sound.len(), samples);
        let options = DecodeOptions {
            trim: false,
            ..DecodeOptions::default()
        };
        let whole = model.decode(&codes, &options).expect("its codes").samples;
        assert_eq!(
            whole.len(),
            320 * samples.div_ceil(320) - 8,
            "as the reference"
        );
        let both = whole.len().min(samples);
        assert!(sound[..both] == whole[..both] && sound[both..].iter().all(|v| *v == 0.0));
    }
    // A length that the codes cannot have is not believed.
    let (mut codes, _) = round_trip(&model, &[0.1; 320]);
    codes.set_source_samples(Some(u64::MAX));
    let sound = model
        .decode(&codes, &DecodeOptions::default())
        .expect("its codes");
    assert_eq!(sound.samples.len(), 320);
}

#[test]
fn numbers_that_cannot_be_are_refused_by_name() {
    let case = case("odd_rates_small_latent");
    let good = config_of(&case);
    let weights = case.model().join("model.safetensors");
    let open = |config: &Value| CodecModel::open(directory(config, &weights).path());
    open(&good).expect("complete");
    let faults = [
        ("sampling_rate", json!(0)),
        ("sampling_rate", Value::Null),
        ("encoder_hidden_size", json!(0)),
        ("encoder_hidden_size", json!(40_000)),
        ("downsampling_ratios", json!([])),
        ("downsampling_ratios", json!([3, 0])),
        (
            "downsampling_ratios",
            json!([1024, 1024, 1024, 1024, 1024, 1024, 1024]),
        ),
        ("upsampling_ratios", json!([5, 4])),
        ("decoder_hidden_size", json!(3)),
        ("hidden_size", json!(0)),
        ("n_codebooks", json!(0)),
        ("n_codebooks", json!(-1)),
        ("codebook_size", json!(65_537)),
        ("codebook_dim", json!(0)),
    ];
    for (field, value) in faults {
        let mut config = good.clone();
        config[field] = value.clone();
        let error = open(&config).expect_err(field);
        assert_eq!(error.code(), "codec-config", "{field} = {value}: {error}");
        // JSON that is no number of the kind is told by its line.
        let is_told =
            matches!(value, Value::Null) || value == json!(-1) || error.to_string().contains(field);
        assert!(is_told, "{field} = {value}: {error}");
        assert!(error.to_string().contains("config.json"), "{error}");
    }
    let shapes = [
        ("codebook_dim", json!(5)),
        ("hidden_size", json!(11)),
        ("n_codebooks", json!(4)),
    ];
    for (field, value) in shapes {
        let mut config = good.clone();
        config[field] = value;
        let error = open(&config).expect_err(field);
        assert!(matches!(error, CodecError::Weights(_)), "{field}: {error}");
        assert!(error.to_string().contains("model.safetensors"), "{error}");
    }
}
