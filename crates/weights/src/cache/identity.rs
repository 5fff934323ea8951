//! What derived weights were made from.

use std::fs::{self, Metadata};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use sha2::Sha256;
use sha2::digest::Digest;

use super::CacheError;
use super::format::VERSION;
use crate::hub::{hex, is_hex};

/// Which files derived weights were made from, and in which state those were.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Identity {
    /// A hash of the variant and of where the files are: the same for a file that was replaced, so that what is made
    /// from the new one replaces what was made from the old one.
    pub(super) place: String,
    /// A line for each file with all that tells its contents from others.
    pub(super) files: Vec<String>,
}

impl Identity {
    /// Looks at the files as they are now.
    pub(super) fn of(files: &[PathBuf], variant: &str) -> Result<Identity, CacheError> {
        let mut known: Vec<Known> = files
            .iter()
            .map(|file| Known::look(file))
            .collect::<Result<_, _>>()?;
        // The order of a directory listing says nothing about the contents.
        known.sort();
        known.dedup();
        let mut hash = Sha256::new();
        let mut part = |bytes: &[u8]| {
            hash.update((bytes.len() as u64).to_le_bytes());
            hash.update(bytes);
        };
        part(&VERSION.to_le_bytes());
        part(variant.as_bytes());
        known.iter().for_each(|file| part(&file.place));
        Ok(Identity {
            place: hex(hash.finalize()),
            files: known.into_iter().map(|file| file.state).collect(),
        })
    }
}

/// One file as it is now.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Known {
    /// Where it is.
    place: Vec<u8>,
    /// What tells its contents from others that were there before.
    state: String,
}

impl Known {
    fn look(file: &Path) -> Result<Known, CacheError> {
        let io = |error| CacheError::io(file, "read")(error);
        // Behind links, so that a folder may be reached by several names.
        let path = fs::canonicalize(file).map_err(io)?;
        let meta = fs::metadata(&path).map_err(io)?;
        let bytes = meta.len();
        if let Some(hash) = blob(&path) {
            return Ok(Known {
                place: format!("blob {hash}").into(),
                // Its name says the rest, but not whether it is cut.
                state: format!("blob {hash}, {bytes} bytes"),
            });
        }
        let state = format!(
            "{bytes} bytes, time {}, inode {}, {}",
            modified(&meta),
            inode(&meta),
            path.display()
        );
        let mut place = b"file ".to_vec();
        place.extend(path.as_os_str().as_encoded_bytes());
        Ok(Known { place, state })
    }
}

/// The name of a blob in the cache of a hub (`models--owner--name/blobs/HASH`), which is the hash of its contents.
fn blob(path: &Path) -> Option<&str> {
    let folder = path.parent()?;
    let repo = folder.parent()?.file_name()?.to_str()?;
    let hash = path.file_name()?.to_str()?;
    let is_hash = is_hex(hash, 64) || is_hex(hash, 40);
    (folder.file_name()? == "blobs" && repo.starts_with("models--") && is_hash).then_some(hash)
}

/// Nanoseconds from 1970 to the last change; before it they are negative.
fn modified(meta: &Metadata) -> i128 {
    let Ok(time) = meta.modified() else { return 0 };
    match time.duration_since(UNIX_EPOCH) {
        Ok(after) => after.as_nanos() as i128,
        Err(before) => -(before.duration().as_nanos() as i128),
    }
}

#[cfg(unix)]
fn inode(meta: &Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::ino(meta)
}

#[cfg(not(unix))]
fn inode(_meta: &Metadata) -> u64 {
    0
}
