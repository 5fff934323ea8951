//! The grid behind every layout that speaks time in order: rows of slots, one row per super-frame.
//!
//! Slot `c` of row `r` holds a code of super-frame `r - delay(c)`. Cells before the first super-frame hold padding, as
//! do those after the last, except that the first of them holds the end mark if the layout has one.

use std::sync::Arc;

use super::LayoutError;
use crate::codes::{BookSpec, Codes};

/// The most slots of a row, and the longest delay.
const MOST_SLOTS: u64 = 1 << 16;

/// What one slot of a row holds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slot {
    pub(crate) book: usize,
    /// Which of its book's codes in a super-frame.
    pub(crate) offset: usize,
    /// Codes of its book in a super-frame.
    pub(crate) per: usize,
    /// Rows it comes late.
    pub(crate) delay: usize,
}

/// How ids tell their slot: `base + slot * slot_stride + code`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ids {
    pub(crate) base: u32,
    pub(crate) slot_stride: u32,
}

/// Rows of slots.
#[derive(Debug)]
pub(crate) struct Grid {
    pub(crate) specs: Arc<[BookSpec]>,
    pub(crate) slots: Vec<Slot>,
    /// None if ids are codes, which do not tell their slot.
    ids: Option<Ids>,
    /// What stands in a cell without a code; needed if a slot is late.
    pad: Option<u32>,
    /// What stands in the first cell behind the last code.
    end: Option<u32>,
    /// The slot that completes a super-frame: the last of those with the longest delay.
    pub(crate) closing: usize,
}

impl Grid {
    /// A grid without delays: each super-frame depth first. Every stride must divide the one before.
    pub(crate) fn tree(specs: Arc<[BookSpec]>, ids: Option<Ids>) -> Result<Grid, LayoutError> {
        let align = BookSpec::check(&specs)?;
        let strides = || specs.iter().map(|spec| spec.stride);
        if strides()
            .zip(strides().skip(1))
            .any(|(coarse, fine)| coarse % fine != 0)
        {
            return Err(LayoutError::Strides {
                strides: strides().collect(),
                need: "the tree takes books from coarse to fine, each stride a divisor of the one before",
            });
        }
        let count: u64 = strides().map(|stride| u64::from(align / stride)).sum();
        if count > MOST_SLOTS {
            return Err(LayoutError::TooManySlots {
                slots: count,
                most: MOST_SLOTS,
            });
        }
        let slots = tree_slots(&specs, align);
        if let Some(ids) = ids {
            check_ids(&specs, slots.len(), ids)?;
        }
        Ok(Grid {
            closing: slots.len() - 1,
            specs,
            slots,
            ids,
            pad: None,
            end: None,
        })
    }

    /// Makes slot `i` late by `delays[i]` rows, with `pad` in the cells that are left and `end` behind the last codes.
    pub(crate) fn delayed(
        mut self,
        delays: &[usize],
        pad: u32,
        end: Option<u32>,
    ) -> Result<Grid, LayoutError> {
        if delays.len() != self.slots.len() {
            return Err(LayoutError::Delays {
                expected: self.slots.len(),
                found: delays.len(),
            });
        }
        if let Some(&delay) = delays.iter().find(|&&delay| delay as u64 > MOST_SLOTS) {
            return Err(LayoutError::DelayTooLong {
                delay,
                most: MOST_SLOTS as usize,
            });
        }
        for mark in [Some(pad), end].into_iter().flatten() {
            if let Some(book) = self.specs.iter().position(|spec| mark < spec.size) {
                return Err(LayoutError::PadIsACode { pad: mark, book });
            }
        }
        for (slot, &delay) in self.slots.iter_mut().zip(delays) {
            slot.delay = delay;
        }
        let longest = self.longest_delay();
        self.closing = delays
            .iter()
            .rposition(|&delay| delay == longest)
            .unwrap_or(0);
        (self.pad, self.end) = (Some(pad), end);
        Ok(self)
    }

    fn longest_delay(&self) -> usize {
        self.slots.iter().map(|slot| slot.delay).max().unwrap_or(0)
    }

    /// The slot an id belongs to and what it says there, for the slot whose turn it is; `None` if it is no audio.
    pub(crate) fn locate(&self, id: u32, turn: usize) -> Option<(usize, u32)> {
        let Some(ids) = self.ids else {
            return Some((turn, id));
        };
        let above = id.checked_sub(ids.base)?;
        let slot = (above / ids.slot_stride) as usize;
        (slot < self.slots.len()).then_some((slot, above % ids.slot_stride))
    }

    /// Whether `value` says that no code comes here.
    pub(crate) fn is_mark(&self, value: u32) -> bool {
        self.pad == Some(value) || self.end == Some(value)
    }

    fn id(&self, slot: usize, value: u32) -> u32 {
        match self.ids {
            Some(ids) => ids.base + slot as u32 * ids.slot_stride + value,
            None => value,
        }
    }

