//! Attention inside windows that do not overlap.

use percept_kernels::{Rows, scaled_dot_attention};
use percept_weights::{Tensors, WeightsError};
use rayon::prelude::*;

use super::{Context, Layer, Memory, Padding, Window};
use crate::arena::{buffer, with_scratch};
use crate::{Bias, LayerNorm, Linear, Loader, Precision};

/// Channels of one head.
const HEAD: usize = 64;
/// One by the square root of that.
const SCALE: f32 = 0.125;
/// The longest wave of the rotation, in rows per turn and 2 pi.
const BASE: f64 = 10_000.0;

/// Sizes of a [`LocalAttention`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocalAttentionShape {
    /// Channels, a multiple of 64: one head for every 64.
    pub channels: usize,
    /// Rows of a window.
    pub window: usize,
}

/// `x + out(attention(norm(x)))`, where the rows of each window see each other and nothing else. Queries and keys are
/// rotated by their place in the window.
///
/// Windows are counted from the first row of the signal. If the signal ends inside one, that one is shorter
/// (the reference then cuts all rows into fewer, longer windows, which no stream can know).
#[derive(Debug)]
pub struct LocalAttention {
    norm: LayerNorm,
    qkv: Linear,
    out: Linear,
    shape: LocalAttentionShape,
    /// Cosine and sine for each row of a window, `[window, HEAD / 2]` each.
    turns: (Vec<f32>, Vec<f32>),
}

impl LocalAttention {
    /// Loads `{prefix}.norm`, `{prefix}.to_qkv` `[3 · channels, channels]` and `{prefix}.to_out`.
    ///
    /// # Panics
    /// Where the channels are not a multiple of 64, or the window is empty.
    pub fn load(
        tensors: &Tensors,
        prefix: &str,
        shape: LocalAttentionShape,
    ) -> Result<Self, WeightsError> {
        let LocalAttentionShape { channels, window } = shape;
        assert!(channels.is_multiple_of(HEAD) && window > 0, "{shape:?}");
        let loader = Loader::new(tensors, Precision::F32);
        let map = |name: &str, outputs| {
            Linear::load(
                &loader,
                &format!("{prefix}.{name}"),
                (channels, outputs),
                Bias::Absent,
            )
        };
        Ok(LocalAttention {
            norm: LayerNorm::load(tensors, &format!("{prefix}.norm"), channels)?,
            qkv: map("to_qkv", 3 * channels)?,
            out: map("to_out", channels)?,
            shape,
            turns: turns(window),
        })
    }

    /// What one window adds to its rows.
    fn attend(&self, x: &[f32], out: &mut [f32]) {
        let channels = self.shape.channels;
        let rows = x.len() / channels;
        let mut qkv = buffer(3 * x.len());
        self.qkv.forward_normed(&self.norm, x, &mut qkv);
        for row in 0..rows {
            let parts = &mut qkv[row * 3 * channels..][..2 * channels];
            parts
                .chunks_exact_mut(HEAD)
                .for_each(|head| self.turn(row, head));
        }
        let mut context = buffer(x.len());
        let qkv = &*qkv;
        for head in 0..channels / HEAD {
            let at = head * HEAD;
            for row in 0..rows {
                let query = &qkv[row * 3 * channels + at..][..HEAD];
                let part =
                    |n| Rows::overlapping(&qkv[n * channels + at..], rows, HEAD, 3 * channels);
                let out = &mut context[row * channels + at..][..HEAD];
                with_scratch(|scores| {
                    scaled_dot_attention(query, part(1), part(2), SCALE, scores, out);
                });
            }
        }
        out.copy_from_slice(x);
        self.out.forward_add(&context, out);
    }

    /// Rotates the pairs `(i, i + HEAD / 2)` of a head by the place of its row.
    fn turn(&self, row: usize, head: &mut [f32]) {
        let half = HEAD / 2;
        let (cos, sin) = (&self.turns.0[row * half..], &self.turns.1[row * half..]);
        let (first, second) = head.split_at_mut(half);
        for (((a, b), cos), sin) in first.iter_mut().zip(second).zip(cos).zip(sin) {
            (*a, *b) = (*a * cos - *b * sin, *b * cos + *a * sin);
        }
    }
}

fn turns(window: usize) -> (Vec<f32>, Vec<f32>) {
    let angle = |row: usize, i: usize| {
        // In 32 bits, as the reference has it.
        let frequency = BASE.powf(2.0 * i as f64 / HEAD as f64).recip() as f32;
        f64::from(row as f32 * frequency)
    };
    let table = |f: fn(f64) -> f64| -> Vec<f32> {
        let rows = (0..window).flat_map(|row| (0..HEAD / 2).map(move |i| f(angle(row, i)) as f32));
        rows.collect()
    };
    (table(f64::cos), table(f64::sin))
}

impl Layer for LocalAttention {
    fn inputs(&self) -> usize {
        self.shape.channels
    }

    fn outputs(&self) -> usize {
        self.shape.channels
    }

    fn memory(&self) -> Memory {
        Memory::window(self.shape.channels, Padding::NONE)
    }

    fn produced(&self, received: u64) -> u64 {
        received - received % self.shape.window as u64
    }

    fn total(&self, received: u64) -> u64 {
        received
    }

    fn advance(&self, memory: &mut Memory, _: usize, _: &Context<'_>, out: &mut Window) -> bool {
        let LocalAttentionShape { channels, window } = self.shape;
        let input = &mut memory.input;
        let rows = match memory.is_ended {
            true => input.len(),
            false => input.len() - input.len() % window,
        };
        if rows == 0 {
            return false;
        }
        let x = &input.rows()[..rows * channels];
        let out = out.extend(rows).par_chunks_mut(window * channels);
        out.zip(x.par_chunks(window * channels))
            .for_each(|(out, x)| self.attend(x, out));
        input.consume(rows);
        true
    }

    fn finish(&self, _: &mut Memory) {}
}
