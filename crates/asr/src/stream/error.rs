//! What can be wrong with a stream.

use percept_audio::GateError;

use super::context::ContextError;

/// A stream that cannot begin, or audio that it cannot take.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum StreamError {
    /// A sample that is no number. The samples before it were taken.
    #[error(
        "the audio has a sample that is not a finite number at {seconds:.3} s; repair or re-export it"
    )]
    NotFinite {
        /// When, in seconds from the start of the stream.
        seconds: f64,
    },
    /// Audio for a stream that was finished.
    #[error("the stream was finished and takes no more audio; begin a new one")]
    Finished,
    /// The context cannot be used.
    #[error(transparent)]
    Context(#[from] ContextError),
    /// The model was not made for streaming frame by frame.
    #[error(
        "`{family}` with attention {mask} is no cache-aware streaming model; stream it in windows with left, chunk and \
         right context, or use a model such as nemotron-speech-streaming"
    )]
    NotCacheAware {
        /// What the checkpoint calls its kind.
        family: String,
        /// What its attention sees.
        mask: String,
    },
    /// The model was not trained with this right context.
    #[error("the model has no right context of {asked} frames; ask for {available}")]
    Lookahead {
        /// What was asked for.
        asked: usize,
        /// What there is.
        available: String,
    },
    /// The chunk of a cache-aware stream cannot change.
    #[error(
        "a cache-aware stream decodes {frames} frames at a step, as its model was trained; begin another one"
    )]
    FixedChunk {
        /// Frames of its chunk.
        frames: usize,
    },
    /// The gate that finds speech cannot be used.
    #[error(transparent)]
    Gate(#[from] GateError),
    /// The detector of speech hears another rate than the model.
    #[error(
        "the detector of speech hears {detector} Hz and the model {model} Hz; stream without one"
    )]
    GateRate {
        /// The detector's rate.
        detector: u32,
        /// The model's rate.
        model: u32,
    },
    /// A rate that cannot be converted.
    #[error("audio of {rate} Hz cannot be converted; use a rate from 1000 to 768000 Hz")]
    SampleRate {
        /// The rate.
        rate: u32,
    },
    /// A ring that holds nothing, or more than anything needs.
    #[error("a ring of {asked} {contents} cannot be made; ask for 1 to {most}")]
    RingSize {
        /// What the ring holds: samples or tokens.
        contents: &'static str,
        /// How many were asked for.
        asked: usize,
        /// How many it may hold.
        most: usize,
    },
}

impl StreamError {
    /// A stable name of the kind of error.
    pub fn code(&self) -> &'static str {
        match self {
            StreamError::NotFinite { .. } => "not-finite",
            StreamError::Finished => "finished",
            StreamError::Context(error) => error.code(),
            StreamError::NotCacheAware { .. } => "not-cache-aware",
            StreamError::Lookahead { .. } => "lookahead",
            StreamError::FixedChunk { .. } => "fixed-chunk",
            StreamError::Gate(error) => error.code(),
            StreamError::GateRate { .. } => "gate-rate",
            StreamError::SampleRate { .. } => "sample-rate",
            StreamError::RingSize { .. } => "ring-size",
        }
    }
}
