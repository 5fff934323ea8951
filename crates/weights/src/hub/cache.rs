//! The cache on disk, in the layout that all Hugging Face tools share.
//!
//! ```text
//! models--owner--name/
//!   blobs/<hash>                      contents; <hash>.incomplete while they arrive
//!   refs/<branch or tag>              the commit that it points to
//!   snapshots/<commit>/<file>         a link to ../../blobs/<hash>
//! .locks/models--owner--name/<hash>.lock
//! ```

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::id::{RepoId, is_commit};
use super::{HubError, hash::ContentId};
use crate::huggingface::{self, CONFIG, INDEX, TORCH, WEIGHTS};

/// The folder of one repository in the cache.
pub(super) struct RepoCache {
    pub(super) root: PathBuf,
    locks: PathBuf,
}

impl RepoCache {
    pub(super) fn new(cache: &Path, id: &RepoId) -> RepoCache {
        let folder = id.folder();
        RepoCache {
            root: cache.join(&folder),
            locks: cache.join(".locks").join(folder),
        }
    }

    pub(super) fn blob(&self, content: &ContentId) -> PathBuf {
        self.root.join("blobs").join(content.digits())
    }

    pub(super) fn incomplete(&self, content: &ContentId) -> PathBuf {
        let name = format!("{}.incomplete", content.digits());
        self.root.join("blobs").join(name)
    }

    pub(super) fn lock(&self, content: &ContentId) -> PathBuf {
        self.locks.join(format!("{}.lock", content.digits()))
    }

    pub(super) fn snapshot(&self, commit: &str) -> PathBuf {
        self.root.join("snapshots").join(commit)
    }

    /// The commit that a revision stands for, if the cache knows.
    pub(super) fn commit(&self, revision: &str) -> Option<String> {
        if is_commit(revision) {
            return Some(revision.into());
        }
        let commit = fs::read_to_string(self.root.join("refs").join(revision)).ok()?;
        let commit = commit.trim();
        is_commit(commit).then(|| commit.into())
    }

    /// Notes the commit that a revision stands for.
    pub(super) fn set_commit(&self, revision: &str, commit: &str) -> Result<(), HubError> {
        if is_commit(revision) {
            return Ok(());
        }
        let path = self.root.join("refs").join(revision);
        write_atomically(&path, |temporary| fs::write(temporary, commit))
    }

    /// Makes `file` of a snapshot show a blob: by a link where the system has them, else as a copy.
    pub(super) fn show(
        &self,
        commit: &str,
        file: &str,
        content: &ContentId,
    ) -> Result<(), HubError> {
        let shown = self.snapshot(commit).join(file);
        let target = Path::new("../../blobs").join(content.digits());
        if fs::read_link(&shown).is_ok_and(|existing| existing == target) {
            return Ok(());
        }
        let blob = self.blob(content);
        write_atomically(&shown, |temporary| {
            symlink(&target, temporary)
                .or_else(|_| fs::hard_link(&blob, temporary))
                .or_else(|_| fs::copy(&blob, temporary).map(|_| ()))
        })
    }

    /// The complete snapshot of a revision, if there is one.
    pub(super) fn complete_snapshot(&self, revision: &str) -> Option<PathBuf> {
        let snapshot = self.snapshot(&self.commit(revision)?);
        is_complete(&snapshot).then_some(snapshot)
    }
}

/// Whether a snapshot holds a whole model; other tools fetch single files.
pub(super) fn is_complete(snapshot: &Path) -> bool {
    missing(snapshot).is_empty()
}

/// The files that a snapshot lacks to be a whole model.
pub(super) fn missing(snapshot: &Path) -> Vec<String> {
    let has = |file: &str| snapshot.join(file).is_file();
    let has_nemo = || {
        let files = fs::read_dir(snapshot).into_iter().flatten().flatten();
        let mut paths = files.map(|file| file.path());
        paths.any(|path| path.extension().is_some_and(|e| e == "nemo") && path.is_file())
    };
    if has_nemo() {
        return Vec::new();
    }
    let mut missing = Vec::new();
    if !has(CONFIG) {
        missing.push(CONFIG.into());
    }
    if !has(WEIGHTS) && !has(TORCH) {
        let shards = fs::read(snapshot.join(INDEX))
            .ok()
            .and_then(|index| huggingface::shard_names(&snapshot.join(INDEX), &index).ok());
        match shards {
            Some(shards) => missing.extend(shards.into_iter().filter(|shard| !has(shard))),
            None => missing.push(WEIGHTS.into()),
        }
    }
    missing
}

/// Creates a file or link under another name and renames it into place.
fn write_atomically(
    path: &Path,
    write: impl FnOnce(&Path) -> io::Result<()>,
) -> Result<(), HubError> {
    let folder = path.parent().expect("a path inside the cache has a parent");
    fs::create_dir_all(folder).map_err(HubError::io(folder, "create"))?;
    let scratch = tempfile::Builder::new().prefix(".tmp").tempdir_in(folder);
    let scratch = scratch.map_err(HubError::io(folder, "write"))?;
    let temporary = scratch.path().join("new");
    write(&temporary).map_err(HubError::io(path, "write"))?;
    fs::rename(&temporary, path).map_err(HubError::io(path, "write"))
}

#[cfg(unix)]
fn symlink(target: &Path, link: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(target, link)
}

#[cfg(windows)]
fn symlink(target: &Path, link: &Path) -> io::Result<()> {
    std::os::windows::fs::symlink_file(target, link)
}

#[cfg(not(any(unix, windows)))]
fn symlink(_target: &Path, _link: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}
