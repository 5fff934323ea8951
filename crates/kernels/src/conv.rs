//! Direct convolutions, vectorised over channels (channels lie innermost).

use std::ops::Range;

use rten_simd::ops::{BitOps, NumOps};
use rten_simd::{Isa, SimdOp};

/// Depthwise convolution over time of frames `frames` of `x` `[T, channels]`.
///
/// `weights` is `[kernel, channels]`, `bias` `[channels]`. Output frame `t` sees input frames
/// `t - left .. t - left + kernel`; frames outside `x` count as zeros. `out` is `[frames.len(), channels]`.
/// `left = (kernel - 1) / 2` is the symmetric form, `left = kernel - 1` the causal one.
pub fn depthwise_conv1d(
    x: &[f32],
    weights: &[f32],
    bias: &[f32],
    left: usize,
    frames: Range<usize>,
    out: &mut [f32],
) {
    let channels = bias.len();
    assert!(
        channels > 0 && x.len().is_multiple_of(channels) && weights.len().is_multiple_of(channels)
    );
    assert!(frames.end * channels <= x.len() && out.len() == frames.len() * channels);
    DepthwiseConv1d {
        x,
        weights,
        bias,
        left,
        frames,
        out,
    }
    .dispatch();
}

struct DepthwiseConv1d<'a> {
    x: &'a [f32],
    weights: &'a [f32],
    bias: &'a [f32],
    left: usize,
    frames: Range<usize>,
    out: &'a mut [f32],
}

impl<'a> SimdOp for DepthwiseConv1d<'a> {
    type Output = &'a mut [f32];

    #[inline(always)]
    fn eval<I: Isa>(self, isa: I) -> Self::Output {
        let channels = self.bias.len();
        let (total, kernel) = (self.x.len() / channels, self.weights.len() / channels);
        for (t, out) in self.frames.zip(self.out.chunks_exact_mut(channels)) {
            let first_tap = self.left.saturating_sub(t);
            let end_tap = kernel.min((total + self.left).saturating_sub(t));
            if first_tap >= end_tap {
                out.copy_from_slice(self.bias);
                continue;
            }
            let first_row = t + first_tap - self.left;
            let x = &self.x[first_row * channels..(first_row + end_tap - first_tap) * channels];
            let w = &self.weights[first_tap * channels..end_tap * channels];
            multiply_taps(isa, x, w, self.bias, out);
        }
        self.out
    }
}

/// `out[c] = bias[c] + Σ_k x[k, c] · w[k, c]`, taps in order.
#[inline(always)]
fn multiply_taps<I: Isa>(isa: I, x: &[f32], w: &[f32], bias: &[f32], out: &mut [f32]) {
    let ops = isa.f32();
    let (channels, lanes) = (bias.len(), ops.len());
    let mut at = 0;
    while at + lanes <= channels {
        let mut sum = ops.load(&bias[at..]);
        for (x, w) in x.chunks_exact(channels).zip(w.chunks_exact(channels)) {
            sum = ops.mul_add(ops.load(&x[at..]), ops.load(&w[at..]), sum);
        }
        ops.store(sum, &mut out[at..]);
        at += lanes;
    }
    for c in at..channels {
        let mut sum = bias[c];
        for (x, w) in x.chunks_exact(channels).zip(w.chunks_exact(channels)) {
            sum += x[c] * w[c];
        }
        out[c] = sum;
    }
}

/// Rows of a longer image: `data` holds rows `first_row ..` of an image of `total_rows` rows.
#[derive(Clone, Copy, Debug)]
pub struct RowWindow<'a> {
    /// The rows, `[rows, freqs, in_channels]`.
    pub data: &'a [f32],
    /// Index of the first row of `data` in the image.
    pub first_row: usize,
    /// Rows of the whole image; rows before 0 and from here on count as zeros.
    pub total_rows: usize,
}

impl RowWindow<'_> {
    /// The `total_rows` of an image whose end is not known and not near.
    pub const ENDLESS: usize = usize::MAX / 2;
}

/// Geometry of a 3x3 convolution of stride 2, the same along time and frequency.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conv2dGeometry {
    /// Input frequencies.
    pub freqs: usize,
    /// Input channels: 1 for [`conv2d_first`], the output channels for [`conv2d_depthwise`].
    pub in_channels: usize,
    /// Zeros before the first row and the first frequency: 1 (symmetric) or 2 (causal). One follows the last.
    pub pad_before: usize,
}

impl Conv2dGeometry {
    /// Rows or frequencies that come out of `n`.
    pub fn out_len(&self, n: usize) -> usize {
        if n == 0 {
            0
        } else {
            (n + self.pad_before + 1 - 3) / 2 + 1
        }
    }

