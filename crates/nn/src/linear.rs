//! Linear maps.

use percept_kernels::{PackedMatrix, Rows, matmul, matmul_add};
use percept_weights::{Tensors, WeightsError};

/// `y = x · wᵀ + b` on rows; owns its weights, packed for the CPU. Pointwise convolutions are linear maps too.
#[derive(Debug)]
pub struct Linear {
    weights: PackedMatrix,
    bias: Option<Vec<f32>>,
}

/// Whether the maps of a group have biases. A checkpoint gives all maps of a group one, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bias {
    /// Every map has one; a missing one is an error.
    Present,
    /// No map has one.
    Absent,
}

impl Linear {
    /// Loads `{prefix}.weight` `[outputs, inputs]`, with trailing axes of length one for a pointwise convolution, and
    /// `{prefix}.bias` `[outputs]`.
    pub fn load(
        tensors: &Tensors,
        prefix: &str,
        (inputs, outputs): (usize, usize),
        bias: Bias,
    ) -> Result<Self, WeightsError> {
        let (weights, bias) = load_parts(tensors, prefix, (inputs, outputs), bias)?;
        Ok(Self::from_parts(&weights, bias, inputs, outputs))
    }

    /// As [`Linear::load`] with weights and bias multiplied by one half.
    pub(crate) fn load_halved(
        tensors: &Tensors,
        prefix: &str,
        (inputs, outputs): (usize, usize),
        bias: Bias,
    ) -> Result<Self, WeightsError> {
        let (mut weights, mut bias) = load_parts(tensors, prefix, (inputs, outputs), bias)?;
        for v in weights.iter_mut().chain(bias.iter_mut().flatten()) {
            *v *= 0.5;
        }
        Ok(Self::from_parts(&weights, bias, inputs, outputs))
    }

    /// Packs `weights` `[outputs, inputs]` and an optional `bias` `[outputs]`.
    pub fn from_parts(
        weights: &[f32],
        bias: Option<Vec<f32>>,
        inputs: usize,
        outputs: usize,
    ) -> Self {
        assert!(
            bias.as_ref().is_none_or(|b| b.len() == outputs),
            "a bias of another length"
        );
        Linear {
            weights: PackedMatrix::pack(weights, outputs, inputs),
            bias,
        }
    }

    /// Values per input row.
    pub fn inputs(&self) -> usize {
        self.weights.inputs()
    }

    /// Values per output row.
    pub fn outputs(&self) -> usize {
        self.weights.outputs()
    }

    /// `out = x · wᵀ + b`; `x` `[rows, inputs]`, `out` `[rows, outputs]`. A row's result depends on that row alone.
    pub fn forward(&self, x: &[f32], out: &mut [f32]) {
        matmul(
            Rows::dense(x, self.inputs()),
            &self.weights,
            self.bias.as_deref(),
            out,
        );
    }

    /// `out += x · wᵀ + b`.
    pub fn forward_add(&self, x: &[f32], out: &mut [f32]) {
        matmul_add(
            Rows::dense(x, self.inputs()),
            &self.weights,
            self.bias.as_deref(),
            out,
        );
    }
}

/// The weight `[outputs, inputs]` and the bias `[outputs]`.
pub(crate) fn load_parts(
    tensors: &Tensors,
    prefix: &str,
    (inputs, outputs): (usize, usize),
    bias: Bias,
) -> Result<(Vec<f32>, Option<Vec<f32>>), WeightsError> {
    let name = format!("{prefix}.weight");
    let mut shape = vec![outputs, inputs];
    if let Some(kernel) = tensors.shape(&name).and_then(|s| s.get(2..)) {
        shape.extend(kernel.iter().map(|_| 1));
    }
    let weights = tensors.f32(&name, &shape)?;
    Ok((weights, load_bias(tensors, prefix, outputs, bias)?))
}

/// `{prefix}.bias` `[outputs]`, where the group has biases.
pub(crate) fn load_bias(
    tensors: &Tensors,
    prefix: &str,
    outputs: usize,
    bias: Bias,
) -> Result<Option<Vec<f32>>, WeightsError> {
    match bias {
        Bias::Present => tensors.f32(&format!("{prefix}.bias"), &[outputs]).map(Some),
        Bias::Absent => Ok(None),
    }
}
