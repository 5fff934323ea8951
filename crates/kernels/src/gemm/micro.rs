//! The inner loops: a few rows of activations times one panel of weights.

use std::ops::Range;
use std::sync::OnceLock;

use rten_simd::ops::{BitOps, NumOps};
use rten_simd::{Isa, SimdOp};

use super::Rows;
use crate::CACHE_LINE;
use crate::span::load_masked;

/// Rows that are multiplied at once.
pub(super) const MAX_ROWS: usize = 6;
/// Products that are added up before the sum goes to its output. What so many fill of a panel, and of the rows, stays in the
/// second-level cache while they are multiplied.
pub(super) const DEPTH: usize = 512;

/// Lanes of a vector on this CPU.
pub(super) fn lanes() -> usize {
    struct Lanes;
    impl SimdOp for Lanes {
        type Output = usize;

        #[inline(always)]
        fn eval<I: Isa>(self, isa: I) -> usize {
            isa.f32().len()
        }
    }
    static LANES: OnceLock<usize> = OnceLock::new();
    *LANES.get_or_init(|| Lanes.dispatch())
}

/// Outputs of a panel on this CPU.
pub(super) fn panel_width() -> usize {
    lanes() * panel_vectors(lanes())
}

/// Vectors of a panel: as many as leave room in the registers for [`MAX_ROWS`] rows of sums.
pub(super) fn panel_vectors(lanes: usize) -> usize {
    // AVX2 has 16 registers, AVX-512 and NEON have 32.
    match lanes {
        8 => 2,
        _ => 4,
    }
}

/// `out = base + bias + x · panelᵀ` for the part `depth` of the values of each row; any part but the first is added to `out`.
pub(super) struct PanelProduct<'a> {
    pub(super) x: Rows<'a>,
    /// `[depth, outputs in whole vectors]`.
    pub(super) panel: &'a [f32],
    pub(super) depth: Range<usize>,
    /// Weights that are needed next.
    pub(super) next: &'a [f32],
    /// `[outputs]`.
    pub(super) bias: Option<&'a [f32]>,
    pub(super) outputs: usize,
    /// Values from row to row of `base` and `out`, of which `outputs` are used.
    pub(super) stride: usize,
    /// May be `out`.
    pub(super) base: Option<*const f32>,
    pub(super) out: *mut f32,
}

impl SimdOp for PanelProduct<'_> {
    type Output = ();

    #[inline(always)]
    fn eval<I: Isa>(self, isa: I) {
        match self.outputs.div_ceil(isa.f32().len()) {
            1 => self.blocks::<I, 1>(isa),
            2 => self.blocks::<I, 2>(isa),
            3 => self.blocks::<I, 3>(isa),
            4 => self.blocks::<I, 4>(isa),
            vectors => unreachable!("a panel of {vectors} vectors"),
        }
    }
}

