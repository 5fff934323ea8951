//! Reads the table of a tar archive in memory: ustar, GNU long names and pax headers, and no further.
//!
//! Nothing is extracted and no name is ever used as a path. Names that would leave the archive's folder, and members
//! that are not files or folders, are errors all the same: a model has no use for them.

use std::collections::BTreeMap;
use std::ops::Range;

const BLOCK: usize = 512;

/// The longest name that a member may have, and the longest pax header: both are copied.
const MAX_NAME_BYTES: usize = 64 << 10;

/// The most members that are read; a model has about ten.
const MAX_MEMBERS: usize = 1 << 16;

/// What is wrong with a tar archive.
#[non_exhaustive]
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum TarFault {
    /// The first or a later header has a wrong checksum.
    #[error("no tar header at byte {at}")]
    NotTar {
        /// Where a header should be.
        at: usize,
    },
    /// The archive ends inside a member.
    #[error("cut inside member `{name}`; fetch it again")]
    Cut {
        /// The member.
        name: String,
    },
    /// A number of a header is none.
    #[error("the {field} of the header at byte {at} is no number")]
    Number {
        /// Where the header is.
        at: usize,
        /// Which number.
        field: &'static str,
    },
    /// A member's name would leave the archive's folder.
    #[error("member `{name}` points outside the archive")]
    Escapes {
        /// The member.
        name: String,
    },
    /// A link, a device or another member that is not a file.
    #[error("member `{name}` is {what}, not a file")]
    NotAFile {
        /// The member.
        name: String,
        /// What it is.
        what: &'static str,
    },
    /// More members than a model can need.
    #[error("more than {limit} members")]
    TooMany {
        /// The most that are read.
        limit: usize,
    },
    /// Two members have one name.
    #[error("two members are named `{name}`")]
    Duplicate {
        /// The name.
        name: String,
    },
    /// A name or extended header that is too long, or not what it should be.
    #[error("bad extended header at byte {at}")]
    Extended {
        /// Where the header is.
        at: usize,
    },
}

/// The files of an archive by name (a leading `./` removed), as ranges of its bytes.
pub(crate) fn members(archive: &[u8]) -> Result<BTreeMap<String, Range<usize>>, TarFault> {
    let mut members = BTreeMap::new();
    let mut next = Overrides::default();
    let mut at = 0;
    while let Some(header) = Header::read(archive, at)? {
        let overrides = std::mem::take(&mut next);
        let name = match overrides.name {
            Some(name) => name,
            None => header.name(),
        };
        let size = match overrides.size {
            Some(size) => size,
            None => header.size()?,
        };
        let start = at + BLOCK;
        let cut = || TarFault::Cut { name: name.clone() };
        let size = usize::try_from(size).map_err(|_| cut())?;
        let end = start.checked_add(size).filter(|&end| end <= archive.len());
        let data = start..end.ok_or_else(cut)?;
        // Rounding up may pass the end: some writers leave the last block's padding out.
        at = data.end.next_multiple_of(BLOCK);

        let bad = TarFault::Extended { at: start - BLOCK };
        match header.kind() {
            b'0' | 0 | b'7' => {
                let name = plain_name(&name)?;
                if members.contains_key(&name) {
                    return Err(TarFault::Duplicate { name });
                }
                if members.len() == MAX_MEMBERS {
                    return Err(TarFault::TooMany { limit: MAX_MEMBERS });
                }
                members.insert(name, data);
            }
            b'5' => {
                plain_name(&name)?;
            }
            b'L' => next.name = Some(long_name(&archive[data]).ok_or(bad)?),
            b'x' => next.read_pax(&archive[data]).ok_or(bad)?,
            b'g' => {}
            kind => {
                let what = match kind {
                    b'1' => "a hard link",
                    b'2' => "a symbolic link",
                    b'3' | b'4' => "a device",
                    b'6' => "a pipe",
                    b'S' => "a sparse file",
                    _ => "of an unknown kind",
                };
                return Err(TarFault::NotAFile { name, what });
            }
        }
    }
    Ok(members)
}

/// Whether the bytes begin with a tar header.
pub(crate) fn is_tar(bytes: &[u8]) -> bool {
    matches!(Header::read(bytes, 0), Ok(Some(_)))
}

/// What an extended header says about the member after it.
#[derive(Default)]
struct Overrides {
    name: Option<String>,
    size: Option<u64>,
}

