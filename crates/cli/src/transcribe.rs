//! `percept transcribe`.

mod recording;
mod together;
mod turn;

use std::process::ExitCode;

use percept::Recognizer;

use crate::args::TranscribeArgs;
use crate::error::CliError;
use crate::model::{self, Located};
use crate::progress::Progress;
use crate::resume::Settings;
use crate::{defect, inputs, plan};
use turn::{Ending, Run, Turn};

/// Writes down every input; one that fails does not keep the others from being done.
pub(crate) fn run(args: &TranscribeArgs) -> ExitCode {
    let progress = Progress::new(args.progress);
    match transcribe_all(args, progress) {
        Ok(Tally { failed: 0, .. }) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            progress.error(None, &error);
            error.exit_code()
        }
    }
}

/// How many inputs ended how.
#[derive(Debug, Default, Clone, Copy)]
struct Tally {
    written: usize,
    skipped: usize,
    failed: usize,
}

fn transcribe_all(args: &TranscribeArgs, progress: Progress) -> Result<Tally, CliError> {
    let (found, missing): (Vec<_>, Vec<_>) = inputs::expand(&args.inputs)
        .into_iter()
        .partition(Result::is_ok);
    let found: Vec<_> = found.into_iter().flatten().collect();
    let jobs = match &args.output {
        Some(folder) => plan::to_folder(found, folder, args.format)?,
        None => plan::to_stdout(found, args.format)?,
    };
    for error in missing.iter().filter_map(|input| input.as_ref().err()) {
        progress.error(error.subject().as_deref(), error);
    }
    let mut tally = Tally {
        failed: missing.len(),
        ..Tally::default()
    };
    if jobs.is_empty() {
        return Ok(tally);
    }

    let located = model::locate(args.model.model.as_deref(), progress)?;
    let recognizer = located.open(&args.model, Some(&args.decoding), progress)?;
    let run = Run {
        settings: settings(args, &located, &recognizer),
        recognizer,
        format: args.format,
        resume: args.resume,
        is_one_of_several: args.inputs.len() > 1 || args.inputs.iter().any(|input| input.is_dir()),
        progress,
    };
    let turns = Turn::of_each(&jobs);
    let done = run.each_ready(&turns, |(turn, ready)| {
        match defect::contain(&turn.label, || run.end(turn, ready?)) {
            Ok(Ending::Written) => tally.written += 1,
            Ok(Ending::UpToDate) => tally.skipped += 1,
            Err(error @ CliError::Stdout { .. }) => return Err(error),
            Err(error) => {
                tally.failed += 1;
                progress.error(Some(&turn.label), &error);
            }
        }
        Ok(())
    });
    match done {
        Err(error) if error.is_closed_pipe() => return Ok(tally),
        others => others?,
    }
    if args.output.is_some() {
        progress.summary(tally.written, tally.skipped, tally.failed);
    }
    Ok(tally)
}

/// What the outputs depend on besides the recordings.
fn settings(args: &TranscribeArgs, located: &Located, recognizer: &Recognizer) -> Settings {
    Settings {
        percept: env!("CARGO_PKG_VERSION").to_owned(),
        model: located.identity(),
        precision: model::precision_name(recognizer.precision()).to_owned(),
        decoder: model::decoder_name(recognizer.model().decoder()).to_owned(),
        confidence: args.decoding.confidence.to_string(),
        language: args.decoding.language.clone(),
        format: args.format.extension().to_owned(),
    }
}
