//! Hugging Face directories: what opens, and what it gives.

use std::fs;
use std::path::{Path, PathBuf};

use half::{bf16, f16};
use percept_weights::{Checkpoint, Layout, NotACheckpoint, PieceKind, Vocabulary, WeightsError};

use crate::make::{Raw, f32_tensor, safetensors, sentencepiece};

#[test]
fn the_embedded_model_opens_from_a_directory() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/tiny-en");
    let checkpoint = Checkpoint::open(&path).unwrap();
    assert_eq!(checkpoint.layout(), Layout::HuggingFace);
    assert_eq!(checkpoint.config()["model_type"], "parakeet_tdt");
    let preprocessor = checkpoint.preprocessor().unwrap();
    assert_eq!(preprocessor["sampling_rate"], 16_000);
    assert!(checkpoint.generation().is_some());
    let vocabulary = checkpoint.vocabulary().unwrap();
    assert_eq!(vocabulary.len(), 257);
    assert_eq!(vocabulary.piece(0).unwrap().kind, PieceKind::Unknown);
    assert_eq!(vocabulary.piece(1).unwrap().kind, PieceKind::Control);
    assert_eq!(vocabulary.piece(2).unwrap().text, "'");
    let tensors = checkpoint.tensors();
    for name in tensors.names() {
        let shape = tensors.shape(name).unwrap();
        if name.ends_with("num_batches_tracked") {
            assert_eq!(tensors.i64(name, shape).unwrap().len(), 1);
        } else {
            let values = tensors.f32(name, shape).unwrap();
            assert!(values.iter().all(|v| v.is_finite()), "{name}");
        }
    }
    assert!(checkpoint.files().iter().all(|file| file.is_file()));
}

const CONFIG: &[u8] = b"{\"model_type\": \"x\"}";

fn weights() -> Vec<u8> {
    safetensors(&[f32_tensor("a", &[2], &[0.5, -1.0])])
}

#[test]
fn files_in_memory_open_as_files_on_disk_do() {
    let weights: &'static [u8] = weights().leak();
    let processor = b"{\"feature_extractor\": {\"feature_size\": 80}}";
    let files: [(&str, &'static [u8]); 3] = [
        ("config.json", CONFIG),
        ("model.safetensors", weights),
        ("processor_config.json", processor),
    ];
    let dir = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        fs::write(dir.path().join(name), bytes).unwrap();
    }
    let memory = Checkpoint::from_memory("tiny", &files).unwrap();
    let disk = Checkpoint::open(dir.path()).unwrap();
    assert_eq!(memory.path(), Path::new("tiny"));
    assert_eq!(memory.config(), disk.config());
    assert_eq!(memory.preprocessor(), disk.preprocessor());
    assert_eq!(memory.preprocessor().unwrap()["feature_size"], 80);
    let values = |checkpoint: &Checkpoint| checkpoint.tensors().f32("a", &[2]).unwrap();
    assert_eq!(values(&memory), values(&disk));
    assert_eq!(
        memory.files(),
        ["config.json", "processor_config.json", "model.safetensors"]
            .map(|f| PathBuf::from("tiny").join(f))
    );

    let missing = memory.tensors().f32("b", &[2]).unwrap_err();
    assert!(missing.to_string().contains("tiny"), "{missing}");
    let incomplete = Checkpoint::from_memory("tiny", &files[..1]).unwrap_err();
    assert_eq!(incomplete.code(), "missing-file");
}

