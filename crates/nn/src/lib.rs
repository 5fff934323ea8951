//! Neural network layers: immutable weights in `&self`, streaming memory in separate state values.
//!
//! Activations are `f32` slices in C order, time first: `[frames, channels]`. A batch is *ragged*: the frames of all its
//! items lie one after the other, with no padding, and [`Items`] says where each begins. Layers that work frame by
//! frame never see the borders; attention and convolution respect them. So a batch gives exactly what each item gives
//! alone.

#![forbid(unsafe_code)]

mod arena;
mod attention;
mod convolution;
mod feed_forward;
mod items;
mod linear;
mod loader;
mod lstm;
mod mask;
mod memory;
mod norm;
mod positions;
pub mod signal;
mod subsampling;
mod tiles;

pub use attention::{AttentionShape, RelPosAttention};
pub use convolution::{ConvModule, ConvPadding, ConvShape};
pub use feed_forward::FeedForward;
pub use items::Items;
pub use linear::{Bias, Linear};
pub use loader::{Loader, Precision};
pub use lstm::{Lstm, LstmState};
pub use mask::AttentionMask;
pub use memory::{AttentionStream, FrameSpan, KeyValues};
pub use norm::LayerNorm;
pub use positions::{
    PaddedPositions, PositionCache, Projected, ProjectedPositions, RelativePositions,
};
pub use subsampling::{Subsampling, SubsamplingShape};
