//! What can go wrong between a repository's name and its files.

use std::io;
use std::path::{Path, PathBuf};

use crate::error::reason;

/// Why a repository cannot be fetched or read from the cache.
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
pub enum HubError {
    /// A name that no repository can have.
    #[error("`{id}` is no repository; write it as owner/name or owner/name@revision")]
    Id {
        /// What was given.
        id: String,
    },
    /// There is no home directory to keep the cache in.
    #[error("no home directory for the cache; set HF_HOME")]
    NoHome,
    /// An endpoint that is no web address.
    #[error("HF_ENDPOINT is `{endpoint}`, which is no http or https address; unset it")]
    Endpoint {
        /// Its value.
        endpoint: String,
    },
    /// The repository is not cached and nothing may be fetched.
    #[error("{id} is not in the cache {cache} and HF_HUB_OFFLINE is set; unset it to fetch", cache = cache.display())]
    Offline {
        /// The repository.
        id: String,
        /// The cache.
        cache: PathBuf,
    },
    /// The repository is not in the cache.
    #[error("{id} is not in the cache {cache}; pull it first", cache = cache.display())]
    NotCached {
        /// The repository.
        id: String,
        /// The cache.
        cache: PathBuf,
    },
    /// The hub knows no such repository, or does not admit it.
    #[error("{id}: no such repository at {endpoint}; if it is private, set HF_TOKEN", endpoint = endpoint)]
    NoRepository {
        /// The repository.
        id: String,
        /// The hub.
        endpoint: String,
    },
    /// The repository has no such branch, tag or commit.
    #[error("{id} has no revision `{revision}`; name a branch, a tag or a commit of it")]
    NoRevision {
        /// The repository.
        id: String,
        /// The revision.
        revision: String,
    },
    /// The repository lists a file that it does not give.
    #[error("{id} has no file {file}, which it lists; try again later")]
    NoFile {
        /// The repository.
        id: String,
        /// The file.
        file: String,
    },
    /// The hub wants to know who asks.
    #[error("{id}: the hub refused access ({status}); set HF_TOKEN to a token that may read it")]
    Refused {
        /// The repository.
        id: String,
        /// The HTTP status, 401 or 403.
        status: u16,
    },
    /// The licence of the repository must be accepted first.
    #[error("{id} is gated: accept its terms at {endpoint}/{id}, then set HF_TOKEN")]
    Gated {
        /// The repository.
        id: String,
        /// The hub.
        endpoint: String,
    },
    /// The repository holds no layout that can be opened.
    #[error(
        "{id}: no model.safetensors, .nemo file or pytorch_model.bin that can be opened; choose another repository"
    )]
    NoModel {
        /// The repository.
        id: String,
    },
    /// The hub cannot be reached, also after several tries.
    #[error("{url}: {source}; check the network, or set HF_ENDPOINT to a mirror")]
    Network {
        /// What was asked for.
        url: String,
        /// The last error.
        source: Box<ureq::Error>,
    },
    /// The hub answered with an error, also after several tries.
    #[error("{url}: the hub answered {status}; try again later")]
    Status {
        /// What was asked for.
        url: String,
        /// The HTTP status.
        status: u16,
    },
    /// The hub's answer is not what the protocol says.
    #[error("{url}: the answer has no usable {what}; is HF_ENDPOINT a hub?")]
    Answer {
        /// What was asked for.
        url: String,
        /// What is missing.
        what: &'static str,
    },
    /// The hub sends a file in pieces that do not fit together.
    #[error(
        "{file}: received {bytes} bytes of {expected}, also after several tries; run it again to resume"
    )]
    Cut {
        /// The file.
        file: String,
        /// What has arrived.
        bytes: u64,
        /// Its size.
        expected: u64,
    },
    /// What arrived is not what the hub promised.
    #[error(
        "{file}: hash {found}, the hub promised {expected}; it was damaged on the way and removed, run it again"
    )]
    Hash {
        /// The file.
        file: String,
        /// The hash of what arrived.
        found: String,
        /// The hash that was promised.
        expected: String,
    },
    /// The disk is full.
    #[error("{path}: the disk is full; make room or set HF_HOME to another disk, then run it again to resume", path = path.display())]
    DiskFull {
        /// The file that was being written.
        path: PathBuf,
    },
    /// The operating system refused a file of the cache.
    #[error("{path}: cannot {action}: {reason}; check the permissions of the cache, or set HF_HOME to another folder", path = path.display(), reason = reason(source))]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What was tried: "read", "write", ...
        action: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

impl HubError {
    /// A stable name of the kind of error, for scripts.
    pub fn code(&self) -> &'static str {
        match self {
            HubError::Id { .. } => "hub-id",
            HubError::NoHome => "hub-no-home",
            HubError::Endpoint { .. } => "hub-endpoint",
            HubError::Offline { .. } => "hub-offline",
            HubError::NotCached { .. } => "hub-not-cached",
            HubError::NoRepository { .. } => "hub-no-repository",
            HubError::NoRevision { .. } => "hub-no-revision",
            HubError::NoFile { .. } => "hub-no-file",
            HubError::Refused { .. } => "hub-refused",
            HubError::Gated { .. } => "hub-gated",
            HubError::NoModel { .. } => "hub-no-model",
            HubError::Network { .. } => "hub-network",
            HubError::Status { .. } => "hub-status",
            HubError::Answer { .. } => "hub-answer",
            HubError::Cut { .. } => "hub-cut",
            HubError::Hash { .. } => "hub-hash",
            HubError::DiskFull { .. } => "hub-disk-full",
            HubError::Io { .. } => "hub-io",
        }
    }

    /// For `map_err`: an error that says what was tried with `path`.
    pub(super) fn io(path: &Path, action: &'static str) -> impl FnOnce(io::Error) -> HubError {
        let path = path.to_path_buf();
        move |source| match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                HubError::DiskFull { path }
            }
            _ => HubError::Io {
                path,
                action,
                source,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_says_what_to_do() {
        let full = HubError::io(Path::new("/c/blob"), "write")(io::ErrorKind::StorageFull.into());
        assert_eq!(full.code(), "hub-disk-full");
        assert!(
            full.to_string()
                .starts_with("/c/blob: the disk is full; make room")
        );
    }
}
