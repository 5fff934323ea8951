//! Reads the table of a zip archive in memory, as far as `torch.save` uses the format.
//!
//! Entries must be stored, as torch stores them: a tensor is then a range of the file, and nothing can grow. Sizes
//! and places come from the central directory (with zip64 where it is needed); local headers only say how long they
//! are themselves. Format: PKWARE APPNOTE 6.3, clauses 4.3.7-4.3.16 and 4.5.3.

use std::collections::BTreeMap;
use std::ops::Range;

/// What is wrong with a zip archive.
#[non_exhaustive]
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ZipFault {
    /// There is no end record: another format, or cut.
    #[error(
        "no zip archive, or one that is cut (files of torch before 1.6 must be saved again by a newer one)"
    )]
    NotZip,
    /// The table of entries is damaged.
    #[error("damaged table of entries at byte {at}")]
    Directory {
        /// Where reading stopped.
        at: u64,
    },
    /// An entry is packed or encrypted.
    #[error("entry `{name}` is {what}; torch stores its entries as they are")]
    NotStored {
        /// The entry.
        name: String,
        /// "compressed" or "encrypted".
        what: &'static str,
    },
    /// An entry reaches past the end of the file.
    #[error("entry `{name}` lies outside the file, which is cut or damaged; fetch it again")]
    Outside {
        /// The entry.
        name: String,
    },
    /// Two entries have one name.
    #[error("two entries are named `{name}`")]
    Duplicate {
        /// The name.
        name: String,
    },
}

/// The 32-bit value that says "see the zip64 field".
const SEE_ZIP64: u64 = 0xffff_ffff;
/// The most entries that are read: one per tensor and a few more.
const MAX_ENTRIES: u64 = 1 << 20;

/// The entries of an archive by name, as ranges of its bytes; folders are left out.
pub(crate) fn entries(archive: &[u8]) -> Result<BTreeMap<String, Range<usize>>, ZipFault> {
    let directory = Directory::find(archive)?;
    let mut entries = BTreeMap::new();
    let mut at = directory.start;
    if directory.entries > MAX_ENTRIES {
        return Err(ZipFault::Directory { at });
    }
    for _ in 0..directory.entries {
        let damaged = ZipFault::Directory { at };
        let Some((entry, next)) = Entry::read(archive, at) else {
            return Err(damaged);
        };
        at = next;
        if entry.name.ends_with('/') {
            continue;
        }
        let data = entry.data(archive)?;
        let name = entry.name;
        if entries.contains_key(&name) {
            return Err(ZipFault::Duplicate { name });
        }
        entries.insert(name, data);
    }
    Ok(entries)
}

/// Where the central directory begins, and how many entries it has.
struct Directory {
    start: u64,
    entries: u64,
}

impl Directory {
    fn find(archive: &[u8]) -> Result<Directory, ZipFault> {
        const END_BYTES: usize = 22;
        const MAX_COMMENT_BYTES: usize = 0xffff;
        let last = archive
            .len()
            .checked_sub(END_BYTES)
            .ok_or(ZipFault::NotZip)?;
        let first = last.saturating_sub(MAX_COMMENT_BYTES);
        let end = (first..=last)
            .rev()
            .find(|&at| archive[at..].starts_with(b"PK\x05\x06"))
            .ok_or(ZipFault::NotZip)? as u64;
        let damaged = ZipFault::Directory { at: end };
        let directory = Directory {
            entries: u16_at(archive, end + 10).ok_or(ZipFault::NotZip)?,
            start: u32_at(archive, end + 16).ok_or(ZipFault::NotZip)?,
        };
        if directory.entries != 0xffff && directory.start != SEE_ZIP64 {
            return Ok(directory);
        }
        Directory::find_zip64(archive, end)
            .unwrap_or(Some(directory))
            .ok_or(damaged)
    }

    /// The zip64 record of an archive whose end record is at `end`. The outer `None` says that there is no locator:
    /// the values of the end record then mean what they say.
    fn find_zip64(archive: &[u8], end: u64) -> Option<Option<Directory>> {
        const LOCATOR_BYTES: u64 = 20;
        let locator = end.checked_sub(LOCATOR_BYTES)?;
        if !signature_at(archive, locator, b"PK\x06\x07") {
            return None;
        }
        Some(u64_at(archive, locator + 8).and_then(|record| {
            if !signature_at(archive, record, b"PK\x06\x06") {
                return None;
            }
            Some(Directory {
                entries: u64_at(archive, record.checked_add(32)?)?,
                start: u64_at(archive, record.checked_add(48)?)?,
            })
        }))
    }
}

