//! One book after the other.

use std::sync::Arc;

use super::{
    LayoutError, StreamEnd, TokenEvent, TokenLayout, TokenStream, base_len_from_token_count,
    equal_strides, per_codebook_lens,
};
use crate::codes::{BookSpec, Codes, CodesError};

/// All of book 0, then all of book 1, and so on; ids are codes. Books of stride `s` have `frames / s` of them.
///
/// Where book 0 ends follows from the number of ids alone, so a stream holds them back until its end.
#[derive(Clone, Debug)]
pub struct FlatByBook {
    specs: Arc<[BookSpec]>,
    strides: Vec<u32>,
    /// Ids per super-frame.
    step: u64,
}

impl FlatByBook {
    /// The flat order of these books.
    pub fn new(specs: Arc<[BookSpec]>) -> Result<FlatByBook, LayoutError> {
        let align = u64::from(BookSpec::check(&specs)?);
        let strides: Vec<u32> = specs.iter().map(|spec| spec.stride).collect();
        Ok(FlatByBook {
            step: super::total_tokens(&strides, align),
            specs,
            strides,
        })
    }
}

impl TokenLayout for FlatByBook {
    fn specs(&self) -> &Arc<[BookSpec]> {
        &self.specs
    }

    fn pack(&self, codes: &Codes, out: &mut Vec<u32>) -> Result<(), LayoutError> {
        codes.check_same_books(&self.specs)?;
        codes.check_whole()?;
        out.extend(
            (0..codes.books())
                .flat_map(|k| codes.book(k))
                .map(|&code| u32::from(code)),
        );
        Ok(())
    }

    fn unpack(&self, ids: &[u32]) -> Result<Codes, LayoutError> {
        if ids.is_empty() {
            return Ok(Codes::new(self.specs.clone()));
        }
        let Some(frames) = base_len_from_token_count(&self.strides, ids.len() as u64) else {
            return Err(LayoutError::Length {
                ids: ids.len(),
                multiple: self.step,
            });
        };
        let mut rest = ids;
        let mut books = Vec::with_capacity(self.specs.len());
        for (book, len) in per_codebook_lens(&self.strides, frames)
            .into_iter()
            .enumerate()
        {
            let (own, after) = rest.split_at(len as usize);
            books.push(narrow(book, own, self.specs[book].size)?);
            rest = after;
        }
        Ok(Codes::from_books(self.specs.clone(), books)?)
    }

    fn stream(&self) -> Box<dyn TokenStream> {
        Box::new(FlatStream {
            layout: self.clone(),
            ids: Some(Vec::new()),
        })
    }
}

/// `ids` in 16 bits, for a book of `size` entries. [`Codes::from_books`] refuses those of the book's size or more.
pub(crate) fn narrow(book: usize, ids: &[u32], size: u32) -> Result<Vec<u16>, CodesError> {
    let code = |(index, &token): (usize, &u32)| {
        u16::try_from(token).map_err(|_| CodesError::TokenOutOfRange {
            book,
            index: index as u64,
            token,
            size,
        })
    };
    ids.iter().enumerate().map(code).collect()
}

/// Holds every id until the end.
struct FlatStream {
    layout: FlatByBook,
    ids: Option<Vec<u32>>,
}

impl TokenStream for FlatStream {
    fn push(&mut self, id: u32, out: &mut Codes) -> Result<TokenEvent, LayoutError> {
        out.check_same_books(&self.layout.specs)?;
        self.ids.as_mut().ok_or(LayoutError::Finished)?.push(id);
        Ok(TokenEvent::Held)
    }

    fn finish(&mut self, out: &mut Codes) -> Result<StreamEnd, LayoutError> {
        out.check_same_books(&self.layout.specs)?;
        let ids = self.ids.take().ok_or(LayoutError::Finished)?;
        out.extend(&self.layout.unpack(&ids)?)?;
        Ok(StreamEnd {
            released: ids.len() as u64,
            ..StreamEnd::default()
        })
    }
}

/// `[1, books, frames]` in C order, as `transformers` keeps the codes of one sound: books of equal length, one after
/// the other; ids are codes.
#[derive(Clone, Debug)]
pub struct HfBkt(FlatByBook);

impl HfBkt {
    /// The order of these books, which must have one rate.
    pub fn new(specs: Arc<[BookSpec]>) -> Result<HfBkt, LayoutError> {
        equal_strides(&specs)?;
        Ok(HfBkt(FlatByBook::new(specs)?))
    }
}

impl TokenLayout for HfBkt {
    fn specs(&self) -> &Arc<[BookSpec]> {
        self.0.specs()
    }

    fn pack(&self, codes: &Codes, out: &mut Vec<u32>) -> Result<(), LayoutError> {
        self.0.pack(codes, out)
    }

    fn unpack(&self, ids: &[u32]) -> Result<Codes, LayoutError> {
        self.0.unpack(ids)
    }

    fn stream(&self) -> Box<dyn TokenStream> {
        self.0.stream()
    }
}
