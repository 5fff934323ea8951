//! Recurrent layers.

use std::mem;

use percept_kernels::{PackedMatrix, Rows, lstm_cell, matmul, matmul_add};
use percept_weights::{Tensors, WeightsError};
use rayon::prelude::*;

use super::{Context, Layer, Memory, More, Padding, Window};
use crate::LstmState;
use crate::arena::buffer;

/// Rows that one layer is ahead of the next, so that threads can work on several layers at a time.
const BLOCK_ROWS: usize = 8;

/// `x + lstm(x)`: LSTM layers one above the other, each as wide as the signal, around which it passes.
#[derive(Debug)]
pub struct Recurrent {
    layers: Vec<RecurrentLayer>,
    width: usize,
}

/// One layer in PyTorch's layout (gates i, f, g, o).
#[derive(Debug)]
struct RecurrentLayer {
    from_input: PackedMatrix,
    /// The sum of both biases, `[4 · width]`.
    bias: Vec<f32>,
    from_hidden: PackedMatrix,
}

/// A layer at work for one stream.
struct Stage<'a> {
    layer: &'a RecurrentLayer,
    h: &'a mut [f32],
    c: &'a mut [f32],
    /// Rows that come in, and then those that go out.
    block: Vec<f32>,
}

impl Recurrent {
    /// Loads `{prefix}.{weight_ih,weight_hh,bias_ih,bias_hh}_l0`, `_l1` and so on.
    ///
    /// # Panics
    /// Where there are no layers, or no channels.
    pub fn load(
        tensors: &Tensors,
        prefix: &str,
        width: usize,
        layers: usize,
    ) -> Result<Self, WeightsError> {
        assert!(width > 0 && layers > 0, "{layers} layers of {width}");
        let layer = |n: usize| -> Result<RecurrentLayer, WeightsError> {
            let part =
                |name: &str, shape: &[usize]| tensors.f32(&format!("{prefix}.{name}_l{n}"), shape);
            let mut bias = part("bias_ih", &[4 * width])?;
            for (sum, bias) in bias.iter_mut().zip(part("bias_hh", &[4 * width])?) {
                *sum += bias;
            }
            let weights = |name: &str| {
                let weights = part(name, &[4 * width, width])?;
                Ok::<_, WeightsError>(PackedMatrix::pack(&weights, 4 * width, width))
            };
            Ok(RecurrentLayer {
                from_input: weights("weight_ih")?,
                bias,
                from_hidden: weights("weight_hh")?,
            })
        };
        Ok(Recurrent {
            layers: (0..layers).map(layer).collect::<Result<_, _>>()?,
            width,
        })
    }

    /// Adds the output of the last layer to `out`, which holds `x`.
    ///
    /// A layer works on a block of rows while the next works on the block before it.
    fn add(&self, x: &[f32], state: &mut LstmState, out: &mut [f32]) {
        let memories = state
            .h
            .chunks_exact_mut(self.width)
            .zip(state.c.chunks_exact_mut(self.width));
        let stage = |(layer, (h, c))| Stage {
            layer,
            h,
            c,
            block: Vec::new(),
        };
        let mut stages: Vec<Stage<'_>> = self.layers.iter().zip(memories).map(stage).collect();
        let last = stages.len() - 1;
        let mut out = out.chunks_mut(BLOCK_ROWS * self.width);
        let mut blocks = x.chunks(BLOCK_ROWS * self.width);
        for wave in 0..blocks.len() + last {
            stages[0].block.clear();
            stages[0]
                .block
                .extend_from_slice(blocks.next().unwrap_or(&[]));
            stages.par_iter_mut().with_max_len(1).for_each(Stage::run);
            if let Some(out) = (wave >= last).then(|| out.next()).flatten() {
                out.iter_mut()
                    .zip(&stages[last].block)
                    .for_each(|(out, h)| *out += h);
            }
            for upper in (1..=last).rev() {
                let (below, above) = stages.split_at_mut(upper);
                mem::swap(&mut below[upper - 1].block, &mut above[0].block);
            }
        }
    }
}

impl Stage<'_> {
    fn run(&mut self) {
        let (layer, width) = (self.layer, self.h.len());
        let mut gates = buffer(4 * self.block.len());
        let rows = Rows::dense(&self.block, width);
        matmul(rows, &layer.from_input, Some(&layer.bias), &mut gates);
        let rows = self.block.chunks_exact_mut(width);
        for (row, gates) in rows.zip(gates.chunks_exact_mut(4 * width)) {
            matmul_add(Rows::dense(self.h, width), &layer.from_hidden, None, gates);
            lstm_cell(gates, self.c, self.h);
            row.copy_from_slice(self.h);
        }
    }
}

impl Layer for Recurrent {
    fn inputs(&self) -> usize {
        self.width
    }

    fn outputs(&self) -> usize {
        self.width
    }

    fn memory(&self) -> Memory {
        let zeros = vec![0.0; self.layers.len() * self.width];
        let state = LstmState {
            h: zeros.clone(),
            c: zeros,
        };
        Memory::window(self.width, Padding::NONE).with(More::Recurrent(state))
    }

    fn produced(&self, received: u64) -> u64 {
        received
    }

