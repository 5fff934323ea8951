//! Cutting rows into tiles that threads work on side by side.

use rayon::prelude::*;

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
