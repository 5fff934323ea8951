//! Which files of a repository make up its model.

use super::HubError;
use crate::huggingface::{
    CONFIG, GENERATION, INDEX, PREPROCESSOR, PROCESSOR, SENTENCEPIECE, TOKENIZER, TORCH, WEIGHTS,
    WORDS, is_plain_name,
};

/// Small files that are fetched where they are there.
const SMALL: [&str; 8] = [
    CONFIG,
    GENERATION,
    PREPROCESSOR,
    PROCESSOR,
    TOKENIZER,
    "tokenizer_config.json",
    "special_tokens_map.json",
    "chat_template.jinja",
];

/// The files to fetch, small ones first.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Selection {
    pub(super) files: Vec<String>,
    /// Whether the last file is an index whose shards are to be fetched too.
    pub(super) has_index: bool,
}

/// Chooses among the files of a repository, of which only those in its top folder count.
///
/// Safetensors come before `.nemo`, and that before torch's own format; a safetensors file of another name comes last,
/// and must be the only one. Of several `.nemo` files the one that is named like the repository is taken.
pub(super) fn select(name: &str, files: &[String]) -> Result<Selection, HubError> {
    let has = |file: &str| files.iter().any(|f| f == file);
    let mut chosen: Vec<String> = Vec::new();
    let mut choose = |file: &str| {
        if has(file) {
            chosen.push(file.into());
        }
    };
    let weights = [WEIGHTS, INDEX].into_iter().find(|file| has(file));
    let (weights, needs_config) = match (weights, nemo(name, files)) {
        (Some(weights), _) if has(CONFIG) => (weights, true),
        (_, Some(nemo)) => (nemo, false),
        _ if has(CONFIG) && has(TORCH) => (TORCH, true),
        _ if has(CONFIG)
            && let Some(only) = only_safetensors(files) =>
        {
            (only, true)
        }
        _ => return Err(HubError::NoModel { id: name.into() }),
    };
    if needs_config {
        SMALL.into_iter().for_each(&mut choose);
        if !has(TOKENIZER) {
            [SENTENCEPIECE, WORDS].into_iter().for_each(&mut choose);
        }
    }
    chosen.push(weights.into());
    Ok(Selection {
        files: chosen,
        has_index: weights == INDEX,
    })
}

/// The only safetensors file, whatever it is called.
fn only_safetensors(files: &[String]) -> Option<&str> {
    let is_one = |file: &&String| file.ends_with(".safetensors") && is_plain_name(file);
    let mut found = files.iter().filter(is_one);
    let only = found.next().filter(|_| found.next().is_none());
    only.map(String::as_str)
}

fn nemo<'a>(name: &str, files: &'a [String]) -> Option<&'a str> {
    let is_nemo = |file: &&String| file.ends_with(".nemo") && is_plain_name(file);
    let mut archives = files.iter().filter(is_nemo);
    let own = name.rsplit('/').next().unwrap_or(name);
    let named = archives
        .clone()
        .find(|file| file.strip_suffix(".nemo") == Some(own));
    let only = archives.next().filter(|_| archives.next().is_none());
    named.or(only).map(String::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(files: &[&str]) -> Option<Vec<String>> {
        let files: Vec<String> = files.iter().map(|f| f.to_string()).collect();
        select("o/m", &files).ok().map(|selection| selection.files)
    }

    #[test]
    fn one_form_of_the_weights_is_chosen() {
        let cases: [(&[&str], Option<&[&str]>); 10] = [
            (
                &["config.json", "tokenizer-1.safetensors"],
                Some(&["config.json", "tokenizer-1.safetensors"]),
            ),
            (&["config.json", "a.safetensors", "b.safetensors"], None),
            (
                &[
                    "config.json",
                    "model.safetensors",
                    "m.nemo",
                    "README.md",
                    "x/model.safetensors",
                ],
                Some(&["config.json", "model.safetensors"]),
            ),
            (
                &[
                    "config.json",
                    "model.safetensors.index.json",
                    "tokenizer.json",
                    "vocab.txt",
                ],
                Some(&[
                    "config.json",
                    "tokenizer.json",
                    "model.safetensors.index.json",
                ]),
            ),
            (
                &["m.nemo", "config.json", "pytorch_model.bin"],
                Some(&["m.nemo"]),
            ),
            (&["m.nemo", "other.nemo"], Some(&["m.nemo"])),
            (&["a.nemo", "b.nemo"], None),
            (
                &["config.json", "pytorch_model.bin", "vocab.txt"],
                Some(&["config.json", "vocab.txt", "pytorch_model.bin"]),
            ),
            (&["model.safetensors"], None),
            (&["../m.nemo", "x/config.json"], None),
        ];
        for (files, want) in cases {
            let want = want.map(|w| w.iter().map(|f| f.to_string()).collect());
            assert_eq!(chosen(files), want, "{files:?}");
        }
    }
}
