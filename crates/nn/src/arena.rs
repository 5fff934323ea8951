//! Buffers that are kept from one call to the next.
//!
//! Work that threads share is cut into *lanes*, always in the same way, and each lane has an arena of its own: whichever
//! thread takes a lane finds the buffers that this lane needed before. What is no part of a lane, on any thread, shares one
//! arena more.

use std::cell::RefCell;
use std::cmp::Reverse;
use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, MutexGuard, PoisonError};

use percept_kernels::{CACHE_LINE, QuantizedRows, first_line};

/// Buffers that an arena keeps, more than any layer holds at once; and lanes that are kept for each thread.
const KEPT: usize = 16;
/// Floats that are kept for each thread of the pool, 32 MiB: the buffers of half a minute of audio in one piece.
const KEPT_FLOATS: usize = 8 << 20;

thread_local! {
    /// The lane that this thread is in.
    static CURRENT: RefCell<Option<Lane>> = const { RefCell::new(None) };
}

static STORE: Mutex<Store> = Mutex::new(Store {
    shared: Arena::EMPTY,
    lanes: Vec::new(),
    floats: 0,
});

/// What no lane holds.
struct Store {
    /// Of the work that is not in lanes.
    shared: Arena,
    /// The one that was used last at the end.
    lanes: Vec<Lane>,
    /// Floats of all of them.
    floats: usize,
}

/// Which lane of which lane.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LanePath(u64);

struct Lane {
    path: LanePath,
    arena: Arena,
}

struct Arena {
    buffers: Vec<Vec<f32>>,
    quantized: Vec<QuantizedRows>,
}

impl LanePath {
    /// The lane that this thread is in.
    pub(crate) fn current() -> Self {
        CURRENT.with_borrow(|lane| lane.as_ref().map_or(LanePath::default(), |lane| lane.path))
    }

    /// Calls `work` in lane `n` of those of this path.
    pub(crate) fn enter<R>(self, n: usize, work: impl FnOnce() -> R) -> R {
        /// Leaves the lane for the one that the thread was in, if any.
        struct Leave(Option<Lane>);
        impl Drop for Leave {
            fn drop(&mut self) {
                if let Some(lane) = CURRENT.replace(self.0.take()) {
                    store().put(lane);
                }
            }
        }
        let lane = store().lane(LanePath(self.0 << 16 | (n as u64 + 1)));
        let _leave = Leave(CURRENT.replace(Some(lane)));
        work()
    }
}

fn store() -> MutexGuard<'static, Store> {
    STORE.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Store {
    fn lane(&mut self, path: LanePath) -> Lane {
        match self.lanes.iter().rposition(|lane| lane.path == path) {
            Some(at) => self.take_lane(at),
            None => Lane {
                path,
                arena: Arena::EMPTY,
            },
        }
    }

    fn take_lane(&mut self, at: usize) -> Lane {
        let lane = self.lanes.remove(at);
        self.floats -= lane.arena.floats();
        lane
    }

    fn put(&mut self, lane: Lane) {
        let floats = lane.arena.floats();
        if self.lanes.len() >= KEPT * rayon::current_num_threads() {
            self.take_lane(0);
        }
        if self.has_room(floats) {
            self.floats += floats;
            self.lanes.push(lane);
        }
    }

    /// Whether so many floats may be kept, at the cost of the lanes that were not used for longest.
    fn has_room(&mut self, floats: usize) -> bool {
        let limit = KEPT_FLOATS * rayon::current_num_threads();
        while self.floats + floats > limit && !self.lanes.is_empty() {
            self.take_lane(0);
        }
        self.floats + floats <= limit
    }
}

impl Arena {
    const EMPTY: Arena = Arena {
        buffers: Vec::new(),
        quantized: Vec::new(),
    };

    fn floats(&self) -> usize {
        self.buffers.iter().map(Vec::len).sum()
    }

    /// The buffer with the smallest key, or an empty one.
    fn take<K: Ord>(&mut self, key: impl Fn(&Vec<f32>) -> K) -> Vec<f32> {
        let best = (0..self.buffers.len()).min_by_key(|&i| key(&self.buffers[i]));
        best.map(|i| self.buffers.swap_remove(i))
            .unwrap_or_default()
    }
}

