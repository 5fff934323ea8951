//! The part of a token file that is decoded.

use std::ops::Range;

use percept::{Codec, CodecError, Codes, ContainerError, Excerpt, Salvage};

use super::args::DecodeArgs;
use super::error::CodecFault;
use super::token_file::{Seekable, Stored, TokenFile, token_file};
use crate::error::CliError;

/// What `--from` and `--to` say, in seconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Span {
    from: f64,
    to: Option<f64>,
}

impl Span {
    /// Of the arguments; `None` where the whole is wanted.
    ///
    /// # Errors
    ///
    /// [`CodecFault::NoPart`].
    pub(crate) fn of(args: &DecodeArgs) -> Result<Option<Self>, CodecFault> {
        let from = args.from.unwrap_or(0.0);
        match args.to {
            Some(to) if to <= from => Err(CodecFault::NoPart { from, to }),
            None if args.from.is_none() => Ok(None),
            to => Ok(Some(Self { from, to })),
        }
    }

    /// The samples of a recording of `length`.
    fn samples(self, length: u64, rate: u32, file: &str) -> Result<Range<u64>, CodecFault> {
        let sample = |seconds: f64| ((seconds * f64::from(rate)).round() as u64).min(length);
        let range = sample(self.from)..self.to.map_or(length, sample);
        match range.start < length {
            true => Ok(range),
            false => Err(CodecFault::PastEnd {
                file: file.to_owned(),
                from: self.from,
                seconds: length as f64 / f64::from(rate),
            }),
        }
    }
}

/// Codes, and what of their sound is wanted.
pub(crate) struct Part {
    pub(crate) codes: Codes,
    pub(crate) excerpt: Excerpt,
    /// Samples per channel.
    pub(crate) samples: u64,
    /// What keeps the part from being all that was asked for.
    pub(crate) damage: Option<CliError>,
}

impl Part {
    /// What `span` asks for, or all.
    ///
    /// # Errors
    ///
    /// A file without codes or with those of other books, and a part that is not there.
    pub(crate) fn of(file: TokenFile, span: Option<Span>, codec: &Codec) -> Result<Self, CliError> {
        let (spec, name) = (codec.spec(), file.name.clone());
        let (stored, fault) = file.into_tokens(&spec.books)?;
        let (frames, source) = match &stored {
            Stored::Codes(codes) => (codes.frames(), codes.source_samples()),
            Stored::File(file) => (file.superframes() * align(file), file.total_samples()),
        };
        let hop = u64::from(spec.hop);
        let all = frames.saturating_mul(hop);
        let length = source.unwrap_or(all).min(all);
        let wanted = match span {
            Some(span) if length > 0 => span.samples(length, spec.sample_rate, &name)?,
            _ => 0..length,
        };
        let excerpt = codec.model().excerpt(match span {
            Some(_) => wanted.clone(),
            None => 0..u64::MAX,
        });
        let (codes, fault) = match stored {
            Stored::Codes(codes) => {
                let range = superframes(&excerpt, codes.align().into(), codes.superframes());
                (
                    codes
                        .slice(range)
                        .map_err(|error| codec_error(error, &name))?,
                    fault,
                )
            }
            Stored::File(file) => read(*file, &excerpt).map_err(|e| token_file(&name, e))?,
        };
        let there = (excerpt.frames().start + codes.frames()).saturating_mul(hop);
        let end = wanted.end.min(there);
        // Damage behind the part is no matter of it.
        let damage = fault.filter(|_| end < wanted.end || wanted.end == length);
        let damage = damage.map(|fault| token_file(&name, fault));
        match (end <= wanted.start, damage) {
            (true, Some(damage)) => Err(damage),
            (true, None) => Err(CodecFault::NoTokens { file: name }.into()),
            (false, damage) => Ok(Self {
                codes,
                excerpt,
                samples: end - wanted.start,
                damage,
            }),
        }
    }
}

/// Latent frames in a super-frame of the file.
fn align(file: &Seekable) -> u64 {
    Codes::new(file.header().books.clone()).align().into()
}

/// The super-frames of `align` latent frames that an excerpt takes, of `all`.
fn superframes(excerpt: &Excerpt, align: u64, all: u64) -> Range<u64> {
    let (frames, align) = (excerpt.frames(), align.max(1));
    let start = (frames.start / align).min(all);
    start..frames.end.div_ceil(align).clamp(start, all)
}

/// Reads the codes of an excerpt up to damage in them; damage to the end of the file is told too.
fn read(
    mut file: Seekable,
    excerpt: &Excerpt,
) -> Result<(Codes, Option<ContainerError>), ContainerError> {
    let range = superframes(excerpt, align(&file), file.superframes());
    let Salvage { codes, fault } = file.salvage(range)?;
    Ok((codes, fault.or_else(|| file.into_fault())))
}

fn codec_error(error: percept::CodesError, name: &str) -> CliError {
    CliError::from(percept::Error::from(CodecError::from(error))).about(name)
}
