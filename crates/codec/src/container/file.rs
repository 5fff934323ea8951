//! A token file that can be read from any place.

mod walk;

use std::{
    io::{Read, Seek},
    ops::Range,
};

use super::{
    ContainerError, NctHeader, Salvage,
    end::END_BYTES,
    packet::{Piece, Place, read_packet},
    reader::check_books,
    source::Source,
};
use crate::codes::{Codes, CodesError};

/// Reads any super-frames of a token file. Where they lie follows by arithmetic, since all packets but the last are
/// full; in a segmented file, and in one that has lost its end, from one walk over the lengths of its packets.
#[derive(Debug)]
pub struct NctFile<R> {
    source: Source<R>,
    header: NctHeader,
    books: usize,
    /// Where the first packet begins.
    start: u64,
    superframes: u64,
    total_samples: Option<u64>,
    /// Of a segmented file: the first super-frame of each packet and where it begins.
    walked: Vec<(u64, u64)>,
    fault: Option<ContainerError>,
}

impl<R: Read + Seek> NctFile<R> {
    /// Reads the header and finds out how many super-frames there are.
    pub fn open(inner: R) -> Result<NctFile<R>, ContainerError> {
        let mut source = Source::new(inner);
        let header = NctHeader::read(&mut source)?;
        let mut file = NctFile {
            books: header.books.len(),
            start: source.offset(),
            superframes: 0,
            total_samples: header.total_samples,
            walked: Vec::new(),
            fault: None,
            source,
            header,
        };
        let length = file.source.length()?;
        let found = match file.header.has_end {
            true => file.find_end(length)?,
            false => None,
        };
        // Where packets end.
        let end = length - found.map_or(0, |_| END_BYTES);
        let fault = match file.header.segmented || (file.header.has_end && found.is_none()) {
            true => file.walk(end, found.is_some())?,
            false => file.count(end, found.is_some())?,
        };
        file.fault = fault;
        if let Some(found) = found {
            file.total_samples = found.samples.or(file.total_samples);
            let check = found.check(file.superframes, &file.header);
            file.fault = file.fault.or(check.err());
        }
        file.check_length();
        Ok(file)
    }

    /// Checks that the packets are as long as the source.
    fn check_length(&mut self) {
        if self.fault.is_some() {
            return;
        }
        let length = self
            .header
            .check_length(self.total_samples, self.superframes);
        if let Err(fault) = length {
            self.fault = Some(fault);
            self.total_samples = None;
        }
    }

    /// Reads only the first `books` books: the same sound, coarser.
    pub fn with_books(mut self, books: usize) -> Result<NctFile<R>, ContainerError> {
        check_books(&self.header, books)?;
        self.books = books;
        Ok(self)
    }

    /// What the file says about its codes, with all its books.
    pub fn header(&self) -> &NctHeader {
        &self.header
    }

    /// Super-frames whose packets are there in full.
    pub fn superframes(&self) -> u64 {
        self.superframes
    }

