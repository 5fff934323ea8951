//! Which model `--model` means.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use percept::hub::Hub;
use percept::{Decoder, Precision, Recognizer, RecognizerOptions, WeightCache};
use sha2::{Digest, Sha256};

use crate::args::{CacheArgs, DecoderArg, DecodingArgs, ModelArgs, PrecisionArg};
use crate::error::CliError;
use crate::progress::Progress;
use crate::{models, resume};

/// The name of the model that is built into the command.
pub(crate) const EMBEDDED: &str = "tiny-en";

/// A model that is there to be opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Located {
    Embedded,
    /// A folder or a `.nemo` file.
    Path(PathBuf),
}

/// Finds a model: what exists on disk, then the built-in one, then a hub id, which is downloaded if the cache lacks it.
///
/// # Errors
///
/// Nothing of that name, and a failed or forbidden download.
pub(crate) fn locate(model: Option<&Path>, progress: Progress) -> Result<Located, CliError> {
    locate_or(model, |hub, id| {
        if !hub.settings().offline {
            progress.notice(&format!(
                "{id}: not in the cache, downloading it (HF_HUB_OFFLINE=1 forbids this)"
            ));
        }
        models::fetch(hub, id, progress)
    })
}

/// Finds a model without a download.
pub(crate) fn locate_offline(model: Option<&Path>) -> Result<Located, CliError> {
    locate_or(model, |_, id| {
        Err(CliError::NotCached { id: id.to_owned() })
    })
}

fn locate_or(
    model: Option<&Path>,
    when_not_cached: impl FnOnce(&Hub, &str) -> Result<PathBuf, CliError>,
) -> Result<Located, CliError> {
    let Some(path) = model else {
        return Ok(Located::Embedded);
    };
    if let Some(located) = on_disk(path)? {
        return Ok(located);
    }
    let id = hub_id(path).ok_or_else(|| CliError::NoModel {
        model: path.to_owned(),
    })?;
    let hub = Hub::from_env()?;
    let folder = match hub.cached(id)? {
        Some(folder) => folder,
        None => when_not_cached(&hub, id)?,
    };
    Ok(Located::Path(folder))
}

/// What exists under this name, before any hub is asked.
///
/// # Errors
///
/// A path that may not be looked at: it must not be taken for the id of a hub.
pub(crate) fn on_disk(path: &Path) -> Result<Option<Located>, CliError> {
    match path.try_exists() {
        Ok(true) => Ok(Some(Located::Path(path.to_owned()))),
        Ok(false) => Ok((path == Path::new(EMBEDDED)).then_some(Located::Embedded)),
        Err(source) => Err(CliError::Read {
            path: path.to_owned(),
            source,
        }),
    }
}

/// `OWNER/NAME[@REVISION]`, as hubs name models.
pub(crate) fn hub_id(path: &Path) -> Option<&str> {
    let text = path.to_str()?;
    let (id, revision) = text.split_once('@').unwrap_or((text, "main"));
    let (owner, name) = id.split_once('/')?;
    let is_name = |part: &str| {
        !part.is_empty()
            && !part.starts_with('.')
            && part
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
    };
    let is_revision = !revision.is_empty() && !revision.contains("..");
    (is_name(owner) && is_name(name) && is_revision && !name.ends_with(".nemo")).then_some(text)
}

impl Located {
    /// Loads the model. A weight cache that cannot be used costs time, so it gets a notice only.
    pub(crate) fn open(
        &self,
        model: &ModelArgs,
        decoding: Option<&DecodingArgs>,
        progress: Progress,
    ) -> Result<Recognizer, CliError> {
        self.open_with(options(model, decoding), &model.cache, progress)
    }

    /// Loads the model with these options and the weight cache that the arguments choose.
    pub(crate) fn open_with(
        &self,
        mut options: RecognizerOptions,
        cache: &CacheArgs,
        progress: Progress,
    ) -> Result<Recognizer, CliError> {
        let mut fault = None;
        if !cache.no_cache {
            match WeightCache::from_env() {
                Ok(cache) => options.weight_cache = Some(cache),
                Err(error) => fault = Some(error),
            }
        }
        let recognizer = match self {
            Located::Embedded => Recognizer::embedded(&options)?,
            Located::Path(path) => Recognizer::open(path, &options)?,
        };
        let is_cached = *self != Located::Embedded && recognizer.precision() == Precision::Int8;
        let fault = fault.as_ref().or(recognizer.model().cache_fault());
        if let (true, Some(fault)) = (is_cached, fault) {
            progress.notice(&format!(
                "warning: {fault}; until then every start makes the int8 weights anew (--no-cache hides this)"
            ));
        }
        Ok(recognizer)
    }

