//! The layout of a Hugging Face model repository: configuration, tokenizer and weights as files side by side.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::cache::StampedFile;
use crate::error::NotACheckpoint;
use crate::source::Source;
use crate::tensors::Tensors;
use crate::vocabulary::Vocabulary;
use crate::{WeightsError, safetensors, sentencepiece, tokenizer_json, torch, word_list};

/// The files of this layout.
pub(crate) const CONFIG: &str = "config.json";
pub(crate) const WEIGHTS: &str = "model.safetensors";
pub(crate) const TORCH: &str = "pytorch_model.bin";
pub(crate) const INDEX: &str = "model.safetensors.index.json";
pub(crate) const TOKENIZER: &str = "tokenizer.json";
pub(crate) const SENTENCEPIECE: &str = "tokenizer.model";
pub(crate) const WORDS: &str = "vocab.txt";
pub(crate) const PREPROCESSOR: &str = "preprocessor_config.json";
pub(crate) const PROCESSOR: &str = "processor_config.json";
pub(crate) const GENERATION: &str = "generation_config.json";

/// What a repository holds apart from its tensors.
pub(crate) struct HuggingFace {
    pub(crate) config: Value,
    pub(crate) preprocessor: Option<Value>,
    pub(crate) processor: Option<Value>,
    pub(crate) generation: Option<Value>,
    /// What `config` is called here.
    config_name: String,
    source: Source,
    weights: Vec<PathBuf>,
}

impl HuggingFace {
    /// Whether the files of this layout are there at all.
    pub(crate) fn is_at(source: &Source) -> bool {
        source.contains(CONFIG) && has_usual_weights(source)
    }

    /// Whether there are weights, under their usual names or as the only file of their kind.
    pub(crate) fn has_weights(source: &Source) -> Result<bool, WeightsError> {
        Ok(has_usual_weights(source) || only_weights(source)?.is_some())
    }

    /// Whether there is a configuration beside such weights.
    pub(crate) fn is_at_by_any_name(source: &Source) -> Result<bool, WeightsError> {
        Ok(source.contains(CONFIG) && Self::has_weights(source)?)
    }

    pub(crate) fn open(
        source: Source,
    ) -> Result<(HuggingFace, Tensors, Vec<StampedFile>), WeightsError> {
        let config = required(&source, CONFIG, source.json(CONFIG)?)?;
        let weights = weights(&source)?;
        HuggingFace::with(source, CONFIG, config, weights)
    }

    /// A configuration and weights of these names.
    pub(crate) fn open_files(
        source: Source,
        config_name: &str,
        weights: &str,
    ) -> Result<(HuggingFace, Tensors, Vec<StampedFile>), WeightsError> {
        let config = required(&source, CONFIG, source.json(config_name)?)?;
        let weights = one_file(&source, weights)?;
        HuggingFace::with(source, config_name, config, weights)
    }

    /// The weights in the file `name` of a source, or in those that [`HuggingFace::has_weights`] has seen, whose
    /// configuration may be missing; it is null then.
    pub(crate) fn open_weights(
        source: Source,
        name: Option<&str>,
    ) -> Result<(HuggingFace, Tensors, Vec<StampedFile>), WeightsError> {
        let config = source.json(CONFIG)?.unwrap_or(Value::Null);
        let weights = match name {
            Some(name) => one_file(&source, name)?,
            None => weights(&source)?,
        };
        HuggingFace::with(source, CONFIG, config, weights)
    }

    fn with(
        source: Source,
        config_name: &str,
        config: Value,
        weights: Weights,
    ) -> Result<(HuggingFace, Tensors, Vec<StampedFile>), WeightsError> {
        let processor = source.json(PROCESSOR)?;
        let preprocessor = match source.json(PREPROCESSOR)? {
            Some(preprocessor) => Some(preprocessor),
            None => processor
                .as_ref()
                .and_then(|processor| processor.get("feature_extractor").cloned()),
        };
        let generation = source.json(GENERATION)?;
        let Weights {
            tensors,
            files,
            stamped,
        } = weights;
        let checkpoint = HuggingFace {
            config,
            preprocessor,
            processor,
            generation,
            config_name: config_name.into(),
            source,
            weights: files,
        };
        Ok((checkpoint, tensors, stamped))
    }

    /// The pieces of `tokenizer.json`, else of `tokenizer.model`, else of `vocab.txt`.
    pub(crate) fn vocabulary(&self) -> Result<Vocabulary, WeightsError> {
        if let Some(tokenizer) = self.source.json(TOKENIZER)? {
            return tokenizer_json::vocabulary(&self.source.file(TOKENIZER), &tokenizer);
        }
        if let Some(model) = self.source.text(SENTENCEPIECE)? {
            return sentencepiece::vocabulary(&self.source.file(SENTENCEPIECE), &model);
        }
        if let Some(list) = self.source.text(WORDS)? {
            return word_list::from_lines(&self.source.file(WORDS), &list);
        }
        Err(WeightsError::NoVocabulary {
            path: self.source.path().into(),
            looked_for: "tokenizer.json, tokenizer.model and vocab.txt",
        })
    }

    /// Where `config` is from, or should be.
    pub(crate) fn config_file(&self) -> PathBuf {
        self.source.file(&self.config_name)
    }

    /// Where `preprocessor` is from, or should be.
    pub(crate) fn preprocessor_file(&self) -> PathBuf {
        let is_part = self.preprocessor.is_some() && !self.source.contains(PREPROCESSOR);
        self.source
            .file(if is_part { PROCESSOR } else { PREPROCESSOR })
    }

