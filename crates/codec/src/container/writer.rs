//! Codes to a token file.

use std::io::{Seek, SeekFrom, Write};

use super::{ContainerError, NctHeader, end::End, packet::write_packet};
use crate::codes::{BookSpec, Codes, CodesError};

/// Writes a token file as codes arrive, in any cuts.
///
/// Full packets are written at once, what is left at the end by [`finish`](Self::finish). The writer is not buffered;
/// each packet is one write.
#[derive(Debug)]
pub struct NctWriter<W> {
    inner: W,
    header: NctHeader,
    header_bytes: u64,
    /// Bytes written in all.
    written: u64,
    superframes: u64,
    total_samples: Option<u64>,
    /// Codes that do not fill a packet yet.
    pending: Codes,
    packet: Vec<u8>,
}

impl<W: Write> NctWriter<W> {
    /// Writes the header. Totals that are known beforehand belong into it; the others become known to
    /// [`finish_totals`](Self::finish_totals), or are said at the end if the header announces that
    /// ([`NctHeader::has_end`]), or the file says that they are not known.
    pub fn new(inner: W, header: NctHeader) -> Result<NctWriter<W>, ContainerError> {
        let header = header.ready()?;
        let mut writer = NctWriter {
            pending: Codes::new(header.books.clone()),
            total_samples: header.total_samples,
            header_bytes: 0,
            written: 0,
            superframes: 0,
            packet: header.bytes(),
            inner,
            header,
        };
        writer.write_out()?;
        writer.header_bytes = writer.written;
        Ok(writer)
    }

    /// The header as it was written, with the packet length.
    pub fn header(&self) -> &NctHeader {
        &self.header
    }

    /// Takes codes, whole or open; in a segmented file whole segments. If they know the length of their source, so does
    /// the file.
    pub fn push(&mut self, codes: &Codes) -> Result<(), ContainerError> {
        codes.check_same_books(&self.header.books)?;
        self.total_samples = codes.source_samples().or(self.total_samples);
        if self.header.segmented {
            return self.push_segments(codes);
        }
        if !codes.segments().is_empty() {
            return Err(segment_mismatch(0, codes));
        }
        self.pending.extend(codes)?;
        let full = u64::from(self.header.packet_superframes);
        let packets = self.pending.superframes() / full;
        for packet in 0..packets {
            write_packet(
                &self.pending,
                packet * full,
                full as u16,
                None,
                &mut self.packet,
            );
            self.write_out()?;
        }
        self.pending.drop_front(packets * full);
        self.superframes += packets * full;
        Ok(())
    }

    fn push_segments(&mut self, codes: &Codes) -> Result<(), ContainerError> {
        codes.check_whole()?;
        let covered: u64 = codes.segments().iter().map(|s| u64::from(s.frames)).sum();
        if covered != codes.frames() {
            return Err(segment_mismatch(codes.frames(), codes));
        }
        let (mut first, align) = (0, u64::from(codes.align()));
        for segment in codes.segments() {
            let frames = u64::from(segment.frames);
            let count = frames / align;
            if !frames.is_multiple_of(align)
                || !(1..=u64::from(self.header.packet_superframes)).contains(&count)
            {
                return Err(ContainerError::Header {
                    field: "packet_superframes",
                    value: self.header.packet_superframes.into(),
                    need: "a packet holds a whole segment of whole super-frames",
                });
            }
            write_packet(
                codes,
                first,
                count as u16,
                Some(segment.scale),
                &mut self.packet,
            );
            self.write_out()?;
            first += count;
        }
        self.superframes += first;
        Ok(())
    }

    /// Forgets the tokens behind the last complete super-frame and says how many there were.
    pub fn drop_open(&mut self) -> u64 {
        self.pending.drop_open()
    }

    /// Sets how long the source was, in samples per channel.
    pub(super) fn set_total_samples(&mut self, samples: Option<u64>) {
        self.total_samples = samples;
    }

    /// Writes what is left, and the end if the header announces one. Tokens of an incomplete super-frame are an error, but
    /// everything before them is written.
    pub fn finish(mut self) -> Result<W, ContainerError> {
        self.write_rest()?;
        self.write_end()?;
        Ok(self.inner)
    }

