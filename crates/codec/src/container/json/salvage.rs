//! JSON up to its damage.

use std::sync::Arc;

use super::{ContainerError, JsonCodes, first_books};
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
}

/// What one object of a stream has.
#[derive(Debug)]
struct Object {
    /// Codes of each book.
    codes: Box<[usize]>,
    segments: usize,
}

impl Object {
    fn of(json: &JsonCodes) -> Object {
        Object {
            codes: json.books.iter().map(Vec::len).collect(),
            segments: json.segments.len(),
        }
    }
}

impl JsonSalvage {
    /// Reads objects up to the first that is none, or does not go on with those before it.
    pub(super) fn of(text: &[u8]) -> Result<JsonSalvage, ContainerError> {
        let mut objects = serde_json::Deserializer::from_slice(text).into_iter();
        let first = objects.next().unwrap_or_else(|| serde_json::from_str(""));
        let codes: JsonCodes = first.map_err(|source| ContainerError::Json { source })?;
        if codes.books.is_empty() {
            return Err(CodesError::NoBooks.into());
        }
        let mut salvage = JsonSalvage {
            objects: vec![Object::of(&codes)],
            codes,
            fault: None,
        };
        for (index, object) in (1..).zip(objects) {
            let object = object.map_err(|source| ContainerError::JsonDamaged { index, source });
            if let Err(fault) = object.and_then(|object| salvage.join(index, object)) {
                salvage.fault = Some(fault);
                return Ok(salvage);
            }
        }
        let objects = salvage.objects.len() as u64;
        if objects > 1 && salvage.codes.source_samples.is_none() {
            salvage.fault = Some(ContainerError::JsonCut { objects });
        }
        Ok(salvage)
    }

    fn join(&mut self, index: u64, next: JsonCodes) -> Result<(), ContainerError> {
        let object = Object::of(&next);
        self.codes.join(index, next)?;
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
        let specs = first_books(specs, self.codes.books.len())?;
        let mut codes = Codes::new(specs);
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
        let fault = self.fault;
        Ok(Salvage { codes, fault })
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
