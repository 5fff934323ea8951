//! The log-mel front end of NeMo's `FilterbankFeatures`, incremental.
//!
//! [`MelFrontEnd`] holds what never changes (window, filterbank, FFT plan) and is shared; [`MelStream`] holds what one
//! stream remembers, [`MelWindows`] what overlapping windows of one stream have in common. There is one arithmetic path
//! per frame, so how the samples arrive cannot change a bit of it.

mod filterbank;
mod frame;
mod normalize;
mod stream;
mod windows;

use std::sync::Arc;

use realfft::{RealFftPlanner, RealToComplex};

use filterbank::SparseFilterbank;

pub use normalize::{Normalize, normalize};
pub use stream::{MelStream, features};
pub use windows::MelWindows;

/// Bounds that no real front end comes near and that keep a hostile config from asking for gigabytes.
const MAX_FFT: usize = 1 << 16;
const MAX_MELS: usize = 1 << 12;
const MAX_HOP: usize = 1 << 20;

/// The numbers of a mel front end, as a checkpoint states them.
#[derive(Debug, Clone, PartialEq)]
pub struct MelConfig {
    /// Samples per second of the input.
    pub sample_rate: u32,
    /// FFT size in samples; even, at least `win_samples`.
    pub n_fft: usize,
    /// Window length in samples; the window sits in the middle of the FFT frame.
    pub win_samples: usize,
    /// Samples between the starts of two frames.
    pub hop_samples: usize,
    /// Mel bands, the width of a frame.
    pub n_mels: usize,
    /// Lower edge of the first band, in Hz.
    pub f_min: f64,
    /// Upper edge of the last band, in Hz.
    pub f_max: f64,
    /// `y[i] = x[i] - preemphasis * x[i - 1]`; 0 for none.
    pub preemphasis: f32,
    /// Added to the band energy before the logarithm.
    pub log_guard: f32,
    /// How the model wants its frames normalised. [`MelStream`] does not apply it; [`normalize`] does.
    pub normalize: Normalize,
    /// Pads by `(n_fft - hop_samples) / 2` instead of `n_fft / 2` (NeMo's `exact_pad`).
    pub exact_pad: bool,
    /// The checkpoint's own window, `[win_samples]`; a symmetric Hann window when absent.
    pub window: Option<Vec<f32>>,
    /// The checkpoint's own filterbank, `[n_mels, n_fft / 2 + 1]`; a Slaney filterbank when absent.
    pub filterbank: Option<Vec<f32>>,
}

impl MelConfig {
    /// The defaults of NeMo's `AudioToMelSpectrogramPreprocessor` as the Parakeet family uses it: 16 kHz, 25 ms window,
    /// 10 ms hop, 512-point FFT, per-feature normalisation.
    pub fn nemo(n_mels: usize) -> Self {
        Self {
            sample_rate: 16_000,
            n_fft: 512,
            win_samples: 400,
            hop_samples: 160,
            n_mels,
            f_min: 0.0,
            f_max: 8_000.0,
            preemphasis: 0.97,
            log_guard: 2f32.powi(-24),
            normalize: Normalize::PerFeature,
            exact_pad: false,
            window: None,
            filterbank: None,
        }
    }
}

/// What is wrong with a [`MelConfig`].
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum MelError {
    /// A number is outside what the front end can compute with.
    #[error("mel front end: `{field}` is {value}, it must be {rule}")]
    Config {
        /// The field of [`MelConfig`].
        field: &'static str,
        /// What it holds.
        value: f64,
        /// What it may hold.
        rule: &'static str,
    },
    /// The checkpoint's window or filterbank does not have the size that the other fields imply.
    #[error(
        "mel front end: the checkpoint's `{field}` has {found} values, the config needs {expected}"
    )]
    Length {
        /// `window` or `filterbank`.
        field: &'static str,
        /// Values given.
        found: usize,
        /// Values needed.
        expected: usize,
    },
    /// The checkpoint's window or filterbank holds NaN or infinity.
    #[error("mel front end: value {index} of the checkpoint's `{field}` is not finite")]
    NotFinite {
        /// `window` or `filterbank`.
        field: &'static str,
        /// The first such value.
        index: usize,
    },
}

/// The immutable half of a mel front end: share it by `Arc` between any number of [`MelStream`]s and [`MelWindows`].
pub struct MelFrontEnd {
    config: MelConfig,
    /// `[win_samples]`.
    window: Vec<f32>,
    filterbank: SparseFilterbank,
    fft: Arc<dyn RealToComplex<f32>>,
}

impl MelFrontEnd {
    /// Checks `config` and computes the window, the filterbank and the FFT plan.
    ///
    /// # Errors
    /// [`MelError`] names the field that cannot be used and what it may hold.
    pub fn new(config: MelConfig) -> Result<Self, MelError> {
        check(&config)?;
        let bins = config.n_fft / 2 + 1;
        let mut window = symmetric_hann(config.win_samples);
        if let Some(own) = &config.window {
            window = canonical(given("window", own, config.win_samples)?, window);
        }
        let mut dense = filterbank::slaney(&config);
        if let Some(own) = &config.filterbank {
            dense = canonical(given("filterbank", own, config.n_mels * bins)?, dense);
        }
        let filterbank = SparseFilterbank::new(&dense, bins);
        let fft = RealFftPlanner::new().plan_fft_forward(config.n_fft);
        Ok(Self {
            config,
            window,
            filterbank,
            fft,
        })
    }

