//! Products with few outputs, and attention of one query, row by row.

use rten_simd::ops::{BitOps, NumOps};
use rten_simd::{Isa, Simd, SimdOp};

use crate::span::{load_some, store_some};
use crate::{Rows, softmax};

/// Rows that one inner loop works on.
const BLOCK: usize = 4;
/// Vectors of a row that are summed apart from each other.
const PARTS: usize = 2;

/// `out = x · wᵀ + bias` where there are only a few outputs: `weights` `[outputs, width]`, `bias` `[outputs]`, `out`
/// `[rows, outputs]`.
///
/// The weights are used as they lie, and a row is read once per output: for the one or two outputs of a last convolution
/// this beats a product of packed weights. A row's result depends on that row alone.
///
/// # Panics
/// Where a shape does not fit.
pub fn project_few(x: Rows<'_>, weights: &[f32], bias: &[f32], out: &mut [f32]) {
    assert_eq!(
        weights.len(),
        bias.len() * x.width(),
        "weights are not [{}, {}]",
        bias.len(),
        x.width()
    );
    assert_eq!(
        out.len(),
        x.count() * bias.len(),
        "the output is not [{}, {}]",
        x.count(),
        bias.len()
    );
    ProjectFew {
        x,
        weights,
        bias,
        out,
    }
    .dispatch();
}

struct ProjectFew<'a> {
    x: Rows<'a>,
    weights: &'a [f32],
    bias: &'a [f32],
    out: &'a mut [f32],
}

impl<'a> SimdOp for ProjectFew<'a> {
    type Output = &'a mut [f32];

    #[inline(always)]
    fn eval<I: Isa>(self, isa: I) -> Self::Output {
        let outputs = self.bias.len();
        for (o, weights) in self.weights.chunks_exact(self.x.width()).enumerate() {
            multiply(
                isa,
                &self.x,
                weights,
                #[inline(always)]
                |r, product| self.out[r * outputs + o] = product + self.bias[o],
            );
        }
        self.out
    }
}

/// Attention of one query: the softmax over keys `j` of `scale · query · keys[j]`, applied to `values`.
///
/// `query` is `[width]`, `keys` `[count, width]`, `values` `[count, out.len()]`; both may be columns of longer rows
/// ([`Rows::overlapping`]). `scores` is scratch. Sums run in the order of the keys. Without keys the result is 0.
///
/// # Panics
/// Where a shape does not fit.
pub fn scaled_dot_attention(
    query: &[f32],
    keys: Rows<'_>,
    values: Rows<'_>,
    scale: f32,
    scores: &mut Vec<f32>,
    out: &mut [f32],
) {
    assert_eq!(query.len(), keys.width(), "the query is not a key's size");
    assert_eq!(
        out.len(),
        values.width(),
        "the output is not a value's size"
    );
    assert_eq!(keys.count(), values.count(), "one value per key");
    scores.clear();
    scores.resize(keys.count(), 0.0);
    Attention {
        query,
        keys,
        values,
        scale,
        scores,
        out,
    }
    .dispatch();
}

struct Attention<'a> {
    query: &'a [f32],
    keys: Rows<'a>,
    values: Rows<'a>,
    scale: f32,
    scores: &'a mut [f32],
    out: &'a mut [f32],
}

impl<'a> SimdOp for Attention<'a> {
    type Output = &'a mut [f32];

    #[inline(always)]
    fn eval<I: Isa>(self, isa: I) -> Self::Output {
        let Attention {
            query,
            keys,
            values,
            scale,
            scores,
            out,
        } = self;
        multiply(
            isa,
            &keys,
            query,
            #[inline(always)]
            |key, product| scores[key] = scale * product,
        );
        softmax(scores);
        let ops = isa.f32();
        let mut from = 0;
        for out in out.chunks_mut(BLOCK * ops.len()) {
            if out.len() == BLOCK * ops.len() {
                add_weighted::<I, BLOCK>(isa, &values, scores, from, out);
            } else {
                for (i, out) in out.chunks_mut(ops.len()).enumerate() {
                    let from = from + i * ops.len();
                    add_weighted::<I, 1>(isa, &values, scores, from, out);
                }
            }
            from += out.len();
        }
        out
    }
}

