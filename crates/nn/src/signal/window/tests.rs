//! Padding as the definition has it, whatever the cuts.

use percept_testkit::{Rng, Tol, close};
use percept_weights::Tensors;

use super::*;
use crate::signal::{Chain, Context, Conv1d, ConvSize};

/// `x` with rows before and after it.
fn padded(x: &[f32], channels: usize, left: usize, right: usize, mode: PadMode) -> Vec<f32> {
    let rows = (x.len() / channels) as i64;
    // A signal that is too short to be reflected ends in zeros, which are cut off again.
    let longest = left.max(right) as i64;
    let missing = match mode {
        PadMode::Reflect => (longest + 1 - rows).max(0),
        PadMode::Zero | PadMode::Replicate => 0,
    };
    let last = rows + missing - 1;
    let value = |row: i64, channel: usize| {
        let row = match mode {
            PadMode::Zero => row,
            PadMode::Replicate => row.clamp(0, rows - 1),
            PadMode::Reflect if row < 0 => -row,
            PadMode::Reflect if row > last => 2 * last - row,
            PadMode::Reflect => row,
        };
        let at = row * channels as i64 + channel as i64;
        usize::try_from(at)
            .ok()
            .and_then(|at| x.get(at))
            .copied()
            .unwrap_or(0.0)
    };
    let all = -(left as i64)..rows + right as i64;
    all.flat_map(|row| (0..channels).map(move |channel| value(row, channel)))
        .collect()
}

/// The convolution of padded rows, tap by tap.
fn plain(x: &[f32], size: ConvSize, weights: &[f32]) -> Vec<f32> {
    let rows = size.outputs_of((x.len() / size.inputs) as u64) as usize;
    let product = |row: usize, output: usize| -> f32 {
        let taps = (0..size.inputs).flat_map(|i| (0..size.kernel).map(move |k| (i, k)));
        let products = taps.map(|(i, k)| {
            let at = (row * size.stride + k * size.dilation) * size.inputs + i;
            f64::from(x[at]) * f64::from(weights[(output * size.inputs + i) * size.kernel + k])
        });
        products.sum::<f64>() as f32
    };
    (0..rows)
        .flat_map(|row| (0..size.outputs).map(move |o| product(row, o)))
        .collect()
}

#[test]
fn every_padding_of_every_length_is_that_of_the_definition() {
    let mut rng = Rng::new(2);
    // Kernel, stride, dilation.
    for (kernel, stride, dilation) in [
        (7, 1, 1),
        (3, 1, 3),
        (4, 2, 1),
        (6, 3, 1),
        (8, 4, 1),
        (10, 5, 1),
        (1, 1, 1),
    ] {
        let size = ConvSize {
            stride,
            dilation,
            ..ConvSize::dense(2, 5, kernel)
        };
        let weights = rng.normals(5 * 2 * kernel);
        let tensors = [("conv.weight", vec![5, 2, kernel], weights.clone())];
        let tensors = Tensors::from_f32("mem", tensors).expect("one tensor");
        let lost = size.span() - stride;
        for right in [0, lost / 2] {
            for mode in [PadMode::Zero, PadMode::Replicate, PadMode::Reflect] {
                let left = lost - right;
                let padding = Padding { left, right, mode };
                let conv = Conv1d::load(&tensors, "conv", size, padding).expect("complete");
                let chain = Chain::new(vec![Box::new(conv.completed())]);
                for rows in 1..40 {
                    let x = rng.normals(rows * 2);
                    let completed = right + rows.next_multiple_of(stride) - rows;
                    let x_padded = padded(&x, 2, left, completed, mode);
                    let mut state = chain.state();
                    let mut rest = &x[..];
                    while !rest.is_empty() {
                        let (now, later) = rest.split_at(2 * (1 + rng.below(rest.len() / 2)));
                        state.input().push(now);
                        chain.advance(&mut state, &Context::default());
                        rest = later;
                    }
                    chain.finish(&mut state, &Context::default());
                    let case = format!("{size:?}, {padding:?}, {rows} rows");
                    let tol = Tol {
                        abs: 1e-5,
                        rel_to_max: 0.0,
                    };
                    close(
                        state.output().rows(),
                        &plain(&x_padded, size, &weights),
                        tol,
                        &case,
                    );
                }
            }
        }
    }
}