    /// Output frequencies.
    pub fn out_freqs(&self) -> usize {
        self.out_len(self.freqs)
    }

    /// The input rows that output rows `out` see, within an image of `total_rows`.
    pub fn input_rows(&self, out: &Range<usize>, total_rows: usize) -> Range<usize> {
        if out.is_empty() {
            return 0..0;
        }
        let start = (2 * out.start).saturating_sub(self.pad_before);
        let end = (2 * (out.end - 1) + 3).saturating_sub(self.pad_before);
        start.min(total_rows)..end.min(total_rows)
    }
}

/// 3x3 convolution of stride 2 from one channel to `bias.len()` channels, with ReLU.
///
/// `weights` is `[9, channels]`, taps in row order; `out` is `[out_rows, out_freqs, channels]`. The window must hold
/// [`Conv2dGeometry::input_rows`].
pub fn conv2d_first(
    input: &RowWindow<'_>,
    weights: &[f32],
    bias: &[f32],
    geometry: &Conv2dGeometry,
    out_rows: Range<usize>,
    out: &mut [f32],
) {
    assert_eq!(
        geometry.in_channels, 1,
        "the first convolution has one input channel"
    );
    check_conv2d(input, weights, bias, geometry, &out_rows, out);
    Conv2d {
        input,
        weights,
        bias,
        geometry,
        out_rows,
        one_channel: true,
        out,
    }
    .dispatch();
}

/// Depthwise 3x3 convolution of stride 2, without activation; otherwise as [`conv2d_first`].
pub fn conv2d_depthwise(
    input: &RowWindow<'_>,
    weights: &[f32],
    bias: &[f32],
    geometry: &Conv2dGeometry,
    out_rows: Range<usize>,
    out: &mut [f32],
) {
    assert_eq!(
        geometry.in_channels,
        bias.len(),
        "a depthwise convolution keeps its channels"
    );
    check_conv2d(input, weights, bias, geometry, &out_rows, out);
    Conv2d {
        input,
        weights,
        bias,
        geometry,
        out_rows,
        one_channel: false,
        out,
    }
    .dispatch();
}

fn check_conv2d(
    input: &RowWindow<'_>,
    weights: &[f32],
    bias: &[f32],
    geometry: &Conv2dGeometry,
    out_rows: &Range<usize>,
    out: &[f32],
) {
    assert_eq!(
        weights.len(),
        9 * bias.len(),
        "weights are not [9, {}]",
        bias.len()
    );
    assert_eq!(
        out.len(),
        out_rows.len() * geometry.out_freqs() * bias.len(),
        "output of the wrong size"
    );
    let needed = geometry.input_rows(out_rows, input.total_rows);
    let held = input.data.len() / (geometry.freqs * geometry.in_channels).max(1);
    assert!(
        needed.is_empty()
            || (needed.start >= input.first_row && needed.end <= input.first_row + held),
        "rows {needed:?} are needed, {}+{held} are there",
        input.first_row
    );
}

struct Conv2d<'a> {
    input: &'a RowWindow<'a>,
    weights: &'a [f32],
    bias: &'a [f32],
    geometry: &'a Conv2dGeometry,
    out_rows: Range<usize>,
    one_channel: bool,
    out: &'a mut [f32],
}

/// What the taps of one output position read.
struct Taps<'a> {
    image: &'a [f32],
    weights: &'a [f32],
    bias: &'a [f32],
}

impl<'a> SimdOp for Conv2d<'a> {
    type Output = &'a mut [f32];

    #[inline(always)]
    fn eval<I: Isa>(self, isa: I) -> Self::Output {
        let (channels, freqs) = (self.bias.len(), self.geometry.freqs);
        let (out_freqs, pad) = (self.geometry.out_freqs(), self.geometry.pad_before);
        let kernel = Taps {
            image: self.input.data,
            weights: self.weights,
            bias: self.bias,
        };
        for (row, out) in self
            .out_rows
            .zip(self.out.chunks_exact_mut((out_freqs * channels).max(1)))
        {
            for (freq, out) in out.chunks_exact_mut(channels).enumerate() {
                // The taps inside the image: (offset of the input value, offset of the weight row).
                let mut taps = [(0usize, 0usize); 9];
                let mut count = 0;
                for tap in 0..9 {
                    let (r, f) = (2 * row + tap / 3, 2 * freq + tap % 3);
                    if r < pad || r - pad >= self.input.total_rows || f < pad || f - pad >= freqs {
                        continue;
                    }
                    let at = (r - pad - self.input.first_row) * freqs + f - pad;
                    taps[count] = (at * self.geometry.in_channels, tap * channels);
                    count += 1;
                }
                if self.one_channel {
                    multiply_image::<I, true>(isa, &kernel, &taps[..count], out);
                } else {
                    multiply_image::<I, false>(isa, &kernel, &taps[..count], out);
                }
            }
        }
        self.out
    }
}