#[test]
fn weights_of_another_name_open_where_they_are_the_only_ones() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| fs::write(dir.path().join(name), bytes).unwrap();
    write("tokenizer-1.safetensors", &weights());
    assert_eq!(
        Checkpoint::open(dir.path()).unwrap_err().code(),
        "not-a-checkpoint",
        "no configuration"
    );
    let bare = Checkpoint::open_weights(dir.path()).unwrap();
    assert!(bare.config().is_null());
    assert_eq!(bare.tensors().f32("a", &[2]).unwrap(), [0.5, -1.0]);

    write("config.json", CONFIG);
    let file = dir.path().join("tokenizer-1.safetensors");
    let opened = [
        Checkpoint::open(dir.path()),
        Checkpoint::open_weights(dir.path()),
        Checkpoint::open_weights(&file),
    ];
    for checkpoint in opened {
        let checkpoint = checkpoint.unwrap();
        assert_eq!(checkpoint.config()["model_type"], "x");
        assert_eq!(checkpoint.config_path(), dir.path().join("config.json"));
        assert_eq!(checkpoint.tensors().path(), file);
    }

    write("other.safetensors", &weights());
    for error in [
        Checkpoint::open(dir.path()).unwrap_err(),
        Checkpoint::open_weights(dir.path()).unwrap_err(),
    ] {
        let found = NotACheckpoint::SeveralWeights;
        assert!(
            matches!(error, WeightsError::NotACheckpoint { found: ref f, .. } if *f == found),
            "{error}"
        );
    }
    // Which one is meant can be said, and the usual name goes before others.
    Checkpoint::open_weights(&file).unwrap();
    write("model.safetensors", &weights());
    Checkpoint::open(dir.path()).unwrap();

    write("snac.json", br#"{"model_type": "y"}"#);
    let named = |config, weights| Checkpoint::open_files(dir.path(), config, weights);
    let opened = named("snac.json", "tokenizer-1.safetensors").unwrap();
    assert_eq!(opened.config()["model_type"], "y");
    assert_eq!(opened.files(), [dir.path().join("snac.json"), file]);
    assert_eq!(opened.config_path(), dir.path().join("snac.json"));
    for (config, weights) in [
        ("none.json", "model.safetensors"),
        ("snac.json", "none.bin"),
    ] {
        assert_eq!(named(config, weights).unwrap_err().code(), "missing-file");
    }
}

#[test]
fn a_file_of_torch_opens_by_any_name() {
    let dir = tempfile::tempdir().unwrap();
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../golden/fixtures/codec/dac/descript_names/descript/weights.pth");
    fs::write(dir.path().join("config.json"), CONFIG).unwrap();
    fs::copy(fixture, dir.path().join("weights_44khz.pth")).unwrap();
    let checkpoint = Checkpoint::open(dir.path()).unwrap();
    assert!(checkpoint.tensors().contains("encoder.block.0.weight_g"));
}

#[test]
fn shards_are_one_model() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| fs::write(dir.path().join(name), bytes).unwrap();
    write("config.json", CONFIG);
    write("1.safetensors", &weights());
    write(
        "2.safetensors",
        &safetensors(&[f32_tensor("b", &[1], &[3.0])]),
    );
    let index = r#"{"weight_map":{"a":"1.safetensors","b":"2.safetensors"}}"#;
    write("model.safetensors.index.json", index.as_bytes());
    let checkpoint = Checkpoint::open(dir.path()).unwrap();
    assert_eq!(checkpoint.tensors().names().collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(checkpoint.tensors().f32("b", &[1]).unwrap(), [3.0]);
    assert_eq!(checkpoint.files().len(), 4);

    let promised = r#"{"weight_map":{"a":"1.safetensors","c":"2.safetensors"}}"#;
    write("model.safetensors.index.json", promised.as_bytes());
    let error = Checkpoint::open(dir.path()).unwrap_err();
    assert!(
        matches!(error, WeightsError::ShardTensor { ref name, .. } if name == "c"),
        "{error}"
    );
    write("2.safetensors", &weights());
    assert_eq!(
        Checkpoint::open(dir.path()).unwrap_err().code(),
        "duplicate-tensor"
    );
}

