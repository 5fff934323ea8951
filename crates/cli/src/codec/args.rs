//! The arguments of `codec`.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use percept::Noise;

use super::error::CodecFault;
use crate::args::{MAX_THREADS, ProgressMode, ReportFormat};
use crate::stream::args::{CHANNELS, RATES};
use crate::stream::pcm::SampleFormat;

/// `percept codec`.
#[derive(Debug, Subcommand)]
pub(crate) enum CodecCommand {
    /// Turn a recording into tokens
    Encode(EncodeArgs),
    /// Turn tokens into sound
    Decode(DecodeArgs),
    /// Write a token file again, with fewer books or without its damage
    Copy(CopyArgs),
    /// Say what a token file is, or a codec
    Info(InfoArgs),
}

/// Which codec runs, and on what.
#[derive(Debug, Args)]
pub(crate) struct CodecModelArgs {
    /// A folder with a codec's published files, or a hub id such as hubertsiuzdak/snac_44khz[@REVISION]
    ///
    /// Something that exists on disk wins. A hub id that is not in the cache is downloaded first, with a notice, unless
    /// HF_HUB_OFFLINE=1. Without this option it is the published codec of the kind and rate that a token file names,
    /// else hubertsiuzdak/snac_24khz.
    #[arg(long, value_name = "MODEL")]
    pub(crate) model: Option<PathBuf>,
}

/// How the work is done.
#[derive(Debug, Args)]
pub(crate) struct WorkArgs {
    /// Threads to compute with; all cores by default. The result does not depend on it
    #[arg(long, value_name = "N")]
    threads: Option<NonZeroUsize>,
    /// How to report progress on stderr; `auto` draws a bar on a terminal only
    #[arg(long, value_enum, default_value_t = ProgressMode::Auto)]
    pub(crate) progress: ProgressMode,
}

impl WorkArgs {
    /// The thread count to run with, lowered to what can still help.
    pub(crate) fn threads(&self) -> Option<usize> {
        self.threads.map(|n| n.get().min(MAX_THREADS))
    }
}

/// `percept codec encode`.
#[derive(Debug, Args)]
#[command(after_long_help = super::ENCODE_HELP, after_help = "More, with examples: percept codec encode --help")]
pub(crate) struct EncodeArgs {
    #[command(flatten)]
    pub(crate) model: CodecModelArgs,
    #[command(flatten)]
    pub(crate) work: WorkArgs,
    /// What to write
    #[arg(long, value_enum, default_value_t = TokenFormat::Nct)]
    pub(crate) format: TokenFormat,
    /// The file to write, `-` for stdout; folders that are missing are made. Without it the input's name with another
    /// ending, stdout for stdin
    #[arg(short, long, value_name = "FILE|-")]
    pub(crate) output: Option<PathBuf>,
    /// Codebooks to use, coarse to fine; as many as the codec usually does without it
    #[arg(long, value_name = "N", value_parser = books, conflicts_with = "kbps")]
    pub(crate) books: Option<NonZeroUsize>,
    /// As many codebooks as go into so many kilobits a second, at least one
    #[arg(long, value_name = "KBIT/S", value_parser = kbps)]
    pub(crate) kbps: Option<f64>,
    #[command(flatten)]
    pub(crate) order: OrderArgs,
    /// Draw the recording, what is decoded and the codes as an SVG picture
    #[arg(long, value_name = "FILE.svg", value_parser = svg_name)]
    pub(crate) plot: Option<PathBuf>,
    /// Write to stdout as soon as codes are final; `-` is raw samples then
    #[arg(long, conflicts_with_all = ["output", "plot"])]
    pub(crate) stream: bool,
    #[command(flatten)]
    pub(crate) raw: RawArgs,
    /// The audio file, or `-` for stdin
    #[arg(value_name = "FILE|-")]
    pub(crate) input: PathBuf,
}

/// What raw samples on stdin are.
#[derive(Debug, Args)]
pub(crate) struct RawArgs {
    /// The samples on stdin; 16-bit integers without it
    #[arg(long, value_enum, value_name = "FORMAT", requires = "stream")]
    pub(crate) pcm: Option<SampleFormat>,
    /// Their rate in Hz; that of the codec without it
    #[arg(long, value_name = "HZ", requires = "stream", value_parser = clap::value_parser!(u32).range(RATES))]
    pub(crate) rate: Option<u32>,
    /// Channels that are interleaved in them; those of the codec without it
    #[arg(long, value_name = "N", requires = "stream", value_parser = clap::value_parser!(u16).range(CHANNELS))]
    pub(crate) channels: Option<u16>,
}

