//! The weights of transformer layers as checkpoints have them.

use percept_weights::{Tensors, WeightsError};

use super::TransformerSize;
use crate::{LayerNorm, Linear, Loader, Precision};

/// What the tensors of a layer are called, and how the maps to its queries and keys are laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransformerLayout {
    /// As transformers has them (`self_attn.q_proj`, `mlp.fc1`): channels that are turned together lie half a head
    /// apart.
    Split,
    /// As the `moshi` package has them (`self_attn.in_proj_weight`, `linear1`): channels that are turned together are
    /// neighbours.
    Joined,
}

/// Where the weights of one layer are.
pub(super) struct Source<'a> {
    pub(super) tensors: &'a Tensors,
    pub(super) prefix: &'a str,
    pub(super) layout: TransformerLayout,
    pub(super) size: TransformerSize,
}

impl Source<'_> {
    /// The norm before the attention (0) or before the feed-forward part (1).
    pub(super) fn norm(&self, part: usize) -> Result<LayerNorm, WeightsError> {
        let name = match self.layout {
            TransformerLayout::Split => ["input_layernorm", "post_attention_layernorm"][part],
            TransformerLayout::Joined => ["norm1", "norm2"][part],
        };
        let norm = LayerNorm::load(self.tensors, &self.name(name), self.size.channels)?;
        Ok(norm.with_eps(self.size.epsilon))
    }

    /// The maps to queries, keys and values as one, whose heads turn the channels that lie half a head apart.
    pub(super) fn qkv(&self) -> Result<Linear, WeightsError> {
        let (queries, keys) = (self.size.queries(), self.size.keys());
        let (channels, outputs) = (self.size.channels, self.size.joined());
        let mut weights = Vec::with_capacity(outputs * channels);
        let mut bias = Vec::new();
        match self.layout {
            TransformerLayout::Split => {
                for (part, rows) in [("q_proj", queries), ("k_proj", keys), ("v_proj", keys)] {
                    let name = format!("self_attn.{part}");
                    weights.extend(self.tensor(&format!("{name}.weight"), &[rows, channels])?);
                    bias.extend(
                        self.bias(&format!("{name}.bias"), rows)?
                            .unwrap_or_default(),
                    );
                }
            }
            TransformerLayout::Joined => {
                weights = self.tensor("self_attn.in_proj_weight", &[outputs, channels])?;
                bias = self
                    .bias("self_attn.in_proj_bias", outputs)?
                    .unwrap_or_default();
                let turned = queries + keys;
                part_neighbours(&mut weights[..turned * channels], self.size.head, channels);
                if self.size.has_bias {
                    part_neighbours(&mut bias[..turned], self.size.head, 1);
                }
            }
        }
        let bias = self.size.has_bias.then_some(bias);
        self.linear((channels, outputs), weights, bias)
    }

    pub(super) fn out(&self) -> Result<Linear, WeightsError> {
        let (name, scale) = match self.layout {
            TransformerLayout::Split => ("self_attn.o_proj", "self_attn_layer_scale"),
            TransformerLayout::Joined => ("self_attn.out_proj", "layer_scale_1"),
        };
        let bias = self.bias(&format!("{name}.bias"), self.size.channels)?;
        self.scaled(name, scale, self.size.queries(), bias)
    }

    pub(super) fn up(&self) -> Result<Linear, WeightsError> {
        let name = match self.layout {
            TransformerLayout::Split => "mlp.fc1.weight",
            TransformerLayout::Joined => "linear1.weight",
        };
        let TransformerSize {
            channels, hidden, ..
        } = self.size;
        let weights = self.tensor(name, &[hidden, channels])?;
        self.linear((channels, hidden), weights, None)
    }

    pub(super) fn down(&self) -> Result<Linear, WeightsError> {
        let (name, scale) = match self.layout {
            TransformerLayout::Split => ("mlp.fc2", "mlp_layer_scale"),
            TransformerLayout::Joined => ("linear2", "layer_scale_2"),
        };
        self.scaled(name, scale, self.size.hidden, None)
    }

    /// The map `name` back to the channels, with what scales each of them in it.
    fn scaled(
        &self,
        name: &str,
        scale: &str,
        inputs: usize,
        mut bias: Option<Vec<f32>>,
    ) -> Result<Linear, WeightsError> {
        let channels = self.size.channels;
        let scales = self.tensor(&format!("{scale}.scale"), &[channels])?;
        let mut weights = self.tensor(&format!("{name}.weight"), &[channels, inputs])?;
        for (row, scale) in weights.chunks_exact_mut(inputs).zip(&scales) {
            row.iter_mut().for_each(|weight| *weight *= scale);
        }
        for (value, scale) in bias.iter_mut().flatten().zip(&scales) {
            *value *= scale;
        }
        self.linear((inputs, channels), weights, bias)
    }

    fn linear(
        &self,
        sizes: (usize, usize),
        weights: Vec<f32>,
        bias: Option<Vec<f32>>,
    ) -> Result<Linear, WeightsError> {
        let loader = Loader::new(self.tensors, Precision::F32);
        Linear::load_with(&loader, self.prefix, sizes, bias, || Ok(weights))
    }

    /// A bias of the attention, where it has any.
    fn bias(&self, name: &str, outputs: usize) -> Result<Option<Vec<f32>>, WeightsError> {
        match self.size.has_bias {
            true => self.tensor(name, &[outputs]).map(Some),
            false => Ok(None),
        }
    }

    fn tensor(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, WeightsError> {
        self.tensors.f32(&self.name(name), shape)
    }

    fn name(&self, name: &str) -> String {
        format!("{}.{name}", self.prefix)
    }
}

/// Of each `head` rows of `width` values, moves the even ones to the front and the odd ones behind them.
fn part_neighbours(rows: &mut [f32], head: usize, width: usize) {
    for rows in rows.chunks_exact_mut(head * width) {
        let (even, odd): (Vec<_>, Vec<_>) = rows
            .chunks_exact(2 * width)
            .map(|pair| pair.split_at(width))
            .unzip();
        let parted = [even, odd].concat().concat();
        rows.copy_from_slice(&parted);
    }
}
