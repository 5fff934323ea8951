//! The header of a token file.

use std::{io::Read, sync::Arc};

use serde::de::IgnoredAny;

use super::{ContainerError, bits::bits_per_code, source::Source};
use crate::codes::BookSpec;

pub(crate) const MAGIC: &[u8; 4] = b"NCT1";
const VERSION: u8 = 1;
/// Each packet is a segment and has a scale.
const SEGMENTED: u8 = 1;
/// A CRC-32 of all bytes before it ends the header.
const CHECKED: u8 = 2;
/// A record after the last packet says the totals.
const ENDED: u8 = 4;
/// The most bytes of user JSON.
const MOST_USER_JSON: u32 = 1 << 20;

/// What a token file says about its codes. See the module for the bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NctHeader {
    /// The codec: 1 SNAC, 2 DAC, 3 EnCodec, 4 Mimi.
    pub family: u16,
    /// Samples per second and channel, above 0.
    pub sample_rate: u32,
    /// Channels, above 0.
    pub channels: u8,
    /// Samples per latent frame, above 0.
    pub hop: u16,
    /// Size and stride of each book, coarse to fine; 1 to 255 books, strides up to 255.
    pub books: Arc<[BookSpec]>,
    /// Latent frames that the codec decodes as one, and encodes at least: a multiple of every stride. The largest one that
    /// there is room for stands for more, or for what is not known.
    pub align: u8,
    /// Samples per channel of the sound that was encoded; `None` if it was not known when the header was written.
    pub total_samples: Option<u64>,
    /// Super-frames (least common multiple of the strides) in the file; `None` if not known when it was written.
    pub superframes: Option<u32>,
    /// The first 8 bytes of the SHA-256 of the weights; zeros if not known.
    pub weights_id: [u8; 8],
    /// Super-frames per full packet. A writer takes 0 for about a second's worth.
    pub packet_superframes: u16,
    /// Whether every packet is one segment with a scale of its own. Otherwise all packets but the last are full.
    pub segmented: bool,
    /// Whether a record after the last packet says the totals, for writers that cannot go back to the header. A file
    /// that lacks it then was cut.
    pub has_end: bool,
    /// Anything else, as JSON; empty for nothing.
    pub user_json: String,
}

impl NctHeader {
    /// Latent frames per super-frame.
    pub(crate) fn superframe_frames(&self) -> u32 {
        BookSpec::check(&self.books).unwrap_or(1)
    }

    /// Bytes of a packet of `count` super-frames.
    pub(crate) fn packet_bytes(&self, count: u64) -> u64 {
        let align = self.superframe_frames();
        let bits = |book: &BookSpec| {
            u64::from(align / book.stride.max(1)) * u64::from(bits_per_code(book.size))
        };
        let bits: u64 = self.books.iter().map(bits).sum();
        let scale = if self.segmented { 4 } else { 0 };
        2 + (bits * count).div_ceil(8) + scale + 4
    }

    /// Checks that so many super-frames are those of a source of so many samples per channel, if that is known. Of segments,
    /// which may overlap, it is known only that they cover the source.
    pub(crate) fn check_length(
        &self,
        samples: Option<u64>,
        superframes: u64,
    ) -> Result<(), ContainerError> {
        let Some(samples) = samples else {
            return Ok(());
        };
        let (align, each) = (u64::from(self.align), u64::from(self.superframe_frames()));
        let is_exact = !self.segmented && !self.has_largest_align();
        let frames = if is_exact { align } else { each };
        let padded = samples.div_ceil(frames * u64::from(self.hop));
        let (expected, found) = (padded.saturating_mul(frames), superframes * each);
        match found == expected || (found > expected && !is_exact) {
            true => Ok(()),
            false => Err(ContainerError::Length {
                samples,
                expected,
                found,
            }),
        }
    }

    /// Whether `align` stands for more, or for what is not known.
    pub(crate) fn has_largest_align(&self) -> bool {
        u32::from(self.align) + self.superframe_frames() > u8::MAX.into()
    }

