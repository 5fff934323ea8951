//! The header of a WAV file in all its dialects, rewritten as the plain one.
//!
//! RIFF, RF64, BW64 and Sony Wave64 differ in how they write sizes; recorders leave sizes unset or wrong; PCM comes
//! with four shapes of `fmt ` chunk. One reader for all of them turns the header into a minimal RIFF header and a
//! number of bytes, which is what the demuxer is given.

use std::io::{self, Read};

use crate::sniff::WAVE64_RIFF;
use crate::source::Source;

/// The last twelve bytes of a GUID that extends a WAV format tag.
const TAG_GUID_TAIL: [u8; 12] = [
    0x00, 0x00, 0x10, 0x00, 0x80, 0x00, 0x00, 0xaa, 0x00, 0x38, 0x9b, 0x71,
];
/// What sox writes as the data size when it cannot seek back.
const SOX_UNKNOWN: u64 = 0x7fff_f000;
/// A `fmt ` chunk is at most some dozens of bytes.
const MAX_FORMAT_BYTES: u64 = 4096;

const PCM: u16 = 1;
const FLOAT: u16 = 3;
const ALAW: u16 = 6;
const MULAW: u16 = 7;
const EXTENSIBLE: u16 = 0xfffe;

/// Why a WAV header cannot be read.
pub(crate) enum WavError {
    Io(io::Error),
    Malformed(&'static str),
    /// The format tag, with its name where it has one.
    Codec(String),
}

impl From<io::Error> for WavError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::Malformed("it ends inside the header"),
            _ => Self::Io(error),
        }
    }
}

/// A WAV file whose header was read.
pub(crate) struct Wav {
    /// A plain header, then the samples.
    pub(crate) source: Source,
    /// Frames that the header promises; `None` where it leaves them open.
    pub(crate) frames: Option<u64>,
}

/// Reads the header of `source`, which starts with one of the WAV magics.
pub(crate) fn open(mut source: Source) -> Result<Wav, WavError> {
    let header = read_header(&mut source)?;
    let format = header
        .format
        .ok_or(WavError::Malformed("the samples come before their format"))?;
    let format = Format::parse(&format)?;
    let frames = match (header.data_bytes, format.frame_bytes) {
        (Some(bytes), Some(frame_bytes)) => Some(bytes / frame_bytes),
        _ => None,
    };
    let size = |bytes: u64| u32::try_from(bytes).unwrap_or(u32::MAX).to_le_bytes();
    let data_bytes = header.data_bytes.unwrap_or(u64::MAX);
    let mut head = Vec::new();
    head.extend(b"RIFF");
    head.extend(size(
        data_bytes.saturating_add(20 + format.chunk.len() as u64),
    ));
    head.extend(b"WAVEfmt ");
    head.extend(size(format.chunk.len() as u64));
    head.extend(&format.chunk);
    head.extend(vec![0; format.chunk.len() % 2]);
    head.extend(b"data");
    head.extend(size(data_bytes));
    head.extend(&header.first_samples);
    Ok(Wav {
        source: source.with_head(head, data_bytes),
        frames,
    })
}

/// What the chunks before the samples say.
struct Header {
    format: Option<Vec<u8>>,
    data_bytes: Option<u64>,
    /// Bytes of samples that were read while looking whether there are any.
    first_samples: Vec<u8>,
}

/// Reads chunks up to and including the header of the data chunk.
fn read_header(source: &mut Source) -> Result<Header, WavError> {
    let mut magic = [0; 12];
    source.read_exact(&mut magic)?;
    if magic[..4] == WAVE64_RIFF[..4] {
        return read_wave64(source);
    }
    let riff_bytes = u32_at(&magic, 4);
    let (mut format, mut data_bytes_64, mut header_bytes) = (None, None, 12u64);
    loop {
        let mut chunk = [0; 8];
        source.read_exact(&mut chunk)?;
        header_bytes += 8;
        let bytes = u64::from(u32_at(&chunk, 4));
        match &chunk[..4] {
            b"data" => {
                let is_open_riff =
                    [0, u32::MAX].contains(&riff_bytes) || u64::from(riff_bytes) + 8 < header_bytes;
                let mut first_samples = Vec::new();
                let data_bytes = match bytes {
                    0xffff_ffff => data_bytes_64,
                    0 if is_open_riff => None,
                    0 => {
                        source.by_ref().take(8).read_to_end(&mut first_samples)?;
                        // A recorder that was cut off never came back to write the size of what follows.
                        let is_unfinished = first_samples.len() == 8 && !is_chunk(&first_samples);
                        if !is_unfinished {
                            first_samples.clear();
                        }
                        (!is_unfinished).then_some(0)
                    }
                    SOX_UNKNOWN => None,
                    bytes => Some(bytes),
                };
                return Ok(Header {
                    format,
                    data_bytes,
                    first_samples,
                });
            }
            b"fmt " => format = Some(read_chunk(source, bytes)?),
            b"ds64" => {
                let sizes = read_chunk(source, bytes)?;
                let size = sizes
                    .get(8..16)
                    .ok_or(WavError::Malformed("its ds64 chunk is too short"))?;
                data_bytes_64 = Some(u64_at(size, 0)).filter(|&size| size != u64::MAX);
            }
            _ => skip(source, bytes)?,
        }
        if bytes % 2 == 1 {
            skip(source, 1)?;
        }
        header_bytes += bytes.next_multiple_of(2);
    }
}