    /// The files that are used, weights last.
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        let small = [
            &self.config_name[..],
            PREPROCESSOR,
            PROCESSOR,
            GENERATION,
            TOKENIZER,
            SENTENCEPIECE,
            WORDS,
        ];
        let mut files: Vec<PathBuf> = small
            .into_iter()
            .filter(|name| self.source.contains(name))
            .map(|name| self.source.file(name))
            .collect();
        files.extend(self.weights.iter().cloned());
        files
    }
}

/// The tensors, and where they are from.
struct Weights {
    tensors: Tensors,
    /// The files that hold them, after the index if there is one.
    files: Vec<PathBuf>,
    /// The state of those that were mapped.
    stamped: Vec<StampedFile>,
}

/// The tensors, and the files that hold them: safetensors (one file, or shards) before torch's own format, and the
/// usual names before others.
fn weights(source: &Source) -> Result<Weights, WeightsError> {
    if source.contains(WEIGHTS) {
        return one_file(source, WEIGHTS);
    }
    if let Some(index) = source.json(INDEX)? {
        return sharded(source, &index);
    }
    if source.contains(TORCH) {
        return one_file(source, TORCH);
    }
    let only = only_weights(source)?;
    one_file(source, only.as_deref().unwrap_or(WEIGHTS))
}

/// The tensors of one file: safetensors by its name, or of `torch.save`.
fn one_file(source: &Source, name: &str) -> Result<Weights, WeightsError> {
    let file = source.file(name);
    let (view, stamped) = required(source, WEIGHTS, source.view(name)?)?;
    let mut by_name = BTreeMap::new();
    match name.ends_with(".safetensors") {
        true => safetensors::read(&file, &view, &mut by_name)?,
        false => by_name = torch::read(&file, &view)?,
    }
    Ok(Weights {
        tensors: Tensors::new(&file, by_name),
        files: vec![file],
        stamped: stamped.into_iter().collect(),
    })
}

fn has_usual_weights(source: &Source) -> bool {
    let usual = [WEIGHTS, INDEX, TORCH];
    usual.iter().any(|name| source.contains(name))
}

/// The only file of weights of a source, whatever it is called: safetensors, or else what `torch.save` writes.
fn only_weights(source: &Source) -> Result<Option<String>, WeightsError> {
    let names = source.names()?;
    for extensions in [&["safetensors"][..], &["pth", "th", "pt"]] {
        let is_one = |name: &&String| {
            let extension = Path::new(name).extension().and_then(|e| e.to_str());
            extension.is_some_and(|e| extensions.contains(&e))
        };
        let mut found = names.iter().filter(is_one);
        match (found.next(), found.next()) {
            (None, _) => {}
            (Some(only), None) => return Ok(Some(only.clone())),
            (Some(_), Some(_)) => {
                return Err(WeightsError::NotACheckpoint {
                    path: source.path().into(),
                    found: NotACheckpoint::SeveralWeights,
                });
            }
        }
    }
    Ok(None)
}

/// The tensors of all shards that an index names, and the files.
fn sharded(source: &Source, index: &Value) -> Result<Weights, WeightsError> {
    let index_file = source.file(INDEX);
    let shard_of = shards(index, &index_file)?;
    let mut by_name = BTreeMap::new();
    let mut files = vec![index_file.clone()];
    let mut stamped = Vec::new();
    for shard in shard_of.values().collect::<BTreeSet<_>>() {
        let file = source.file(shard);
        let Some((view, stamp)) = source.view(shard)? else {
            return Err(WeightsError::MissingShard {
                file: index_file,
                shard: shard.clone(),
            });
        };
        safetensors::read(&file, &view, &mut by_name)?;
        files.push(file);
        stamped.extend(stamp);
    }
    if let Some((name, shard)) = shard_of
        .iter()
        .find(|(name, _)| !by_name.contains_key(*name))
    {
        return Err(WeightsError::ShardTensor {
            file: index_file,
            name: name.clone(),
            shard: shard.clone(),
        });
    }
    Ok(Weights {
        tensors: Tensors::new(&index_file, by_name),
        files,
        stamped,
    })
}

/// The `weight_map` of an index: tensor name to shard name, which must be a plain file name.
fn shards(index: &Value, file: &Path) -> Result<BTreeMap<String, String>, WeightsError> {
    let field = || WeightsError::Field {
        file: file.into(),
        field: "weight_map".into(),
        expected: "an object from tensor names to file names",
    };
    let map = index.get("weight_map").and_then(Value::as_object);
    let mut shards = BTreeMap::new();
    for (name, shard) in map.ok_or_else(field)? {
        let shard = shard.as_str().ok_or_else(field)?;
        if !is_plain_name(shard) {
            return Err(WeightsError::ShardName {
                file: file.into(),
                shard: shard.into(),
            });
        }
        shards.insert(name.clone(), shard.to_string());
    }
    Ok(shards)
}

/// The names of the shards that the text of an index names.
pub(crate) fn shard_names(file: &Path, index: &[u8]) -> Result<BTreeSet<String>, WeightsError> {
    let index: Value = serde_json::from_slice(index).map_err(|source| WeightsError::Json {
        file: file.into(),
        source,
    })?;
    Ok(shards(&index, file)?.into_values().collect())
}

/// Whether a name stays in its directory on every system.
pub(crate) fn is_plain_name(name: &str) -> bool {
    !matches!(name, "" | "." | "..") && !name.contains(['/', '\\', ':', '\0'])
}

fn required<T>(source: &Source, file: &'static str, found: Option<T>) -> Result<T, WeightsError> {
    found.ok_or_else(|| WeightsError::MissingFile {
        path: source.path().into(),
        file,
    })
}
