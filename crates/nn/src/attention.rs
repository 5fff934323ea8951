//! Multi-head attention with relative positions (Transformer-XL, untied or shared biases).

use std::ops::Range;

use half::bf16;
use percept_kernels::{
    HeadBlock, MAX_QUERIES, Padded, Strided, Visible, relative_attention, transpose,
};
use percept_weights::WeightsError;
use rayon::prelude::*;

use crate::arena::{Buffer, buffer, with_scratch};
use crate::linear::{load_bias, load_weights};
use crate::memory::{AttentionStream, FrameSpan};
use crate::positions::{ProjectedPositions, Table};
use crate::tiles::{Spare, for_each_chunk, for_each_item, for_each_tile, lanes, share};
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

/// One head's queries of one item, and what they look at.
struct Head<'a> {
    /// `[frames, 3 · width]`, of which the queries come first.
    qkv: &'a [f32],
    width: usize,
    /// Its channels of queries, keys and values.
    channels: Range<usize>,
    keys: Padded<'a>,
    values: Padded<'a>,
    positions: Padded<'a>,
    bias_u: &'a [f32],
    bias_v: &'a [f32],
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

    /// Adds the module's output to `x` `[items.total(), width]`. `mask(n)` says what the queries of item `n` see; `positions`
    /// must reach as far as the masks do.
    pub fn forward(
        &self,
        x: &mut [f32],
        items: &Items,
        mask: &(impl Fn(usize) -> AttentionMask + Sync),
        positions: &ProjectedPositions,
    ) {
        let AttentionShape { width, heads } = self.shape;
        let head_width = width / heads;
        let qkv = self.queries_keys_values(x);
        let mut by_head = buffer(x.len());
        for (n, item) in items.ranges().enumerate() {
            let (frames, mask) = (item.len(), mask(n));
            if frames == 0 {
                continue;
            }
            let qkv = &qkv[item.start * 3 * width..item.end * 3 * width];
            let by_head = &mut by_head[item.start * width..item.end * width];
            let head_lanes = lanes(heads, 1, Spare::None);
            for_each_chunk(by_head, frames * head_width, head_lanes, |head, context| {
                // A query's own position is at `back`; none of the item's is further than its length.
                let first = positions.back.saturating_sub(frames - 1);
                let count = (positions.back + frames).min(positions.rows) - first;
                let table = positions.head((head, head_width), (first, count));
                let channels = head * head_width..(head + 1) * head_width;
                let mut keys = buffer(Padded::layout(head_width, frames).0);
                let (len, value_stride) = Padded::layout(frames, head_width);
                let mut values = buffer(len);
                let (_, key_stride) = Padded::layout(head_width, frames);
                let rows = (qkv, width, channels.start);
                take_keys(rows, head_width, (&mut keys, key_stride, 0));
                take_values(rows, head_width, (&mut values, value_stride, 0));
                let positions_back = positions.back - first;
                self.head(
                    qkv,
                    channels,
                    Padded::new(&keys, head_width, frames),
                    Padded::new(&values, frames, head_width),
                    Padded::new(&table, head_width, count),
                )
                .attend(context, head_lanes, |i| {
                    let keys = mask.visible(i, frames);
                    // Positions run from `back` downwards: key `j` of query `i` is at `back - i + j`.
                    let first_position = positions_back + keys.start - i;
                    Visible {
                        keys,
                        first_position,
                    }
                });
            });
        }
        self.add_output(x, items, &by_head);
    }

    /// As [`RelPosAttention::forward`] for frames that continue streams: item `n` of `items` belongs to `streams[n]`, whose
    /// share `part` gives. What the queries see of earlier frames comes from there, and the new keys and values go there.
    pub fn forward_stream<S: Send>(
        &self,
        x: &mut [f32],
        items: &Items,
        streams: &mut [S],
        part: impl for<'s> Fn(&'s mut S) -> AttentionStream<'s> + Sync,
    ) {
        assert_eq!(items.count(), streams.len(), "one item a stream");
        let width = self.shape.width;
        let qkv = self.queries_keys_values(x);
        let mut by_head = buffer(x.len());
        let item_lanes = lanes(items.count(), 1, Spare::Double);
        let by_item = (&mut by_head[..], width);
        for_each_item(
            items,
            streams,
            by_item,
            item_lanes,
            &|item, stream, context| {
                let qkv = &qkv[item.start * 3 * width..item.end * 3 * width];
                self.attend_stream(qkv, part(stream), context, item_lanes);
            },
        );
        self.add_output(x, items, &by_head);
    }

    /// The heads of one stream, `[heads, frames, head width]`, while threads already share `outer_lanes`.
    fn attend_stream(
        &self,
        qkv: &[f32],
        stream: AttentionStream<'_>,
        context: &mut [f32],
        outer_lanes: usize,
    ) {
        let AttentionShape { width, heads } = self.shape;
        let head_width = width / heads;
        let capacity = stream.memory.capacity;
        let (key_len, key_stride) = Padded::layout(head_width, capacity);
        let (value_len, value_stride) = Padded::layout(capacity, head_width);
        let context_len = context.len() / heads;
        let lanes = lanes(heads, outer_lanes, Spare::None);
        let AttentionStream {
            memory,
            span,
            mask,
            positions,
        } = stream;
        share(
            (
                heads,
                (&mut memory.keys[..], &mut memory.values[..], context),
            ),
            lanes,
            &|(keys, values, context), _, n| {
                let (keys, more_keys) = keys.split_at_mut(n * key_len);
                let (values, more_values) = values.split_at_mut(n * value_len);
                let (context, more_context) = context.split_at_mut(n * context_len);
                let more = (more_keys, more_values, more_context);
                ((keys, values, context), more)
            },
            &|heads, (keys, values, context)| {
                let keys = keys.chunks_mut(key_len);
                let memories = keys.zip(values.chunks_mut(value_len));
                let contexts = context.chunks_mut(context_len);
                for ((head, (keys, values)), context) in heads.zip(memories).zip(contexts) {
                    let channels = head * head_width..(head + 1) * head_width;
                    let rows = (qkv, width, channels.clone());
                    remember(span, rows, (keys, key_stride), (values, value_stride));
                    self.head(
                        qkv,
                        channels,
                        Padded::new(keys, head_width, capacity),
                        Padded::new(values, capacity, head_width),
                        positions.head(head, head_width),
                    )
                    .attend(context, outer_lanes * lanes, |i| {
                        let query = span.first_frame + i;
                        let seen = mask.visible(query, span.first_frame + span.frames);
                        // Column `span.column` holds frame `span.first_frame`.
                        let column = |frame: usize| frame + span.column - span.first_frame;
                        Visible {
                            keys: column(seen.start)..column(seen.end),
                            first_position: positions.back + seen.start - query,
                        }
                    });
                }
            },
        );
    }

    fn head<'a>(
        &'a self,
        qkv: &'a [f32],
        channels: Range<usize>,
        keys: Padded<'a>,
        values: Padded<'a>,
        positions: Padded<'a>,
    ) -> Head<'a> {
        Head {
            qkv,
            width: self.shape.width,
            keys,
            values,
            positions,
            bias_u: &self.bias_u[channels.clone()],
            bias_v: &self.bias_v[channels.clone()],
            channels,
        }
    }

    /// `[frames, 3 · width]` of the normalised `x` `[frames, width]`.
    fn queries_keys_values(&self, x: &[f32]) -> Buffer {
        let width = self.shape.width;
        let mut qkv = buffer(3 * x.len());
        for_each_tile(&mut qkv, 3 * width, |first, tile| {
            let rows = &x[first * width..][..tile.len() / 3];
            self.qkv.forward_normed(&self.norm, rows, tile);
        });
        qkv
    }

    /// Adds the output map of `by_head`, which holds `[heads, frames, head width]` for each item, to `x`.
    fn add_output(&self, x: &mut [f32], items: &Items, by_head: &[f32]) {
        let AttentionShape { width, heads } = self.shape;
        let head_width = width / heads;
        for_each_tile(x, width, |first, tile| {
            let mut context = buffer(tile.len());
            let mut rows = context.chunks_exact_mut(width);
            for (item, part) in items.parts(first..first + tile.len() / width) {
                let item = items.range(item);
                let by_head = &by_head[item.start * width..item.end * width];
                for (t, row) in part.zip(&mut rows) {
                    for (head, part) in row.chunks_exact_mut(head_width).enumerate() {
                        let at = (head * item.len() + t) * head_width;
                        part.copy_from_slice(&by_head[at..at + head_width]);
                    }
                }
            }
            self.out.forward_add(&context, tile);
        });
    }
}

