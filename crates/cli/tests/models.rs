//! `--model` takes checkpoints as they are published, and says what is wrong with one.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod common;

use std::fs;
use std::path::Path;

use common::{copy_of_tiny_en, noise, path, put, run_in, tiny_en};
use serde_json::{Value, json};

fn edit_json(path: &Path, edit: impl FnOnce(&mut Value)) {
    let mut value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    edit(&mut value);
    fs::write(path, serde_json::to_vec(&value).unwrap()).unwrap();
}

#[test]
fn the_built_in_model_and_its_folder_give_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    put(folder.path(), &[("a.wav", &noise(1))]);
    let model = tiny_en();
    let model = model.to_str().unwrap();
    let built_in = run_in(folder.path(), &["transcribe", "--format", "json", "a.wav"]).ok();
    let opened = run_in(
        folder.path(),
        &["transcribe", "--format", "json", "--model", model, "a.wav"],
    )
    .ok();
    assert_eq!(opened, built_in);
    for (stage, output) in [("mel", "mel.npy"), ("encoder", "encoder.npy")] {
        run_in(
            folder.path(),
            &["features", "--stage", stage, "a.wav", "-o", output],
        )
        .ok();
        run_in(
            folder.path(),
            &[
                "features", "--stage", stage, "--model", model, "a.wav", "-o", "b.npy",
            ],
        )
        .ok();
        let read = |name: &str| fs::read(folder.path().join(name)).unwrap();
        assert!(read(output) == read("b.npy"), "{stage}");
    }
}

#[test]
fn a_model_with_a_fault_is_one_line_that_names_it() {
    let folder = tempfile::tempdir().unwrap();
    put(folder.path(), &[("a.wav", &noise(1))]);

    let family = copy_of_tiny_en(folder.path(), "family");
    edit_json(&family.join("config.json"), |config| {
        config["model_type"] = json!("whisper")
    });
    let layers = copy_of_tiny_en(folder.path(), "layers");
    edit_json(&layers.join("config.json"), |config| {
        config["encoder_config"]["num_hidden_layers"] = json!(9)
    });
    let width = copy_of_tiny_en(folder.path(), "width");
    edit_json(&width.join("config.json"), |config| {
        config["decoder_hidden_size"] = json!(145)
    });
    let vocabulary = copy_of_tiny_en(folder.path(), "vocabulary");
    edit_json(&vocabulary.join("tokenizer.json"), |tokenizer| {
        let pieces = tokenizer["model"]["vocab"].as_object().unwrap().clone();
        tokenizer["model"]["vocab"] = pieces
            .into_iter()
            .filter(|(_, id)| id.as_u64().unwrap() < 100)
            .collect();
        tokenizer["model"]["merges"] = json!([]);
        tokenizer["added_tokens"] = json!([]);
    });
    let cut = copy_of_tiny_en(folder.path(), "cut");
    let weights = fs::read(cut.join("model.safetensors")).unwrap();
    fs::write(cut.join("model.safetensors"), &weights[..weights.len() / 2]).unwrap();

    for (model, fact) in [
        ("family", "whisper"),
        ("layers", "layers.8."),
        ("width", "145"),
        ("vocabulary", "pieces"),
        ("cut", "model.safetensors"),
    ] {
        let stdout =
            run_in(folder.path(), &["transcribe", "--model", model, "a.wav"]).fails(&[model, fact]);
        assert_eq!(stdout, "");
        run_in(folder.path(), &["inspect", model]).fails(&[model, fact]);
        run_in(
            folder.path(),
            &["models", "verify", &path(folder.path(), model)],
        )
        .fails(&[model, fact]);
    }
}

#[test]
fn what_a_model_does_not_have_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    put(folder.path(), &[("a.wav", &noise(1))]);
    run_in(folder.path(), &["transcribe", "--decoder", "ctc", "a.wav"]).fails(&["tiny-en", "CTC"]);
    run_in(folder.path(), &["transcribe", "--language", "de", "a.wav"])
        .fails(&["tiny-en", "language"]);
    let named = run_in(
        folder.path(),
        &[
            "transcribe",
            "--decoder",
            "tdt",
            "--model",
            "tiny-en",
            "a.wav",
        ],
    )
    .ok();
    assert_eq!(named, run_in(folder.path(), &["transcribe", "a.wav"]).ok());
}

/// Each sample beside the model has its text in a file of the same name.
#[test]
fn the_samples_are_understood() {
    let Ok(entries) = fs::read_dir(tiny_en().join("samples")) else {
        return;
    };
    for entry in entries {
        let text = entry.unwrap().path();
        if text.extension().is_none_or(|extension| extension != "txt") {
            continue;
        }
        let sample = ["wav", "flac"].map(|extension| text.with_extension(extension));
        let sample = sample.iter().find(|path| path.exists()).unwrap();
        let heard = run_in(&tiny_en(), &["transcribe", sample.to_str().unwrap()]).ok();
        assert_eq!(
            heard.trim_end(),
            fs::read_to_string(&text).unwrap().trim_end(),
            "{}",
            sample.display()
        );
    }
}
