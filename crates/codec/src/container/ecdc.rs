//! The files of the `encodec` package, without its language model.
//!
//! Big-endian: "ECDC", version u8 (0), metadata length u32, metadata as JSON `{"m": model, "al": samples per channel,
//! "nc": books, "lm": whether a language model packed the codes}`. Then each segment: the scale as f32 if the model
//! scales, and the codes of 10 bits, lowest bit first, frame by frame, filled up to a byte.
//! (<https://github.com/facebookresearch/encodec/blob/0e2d0aed29362c8e8f52494baf3e6f99056b214f/encodec/compress.py>)

use std::io::Read;

use serde::Deserialize;

use super::{ContainerError, Salvage, bits::lsb_number, header::check_magic, source::Source};
use crate::codes::{BookSpec, Codes, CodesError, Segment};

pub(crate) const MAGIC: &[u8; 4] = b"ECDC";
const BITS: u32 = 10;
/// The most bytes of metadata.
const MOST_META: u32 = 1 << 16;

/// What an ECDC file says about its codes.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct EcdcMeta {
    /// `encodec_24khz` or `encodec_48khz`.
    #[serde(rename = "m")]
    pub model: String,
    /// Samples per channel of the sound.
    #[serde(rename = "al")]
    pub samples: u64,
    /// Books.
    #[serde(rename = "nc")]
    pub books: usize,
    /// Whether the codes are packed by a language model.
    #[serde(rename = "lm")]
    pub language_model: bool,
}

/// An ECDC file.
#[derive(Debug)]
pub struct EcdcFile {
    /// What it says about its codes.
    pub meta: EcdcMeta,
    /// Samples per second.
    pub sample_rate: u32,
    /// Channels.
    pub channels: u16,
    /// Its codes, books of 1024 entries and stride 1, with the source length and, at 48 kHz, one segment a second; and
    /// the damage that ended them, if any. A packet of the fault is a segment.
    pub read: Salvage,
}

/// How a model cuts its sound.
struct Model {
    sample_rate: u32,
    channels: u16,
    most_books: usize,
    /// Samples of a segment, and from the start of one to the next; the whole sound is one if there are none.
    segment: Option<(u64, u64)>,
}

/// Samples per latent frame of both models.
const HOP: u64 = 320;

fn model(name: &str) -> Result<Model, ContainerError> {
    match name {
        "encodec_24khz" => Ok(Model {
            sample_rate: 24_000,
            channels: 1,
            most_books: 32,
            segment: None,
        }),
        "encodec_48khz" => Ok(Model {
            sample_rate: 48_000,
            channels: 2,
            most_books: 16,
            segment: Some((48_000, 47_520)),
        }),
        _ => Err(ContainerError::UnknownModel {
            name: name.chars().take(64).collect(),
            known: "encodec_24khz or encodec_48khz",
        }),
    }
}

/// Reads an ECDC file. A file cut short gives the whole frames before the cut; nothing may follow the last of them.
pub fn read_ecdc<R: Read>(inner: R) -> Result<EcdcFile, ContainerError> {
    let mut source = Source::new(inner);
    let meta = read_meta(&mut source)?;
    let model = model(&meta.model)?;
    if meta.language_model {
        return Err(ContainerError::LanguageModel);
    }
    if !(1..=model.most_books).contains(&meta.books) {
        return Err(ContainerError::Codes(CodesError::BookCount {
            expected: model.most_books,
            found: meta.books,
        }));
    }
    let mut codes = Codes::new(BookSpec::uniform(meta.books, 1 << BITS).into());
    let read = read_segments(&mut source, &meta, &model, &mut codes);
    let fault = read.and_then(|()| source.check_end()).err();
    codes.set_source_samples(Some(match fault {
        None | Some(ContainerError::Trailing { .. }) => meta.samples,
        Some(_) => meta.samples.min(codes.frames().saturating_mul(HOP)),
    }));
    Ok(EcdcFile {
        sample_rate: model.sample_rate,
        channels: model.channels,
        read: Salvage { codes, fault },
        meta,
    })
}

fn read_meta<R: Read>(source: &mut Source<R>) -> Result<EcdcMeta, ContainerError> {
    let mut bytes = Vec::new();
    let start = source.take_header(9, &mut bytes);
    check_magic(&bytes, MAGIC, "ECDC")?;
    start?;
    if bytes[4] != 0 {
        return Err(ContainerError::Version {
            format: "ECDC",
            found: bytes[4],
            known: 0,
        });
    }
    let length = u32::from_be_bytes([bytes[5], bytes[6], bytes[7], bytes[8]]);
    if length > MOST_META {
        return Err(ContainerError::Header {
            field: "metadata length",
            value: length.into(),
            need: "it is at most 64 KiB",
        });
    }
    bytes.clear();
    source.take_header(length.into(), &mut bytes)?;
    serde_json::from_slice(&bytes).map_err(|source| ContainerError::UserJson { source })
}

/// Appends the segments of the file to `codes`, up to the damage if there is any.
fn read_segments<R: Read>(
    source: &mut Source<R>,
    meta: &EcdcMeta,
    model: &Model,
    codes: &mut Codes,
) -> Result<(), ContainerError> {
    let (length, step) = model.segment.unwrap_or((meta.samples, meta.samples));
    let mut segments = Vec::new();
    let mut read_all = || {
        let (mut at, mut packet) = (0u64, 0);
        while at < meta.samples {
            let frames = length.min(meta.samples - at).div_ceil(HOP);
            let scale = match model.segment {
                Some(_) => Some(read_scale(source, packet)?),
                None => None,
            };
            let before = codes.frames();
            let read = read_codes(source, packet, frames, codes);
            let frames = (codes.frames() - before) as u32;
            segments.extend(
                scale
                    .filter(|_| frames > 0)
                    .map(|scale| Segment { frames, scale }),
            );
            read?;
            (at, packet) = (at.saturating_add(step), packet + 1);
        }
        Ok(())
    };
    let read = read_all();
    codes.set_segments(segments)?;
    read
}

/// Reads the scale of segment `packet`.
fn read_scale<R: Read>(source: &mut Source<R>, packet: u64) -> Result<f32, ContainerError> {
    let mut bytes = Vec::new();
    let missing = source.take(4, &mut bytes)?;
    let Some(&bytes) = bytes.first_chunk::<4>() else {
        return Err(ContainerError::Truncated {
            packet,
            offset: source.offset(),
            missing,
        });
    };
    let segment = Segment {
        frames: 1,
        scale: f32::from_be_bytes(bytes),
    };
    segment
        .check(packet as usize)
        .map_err(|error| ContainerError::Packet {
            packet,
            offset: source.offset() - 4,
            source: error,
        })?;
    Ok(segment.scale)
}

/// Appends the codes of `frames` frames, or of as many as there are.
fn read_codes<R: Read>(
    source: &mut Source<R>,
    packet: u64,
    frames: u64,
    codes: &mut Codes,
) -> Result<(), ContainerError> {
    let frame_bits = codes.books() as u64 * u64::from(BITS);
    let mut bytes = Vec::new();
    let missing = source.take(frames.saturating_mul(frame_bits).div_ceil(8), &mut bytes)?;
    let there = frames.min(bytes.len() as u64 * 8 / frame_bits);
    for number in 0..there as usize * codes.books() {
        codes.push_token(number % codes.books(), lsb_number(&bytes, number, BITS))?;
    }
    match missing {
        0 => Ok(()),
        _ => Err(ContainerError::Truncated {
            packet,
            offset: source.offset(),
            missing,
        }),
    }
}
