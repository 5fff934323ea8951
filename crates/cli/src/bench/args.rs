//! The arguments of `bench`.

use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;

use crate::args::{ModelArgs, ReportFormat};
use crate::error::CliError;
use crate::stream::args::ContextArgs;

/// Less is no recording, more would not fit into memory everywhere.
pub(super) const ALLOWED_SECONDS: std::ops::RangeInclusive<f64> = 0.1..=3600.0;
/// More streams than any machine recognises at a time.
const MOST_STREAMS: usize = 4096;

/// `percept bench`.
#[derive(Debug, Args)]
#[command(after_long_help = super::HELP, after_help = "More, with examples: percept bench --help")]
pub(crate) struct BenchArgs {
    #[command(flatten)]
    pub(crate) model: ModelArgs,
    /// Seconds of audio to recognise, from its beginning: 1,3,14, or all of FILE; with --streams, of each stream: 60
    #[arg(long, value_name = "S,...", value_delimiter = ',', value_parser = parse_seconds)]
    pub(crate) seconds: Vec<f64>,
    /// How often each length is measured
    #[arg(long, value_name = "N", default_value_t = 7, value_parser = clap::value_parser!(u16).range(1..=1000))]
    rounds: u16,
    /// Recognise so many streams at a time, as they would come live; `auto` finds out how many this machine keeps up with
    #[arg(
        long,
        value_name = "N,...|auto",
        value_delimiter = ',',
        conflicts_with = "rounds"
    )]
    pub(crate) streams: Vec<Streams>,
    #[command(flatten)]
    pub(crate) context: ContextArgs,
    /// A table for people or JSON for programs
    #[arg(long, value_enum, default_value_t = ReportFormat::Text)]
    pub(crate) format: ReportFormat,
    /// Only say which kernels there are, which of them this CPU can run and which one runs
    #[arg(long, conflicts_with_all = ["model", "precision", "no_cache", "threads", "seconds", "rounds", "streams", "file"])]
    pub(crate) kernels: bool,
    /// An audio file, or `-` for stdin; speech that is built in without it
    #[arg(value_name = "FILE|-")]
    pub(crate) file: Option<PathBuf>,
}

impl BenchArgs {
    /// How often each length is measured.
    pub(crate) fn rounds(&self) -> usize {
        usize::from(self.rounds)
    }

    /// Refuses what only goes with streams, or not with them.
    ///
    /// # Errors
    ///
    /// A context without streams, and several lengths of streams.
    pub(super) fn check(&self) -> Result<(), CliError> {
        match self.streams.is_empty() {
            true if self.context.is_given() => Err(CliError::NeedsStreams),
            false if self.seconds.len() > 1 => Err(CliError::OneLength),
            _ => Ok(()),
        }
    }
}

/// How many streams to recognise at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Streams {
    Count(usize),
    /// As many as the machine keeps up with.
    Auto,
}

impl FromStr for Streams {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse() {
            _ if text == "auto" => Ok(Streams::Auto),
            Ok(count) if (1..=MOST_STREAMS).contains(&count) => Ok(Streams::Count(count)),
            _ => Err(format!("give a number from 1 to {MOST_STREAMS}, or auto")),
        }
    }
}

/// Reads a length of `--seconds`.
fn parse_seconds(text: &str) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|seconds| ALLOWED_SECONDS.contains(seconds))
        .ok_or_else(|| {
            let (least, most) = (ALLOWED_SECONDS.start(), ALLOWED_SECONDS.end());
            format!("give seconds from {least} to {most}")
        })
}
