//! JSON up to its damage.

use std::sync::Arc;

use serde::{Deserialize, Deserializer};

use super::{ContainerError, Fields, JsonCodes, first_books};
use crate::{
    codes::{BookSpec, Codes, CodesError, Segment},
    container::Salvage,
    layout::narrow,
};

/// What could be read of JSON, and what stopped it.
#[derive(Debug)]
pub struct JsonSalvage {
    /// The codes of every object before the damage.
    pub codes: JsonCodes,
    /// The damage; `None` if the text is whole.
    pub fault: Option<ContainerError>,
    objects: Vec<Object>,
    /// The first of them that is not empty.
    first: Option<Object>,
    /// The object behind them, if its books do not go together.
    ragged: Option<JsonCodes>,
}

/// What one object of a stream has.
#[derive(Clone, Debug)]
struct Object {
    /// Codes of each book.
    codes: Box<[usize]>,
    segments: usize,
    /// Latent frames of the segments.
    segment_frames: u64,
}

impl Object {
    fn of(json: &JsonCodes) -> Object {
        let frames = json.segments.iter().map(|s| u64::from(s.frames));
        Object {
            codes: json.books.iter().map(Vec::len).collect(),
            segments: json.segments.len(),
            segment_frames: frames.sum(),
        }
    }

    fn is_empty(&self) -> bool {
        self.segments == 0 && self.codes.iter().all(|&count| count == 0)
    }

    /// Checks that object number `index` has books as long to each other as those of `first`, and segments as long to them:
    /// whatever the strides are, those of both objects are whole then, or of neither.
    fn check_as(&self, first: &Object, index: u64) -> Result<(), ContainerError> {
        let (all, own) = (first.codes[0] as u128, self.codes[0] as u128);
        let should = |of_first: u128| (of_first * own).checked_div(all).unwrap_or(0) as u64;
        let is_off = |of_first: u128, found: u128| of_first * own != found * all;
        let books = first.codes.iter().zip(&self.codes).enumerate();
        for (book, (&of_first, &found)) in books {
            if is_off(of_first as u128, found as u128) {
                return Err(ContainerError::JsonRagged {
                    index,
                    book,
                    expected: should(of_first as u128),
                    found: found as u64,
                });
            }
        }
        let (of_first, found) = (first.segment_frames, self.segment_frames);
        match is_off(of_first.into(), found.into()) {
            false => Ok(()),
            true => Err(ContainerError::JsonCodes {
                index,
                source: CodesError::Segments {
                    expected: should(of_first.into()),
                    found,
                },
            }),
        }
    }
}

/// One object as it stands in the text.
struct Line {
    codes: JsonCodes,
    /// Whether it says that it does not know how long the recording is, other than one that says nothing.
    goes_on: bool,
}

impl<'de> Deserialize<'de> for Line {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Line, D::Error> {
        let fields = Fields::deserialize(json)?;
        Ok(Line {
            goes_on: fields.source_samples == Some(None),
            codes: fields.into(),
        })
    }
}

impl JsonSalvage {
    /// Reads objects up to the first that is none, or does not go on with those before it.
    pub(super) fn of(text: &[u8]) -> Result<JsonSalvage, ContainerError> {
        let mut objects = serde_json::Deserializer::from_slice(text).into_iter();
        let first = objects.next().unwrap_or_else(|| serde_json::from_str(""));
        let Line { codes, goes_on } = first.map_err(|source| ContainerError::Json { source })?;
        if codes.books.is_empty() {
            return Err(CodesError::NoBooks.into());
        }
        let first = Object::of(&codes);
        let mut salvage = JsonSalvage {
            first: Some(first.clone()).filter(|first| !first.is_empty()),
            objects: vec![first],
            codes,
            fault: None,
            ragged: None,
        };
        for (index, object) in (1..).zip(objects) {
            let object = object.map_err(|source| ContainerError::JsonDamaged { index, source });
            if let Err(fault) = object.and_then(|object| salvage.join(index, object.codes)) {
                salvage.fault = Some(fault);
                return Ok(salvage);
            }
        }
        let objects = salvage.objects.len() as u64;
        if (objects > 1 || goes_on) && salvage.codes.source_samples.is_none() {
            salvage.fault = Some(ContainerError::JsonCut { objects });
        }
        Ok(salvage)
    }

