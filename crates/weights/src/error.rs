//! What can go wrong between a path and its tensors.
//!
//! Every variant names the file, the fact and, where the fact does not say it by itself, what to do. The faults of
//! each format are enums of their own, so that a caller can match on them.

use std::io;
use std::path::{Path, PathBuf};

use crate::cache::CacheError;
use crate::dtype::Dtype;
use crate::hub::HubError;
use crate::nemo::{GzipFault, TarFault, YamlFault};
use crate::safetensors::SafetensorsFault;
use crate::sentencepiece::SentencePieceFault;
use crate::torch::TorchFault;

/// What the system said, without its error number.
pub(crate) fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    match text.find(" (os error") {
        Some(end) => text[..end].to_lowercase(),
        None => text,
    }
}

/// Why a checkpoint, or something in it, cannot be used.
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
pub enum WeightsError {
    /// The operating system refused a file.
    #[error("{file}: cannot {action}: {reason}; check the path, its permissions and the disk", file = file.display(), reason = reason(source))]
    Io {
        /// The file or directory.
        file: PathBuf,
        /// What was tried: "read", "write", ...
        action: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// There is no checkpoint at this path.
    #[error(
        "{path}: {found}; give a directory with config.json and model.safetensors, or a .nemo file",
        path = path.display()
    )]
    NotACheckpoint {
        /// The path that was given.
        path: PathBuf,
        /// What is there instead.
        found: NotACheckpoint,
    },
    /// A file that this layout needs is absent.
    #[error("{path}: no {file} in this checkpoint, which is incomplete; fetch it again", path = path.display())]
    MissingFile {
        /// The checkpoint.
        path: PathBuf,
        /// The file or archive member that is needed.
        file: &'static str,
    },
    /// A repository cannot be fetched or read from the cache.
    #[error(transparent)]
    Hub(#[from] HubError),
    /// Derived weights cannot be read or written.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// A file is larger than its kind ever is.
    #[error("{file}: {bytes} bytes, more than the {limit} that such a file may have; check that it is the right file", file = file.display())]
    TooLarge {
        /// The file.
        file: PathBuf,
        /// Its size.
        bytes: u64,
        /// The largest size that is read.
        limit: u64,
    },
    /// A pointer of Git LFS lies where the weights should be.
    #[error("{file}: a Git LFS pointer, not the weights; run `git lfs pull` where it was cloned", file = file.display())]
    LfsPointer {
        /// The file.
        file: PathBuf,
    },
    /// A file that should hold JSON does not.
    #[error("{file}: not valid JSON: {source}; fetch the file again", file = file.display())]
    Json {
        /// The file.
        file: PathBuf,
        /// Where and why.
        source: serde_json::Error,
    },
    /// A JSON or YAML file lacks a field, or the field has another type.
    #[error("{file}: field `{field}` must be {expected}; use the configuration published with these weights", file = file.display())]
    Field {
        /// The file.
        file: PathBuf,
        /// The field as a dotted path.
        field: String,
        /// What it has to hold.
        expected: &'static str,
    },
    /// A safetensors file is damaged or hostile.
    #[error("{file}: not a usable safetensors file: {fault}; fetch it again", file = file.display())]
    Safetensors {
        /// The file.
        file: PathBuf,
        /// The fact.
        fault: SafetensorsFault,
    },
    /// A file of `torch.save` is damaged or hostile.
    #[error("{file}: not a usable torch checkpoint: {fault}; fetch it again, from a source you trust", file = file.display())]
    Torch {
        /// The file, or the archive and the member.
        file: PathBuf,
        /// The fact.
        fault: TorchFault,
    },
    /// A `.nemo` archive is damaged or hostile.
    #[error("{file}: not a usable .nemo archive: {fault}; fetch it again, from a source you trust", file = file.display())]
    Tar {
        /// The archive.
        file: PathBuf,
        /// The fact.
        fault: TarFault,
    },
    /// A gzip'd `.nemo` archive cannot be unpacked.
    #[error("{file}: {fault}", file = file.display())]
    Gzip {
        /// The archive.
        file: PathBuf,
        /// The fact.
        fault: GzipFault,
    },
    /// A YAML configuration cannot be read.
    #[error("{file}: not a usable configuration: {fault}; use the one published with these weights", file = file.display())]
    Yaml {
        /// The archive and the member.
        file: PathBuf,
        /// The fact.
        fault: YamlFault,
    },
    /// A SentencePiece model cannot be read.
    #[error("{file}: not a usable SentencePiece model: {fault}; use the tokenizer published with these weights", file = file.display())]
    SentencePiece {
        /// The file, or the archive and the member.
        file: PathBuf,
        /// The fact.
        fault: SentencePieceFault,
    },
    /// A file that should be text is not.
    #[error("{file}: not UTF-8 text; it should hold {expected}; fetch it again", file = file.display())]
    NotText {
        /// The file.
        file: PathBuf,
        /// What it should hold.
        expected: &'static str,
    },
    /// An archive holds several tokenizers and its configuration does not say which one it uses.
    #[error(
        "{file}: holds the tokenizers {first} and {second}; models with several tokenizers are not supported; use one with a single tokenizer",
        file = file.display()
    )]
    SeveralTokenizers {
        /// The archive.
        file: PathBuf,
        /// One of them.
        first: String,
        /// Another.
        second: String,
    },
    /// An index of shards names a file outside its own directory.
    #[error("{file}: shard name `{shard}` is not a plain file name; fetch the checkpoint from a source you trust", file = file.display())]
    ShardName {
        /// The index.
        file: PathBuf,
        /// The name it gives.
        shard: String,
    },
    /// A shard that an index names is absent.
    #[error("{file}: names the shard {shard}, which is not there; fetch the checkpoint again", file = file.display())]
    MissingShard {
        /// The index.
        file: PathBuf,
        /// The shard.
        shard: String,
    },
    /// An index of shards promises a tensor that its shard does not hold.
    #[error("{file}: promises tensor `{name}` in {shard}, which does not hold it; fetch the checkpoint again", file = file.display())]
    ShardTensor {
        /// The index.
        file: PathBuf,
        /// The tensor.
        name: String,
        /// The shard.
        shard: String,
    },
    /// Two tensors have one name.
    #[error("{file}: two tensors are named `{name}`; fetch the checkpoint again", file = file.display())]
    Duplicate {
        /// The file.
        file: PathBuf,
        /// The name.
        name: String,
    },
    /// The model needs a tensor that the checkpoint lacks.
    #[error("{file}: no tensor `{name}`, which the model needs; fetch the checkpoint again, with its own configuration", file = file.display())]
    Missing {
        /// The file.
        file: PathBuf,
        /// The tensor.
        name: String,
    },
    /// A tensor has another shape than the model needs.
    #[error("{file}: tensor `{name}` has shape {found:?}, the model needs {expected:?}; use the configuration published with these weights", file = file.display())]
    Shape {
        /// The file.
        file: PathBuf,
        /// The tensor.
        name: String,
        /// Its shape, slowest axis first.
        found: Vec<usize>,
        /// The shape asked for.
        expected: Vec<usize>,
    },
    /// A tensor has an element type that cannot be used where it is needed.
    #[error("{file}: tensor `{name}` holds {found}, the model needs {expected}; use a checkpoint in f32, f16 or bf16", file = file.display())]
    Dtype {
        /// The file.
        file: PathBuf,
        /// The tensor.
        name: String,
        /// Its element type.
        found: Dtype,
        /// What can be used: "floating-point numbers" or "integers".
        expected: &'static str,
    },
    /// A tensor has a value that is no finite number: with it the model would say nothing, or nonsense.
    #[error("{file}: value {index} of tensor `{name}` is {value}, not a finite number; fetch the checkpoint again, or export it anew from a healthy one", file = file.display())]
    NotFinite {
        /// The file.
        file: PathBuf,
        /// The tensor.
        name: String,
        /// The value.
        value: f32,
        /// Where it is, in row-major order.
        index: usize,
    },
    /// The values given for a tensor do not fill its shape.
    #[error("{file}: tensor `{name}` of shape {shape:?} was given {values} values", file = file.display())]
    Length {
        /// The file.
        file: PathBuf,
        /// The tensor.
        name: String,
        /// Its shape.
        shape: Vec<usize>,
        /// How many values there are.
        values: usize,
    },
    /// The ids of a vocabulary cannot be a table of pieces.
    #[error("{file}: piece `{piece}` has id {id}, too large for a vocabulary of {pieces} pieces; use the tokenizer published with these weights", file = file.display())]
    PieceId {
        /// The file.
        file: PathBuf,
        /// The piece.
        piece: String,
        /// Its id.
        id: u64,
        /// How many pieces there are.
        pieces: usize,
    },
    /// A checkpoint has none of the files that name its pieces.
    #[error("{path}: no vocabulary (looked for {looked_for}); add the tokenizer published with these weights", path = path.display())]
    NoVocabulary {
        /// The checkpoint.
        path: PathBuf,
        /// The files and fields that would do.
        looked_for: &'static str,
    },
}

