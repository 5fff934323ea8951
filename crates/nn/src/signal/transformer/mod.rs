//! Transformer layers in which a row sees itself and a bounded number of rows before it.

mod weights;

#[cfg(test)]
mod tests;

use percept_kernels::{Rows, gelu, scaled_dot_attention};
use percept_weights::{Tensors, WeightsError};

use super::{Context, Layer, Memory, More, Padding, Window};
use crate::arena::{buffer, with_scratch};
use crate::tiles::for_each_block;
use crate::{LayerNorm, Linear};

use weights::Source;
pub use weights::TransformerLayout;

/// Sizes of a [`TransformerLayer`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TransformerSize {
    /// Channels that come in and go out.
    pub channels: usize,
    /// Heads of the queries.
    pub heads: usize,
    /// Heads of keys and values, each for as many heads of the queries; a divisor of `heads`.
    pub key_heads: usize,
    /// Channels of one head, an even number.
    pub head: usize,
    /// Channels between the maps of the feed-forward part.
    pub hidden: usize,
    /// Rows that a row sees, itself the last of them.
    pub window: usize,
    /// What the frequencies of the rotation are powers of.
    pub base: f32,
    /// Added to the variance by the norms.
    pub epsilon: f32,
    /// Whether the maps of the attention have biases.
    pub has_bias: bool,
}

impl TransformerSize {
    /// Channels of all queries of a row.
    fn queries(&self) -> usize {
        self.heads * self.head
    }

    /// Channels of all keys of a row, and of all values.
    fn keys(&self) -> usize {
        self.key_heads * self.head
    }

    /// Channels of queries, keys and values side by side.
    fn joined(&self) -> usize {
        self.queries() + 2 * self.keys()
    }
}

/// `y = x + s · out(attention(norm(x)))`, then `y + t · down(gelu(up(norm(y))))`, with scales `s` and `t` for each
/// channel.
///
/// Queries and keys are rotated by the number of their row, so that of two rows only their distance counts.
#[derive(Debug)]
pub struct TransformerLayer {
    size: TransformerSize,
    norms: [LayerNorm; 2],
    /// Queries, keys and values side by side.
    qkv: Linear,
    /// With the scale in it, as in `down`.
    out: Linear,
    up: Linear,
    down: Linear,
    /// Radians from row to row for each pair of channels of a head.
    frequencies: Vec<f32>,
}

impl TransformerLayer {
    /// Loads the layer at `prefix`.
    ///
    /// # Panics
    /// Where the sizes do not fit each other.
    pub fn load(
        tensors: &Tensors,
        prefix: &str,
        layout: TransformerLayout,
        size: TransformerSize,
    ) -> Result<Self, WeightsError> {
        assert!(size.head.is_multiple_of(2) && size.window > 0, "{size:?}");
        assert!(
            size.key_heads > 0 && size.heads.is_multiple_of(size.key_heads),
            "{size:?}"
        );
        let source = Source {
            tensors,
            prefix,
            layout,
            size,
        };
        Ok(TransformerLayer {
            norms: [source.norm(0)?, source.norm(1)?],
            qkv: source.qkv()?,
            out: source.out()?,
            up: source.up()?,
            down: source.down()?,
            frequencies: frequencies(size.head, size.base),
            size,
        })
    }

    /// Maps normed rows to queries, keys and values `[rows, joined]`, the first two turned. The first row has the
    /// number `first`.
    fn project(&self, x: &[f32], first: u64, joined: &mut [f32]) {
        self.qkv.forward_normed(&self.norms[0], x, joined);
        let turned = self.size.queries() + self.size.keys();
        let mut turn = buffer(self.size.head);
        for (row, joined) in joined.chunks_exact_mut(self.size.joined()).enumerate() {
            self.turn_of(first + row as u64, &mut turn);
            for head in joined[..turned].chunks_exact_mut(self.size.head) {
                rotate(head, &turn);
            }
        }
    }

    /// Cosines and then sines for the row of a number.
    fn turn_of(&self, row: u64, turn: &mut [f32]) {
        let (cosines, sines) = turn.split_at_mut(self.frequencies.len());
        for ((cos, sin), frequency) in cosines.iter_mut().zip(sines).zip(&self.frequencies) {
            // In 64 bits, so that the distance of two rows stays what it is however late they come.
            let (s, c) = (row as f64 * f64::from(*frequency)).sin_cos();
            (*cos, *sin) = (c as f32, s as f32);
        }
    }

