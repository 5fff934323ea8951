//! Matrix products: rows of activations times packed weights.
//!
//! The kernel multiplies a few rows by one panel of the weights, with all sums in registers. It reads activations where they
//! lie, since rows may overlap, and weights from the second-level cache, through which a panel goes again and again. The
//! products of one output are added up in an order that depends on their number alone.

mod micro;
mod packed;
mod rows;

pub use packed::PackedMatrix;
pub use rows::Rows;

use std::ops::Range;

use micro::{DEPTH, MAX_ROWS, PanelProduct};
use rten_simd::SimdOp;

/// Name of the matrix kernel picked for this CPU.
pub fn kernel_name() -> String {
    let isa = crate::instruction_sets()[0];
    format!("{isa} {MAX_ROWS}x{}", micro::panel_width())
}

/// `out = x · wᵀ + bias`: `x` `[rows, inputs]`, `out` `[rows, outputs]`.
///
/// A row's result depends on that row alone: not on the other rows, their number, or the thread count.
///
/// # Panics
/// Where a shape does not fit.
pub fn matmul(x: Rows<'_>, w: &PackedMatrix, bias: Option<&[f32]>, out: &mut [f32]) {
    let place = Place::whole(x, w, out);
    product(x, w, (std::ptr::null(), bias), place);
}

/// `out += x · wᵀ + bias`, otherwise as [`matmul`].
///
/// # Panics
/// Where a shape does not fit.
pub fn matmul_add(x: Rows<'_>, w: &PackedMatrix, bias: Option<&[f32]>, out: &mut [f32]) {
    let place = Place::whole(x, w, out);
    product(x, w, (place.first, bias), place);
}

/// `out = base + bias + x · wᵀ`: `base` `[rows, outputs]`, otherwise as [`matmul`].
///
/// # Panics
/// Where a shape does not fit.
pub fn matmul_onto(
    x: Rows<'_>,
    w: &PackedMatrix,
    (base, bias): (&[f32], Option<&[f32]>),
    out: &mut [f32],
) {
    assert_eq!(base.len(), out.len(), "both sides need the same rows");
    let place = Place::whole(x, w, out);
    product(x, w, (base.as_ptr(), bias), place);
}

/// What the rows of [`matmul_spread`] are added to.
#[derive(Clone, Copy, Debug)]
pub enum Start<'a> {
    /// A bias `[outputs]`, or nothing.
    Bias(Option<&'a [f32]>),
    /// What is there.
    Itself,
    /// The row before it.
    RowBefore,
}

/// `out[first + r · every] = start + x[r] · wᵀ` for each row `r` of `x`; the other rows of `out` stay as they are.
/// Otherwise as [`matmul`].
///
/// # Panics
/// Where `out` ends before the last row does, or rows are added to such as are written.
pub fn matmul_spread(
    x: Rows<'_>,
    w: &PackedMatrix,
    start: Start<'_>,
    (first, every): (usize, usize),
    out: &mut [f32],
) {
    let Some(last) = x.count().checked_sub(1) else {
        return;
    };
    let held = out.len() / w.outputs().max(1);
    assert!(
        every > 0 && first < held && last <= (held - 1 - first) / every,
        "{} rows from {first} on, one every {every}, are not in {held}",
        last + 1
    );
    let to = out.as_mut_ptr().wrapping_add(first * w.outputs());
    let start = match start {
        Start::Bias(bias) => (std::ptr::null(), bias),
        Start::Itself => (to.cast_const(), None),
        Start::RowBefore => {
            assert!(first > 0 && every > 1, "no row before that stays");
            (to.wrapping_sub(w.outputs()).cast_const(), None)
        }
    };
    let stride = every * w.outputs();
    product(x, w, start, Place { first: to, stride });
}

/// Where the rows of a product go.
#[derive(Clone, Copy)]
struct Place {
    first: *mut f32,
    /// Values from row to row.
    stride: usize,
}

impl Place {
    /// Rows that fill `out`.
    fn whole(x: Rows<'_>, w: &PackedMatrix, out: &mut [f32]) -> Self {
        let (rows, outputs) = (x.count(), w.outputs());
        assert!(
            rows.checked_mul(outputs) == Some(out.len()),
            "the output is not [{rows}, {outputs}]"
        );
        Place {
            first: out.as_mut_ptr(),
            stride: outputs,
        }
    }
}

/// Weights that stay in the second-level cache from one product to the next, beside what else is there.
const CACHED: usize = 1 << 17;

/// Rows from which on the next panel is asked for ahead of time. With fewer, the memory is busy with this one.
const AHEAD_ROWS: usize = 2 * MAX_ROWS;

