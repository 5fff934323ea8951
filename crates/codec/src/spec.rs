//! What a codec is, in numbers.

use std::sync::Arc;

use crate::BookSpec;

/// The architecture of a codec.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CodecFamily {
    /// Multi-scale neural audio codec (<https://github.com/hubertsiuzdak/snac>).
    Snac,
    /// Descript audio codec.
    Dac,
    /// EnCodec.
    Encodec,
    /// Mimi.
    Mimi,
}

impl CodecFamily {
    /// Every family.
    pub const ALL: [CodecFamily; 4] = [
        CodecFamily::Snac,
        CodecFamily::Dac,
        CodecFamily::Encodec,
        CodecFamily::Mimi,
    ];

    /// `snac`, `dac`, `encodec` or `mimi`.
    pub fn name(self) -> &'static str {
        match self {
            CodecFamily::Snac => "snac",
            CodecFamily::Dac => "dac",
            CodecFamily::Encodec => "encodec",
            CodecFamily::Mimi => "mimi",
        }
    }

    /// The number that files know it by.
    pub fn id(self) -> u16 {
        match self {
            CodecFamily::Snac => 1,
            CodecFamily::Dac => 2,
            CodecFamily::Encodec => 3,
            CodecFamily::Mimi => 4,
        }
    }

    /// The family of an id, if it is known.
    pub fn from_id(id: u16) -> Option<Self> {
        Self::ALL.into_iter().find(|family| family.id() == id)
    }

    /// The family of a name, if it is known.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|family| family.name() == name)
    }
}

/// The numbers of a codec.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodecSpec {
    /// Its architecture.
    pub family: CodecFamily,
    /// Samples per second of what goes in and comes out.
    pub sample_rate: u32,
    /// Channels of what goes in and comes out.
    pub channels: u16,
    /// Samples per channel of one latent frame.
    pub hop: u32,
    /// The codebooks, coarse to fine.
    pub books: Arc<[BookSpec]>,
    /// How many of them `encode` uses unless told otherwise.
    pub default_books: usize,
    /// Latent frames that `encode` pads to a multiple of.
    pub align: u32,
    /// Samples that must follow the last one of a frame before it can be encoded; of the first frame of a segment, for
    /// codecs that work in segments. Close to [`u64::MAX`] where the whole recording is one.
    pub encode_lookahead: u64,
    /// Samples that decoding runs behind the frames put in, so that what comes out is final; at most, for codecs that work
    /// in segments.
    pub decode_lookahead: u64,
}

impl CodecSpec {
    /// Latent frames per second.
    pub fn frame_rate(&self) -> f64 {
        f64::from(self.sample_rate) / f64::from(self.hop)
    }

    /// Bits per second of the first `books` books, each code in as many bits as its book needs.
    pub fn bitrate(&self, books: usize) -> f64 {
        let bits = |book: &BookSpec| {
            f64::from(u32::BITS - (book.size - 1).leading_zeros()) / f64::from(book.stride)
        };
        self.books.iter().take(books).map(bits).sum::<f64>() * self.frame_rate()
    }

    /// The most books whose [`CodecSpec::bitrate`] is not above `bits_per_second`; one, if none is.
    pub fn books_within(&self, bits_per_second: f64) -> usize {
        let fits = |&books: &usize| self.bitrate(books) <= bits_per_second;
        (1..=self.books.len()).rev().find(fits).unwrap_or(1)
    }
}
