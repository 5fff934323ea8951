//! The arithmetic of one frame: the only path from samples to log-mels.

use realfft::num_complex::Complex;

use super::MelFrontEnd;

/// What computing a frame writes to on the way, and nothing that the next frame needs.
#[derive(Clone)]
pub(super) struct FrameScratch {
    /// `[n_fft]`.
    time: Vec<f32>,
    /// `[n_fft / 2 + 1]`.
    spectrum: Vec<Complex<f32>>,
    /// `[n_fft / 2 + 1]`.
    power: Vec<f32>,
    fft: Vec<Complex<f32>>,
}

impl FrameScratch {
    pub(super) fn new(front_end: &MelFrontEnd) -> Self {
        let n_fft = front_end.config.n_fft;
        Self {
            time: vec![0.0; n_fft],
            spectrum: front_end.fft.make_output_vec(),
            power: vec![0.0; n_fft / 2 + 1],
            fft: front_end.fft.make_scratch_vec(),
        }
    }

    /// Appends the log-mels of `taps`, `[win_samples]`, the pre-emphasised samples under the window, to `out`.
    pub(super) fn log_mels(&mut self, front_end: &MelFrontEnd, taps: &[f32], out: &mut Vec<f32>) {
        let MelFrontEnd {
            config,
            window,
            filterbank,
            fft,
        } = front_end;
        let offset = front_end.window_offset();
        self.time.fill(0.0);
        for ((t, w), x) in self.time[offset..].iter_mut().zip(window).zip(taps) {
            *t = w * x;
        }
        fft.process_with_scratch(&mut self.time, &mut self.spectrum, &mut self.fft)
            .expect("the buffers were made by this plan");
        for (p, z) in self.power.iter_mut().zip(&self.spectrum) {
            *p = z.re * z.re + z.im * z.im;
        }
        out.extend(
            filterbank
                .energies(&self.power)
                .map(|energy| (energy + config.log_guard).ln()),
        );
    }
}
