//! Layers of neural codecs, which turn one signal into another while it comes in.
//!
//! A [`Layer`] is a function of a whole signal `[rows, channels]`, padding included. What one stream carries through it is
//! a [`Memory`]: rows are put at the end of its [`Window`], [`Layer::advance`] computes each output as soon as everything
//! it looks at is there, once, and lets go of what no later output needs. So a signal in pieces gives the same values
//! as the whole, bit for bit. A [`Chain`] runs layers one after the other, each writing into the window of the next, on
//! pieces that stay in the cache.

mod activation;
mod attention;
mod branches;
mod chain;
mod conv;
mod group_norm;
mod noise;
mod recurrent;
mod residual;
mod transformer;
mod transposed;
mod two_taps;
mod weights;
mod window;

#[cfg(test)]
mod tests;

pub use activation::Activation;
pub use attention::{LocalAttention, LocalAttentionShape};
pub use branches::Branches;
pub use chain::{Chain, ChainState};
pub use conv::{Conv1d, ConvSize};
pub use group_norm::GroupNorm;
pub use noise::{NoiseLayer, NoiseSource};
pub use recurrent::Recurrent;
pub use residual::{ResidualSize, ResidualUnit};
pub use transformer::{TransformerLayer, TransformerLayout, TransformerSize};
pub use transposed::{ConvTranspose1d, TransposedSize};
pub use weights::{conv_bias, conv_weights};
pub use window::{PadMode, Padding, Window};

use crate::LstmState;

/// A function from one signal to another.
pub trait Layer: std::fmt::Debug + Send + Sync {
    /// Channels that come in.
    fn inputs(&self) -> usize;

    /// Channels that go out.
    fn outputs(&self) -> usize;

    /// A stream's memory before its first row.
    fn memory(&self) -> Memory;

    /// Rows that have come out once `received` have gone in and the signal goes on.
    fn produced(&self, received: u64) -> u64;

    /// Rows that come out of a signal of `received` rows.
    fn total(&self, received: u64) -> u64;

    /// Computes outputs that can be known, about `limit` rows at most, and adds them to `out`. Returns whether there were
    /// any; where there were none, it has taken notice of all rows that came in.
    fn advance(
        &self,
        memory: &mut Memory,
        limit: usize,
        context: &Context<'_>,
        out: &mut Window,
    ) -> bool;

    /// Takes notice that the signal has ended. Called when nothing more can be computed before that.
    fn finish(&self, memory: &mut Memory);
}

/// What layers are told from outside while a stream runs.
#[derive(Clone, Copy, Debug, Default)]
pub struct Context<'a> {
    /// What [`NoiseLayer`]s add; nothing where it is `None`.
    pub noise: Option<&'a dyn NoiseSource>,
}

/// What one stream carries at one layer.
#[derive(Clone, Debug)]
pub struct Memory {
    /// What has come in.
    pub input: Window,
    /// What else the layer keeps.
    pub more: More,
    /// Whether the signal has ended.
    pub is_ended: bool,
}

/// What some layers keep beside their input.
#[derive(Clone, Debug)]
pub enum More {
    /// Nothing.
    Nothing,
    /// Rows on their way through a layer of two parts.
    Between(Window),
    /// The number of the next row.
    Position(u64),
    /// What recurrent layers remember.
    Recurrent(LstmState),
    /// The mean of a signal that has ended, and one by its standard deviation.
    Moments([f32; 2]),
    /// What each of several chains carries.
    Chains(Vec<ChainState>),
    /// One window for every part of a layer.
    Windows(Vec<Window>),
}

impl Memory {
    /// Of a layer that keeps its input only.
    pub fn window(channels: usize, padding: Padding) -> Self {
        Memory {
            input: Window::new(channels, padding),
            more: More::Nothing,
            is_ended: false,
        }
    }

    /// The same with more beside it.
    pub fn with(self, more: More) -> Self {
        Memory { more, ..self }
    }
}
