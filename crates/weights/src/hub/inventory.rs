//! What the cache holds, and whether it is still what was fetched.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::cache::{is_complete, missing};
use super::hash::ContentId;
use super::id::{MAIN, RepoId, is_commit};
use super::{Hub, HubError};

/// A repository in the cache.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct CachedRepo {
    /// `owner/name`.
    pub id: String,
    /// Its folder.
    pub path: PathBuf,
    /// What its contents take on disk, unfinished ones included.
    pub bytes: u64,
    /// The commits that are there.
    pub revisions: Vec<CachedRevision>,
}

/// A commit of a repository in the cache.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct CachedRevision {
    /// The commit.
    pub commit: String,
    /// The branches and tags that point to it.
    pub refs: Vec<String>,
    /// The directory with its files.
    pub path: PathBuf,
    /// Whether it holds a whole model; other tools fetch single files.
    pub is_complete: bool,
}

/// A file of a snapshot after its content was read again.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct VerifiedFile {
    /// Its name in the repository.
    pub name: String,
    /// Its size.
    pub bytes: u64,
    /// What became of it.
    pub state: FileState,
}

/// Whether a cached file is what the hub sent.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileState {
    /// Its content has the hash that it is stored under.
    Intact,
    /// Its content has another hash: remove it and fetch again.
    Damaged,
    /// The model needs it and it is not there, or its link leads nowhere: fetch again.
    Missing,
    /// It is stored under no hash (some tools do so where there are no links), so nothing can be said.
    Unknown,
}

impl Hub {
    /// The repositories in the cache, sorted by name; none where there is no cache.
    ///
    /// # Errors
    /// [`HubError::Io`] where a folder cannot be read.
    pub fn list(&self) -> Result<Vec<CachedRepo>, HubError> {
        let mut repos = Vec::new();
        for path in children(&self.settings().cache)? {
            let id = path.file_name().and_then(|name| name.to_str());
            if let Some(id) = id.and_then(RepoId::of_folder) {
                repos.push(CachedRepo {
                    id,
                    bytes: total_bytes(&path.join("blobs"))?,
                    revisions: revisions(&path)?,
                    path,
                });
            }
        }
        repos.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(repos)
    }

    /// Reads every file of a cached snapshot again and compares its hash with the one it is stored under.
    /// Files that the model lacks are named as well. `owner/name` without a revision also means the only commit that is
    /// there: the first download notes its branch when it is complete.
    ///
    /// # Errors
    /// [`HubError::Id`], [`HubError::NotCached`], [`HubError::Io`]. A damaged file is a result, not an error.
    pub fn verify(&self, id: &str) -> Result<Vec<VerifiedFile>, HubError> {
        let id = RepoId::parse(id)?;
        let cache = self.repo(&id);
        let commit = match cache.commit(&id.revision) {
            None if id.revision == MAIN => only_commit(&cache.root)?,
            commit => commit,
        };
        let snapshot = commit.map(|commit| cache.snapshot(&commit));
        let snapshot = snapshot.filter(|snapshot| snapshot.is_dir());
        let snapshot = snapshot.ok_or_else(|| HubError::NotCached {
            id: id.name.clone(),
            cache: self.settings().cache.clone(),
        })?;
        let mut files = Vec::new();
        for path in files_below(&snapshot)? {
            let name = path.strip_prefix(&snapshot).unwrap_or(&path);
            files.push(VerifiedFile {
                name: name.to_string_lossy().replace('\\', "/"),
                bytes: fs::metadata(&path).map_or(0, |meta| meta.len()),
                state: state(&path, &cache.root.join("blobs"))?,
            });
        }
        for name in missing(&snapshot) {
            if !files.iter().any(|file| file.name == name) {
                files.push(VerifiedFile {
                    name,
                    bytes: 0,
                    state: FileState::Missing,
                });
            }
        }
        Ok(files)
    }
}

/// The commit in a cache that has no other.
fn only_commit(repo: &Path) -> Result<Option<String>, HubError> {
    let mut revisions = revisions(repo)?.into_iter();
    let first = revisions.next().map(|revision| revision.commit);
    Ok(first.filter(|_| revisions.next().is_none()))
}

/// Compares a file of a snapshot with the name of its blob.
fn state(path: &Path, blobs: &Path) -> Result<FileState, HubError> {
    let hash = |kind: &ContentId| match kind.of_file(path) {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(HubError::io(path, "read")(error)),
    };
    if let Ok(target) = fs::read_link(path) {
        let name = target.file_name().and_then(|name| name.to_str());
        let Some(content) = name.and_then(ContentId::of_etag) else {
            return Ok(FileState::Unknown);
        };
        return Ok(match hash(&content)? {
            None => FileState::Missing,
            Some(found) if found == content => FileState::Intact,
            Some(_) => FileState::Damaged,
        });
    }
    // A copy: intact if a blob is named after its content.
    for kind in [
        ContentId::Sha256(String::new()),
        ContentId::Git(String::new()),
    ] {
        let found = hash(&kind)?;
        if found.is_some_and(|found| blobs.join(found.digits()).exists()) {
            return Ok(FileState::Intact);
        }
    }
    Ok(FileState::Unknown)
}

fn revisions(repo: &Path) -> Result<Vec<CachedRevision>, HubError> {
    let refs_folder = repo.join("refs");
    let mut refs = Vec::new();
    for path in files_below(&refs_folder)? {
        let commit = fs::read_to_string(&path).map_err(HubError::io(&path, "read"))?;
        let name = path.strip_prefix(&refs_folder).unwrap_or(&path);
        refs.push((
            name.to_string_lossy().replace('\\', "/"),
            commit.trim().to_string(),
        ));
    }
    let mut revisions = Vec::new();
    for path in children(&repo.join("snapshots"))? {
        let commit = path.file_name().and_then(|name| name.to_str());
        let Some(commit) = commit.filter(|commit| is_commit(commit)) else {
            continue;
        };
        let pointing = refs.iter().filter(|(_, to)| to == commit);
        revisions.push(CachedRevision {
            commit: commit.into(),
            refs: pointing.map(|(name, _)| name.clone()).collect(),
            is_complete: is_complete(&path),
            path,
        });
    }
    Ok(revisions)
}

fn total_bytes(folder: &Path) -> Result<u64, HubError> {
    let sizes = files_below(folder)?;
    let sizes = sizes.iter().filter_map(|path| fs::metadata(path).ok());
    Ok(sizes.map(|meta| meta.len()).sum())
}

/// The entries of a folder, sorted; none where there is no such folder.
fn children(folder: &Path) -> Result<Vec<PathBuf>, HubError> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(HubError::io(folder, "read"))?,
    };
    let paths = entries.map(|entry| entry.map(|entry| entry.path()));
    let mut paths: Vec<PathBuf> = paths
        .collect::<Result<_, _>>()
        .map_err(HubError::io(folder, "read"))?;
    paths.sort();
    Ok(paths)
}

/// All files and links below a folder, sorted within each folder. Links are not followed.
fn files_below(folder: &Path) -> Result<Vec<PathBuf>, HubError> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for path in children(&folder)? {
            let is_folder = fs::symlink_metadata(&path).is_ok_and(|meta| meta.is_dir());
            if is_folder {
                folders.push(path);
            } else {
                files.push(path);
            }
        }
    }
    Ok(files)
}
