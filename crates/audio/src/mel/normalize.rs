//! Mean and variance normalisation over the frames of one utterance or window.

use std::ops::Range;

/// Added to the standard deviation, not to the variance.
const EPSILON: f64 = 1e-5;

/// What a model was trained to see.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Normalize {
    /// Each mel band has mean 0 and standard deviation 1 over time.
    #[default]
    PerFeature,
    /// All values together have mean 0 and standard deviation 1.
    AllFeatures,
    /// The log-mel values as they are.
    None,
}

/// Normalises `frames`, `[frames, n_mels]`, in place, over all of them.
///
/// The standard deviation has `N - 1` in its denominator and counts as 0 where that is 0, then 1e-5 is added to it: a
/// single frame, like silence, becomes zeros. Sums run in f64, in which a constant band has exactly its own mean; the
/// rounding of an f32 mean, divided by 1e-5, would not be small. It allocates nothing.
///
/// # Panics
/// If `n_mels` is 0 or does not divide the length of `frames`.
pub fn normalize(kind: Normalize, frames: &mut [f32], n_mels: usize) {
    assert!(
        n_mels > 0 && frames.len().is_multiple_of(n_mels),
        "frames are [frames, n_mels]"
    );
    match kind {
        Normalize::PerFeature => normalize_columns(frames, n_mels),
        Normalize::AllFeatures => normalize_columns(frames, 1),
        Normalize::None => {}
    }
}

/// Columns normalised at a time: their sums fit on the stack, and a frame of most models is one tile.
const TILE: usize = 128;

/// Each of the `width` columns of `rows` by itself.
fn normalize_columns(rows: &mut [f32], width: usize) {
    for first in (0..width).step_by(TILE) {
        normalize_tile(rows, width, first..width.min(first + TILE));
    }
}

/// The columns `tile`, at most [`TILE`] of them.
fn normalize_tile(rows: &mut [f32], width: usize, tile: Range<usize>) {
    let count = rows.len() / width;
    let mut means = [0f64; TILE];
    let means = &mut means[..tile.len()];
    for row in rows.chunks_exact(width) {
        for (sum, &x) in means.iter_mut().zip(&row[tile.clone()]) {
            *sum += f64::from(x);
        }
    }
    means.iter_mut().for_each(|sum| *sum /= count as f64);
    let mut scales = [0f64; TILE];
    let scales = &mut scales[..tile.len()];
    for row in rows.chunks_exact(width) {
        for ((sum, mean), &x) in scales.iter_mut().zip(&*means).zip(&row[tile.clone()]) {
            *sum += (f64::from(x) - mean).powi(2);
        }
    }
    for sum in &mut *scales {
        let deviation = if count > 1 {
            (*sum / (count - 1) as f64).sqrt()
        } else {
            0.0
        };
        *sum = 1.0 / (deviation + EPSILON);
    }
    for row in rows.chunks_exact_mut(width) {
        let row = &mut row[tile.clone()];
        for ((x, mean), scale) in row.iter_mut().zip(&*means).zip(&*scales) {
            *x = ((f64::from(*x) - mean) * scale) as f32;
        }
    }
}
