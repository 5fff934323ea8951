//! The safetensors format: an 8-byte length, a JSON header, and the tensors' bytes without gaps.
//!
//! Format: <https://github.com/huggingface/safetensors#format>. The checks are its own: offsets that start at zero,
//! follow each other without hole or overlap and end with the file, and sizes that agree with type and shape.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};

use crate::WeightsError;
use crate::dtype::Dtype;
use crate::tensors::{Order, Stored, checked_elements, insert};
use crate::view::View;

/// The largest header that is read; the format's own limit.
const MAX_HEADER_BYTES: u64 = 100_000_000;

/// What is wrong with a safetensors file.
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
pub enum SafetensorsFault {
    /// Fewer than the 8 bytes of the header's length.
    #[error("only {bytes} bytes")]
    Short {
        /// The file's size.
        bytes: usize,
    },
    /// The header does not fit the file or the format's limit.
    #[error("a header of {header} bytes in a file of {bytes}")]
    HeaderLength {
        /// The header's length as the file states it.
        header: u64,
        /// The file's size.
        bytes: usize,
    },
    /// The header is not the JSON object that it should be.
    #[error("bad header: {0}")]
    Header(serde_json::Error),
    /// An element type that is not known.
    #[error("tensor `{name}` has the unknown type `{dtype}`")]
    UnknownDtype {
        /// The tensor.
        name: String,
        /// The type as written.
        dtype: String,
    },
    /// The bytes of a tensor are not as many as its type and shape need.
    #[error("tensor `{name}` of {dtype} {shape:?} is given bytes {start}..{end}")]
    Size {
        /// The tensor.
        name: String,
        /// Its element type.
        dtype: Dtype,
        /// Its shape.
        shape: Vec<usize>,
        /// Its first byte within the data.
        start: u64,
        /// The end of its bytes.
        end: u64,
    },
    /// A tensor does not begin where the one before it ends.
    #[error("tensor `{name}` begins at byte {start}, the one before it ends at {previous_end}")]
    Offset {
        /// The tensor.
        name: String,
        /// Its first byte within the data.
        start: u64,
        /// The end of the tensor before it.
        previous_end: u64,
    },
    /// The tensors do not end where the file does.
    #[error(
        "the tensors take {tensors} bytes, the file holds {data}; it is cut or damaged, fetch it again"
    )]
    DataLength {
        /// What the header promises.
        tensors: u64,
        /// What follows the header.
        data: usize,
    },
}

/// One entry of the header.
#[derive(Deserialize)]
struct Entry {
    dtype: String,
    shape: Vec<usize>,
    data_offsets: (u64, u64),
}

/// The header in file order; a map would hide repeated names.
struct Header(Vec<(String, Entry)>);

impl<'de> Deserialize<'de> for Header {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = Header;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of tensors")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Header, A::Error> {
                let mut entries = Vec::new();
                while let Some(name) = map.next_key::<String>()? {
                    if name == "__metadata__" {
                        map.next_value::<IgnoredAny>()?;
                    } else {
                        entries.push((name, map.next_value()?));
                    }
                }
                Ok(Header(entries))
            }
        }
        deserializer.deserialize_map(Entries)
    }
}

/// Adds the tensors of one safetensors file to `by_name`.
pub(crate) fn read(
    file: &Path,
    view: &View,
    by_name: &mut BTreeMap<String, Stored>,
) -> Result<(), WeightsError> {
    let fault = |fault| WeightsError::Safetensors {
        file: file.into(),
        fault,
    };
    let (entries, data) = header(view).map_err(fault)?;
    let mut previous_end = 0;
    for (name, entry) in entries {
        let (start, end) = entry.data_offsets;
        if start != previous_end {
            return Err(fault(SafetensorsFault::Offset {
                name,
                start,
                previous_end,
            }));
        }
        let stored = tensor(&name, entry, &data).map_err(fault)?;
        previous_end = end;
        insert(file, by_name, name, stored)?;
    }
    if previous_end != data.len() as u64 {
        return Err(fault(SafetensorsFault::DataLength {
            tensors: previous_end,
            data: data.len(),
        }));
    }
    Ok(())
}

/// The entries in the order of their bytes, and the bytes.
fn header(view: &View) -> Result<(Vec<(String, Entry)>, View), SafetensorsFault> {
    let bytes = view.bytes();
    let Some((length, rest)) = bytes.split_first_chunk::<8>() else {
        return Err(SafetensorsFault::Short { bytes: bytes.len() });
    };
    let length = u64::from_le_bytes(*length);
    let wrong_length = SafetensorsFault::HeaderLength {
        header: length,
        bytes: bytes.len(),
    };
    if length > MAX_HEADER_BYTES {
        return Err(wrong_length);
    }
    let Some(json) = rest.get(..length as usize) else {
        return Err(wrong_length);
    };
    let Header(mut entries) = serde_json::from_slice(json).map_err(SafetensorsFault::Header)?;
    // By the end too: an empty tensor shares its offset with the tensor after it.
    entries.sort_by_key(|(_, entry)| entry.data_offsets);
    let data = view.slice(8 + length as usize..bytes.len());
    Ok((entries, data.expect("the header lies within the file")))
}

fn tensor(name: &str, entry: Entry, data: &View) -> Result<Stored, SafetensorsFault> {
    let Some(dtype) = Dtype::from_name(&entry.dtype) else {
        return Err(SafetensorsFault::UnknownDtype {
            name: name.into(),
            dtype: entry.dtype,
        });
    };
    let (start, end) = entry.data_offsets;
    let needed = checked_elements(&entry.shape).and_then(|n| n.checked_mul(dtype.bytes()));
    let fits = needed.is_some_and(|needed| end.checked_sub(start) == Some(needed as u64));
    if !fits {
        return Err(SafetensorsFault::Size {
            name: name.into(),
            dtype,
            shape: entry.shape,
            start,
            end,
        });
    }
    // Compared as u64 first: a cast of what does not fit could alias a valid range on 32-bit machines.
    let range = (end <= data.len() as u64).then_some(start as usize..end as usize);
    let Some(data) = range.and_then(|range| data.slice(range)) else {
        return Err(SafetensorsFault::DataLength {
            tensors: end,
            data: data.len(),
        });
    };
    Ok(Stored {
        dtype,
        shape: entry.shape,
        data,
        order: Order::Contiguous,
    })
}
