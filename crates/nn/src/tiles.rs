//! Cutting rows into tiles that threads work on side by side.

use std::ops::Range;

use rayon::prelude::*;

use crate::Items;

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

/// Calls `work(first_row, tile)` for tiles of `x` `[rows, width]`, in parallel where there are several.
pub(crate) fn for_each_tile(x: &mut [f32], width: usize, work: impl Fn(usize, &mut [f32]) + Sync) {
    let rows = x.len() / width;
    let tile = tile_rows(rows);
    if tile >= rows {
        if rows > 0 {
            work(0, x);
        }
        return;
    }
    x.par_chunks_mut(tile * width)
        .enumerate()
        .for_each(|(i, chunk)| work(i * tile, chunk));
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
    if block >= rows {
        if rows > 0 {
            work(0, x);
        }
        return;
    }
    x.par_chunks_mut(block * width)
        .enumerate()
        .for_each(|(i, chunk)| work(i * block, chunk));
}

/// Calls `work(rows of the item, its stream, its part of x)` for every item of `x` `[items.total(), width]` that has rows,
/// items side by side.
pub(crate) fn for_each_item<S: Send>(
    items: &Items,
    streams: &mut [S],
    (x, width): (&mut [f32], usize),
    work: &(impl Fn(Range<usize>, &mut S, &mut [f32]) + Sync),
) {
    share_items(items, (0, streams), (x, width), work);
}

/// The items from `first` on, one for each of `streams`; `x` is theirs alone.
fn share_items<S: Send>(
    items: &Items,
    (first, streams): (usize, &mut [S]),
    (x, width): (&mut [f32], usize),
    work: &(impl Fn(Range<usize>, &mut S, &mut [f32]) + Sync),
) {
    match streams {
        [] => {}
        [stream] => {
            let rows = items.range(first);
            if !rows.is_empty() {
                work(rows, stream, x);
            }
        }
        _ => {
            let half = streams.len() / 2;
            let (before, after) = streams.split_at_mut(half);
            let middle = items.range(first + half).start - items.range(first).start;
            let (x_before, x_after) = x.split_at_mut(middle * width);
            rayon::join(
                || share_items(items, (first, before), (x_before, width), work),
                || share_items(items, (first + half, after), (x_after, width), work),
            );
        }
    }
}
