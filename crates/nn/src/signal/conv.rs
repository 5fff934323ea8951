//! Convolutions over time, as layers and as parts of layers.

use percept_kernels::{
    PackedMatrix, Rows, depthwise_conv1d_dilated, matmul, matmul_add, matmul_onto, project_few,
    snake_of_depthwise_conv1d, tanh,
};
use percept_weights::{Tensors, WeightsError};

use super::two_taps::TwoTaps;
use super::weights::{conv_bias, conv_weights};
use super::{Activation, Context, Layer, Memory, Padding, Window};
use crate::tiles::for_each_block;

/// Outputs up to which a product is made of dot products instead of matrix tiles.
const FEW_OUTPUTS: usize = 4;

/// Sizes of a convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConvSize {
    /// Channels that come in.
    pub inputs: usize,
    /// Channels that go out.
    pub outputs: usize,
    /// Taps.
    pub kernel: usize,
    /// Rows from tap to tap.
    pub dilation: usize,
    /// Rows from one output to the next.
    pub stride: usize,
    /// Whether every channel is convolved on its own; `inputs` and `outputs` are then the same.
    pub is_depthwise: bool,
}

impl ConvSize {
    /// A dense convolution of stride and dilation one.
    pub fn dense(inputs: usize, outputs: usize, kernel: usize) -> Self {
        ConvSize {
            inputs,
            outputs,
            kernel,
            dilation: 1,
            stride: 1,
            is_depthwise: false,
        }
    }

    /// Rows that one output looks over.
    pub fn span(&self) -> usize {
        (self.kernel - 1) * self.dilation + 1
    }

    /// Outputs of `rows` rows.
    pub fn outputs_of(&self, rows: u64) -> u64 {
        match rows.checked_sub(self.span() as u64) {
            Some(more) => more / self.stride as u64 + 1,
            None => 0,
        }
    }
}

/// A convolution of rows that are there: no padding, no memory.
#[derive(Debug)]
pub(crate) struct Taps {
    pub(crate) size: ConvSize,
    weights: TapWeights,
    bias: Option<Vec<f32>>,
}

#[derive(Debug)]
enum TapWeights {
    /// `[kernel, channels]`, and a bias.
    Depthwise(Vec<f32>, Vec<f32>),
    /// All taps as one matrix `[outputs, kernel · inputs]`: the rows of a window lie one after the other.
    Joined(PackedMatrix),
    /// A matrix `[outputs, inputs]` for each tap, where the taps are apart.
    Apart(Vec<PackedMatrix>),
    /// `[outputs, kernel · inputs]`, for few outputs, and a bias.
    Few(Vec<f32>, Vec<f32>),
}

impl Taps {
    /// Of the weights that [`read`] finds.
    pub(crate) fn load(
        tensors: &Tensors,
        prefix: &str,
        size: ConvSize,
    ) -> Result<Self, WeightsError> {
        let (weights, bias) = read(tensors, prefix, size)?;
        Ok(Taps::new(size, &weights, bias))
    }

    /// Of `weights` `[outputs, inputs (1 if depthwise), kernel]`.
    pub(crate) fn new(size: ConvSize, weights: &[f32], bias: Option<Vec<f32>>) -> Self {
        let ConvSize {
            inputs,
            outputs,
            kernel,
            ..
        } = size;
        let fan = if size.is_depthwise { 1 } else { inputs };
        assert_eq!(
            weights.len(),
            outputs * fan * kernel,
            "weights of another size"
        );
        let tap_of = |output: usize, tap: usize| {
            (0..fan).map(move |input| weights[(output * fan + input) * kernel + tap])
        };
        let or_zeros = |bias: &Option<Vec<f32>>| bias.clone().unwrap_or_else(|| vec![0.0; outputs]);
        let by_output = || -> Vec<f32> {
            (0..outputs)
                .flat_map(|o| (0..kernel).flat_map(move |k| tap_of(o, k)))
                .collect()
        };
        let weights = if size.is_depthwise {
            assert_eq!(
                inputs, outputs,
                "a depthwise convolution keeps its channels"
            );
            let by_tap = (0..kernel).flat_map(|k| (0..outputs).flat_map(move |o| tap_of(o, k)));
            TapWeights::Depthwise(by_tap.collect(), or_zeros(&bias))
        } else if size.dilation > 1 && kernel > 1 {
            let tap = |k| -> Vec<f32> { (0..outputs).flat_map(|o| tap_of(o, k)).collect() };
            let pack = |k| PackedMatrix::pack(&tap(k), outputs, inputs);
            TapWeights::Apart((0..kernel).map(pack).collect())
        } else if outputs <= FEW_OUTPUTS {
            TapWeights::Few(by_output(), or_zeros(&bias))
        } else {
            TapWeights::Joined(PackedMatrix::pack(&by_output(), outputs, kernel * inputs))
        };
        Taps {
            size,
            weights,
            bias,
        }
    }

