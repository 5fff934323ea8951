//! What can go wrong with derived weights.

use std::io;
use std::path::{Path, PathBuf};

use crate::error::reason;

/// Why derived weights cannot be read or written. Nothing is lost: they can always be made from the checkpoint.
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// The disk is full, or what the user may use of it.
    #[error("{path}: no room for the weight cache: {reason}; make room, or set HF_HOME to another disk", path = path.display(), reason = reason(source))]
    DiskFull {
        /// The file or folder that was being written.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The operating system refused a file.
    #[error("{path}: cannot {action}: {reason}; check the permissions of the path, or set HF_HOME to a folder that is yours", path = path.display(), reason = reason(source))]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What was tried: "read", "write", ...
        action: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// A file of the checkpoint is not what it was when it was opened.
    #[error("{path}: changed since it was opened, so the weight cache was not used; run it again when it stays as it is", path = path.display())]
    SourceChanged {
        /// The file of the checkpoint.
        path: PathBuf,
    },
    /// A name was given to two blobs of one file.
    #[error("{path}: two blobs are named `{name}`; give each a name of its own", path = path.display())]
    Duplicate {
        /// The file.
        path: PathBuf,
        /// The name.
        name: String,
    },
    /// A file is not as it was written.
    #[error("{path}: cached weights are damaged: {fault}; remove the file, it is made again", path = path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The fact.
        fault: PackedFault,
    },
}

/// What is wrong with a file of derived weights.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PackedFault {
    /// It does not begin as such a file does.
    #[error("it is no file of derived weights")]
    Magic,
    /// It is of another version of the format.
    #[error("format version {0} is unknown")]
    Version(u32),
    /// It is shorter or longer than it says.
    #[error("{found} bytes, it should have {expected}")]
    Length {
        /// Its length.
        found: u64,
        /// What its header says.
        expected: u64,
    },
    /// The table is larger than any can be.
    #[error("a table of {0} bytes")]
    TableLength(u64),
    /// The header or the table has changed.
    #[error("the checksum of the table is wrong")]
    Checksum,
    /// The table makes no sense, though its checksum is right.
    #[error("bad table: {0}")]
    Table(&'static str),
    /// The contents of a blob have changed.
    #[error("the checksum of `{0}` is wrong")]
    Blob(String),
    /// The gap behind a blob is not empty.
    #[error("there is something behind `{0}`")]
    Padding(String),
}

impl CacheError {
    /// A stable name of the kind of error, for scripts.
    pub fn code(&self) -> &'static str {
        match self {
            CacheError::DiskFull { .. } => "cache-disk-full",
            CacheError::Io { .. } => "cache-io",
            CacheError::SourceChanged { .. } => "cache-source-changed",
            CacheError::Duplicate { .. } => "cache-duplicate",
            CacheError::Damaged { .. } => "cache-damaged",
        }
    }

    /// For `map_err`: an error that says what was tried with `path`.
    pub(super) fn io(path: &Path, action: &'static str) -> impl FnOnce(io::Error) -> CacheError {
        let path = path.to_path_buf();
        move |source| match source.kind() {
            io::ErrorKind::StorageFull
            | io::ErrorKind::QuotaExceeded
            | io::ErrorKind::FileTooLarge => CacheError::DiskFull { path, source },
            _ => CacheError::Io {
                path,
                action,
                source,
            },
        }
    }

    /// For `map_err`: a file that is not as it was written.
    pub(super) fn damaged(path: &Path) -> impl FnOnce(PackedFault) -> CacheError {
        let path = path.to_path_buf();
        move |fault| CacheError::Damaged { path, fault }
    }
}
