//! Token files: `.nct`, written and read; `.ecdc` and JSON.
//!
//! # The `.nct` file
//!
//! Little-endian. A header:
//!
//! | bytes | what |
//! |---|---|
//! | 4 | "NCT1" |
//! | 1 | version, 1 |
//! | 1 | flags: 1, every packet is a segment with a scale; 2, the header ends with a checksum; 4, an end follows; others 0 |
//! | 2 | codec: 1 SNAC, 2 DAC, 3 EnCodec, 4 Mimi |
//! | 4 | samples per second |
//! | 1, 1 | channels; books `n` |
//! | 2 | samples per latent frame |
//! | 5 `n` | each book: entries (4), latent frames per code (1) |
//! | 1 | latent frames that the codec decodes as one; the largest multiple of the strides below 256: more, or not known |
//! | 8 | samples per channel of the source; 0 if not known |
//! | 4 | super-frames; 0 if not known |
//! | 8 | first bytes of the SHA-256 of the weights |
//! | 2 | super-frames per full packet |
//! | 4, ... | length of the user JSON, and the JSON in UTF-8 |
//! | 4 | CRC-32 of all bytes before it, if flag 2 is set; this writer sets it |
//!
//! Then packets until the super-frames are complete, or the end follows, or (without both) the file ends:
//!
//! | bytes | what |
//! |---|---|
//! | 2 | super-frames in this packet |
//! | ... | codes: all of book 0, then all of book 1, and so on |
//! | 4 | scale as f32, if flag 1 is set |
//! | 4 | CRC-32 of all bytes of the packet before it |
//!
//! A code takes `max(1, ceil(log2(entries)))` bits, highest bit first, without gaps between codes or books; zeros fill
//! the last byte. A super-frame is the least common multiple of the strides. CRC-32 is that of zlib and PNG.
//!
//! And with flag 4, which a writer sets that cannot go back to the header, the end:
//!
//! | bytes | what |
//! |---|---|
//! | 2 | 0 |
//! | 8 | samples per channel of the source; 0 if not known |
//! | 8 | super-frames in the file |
//! | 4 | CRC-32 of the 18 bytes before it |
//!
//! Nothing may follow: files that were joined are not one file. Where the samples of the source are known, the super-frames
//! are those that encoding makes of so many.
//!
//! Without flag 1 every packet but the last is full, so any super-frame is found by arithmetic; with it each packet
//! is one segment and may be shorter than a full one. Coarse books come first in a packet, so a reader can leave fine
//! ones out. SNAC 24 kHz takes 84 bits per super-frame: 12 of them in 126 + 6 bytes are 1.024 s.
//!
//! Readers name the packet and the byte of damage; what is before it stays readable ([`NctReader::read_all`]). No
//! reader allocates more than a small multiple of the bytes that came, or of the codes in them.
//!
//! ```
//! use std::sync::Arc;
//!
//! use percept_codec::{BookSpec, Codes, NctHeader, NctReader, write_nct};
//!
//! # fn main() -> Result<(), percept_codec::ContainerError> {
//! let books: Arc<[BookSpec]> = [4, 2, 1].map(|stride| BookSpec { size: 4096, stride }).into();
//! let mut codes = Codes::new(books.clone());
//! codes.push_superframe(&[1, 2, 3, 4, 5, 6, 7])?;
//! let header = NctHeader {
//!     family: 1,
//!     sample_rate: 24_000,
//!     channels: 1,
//!     hop: 512,
//!     books,
//!     align: 4,
//!     total_samples: Some(2_000),
//!     superframes: None,
//!     weights_id: [0; 8],
//!     packet_superframes: 0,
//!     segmented: false,
//!     has_end: false,
//!     user_json: String::new(),
//! };
//! let bytes = write_nct(Vec::new(), header, &codes)?;
//! let back = NctReader::new(&bytes[..])?.read_all().whole()?;
//! assert_eq!(back.book(2), [4, 5, 6, 7]);
//! # Ok(())
//! # }
//! ```

mod bits;
mod ecdc;
mod end;
mod error;
mod file;
mod header;
mod json;
mod packet;
mod reader;
mod sniff;
mod source;
#[cfg(test)]
mod tests;
mod writer;

pub use ecdc::{EcdcFile, EcdcMeta, read_ecdc};
pub use error::ContainerError;
pub use file::NctFile;
pub use header::NctHeader;
pub(crate) use header::largest_align;
pub use json::{JsonCodes, JsonSalvage};
pub use reader::{NctReader, Salvage};
pub use sniff::{TokenFileKind, sniff};
pub use writer::{NctWriter, write_nct};