    /// What it was made from.
    pub fn config(&self) -> &MelConfig {
        &self.config
    }

    /// Frames that `samples` samples give in total, after `finish`.
    pub fn frames(&self, samples: u64) -> u64 {
        samples.saturating_sub(self.short_samples()) / self.config.hop_samples as u64
    }

    /// Samples by which [`Self::frames`] falls short of one frame per hop: none, or one hop with `exact_pad`.
    fn short_samples(&self) -> u64 {
        let pad = self.pad_samples();
        (self.config.n_fft - 2 * pad) as u64
    }

    /// Zeros before sample 0.
    fn pad_samples(&self) -> usize {
        match self.config.exact_pad {
            true => (self.config.n_fft - self.config.hop_samples) / 2,
            false => self.config.n_fft / 2,
        }
    }

    /// Where the window starts inside the FFT frame.
    fn window_offset(&self) -> usize {
        (self.config.n_fft - self.config.win_samples) / 2
    }

    /// Samples before `hop * i` that frame `i` sees; negative if its window starts after that point.
    fn lookback_samples(&self) -> i64 {
        self.pad_samples() as i64 - self.window_offset() as i64
    }

    /// Samples at the end of the signal that count as silence. NeMo applies its length mask to the padded signal, so
    /// `exact_pad` with pre-emphasis loses as many samples at the end as it pads at the start.
    fn masked_samples(&self) -> usize {
        match self.config.exact_pad && self.config.preemphasis != 0.0 {
            true => self.pad_samples(),
            false => 0,
        }
    }

    /// Samples after `hop * i` that must have arrived before frame `i` is certain to exist and to be final.
    fn ready_samples(&self) -> u64 {
        let window_end =
            self.config.win_samples as i64 - self.lookback_samples() + self.masked_samples() as i64;
        (window_end.max(0) as u64).max(self.config.hop_samples as u64 + self.short_samples())
    }
}

impl std::fmt::Debug for MelFrontEnd {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MelFrontEnd")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

fn check(config: &MelConfig) -> Result<(), MelError> {
    let nyquist = f64::from(config.sample_rate) / 2.0;
    let fft_fits = (2..=MAX_FFT).contains(&config.n_fft) && config.n_fft.is_multiple_of(2);
    let hop_fits = (1..=MAX_HOP).contains(&config.hop_samples)
        && (!config.exact_pad
            || (config.hop_samples <= config.n_fft && config.hop_samples.is_multiple_of(2)));
    let rules: [(&'static str, f64, bool, &'static str); 9] = [
        (
            "sample_rate",
            config.sample_rate.into(),
            config.sample_rate > 0,
            "at least 1",
        ),
        (
            "n_fft",
            config.n_fft as f64,
            fft_fits,
            "even, from 2 to 65536",
        ),
        (
            "win_samples",
            config.win_samples as f64,
            (1..=config.n_fft).contains(&config.win_samples),
            "from 1 to n_fft",
        ),
        (
            "hop_samples",
            config.hop_samples as f64,
            hop_fits,
            "from 1 to 1048576, and with exact_pad even and at most n_fft",
        ),
        (
            "n_mels",
            config.n_mels as f64,
            (1..=MAX_MELS).contains(&config.n_mels),
            "from 1 to 4096",
        ),
        (
            "f_min",
            config.f_min,
            config.f_min >= 0.0 && config.f_min < nyquist,
            "from 0 to half the sample rate",
        ),
        (
            "f_max",
            config.f_max,
            config.f_max > config.f_min && config.f_max <= nyquist,
            "above f_min, at most half the sample rate",
        ),
        (
            "preemphasis",
            config.preemphasis.into(),
            config.preemphasis.is_finite(),
            "finite",
        ),
        (
            "log_guard",
            config.log_guard.into(),
            config.log_guard > 0.0 && config.log_guard.is_finite(),
            "above 0 and finite",
        ),
    ];
    match rules.into_iter().find(|&(_, _, holds, _)| !holds) {
        Some((field, value, _, rule)) => Err(MelError::Config { field, value, rule }),
        None => Ok(()),
    }
}

fn given(field: &'static str, values: &[f32], expected: usize) -> Result<Vec<f32>, MelError> {
    if values.len() != expected {
        return Err(MelError::Length {
            field,
            found: values.len(),
            expected,
        });
    }
    match values.iter().position(|v| !v.is_finite()) {
        Some(index) => Err(MelError::NotFinite { field, index }),
        None => Ok(values.to_vec()),
    }
}

/// `own`, or `standard` where they differ by rounding only: a checkpoint that stores the standard window then gives the
/// same bits as its other form, which does not store it.
fn canonical(own: Vec<f32>, standard: Vec<f32>) -> Vec<f32> {
    let is_standard = own
        .iter()
        .zip(&standard)
        .all(|(a, b)| (a - b).abs() <= 1e-6);
    if is_standard { standard } else { own }
}

/// `hann(length, periodic=False)`: the denominator is `length - 1`.
fn symmetric_hann(length: usize) -> Vec<f32> {
    if length == 1 {
        return vec![1.0];
    }
    let step = 2.0 * std::f64::consts::PI / (length - 1) as f64;
    (0..length)
        .map(|i| (0.5 - 0.5 * (step * i as f64).cos()) as f32)
        .collect()
}

#[cfg(test)]
mod tests;
