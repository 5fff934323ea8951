//! Growing, cutting and joining codes.

use std::{iter, ops::Range};

use super::{BookSpec, Codes, CodesError, Segment};

impl Codes {
    /// Appends `token` to book `book`.
    pub fn push_token(&mut self, book: usize, token: u16) -> Result<(), CodesError> {
        let Some(spec) = self.specs.get(book).filter(|_| self.align > 0) else {
            BookSpec::check(&self.specs)?;
            return Err(CodesError::BookCount {
                expected: self.specs.len(),
                found: book.saturating_add(1),
            });
        };
        let tokens = &mut self.books[book];
        if u32::from(token) >= spec.size {
            return Err(CodesError::TokenOutOfRange {
                book,
                index: tokens.len() as u64,
                token: token.into(),
                size: spec.size,
            });
        }
        tokens.push(token);
        Ok(())
    }

    /// Appends one super-frame: the tokens of book 0, then those of book 1, and so on.
    pub fn push_superframe(&mut self, tokens: &[u16]) -> Result<(), CodesError> {
        self.check_whole()?;
        let expected: u64 = (0..self.books())
            .map(|k| self.superframe_tokens(k) as u64)
            .sum();
        if tokens.len() as u64 != expected {
            return Err(CodesError::SuperframeTokens {
                expected,
                found: tokens.len(),
            });
        }
        let books = (0..self.books()).flat_map(|k| iter::repeat_n(k, self.superframe_tokens(k)));
        for (book, &token) in books.zip(tokens) {
            let size = self.specs[book].size;
            if u32::from(token) >= size {
                return Err(CodesError::TokenOutOfRange {
                    book,
                    index: self.books[book].len() as u64,
                    token: token.into(),
                    size,
                });
            }
        }
        let mut rest = tokens;
        for book in 0..self.books() {
            let (own, after) = rest.split_at(self.superframe_tokens(book));
            self.books[book].extend_from_slice(own);
            rest = after;
        }
        Ok(())
    }

    /// Appends the tokens of `other` book by book, whole or open, and its segments. The source length stays what it
    /// was: only the caller knows that of the whole.
    pub fn extend(&mut self, other: &Codes) -> Result<(), CodesError> {
        self.check_same_books(&other.specs)?;
        if (self.segments.is_empty() != other.segments.is_empty())
            && !self.is_empty()
            && !other.is_empty()
        {
            return Err(CodesError::Segments {
                expected: self.frames() + other.frames(),
                found: [self, other]
                    .iter()
                    .flat_map(|c| &c.segments)
                    .map(|s| u64::from(s.frames))
                    .sum(),
            });
        }
        for (tokens, more) in self.books.iter_mut().zip(&other.books) {
            tokens.extend_from_slice(more);
        }
        self.segments.extend_from_slice(&other.segments);
        Ok(())
    }

    /// The super-frames in `range`, with the parts of segments that lie in it; without a source length.
    pub fn slice(&self, range: Range<u64>) -> Result<Codes, CodesError> {
        self.check_whole()?;
        let superframes = self.superframes();
        if range.start > range.end || range.end > superframes {
            return Err(CodesError::Range {
                start: range.start,
                end: range.end,
                superframes,
            });
        }
        let cut = |k: usize| {
            let per = self.superframe_tokens(k);
            self.books[k][range.start as usize * per..range.end as usize * per].to_vec()
        };
        let align = u64::from(self.align);
        Ok(Codes {
            specs: self.specs.clone(),
            align: self.align,
            books: (0..self.books()).map(cut).collect(),
            segments: clip(&self.segments, range.start * align..range.end * align),
            source_samples: None,
        })
    }

    /// Keeps the first `k` books, at least one; the sound gets coarser.
    pub fn truncate_books(&mut self, k: usize) {
        let k = k.max(1);
        if k < self.books() {
            self.books.truncate(k);
            self.specs = self.specs[..k].into();
            self.align = BookSpec::check(&self.specs).unwrap_or(0);
        }
    }

    /// Drops the tokens behind the last complete super-frame and says how many there were.
    pub fn drop_open(&mut self) -> u64 {
        let superframes = self.superframes();
        let before = self.tokens();
        for book in 0..self.books() {
            let whole = superframes.saturating_mul(self.superframe_tokens(book) as u64);
            self.books[book].truncate(usize::try_from(whole).unwrap_or(usize::MAX));
        }
        (before - self.tokens()) as u64
    }

    /// Drops the first `superframes` super-frames, all of which must be complete.
    pub(crate) fn drop_front(&mut self, superframes: u64) {
        for book in 0..self.books() {
            let tokens = superframes as usize * self.superframe_tokens(book);
            self.books[book].drain(..tokens);
        }
    }

    /// Removes all tokens, segments and the source length.
    pub fn clear(&mut self) {
        self.books.iter_mut().for_each(Vec::clear);
        self.segments.clear();
        self.source_samples = None;
    }
}

/// The parts of `segments` that lie in the latent frames `range`.
fn clip(segments: &[Segment], range: Range<u64>) -> Vec<Segment> {
    let mut start = 0;
    let mut inside = Vec::new();
    for segment in segments {
        let end = start + u64::from(segment.frames);
        let frames = end.min(range.end).saturating_sub(start.max(range.start));
        if frames > 0 {
            inside.push(Segment {
                frames: frames as u32,
                scale: segment.scale,
            });
        }
        start = end;
    }
    inside
}