/// Takes a buffer from the arena of this thread's lane; see [`Arena::take`].
fn take<K: Ord>(key: impl Fn(&Vec<f32>) -> K) -> Vec<f32> {
    CURRENT.with_borrow_mut(|lane| match lane {
        Some(lane) => lane.arena.take(key),
        None => {
            let mut store = store();
            let buffer = store.shared.take(key);
            store.floats -= buffer.len();
            buffer
        }
    })
}

fn give_back(buffer: Vec<f32>) {
    CURRENT.with_borrow_mut(|lane| match lane {
        Some(Lane { arena, .. }) => {
            let fits = arena.floats() + buffer.len() <= KEPT_FLOATS;
            if fits && arena.buffers.len() < KEPT {
                arena.buffers.push(buffer);
            }
        }
        None => {
            let mut store = store();
            let fits = store.shared.buffers.len() < KEPT * rayon::current_num_threads();
            if fits && store.has_room(buffer.len()) {
                store.floats += buffer.len();
                store.shared.buffers.push(buffer);
            }
        }
    });
}

/// `len` floats that hold anything; given back to the arena when dropped.
pub(crate) fn buffer(len: usize) -> Buffer {
    // The smallest that is large enough, or else the largest, which grows.
    let mut values = take(|v| {
        (
            v.len() < len + CACHE_LINE,
            v.len().abs_diff(len + CACHE_LINE),
        )
    });
    if values.len() < len + CACHE_LINE {
        // Not `resize`, which would copy what is there.
        values = vec![0.0; len + CACHE_LINE];
    }
    Buffer {
        first: first_line(&values),
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
        give_back(std::mem::take(&mut self.values));
    }
}

/// Calls `work` with a row buffer of the arena. Calls may be nested.
pub(crate) fn with_quantized<R>(work: impl FnOnce(&mut QuantizedRows) -> R) -> R {
    let rows = CURRENT.with_borrow_mut(|lane| match lane {
        Some(lane) => lane.arena.quantized.pop(),
        None => store().shared.quantized.pop(),
    });
    let mut rows = rows.unwrap_or_default();
    let result = work(&mut rows);
    CURRENT.with_borrow_mut(|lane| match lane {
        Some(lane) => lane.arena.quantized.push(rows),
        None => {
            let kept = &mut store().shared.quantized;
            if kept.len() < KEPT {
                kept.push(rows);
            }
        }
    });
    result
}

/// Calls `work` with scratch memory of the arena, which it may let grow. Calls may be nested.
pub(crate) fn with_scratch<R>(work: impl FnOnce(&mut Vec<f32>) -> R) -> R {
    let mut scratch = Buffer {
        values: take(|v| Reverse(v.len())),
        first: 0,
        len: 0,
    };
    work(&mut scratch.values)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A path that no other test and no layer has.
    const PATH: LanePath = LanePath(0xffff);

    #[test]
    fn a_buffer_comes_back_and_the_best_fit_is_taken() {
        PATH.enter(0, || {
            let (small, large) = (buffer(10), buffer(1000));
            let (at_small, at_large) = (small.as_ptr(), large.as_ptr());
            drop((small, large));
            let again = buffer(8);
            assert_eq!((again.as_ptr(), again.len()), (at_small, 8));
            assert_eq!(buffer(11).as_ptr(), at_large);
        });
    }

    #[test]
    fn a_lane_finds_its_buffers_on_every_thread() {
        let at = || PATH.enter(1, || buffer(10).as_ptr() as usize);
        let first = at();
        PATH.enter(2, || {
            assert_ne!(buffer(10).as_ptr() as usize, first);
            let nested = LanePath::current();
            assert_ne!(nested.enter(1, || buffer(10).as_ptr() as usize), first);
            assert_eq!(LanePath::current(), nested);
        });
        let elsewhere = std::thread::spawn(at).join().expect("no panic");
        assert_eq!(elsewhere, first);
    }
}