/// `out[c] = bias[c] + Σ taps`, taps in order. With one input channel every output channel multiplies the same input
/// value, and ReLU follows.
#[inline(always)]
fn multiply_image<I: Isa, const ONE_CHANNEL: bool>(
    isa: I,
    kernel: &Taps<'_>,
    taps: &[(usize, usize)],
    out: &mut [f32],
) {
    let ops = isa.f32();
    let (lanes, channels) = (ops.len(), out.len());
    let mut at = 0;
    while at + lanes <= channels {
        let mut sum = ops.load(&kernel.bias[at..]);
        for &(x, w) in taps {
            let value = if ONE_CHANNEL {
                ops.splat(kernel.image[x])
            } else {
                ops.load(&kernel.image[x + at..])
            };
            sum = ops.mul_add(value, ops.load(&kernel.weights[w + at..]), sum);
        }
        if ONE_CHANNEL {
            sum = ops.max(sum, ops.zero());
        }
        ops.store(sum, &mut out[at..]);
        at += lanes;
    }
    for (c, out) in out.iter_mut().enumerate().skip(at) {
        let mut sum = kernel.bias[c];
        for &(x, w) in taps {
            let value = kernel.image[if ONE_CHANNEL { x } else { x + c }];
            sum += value * kernel.weights[w + c];
        }
        *out = if ONE_CHANNEL { sum.max(0.0) } else { sum };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isa::on_every_isa;
    use crate::reference;

    fn ramp(n: usize) -> Vec<f32> {
        (0..n)
            .map(|i| ((i * 53 % 89) as f32 - 44.0) * 0.05)
            .collect()
    }

    fn leak(n: usize) -> &'static mut [f32] {
        Box::leak(vec![0.0; n].into_boxed_slice())
    }

    #[test]
    fn depthwise_conv1d_equals_the_plain_loop_on_every_isa() {
        for channels in [1, 15, 16, 17, 40] {
            for (kernel, left) in [(9, 4), (9, 8), (5, 2), (31, 15), (1, 0)] {
                let (x, w, b) = (ramp(12 * channels), ramp(kernel * channels), ramp(channels));
                let expected = reference::depthwise_conv1d(&x, &w, &b, left);
                for frames in [0..12, 3..4, 5..12] {
                    on_every_isa(
                        || DepthwiseConv1d {
                            x: &x,
                            weights: &w,
                            bias: &b,
                            left,
                            frames: frames.clone(),
                            out: leak(frames.len() * channels),
                        },
                        |isa, out| {
                            for (a, e) in out.iter().zip(&expected[frames.start * channels..]) {
                                assert!(
                                    (a - e).abs() < 1e-4,
                                    "{isa} {channels} {kernel} {frames:?}: {a} {e}"
                                );
                            }
                        },
                    );
                }
            }
        }
    }

    #[test]
    fn conv2d_equals_the_plain_loop_on_every_isa_and_in_any_window() {
        for (in_channels, channels) in [(1, 1), (1, 8), (1, 33), (16, 16), (17, 17)] {
            for (rows, freqs, pad_before) in [(11, 10, 1), (8, 9, 1), (11, 10, 2), (1, 2, 2)] {
                let geometry = Conv2dGeometry {
                    freqs,
                    in_channels,
                    pad_before,
                };
                let image = ramp(rows * freqs * in_channels);
                let (w, b) = (ramp(9 * channels), ramp(channels));
                let out_total = geometry.out_len(rows);
                for out_rows in [0..out_total, out_total - 1..out_total, 0..1] {
                    let needed = geometry.input_rows(&out_rows, rows);
                    let line = freqs * in_channels;
                    let window = RowWindow {
                        data: &image[needed.start * line..needed.end * line],
                        first_row: needed.start,
                        total_rows: rows,
                    };
                    let mut expected =
                        reference::conv2d(&window, &w, &b, &geometry, out_rows.clone());
                    if in_channels == 1 {
                        crate::relu(&mut expected);
                    }
                    on_every_isa(
                        || Conv2d {
                            input: &window,
                            weights: &w,
                            bias: &b,
                            geometry: &geometry,
                            out_rows: out_rows.clone(),
                            one_channel: in_channels == 1,
                            out: leak(expected.len()),
                        },
                        |isa, out| {
                            for (a, e) in out.iter().zip(&expected) {
                                assert!(
                                    (a - e).abs() < 1e-4,
                                    "{isa} {geometry:?} {out_rows:?}: {a} {e}"
                                );
                            }
                        },
                    );
                }
            }
        }
    }
}
