//! Writing a file of derived weights.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use sha2::Sha256;
use sha2::digest::Digest;
use tempfile::{NamedTempFile, TempPath};

use super::format::{Blob, HEADER_BYTES, Table, aligned};
use super::identity::Identity;
use super::{CacheEntry, CacheError, PackedFault, PackedFile, inventory};
use crate::WeightsError;
use crate::hub::hex;

/// A file of derived weights on its way into the cache, under a temporary name beside its own. Dropping it before
/// [`PackedWriter::finish`] removes it.
#[derive(Debug)]
pub struct PackedWriter {
    blobs: BlobWriter,
    temporary: TempPath,
    entry: CacheEntry,
}

impl PackedWriter {
    pub(super) fn create(entry: &CacheEntry) -> Result<PackedWriter, WeightsError> {
        let folder = entry.path.parent().expect("an entry lies in its cache");
        fs::create_dir_all(folder).map_err(CacheError::io(folder, "create"))?;
        // What cannot be removed does not keep this file from being written.
        let _ = inventory::remove_leftovers(folder);
        let (file, temporary) = locked_temporary(folder)
            .map_err(CacheError::io(folder, "write"))?
            .into_parts();
        Ok(PackedWriter {
            blobs: BlobWriter {
                file,
                path: entry.path.clone(),
                table: Table::new(entry.source.clone(), entry.identity.clone()),
                names: HashSet::new(),
                end: HEADER_BYTES as u64,
            },
            temporary,
            entry: entry.clone(),
        })
    }

    /// Writes one blob to disk. `shape` need not agree with the number of bytes: it is what [`PackedFile::get`] asks
    /// for.
    ///
    /// # Errors
    /// [`CacheError::Duplicate`], [`CacheError::DiskFull`], [`CacheError::Io`].
    pub fn add(&mut self, name: &str, shape: &[usize], bytes: &[u8]) -> Result<(), WeightsError> {
        Ok(self.blobs.add(name, shape, bytes)?)
    }

    /// Writes the blobs of another file whose names are not taken, such as those of the file that this one replaces.
    /// A blob that is damaged is left out.
    ///
    /// # Errors
    /// [`CacheError::DiskFull`], [`CacheError::Io`].
    pub fn add_others(&mut self, packed: &PackedFile) -> Result<(), WeightsError> {
        for (blob, view) in packed.blobs() {
            let is_new = !self.blobs.names.contains(&blob.name);
            if is_new && hex(Sha256::digest(view.bytes())) == blob.sha256 {
                self.blobs.add(&blob.name, &blob.shape, view.bytes())?;
            }
        }
        Ok(())
    }

    /// Makes the file appear under its name, all of it on disk. It replaces one that is there; who has that one open
    /// keeps it.
    ///
    /// # Errors
    /// [`CacheError::SourceChanged`] where a file of the checkpoint changed since it was opened, and
    /// [`CacheError::DiskFull`], [`CacheError::Io`]. Nothing is left behind then.
    pub fn finish(self) -> Result<(), WeightsError> {
        let PackedWriter {
            blobs,
            temporary,
            entry,
        } = self;
        let path = &entry.path;
        // Held until the file has its name, so that nobody takes it for a leftover.
        let _file = blobs.finish()?;
        if Identity::of(&entry.files, &entry.identity.variant)? != entry.identity {
            let path = entry.source.into();
            return Err(CacheError::SourceChanged { path }.into());
        }
        let renamed = temporary.persist(path).map_err(|error| error.error);
        Ok(renamed.map_err(CacheError::io(path, "write"))?)
    }
}

/// A new file that this process holds a lock of, which tells it from those that ended processes left behind.
fn locked_temporary(folder: &Path) -> io::Result<NamedTempFile> {
    loop {
        let temporary = inventory::temporary_in(folder)?;
        // Some network file systems have no locks. Nobody can then tell that the file is a leftover, so it stays.
        let _ = temporary.as_file().lock();
        // Another process may have taken it for a leftover before it was locked.
        if temporary.path().try_exists()? {
            return Ok(temporary);
        }
    }
}

