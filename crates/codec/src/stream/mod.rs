//! Sound to codes and codes to sound while they come in.
//!
//! Whole recordings take the same way: everything pushed, then finished. So how a stream is cut never shows.

mod decode;
mod encode;
mod fade;
mod segments;

#[cfg(test)]
mod tests;

pub(crate) use decode::DecoderState;
pub use decode::StreamDecoder;
pub(crate) use encode::EncoderState;
pub use encode::StreamEncoder;
pub(crate) use segments::Segmentation;
