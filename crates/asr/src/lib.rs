//! PCM to text: encoders, searches, sessions.
//!
//! A [`Model`] is immutable and shared; a [`Session`] is one recording on its way through it. Samples go in through
//! [`Session::push`], in pieces of any size, and [`Session::finish`] returns the [`Transcript`].
//!
//! Inside, [`ModelConfig`] reads what a checkpoint says about itself, [`FastConformer`] turns mel frames into encoder
//! frames, [`Transducer`] or [`CtcHead`] search them for tokens, and [`Transcript::new`] makes text and times of those.

#![forbid(unsafe_code)]

mod confidence;
mod config;
mod ctc;
mod encoder;
mod error;
mod model;
mod names;
mod profile;
mod prompt;
mod search;
mod session;
mod stream;
mod text;
mod timing;
mod transcript;
mod transducer;
mod windows;

pub use confidence::{Aggregate, Confidence, Entropy, EntropyScale, ParseConfidenceError};
pub use config::{EncoderConfig, ModelConfig, PromptConfig};
pub use ctc::{CtcConfig, CtcHead};
pub use encoder::{FastConformer, Step};
pub use error::ModelError;
pub use model::{Decoder, Model, ModelOptions};
pub use percept_nn::Precision;
pub use profile::{Profile, StageTime};
pub use search::{CtcState, CtcStream, EmittedToken, TransducerStream};
pub use session::Session;
pub use stream::{AdaptiveContext, AdaptiveError};
pub use stream::{
    AudioProducer, RingOptions, StreamNotice, StreamingParakeetTdt, TokenConsumer, TokenResult,
};
pub use stream::{
    ContextConfig, ContextError, ContextPart, ContextWarning, Endpoint, EndpointCause,
    EndpointRules, Histogram, Preset, StreamMetrics, UnknownPreset,
};
pub use stream::{Next, Scheduler, SchedulerError, SchedulerOptions, StreamId};
pub use stream::{
    StepMemory, StepReport, Stream, StreamError, StreamEvent, StreamMode, StreamOptions,
    StreamState,
};
pub use text::{Detokenizer, Role, text};
pub use transcript::{Segment, Token, Transcript, TranscriptContext, Word};
pub use transducer::{
    Activation, Transducer, TransducerConfig, TransducerState, UnknownActivation,
};
pub use windows::WindowPolicy;
