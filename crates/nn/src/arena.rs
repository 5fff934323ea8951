//! Buffers that every thread keeps from one call to the next.

use std::cell::RefCell;
use std::ops::{Deref, DerefMut};

use percept_kernels::QuantizedRows;

/// Buffers that a thread keeps; more than any layer holds at once.
const KEPT: usize = 16;
/// Floats that a thread keeps, 32 MiB: the buffers of half a minute of audio in one piece.
const KEPT_FLOATS: usize = 8 << 20;
/// Floats of a cache line.
const LINE: usize = 16;

thread_local! {
    static BUFFERS: RefCell<Vec<Vec<f32>>> = const { RefCell::new(Vec::new()) };
    static QUANTIZED: RefCell<Vec<QuantizedRows>> = const { RefCell::new(Vec::new()) };
}

/// `len` floats that hold anything; given back to the thread when dropped.
pub(crate) fn buffer(len: usize) -> Buffer {
    let values = BUFFERS.with_borrow_mut(|kept| {
        // The smallest that is large enough, or else the largest, which grows.
        let fits = |v: &Vec<f32>| (v.len() < len + LINE, v.len().abs_diff(len + LINE));
        let best = (0..kept.len()).min_by_key(|&i| fits(&kept[i]));
        best.map(|i| kept.swap_remove(i))
    });
    let mut values = values.unwrap_or_default();
    if values.len() < len + LINE {
        // Not `resize`, which would copy what is there.
        values = vec![0.0; len + LINE];
    }
    let offset = values.as_ptr().align_offset(size_of::<f32>() * LINE);
    Buffer {
        first: if offset < LINE { offset } else { 0 },
        values,
        len,
    }
}

/// Floats from [`buffer`].
pub(crate) struct Buffer {
    values: Vec<f32>,
    /// Where a cache line begins.
    first: usize,
    len: usize,
}

impl Deref for Buffer {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        &self.values[self.first..self.first + self.len]
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.values[self.first..self.first + self.len]
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let values = std::mem::take(&mut self.values);
        // A thread that is ending has no arena any more.
        let _ = BUFFERS.try_with(|kept| {
            let mut kept = kept.borrow_mut();
            let floats: usize = kept.iter().map(Vec::len).sum();
            if kept.len() < KEPT && floats + values.len() <= KEPT_FLOATS {
                kept.push(values);
            }
        });
    }
}

/// Calls `work` with a row buffer of this thread. Calls may be nested.
pub(crate) fn with_quantized<R>(work: impl FnOnce(&mut QuantizedRows) -> R) -> R {
    let mut rows = QUANTIZED.with_borrow_mut(Vec::pop).unwrap_or_default();
    let result = work(&mut rows);
    QUANTIZED.with_borrow_mut(|kept| {
        if kept.len() < KEPT {
            kept.push(rows);
        }
    });
    result
}

/// Calls `work` with scratch memory of this thread, which it may let grow. Calls may be nested.
pub(crate) fn with_scratch<R>(work: impl FnOnce(&mut Vec<f32>) -> R) -> R {
    let largest = BUFFERS.with_borrow_mut(|kept| {
        let largest = (0..kept.len()).max_by_key(|&i| kept[i].len());
        largest.map(|i| kept.swap_remove(i))
    });
    let mut scratch = Buffer {
        values: largest.unwrap_or_default(),
        first: 0,
        len: 0,
    };
    work(&mut scratch.values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_comes_back_and_the_best_fit_is_taken() {
        std::thread::spawn(|| {
            let (small, large) = (buffer(10), buffer(1000));
            let (at_small, at_large) = (small.as_ptr(), large.as_ptr());
            drop((small, large));
            let again = buffer(8);
            assert_eq!((again.as_ptr(), again.len()), (at_small, 8));
            assert_eq!(buffer(11).as_ptr(), at_large);
        })
        .join()
        .expect("no panic");
    }
}
