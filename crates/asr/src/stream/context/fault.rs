//! Sizes of windows that cannot be, or should not.

use std::fmt;

use super::{MAX_FRAMES, MAX_SECONDS};

/// A part of a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContextPart {
    /// What was heard before the chunk.
    Left,
    /// What is decoded.
    Chunk,
    /// What is heard after the chunk before it is decoded.
    Right,
}

/// Sizes that no window can have.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum ContextError {
    /// A length that is no length, or a longer one than is sensible.
    #[error(
        "the {part} context of {seconds} s is out of range; give seconds from 0 to {MAX_SECONDS}"
    )]
    Seconds {
        /// Which part of the window.
        part: ContextPart,
        /// What was asked for.
        seconds: f64,
    },
    /// More frames than is sensible.
    #[error("the {part} context of {frames} frames is out of range; give at most {MAX_FRAMES}")]
    Frames {
        /// Which part of the window.
        part: ContextPart,
        /// What was asked for.
        frames: usize,
    },
    /// A chunk that holds no encoder frame.
    #[error("a chunk of {seconds} s holds no encoder frame; make it at least 0.08 s")]
    EmptyChunk {
        /// What was asked for.
        seconds: f64,
    },
    /// A sample rate that audio does not have.
    #[error(
        "a sample rate of {rate} Hz is out of range; give one from 1000 to 768000 Hz, such as 16000"
    )]
    SampleRate {
        /// What was asked for.
        rate: u32,
    },
}

impl ContextError {
    /// A stable name of the kind of error.
    pub fn code(&self) -> &'static str {
        match self {
            ContextError::Seconds { .. } => "context-seconds",
            ContextError::Frames { .. } => "context-frames",
            ContextError::EmptyChunk { .. } => "empty-chunk",
            ContextError::SampleRate { .. } => "sample-rate",
        }
    }
}

/// Sizes that a model can run with and does badly with.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum ContextWarning {
    /// Too little is heard after the chunk.
    #[error(
        "with {seconds:.2} s of right context this model drops whole runs of words; give it 1 s or more, \
         or use a model made for low latency, such as nemotron-speech-streaming or parakeet-unified"
    )]
    ShortRight {
        /// The right context.
        seconds: f64,
    },
    /// The window does not begin where one of the model's own chunks does.
    #[error(
        "the {part} context of {frames} frames is not a multiple of {grid}, the chunk of the model's attention, \
         which then sees less than it was trained with; make it {} frames", nearest_multiple(*.frames, *.grid)
    )]
    OffGrid {
        /// Which part of the window.
        part: ContextPart,
        /// Its length.
        frames: usize,
        /// What it should be a multiple of.
        grid: usize,
    },
}

impl ContextWarning {
    /// A stable name of the kind of warning.
    pub fn code(&self) -> &'static str {
        match self {
            ContextWarning::ShortRight { .. } => "short-right-context",
            ContextWarning::OffGrid { .. } => "context-off-grid",
        }
    }
}

impl fmt::Display for ContextPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ContextPart::Left => "left",
            ContextPart::Chunk => "chunk",
            ContextPart::Right => "right",
        })
    }
}

/// The multiple of `grid` that is nearest to `frames`, and not 0.
fn nearest_multiple(frames: usize, grid: usize) -> usize {
    ((frames + grid / 2) / grid).max(1) * grid
}
