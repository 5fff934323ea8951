//! Multi-head attention with relative positions (Transformer-XL, untied or shared biases).

use std::ops::Range;

use half::bf16;
use percept_kernels::{HeadBlock, MAX_QUERIES, Padded, Visible, relative_attention};
use percept_weights::WeightsError;
use rayon::prelude::*;

use crate::arena::{buffer, with_scratch};
use crate::linear::{load_bias, load_weights};
use crate::positions::{ProjectedPositions, Table};
use crate::tiles::for_each_tile;
use crate::{AttentionMask, Bias, Items, LayerNorm, Linear, Loader, RelativePositions};

/// Sizes of an attention module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttentionShape {
    /// Channels; a multiple of `heads`.
    pub width: usize,
    /// Attention heads.
    pub heads: usize,
}

/// `x + out(attention(norm(x)))` with content scores `(q + u) · k` and position scores `(q + v) · p`.
///
/// The relative shift is never materialised: a query's position scores are read at an offset.
#[derive(Debug)]
pub struct RelPosAttention {
    norm: LayerNorm,
    /// Queries, keys and values as one map, `[3 · width, width]`.
    qkv: Linear,
    positions: Linear,
    out: Linear,
    bias_u: Vec<f32>,
    bias_v: Vec<f32>,
    shape: AttentionShape,
}

/// One head's share of one item.
struct Head<'a> {
    /// `[frames, 3 · width]`
    qkv: &'a [f32],
    width: usize,
    /// Its channels of queries, keys and values.
    channels: Range<usize>,
    positions: Padded<'a>,
    back: usize,
    bias_u: &'a [f32],
    bias_v: &'a [f32],
    mask: &'a AttentionMask,
}

impl RelPosAttention {
    /// Loads the norm at `norm`, the maps at `{prefix}.linear_{q,k,v,out,pos}` and the position biases
    /// `{prefix}.pos_bias_{u,v}` `[heads, width / heads]`; checkpoints that tie those keep them once, at
    /// `encoder.pos_bias_{u,v}`.
    pub fn load(
        loader: &Loader<'_>,
        (prefix, norm): (&str, &str),
        shape: AttentionShape,
        bias: Bias,
    ) -> Result<Self, WeightsError> {
        let AttentionShape { width, heads } = shape;
        let square = (width, width);
        let tensors = loader.tensors();
        let parts = ["q", "k", "v"].map(|name| format!("{prefix}.linear_{name}"));
        let mut biases = Vec::new();
        for part in &parts {
            biases.extend(load_bias(tensors, part, width, bias)?.unwrap_or_default());
        }
        let biases = (bias == Bias::Present).then_some(biases);
        let qkv = format!("{prefix}.linear_qkv");
        let qkv = Linear::load_with(loader, &qkv, (width, 3 * width), biases, || {
            let mut weights = Vec::with_capacity(3 * width * width);
            for part in &parts {
                weights.extend(load_weights(tensors, part, square)?);
            }
            Ok(weights)
        })?;
        let position_bias = |side: &str| {
            let own = format!("{prefix}.pos_bias_{side}");
            let tied = format!("encoder.pos_bias_{side}");
            let is_tied = !tensors.contains(&own) && tensors.contains(&tied);
            tensors.f32(if is_tied { &tied } else { &own }, &[heads, width / heads])
        };
        let (positions, out) = (
            format!("{prefix}.linear_pos"),
            format!("{prefix}.linear_out"),
        );
        Ok(RelPosAttention {
            norm: LayerNorm::load(tensors, norm, width)?,
            qkv,
            positions: Linear::load(loader, &positions, square, Bias::Absent)?,
            // Its noise reaches the sum undamped: an average over keys has none of its own to hide it.
            out: Linear::load(loader, &out, square, bias)?.with_fine_activations(),
            bias_u: position_bias("u")?,
            bias_v: position_bias("v")?,
            shape,
        })
    }

    /// `encodings` as this layer compares queries with them.
    pub fn project(&self, encodings: &RelativePositions) -> ProjectedPositions {
        let width = self.shape.width;
        let mut projected = buffer(encodings.table.len());
        for_each_tile(&mut projected, width, |first, tile| {
            self.positions
                .forward(&encodings.table[first * width..][..tile.len()], tile);
        });
        let rows = encodings.table.len() / width;
        ProjectedPositions {
            by_head: match self.positions.is_int8() {
                true => Table::Bf16(columns(&projected, width, bf16::from_f32)),
                false => Table::F32(columns(&projected, width, |v| v)),
            },
            rows,
            back: encodings.back,
        }
    }