    /// The header with its packet length chosen, checked.
    pub(crate) fn ready(mut self) -> Result<NctHeader, ContainerError> {
        if self.packet_superframes == 0 {
            let samples = u64::from(self.superframe_frames()) * u64::from(self.hop.max(1));
            let second = (u64::from(self.sample_rate) + samples / 2) / samples;
            self.packet_superframes = second.clamp(1, u16::MAX.into()) as u16;
        }
        self.check()?;
        Ok(self)
    }

    fn check(&self) -> Result<(), ContainerError> {
        let align = BookSpec::check(&self.books)?;
        let wrong = |field, value, need| Err(ContainerError::Header { field, value, need });
        if let Some(book) = self.books.iter().find(|book| book.stride > 255) {
            return wrong("stride", book.stride.into(), "it is 1 to 255");
        }
        match self {
            _ if self.books.len() > 255 => {
                wrong("n_books", self.books.len() as u64, "it is 1 to 255")
            }
            _ if !u32::from(self.align).is_multiple_of(align) || self.align == 0 => wrong(
                "align",
                self.align.into(),
                "it is a multiple of every stride",
            ),
            _ if self.sample_rate == 0 => wrong("sample_rate", 0, "it is above 0"),
            _ if self.channels == 0 => wrong("channels", 0, "it is above 0"),
            _ if self.hop == 0 => wrong("hop", 0, "it is above 0"),
            _ if self.packet_superframes == 0 => wrong("packet_superframes", 0, "it is above 0"),
            _ if self.user_json.len() > MOST_USER_JSON as usize => wrong(
                "user JSON",
                self.user_json.len() as u64,
                "it is at most 1 MiB",
            ),
            _ => check_user_json(&self.user_json),
        }
    }

    /// The bytes of the header. It must have been checked.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let flag = |is_set, flag| if is_set { flag } else { 0 };
        let flags = CHECKED | flag(self.segmented, SEGMENTED) | flag(self.has_end, ENDED);
        let mut bytes = MAGIC.to_vec();
        bytes.extend([VERSION, flags]);
        bytes.extend(self.family.to_le_bytes());
        bytes.extend(self.sample_rate.to_le_bytes());
        bytes.extend([self.channels, self.books.len() as u8]);
        bytes.extend(self.hop.to_le_bytes());
        for book in &*self.books {
            bytes.extend(book.size.to_le_bytes());
            bytes.push(book.stride as u8);
        }
        bytes.push(self.align);
        bytes.extend(self.total_samples.unwrap_or(0).to_le_bytes());
        bytes.extend(self.superframes.unwrap_or(0).to_le_bytes());
        bytes.extend(self.weights_id);
        bytes.extend(self.packet_superframes.to_le_bytes());
        bytes.extend((self.user_json.len() as u32).to_le_bytes());
        bytes.extend(self.user_json.as_bytes());
        let crc = crc32fast::hash(&bytes);
        bytes.extend(crc.to_le_bytes());
        bytes
    }

    /// Reads a header and checks it.
    pub(crate) fn read<R: Read>(source: &mut Source<R>) -> Result<NctHeader, ContainerError> {
        let mut bytes = Vec::new();
        let flags = read_start(source, &mut bytes)?;
        source.take_header(10, &mut bytes)?;
        let books = usize::from(bytes[13]);
        source.take_header(books as u64 * 5 + 27, &mut bytes)?;
        let (header, length) = parse(&bytes, books);
        if length > MOST_USER_JSON {
            return Err(ContainerError::Header {
                field: "user JSON",
                value: length.into(),
                need: "it is at most 1 MiB",
            });
        }
        let body = bytes.len();
        source.take_header(length.into(), &mut bytes)?;
        if flags & CHECKED != 0 {
            check_crc(source, &bytes)?;
        }
        let user_json =
            String::from_utf8(bytes.split_off(body)).map_err(|error| ContainerError::Header {
                field: "user JSON",
                value: error.utf8_error().valid_up_to() as u64,
                need: "from that byte on it is not UTF-8",
            })?;
        let header = NctHeader {
            segmented: flags & SEGMENTED != 0,
            has_end: flags & ENDED != 0,
            user_json,
            ..header
        };
        header.check()?;
        Ok(header)
    }
}

