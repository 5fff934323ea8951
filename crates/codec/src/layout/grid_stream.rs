//! The stream of a grid: ids one by one, with what it takes to stay on the grid when some are wrong.

use std::{collections::VecDeque, sync::Arc};

use super::{LayoutError, StreamEnd, TokenEvent, TokenStream, grid::Grid};
use crate::codes::Codes;

/// Where a stream stands on its grid.
pub(crate) struct GridStream {
    grid: Arc<Grid>,
    row: u64,
    /// The slot whose turn it is.
    turn: usize,
    /// Ids are dropped until slot 0 comes.
    lost: bool,
    /// Ids dropped and codes made up since the break.
    dropped: u64,
    filled: u32,
    /// The code each slot held last.
    held_last: Vec<u16>,
    books: Vec<Book>,
    /// Super-frames of which every slot has come.
    complete: u64,
    /// The first super-frame that does not exist, once a mark has said so.
    end: Option<u64>,
    ended: bool,
    finished: bool,
}

/// The codes of one book: how many are out, and those that wait for one before them, which comes in a later row.
#[derive(Default)]
struct Book {
    out: u64,
    waiting: VecDeque<Option<u16>>,
}

impl GridStream {
    pub(crate) fn new(grid: Arc<Grid>) -> GridStream {
        GridStream {
            row: 0,
            turn: 0,
            lost: false,
            dropped: 0,
            filled: 0,
            held_last: vec![0; grid.slots.len()],
            books: grid.specs.iter().map(|_| Book::default()).collect(),
            complete: 0,
            end: None,
            ended: false,
            finished: false,
            grid,
        }
    }

    /// The super-frame that the slot whose turn it is belongs to, unless the cell holds no code.
    fn time(&self) -> Option<u64> {
        let delay = self.grid.slots[self.turn].delay as u64;
        let time = self.row.checked_sub(delay)?;
        (time < self.end.unwrap_or(u64::MAX)).then_some(time)
    }

    /// Passes the turn on.
    fn advance(&mut self) {
        self.turn += 1;
        if self.turn == self.grid.slots.len() {
            self.turn = 0;
            self.row += 1;
        }
    }

    /// Puts a code into the slot whose turn it is.
    fn place(&mut self, time: u64, code: u16, out: &mut Codes) -> Result<TokenEvent, LayoutError> {
        let slot = self.grid.slots[self.turn];
        self.held_last[self.turn] = code;
        let book = &mut self.books[slot.book];
        let ahead = (time * slot.per as u64 + slot.offset as u64 - book.out) as usize;
        if book.waiting.len() <= ahead {
            book.waiting.resize(ahead + 1, None);
        }
        book.waiting[ahead] = Some(code);
        while let Some(&Some(code)) = book.waiting.front() {
            out.push_token(slot.book, code)?;
            book.out += 1;
            book.waiting.pop_front();
        }
        if self.turn == self.grid.closing {
            self.complete += 1;
            return Ok(TokenEvent::Superframe);
        }
        Ok(match ahead {
            0 => TokenEvent::Token,
            _ => TokenEvent::Held,
        })
    }

    /// Fills the rest of the row that has begun, each slot with the code it held last.
    fn fill_row(&mut self, out: &mut Codes) -> Result<u32, LayoutError> {
        let mut filled = 0;
        while self.turn > 0 {
            if let Some(time) = self.time() {
                self.place(time, self.held_last[self.turn], out)?;
                filled += 1;
            }
            self.advance();
        }
        self.filled += filled;
        Ok(filled)
    }

    /// Whether the row that should begin lacks its first id alone.
    fn lacks_first(&self, slot: usize) -> bool {
        // Of two slots the second may as well be that of the row before, said twice.
        self.turn == 0 && slot == 1 && self.row > 0 && self.grid.slots.len() > 2
    }

    /// Fills the first slot of a row with the code it held last.
    fn fill_first(&mut self, out: &mut Codes) -> Result<(), LayoutError> {
        if let Some(time) = self.time() {
            self.place(time, self.held_last[self.turn], out)?;
            self.filled += 1;
        }
        self.advance();
        Ok(())
    }

    /// Takes what an id says in the slot whose turn it is.
    fn take(&mut self, value: u32, out: &mut Codes) -> Result<TokenEvent, LayoutError> {
        let spec = self.grid.specs[self.grid.slots[self.turn].book];
        let event = match self.time() {
            None => self.pad(),
            Some(time) if self.grid.is_mark(value) => {
                self.end = Some(time);
                self.pad()
            }
            Some(time) => match u16::try_from(value) {
                Ok(code) if value < spec.size => self.place(time, code, out)?,
                _ => {
                    self.place(time, self.held_last[self.turn], out)?;
                    TokenEvent::BadCode {
                        book: self.grid.slots[self.turn].book,
                        code: value,
                    }
                }
            },
        };
        self.advance();
        Ok(event)
    }

    /// A cell without a code; the last of them in a row past the end ends the stream.
    fn pad(&mut self) -> TokenEvent {
        let delay = self.grid.slots[self.turn].delay as u64;
        let past = self.end.is_some_and(|end| self.row >= end + delay);
        self.ended = past && self.turn == self.grid.closing;
        match self.ended {
            true => TokenEvent::End,
            false => TokenEvent::Pad,
        }
    }
}

impl TokenStream for GridStream {
    fn push(&mut self, id: u32, out: &mut Codes) -> Result<TokenEvent, LayoutError> {
        if self.finished {
            return Err(LayoutError::Finished);
        }
        out.check_same_books(&self.grid.specs)?;
        let Some((slot, value)) = self.grid.locate(id, self.turn) else {
            return Ok(TokenEvent::Special(id));
        };
        if self.ended {
            return Ok(TokenEvent::Pad);
        }
        if slot == self.turn && !self.lost {
            return self.take(value, out);
        }
        if !self.lost && slot == 0 && self.turn == 1 {
            // Said twice; another row would move all that follows.
            self.dropped += 1;
            return Ok(TokenEvent::Dropped { filled: 0 });
        }
        if !self.lost && self.lacks_first(slot) {
            self.fill_first(out)?;
            self.take(value, out)?;
            return Ok(TokenEvent::Resync {
                dropped: std::mem::take(&mut self.dropped),
                filled: std::mem::take(&mut self.filled),
            });
        }
        let filled = self.fill_row(out)?;
        self.lost = slot != 0;
        if self.lost {
            self.dropped += 1;
            return Ok(TokenEvent::Dropped { filled });
        }
        if let TokenEvent::BadCode { .. } = self.take(value, out)? {
            self.filled += 1;
        }
        Ok(TokenEvent::Resync {
            dropped: std::mem::take(&mut self.dropped),
            filled: std::mem::take(&mut self.filled),
        })
    }

    fn finish(&mut self, out: &mut Codes) -> Result<StreamEnd, LayoutError> {
        if self.finished {
            return Err(LayoutError::Finished);
        }
        out.check_same_books(&self.grid.specs)?;
        self.finished = true;
        let given: u64 = self.books.iter().map(|book| book.out).sum();
        let waiting = self
            .books
            .iter()
            .flat_map(|book| &book.waiting)
            .flatten()
            .count();
        Ok(StreamEnd {
            released: 0,
            open: given.saturating_sub(self.complete.saturating_mul(self.grid.slots.len() as u64)),
            dropped: self.dropped + waiting as u64,
        })
    }
}
