//! A token file to codes, packet by packet.

use std::io::{Read, Seek, Write};

use super::{
    ContainerError, NctHeader, NctWriter,
    end::END_BYTES,
    header::largest_align,
    packet::{Piece, Place, read_packet},
    source::Source,
};
use crate::codes::{BookSpec, Codes};

/// What could be read, and what stopped it.
#[derive(Debug)]
pub struct Salvage {
    /// Everything before the damage.
    pub codes: Codes,
    /// The damage; `None` if the file is whole.
    pub fault: Option<ContainerError>,
}

impl Salvage {
    /// The codes if the file is whole, else what is wrong with it.
    pub fn whole(self) -> Result<Codes, ContainerError> {
        match self.fault {
            None => Ok(self.codes),
            Some(fault) => Err(fault),
        }
    }
}

/// Reads a token file packet by packet; memory is that of one packet.
#[derive(Debug)]
pub struct NctReader<R> {
    source: Source<R>,
    header: NctHeader,
    books: usize,
    packet: u64,
    superframes: u64,
    total_samples: Option<u64>,
    /// Whether the packet before was not full.
    short: bool,
    /// Whether nothing more will come.
    done: bool,
    /// Whether all packets were read.
    complete: bool,
}

impl<R: Read> NctReader<R> {
    /// Reads the header.
    pub fn new(inner: R) -> Result<NctReader<R>, ContainerError> {
        let mut source = Source::new(inner);
        let header = NctHeader::read(&mut source)?;
        Ok(NctReader {
            books: header.books.len(),
            total_samples: header.total_samples,
            source,
            header,
            packet: 0,
            superframes: 0,
            short: false,
            done: false,
            complete: false,
        })
    }

    /// Reads only the first `books` books: the same sound, coarser.
    pub fn with_books(mut self, books: usize) -> Result<NctReader<R>, ContainerError> {
        check_books(&self.header, books)?;
        self.books = books;
        Ok(self)
    }

    /// What the file says about its codes, with all its books.
    pub fn header(&self) -> &NctHeader {
        &self.header
    }

    /// Samples per channel of the source, if the header says it, or the end of the file and that was read.
    pub fn total_samples(&self) -> Option<u64> {
        self.total_samples
    }

    /// The next packet; `None` at the end, and after an error.
    pub fn next_packet(&mut self) -> Result<Option<Codes>, ContainerError> {
        let left = self
            .header
            .superframes
            .map(|all| u64::from(all) - self.superframes);
        if self.done {
            return Ok(None);
        }
        self.done = true;
        if left == Some(0) && !self.header.has_end {
            return self.end();
        }
        let full = u64::from(self.header.packet_superframes);
        let place = Place {
            packet: self.packet,
            offset: self.source.offset(),
            most: full.min(left.unwrap_or(full)),
        };
        let codes = match read_packet(&mut self.source, &self.header, place, self.books)? {
            Piece::Packet(codes) => codes,
            Piece::End(end) => {
                self.total_samples = end.samples.or(self.total_samples);
                end.check(self.superframes, &self.header)?;
                return self.end();
            }
            Piece::Nothing if left.is_none() && !self.header.has_end => return self.end(),
            Piece::Nothing => {
                let missing = match left {
                    Some(1..) => self.header.packet_bytes(place.most),
                    _ => END_BYTES,
                };
                return Err(place.truncated(&self.source, missing));
            }
        };
        if self.short {
            return Err(ContainerError::AfterShort {
                packet: self.packet,
                offset: place.offset,
            });
        }
        let frames = u64::from(self.header.superframe_frames());
        let count = codes.frames() / frames;
        self.short = count < full && !self.header.segmented;
        self.superframes += count;
        self.packet += 1;
        self.done = false;
        Ok(Some(codes))
    }

