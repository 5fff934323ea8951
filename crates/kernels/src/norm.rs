//! Layer norm and softmax over rows.

use rten_simd::ops::{BitOps, NumOps};
use rten_simd::{Isa, SimdOp};

/// Layer norm over each row of `scale.len()` values: `(x - mean) / sqrt(var + eps) · scale + shift`, two passes.
///
/// `x` and `out` are `[rows, width]`; `out` may not alias `x`.
pub fn layer_norm(x: &[f32], scale: &[f32], shift: &[f32], eps: f32, out: &mut [f32]) {
    let width = scale.len();
    assert_eq!(shift.len(), width);
    assert_eq!(x.len(), out.len());
    assert!(
        width > 0 && x.len().is_multiple_of(width),
        "{} values are not rows of {width}",
        x.len()
    );
    LayerNorm {
        x,
        scale,
        shift,
        eps,
        out,
    }
    .dispatch();
}

struct LayerNorm<'a> {
    x: &'a [f32],
    scale: &'a [f32],
    shift: &'a [f32],
    eps: f32,
    out: &'a mut [f32],
}

impl<'a> SimdOp for LayerNorm<'a> {
    type Output = &'a mut [f32];

    #[inline(always)]
    fn eval<I: Isa>(self, isa: I) -> Self::Output {
        let width = self.scale.len();
        for (x, out) in self
            .x
            .chunks_exact(width)
            .zip(self.out.chunks_exact_mut(width))
        {
            normalize_row(isa, x, self.scale, self.shift, self.eps, out);
        }
        self.out
    }
}

/// Layer norm of one row; all slices have its length.
#[inline(always)]
pub(crate) fn normalize_row<I: Isa>(
    isa: I,
    x: &[f32],
    scale: &[f32],
    shift: &[f32],
    eps: f32,
    out: &mut [f32],
) {
    let ops = isa.f32();
    let (width, lanes) = (x.len(), ops.len());
    let body = width - width % lanes;
    let mut sum = ops.zero();
    for at in (0..body).step_by(lanes) {
        sum = ops.add(sum, ops.load(&x[at..]));
    }
    let tail: f32 = x[body..].iter().sum();
    let mean = (ops.sum(sum) + tail) / width as f32;
    let means = ops.splat(mean);
    let mut squares = ops.zero();
    for at in (0..body).step_by(lanes) {
        let d = ops.sub(ops.load(&x[at..]), means);
        squares = ops.mul_add(d, d, squares);
    }
    let tail: f32 = x[body..].iter().map(|v| (v - mean) * (v - mean)).sum();
    let inv = 1.0 / ((ops.sum(squares) + tail) / width as f32 + eps).sqrt();
    let invs = ops.splat(inv);
    for at in (0..body).step_by(lanes) {
        let y = ops.mul(ops.sub(ops.load(&x[at..]), means), invs);
        let y = ops.mul_add(y, ops.load(&scale[at..]), ops.load(&shift[at..]));
        ops.store(y, &mut out[at..]);
    }
    for at in body..width {
        out[at] = (x[at] - mean) * inv * scale[at] + shift[at];
    }
}

/// Softmax of one row, in place. An empty row stays empty.
pub fn softmax(row: &mut [f32]) {
    if !row.is_empty() {
        rten_vecmath::Softmax::new_mut(row).dispatch();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isa::on_every_isa;
    use crate::reference;

    #[test]
    fn layer_norm_equals_the_plain_loop_on_every_isa() {
        for width in [1, 2, 15, 16, 17, 144, 1024] {
            let x: Vec<f32> = (0..3 * width)
                .map(|i| ((i * 37 % 101) as f32 - 50.0) * 0.3)
                .collect();
            let scale: Vec<f32> = (0..width).map(|i| 1.0 + (i % 7) as f32 * 0.1).collect();
            let shift: Vec<f32> = (0..width).map(|i| (i % 5) as f32 * 0.2).collect();
            let expected = reference::layer_norm(&x, &scale, &shift, 1e-5);
            let buffer = std::cell::RefCell::new(vec![0.0; x.len()]);
            on_every_isa(
                || LayerNorm {
                    x: &x,
                    scale: &scale,
                    shift: &shift,
                    eps: 1e-5,
                    out: Box::leak(buffer.borrow().clone().into_boxed_slice()),
                },
                |isa, out| {
                    for (i, (a, e)) in out.iter().zip(&expected).enumerate() {
                        assert!(
                            (a - e).abs() < 1e-4,
                            "{isa}, width {width}, at {i}: {a} {e}"
                        );
                    }
                },
            );
        }
    }

    #[test]
    fn softmax_equals_the_plain_loop() {
        for n in [1, 2, 16, 31, 375] {
            let x: Vec<f32> = (0..n)
                .map(|i| ((i * 29 % 83) as f32 - 40.0) * 0.2)
                .collect();
            let mut y = x.clone();
            softmax(&mut y);
            for (a, e) in y.iter().zip(reference::softmax(&x)) {
                assert!((a - e).abs() < 1e-6, "{n}: {a} {e}");
            }
        }
        softmax(&mut []);
    }
}
