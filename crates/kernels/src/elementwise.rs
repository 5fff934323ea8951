//! Activations and gates.

use rten_simd::ops::{BitOps, NumOps};
use rten_simd::{Isa, Simd, SimdOp, SimdUnaryOp};
use rten_vecmath::{Sigmoid, Silu, Tanh};

use crate::Rows;
use crate::span::Span;

/// `x · sigmoid(x)` in place.
pub fn silu(x: &mut [f32]) {
    Silu {}.map_mut(x);
}

/// The hyperbolic tangent in place.
pub fn tanh(x: &mut [f32]) {
    Tanh {}.map_mut(x);
}

/// `max(x, 0)` in place.
pub fn relu(x: &mut [f32]) {
    for v in x {
        *v = v.max(0.0);
    }
}

/// Adds `bias` to every row of `x` `[rows, bias.len()]`.
pub fn add_bias_rows(x: &mut [f32], bias: &[f32]) {
    assert!(!bias.is_empty() && x.len().is_multiple_of(bias.len()));
    for row in x.chunks_exact_mut(bias.len()) {
        for (v, b) in row.iter_mut().zip(bias) {
            *v += b;
        }
    }
}

/// Scales rows and adds others: `h[t, c] = x[t, c] + scale[t] · h[t, c]`, where `x` and `h` are `[scale.len(), channels]`.
///
/// # Panics
/// Where a shape does not fit.
pub fn scale_rows_and_add(h: &mut [f32], scale: &[f32], x: &[f32], channels: usize) {
    assert!(
        channels > 0 && x.len() == scale.len() * channels,
        "the rows are not [{}, {channels}]",
        scale.len()
    );
    assert_eq!(x.len(), h.len(), "both sides need the same rows");
    ScaleRowsAndAdd {
        span: Span::in_place(h),
        x,
        scale,
        channels,
    }
    .dispatch();
}

struct ScaleRowsAndAdd<'a> {
    span: Span<'a>,
    x: &'a [f32],
    scale: &'a [f32],
    channels: usize,
}

impl<'a> SimdOp for ScaleRowsAndAdd<'a> {
    type Output = &'a mut [f32];

    #[inline(always)]
    fn eval<I: Isa>(mut self, isa: I) -> Self::Output {
        let (ops, channels) = (isa.f32(), self.channels);
        for (t, (x, scale)) in self.x.chunks_exact(channels).zip(self.scale).enumerate() {
            let scale = ops.splat(*scale);
            self.span.change(
                ops,
                (t * channels, channels),
                [x],
                #[inline(always)]
                |h, [x]| ops.mul_add(scale, h, x),
            );
        }
        self.span.written()
    }
}

/// Rows without others: `out[r] = x[r] - y[r]`, `[rows, width]`.
///
/// # Panics
/// Where a shape does not fit.
pub fn differences(x: Rows<'_>, y: Rows<'_>, out: &mut [f32]) {
    let shape = (x.count(), x.width());
    assert_eq!(shape, (y.count(), y.width()), "rows of another shape");
    assert!(
        shape.0.checked_mul(shape.1) == Some(out.len()),
        "the output is not {shape:?}"
    );
    Differences { x, y, out }.dispatch();
}

struct Differences<'a> {
    x: Rows<'a>,
    y: Rows<'a>,
    out: &'a mut [f32],
}

impl<'a> SimdOp for Differences<'a> {
    type Output = &'a mut [f32];

    #[inline(always)]
    fn eval<I: Isa>(self, isa: I) -> Self::Output {
        let (ops, width) = (isa.f32(), self.x.width());
        for (r, out) in self.out.chunks_exact_mut(width).enumerate() {
            Span::apart(self.x.row(r), out).change(
                ops,
                (0, width),
                [self.y.row(r)],
                #[inline(always)]
                |x, [y]| ops.sub(x, y),
            );
        }
        self.out
    }
}

/// Gated linear unit: each row `[a, b]` of `x` `[rows, 2 · width]` becomes `a · sigmoid(b)` in `out` `[rows, width]`.
pub fn glu(x: &[f32], width: usize, out: &mut [f32]) {
    assert!(width > 0 && x.len() == 2 * out.len() && out.len().is_multiple_of(width));
    Glu { x, width, out }.dispatch();
}

struct Glu<'a> {
    x: &'a [f32],
    width: usize,
    out: &'a mut [f32],
}

impl<'a> SimdOp for Glu<'a> {
    type Output = &'a mut [f32];

    #[inline(always)]
    fn eval<I: Isa>(self, isa: I) -> Self::Output {
        let ops = isa.f32();
        let (width, lanes) = (self.width, ops.len());
        for (row, out) in self
            .x
            .chunks_exact(2 * width)
            .zip(self.out.chunks_exact_mut(width))
        {
            let (a, b) = row.split_at(width);
            let mut at = 0;
            while at + lanes <= width {
                let gate = Sigmoid::apply(isa, ops.load(&b[at..]));
                ops.store(ops.mul(ops.load(&a[at..]), gate), &mut out[at..]);
                at += lanes;
            }
            if at < width {
                let (tail, _) = ops.load_pad(&b[at..]);
                let gate = Sigmoid::apply(isa, tail).to_array();
                for (k, g) in (at..width).zip(gate.as_ref()) {
                    out[k] = a[k] * g;
                }
            }
        }
        self.out
    }
}