/// The contents of the file.
#[derive(Debug)]
struct BlobWriter {
    file: File,
    /// What errors name: the file as it will be called.
    path: PathBuf,
    table: Table,
    names: HashSet<String>,
    /// Where the last blob ends.
    end: u64,
}

impl BlobWriter {
    fn add(&mut self, name: &str, shape: &[usize], bytes: &[u8]) -> Result<(), CacheError> {
        let duplicate = || CacheError::Duplicate {
            path: self.path.clone(),
            name: name.to_owned(),
        };
        if self.names.contains(name) {
            return Err(duplicate());
        }
        let offset = self.next()?;
        self.write(offset, bytes)?;
        self.names.insert(name.to_owned());
        self.table.blobs.push(Blob {
            name: name.to_owned(),
            shape: shape.to_vec(),
            offset,
            bytes: bytes.len() as u64,
            sha256: hex(Sha256::digest(bytes)),
        });
        self.end = offset + bytes.len() as u64;
        Ok(())
    }

    /// Writes the table and the header and waits until all is on disk.
    fn finish(self) -> Result<File, CacheError> {
        let table_offset = self.next()?;
        let (header, table) = self.table.to_bytes(table_offset);
        self.write(table_offset, &table)?;
        // A blob that could not be written may have left more.
        let end = table_offset + table.len() as u64;
        let io = CacheError::io(&self.path, "write");
        self.file.set_len(end).map_err(io)?;
        self.write(0, &header)?;
        let io = CacheError::io(&self.path, "write");
        self.file.sync_all().map_err(io)?;
        Ok(self.file)
    }

    /// Where the next blob begins.
    fn next(&self) -> Result<u64, CacheError> {
        let fault = PackedFault::Table("too many bytes");
        aligned(self.end).ok_or_else(|| CacheError::damaged(&self.path)(fault))
    }

    /// Writes at a place of the file; what was skipped before it is zeros.
    fn write(&self, offset: u64, bytes: &[u8]) -> Result<(), CacheError> {
        let mut file = &self.file;
        file.seek(SeekFrom::Start(offset))
            .and_then(|_| file.write_all(bytes))
            .map_err(CacheError::io(&self.path, "write"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::StampedFile;

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_says_so_at_every_step() {
        let identity = Identity::of(&[], "x").unwrap();
        let writer = || BlobWriter {
            file: File::options().write(true).open("/dev/full").unwrap(),
            path: "/c/x.packed".into(),
            table: Table::new("s".into(), identity.clone()),
            names: HashSet::new(),
            end: HEADER_BYTES as u64,
        };
        for error in [
            writer().add("a", &[1], &[1]).unwrap_err(),
            writer().finish().unwrap_err(),
        ] {
            assert_eq!(error.code(), "cache-disk-full");
            assert_eq!(
                error.to_string(),
                "/c/x.packed: no room for the weight cache: no space left on device; make room, or set HF_HOME to \
                 another disk"
            );
        }
    }

    #[test]
    fn what_a_failed_blob_left_is_not_in_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let model = dir.path().join("model");
        fs::write(&model, b"weights").unwrap();
        let cache = crate::WeightCache::at(dir.path());
        let stamped = StampedFile::of(&model, &File::open(&model).unwrap()).unwrap();
        let entry = cache.entry(&model, &[stamped], "x").unwrap();
        let mut writer = entry.create().unwrap();
        writer.add("a", &[1], &[1]).unwrap();
        // As a write that got half way through.
        writer.blobs.write(128, &[9; 5000]).unwrap();
        writer.add("b", &[1], &[2]).unwrap();
        writer.finish().unwrap();
        let packed = entry.open().unwrap();
        assert_eq!(packed.get("b", &[1]).unwrap().as_ref(), [2]);
    }
}