    fn total(&self, received: u64) -> u64 {
        received
    }

    fn advance(
        &self,
        memory: &mut Memory,
        limit: usize,
        _: &Context<'_>,
        out: &mut Window,
    ) -> bool {
        let Memory {
            input,
            more: More::Recurrent(state),
            ..
        } = memory
        else {
            unreachable!("the memory of another layer");
        };
        let rows = input.len().min(limit);
        if rows == 0 {
            return false;
        }
        let x = &input.rows()[..rows * self.width];
        let out = out.extend(rows);
        out.copy_from_slice(x);
        self.add(x, state, out);
        input.consume(rows);
        true
    }

    fn finish(&self, _: &mut Memory) {}
}

#[cfg(test)]
mod tests {
    use percept_testkit::{Rng, Tol, close};

    use super::*;
    use crate::signal::Chain;

    fn tensors(width: usize, layers: usize, rng: &mut Rng) -> Tensors {
        let mut named = Vec::new();
        for n in 0..layers {
            for part in ["weight_ih", "weight_hh"] {
                let values = rng.normals(4 * width * width);
                named.push((format!("lstm.{part}_l{n}"), vec![4 * width, width], values));
            }
            for part in ["bias_ih", "bias_hh"] {
                let values = rng.normals(4 * width);
                named.push((format!("lstm.{part}_l{n}"), vec![4 * width], values));
            }
        }
        Tensors::from_f32("mem", named).expect("names that differ")
    }

    /// The equations one by one, in 64 bits.
    fn plain(tensors: &Tensors, x: &[f32], width: usize, layers: usize) -> Vec<f32> {
        let sigmoid = |v: f64| 1.0 / (1.0 + (-v).exp());
        let mut signal: Vec<f64> = x.iter().map(|v| f64::from(*v)).collect();
        for n in 0..layers {
            let part = |name: &str, shape: &[usize]| {
                tensors
                    .f32(&format!("lstm.{name}_l{n}"), shape)
                    .expect("made above")
            };
            let [ih, hh] = ["weight_ih", "weight_hh"].map(|p| part(p, &[4 * width, width]));
            let [bi, bh] = ["bias_ih", "bias_hh"].map(|p| part(p, &[4 * width]));
            let (mut h, mut c) = (vec![0.0; width], vec![0.0; width]);
            for row in signal.chunks_exact_mut(width) {
                let gate = |i: usize| {
                    let products = (0..width).map(|k| {
                        let at = i * width + k;
                        f64::from(ih[at]) * row[k] + f64::from(hh[at]) * h[k]
                    });
                    products.sum::<f64>() + f64::from(bi[i]) + f64::from(bh[i])
                };
                let gates: Vec<f64> = (0..4 * width).map(gate).collect();
                for k in 0..width {
                    let [i, f, g, o] = [0, 1, 2, 3].map(|part| gates[part * width + k]);
                    c[k] = sigmoid(f) * c[k] + sigmoid(i) * g.tanh();
                    h[k] = sigmoid(o) * c[k].tanh();
                }
                row.copy_from_slice(&h);
            }
        }
        signal.iter().zip(x).map(|(h, x)| *h as f32 + x).collect()
    }

    #[test]
    fn layers_equal_the_plain_loops() {
        for (width, layers, rows) in [(1, 1, 3), (5, 2, 1), (12, 1, 40), (12, 2, 16), (7, 3, 61)] {
            let mut rng = Rng::new(width as u64);
            let tensors = tensors(width, layers, &mut rng);
            let layer = Recurrent::load(&tensors, "lstm", width, layers).expect("complete");
            let x = rng.normals(rows * width);
            let mut memory = layer.memory();
            memory.input.push(&x);
            let mut out = Window::new(width, Padding::NONE);
            assert!(layer.advance(&mut memory, rows, &Context::default(), &mut out));
            let expected = plain(&tensors, &x, width, layers);
            let tol = Tol {
                abs: 2e-5,
                rel_to_max: 0.0,
            };
            close(
                out.rows(),
                &expected,
                tol,
                &format!("{layers} layers of {width}"),
            );
        }
    }

    #[test]
    fn a_cut_never_shows_and_neither_do_threads() {
        let (width, rows) = (9, 50);
        let mut rng = Rng::new(4);
        let tensors = tensors(width, 2, &mut rng);
        let x = rng.normals(rows * width);
        let run = |pieces: &[usize]| {
            let layer = Recurrent::load(&tensors, "lstm", width, 2).expect("complete");
            let chain = Chain::new(vec![Box::new(layer)]);
            let mut state = chain.state();
            let mut rest = &x[..];
            for piece in pieces {
                let (now, later) = rest.split_at(piece * width);
                state.input().push(now);
                chain.advance(&mut state, &Context::default());
                rest = later;
            }
            state.output().rows().to_vec()
        };
        let whole = run(&[rows]);
        for pieces in [&[1; 50][..], &[7, 8, 9, 26], &[49, 1], &[0, 16, 34]] {
            assert_eq!(run(pieces), whole, "{pieces:?}");
        }
        for threads in [1, 3] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
            assert_eq!(
                pool.expect("a pool").install(|| run(&[rows])),
                whole,
                "{threads} threads"
            );
        }
    }
}
