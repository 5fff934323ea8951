//! Convolutions over time without borders, for time-major rows.

use rten_simd::ops::{BitOps, NumOps};
use rten_simd::{Isa, Simd, SimdOp};

use crate::activation::snake_vector;
use crate::span::load_masked;

/// Output rows that one inner loop holds in registers.
const BLOCK: usize = 8;
/// Stands for a number of taps that is known at run time only.
const ANY: usize = 0;

/// Depthwise convolution over time: output row `t` is `bias + Σ_k weights[k] · x[t + k · dilation]`, per channel.
///
/// `x` is `[rows, channels]`, `weights` `[kernel, channels]`, `bias` `[channels]`, `out` `[rows of the output, channels]`.
/// `x` holds `(kernel - 1) · dilation` rows more than `out`; what lies after them does not matter. Taps are added in order,
/// so that a row of the result does not depend on the other rows or their number.
///
/// # Panics
/// Where a shape does not fit.
pub fn depthwise_conv1d_dilated(
    x: &[f32],
    weights: &[f32],
    bias: &[f32],
    dilation: usize,
    out: &mut [f32],
) {
    convolve(x, (weights, bias, dilation), None, out);
}

/// [`snake`](crate::snake) of [`depthwise_conv1d_dilated`]: the values of one after the other, in one pass.
///
/// # Panics
/// Where a shape does not fit.
pub fn snake_of_depthwise_conv1d(
    x: &[f32],
    taps: (&[f32], &[f32], usize),
    (turns, inverse): (&[f32], &[f32]),
    out: &mut [f32],
) {
    let channels = taps.1.len();
    assert!(
        turns.len() == channels && inverse.len() == channels,
        "two values of the activation per channel"
    );
    convolve(x, taps, Some((turns, inverse)), out);
}

/// Checks the shapes of a convolution, and runs it.
fn convolve(
    x: &[f32],
    (weights, bias, dilation): (&[f32], &[f32], usize),
    snake: Option<(&[f32], &[f32])>,
    out: &mut [f32],
) {
    let channels = bias.len();
    for rows in [weights, &*out] {
        assert!(
            channels > 0 && rows.len().is_multiple_of(channels),
            "{} values are not rows of {channels}",
            rows.len()
        );
    }
    assert!(
        !weights.is_empty() && dilation > 0,
        "no taps, or all in one place"
    );
    let taps = weights.len() / channels;
    let border = (taps - 1)
        .checked_mul(dilation)
        .and_then(|rows| rows.checked_mul(channels));
    let needed = border.and_then(|border| border.checked_add(out.len()));
    assert!(
        out.is_empty() || needed.is_some_and(|needed| needed <= x.len()),
        "{} values of input for {} of output, {taps} taps {dilation} rows apart",
        x.len(),
        out.len()
    );
    DilatedConv1d {
        x,
        weights,
        bias,
        // One tap lies where it lies; this also bounds the dilation by the input.
        dilation: if taps == 1 { 1 } else { dilation },
        snake,
        out,
    }
    .dispatch();
}

struct DilatedConv1d<'a> {
    x: &'a [f32],
    weights: &'a [f32],
    bias: &'a [f32],
    dilation: usize,
    /// `turns` and `inverse` of the activation after it, if any.
    snake: Option<(&'a [f32], &'a [f32])>,
    out: &'a mut [f32],
}

impl<'a> SimdOp for DilatedConv1d<'a> {
    type Output = &'a mut [f32];

    #[inline(always)]
    fn eval<I: Isa>(mut self, isa: I) -> Self::Output {
        match (self.weights.len() / self.bias.len(), self.snake) {
            (7, None) => self.convolve::<I, 7, false>(isa),
            (7, Some(_)) => self.convolve::<I, 7, true>(isa),
            (_, None) => self.convolve::<I, ANY, false>(isa),
            (_, Some(_)) => self.convolve::<I, ANY, true>(isa),
        }
        self.out
    }
}