    /// What each of the last rows of `seen` `[rows, keys and values]` sees, `out` `[rows, queries]`.
    fn attend(&self, joined: &[f32], seen: &[f32], out: &mut [f32]) {
        let (queries, width) = (self.size.queries(), 2 * self.size.keys());
        let old = seen.len() / width - out.len() / queries;
        for_each_block(out, queries, |first, out| {
            for (row, out) in out.chunks_exact_mut(queries).enumerate() {
                let end = old + first + row + 1;
                let begin = end.saturating_sub(self.size.window);
                let query = &joined[(first + row) * self.size.joined()..][..queries];
                self.attend_row(query, &seen[begin * width..end * width], out);
            }
        });
    }

    /// What the queries of one row find in `seen` `[rows, keys and values]`, head by head.
    fn attend_row(&self, query: &[f32], seen: &[f32], out: &mut [f32]) {
        let TransformerSize {
            heads,
            key_heads,
            head,
            ..
        } = self.size;
        let (keys, width) = (self.size.keys(), 2 * self.size.keys());
        let scale = (head as f32).sqrt().recip();
        let each = query.chunks_exact(head).zip(out.chunks_exact_mut(head));
        for (k, (query, out)) in each.enumerate() {
            let at = k / (heads / key_heads) * head;
            let part = |at: usize| Rows::overlapping(&seen[at..], seen.len() / width, head, width);
            with_scratch(|scores| {
                scaled_dot_attention(query, part(at), part(at + keys), scale, scores, out);
            });
        }
    }

    /// Adds the feed-forward part.
    fn feed_forward(&self, out: &mut [f32]) {
        let mut hidden = buffer(out.len() / self.size.channels * self.size.hidden);
        self.up.forward_normed(&self.norms[1], out, &mut hidden);
        gelu(&mut hidden);
        self.down.forward_add(&hidden, out);
    }
}

/// Turns the pairs of channels `(i, i + half)` of a head.
fn rotate(head: &mut [f32], turn: &[f32]) {
    let half = head.len() / 2;
    let (first, second) = head.split_at_mut(half);
    let (cosines, sines) = turn.split_at(half);
    for (((a, b), cos), sin) in first.iter_mut().zip(second).zip(cosines).zip(sines) {
        (*a, *b) = (*a * cos - *b * sin, *b * cos + *a * sin);
    }
}

/// `base` to the power of `-2 i / head`, rounded as the references have it.
fn frequencies(head: usize, base: f32) -> Vec<f32> {
    let frequency = |i: usize| base.powf((2 * i) as f32 / head as f32).recip();
    (0..head / 2).map(frequency).collect()
}

impl Layer for TransformerLayer {
    fn inputs(&self) -> usize {
        self.size.channels
    }

    fn outputs(&self) -> usize {
        self.size.channels
    }

    fn memory(&self) -> Memory {
        // Keys and values side by side, of the rows that a later row sees.
        let seen = Window::new(2 * self.size.keys(), Padding::NONE);
        Memory::window(self.size.channels, Padding::NONE).with(More::Between(seen))
    }

    fn produced(&self, received: u64) -> u64 {
        received
    }

    fn total(&self, received: u64) -> u64 {
        received
    }

    fn advance(
        &self,
        memory: &mut Memory,
        limit: usize,
        _: &Context<'_>,
        out: &mut Window,
    ) -> bool {
        let Memory {
            input,
            more: More::Between(seen),
            ..
        } = memory
        else {
            unreachable!("the memory of another layer");
        };
        let rows = input.len().min(limit);
        if rows == 0 {
            return false;
        }
        let (queries, joined_width) = (self.size.queries(), self.size.joined());
        let x = &input.rows()[..rows * self.size.channels];
        let mut joined = buffer(rows * joined_width);
        self.project(x, seen.received(), &mut joined);
        let new = seen.extend(rows).chunks_exact_mut(joined_width - queries);
        for (new, joined) in new.zip(joined.chunks_exact(joined_width)) {
            new.copy_from_slice(&joined[queries..]);
        }
        let mut context = buffer(rows * queries);
        self.attend(&joined, seen.rows(), &mut context);
        let out = out.extend(rows);
        out.copy_from_slice(x);
        self.out.forward_add(&context, out);
        self.feed_forward(out);
        // The next row sees one less of these, and itself.
        seen.consume((seen.len() + 1).saturating_sub(self.size.window));
        input.consume(rows);
        true
    }

    fn finish(&self, _: &mut Memory) {}
}
