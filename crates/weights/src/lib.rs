//! Files in; named, shaped, checked tensors out.
//!
//! [`Checkpoint`] opens what people already have: a Hugging Face directory (safetensors, one file or shards) or a
//! NeMo archive (`.nemo`). It knows files and formats, not models: the model asks for tensors by name and shape and
//! gets them as `f32` or `i64`, or one error that names the file, the tensor and the difference.
//!
//! What a model makes of its tensors at some expense is kept in a [`WeightCache`].
//!
//! Every input may be hostile. Lengths are checked before they are believed, nothing is executed or written, and
//! memory stays within the size of the files.
//!
//! ```
//! use percept_weights::Tensors;
//!
//! let tensors = Tensors::from_f32("mem", [("linear.weight", vec![1, 2], vec![0.5, -1.0])])?;
//! assert_eq!(tensors.f32("linear.weight", &[1, 2])?, [0.5, -1.0]);
//! let wrong = tensors.f32("linear.weight", &[2, 2]).unwrap_err();
//! assert_eq!(wrong.code(), "tensor-shape");
//! # Ok::<(), percept_weights::WeightsError>(())
//! ```

#![deny(unsafe_code)]

pub mod cache;
mod checkpoint;
mod dtype;
mod error;
pub mod hub;
mod huggingface;
mod nemo;
mod safetensors;
mod sentencepiece;
mod source;
mod tensors;
mod tokenizer_json;
mod torch;
mod view;
mod vocabulary;
mod word_list;

pub use cache::{
    CacheEntry, CacheError, CachedWeights, Cleared, PackedBytes, PackedFault, PackedFile,
    PackedWriter, WeightCache,
};
pub use checkpoint::{Checkpoint, Layout};
pub use dtype::Dtype;
pub use error::{NotACheckpoint, WeightsError};
pub use nemo::{GzipFault, TarFault, YamlFault};
pub use safetensors::SafetensorsFault;
pub use sentencepiece::SentencePieceFault;
pub use tensors::Tensors;
pub use torch::{PickleFault, TorchFault, ZipFault};
pub use vocabulary::{Piece, PieceKind, Vocabulary};

/// The readers of untrusted bytes one by one, for the fuzz tests of this crate alone.
#[doc(hidden)]
pub mod fuzz;