/// Reads magic, version and flags into `bytes`.
fn read_start<R: Read>(source: &mut Source<R>, bytes: &mut Vec<u8>) -> Result<u8, ContainerError> {
    let start = source.take_header(6, bytes);
    check_magic(bytes, MAGIC, "NCT")?;
    start?;
    let (found, flags) = (bytes[4], bytes[5]);
    match flags & !(SEGMENTED | CHECKED | ENDED) {
        _ if found != VERSION => Err(ContainerError::Version {
            format: "NCT",
            found,
            known: VERSION,
        }),
        0 => Ok(flags),
        _ => Err(ContainerError::Flags { flags }),
    }
}

/// The fields of `bytes`, a header of `books` books up to its user JSON, and the length of those.
fn parse(bytes: &[u8], books: usize) -> (NctHeader, u32) {
    let (specs, tail) = bytes[16..].split_at(books * 5);
    let spec = |b: &[u8]| BookSpec {
        size: u32::from_le_bytes([b[0], b[1], b[2], b[3]]),
        stride: b[4].into(),
    };
    let u32_at = |b: &[u8], at: usize| u32::from_le_bytes([b[at], b[at + 1], b[at + 2], b[at + 3]]);
    let samples = u64::from(u32_at(tail, 1)) | u64::from(u32_at(tail, 5)) << 32;
    let superframes = u32_at(tail, 9);
    let mut weights_id = [0; 8];
    weights_id.copy_from_slice(&tail[13..21]);
    let header = NctHeader {
        family: u16::from_le_bytes([bytes[6], bytes[7]]),
        sample_rate: u32_at(bytes, 8),
        channels: bytes[12],
        hop: u16::from_le_bytes([bytes[14], bytes[15]]),
        books: specs.chunks_exact(5).map(spec).collect(),
        align: tail[0],
        total_samples: (samples > 0).then_some(samples),
        superframes: (superframes > 0).then_some(superframes),
        weights_id,
        packet_superframes: u16::from_le_bytes([tail[21], tail[22]]),
        segmented: false,
        has_end: false,
        user_json: String::new(),
    };
    (header, u32_at(tail, 23))
}

fn check_crc<R: Read>(source: &mut Source<R>, bytes: &[u8]) -> Result<(), ContainerError> {
    let mut crc = Vec::new();
    source.take_header(4, &mut crc)?;
    let expected = u32::from_le_bytes([crc[0], crc[1], crc[2], crc[3]]);
    let found = crc32fast::hash(bytes);
    match found == expected {
        true => Ok(()),
        false => Err(ContainerError::HeaderChecksum { expected, found }),
    }
}

/// Whether `bytes` begin with `magic`; if they end before it does, that is another error's matter.
pub(crate) fn check_magic(
    bytes: &[u8],
    magic: &[u8],
    format: &'static str,
) -> Result<(), ContainerError> {
    let length = bytes.len().min(magic.len());
    match bytes[..length] == magic[..length] {
        true => Ok(()),
        false => Err(ContainerError::Magic {
            format,
            found: bytes[..length].to_vec(),
        }),
    }
}

/// The largest `align` of books whose super-frame is of so many latent frames, if there is room for one.
pub(crate) fn largest_align(superframe: u32) -> Option<u8> {
    let most = u32::from(u8::MAX).checked_div(superframe)? * superframe;
    u8::try_from(most).ok().filter(|&most| most > 0)
}

fn check_user_json(text: &str) -> Result<(), ContainerError> {
    if text.is_empty() {
        return Ok(());
    }
    serde_json::from_str::<IgnoredAny>(text)
        .map(|_| ())
        .map_err(|source| ContainerError::UserJson { source })
}
