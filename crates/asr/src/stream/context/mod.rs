//! How much audio around a chunk a model hears: the sizes of left-chunk-right windows.

mod fault;
mod preset;
#[cfg(test)]
mod tests;

use std::fmt;

use percept_nn::AttentionMask;

pub use fault::{ContextError, ContextPart, ContextWarning};
pub use preset::{Preset, UnknownPreset};

use crate::config::EncoderConfig;
use crate::model::Decoder;

/// Encoder frames per second are `FRAMES_NUMERATOR / FRAMES_DENOMINATOR`: 100 mel frames a second, 8 to a frame.
const FRAMES_NUMERATOR: f64 = 100.0;
const FRAMES_DENOMINATOR: f64 = 8.0;
/// The longest part of a window: one hour.
const MAX_SECONDS: f64 = 3600.0;
const MAX_FRAMES: usize = 45_000;
const SAMPLE_RATES: std::ops::RangeInclusive<u32> = 1_000..=768_000;
/// The sample rate of every published model of the family.
const MODEL_SAMPLE_RATE: u32 = 16_000;
/// Right context below which full-attention TDT models lose whole runs of words
/// (<https://github.com/NVIDIA/NeMo/issues/14430>): 1 s, in whole frames.
const SAFE_RIGHT_FRAMES: usize = 12;

/// The sizes of left-chunk-right windows, in encoder frames of 80 ms.
///
/// A chunk is decoded once `right` more frames have been heard, so `chunk + right` is the latency; `left` costs
/// computing alone. The right context may be longer than the left.
///
/// ```
/// use percept_asr::ContextConfig;
///
/// let context = ContextConfig::new(10.0, 2.0, 2.0, 16_000)?;
/// assert_eq!((context.left_frames(), context.chunk_frames(), context.right_frames()), (125, 25, 25));
/// assert_eq!(context.chunk_samples(), 32_000);
/// assert_eq!(context.latency_secs(), 4.0);
/// # Ok::<(), percept_asr::ContextError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContextConfig {
    left_frames: usize,
    chunk_frames: usize,
    right_frames: usize,
    sample_rate: u32,
}

impl ContextConfig {
    /// Sizes in seconds, for audio at `sample_rate`.
    ///
    /// Frames are `seconds * 100 / 8` without their fraction, as NeMo counts them
    /// (<https://github.com/NVIDIA/NeMo/blob/dbbf3aa95c49c6e4393c5037a542c48df9c5aa21/examples/asr/asr_chunked_inference/rnnt/speech_to_text_streaming_infer_rnnt.py>):
    /// 0.25 s are 3 frames, 0.24 s of audio. The product is taken in floating point there and here, so that a few
    /// lengths come out one frame shorter than they might: 2.32 s are 28 frames. [`ContextConfig::from_frames`] is exact.
    ///
    /// # Errors
    /// [`ContextError`] for a length that is negative, no number or over an hour, a chunk of less than a frame, and a
    /// sample rate outside 1000 ..= 768000 Hz.
    pub fn new(
        left_secs: f64,
        chunk_secs: f64,
        right_secs: f64,
        sample_rate: u32,
    ) -> Result<Self, ContextError> {
        let left_frames = frames(ContextPart::Left, left_secs)?;
        let chunk_frames = frames(ContextPart::Chunk, chunk_secs)?;
        let right_frames = frames(ContextPart::Right, right_secs)?;
        if chunk_frames == 0 {
            let seconds = chunk_secs;
            return Err(ContextError::EmptyChunk { seconds });
        }
        Self::from_frames(left_frames, chunk_frames, right_frames)?.with_sample_rate(sample_rate)
    }

    /// Sizes in encoder frames, for audio at 16 kHz.
    ///
    /// # Errors
    /// [`ContextError`] for a chunk without a frame, and for more than 45000 frames (an hour).
    pub fn from_frames(left: usize, chunk: usize, right: usize) -> Result<Self, ContextError> {
        if chunk == 0 {
            return Err(ContextError::EmptyChunk { seconds: 0.0 });
        }
        let parts = [
            (ContextPart::Left, left),
            (ContextPart::Chunk, chunk),
            (ContextPart::Right, right),
        ];
        for (part, frames) in parts {
            if frames > MAX_FRAMES {
                return Err(ContextError::Frames { part, frames });
            }
        }
        Ok(ContextConfig {
            left_frames: left,
            chunk_frames: chunk,
            right_frames: right,
            sample_rate: MODEL_SAMPLE_RATE,
        })
    }

