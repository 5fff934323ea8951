//! Where the files of a Hugging Face layout lie: in a directory, or in the program itself.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::WeightsError;
use crate::cache::StampedFile;
use crate::view::View;

/// The largest configuration or tokenizer file that is read; real ones stay below 40 MB.
pub(crate) const MAX_TEXT_BYTES: u64 = 128 << 20;

/// A set of files by plain name.
pub(crate) enum Source {
    Directory(PathBuf),
    Memory {
        name: PathBuf,
        files: BTreeMap<String, &'static [u8]>,
    },
}

impl Source {
    /// What errors name.
    pub(crate) fn path(&self) -> &Path {
        match self {
            Source::Directory(path) => path,
            Source::Memory { name, .. } => name,
        }
    }

    /// The path of a file of this source.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    pub(crate) fn contains(&self, name: &str) -> bool {
        match self {
            Source::Directory(path) => path.join(name).is_file(),
            Source::Memory { files, .. } => files.contains_key(name),
        }
    }

    /// The names of its files, sorted.
    pub(crate) fn names(&self) -> Result<Vec<String>, WeightsError> {
        let path = match self {
            Source::Memory { files, .. } => return Ok(files.keys().cloned().collect()),
            Source::Directory(path) => path,
        };
        let io = || WeightsError::io(path, "read");
        let mut names = Vec::new();
        for entry in fs::read_dir(path).map_err(io())? {
            let entry = entry.map_err(io())?;
            // A name that is no text is none that anything here looks for.
            if entry.path().is_file()
                && let Ok(name) = entry.file_name().into_string()
            {
                names.push(name);
            }
        }
        names.sort();
        Ok(names)
    }

    /// The whole of a small file, or `None` if there is no such file.
    pub(crate) fn text(&self, name: &str) -> Result<Option<Vec<u8>>, WeightsError> {
        match self {
            Source::Directory(_) => read_bounded(&self.file(name), MAX_TEXT_BYTES),
            Source::Memory { files, .. } => Ok(files.get(name).map(|bytes| bytes.to_vec())),
        }
    }

    /// A JSON file, or `None` if there is no such file.
    pub(crate) fn json(&self, name: &str) -> Result<Option<Value>, WeightsError> {
        let Some(bytes) = self.text(name)? else {
            return Ok(None);
        };
        serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|source| WeightsError::Json {
                file: self.file(name),
                source,
            })
    }

    /// The bytes of a file of weights without copying them, and its state unless it is in memory; `None` if there is no
    /// such file.
    pub(crate) fn view(&self, name: &str) -> Result<Option<Mapped>, WeightsError> {
        match self {
            Source::Directory(_) => {
                let file = self.file(name);
                match View::map_stamped(&file) {
                    Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
                    mapped => {
                        let (view, stamped) = weights_view(&file, mapped)?;
                        Ok(Some((view, Some(stamped))))
                    }
                }
            }
            Source::Memory { files, .. } => {
                Ok(files.get(name).map(|bytes| (View::of_static(bytes), None)))
            }
        }
    }
}

/// A file of weights, and the state of the file that was mapped; files in memory have none.
pub(crate) type Mapped = (View, Option<StampedFile>);

/// Maps a file of weights.
pub(crate) fn map_weights(file: &Path) -> Result<(View, StampedFile), WeightsError> {
    weights_view(file, View::map_stamped(file))
}

/// A mapped file of weights, unless it is what Git leaves in its place.
fn weights_view(
    file: &Path,
    mapped: io::Result<(View, StampedFile)>,
) -> Result<(View, StampedFile), WeightsError> {
    let (view, stamped) = mapped.map_err(WeightsError::io(file, "read"))?;
    if view
        .bytes()
        .starts_with(b"version https://git-lfs.github.com/spec/")
    {
        return Err(WeightsError::LfsPointer { file: file.into() });
    }
    Ok((view, stamped))
}

/// A file of at most `limit` bytes, or `None` if there is no such file.
fn read_bounded(file: &Path, limit: u64) -> Result<Option<Vec<u8>>, WeightsError> {
    let io = || WeightsError::io(file, "read");
    let Some(meta) = absent_is_none(fs::metadata(file)).map_err(io())? else {
        return Ok(None);
    };
    if !meta.is_file() {
        let kind = io::Error::new(io::ErrorKind::InvalidInput, "not a regular file");
        return Err(io()(kind));
    }
    let mut bytes = Vec::new();
    let opened = File::open(file).map_err(io())?;
    // One byte more than allowed tells a file at the limit from one beyond it, even if it grows meanwhile.
    opened
        .take(limit + 1)
        .read_to_end(&mut bytes)
        .map_err(io())?;
    if bytes.len() as u64 > limit {
        return Err(WeightsError::TooLarge {
            file: file.into(),
            bytes: meta.len(),
            limit,
        });
    }
    Ok(Some(bytes))
}

fn absent_is_none<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
