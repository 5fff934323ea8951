use super::micro::panel_vectors;
use super::*;
use crate::isa::on_every_isa;
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
        (70, 1100, 210),
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
        let (base, mut onto) = (noise(rows * outputs, 4), vec![f32::NAN; rows * outputs]);
        let x = Rows::dense(&x, inputs);
        matmul_onto(x, &packed, (&base, Some(&b)), &mut onto);
        let mut added = base.clone();
        matmul_add(x, &packed, Some(&b), &mut added);
        assert_eq!(onto, added);
        for ((a, e), base) in onto.iter().zip(&expected).zip(&base) {
            assert!((a - base - e).abs() < 2e-5 * inputs as f32);
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
fn spread_rows_have_the_bits_of_dense_ones_and_leave_the_others() {
    for (rows, inputs, outputs) in [(1, 3, 5), (4, 600, 33), (40, 64, 130)] {
        let (x, w, b) = (
            noise(rows * inputs, 1),
            noise(outputs * inputs, 2),
            noise(outputs, 3),
        );
        let x = Rows::dense(&x, inputs);
        let w = PackedMatrix::pack(&w, outputs, inputs);
        for (first, every) in [(0, 1), (1, 2), (2, 3)] {
            let held = (first + rows * every) * outputs;
            let before = noise(held, 4);
            let starts = [Start::Bias(Some(&b)), Start::Bias(None), Start::Itself];
            let after = (every > 1).then_some(Start::RowBefore);
            for start in starts.into_iter().chain(after) {
                let mut expected = before.clone();
                for r in 0..rows {
                    let at = (first + r * every) * outputs;
                    let mut row = match start {
                        Start::Bias(_) => vec![0.0; outputs],
                        Start::Itself => before[at..][..outputs].to_vec(),
                        Start::RowBefore => before[at - outputs..][..outputs].to_vec(),
                    };
                    match start {
                        Start::Bias(bias) => matmul(x.range(r..r + 1), &w, bias, &mut row),
                        _ => matmul_add(x.range(r..r + 1), &w, None, &mut row),
                    }
                    expected[at..][..outputs].copy_from_slice(&row);
                }
                let mut out = before.clone();
                matmul_spread(x, &w, start, (first, every), &mut out);
                assert!(
                    out == expected,
                    "{rows} rows from {first} every {every}, {start:?}"
                );
            }
        }
    }
}

#[test]
fn spread_rows_that_do_not_fit_are_refused() {
    let w = PackedMatrix::pack(&[1.0; 6], 3, 2);
    for (start, first, every, held) in [
        (Start::Itself, 0, 2, 2 * 3),
        (Start::Itself, 1, 2, 3 * 3),
        (Start::Itself, 4, 1, 4 * 3),
        (Start::Itself, 0, 0, 9 * 3),
        (Start::Itself, 1, usize::MAX, 9 * 3),
        (Start::RowBefore, 0, 2, 9 * 3),
        (Start::RowBefore, 1, 1, 9 * 3),
    ] {
        let refused = std::panic::catch_unwind(|| {
            let x = Rows::dense(&[1.0; 4], 2);
            matmul_spread(x, &w, start, (first, every), &mut vec![0.0; held]);
        });
        assert!(refused.is_err(), "{start:?} from {first} every {every}");
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
fn more_values_than_can_be_counted_are_refused() {
    let packed = PackedMatrix::pack(&[1.0; 4], 4, 1);
    let rows = Rows::overlapping(&[1.0], 1 << 62, 1, 0);
    let made = std::panic::catch_unwind(|| matmul(rows, &packed, None, &mut []));
    assert!(made.is_err(), "2^62 rows of 4 outputs");
    let made = std::panic::catch_unwind(|| PackedMatrix::pack(&[], 1 << 32, 1 << 32));
    assert!(made.is_err(), "2^64 weights");
}

#[test]
fn a_row_does_not_depend_on_its_neighbours_or_on_threads() {
    // In one part, and in several with weights that are asked for ahead of time.
    for (inputs, outputs) in [(300, 210), (1100, 210)] {
        rows_alone_equal_rows_together(inputs, outputs);
    }
}

fn rows_alone_equal_rows_together(inputs: usize, outputs: usize) {
    const { assert!(1100 * 210 > CACHED && 1100 > DEPTH) };
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

/// All panels of a product on one instruction set, which must have `lanes` lanes.
struct Panels<'a> {
    x: Rows<'a>,
    w: (&'a [f32], usize),
    base: Option<&'a [f32]>,
    bias: Option<&'a [f32]>,
}

impl SimdOp for Panels<'_> {
    type Output = Vec<f32>;

    #[inline(always)]
    fn eval<I: rten_simd::Isa>(self, isa: I) -> Vec<f32> {
        use rten_simd::ops::BitOps;
        let lanes = isa.f32().len();
        let (weights, outputs) = self.w;
        let width = lanes * panel_vectors(lanes);
        let inputs = self.x.width();
        let w = PackedMatrix::pack_for((width, lanes), weights, outputs, inputs);
        let mut out = vec![f32::NAN; self.x.count() * outputs];
        let call = Product {
            x: self.x,
            w: &w,
            base: self.base.map_or(std::ptr::null(), <[f32]>::as_ptr),
            bias: self.bias,
            out: Place {
                first: out.as_mut_ptr(),
                stride: outputs,
            },
        };
        for (depth, panel) in call.parts(0..w.panels()) {
            call.part(&depth, panel, &(0..self.x.count()), &[])
                .eval(isa);
        }
        out
    }
}

#[test]
fn products_equal_the_plain_loop_on_every_isa() {
    for (rows, inputs) in [
        (1, 1),
        (5, 3),
        (6, 64),
        (7, 511),
        (13, 512),
        (8, 513),
        (3, 1100),
    ] {
        for outputs in [1, 3, 4, 8, 15, 16, 17, 31, 33, 48, 50, 63, 64, 65, 130] {
            let (x, w) = (noise(rows * inputs, 1), noise(outputs * inputs, 2));
            let (base, bias) = (noise(rows * outputs, 3), noise(outputs, 4));
            for (base, bias) in [
                (None, None),
                (Some(&base[..]), None),
                (None, Some(&bias[..])),
                (Some(&base[..]), Some(&bias[..])),
            ] {
                let mut expected = reference::matmul(&x, &w, bias, inputs, outputs);
                if let Some(base) = base {
                    expected
                        .iter_mut()
                        .zip(base)
                        .for_each(|(e, base)| *e += base);
                }
                let panels = || Panels {
                    x: Rows::dense(&x, inputs),
                    w: (&w, outputs),
                    base,
                    bias,
                };
                on_every_isa(panels, |isa, out| {
                    for (i, (a, e)) in out.iter().zip(&expected).enumerate() {
                        let case = format!("{isa} [{rows}, {inputs}, {outputs}] at {i}");
                        assert!(
                            (a - e).abs() < 1e-5 * (inputs as f32).sqrt(),
                            "{case}: {a} {e}"
                        );
                    }
                });
            }
        }
    }
}

#[test]
fn products_of_no_rows_or_no_outputs_are_empty() {
    let packed = PackedMatrix::pack(&[1.0; 10], 5, 2);
    matmul(Rows::dense(&[], 2), &packed, None, &mut []);
    let none = PackedMatrix::pack(&[], 0, 2);
    matmul(Rows::dense(&[1.0; 4], 2), &none, Some(&[]), &mut []);
}