/// In which order tokens stand.
#[derive(Debug, Args)]
pub(crate) struct OrderArgs {
    /// The order of token ids; `tree` for a codec whose books have different rates, else `frame`
    #[arg(long, value_enum)]
    pub(crate) layout: Option<LayoutArg>,
    /// The id of code 0 in the first place of a `tree`; 0 without it
    #[arg(long, value_name = "ID")]
    pub(crate) base: Option<u32>,
}

impl OrderArgs {
    /// Refuses an order where there are no ids to be ordered, and a base where the layout has one of its own.
    ///
    /// # Errors
    ///
    /// [`CodecFault::NoIds`] and [`CodecFault::OwnBase`].
    pub(crate) fn check(&self, has_ids: bool) -> Result<(), CodecFault> {
        let is_tree = matches!(self.layout, None | Some(LayoutArg::Tree));
        match (self.layout, self.base) {
            (None, None) => Ok(()),
            _ if !has_ids => Err(CodecFault::NoIds),
            (_, Some(_)) if !is_tree => Err(CodecFault::OwnBase),
            _ => Ok(()),
        }
    }
}

/// `--layout`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LayoutArg {
    /// All of book 0, then all of book 1, and so on; a stream is decoded at its end
    Flat,
    /// Frame by frame, one code of each book
    Frame,
    /// Super-frame by super-frame, depth first; an id tells its place: base + place x size + code
    Tree,
    /// `tree` with the ids of Orpheus: from 128266 on, 4096 apart
    Orpheus,
    /// The slots of the tree side by side and delayed, as Mini-Omni speaks them
    MiniOmni,
    /// Frame by frame, book k late by k frames, padding 2048, as MusicGen speaks them
    Delay,
}

/// `percept codec decode`.
#[derive(Debug, Args)]
#[command(after_long_help = super::DECODE_HELP, after_help = "More, with examples: percept codec decode --help")]
pub(crate) struct DecodeArgs {
    #[command(flatten)]
    pub(crate) model: CodecModelArgs,
    #[command(flatten)]
    pub(crate) work: WorkArgs,
    /// The file to write, `-` for stdout; folders that are missing are made. Without it the input's name with another
    /// ending, stdout for stdin
    #[arg(short, long, value_name = "FILE|-")]
    pub(crate) output: Option<PathBuf>,
    /// Bits of a sample: 32 are floats; 16 are integers, rounded and clipped
    #[arg(long, value_enum, default_value_t = Bits::Float)]
    pub(crate) bits: Bits,
    /// Write the samples alone, little-endian and interleaved, not a WAV file
    #[arg(long)]
    pub(crate) raw: bool,
    /// The noise that the decoder adds: `off`, or `seed:N`, the same in every run
    #[arg(long, value_name = "NOISE", default_value = "seed:0", value_parser = noise)]
    pub(crate) noise: Noise,
    /// Codebooks to decode, coarse to fine; without it all that are there, with --stream as many as the codec usually has
    #[arg(long, value_name = "N", value_parser = books)]
    pub(crate) books: Option<NonZeroUsize>,
    /// Begin at so many seconds of the recording; what is written is bit for bit that part of the whole
    #[arg(long, value_name = "SECONDS", value_parser = seconds, allow_negative_numbers = true,
        conflicts_with_all = ["stream", "plot"])]
    pub(crate) from: Option<f64>,
    /// End at so many seconds of the recording, or where it ends
    #[arg(long, value_name = "SECONDS", value_parser = seconds, allow_negative_numbers = true,
        conflicts_with_all = ["stream", "plot"])]
    pub(crate) to: Option<f64>,
    /// Decode with this model although the tokens were made with other weights
    #[arg(long)]
    pub(crate) any_model: bool,
    /// Draw what is decoded and the codes as an SVG picture
    #[arg(long, value_name = "FILE.svg", value_parser = svg_name)]
    pub(crate) plot: Option<PathBuf>,
    /// Take token ids as they come and write raw samples to stdout as soon as they are final
    #[arg(long, conflicts_with_all = ["output", "plot", "any_model"])]
    pub(crate) stream: bool,
    /// How the ids are written
    #[arg(long, value_enum, requires = "stream", value_name = "FORM")]
    pub(crate) tokens: Option<TokenForm>,
    #[command(flatten)]
    pub(crate) order: OrderArgs,
    /// Wait for so many frames only before samples are given out: sooner, and a little wrong; what is exact without it
    #[arg(long, value_name = "FRAMES", requires = "stream")]
    pub(crate) lookahead: Option<u8>,
    /// The token file, or `-` for stdin
    #[arg(value_name = "FILE|-", required_unless_present = "stream")]
    pub(crate) input: Option<PathBuf>,
}