/// Whether eight bytes can be the header of a chunk: a printable name and a size that fits behind it.
fn is_chunk(header: &[u8]) -> bool {
    const MAX_CHUNK_BYTES: u32 = 1 << 28;
    let is_name = header[..4].iter().all(|byte| (b' '..=b'~').contains(byte));
    is_name && u32_at(header, 4) <= MAX_CHUNK_BYTES
}

/// The chunks of a Wave64 file: GUIDs for names, 64-bit sizes that include the chunk header, padding to 8 bytes.
fn read_wave64(source: &mut Source) -> Result<Header, WavError> {
    const CHUNK_BYTES: u64 = 24;
    skip(source, CHUNK_BYTES + 16 - 12)?;
    let mut format = None;
    loop {
        let mut chunk = [0; CHUNK_BYTES as usize];
        source.read_exact(&mut chunk)?;
        let total = u64_at(&chunk, 16);
        let bytes = total.checked_sub(CHUNK_BYTES);
        match &chunk[..4] {
            b"data" => {
                let data_bytes = bytes.filter(|&bytes| bytes < u64::MAX >> 1);
                return Ok(Header {
                    format,
                    data_bytes,
                    first_samples: Vec::new(),
                });
            }
            name => {
                let bytes =
                    bytes.ok_or(WavError::Malformed("a chunk is smaller than its header"))?;
                match name {
                    b"fmt " => format = Some(read_chunk(source, bytes)?),
                    _ => skip(source, bytes)?,
                }
                skip(source, bytes.next_multiple_of(8) - bytes)?;
            }
        }
    }
}

fn read_chunk(source: &mut Source, bytes: u64) -> Result<Vec<u8>, WavError> {
    if bytes > MAX_FORMAT_BYTES {
        return Err(WavError::Malformed("a header chunk has an impossible size"));
    }
    let mut chunk = vec![0; bytes as usize];
    source.read_exact(&mut chunk)?;
    Ok(chunk)
}

fn skip(source: &mut Source, bytes: u64) -> Result<(), WavError> {
    match io::copy(&mut source.take(bytes), &mut io::sink())? {
        skipped if skipped == bytes => Ok(()),
        _ => Err(WavError::Malformed("it ends inside the header")),
    }
}

/// A `fmt ` chunk as the demuxer wants it.
struct Format {
    chunk: Vec<u8>,
    /// Bytes of one sample of every channel; `None` for codecs that work in blocks.
    frame_bytes: Option<u64>,
}

impl Format {
    fn parse(chunk: &[u8]) -> Result<Self, WavError> {
        if chunk.len() < 16 {
            return Err(WavError::Malformed("its fmt chunk is too short"));
        }
        let (channels, rate, block) = (u16_at(chunk, 2), u32_at(chunk, 4), u16_at(chunk, 12));
        let mut tag = u16_at(chunk, 0);
        if tag == EXTENSIBLE {
            let guid = chunk
                .get(24..40)
                .ok_or(WavError::Malformed("its extensible fmt chunk is too short"))?;
            if guid[4..] != TAG_GUID_TAIL || guid[2..4] != [0, 0] {
                return Err(WavError::Codec("with an unknown extensible format".into()));
            }
            tag = u16_at(guid, 0);
        }
        if channels == 0 || rate == 0 {
            return Err(WavError::Malformed("it has no channels or no sample rate"));
        }
        let bits = match tag {
            ALAW | MULAW => 8,
            // A sample fills its container; what is below its valid bits is zero.
            PCM | FLOAT => match (u32::from(block) * 8) / u32::from(channels) {
                0 => u32::from(u16_at(chunk, 14)).next_multiple_of(8),
                bits => bits,
            },
            // The block codecs keep their chunk: its tail holds their parameters.
            0x02 | 0x11 => {
                return Ok(Self {
                    chunk: chunk.to_vec(),
                    frame_bytes: None,
                });
            }
            tag => return Err(WavError::Codec(tag_name(tag))),
        };
        match (tag, bits) {
            (PCM, 8 | 16 | 24 | 32) | (FLOAT, 32 | 64) | (ALAW | MULAW, _) => {}
            _ => return Err(WavError::Codec(format!("PCM with {bits} bits per sample"))),
        }
        let frame_bytes = u32::from(channels) * bits / 8;
        let block = u16::try_from(frame_bytes)
            .map_err(|_| WavError::Malformed("it has too many channels"))?;
        let mut plain = Vec::with_capacity(18);
        plain.extend(tag.to_le_bytes());
        plain.extend(channels.to_le_bytes());
        plain.extend(rate.to_le_bytes());
        plain.extend(rate.saturating_mul(frame_bytes).to_le_bytes());
        plain.extend(block.to_le_bytes());
        plain.extend((bits as u16).to_le_bytes());
        plain.extend([0, 0]);
        Ok(Self {
            chunk: plain,
            frame_bytes: Some(frame_bytes.into()),
        })
    }
}

fn tag_name(tag: u16) -> String {
    let name = match tag {
        0x0031 => "GSM 6.10",
        0x0040 | 0x0045 | 0x0064 => "G.726",
        0x0050 => "MPEG layer II",
        0x0055 => "MP3",
        0x0065 | 0x028f => "G.722",
        0x00ff | 0x1600 | 0x706d => "AAC",
        0x0160..=0x0163 => "Windows Media Audio",
        0x2000 => "AC-3",
        0x2001 => "DTS",
        0xf1ac => "FLAC",
        _ => return format!("with WAV format tag {tag:#06x}"),
    };
    format!("{name} (WAV format tag {tag:#06x})")
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from(u16_at(bytes, at)) | u32::from(u16_at(bytes, at + 2)) << 16
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}
