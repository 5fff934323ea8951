//! Linear maps.

use percept_kernels::{
    Int8Matrix, PackedMatrix, Prologue, QuantizedRows, Rows, Store, matmul, matmul_add,
    matmul_int8, silu,
};
use percept_weights::{Tensors, WeightsError};

use crate::arena::{buffer, with_quantized};
use crate::{LayerNorm, Loader};

/// `y = x · wᵀ + b` on rows; owns its weights, packed for the CPU. Pointwise convolutions are linear maps too.
#[derive(Debug)]
pub struct Linear {
    weights: Matrix,
    bias: Option<Vec<f32>>,
    /// Whether all rows of 8-bit activations keep their rest, and not only wide ones.
    is_fine: bool,
}

/// The weights `[outputs, inputs]` in the arithmetic of the model.
#[derive(Debug)]
pub(crate) enum Matrix {
    F32(PackedMatrix),
    Int8(Int8Matrix),
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
        loader: &Loader<'_>,
        prefix: &str,
        (inputs, outputs): (usize, usize),
        bias: Bias,
    ) -> Result<Self, WeightsError> {
        let tensors = loader.tensors();
        let weights = loader.matrix(prefix, (inputs, outputs), || {
            load_weights(tensors, prefix, (inputs, outputs))
        })?;
        Ok(Linear {
            weights,
            bias: load_bias(tensors, prefix, outputs, bias)?,
            is_fine: false,
        })
    }

    /// As [`Linear::load`] with weights and bias multiplied by one half.
    pub(crate) fn load_halved(
        loader: &Loader<'_>,
        prefix: &str,
        (inputs, outputs): (usize, usize),
        bias: Bias,
    ) -> Result<Self, WeightsError> {
        let halve = |mut values: Vec<f32>| {
            values.iter_mut().for_each(|v| *v *= 0.5);
            values
        };
        let tensors = loader.tensors();
        let weights = loader.matrix(prefix, (inputs, outputs), || {
            load_weights(tensors, prefix, (inputs, outputs)).map(halve)
        })?;
        Ok(Linear {
            weights,
            bias: load_bias(tensors, prefix, outputs, bias)?.map(halve),
            is_fine: false,
        })
    }

    /// A map called `name` of a `bias` and of what `weights` returns, `[outputs, inputs]`; it is not asked where `loader`
    /// has the map already.
    ///
    /// # Panics
    /// Where the bias has another length.
    pub(crate) fn load_with(
        loader: &Loader<'_>,
        name: &str,
        (inputs, outputs): (usize, usize),
        bias: Option<Vec<f32>>,
        weights: impl FnOnce() -> Result<Vec<f32>, WeightsError>,
    ) -> Result<Self, WeightsError> {
        assert!(
            bias.as_ref().is_none_or(|b| b.len() == outputs),
            "a bias of another length"
        );
        Ok(Linear {
            weights: loader.matrix(name, (inputs, outputs), weights)?,
            bias,
            is_fine: false,
        })
    }

    /// The same map with activations of 16 bits instead of 8, for twice the work in 8 bits; for maps whose noise counts
    /// most.
    pub(crate) fn with_fine_activations(self) -> Self {
        Linear {
            is_fine: true,
            ..self
        }
    }

    /// Values per input row.
    pub fn inputs(&self) -> usize {
        match &self.weights {
            Matrix::F32(weights) => weights.inputs(),
            Matrix::Int8(weights) => weights.inputs(),
        }
    }

    /// Values per output row.
    pub fn outputs(&self) -> usize {
        match &self.weights {
            Matrix::F32(weights) => weights.outputs(),
            Matrix::Int8(weights) => weights.outputs(),
        }
    }

    /// Whether it computes in 8-bit integers.
    pub(crate) fn is_int8(&self) -> bool {
        matches!(self.weights, Matrix::Int8(_))
    }

    /// `out = x · wᵀ + b`; `x` `[rows, inputs]`, `out` `[rows, outputs]`. A row's result depends on that row alone.
    pub fn forward(&self, x: &[f32], out: &mut [f32]) {
        match &self.weights {
            Matrix::F32(weights) => matmul(self.rows(x), weights, self.bias.as_deref(), out),
            Matrix::Int8(weights) => {
                self.forward_int8(weights, x, Prologue::None, Store::Replace, out);
            }
        }
    }

    /// `out += x · wᵀ + b`.
    pub fn forward_add(&self, x: &[f32], out: &mut [f32]) {
        match &self.weights {
            Matrix::F32(weights) => matmul_add(self.rows(x), weights, self.bias.as_deref(), out),
            Matrix::Int8(weights) => self.forward_int8(weights, x, Prologue::None, Store::Add, out),
        }
    }

    /// `out = norm(x) · wᵀ + b`.
    pub(crate) fn forward_normed(&self, norm: &LayerNorm, x: &[f32], out: &mut [f32]) {
        match &self.weights {
            Matrix::F32(_) => {
                let mut normed = buffer(x.len());
                norm.forward(x, &mut normed);
                self.forward(&normed, out);
            }
            Matrix::Int8(weights) => {
                self.forward_int8(weights, x, norm.prologue(), Store::Replace, out);
            }
        }
    }

    /// `out += silu(x) · wᵀ + b`; leaves anything in `x`.
    pub(crate) fn forward_add_silu(&self, x: &mut [f32], out: &mut [f32]) {
        match &self.weights {
            Matrix::F32(_) => {
                silu(x);
                self.forward_add(x, out);
            }
            Matrix::Int8(weights) => self.forward_int8(weights, x, Prologue::Silu, Store::Add, out),
        }
    }

    fn rows<'a>(&self, x: &'a [f32]) -> Rows<'a> {
        Rows::dense(x, self.inputs())
    }

    fn forward_int8(
        &self,
        weights: &Int8Matrix,
        x: &[f32],
        prologue: Prologue<'_>,
        store: Store,
        out: &mut [f32],
    ) {
        with_quantized(|rows| {
            rows.quantize(x, weights.inputs(), prologue);
            matmul_int8(rows, weights, self.bias.as_deref(), store, out);
            let which = match self.is_fine {
                true => rows.every_row(),
                false => rows.wide_rows(),
            };
            if !which.is_empty() {
                add_rest(weights, (x, prologue), (rows, which), out);
            }
        });
    }
}

