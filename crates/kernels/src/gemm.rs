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

/// A view of rows, `[rows, width]`.
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

    /// Rows that begin every `stride` values: row `r` is `data[r · stride..][..width]`.
    ///
    /// With a stride below `width` the rows share values: over time-major frames these are the windows of a strided
    /// convolution, without a copy. With one above, each row is a part of a longer one. What lies past the last row does
    /// not matter.
    ///
    /// # Panics
    /// Where `data` ends before the last row does, or `width` is 0.
    pub fn overlapping(data: &'a [f32], rows: usize, width: usize, stride: usize) -> Self {
        assert!(width > 0, "rows of no values");
        let needed = match rows {
            0 => Some(0),
            n => (n - 1)
                .checked_mul(stride)
                .and_then(|last| last.checked_add(width)),
        };
        assert!(
            needed.is_some_and(|needed| needed <= data.len()),
            "{} values do not hold {rows} rows of {width}, one every {stride}",
            data.len()
        );
        Rows {
            data,
            rows,
            width,
            stride,
        }
    }

    /// Number of rows.
    pub fn count(&self) -> usize {
        self.rows
    }

    /// Values of a row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Row `r`.
    pub(crate) fn row(&self, r: usize) -> &'a [f32] {
        assert!(r < self.rows, "row {r} of {}", self.rows);
        &self.data[r * self.stride..][..self.width]
    }

    fn matrix(&self) -> NdTensorView<'a, f32, 2> {
        let shape = [self.rows, self.width];
        NdTensorView::from_slice_with_strides(shape, self.data, [self.stride, 1])
            .expect("the constructors checked that the last row ends inside `data`")
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
    run(x.matrix(), w, bias, beta, out);
}

fn run(
    a: NdTensorView<'_, f32, 2>,
    w: &PackedMatrix,
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
        .with(|e| {
            e.gemm(
                out,
                GemmInputA::Unpacked(a),
                GemmInputB::Packed(&w.packed),
                options,
            )
        })
        .expect("shapes were checked by the caller and packing uses this executor");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference;
    use crate::signal::noise;

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
    fn overlapping_rows_give_the_bits_of_copied_ones() {
        for (rows, width, stride, outputs) in [
            (0_usize, 3, 1, 4),
            (1, 7, 2, 5),
            (6, 4, 4, 3),
            (7, 448, 64, 33),
            (70, 300, 150, 129),
            (13, 64, 192, 40),
            (5, 16, 0, 2),
            (33, 1024, 512, 65),
        ] {
            let case = format!("[{rows}, {width}] every {stride}");
            // NaN past the last row: it must not be read into a result.
            let held = rows.saturating_sub(1) * stride + if rows > 0 { width } else { 0 };
            let mut x = noise(held, 6);
            x.extend([f32::NAN; 100]);
            let copied: Vec<f32> = (0..rows)
                .flat_map(|r| x[r * stride..r * stride + width].to_vec())
                .collect();
            let (w, b) = (noise(outputs * width, 7), noise(outputs, 8));
            let packed = PackedMatrix::pack(&w, outputs, width);
            let (mut out, mut dense) = (vec![0.5; rows * outputs], vec![0.5; rows * outputs]);
            for product in [matmul, matmul_add] {
                let view = Rows::overlapping(&x, rows, width, stride);
                product(view, &packed, Some(&b), &mut out);
                product(Rows::dense(&copied, width), &packed, Some(&b), &mut dense);
                assert_eq!(out, dense, "{case}");
            }
            matmul(
                Rows::overlapping(&x, rows, width, stride),
                &packed,
                Some(&b),
                &mut out,
            );
            let expected = reference::matmul(&copied, &w, Some(&b), width, outputs);
            for (i, (a, e)) in out.iter().zip(&expected).enumerate() {
                assert!(
                    (a - e).abs() < 2e-5 * width as f32,
                    "{case} at {i}: {a} {e}"
                );
            }
            for r in 0..rows {
                let mut one = vec![0.0; outputs];
                let row = Rows::overlapping(&x[r * stride..], 1, width, stride);
                matmul(row, &packed, Some(&b), &mut one);
                assert_eq!(one, out[r * outputs..(r + 1) * outputs], "{case}, row {r}");
            }
        }
    }

    #[test]
    fn rows_that_end_outside_their_values_are_refused() {
        let held = [0.0; 10];
        assert_eq!(Rows::overlapping(&held, 4, 4, 2).count(), 4);
        assert_eq!(Rows::overlapping(&[], 0, 4, 2).count(), 0);
        for (rows, width, stride) in [(5, 4, 2), (1, 11, 1), (1, 0, 1), (usize::MAX, 1, 2)] {
            let made = std::panic::catch_unwind(|| Rows::overlapping(&held, rows, width, stride));
            assert!(made.is_err(), "{rows} rows of {width}, one every {stride}");
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
}
