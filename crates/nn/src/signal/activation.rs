//! Activations of neural codecs.

use percept_kernels::{elu, elu_in_place, snake, snake_in_place};
use percept_weights::{Tensors, WeightsError};

use crate::tiles::for_each_block;

/// Added to `alpha` before it divides.
const EPSILON: f32 = 1e-9;

/// What is done to every value on its own. Zero stays zero.
#[derive(Clone, Debug)]
pub enum Activation {
    /// `x + sin²(α x) / (α + 1e-9)`, with an `α` for every channel.
    Snake {
        /// `α / π`, `[channels]`.
        turns: Vec<f32>,
        /// `1 / (α + 1e-9)`.
        inverse: Vec<f32>,
    },
    /// `x` where positive, `exp(x) - 1` elsewhere.
    Elu,
}

/// `α / π`, rounded once.
fn half_turns(alpha: &f32) -> f32 {
    (f64::from(*alpha) / std::f64::consts::PI) as f32
}

impl Activation {
    /// Loads `{prefix}.alpha` `[1, channels, 1]`.
    pub fn snake(tensors: &Tensors, prefix: &str, channels: usize) -> Result<Self, WeightsError> {
        let alpha = tensors.f32(&format!("{prefix}.alpha"), &[1, channels, 1])?;
        let inverse = alpha.iter().map(|alpha| (alpha + EPSILON).recip());
        Ok(Activation::Snake {
            inverse: inverse.collect(),
            turns: alpha.iter().map(half_turns).collect(),
        })
    }

    /// In place, on rows `[rows, channels]`.
    pub(crate) fn apply(&self, rows: &mut [f32]) {
        match self {
            Activation::Snake { turns, inverse } => snake_in_place(rows, turns, inverse),
            Activation::Elu => elu_in_place(rows),
        }
    }

    /// From `rows` `[rows, channels]` to `out`, shared out among threads.
    pub(crate) fn map_parallel(&self, rows: &[f32], out: &mut [f32], channels: usize) {
        for_each_block(out, channels, |first, out| {
            let rows = &rows[first * channels..][..out.len()];
            match self {
                Activation::Snake { turns, inverse } => snake(rows, turns, inverse, out),
                Activation::Elu => elu(rows, out),
            }
        });
    }

    /// As [`Activation::apply`], shared out among threads.
    pub(crate) fn apply_parallel(&self, rows: &mut [f32], channels: usize) {
        for_each_block(rows, channels, |_, block| self.apply(block));
    }
}
