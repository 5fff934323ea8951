//! Matrix products on `rten-gemm`.

use rten_gemm::{BiasVector, GemmExecutor, GemmInputA, GemmInputB, GemmOptions, PackedBMatrix};
use rten_tensor::NdTensorView;

thread_local! {
    // The executor holds only the kernel picked for this CPU, so every thread's is the same; it may not change threads.
    static EXECUTOR: GemmExecutor = GemmExecutor::new();
}

/// Name of the matrix kernel picked for this CPU.
pub fn kernel_name() -> String {
    EXECUTOR.with(|e| e.kernel_name().to_owned())
}

/// A view of rows that may lie inside wider rows: `[rows, width]` with `stride` elements between row starts.
#[derive(Clone, Copy, Debug)]
pub struct Rows<'a> {
    data: &'a [f32],
    rows: usize,
    width: usize,
    stride: usize,
}

impl<'a> Rows<'a> {
    /// Rows that lie one after the other. Panics if `data` is not a whole number of rows.
    pub fn dense(data: &'a [f32], width: usize) -> Self {
        assert!(
            width > 0 && data.len().is_multiple_of(width),
            "{} values are not rows of {width}",
            data.len()
        );
        Rows {
            data,
            rows: data.len() / width,
            width,
            stride: width,
        }
    }

    /// Columns `offset .. offset + width` of rows of `stride` elements. Panics if they do not fit.
    pub fn columns(data: &'a [f32], stride: usize, offset: usize, width: usize) -> Self {
        assert!(
            stride > 0 && data.len().is_multiple_of(stride),
            "{} values are not rows of {stride}",
            data.len()
        );
        assert!(
            offset + width <= stride,
            "columns {offset}+{width} lie outside rows of {stride}"
        );
        let rows = data.len() / stride;
        Rows {
            data: if rows == 0 { data } else { &data[offset..] },
            rows,
            width,
            stride,
        }
    }

    /// Number of rows.
    pub fn count(&self) -> usize {
        self.rows
    }

    fn matrix(&self) -> NdTensorView<'a, f32, 2> {
        if self.rows == 0 {
            return NdTensorView::from_data([0, self.width], &[][..]);
        }
        let used = (self.rows - 1) * self.stride + self.width;
        NdTensorView::from_data_with_strides(
            [self.rows, self.width],
            &self.data[..used],
            [self.stride, 1],
        )
        .expect("the view's length was computed from its strides")
    }
}

/// The weights of a linear map, laid out for the matrix kernel of this CPU.
pub struct PackedMatrix {
    packed: PackedBMatrix<f32>,
    outputs: usize,
    inputs: usize,
}

impl PackedMatrix {
    /// Packs `weights` `[outputs, inputs]`, the layout of `torch.nn.Linear`.
    pub fn pack(weights: &[f32], outputs: usize, inputs: usize) -> Self {
        assert_eq!(
            weights.len(),
            outputs * inputs,
            "weights are not [{outputs}, {inputs}]"
        );
        let view = NdTensorView::from_data([outputs, inputs], weights);
        PackedMatrix {
            packed: EXECUTOR.with(|e| e.prepack_b(view.transposed())),
            outputs,
            inputs,
        }
    }

    /// Rows of the weight matrix: values per output row.
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// Columns of the weight matrix: values per input row.
    pub fn inputs(&self) -> usize {
        self.inputs
    }
}

impl std::fmt::Debug for PackedMatrix {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PackedMatrix[{}, {}]", self.outputs, self.inputs)
    }
}

/// `out = x · wᵀ + bias`: `x` `[rows, inputs]`, `out` `[rows, outputs]`.
///
/// A row's result depends on that row alone: not on the other rows, their number, or the thread count.
pub fn matmul(x: Rows<'_>, w: &PackedMatrix, bias: Option<&[f32]>, out: &mut [f32]) {
    product(x, w, bias, 0.0, out);
}

/// `out += x · wᵀ + bias`, otherwise as [`matmul`].
pub fn matmul_add(x: Rows<'_>, w: &PackedMatrix, bias: Option<&[f32]>, out: &mut [f32]) {
    product(x, w, bias, 1.0, out);
}

fn product(x: Rows<'_>, w: &PackedMatrix, bias: Option<&[f32]>, beta: f32, out: &mut [f32]) {
    assert_eq!(
        x.width, w.inputs,
        "rows of {} meet weights of {} inputs",
        x.width, w.inputs
    );
    assert_eq!(
        out.len(),
        x.rows * w.outputs,
        "the output is not [{}, {}]",
        x.rows,
        w.outputs
    );
    run(x.matrix(), GemmInputB::Packed(&w.packed), bias, beta, out);
}

/// `out[i, j] = a_i · b_j`: both `[_, width]`; every row of `a` against every row of `b`.
///
/// `a` must hold at least two rows: a single one would take another path through the kernel and round differently.
pub fn matmul_by_rows(a: Rows<'_>, b: Rows<'_>, out: &mut [f32]) {
    assert!(a.rows >= 2, "fewer than two rows");
    assert_eq!(
        a.width, b.width,
        "rows of {} meet rows of {}",
        a.width, b.width
    );
    assert_eq!(
        out.len(),
        a.rows * b.rows,
        "the output is not [{}, {}]",
        a.rows,
        b.rows
    );
    run(
        a.matrix(),
        GemmInputB::Unpacked(b.matrix().transposed()),
        None,
        0.0,
        out,
    );
}