    /// Writes what is left and checks that it is all.
    fn write_rest(&mut self) -> Result<(), ContainerError> {
        let left = self.pending.superframes();
        if left > 0 {
            write_packet(&self.pending, 0, left as u16, None, &mut self.packet);
            self.write_out()?;
            self.pending.drop_front(left);
            self.superframes += left;
        }
        self.flush()?;
        if !self.pending.is_empty() {
            let strides = self
                .pending
                .specs()
                .iter()
                .map(|spec| u64::from(spec.stride));
            let frames = strides
                .enumerate()
                .map(|(k, stride)| self.pending.book(k).len() as u64 * stride);
            return Err(ContainerError::Codes(CodesError::PartialSuperframe {
                frames: frames.max().unwrap_or(0),
                align: self.pending.align(),
            }));
        }
        match self.header.superframes.map(u64::from) {
            Some(expected) if expected != self.superframes => Err(ContainerError::Total {
                expected,
                found: self.superframes,
            }),
            _ => Ok(()),
        }
    }

    /// Writes the totals, if the header announces them.
    fn write_end(&mut self) -> Result<(), ContainerError> {
        if !self.header.has_end {
            return Ok(());
        }
        let end = End {
            samples: self.total_samples,
            superframes: self.superframes,
        };
        end.write(&mut self.packet);
        self.write_out()?;
        self.flush()
    }

    fn flush(&mut self) -> Result<(), ContainerError> {
        self.inner.flush().map_err(|source| ContainerError::Io {
            offset: self.written,
            source,
        })
    }

    /// Writes out the bytes in `packet`.
    fn write_out(&mut self) -> Result<(), ContainerError> {
        let result = self.inner.write_all(&self.packet);
        result.map_err(|source| ContainerError::Io {
            offset: self.written,
            source,
        })?;
        self.written += self.packet.len() as u64;
        self.packet.clear();
        Ok(())
    }
}

impl<W: Write + Seek> NctWriter<W> {
    /// Writes what is left, then the totals into the header; the end is left out where that has room for them.
    pub fn finish_totals(mut self) -> Result<W, ContainerError> {
        self.write_rest()?;
        self.header.superframes = u32::try_from(self.superframes).ok().filter(|&n| n > 0);
        self.header.total_samples = self.total_samples.filter(|&n| n > 0);
        self.header.has_end &= self.header.superframes.is_none();
        self.write_end()?;
        let header = self.header.bytes();
        let (back, forth) = (
            self.written as i64,
            (self.written - self.header_bytes) as i64,
        );
        let patch = |inner: &mut W| {
            inner.seek(SeekFrom::Current(-back))?;
            inner.write_all(&header)?;
            inner.seek(SeekFrom::Current(forth))?;
            inner.flush()
        };
        patch(&mut self.inner).map_err(|source| ContainerError::Io { offset: 0, source })?;
        Ok(self.inner)
    }
}

/// Writes whole codes as one file, with their totals in the header, and no end after the packets where that has room for
/// them.
pub fn write_nct<W: Write>(
    inner: W,
    header: NctHeader,
    codes: &Codes,
) -> Result<W, ContainerError> {
    let superframes = u32::try_from(codes.superframes()).ok().filter(|&n| n > 0);
    let header = NctHeader {
        total_samples: codes
            .source_samples()
            .or(header.total_samples)
            .filter(|&n| n > 0),
        superframes,
        has_end: header.has_end && superframes.is_none(),
        ..header
    };
    codes.check_whole()?;
    BookSpec::check(codes.specs())?;
    let mut writer = NctWriter::new(inner, header)?;
    writer.push(codes)?;
    writer.finish()
}

/// Segments in a file that has none, or frames without a segment in one that has.
fn segment_mismatch(expected: u64, codes: &Codes) -> ContainerError {
    ContainerError::Codes(CodesError::Segments {
        expected,
        found: codes.segments().iter().map(|s| u64::from(s.frames)).sum(),
    })
}
