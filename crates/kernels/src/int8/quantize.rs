//! Activations to 8-bit integers, with what comes right before it: layer norm or SiLU.

use std::ops::Range;

use rten_simd::ops::{BitOps, FloatOps, IntOps, NarrowSaturate, NumOps};
use rten_simd::{Isa, Simd, SimdOp};

use super::micro::QuantizedBlock;
use crate::norm::normalize_row;

/// What happens to each row before it is quantised.
#[derive(Clone, Copy, Debug)]
pub enum Prologue<'a> {
    /// Nothing.
    None,
    /// Layer norm.
    LayerNorm {
        /// `[width]`
        scale: &'a [f32],
        /// `[width]`
        shift: &'a [f32],
        /// Added to the variance.
        eps: f32,
    },
    /// `x · sigmoid(x)`.
    Silu,
}

/// Rows of activations in 8-bit integers: `x = scale · (q - zero)`, with a scale and a zero point per row, over the row's
/// own range (which always holds 0). Keeps its memory from one use to the next.
#[derive(Clone, Debug, Default)]
pub struct QuantizedRows {
    /// `[rows, stride]`
    data: Vec<u8>,
    /// The values of one row before they are quantised.
    row: Vec<f32>,
    scales: Vec<f32>,
    zeros: Vec<i32>,
    /// Rows whose range is far wider than their values are large.
    wide: Vec<usize>,
    /// 0, 1, 2 and so on, for every row so far.
    every: Vec<usize>,
    width: usize,
    stride: usize,
}

impl QuantizedRows {
    /// No rows.
    pub fn new() -> Self {
        Self::default()
    }

    /// Quantises rows of `width` values after `prologue`, in place of what was held before.
    ///
    /// A row with a value that is no finite number makes its products NaN.
    ///
    /// # Panics
    /// Where `x` is not a whole number of rows, or the norm has another width.
    pub fn quantize(&mut self, x: &[f32], width: usize, prologue: Prologue<'_>) {
        assert!(
            width > 0 && x.len().is_multiple_of(width),
            "{} values are not rows of {width}",
            x.len()
        );
        if let Prologue::LayerNorm { scale, shift, .. } = prologue {
            assert_eq!(scale.len(), width, "a norm of another width");
            assert_eq!(shift.len(), width, "a norm of another width");
        }
        self.reserve(x.len() / width, width);
        Quantize {
            x,
            prologue,
            rows: self,
        }
        .dispatch();
    }

    /// Rows that one channel, or a few, stretch so much that 8 bits leave more than about two percent of noise: their
    /// [rest](QuantizedRows::quantize_rest) is worth its work.
    pub fn wide_rows(&self) -> &[usize] {
        &self.wide
    }

    /// All rows, in order.
    pub fn every_row(&self) -> &[usize] {
        &self.every[..self.rows()]
    }

    /// What `coarse`, made from `x` with the same `prologue`, leaves of its rows `which`: to multiply as well and to add,
    /// which makes 16 bits of 8.
    ///
    /// # Panics
    /// Where `x` is not what `coarse` was made from, as far as its shape tells.
    pub fn quantize_rest(
        &mut self,
        x: &[f32],
        prologue: Prologue<'_>,
        coarse: &QuantizedRows,
        which: &[usize],
    ) {
        assert_eq!(x.len(), coarse.rows() * coarse.width, "other rows");
        self.reserve(which.len(), coarse.width);
        Rest {
            x,
            prologue,
            coarse,
            which,
            rows: self,
        }
        .dispatch();
    }

    fn reserve(&mut self, rows: usize, width: usize) {
        self.width = width;
        self.stride = width.next_multiple_of(4);
        self.data.resize(rows * self.stride, 0);
        self.row.resize(width, 0.0);
        self.scales.resize(rows, 0.0);
        self.zeros.resize(rows, 0);
        self.every.extend(self.every.len()..rows);
    }

    /// Rows held.
    pub fn rows(&self) -> usize {
        self.scales.len()
    }

    /// Values per row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// The value that `q` at (`row`, `column`) stands for.
    pub fn value(&self, row: usize, column: usize) -> f32 {
        let q = i32::from(self.data[row * self.stride..][..self.width][column]);
        self.scales[row] * (q - self.zeros[row]) as f32
    }

    pub(super) fn block(&self, rows: Range<usize>) -> QuantizedBlock<'_> {
        QuantizedBlock {
            data: &self.data[rows.start * self.stride..rows.end * self.stride],
            stride: self.stride,
            scales: &self.scales[rows.clone()],
            zeros: &self.zeros[rows],
        }
    }
}

struct Quantize<'a> {
    x: &'a [f32],
    prologue: Prologue<'a>,
    rows: &'a mut QuantizedRows,
}