/// Multiplications below which a product is not worth a second thread.
const MIN_TASK: usize = 1 << 19;

/// All rows of `out` are valid for the length of the call, and no one else's; so are those of `base`, laid out as they
/// are, which are either the same or not written meanwhile. `base` may be null.
fn product(x: Rows<'_>, w: &PackedMatrix, (base, bias): (*const f32, Option<&[f32]>), out: Place) {
    let (rows, outputs) = (x.count(), w.outputs());
    assert_eq!(
        x.width(),
        w.inputs(),
        "rows of {} meet weights of {} inputs",
        x.width(),
        w.inputs()
    );
    assert!(
        bias.is_none_or(|b| b.len() == outputs),
        "a bias of another length"
    );
    let threads = rayon::current_num_threads();
    let tasks = match threads {
        1 => 1,
        _ => (rows * w.inputs() * outputs / MIN_TASK).clamp(1, 2 * threads),
    };
    let call = Product {
        x,
        w,
        base,
        bias,
        out,
    };
    call.share((0..rows, 0..w.panels()), tasks);
}

/// One product; its parts may be computed in any order, by any thread.
struct Product<'a> {
    x: Rows<'a>,
    w: &'a PackedMatrix,
    /// What the product is added to, laid out as `out`, which it may be; or null.
    base: *const f32,
    bias: Option<&'a [f32]>,
    out: Place,
}

// SAFETY: threads work on disjoint rows or panels (`Product::share`), which are disjoint values of the output and of the
// base, and the borrows that the pointers came from outlive the calls they run in (`product`).
unsafe impl Sync for Product<'_> {}

impl Product<'_> {
    /// Computes the panels of the rows in `tasks` parts that other threads may take.
    fn share(&self, (rows, panels): (Range<usize>, Range<usize>), tasks: usize) {
        let blocks = rows.len().div_ceil(MAX_ROWS);
        if tasks < 2 || blocks.max(panels.len()) < 2 {
            return self.compute(rows, panels);
        }
        let (first, second) = match blocks > panels.len() {
            true => {
                let middle = rows.start + blocks.div_ceil(2) * MAX_ROWS;
                let panels = (panels.clone(), panels);
                ((rows.start..middle, panels.0), (middle..rows.end, panels.1))
            }
            false => {
                let middle = panels.start + panels.len().div_ceil(2);
                let rows = (rows.clone(), rows);
                ((rows.0, panels.start..middle), (rows.1, middle..panels.end))
            }
        };
        rayon::join(
            || self.share(first, tasks.div_ceil(2)),
            || self.share(second, tasks / 2),
        );
    }

    /// Computes the panels of the rows.
    fn compute(&self, rows: Range<usize>, panels: Range<usize>) {
        let is_far = self.w.outputs() * self.w.inputs() > CACHED && rows.len() >= AHEAD_ROWS;
        for (depth, panel) in self.parts(panels.clone()) {
            let next = match panel + 1 < panels.end && is_far {
                true => self.w.panel(panel + 1, depth.clone()),
                false => &[],
            };
            self.part(&depth, panel, &rows, next).dispatch();
        }
    }

    /// The panels, in parts that are small enough for the cache: all of them from the first values of the rows, then from
    /// those that follow.
    fn parts(&self, panels: Range<usize>) -> impl Iterator<Item = (Range<usize>, usize)> + use<> {
        let inputs = self.w.inputs();
        let depths = (0..inputs.max(1)).step_by(DEPTH);
        depths.flat_map(move |from| {
            let depth = from..inputs.min(from + DEPTH);
            panels.clone().map(move |panel| (depth.clone(), panel))
        })
    }

    /// A part of a panel of the rows; `next` are weights that are needed after it.
    fn part<'a>(
        &'a self,
        depth: &Range<usize>,
        panel: usize,
        rows: &Range<usize>,
        next: &'a [f32],
    ) -> PanelProduct<'a> {
        let outputs = self.w.outputs_of(panel);
        // In bounds where there are rows, since the panel begins inside of them; not looked at where there are none.
        let first = rows.start * self.out.stride + outputs.start;
        PanelProduct {
            x: self.x.range(rows.clone()),
            panel: self.w.panel(panel, depth.clone()),
            depth: depth.clone(),
            next,
            bias: self.bias.map(|bias| &bias[outputs.clone()]),
            outputs: outputs.len(),
            stride: self.out.stride,
            base: match self.base.is_null() {
                true => None,
                false => Some(self.base.wrapping_add(first)),
            },
            out: self.out.first.wrapping_add(first),
        }
    }
}

#[cfg(test)]
mod tests;
