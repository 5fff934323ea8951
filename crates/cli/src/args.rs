//! The command line, as clap reads it.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use percept::Confidence;

use crate::bench::args::BenchArgs;
use crate::codec::args::CodecCommand;
use crate::stream::args::{ListenArgs, StreamArgs};

/// More threads than this never help; larger requests are lowered to it.
pub(crate) const MAX_THREADS: usize = 256;

/// The `percept` command.
#[derive(Debug, Parser)]
#[command(
    name = "percept",
    version,
    about = "Speech to text, sound to tokens and back, on ordinary CPUs",
    long_about = "Turns speech into text, sound into tokens and tokens into sound, on ordinary CPUs.\n\n\
        Without --model the small English model that is built into the command recognises speech. Every error is one line on \
        stderr that names the file, the fact and what to do.",
    after_help = "Exit status: 0 all done, 1 something failed, 2 wrong usage, 130 interrupted.",
    arg_required_else_help = true,
    max_term_width = 100
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// One thing to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Write down what is said in audio files
    Transcribe(TranscribeArgs),
    /// Write down what is said while it is being said
    Stream(StreamArgs),
    /// Write down what is said into a microphone
    Listen(ListenArgs),
    /// Turn sound into tokens, and tokens into sound
    #[command(subcommand)]
    Codec(CodecCommand),
    /// Write what a stage of the model makes of a recording, as a NumPy array
    Features(FeaturesArgs),
    /// Say what a model is and how it would be run
    Inspect(InspectArgs),
    /// List, download and check models
    #[command(subcommand)]
    Models(ModelsCommand),
    /// Measure how fast a model runs here, and say which kernels it runs on
    Bench(BenchArgs),
    /// Print a shell completion script
    #[command(hide = true)]
    Completions {
        /// The shell to complete for
        shell: clap_complete::Shell,
    },
    /// Print the manual page of the command or of one subcommand (roff)
    #[command(hide = true)]
    Man {
        /// The subcommand; the whole command without it
        subcommand: Option<String>,
    },
}

const TRANSCRIBE_HELP: &str = "\
Inputs:
  A FILE is read by its content; its name does not matter. A folder stands for
  every audio file below it, in sorted order, without hidden ones. `-` reads
  one recording from stdin. Short files are recognised several at a time; each
  result is what the file gives alone, and they come in the order of the inputs.

Output on stdout:
  text  the text and a newline; of several inputs or a folder, a line
        `FILE: text` each
  json  one object a line: file, duration, text, language (if known), tokens,
        words, segments; times in seconds
  srt   subtitles of at most 42 characters a line; of one input, or with -o
  vtt   the same as WebVTT
  tsv   start and end (in milliseconds) and text of each segment, under a
        header; of one input, or with -o

Output with -o DIR:
  DIR/NAME.txt, .json, .srt, .vtt or .tsv. Inputs below a folder keep their
  path below it. Two inputs for one output are refused before any work. An
  output appears complete or not at all. A hidden record beside it
  (.NAME.txt.percept) says what it was made from: --resume leaves outputs as
  they are whose recording (by content), model and settings are unchanged and
  which nobody has edited.

Failures:
  A bad input gets one line on stderr, the others are still done, and the exit
  status is 1. What can be heard of a truncated or damaged recording is still
  written down; --resume never takes it for done.