    /// `out = taps · x` for the `out.len() / outputs` first windows of `x`.
    pub(crate) fn forward(&self, x: &[f32], out: &mut [f32]) {
        let ConvSize {
            inputs,
            outputs,
            kernel,
            dilation,
            stride,
            ..
        } = self.size;
        let rows = out.len() / outputs;
        let bias = self.bias.as_deref();
        let strided = |x, width| Rows::overlapping(x, rows, width, stride * inputs);
        match &self.weights {
            TapWeights::Depthwise(weights, bias) => {
                assert_eq!(stride, 1, "depthwise convolutions go row by row");
                depthwise_conv1d_dilated(x, weights, bias, dilation, out);
            }
            TapWeights::Joined(weights) => {
                matmul(strided(x, kernel * inputs), weights, bias, out);
            }
            TapWeights::Few(weights, bias) => {
                project_few(strided(x, kernel * inputs), weights, bias, out);
            }
            TapWeights::Apart(taps) => {
                for (k, tap) in taps.iter().enumerate() {
                    let x = strided(&x[k * dilation * inputs..], inputs);
                    match k {
                        0 => matmul(x, tap, bias, out),
                        _ => matmul_add(x, tap, None, out),
                    }
                }
            }
        }
    }

    /// `activation` of [`Taps::forward`].
    pub(crate) fn forward_then(&self, activation: &Activation, x: &[f32], out: &mut [f32]) {
        match (&self.weights, activation) {
            (TapWeights::Depthwise(weights, bias), Activation::Snake { turns, inverse }) => {
                let taps = (&weights[..], &bias[..], self.size.dilation);
                snake_of_depthwise_conv1d(x, taps, (turns, inverse), out);
            }
            _ => {
                self.forward(x, out);
                activation.apply(out);
            }
        }
    }

    /// `out = base + taps · x`; for a single tap.
    pub(crate) fn forward_onto(&self, base: &[f32], x: &[f32], out: &mut [f32]) {
        match &self.weights {
            TapWeights::Joined(weights) if self.size.kernel == 1 => {
                let x = Rows::dense(x, self.size.inputs);
                matmul_onto(x, weights, (base, self.bias.as_deref()), out);
            }
            _ => {
                self.forward(x, out);
                out.iter_mut()
                    .zip(base)
                    .for_each(|(out, base)| *out += base);
            }
        }
    }

    /// `out += taps · x`; for a single tap.
    pub(crate) fn forward_add(&self, x: &[f32], out: &mut [f32]) {
        match &self.weights {
            TapWeights::Joined(weights) if self.size.kernel == 1 => {
                let x = Rows::dense(x, self.size.inputs);
                matmul_add(x, weights, self.bias.as_deref(), out);
            }
            _ => {
                let mut sum = crate::arena::buffer(out.len());
                self.forward(x, &mut sum);
                out.iter_mut().zip(&*sum).for_each(|(out, sum)| *out += sum);
            }
        }
    }

    /// Whether threads should share the rows, rather than the matrix kernel the columns.
    pub(crate) fn shares_rows(&self) -> bool {
        !matches!(&self.weights, TapWeights::Joined(w) if w.outputs() * w.inputs() > 1 << 19)
    }
}

/// Reads `{prefix}.weight` `[outputs, inputs (1 if depthwise), kernel]`, with or without weight norm, and
/// `{prefix}.bias` if it is there.
fn read(
    tensors: &Tensors,
    prefix: &str,
    size: ConvSize,
) -> Result<(Vec<f32>, Option<Vec<f32>>), WeightsError> {
    let ConvSize {
        inputs,
        outputs,
        kernel,
        ..
    } = size;
    let fan = if size.is_depthwise { 1 } else { inputs };
    // Transformers has linear maps where others have convolutions of one tap.
    let is_flat = kernel == 1
        && tensors
            .shape(&format!("{prefix}.weight"))
            .is_some_and(|s| s.len() == 2);
    let shape = [outputs, fan, kernel];
    let weights = conv_weights(tensors, prefix, if is_flat { &shape[..2] } else { &shape })?;
    Ok((weights, conv_bias(tensors, prefix, outputs)?))
}

/// A convolution with the activation before it.
#[derive(Debug)]
pub struct Conv1d {
    activation: Option<Activation>,
    size: ConvSize,
    map: Map,
    padding: Padding,
    /// Whether the padding after the signal is lengthened until the last rows count.
    is_completed: bool,
    ends_in_tanh: bool,
}

#[derive(Debug)]
enum Map {
    Taps(Taps),
    /// Where the kernel is twice the stride: taps over `stride` rows each, and a bias.
    TwoTaps(TwoTaps, Option<Vec<f32>>),
}