    /// Latent frames of each segment whose packet is there in full; none where packets are no segments.
    pub fn segments(&self) -> impl Iterator<Item = u64> + '_ {
        let each = u64::from(self.header.superframe_frames());
        let firsts = self.walked.iter().map(|&(first, _)| first);
        let ends = firsts.clone().skip(1).chain([self.superframes]);
        firsts
            .zip(ends)
            .map(move |(first, end)| (end - first) * each)
    }

    /// Samples per channel of the source, if the header or the end of the file says it and it can be.
    pub fn total_samples(&self) -> Option<u64> {
        self.total_samples
    }

    /// What is wrong with the end of the file, if it was cut. Damage inside packets shows when they are read.
    pub fn fault(&self) -> Option<&ContainerError> {
        self.fault.as_ref()
    }

    /// Gives away what is wrong with the end of the file.
    pub fn take_fault(&mut self) -> Option<ContainerError> {
        self.fault.take()
    }

    /// Super-frames by the length of the file, up to those of the header. What is missing of these before the end of the
    /// file is for that to say, if it was found.
    fn count(
        &mut self,
        end: u64,
        has_found_end: bool,
    ) -> Result<Option<ContainerError>, ContainerError> {
        let full = u64::from(self.header.packet_superframes);
        let bytes = self.header.packet_bytes(full);
        let there = end.saturating_sub(self.start);
        let (packets, rest) = (there / bytes, there % bytes);
        self.superframes = packets * full;
        let announced = self.header.superframes.map(u64::from);
        if let Some(all) = announced.filter(|&all| all <= self.superframes) {
            self.superframes = all;
            let last = match all % full {
                0 => 0,
                count => self.header.packet_bytes(count),
            };
            let offset = self.start + all / full * bytes + last;
            return Ok((offset < end).then_some(ContainerError::Trailing { offset }));
        }
        if rest == 0 && (announced.is_none() || has_found_end) {
            return Ok(None);
        }
        let place = Place {
            packet: packets,
            offset: self.start + packets * bytes,
            most: announced
                .map_or(full, |all| all - self.superframes)
                .min(full),
        };
        if let Some(fault) = self.add_packet(place, end)? {
            return Ok(Some(fault));
        }
        let last = self.superframes - packets * full;
        let next = place.offset + self.header.packet_bytes(last);
        let (packet, offset) = (packets + 1, next);
        Ok(match announced {
            Some(_) if has_found_end && next == end => None,
            Some(all) if self.superframes < all => Some(ContainerError::Truncated {
                packet,
                offset,
                missing: self.header.packet_bytes((all - self.superframes).min(full)),
            }),
            None if next < end => Some(ContainerError::AfterShort { packet, offset }),
            Some(_) if next < end => Some(ContainerError::Trailing { offset }),
            _ => None,
        })
    }

    /// Adds the packet at `place` if it is there in full.
    fn add_packet(
        &mut self,
        place: Place,
        end: u64,
    ) -> Result<Option<ContainerError>, ContainerError> {
        self.source.go_to(place.offset)?;
        let mut count = Vec::new();
        let there = end.saturating_sub(place.offset);
        self.source.take(there.min(2), &mut count)?;
        let truncated = |bytes: u64| ContainerError::Truncated {
            packet: place.packet,
            offset: end,
            missing: bytes - there,
        };
        let Some(&count) = count.first_chunk::<2>() else {
            return Ok(Some(truncated(self.header.packet_bytes(1))));
        };
        let count = u64::from(u16::from_le_bytes(count));
        if let Err(fault) = place.check_count(count) {
            return Ok(Some(fault));
        }
        let bytes = self.header.packet_bytes(count);
        if there < bytes {
            return Ok(Some(truncated(bytes)));
        }
        self.superframes += count;
        Ok(None)
    }

    /// The number of the packet that holds a super-frame, its first super-frame and where it begins.
    fn locate(&self, superframe: u64) -> (u64, u64, u64) {
        if self.header.segmented {
            let packet = self
                .walked
                .partition_point(|&(first, _)| first <= superframe)
                .saturating_sub(1);
            let (first, offset) = self.walked[packet];
            return (packet as u64, first, offset);
        }
        let full = u64::from(self.header.packet_superframes);
        let packet = superframe / full;
        let offset = self.start + packet * self.header.packet_bytes(full);
        (packet, packet * full, offset)
    }

    /// The super-frames in `range`.
    pub fn read_superframes(&mut self, range: Range<u64>) -> Result<Codes, ContainerError> {
        self.salvage(range)?.whole()
    }

    /// The super-frames in `range`, up to the first damage in it.
    pub fn salvage(&mut self, range: Range<u64>) -> Result<Salvage, ContainerError> {
        if range.start > range.end || range.end > self.superframes {
            return Err(ContainerError::Codes(CodesError::Range {
                start: range.start,
                end: range.end,
                superframes: self.superframes,
            }));
        }
        let mut codes = Codes::new(self.header.books[..self.books].into());
        let fault = self.read_range(range, &mut codes).err();
        Ok(Salvage { codes, fault })
    }

    fn read_range(&mut self, range: Range<u64>, codes: &mut Codes) -> Result<(), ContainerError> {
        let shorter = u64::from(self.header.superframe_frames() / codes.align().max(1));
        let mut at = range.start;
        while at < range.end {
            let (packet, first, offset) = self.locate(at);
            let all = self.read_at(packet, first, offset)?;
            let next = first + all.superframes() / shorter;
            let inside = (at - first) * shorter..(range.end.min(next) - first) * shorter;
            codes.extend(&all.slice(inside)?)?;
            at = next;
        }
        Ok(())
    }

    /// The packet at `offset`, which must have the length that its place gives it.
    fn read_at(&mut self, packet: u64, first: u64, offset: u64) -> Result<Codes, ContainerError> {
        let next = match self.header.segmented {
            true => self
                .walked
                .get(packet as usize + 1)
                .map(|&(first, _)| first),
            false => Some(first + u64::from(self.header.packet_superframes)),
        };
        let most = next.unwrap_or(self.superframes).min(self.superframes) - first;
        let place = Place {
            packet,
            offset,
            most,
        };
        self.source.go_to(offset)?;
        let codes = read_packet(&mut self.source, &self.header, place, self.books)?;
        let frames = most * u64::from(self.header.superframe_frames());
        match codes {
            Piece::Packet(codes) if codes.frames() == frames => Ok(codes),
            Piece::Packet(codes) => Err(ContainerError::PacketLength {
                packet,
                offset,
                count: codes.frames() / u64::from(self.header.superframe_frames()),
                most,
            }),
            Piece::End(_) | Piece::Nothing => Err(ContainerError::Truncated {
                packet,
                offset,
                missing: self.header.packet_bytes(most),
            }),
        }
    }
}
