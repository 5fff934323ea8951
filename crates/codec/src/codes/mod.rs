//! Codes: the tokens of each book, on the time grid of a codec.
//!
//! A codec cuts time into latent frames; a code of book `k` covers `stride` of them. The least common multiple of the
//! strides is a *super-frame*, the shortest stretch in which every book has whole codes: 7 codes for the strides
//! `[4, 2, 1]`. [`Codes`] hold each book on its own, since books of different strides have different lengths, and may
//! be *open*: tokens of the last super-frames can come one by one, in the order in which a model speaks them.
//!
//! Every token is below the size of its book from the moment it is in.

mod edit;
mod error;
mod spec;
#[cfg(test)]
pub(crate) mod tests;

use std::sync::Arc;

pub use error::CodesError;
pub use spec::{BookSpec, Segment};
pub(crate) use spec::{gcd, lcm};

/// The tokens of every book, coarse to fine, with what decoding needs to know beside them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Codes {
    specs: Arc<[BookSpec]>,
    /// Latent frames of a super-frame; 0 if the books are not those of a codec.
    align: u32,
    books: Vec<Vec<u16>>,
    segments: Vec<Segment>,
    source_samples: Option<u64>,
}

impl Codes {
    /// No codes yet. Whether `specs` are books of a codec is checked when the first token comes.
    pub fn new(specs: Arc<[BookSpec]>) -> Codes {
        Codes {
            align: BookSpec::check(&specs).unwrap_or(0),
            books: vec![Vec::new(); specs.len()],
            segments: Vec::new(),
            source_samples: None,
            specs,
        }
    }

    /// Whole super-frames, one list of tokens per book.
    pub fn from_books(specs: Arc<[BookSpec]>, books: Vec<Vec<u16>>) -> Result<Codes, CodesError> {
        BookSpec::check(&specs)?;
        if books.len() != specs.len() {
            return Err(CodesError::BookCount {
                expected: specs.len(),
                found: books.len(),
            });
        }
        for (book, (tokens, spec)) in books.iter().zip(&*specs).enumerate() {
            if let Some(index) = tokens.iter().position(|&t| u32::from(t) >= spec.size) {
                return Err(CodesError::TokenOutOfRange {
                    book,
                    index: index as u64,
                    token: tokens[index].into(),
                    size: spec.size,
                });
            }
        }
        let codes = Codes {
            books,
            ..Codes::new(specs)
        };
        codes.check_whole()?;
        Ok(codes)
    }

    /// Size and stride of each book.
    pub fn specs(&self) -> &Arc<[BookSpec]> {
        &self.specs
    }

    /// The tokens of book `k`; none if there is no such book.
    pub fn book(&self, k: usize) -> &[u16] {
        self.books.get(k).map_or(&[], Vec::as_slice)
    }

    /// How many books there are.
    pub fn books(&self) -> usize {
        self.books.len()
    }

    /// Gives the tokens away, one list per book.
    pub fn into_books(self) -> Vec<Vec<u16>> {
        self.books
    }

    /// Tokens in all books together.
    pub fn tokens(&self) -> usize {
        self.books.iter().map(Vec::len).sum()
    }

    /// Latent frames that every book covers.
    pub fn frames(&self) -> u64 {
        self.covered().min().unwrap_or(0)
    }

    /// Super-frames that are complete.
    pub fn superframes(&self) -> u64 {
        self.frames().checked_div(self.align.into()).unwrap_or(0)
    }

    /// Latent frames per super-frame: the least common multiple of the strides. 0 if the books are not a codec's.
    pub fn align(&self) -> u32 {
        self.align
    }

    /// Tokens of book `k` per super-frame; 0 if there is no such book.
    pub fn superframe_tokens(&self, k: usize) -> usize {
        let stride = self.specs.get(k).map_or(0, |spec| spec.stride);
        self.align.checked_div(stride).unwrap_or(0) as usize
    }

    /// Whether there is no token at all.
    pub fn is_empty(&self) -> bool {
        self.books.iter().all(Vec::is_empty)
    }

    /// Whether every book ends with the same, complete super-frame.
    pub fn is_whole(&self) -> bool {
        self.check_whole().is_ok()
    }

    /// Samples per channel of the sound that was encoded, before it was padded to whole frames.
    pub fn source_samples(&self) -> Option<u64> {
        self.source_samples
    }

    /// Sets [`source_samples`](Self::source_samples).
    pub fn set_source_samples(&mut self, samples: Option<u64>) {
        self.source_samples = samples;
    }

    /// The stretches that were scaled as one, in order; none for a codec that does not scale.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// The scale of each segment.
    pub fn scales(&self) -> impl ExactSizeIterator<Item = f32> + '_ {
        self.segments.iter().map(|segment| segment.scale)
    }

    /// Sets the segments; together they cover every frame, or there are none.
    pub fn set_segments(&mut self, segments: Vec<Segment>) -> Result<(), CodesError> {
        self.check_whole()?;
        for (index, segment) in segments.iter().enumerate() {
            segment.check(index)?;
        }
        let found = segments.iter().map(|s| u64::from(s.frames)).sum();
        let expected = self.frames();
        if !segments.is_empty() && found != expected {
            return Err(CodesError::Segments { expected, found });
        }
        self.segments = segments;
        Ok(())
    }

    /// Checks that these are codes of a codec with the books `specs`, or of its first books alone.
    pub fn validate(&self, specs: &[BookSpec]) -> Result<(), CodesError> {
        BookSpec::check(&self.specs)?;
        match specs.get(..self.books()) {
            Some(first) => self.check_same_books(first),
            None => Err(CodesError::BookCount {
                expected: specs.len(),
                found: self.books(),
            }),
        }
    }

    /// Whether the books are `specs`, by number, size and stride.
    pub(crate) fn check_same_books(&self, specs: &[BookSpec]) -> Result<(), CodesError> {
        if specs.len() != self.specs.len() {
            return Err(CodesError::BookCount {
                expected: specs.len(),
                found: self.specs.len(),
            });
        }
        match specs
            .iter()
            .zip(&*self.specs)
            .enumerate()
            .find(|(_, (a, b))| a != b)
        {
            None => Ok(()),
            Some((book, (expected, found))) => Err(CodesError::BookMismatch {
                book,
                expected_size: expected.size,
                expected_stride: expected.stride,
                found_size: found.size,
                found_stride: found.stride,
            }),
        }
    }

    /// Whether every book covers the same frames. They are whole super-frames then: a multiple of every stride.
    pub(crate) fn check_whole(&self) -> Result<(), CodesError> {
        if self.align == 0 {
            BookSpec::check(&self.specs)?;
        }
        let expected = self.covered().next().unwrap_or(0);
        match self
            .covered()
            .enumerate()
            .find(|&(_, found)| found != expected)
        {
            None => Ok(()),
            Some((book, found)) => Err(CodesError::RaggedBooks {
                book,
                expected,
                found,
            }),
        }
    }

    /// Latent frames that each book covers.
    fn covered(&self) -> impl Iterator<Item = u64> + '_ {
        let frames = |(tokens, spec): (&Vec<u16>, &BookSpec)| {
            (tokens.len() as u64).saturating_mul(spec.stride.into())
        };
        self.books.iter().zip(&*self.specs).map(frames)
    }
}
