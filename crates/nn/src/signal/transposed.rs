//! Transposed convolutions whose kernel is twice their stride.

use percept_kernels::{PackedMatrix, Rows, matmul};
use percept_weights::{Tensors, WeightsError};

use super::two_taps::TwoTaps;
use super::weights::{conv_bias, conv_weights};
use super::{Activation, Context, Layer, Memory, Padding, Window};
use crate::tiles::for_each_block;

/// Sizes of a transposed convolution of kernel `2 · stride`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransposedSize {
    /// Channels that come in.
    pub inputs: usize,
    /// Channels that go out.
    pub outputs: usize,
    /// Rows that come out for each that goes in.
    pub stride: usize,
    /// Rows cut from the start of the result, `(rows + 1) · stride` long before.
    pub cut_left: usize,
    /// Rows cut from its end; at most a stride.
    pub cut_right: usize,
}

/// `stride` rows for each row, of it and the row before: output `q · stride + p` is `x[q] · w[p] + x[q - 1] · w[stride + p]`.
///
/// So all `stride` rows of a step are one row of a matrix product over two rows of the input that lie side by side, or
/// of a convolution of two taps.
#[derive(Debug)]
pub struct ConvTranspose1d {
    activation: Option<Activation>,
    weights: Weights,
    /// `[stride · outputs]`.
    bias: Option<Vec<f32>>,
    size: TransposedSize,
}

#[derive(Debug)]
enum Weights {
    /// `[stride · outputs, 2 · inputs]`: the row before, then the row.
    Joined(PackedMatrix),
    /// `[stride · outputs, inputs]` for the row before, and for the row.
    TwoTaps(TwoTaps),
    /// Every channel on its own, `[stride, 2, channels]`: the row before, then the row.
    Depthwise(Vec<f32>),
}

impl ConvTranspose1d {
    /// Loads `{prefix}.weight` `[inputs, outputs, 2 · stride]`, with or without weight norm, and `{prefix}.bias`.
    pub fn load(
        tensors: &Tensors,
        prefix: &str,
        size: TransposedSize,
    ) -> Result<Self, WeightsError> {
        let shape = [size.inputs, size.outputs, 2 * size.stride];
        let weights = conv_weights(tensors, prefix, &shape)?;
        Ok(Self::new(
            size,
            &weights,
            conv_bias(tensors, prefix, size.outputs)?,
        ))
    }

    /// As [`ConvTranspose1d::load`], where the channels are in `groups` that do not mix: the weights are
    /// `[inputs, outputs / groups, 2 · stride]`.
    ///
    /// # Panics
    /// Where the channels are not a multiple of the groups.
    pub fn load_grouped(
        tensors: &Tensors,
        prefix: &str,
        size: TransposedSize,
        groups: usize,
    ) -> Result<Self, WeightsError> {
        let TransposedSize {
            inputs,
            outputs,
            stride,
            ..
        } = size;
        assert!(
            inputs.is_multiple_of(groups) && outputs.is_multiple_of(groups),
            "{groups} groups of {size:?}"
        );
        let taps = 2 * stride;
        let weights = conv_weights(tensors, prefix, &[inputs, outputs / groups, taps])?;
        let bias = conv_bias(tensors, prefix, outputs)?;
        if groups == inputs && groups == outputs {
            return Ok(Self::depthwise(size, &weights, bias));
        }
        let (of_group, own) = (inputs / groups, outputs / groups * taps);
        let mut dense = vec![0.0; inputs * outputs * taps];
        for (input, weights) in weights.chunks_exact(own).enumerate() {
            let at = input * outputs * taps + input / of_group * own;
            dense[at..at + own].copy_from_slice(weights);
        }
        Ok(Self::new(size, &dense, bias))
    }

    /// Of `weights` `[channels, 2 · stride]`.
    fn depthwise(size: TransposedSize, weights: &[f32], bias: Option<Vec<f32>>) -> Self {
        let TransposedSize { inputs, stride, .. } = size;
        let taps = (0..stride).flat_map(|phase| [stride + phase, phase]);
        let rows = taps.flat_map(|tap| (0..inputs).map(move |i| weights[i * 2 * stride + tap]));
        ConvTranspose1d {
            activation: None,
            weights: Weights::Depthwise(rows.collect()),
            bias: bias.map(|bias| bias.repeat(stride)),
            size,
        }
    }

