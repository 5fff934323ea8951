//! A checkpoint of any layout, behind one door.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::WeightsError;
use crate::cache::StampedFile;
use crate::error::NotACheckpoint;
use crate::huggingface::HuggingFace;
use crate::nemo::Nemo;
use crate::source::{self, Source};
use crate::tensors::Tensors;
use crate::vocabulary::Vocabulary;

/// How the files of a checkpoint are arranged.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Layout {
    /// A Hugging Face repository: `config.json`, `model.safetensors`, `tokenizer.json`, ...
    HuggingFace,
    /// A NeMo archive: `model_config.yaml` and `model_weights.ckpt` in one `.nemo` file.
    Nemo,
}

/// An opened checkpoint: configuration, vocabulary and tensors.
///
/// Tensors have the names of their layout; [`Checkpoint::rename_tensors`] maps them onto one table.
///
/// The weights are mapped, not read: their files must not be changed or cut while a `Checkpoint` or anything made
/// from it lives. Replacing a file by renaming another one over it is safe.
pub struct Checkpoint {
    path: PathBuf,
    parts: Parts,
    tensors: Tensors,
    weight_files: Vec<StampedFile>,
}

enum Parts {
    HuggingFace(HuggingFace),
    Nemo(Nemo),
}

impl Checkpoint {
    /// Opens a Hugging Face directory, a `.nemo` file, or a directory whose only model is a `.nemo` file.
    ///
    /// # Errors
    /// [`WeightsError::NotACheckpoint`] where nothing of the kind is there, and any error of the files themselves.
    pub fn open(path: &Path) -> Result<Checkpoint, WeightsError> {
        let meta = match std::fs::metadata(path) {
            Ok(meta) => meta,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(not_a_checkpoint(path, NotACheckpoint::Nothing));
            }
            Err(error) => return Err(WeightsError::io(path, "read")(error)),
        };
        if !meta.is_dir() {
            return Checkpoint::nemo(path, path);
        }
        // Listed even where the layout is plain: a directory that cannot be read must not look like an empty one.
        let archives = nemo_files(path).map_err(WeightsError::io(path, "read"))?;
        let source = Source::Directory(path.into());
        if HuggingFace::is_at(&source) {
            return Checkpoint::huggingface(source);
        }
        match &archives[..] {
            [] if HuggingFace::is_at_by_any_name(&source)? => Checkpoint::huggingface(source),
            [] => Err(not_a_checkpoint(path, NotACheckpoint::Directory)),
            [archive] => Checkpoint::nemo(path, archive),
            _ => Err(not_a_checkpoint(path, NotACheckpoint::SeveralNemo)),
        }
    }

    fn nemo(path: &Path, file: &Path) -> Result<Checkpoint, WeightsError> {
        let (view, stamped) = source::map_weights(file)?;
        if !Nemo::is_in(view.bytes()) {
            return Err(not_a_checkpoint(
                file,
                NotACheckpoint::of_file(view.bytes()),
            ));
        }
        let (parts, tensors) = Nemo::open(file, view)?;
        Ok(Checkpoint {
            path: path.into(),
            parts: Parts::Nemo(parts),
            tensors,
            weight_files: vec![stamped],
        })
    }

    /// Opens the files of a Hugging Face layout that are compiled into the program; `name` is what errors call them.
    ///
    /// # Errors
    /// As for [`Checkpoint::open`].
    pub fn from_memory(
        name: &str,
        files: &[(&str, &'static [u8])],
    ) -> Result<Checkpoint, WeightsError> {
        let files: BTreeMap<String, &'static [u8]> = files
            .iter()
            .map(|&(name, bytes)| (name.to_string(), bytes))
            .collect();
        Checkpoint::huggingface(Source::Memory {
            name: name.into(),
            files,
        })
    }

    fn huggingface(source: Source) -> Result<Checkpoint, WeightsError> {
        let path = source.path().to_path_buf();
        Ok(Self::of_parts(path, HuggingFace::open(source)?))
    }

    fn of_parts(
        path: PathBuf,
        (parts, tensors, weight_files): (HuggingFace, Tensors, Vec<StampedFile>),
    ) -> Checkpoint {
        Checkpoint {
            path,
            parts: Parts::HuggingFace(parts),
            tensors,
            weight_files,
        }
    }

    /// Opens weights that may be without a configuration, for models that can tell theirs from the tensors: a file of
    /// safetensors or of `torch.save`, or a directory with one. [`Checkpoint::config`] is null where no `config.json`
    /// lies beside them.
    ///
    /// # Errors
    /// [`WeightsError::NotACheckpoint`] where there are no weights, and any error of the files themselves.
    pub fn open_weights(path: &Path) -> Result<Checkpoint, WeightsError> {
        let (source, name) = match (
            path.parent(),
            path.file_name().and_then(|name| name.to_str()),
        ) {
            (Some(folder), Some(name)) if path.is_file() => {
                (Source::Directory(folder.into()), Some(name))
            }
            _ => (Source::Directory(path.into()), None),
        };
        if name.is_none() && !HuggingFace::has_weights(&source)? {
            return Err(not_a_checkpoint(path, NotACheckpoint::Directory));
        }
        let opened = HuggingFace::open_weights(source, name)?;
        Ok(Self::of_parts(path.into(), opened))
    }

    /// Opens a directory whose files have names of their own: a configuration, and weights as safetensors (the name ends in
    /// `.safetensors`) or of `torch.save`.
    ///
    /// # Errors
    /// [`WeightsError::MissingFile`] where one is not there, and any error of the files themselves.
    pub fn open_files(
        directory: &Path,
        config: &str,
        weights: &str,
    ) -> Result<Checkpoint, WeightsError> {
        let source = Source::Directory(directory.into());
        let opened = HuggingFace::open_files(source, config, weights)?;
        Ok(Self::of_parts(directory.into(), opened))
    }

    /// How the files are arranged.
    pub fn layout(&self) -> Layout {
        match self.parts {
            Parts::HuggingFace(_) => Layout::HuggingFace,
            Parts::Nemo(_) => Layout::Nemo,
        }
    }

    /// The directory or file, as errors name it.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// `config.json`, or `model_config.yaml` as JSON.
    pub fn config(&self) -> &Value {
        match &self.parts {
            Parts::HuggingFace(parts) => &parts.config,
            Parts::Nemo(parts) => &parts.config,
        }
    }

    /// The file that [`Checkpoint::config`] was read from, or should be, for errors: `config.json`, or the `.nemo`
    /// archive.
    pub fn config_path(&self) -> PathBuf {
        match &self.parts {
            Parts::HuggingFace(parts) => parts.config_file(),
            Parts::Nemo(parts) => parts.file().into(),
        }
    }

    /// The file that [`Checkpoint::preprocessor`] was read from, for errors: `preprocessor_config.json`,
    /// `processor_config.json` or the `.nemo` archive; `preprocessor_config.json` where there is none of them.
    pub fn preprocessor_path(&self) -> PathBuf {
        match &self.parts {
            Parts::HuggingFace(parts) => parts.preprocessor_file(),
            Parts::Nemo(parts) => parts.file().into(),
        }
    }

    /// The feature extractor's configuration where it is a file of its own: `preprocessor_config.json`, or
    /// `feature_extractor` in `processor_config.json`. NeMo keeps it in [`Checkpoint::config`] under `preprocessor`.
    pub fn preprocessor(&self) -> Option<&Value> {
        match &self.parts {
            Parts::HuggingFace(parts) => parts.preprocessor.as_ref(),
            Parts::Nemo(_) => None,
        }
    }

    /// The whole of `processor_config.json`, where there is one.
    pub fn processor(&self) -> Option<&Value> {
        match &self.parts {
            Parts::HuggingFace(parts) => parts.processor.as_ref(),
            Parts::Nemo(_) => None,
        }
    }

    /// `generation_config.json`, where there is one.
    pub fn generation(&self) -> Option<&Value> {
        match &self.parts {
            Parts::HuggingFace(parts) => parts.generation.as_ref(),
            Parts::Nemo(_) => None,
        }
    }

    /// The table from token ids to pieces, read anew at every call.
    ///
    /// # Errors
    /// [`WeightsError::NoVocabulary`] where no file holds one, and any error of the file that does.
    pub fn vocabulary(&self) -> Result<Vocabulary, WeightsError> {
        match &self.parts {
            Parts::HuggingFace(parts) => parts.vocabulary(),
            Parts::Nemo(parts) => parts.vocabulary(),
        }
    }

    /// The tensors.
    pub fn tensors(&self) -> &Tensors {
        &self.tensors
    }

    /// The files that hold the tensors, as they were when they were mapped; none for files compiled in.
    pub fn weight_files(&self) -> &[StampedFile] {
        &self.weight_files
    }

    /// Gives tensors other names; `map` returns `None` to keep one.
    ///
    /// # Errors
    /// [`WeightsError::Duplicate`] if two tensors would share a name; the names are then as before.
    pub fn rename_tensors(
        &mut self,
        map: impl Fn(&str) -> Option<String>,
    ) -> Result<(), WeightsError> {
        self.tensors = self.tensors.clone().rename(map)?;
        Ok(())
    }

    /// The files that hold the checkpoint; for files compiled in, the names they would have under [`Checkpoint::path`].
    pub fn files(&self) -> Vec<PathBuf> {
        match &self.parts {
            Parts::HuggingFace(parts) => parts.files(),
            Parts::Nemo(parts) => parts.files(),
        }
    }
}

impl std::fmt::Debug for Checkpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Checkpoint")
            .field("path", &self.path)
            .field("layout", &self.layout())
            .field("tensors", &self.tensors)
            .finish()
    }
}

/// The `.nemo` files of a directory, sorted.
fn nemo_files(directory: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        if path
            .extension()
            .is_some_and(|e| e.eq_ignore_ascii_case("nemo"))
            && path.is_file()
        {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

impl NotACheckpoint {
    /// What a file holds that is no archive.
    fn of_file(bytes: &[u8]) -> NotACheckpoint {
        let is_zip = bytes.starts_with(b"PK\x03\x04");
        let is_safetensors = bytes.get(8) == Some(&b'{');
        match bytes {
            [] => NotACheckpoint::EmptyFile,
            _ if is_zip || is_safetensors => NotACheckpoint::WeightsAlone,
            _ => NotACheckpoint::OtherFile,
        }
    }
}

fn not_a_checkpoint(path: &Path, found: NotACheckpoint) -> WeightsError {
    WeightsError::NotACheckpoint {
        path: path.into(),
        found,
    }
}