impl<'a> SimdOp for Quantize<'a> {
    type Output = &'a mut QuantizedRows;

    #[inline(always)]
    fn eval<I: Isa>(self, isa: I) -> Self::Output {
        let QuantizedRows {
            data,
            row: scratch,
            scales,
            zeros,
            wide,
            width,
            stride,
            ..
        } = self.rows;
        wide.clear();
        for (r, (x, q)) in self
            .x
            .chunks_exact(*width)
            .zip(data.chunks_exact_mut(*stride))
            .enumerate()
        {
            let values = self.prologue.apply(isa, x, scratch);
            let range = Scaling::of(isa, values);
            scales[r] = range.scale;
            zeros[r] = range.zero;
            if range.is_wide {
                wide.push(r);
            }
            quantize_row(isa, values, &range, &mut q[..*width]);
        }
        self.rows
    }
}

/// Fills `rows` with what the coarse rows `which` leave of `x`.
struct Rest<'a> {
    x: &'a [f32],
    prologue: Prologue<'a>,
    coarse: &'a QuantizedRows,
    which: &'a [usize],
    rows: &'a mut QuantizedRows,
}

/// Steps of the rest in one step of the coarse rows.
const REST_STEPS: f32 = 256.0;
/// The zero point of the rest, which has both signs.
const REST_ZERO: i32 = 128;

impl<'a> SimdOp for Rest<'a> {
    type Output = &'a mut QuantizedRows;

    #[inline(always)]
    fn eval<I: Isa>(self, isa: I) -> Self::Output {
        let Rest { x, coarse, .. } = self;
        let rows = self.rows;
        let (floats, ints, bytes) = (isa.f32(), isa.i32(), isa.u8());
        let (width, lanes) = (rows.width, floats.len());
        let steps = floats.splat(REST_STEPS);
        let zero = ints.splat(REST_ZERO);
        for (n, (&r, q)) in self
            .which
            .iter()
            .zip(rows.data.chunks_exact_mut(rows.stride))
            .enumerate()
        {
            let x = &x[r * width..(r + 1) * width];
            let x = self.prologue.apply(isa, x, &mut rows.row);
            let scale = coarse.scales[r];
            rows.scales[n] = scale / REST_STEPS;
            rows.zeros[n] = REST_ZERO;
            // As the coarse row was made; 0 for an empty range, whose scale is 0.
            let inverse = match scale > 0.0 {
                true => 1.0 / scale,
                false => 0.0,
            };
            let (low, high) = (-coarse.zeros[r] as f32, (255 - coarse.zeros[r]) as f32);
            let (lows, highs) = (floats.splat(low), floats.splat(high));
            let inverses = floats.splat(inverse);
            let body = width - width % (4 * lanes);
            for at in (0..body).step_by(4 * lanes) {
                let q4 = floats.load_many::<4>(&x[at..]).map(|v| {
                    let value = floats.mul(v, inverses);
                    let whole = floats.clamp(floats.round_ties_even(value), lows, highs);
                    let rest = floats.mul(floats.sub(value, whole), steps);
                    ints.add(floats.to_int_round(rest), zero)
                });
                let first = ints.narrow_saturate(q4[0], q4[1]);
                let second = ints.narrow_saturate(q4[2], q4[3]);
                bytes.store(isa.i16().narrow_saturate(first, second), &mut q[at..]);
            }
            for (q, v) in q[body..width].iter_mut().zip(&x[body..]) {
                let value = v * inverse;
                let whole = value.round_ties_even().clamp(low, high);
                let rest = ((value - whole) * REST_STEPS).round_ties_even() as i32;
                *q = (rest + REST_ZERO).clamp(0, 255) as u8;
            }
        }
        rows
    }
}

impl Prologue<'_> {
    /// `x` after the prologue; in `scratch` where there is one.
    #[inline(always)]
    fn apply<'x, I: Isa>(self, isa: I, x: &'x [f32], scratch: &'x mut [f32]) -> &'x [f32] {
        match self {
            Prologue::None => x,
            Prologue::LayerNorm { scale, shift, eps } => {
                normalize_row(isa, x, scale, shift, eps, scratch);
                scratch
            }
            Prologue::Silu => {
                silu_row(isa, x, scratch);
                scratch
            }
        }
    }
}

#[inline(always)]
fn silu_row<I: Isa>(isa: I, x: &[f32], out: &mut [f32]) {
    let ops = isa.f32();
    let lanes = ops.len();
    let body = x.len() - x.len() % lanes;
    for at in (0..body).step_by(lanes) {
        ops.store(silu(isa, ops.load(&x[at..])), &mut out[at..]);
    }
    if body < x.len() {
        let tail = silu(isa, ops.load_pad(&x[body..]).0).to_array();
        for (out, v) in out[body..].iter_mut().zip(tail.as_ref()) {
            *out = *v;
        }
    }
}

