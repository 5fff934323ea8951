//! Sound to tokens and tokens to sound: neural audio codecs, exact in every chunk.
//!
//! [`CodecModel`] holds the numbers and weights of a codec and never changes. It encodes [`PcmRef`] to [`Codes`] and decodes
//! them to [`Pcm`]; [`StreamEncoder`] and [`StreamDecoder`] do the same while sound or codes come in. Both are one way
//! through one chain of layers (`percept_nn::signal`), each of which computes every value once, as soon as all it looks
//! at is there: however a stream is cut, the result is that of the whole, bit for bit.
//!
//! A family (`snac.rs`, ...) says which layers there are and what their tensors are called; nothing else knows it.

#![forbid(unsafe_code)]

#[cfg(feature = "async")]
pub mod asynch;
mod backend;
mod codes;
mod config;
mod container;
mod dac;
mod encodec;
mod error;
mod excerpt;
mod extent;
mod identity;
mod layout;
mod mimi;
mod mlx;
mod model;
mod noise;
mod options;
mod pcm;
mod pieces;
mod quantizer;
mod snac;
mod spec;
mod stream;

pub use backend::{
    Backend, BackendConfig, BackendError, BackendFamily, CodecBackend, CodecBackendHandle,
    DacBackend, DacFamily, DynCodecProvider, EncodecBackend, EncodecFamily, MimiBackend,
    MimiFamily, SnacBackend, SnacFamily,
};
pub use codes::{BookSpec, Codes, CodesError, Segment};
pub use container::{
    ContainerError, EcdcFile, EcdcMeta, JsonCodes, JsonSalvage, NctFile, NctHeader, NctReader,
    NctWriter, Salvage, TokenFileKind, read_ecdc, sniff, write_nct,
};
pub use error::{CodecError, ConfigFault};
pub use excerpt::Excerpt;
pub use identity::weights_id;
pub use layout::{
    Delay, FlatByBook, FrameMajor, HfBkt, LayoutError, MiniOmni, SnacTree, StreamEnd, TokenEvent,
    TokenLayout, TokenStream, base_len_from_token_count, gcd, lcm_all, per_codebook_lens,
    total_tokens,
};
pub use model::CodecModel;
pub use noise::SeededNoise;
pub use options::{CancelFlag, Control, DecodeOptions, EncodeOptions, Lookahead, Noise, Progress};
pub use pcm::{Pcm, PcmRef};
pub use percept_nn::signal::NoiseSource;
pub use spec::{CodecFamily, CodecSpec};
pub use stream::{StreamDecoder, StreamEncoder};
