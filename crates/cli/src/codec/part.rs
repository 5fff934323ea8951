//! The part of a token file that is decoded.

use std::iter;
use std::ops::Range;

use percept::{Codec, CodecError, Codes, ContainerError, Excerpt};

use super::args::DecodeArgs;
use super::error::CodecFault;
use super::token_file::{Contents, Stored, TokenFile, pieces, superframe_frames, token_file};
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
        let (file, from) = (file.to_owned(), self.from);
        if range.start >= length {
            let seconds = length as f64 / f64::from(rate);
            return Err(CodecFault::PastEnd {
                file,
                from,
                seconds,
            });
        }
        match self.to {
            Some(to) if range.is_empty() => Err(CodecFault::NoSample {
                file,
                from,
                to,
                rate,
            }),
            _ => Ok(range),
        }
    }
}

/// How far a file goes.
#[derive(Debug, Clone, Copy)]
struct Extent {
    /// Samples per channel that can be had.
    length: u64,
    /// Latent frames that it should have, if it says so.
    announced: Option<u64>,
}

impl Extent {
    fn of(contents: &Contents) -> Self {
        let there = contents.there;
        Self {
            length: contents.source.map_or(there, |source| source.min(there)),
            announced: contents.announced,
        }
    }

    /// Whether the file would go on behind `frame` if nothing was lost.
    fn goes_on(self, frame: u64) -> bool {
        self.announced.is_none_or(|all| frame < all)
    }
}

/// Where damage has taken codes away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Loss {
    /// Nowhere: something follows the last.
    Nowhere,
    /// Behind those that were read.
    Behind,
    /// Nobody knows.
    Somewhere,
}

impl Loss {
    fn of(fault: &ContainerError) -> Self {
        match fault {
            ContainerError::Trailing { .. } | ContainerError::JsonEnded { .. } => Loss::Nowhere,
            ContainerError::End { .. } | ContainerError::Length { .. } => Loss::Somewhere,
            _ => Loss::Behind,
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
        let name = file.name.clone();
        let about = |error| token_file(&name, error);
        let contents = file.into_contents(codec).map_err(about)?;
        let asked = Asked {
            extent: Extent::of(&contents),
            span,
            codec,
            name: &name,
        };
        let wanted = match asked.samples() {
            Ok(wanted) => wanted,
            Err(past) => return Err(asked.instead(past, contents.fault)),
        };
        let excerpt = codec.model().excerpt(match span {
            Some(_) => wanted.clone(),
            None => 0..u64::MAX,
        });
        let (codes, broken) = contents.stored.read(&excerpt, &name)?;
        let fault = broken.or(contents.fault);
        let certain = match &fault {
            Some(fault) => asked.certain(fault, &excerpt, &codes),
            None => None,
        };
        // Excerpts of segments begin at the first.
        let before = excerpt.frames().start;
        let read: Vec<u64> = iter::once(before).chain(pieces(&codes)).collect();
        let end = wanted.end.min(codec.model().decoded_samples(&read));
        let end = certain.map_or(end, |certain| end.min(wanted.start.saturating_add(certain)));
        // Damage behind the part is no matter of it.
        let matters = |fault: &ContainerError| {
            let is_short = end < wanted.end || wanted.end == asked.extent.length;
            is_short || Loss::of(fault) == Loss::Somewhere
        };
        let damage = fault.filter(matters).map(about);
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

/// What is asked of a file.
#[derive(Clone, Copy)]
struct Asked<'a> {
    extent: Extent,
    span: Option<Span>,
    codec: &'a Codec,
    name: &'a str,
}

impl Asked<'_> {
    /// The samples that are asked for of what there is.
    fn samples(self) -> Result<Range<u64>, CodecFault> {
        let rate = self.codec.spec().sample_rate;
        match (self.span, self.extent.length) {
            (Some(span), length @ 1..) => span.samples(length, rate, self.name),
            (_, length) => Ok(0..length),
        }
    }

    /// What to say of a part that is not there: that the file is damaged, if the part would be there otherwise.
    fn instead(self, past: CodecFault, fault: Option<ContainerError>) -> CliError {
        let CodecFault::PastEnd { from, .. } = past else {
            return past.into();
        };
        let frame = from * self.codec.spec().frame_rate();
        let is_lost = |fault: &ContainerError| Loss::of(fault) != Loss::Nowhere;
        match fault.filter(is_lost) {
            Some(fault) if self.extent.goes_on(frame as u64) => token_file(self.name, fault),
            _ => past.into(),
        }
    }

    /// How many samples of a part are those of the undamaged recording, if not all: the last ones depend on codes behind
    /// them. A whole file is decoded to its last code.
    fn certain(self, fault: &ContainerError, excerpt: &Excerpt, codes: &Codes) -> Option<u64> {
        let read = excerpt.frames().start + codes.frames();
        let is_cut = Loss::of(fault) == Loss::Behind && self.extent.goes_on(read);
        (is_cut && self.span.is_some()).then(|| self.codec.model().certain_samples(excerpt, codes))
    }
}

impl Stored {
    /// The codes of an excerpt, up to damage in them.
    fn read(
        self,
        excerpt: &Excerpt,
        name: &str,
    ) -> Result<(Codes, Option<ContainerError>), CliError> {
        match self {
            Stored::Codes(codes) => {
                let range = superframes(excerpt, codes.align().into(), codes.superframes());
                let codes = codes.slice(range);
                Ok((codes.map_err(|error| codec_error(error, name))?, None))
            }
            Stored::File(mut file) => {
                let align = superframe_frames(file.header());
                let range = superframes(excerpt, align, file.superframes());
                let read = file.salvage(range).map_err(|e| token_file(name, e))?;
                Ok((read.codes, read.fault))
            }
        }
    }
}

/// The super-frames of `align` latent frames that an excerpt takes, of `all`.
fn superframes(excerpt: &Excerpt, align: u64, all: u64) -> Range<u64> {
    let (frames, align) = (excerpt.frames(), align.max(1));
    let start = (frames.start / align).min(all);
    start..frames.end.div_ceil(align).clamp(start, all)
}

fn codec_error(error: percept::CodesError, name: &str) -> CliError {
    CliError::from(percept::Error::from(CodecError::from(error))).about(name)
}
