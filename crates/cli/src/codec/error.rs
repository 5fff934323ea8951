//! What can go wrong with tokens, codecs and their files, beside what can go wrong anywhere.

use std::path::PathBuf;

use percept::hub::HubError;
use percept::{ContainerError, LayoutError};

use super::model::Made;
use super::words::WordFault;

/// Why `codec` failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CodecFault {
    #[error("{id}: not in the cache{}; get it with: percept models pull {id}, or give a folder with its files to --model",
            if *is_offline { " (and HF_HUB_OFFLINE is set)" } else { "" })]
    NotCached { id: String, is_offline: bool },
    #[error(
        "{source}; to try it again: percept models pull {id}, or give a folder with its files to --model"
    )]
    NoCheckpoint { id: String, source: Box<HubError> },
    #[error("{}: no such codec; give a folder with its published files, or a hub id such as hubertsiuzdak/snac_24khz", model.display())]
    NoCodec { model: PathBuf },
    #[error("{}: exists already; name the output with -o", path.display())]
    Exists { path: PathBuf },
    #[error("{}: is the input and would be overwritten; give -o another file", path.display())]
    OverwritesInput { path: PathBuf },
    #[error("{}: is the input or the output already; give --plot another file", path.display())]
    PlotOverwrites { path: PathBuf },
    #[error("stdout is a terminal, which cannot show {what}; give -o FILE, or pipe it on")]
    Terminal { what: &'static str },
    #[error(
        "--layout and --base are about token ids; give --format ids to encode, or --stream to decode"
    )]
    NoIds,
    #[error("--base is about --layout tree; the other layouts have ids of their own")]
    OwnBase,
    #[error(
        "{model}: cuts sound into segments, which token ids do not say; use --format nct or json, without --stream to decode"
    )]
    Segments { model: String },
    #[error("{file}: no token file (.nct, .ecdc or JSON); token ids go with --stream")]
    NotTokens { file: String },
    #[error("{file}: {source}")]
    TokenFile {
        file: String,
        source: Box<ContainerError>,
    },
    #[error(
        "{file}: was made with {made}, but {model} is {found}; give the codec that made it to --model"
    )]
    OtherCodec {
        file: String,
        made: Made,
        model: String,
        found: Made,
    },
    #[error(
        "{file}: was made with the weights {made}, but those of {model} are {found}; give the codec that made it to \
         --model, or --any-model to decode it all the same"
    )]
    OtherWeights {
        file: String,
        made: String,
        model: String,
        found: String,
    },
    #[error("{file}: {source}")]
    Layout { file: String, source: LayoutError },
    #[error("{file}: {source}")]
    Words { file: String, source: WordFault },
    #[error("{file}: holds no tokens; there is nothing to decode")]
    NoTokens { file: String },
    #[error("--to {to} is not behind --from {from}; give it more seconds")]
    NoPart { from: f64, to: f64 },
    #[error(
        "{file}: no sample lies between --from {from} and --to {to} at {rate} Hz; give --to more seconds"
    )]
    NoSample {
        file: String,
        from: f64,
        to: f64,
        rate: u32,
    },
    #[error("{file}: ends after {seconds:.3} s, before --from {from}; begin sooner")]
    PastEnd {
        file: String,
        from: f64,
        seconds: f64,
    },
    #[error(
        "{file}: is no .nct file, the only kind that is copied; decode it, or encode the source again"
    )]
    NotNct { file: String },
    #[error("{file}: name the copy with -o FILE, or -o - for stdout")]
    NoCopy { file: String },
    #[error("{file}: none of {ids} ids is a code; check --layout and --base")]
    NoCodes { file: String, ids: u64 },
}

impl CodecFault {
    /// Whether the command was called in a way that cannot work.
    pub(crate) fn is_usage(&self) -> bool {
        matches!(
            self,
            CodecFault::Terminal { .. }
                | CodecFault::NoIds
                | CodecFault::OwnBase
                | CodecFault::NoPart { .. }
                | CodecFault::NoCopy { .. }
        )
    }
}
