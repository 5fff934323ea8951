//! One packet: super-frames to bytes and back.

use std::io::Read;

use super::{
    ContainerError, NctHeader,
    bits::{MsbReader, MsbWriter, bits_per_code},
    end::End,
    source::Source,
};
use crate::codes::{Codes, Segment};

/// Appends the packet of `count` super-frames of `codes`, from `first` on.
pub(crate) fn write_packet(
    codes: &Codes,
    first: u64,
    count: u16,
    scale: Option<f32>,
    out: &mut Vec<u8>,
) {
    let start = out.len();
    out.extend(count.to_le_bytes());
    let mut bits = MsbWriter::new(out);
    for (book, spec) in codes.specs().iter().enumerate() {
        let width = bits_per_code(spec.size);
        let per = codes.superframe_tokens(book);
        let from = first as usize * per;
        for &code in &codes.book(book)[from..from + usize::from(count) * per] {
            bits.put(code, width);
        }
    }
    bits.finish();
    if let Some(scale) = scale {
        out.extend(scale.to_le_bytes());
    }
    let crc = crc32fast::hash(&out[start..]);
    out.extend(crc.to_le_bytes());
}

/// Where a packet lies and what it may hold.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    /// Its number.
    pub(crate) packet: u64,
    /// Where it begins.
    pub(crate) offset: u64,
    /// The most super-frames it may have.
    pub(crate) most: u64,
}

impl Place {
    /// What is missing, if the file ends inside the packet.
    pub(crate) fn truncated<R>(self, source: &Source<R>, missing: u64) -> ContainerError {
        ContainerError::Truncated {
            packet: self.packet,
            offset: source.offset(),
            missing,
        }
    }

    /// Checks the super-frames it says it has.
    pub(crate) fn check_count(self, count: u64) -> Result<(), ContainerError> {
        match (1..=self.most).contains(&count) {
            true => Ok(()),
            // All that were announced are there.
            false if self.most == 0 => Err(ContainerError::Trailing {
                offset: self.offset,
            }),
            false => Err(ContainerError::PacketLength {
                packet: self.packet,
                offset: self.offset,
                count,
                most: self.most,
            }),
        }
    }
}

/// What stands where a packet may.
pub(crate) enum Piece {
    Packet(Codes),
    End(End),
    /// The file ends.
    Nothing,
}

/// Reads the packet at `place` and its first `books` books, or what stands there instead.
pub(crate) fn read_packet<R: Read>(
    source: &mut Source<R>,
    header: &NctHeader,
    place: Place,
    books: usize,
) -> Result<Piece, ContainerError> {
    let mut bytes = Vec::new();
    match source.take(2, &mut bytes)? {
        0 => {}
        2 => return Ok(Piece::Nothing),
        missing => return Err(place.truncated(source, missing)),
    }
    let count = u64::from(u16::from_le_bytes([bytes[0], bytes[1]]));
    if count == 0 && header.has_end {
        return End::read(source, place, &mut bytes).map(Piece::End);
    }
    place.check_count(count)?;
    match source.take(header.packet_bytes(count) - 2, &mut bytes)? {
        0 => {}
        missing => return Err(place.truncated(source, missing)),
    }
    let (body, crc) = bytes.split_at(bytes.len() - 4);
    let expected = u32::from_le_bytes([crc[0], crc[1], crc[2], crc[3]]);
    let found = crc32fast::hash(body);
    if found != expected {
        return Err(ContainerError::Checksum {
            packet: place.packet,
            offset: place.offset,
            expected,
            found,
        });
    }
    unpack(header, &body[2..], count, books)
        .map(Piece::Packet)
        .map_err(|source| ContainerError::Packet {
            packet: place.packet,
            offset: place.offset,
            source,
        })
}

/// The codes of `count` super-frames in `body`: the payload and the scale.
fn unpack(
    header: &NctHeader,
    body: &[u8],
    count: u64,
    books: usize,
) -> Result<Codes, crate::codes::CodesError> {
    let align = header.superframe_frames();
    let mut bits = MsbReader::new(body);
    let mut tokens = Vec::with_capacity(books);
    for book in &header.books[..books] {
        let width = bits_per_code(book.size);
        let length = count * u64::from(align / book.stride);
        tokens.push((0..length).map(|_| bits.get(width)).collect());
    }
    let specs = match books == header.books.len() {
        true => header.books.clone(),
        false => header.books[..books].into(),
    };
    let mut codes = Codes::from_books(specs, tokens)?;
    if let Some(scale) = body.last_chunk::<4>().filter(|_| header.segmented) {
        codes.set_segments(vec![Segment {
            frames: (count * u64::from(align)) as u32,
            scale: f32::from_le_bytes(*scale),
        }])?;
    }
    Ok(codes)
}
