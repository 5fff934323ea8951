//! The arguments of `stream` and `listen`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::pcm::{PcmFormat, SampleFormat};
use crate::args::{DecodingArgs, ModelArgs};

/// Channels that raw samples may have.
pub(crate) const CHANNELS: std::ops::RangeInclusive<i64> = 1..=64;
/// Rates that can be converted, in Hz.
pub(crate) const RATES: std::ops::RangeInclusive<i64> = 1_000..=768_000;
/// Raw samples are 16 kHz unless told otherwise.
const RATE: u32 = 16_000;
/// A window beyond an hour is no stream any more.
const ALLOWED_SECONDS: std::ops::RangeInclusive<f64> = 0.0..=3600.0;

/// `percept stream`.
#[derive(Debug, Args)]
#[command(after_long_help = super::HELP, after_help = "More, with examples: percept stream --help")]
pub(crate) struct StreamArgs {
    #[command(flatten)]
    pub(crate) model: ModelArgs,
    #[command(flatten)]
    pub(crate) decoding: DecodingArgs,
    #[command(flatten)]
    pub(crate) live: LiveArgs,
    /// Feed the audio at the speed at which it is spoken, in packets of 20 ms; as fast as possible without it
    #[arg(long)]
    pub(crate) realtime: bool,
    #[command(flatten)]
    pub(crate) pcm: PcmArgs,
    /// Audio files, or `-` for raw samples on stdin
    #[arg(required = true, value_name = "FILE|-")]
    pub(crate) inputs: Vec<PathBuf>,
}

/// `percept listen`.
#[derive(Debug, Args)]
#[command(after_long_help = super::listen::HELP, after_help = "More, with examples: percept listen --help")]
pub(crate) struct ListenArgs {
    #[command(flatten)]
    pub(crate) model: ModelArgs,
    #[command(flatten)]
    pub(crate) decoding: DecodingArgs,
    #[command(flatten)]
    pub(crate) live: LiveArgs,
    /// The microphone, by its identifier or its name; the one that the system prefers without it
    #[arg(long, value_name = "NAME")]
    pub(crate) device: Option<String>,
    /// Only list the microphones
    #[arg(long)]
    pub(crate) list_devices: bool,
}

/// What `stream` and `listen` share.
#[derive(Debug, Args)]
pub(crate) struct LiveArgs {
    #[command(flatten)]
    pub(crate) context: ContextArgs,
    /// What to write
    #[arg(long, value_enum, default_value_t = StreamFormat::Text)]
    pub(crate) format: StreamFormat,
    /// Only what is certain: no text that may still change
    #[arg(long)]
    pub(crate) no_volatile: bool,
    /// Say where utterances end: after 1.2 s of silence, at the latest after 20 s. The end marks that some models have
    /// are always told
    #[arg(long)]
    pub(crate) endpoint: bool,
    /// Recognise each stretch of speech by itself, and keep what is no speech from the model. Changes results
    #[arg(long)]
    pub(crate) vad: bool,
    /// Hold this latency by making chunks shorter or longer. Changes results, and from run to run
    #[arg(
        long,
        value_name = "SECONDS",
        value_parser = parse_seconds,
        conflicts_with = "lookahead"
    )]
    pub(crate) adaptive: Option<f64>,
    /// Print a table of times on stderr at the end
    #[arg(long)]
    pub(crate) stats: bool,
    /// Draw when each token became final as an SVG picture
    #[arg(long, value_name = "FILE.svg")]
    pub(crate) plot: Option<PathBuf>,
}

/// How much audio a step sees. Nothing given: cache-aware where the model was trained for it, else `balanced`.
#[derive(Debug, Args)]
pub(crate) struct ContextArgs {
    /// Seconds of audio that are heard again before each chunk [default: 10]
    #[arg(long, value_name = "SECONDS", value_parser = parse_seconds)]
    pub(crate) left: Option<f64>,
    /// Seconds of audio that each step decides [default: 2]
    #[arg(long, value_name = "SECONDS", value_parser = parse_seconds)]
    pub(crate) chunk: Option<f64>,
    /// Seconds of audio that each step hears in advance [default: 2]
    #[arg(long, value_name = "SECONDS", value_parser = parse_seconds)]
    pub(crate) right: Option<f64>,
    /// Left, chunk and right context by one name
    #[arg(long, value_enum, conflicts_with_all = ["left", "chunk", "right"])]
    pub(crate) preset: Option<PresetArg>,
    /// Frames that a cache-aware model hears in advance; one of the settings it was trained with
    #[arg(long, value_name = "FRAMES", conflicts_with_all = ["left", "chunk", "right", "preset"])]
    pub(crate) lookahead: Option<u16>,
}

impl ContextArgs {
    /// Whether any of it was given.
    pub(crate) fn is_given(&self) -> bool {
        let lengths = [self.left, self.chunk, self.right];
        lengths.iter().any(Option::is_some) || self.preset.is_some() || self.lookahead.is_some()
    }
}

/// `--preset`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum PresetArg {
    /// 10 s, 10 s, 5 s: as good as offline
    Quality,
    /// 10 s, 2 s, 2 s
    Balanced,
    /// 5 s, 1 s, 1 s
    Quick,
    /// 2 s, 0.5 s, 0.5 s: for models that were trained for it
    Quickest,
}

/// What raw samples on stdin are.
#[derive(Debug, Args)]
pub(crate) struct PcmArgs {
    /// The samples on stdin; 16-bit integers without it
    #[arg(long, value_enum, value_name = "FORMAT")]
    pcm: Option<SampleFormat>,
    /// Their rate in Hz; 16000 without it
    #[arg(long, value_name = "HZ", value_parser = clap::value_parser!(u32).range(RATES))]
    rate: Option<u32>,
    /// Channels that are interleaved in them; 1 without it
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(CHANNELS))]
    channels: Option<u16>,
}

impl PcmArgs {
    /// The format, with the defaults filled in.
    pub(crate) fn format(&self) -> PcmFormat {
        PcmFormat {
            samples: self.pcm.unwrap_or(SampleFormat::S16le),
            rate: self.rate.unwrap_or(RATE),
            channels: usize::from(self.channels.unwrap_or(1)),
        }
    }

    /// Whether any of it was given, which needs `-` among the inputs.
    pub(crate) fn is_given(&self) -> bool {
        self.pcm.is_some() || self.rate.is_some() || self.channels.is_some()
    }
}

/// What `stream` and `listen` write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum StreamFormat {
    /// The text; captions in place on a terminal
    Text,
    /// One event a line
    Json,
}

/// Reads a length of a context.
fn parse_seconds(text: &str) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|seconds| ALLOWED_SECONDS.contains(seconds))
        .ok_or_else(|| {
            let (least, most) = (ALLOWED_SECONDS.start(), ALLOWED_SECONDS.end());
            format!("give seconds from {least} to {most}")
        })
}
