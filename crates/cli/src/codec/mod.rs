//! `percept codec`: recordings to tokens and tokens to sound.
//!
//! `encode` reads [`samples::Samples`] and hands codes to a [`sink::Sink`]; `decode` reads a [`token_file::TokenFile`] or a
//! [`part::Part`] of it, and with --stream token ids ([`words::Words`], in a [`layout::Order`]), and writes samples
//! ([`wav::PcmWriter`]) a tile at a time. `copy` writes token files again, `info` says what there is. A
//! [`drawing::Drawing`] collects what `--plot` shows.

pub(crate) mod args;
mod copy;
mod decode;
mod drawing;
mod encode;
mod error;
mod info;
mod layout;
mod live;
mod model;
mod output;
mod part;
mod plot;
mod samples;
mod sink;
mod token_file;
mod wav;
mod words;

use std::path::Path;
use std::process::ExitCode;

use args::CodecCommand;
pub(crate) use error::CodecFault;
pub(crate) use info::CodecReport;

use crate::args::ProgressMode;
use crate::error::CliError;
use crate::progress::Progress;

/// Encodes, decodes, or says what there is.
///
/// # Errors
///
/// What is about stdout; other errors were reported.
pub(crate) fn run(command: &CodecCommand) -> Result<ExitCode, CliError> {
    match command {
        CodecCommand::Encode(args) => reported(args.work.progress, Some(&args.input), |progress| {
            encode::run(args, progress)
        }),
        CodecCommand::Decode(args) => reported(
            args.work.progress,
            args.input.as_deref(),
            |progress| match args.stream {
                true => live::run(args, progress),
                false => decode::run(args, progress),
            },
        ),
        CodecCommand::Copy(args) => reported(args.progress, Some(&args.input), |_| copy::run(args)),
        CodecCommand::Info(args) => info::run(args),
    }
}

/// Does the work and reports its error in the way that was asked for, with the input it is about.
fn reported(
    mode: ProgressMode,
    input: Option<&Path>,
    work: impl FnOnce(Progress) -> Result<(), CliError>,
) -> Result<ExitCode, CliError> {
    let progress = Progress::new(mode);
    match work(progress) {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(error @ CliError::Stdout { .. }) => Err(error),
        Err(error) => {
            let file = input.map_or_else(|| "-".to_owned(), |path| path.display().to_string());
            progress.error(Some(&file), &error);
            Ok(error.exit_code())
        }
    }
}

const ENCODE_HELP: &str = "\
Input:
  A FILE is read by its content (wav, flac, mp3, ogg, opus, m4a, aiff, caf, mkv,
  webm), at any sample rate. It is resampled to the rate of the codec and mixed
  down, or kept, to its channels, with a notice. `-` reads a file from stdin;
  with --stream it is raw samples: s16le at the codec's own rate unless --pcm,
  --rate and --channels say otherwise.

Output:
  nct   a token file: a header that says which codec and weights made it and how
        long the recording was, then checked packets of bit-packed codes
  json  {\"codec\",\"sample_rate\",\"source_samples\",\"books\":[[...],...]}, codes of each
        book from coarse to fine; with --stream a line for each piece, and all lines
        together are one token file
  ids   token ids as text, as language models speak them; --layout is their order
  A file appears complete or not at all. A name that nobody has given never
  replaces a file.

Stream:
  --stream writes each super-frame as soon as it is final, which is the codec's
  look-ahead after its last sample (`percept codec info`). The codes are those of
  the whole recording, however it arrives, and so are the files: the last thing in
  an nct or in JSON is how long the recording was.

Failures:
  What can be heard of a truncated or damaged recording is still encoded; the
  exit status is 1 then.

Examples:
  percept codec encode talk.mp3                          # talk.nct
  percept codec encode --format json talk.wav -o -
  percept codec encode --model hubertsiuzdak/snac_44khz --plot song.svg song.flac
  arecord -q -f S16_LE -r 24000 | percept codec encode --stream --format ids -";

const DECODE_HELP: &str = "\
Input:
  A FILE is read by its content: nct, ecdc (without a language model) or the JSON
  of `encode`, one object or the lines of a stream. The codec is the published one
  of the kind and rate that the file names, unless --model names one; a file that
  other weights have made is refused.

Output:
  A WAV file of 32-bit floats, or --bits 16, or with --raw the samples alone; as
  long as the recording was. A file appears complete or not at all, and memory does
  not grow with its length. SNAC decoders add noise: --noise seed:N, the same in
  every run, or off.

Part:
  --from and --to write a part of the recording, bit for bit as it is in the whole.
  Of an nct FILE only what is needed is read, and damage elsewhere does not matter.
  Damage in the part, or in the codec's look-ahead behind it, ends it at the last
  sample that is certain. Where codes were lost, or are there twice, and nobody knows
  where, every part says so.
  SNAC and DAC decode from shortly before the part on; EnCodec and Mimi, whose
  decoders remember all that came before, from the beginning.

Stream:
  --stream takes token ids as they come, from stdin or FILE, and writes raw samples
  to stdout as soon as they are final: the first after 18 ids of Orpheus, the first
  85 ms after 25, and at the end every sample. Samples do not depend on how the ids
  arrive. Ids that are no audio are skipped and counted. Where ids are missing or
  too many, the stream is in step again with the next super-frame, and says so on
  stderr; nothing else moves.
    --tokens text   decimal numbers, JSON arrays of them, <custom_token_N>
    --tokens u16, u32   little-endian integers
    --layout        the order of the ids

Failures:
  What is before the damage of a file, or before what is no id, is still decoded;
  the exit status is 1 then.

Examples:
  percept codec decode talk.nct                          # talk.wav
  percept codec decode --bits 16 --noise off talk.nct -o plain.wav
  percept codec decode --books 2 talk.json -o coarse.wav
  percept codec decode --from 60 --to 75.5 talk.nct -o minute.wav
  my-orpheus | percept codec decode --stream --layout orpheus --bits 16 |
    aplay -q -f S16_LE -r 24000";