#[test]
fn every_float_type_gives_the_same_values() {
    let values = [0.5f32, -1.0, 1024.0];
    let f16s = values.iter().flat_map(|&v| f16::from_f32(v).to_le_bytes());
    let bf16s = values.iter().flat_map(|&v| bf16::from_f32(v).to_le_bytes());
    let f64s = values.iter().flat_map(|&v| f64::from(v).to_le_bytes());
    let f32s = values.iter().flat_map(|&v| v.to_le_bytes());
    let forms: [(&'static str, Vec<u8>); 4] = [
        ("F16", f16s.collect()),
        ("BF16", bf16s.collect()),
        ("F64", f64s.collect()),
        ("F32", f32s.collect()),
    ];
    let tensors = forms.map(|(dtype, bytes)| Raw {
        name: dtype.into(),
        dtype,
        shape: vec![3],
        bytes,
    });
    // An odd byte in front leaves nothing where its type would like it.
    let pad = Raw {
        name: "0".into(),
        dtype: "U8",
        shape: vec![1],
        bytes: vec![1],
    };
    let all: Vec<Raw> = std::iter::once(pad).chain(tensors).collect();
    let files = [
        ("config.json", CONFIG),
        ("model.safetensors", &*safetensors(&all).leak()),
    ];
    let checkpoint = Checkpoint::from_memory("m", &files).unwrap();
    for dtype in ["F16", "BF16", "F64", "F32"] {
        assert_eq!(
            checkpoint.tensors().f32(dtype, &[3]).unwrap(),
            values,
            "{dtype}"
        );
    }
}

/// The vocabulary of a model with these other files.
fn vocabulary(name: &str, file: &[u8]) -> Vocabulary {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("config.json"), CONFIG).unwrap();
    fs::write(dir.path().join("model.safetensors"), weights()).unwrap();
    fs::write(dir.path().join(name), file).unwrap();
    Checkpoint::open(dir.path()).unwrap().vocabulary().unwrap()
}

fn pieces(vocabulary: &Vocabulary) -> Vec<(&str, PieceKind)> {
    vocabulary
        .pieces()
        .iter()
        .map(|p| (&p.text[..], p.kind))
        .collect()
}

#[test]
fn every_kind_of_tokenizer_gives_its_pieces() {
    use PieceKind::{Byte, Control, Normal, Unknown, Unused, UserDefined};
    let bpe = r#"{
        "model": {"type": "BPE", "unk_token": "<unk>", "byte_fallback": true,
                  "vocab": {"<unk>": 0, "▁a": 2, "<0x41>": 1}},
        "added_tokens": [{"id": 0, "content": "<unk>", "special": true},
                         {"id": 4, "content": "<|en|>", "special": true},
                         {"id": 5, "content": "[laugh]", "special": false}]}"#;
    let want = [
        ("<unk>", Unknown),
        ("<0x41>", Byte(0x41)),
        ("▁a", Normal),
        ("", Unused),
        ("<|en|>", Control),
        ("[laugh]", UserDefined),
    ];
    assert_eq!(pieces(&vocabulary("tokenizer.json", bpe.as_bytes())), want);

    let unigram = r#"{"model": {"type": "Unigram", "unk_id": 1,
        "vocab": [["<0x41>", 0], ["?", 0], ["▁a", -1.5]]},
        "decoder": {"type": "Sequence", "decoders": [{"type": "ByteFallback"}]}}"#;
    let want = [("<0x41>", Byte(0x41)), ("?", Unknown), ("▁a", Normal)];
    assert_eq!(
        pieces(&vocabulary("tokenizer.json", unigram.as_bytes())),
        want
    );

    let word_piece = r###"{"model": {"type": "WordPiece", "unk_token": "[UNK]",
        "continuing_subword_prefix": "##", "vocab": {"[UNK]": 0, "a": 1, "##b": 2}},
        "added_tokens": []}"###;
    let want = [("[UNK]", Unknown), ("▁a", Normal), ("b", Normal)];
    assert_eq!(
        pieces(&vocabulary("tokenizer.json", word_piece.as_bytes())),
        want
    );

    let model = sentencepiece(&[("<unk>", 2), ("▁a", 1)]);
    let want = [("<unk>", Unknown), ("▁a", Normal)];
    assert_eq!(pieces(&vocabulary("tokenizer.model", &model)), want);
    assert_eq!(
        pieces(&vocabulary("vocab.txt", "<unk>\n▁a\n".as_bytes())),
        want
    );
}

#[test]
fn a_model_without_a_vocabulary_says_what_was_looked_for() {
    let files = [
        ("config.json", CONFIG),
        ("model.safetensors", &*weights().leak()),
    ];
    let checkpoint = Checkpoint::from_memory("m", &files).unwrap();
    let error = checkpoint.vocabulary().unwrap_err();
    assert!(
        error
            .to_string()
            .contains("tokenizer.json, tokenizer.model and vocab.txt")
    );
}