    /// Appends the ids of whole codes.
    pub(crate) fn pack(&self, codes: &Codes, out: &mut Vec<u32>) -> Result<(), LayoutError> {
        codes.check_same_books(&self.specs)?;
        codes.check_whole()?;
        let superframes = codes.superframes() as usize;
        if superframes == 0 {
            return Ok(());
        }
        let rows = superframes + self.longest_delay() + usize::from(self.end.is_some());
        for row in 0..rows {
            for (index, slot) in self.slots.iter().enumerate() {
                let value = match row.checked_sub(slot.delay) {
                    Some(time) if time < superframes => {
                        codes.book(slot.book)[time * slot.per + slot.offset].into()
                    }
                    Some(time) if time == superframes => self.end.or(self.pad).unwrap_or(0),
                    _ => self.pad.unwrap_or(0),
                };
                out.push(self.id(index, value));
            }
        }
        Ok(())
    }

    /// The codes behind exactly what [`pack`](Self::pack) writes. With end marks, the last row may lack: it holds no
    /// code, only the mark of the last slot.
    pub(crate) fn unpack(&self, ids: &[u32]) -> Result<Codes, LayoutError> {
        let width = self.slots.len();
        if ids.is_empty() {
            return Ok(Codes::new(self.specs.clone()));
        }
        if !ids.len().is_multiple_of(width) {
            return Err(LayoutError::Length {
                ids: ids.len(),
                multiple: width as u64,
            });
        }
        let superframes = self.superframes(ids)?;
        let mut books: Vec<Vec<u16>> = vec![Vec::new(); self.specs.len()];
        for slot in &self.slots {
            books[slot.book].resize(superframes * slot.per, 0);
        }
        for (index, &id) in ids.iter().enumerate() {
            let (row, turn) = (index / width, index % width);
            let value = self.value(index, id, turn)?;
            let slot = &self.slots[turn];
            let time = row.checked_sub(slot.delay);
            match time {
                Some(time) if time < superframes => {
                    let code = u16::try_from(value)
                        .ok()
                        .filter(|_| value < self.specs[slot.book].size);
                    let code = code.ok_or(LayoutError::NotACode {
                        index,
                        id,
                        slot: turn,
                    })?;
                    books[slot.book][time * slot.per + slot.offset] = code;
                }
                Some(time) if time == superframes && self.end.or(self.pad) == Some(value) => {}
                _ if time != Some(superframes) && self.pad == Some(value) => {}
                _ => return Err(LayoutError::NotPadding { index, id }),
            }
        }
        Ok(Codes::from_books(self.specs.clone(), books)?)
    }

    /// Super-frames behind whole rows.
    fn superframes(&self, ids: &[u32]) -> Result<usize, LayoutError> {
        let width = self.slots.len();
        let rows = ids.len() / width;
        let last = ids[ids.len() - width + self.closing];
        let ended = self
            .end
            .is_some_and(|end| last == self.id(self.closing, end));
        let delay = self.longest_delay();
        rows.checked_sub(delay + usize::from(ended))
            .ok_or(LayoutError::Short { rows, delay })
    }

    /// What `id` says in slot `turn`.
    fn value(&self, index: usize, id: u32, turn: usize) -> Result<u32, LayoutError> {
        match self.locate(id, turn) {
            Some((slot, value)) if slot == turn => Ok(value),
            Some((found, _)) => Err(LayoutError::Phase {
                index,
                id,
                expected: turn,
                found,
            }),
            None => Err(LayoutError::NotACode {
                index,
                id,
                slot: turn,
            }),
        }
    }
}

/// The slots of a super-frame of `align` latent frames: at each frame the codes that begin there, coarse to fine. Since
/// the strides divide one another that is depth first.
fn tree_slots(specs: &[BookSpec], align: u32) -> Vec<Slot> {
    let finest = specs.iter().map(|spec| spec.stride).min().unwrap_or(1);
    let mut slots = Vec::new();
    for frame in (0..align).step_by(finest as usize) {
        let begins = |(_, spec): &(usize, &BookSpec)| frame % spec.stride == 0;
        let codes = specs.iter().enumerate().filter(begins);
        slots.extend(codes.map(|(book, spec)| Slot {
            book,
            offset: (frame / spec.stride) as usize,
            per: (align / spec.stride) as usize,
            delay: 0,
        }));
    }
    slots
}

fn check_ids(specs: &[BookSpec], slots: usize, ids: Ids) -> Result<(), LayoutError> {
    let Ids { base, slot_stride } = ids;
    let size = specs.iter().map(|spec| spec.size).max().unwrap_or(0);
    if slot_stride < size {
        return Err(LayoutError::SlotStride { slot_stride, size });
    }
    if u64::from(base) + slots as u64 * u64::from(slot_stride) > 1 << 32 {
        return Err(LayoutError::IdRange {
            base,
            slots,
            slot_stride,
        });
    }
    Ok(())
}