/// `percept codec copy`.
#[derive(Debug, Args)]
#[command(
    after_help = "What is before the damage of a file is copied as a whole file; the exit status is 1 then. The totals of a \
        file that came out of a pipe go to its beginning. No codec is needed.\n\nExamples:\n  percept codec copy --books 2 \
        talk.nct -o coarse.nct\n  percept codec copy broken.nct -o rescued.nct"
)]
pub(crate) struct CopyArgs {
    /// The file to write, `-` for stdout; folders that are missing are made. Needed unless the input is stdin, whose copy
    /// goes to stdout without it
    #[arg(short, long, value_name = "FILE|-")]
    pub(crate) output: Option<PathBuf>,
    /// Codebooks to keep, coarse to fine; all of them without it
    #[arg(long, value_name = "N", value_parser = books)]
    pub(crate) books: Option<NonZeroUsize>,
    /// How to report errors on stderr
    #[arg(long, value_enum, default_value_t = ProgressMode::Auto)]
    pub(crate) progress: ProgressMode,
    /// The token file (.nct), or `-` for stdin
    #[arg(value_name = "FILE|-")]
    pub(crate) input: PathBuf,
}

/// `percept codec info`.
#[derive(Debug, Args)]
#[command(
    after_help = "Without FILE it is about the codec. Whether the codes of JSON, which does not say what made it, are as \
        long as the recording is seen by the codec that --model names.\n\nExamples:\n  percept codec info \
        talk.nct\n  percept codec info --format json --model hubertsiuzdak/snac_44khz"
)]
pub(crate) struct InfoArgs {
    #[command(flatten)]
    pub(crate) model: CodecModelArgs,
    /// A table for people or JSON for programs
    #[arg(long, value_enum, default_value_t = ReportFormat::Text)]
    pub(crate) format: ReportFormat,
    /// The token file, or `-` for stdin
    #[arg(value_name = "FILE|-")]
    pub(crate) input: Option<PathBuf>,
}

/// What `encode` writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum TokenFormat {
    /// A token file: bit-packed, checked, with all that decoding needs
    Nct,
    /// One object; with --stream one for each piece, a line each, which are read together
    Json,
    /// Token ids as text in the order of --layout, a line for each super-frame where the order allows it
    Ids,
}

impl TokenFormat {
    /// The extension of an output file, without the dot.
    pub(crate) fn extension(self) -> &'static str {
        match self {
            TokenFormat::Nct => "nct",
            TokenFormat::Json => "json",
            TokenFormat::Ids => "ids",
        }
    }
}

/// `--bits`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Bits {
    #[value(name = "16")]
    Integer,
    #[value(name = "32")]
    Float,
}

/// `--tokens`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum TokenForm {
    /// Decimal numbers between spaces, newlines, commas or brackets, or `<custom_token_N>`
    Text,
    /// Little-endian integers of 16 bits
    U16,
    /// Little-endian integers of 32 bits
    U32,
}

/// Seconds that no recording has.
const MOST_SECONDS: f64 = 1e9;

/// Reads `--from` and `--to`.
fn seconds(text: &str) -> Result<f64, String> {
    let seconds = text.parse().ok();
    let seconds = seconds.filter(|seconds| (0.0..=MOST_SECONDS).contains(seconds));
    seconds.ok_or_else(|| "give seconds from the start, such as 12.5".to_owned())
}

/// Reads `--books`.
fn books(text: &str) -> Result<NonZeroUsize, String> {
    let books = text.parse().ok();
    books.ok_or_else(|| "give a whole number above 0, such as 2".to_owned())
}

/// Reads `--noise`.
fn noise(text: &str) -> Result<Noise, String> {
    let seed = |text: &str| text.strip_prefix("seed:")?.parse().ok();
    match (text, seed(text)) {
        ("off", _) => Ok(Noise::Off),
        (_, Some(seed)) => Ok(Noise::Seeded(seed)),
        _ => Err("give off, or seed: and a whole number, such as seed:7".to_owned()),
    }
}

/// Reads a bit rate.
fn kbps(text: &str) -> Result<f64, String> {
    let rate = text
        .parse()
        .ok()
        .filter(|rate: &f64| rate.is_finite() && *rate > 0.0);
    rate.ok_or_else(|| "give a number above 0, such as 1.5".to_owned())
}

fn svg_name(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    match path
        .extension()
        .is_some_and(|end| end.eq_ignore_ascii_case("svg"))
    {
        true => Ok(path),
        false => Err("the picture is SVG; give a name that ends in .svg".to_owned()),
    }
}
