use super::*;
use crate::reference;
use crate::signal::noise;

fn rows(x: &[f32], width: usize) -> QuantizedRows {
    let mut rows = QuantizedRows::new();
    rows.quantize(x, width, Prologue::None);
    rows
}

/// Every kernel of this CPU; one that it lacks is named on stderr.
fn kernels() -> impl Iterator<Item = DotKernel> {
    DotKernel::ALL.into_iter().filter(|kernel| {
        if !kernel.is_supported() {
            eprintln!("skipped: this CPU has no {}", kernel.name());
        }
        kernel.is_supported()
    })
}

#[test]
fn products_equal_the_plain_loop_on_every_kernel() {
    for (n, inputs, outputs) in [
        (1, 1, 1),
        (1, 7, 5),
        (2, 64, 64),
        (6, 130, 65),
        (7, 33, 200),
        (13, 256, 129),
    ] {
        let (x, w, bias) = (
            noise(n * inputs, 1),
            noise(outputs * inputs, 2),
            noise(outputs, 3),
        );
        let (x, w) = (rows(&x, inputs), Int8Matrix::quantize(&w, outputs, inputs));
        let expected = reference::matmul_int8(&x, &w, Some(&bias));
        for kernel in kernels() {
            let mut out = vec![0.5; n * outputs];
            product(kernel, &x, &w, Some(&bias), Store::Add, &mut out);
            for (i, (a, e)) in out.iter().zip(&expected).enumerate() {
                let close = (a - 0.5 - e).abs() <= 1e-5 * (1.0 + e.abs());
                assert!(
                    close,
                    "{} [{n},{inputs},{outputs}] at {i}: {a} {e}",
                    kernel.name()
                );
            }
            product(kernel, &x, &w, Some(&bias), Store::Replace, &mut out);
            for (i, (a, e)) in out.iter().zip(&expected).enumerate() {
                let close = (a - e).abs() <= 1e-5 * (1.0 + e.abs());
                assert!(
                    close,
                    "{} [{n},{inputs},{outputs}] at {i}: {a} {e}",
                    kernel.name()
                );
            }
        }
    }
}

#[test]
fn every_kernel_gives_the_same_bits() {
    let (n, inputs, outputs) = (11, 333, 190);
    let (x, w) = (noise(n * inputs, 4), noise(outputs * inputs, 5));
    let (x, w) = (rows(&x, inputs), Int8Matrix::quantize(&w, outputs, inputs));
    let run = |kernel| {
        let mut out = vec![0.0; n * outputs];
        product(kernel, &x, &w, None, Store::Replace, &mut out);
        out
    };
    let expected = run(DotKernel::Portable);
    for kernel in kernels() {
        assert_eq!(run(kernel), expected, "{}", kernel.name());
    }
}

#[test]
fn the_largest_values_do_not_saturate() {
    let inputs = MAX_INPUTS;
    for sign in [1.0, -1.0] {
        let w = Int8Matrix::quantize(&vec![sign; inputs], 1, inputs);
        let x = rows(&vec![1.0; inputs], inputs);
        for kernel in kernels() {
            let mut out = [0.0];
            product(kernel, &x, &w, None, Store::Replace, &mut out);
            let expected = sign * inputs as f32;
            assert!(
                (out[0] - expected).abs() < 1e-3 * expected.abs(),
                "{}: {out:?}",
                kernel.name()
            );
        }
    }
}

#[test]
fn a_row_does_not_depend_on_its_neighbours_or_on_threads() {
    let (inputs, outputs) = (512, 1024);
    let (x, w) = (noise(47 * inputs, 6), noise(outputs * inputs, 7));
    let w = Int8Matrix::quantize(&w, outputs, inputs);
    let mut whole = vec![0.0; 47 * outputs];
    matmul_int8(&rows(&x, inputs), &w, None, Store::Replace, &mut whole);
    for threads in [1, 2, 3] {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .expect("a pool");
        for range in [0..1, 3..4, 46..47, 0..2, 5..19, 1..47] {
            let part = rows(&x[range.start * inputs..range.end * inputs], inputs);
            let mut out = vec![0.0; range.len() * outputs];
            pool.install(|| matmul_int8(&part, &w, None, Store::Replace, &mut out));
            assert_eq!(
                out,
                whole[range.start * outputs..range.end * outputs],
                "{range:?}, {threads} threads"
            );
        }
    }
}

#[test]
fn weights_survive_their_bytes_and_other_lengths_are_refused() {
    let (inputs, outputs) = (37, 70);
    let w = Int8Matrix::quantize(&noise(outputs * inputs, 11), outputs, inputs);
    let bytes: SharedBytes = std::sync::Arc::new(w.bytes().to_vec());
    let again = Int8Matrix::from_bytes(bytes.clone(), outputs, inputs).expect("the same shape");
    let x = rows(&noise(inputs, 12), inputs);
    let run = |w: &Int8Matrix| {
        let mut out = vec![0.0; outputs];
        matmul_int8(&x, w, None, Store::Replace, &mut out);
        out
    };
    assert_eq!(run(&w), run(&again));
    assert!(Int8Matrix::from_bytes(bytes, outputs, inputs + 4).is_none());
    let short: SharedBytes = std::sync::Arc::new(w.bytes()[1..].to_vec());
    assert!(Int8Matrix::from_bytes(short, outputs, inputs).is_none());
}

#[test]
fn what_is_no_number_stays_no_number() {
    let mut w = noise(3 * 8, 13);
    w[9] = f32::NAN;
    let w = Int8Matrix::quantize(&w, 3, 8);
    let mut x = noise(2 * 8, 14);
    x[3] = f32::INFINITY;
    let mut out = [0.0; 6];
    matmul_int8(&rows(&x, 8), &w, None, Store::Replace, &mut out);
    assert!(out[..3].iter().all(|v| v.is_nan()), "{out:?}");
    assert!(
        out[3].is_finite() && out[4].is_nan() && out[5].is_finite(),
        "{out:?}"
    );
}