/// Adds what the 8 bits of the rows `which` have left of their activations.
fn add_rest(
    weights: &Int8Matrix,
    (x, prologue): (&[f32], Prologue<'_>),
    (coarse, which): (&QuantizedRows, &[usize]),
    out: &mut [f32],
) {
    let outputs = weights.outputs();
    let mut parts = buffer(which.len() * outputs);
    with_quantized(|rest| {
        rest.quantize_rest(x, prologue, coarse, which);
        matmul_int8(rest, weights, None, Store::Replace, &mut parts);
    });
    for (row, part) in which.iter().zip(parts.chunks_exact(outputs.max(1))) {
        let out = &mut out[row * outputs..(row + 1) * outputs];
        out.iter_mut()
            .zip(part)
            .for_each(|(out, rest)| *out += rest);
    }
}

/// The weight `[outputs, inputs]`, with trailing axes of length one for a pointwise convolution.
pub(crate) fn load_weights(
    tensors: &Tensors,
    prefix: &str,
    (inputs, outputs): (usize, usize),
) -> Result<Vec<f32>, WeightsError> {
    let name = format!("{prefix}.weight");
    let mut shape = vec![outputs, inputs];
    if let Some(kernel) = tensors.shape(&name).and_then(|s| s.get(2..)) {
        shape.extend(kernel.iter().map(|_| 1));
    }
    tensors.f32(&name, &shape)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Precision;
    use percept_testkit::Rng;

    /// Relative L2 distance of the product in 8 bits from that in 32.
    fn error(x: &[f32], weights: &[f32], inputs: usize) -> f64 {
        let outputs = weights.len() / inputs;
        let tensor = ("map.weight", vec![outputs, inputs], weights.to_vec());
        let tensors = Tensors::from_f32("mem", [tensor]).expect("one tensor");
        let [exact, rounded] = [Precision::F32, Precision::Int8].map(|precision| {
            let loader = Loader::new(&tensors, precision);
            let map = Linear::load(&loader, "map", (inputs, outputs), Bias::Absent);
            let mut out = vec![0.0; x.len() / inputs * outputs];
            map.expect("complete").forward(x, &mut out);
            out
        });
        let square = |v: f32| f64::from(v) * f64::from(v);
        let error: f64 = rounded.iter().zip(&exact).map(|(r, e)| square(r - e)).sum();
        let size: f64 = exact.iter().map(|e| square(*e)).sum();
        (error / size).sqrt()
    }

    #[test]
    fn one_channel_a_hundred_times_the_rest_leaves_five_percent() {
        let mut rng = Rng::new(1);
        for inputs in [512, 1024, 2048, 4096] {
            let uniform = |rng: &mut Rng| rng.uniform(-1.0, 1.0);
            let normal = Rng::normal;
            let sign = |rng: &mut Rng| rng.uniform(-1.0, 1.0).signum();
            let weights: Vec<f32> = (0..64 * inputs).map(|_| uniform(&mut rng)).collect();
            let rows: [&dyn Fn(&mut Rng) -> f32; 3] = [&uniform, &normal, &sign];
            for (n, value) in rows.iter().enumerate() {
                for outlier in [100.0, -100.0] {
                    let mut x: Vec<f32> = (0..inputs).map(|_| value(&mut rng)).collect();
                    x[inputs / 3] = outlier;
                    let error = error(&x, &weights, inputs);
                    assert!(
                        error < 0.03,
                        "{inputs} inputs, rows {n}, {outlier}: {error}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_wide_row_changes_no_other() {
        let mut rng = Rng::new(2);
        let (inputs, outputs) = (256, 96);
        let mut noise = |n: usize| -> Vec<f32> { (0..n).map(|_| rng.uniform(-0.5, 0.5)).collect() };
        let weights = noise(outputs * inputs);
        let tensor = ("map.weight", vec![outputs, inputs], weights);
        let tensors = Tensors::from_f32("mem", [tensor]).expect("one tensor");
        let loader = Loader::new(&tensors, Precision::Int8);
        let map = Linear::load(&loader, "map", (inputs, outputs), Bias::Absent).expect("complete");
        let mut x = noise(7 * inputs);
        x[3 * inputs + 5] = 400.0;
        x[6 * inputs + 9] = -400.0;
        let mut together = vec![0.25; 7 * outputs];
        map.forward_add(&x, &mut together);
        for row in 0..7 {
            let mut alone = vec![0.25; outputs];
            map.forward_add(&x[row * inputs..(row + 1) * inputs], &mut alone);
            assert_eq!(
                alone,
                together[row * outputs..(row + 1) * outputs],
                "row {row}"
            );
        }
    }
}
