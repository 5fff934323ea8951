//! Convolutions of two taps, with three products for every two outputs.

use percept_kernels::{PackedMatrix, Rows, Start, differences, matmul_spread};

use crate::arena::buffer;
use crate::tiles::for_each_chunk;

/// Weights (of both taps) above which a sum of them is not kept: reading it would cost more than it saves.
const MOST_WEIGHTS: usize = 5 << 20;
/// Values of differences that stay in the second-level cache, with what is computed of them, until they are multiplied.
const DIFFERENCES: usize = 24 << 10;
/// Pairs of outputs in a block, at least: so many that its weights are worth the reading.
const MIN_PAIRS: usize = 128;
/// Outputs for each thread from which threads share them, rather than the matrix kernel the columns.
const SHARED_OUTPUTS: usize = 96;

/// `y[t] = first · x[t] + second · x[t + 1]` over rows `x[t]`.
///
/// What two outputs have in common is computed once (Winograd's F(2, 2)): where `t` is even,
///
/// ```text
/// common   = (first + second) · x[t + 1]
/// y[t]     = common + first  · (x[t]     - x[t + 1])
/// y[t + 1] = common + second · (x[t + 2] - x[t + 1])
/// ```
///
/// so that three products do the work of four. An output depends on its own two rows only, and has the same bits whether
/// or not its neighbour is asked for.
#[derive(Debug)]
pub(crate) struct TwoTaps {
    first: PackedMatrix,
    second: PackedMatrix,
    both: PackedMatrix,
}

impl TwoTaps {
    /// Whether taps `[outputs, inputs]` are better taken this way than as one matrix.
    pub(crate) fn suits(outputs: usize, inputs: usize) -> bool {
        2 * outputs * inputs <= MOST_WEIGHTS
    }

    /// Of taps `[outputs, inputs]`.
    pub(crate) fn new((first, second): (&[f32], &[f32]), outputs: usize, inputs: usize) -> Self {
        let both: Vec<f32> = first.iter().zip(second).map(|(a, b)| a + b).collect();
        let pack = |weights: &[f32]| PackedMatrix::pack(weights, outputs, inputs);
        TwoTaps {
            first: pack(first),
            second: pack(second),
            both: pack(&both),
        }
    }

    /// The outputs from number `from` of the signal on, as many as fill `out` `[n, outputs]`; `x` `[n + 1, inputs]` begins
    /// with the row of the first one. Calls `then` on every part of `out` when it is computed.
    pub(crate) fn forward(
        &self,
        (x, from): (&[f32], u64),
        bias: Option<&[f32]>,
        out: &mut [f32],
        then: impl Fn(&mut [f32]) + Sync,
    ) {
        let (inputs, outputs) = (self.first.inputs(), self.first.outputs());
        let n = out.len() / outputs;
        let threads = rayon::current_num_threads();
        let share = n.div_ceil(2 * threads).next_multiple_of(2);
        let (longest, lanes) = match n / threads >= SHARED_OUTPUTS {
            true => (share, 2 * threads),
            false => (n, 1),
        };
        let block = longest.min(2 * (DIFFERENCES / inputs).max(MIN_PAIRS));
        for_each_chunk(out, (block * outputs).max(1), lanes, |n, out| {
            let at = n * block;
            self.block((&x[at * inputs..], from + at as u64), bias, out);
            then(out);
        });
    }

    /// A part of [`TwoTaps::forward`], on this thread but for the products.
    fn block(&self, (x, from): (&[f32], u64), bias: Option<&[f32]>, out: &mut [f32]) {
        let inputs = self.first.inputs();
        let n = out.len() / self.first.outputs();
        // The places of the first even output and the first odd one; the latter's pair may have begun before.
        let (even, odd) = ((from % 2) as usize, 1 - (from % 2) as usize);
        let (evens, odds) = ((n - even).div_ceil(2), (n - odd.min(n)).div_ceil(2));
        let every_second = |first: usize, count: usize| {
            Rows::overlapping(&x[first * inputs..], count, inputs, 2 * inputs)
        };
        let mut apart = buffer(evens.max(odds) * inputs);
        let middles = every_second(even.min(n - 1) + 1, evens);
        matmul_spread(middles, &self.both, Start::Bias(bias), (even, 2), out);

        let apart_odd = &mut apart[..odds * inputs];
        if odds > 0 {
            let (x, middles) = (every_second(odd + 1, odds), every_second(odd, odds));
            differences(x, middles, apart_odd);
        }
        let (alone, rest) = apart_odd.split_at(even * inputs);
        if !alone.is_empty() {
            let middle = every_second(0, 1);
            matmul_spread(middle, &self.both, Start::Bias(bias), (0, 1), out);
            let alone = Rows::dense(alone, inputs);
            matmul_spread(alone, &self.second, Start::Itself, (0, 1), out);
        }
        let rest = Rows::dense(rest, inputs);
        let place = (odd + 2 * even, 2);
        matmul_spread(rest, &self.second, Start::RowBefore, place, out);

        let apart_even = &mut apart[..evens * inputs];
        let x = every_second(even.min(n - 1), evens);
        differences(x, middles, apart_even);
        let apart_even = Rows::dense(apart_even, inputs);
        matmul_spread(apart_even, &self.first, Start::Itself, (even, 2), out);
    }
}