/// `out = a · b` for `a` `[rows, n]` and `b` `[n, width]`. `a` must hold at least two rows, as in [`matmul_by_rows`].
pub fn matmul_by_columns(a: Rows<'_>, b: Rows<'_>, out: &mut [f32]) {
    assert!(a.rows >= 2, "fewer than two rows");
    assert_eq!(a.width, b.rows, "rows of {} meet {} rows", a.width, b.rows);
    assert_eq!(
        out.len(),
        a.rows * b.width,
        "the output is not [{}, {}]",
        a.rows,
        b.width
    );
    run(a.matrix(), GemmInputB::Unpacked(b.matrix()), None, 0.0, out);
}

fn run(
    a: NdTensorView<'_, f32, 2>,
    b: GemmInputB<'_, f32>,
    bias: Option<&[f32]>,
    beta: f32,
    out: &mut [f32],
) {
    let options = GemmOptions {
        beta,
        bias: bias.map(BiasVector::Row),
        ..GemmOptions::default()
    };
    EXECUTOR
        .with(|e| e.gemm(out, GemmInputA::Unpacked(a), b, options))
        .expect("shapes were checked by the caller and packing uses this executor");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference;

    fn noise(n: usize, seed: u32) -> Vec<f32> {
        let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(1);
        (0..n)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 8) as f32 / (1 << 23) as f32 - 1.0
            })
            .collect()
    }

    #[test]
    fn products_equal_the_plain_loop_for_every_shape() {
        for (rows, inputs, outputs) in [
            (1, 1, 1),
            (1, 7, 5),
            (2, 256, 33),
            (5, 257, 64),
            (70, 600, 129),
        ] {
            let (x, w, b) = (
                noise(rows * inputs, 1),
                noise(outputs * inputs, 2),
                noise(outputs, 3),
            );
            let expected = reference::matmul(&x, &w, Some(&b), inputs, outputs);
            let mut out = vec![0.0; rows * outputs];
            let packed = PackedMatrix::pack(&w, outputs, inputs);
            matmul(Rows::dense(&x, inputs), &packed, Some(&b), &mut out);
            for (i, (a, e)) in out.iter().zip(&expected).enumerate() {
                assert!(
                    (a - e).abs() < 2e-5 * inputs as f32,
                    "[{rows},{inputs},{outputs}] at {i}: {a} {e}"
                );
            }
            matmul_add(Rows::dense(&x, inputs), &packed, Some(&b), &mut out);
            for (a, e) in out.iter().zip(&expected) {
                assert!((a - 2.0 * e).abs() < 4e-5 * inputs as f32);
            }
        }
    }

    #[test]
    fn a_row_does_not_depend_on_its_neighbours_or_on_threads() {
        let (inputs, outputs) = (300, 210);
        let (x, w) = (noise(67 * inputs, 4), noise(outputs * inputs, 5));
        let packed = PackedMatrix::pack(&w, outputs, inputs);
        let mut whole = vec![0.0; 67 * outputs];
        matmul(Rows::dense(&x, inputs), &packed, None, &mut whole);
        for threads in [1, 2, 3] {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .expect("a pool");
            for range in [0..1, 3..4, 66..67, 0..2, 5..19, 1..67] {
                let mut part = vec![0.0; range.len() * outputs];
                let rows = Rows::dense(&x[range.start * inputs..range.end * inputs], inputs);
                pool.install(|| matmul(rows, &packed, None, &mut part));
                assert_eq!(
                    part,
                    whole[range.start * outputs..range.end * outputs],
                    "{range:?}, {threads} threads"
                );
            }
        }
    }

    #[test]
    fn products_of_two_activations_equal_the_plain_loop() {
        let (rows, keys, width) = (9, 21, 16);
        let (a, wide) = (noise(rows * width, 6), noise(keys * 3 * width, 7));
        let b = Rows::columns(&wide, 3 * width, width, width);
        let dense: Vec<f32> = wide
            .chunks_exact(3 * width)
            .flat_map(|row| row[width..2 * width].to_vec())
            .collect();
        let mut scores = vec![0.0; rows * keys];
        matmul_by_rows(Rows::dense(&a, width), b, &mut scores);
        for (s, e) in scores
            .iter()
            .zip(reference::matmul(&a, &dense, None, width, keys))
        {
            assert!((s - e).abs() < 1e-5);
        }
        let mut mixed = vec![0.0; rows * width];
        matmul_by_columns(Rows::dense(&scores, keys), b, &mut mixed);
        let transposed: Vec<f32> = (0..width)
            .flat_map(|c| (0..keys).map(|k| dense[k * width + c]).collect::<Vec<_>>())
            .collect();
        for (m, e) in mixed
            .iter()
            .zip(reference::matmul(&scores, &transposed, None, keys, width))
        {
            assert!((m - e).abs() < 1e-4);
        }
    }
}