Progress:
  --progress json writes one object a line to stderr, errors included:
    {\"event\":\"start\",\"file\",\"index\",\"files\",\"seconds_total\"?}
    {\"event\":\"progress\",\"file\",\"seconds_done\",\"seconds_total\"?}
    {\"event\":\"done\",\"file\",\"seconds_done\"?,\"output\"?,\"skipped\"}
    {\"event\":\"error\",\"file\"?,\"message\"}
    {\"event\":\"download\",\"model\",\"bytes_done\",\"bytes_total\"}

Examples:
  percept transcribe talk.wav
  percept transcribe --format srt -o subtitles/ talk.mp3 lectures/
  percept transcribe --model parakeet-tdt-0.6b-v3.nemo --format json talk.m4a
  ffmpeg -i film.mkv -f wav - | percept transcribe -
  percept transcribe --resume -o texts/ archive/";

/// `percept transcribe`.
#[derive(Debug, Args)]
#[command(after_long_help = TRANSCRIBE_HELP, after_help = "More, with examples: percept transcribe --help")]
pub(crate) struct TranscribeArgs {
    #[command(flatten)]
    pub(crate) model: ModelArgs,
    #[command(flatten)]
    pub(crate) decoding: DecodingArgs,
    /// What to write
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
    /// Write one file per input below this folder instead of stdout
    #[arg(short, long, value_name = "DIR")]
    pub(crate) output: Option<PathBuf>,
    /// Leave outputs that are up to date as they are
    #[arg(long, requires = "output")]
    pub(crate) resume: bool,
    /// How to report progress on stderr; `auto` draws bars on a terminal only
    #[arg(long, value_enum, default_value_t = ProgressMode::Auto)]
    pub(crate) progress: ProgressMode,
    /// Audio files, folders, or `-` for stdin
    #[arg(required = true, value_name = "FILE|DIR|-")]
    pub(crate) inputs: Vec<PathBuf>,
}

/// Which model runs, and on what.
#[derive(Debug, Args)]
pub(crate) struct ModelArgs {
    /// A model folder, a .nemo file, or a hub id such as nvidia/parakeet-tdt-0.6b-v3[@REVISION]
    ///
    /// Something that exists on disk wins. A hub id that is not in the cache is downloaded first, with a notice,
    /// unless HF_HUB_OFFLINE=1. Without this option the built-in English model runs.
    #[arg(long, value_name = "MODEL")]
    pub(crate) model: Option<PathBuf>,
    /// Arithmetic of the large layers; by default int8 for models of 100 million parameters and more on CPUs with
    /// AVX2, f32 otherwise
    #[arg(long, value_enum)]
    pub(crate) precision: Option<PrecisionArg>,
    #[command(flatten)]
    pub(crate) cache: CacheArgs,
    /// Threads to compute with; all cores by default. The result does not depend on it
    #[arg(long, value_name = "N")]
    threads: Option<NonZeroUsize>,
}

impl ModelArgs {
    /// The thread count to run with, lowered to what can still help.
    pub(crate) fn threads(&self) -> Option<usize> {
        self.threads.map(|n| n.get().min(MAX_THREADS))
    }
}

/// Whether weights are kept between starts.
#[derive(Debug, Args)]
pub(crate) struct CacheArgs {
    /// Neither use nor keep int8 weights from an earlier start
    ///
    /// Otherwise they are made from the checkpoint once and kept in $HF_HOME/percept/weights, beside the hub's cache;
    /// `percept models cache` looks after them.
    #[arg(long)]
    pub(crate) no_cache: bool,
}

/// How the model's output becomes text.
#[derive(Debug, Args)]
pub(crate) struct DecodingArgs {
    /// The head to decode with, where a model has several; its first one by default
    #[arg(long, value_enum)]
    pub(crate) decoder: Option<DecoderArg>,
    /// How confidence is measured: prob, the softmax probability of the chosen token; or max-prob, gibbs-lin,
    /// gibbs-exp, tsallis-lin, tsallis-exp, renyi-lin or renyi-exp, with an exponent if wanted (tsallis-exp:0.5)
    #[arg(long, value_name = "METHOD", default_value_t = Confidence::default())]
    pub(crate) confidence: Confidence,
    /// The language spoken, for models that can be told, such as `en` or `de-DE`
    #[arg(long, value_name = "LANGUAGE")]
    pub(crate) language: Option<String>,
}

/// What `transcribe` writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    Text,
    Json,
    Srt,
    Vtt,
    Tsv,
}

impl Format {
    /// The extension of an output file, without the dot.
    pub(crate) fn extension(self) -> &'static str {
        match self {
            Format::Text => "txt",
            Format::Json => "json",
            Format::Srt => "srt",
            Format::Vtt => "vtt",
            Format::Tsv => "tsv",
        }
    }

    /// Whether several results can follow each other on stdout and still be told apart.
    pub(crate) fn can_be_joined(self) -> bool {
        matches!(self, Format::Text | Format::Json)
    }
}

/// Where progress goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ProgressMode {
    Auto,
    Json,
    None,
}

/// `--precision`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum PrecisionArg {
    /// 32-bit floats, in agreement with the reference implementation
    F32,
    /// 8-bit weights and activations: faster, in a quarter of the memory
    Int8,
}

/// `--decoder`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum DecoderArg {
    Tdt,
    Rnnt,
    Ctc,
}