/// One step of LSTM cells in PyTorch's gate order i, f, g, o.
///
/// `gates` `[4 · hidden]` (input, forget, cell, output before their activations) is used as scratch; the cell state `c`
/// and the output `h` `[hidden]` are replaced.
pub fn lstm_cell(gates: &mut [f32], c: &mut [f32], h: &mut [f32]) {
    let n = c.len();
    assert_eq!(h.len(), n);
    assert_eq!(gates.len(), 4 * n);
    Sigmoid {}.map_mut(&mut gates[..2 * n]);
    Tanh {}.map_mut(&mut gates[2 * n..3 * n]);
    Sigmoid {}.map_mut(&mut gates[3 * n..]);
    for k in 0..n {
        c[k] = gates[n + k] * c[k] + gates[k] * gates[2 * n + k];
        h[k] = c[k];
    }
    Tanh {}.map_mut(h);
    for (v, o) in h.iter_mut().zip(&gates[3 * n..]) {
        *v *= o;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isa::on_every_isa;
    use crate::reference;

    fn ramp(n: usize) -> Vec<f32> {
        (0..n)
            .map(|i| ((i * 31 % 97) as f32 - 48.0) * 0.11)
            .collect()
    }

    #[test]
    fn differences_are_those_of_the_plain_loop_on_every_isa() {
        for (rows, width) in [(1, 1), (3, 16), (5, 37), (2, 100)] {
            let x = ramp((rows + 1) * width);
            let (first, second) = (Rows::dense(&x[width..], width), &x[..rows * width]);
            // Rows that overlap, from the last to the first value.
            let second = Rows::overlapping(second, rows, width, width - 1);
            let mut expected = Vec::new();
            for r in 0..rows {
                let pairs = first.row(r).iter().zip(second.row(r));
                expected.extend(pairs.map(|(x, y)| x - y));
            }
            let mut out = vec![f32::NAN; rows * width];
            differences(first, second, &mut out);
            assert_eq!(out, expected);
            let call = || Differences {
                x: first,
                y: second,
                out: vec![f32::NAN; rows * width].leak(),
            };
            on_every_isa(call, |isa, out| {
                assert_eq!(out, expected, "{isa}, {rows} rows of {width}")
            });
        }
    }

    #[test]
    fn glu_equals_the_plain_loop_on_every_isa() {
        for width in [1, 3, 15, 16, 17, 144] {
            let x = ramp(3 * 2 * width);
            let expected = reference::glu(&x, width);
            on_every_isa(
                || Glu {
                    x: &x,
                    width,
                    out: Box::leak(vec![0.0; 3 * width].into_boxed_slice()),
                },
                |isa, out| {
                    for (a, e) in out.iter().zip(&expected) {
                        assert!((a - e).abs() < 1e-5, "{isa}, width {width}: {a} {e}");
                    }
                },
            );
        }
    }

    #[test]
    fn silu_and_relu_equal_the_plain_loops() {
        let x = ramp(133);
        let mut y = x.clone();
        silu(&mut y);
        for (a, e) in y.iter().zip(reference::silu(&x)) {
            assert!((a - e).abs() < 1e-5);
        }
        let mut y = x.clone();
        relu(&mut y);
        assert!(y.iter().zip(&x).all(|(a, e)| *a == e.max(0.0)));
    }

    #[test]
    fn scaling_rows_and_adding_equals_the_plain_loop_on_every_isa() {
        for channels in [1, 3, 4, 5, 8, 15, 16, 17, 64, 70] {
            for rows in [0, 1, 2, 9] {
                let (x, h) = (ramp(rows * channels), ramp(rows * channels + 7));
                let (h, scale) = (&h[7..], &ramp(rows));
                let expected = reference::scale_rows_and_add(h, scale, &x, channels);
                on_every_isa(
                    || ScaleRowsAndAdd {
                        span: Span::in_place(Box::leak(h.to_vec().into_boxed_slice())),
                        x: &x,
                        scale,
                        channels,
                    },
                    |isa, out| {
                        assert_eq!(out.len(), expected.len());
                        for (a, e) in out.iter().zip(&expected) {
                            assert!((a - e).abs() < 1e-5, "{isa} [{rows}, {channels}]: {a} {e}");
                        }
                    },
                );
                let mut whole = h.to_vec();
                scale_rows_and_add(&mut whole, scale, &x, channels);
                for row in 0..rows {
                    let at = row * channels..(row + 1) * channels;
                    let mut one = h[at.clone()].to_vec();
                    scale_rows_and_add(&mut one, &scale[row..=row], &x[at.clone()], channels);
                    assert_eq!(one, whole[at]);
                }
            }
        }
    }

    #[test]
    fn lstm_cell_equals_the_plain_loop() {
        for hidden in [1, 5, 16, 33] {
            let (gates, c0) = (ramp(4 * hidden), ramp(hidden));
            let (mut c, mut h) = (c0.clone(), vec![0.0; hidden]);
            lstm_cell(&mut gates.clone(), &mut c, &mut h);
            let (mut ce, mut he) = (c0, vec![0.0; hidden]);
            reference::lstm_cell(&gates, &mut ce, &mut he);
            for k in 0..hidden {
                assert!((c[k] - ce[k]).abs() < 1e-5 && (h[k] - he[k]).abs() < 1e-5);
            }
        }
    }
}
