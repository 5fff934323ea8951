//! Cutting rows into tiles, and work into lanes that threads take side by side.

use std::ops::Range;

use crate::Items;
use crate::arena::LanePath;

/// Rows below which a tile does not pay for the weights it streams.
const MIN_ROWS: usize = 32;
/// Rows above which a tile's activations leave the second-level cache.
const MAX_ROWS: usize = 48;

/// Rows of one tile out of `rows`. With few rows there is one tile, and the matrix kernels share out columns instead;
/// otherwise there are as many tiles for each thread.
fn tile_rows(rows: usize) -> usize {
    let threads = rayon::current_num_threads();
    if threads > 1 && rows < MIN_ROWS * threads {
        return rows.max(1);
    }
    let tiles = rows.div_ceil(MAX_ROWS).max(1).next_multiple_of(threads);
    rows.div_ceil(tiles).max(1)
}

/// Lanes for `tasks` where threads already share `lanes` of them: as many as there are threads. With `spare` some more, so
/// that a thread that is done early finds something to do.
pub(crate) fn lanes(tasks: usize, lanes: usize, spare: Spare) -> usize {
    let threads = rayon::current_num_threads();
    let wanted = match (threads, spare) {
        (1, _) => 1,
        (_, Spare::None) => threads.div_ceil(lanes),
        (_, Spare::Double) => (2 * threads).div_ceil(lanes),
    };
    wanted.min(tasks)
}

/// Whether work is cut into more lanes than there are threads.
#[derive(Clone, Copy)]
pub(crate) enum Spare {
    /// The work of a lane can itself be shared.
    None,
    /// It cannot.
    Double,
}

/// Shares out tasks among `lanes`, each lane those that follow each other: `work(tasks, parts)` for each, which must not
/// depend on the lane. `split(parts, tasks, n)` cuts the parts of `tasks` behind the first `n`.
///
/// One lane is the one that the caller is in.
pub(crate) fn share<P: Send>(
    (tasks, parts): (usize, P),
    lanes: usize,
    split: &(impl Fn(P, Range<usize>, usize) -> (P, P) + Sync),
    work: &(impl Fn(Range<usize>, P) + Sync),
) {
    match (tasks, lanes) {
        (0, _) => {}
        (_, 0 | 1) => work(0..tasks, parts),
        _ => {
            let shared = Shared {
                path: LanePath::current(),
                tasks,
                lanes,
                split,
                work,
            };
            shared.run(0..lanes, parts);
        }
    }
}

struct Shared<'a, S, W> {
    path: LanePath,
    tasks: usize,
    lanes: usize,
    split: &'a S,
    work: &'a W,
}

impl<S, W> Shared<'_, S, W> {
    fn run<P: Send>(&self, lanes: Range<usize>, parts: P)
    where
        S: Fn(P, Range<usize>, usize) -> (P, P) + Sync,
        W: Fn(Range<usize>, P) + Sync,
    {
        let first = |lane: usize| self.tasks * lane / self.lanes;
        let tasks = first(lanes.start)..first(lanes.end);
        if lanes.len() == 1 {
            return self.path.enter(lanes.start, || (self.work)(tasks, parts));
        }
        let middle = lanes.start + lanes.len().div_ceil(2);
        let count = first(middle) - tasks.start;
        let (before, after) = (self.split)(parts, tasks, count);
        rayon::join(
            || self.run(lanes.start..middle, before),
            || self.run(middle..lanes.end, after),
        );
    }
}

/// Calls `work(n, chunk)` for chunk `n` of `x`, of `len` values but for the last, in `lanes`.
pub(crate) fn for_each_chunk<T: Send>(
    x: &mut [T],
    len: usize,
    lanes: usize,
    work: impl Fn(usize, &mut [T]) + Sync,
) {
    share(
        (x.len().div_ceil(len), x),
        lanes,
        &|x, _, n| x.split_at_mut(n * len),
        &|tasks, x| {
            for (n, chunk) in tasks.zip(x.chunks_mut(len)) {
                work(n, chunk);
            }
        },
    );
}

/// Calls `work(first_row, tile)` for tiles of `x` `[rows, width]`, in parallel where there are several.
pub(crate) fn for_each_tile(x: &mut [f32], width: usize, work: impl Fn(usize, &mut [f32]) + Sync) {
    let rows = x.len() / width;
    let tile = tile_rows(rows);
    let lanes = lanes(rows.div_ceil(tile), 1, Spare::None);
    for_each_chunk(x, tile * width, lanes, |n, chunk| work(n * tile, chunk));
}

/// Floats of a block: with what is read for it, it stays in the second-level cache.
const BLOCK_FLOATS: usize = 32 << 10;
/// Rows below which a block does not pay for a hand-over to another thread.
const MIN_BLOCK_ROWS: usize = 16;

/// Calls `work(first_row, block)` for blocks of `x` `[rows, width]`, in parallel where there are several; for layers with
/// small weights and many rows.
pub(crate) fn for_each_block(x: &mut [f32], width: usize, work: impl Fn(usize, &mut [f32]) + Sync) {
    let rows = x.len() / width.max(1);
    let share = rows.div_ceil(rayon::current_num_threads());
    let block = (BLOCK_FLOATS / width.max(1)).min(share).max(MIN_BLOCK_ROWS);
    let lanes = lanes(rows.div_ceil(block), 1, Spare::Double);
    for_each_chunk(x, (block * width).max(1), lanes, |n, chunk| {
        work(n * block, chunk);
    });
}

/// Calls `work(rows of the item, its stream, its part of x)` for every item of `x` `[items.total(), width]` that has rows,
/// items side by side in `lanes`.
pub(crate) fn for_each_item<S: Send>(
    items: &Items,
    streams: &mut [S],
    (x, width): (&mut [f32], usize),
    lanes: usize,
    work: &(impl Fn(Range<usize>, &mut S, &mut [f32]) + Sync),
) {
    share(
        (items.count(), (streams, x)),
        lanes,
        &|(streams, x), tasks, n| {
            let middle = items.range(tasks.start + n).start - items.range(tasks.start).start;
            let (before, after) = streams.split_at_mut(n);
            let (x_before, x_after) = x.split_at_mut(middle * width);
            ((before, x_before), (after, x_after))
        },
        &|tasks, (streams, mut x)| {
            for (n, stream) in tasks.zip(streams) {
                let rows = items.range(n);
                let (now, later) = x.split_at_mut(rows.len() * width);
                if !rows.is_empty() {
                    work(rows, stream, now);
                }
                x = later;
            }
        },
    );
}
