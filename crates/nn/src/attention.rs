//! Multi-head attention with relative positions (Transformer-XL, untied or shared biases).

use std::ops::Range;

use percept_kernels::{Rows, matmul_by_columns, matmul_by_rows, softmax};
use percept_weights::{Tensors, WeightsError};
use rayon::prelude::*;

use crate::linear::load_parts;
use crate::tiles::for_each_tile;
use crate::{AttentionMask, Bias, Items, LayerNorm, Linear, RelativePositions};

/// Query frames handled at a time; their scores stay in cache.
const QUERY_BLOCK: usize = 64;
/// Keys are reduced in blocks that begin at multiples of this, so that a query's result does not depend on which
/// other queries share its block. It is the depth at which the matrix kernel cuts its sums.
const KEY_BLOCK: usize = 256;

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

/// One head's view of one item.
struct Head<'a> {
    qkv: &'a [f32],
    positions: &'a [f32],
    back: usize,
    frames: usize,
    offset: usize,
    head_width: usize,
    bias_u: &'a [f32],
    bias_v: &'a [f32],
    mask: &'a AttentionMask,
}

impl RelPosAttention {
    /// Loads the norm at `norm`, the maps at `{prefix}.linear_{q,k,v,out,pos}` and the position biases
    /// `{prefix}.pos_bias_{u,v}` `[heads, width / heads]`; checkpoints that tie those keep them once, at
    /// `encoder.pos_bias_{u,v}`.
    pub fn load(
        tensors: &Tensors,
        (prefix, norm): (&str, &str),
        shape: AttentionShape,
        bias: Bias,
    ) -> Result<Self, WeightsError> {
        let AttentionShape { width, heads } = shape;
        let square = (width, width);
        let (mut weights, mut biases) = (Vec::new(), Vec::new());
        for name in ["q", "k", "v"] {
            let (w, b) = load_parts(tensors, &format!("{prefix}.linear_{name}"), square, bias)?;
            weights.extend(w);
            biases.extend(b.unwrap_or_default());
        }
        let biases = (bias == Bias::Present).then_some(biases);
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
            qkv: Linear::from_parts(&weights, biases, width, 3 * width),
            positions: Linear::load(tensors, &positions, square, Bias::Absent)?,
            out: Linear::load(tensors, &out, square, bias)?,
            bias_u: position_bias("u")?,
            bias_v: position_bias("v")?,
            shape,
        })
    }

    /// Adds the module's output to `x` `[items.total(), width]`. `positions` must reach as far as the mask does.
    pub fn forward(
        &self,
        x: &mut [f32],
        items: &Items,
        mask: &AttentionMask,
        positions: &RelativePositions,
    ) {
        let width = self.shape.width;
        let mut qkv = vec![0.0; 3 * x.len()];
        for_each_tile(&mut qkv, 3 * width, |first, tile| {
            let rows = &x[first * width..][..tile.len() / 3];
            let mut normed = vec![0.0; rows.len()];
            self.norm.forward(rows, &mut normed);
            self.qkv.forward(&normed, tile);
        });
        let mut projected = vec![0.0; positions.table.len()];
        for_each_tile(&mut projected, width, |first, tile| {
            self.positions
                .forward(&positions.table[first * width..][..tile.len()], tile);
        });
        let mut context = vec![0.0; x.len()];
        for item in items.ranges().filter(|item| !item.is_empty()) {
            let rows = &qkv[item.start * 3 * width..item.end * 3 * width];
            self.attend(
                rows,
                (&projected, positions.back),
                mask,
                &mut context[item.start * width..item.end * width],
            );
        }
        for_each_tile(x, width, |first, tile| {
            self.out
                .forward_add(&context[first * width..][..tile.len()], tile);
        });
    }

    /// Attention within one item: `qkv` `[frames, 3 · width]` to `context` `[frames, width]`.
    fn attend(
        &self,
        qkv: &[f32],
        (positions, back): (&[f32], usize),
        mask: &AttentionMask,
        context: &mut [f32],
    ) {
        let AttentionShape { width, heads } = self.shape;
        let head_width = width / heads;
        let frames = context.len() / width;
        let blocks: Vec<(usize, Range<usize>, Vec<f32>)> = (0..heads)
            .flat_map(|head| {
                (0..frames)
                    .step_by(QUERY_BLOCK)
                    .map(move |start| (head, start))
            })
            .collect::<Vec<_>>()
            .into_par_iter()
            .map(|(head, start)| {
                let span = head * head_width..(head + 1) * head_width;
                let view = Head {
                    qkv,
                    positions,
                    back,
                    frames,
                    offset: span.start,
                    head_width,
                    bias_u: &self.bias_u[span.clone()],
                    bias_v: &self.bias_v[span],
                    mask,
                };
                let queries = start..(start + QUERY_BLOCK).min(frames);
                (head, queries.clone(), view.block(queries))
            })
            .collect();
        for (head, queries, values) in blocks {
            for (t, row) in queries.zip(values.chunks_exact(head_width)) {
                context[t * width + head * head_width..][..head_width].copy_from_slice(row);
            }
        }
    }
}

