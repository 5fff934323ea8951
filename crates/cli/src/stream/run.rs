//! From the arguments of `stream` to streams.

use std::process::ExitCode;

use super::args::StreamArgs;
use super::clock::Clock;
use super::feed::Feed;
use super::pcm::PcmFormat;
use super::session::{Ending, Setting, StreamInput, recognise};
use crate::args::ProgressMode;
use crate::error::CliError;
use crate::inputs::Source;
use crate::model;
use crate::progress::Progress;

/// `percept stream`: recognises every input while it arrives. One that fails does not keep the others from being done.
///
/// # Errors
///
/// What keeps all of them from being done.
pub(crate) fn run(args: &StreamArgs) -> Result<ExitCode, CliError> {
    let progress = Progress::new(ProgressMode::None);
    let sources = sources(args)?;
    let located = model::locate(args.model.model.as_deref(), progress)?;
    let recognizer = located.open(&args.model, Some(&args.decoding), progress)?;
    let (format, rate) = (args.pcm.format(), recognizer.sample_rate());
    if sources.contains(&Source::Stdin) && (format.rate != rate || format.channels != 1) {
        progress.notice(&conversion(format, rate));
    }
    let inputs = sources.into_iter().map(|source| StreamInput {
        name: source.label(),
        open: Box::new(move || Feed::open(&source, format, rate)),
    });
    let clock: fn() -> Clock = match args.realtime {
        true => Clock::wall,
        false => Clock::audio,
    };
    let setting = Setting {
        model: model::name(&args.model),
        recognizer: &recognizer,
        clock,
    };
    let ending = recognise(&args.live, &setting, inputs.collect())?;
    Ok(match ending {
        Ending::Interrupted => ExitCode::from(130),
        Ending::Failed => ExitCode::FAILURE,
        Ending::Done => ExitCode::SUCCESS,
    })
}

/// The inputs, each once.
fn sources(args: &StreamArgs) -> Result<Vec<Source>, CliError> {
    let mut sources = Vec::with_capacity(args.inputs.len());
    for input in &args.inputs {
        let source = Source::from_argument(input);
        match (&source, sources.contains(&source)) {
            (Source::Stdin, true) => return Err(CliError::StdinTwice),
            (Source::File(path), true) => return Err(CliError::StreamTwice { path: path.clone() }),
            (_, false) => sources.push(source),
        }
    }
    match args.pcm.is_given() && !sources.contains(&Source::Stdin) {
        true => Err(CliError::NoRawInput),
        false => Ok(sources),
    }
}

fn conversion(format: PcmFormat, sample_rate: u32) -> String {
    let PcmFormat { rate, channels, .. } = format;
    let mixed = match channels {
        1 => String::new(),
        channels => format!(", {channels} channels mixed down to one"),
    };
    let resampled = match rate == sample_rate {
        true => String::new(),
        false => format!(", {rate} Hz resampled to {sample_rate} Hz"),
    };
    format!("-: raw samples{mixed}{resampled}")
}
