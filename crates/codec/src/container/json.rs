//! Codes as JSON.

mod books;
mod salvage;

use std::io::Read;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize};

pub use salvage::JsonSalvage;

use super::ContainerError;
use crate::{
    codes::{BookSpec, Codes, CodesError, Segment},
    layout::narrow,
};

/// The longest text that is read.
const MOST_BYTES: u64 = 256 << 20;

/// The JSON form of codes:
/// `{"codec":"snac","sample_rate":24000,"source_samples":2048,"books":[[1],[2,3],[4,5,6,7]]}`,
/// with `"segments":[{"frames":150,"scale":0.5}]` for a codec that scales. It does not say the sizes and strides of the
/// books; the model knows them.
///
/// A stream is several of them one after the other, a line each: every one has the next codes of each book, whole
/// super-frames and segments, and `"source_samples":null` but for the last, which has the length of the source; without it
/// a stream was cut. Read together they are one. Who does not know the length of codes that are whole leaves it out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Fields")]
pub struct JsonCodes {
    /// The codec: `snac`, `dac`, `encodec` or `mimi`.
    pub codec: String,
    /// Samples per second.
    pub sample_rate: u32,
    /// Samples per channel of the sound that was encoded, if known.
    pub source_samples: Option<u64>,
    /// The codes of each book, coarse to fine; 255 books at most.
    pub books: Vec<Vec<u32>>,
    /// The stretches that were scaled as one, for a codec that scales.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub segments: Vec<Segment>,
}

/// What the text of one object says.
#[derive(Deserialize)]
#[serde(rename = "JsonCodes")]
struct Fields {
    codec: String,
    sample_rate: u32,
    /// `Some(None)` is `null`.
    #[serde(default, deserialize_with = "said")]
    source_samples: Option<Option<u64>>,
    #[serde(deserialize_with = "books::read")]
    books: Vec<Vec<u32>>,
    #[serde(default)]
    segments: Vec<Segment>,
}

fn said<'de, D: Deserializer<'de>>(json: D) -> Result<Option<Option<u64>>, D::Error> {
    Option::deserialize(json).map(Some)
}

impl From<Fields> for JsonCodes {
    fn from(fields: Fields) -> JsonCodes {
        JsonCodes {
            codec: fields.codec,
            sample_rate: fields.sample_rate,
            source_samples: fields.source_samples.flatten(),
            books: fields.books,
            segments: fields.segments,
        }
    }
}

impl JsonCodes {
    /// The JSON form of `codes` of the codec named `codec`.
    pub fn new(codec: &str, sample_rate: u32, codes: &Codes) -> JsonCodes {
        let widen = |k| codes.book(k).iter().map(|&code| code.into()).collect();
        JsonCodes {
            codec: codec.to_owned(),
            sample_rate,
            source_samples: codes.source_samples(),
            books: (0..codes.books()).map(widen).collect(),
            segments: codes.segments().to_vec(),
        }
    }

    /// Reads JSON text: one object, which may be a line of a stream, or all those of a stream.
    pub fn parse(text: &[u8]) -> Result<JsonCodes, ContainerError> {
        let salvage = JsonSalvage::of(text)?;
        match salvage.fault {
            Some(ContainerError::JsonCut { objects: 1 }) => Ok(salvage.codes),
            _ => salvage.whole(),
        }
    }

    /// Reads JSON to its end, of at most 256 MiB: days of sound.
    ///
    /// # Errors
    /// Where not even the first object can be read.
    pub fn read(json: impl Read) -> Result<JsonSalvage, ContainerError> {
        let mut text = Vec::new();
        let read = json.take(MOST_BYTES + 1).read_to_end(&mut text);
        read.map_err(|source| ContainerError::Io { offset: 0, source })?;
        match text.len() as u64 > MOST_BYTES {
            true => Err(ContainerError::JsonTooLong { most: MOST_BYTES }),
            false => JsonSalvage::of(&text),
        }
    }

    /// Checks that `next`, object number `index` of a stream, goes on with what came before.
    fn check_next(&self, index: u64, next: &JsonCodes) -> Result<(), ContainerError> {
        let differs = |field| Err(ContainerError::JsonStream { index, field });
        if self.source_samples.is_some() {
            return Err(ContainerError::JsonEnded { index });
        }
        if next.codec != self.codec {
            return differs("codec");
        }
        if next.sample_rate != self.sample_rate {
            return differs("sample_rate");
        }
        match next.books.len() == self.books.len() {
            true => Ok(()),
            false => differs("number of books"),
        }
    }

    /// Appends the codes of `next`.
    fn join(&mut self, next: JsonCodes) {
        for (book, more) in self.books.iter_mut().zip(next.books) {
            book.extend(more);
        }
        self.segments.extend(next.segments);
        self.source_samples = next.source_samples;
    }

    /// JSON text, one line.
    pub fn text(&self) -> String {
        serde_json::to_string(self).expect("strings, numbers and lists of them have a JSON form")
    }

    /// The codes, of a codec with the books `specs`; fewer books are its first ones.
    pub fn into_codes(self, specs: &Arc<[BookSpec]>) -> Result<Codes, ContainerError> {
        let specs = first_books(specs, self.books.len())?;
        let narrowed = self.books.iter().zip(&*specs).enumerate();
        let books = narrowed.map(|(book, (codes, spec))| narrow(book, codes, spec.size));
        let mut codes = Codes::from_books(specs.clone(), books.collect::<Result<_, _>>()?)?;
        codes.set_segments(self.segments)?;
        codes.set_source_samples(self.source_samples);
        Ok(codes)
    }
}

/// The first `count` books of a codec.
fn first_books(specs: &Arc<[BookSpec]>, count: usize) -> Result<Arc<[BookSpec]>, CodesError> {
    match specs.get(..count) {
        Some(first) if first.len() < specs.len() => Ok(first.into()),
        Some(_) => Ok(specs.clone()),
        None => Err(CodesError::BookCount {
            expected: specs.len(),
            found: count,
        }),
    }
}
