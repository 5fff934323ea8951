//! The detector that is built in.

use earshot::Detector;

use super::VoiceActivity;

const FRAME_SAMPLES: usize = 256;

/// A small neural detector of the crate `earshot`: 16 kHz, frames of 16 ms, its weights in the program.
///
/// Samples beyond full scale count as full scale, samples that are not finite as silence.
///
/// ```
/// use percept_audio::{Earshot, VoiceActivity};
///
/// assert!(Earshot::new().speech(&[0.0; 256]) < 0.5);
/// ```
pub struct Earshot {
    detector: Box<Detector>,
}

impl Earshot {
    /// A detector at sample 0.
    pub fn new() -> Self {
        Self {
            detector: Box::new(Detector::default()),
        }
    }
}

impl Default for Earshot {
    fn default() -> Self {
        Self::new()
    }
}

impl VoiceActivity for Earshot {
    fn sample_rate(&self) -> u32 {
        16_000
    }

    fn frame_samples(&self) -> usize {
        FRAME_SAMPLES
    }

    fn speech(&mut self, frame: &[f32]) -> f32 {
        assert_eq!(frame.len(), FRAME_SAMPLES, "a frame of 16 ms at 16 kHz");
        let mut bounded = [0.0; FRAME_SAMPLES];
        for (y, &x) in bounded.iter_mut().zip(frame) {
            *y = if x.is_finite() {
                x.clamp(-1.0, 1.0)
            } else {
                0.0
            };
        }
        self.detector.predict_f32(&bounded)
    }
}

impl std::fmt::Debug for Earshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Earshot").finish_non_exhaustive()
    }
}