#[cfg(test)]
mod tests {
    use percept_testkit::{Rng, Tol, close};

    use super::*;

    /// `y[t] = first · x[t] + second · x[t + 1] + bias`, one product after the other.
    fn plain(
        x: &[f32],
        (first, second): (&[f32], &[f32]),
        bias: &[f32],
        inputs: usize,
    ) -> Vec<f32> {
        let dot = |w: &[f32], x: &[f32]| -> f64 {
            w.iter()
                .zip(x)
                .map(|(w, x)| f64::from(*w) * f64::from(*x))
                .sum()
        };
        let rows: Vec<&[f32]> = x.chunks_exact(inputs).collect();
        let mut out = Vec::new();
        for pair in rows.windows(2) {
            let taps = first.chunks_exact(inputs).zip(second.chunks_exact(inputs));
            for ((first, second), bias) in taps.zip(bias) {
                out.push((dot(first, pair[0]) + dot(second, pair[1]) + f64::from(*bias)) as f32);
            }
        }
        out
    }

    fn forward(taps: &TwoTaps, x: &[f32], from: u64, bias: &[f32]) -> Vec<f32> {
        let n = x.len() / taps.first.inputs() - 1;
        let mut out = vec![f32::NAN; n * bias.len()];
        taps.forward((x, from), Some(bias), &mut out, |_| ());
        out
    }

    #[test]
    fn any_part_has_the_bits_of_the_whole_and_the_values_of_the_plain_loop() {
        for (inputs, outputs, n) in [(1, 1, 5), (5, 3, 12), (40, 70, 9), (530, 33, 300)] {
            let mut rng = Rng::new(3);
            let mut noise = |n: usize| rng.normals(n);
            let (first, second) = (noise(outputs * inputs), noise(outputs * inputs));
            let (bias, x) = (noise(outputs), noise((n + 1) * inputs));
            let taps = TwoTaps::new((&first, &second), outputs, inputs);
            let whole = forward(&taps, &x, 0, &bias);
            let expected = plain(&x, (&first, &second), &bias, inputs);
            let tolerance = Tol {
                abs: 1e-5,
                rel_to_max: 2e-6,
            };
            close(
                &whole,
                &expected,
                tolerance,
                &format!("{inputs} to {outputs}"),
            );
            for threads in [1, 2, 3] {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
                let pool = pool.expect("a pool");
                for (from, to) in [
                    (0, n),
                    (0, 1),
                    (1, 2),
                    (1, 3),
                    (2, 5),
                    (3, 5),
                    (n - 1, n),
                    (1, n),
                ] {
                    let rows = &x[from * inputs..(to + 1) * inputs];
                    let part = pool.install(|| forward(&taps, rows, from as u64, &bias));
                    let name = format!("{inputs} to {outputs}, {from}..{to}, {threads} threads");
                    assert!(part == whole[from * outputs..to * outputs], "{name}");
                }
            }
        }
    }

    #[test]
    fn an_output_sees_its_own_two_rows_only() {
        let (inputs, outputs, n) = (7, 5, 8);
        let mut rng = Rng::new(4);
        let (first, second) = (rng.normals(outputs * inputs), rng.normals(outputs * inputs));
        let taps = TwoTaps::new((&first, &second), outputs, inputs);
        for from in [0, 1] {
            for hidden in 0..=n {
                let mut x = vec![0.5; (n + 1) * inputs];
                x[hidden * inputs..][..inputs].fill(f32::NAN);
                let out = forward(&taps, &x, from, &vec![0.0; outputs]);
                for (t, row) in out.chunks_exact(outputs).enumerate() {
                    let sees = t == hidden || t + 1 == hidden;
                    assert!(
                        row.iter().all(|v| v.is_nan() == sees),
                        "{t} of {from}, NaN at {hidden}"
                    );
                }
            }
        }
    }
}
