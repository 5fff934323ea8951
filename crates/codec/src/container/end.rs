//! The record that ends a file whose totals nobody knew when its header was written.

use std::io::Read;

use super::{ContainerError, NctHeader, packet::Place, source::Source};

/// Its length.
pub(crate) const END_BYTES: u64 = 22;
/// Where its checksum begins.
const BODY: usize = END_BYTES as usize - 4;

/// The totals of a file, at its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct End {
    /// Samples per channel of the source, if known.
    pub(crate) samples: Option<u64>,
    pub(crate) superframes: u64,
}

impl End {
    /// Appends the record.
    pub(crate) fn write(self, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend([0, 0]);
        out.extend(self.samples.unwrap_or(0).to_le_bytes());
        out.extend(self.superframes.to_le_bytes());
        let crc = crc32fast::hash(&out[start..]);
        out.extend(crc.to_le_bytes());
    }

    /// What a record says, from its first byte on; in place of it the checksum that it has and the one that it should have.
    pub(crate) fn parse(bytes: &[u8; END_BYTES as usize]) -> Result<End, (u32, u32)> {
        let number = |at: usize| {
            let bytes = bytes[at..at + 8].iter().rev();
            bytes.fold(0, |number: u64, &byte| number << 8 | u64::from(byte))
        };
        let crc = [
            bytes[BODY],
            bytes[BODY + 1],
            bytes[BODY + 2],
            bytes[BODY + 3],
        ];
        let expected = u32::from_le_bytes(crc);
        let found = crc32fast::hash(&bytes[..BODY]);
        let samples = number(2);
        match bytes[..2] == [0, 0] && found == expected {
            true => Ok(End {
                samples: (samples > 0).then_some(samples),
                superframes: number(10),
            }),
            false => Err((expected, found)),
        }
    }

    /// Reads the rest of a record, of which `bytes` are the first two, at `place`.
    pub(crate) fn read<R: Read>(
        source: &mut Source<R>,
        place: Place,
        bytes: &mut Vec<u8>,
    ) -> Result<End, ContainerError> {
        let missing = source.take(END_BYTES - bytes.len() as u64, bytes)?;
        let Some(bytes) = bytes.first_chunk() else {
            return Err(place.truncated(source, missing));
        };
        End::parse(bytes).map_err(|(expected, found)| ContainerError::Checksum {
            packet: place.packet,
            offset: place.offset,
            expected,
            found,
        })
    }

    /// Checks that as many super-frames were found as there should be, by the end and by the header.
    pub(crate) fn check(self, found: u64, header: &NctHeader) -> Result<(), ContainerError> {
        let announced = header.superframes.map(u64::from);
        let totals = [Some(self.superframes), announced].into_iter().flatten();
        match totals.into_iter().find(|&total| total != found) {
            None => Ok(()),
            Some(expected) => Err(ContainerError::End { expected, found }),
        }
    }
}