impl Map {
    /// Of `weights` `[outputs, inputs (1 if depthwise), kernel]`.
    fn new(size: ConvSize, weights: &[f32], bias: Option<Vec<f32>>) -> Self {
        let ConvSize {
            inputs,
            outputs,
            kernel,
            dilation,
            stride,
            is_depthwise,
        } = size;
        let is_of_two = kernel == 2 * stride && dilation == 1 && !is_depthwise;
        if !is_of_two || outputs <= FEW_OUTPUTS || !TwoTaps::suits(outputs, stride * inputs) {
            return Map::Taps(Taps::new(size, weights, bias));
        }
        let matrix = |first: usize| -> Vec<f32> {
            let place = |o, k, i| (o * inputs + i) * kernel + first + k;
            let of_output = |o| {
                let taps = (0..stride).flat_map(move |k| (0..inputs).map(move |i| (k, i)));
                taps.map(move |(k, i)| weights[place(o, k, i)])
            };
            (0..outputs).flat_map(of_output).collect()
        };
        let taps = (&matrix(0)[..], &matrix(stride)[..]);
        Map::TwoTaps(TwoTaps::new(taps, outputs, stride * inputs), bias)
    }
}

impl Conv1d {
    /// Loads `{prefix}.weight` and `{prefix}.bias`, if it is there.
    pub fn load(
        tensors: &Tensors,
        prefix: &str,
        size: ConvSize,
        padding: Padding,
    ) -> Result<Self, WeightsError> {
        let (weights, bias) = read(tensors, prefix, size)?;
        Ok(Conv1d {
            activation: None,
            size,
            map: Map::new(size, &weights, bias),
            padding,
            is_completed: false,
            ends_in_tanh: false,
        })
    }

    /// The same with an activation before it.
    pub fn after(self, activation: Activation) -> Self {
        Conv1d {
            activation: Some(activation),
            ..self
        }
    }

    /// The same with a hyperbolic tangent after it.
    pub fn ending_in_tanh(self) -> Self {
        Conv1d {
            ends_in_tanh: true,
            ..self
        }
    }

    /// The same with as much more padding after the signal as its last rows need to count.
    pub fn completed(self) -> Self {
        Conv1d {
            is_completed: true,
            ..self
        }
    }

    /// Rows of padding that are missing after `received` rows for the last stride to be whole.
    fn completion(&self, received: u64) -> u64 {
        let size = &self.size;
        let padded = received + (self.padding.left + self.padding.right) as u64;
        let (span, stride) = (size.span() as u64, size.stride as u64);
        match self.is_completed {
            false => 0,
            true if padded < span => span - padded,
            true => (padded - span).next_multiple_of(stride) - (padded - span),
        }
    }

    /// The outputs from number `from` of the signal on, of the rows `x` that the first one looks at and those after them.
    fn forward(&self, (x, from): (&[f32], u64), out: &mut [f32]) {
        let ConvSize {
            inputs,
            outputs,
            stride,
            ..
        } = self.size;
        let end = |out: &mut [f32]| {
            if self.ends_in_tanh {
                tanh(out);
            }
        };
        match &self.map {
            Map::TwoTaps(taps, bias) => taps.forward((x, from), bias.as_deref(), out, end),
            Map::Taps(taps) => {
                let work = |first: usize, out: &mut [f32]| {
                    taps.forward(&x[first * stride * inputs..], out);
                    end(out);
                };
                match taps.shares_rows() {
                    true => for_each_block(out, outputs, work),
                    false => work(0, out),
                }
            }
        }
    }
}

impl Layer for Conv1d {
    fn inputs(&self) -> usize {
        self.size.inputs
    }

    fn outputs(&self) -> usize {
        self.size.outputs
    }

    fn memory(&self) -> Memory {
        Memory::window(self.inputs(), self.padding)
    }

    fn produced(&self, received: u64) -> u64 {
        self.size.outputs_of(self.padding.before(received))
    }

    fn total(&self, received: u64) -> u64 {
        let padded = received + (self.padding.left + self.padding.right) as u64;
        self.size.outputs_of(padded + self.completion(received))
    }

    fn advance(
        &self,
        memory: &mut Memory,
        limit: usize,
        _: &Context<'_>,
        out: &mut Window,
    ) -> bool {
        let (input, size) = (&mut memory.input, &self.size);
        input.settle();
        let fresh = input.take_fresh();
        if let Some(activation) = &self.activation {
            activation.apply_parallel(fresh, size.inputs);
        }
        let rows = size.outputs_of(input.len() as u64).min(limit as u64) as usize;
        if rows == 0 {
            return false;
        }
        let from = input.consumed() / size.stride as u64;
        self.forward((input.rows(), from), out.extend(rows));
        input.consume(rows * size.stride);
        true
    }

    fn finish(&self, memory: &mut Memory) {
        let more = self.completion(memory.input.received());
        memory.input.finish(more as usize);
    }
}
