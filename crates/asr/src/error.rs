//! What can go wrong between a checkpoint and a transcript.

use std::path::PathBuf;

use percept_audio::MelError;
use percept_weights::WeightsError;

/// A model that cannot be loaded, or audio that cannot be recognised.
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// The checkpoint's files are at fault.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// The checkpoint's front end cannot be computed.
    #[error("{file}: {source}; use the configuration that was published with the weights", file = file.display())]
    Mel {
        /// The checkpoint.
        file: PathBuf,
        /// What is wrong with it.
        source: MelError,
    },
    /// Not a kind of model that is recognised.
    #[error(
        "{file}: the model family `{family}` is not known; \
         use a Parakeet or Nemotron FastConformer checkpoint (TDT, RNNT or CTC)", file = file.display()
    )]
    UnknownFamily {
        /// The checkpoint.
        file: PathBuf,
        /// What it calls itself.
        family: String,
    },
    /// The checkpoint has neither a transducer nor a CTC head.
    #[error("{file}: `{family}` has no RNNT, TDT or CTC head; use a speech recognition checkpoint", file = file.display())]
    NoHead {
        /// The checkpoint.
        file: PathBuf,
        /// What it calls itself.
        family: String,
    },
    /// The tokenizer does not belong to the weights.
    #[error(
        "{file}: the tokenizer has {found} pieces, the model needs {expected}; \
         use the tokenizer that was published with the weights", file = file.display()
    )]
    VocabularySize {
        /// The checkpoint.
        file: PathBuf,
        /// Pieces in the tokenizer.
        found: usize,
        /// Pieces that the model's ids need.
        expected: usize,
    },
    /// The decoder asked for is not in the checkpoint.
    #[error("{file}: the model has no {asked} decoder; ask for {available}", file = file.display())]
    NoDecoder {
        /// The checkpoint.
        file: PathBuf,
        /// What was asked for.
        asked: &'static str,
        /// What there is.
        available: String,
    },
    /// The language asked for is not one of the model's.
    #[error("{file}: no language `{asked}`; {available}", file = file.display())]
    NoLanguage {
        /// The checkpoint.
        file: PathBuf,
        /// What was asked for.
        asked: String,
        /// What there is.
        available: String,
    },
    /// A sample that is no number.
    #[error(
        "the audio has a sample that is not a finite number at {seconds:.3} s; repair or re-export it"
    )]
    NotFinite {
        /// When, in seconds.
        seconds: f64,
    },
}

impl ModelError {
    /// A stable name of the kind of error.
    pub fn code(&self) -> &'static str {
        match self {
            ModelError::Weights(error) => error.code(),
            ModelError::Mel { .. } => "mel",
            ModelError::UnknownFamily { .. } => "unknown-family",
            ModelError::NoHead { .. } => "no-head",
            ModelError::VocabularySize { .. } => "vocabulary-size",
            ModelError::NoDecoder { .. } => "no-decoder",
            ModelError::NoLanguage { .. } => "no-language",
            ModelError::NotFinite { .. } => "not-finite",
        }
    }
}
