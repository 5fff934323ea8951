//! Matrix products in 8-bit integers: weights with one scale per output, activations with a scale and a zero point per
//! row.
//!
//! A weight is `scale · w` with `w` in -127..=127; an activation is `scale · (q - zero)` with `q` in 0..=255. The sums
//! of their products are exact in 32 bits, so every instruction set gives the same bits, whatever the number of rows
//! or threads. Rounding happens when activations are quantised, and once more when a sum becomes an `f32`.

mod matrix;
mod micro;
mod quantize;

pub use matrix::{Int8Matrix, MAX_INPUTS, SharedBytes};
pub use micro::DotKernel;
pub use quantize::{Prologue, QuantizedRows};

use std::ops::Range;

use micro::{Block, MAX_ROWS, PANEL, Tile};

/// What a product does to its output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Store {
    /// Replace it.
    Replace,
    /// Add to it.
    Add,
}

/// Multiplications below which a product is not worth a second thread.
const MIN_TASK: usize = 1 << 20;

/// `out = x · wᵀ + bias`, or `out += ...`: `x` `[rows, inputs]`, `out` `[rows, outputs]`.
///
/// Columns are shared out among the threads of the current pool. A row's result depends on that row alone.
pub fn matmul_int8(
    x: &QuantizedRows,
    w: &Int8Matrix,
    bias: Option<&[f32]>,
    store: Store,
    out: &mut [f32],
) {
    product(DotKernel::best(), x, w, bias, store, out);
}

fn product(
    kernel: DotKernel,
    x: &QuantizedRows,
    w: &Int8Matrix,
    bias: Option<&[f32]>,
    store: Store,
    out: &mut [f32],
) {
    let (rows, outputs) = (x.rows(), w.outputs());
    assert_eq!(
        x.width(),
        w.inputs(),
        "rows of {} meet weights of {} inputs",
        x.width(),
        w.inputs()
    );
    assert_eq!(
        out.len(),
        rows * outputs,
        "the output is not [{rows}, {outputs}]"
    );
    assert!(
        bias.is_none_or(|b| b.len() == outputs),
        "a bias of another length"
    );
    let panels = outputs.div_ceil(PANEL);
    let threads = rayon::current_num_threads();
    let tasks = (rows * w.inputs() * outputs / MIN_TASK).clamp(1, 2 * threads);
    let call = Product {
        kernel,
        x,
        w,
        bias,
        store,
        out: Output(out.as_mut_ptr()),
    };
    let tasks = if threads == 1 { 1 } else { tasks };
    call.share(0..panels, tasks);
}

/// One product; its panels may be computed in any order, by any thread.
struct Product<'a> {
    kernel: DotKernel,
    x: &'a QuantizedRows,
    w: &'a Int8Matrix,
    bias: Option<&'a [f32]>,
    store: Store,
    out: Output,
}

/// The first element of an output `[rows, outputs]` that several threads fill.
struct Output(*mut f32);

// SAFETY: threads work on disjoint panels, which are disjoint columns of the output (`Product::panels`), and the
// exclusive borrow that the pointer came from outlives the calls they run in (`product`).
unsafe impl Sync for Output {}

impl Product<'_> {
    /// Computes the columns of `panels` in `tasks` parts that other threads may take.
    fn share(&self, panels: Range<usize>, tasks: usize) {
        if tasks < 2 || panels.len() < 2 {
            return self.panels(panels);
        }
        let middle = panels.start + panels.len().div_ceil(2);
        let (first, second) = (panels.start..middle, middle..panels.end);
        rayon::join(
            || self.share(first, tasks.div_ceil(2)),
            || self.share(second, tasks / 2),
        );
    }

    /// Computes the columns of `panels`.
    fn panels(&self, panels: Range<usize>) {
        let (rows, outputs) = (self.x.rows(), self.w.outputs());
        // Blocks of nearly the same height: a block of one or two rows would wait on its own sums.
        let blocks = rows.div_ceil(MAX_ROWS).max(1);
        for panel in panels.clone() {
            // While this panel is multiplied, the next one is on its way, a share of it with each block.
            let next = match panel + 1 < panels.end {
                true => self.w.panel(panel + 1).weights,
                false => &[],
            };
            let column = panel * PANEL;
            let width = PANEL.min(outputs - column);
            for block in 0..blocks {
                let (start, end) = (rows * block / blocks, rows * (block + 1) / blocks);
                if start < end {
                    let share = next.len() * block / blocks..next.len() * (block + 1) / blocks;
                    self.block(panel, start..end, (column, width), &next[share]);
                }
            }
        }
    }

    /// Computes `rows` of the columns `column .. column + width`, which are panel `panel`, and asks the memory for `next`.
    fn block(
        &self,
        panel: usize,
        rows: Range<usize>,
        (column, width): (usize, usize),
        next: &[u8],
    ) {
        let outputs = self.w.outputs();
        let mut padded_bias = [0.0; PANEL];
        if let Some(bias) = self.bias {
            padded_bias[..width].copy_from_slice(&bias[column..column + width]);
        }
        let block = Block {
            quantized: self.x.block(rows.clone()),
            panel: self.w.panel(panel),
            bias: &padded_bias,
            store: self.store,
            next,
        };
        if width == PANEL {
            // SAFETY: rows `rows` and columns `column .. column + PANEL` lie inside `out` `[rows, outputs]` (the block
            // is within `x.rows()`, and `column + PANEL <= outputs`); no other thread has this panel.
            let tile = unsafe {
                Tile::new(
                    self.out.0.add(rows.start * outputs + column),
                    outputs,
                    rows.len(),
                )
            };
            self.kernel.run(&block, tile);
            return;
        }
        let mut scratch = [0.0f32; MAX_ROWS * PANEL];
        let at = |row: usize| {
            // SAFETY: as above, for `width` columns of one row.
            unsafe {
                let first = self.out.0.add((rows.start + row) * outputs + column);
                std::slice::from_raw_parts_mut(first, width)
            }
        };
        for row in 0..rows.len() {
            scratch[row * PANEL..][..width].copy_from_slice(at(row));
        }
        self.kernel
            .run(&block, Tile::of(&mut scratch[..rows.len() * PANEL], PANEL));
        for row in 0..rows.len() {
            at(row).copy_from_slice(&scratch[row * PANEL..][..width]);
        }
    }
}

#[cfg(test)]
mod tests;