impl Head<'_> {
    /// `context` `[frames, head width]`; `visible(i)` is what query `i` sees. Threads already share `outer_lanes`.
    fn attend(
        &self,
        context: &mut [f32],
        outer_lanes: usize,
        visible: impl Fn(usize) -> Visible + Sync,
    ) {
        let head_width = self.channels.len();
        let len = MAX_QUERIES * head_width;
        let lanes = lanes(context.len().div_ceil(len), outer_lanes, Spare::Double);
        for_each_chunk(context, len, lanes, |block, context| {
            let first = block * MAX_QUERIES;
            let queries = first..first + context.len() / head_width;
            let last = queries.end - 1;
            let seen: [Visible; MAX_QUERIES] =
                std::array::from_fn(|n| visible((first + n).min(last)));
            let (mut with_u, mut with_v) = (buffer(context.len()), buffer(context.len()));
            self.biased_queries(&queries, self.bias_u, &mut with_u);
            self.biased_queries(&queries, self.bias_v, &mut with_v);
            let block = HeadBlock {
                with_u: &with_u,
                with_v: &with_v,
                keys: self.keys,
                positions: self.positions,
                values: self.values,
                visible: &seen[..queries.len()],
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

/// Makes place in a head's memory as `span` says, and takes the keys and values of the new frames out of `qkv`.
fn remember(
    span: &FrameSpan,
    (qkv, width, channels): (&[f32], usize, Range<usize>),
    (keys, key_stride): (&mut [f32], usize),
    (values, value_stride): (&mut [f32], usize),
) {
    let head_width = channels.len();
    if let Some(kept) = &span.moved {
        for row in keys.chunks_mut(key_stride).take(head_width) {
            row.copy_within(kept.clone(), 0);
        }
        let rows = kept.start * value_stride..kept.end * value_stride;
        values.copy_within(rows, 0);
    }
    let rows = (qkv, width, channels.start);
    take_keys(rows, head_width, (keys, key_stride, span.column));
    take_values(rows, head_width, (values, value_stride, span.column));
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

/// The keys of one head, from its first channel on, out of `qkv` `[frames, 3 · width]` into the columns from `column` on
/// of `[head_width, stride]`.
fn take_keys(
    (qkv, width, channel): (&[f32], usize, usize),
    head_width: usize,
    (out, stride, column): (&mut [f32], usize, usize),
) {
    let count = qkv.len() / (3 * width);
    let rows = Strided {
        data: qkv.get(width + channel..).unwrap_or_default(),
        stride: 3 * width,
    };
    let columns = Strided {
        data: &mut out[column..],
        stride,
    };
    transpose(rows, (count, head_width), columns);
}

/// The values of one head, likewise, into the rows from `row` on of `[frames, stride]`.
fn take_values(
    (qkv, width, channel): (&[f32], usize, usize),
    head_width: usize,
    (out, stride, row): (&mut [f32], usize, usize),
) {
    let rows = qkv.chunks_exact(3 * width);
    for (to, from) in out[row * stride..].chunks_mut(stride).zip(rows) {
        to[..head_width].copy_from_slice(&from[2 * width + channel..][..head_width]);
    }
}
