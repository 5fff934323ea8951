//! Checkpoints with a part missing, misshapen or too much are refused, and the error names the part.

use std::collections::BTreeMap;
use std::path::Path;

use percept_asr::{Model, ModelError, ModelOptions};
use percept_testkit::golden::{Case, cases};
use percept_weights::Checkpoint;
use serde_json::{Value, json};

/// A Hugging Face checkpoint taken apart: safetensors header entries and the data they point into.
struct Parts {
    files: Vec<(String, Vec<u8>)>,
    header: BTreeMap<String, Value>,
    data: Vec<u8>,
}

impl Parts {
    fn of(case: &Case) -> Option<Parts> {
        let folder = case.model()?;
        let mut files = Vec::new();
        for entry in std::fs::read_dir(&folder).expect("a fixture") {
            let path = entry.expect("a fixture").path();
            let name = path.file_name()?.to_str()?.to_owned();
            if name != "model.safetensors" {
                files.push((name, std::fs::read(&path).expect("a fixture")));
            }
        }
        let bytes = std::fs::read(folder.join("model.safetensors")).expect("a fixture");
        let (length, rest) = bytes.split_first_chunk::<8>()?;
        let (header, data) = rest.split_at(u64::from_le_bytes(*length) as usize);
        let header = serde_json::from_slice(header).expect("a fixture");
        let data = data.to_vec();
        Some(Parts {
            files,
            header,
            data,
        })
    }

    /// Writes the parts to `folder` without the tensor `left_out`, its bytes gone too.
    fn write(&self, folder: &Path, left_out: Option<&str>) {
        for (name, bytes) in &self.files {
            std::fs::write(folder.join(name), bytes).expect("a temporary folder");
        }
        let (mut header, mut data) = (serde_json::Map::new(), Vec::new());
        for (name, entry) in &self.header {
            if name == "__metadata__" || Some(name.as_str()) == left_out {
                continue;
            }
            let at = |n: usize| entry["data_offsets"][n].as_u64().expect("a fixture") as usize;
            let start = data.len();
            data.extend_from_slice(&self.data[at(0)..at(1)]);
            let offsets = json!([start, data.len()]);
            let entry =
                json!({"dtype": entry["dtype"], "shape": entry["shape"], "data_offsets": offsets});
            header.insert(name.clone(), entry);
        }
        let header = serde_json::to_vec(&header).expect("a header");
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend(header);
        bytes.extend(data);
        std::fs::write(folder.join("model.safetensors"), bytes).expect("a temporary folder");
    }

    /// Changes a JSON file.
    fn edit(&mut self, name: &str, change: impl FnOnce(&mut Value)) {
        let file = self
            .files
            .iter_mut()
            .find(|(n, _)| n == name)
            .expect("a fixture");
        let mut value = serde_json::from_slice(&file.1).expect("a fixture");
        change(&mut value);
        file.1 = serde_json::to_vec(&value).expect("JSON");
    }
}

fn load(folder: &Path) -> Result<Model, ModelError> {
    Model::load(Checkpoint::open(folder)?, ModelOptions::default())
}

#[test]
fn every_tensor_is_needed() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut removed = 0;
    for case in cases() {
        let Some(parts) = Parts::of(&case) else {
            continue;
        };
        parts.write(folder.path(), None);
        load(folder.path()).unwrap_or_else(|e| panic!("{}: {e}", case.name()));
        for name in parts.header.keys().filter(|name| *name != "__metadata__") {
            parts.write(folder.path(), Some(name));
            let result = load(folder.path());
            if name.ends_with("num_batches_tracked") {
                assert!(
                    result.is_ok(),
                    "{}: {name} is a counter of training",
                    case.name()
                );
                continue;
            }
            let error = result
                .err()
                .unwrap_or_else(|| panic!("{}: loads without {name}", case.name()));
            assert_eq!(
                error.code(),
                "missing-tensor",
                "{}: {name}: {error}",
                case.name()
            );
            assert!(
                error.to_string().contains(name.as_str()),
                "{}: {name}: {error}",
                case.name()
            );
            removed += 1;
        }
    }
    assert!(removed > 400, "only {removed} tensors were removed");
}

#[test]
fn biases_of_a_whole_group_may_be_absent_whatever_the_config_says() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut parts = Parts::of(&Case::open("tdt_v3")).expect("a Hugging Face fixture");
    parts.edit("config.json", |config| {
        config["encoder_config"]["attention_bias"] = json!(true);
        config["encoder_config"]["convolution_bias"] = json!(true);
    });
    parts.write(folder.path(), None);
    load(folder.path()).expect("presence beats the configuration");
}

#[test]
fn sizes_that_do_not_fit_the_weights_are_refused() {
    let encoder = |field: &'static str, value: Value| {
        move |config: &mut Value| config["encoder_config"][field] = value.clone()
    };
    type Change = Box<dyn Fn(&mut Value)>;
    let changes: Vec<(&str, Change)> = vec![
        (
            "missing-tensor",
            Box::new(encoder("num_hidden_layers", json!(3))),
        ),
        ("field", Box::new(encoder("num_hidden_layers", json!(1)))),
        (
            "tensor-shape",
            Box::new(encoder("conv_kernel_size", json!(5))),
        ),
        ("field", Box::new(encoder("conv_kernel_size", json!(8)))),
        ("field", Box::new(encoder("num_attention_heads", json!(7)))),
        ("field", Box::new(encoder("num_attention_heads", json!(0)))),
        ("field", Box::new(encoder("subsampling_factor", json!(6)))),
        (
            "tensor-shape",
            Box::new(encoder("intermediate_size", json!(100))),
        ),
        (
            "missing-tensor",
            Box::new(|config| config["num_decoder_layers"] = json!(3)),
        ),
        (
            "field",
            Box::new(|config| config["blank_token_id"] = json!(65)),
        ),
        (
            "field",
            Box::new(|config| config["durations"] = json!([0, -1])),
        ),
        (
            "tensor-shape",
            Box::new(|config| config["durations"] = json!([0, 1])),
        ),
        (
            "unknown-family",
            Box::new(|config| config["model_type"] = json!("whisper")),
        ),
        (
            "vocabulary-size",
            Box::new(|config| config["vocab_size"] = json!(80)),
        ),
    ];
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (n, (code, change)) in changes.iter().enumerate() {
        let mut parts = Parts::of(&Case::open("tdt_v3")).expect("a Hugging Face fixture");
        parts.edit("config.json", change);
        parts.write(folder.path(), None);
        let error = load(folder.path())
            .err()
            .unwrap_or_else(|| panic!("change {n} is accepted"));
        assert_eq!(error.code(), *code, "change {n}: {error}");
    }
}

#[test]
fn a_tokenizer_of_another_size_is_refused() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let cut = |tokenizer: &mut Value| {
        let vocab = tokenizer["model"]["vocab"]
            .as_object_mut()
            .expect("a BPE table");
        vocab.retain(|_, id| id.as_u64().is_some_and(|id| id < 20));
    };
    let grow = |tokenizer: &mut Value| tokenizer["model"]["vocab"]["more"] = json!(70);
    for change in [&cut as &dyn Fn(&mut Value), &grow] {
        let mut parts = Parts::of(&Case::open("tdt_v3")).expect("a Hugging Face fixture");
        parts.edit("tokenizer.json", change);
        parts.write(folder.path(), None);
        assert_eq!(
            load(folder.path()).expect_err("another size").code(),
            "vocabulary-size"
        );
    }
}