/// What stands where a checkpoint should be.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotACheckpoint {
    /// Nothing.
    #[error("no such file or directory")]
    Nothing,
    /// A directory without weights or without a configuration.
    #[error("the directory holds no model")]
    Directory,
    /// A directory with more than one `.nemo` file.
    #[error("the directory holds several .nemo files, and it is not clear which one is meant")]
    SeveralNemo,
    /// A directory with more than one file of weights, none of which has the usual name.
    #[error(
        "the directory holds several files of weights, none of them called model.safetensors, and it is not clear which one is meant"
    )]
    SeveralWeights,
    /// A file without content.
    #[error("the file is empty")]
    EmptyFile,
    /// Weights without their configuration.
    #[error("weights alone, without the configuration beside them")]
    WeightsAlone,
    /// A file of another kind.
    #[error("the file is not a .nemo archive")]
    OtherFile,
}

impl WeightsError {
    /// A stable name of the kind of error, for scripts.
    pub fn code(&self) -> &'static str {
        match self {
            WeightsError::Io { .. } => "io",
            WeightsError::NotACheckpoint { .. } => "not-a-checkpoint",
            WeightsError::MissingFile { .. } => "missing-file",
            WeightsError::Hub(error) => error.code(),
            WeightsError::Cache(error) => error.code(),
            WeightsError::TooLarge { .. } => "too-large",
            WeightsError::LfsPointer { .. } => "lfs-pointer",
            WeightsError::Json { .. } => "json",
            WeightsError::Field { .. } => "field",
            WeightsError::Safetensors { .. } => "safetensors",
            WeightsError::Torch { .. } => "torch",
            WeightsError::Tar { .. } => "tar",
            WeightsError::Gzip { .. } => "gzip",
            WeightsError::Yaml { .. } => "yaml",
            WeightsError::SentencePiece { .. } => "sentencepiece",
            WeightsError::NotText { .. } => "not-text",
            WeightsError::SeveralTokenizers { .. } => "several-tokenizers",
            WeightsError::ShardName { .. } => "shard-name",
            WeightsError::MissingShard { .. } => "missing-shard",
            WeightsError::ShardTensor { .. } => "shard-tensor",
            WeightsError::Duplicate { .. } => "duplicate-tensor",
            WeightsError::Missing { .. } => "missing-tensor",
            WeightsError::Shape { .. } => "tensor-shape",
            WeightsError::Dtype { .. } => "tensor-dtype",
            WeightsError::NotFinite { .. } => "tensor-not-finite",
            WeightsError::Length { .. } => "tensor-length",
            WeightsError::PieceId { .. } => "piece-id",
            WeightsError::NoVocabulary { .. } => "no-vocabulary",
        }
    }

    /// For `map_err`: an `Io` error that says what was tried with `file`.
    pub(crate) fn io(file: &Path, action: &'static str) -> impl FnOnce(io::Error) -> WeightsError {
        let file = file.to_path_buf();
        move |source| WeightsError::Io {
            file,
            action,
            source,
        }
    }
}
