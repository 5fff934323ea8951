//! Weights in the form that arithmetic wants, kept on disk between starts.
//!
//! Making them from a checkpoint can take longer than the work itself. [`WeightCache`] is a folder of such files. It
//! knows no model: a file holds named blobs with a shape, and is found by the checkpoint that it was made from, so that
//! another checkpoint, or one that was replaced, never gets it. A file is complete or not there, and one that was
//! damaged is made again.
//!
//! ```
//! use percept_weights::cache::StampedFile;
//! use percept_weights::{WeightCache, WeightsError};
//!
//! # let scratch = tempfile::tempdir().unwrap();
//! # let model = scratch.path().join("model.safetensors");
//! # std::fs::write(&model, "weights").unwrap();
//! # let file = std::fs::File::open(&model).unwrap();
//! let stamped = StampedFile::of(&model, &file).expect("a file that is open");
//! let cache = WeightCache::at(scratch.path().join("cache"));
//! let entry = cache.entry(&model, &[stamped], "int8-1")?;
//! assert!(entry.open().is_none(), "the first start makes it");
//! let mut writer = entry.create()?;
//! writer.add("linear.weight", &[2, 3], &[1, 2, 3, 4, 5, 6])?;
//! writer.finish()?;
//!
//! let packed = entry.open().expect("it has just been written");
//! let weight = packed.get("linear.weight", &[2, 3]).expect("a blob of this name and shape");
//! assert_eq!(weight.as_ref(), [1, 2, 3, 4, 5, 6]);
//! # Ok::<(), WeightsError>(())
//! ```

mod error;
mod format;
mod identity;
mod inventory;
mod packed;
mod writer;

use std::path::{Path, PathBuf};
use std::{fs, io};

pub use error::{CacheError, PackedFault};
pub use identity::StampedFile;
pub use inventory::{CacheState, CachedWeights, Cleared, Origin};
pub use packed::{PackedBytes, PackedFile};
pub use writer::PackedWriter;

pub(crate) use packed::read as read_packed;

use crate::WeightsError;
use crate::hub::HubSettings;
use identity::Identity;

/// A folder of derived weights; see the [module](self).
#[derive(Debug, Clone)]
pub struct WeightCache {
    folder: PathBuf,
}

impl WeightCache {
    /// The cache in this folder, which is made when the first file is written.
    pub fn at(folder: impl Into<PathBuf>) -> WeightCache {
        WeightCache {
            folder: folder.into(),
        }
    }

    /// The cache beside that of the hub: `$HF_HOME/percept/weights`, with the `HF_HOME` of [`HubSettings::from_env`].
    ///
    /// # Errors
    /// [`HubError::NoHome`](crate::hub::HubError::NoHome) where no variable and no home directory says where that is.
    pub fn from_env() -> Result<WeightCache, WeightsError> {
        let home = HubSettings::home_from_env()?;
        Ok(WeightCache::at(home.join("percept").join("weights")))
    }

    /// The folder of the cache, whether it exists or not.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The place for what is made from the checkpoint `source` in one `variant`, such as `int8-1`: a name for all that
    /// the contents depend on besides the weights, changed whenever their form changes. Variants that differ only behind
    /// the last `-` share one place: the new one replaces the old one.
    ///
    /// `files` are the files that the contents are made from, as they were when they were opened:
    /// [`Checkpoint::weight_files`](crate::Checkpoint::weight_files). They count by path, size, time of change and
    /// inode; a file in a hub cache counts by its size and the name of its blob, which is the hash of its contents, so
    /// that two snapshots share one place.
    ///
    /// # Errors
    /// [`CacheError::SourceChanged`] where another file has taken the place of one that was opened, and
    /// [`CacheError::Io`] where one cannot be looked at or there is none.
    pub fn entry(
        &self,
        source: &Path,
        files: &[StampedFile],
        variant: &str,
    ) -> Result<CacheEntry, WeightsError> {
        if files.is_empty() {
            // All checkpoints in memory would share one place.
            let none = io::Error::new(io::ErrorKind::NotFound, "no files of weights");
            return Err(CacheError::io(source, "read")(none).into());
        }
        let identity = Identity::of(files, variant)?;
        let source = std::path::absolute(source).unwrap_or_else(|_| source.to_path_buf());
        Ok(CacheEntry {
            path: self.folder.join(inventory::file_name(&identity.place)),
            files: files.to_vec(),
            source: source.to_string_lossy().into_owned(),
            identity,
        })
    }
}

/// A place in a [`WeightCache`] for one checkpoint in one variant.
#[derive(Debug, Clone)]
pub struct CacheEntry {
    path: PathBuf,
    files: Vec<StampedFile>,
    source: String,
    identity: Identity,
}

impl CacheEntry {
    /// The file, whether it exists or not.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Maps the file; `None` where it must be made: there is none, it was made from what has changed since, or its
    /// header or table is damaged. A damaged file is removed.
    ///
    /// The contents of the blobs are not read; [`PackedFile::verify`] does that. While it is open the file must not be
    /// changed or cut. Replacing it by renaming another one over it is safe.
    pub fn open(&self) -> Option<PackedFile> {
        match PackedFile::open(&self.path) {
            Ok(packed) => packed.is_made_from(&self.identity).then_some(packed),
            Err(CacheError::Damaged { .. }) => {
                // A file that cannot be removed is replaced by the next one that is written.
                let _ = fs::remove_file(&self.path);
                None
            }
            Err(_) => None,
        }
    }

    /// What is in the file, whatever it was made from; `None` where there is no file.
    ///
    /// # Errors
    /// [`CacheError::Io`] where the system does not say whether there is one.
    pub fn cached(&self) -> Result<Option<CachedWeights>, WeightsError> {
        Ok(CachedWeights::look(&self.path)?)
    }

    /// Starts the file under a temporary name. Unfinished files that ended processes left behind are removed.
    ///
    /// # Errors
    /// [`CacheError::Io`] and [`CacheError::DiskFull`] where the folder or the file cannot be made.
    pub fn create(&self) -> Result<PackedWriter, WeightsError> {
        PackedWriter::create(self)
    }
}