/// `out = Σ_j weights[j] · values[j]`, of the columns from `from`: `VECTORS` vectors of them, the last of which may be cut.
#[inline(always)]
fn add_weighted<I: Isa, const VECTORS: usize>(
    isa: I,
    values: &Rows<'_>,
    weights: &[f32],
    from: usize,
    out: &mut [f32],
) {
    let ops = isa.f32();
    let mut sums = [ops.zero(); VECTORS];
    for (j, weight) in weights.iter().enumerate() {
        let weight = ops.splat(*weight);
        let row = &values.row(j)[from..from + out.len()];
        for (v, sum) in sums.iter_mut().enumerate() {
            let value = load_some(ops, &row[v * ops.len()..]);
            *sum = ops.mul_add(weight, value, *sum);
        }
    }
    for (v, sum) in sums.into_iter().enumerate() {
        store_some(ops, sum, &mut out[v * ops.len()..]);
    }
}

/// Hands the product of each row with `weights` to `take`.
#[inline(always)]
fn multiply<I: Isa>(isa: I, x: &Rows<'_>, weights: &[f32], mut take: impl FnMut(usize, f32)) {
    let whole = x.count() - x.count() % BLOCK;
    for first in (0..whole).step_by(BLOCK) {
        let products = dot::<I, BLOCK>(isa, std::array::from_fn(|r| x.row(first + r)), weights);
        for (r, product) in products.into_iter().enumerate() {
            take(first + r, product);
        }
    }
    for r in whole..x.count() {
        let [product] = dot(isa, [x.row(r)], weights);
        take(r, product);
    }
}

/// The product of each of `ROWS` rows with `weights`: the same sums for any number of rows.
#[inline(always)]
fn dot<I: Isa, const ROWS: usize>(isa: I, rows: [&[f32]; ROWS], weights: &[f32]) -> [f32; ROWS] {
    let ops = isa.f32();
    let (width, lanes) = (weights.len(), ops.len());
    assert!(rows.iter().all(|row| row.len() == width));
    let whole = width - width % (PARTS * lanes);
    let mut sums = [[ops.zero(); PARTS]; ROWS];
    for at in (0..whole).step_by(PARTS * lanes) {
        for part in 0..PARTS {
            let at = at + part * lanes;
            // SAFETY: `at + lanes <= whole <= width`, the length of the weights and, asserted above, of every row.
            unsafe {
                let weights = ops.load_ptr(weights.as_ptr().add(at));
                for (row, sums) in rows.iter().zip(&mut sums) {
                    let values = ops.load_ptr(row.as_ptr().add(at));
                    sums[part] = ops.mul_add(values, weights, sums[part]);
                }
            }
        }
    }
    for (part, at) in (whole..width).step_by(lanes).enumerate() {
        let weights = load_some(ops, &weights[at..]);
        for (row, sums) in rows.iter().zip(&mut sums) {
            sums[part] = ops.mul_add(load_some(ops, &row[at..]), weights, sums[part]);
        }
    }
    sums.map(
        #[inline(always)]
        |[a, b]| sum_lanes(ops, ops.add(a, b)),
    )
}

