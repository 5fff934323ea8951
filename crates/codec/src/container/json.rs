//! Codes as JSON.

use std::io::Read;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JsonCodes {
    /// The codec: `snac`, `dac`, `encodec` or `mimi`.
    pub codec: String,
    /// Samples per second.
    pub sample_rate: u32,
    /// Samples per channel of the sound that was encoded, if known.
    #[serde(default)]
    pub source_samples: Option<u64>,
    /// The codes of each book, coarse to fine.
    pub books: Vec<Vec<u32>>,
    /// The stretches that were scaled as one, for a codec that scales.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub segments: Vec<Segment>,
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

    /// Reads JSON text.
    pub fn parse(text: &[u8]) -> Result<JsonCodes, ContainerError> {
        serde_json::from_slice(text).map_err(|source| ContainerError::Json { source })
    }

    /// Reads JSON to its end, of at most 256 MiB: days of sound.
    pub fn read(json: impl Read) -> Result<JsonCodes, ContainerError> {
        let mut text = Vec::new();
        let read = json.take(MOST_BYTES + 1).read_to_end(&mut text);
        read.map_err(|source| ContainerError::Io { offset: 0, source })?;
        match text.len() as u64 > MOST_BYTES {
            true => Err(ContainerError::JsonTooLong { most: MOST_BYTES }),
            false => JsonCodes::parse(&text),
        }
    }

    /// JSON text, one line.
    pub fn text(&self) -> String {
        serde_json::to_string(self).expect("strings, numbers and lists of them have a JSON form")
    }

    /// The codes, of a codec with the books `specs`; fewer books are its first ones.
    pub fn into_codes(self, specs: &Arc<[BookSpec]>) -> Result<Codes, ContainerError> {
        let specs = match specs.get(..self.books.len()) {
            Some(first) if first.len() < specs.len() => first.into(),
            Some(_) => specs.clone(),
            None => {
                return Err(ContainerError::Codes(CodesError::BookCount {
                    expected: specs.len(),
                    found: self.books.len(),
                }));
            }
        };
        let narrowed = self.books.iter().zip(&*specs).enumerate();
        let books = narrowed.map(|(book, (codes, spec))| narrow(book, codes, spec.size));
        let mut codes = Codes::from_books(specs.clone(), books.collect::<Result<_, _>>()?)?;
        codes.set_segments(self.segments)?;
        codes.set_source_samples(self.source_samples);
        Ok(codes)
    }
}
