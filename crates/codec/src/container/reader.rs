//! A token file to codes, packet by packet.

use std::io::{Read, Write};

use super::{
    ContainerError, NctHeader, NctWriter,
    packet::{Place, read_packet},
    source::Source,
};
use crate::codes::{BookSpec, Codes, CodesError};

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
    /// Whether the packet before was not full.
    short: bool,
    /// Whether nothing more will come.
    done: bool,
}

impl<R: Read> NctReader<R> {
    /// Reads the header.
    pub fn new(inner: R) -> Result<NctReader<R>, ContainerError> {
        let mut source = Source::new(inner);
        let header = NctHeader::read(&mut source)?;
        Ok(NctReader {
            books: header.books.len(),
            source,
            header,
            packet: 0,
            superframes: 0,
            short: false,
            done: false,
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

    /// The next packet; `None` at the end, and after an error.
    pub fn next_packet(&mut self) -> Result<Option<Codes>, ContainerError> {
        let left = self
            .header
            .superframes
            .map(|all| u64::from(all) - self.superframes);
        if self.done || left == Some(0) {
            return Ok(None);
        }
        self.done = true;
        let full = u64::from(self.header.packet_superframes);
        let place = Place {
            packet: self.packet,
            offset: self.source.offset(),
            most: full.min(left.unwrap_or(full)),
        };
        let Some(codes) = read_packet(&mut self.source, &self.header, place, self.books)? else {
            return match left {
                None => Ok(None),
                Some(_) => Err(ContainerError::Truncated {
                    packet: self.packet,
                    offset: place.offset,
                    missing: self.header.packet_bytes(place.most),
                }),
            };
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

    /// Reads on to the end, or to the first damage. The length of the source is that of the header, cut to what was
    /// read if there is damage.
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
        let read = codes.frames().saturating_mul(self.header.hop.into());
        let samples = self.header.total_samples.map(|all| match fault {
            None => all,
            Some(_) => all.min(read),
        });
        codes.set_source_samples(samples);
        Salvage { codes, fault }
    }

    /// Writes the packets that are left as a file of their own, with the books that are read. Totals that the header
    /// knows stay known. After damage, what is before it is written and the fault returned.
    pub fn copy_to<W: Write>(mut self, inner: W) -> Result<W, ContainerError> {
        let mut writer = NctWriter::new(inner, self.copied_header()?)?;
        loop {
            match self.next_packet() {
                Ok(Some(packet)) => writer.push(&packet)?,
                Ok(None) => return writer.finish(),
                Err(fault) => {
                    writer.write_rest().ok();
                    return Err(fault);
                }
            }
        }
    }

    /// The header of a copy. With fewer books, super-frames may be shorter.
    fn copied_header(&self) -> Result<NctHeader, ContainerError> {
        let books = &self.header.books[..self.books];
        let shorter =
            u64::from(self.header.superframe_frames()) / u64::from(BookSpec::check(books)?);
        let left = |all: u32| (u64::from(all) - self.superframes) * shorter;
        let packet = u64::from(self.header.packet_superframes) * shorter;
        Ok(NctHeader {
            books: books.into(),
            superframes: self
                .header
                .superframes
                .and_then(|all| u32::try_from(left(all)).ok()),
            packet_superframes: u16::try_from(packet).unwrap_or(u16::MAX),
            ..self.header.clone()
        })
    }
}

pub(crate) fn check_books(header: &NctHeader, books: usize) -> Result<(), ContainerError> {
    match (1..=header.books.len()).contains(&books) {
        true => Ok(()),
        false => Err(ContainerError::Codes(CodesError::BookCount {
            expected: header.books.len(),
            found: books,
        })),
    }
}
