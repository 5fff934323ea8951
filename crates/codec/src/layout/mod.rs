//! The orders in which models speak codes: one list of ids in, the books out, and back.
//!
//! | layout | order of the ids |
//! |---|---|
//! | [`FlatByBook`] | all of book 0, all of book 1, ... |
//! | [`HfBkt`] | the same for books of equal length: `[1, books, frames]` |
//! | [`FrameMajor`] | `[frames, books]` |
//! | [`SnacTree`] | each super-frame depth first: 7 ids for strides `[4, 2, 1]` (Orpheus), 15 for `[8, 4, 2, 1]` |
//! | [`Delay`] | `[steps, books]`, book `k` late by `delays[k]` steps (MusicGen, Moshi) |
//! | [`MiniOmni`] | `[steps, 7]`, the slots of the tree, slot `i` late by `i + 1` steps |
//!
//! [`pack`](TokenLayout::pack) and [`unpack`](TokenLayout::unpack) take whole codes and refuse what does not fit. A
//! [`stream`](TokenLayout::stream) takes ids as a model speaks them, hands each code out at once (an *open* token) and
//! never stops for a bad id; it says what it saw:
//!
//! - Ids that are no audio are skipped ([`TokenEvent::Special`]).
//! - Where the slot follows from the id, a missing or surplus id shows. Of the super-frame (or row) it breaks, what was
//!   handed out stays; its other slots are *filled*, each with the code it held the time before (0 at first), so that
//!   books never run apart and nothing later moves off the grid. If nothing of it was handed out, it is dropped whole.
//!   Ids are dropped until the next slot 0, with which the stream goes on ([`TokenEvent::Resync`]).
//! - A code that its book does not have, in its turn, is replaced in the same way ([`TokenEvent::BadCode`]).

mod error;
mod flat;
mod grid;
mod grid_stream;
mod lengths;
mod rows;
#[cfg(test)]
mod tests;
mod tree;

use std::sync::Arc;

pub use error::LayoutError;
pub(crate) use flat::narrow;
pub use flat::{FlatByBook, HfBkt};
pub use lengths::{base_len_from_token_count, gcd, lcm_all, per_codebook_lens, total_tokens};
pub use rows::{Delay, FrameMajor};
pub use tree::{MiniOmni, SnacTree};

use crate::codes::{BookSpec, Codes};

/// An order of ids.
pub trait TokenLayout: Send + Sync {
    /// The books whose codes this layout carries.
    fn specs(&self) -> &Arc<[BookSpec]>;

    /// Appends the ids of `codes`, which must be whole and of the books of this layout.
    fn pack(&self, codes: &Codes, out: &mut Vec<u32>) -> Result<(), LayoutError>;

    /// The codes that `ids` stand for. Refuses ids that [`pack`](Self::pack) does not write.
    fn unpack(&self, ids: &[u32]) -> Result<Codes, LayoutError>;

    /// A stream of ids from its start.
    fn stream(&self) -> Box<dyn TokenStream>;
}

/// Ids, one by one, to codes.
pub trait TokenStream: Send {
    /// Takes one id and appends to `out`, codes of the books of the layout, whatever it gives. `out` may be cleared
    /// between calls. Fails only if `out` has other books or the stream has ended.
    fn push(&mut self, id: u32, out: &mut Codes) -> Result<TokenEvent, LayoutError>;

    /// Ends the stream: hands out what was held back and says what is left. A super-frame that has begun stays open;
    /// [`Codes::drop_open`] removes it. Fails only where order is known at the end alone ([`FlatByBook`]), if the ids
    /// do not fit.
    fn finish(&mut self, out: &mut Codes) -> Result<StreamEnd, LayoutError>;
}

/// What became of one id.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenEvent {
    /// A code, handed out.
    Token,
    /// A code, handed out, that completes a super-frame.
    Superframe,
    /// A code whose place is known only later; it comes out then.
    Held,
    /// An id that is no audio; skipped.
    Special(u32),
    /// Padding, or any id where the delays leave room for padding only.
    Pad,
    /// The last slot has ended too: no code comes any more.
    End,
    /// A code of the right slot that its book does not have; the code this slot held before stands in for it.
    BadCode {
        /// The book.
        book: usize,
        /// The code.
        code: u32,
    },
    /// A code of another slot than the one whose turn it was, dropped. The stream waits for the next slot 0.
    Dropped {
        /// Codes made up just now to complete what had begun.
        filled: u32,
    },
    /// Slot 0 of a new super-frame, handed out, after ids were lost.
    Resync {
        /// Ids dropped since the break.
        dropped: u64,
        /// Codes made up since the break to complete the super-frame that had begun.
        filled: u32,
    },
}

/// What a stream leaves at its end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StreamEnd {
    /// Codes handed out by the end itself.
    pub released: u64,
    /// Codes of the super-frame that had begun and is not complete; they are out, as open tokens.
    pub open: u64,
    /// Ids dropped since the last break, and codes that were held for one that never came.
    pub dropped: u64,
}

/// The stride that all books share, if they do.
fn equal_strides(specs: &[BookSpec]) -> Result<(), LayoutError> {
    BookSpec::check(specs)?;
    if specs.iter().all(|spec| spec.stride == specs[0].stride) {
        return Ok(());
    }
    Err(LayoutError::Strides {
        strides: specs.iter().map(|spec| spec.stride).collect(),
        need: "the layout takes books of one rate; use the flat layout or the tree",
    })
}
