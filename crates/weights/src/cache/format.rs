//! The bytes of a file of derived weights.
//!
//! ```text
//! header (64 bytes)   "PERCEPTW", version u32, blobs u32, table offset u64, table bytes u64, SHA-256 of the 32 bytes
//!                     before it and of the table; numbers are little-endian
//! blobs               each at a multiple of 64, one after the other, zeros between them
//! table               JSON: source, variant, what it was made from, and name, shape, place and SHA-256 of each blob
//! ```

use std::collections::HashSet;
use std::ops::Range;
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::Sha256;
use sha2::digest::Digest;

use super::PackedFault;
use super::identity::{Identity, is_in_state};
use crate::hub::is_hex;

/// Changed whenever the format changes.
pub(super) const VERSION: u32 = 1;
/// Where blobs begin: a multiple of this, so that vector loads from a mapped file are aligned.
pub(super) const ALIGNMENT: u64 = 64;
pub(super) const HEADER_BYTES: usize = 64;

const MAGIC: &[u8; 8] = b"PERCEPTW";
/// What the checksum covers of the header: all that is before the checksum.
const COVERED: usize = 32;
/// A model of a thousand layers stays below it.
const MAX_TABLE_BYTES: u64 = 16 << 20;

/// All that a file says about its blobs.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Table {
    /// The path of the checkpoint, for people.
    pub(super) source: String,
    pub(super) variant: String,
    /// [`Identity::place`].
    place: String,
    /// [`Identity::files`].
    files: Vec<String>,
    /// [`Identity::paths`].
    #[serde(default)]
    paths: Vec<String>,
    pub(super) blobs: Vec<Blob>,
}

/// What the table says about one blob.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Blob {
    pub(super) name: String,
    pub(super) shape: Vec<usize>,
    pub(super) offset: u64,
    pub(super) bytes: u64,
    pub(super) sha256: String,
}

impl Table {
    pub(super) fn new(source: String, identity: Identity) -> Table {
        Table {
            source,
            variant: identity.variant,
            place: identity.place,
            files: identity.files,
            paths: identity.paths,
            blobs: Vec::new(),
        }
    }

    pub(super) fn is_made_from(&self, identity: &Identity) -> bool {
        self.place == identity.place
            && self.variant == identity.variant
            && self.files == identity.files
    }

    /// Whether the files that it was made from are where they were, and as they were.
    pub(super) fn is_up_to_date(&self) -> bool {
        let mut files = self.paths.iter().zip(&self.files);
        self.paths.len() == self.files.len()
            && files.all(|(path, line)| is_in_state(Path::new(path), line))
    }

    /// The header and the table of a file whose blobs end at `table_offset`.
    pub(super) fn to_bytes(&self, table_offset: u64) -> (Vec<u8>, Vec<u8>) {
        let table = serde_json::to_vec(self).expect("strings and numbers have a form in JSON");
        let mut header = Vec::with_capacity(HEADER_BYTES);
        header.extend(MAGIC);
        header.extend(VERSION.to_le_bytes());
        header.extend((self.blobs.len() as u32).to_le_bytes());
        header.extend(table_offset.to_le_bytes());
        header.extend((table.len() as u64).to_le_bytes());
        let sum = checksum(&header, &table);
        header.extend(sum);
        (header, table)
    }

    /// Reads the table of a whole file, and says where it begins. Blobs are before it, in order and aligned.
    pub(super) fn of_file(file: &[u8]) -> Result<(Table, usize), PackedFault> {
        let header = Header::read(file)?;
        let bytes = &file[header.table.clone()];
        if checksum(&file[..COVERED], bytes)[..] != file[COVERED..HEADER_BYTES] {
            return Err(PackedFault::Checksum);
        }
        let table: Table =
            serde_json::from_slice(bytes).map_err(|_| PackedFault::Table("not the JSON it was"))?;
        table.check(&header)?;
        Ok((table, header.table.start))
    }

    fn check(&self, header: &Header) -> Result<(), PackedFault> {
        if self.blobs.len() as u64 != u64::from(header.blobs) {
            return Err(PackedFault::Table("another number of blobs"));
        }
        let mut end = HEADER_BYTES as u64;
        let mut names = HashSet::new();
        for blob in &self.blobs {
            if aligned(end) != Some(blob.offset) {
                return Err(PackedFault::Table("blobs that do not follow each other"));
            }
            end = blob
                .offset
                .checked_add(blob.bytes)
                .filter(|end| *end <= header.table.start as u64)
                .ok_or(PackedFault::Table("a blob outside the file"))?;
            if !is_hex(&blob.sha256, 64) {
                return Err(PackedFault::Table("a checksum that is none"));
            }
            if !names.insert(&blob.name) {
                return Err(PackedFault::Table("two blobs of one name"));
            }
        }
        match aligned(end) == Some(header.table.start as u64) {
            true => Ok(()),
            false => Err(PackedFault::Table("something behind the last blob")),
        }
    }
}

/// What a header says, once its lengths are those of the file.
struct Header {
    blobs: u32,
    table: Range<usize>,
}

impl Header {
    fn read(file: &[u8]) -> Result<Header, PackedFault> {
        let found = file.len() as u64;
        let Some(header) = file.first_chunk::<HEADER_BYTES>() else {
            let expected = HEADER_BYTES as u64;
            return Err(PackedFault::Length { found, expected });
        };
        if !header.starts_with(MAGIC) {
            return Err(PackedFault::Magic);
        }
        let u32_at = |at: usize| u32::from_le_bytes(std::array::from_fn(|i| header[at + i]));
        let u64_at = |at: usize| u64::from_le_bytes(std::array::from_fn(|i| header[at + i]));
        if u32_at(8) != VERSION {
            return Err(PackedFault::Version(u32_at(8)));
        }
        let (offset, bytes) = (u64_at(16), u64_at(24));
        if bytes > MAX_TABLE_BYTES {
            return Err(PackedFault::TableLength(bytes));
        }
        let expected = offset.saturating_add(bytes);
        if expected != found || offset < HEADER_BYTES as u64 {
            return Err(PackedFault::Length { found, expected });
        }
        // Both are at most the length of a slice.
        let table = offset as usize..expected as usize;
        Ok(Header {
            blobs: u32_at(12),
            table,
        })
    }
}

/// The next place where a blob, or the table, may begin.
pub(super) fn aligned(end: u64) -> Option<u64> {
    end.checked_next_multiple_of(ALIGNMENT)
}

fn checksum(header: &[u8], table: &[u8]) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(header);
    hash.update(table);
    hash.finalize().into()
}
