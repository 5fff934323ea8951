//! Which codec `--model` means, and whether it is the one that made a file.

use std::fmt;
use std::path::{Path, PathBuf};

use percept::hub::{Hub, HubError};
use percept::{Codec, CodecFamily, CodecOptions, CodecSpec};

use super::args::{CodecModelArgs, WorkArgs};
use super::error::CodecFault;
use crate::error::CliError;
use crate::model::{Located, hub_id, on_disk};
use crate::models;
use crate::progress::Progress;

/// The codec without a choice.
pub(crate) const DEFAULT: &str = "hubertsiuzdak/snac_24khz";

/// A codec and its name for people.
pub(crate) struct Opened {
    pub(crate) name: String,
    pub(crate) codec: Codec,
}

/// Opens the codec that the arguments choose, else the one that `made` names, else the default. What the cache lacks is
/// downloaded.
///
/// # Errors
///
/// Nothing of that name, a failed or forbidden download, and files at fault.
pub(crate) fn open(
    model: &CodecModelArgs,
    made: Option<&Made>,
    work: &WorkArgs,
    progress: Progress,
) -> Result<Opened, CliError> {
    let (name, folder) = locate(model, made, |hub, id| {
        if !hub.settings().offline {
            progress.notice(&format!(
                "{id}: not in the cache, downloading it (HF_HUB_OFFLINE=1 forbids this)"
            ));
        }
        models::fetch(hub, id, progress)
    })?;
    let mut options = CodecOptions::default();
    options.threads = work.threads();
    Ok(Opened {
        codec: Codec::open(&folder, &options)?,
        name,
    })
}

/// The name and the folder of a codec that is on this machine.
///
/// # Errors
///
/// As [`open`], without a download.
pub(crate) fn locate_offline(
    model: &CodecModelArgs,
    made: Option<&Made>,
) -> Result<(String, PathBuf), CliError> {
    locate(model, made, |hub, id| {
        let not_cached = HubError::NotCached {
            id: id.to_owned(),
            cache: hub.settings().cache.clone(),
        };
        Err(not_cached.into())
    })
}

fn locate(
    model: &CodecModelArgs,
    made: Option<&Made>,
    when_not_cached: impl FnOnce(&Hub, &str) -> Result<PathBuf, CliError>,
) -> Result<(String, PathBuf), CliError> {
    let published = made.and_then(Made::published).unwrap_or(DEFAULT);
    let path = model.model.as_deref().unwrap_or(Path::new(published));
    let name = path.display().to_string();
    // A folder in the way must not be taken for a codec that nobody has asked for.
    let found = match model.model {
        Some(_) => on_disk(path)?,
        None => None,
    };
    if let Some(Located::Path(folder)) = found {
        return Ok((name, folder));
    }
    let id = hub_id(path).ok_or_else(|| CodecFault::NoCodec { model: path.into() })?;
    let have = |hub: &Hub| match hub.cached(id)? {
        Some(folder) => Ok(folder),
        None => when_not_cached(hub, id),
    };
    let folder = Hub::from_env()
        .map_err(CliError::from)
        .and_then(|hub| have(&hub));
    match folder {
        Ok(folder) => Ok((name, folder)),
        Err(CliError::Hub(source)) => Err(no_checkpoint(id.to_owned(), source).into()),
        Err(error) => Err(error),
    }
}

fn no_checkpoint(id: String, source: HubError) -> CodecFault {
    let is_offline = matches!(source, HubError::Offline { .. });
    match source {
        HubError::Offline { .. } | HubError::NotCached { .. } => {
            CodecFault::NotCached { id, is_offline }
        }
        other => CodecFault::NoCheckpoint {
            id,
            source: Box::new(other),
        },
    }
}

/// What made codes, as far as their file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Made {
    /// As files name it; not every name is one that is known.
    pub(crate) codec: String,
    pub(crate) sample_rate: u32,
}

impl Made {
    pub(crate) fn by(spec: &CodecSpec) -> Self {
        Self {
            codec: spec.family.name().to_owned(),
            sample_rate: spec.sample_rate,
        }
    }

    /// The published checkpoint of this kind and rate.
    pub(crate) fn published(&self) -> Option<&'static str> {
        let id = match (CodecFamily::from_name(&self.codec)?, self.sample_rate) {
            (CodecFamily::Snac, 24_000) => DEFAULT,
            (CodecFamily::Snac, 32_000) => "hubertsiuzdak/snac_32khz",
            (CodecFamily::Snac, 44_100) => "hubertsiuzdak/snac_44khz",
            (CodecFamily::Dac, 16_000) => "descript/dac_16khz",
            (CodecFamily::Dac, 24_000) => "descript/dac_24khz",
            (CodecFamily::Dac, 44_100) => "descript/dac_44khz",
            (CodecFamily::Encodec, 24_000) => "facebook/encodec_24khz",
            (CodecFamily::Encodec, 32_000) => "facebook/encodec_32khz",
            (CodecFamily::Encodec, 48_000) => "facebook/encodec_48khz",
            (CodecFamily::Mimi, 24_000) => "kyutai/mimi",
            _ => return None,
        };
        Some(id)
    }
}

impl fmt::Display for Made {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {} Hz", self.codec, self.sample_rate)
    }
}

/// An identity of weights for people; nothing is known of zeros.
pub(crate) fn hex(id: [u8; 8]) -> Option<String> {
    let digits = || id.iter().map(|byte| format!("{byte:02x}")).collect();
    (id != [0; 8]).then(digits)
}
