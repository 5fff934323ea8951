//! Live audio to text on ordinary CPUs, in pure Rust.
//!
//! [`Recognizer`] is the front door: it opens a checkpoint as people publish it (a Hugging Face directory or a `.nemo`
//! file) or the small English model built into this crate, and turns samples into a [`Transcript`].
//!
//! ```
//! use percept::{Recognizer, RecognizerOptions};
//!
//! let recognizer = Recognizer::embedded(&RecognizerOptions::default())?;
//! let mut session = recognizer.session();
//! for packet in vec![0.0; 16_000].chunks(320) {
//!     session.push(packet)?; // mono, at recognizer.sample_rate()
//! }
//! assert_eq!(session.finish()?.text, "");
//! # Ok::<(), percept::Error>(())
//! ```

#![forbid(unsafe_code)]

mod embedded;
mod recognizer;
mod stream;

pub use embedded::embedded_checkpoint;
pub use percept_asr::TranscriptContext;
pub use percept_asr::{AdaptiveContext, AdaptiveError};
pub use percept_asr::{
    Aggregate, Confidence, Decoder, Model, ModelConfig, ModelError, ParseConfidenceError, Profile,
    Segment, StageTime, Token, Transcript, WindowPolicy, Word,
};
pub use percept_asr::{
    AudioProducer, RingOptions, StreamNotice, StreamingParakeetTdt, TokenConsumer, TokenResult,
};
pub use percept_asr::{
    ContextConfig, ContextError, ContextPart, ContextWarning, Detokenizer, EmittedToken, Endpoint,
    EndpointCause, EndpointRules, Histogram, Next, Preset, Role, Scheduler, SchedulerError,
    SchedulerOptions, StepReport, StreamError, StreamEvent, StreamId, StreamMetrics, StreamMode,
    StreamOptions, StreamState, UnknownPreset,
};
pub use percept_audio as audio;
pub use percept_kernels::{Candidate, KernelChoice, kernels};
pub use percept_weights::{Checkpoint, Layout, WeightCache, WeightsError, cache, hub};
pub use percept_weights::{Piece, PieceKind, Vocabulary};
pub use rayon::{ThreadPool, ThreadPoolBuilder};
pub use recognizer::{Error, Features, Precision, Recognizer, RecognizerOptions, Session, Stage};
pub use stream::Stream;
