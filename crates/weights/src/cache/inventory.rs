//! What a cache of derived weights holds, and how to empty it.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use super::{CacheError, PackedFile, WeightCache};
use crate::WeightsError;
use crate::hub::is_hex;

const EXTENSION: &str = ".packed";
const TEMPORARY: (&str, &str) = (".packing-", ".tmp");

/// A file of derived weights in a cache.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct CachedWeights {
    /// The file.
    pub path: PathBuf,
    /// Its size.
    pub bytes: u64,
    /// What it is, or `None` where its header or table is damaged or cannot be read.
    pub origin: Option<Origin>,
    /// Whether it can be used.
    pub state: CacheState,
}

/// What can be said of a file of derived weights without reading all of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum CacheState {
    /// Its header and table are as they were written, and it was made from what is there now.
    Ready,
    /// What it was made from has changed or is gone.
    Stale,
    /// Its header or table is not as it was written.
    Damaged,
    /// The system does not let it be read.
    Unreadable,
}

/// What a file of derived weights was made from.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Origin {
    /// The path of the checkpoint.
    pub source: String,
    /// The form of the weights.
    pub variant: String,
}

/// What [`WeightCache::clear`] removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Cleared {
    /// How many files.
    pub files: usize,
    /// Their size together.
    pub bytes: u64,
}

impl CachedWeights {
    /// Whether its header and table are as they were written; [`CachedWeights::verify`] looks at the rest too.
    pub fn is_intact(&self) -> bool {
        self.origin.is_some()
    }

    /// What is in the file at `path`; `None` where there is none.
    pub(super) fn look(path: &Path) -> Result<Option<CachedWeights>, CacheError> {
        let meta = match fs::metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            meta => meta.map_err(CacheError::io(path, "read"))?,
        };
        let (origin, state) = match PackedFile::open(path) {
            Ok(packed) => {
                let (source, variant) = packed.origin();
                let origin = Origin {
                    source: source.to_owned(),
                    variant: variant.to_owned(),
                };
                let state = match packed.is_up_to_date() {
                    true => CacheState::Ready,
                    false => CacheState::Stale,
                };
                (Some(origin), state)
            }
            Err(CacheError::Damaged { .. }) => (None, CacheState::Damaged),
            Err(_) => (None, CacheState::Unreadable),
        };
        Ok(Some(CachedWeights {
            path: path.into(),
            bytes: meta.len(),
            origin,
            state,
        }))
    }

    /// Reads the whole file and compares everything with its checksums.
    ///
    /// # Errors
    /// [`CacheError::Damaged`] says what is not as it was written, [`CacheError::Io`] that it cannot be read.
    pub fn verify(&self) -> Result<(), WeightsError> {
        PackedFile::open(&self.path)?.verify()
    }
}

impl WeightCache {
    /// The files in the cache, in the order of their names, those that cannot be read too; none where there is no cache.
    ///
    /// # Errors
    /// [`CacheError::Io`] where the folder cannot be read.
    pub fn list(&self) -> Result<Vec<CachedWeights>, WeightsError> {
        let mut list = Vec::new();
        for path in files(&self.folder)?
            .into_iter()
            .filter(|path| is_packed(path))
        {
            // One that is gone was removed meanwhile.
            list.extend(CachedWeights::look(&path)?);
        }
        Ok(list)
    }

    /// Removes all files that the cache made, and what ended processes left unfinished. Other files stay.
    ///
    /// # Errors
    /// [`CacheError::Io`] where the folder cannot be read or a file cannot be removed.
    pub fn clear(&self) -> Result<Cleared, WeightsError> {
        let mut cleared = remove_leftovers(&self.folder)?;
        for path in files(&self.folder)?
            .into_iter()
            .filter(|path| is_packed(path))
        {
            cleared.remove(&path)?;
        }
        Ok(cleared)
    }
}

impl Cleared {
    fn remove(&mut self, path: &Path) -> Result<(), CacheError> {
        let bytes = fs::metadata(path).map_or(0, |meta| meta.len());
        match fs::remove_file(path) {
            // Another process was faster.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            removed => removed.map_err(CacheError::io(path, "remove"))?,
        }
        self.files += 1;
        self.bytes += bytes;
        Ok(())
    }
}

/// The name of the file at a place.
pub(super) fn file_name(place: &str) -> String {
    format!("{place}{EXTENSION}")
}

/// A new file under a temporary name.
pub(super) fn temporary_in(folder: &Path) -> io::Result<NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(TEMPORARY.0).suffix(TEMPORARY.1);
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666)); // less the umask, as all files here
    builder.tempfile_in(folder)
}

/// Removes the temporary files that no process is writing.
pub(super) fn remove_leftovers(folder: &Path) -> Result<Cleared, CacheError> {
    let mut cleared = Cleared::default();
    for path in files(folder)?.into_iter().filter(|path| is_temporary(path)) {
        // Its writer holds a lock of it until it has its own name.
        let Ok(file) = File::open(&path) else {
            continue;
        };
        if file.try_lock().is_ok() {
            cleared.remove(&path)?;
        }
    }
    Ok(cleared)
}

fn is_packed(path: &Path) -> bool {
    let place = name(path).and_then(|name| name.strip_suffix(EXTENSION));
    place.is_some_and(|place| is_hex(place, 64))
}

fn is_temporary(path: &Path) -> bool {
    let (prefix, suffix) = TEMPORARY;
    name(path).is_some_and(|name| name.starts_with(prefix) && name.ends_with(suffix))
}

fn name(path: &Path) -> Option<&str> {
    path.file_name()?.to_str()
}

/// The regular files of a folder, sorted; none where there is no folder. Links are none: the cache makes none.
fn files(folder: &Path) -> Result<Vec<PathBuf>, CacheError> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(CacheError::io(folder, "read"))?,
    };
    let mut files = Vec::new();
    for entry in entries {
        let entry = entry.map_err(CacheError::io(folder, "read"))?;
        if entry.file_type().is_ok_and(|kind| kind.is_file()) {
            files.push(entry.path());
        }
    }
    files.sort();
    Ok(files)
}
