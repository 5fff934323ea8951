//! Where speech is: detectors, and the gate that hands a recogniser speech alone.

mod earshot;
mod gate;

pub use earshot::Earshot;
pub use gate::{GateConfig, GateError, GateSpan, SpeechGate};

/// Says of one frame after the other how likely it is speech; the memory of one stream.
pub trait VoiceActivity: Send {
    /// Samples per second that it understands.
    fn sample_rate(&self) -> u32;

    /// Samples of a frame; at least 1, and always the same.
    fn frame_samples(&self) -> usize;

    /// The probability, from 0 to 1, that `frame`, `[frame_samples]`, is speech. Frames follow each other without a gap.
    fn speech(&mut self, frame: &[f32]) -> f32;
}