impl DilatedConv1d<'_> {
    #[inline(always)]
    fn convolve<I: Isa, const TAPS: usize, const SNAKE: bool>(&mut self, isa: I) {
        let rows = self.out.len() / self.bias.len();
        // Rows that are one dilation apart share most of what they read.
        for block in (0..rows).step_by(BLOCK * self.dilation) {
            for first in (block..rows).take(self.dilation) {
                let count = (rows - first).div_ceil(self.dilation).min(BLOCK);
                self.convolve_block::<I, TAPS, SNAKE>(isa, first, count);
            }
        }
    }

    /// The output rows `first`, `first + dilation`, … of which there are `count`, at most [`BLOCK`].
    #[inline(always)]
    fn convolve_block<I: Isa, const TAPS: usize, const SNAKE: bool>(
        &mut self,
        isa: I,
        first: usize,
        count: usize,
    ) {
        let mut done = 0;
        while done < count {
            let row = first + done * self.dilation;
            done += match count - done {
                8.. => self.convolve_rows::<I, TAPS, SNAKE, 8>(isa, row),
                4.. => self.convolve_rows::<I, TAPS, SNAKE, 4>(isa, row),
                2.. => self.convolve_rows::<I, TAPS, SNAKE, 2>(isa, row),
                _ => self.convolve_rows::<I, TAPS, SNAKE, 1>(isa, row),
            };
        }
    }

    #[inline(always)]
    fn convolve_rows<I: Isa, const TAPS: usize, const SNAKE: bool, const ROWS: usize>(
        &mut self,
        isa: I,
        row: usize,
    ) -> usize {
        let (channels, lanes) = (self.bias.len(), isa.f32().len());
        let whole = channels - channels % lanes;
        for at in (0..whole).step_by(lanes) {
            self.convolve_vector::<I, TAPS, SNAKE, ROWS, true>(isa, row, at);
        }
        if whole < channels {
            self.convolve_vector::<I, TAPS, SNAKE, ROWS, false>(isa, row, whole);
        }
        ROWS
    }

    /// One vector of channels from `at`, cut at the last channel unless it is `WHOLE`, of `ROWS` output rows.
    #[inline(always)]
    fn convolve_vector<
        I: Isa,
        const TAPS: usize,
        const SNAKE: bool,
        const ROWS: usize,
        const WHOLE: bool,
    >(
        &mut self,
        isa: I,
        row: usize,
        at: usize,
    ) {
        let ops = isa.f32();
        let (channels, lanes) = (self.bias.len(), ops.len());
        let taps = self.weights.len() / channels;
        let n = if WHOLE { lanes } else { channels - at };
        let mask = (!WHOLE).then_some(ops.first_n_mask(n));
        let (step, start) = (self.dilation * channels, row * channels + at);
        assert!(n <= lanes && at + n <= channels && taps * channels == self.weights.len());
        assert!(TAPS == ANY || TAPS == taps);
        assert!(start + (taps + ROWS - 2) * step + n <= self.x.len());
        assert!(start + (ROWS - 1) * step + n <= self.out.len());
        let (turns, inverse) = self.snake.unwrap_or_default();
        assert!(!SNAKE || (turns.len() == channels && inverse.len() == channels));
        // SAFETY: the asserts above are what the function asks for; `out` holds the `n` lanes of each of `ROWS` rows, and
        // what is loaded for the activation those of the one row it is.
        unsafe {
            let window = Window {
                x: self.x.as_ptr().add(start),
                weights: self.weights.as_ptr().add(at),
                step,
                channels,
                taps,
            };
            let bias = load_masked(ops, self.bias.as_ptr().add(at), mask);
            let sums = window.sum::<_, TAPS, ROWS>(ops, bias, mask);
            let (mut half_turns, mut inverses) = (bias, bias);
            if SNAKE {
                half_turns = load_masked(ops, turns.as_ptr().add(at), mask);
                inverses = load_masked(ops, inverse.as_ptr().add(at), mask);
            }
            for (r, sum) in sums.into_iter().enumerate() {
                let sum = match SNAKE {
                    true => snake_vector(isa, sum, half_turns, inverses),
                    false => sum,
                };
                let to = self.out.as_mut_ptr().add(start + r * step);
                match mask {
                    None => ops.store_ptr(sum, to),
                    Some(mask) => ops.store_ptr_mask(sum, to, mask),
                }
            }
        }
    }
}