    /// Of `weights` `[inputs, outputs, 2 · stride]` and a bias `[outputs]`.
    pub(crate) fn new(size: TransposedSize, weights: &[f32], bias: Option<Vec<f32>>) -> Self {
        let TransposedSize {
            inputs,
            outputs,
            stride,
            ..
        } = size;
        assert!(
            size.cut_right <= stride,
            "no more than the last step is cut"
        );
        let rows = stride * outputs;
        // The weights of output `row % outputs` of phase `row / outputs`.
        let of_row = |row: usize, tap: usize| {
            let tap = tap + row / outputs;
            (0..inputs).map(move |i| weights[(i * outputs + row % outputs) * 2 * stride + tap])
        };
        let weights = match TwoTaps::suits(rows, inputs) {
            true => {
                let matrix = |tap| -> Vec<f32> { (0..rows).flat_map(|r| of_row(r, tap)).collect() };
                let taps = (&matrix(stride)[..], &matrix(0)[..]);
                Weights::TwoTaps(TwoTaps::new(taps, rows, inputs))
            }
            false => {
                let both = |row| of_row(row, stride).chain(of_row(row, 0));
                let joined: Vec<f32> = (0..rows).flat_map(both).collect();
                Weights::Joined(PackedMatrix::pack(&joined, rows, 2 * inputs))
            }
        };
        ConvTranspose1d {
            activation: None,
            weights,
            bias: bias.map(|bias| bias.repeat(stride)),
            size,
        }
    }

    /// The same with an activation before it.
    pub fn after(self, activation: Activation) -> Self {
        ConvTranspose1d {
            activation: Some(activation),
            ..self
        }
    }
}

impl ConvTranspose1d {
    /// Whole steps from step `from` on, of the rows of `x`, one more than there are steps.
    fn steps(&self, (x, from): (&[f32], u64), out: &mut [f32]) {
        let TransposedSize {
            inputs,
            outputs,
            stride,
            ..
        } = self.size;
        let (bias, step) = (self.bias.as_deref(), stride * outputs);
        match &self.weights {
            Weights::TwoTaps(taps) => taps.forward((x, from), bias, out, |_| ()),
            Weights::Joined(weights) => {
                let rows = Rows::overlapping(x, out.len() / step, 2 * inputs, inputs);
                matmul(rows, weights, bias, out);
            }
            Weights::Depthwise(weights) => for_each_block(out, step, |first, out| {
                for (out, x) in out
                    .chunks_exact_mut(step)
                    .zip(x[first * inputs..].windows(2 * inputs).step_by(inputs))
                {
                    scale_and_add(x.split_at(inputs), weights, out);
                    if let Some(bias) = bias {
                        out.iter_mut().zip(bias).for_each(|(out, v)| *out += v);
                    }
                }
            }),
        }
    }
}

/// Rows that each are `before` and `row`, channel by channel times the next two rows of `weights`, added.
fn scale_and_add((before, row): (&[f32], &[f32]), weights: &[f32], out: &mut [f32]) {
    let channels = row.len();
    let taps = weights
        .chunks_exact(2 * channels)
        .map(|taps| taps.split_at(channels));
    for (out, (w, v)) in out.chunks_exact_mut(channels).zip(taps) {
        for (c, out) in out.iter_mut().enumerate() {
            *out = before[c] * w[c] + row[c] * v[c];
        }
    }
}

impl Layer for ConvTranspose1d {
    fn inputs(&self) -> usize {
        self.size.inputs
    }

    fn outputs(&self) -> usize {
        self.size.outputs
    }

    fn memory(&self) -> Memory {
        // A row of zeros on either side: the first row has none before it, and the last one still counts a step later.
        Memory::window(self.size.inputs, Padding::zeros(1, 1))
    }

    fn produced(&self, received: u64) -> u64 {
        (received * self.size.stride as u64).saturating_sub(self.size.cut_left as u64)
    }