impl Head<'_> {
    /// Context of the query frames `queries`, `[queries.len() or more, head_width]`.
    fn block(&self, queries: Range<usize>) -> Vec<f32> {
        // A second, unused row keeps a single query on the same path through the matrix kernel.
        let rows = queries.len().max(2);
        let keys = self.keys_of(&queries);
        let width = self.stride() / 3;
        let scale = 1.0 / (self.head_width as f32).sqrt();
        let with_u = self.biased_queries(&queries, rows, self.bias_u, scale);
        let with_v = self.biased_queries(&queries, rows, self.bias_v, scale);

        let mut scores = vec![0.0; rows * keys.len()];
        let key_rows = &self.qkv[keys.start * self.stride()..keys.end * self.stride()];
        let key_view = Rows::columns(
            key_rows,
            self.stride(),
            width + self.offset,
            self.head_width,
        );
        matmul_by_rows(Rows::dense(&with_u, self.head_width), key_view, &mut scores);

        // Position rows run from `back` downwards: key j of query i is row `back - i + j`. Keys that the mask hides may
        // lie outside the table; they are never read.
        let table_rows = self.positions.len() / width;
        let first = (self.back + keys.start).saturating_sub(queries.end - 1);
        let end = (self.back + keys.end - queries.start).min(table_rows);
        let position_rows = &self.positions[first * width..end * width];
        let position_view = Rows::columns(position_rows, width, self.offset, self.head_width);
        let mut by_position = vec![0.0; rows * (end - first)];
        matmul_by_rows(
            Rows::dense(&with_v, self.head_width),
            position_view,
            &mut by_position,
        );

        for (r, i) in queries.clone().enumerate() {
            let seen = self.mask.visible(i, self.frames);
            let row = &mut scores[r * keys.len()..(r + 1) * keys.len()];
            let (hidden_before, rest) = row.split_at_mut(seen.start - keys.start);
            let (visible, hidden_after) = rest.split_at_mut(seen.len());
            let at = self.back + seen.start - i - first;
            let shifted = &by_position[r * (end - first) + at..][..seen.len()];
            for (score, position) in visible.iter_mut().zip(shifted) {
                *score += position;
            }
            softmax(visible);
            hidden_before.fill(0.0);
            hidden_after.fill(0.0);
        }
        if queries.len() < rows {
            scores[queries.len() * keys.len()..].fill(0.0);
        }

        let mut context = vec![0.0; rows * self.head_width];
        let value_view = Rows::columns(
            key_rows,
            self.stride(),
            2 * width + self.offset,
            self.head_width,
        );
        matmul_by_columns(Rows::dense(&scores, keys.len()), value_view, &mut context);
        context
    }

    fn stride(&self) -> usize {
        self.qkv.len() / self.frames
    }

    /// All keys that some of the queries see, from a multiple of [`KEY_BLOCK`] on.
    fn keys_of(&self, queries: &Range<usize>) -> Range<usize> {
        let mut keys = self.mask.visible(queries.start, self.frames);
        for i in queries.clone() {
            let seen = self.mask.visible(i, self.frames);
            keys = keys.start.min(seen.start)..keys.end.max(seen.end);
        }
        keys.start / KEY_BLOCK * KEY_BLOCK..keys.end
    }

    fn biased_queries(
        &self,
        queries: &Range<usize>,
        rows: usize,
        bias: &[f32],
        scale: f32,
    ) -> Vec<f32> {
        let mut out = vec![0.0; rows * self.head_width];
        for (row, i) in out.chunks_exact_mut(self.head_width).zip(queries.clone()) {
            let query = &self.qkv[i * self.stride() + self.offset..][..self.head_width];
            for ((o, q), b) in row.iter_mut().zip(query).zip(bias) {
                *o = (q + b) * scale;
            }
        }
        out
    }
}
