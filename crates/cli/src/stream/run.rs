//! From the arguments to streams and their output.

use std::collections::VecDeque;
use std::process::ExitCode;

use percept::{Recognizer, SchedulerOptions};

use super::args::{LiveArgs, StreamArgs};
use super::clock::Clock;
use super::context::Context;
use super::drive::{Driver, Times, Told};
use super::feed::Feed;
use super::lane::LaneParts;
use super::outbox::Gate;
use super::output::Output;
use super::pcm::PcmFormat;
use super::report;
use super::write::Units;
use crate::args::ProgressMode;
use crate::error::CliError;
use crate::inputs::Source;
use crate::progress::{Progress, to_stderr};
use crate::{model, signals};

/// Streams at a time; others begin as these end.
const STREAMS_AT_A_TIME: usize = 64;

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

/// A stream that is to be recognised.
pub(super) struct StreamInput {
    pub(super) name: String,
    pub(super) open: Box<dyn FnOnce() -> Result<Feed, CliError>>,
}

/// What streams are recognised with.
pub(super) struct Setting<'a> {
    /// The name of the model.
    pub(super) model: String,
    pub(super) recognizer: &'a Recognizer,
    /// Starts the clock to go by.
    pub(super) clock: fn() -> Clock,
}

/// How streams ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    Done,
    /// Some of them not as they should.
    Failed,
    /// All of them earlier than they should.
    Interrupted,
}

/// Recognises streams side by side and writes what they tell.
///
/// # Errors
///
/// What keeps all of them from being done.
pub(super) fn recognise(
    args: &LiveArgs,
    setting: &Setting<'_>,
    inputs: Vec<StreamInput>,
) -> Result<Ending, CliError> {
    let recognizer = setting.recognizer;
    let model = recognizer.model();
    let context = Context::live(args, model)?;
    context.adaptive(model)?;
    if let Some(warning) = context.warning(model) {
        to_stderr(&format!("percept: warning: {warning}"));
    }
    let units = Units {
        vocabulary: model.vocabulary(),
        seconds_per_frame: model.config().seconds_per_frame(),
        sample_rate: recognizer.sample_rate(),
    };
    let names: Vec<String> = inputs.iter().map(|input| input.name.clone()).collect();
    let streams = match &names[..] {
        [name] => name.clone(),
        names => format!("{} streams", names.len()),
    };
    let mut options = SchedulerOptions::default();
    options.slots = STREAMS_AT_A_TIME;
    let mut driver = Driver::new(recognizer.scheduler(options), (setting.clock)(), model);
    driver.times = args.plot.is_some().then(Times::default);
    let mut session = LiveSession {
        recognizer,
        context: &context,
        is_gated: args.vad,
        waiting: inputs.into_iter().enumerate().collect(),
        output: Output::new(args.format, names, units),
        failures: Vec::new(),
        failed: 0,
    };
    signals::finish_on_interrupt();
    let result = session.drive(&mut driver);
    let LiveSession {
        output,
        failures,
        failed,
        ..
    } = session;
    drop(output);
    failures.iter().for_each(report_failure);
    let is_interrupted = result?;
    let about = report::About {
        model: &setting.model,
        recognizer,
        context: &context,
        streams: &streams,
    };
    report::write(args, &about, &driver)?;
    Ok(match (is_interrupted, failed) {
        (true, _) => Ending::Interrupted,
        (false, 0) => Ending::Done,
        (false, _) => Ending::Failed,
    })
}

fn report_failure(error: &CliError) {
    to_stderr(&format!("percept: {}", error.line()));
}

/// Streams on their way, and those that wait for a place.
struct LiveSession<'a> {
    recognizer: &'a Recognizer,
    context: &'a Context,
    is_gated: bool,
    waiting: VecDeque<(usize, StreamInput)>,
    output: Output<'a>,
    /// Those that are not reported yet, because captions are in the way.
    failures: Vec<CliError>,
    failed: usize,
}

impl LiveSession<'_> {
    /// Moves all streams to their end; whether that came by an interruption.
    fn drive(&mut self, driver: &mut Driver<'_>) -> Result<bool, CliError> {
        let mut is_interrupted = false;
        loop {
            while driver.len() < STREAMS_AT_A_TIME
                && let Some((index, input)) = self.waiting.pop_front()
            {
                self.begin(driver, index, input)?;
            }
            if driver.len() == 0 {
                return Ok(is_interrupted);
            }
            driver.turn(&mut |told| match told {
                Told::Step {
                    stream,
                    step,
                    transcript,
                } => self.output.step(stream, step, transcript),
                Told::Gone { damage } => {
                    damage.into_iter().for_each(|error| self.fail(error));
                    Ok(())
                }
            })?;
            if signals::is_interrupted() && !is_interrupted {
                is_interrupted = true;
                self.waiting.clear();
                driver.stop();
            }
        }
    }

    fn fail(&mut self, error: CliError) {
        self.failed += 1;
        match self.output.is_live() {
            true => self.failures.push(error),
            false => report_failure(&error),
        }
    }

    fn begin(
        &mut self,
        driver: &mut Driver<'_>,
        index: usize,
        input: StreamInput,
    ) -> Result<(), CliError> {
        let model = self.recognizer.model();
        let feed = match (input.open)() {
            Ok(feed) => feed,
            Err(error) => {
                self.fail(error);
                return Ok(());
            }
        };
        let gate = match self.is_gated {
            true => Some(Gate::new(
                model.config().samples_per_frame(),
                model.sample_rate(),
            )?),
            false => None,
        };
        let parts = LaneParts {
            index,
            id: driver.scheduler.admit(&self.context.options)?,
            feed,
            gate,
            adaptive: self.context.adaptive(model)?,
            start: driver.now(),
        };
        driver.add(parts);
        Ok(())
    }
}
