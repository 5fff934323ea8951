//! From latent frames to codes and back.

mod euclidean;
mod factorized;
mod split;

use std::fmt::Debug;

pub(crate) use euclidean::{EuclideanBook, EuclideanQuantizer};
pub(crate) use factorized::{FactorizedBook, FactorizedQuantizer};
pub(crate) use split::{Projection, SplitQuantizer, Stage};

/// A residual quantiser: each book says what the ones before it left.
pub(crate) trait Quantizer: Debug + Send + Sync {
    /// Values of a latent frame.
    fn width(&self) -> usize;

    /// Codes of `latents` `[frames, width]`, whole super-frames, in the first `out.len()` books, added to `out`.
    fn encode(&self, latents: &[f32], out: &mut [Vec<u16>]);

    /// The latent frames from `first` on, `out` `[frames, width]`. `books` holds the codes of each book in use from frame
    /// `first` rounded down to its stride on.
    fn decode(&self, first: u64, books: &[&[u16]], out: &mut [f32]);
}

/// The entry at the least distance, the first of several: `products` are those of a vector, whose square is `square`, with
/// all entries, and `squares` those of the entries.
fn nearest(products: &[f32], squares: &[f32], square: f32) -> u16 {
    let mut best = (0, f32::INFINITY);
    for (k, (product, own)) in products.iter().zip(squares).enumerate() {
        let distance = square - 2.0 * product + own;
        if distance < best.1 {
            best = (k, distance);
        }
    }
    best.0 as u16
}

fn square(vector: &[f32]) -> f32 {
    vector.iter().map(|v| v * v).sum()
}
