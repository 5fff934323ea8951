//! `percept bench`: how fast a model runs here, where its time goes, and which kernels it runs on.

mod kernels;
mod measure;
mod memory;
mod recording;
mod report;

use std::time::Instant;

use crate::args::{BenchArgs, ProgressMode, ReportFormat};
use crate::error::CliError;
use crate::model::{self, EMBEDDED};
use crate::output;
use crate::progress::Progress;
use recording::Recording;
use report::{Host, Report};

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

With --format json one object: model, parameters, precision, threads, audio,
rounds, load_seconds, memory, lengths (seconds, median_seconds, spread,
real_time_factor, times, stages) and kernels.

Measure on a machine that does nothing else, and with a release build.

Examples:
  percept bench
  percept bench --model parakeet-tdt-0.6b-v3.nemo --precision int8 talk.wav
  percept bench --seconds 5,30 --threads 1 --format json
  percept bench --kernels";

/// The lengths of the built-in recording that are measured where nothing else is asked for.
const SECONDS: [f64; 3] = [1.0, 3.0, 14.0];
/// Less is no recording, more would not fit into memory everywhere.
const ALLOWED_SECONDS: std::ops::RangeInclusive<f64> = 0.1..=3600.0;

/// Reads a length of `--seconds`.
pub(crate) fn parse_seconds(text: &str) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|seconds| ALLOWED_SECONDS.contains(seconds))
        .ok_or_else(|| {
            let (least, most) = (ALLOWED_SECONDS.start(), ALLOWED_SECONDS.end());
            format!("give seconds from {least} to {most}")
        })
}

/// Measures a model, or says which kernels there are.
///
/// # Errors
///
/// A model that cannot be loaded, and a recording that cannot be read to its end or is too short.
pub(crate) fn run(args: &BenchArgs) -> Result<(), CliError> {
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
    let load = start.elapsed();
    let rate = recognizer.sample_rate();
    let asked = match (&args.file, args.seconds.as_slice()) {
        (None, []) => &SECONDS,
        (_, asked) => asked,
    };
    let recording = Recording::read(args.file.as_deref(), rate, asked)?;
    let host = Host {
        model: match &args.model.model {
            Some(name) => name.display().to_string(),
            None => EMBEDDED.to_owned(),
        },
        parameters: recognizer.model().parameters(),
        precision: model::precision_name(recognizer.precision()),
        threads: recognizer.threads(),
        audio: recording.name.clone(),
        rounds: args.rounds(),
        load_seconds: load.as_secs_f64(),
    };
    if args.format == ReportFormat::Text {
        output::print(host.table().as_bytes())?;
    }
    let lengths = measure::all(&recognizer, &recording.pieces(asked, rate), args.rounds())
        .map_err(|error| CliError::from(error).about(&recording.name))?;
    let report = Report {
        host,
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
