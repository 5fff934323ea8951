//! What derived weights were made from.

use std::fs::{self, File, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use sha2::Sha256;
use sha2::digest::Digest;

use super::CacheError;
use crate::hub::{hex, is_hex};

/// A file that was open, and what told its contents from others at that time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StampedFile {
    path: PathBuf,
    stamp: Stamp,
}

impl StampedFile {
    /// The state of the open file `file`, which was found at `path`; to be asked for before its contents are used.
    ///
    /// # Errors
    /// What the system says where it cannot tell.
    pub fn of(path: &Path, file: &File) -> io::Result<StampedFile> {
        Ok(StampedFile {
            path: path.into(),
            stamp: Stamp::of(&file.metadata()?),
        })
    }

    /// Where the file was found.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Size, time of change in nanoseconds from 1970, and inode where there are any.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    bytes: u64,
    modified: i128,
    inode: u64,
}

impl Stamp {
    fn of(meta: &Metadata) -> Stamp {
        Stamp {
            bytes: meta.len(),
            modified: modified(meta),
            inode: inode(meta),
        }
    }
}

/// Which files derived weights were made from, in which state those were, and the form that they were given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) variant: String,
    /// A hash of the family of the variant and of where the files are: the same for a file that was replaced, so that
    /// what is made from the new one replaces what was made from the old one.
    pub(super) place: String,
    /// A line for each file with all that tells its contents from others.
    pub(super) files: Vec<String>,
    /// Where each file is; the same blob may be in several places.
    pub(super) paths: Vec<String>,
}

impl Identity {
    /// Looks for the files, which must be those that were stamped.
    pub(super) fn of(files: &[StampedFile], variant: &str) -> Result<Identity, CacheError> {
        let mut known: Vec<Known> = files.iter().map(Known::look).collect::<Result<_, _>>()?;
        // The order of a directory listing says nothing about the contents.
        known.sort();
        known.dedup();
        let mut hash = Sha256::new();
        let mut part = |bytes: &[u8]| {
            hash.update((bytes.len() as u64).to_le_bytes());
            hash.update(bytes);
        };
        part(family(variant).as_bytes());
        known.iter().for_each(|file| part(&file.place));
        let place = hex(hash.finalize());
        let (files, paths) = known
            .into_iter()
            .map(|file| (file.state, file.path))
            .unzip();
        Ok(Identity {
            variant: variant.to_owned(),
            place,
            files,
            paths,
        })
    }
}

/// Whether the file at `path` is in the state of this line.
pub(super) fn is_in_state(path: &Path, line: &str) -> bool {
    fs::metadata(path).is_ok_and(|meta| state(path, &Stamp::of(&meta)) == line)
}

/// What the versions of a variant have in common: `int8` of `int8-1`.
fn family(variant: &str) -> &str {
    variant
        .rsplit_once('-')
        .map_or(variant, |(family, _)| family)
}

/// One file as it is now.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Known {
    /// Where it is, or for a blob which one it is.
    place: Vec<u8>,
    state: String,
    path: String,
}

impl Known {
    fn look(file: &StampedFile) -> Result<Known, CacheError> {
        let io = |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound => changed(&file.path),
            _ => CacheError::io(&file.path, "read")(error),
        };
        // Behind links, so that a folder may be reached by several names.
        let path = fs::canonicalize(&file.path).map_err(io)?;
        if Stamp::of(&fs::metadata(&path).map_err(io)?) != file.stamp {
            return Err(changed(&file.path));
        }
        let place = match blob(&path) {
            Some(hash) => format!("blob {hash}").into(),
            None => [b"file ", path.as_os_str().as_encoded_bytes()].concat(),
        };
        Ok(Known {
            place,
            state: state(&path, &file.stamp),
            path: path.to_string_lossy().into_owned(),
        })
    }
}

fn changed(path: &Path) -> CacheError {
    CacheError::SourceChanged { path: path.into() }
}

/// What tells the contents of the file at `path`, which is behind all links, from others that were there before.
fn state(path: &Path, stamp: &Stamp) -> String {
    let Stamp {
        bytes,
        modified,
        inode,
    } = stamp;
    match blob(path) {
        // Its name says the rest, but not whether it is cut.
        Some(hash) => format!("blob {hash}, {bytes} bytes"),
        None => format!("{bytes} bytes, time {modified}, inode {inode}"),
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