/// One entry of the central directory.
struct Entry {
    name: String,
    flags: u64,
    method: u64,
    packed: u64,
    size: u64,
    local: u64,
}

impl Entry {
    /// The entry at `at` and where the next one begins.
    fn read(archive: &[u8], at: u64) -> Option<(Entry, u64)> {
        const HEADER_BYTES: u64 = 46;
        if !signature_at(archive, at, b"PK\x01\x02") {
            return None;
        }
        let name_start = at + HEADER_BYTES;
        let name_end = name_start + u16_at(archive, at + 28)?;
        let extra_end = name_end + u16_at(archive, at + 30)?;
        let next = extra_end + u16_at(archive, at + 32)?;
        let name = std::str::from_utf8(slice(archive, name_start, name_end)?).ok()?;
        let mut entry = Entry {
            name: name.into(),
            flags: u16_at(archive, at + 8)?,
            method: u16_at(archive, at + 10)?,
            packed: u32_at(archive, at + 20)?,
            size: u32_at(archive, at + 24)?,
            local: u32_at(archive, at + 42)?,
        };
        entry.read_zip64(slice(archive, name_end, extra_end)?)?;
        Some((entry, next))
    }

    /// Takes the values that do not fit 32 bits from the zip64 extra field, which holds just those, in this order.
    fn read_zip64(&mut self, mut extra: &[u8]) -> Option<()> {
        const ZIP64: u64 = 1;
        while !extra.is_empty() {
            let (id, length) = (u16_at(extra, 0)?, u16_at(extra, 2)?);
            let field = slice(extra, 4, 4 + length)?;
            if id == ZIP64 {
                let mut at = 0;
                for value in [&mut self.size, &mut self.packed, &mut self.local] {
                    if *value == SEE_ZIP64 {
                        *value = u64_at(field, at)?;
                        at += 8;
                    }
                }
                return Some(());
            }
            extra = slice(extra, 4 + length, extra.len() as u64)?;
        }
        Some(())
    }

    /// The range of the entry's bytes.
    fn data(&self, archive: &[u8]) -> Result<Range<usize>, ZipFault> {
        const ENCRYPTED: u64 = 1;
        const STORED: u64 = 0;
        let refuse = |what| ZipFault::NotStored {
            name: self.name.clone(),
            what,
        };
        if self.flags & ENCRYPTED != 0 {
            return Err(refuse("encrypted"));
        }
        if self.method != STORED || self.packed != self.size {
            return Err(refuse("compressed"));
        }
        self.locate(archive).ok_or_else(|| ZipFault::Outside {
            name: self.name.clone(),
        })
    }

    fn locate(&self, archive: &[u8]) -> Option<Range<usize>> {
        const HEADER_BYTES: u64 = 30;
        if !signature_at(archive, self.local, b"PK\x03\x04") {
            return None;
        }
        let name = u16_at(archive, self.local + 26)?;
        let extra = u16_at(archive, self.local + 28)?;
        let start = self.local + HEADER_BYTES + name + extra;
        let end = start.checked_add(self.size)?;
        slice(archive, start, end)?;
        Some(start as usize..end as usize)
    }
}

/// The bytes `start..end`, or `None` where they are not all there.
fn slice(bytes: &[u8], start: u64, end: u64) -> Option<&[u8]> {
    bytes.get(usize::try_from(start).ok()?..usize::try_from(end).ok()?)
}

fn signature_at(bytes: &[u8], at: u64, signature: &[u8; 4]) -> bool {
    at.checked_add(4)
        .and_then(|end| slice(bytes, at, end))
        .is_some_and(|found| found == signature)
}

fn u16_at(bytes: &[u8], at: u64) -> Option<u64> {
    let field = slice(bytes, at, at.checked_add(2)?)?;
    Some(u16::from_le_bytes(field.try_into().ok()?).into())
}

fn u32_at(bytes: &[u8], at: u64) -> Option<u64> {
    let field = slice(bytes, at, at.checked_add(4)?)?;
    Some(u32::from_le_bytes(field.try_into().ok()?).into())
}

fn u64_at(bytes: &[u8], at: u64) -> Option<u64> {
    let field = slice(bytes, at, at.checked_add(8)?)?;
    Some(u64::from_le_bytes(field.try_into().ok()?))
}
