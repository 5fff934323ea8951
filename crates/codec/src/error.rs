//! What can go wrong.

use std::path::PathBuf;

use percept_weights::WeightsError;

use crate::{BackendError, CodesError, LayoutError};

/// What keeps a codec from being loaded, or from encoding or decoding.
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    /// The files of the checkpoint are at fault.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// The codes are at fault.
    #[error(transparent)]
    Codes(#[from] CodesError),
    /// The order of the tokens is at fault.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// A backend was asked for what it cannot give.
    #[error(transparent)]
    Backend(#[from] BackendError),
    /// The configuration asks for something that cannot be.
    #[error("{file}: {fault}; use the configuration published with these weights")]
    Config {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        fault: ConfigFault,
    },
    /// The audio has another rate.
    #[error("expected sample rate {want} Hz, got {got} Hz -- resample first")]
    RateMismatch {
        /// The codec's.
        want: u32,
        /// The audio's.
        got: u32,
    },
    /// The audio has another number of channels.
    #[error("expected {want} channels, got {got}; mix down or split the channels first")]
    ChannelMismatch {
        /// The codec's.
        want: u16,
        /// The audio's.
        got: u16,
    },
    /// There is nothing to encode.
    #[error("the audio is empty; there is nothing to encode")]
    EmptyAudio,
    /// There is nothing to decode.
    #[error("the tokens are empty; there is nothing to decode")]
    EmptyCodes,
    /// A sample is no number.
    #[error("sample {index} is {value}; samples must be finite numbers")]
    NotFinite {
        /// Its index in what was given.
        index: usize,
        /// What it is.
        value: f32,
    },
    /// Samples do not make up whole moments of all channels.
    #[error("{samples} samples are not a whole number for each of {channels} channels")]
    PartialFrame {
        /// How many were given.
        samples: usize,
        /// The channels.
        channels: u16,
    },
    /// Codes without segments, for a codec that decodes each on its own.
    #[error(
        "the codes do not say their segments, each of which this codec decodes alone; set those that encoding gave"
    )]
    NoSegments,
    /// A segment that is longer than the codec makes them.
    #[error(
        "segment {segment} has {frames} latent frames, this codec has {most} at most; the codes are of another one"
    )]
    SegmentLength {
        /// The segment.
        segment: usize,
        /// Its latent frames.
        frames: u32,
        /// Latent frames of a segment that is not cut short; 0 where there are no segments.
        most: u64,
    },
    /// More books were asked for than there are, or none.
    #[error(
        "{asked} codebooks were asked for, the model has {available}; ask for 1 to {available}"
    )]
    Books {
        /// How many were asked for.
        asked: usize,
        /// How many there are.
        available: usize,
    },
    /// Something came after the end of a stream.
    #[error("the stream has been finished; start a new one")]
    Finished,
    /// The work was cancelled.
    #[error("cancelled")]
    Cancelled,
    /// A file could not be read.
    #[error("{file}: could not be read: {source}")]
    Io {
        /// The file.
        file: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
}

/// What is wrong with a configuration.
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
pub enum ConfigFault {
    /// A field is not what it should be.
    #[error("it could not be understood: {0}")]
    Fields(#[from] serde_json::Error),
    /// No known codec.
    #[error("it describes no codec that is known (snac, dac, encodec, mimi)")]
    UnknownFamily,
    /// A number is out of range.
    #[error("`{field}` is {value}, it must be {wanted}")]
    Range {
        /// The field.
        field: &'static str,
        /// What it is.
        value: u64,
        /// What it must be.
        wanted: &'static str,
    },
    /// A field has to be given.
    #[error("`{field}` is missing, and the weights do not tell")]
    Missing {
        /// The field.
        field: &'static str,
    },
    /// The weights are those of another configuration.
    #[error("`{field}` is `{value}`, which the weights are not made for")]
    OtherWeights {
        /// The field.
        field: &'static str,
        /// What it is.
        value: String,
    },
    /// A list is empty.
    #[error("`{field}` is empty or malformed")]
    EmptyList {
        /// The field.
        field: &'static str,
    },
    /// Two fields contradict each other.
    #[error("`{field}` is {value}, which does not fit `{other}`")]
    Contradiction {
        /// The field.
        field: &'static str,
        /// What it is.
        value: u64,
        /// The other field.
        other: &'static str,
    },
    /// A variant that is not supported.
    #[error("`{field}` is `{value}`, which is not supported")]
    Unsupported {
        /// The field.
        field: &'static str,
        /// What it is.
        value: String,
    },
}

impl CodecError {
    /// A stable name of the kind of error.
    pub fn code(&self) -> &'static str {
        match self {
            CodecError::Weights(error) => error.code(),
            CodecError::Codes(error) => error.code(),
            CodecError::Layout(error) => error.code(),
            CodecError::Backend(error) => error.code(),
            CodecError::Config { .. } => "codec-config",
            CodecError::RateMismatch { .. } => "rate-mismatch",
            CodecError::ChannelMismatch { .. } => "channel-mismatch",
            CodecError::EmptyAudio => "empty-audio",
            CodecError::EmptyCodes => "empty-codes",
            CodecError::NotFinite { .. } => "not-finite",
            CodecError::PartialFrame { .. } => "partial-frame",
            CodecError::NoSegments => "no-segments",
            CodecError::SegmentLength { .. } => "segment-length",
            CodecError::Books { .. } => "book-count",
            CodecError::Finished => "finished",
            CodecError::Cancelled => "cancelled",
            CodecError::Io { .. } => "io",
        }
    }
}
