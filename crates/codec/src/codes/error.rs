//! What can be wrong with codes.

/// Why codes do not fit their books, with the fact and what to do.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CodesError {
    /// A codec without books.
    #[error("there are no books; give at least one")]
    NoBooks,
    /// A book without entries.
    #[error("book {book} has no entries; give it a size of 1 to 65536")]
    ZeroSize {
        /// The book.
        book: usize,
    },
    /// A book whose codes do not fit 16 bits.
    #[error("book {book} has {size} entries; 65536 is the most")]
    TooLarge {
        /// The book.
        book: usize,
        /// Its entries.
        size: u32,
    },
    /// A book whose codes cover no time.
    #[error("book {book} has stride 0; give the latent frames that one of its codes covers")]
    ZeroStride {
        /// The book.
        book: usize,
    },
    /// Strides whose least common multiple does not fit 32 bits.
    #[error("strides {strides:?} have no common multiple of 32 bits; check the configuration")]
    StridesTooLarge {
        /// The stride of each book.
        strides: Vec<u32>,
    },
    /// A code that its book does not have.
    #[error(
        "book {book}, code {index}: {token} is outside a book of {size} entries; the codes are damaged or of another \
         codec"
    )]
    TokenOutOfRange {
        /// The book.
        book: usize,
        /// Where in the book.
        index: u64,
        /// The code.
        token: u32,
        /// The entries of the book.
        size: u32,
    },
    /// More or fewer books than asked for.
    #[error("{found} books instead of {expected}; give the codes of the same codec")]
    BookCount {
        /// The books there should be.
        expected: usize,
        /// The books there are.
        found: usize,
    },
    /// A book of another size or stride.
    #[error(
        "book {book} has {found_size} entries and stride {found_stride} instead of {expected_size} and \
         {expected_stride}; give the codes of the same codec"
    )]
    BookMismatch {
        /// The book.
        book: usize,
        /// The entries it should have.
        expected_size: u32,
        /// The latent frames that one of its codes should cover.
        expected_stride: u32,
        /// The entries it has.
        found_size: u32,
        /// The latent frames that one of its codes covers.
        found_stride: u32,
    },
    /// Books that cover different lengths of time.
    #[error(
        "book {book} covers {found} latent frames, book 0 covers {expected}; give every book the same length of time"
    )]
    RaggedBooks {
        /// The book.
        book: usize,
        /// The latent frames of book 0.
        expected: u64,
        /// The latent frames of this book.
        found: u64,
    },
    /// A super-frame that has begun and is not complete.
    #[error(
        "the last super-frame is open: {frames} latent frames, {align} make a super-frame; give the codes that are \
         missing or drop those of the open one"
    )]
    PartialSuperframe {
        /// The latent frames that the longest book covers.
        frames: u64,
        /// The latent frames of a super-frame.
        align: u32,
    },
    /// A super-frame of more or fewer codes than its books take.
    #[error("a super-frame of {found} codes; these books take {expected}")]
    SuperframeTokens {
        /// The codes of one super-frame.
        expected: u64,
        /// The codes given.
        found: usize,
    },
    /// Super-frames that are not there.
    #[error("super-frames {start}..{end} asked of {superframes}; stay inside")]
    Range {
        /// The first super-frame asked for.
        start: u64,
        /// One past the last.
        end: u64,
        /// The super-frames there are.
        superframes: u64,
    },
    /// Segments that cover more or fewer frames than there are.
    #[error(
        "the segments cover {found} latent frames of {expected}; give every frame one scale, or give none"
    )]
    Segments {
        /// The latent frames there are.
        expected: u64,
        /// The latent frames that the segments cover.
        found: u64,
    },
    /// A segment of no frames.
    #[error("segment {segment} has no frames; leave it out")]
    EmptySegment {
        /// The segment.
        segment: usize,
    },
    /// A segment scale that cannot be multiplied with.
    #[error("segment {segment} has the scale {}; a scale is finite and above 0", f32::from_bits(*.bits))]
    Scale {
        /// The segment.
        segment: usize,
        /// The bits of the scale, an IEEE single.
        bits: u32,
    },
}

impl CodesError {
    /// A short name that never changes, for programs.
    pub fn code(&self) -> &'static str {
        match self {
            CodesError::NoBooks => "no-books",
            CodesError::ZeroSize { .. } => "zero-size",
            CodesError::TooLarge { .. } => "book-too-large",
            CodesError::ZeroStride { .. } => "zero-stride",
            CodesError::StridesTooLarge { .. } => "strides-too-large",
            CodesError::TokenOutOfRange { .. } => "token-out-of-range",
            CodesError::BookCount { .. } => "book-count",
            CodesError::BookMismatch { .. } => "book-mismatch",
            CodesError::RaggedBooks { .. } => "ragged-books",
            CodesError::PartialSuperframe { .. } => "partial-superframe",
            CodesError::SuperframeTokens { .. } => "superframe-tokens",
            CodesError::Range { .. } => "superframe-range",
            CodesError::Segments { .. } => "segments",
            CodesError::EmptySegment { .. } => "empty-segment",
            CodesError::Scale { .. } => "segment-scale",
        }
    }
}
