//! The convolution module of a Conformer layer.

use percept_kernels::{depthwise_conv1d, glu};
use percept_weights::{Tensors, WeightsError};

use crate::arena::{Buffer, buffer};
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
        let gated = self.gated(x);
        let source = |item: usize| {
            let rows = items.range(item);
            &gated[rows.start * width..rows.end * width]
        };
        self.add_filtered(x, items, 0, &source);
    }

    /// Frames of the past that [`ConvModule::forward_stream`] needs: `kernel - 1`.
    pub fn history(&self) -> usize {
        self.left
    }

    /// As [`ConvModule::forward`] for frames that continue streams: item `n` of `items` belongs to `streams[n]`, whose
    /// memory `history` gives, `[self.history(), width]`, zeros at first.
    ///
    /// # Panics
    /// Where the module is not causal.
    pub fn forward_stream<S>(
        &self,
        x: &mut [f32],
        items: &Items,
        streams: &mut [S],
        history: impl for<'s> Fn(&'s mut S) -> &'s mut [f32],
    ) {
        let width = self.contract.inputs();
        let left = self.left;
        assert_eq!((left + 1) * width, self.taps.len(), "not causal");
        let gated = self.gated(x);
        let mut longer = buffer(gated.len() + streams.len() * left * width);
        // Item `n` begins after the frames of the items before it, and a history for each of them.
        let start = |item: usize| (items.range(item).start + item * left) * width;
        for (item, (rows, stream)) in items.ranges().zip(streams).enumerate() {
            let history = history(stream);
            let longer = &mut longer[start(item)..][..(left + rows.len()) * width];
            let (past, now) = longer.split_at_mut(left * width);
            past.copy_from_slice(history);
            now.copy_from_slice(&gated[rows.start * width..rows.end * width]);
            history.copy_from_slice(&longer[longer.len() - history.len()..]);
        }
        let source =
            |item: usize| &longer[start(item)..][..(left + items.range(item).len()) * width];
        self.add_filtered(x, items, left, &source);
    }

    /// `glu(pointwise1(layer_norm(x)))`.
    fn gated(&self, x: &[f32]) -> Buffer {
        let width = self.contract.inputs();
        let mut gated = buffer(x.len());
        for_each_tile(&mut gated, width, |first, tile| {
            let rows = &x[first * width..first * width + tile.len()];
            let mut both = buffer(2 * tile.len());
            self.gate.forward_normed(&self.norm, rows, &mut both);
            glu(&both, width, tile);
        });
        gated
    }

    /// Adds what follows the gate to `x`; `source(n)` is the gate's output for item `n`, behind `history` earlier frames.
    fn add_filtered<'a>(
        &self,
        x: &mut [f32],
        items: &Items,
        history: usize,
        source: &(impl Fn(usize) -> &'a [f32] + Sync),
    ) {
        let width = self.contract.inputs();
        for_each_tile(x, width, |first, tile| {
            let mut filtered = buffer(tile.len());
            let mut rest = &mut filtered[..];
            for (item, part) in items.parts(first..first + tile.len() / width) {
                let (now, later) = rest.split_at_mut(part.len() * width);
                let frames = part.start + history..part.end + history;
                depthwise_conv1d(source(item), &self.taps, &self.bias, self.left, frames, now);
                rest = later;
            }
            if let Some(norm) = &self.depthwise_norm {
                norm.forward_in_place(&mut filtered);
            }
            self.contract.forward_add_silu(&mut filtered, tile);
        });
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
