//! `percept bench`: how fast a model runs here, where its time goes, and which kernels it runs on.

pub(crate) mod args;
mod kernels;
mod measure;
mod memory;
mod recording;
mod report;
mod streams;

use std::time::Instant;

use percept::Recognizer;

use crate::args::{ProgressMode, ReportFormat};
use crate::error::CliError;
use crate::model;
use crate::output;
use crate::progress::Progress;
use crate::stream::context::Context;
use args::BenchArgs;
use recording::Recording;
use report::{Host, Report, StreamsReport};
use streams::Load;

/// `percept bench --help`, below the options.
pub(crate) const HELP: &str = "\
Each length is recognised from its first sample to its text: once to warm up,
then --rounds times, all lengths in turn. Shown are
  time              the median
  spread            half the distance between the quartiles, as a share of it
  real-time factor  time over seconds of audio; speed is its inverse
  the stages        their shares of the time, measured apart from the times
  memory            of the whole command, at the end and at its highest; Linux
                    only

--streams N recognises N streams at a time, fed as if they came live, on a clock
that does not wait. It keeps up if every stream was done with each step before
its next one was due, in the second half of the time; `auto` looks for the
largest N that does. --preset, --chunk, --lookahead and so on are those of
percept stream. Shown are
  busy              the share of the time in which it computed
  lag               from the end of a token until it was final
  in a step         streams that were computed together, on average
  speed             seconds of audio, of all streams, to a second of computing

With --format json one object: model, parameters, precision, threads, audio,
rounds, load_seconds, memory, lengths (seconds, median_seconds, spread,
real_time_factor, times, stages) and kernels; with --streams: context, seconds,
runs (streams, keeps_up, real_time_factor, busy, lag_p50, lag_p99, lag_max,
occupancy, steps, tokens) and largest in place of rounds, lengths and kernels.

Measure on a machine that does nothing else, and with a release build.

Examples:
  percept bench
  percept bench --model parakeet-tdt-0.6b-v3.nemo --precision int8 talk.wav
  percept bench --seconds 5,30 --threads 1 --format json
  percept bench --streams 1,4,16 --preset quick
  percept bench --streams auto --model nemotron.nemo --lookahead 1
  percept bench --kernels";

/// The lengths of the built-in recording that are measured where nothing else is asked for.
const SECONDS: [f64; 3] = [1.0, 3.0, 14.0];
/// The length of a live stream where nothing else is asked for.
const STREAM_SECONDS: f64 = 60.0;
/// Measures a model, or says which kernels there are.
///
/// # Errors
///
/// A model that cannot be loaded, and a recording that cannot be read to its end or is too short.
pub(crate) fn run(args: &BenchArgs) -> Result<(), CliError> {
    args.check()?;
    if args.kernels {
        let kernels = kernels::found();
        let shown = match args.format {
            ReportFormat::Text => kernels::table(&kernels),
            ReportFormat::Json => report::json(&kernels::Only { kernels }),
        };
        return output::print(shown.as_bytes());
    }
    let progress = Progress::new(ProgressMode::Auto);
    let located = model::locate(args.model.model.as_deref(), progress)?;
    let start = Instant::now();
    let recognizer = located.open(&args.model, None, progress)?;
    let load_seconds = start.elapsed().as_secs_f64();
    let host = |audio: &str| Host {
        model: model::name(&args.model),
        parameters: recognizer.model().parameters(),
        precision: model::precision_name(recognizer.precision()),
        threads: recognizer.threads(),
        audio: audio.to_owned(),
        load_seconds,
    };
    match args.streams.is_empty() {
        true => run_rounds(args, &recognizer, host),
        false => run_streams(args, &recognizer, host),
    }
}

/// Measures whole recordings.
fn run_rounds(
    args: &BenchArgs,
    recognizer: &Recognizer,
    host: impl Fn(&str) -> Host,
) -> Result<(), CliError> {
    let rate = recognizer.sample_rate();
    let asked = match (&args.file, args.seconds.as_slice()) {
        (None, []) => &SECONDS,
        (_, asked) => asked,
    };
    let recording = Recording::read(args.file.as_deref(), rate, asked)?;
    let host = host(&recording.name);
    if args.format == ReportFormat::Text {
        let rounds = match args.rounds() {
            1 => "1 round".to_owned(),
            rounds => format!("{rounds} rounds"),
        };
        output::print(host.table(&rounds).as_bytes())?;
    }
    let lengths = measure::all(recognizer, &recording.pieces(asked, rate), args.rounds())
        .map_err(|error| CliError::from(error).about(&recording.name))?;
    let report = Report {
        host,
        rounds: args.rounds(),
        memory: memory::now(),
        lengths,
        kernels: kernels::found(),
    };
    let shown = match args.format {
        ReportFormat::Text => report.table(),
        ReportFormat::Json => report::json(&report),
    };
    output::print(shown.as_bytes())
}

/// Measures live streams.
fn run_streams(
    args: &BenchArgs,
    recognizer: &Recognizer,
    host: impl Fn(&str) -> Host,
) -> Result<(), CliError> {
    let model = recognizer.model();
    let context = Context::new(&args.context, model)?;
    // Long enough that a repetition is no help to anybody.
    let built_in: &[f64] = if args.file.is_some() { &[] } else { &[14.0] };
    let rate = recognizer.sample_rate();
    let recording = Recording::read(args.file.as_deref(), rate, built_in)?;
    let seconds = args.seconds.first().copied().unwrap_or(STREAM_SECONDS);
    let host = host(&recording.name);
    let is_text = args.format == ReportFormat::Text;
    if is_text {
        let work = format!(
            "{} a stream, {}",
            report::audio(seconds),
            context.describe(model)
        );
        output::print((host.table(&work) + &streams::heading()).as_bytes())?;
    }
    let load = Load {
        recognizer,
        context: &context,
        pcm: recording.into_pcm().into(),
        seconds,
    };
    let (runs, largest) = load.measure(&args.streams, &mut |run| match is_text {
        true => output::print(streams::line(run).as_bytes()),
        false => Ok(()),
    })?;
    let report = StreamsReport {
        host,
        context: context.describe(model),
        seconds,
        memory: memory::now(),
        runs,
        largest,
    };
    let shown = match args.format {
        ReportFormat::Text => report.table(),
        ReportFormat::Json => report::json(&report),
    };
    output::print(shown.as_bytes())
}