/// A table for people or JSON for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ReportFormat {
    Text,
    Json,
}

const FEATURES_HELP: &str = "\
The array holds little-endian f32 in C order (npy format 1.0), valid frames
only:
  mel      [frames, mels], after normalisation
  encoder  [frames, d_model], before any head or projector

Example:
  percept features --stage encoder talk.wav -o talk.npy
  python3 -c 'import numpy; print(numpy.load(\"talk.npy\").shape)'";

/// `percept features`.
#[derive(Debug, Args)]
#[command(after_long_help = FEATURES_HELP)]
pub(crate) struct FeaturesArgs {
    #[command(flatten)]
    pub(crate) model: ModelArgs,
    /// What to write
    #[arg(long, value_enum)]
    pub(crate) stage: StageArg,
    /// The .npy file to write
    #[arg(short, long, value_name = "FILE.npy")]
    pub(crate) output: PathBuf,
    /// The audio file, or `-` for stdin
    #[arg(value_name = "FILE|-")]
    pub(crate) input: PathBuf,
}

/// `--stage`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum StageArg {
    /// Log-mel frames, as the encoder takes them
    Mel,
    /// The encoder's output
    Encoder,
}

/// `percept inspect`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  percept inspect\n  percept inspect --format json parakeet-tdt-0.6b-v3.nemo"
)]
pub(crate) struct InspectArgs {
    /// A table for people or JSON for programs
    #[arg(long, value_enum, default_value_t = ReportFormat::Text)]
    pub(crate) format: ReportFormat,
    #[command(flatten)]
    pub(crate) cache: CacheArgs,
    /// A model folder, a .nemo file or the id of a downloaded model; the built-in model without it
    pub(crate) model: Option<PathBuf>,
}

/// `percept models`.
#[derive(Debug, Subcommand)]
#[command(
    after_help = "Models live in the Hugging Face cache: HF_HOME, HF_TOKEN, HF_ENDPOINT and HF_HUB_OFFLINE count. The \
        int8 weights made from them are kept in $HF_HOME/percept/weights."
)]
pub(crate) enum ModelsCommand {
    /// List the built-in model and those in the cache
    List {
        /// A table for people or JSON for programs
        #[arg(long, value_enum, default_value_t = ReportFormat::Text)]
        format: ReportFormat,
    },
    /// Download a model into the cache; a broken download goes on where it stopped
    Pull {
        /// How to report progress on stderr; `auto` draws bars on a terminal only
        #[arg(long, value_enum, default_value_t = ProgressMode::Auto)]
        progress: ProgressMode,
        /// The hub id, and a branch, tag or commit if not the main branch
        #[arg(value_name = "ID[@REV]")]
        id: String,
    },
    /// Check downloaded files, and the weights made from them, against their checksums; all models without an argument
    Verify {
        /// A hub id or a path
        #[arg(value_name = "ID|PATH")]
        model: Option<PathBuf>,
    },
    /// Look after the int8 weights that are kept for the next start
    #[command(subcommand)]
    Cache(CacheCommand),
}

/// `percept models cache`.
#[derive(Debug, Subcommand)]
pub(crate) enum CacheCommand {
    /// List the weights that are kept and what they were made from
    List {
        /// A table for people or JSON for programs
        #[arg(long, value_enum, default_value_t = ReportFormat::Text)]
        format: ReportFormat,
    },
    /// Remove them; they are made again when they are needed
    Clear,
}
