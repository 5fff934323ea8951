//! The edit lists of an MP4: how much of each track the encoder added before time 0.

use std::io::{self, Read, Seek, SeekFrom};

/// Boxes looked at before a file is taken to be hostile.
const MAX_BOXES: usize = 4096;

/// Where the playable part of a track starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Start {
    pub(crate) track: u32,
    /// In units of `timescale` per second.
    pub(crate) media_time: u64,
    pub(crate) timescale: u32,
}

/// What the index says about the tracks.
#[derive(Debug, Default)]
pub(crate) struct Index {
    /// One for each track, in order.
    pub(crate) starts: Vec<Start>,
    /// Whether the index comes before the samples.
    pub(crate) is_first: bool,
}

impl Index {
    /// The edit of `track`, if it has one.
    pub(crate) fn start(&self, track: u32) -> Option<Start> {
        let mut edited = self
            .starts
            .iter()
            .filter(|start| start.media_time > 0 && start.timescale > 0);
        edited.find(|start| start.track == track).copied()
    }

    /// Whether the file can be read strictly forward. The samples of several tracks lie in turns, which the demuxer
    /// does not take in the order of the file.
    pub(crate) fn is_forward(&self) -> bool {
        self.is_first && self.starts.len() == 1
    }
}

/// Reads the edit lists of all tracks. What cannot be parsed is left out: the demuxer is the judge of the file.
pub(crate) fn index<R: Read + Seek>(file: &mut R) -> Index {
    let mut found = Index::default();
    let mut boxes_left = MAX_BOXES;
    // A box that cannot be read ends the search; what was found before it is still true.
    let _ = walk(file, 0, u64::MAX, &mut boxes_left, &mut found);
    found
}

/// Visits the boxes from `at` to `end`. Only `moov`, a `trak` in it, and `edts` and `mdia` in that are entered.
fn walk<R: Read + Seek>(
    file: &mut R,
    mut at: u64,
    end: u64,
    boxes_left: &mut usize,
    found: &mut Index,
) -> io::Result<()> {
    let mut has_samples = false;
    while end - at >= 8 && *boxes_left > 0 {
        *boxes_left -= 1;
        file.seek(SeekFrom::Start(at))?;
        let mut header = [0; 8];
        file.read_exact(&mut header)?;
        let (mut body, short) = (at + 8, u32_at(&header, 0));
        let size = match short {
            0 => end - at,
            1 => {
                body += 8;
                let mut long = [0; 8];
                file.read_exact(&mut long)?;
                u64::from_be_bytes(long)
            }
            size => size.into(),
        };
        let next = at
            .checked_add(size)
            .filter(|&next| next >= body && next <= end);
        let Some(next) = next else { return Ok(()) };
        match &header[4..] {
            b"mdat" => has_samples = true,
            b"moov" => {
                found.is_first = !has_samples;
                return walk(file, body, next, boxes_left, found);
            }
            b"trak" => {
                found.starts.push(Start::default());
                walk(file, body, next, boxes_left, found)?;
            }
            b"edts" | b"mdia" => walk(file, body, next, boxes_left, found)?,
            name @ (b"tkhd" | b"mdhd" | b"elst") => {
                let mut fields = Vec::new();
                (&mut *file)
                    .take((next - body).min(64))
                    .read_to_end(&mut fields)?;
                if let Some(start) = found.starts.last_mut() {
                    read_fields(name, &fields, start);
                }
            }
            _ => {}
        }
        at = next;
    }
    Ok(())
}

/// Takes what matters from the body of a box, of which at most the first 64 bytes are given.
fn read_fields(name: &[u8], body: &[u8], start: &mut Start) {
    let is_long = body.first() == Some(&1);
    let number = |at: usize| {
        if body.len() >= at + 4 {
            u32_at(body, at)
        } else {
            0
        }
    };
    match name {
        b"tkhd" => start.track = number(if is_long { 20 } else { 12 }),
        b"mdhd" => start.timescale = number(if is_long { 20 } else { 12 }),
        // The first edit may be an empty one, with a negative time.
        _ => {
            let (entry_bytes, time_at) = if is_long { (20, 8) } else { (12, 4) };
            let entries = body.get(8..).unwrap_or_default().chunks_exact(entry_bytes);
            let mut times = entries.take(number(4) as usize).map(|entry| match is_long {
                true => {
                    (u64::from(u32_at(entry, time_at)) << 32
                        | u64::from(u32_at(entry, time_at + 4))) as i64
                }
                false => i64::from(u32_at(entry, time_at) as i32),
            });
            start.media_time = times.find_map(|time| u64::try_from(time).ok()).unwrap_or(0);
        }
    }
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes[at..at + 4]
        .iter()
        .fold(0, |value, &byte| value << 8 | u32::from(byte))
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn atom(name: &[u8; 4], body: &[u8]) -> Vec<u8> {
        [&(body.len() as u32 + 8).to_be_bytes()[..], name, body].concat()
    }

    fn file(media_time: i32) -> Vec<u8> {
        let edit = [
            &[0; 4][..],
            &2u32.to_be_bytes(),
            &[0; 4],
            &[0xff; 4],
            &[0; 8],
            &media_time.to_be_bytes(),
            &[0; 4],
        ];
        let head = [&[0; 12][..], &7u32.to_be_bytes()].concat();
        let scale = [&[0; 12][..], &44_100u32.to_be_bytes()].concat();
        let track = [
            atom(b"tkhd", &head),
            atom(b"edts", &atom(b"elst", &edit.concat())),
            atom(b"mdia", &atom(b"mdhd", &scale)),
        ];
        [
            atom(b"ftyp", b"M4A "),
            atom(b"moov", &atom(b"trak", &track.concat())),
        ]
        .concat()
    }

    #[test]
    fn the_first_edit_that_is_not_empty_says_where_a_track_starts() {
        let start = Start {
            track: 7,
            media_time: 2112,
            timescale: 44_100,
        };
        assert_eq!(index(&mut Cursor::new(file(2112))).start(7), Some(start));
        assert_eq!(index(&mut Cursor::new(file(-1))).start(7), None);
    }

    #[test]
    fn any_cut_and_any_byte_is_survived() {
        let file = file(1024);
        for at in 0..file.len() {
            let _ = index(&mut Cursor::new(&file[..at]));
            for byte in [0, 1, 0x7f, 0xff] {
                let mut broken = file.clone();
                broken[at] = byte;
                let _ = index(&mut Cursor::new(broken));
            }
        }
    }
}
