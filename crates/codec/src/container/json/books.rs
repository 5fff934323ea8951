//! Lists of codes, no more of them than a codec has books.

use std::fmt;

use serde::de::{Deserializer, Error, SeqAccess, Visitor};

/// As many as a token file has room for.
const MOST: usize = 255;

/// Reads the codes of each book.
pub(super) fn read<'de, D: Deserializer<'de>>(json: D) -> Result<Vec<Vec<u32>>, D::Error> {
    json.deserialize_seq(Books)
}

struct Books;

impl<'de> Visitor<'de> for Books {
    type Value = Vec<Vec<u32>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a list of codes for each of at most {MOST} books")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut lists: A) -> Result<Self::Value, A::Error> {
        let mut books = Vec::new();
        while let Some(book) = lists.next_element()? {
            if books.len() == MOST {
                return Err(A::Error::invalid_length(MOST + 1, &self));
            }
            books.push(book);
        }
        Ok(books)
    }
}