/// The sum of all lanes, halves first. Unlike a sum whose order is left to the compiler, it is the same wherever it is used.
#[inline(always)]
fn sum_lanes<O: NumOps<f32>>(ops: O, values: O::Simd) -> f32 {
    let mut lanes = values.to_array();
    let mut n = ops.len();
    while n > 1 {
        n /= 2;
        for i in 0..n {
            lanes[i] += lanes[i + n];
        }
    }
    lanes[0]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isa::on_every_isa;
    use crate::reference;
    use crate::signal::noise;

    /// Rows of `width` with `gap` values of NaN between them.
    fn spread(dense: &[f32], width: usize, gap: usize) -> Vec<f32> {
        let row = |row: &[f32]| [row, &vec![f32::NAN; gap]].concat();
        dense.chunks_exact(width).flat_map(row).collect()
    }

    #[test]
    fn few_outputs_equal_the_plain_loop_on_every_isa() {
        for width in [1, 4, 7, 8, 15, 16, 17, 31, 32, 33, 63, 65, 448] {
            for (rows, outputs, stride) in
                [(0, 1, 1), (1, 1, 1), (3, 2, 5), (4, 4, 64), (11, 1, 64)]
            {
                let x = noise(rows * stride + width, 1);
                let (w, b) = (noise(outputs * width, 2), noise(outputs, 3));
                let copied: Vec<f32> = (0..rows)
                    .flat_map(|r| x[r * stride..r * stride + width].to_vec())
                    .collect();
                let expected = reference::matmul(&copied, &w, Some(&b), width, outputs);
                on_every_isa(
                    || ProjectFew {
                        x: Rows::overlapping(&x, rows, width, stride),
                        weights: &w,
                        bias: &b,
                        out: Box::leak(vec![f32::NAN; rows * outputs].into_boxed_slice()),
                    },
                    |isa, out| {
                        for (i, (a, e)) in out.iter().zip(&expected).enumerate() {
                            let most = 1e-6 * width as f32;
                            assert!((a - e).abs() <= most, "{isa} {width} at {i}: {a} {e}");
                        }
                    },
                );
            }
        }
    }

    #[test]
    fn a_row_of_few_outputs_does_not_depend_on_its_neighbours() {
        let (width, stride, outputs) = (75, 25, 3);
        let x = noise(40 * stride + width, 4);
        let (w, b) = (noise(outputs * width, 5), noise(outputs, 6));
        let run = |from: usize, rows: usize| {
            let mut out = vec![0.0; rows * outputs];
            let rows = Rows::overlapping(&x[from * stride..], rows, width, stride);
            project_few(rows, &w, &b, &mut out);
            out
        };
        let whole = run(0, 40);
        for (from, rows) in [(0, 1), (1, 3), (2, 4), (7, 9), (39, 1)] {
            let expected = &whole[from * outputs..(from + rows) * outputs];
            assert_eq!(run(from, rows), expected, "{rows} from {from}");
        }
    }

    #[test]
    fn attention_equals_the_plain_loop_on_every_isa() {
        for (count, width, values_width) in [
            (1, 1, 1),
            (3, 4, 5),
            (32, 64, 64),
            (33, 17, 100),
            (250, 64, 48),
        ] {
            let query = noise(width, 1);
            let (keys, values) = (noise(count * width, 2), noise(count * values_width, 3));
            let scale = 3.0 / width as f32;
            let expected =
                reference::scaled_dot_attention(&query, &keys, &values, values_width, scale);
            let keys = spread(&keys, width, 3);
            let values = spread(&values, values_width, 9);
            on_every_isa(
                || Attention {
                    query: &query,
                    keys: Rows::overlapping(&keys, count, width, width + 3),
                    values: Rows::overlapping(&values, count, values_width, values_width + 9),
                    scale,
                    scores: Box::leak(vec![0.0; count].into_boxed_slice()),
                    out: Box::leak(vec![f32::NAN; values_width].into_boxed_slice()),
                },
                |isa, out| {
                    for (i, (a, e)) in out.iter().zip(&expected).enumerate() {
                        assert!(
                            (a - e).abs() < 1e-5,
                            "{isa} {count} {width} {values_width} at {i}: {a} {e}"
                        );
                    }
                },
            );
        }
    }

    #[test]
    fn attention_without_keys_is_zero_and_scratch_does_not_matter() {
        let none = Rows::overlapping(&[], 0, 4, 4);
        let mut out = [f32::NAN; 4];
        scaled_dot_attention(&[1.0; 4], none, none, 1.0, &mut Vec::new(), &mut out);
        assert_eq!(out, [0.0; 4]);
        let x = noise(80, 4);
        let rows = Rows::dense(&x, 4);
        let run = |mut scratch: Vec<f32>| {
            let mut out = [0.0; 4];
            scaled_dot_attention(&x[4..8], rows, rows, 0.5, &mut scratch, &mut out);
            out
        };
        assert_eq!(run(Vec::new()), run(vec![f32::NAN; 1000]));
    }
}
