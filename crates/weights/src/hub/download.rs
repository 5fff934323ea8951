//! Brings one file into the cache: locked, resumed where an earlier try stopped, checked, then renamed into place.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use super::cache::RepoCache;
use super::client::{Client, FileFacts, TRIES, may_pass, network};
use super::id::RepoId;
use super::{HubError, Tally};

/// A file of a repository on its way into the cache.
pub(super) struct Download<'a> {
    pub(super) client: &'a Client,
    pub(super) cache: &'a RepoCache,
    pub(super) id: &'a RepoId,
    pub(super) commit: &'a str,
    pub(super) file: &'a str,
    pub(super) facts: FileFacts,
}

impl Download<'_> {
    /// Makes the blob of the file be in the cache.
    pub(super) fn run(&self, tally: &mut Tally<'_>) -> Result<(), HubError> {
        let blob = self.cache.blob(&self.facts.content);
        let _lock = lock(&self.cache.lock(&self.facts.content))?;
        // Another process may have brought it while this one waited for the lock.
        if !blob.is_file() {
            self.bring(&blob, tally)?;
        }
        tally.file_at(self.file, self.facts.bytes, self.facts.bytes);
        Ok(())
    }

    fn bring(&self, blob: &Path, tally: &mut Tally<'_>) -> Result<(), HubError> {
        let path = self.cache.incomplete(&self.facts.content);
        let io = |action| HubError::io(&path, action);
        create_folder_of(&path)?;
        let mut options = OpenOptions::new();
        let file = options.create(true).read(true).append(true).open(&path);
        let mut file = file.map_err(io("write"))?;
        self.receive_all(&mut file, &path, tally)?;
        file.sync_all().map_err(io("write"))?;
        drop(file);

        let expected = &self.facts.content;
        let found = expected.of_file(&path).map_err(io("read"))?;
        if found != *expected {
            // Kept, it would be resumed for ever.
            fs::remove_file(&path).map_err(io("remove"))?;
            return Err(HubError::Hash {
                file: self.file.into(),
                found: found.digits().into(),
                expected: expected.digits().into(),
            });
        }
        fs::rename(&path, blob).map_err(HubError::io(blob, "write"))
    }

    /// Receives until the file has its size. Only tries that bring nothing count as failures.
    fn receive_all(
        &self,
        file: &mut File,
        path: &Path,
        tally: &mut Tally<'_>,
    ) -> Result<(), HubError> {
        let expected = self.facts.bytes;
        let mut failures = 0;
        loop {
            let before = length(file, path)?;
            if before == expected {
                return Ok(());
            }
            if before > expected {
                file.set_len(0).map_err(HubError::io(path, "write"))?;
                continue;
            }
            let result = self.receive(file, path, before, tally);
            let bytes = length(file, path)?;
            failures = if bytes > before { 0 } else { failures + 1 };
            match result {
                Err(error) if !may_pass(&error) => return Err(error),
                Err(error) if failures == TRIES => return Err(error),
                Ok(()) if failures == TRIES => {
                    return Err(HubError::Cut {
                        file: self.file.into(),
                        bytes,
                        expected,
                    });
                }
                _ if bytes == expected => {}
                _ => self.client.pause(failures),
            }
        }
    }

    /// Receives once, from `start` to wherever the connection ends.
    fn receive(
        &self,
        file: &mut File,
        path: &Path,
        start: u64,
        tally: &mut Tally<'_>,
    ) -> Result<(), HubError> {
        let content = self.client.content(self.id, self.commit, self.file, start);
        let (mut at, body) = match content {
            // What is here does not fit what is there: begin anew.
            Err(HubError::Status { status: 416, .. }) => {
                return file.set_len(0).map_err(HubError::io(path, "write"));
            }
            content => content?,
        };
        file.set_len(at).map_err(HubError::io(path, "write"))?;
        // One byte more than promised shows that the promise was wrong, and the hash will say so.
        let mut body = body.take((self.facts.bytes - at).saturating_add(1));
        let mut block = vec![0; 256 << 10];
        loop {
            let n = match body.read(&mut block) {
                Ok(0) => return Ok(()),
                Ok(n) => n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(network(self.file, error.into())),
            };
            let written = file.write_all(&block[..n]);
            written.map_err(HubError::io(path, "write"))?;
            at += n as u64;
            tally.file_at(self.file, at.min(self.facts.bytes), self.facts.bytes);
        }
    }
}

fn length(file: &mut File, path: &Path) -> Result<u64, HubError> {
    let end = file.seek(SeekFrom::End(0));
    end.map_err(HubError::io(path, "read"))
}

/// Waits until no other process holds the lock file, and holds it. The file stays: removing it would race.
fn lock(path: &Path) -> Result<File, HubError> {
    create_folder_of(path)?;
    let file = File::create(path).map_err(HubError::io(path, "create"))?;
    match file.lock() {
        // Some network file systems have no locks. Two processes may then damage each other's transfer, which its
        // hash shows.
        Err(error) if error.kind() == io::ErrorKind::Unsupported => Ok(file),
        Err(error) => Err(HubError::io(path, "lock")(error)),
        Ok(()) => Ok(file),
    }
}

fn create_folder_of(path: &Path) -> Result<(), HubError> {
    let folder = path.parent().expect("a path inside the cache has a parent");
    fs::create_dir_all(folder).map_err(HubError::io(folder, "create"))
}