    /// Checks that nothing follows the last packet, and that the packets are as long as the source.
    fn end(&mut self) -> Result<Option<Codes>, ContainerError> {
        self.complete = true;
        self.source.check_end()?;
        let length = self
            .header
            .check_length(self.total_samples, self.superframes);
        if length.is_err() {
            self.total_samples = None;
        }
        length.map(|()| None)
    }

    /// Reads on to the end, or to the first damage. The length of the source is what the file says, cut to what was read
    /// if there is damage; not known if it does not fit what was read.
    pub fn read_all(mut self) -> Salvage {
        let specs = self.header.books[..self.books].into();
        let mut codes = Codes::new(specs);
        let fault = loop {
            match self.next_packet() {
                Ok(Some(packet)) => match codes.extend(&packet) {
                    Ok(()) => {}
                    Err(error) => break Some(error.into()),
                },
                Ok(None) => break None,
                Err(fault) => break Some(fault),
            }
        };
        let samples = match fault {
            None => self.total_samples,
            Some(_) => self.samples_read(),
        };
        codes.set_source_samples(samples);
        Salvage { codes, fault }
    }

    /// The samples of the source in what was read, if the length of the source is known and can be. Of some of the
    /// segments, which may overlap, that cannot be known.
    fn samples_read(&self) -> Option<u64> {
        let all = self.header.superframes.map(u64::from);
        if self.header.segmented && !self.complete && all != Some(self.superframes) {
            return None;
        }
        let samples = self.total_samples;
        let samples = samples.map(|all| all.min(self.samples_covered()));
        samples.filter(|_| self.header.check_length(samples, self.superframes).is_ok())
    }

    /// The samples that the frames which were read are long, one after the other.
    fn samples_covered(&self) -> u64 {
        let frames = self.superframes * u64::from(self.header.superframe_frames());
        frames.saturating_mul(self.header.hop.into())
    }

    /// Writes the file again, with the books that are read and the totals in its header, in packets of the usual length
    /// unless they are segments. After damage, what is before it is written as a whole file and the fault returned. Packets
    /// that were taken before are not in it.
    pub fn copy_to<W: Write + Seek>(mut self, inner: W) -> Result<W, ContainerError> {
        let mut writer = NctWriter::new(inner, self.copied_header()?)?;
        let taken = match (self.superframes, self.header.segmented) {
            (1.., true) => None,
            _ => Some(self.samples_covered()),
        };
        let left = |all: Option<u64>| Some(all?.saturating_sub(taken?));
        loop {
            match self.next_packet() {
                Ok(Some(packet)) => writer.push(&packet)?,
                Ok(None) => {
                    writer.set_total_samples(left(self.total_samples));
                    return writer.finish_totals();
                }
                Err(fault) => {
                    writer.set_total_samples(left(self.samples_read()));
                    writer.finish_totals()?;
                    return Err(fault);
                }
            }
        }
    }

    /// The header of a copy. With fewer books, super-frames may be shorter, and more of them make a segment.
    fn copied_header(&self) -> Result<NctHeader, ContainerError> {
        let books = &self.header.books[..self.books];
        let superframe = BookSpec::check(books)?;
        let shorter = u64::from(self.header.superframe_frames() / superframe);
        let segment = u64::from(self.header.packet_superframes) * shorter;
        Ok(NctHeader {
            books: books.into(),
            // More than there is room for does not become a number that is meant.
            align: match (self.header.has_largest_align(), largest_align(superframe)) {
                (true, Some(most)) => most,
                _ => self.header.align,
            },
            superframes: None,
            packet_superframes: match self.header.segmented {
                true => u16::try_from(segment).unwrap_or(u16::MAX),
                false => 0,
            },
            ..self.header.clone()
        })
    }
}

pub(crate) fn check_books(header: &NctHeader, books: usize) -> Result<(), ContainerError> {
    match (1..=header.books.len()).contains(&books) {
        true => Ok(()),
        false => Err(ContainerError::Books {
            asked: books,
            available: header.books.len(),
        }),
    }
}