impl PanelProduct<'_> {
    /// Blocks of nearly the same height.
    #[inline(always)]
    fn blocks<I: Isa, const VECTORS: usize>(&self, isa: I) {
        let rows = self.x.count();
        let width = VECTORS * isa.f32().len();
        assert_eq!(self.panel.len(), self.depth.len() * width);
        assert!(self.outputs <= width && self.bias.is_none_or(|b| b.len() == self.outputs));
        let blocks = rows.div_ceil(MAX_ROWS);
        for block in 0..blocks {
            let first = rows * block / blocks;
            // While this panel is multiplied the next one is on its way, a share of it with each block.
            let share = |block| self.next.len() / CACHE_LINE * block / blocks * CACHE_LINE;
            let next = &self.next[share(block)..share(block + 1)];
            match rows * (block + 1) / blocks - first {
                1 => self.multiply::<I, 1, VECTORS>(isa, first, next),
                2 => self.multiply::<I, 2, VECTORS>(isa, first, next),
                3 => self.multiply::<I, 3, VECTORS>(isa, first, next),
                4 => self.multiply::<I, 4, VECTORS>(isa, first, next),
                5 => self.multiply::<I, 5, VECTORS>(isa, first, next),
                _ => self.multiply::<I, MAX_ROWS, VECTORS>(isa, first, next),
            }
        }
    }

    /// The rows from `first` on; asks the memory for `next`.
    #[inline(always)]
    fn multiply<I: Isa, const ROWS: usize, const VECTORS: usize>(
        &self,
        isa: I,
        first: usize,
        next: &[f32],
    ) {
        let ops = isa.f32();
        let lanes = ops.len();
        let depth = self.depth.len();
        let mut rows = [std::ptr::null(); ROWS];
        for (r, row) in rows.iter_mut().enumerate() {
            *row = self.x.row(first + r)[self.depth.clone()].as_ptr();
        }
        let panel = &self.panel[..depth * VECTORS * lanes];
        let lines = next.len() / CACHE_LINE;
        let mut sums = [[ops.zero(); VECTORS]; ROWS];
        // SAFETY: every row holds `depth` values, and the panel as many times `VECTORS` vectors.
        unsafe {
            for k in 0..depth {
                if k < lines {
                    ops.prefetch(next.as_ptr().add(k * CACHE_LINE));
                }
                let weights = panel.as_ptr().add(k * VECTORS * lanes);
                let mut vectors = [ops.zero(); VECTORS];
                for (v, vector) in vectors.iter_mut().enumerate() {
                    *vector = ops.load_ptr(weights.add(v * lanes));
                }
                for (row, sums) in rows.iter().zip(&mut sums) {
                    let value = ops.splat(*row.add(k));
                    for (vector, sum) in vectors.iter().zip(sums) {
                        *sum = ops.mul_add(value, *vector, *sum);
                    }
                }
            }
        }
        match self.outputs == VECTORS * lanes {
            true => self.store::<I, ROWS, VECTORS, true>(isa, first, &sums),
            false => self.store::<I, ROWS, VECTORS, false>(isa, first, &sums),
        }
    }

    /// Adds the sums to what they start from, where the last vector is cut unless all are `WHOLE`.
    #[inline(always)]
    fn store<I: Isa, const ROWS: usize, const VECTORS: usize, const WHOLE: bool>(
        &self,
        isa: I,
        first: usize,
        sums: &[[I::F32; VECTORS]; ROWS],
    ) {
        let ops = isa.f32();
        let lanes = ops.len();
        let last = self.outputs - (VECTORS - 1) * lanes;
        let tail = ops.first_n_mask(last);
        let mask = |v| (!WHOLE && v + 1 == VECTORS).then_some(tail);
        let (start, bias) = match self.depth.start {
            0 => (self.base, self.bias),
            _ => (Some(self.out.cast_const()), None),
        };
        // SAFETY: `outputs` values of each row of the output, and of what it starts from, are valid and no other thread's
        // (`Product::compute`), and as many of the bias; no lane past them is touched.
        unsafe {
            let mut biases = [ops.zero(); VECTORS];
            if let Some(bias) = bias {
                for (v, biases) in biases.iter_mut().enumerate() {
                    *biases = load_masked(ops, bias.as_ptr().add(v * lanes), mask(v));
                }
            }
            for (r, sums) in sums.iter().enumerate() {
                let place = (first + r) * self.stride;
                for (v, sum) in sums.iter().enumerate() {
                    let start = match start {
                        Some(start) => ops.add(
                            load_masked(ops, start.add(place + v * lanes), mask(v)),
                            biases[v],
                        ),
                        None => biases[v],
                    };
                    let to = self.out.add(place + v * lanes);
                    match mask(v) {
                        None => ops.store_ptr(ops.add(start, *sum), to),
                        Some(mask) => ops.store_ptr_mask(ops.add(start, *sum), to, mask),
                    }
                }
            }
        }
    }
}