/// `x / (1 + e^-x)` to a few units in the last place, without the care for huge arguments that quantisation undoes.
#[inline(always)]
fn silu<I: Isa>(isa: I, x: I::F32) -> I::F32 {
    /// `2^f` for `|f| <= 1/2`, highest power first: the minimax polynomial of Cephes' `exp2f`.
    const EXP2: [f32; 7] = [
        1.535_336_2e-4,
        1.339_887_4e-3,
        9.618_437e-3,
        5.550_332_5e-2,
        2.402_264_8e-1,
        6.931_472e-1,
        1.0,
    ];
    let (ops, ints) = (isa.f32(), isa.i32());
    let power = ops.mul(x, ops.splat(-std::f32::consts::LOG2_E));
    let power = ops.clamp(power, ops.splat(-125.0), ops.splat(125.0));
    let whole = ops.round_ties_even(power);
    let rest = ops.sub(power, whole);
    let mut value = ops.splat(EXP2[0]);
    for coefficient in &EXP2[1..] {
        value = ops.mul_add(value, rest, ops.splat(*coefficient));
    }
    let exponent = ints.shift_left::<23>(ops.to_int_trunc(whole));
    let value: I::I32 = value.reinterpret_cast();
    let value: I::F32 = ints.add(value, exponent).reinterpret_cast();
    ops.div(x, ops.add(ops.one(), value))
}

/// How one row maps onto 0..=255.
struct Scaling {
    scale: f32,
    inverse: f32,
    zero: i32,
    is_wide: bool,
}

/// Root mean squares in the range of a row from which on it is wide. A normal row of 4096 has about 7.5.
const WIDE: f32 = 20.0;

impl Scaling {
    const EMPTY: Scaling = Scaling {
        scale: 0.0,
        inverse: 0.0,
        zero: 0,
        is_wide: false,
    };

    #[inline(always)]
    fn of<I: Isa>(isa: I, x: &[f32]) -> Self {
        let ops = isa.f32();
        let lanes = ops.len();
        let body = x.len() - x.len() % lanes;
        let zero = ops.zero();
        let (mut low, mut high, mut squares) = (zero, zero, zero);
        for at in (0..body).step_by(lanes) {
            let v = ops.load(&x[at..]);
            low = ops.min(low, v);
            high = ops.max(high, v);
            // No finite number unless all values are, below 1e19.
            squares = ops.mul_add(v, v, squares);
        }
        let fold = |v: I::F32, f: fn(f32, f32) -> f32| {
            v.to_array().as_ref().iter().fold(0.0f32, |a, b| f(a, *b))
        };
        let (mut min, mut max) = (fold(low, f32::min), fold(high, f32::max));
        let mut squares = ops.sum(squares);
        for v in &x[body..] {
            min = min.min(*v);
            max = max.max(*v);
            squares += v * v;
        }
        let range = max - min;
        if !squares.is_finite() {
            return Scaling {
                scale: f32::NAN,
                ..Scaling::EMPTY
            };
        }
        let scale = range / 255.0;
        let inverse = 1.0 / scale;
        if scale == 0.0 || !inverse.is_finite() {
            return Scaling::EMPTY;
        }
        Scaling {
            scale,
            inverse,
            zero: (-min * inverse).round_ties_even() as i32,
            is_wide: range * range * x.len() as f32 > WIDE * WIDE * squares,
        }
    }
}