    /// Adds the module's output to `x` `[items.total(), width]`. `positions` must reach as far as the mask does.
    pub fn forward(
        &self,
        x: &mut [f32],
        items: &Items,
        mask: &AttentionMask,
        positions: &ProjectedPositions,
    ) {
        let AttentionShape { width, heads } = self.shape;
        let head_width = width / heads;
        let mut qkv = buffer(3 * x.len());
        for_each_tile(&mut qkv, 3 * width, |first, tile| {
            let rows = &x[first * width..][..tile.len() / 3];
            self.qkv.forward_normed(&self.norm, rows, tile);
        });
        for item in items.ranges().filter(|item| !item.is_empty()) {
            let frames = item.len();
            let mut by_head = buffer(frames * width);
            by_head
                .par_chunks_mut(frames * head_width)
                .enumerate()
                .for_each(|(head, context)| {
                    let channels = head * head_width..(head + 1) * head_width;
                    // A query's own position is at `back`; none of the item's is further than its length.
                    let first = positions.back.saturating_sub(frames - 1);
                    let count = (positions.back + frames).min(positions.rows) - first;
                    let table = positions.head((head, head_width), (first, count));
                    let view = Head {
                        qkv: &qkv[item.start * 3 * width..item.end * 3 * width],
                        width,
                        positions: Padded::new(&table, head_width, count),
                        back: positions.back - first,
                        bias_u: &self.bias_u[channels.clone()],
                        bias_v: &self.bias_v[channels.clone()],
                        channels,
                        mask,
                    };
                    view.attend(context);
                });
            let x = &mut x[item.start * width..item.end * width];
            for_each_tile(x, width, |first, tile| {
                let mut context = buffer(tile.len());
                for (t, row) in context.chunks_exact_mut(width).enumerate() {
                    for (head, part) in row.chunks_exact_mut(head_width).enumerate() {
                        let at = (head * frames + first + t) * head_width;
                        part.copy_from_slice(&by_head[at..at + head_width]);
                    }
                }
                self.out.forward_add(&context, tile);
            });
        }
    }
}

impl Head<'_> {
    /// `context` `[frames, head width]`.
    fn attend(&self, context: &mut [f32]) {
        let head_width = self.channels.len();
        let stride = 3 * self.width;
        let frames = self.qkv.len() / stride;
        let mut keys = buffer(Padded::layout(head_width, frames).0);
        let first_key = self.width + self.channels.start;
        transpose(self.qkv, (stride, first_key), head_width, &mut keys);
        let (len, value_stride) = Padded::layout(frames, head_width);
        let mut values = buffer(len);
        let first_value = 2 * self.width + self.channels.start;
        for (to, row) in values
            .chunks_exact_mut(value_stride)
            .zip(self.qkv.chunks_exact(stride))
        {
            to[..head_width].copy_from_slice(&row[first_value..first_value + head_width]);
        }
        let keys = Padded::new(&keys, head_width, frames);
        let values = Padded::new(&values, frames, head_width);
        context
            .par_chunks_mut(MAX_QUERIES * head_width)
            .enumerate()
            .for_each(|(block, context)| {
                let first = block * MAX_QUERIES;
                let queries = first..first + context.len() / head_width;
                let visible: Vec<Visible> = queries
                    .clone()
                    .map(|i| {
                        let keys = self.mask.visible(i, frames);
                        // Positions run from `back` downwards: key `j` of query `i` is at `back - i + j`.
                        let first_position = self.back + keys.start - i;
                        Visible {
                            keys,
                            first_position,
                        }
                    })
                    .collect();
                let (mut with_u, mut with_v) = (buffer(context.len()), buffer(context.len()));
                self.biased_queries(&queries, self.bias_u, &mut with_u);
                self.biased_queries(&queries, self.bias_v, &mut with_v);
                let block = HeadBlock {
                    with_u: &with_u,
                    with_v: &with_v,
                    keys,
                    positions: self.positions,
                    values,
                    visible: &visible,
                };
                with_scratch(|scratch| relative_attention(&block, scratch, context));
            });
    }

    /// `(query + bias) / √(head width)`.
    fn biased_queries(&self, queries: &Range<usize>, bias: &[f32], out: &mut [f32]) {
        let scale = 1.0 / (self.channels.len() as f32).sqrt();
        for (row, i) in out.chunks_exact_mut(bias.len()).zip(queries.clone()) {
            let query = &self.qkv[i * 3 * self.width..][self.channels.clone()];
            for ((o, q), b) in row.iter_mut().zip(query).zip(bias) {
                *o = (q + b) * scale;
            }
        }
    }
}

/// The transpose of `[rows, width]`.
fn columns<T: Send + Sync>(rows: &[f32], width: usize, keep: impl Fn(f32) -> T + Sync) -> Vec<T> {
    let count = rows.len() / width;
    (0..rows.len())
        .into_par_iter()
        .with_min_len(count)
        .map(|i| keep(rows[i % count * width + i / count]))
        .collect()
}

/// Columns `first .. first + width` of rows of `stride` values, as `[width, rows]` in [`Padded`] form.
fn transpose(rows: &[f32], (stride, first): (usize, usize), width: usize, out: &mut [f32]) {
    /// Rows and columns of a block that fits the first-level cache both ways.
    const BLOCK: usize = 16;
    let count = rows.len() / stride;
    let (_, out_stride) = Padded::layout(width, count);
    for row in (0..count).step_by(BLOCK) {
        for column in (0..width).step_by(BLOCK) {
            for c in column..(column + BLOCK).min(width) {
                let out = &mut out[c * out_stride + row..][..BLOCK.min(count - row)];
                for (r, out) in out.iter_mut().enumerate() {
                    *out = rows[(row + r) * stride + first + c];
                }
            }
        }
    }
}