    /// What tells these weights from others: the name of the model, and the path, size and time of each of its files.
    /// The built-in model is as old as the command.
    pub(crate) fn identity(&self) -> String {
        let (name, files) = match self {
            Located::Embedded => (
                EMBEDDED.to_owned(),
                std::env::current_exe().into_iter().collect(),
            ),
            Located::Path(path) => {
                let path = fs::canonicalize(path).unwrap_or_else(|_| path.clone());
                (path.display().to_string(), files(&path))
            }
        };
        let mut hash = Sha256::new();
        for file in files {
            let Ok(metadata) = fs::metadata(&file) else {
                continue;
            };
            let modified = metadata
                .modified()
                .ok()
                .and_then(|time| time.duration_since(UNIX_EPOCH).ok());
            let nanoseconds = modified.map_or(0, |time| time.as_nanos());
            hash.update(format!(
                "{}\n{}\n{nanoseconds}\n",
                file.display(),
                metadata.len()
            ));
        }
        format!("{name} {}", resume::hex(hash))
    }
}

/// The name of the model that the arguments choose.
pub(crate) fn name(model: &ModelArgs) -> String {
    match &model.model {
        Some(path) => path.display().to_string(),
        None => EMBEDDED.to_owned(),
    }
}

/// The word for an arithmetic on the command line.
pub(crate) fn precision_name(precision: Precision) -> &'static str {
    match precision {
        Precision::F32 => "f32",
        Precision::Int8 => "int8",
        _ => "auto",
    }
}

/// The word for a decoder on the command line.
pub(crate) fn decoder_name(decoder: Decoder) -> &'static str {
    match decoder {
        Decoder::Tdt => "tdt",
        Decoder::Rnnt => "rnnt",
        Decoder::Ctc => "ctc",
    }
}

/// The file itself, or the files of a folder in order.
fn files(path: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(path) else {
        return vec![path.to_owned()];
    };
    let mut files: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.is_file())
        .collect();
    files.sort();
    files
}

/// What the arguments choose.
fn options(model: &ModelArgs, decoding: Option<&DecodingArgs>) -> RecognizerOptions {
    let mut options = RecognizerOptions::default();
    options.threads = model.threads();
    options.precision = match model.precision {
        None => Precision::Auto,
        Some(PrecisionArg::F32) => Precision::F32,
        Some(PrecisionArg::Int8) => Precision::Int8,
    };
    if let Some(decoding) = decoding {
        options.decoder = decoding.decoder.map(|decoder| match decoder {
            DecoderArg::Tdt => Decoder::Tdt,
            DecoderArg::Rnnt => Decoder::Rnnt,
            DecoderArg::Ctc => Decoder::Ctc,
        });
        options.confidence = decoding.confidence;
        options.language = decoding.language.clone();
    }
    options
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hub_id_is_an_owner_and_a_name() {
        for id in ["nvidia/parakeet-tdt-0.6b-v3", "a/b@main", "a/b@refs/pr/1"] {
            assert_eq!(hub_id(Path::new(id)), Some(id));
        }
        for path in [
            "model.nemo",
            "a/model.nemo",
            "./a/b",
            "../a",
            "/a/b",
            "a/b/c",
            "a/",
            "a",
            "",
            "a/b@",
            "a b/c",
        ] {
            assert_eq!(hub_id(Path::new(path)), None, "{path}");
        }
    }

    #[test]
    fn what_exists_comes_first() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(
            locate_offline(Some(folder.path())).unwrap(),
            Located::Path(folder.path().to_owned())
        );
        assert_eq!(
            locate_offline(Some(Path::new("tiny-en"))).unwrap(),
            Located::Embedded
        );
        assert_eq!(locate_offline(None).unwrap(), Located::Embedded);
        assert!(matches!(
            locate_offline(Some(Path::new("/no/such"))),
            Err(CliError::NoModel { .. })
        ));
    }

    #[test]
    fn the_identity_follows_the_files() {
        let folder = tempfile::tempdir().unwrap();
        let located = Located::Path(folder.path().to_owned());
        fs::write(folder.path().join("model.safetensors"), b"one").unwrap();
        let before = located.identity();
        assert_eq!(located.identity(), before);
        fs::write(folder.path().join("model.safetensors"), b"four").unwrap();
        assert_ne!(located.identity(), before);
    }
}