#[inline(always)]
fn quantize_row<I: Isa>(isa: I, x: &[f32], scaling: &Scaling, out: &mut [u8]) {
    let (floats, ints, bytes) = (isa.f32(), isa.i32(), isa.u8());
    let lanes = floats.len();
    let zero = ints.splat(scaling.zero);
    let inverse = floats.splat(scaling.inverse);
    let body = x.len() - x.len() % (4 * lanes);
    for at in (0..body).step_by(4 * lanes) {
        let q = floats
            .load_many::<4>(&x[at..])
            .map(|v| ints.add(floats.to_int_round(floats.mul(v, inverse)), zero));
        let low = ints.narrow_saturate(q[0], q[1]);
        let high = ints.narrow_saturate(q[2], q[3]);
        bytes.store(isa.i16().narrow_saturate(low, high), &mut out[at..]);
    }
    for (q, v) in out[body..].iter_mut().zip(&x[body..]) {
        let whole = (v * scaling.inverse).round_ties_even() as i32 + scaling.zero;
        *q = whole.clamp(0, 255) as u8;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isa::on_every_isa;
    use crate::reference;

    fn wave(n: usize) -> Vec<f32> {
        (0..n)
            .map(|i| (i as f32 * 0.37).sin() * 3.0 - 0.4 * (i % 5) as f32)
            .collect()
    }

    fn leak() -> &'static mut QuantizedRows {
        Box::leak(Box::default())
    }

    #[test]
    fn values_come_back_within_half_a_step_on_every_isa() {
        for width in [1, 3, 16, 63, 64, 65, 200] {
            let x = wave(3 * width);
            let (scale, shift) = (wave(width), vec![0.3; width]);
            let norm = Prologue::LayerNorm {
                scale: &scale,
                shift: &shift,
                eps: 1e-5,
            };
            let cases = [
                (Prologue::None, x.clone()),
                (norm, reference::layer_norm(&x, &scale, &shift, 1e-5)),
                (Prologue::Silu, reference::silu(&x)),
            ];
            for (prologue, expected) in cases {
                on_every_isa(
                    || {
                        let rows = leak();
                        rows.reserve(3, width);
                        Quantize {
                            x: &x,
                            prologue,
                            rows,
                        }
                    },
                    |isa, rows| {
                        for (i, e) in expected.iter().enumerate() {
                            let (row, column) = (i / width, i % width);
                            let got = rows.value(row, column);
                            let step = rows.scales[row];
                            assert!(
                                (got - e).abs() <= step * 1.01 + 1e-4,
                                "{isa}, width {width}, {prologue:?} at {i}: {got} {e}, step {step}"
                            );
                        }
                    },
                );
            }
        }
    }

    #[test]
    fn the_rest_adds_eight_bits_on_every_isa() {
        for width in [1, 16, 64, 65, 200] {
            let x = wave(3 * width);
            let expected = reference::silu(&x);
            let mut coarse = QuantizedRows::new();
            coarse.quantize(&x, width, Prologue::Silu);
            on_every_isa(
                || {
                    let rows = leak();
                    rows.reserve(3, width);
                    Rest {
                        x: &x,
                        prologue: Prologue::Silu,
                        coarse: &coarse,
                        which: &[0, 1, 2],
                        rows,
                    }
                },
                |isa, rest| {
                    for (i, e) in expected.iter().enumerate() {
                        let (row, column) = (i / width, i % width);
                        let got = coarse.value(row, column) + rest.value(row, column);
                        let step = coarse.scales[row] / 255.0;
                        assert!(
                            (got - e).abs() <= step + 1e-5,
                            "{isa}, width {width} at {i}: {got} {e}, step {step}"
                        );
                    }
                },
            );
        }
    }

    #[test]
    fn a_row_is_wide_when_a_channel_stretches_it() {
        let mut x = wave(3 * 1024);
        x[1024 + 7] = 100.0 * 3.0;
        let mut rows = QuantizedRows::new();
        rows.quantize(&x, 1024, Prologue::None);
        assert_eq!(rows.wide_rows(), [1]);
    }

    struct SiluOf<'a>(&'a [f32]);

    impl SimdOp for SiluOf<'_> {
        type Output = Vec<f32>;

        fn eval<I: Isa>(self, isa: I) -> Vec<f32> {
            let mut out = vec![0.0; self.0.len()];
            silu_row(isa, self.0, &mut out);
            out
        }
    }

    #[test]
    fn silu_equals_the_plain_loop_on_every_isa() {
        let x: Vec<f32> = (-20_000..20_000).map(|i| i as f32 * 0.01).collect();
        let expected = reference::silu(&x);
        on_every_isa(
            || SiluOf(&x),
            |isa, out| {
                for ((x, a), e) in x.iter().zip(&out).zip(&expected) {
                    assert!(
                        (a - e).abs() <= 1e-5 * e.abs() + 1e-30,
                        "{isa} at {x}: {a} {e}"
                    );
                }
            },
        );
    }

    #[test]
    fn zero_is_exact_and_an_empty_range_is_no_division() {
        let mut rows = QuantizedRows::new();
        rows.quantize(&[0.0, -3.0, 1.7, 0.0], 4, Prologue::None);
        assert_eq!((rows.value(0, 0), rows.value(0, 3)), (0.0, 0.0));
        for tiny in [0.0, 1e-44] {
            rows.quantize(&[tiny; 4], 4, Prologue::None);
            assert_eq!(rows.value(0, 1), 0.0, "{tiny}");
        }
    }

    #[test]
    fn a_value_that_is_no_number_taints_its_row_alone() {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            for at in [0, 17, 20] {
                let mut x = wave(2 * 21);
                x[at] = bad;
                let mut rows = QuantizedRows::new();
                rows.quantize(&x, 21, Prologue::None);
                assert!(rows.scales[0].is_nan() && rows.scales[1].is_finite());
            }
        }
    }
}
