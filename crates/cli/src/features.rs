//! `percept features`.

use std::path::Path;

use percept::Stage;

use crate::args::{FeaturesArgs, ProgressMode, StageArg};
use crate::error::CliError;
use crate::inputs::Source;
use crate::progress::Progress;
use crate::{atomic, audio, model, npy};

/// Writes what one stage of the model makes of a recording.
///
/// # Errors
///
/// Unlike a transcript, an array of half a recording is no use: any damage is an error, and nothing is written.
pub(crate) fn run(args: &FeaturesArgs) -> Result<(), CliError> {
    let progress = Progress::new(ProgressMode::Auto);
    let located = model::locate(args.model.model.as_deref(), progress)?;
    let recognizer = located.open(&args.model, None, progress)?;
    let source = Source::from_argument(&args.input);
    let mut reader = audio::open(&source, recognizer.sample_rate())?;
    let mut pcm = Vec::new();
    while reader.read(&mut pcm)? > 0 {}
    let stage = match args.stage {
        StageArg::Mel => Stage::Mel,
        StageArg::Encoder => Stage::Encoder,
    };
    let features = recognizer
        .features(stage, &pcm)
        .map_err(|error| CliError::from(error).about(&source.label()))?;
    write(
        &args.output,
        features.frames,
        features.width,
        &features.data,
    )
}

fn write(path: &Path, frames: usize, width: usize, data: &[f32]) -> Result<(), CliError> {
    atomic::write(path, |file| npy::write(file, frames, width, data)).map_err(|source| {
        CliError::Write {
            path: path.to_owned(),
            source,
        }
    })
}