    fn total(&self, received: u64) -> u64 {
        let cut = (self.size.cut_left + self.size.cut_right) as u64;
        match received {
            0 => 0,
            _ => ((received + 1) * self.size.stride as u64).saturating_sub(cut),
        }
    }

    fn advance(
        &self,
        memory: &mut Memory,
        limit: usize,
        _: &Context<'_>,
        out: &mut Window,
    ) -> bool {
        let TransposedSize {
            inputs,
            stride,
            cut_left,
            cut_right,
            ..
        } = self.size;
        let input = &mut memory.input;
        let fresh = input.take_fresh();
        if let Some(activation) = &self.activation {
            activation.apply_parallel(fresh, inputs);
        }
        let steps = (input.len() - 1).min(limit.div_ceil(stride));
        if steps == 0 || input.received() == 0 {
            return false;
        }
        let is_first = input.received() as usize + 1 + usize::from(memory.is_ended) == input.len();
        let is_last = memory.is_ended && steps == input.len() - 1;
        let from = input.consumed();
        self.steps((input.rows(), from), out.extend(steps * stride));
        let keep_from = if is_first {
            cut_left.min(steps * stride)
        } else {
            0
        };
        let keep_to = steps * stride - if is_last { cut_right } else { 0 };
        out.retract(steps * stride, keep_from..keep_to.max(keep_from));
        input.consume(steps);
        true
    }

    fn finish(&self, memory: &mut Memory) {
        memory.input.finish(0);
    }
}

#[cfg(test)]
mod tests {
    use percept_testkit::{Rng, Tol, close};

    use super::*;
    use crate::signal::Chain;

    /// The transposed convolution as a sum over inputs and taps.
    fn plain(size: TransposedSize, groups: usize, (x, w, b): (&[f32], &[f32], &[f32])) -> Vec<f32> {
        let rows = x.len() / size.inputs;
        let (taps, own) = (2 * size.stride, size.outputs / groups);
        let mut out = b.repeat((rows + 1) * size.stride);
        for t in 0..rows {
            for i in 0..size.inputs {
                let group = i / (size.inputs / groups);
                for (o, tap) in (0..own).flat_map(|o| (0..taps).map(move |tap| (o, tap))) {
                    let at = (t * size.stride + tap) * size.outputs + group * own + o;
                    out[at] += x[t * size.inputs + i] * w[(i * own + o) * taps + tap];
                }
            }
        }
        let end = out.len() - size.cut_right * size.outputs;
        out[size.cut_left * size.outputs..end].to_vec()
    }

    #[test]
    fn groups_do_not_mix() {
        let sizes = [
            (6, 6, 6),
            (6, 6, 3),
            (6, 6, 2),
            (4, 8, 4),
            (4, 8, 2),
            (5, 3, 1),
        ];
        for (inputs, outputs, groups) in sizes {
            let mut rng = Rng::new(3);
            for (stride, cut_left, cut_right) in [(2, 0, 2), (3, 2, 1), (1, 0, 1)] {
                let size = TransposedSize {
                    inputs,
                    outputs,
                    stride,
                    cut_left,
                    cut_right,
                };
                let shape = vec![inputs, outputs / groups, 2 * stride];
                let w = rng.normals(shape.iter().product());
                let b = rng.normals(outputs);
                let x = rng.normals(11 * inputs);
                let expected = plain(size, groups, (&x, &w, &b));
                let named = [("up.weight", shape, w), ("up.bias", vec![outputs], b)];
                let tensors = Tensors::from_f32("mem", named).expect("whole tensors");
                let layer = ConvTranspose1d::load_grouped(&tensors, "up", size, groups);
                let chain = Chain::new(vec![Box::new(layer.expect("both tensors"))]);
                let mut state = chain.state();
                for row in x.chunks_exact(inputs) {
                    state.input().push(row);
                    chain.advance(&mut state, &Context::default());
                }
                chain.finish(&mut state, &Context::default());
                let tolerance = Tol {
                    abs: 1e-5,
                    rel_to_max: 0.0,
                };
                let name = format!("{groups} groups, {size:?}");
                close(state.output().rows(), &expected, tolerance, &name);
            }
        }
    }
}
