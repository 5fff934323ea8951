//! NeMo archives: a tar, plain or gzip'd, of a configuration, weights and a tokenizer.
//!
//! A plain archive is mapped and its tensors are ranges of the map; a gzip'd one is unpacked once into a nameless
//! temporary file. Members are never written out under their names.

pub(crate) mod gunzip;
pub(crate) mod tar;
pub(crate) mod yaml;

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::source::MAX_TEXT_BYTES;
use crate::tensors::Tensors;
use crate::view::View;
use crate::vocabulary::{Piece, PieceKind, Vocabulary};
use crate::{WeightsError, sentencepiece, torch, word_list};

pub use gunzip::GzipFault;
pub use tar::TarFault;
pub use yaml::YamlFault;

const CONFIG: &str = "model_config.yaml";
const WEIGHTS: &str = "model_weights.ckpt";

/// The largest `model_config.yaml` that is read; one with three vocabularies of 8,192 pieces has 0.5 MB.
const MAX_CONFIG_BYTES: u64 = 16 << 20;

/// Where a configuration may list the pieces, first choice first.
const LISTS: [&[&str]; 4] = [
    &["joint", "vocabulary"],
    &["decoder", "vocabulary"],
    &["aux_ctc", "decoder", "vocabulary"],
    &["labels"],
];

/// What a `.nemo` file holds apart from its tensors.
pub(crate) struct Nemo {
    pub(crate) config: Value,
    archive: Archive,
}

impl Nemo {
    /// Whether the bytes look like an archive of this kind.
    pub(crate) fn is_in(bytes: &[u8]) -> bool {
        gunzip::is_gzip(bytes) || tar::is_tar(bytes)
    }

    /// Reads the archive in `view`; `file` is what errors name.
    pub(crate) fn open(file: &Path, view: View) -> Result<(Nemo, Tensors), WeightsError> {
        let archive = Archive::open(file, view)?;
        let yaml = archive.small(CONFIG, MAX_CONFIG_BYTES)?;
        let config = yaml::parse(archive.required(CONFIG, yaml)?.bytes());
        let config = config.map_err(|fault| WeightsError::Yaml {
            file: archive.member(CONFIG),
            fault,
        })?;
        let weights = archive.required(WEIGHTS, archive.get(WEIGHTS))?;
        let by_name = torch::read(&archive.member(WEIGHTS), &weights)?;
        let tensors = Tensors::new(file, by_name);
        Ok((Nemo { config, archive }, tensors))
    }

    /// The pieces: of the SentencePiece model, else of `vocab.txt`, else of the lists in the configuration.
    ///
    /// Where NeMo writes `vocab.txt` beside a SentencePiece model, it leaves `<unk>` out, whose id is 0; it is put
    /// back for a tokenizer of type `bpe`.
    pub(crate) fn vocabulary(&self) -> Result<Vocabulary, WeightsError> {
        if let Some(name) = self.tokenizer_file("model_path", "tokenizer.model")?
            && let Some(model) = self.archive.small(&name, MAX_TEXT_BYTES)?
        {
            return sentencepiece::vocabulary(&self.archive.member(&name), model.bytes());
        }
        if let Some(name) = self.tokenizer_file("vocab_path", "vocab.txt")?
            && let Some(list) = self.archive.small(&name, MAX_TEXT_BYTES)?
        {
            let list = word_list::from_lines(&self.archive.member(&name), list.bytes())?;
            let is_bpe = self.config["tokenizer"]["type"] == "bpe";
            return Ok(if is_bpe { with_unknown(list) } else { list });
        }
        for path in LISTS {
            let list = path
                .iter()
                .try_fold(&self.config, |value, key| value.get(key));
            if let Some(list) = list
                .and_then(Value::as_array)
                .filter(|list| !list.is_empty())
            {
                return self.listed(path, list);
            }
        }
        Err(WeightsError::NoVocabulary {
            path: self.archive.file.clone(),
            looked_for: "tokenizer.model, vocab.txt and a vocabulary in model_config.yaml",
        })
    }

    /// The archive.
    pub(crate) fn file(&self) -> &Path {
        &self.archive.file
    }

    pub(crate) fn files(&self) -> Vec<PathBuf> {
        vec![self.archive.file.clone()]
    }

    fn listed(&self, path: &[&str], list: &[Value]) -> Result<Vocabulary, WeightsError> {
        let pieces: Option<Vec<&str>> = list.iter().map(Value::as_str).collect();
        let pieces = pieces.ok_or_else(|| WeightsError::Field {
            file: self.archive.member(CONFIG),
            field: path.join("."),
            expected: "a list of texts",
        })?;
        Ok(word_list::from_pieces(pieces.iter().copied()))
    }

    /// The member that `tokenizer.{field}` names as `nemo:...`, or else the only one whose name ends with `suffix`.
    fn tokenizer_file(&self, field: &str, suffix: &str) -> Result<Option<String>, WeightsError> {
        let named = self.config["tokenizer"][field].as_str();
        let named = named.and_then(|name| name.strip_prefix("nemo:"));
        if let Some(name) = named.filter(|name| self.archive.members.contains_key(*name)) {
            return Ok(Some(name.into()));
        }
        let names = self.archive.members.keys();
        let mut fitting = names.filter(|name| name.ends_with(suffix));
        match (fitting.next(), fitting.next()) {
            (Some(first), Some(second)) => Err(WeightsError::SeveralTokenizers {
                file: self.archive.file.clone(),
                first: first.clone(),
                second: second.clone(),
            }),
            (only, _) => Ok(only.cloned()),
        }
    }
}

/// The list with `<unk>` as piece 0, unless it is somewhere in it.
fn with_unknown(list: Vocabulary) -> Vocabulary {
    let mut pieces = list.pieces().to_vec();
    if pieces.iter().all(|piece| piece.kind != PieceKind::Unknown) {
        let unknown = Piece {
            text: "<unk>".into(),
            kind: PieceKind::Unknown,
        };
        pieces.insert(0, unknown);
    }
    Vocabulary::new(pieces)
}

/// The members of an archive by name.
struct Archive {
    file: PathBuf,
    view: View,
    members: BTreeMap<String, Range<usize>>,
}

impl Archive {
    fn open(file: &Path, view: View) -> Result<Archive, WeightsError> {
        let view = if gunzip::is_gzip(view.bytes()) {
            gunzip::unpack(view.bytes()).map_err(|fault| WeightsError::Gzip {
                file: file.into(),
                fault,
            })?
        } else {
            view
        };
        let members = tar::members(view.bytes()).map_err(|fault| WeightsError::Tar {
            file: file.into(),
            fault,
        })?;
        Ok(Archive {
            file: file.into(),
            view,
            members,
        })
    }

    /// How errors name a member.
    fn member(&self, name: &str) -> PathBuf {
        self.file.join(name)
    }

    fn get(&self, name: &str) -> Option<View> {
        let range = self.members.get(name)?.clone();
        Some(self.view.slice(range).expect("members lie in the archive"))
    }

    /// A member of at most `limit` bytes.
    fn small(&self, name: &str, limit: u64) -> Result<Option<View>, WeightsError> {
        let view = self.get(name);
        match view.as_ref().map(|view| view.len() as u64) {
            Some(bytes) if bytes > limit => Err(WeightsError::TooLarge {
                file: self.member(name),
                bytes,
                limit,
            }),
            _ => Ok(view),
        }
    }

    fn required(&self, name: &'static str, found: Option<View>) -> Result<View, WeightsError> {
        found.ok_or_else(|| WeightsError::MissingFile {
            path: self.file.clone(),
            file: name,
        })
    }
}
