//! What is drawn over time, in bounded memory however long the recording is.

use std::sync::Arc;

use percept::audio::{MelConfig, MelFrontEnd, MelStream, Normalize};

/// Columns of a picture: beyond this, each covers twice the time.
const MOST: usize = 2_048;
/// Bands of a spectrogram.
pub(super) const BANDS: usize = 96;

/// Energy over time and frequency.
pub(crate) struct Spectrogram {
    mel: MelStream,
    channels: usize,
    mono: Vec<f32>,
    frames: Vec<f32>,
    /// `[columns, bands]`: mean energies.
    columns: Vec<f32>,
    /// Frames that a column covers.
    span: u32,
    /// Frames in the last column.
    filled: u32,
}

impl Spectrogram {
    /// Of interleaved samples at this rate.
    pub(crate) fn new(rate: u32, channels: u16) -> Self {
        let front_end = MelFrontEnd::new(config(rate)).expect("every number is in its range");
        Self {
            mel: MelStream::new(Arc::new(front_end)),
            channels: usize::from(channels),
            mono: Vec::new(),
            frames: Vec::new(),
            columns: Vec::new(),
            span: 1,
            filled: 1,
        }
    }

    /// Takes samples of whole frames, of all channels.
    pub(crate) fn push(&mut self, samples: &[f32]) {
        self.mono.clear();
        let mean = |frame: &[f32]| frame.iter().sum::<f32>() / frame.len() as f32;
        self.mono
            .extend(samples.chunks_exact(self.channels).map(mean));
        self.frames.clear();
        self.mel.push(&self.mono, &mut self.frames);
        self.add();
    }

    /// Ends the signal.
    pub(crate) fn finish(&mut self) {
        self.frames.clear();
        self.mel.finish(&mut self.frames);
        self.add();
    }

    fn add(&mut self) {
        for frame in self.frames.chunks_exact(BANDS) {
            let energies = frame.iter().map(|log| log.exp());
            if self.filled == self.span {
                if self.columns.len() == MOST * BANDS {
                    halve(&mut self.columns);
                    self.span *= 2;
                    self.filled = self.span;
                }
                self.columns.extend(energies);
                self.filled = 1;
                continue;
            }
            let last = self.columns.len() - BANDS;
            let (old, new) = (self.filled as f32, self.filled as f32 + 1.0);
            for (mean, energy) in self.columns[last..].iter_mut().zip(energies) {
                *mean = (*mean * old + energy) / new;
            }
            self.filled += 1;
        }
    }

    /// `[columns, bands]`: mean energies.
    pub(super) fn columns(&self) -> &[f32] {
        &self.columns
    }

    /// How long a column is, in seconds.
    pub(super) fn column_seconds(&self) -> f64 {
        let config = self.mel.front_end().config();
        let samples = u64::from(self.span) * config.hop_samples as u64;
        samples as f64 / f64::from(config.sample_rate)
    }

    /// The highest frequency there is, in Hz.
    pub(super) fn nyquist(&self) -> f64 {
        self.mel.front_end().config().f_max
    }

    /// How long the signal is, in seconds.
    pub(super) fn seconds(&self) -> f64 {
        let rate = self.mel.front_end().config().sample_rate;
        self.mel.samples() as f64 / f64::from(rate)
    }
}

/// Windows of about 1/24 s, four to each of their lengths.
fn config(rate: u32) -> MelConfig {
    let window = (rate as usize / 24).next_power_of_two().clamp(64, 32_768);
    MelConfig {
        sample_rate: rate,
        n_fft: window,
        win_samples: window,
        hop_samples: window / 4,
        n_mels: BANDS,
        f_min: 0.0,
        f_max: f64::from(rate) / 2.0,
        preemphasis: 0.0,
        log_guard: 1e-10,
        normalize: Normalize::None,
        exact_pad: false,
        window: None,
        filterbank: None,
    }
}

/// Joins every two columns to their mean.
fn halve(columns: &mut Vec<f32>) {
    let pairs = columns.chunks_exact(2 * BANDS);
    let halved = pairs.flat_map(|pair| {
        let (first, second) = pair.split_at(BANDS);
        first.iter().zip(second).map(|(a, b)| (a + b) / 2.0)
    });
    *columns = halved.collect();
}

/// The codes of one book over time: some of them, evenly chosen, where there are very many.
pub(crate) struct CodeRow {
    /// Every `step`-th code.
    codes: Vec<u16>,
    step: u64,
    seen: u64,
}

impl Default for CodeRow {
    fn default() -> Self {
        Self {
            codes: Vec::new(),
            step: 1,
            seen: 0,
        }
    }
}

impl CodeRow {
    pub(crate) fn push(&mut self, codes: &[u16]) {
        for &code in codes {
            if self.seen.is_multiple_of(self.step) {
                if self.codes.len() == MOST {
                    let mut keep = [true, false].into_iter().cycle();
                    self.codes.retain(|_| keep.next().unwrap_or(true));
                    self.step *= 2;
                }
                if self.seen.is_multiple_of(self.step) {
                    self.codes.push(code);
                }
            }
            self.seen += 1;
        }
    }

    pub(super) fn codes(&self) -> &[u16] {
        &self.codes
    }

    /// Codes that one that was kept stands for.
    pub(super) fn step(&self) -> u64 {
        self.step
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spectrogram_is_the_same_however_the_samples_come_and_never_grows_beyond_its_columns() {
        let pcm: Vec<f32> = (0..700_000)
            .map(|i| (i as f32 * 0.02).sin() * 0.5)
            .collect();
        let of = |piece: usize| {
            let mut spectrogram = Spectrogram::new(8_000, 2);
            pcm.chunks(2 * piece)
                .for_each(|chunk| spectrogram.push(chunk));
            spectrogram.finish();
            spectrogram
        };
        let whole = of(350_000);
        assert!(whole.columns().len() <= MOST * BANDS);
        assert_eq!(whole.seconds(), 350_000.0 / 8_000.0);
        let drawn = whole.column_seconds() * (whole.columns().len() / BANDS) as f64;
        assert!((drawn - whole.seconds()).abs() <= 2.0 * whole.column_seconds());
        assert!(of(1_237).columns() == whole.columns());
    }

    #[test]
    fn a_tone_is_brightest_in_its_band() {
        let pcm: Vec<f32> = (0..24_000).map(|i| (i as f32 * 0.2618).sin()).collect(); // 1000 Hz
        let mut spectrogram = Spectrogram::new(24_000, 1);
        spectrogram.push(&pcm);
        let middle = spectrogram.columns().chunks_exact(BANDS).nth(40).unwrap();
        let band = (0..BANDS)
            .max_by(|&a, &b| middle[a].total_cmp(&middle[b]))
            .unwrap();
        let bands = BANDS as f64 + 1.0;
        let found = super::super::hertz((band as f64 + 1.0) / bands, 12_000.0);
        assert!((found - 1_000.0).abs() < 60.0, "{found}");
    }

    #[test]
    fn of_many_codes_every_so_manieth_is_kept() {
        let codes: Vec<u16> = (0..10_000).collect();
        let mut row = CodeRow::default();
        codes.chunks(77).for_each(|piece| row.push(piece));
        assert_eq!(row.step(), 8);
        let expected: Vec<u16> = (0..10_000).step_by(8).collect();
        assert_eq!(row.codes(), expected);
    }
}