    /// The same sizes for audio at another rate.
    ///
    /// # Errors
    /// [`ContextError::SampleRate`] outside 1000 ..= 768000 Hz.
    pub fn with_sample_rate(self, sample_rate: u32) -> Result<Self, ContextError> {
        if !SAMPLE_RATES.contains(&sample_rate) {
            return Err(ContextError::SampleRate { rate: sample_rate });
        }
        Ok(ContextConfig {
            sample_rate,
            ..self
        })
    }

    /// Frames before the chunk.
    pub fn left_frames(&self) -> usize {
        self.left_frames
    }

    /// Frames decoded at each step.
    pub fn chunk_frames(&self) -> usize {
        self.chunk_frames
    }

    /// Frames after the chunk.
    pub fn right_frames(&self) -> usize {
        self.right_frames
    }

    /// Frames of a full window.
    pub fn window_frames(&self) -> usize {
        self.left_frames + self.chunk_frames + self.right_frames
    }

    /// Samples per second that the sizes in samples are for.
    pub fn sample_rate(&self) -> u32 {
        self.sample_rate
    }

    /// Samples before the chunk.
    pub fn left_samples(&self) -> usize {
        self.samples(self.left_frames)
    }

    /// Samples decoded at each step.
    pub fn chunk_samples(&self) -> usize {
        self.samples(self.chunk_frames)
    }

    /// Samples after the chunk.
    pub fn right_samples(&self) -> usize {
        self.samples(self.right_frames)
    }

    /// How long after it was said the first word of a chunk is decoded, on a machine that computes in no time.
    pub fn latency_secs(&self) -> f64 {
        seconds(self.chunk_frames + self.right_frames)
    }

    /// What attention sees within such windows: what the model's own mask says, or, for models that were trained to
    /// follow it, what the window does.
    pub fn mask(&self, encoder: &EncoderConfig) -> AttentionMask {
        match encoder.follows_context {
            true => AttentionMask::ChunkedWithRight {
                left: self.left_frames,
                chunk: self.chunk_frames,
                right: self.right_frames,
            },
            false => encoder.mask,
        }
    }

    /// What is wrong with these sizes for a model with this attention, as [`ContextConfig::mask`] has it, and this search,
    /// if anything is.
    pub fn warning(&self, mask: &AttentionMask, decoder: Decoder) -> Option<ContextWarning> {
        let off_grid = |part, frames: usize, grid: usize| {
            let warning = ContextWarning::OffGrid { part, frames, grid };
            (!frames.is_multiple_of(grid)).then_some(warning)
        };
        match *mask {
            AttentionMask::Full | AttentionMask::Regular { .. } => {
                let is_short = self.right_frames < SAFE_RIGHT_FRAMES && decoder == Decoder::Tdt;
                let seconds = seconds(self.right_frames);
                is_short.then_some(ContextWarning::ShortRight { seconds })
            }
            // The model's chunk is the one chosen here; its grid begins at the first frame of the window.
            AttentionMask::ChunkedWithRight { .. } => {
                off_grid(ContextPart::Left, self.left_frames, self.chunk_frames)
            }
            AttentionMask::Chunked { right, .. } => {
                off_grid(ContextPart::Left, self.left_frames, right + 1)
                    .or_else(|| off_grid(ContextPart::Chunk, self.chunk_frames, right + 1))
            }
        }
    }

    fn samples(&self, frames: usize) -> usize {
        let per_frame = u64::from(self.sample_rate) * FRAMES_DENOMINATOR as u64;
        (frames as u64 * per_frame).div_ceil(FRAMES_NUMERATOR as u64) as usize
    }
}

/// 10-2-2, the sizes of [`Preset::Balanced`].
impl Default for ContextConfig {
    fn default() -> Self {
        Preset::Balanced.context()
    }
}

/// In seconds: `10-2-2`.
impl fmt::Display for ContextConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [left, chunk, right] =
            [self.left_frames, self.chunk_frames, self.right_frames].map(seconds);
        write!(f, "{left}-{chunk}-{right}")
    }
}

fn frames(part: ContextPart, seconds: f64) -> Result<usize, ContextError> {
    if !(0.0..=MAX_SECONDS).contains(&seconds) {
        return Err(ContextError::Seconds { part, seconds });
    }
    Ok((seconds * FRAMES_NUMERATOR / FRAMES_DENOMINATOR) as usize)
}

fn seconds(frames: usize) -> f64 {
    frames as f64 * FRAMES_DENOMINATOR / FRAMES_NUMERATOR
}
