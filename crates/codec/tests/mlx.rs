//! A checkpoint in the arrangement of MLX is the same model.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use percept_codec::{CodecModel, DecodeOptions, EncodeOptions, Noise, PcmRef};
use percept_testkit::golden::CodecCase;
use percept_weights::{Checkpoint, Tensors};

/// The name of a tensor in MLX: every list of modules is in `layers`.
fn name_of(name: &str) -> String {
    let name = name
        .replace("parametrizations.weight.original0", "weight_g")
        .replace("parametrizations.weight.original1", "weight_v");
    match name.starts_with("quantizer.") {
        true => name,
        false => name
            .replace(".block.", ".block.layers.")
            .replace(".model.", ".model.layers."),
    }
}

/// The values of a tensor with its last two axes exchanged.
fn exchanged(values: &[f32], shape: &[usize]) -> Vec<f32> {
    let (rows, columns) = (shape[1], shape[2]);
    let slices = values.chunks_exact(rows * columns);
    let slices =
        slices.flat_map(|s| (0..rows * columns).map(move |i| s[i % rows * columns + i / rows]));
    slices.collect()
}

/// Writes tensors as MLX would have them.
fn write(tensors: &Tensors, path: &Path) {
    let (mut header, mut data) = (BTreeMap::new(), Vec::new());
    for name in tensors.names() {
        let mut shape = tensors.shape(name).expect("a name of its own").to_vec();
        let mut values = tensors.f32(name, &shape).expect("numbers");
        let other = name_of(name);
        if other.ends_with("weight_v") {
            values = exchanged(&values, &shape);
            shape.swap(1, 2);
        }
        let first = data.len();
        data.extend(values.iter().flat_map(|v| v.to_le_bytes()));
        let entry = serde_json::json!({"dtype": "F32", "shape": shape, "data_offsets": [first, data.len()]});
        header.insert(other, entry);
    }
    let header = serde_json::to_vec(&header).expect("plain values");
    let length = (header.len() as u64).to_le_bytes();
    fs::write(path, [&length[..], &header, &data].concat()).expect("room");
}

#[test]
fn an_mlx_checkpoint_is_the_same_model() {
    for name in ["24khz", "44khz", "dense_no_noise"] {
        let case = CodecCase::open("snac", name);
        let original = Checkpoint::open(&case.model()).expect("a complete checkpoint");
        let dir = tempfile::tempdir().expect("a directory");
        let config = fs::read(case.model().join("config.json")).expect("a configuration");
        fs::write(dir.path().join("config.json"), config).expect("room");
        write(original.tensors(), &dir.path().join("model.safetensors"));

        let pcm = PcmRef {
            samples: &case.seam("pcm").data,
            sample_rate: case.expect.sample_rate,
            channels: 1,
        };
        let options = DecodeOptions {
            noise: Noise::Seeded(1),
            ..DecodeOptions::default()
        };
        let run = |model: CodecModel| {
            let codes = model.encode(pcm, &EncodeOptions::default()).expect("sound");
            let sound = model.decode(&codes, &options).expect("its codes");
            (codes, sound.samples)
        };
        let expected = run(CodecModel::open(&case.model()).expect("complete"));
        assert!(
            run(CodecModel::open(dir.path()).expect("the same")) == expected,
            "{name}"
        );
    }
}
