//! Live audio to text, and sound to tokens and back, on ordinary CPUs, in pure Rust.
//!
//! There are two front doors. [`Recognizer`] turns speech into text: it opens a checkpoint as people publish it (a Hugging Face directory or a `.nemo`
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
//!
//! [`Codec`] turns sound into [`Codes`], the tokens that speech models speak, and such tokens back into sound: SNAC
//! checkpoints as they are published. Whole recordings or streams give the same bits. [`TokenLayout`]s read the orders in
//! which models speak, [`NctWriter`] and [`NctReader`] keep codes in files, and a [`CodecBackend`] loads a codec when it is
//! first needed. With the feature `async`, `Codec::asynch` has all of it as futures.

#![forbid(unsafe_code)]

mod codec;
mod embedded;
mod recognizer;
mod stream;

pub use codec::{Codec, CodecDecoder, CodecEncoder, CodecOptions};
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
#[cfg(feature = "async")]
pub use percept_codec::asynch;
pub use percept_codec::{
    Backend, BackendConfig, BackendError, BackendFamily, CodecBackend, CodecBackendHandle,
    DacBackend, DacFamily, DynCodecProvider, EncodecBackend, EncodecFamily, MimiBackend,
    MimiFamily, SnacBackend, SnacFamily,
};
pub use percept_codec::{
    BookSpec, CancelFlag, CodecError, CodecFamily, CodecModel, CodecSpec, Codes, CodesError,
    ConfigFault, Control, DecodeOptions, EncodeOptions, Excerpt, Lookahead, Noise, NoiseSource,
    Pcm, PcmRef, Progress, Segment as CodeSegment,
};
pub use percept_codec::{
    ContainerError, EcdcFile, EcdcMeta, JsonCodes, JsonSalvage, NctFile, NctHeader, NctReader,
    NctWriter, Salvage, TokenFileKind, read_ecdc, sniff, write_nct,
};
pub use percept_codec::{
    Delay, FlatByBook, FrameMajor, HfBkt, LayoutError, MiniOmni, SnacTree, StreamEnd, TokenEvent,
    TokenLayout, TokenStream, base_len_from_token_count, lcm_all, per_codebook_lens, total_tokens,
    weights_id,
};
pub use percept_kernels::{Candidate, KernelChoice, kernels};
pub use percept_weights::{Checkpoint, Layout, WeightCache, WeightsError, cache, hub};
pub use percept_weights::{Piece, PieceKind, Vocabulary};
pub use rayon::{ThreadPool, ThreadPoolBuilder};
pub use recognizer::{Error, Features, Precision, Recognizer, RecognizerOptions, Session, Stage};
pub use stream::Stream;
