//! Triangular mel filters: the Slaney filterbank, and the sparse form that frames are multiplied with.

use super::MelConfig;

/// Width of a mel below [`BREAK_HZ`], in Hz.
const LINEAR_HZ: f64 = 200.0 / 3.0;
/// Where the Slaney scale turns from linear to logarithmic.
const BREAK_HZ: f64 = 1000.0;
const BREAK_MEL: f64 = BREAK_HZ / LINEAR_HZ;
/// Above the break, 27 mels span a factor of 6.4.
fn log_step() -> f64 {
    6.4f64.ln() / 27.0
}

fn hz_to_mel(hz: f64) -> f64 {
    match hz >= BREAK_HZ {
        true => BREAK_MEL + (hz / BREAK_HZ).ln() / log_step(),
        false => hz / LINEAR_HZ,
    }
}

fn mel_to_hz(mel: f64) -> f64 {
    match mel >= BREAK_MEL {
        true => BREAK_HZ * (log_step() * (mel - BREAK_MEL)).exp(),
        false => LINEAR_HZ * mel,
    }
}

/// `librosa.filters.mel(htk=False, norm="slaney")` as `[n_mels, n_fft / 2 + 1]`: computed in f64, the triangle rounded
/// to f32 before it is scaled to unit area, as there.
pub(super) fn slaney(config: &MelConfig) -> Vec<f32> {
    let bins = config.n_fft / 2 + 1;
    let bin_hz = f64::from(config.sample_rate) / config.n_fft as f64;
    let (low, high) = (hz_to_mel(config.f_min), hz_to_mel(config.f_max));
    let step = (high - low) / (config.n_mels + 1) as f64;
    let edge = |i: usize| {
        mel_to_hz(if i == config.n_mels + 1 {
            high
        } else {
            low + step * i as f64
        })
    };
    let mut dense = Vec::with_capacity(config.n_mels * bins);
    for mel in 0..config.n_mels {
        let (left, centre, right) = (edge(mel), edge(mel + 1), edge(mel + 2));
        let area = 2.0 / (right - left);
        dense.extend((0..bins).map(|bin| {
            let hz = bin as f64 * bin_hz;
            let rising = (hz - left) / (centre - left);
            let falling = (right - hz) / (right - centre);
            (f64::from(rising.min(falling).max(0.0) as f32) * area) as f32
        }));
    }
    dense
}

/// A filterbank that keeps of each band only the bins from its first to its last weight.
#[derive(Debug)]
pub(super) struct SparseFilterbank {
    bands: Vec<Band>,
    /// The weights of all bands, one after the other.
    weights: Vec<f32>,
}

#[derive(Debug)]
struct Band {
    first_bin: usize,
    first_weight: usize,
    len: usize,
}

impl SparseFilterbank {
    /// From `dense`, `[bands, bins]`.
    pub(super) fn new(dense: &[f32], bins: usize) -> Self {
        let (mut bands, mut weights) = (Vec::new(), Vec::new());
        for row in dense.chunks_exact(bins) {
            let first_bin = row.iter().position(|&w| w != 0.0).unwrap_or(0);
            let end_bin = row
                .iter()
                .rposition(|&w| w != 0.0)
                .map_or(first_bin, |last| last + 1);
            bands.push(Band {
                first_bin,
                first_weight: weights.len(),
                len: end_bin - first_bin,
            });
            weights.extend_from_slice(&row[first_bin..end_bin]);
        }
        Self { bands, weights }
    }

    /// The energy of each band in `power`, `[bins]`.
    pub(super) fn energies(&self, power: &[f32]) -> impl Iterator<Item = f32> {
        self.bands.iter().map(|band| {
            let weights = &self.weights[band.first_weight..][..band.len];
            weights
                .iter()
                .zip(&power[band.first_bin..][..band.len])
                .map(|(w, p)| w * p)
                .sum()
        })
    }
}