/// What one vector of channels of a few output rows is computed from.
struct Window {
    /// The first row read, at the first channel.
    x: *const f32,
    /// The first tap, at the first channel.
    weights: *const f32,
    /// Values from one output row, and from one tap, to the next.
    step: usize,
    channels: usize,
    taps: usize,
}

impl Window {
    /// `bias` and the products of all taps, in their order, for `ROWS` output rows.
    ///
    /// # Safety
    /// The lanes in `mask`, or a vector where there is none, are valid at `taps + ROWS - 1` rows of `x` that are `step` values
    /// apart, and at `taps` rows of `weights`, `channels` apart. `TAPS` is `taps` or [`ANY`].
    #[inline(always)]
    unsafe fn sum<O: NumOps<f32>, const TAPS: usize, const ROWS: usize>(
        &self,
        ops: O,
        bias: O::Simd,
        mask: Option<<O::Simd as Simd>::Mask>,
    ) -> [O::Simd; ROWS] {
        let mut sums = [bias; ROWS];
        // SAFETY: the caller's; `k < taps`, `k + r` and `i` are below `taps + ROWS - 1`.
        unsafe {
            if TAPS == ANY {
                for k in 0..self.taps {
                    let weights = load_masked(ops, self.weights.add(k * self.channels), mask);
                    for (r, sum) in sums.iter_mut().enumerate() {
                        let values = load_masked(ops, self.x.add((k + r) * self.step), mask);
                        *sum = ops.mul_add(values, weights, *sum);
                    }
                }
            } else {
                let mut weights = [bias; TAPS];
                for (k, weights) in weights.iter_mut().enumerate() {
                    *weights = load_masked(ops, self.weights.add(k * self.channels), mask);
                }
                for i in 0..TAPS + ROWS - 1 {
                    let values = load_masked(ops, self.x.add(i * self.step), mask);
                    for (r, sum) in sums.iter_mut().enumerate() {
                        if r <= i && i - r < TAPS {
                            *sum = ops.mul_add(values, weights[i - r], *sum);
                        }
                    }
                }
            }
        }
        sums
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isa::on_every_isa;
    use crate::reference;
    use crate::signal::noise;

    #[test]
    fn dilated_convolution_equals_the_plain_loop_on_every_isa() {
        for channels in [1, 3, 4, 5, 8, 15, 16, 17, 40] {
            for (taps, dilation) in [(7, 1), (7, 3), (7, 9), (1, 4), (3, 2), (4, 1), (8, 5)] {
                for rows in [0, 1, 2, 7, 8, 9, 30, 75] {
                    let held = rows + (taps - 1) * dilation;
                    let (x, w) = (noise(held * channels, 1), noise(taps * channels, 2));
                    let b = noise(channels, 3);
                    let expected = reference::depthwise_conv1d_dilated(&x, &w, &b, dilation, rows);
                    on_every_isa(
                        || DilatedConv1d {
                            x: &x,
                            weights: &w,
                            bias: &b,
                            dilation,
                            snake: None,
                            out: Box::leak(vec![f32::NAN; rows * channels].into_boxed_slice()),
                        },
                        |isa, out| {
                            for (i, (a, e)) in out.iter().zip(&expected).enumerate() {
                                assert!(
                                    (a - e).abs() < 1e-5,
                                    "{isa} {channels} {taps}/{dilation} {rows} at {i}: {a} {e}"
                                );
                            }
                        },
                    );
                }
            }
        }
    }

    #[test]
    fn the_activation_after_a_convolution_gives_the_bits_of_one_after_the_other() {
        for channels in [1, 5, 16, 17, 40] {
            for (taps, dilation, rows) in [(7, 1, 30), (7, 9, 75), (3, 2, 9), (1, 1, 4)] {
                let held = rows + (taps - 1) * dilation;
                let (x, w) = (noise(held * channels, 1), noise(taps * channels, 2));
                let (b, alpha) = (noise(channels, 3), noise(channels, 4));
                let inverse: Vec<f32> = alpha.iter().map(|a| 1.0 / (a + 1e-9)).collect();
                let turns: Vec<f32> = alpha.iter().map(|a| a / std::f32::consts::PI).collect();
                let mut apart = vec![0.0; rows * channels];
                depthwise_conv1d_dilated(&x, &w, &b, dilation, &mut apart);
                crate::snake_in_place(&mut apart, &turns, &inverse);
                let mut together = vec![f32::NAN; rows * channels];
                let taps = (&w[..], &b[..], dilation);
                snake_of_depthwise_conv1d(&x, taps, (&turns, &inverse), &mut together);
                assert_eq!(together, apart, "{channels} {dilation} {rows}");
                let plain = reference::depthwise_conv1d_dilated(&x, &w, &b, dilation, rows);
                let expected = reference::snake(&plain, &alpha, &inverse);
                on_every_isa(
                    || DilatedConv1d {
                        x: &x,
                        weights: &w,
                        bias: &b,
                        dilation,
                        snake: Some((&turns, &inverse)),
                        out: Box::leak(vec![f32::NAN; rows * channels].into_boxed_slice()),
                    },
                    |isa, out| {
                        for (i, (a, e)) in out.iter().zip(&expected).enumerate() {
                            let most = 1e-5 * (1.0 + inverse[i % channels].abs());
                            assert!((a - e).abs() <= most, "{isa} {channels} at {i}: {a} {e}");
                        }
                    },
                );
            }
        }
    }

    #[test]
    fn a_row_does_not_depend_on_its_neighbours() {
        for (channels, taps, dilation) in [(33, 7, 1), (16, 7, 9), (5, 7, 3), (20, 5, 2)] {
            let rows = 100;
            let reach = (taps - 1) * dilation;
            let (x, w) = (
                noise((rows + reach) * channels, 4),
                noise(taps * channels, 5),
            );
            let b = noise(channels, 6);
            let mut whole = vec![0.0; rows * channels];
            depthwise_conv1d_dilated(&x, &w, &b, dilation, &mut whole);
            for range in [0..1, 1..2, 3..20, 50..59, 99..100, 7..100] {
                // NaN follows the rows that are needed.
                let mut part = x[range.start * channels..(range.end + reach) * channels].to_vec();
                part.extend([f32::NAN; 50]);
                let mut out = vec![0.0; range.len() * channels];
                depthwise_conv1d_dilated(&part, &w, &b, dilation, &mut out);
                let expected = &whole[range.start * channels..range.end * channels];
                assert_eq!(out, expected, "{channels} {taps}/{dilation} {range:?}");
            }
        }
    }

    #[test]
    fn too_short_an_input_is_refused() {
        let refused = |x: usize, dilation, rows: usize| {
            std::panic::catch_unwind(|| {
                let (x, mut out) = (vec![0.0; 2 * x], vec![0.0; 2 * rows]);
                depthwise_conv1d_dilated(&x, &[1.0; 14], &[0.0; 2], dilation, &mut out);
            })
            .is_err()
        };
        assert!(!refused(22, 3, 4) && !refused(0, 3, 0));
        assert!(refused(21, 3, 4) && refused(100, 0, 4) && refused(100, usize::MAX / 4, 4));
    }
}
