//! Recordings as samples at the model's rate.

use std::fs::{self, File};
use std::io;

use percept::audio::{AudioError, AudioFormat, AudioInfo, AudioReader};

use crate::error::CliError;
use crate::inputs::Source;

/// Opens a recording to be read in `format`; a rate in Hz means mono.
pub(crate) fn open(
    source: &Source,
    format: impl Into<AudioFormat>,
) -> Result<AudioReader, CliError> {
    let format = format.into();
    let reader = match source {
        Source::Stdin => AudioReader::from_source("-", Box::new(io::stdin()), format),
        Source::File(path) => match fs::metadata(path) {
            // A pipe, such as `<(...)` of a shell, can be read once and only forwards.
            Ok(found) if !found.is_file() && !found.is_dir() => {
                let pipe = File::open(path).map_err(|source| CliError::Read {
                    path: path.clone(),
                    source,
                })?;
                AudioReader::from_source(&source.label(), Box::new(pipe), format)
            }
            _ => AudioReader::open(path, format),
        },
    };
    Ok(reader?)
}

/// Whether what came before the error is still worth writing down.
pub(crate) fn is_damage(error: &AudioError) -> bool {
    matches!(
        error,
        AudioError::Truncated { .. } | AudioError::Corrupt { .. } | AudioError::Read { .. }
    )
}

/// How long a recording says it is.
pub(crate) fn seconds(info: &AudioInfo) -> Option<f64> {
    info.frames
        .filter(|_| info.sample_rate > 0)
        .map(|frames| frames as f64 / f64::from(info.sample_rate))
}