impl Overrides {
    /// Reads pax records, `LENGTH KEY=VALUE\n` each, LENGTH counting itself.
    fn read_pax(&mut self, mut records: &[u8]) -> Option<()> {
        if records.len() > MAX_NAME_BYTES {
            return None;
        }
        while !records.is_empty() {
            let space = records.iter().position(|&b| b == b' ')?;
            let length: usize = std::str::from_utf8(&records[..space]).ok()?.parse().ok()?;
            let record = records.get(space + 1..length)?.strip_suffix(b"\n")?;
            let equals = record.iter().position(|&b| b == b'=')?;
            let (key, value) = (&record[..equals], &record[equals + 1..]);
            match key {
                b"path" => self.name = Some(String::from_utf8(value.to_vec()).ok()?),
                b"size" => self.size = Some(std::str::from_utf8(value).ok()?.parse().ok()?),
                _ => {}
            }
            records = &records[length..];
        }
        Some(())
    }
}

/// A GNU long name: the text up to the first NUL.
fn long_name(data: &[u8]) -> Option<String> {
    let text = until_nul(data);
    if text.len() > MAX_NAME_BYTES {
        return None;
    }
    String::from_utf8(text.to_vec()).ok()
}

/// A member's name without `./`, if it stays within the archive.
fn plain_name(name: &str) -> Result<String, TarFault> {
    let escapes = name.starts_with('/')
        || name.contains(['\\', '\0'])
        || name.get(1..2) == Some(":")
        || name.split('/').any(|part| part == "..");
    if escapes {
        return Err(TarFault::Escapes { name: name.into() });
    }
    let parts = name.split('/').filter(|part| !matches!(*part, "" | "."));
    Ok(parts.collect::<Vec<_>>().join("/"))
}

struct Header<'a> {
    at: usize,
    block: &'a [u8; BLOCK],
}

impl<'a> Header<'a> {
    /// The header at `at`, or `None` at the end of the archive.
    fn read(archive: &'a [u8], at: usize) -> Result<Option<Header<'a>>, TarFault> {
        let rest = archive.get(at..).unwrap_or_default();
        // Some writers leave out the two zero blocks that mark the end; an empty file is no archive though.
        if rest.is_empty() && at > 0 {
            return Ok(None);
        }
        let Some(block) = rest.first_chunk::<BLOCK>() else {
            return Err(TarFault::NotTar { at });
        };
        if block.iter().all(|&b| b == 0) && at > 0 {
            return Ok(None);
        }
        let header = Header { at, block };
        if number(&block[148..156]) != Some(header.checksum()) {
            return Err(TarFault::NotTar { at });
        }
        Ok(Some(header))
    }

    /// The sum of all bytes, those of the checksum taken as spaces.
    fn checksum(&self) -> u64 {
        let sum: u64 = self.block.iter().map(|&b| u64::from(b)).sum();
        let own: u64 = self.block[148..156].iter().map(|&b| u64::from(b)).sum();
        sum - own + 8 * u64::from(b' ')
    }

    fn name(&self) -> String {
        let name = String::from_utf8_lossy(until_nul(&self.block[..100]));
        let prefix = until_nul(&self.block[345..500]);
        // GNU's own format uses the field of the prefix for other things and says so by its magic.
        let is_ustar = &self.block[257..263] == b"ustar\0";
        if is_ustar && !prefix.is_empty() {
            return format!("{}/{name}", String::from_utf8_lossy(prefix));
        }
        name.into_owned()
    }

    fn size(&self) -> Result<u64, TarFault> {
        number(&self.block[124..136]).ok_or(TarFault::Number {
            at: self.at,
            field: "size",
        })
    }

    fn kind(&self) -> u8 {
        self.block[156]
    }
}

fn until_nul(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().position(|&b| b == 0);
    &bytes[..end.unwrap_or(bytes.len())]
}

/// A number in octal text, or in GNU's base 256 where the first bit is set.
fn number(field: &[u8]) -> Option<u64> {
    if let [first, rest @ ..] = field
        && first & 0x80 != 0
    {
        let start = u64::from(first & 0x7f);
        let shift = |n: u64, &b: &u8| Some(n.checked_mul(256)? + u64::from(b));
        return rest.iter().try_fold(start, shift);
    }
    let text = std::str::from_utf8(until_nul(field))
        .ok()?
        .trim_matches(' ');
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    u64::from_str_radix(text, 8).ok()
}