    fn join(&mut self, index: u64, next: JsonCodes) -> Result<(), ContainerError> {
        self.codes.check_next(index, &next)?;
        let object = Object::of(&next);
        match &self.first {
            _ if object.is_empty() => {}
            Some(first) => {
                if let Err(fault) = object.check_as(first, index) {
                    self.ragged = Some(next);
                    return Err(fault);
                }
            }
            None => self.first = Some(object.clone()),
        }
        self.codes.join(next);
        self.objects.push(object);
        Ok(())
    }

    /// The codes if the text is whole, else what is wrong with it.
    pub fn whole(self) -> Result<JsonCodes, ContainerError> {
        match self.fault {
            None => Ok(self.codes),
            Some(fault) => Err(fault),
        }
    }

    /// The codes, of a codec with the books `specs`, up to the first object that has none of such a codec; fewer books are
    /// its first ones.
    ///
    /// # Errors
    /// Where not even those of the first object can be.
    pub fn into_codes(self, specs: &Arc<[BookSpec]>) -> Result<Salvage, ContainerError> {
        let Salvage { codes, fault } = self.to_codes(specs)?;
        Ok(Salvage {
            codes,
            fault: fault.or(self.fault),
        })
    }

    /// The same codes, and what is wrong with these alone: not what stopped the reading.
    ///
    /// # Errors
    /// As [`into_codes`](Self::into_codes).
    pub fn to_codes(&self, specs: &Arc<[BookSpec]>) -> Result<Salvage, ContainerError> {
        let mut codes = Codes::new(first_books(specs, self.codes.books.len())?);
        let mut rest = Rest {
            books: self.codes.books.iter().map(Vec::as_slice).collect(),
            segments: &self.codes.segments,
        };
        for (index, object) in (0..).zip(&self.objects) {
            let piece = rest.take(object, &codes);
            let joined = piece.and_then(|piece| codes.extend(&piece));
            match joined {
                Ok(()) => {}
                Err(source) if index == 0 => return Err(source.into()),
                Err(source) => {
                    let fault = Some(ContainerError::JsonCodes { index, source });
                    return Ok(Salvage { codes, fault });
                }
            }
        }
        codes.set_source_samples(self.codes.source_samples);
        Ok(Salvage {
            codes,
            fault: self.ragged_codes(specs),
        })
    }

    /// What is wrong with the codes of an object whose books do not go together, where the codec knows more of it.
    fn ragged_codes(&self, specs: &Arc<[BookSpec]>) -> Option<ContainerError> {
        let codes = self.ragged.clone()?.into_codes(specs);
        let index = self.objects.len() as u64;
        match codes {
            Err(ContainerError::Codes(source)) => Some(ContainerError::JsonCodes { index, source }),
            _ => None,
        }
    }
}

/// What later objects have.
struct Rest<'a> {
    books: Vec<&'a [u32]>,
    segments: &'a [Segment],
}

impl Rest<'_> {
    /// The codes of the next object, of the books that `codes` are of.
    fn take(&mut self, object: &Object, codes: &Codes) -> Result<Codes, CodesError> {
        let mut books = Vec::with_capacity(self.books.len());
        for (book, rest) in self.books.iter_mut().enumerate() {
            let count = object.codes.get(book).map_or(0, |&n| n.min(rest.len()));
            let (own, after) = rest.split_at(count);
            *rest = after;
            books.push(narrow(book, own, codes.specs()[book].size)?);
        }
        let count = object.segments.min(self.segments.len());
        let (own, after) = self.segments.split_at(count);
        self.segments = after;
        let mut piece = Codes::from_books(codes.specs().clone(), books)?;
        piece.set_segments(own.to_vec())?;
        Ok(piece)
    }
}
