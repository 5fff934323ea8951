//! What callers of a backend can get wrong, beside what can go wrong with any codec.

use std::path::PathBuf;

use percept_weights::hub::HubError;

/// Why a backend refuses tokens, or cannot be loaded.
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
pub enum BackendError {
    /// No codebooks were announced.
    #[error("num_codebooks is 0; give the number of books that the tokens are of")]
    NoCodebooks,
    /// Another number of codebooks than the model's.
    #[error("expected num_codebooks {expected} (from loaded model), got {got}")]
    Codebooks {
        /// The model's.
        expected: usize,
        /// The caller's.
        got: usize,
    },
    /// Tokens that do not share out among books of one length.
    #[error(
        "{tokens} tokens are not a positive multiple of num_codebooks {codebooks}; give every book as many"
    )]
    NotRectangular {
        /// How many were given.
        tokens: usize,
        /// Books they should be of.
        codebooks: usize,
    },
    /// Tokens that are no whole super-frames.
    #[error(
        "{tokens} tokens are not a positive multiple of {step}, what a super-frame of {align} latent frames takes in books \
         of strides {strides:?}; give whole super-frames, flat by book"
    )]
    TokenCount {
        /// How many were given.
        tokens: usize,
        /// Tokens of a super-frame.
        step: u64,
        /// Latent frames that a code of each book covers.
        strides: Vec<u32>,
        /// Their least common multiple.
        align: u64,
    },
    /// The repository or folder holds another codec.
    #[error(
        "{id}: the checkpoint is one of {found}, not of {expected}; use the backend of that family"
    )]
    Family {
        /// The backend.
        id: String,
        /// Its family.
        expected: &'static str,
        /// That of the checkpoint.
        found: &'static str,
    },
    /// A file of a name that was asked for is not there.
    #[error("{}: no file {file}; name one that is there, or leave the default", folder.display())]
    NoFile {
        /// The folder, or the snapshot in the cache.
        folder: PathBuf,
        /// The file.
        file: String,
    },
    /// A codec whose codes come with segments and scales.
    #[error(
        "{id}: cuts sound into segments with scales of their own, for which flat tokens have no room; use \
         CodecModel::encode and decode, whose Codes have"
    )]
    Segments {
        /// The backend.
        id: String,
    },
    /// The repository cannot be had.
    #[error(transparent)]
    Hub(#[from] HubError),
    /// The system refused to start threads.
    #[error("the threads that load the weights could not be started: {source}; free some memory")]
    Threads {
        /// Why not.
        source: rayon::ThreadPoolBuildError,
    },
}

impl BackendError {
    /// A stable name of the kind of error.
    pub fn code(&self) -> &'static str {
        match self {
            BackendError::NoCodebooks => "no-codebooks",
            BackendError::Codebooks { .. } => "num-codebooks",
            BackendError::NotRectangular { .. } => "ragged-tokens",
            BackendError::TokenCount { .. } => "token-count",
            BackendError::Family { .. } => "codec-family",
            BackendError::NoFile { .. } => "no-file",
            BackendError::Segments { .. } => "segments",
            BackendError::Hub(_) => "hub",
            BackendError::Threads { .. } => "threads",
        }
    }
}
