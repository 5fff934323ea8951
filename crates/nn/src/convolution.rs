//! The convolution module of a Conformer layer.

use percept_kernels::{depthwise_conv1d, glu};
use percept_weights::{Tensors, WeightsError};

use crate::arena::buffer;
use crate::linear::load_bias;
use crate::tiles::for_each_tile;
use crate::{Bias, Items, LayerNorm, Linear, Loader};

const BATCH_NORM_EPS: f32 = 1e-5;

/// Which frames a depthwise convolution of `k` taps sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConvPadding {
    /// `(k - 1) / 2` frames on either side.
    Symmetric,
    /// `k - 1` frames of the past.
    Causal,
}

impl std::fmt::Display for ConvPadding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            ConvPadding::Symmetric => "symmetric",
            ConvPadding::Causal => "causal",
        })
    }
}

/// Sizes of a [`ConvModule`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConvShape {
    /// Channels.
    pub width: usize,
    /// Taps of the depthwise convolution, at least one; odd where the padding is symmetric.
    pub kernel: usize,
    /// Which frames it sees.
    pub padding: ConvPadding,
}

/// `x + pointwise2(silu(norm(depthwise(glu(pointwise1(layer_norm(x)))))))`.
///
/// Batch norm is folded into the depthwise weights; layer norm over channels stays (NeMo keeps both under the name
/// `batch_norm`; running statistics tell them apart).
#[derive(Debug)]
pub struct ConvModule {
    norm: LayerNorm,
    gate: Linear,
    /// `[kernel, width]`
    taps: Vec<f32>,
    bias: Vec<f32>,
    left: usize,
    depthwise_norm: Option<LayerNorm>,
    contract: Linear,
}

impl ConvModule {
    /// Loads the norm at `norm` and the module at `prefix`.
    pub fn load(
        loader: &Loader<'_>,
        (prefix, norm): (&str, &str),
        shape: ConvShape,
        bias: Bias,
    ) -> Result<Self, WeightsError> {
        let ConvShape {
            width,
            kernel,
            padding,
        } = shape;
        let tensors = loader.tensors();
        let depthwise = format!("{prefix}.depthwise_conv");
        let weights = tensors.f32(&format!("{depthwise}.weight"), &[width, 1, kernel])?;
        let depthwise_bias = load_bias(tensors, &depthwise, width, bias)?;
        let mut depthwise_bias = depthwise_bias.unwrap_or_else(|| vec![0.0; width]);
        let batch_norm = format!("{prefix}.batch_norm");
        let is_batch_norm = ["running_mean", "running_var", "num_batches_tracked"]
            .iter()
            .any(|part| tensors.contains(&format!("{batch_norm}.{part}")));
        let (scale, depthwise_norm) = if is_batch_norm {
            let scale = fold_batch_norm(tensors, &batch_norm, &mut depthwise_bias)?;
            (scale, None)
        } else {
            let norm = LayerNorm::load(tensors, &batch_norm, width)?;
            (vec![1.0; width], Some(norm))
        };
        let taps =
            (0..kernel * width).map(|i| weights[i % width * kernel + i / width] * scale[i % width]);
        let (gate, contract) = (
            format!("{prefix}.pointwise_conv1"),
            format!("{prefix}.pointwise_conv2"),
        );
        Ok(ConvModule {
            norm: LayerNorm::load(tensors, norm, width)?,
            gate: Linear::load(loader, &gate, (width, 2 * width), bias)?,
            taps: taps.collect(),
            bias: depthwise_bias,
            left: match padding {
                ConvPadding::Symmetric => (kernel - 1) / 2,
                ConvPadding::Causal => kernel - 1,
            },
            depthwise_norm,
            contract: Linear::load(loader, &contract, (width, width), bias)?,
        })
    }

    /// Adds the module's output to `x` `[items.total(), width]`. No frame sees another item.
    pub fn forward(&self, x: &mut [f32], items: &Items) {
        let width = self.contract.inputs();
        let mut gated = buffer(x.len());
        for_each_tile(&mut gated, width, |first, tile| {
            let rows = &x[first * width..first * width + tile.len()];
            let mut both = buffer(2 * tile.len());
            self.gate.forward_normed(&self.norm, rows, &mut both);
            glu(&both, width, tile);
        });
        for item in items.ranges() {
            let source = &gated[item.start * width..item.end * width];
            for_each_tile(
                &mut x[item.start * width..item.end * width],
                width,
                |first, tile| {
                    let frames = first..first + tile.len() / width;
                    let mut filtered = buffer(tile.len());
                    depthwise_conv1d(
                        source,
                        &self.taps,
                        &self.bias,
                        self.left,
                        frames,
                        &mut filtered,
                    );
                    if let Some(norm) = &self.depthwise_norm {
                        norm.forward_in_place(&mut filtered);
                    }
                    self.contract.forward_add_silu(&mut filtered, tile);
                },
            );
        }
    }
}

/// Folds running statistics into `bias` and returns the factor of each channel's weights.
fn fold_batch_norm(
    tensors: &Tensors,
    prefix: &str,
    bias: &mut [f32],
) -> Result<Vec<f32>, WeightsError> {
    let part = |name: &str| tensors.f32(&format!("{prefix}.{name}"), &[bias.len()]);
    let (gamma, beta) = (part("weight")?, part("bias")?);
    let (mean, var) = (part("running_mean")?, part("running_var")?);
    let scale: Vec<f32> = gamma
        .iter()
        .zip(&var)
        .map(|(g, v)| g / (v + BATCH_NORM_EPS).sqrt())
        .collect();
    for (c, b) in bias.iter_mut().enumerate() {
        *b = (*b - mean[c]) * scale[c] + beta[c];
    }
    Ok(scale)
}
