//! Streams side by side, from their inputs to their output.

use std::collections::VecDeque;

use percept::{Recognizer, SchedulerOptions};

use super::args::LiveArgs;
use super::clock::Clock;
use super::context::Context;
use super::drive::{Driver, Times, Told};
use super::feed::Feed;
use super::lane::LaneParts;
use super::output::Output;
use super::report;
use super::write::Units;
use crate::error::CliError;
use crate::progress::to_stderr;
use crate::signals;

/// Streams at a time; others begin as these end.
const STREAMS_AT_A_TIME: usize = 64;

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
    let model = setting.recognizer.model();
    let context = Context::live(args, model)?;
    context.adaptive(model)?;
    if let Some(warning) = context.warning(model) {
        to_stderr(&format!("percept: warning: {warning}"));
    }
    let streams = match &inputs[..] {
        [input] => input.name.clone(),
        inputs => format!("{} streams", inputs.len()),
    };
    let mut options = SchedulerOptions::default();
    options.slots = STREAMS_AT_A_TIME;
    let scheduler = setting.recognizer.scheduler(options);
    let mut driver = Driver::new(scheduler, (setting.clock)(), model);
    driver.times = args.plot.is_some().then(Times::default);
    let mut session = LiveSession::new(args, setting.recognizer, &context, inputs);
    signals::finish_on_interrupt();
    let result = session.drive(&mut driver);
    let failed = session.close();
    let is_interrupted = result?;
    let about = report::About {
        model: &setting.model,
        recognizer: setting.recognizer,
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
    waiting: VecDeque<(usize, StreamInput)>,
    output: Output<'a>,
    /// Those that are not reported yet, because captions are in the way.
    failures: Vec<CliError>,
    failed: usize,
}

impl<'a> LiveSession<'a> {
    fn new(
        args: &LiveArgs,
        recognizer: &'a Recognizer,
        context: &'a Context,
        inputs: Vec<StreamInput>,
    ) -> Self {
        let model = recognizer.model();
        let units = Units {
            vocabulary: model.vocabulary(),
            seconds_per_frame: model.config().seconds_per_frame(),
            sample_rate: recognizer.sample_rate(),
        };
        let names = inputs.iter().map(|input| input.name.clone()).collect();
        Self {
            recognizer,
            context,
            waiting: inputs.into_iter().enumerate().collect(),
            output: Output::new(args.format, names, units),
            failures: Vec::new(),
            failed: 0,
        }
    }

    /// Leaves the terminal, reports what is not reported yet, and says how many streams failed.
    fn close(self) -> usize {
        drop(self.output);
        self.failures.iter().for_each(report_failure);
        self.failed
    }

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
        let id = driver.scheduler.admit(&self.context.options)?;
        let adaptive = self.context.adaptive(model)?;
        if let Some(adaptive) = &adaptive {
            // It begins with the chunk that may hold the target, not with that of the windows.
            driver
                .scheduler
                .set_chunk_frames(id, adaptive.chunk_frames())?;
        }
        let parts = LaneParts {
            index,
            name: input.name,
            id,
            feed,
            adaptive,
            start: driver.now(),
        };
        driver.add(parts);
        Ok(())
    }
}
