//! Files whose packets are not found by arithmetic, and the ends of files.

use std::io::{Read, Seek};

use super::NctFile;
use crate::container::{
    ContainerError,
    end::{END_BYTES, End},
    packet::Place,
};

impl<R: Read + Seek> NctFile<R> {
    /// The record that a whole file of `length` bytes ends with.
    pub(super) fn find_end(&mut self, length: u64) -> Result<Option<End>, ContainerError> {
        if length < self.start + END_BYTES {
            return Ok(None);
        }
        self.source.go_to(length - END_BYTES)?;
        let mut bytes = Vec::new();
        self.source.take(END_BYTES, &mut bytes)?;
        Ok(bytes.first_chunk().and_then(|bytes| End::parse(bytes).ok()))
    }

    /// Finds the packets one by one, up to byte `end`, behind which the end of the file may have been found.
    pub(super) fn walk(
        &mut self,
        end: u64,
        has_found_end: bool,
    ) -> Result<Option<ContainerError>, ContainerError> {
        let mut place = Place {
            packet: 0,
            offset: self.start,
            most: 0,
        };
        let announced = self.header.superframes.map(u64::from);
        let full = u64::from(self.header.packet_superframes);
        let needs_end = self.header.has_end && !has_found_end;
        loop {
            let left = announced.map(|all| all - self.superframes);
            if needs_end && self.is_end(place, end)? {
                return self.broken_end(place, end).map(Some);
            }
            let offset = place.offset;
            if left == Some(0) && !needs_end {
                return Ok((offset < end).then_some(ContainerError::Trailing { offset }));
            }
            if (left.is_none() || has_found_end) && offset == end {
                return Ok(None);
            }
            place.most = full.min(left.unwrap_or(full));
            let before = self.superframes;
            if let Some(fault) = self.add_packet(place, end)? {
                return Ok(Some(fault));
            }
            let count = self.superframes - before;
            if self.header.segmented {
                self.walked.push((before, offset));
            }
            place.offset += self.header.packet_bytes(count);
            place.packet += 1;
            if count < full && !self.header.segmented && !self.is_end(place, end)? {
                return Ok(Some(ContainerError::AfterShort {
                    packet: place.packet,
                    offset: place.offset,
                }));
            }
        }
    }

    /// Whether no packet begins at `place`, but the end of the file, or nothing.
    fn is_end(&mut self, place: Place, end: u64) -> Result<bool, ContainerError> {
        self.source.go_to(place.offset)?;
        let mut count = Vec::new();
        self.source
            .take(end.saturating_sub(place.offset).min(2), &mut count)?;
        Ok(count.iter().all(|&byte| byte == 0))
    }

    /// What is wrong with an end that is not where the file ends.
    fn broken_end(&mut self, place: Place, end: u64) -> Result<ContainerError, ContainerError> {
        self.source.go_to(place.offset)?;
        let there = end.saturating_sub(place.offset);
        if there < END_BYTES {
            self.source.go_to(end)?;
            return Ok(place.truncated(&self.source, END_BYTES - there));
        }
        Ok(match End::read(&mut self.source, place, &mut Vec::new()) {
            Ok(found) => {
                self.total_samples = found.samples.or(self.total_samples);
                let offset = place.offset + END_BYTES;
                let check = found.check(self.superframes, &self.header).err();
                check.unwrap_or(ContainerError::Trailing { offset })
            }
            Err(fault) => fault,
        })
    }
}
