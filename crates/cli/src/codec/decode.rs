//! `percept codec decode`: a token file to sound.

use std::io::{self, Write};
use std::path::Path;

use percept::{Codec, CodecError, ContainerError, DecodeOptions, weights_id};

use super::args::{Bits, DecodeArgs};
use super::drawing::Drawing;
use super::encode::check_exists;
use super::error::CodecFault;
use super::model::{self, Made, Opened};
use super::output::Target;
use super::part::{Part, Span};
use super::token_file::{TokenFile, token_file};
use super::wav::{PcmFormat, PcmWriter, Sample};
use crate::atomic;
use crate::error::CliError;
use crate::inputs::Source;
use crate::progress::{FileProgress, Place, Progress};

/// Decodes one token file.
///
/// # Errors
///
/// What keeps it from being decoded; for a damaged one after everything before the damage was written.
pub(crate) fn run(args: &DecodeArgs, progress: Progress) -> Result<(), CliError> {
    args.order.check(false)?;
    let span = Span::of(args)?;
    let input = args
        .input
        .as_deref()
        .expect("clap asks for it without --stream");
    let source = Source::from_argument(input);
    let extension = if args.raw { "pcm" } else { "wav" };
    let target = Target::choose(args.output.as_deref(), &source, extension)?;
    target.check_terminal("sound")?;
    target.check_plot(args.plot.as_deref(), &source)?;
    check_exists(&source)?;
    let file = match span {
        None => TokenFile::read(&source)?,
        Some(_) => TokenFile::open(&source)?,
    };
    let opened = model::open(&args.model, Some(&file.made), &args.work, progress)?;
    check_model(&file, &opened, args.any_model)?;
    let mut part = Part::of(file, span, &opened.codec)?;
    let (label, damage) = (source.label(), part.damage.take());
    if let Some(asked) = args.books.map(usize::from) {
        let available = part.codes.books();
        if asked > available {
            return Err(token_file(
                &label,
                ContainerError::Books { asked, available },
            ));
        }
        part.codes.truncate_books(asked);
    }
    let work = Work {
        args,
        label: &label,
        opened: &opened,
        part,
    };
    let mut shown = progress.start(&label, Place { index: 1, files: 1 }, Some(work.seconds()));
    let mut drawing = args
        .plot
        .as_ref()
        .map(|_| Drawing::new(&opened.codec, false));
    let clipped = match &target {
        Target::Stdout => work
            .write(io::stdout().lock(), &mut shown, &mut drawing)
            .map_err(Halt::stdout)?,
        Target::File(path) => {
            let mut clipped = 0;
            let written = atomic::write(path, |file| {
                clipped = work.write(file, &mut shown, &mut drawing)?;
                Ok::<(), Halt>(())
            });
            written.map_err(|halt| halt.file(path))?;
            clipped
        }
    };
    shown.clear();
    if clipped > 0 {
        progress.notice(&format!(
            "{label}: {clipped} samples beyond full scale were clipped"
        ));
    }
    if let (Some(path), Some(drawing)) = (&args.plot, drawing) {
        drawing.save(path, &label, &opened.name)?;
    }
    match damage {
        Some(damage) => Err(damage),
        None => {
            shown.done(work.seconds(), target.path());
            Ok(())
        }
    }
}

/// Refuses a codec that did not make the file.
fn check_model(file: &TokenFile, opened: &Opened, any_weights: bool) -> Result<(), CliError> {
    let found = Made::by(opened.codec.spec());
    if found != file.made {
        return Err(CodecFault::OtherCodec {
            file: file.name.clone(),
            made: file.made.clone(),
            model: opened.name.clone(),
            found,
        }
        .into());
    }
    let (Some(made), false) = (file.weights_id(), any_weights) else {
        return Ok(());
    };
    let found = weights_id(opened.codec.model().weights_file()).map_err(percept::Error::from)?;
    match made == found {
        true => Ok(()),
        false => Err(CodecFault::OtherWeights {
            file: file.name.clone(),
            made: model::hex(made).unwrap_or_default(),
            model: opened.name.clone(),
            found: model::hex(found).unwrap_or_default(),
        }
        .into()),
    }
}

/// What ends the writing of a file early.
enum Halt {
    Write(io::Error),
    Fault(CliError),
}

impl From<io::Error> for Halt {
    fn from(error: io::Error) -> Self {
        Halt::Write(error)
    }
}

impl Halt {
    fn stdout(self) -> CliError {
        match self {
            Halt::Write(source) => CliError::Stdout { source },
            Halt::Fault(error) => error,
        }
    }

    fn file(self, path: &Path) -> CliError {
        match self {
            Halt::Write(source) => CliError::Write {
                path: path.to_owned(),
                source,
            },
            Halt::Fault(error) => error,
        }
    }
}

/// One token file on its way.
struct Work<'a> {
    args: &'a DecodeArgs,
    label: &'a str,
    opened: &'a Opened,
    part: Part,
}

impl Work<'_> {
    fn codec(&self) -> &Codec {
        &self.opened.codec
    }

    fn seconds(&self) -> f64 {
        self.part.samples as f64 / f64::from(self.codec().spec().sample_rate)
    }

    /// Writes the sound a tile at a time, and returns how many samples were clipped.
    fn write(
        &self,
        mut out: impl Write,
        shown: &mut FileProgress<'_>,
        drawing: &mut Option<Drawing>,
    ) -> Result<u64, Halt> {
        let spec = self.codec().spec();
        let format = PcmFormat {
            sample: sample(self.args.bits),
            rate: spec.sample_rate,
            channels: spec.channels,
        };
        if !self.args.raw {
            out.write_all(&format.header(Some(self.part.samples)))?;
        }
        let mut writer = PcmWriter::new(out, format, Some(self.part.samples));
        let (part, options) = (&self.part, options(self.args));
        let mut decoder = self.codec().excerpt_decoder(&options, &part.excerpt);
        let mut skipped = part.excerpt.skipped();
        let about = |error: percept::Error| Halt::Fault(CliError::from(error).about(self.label));
        let mut pcm = Vec::new();
        for tile in self.codec().model().decode_pieces(&part.codes) {
            let tile = part.codes.slice(tile);
            let tile = tile.map_err(|error| about(CodecError::from(error).into()))?;
            if let Some(drawing) = drawing {
                drawing.codes(&tile);
            }
            decoder.push(&tile, &mut pcm).map_err(about)?;
            skip(&mut pcm, &mut skipped, spec.channels);
            self.hand_out(&mut writer, &pcm, drawing)?;
            pcm.clear();
            shown.advance(writer.written() as f64 / f64::from(spec.sample_rate));
        }
        // Where the part ends before the codes do, all of it has come out.
        decoder.finish(&mut pcm).map_err(about)?;
        skip(&mut pcm, &mut skipped, spec.channels);
        self.hand_out(&mut writer, &pcm, drawing)?;
        // Some decoders give a few samples less than their frames are long.
        let missing = (self.part.samples - writer.written()) as usize * usize::from(spec.channels);
        self.hand_out(&mut writer, &vec![0.0; missing], drawing)?;
        writer.flush()?;
        Ok(writer.clipped())
    }

    fn hand_out<W: Write>(
        &self,
        writer: &mut PcmWriter<W>,
        pcm: &[f32],
        drawing: &mut Option<Drawing>,
    ) -> Result<(), Halt> {
        let channels = u64::from(self.codec().spec().channels);
        let left = (self.part.samples - writer.written()) * channels;
        let kept = &pcm[..pcm.len().min(usize::try_from(left).unwrap_or(usize::MAX))];
        if let Some(drawing) = drawing {
            drawing.decoded(kept);
        }
        Ok(writer.write(kept)?)
    }
}

/// Takes samples that are not wanted off the front, as long as there are `skipped` per channel of them.
fn skip(pcm: &mut Vec<f32>, skipped: &mut u64, channels: u16) {
    let channels = usize::from(channels);
    let frames = (pcm.len() / channels).min(usize::try_from(*skipped).unwrap_or(usize::MAX));
    pcm.drain(..frames * channels);
    *skipped -= frames as u64;
}

pub(super) fn sample(bits: Bits) -> Sample {
    match bits {
        Bits::Float => Sample::F32,
        Bits::Integer => Sample::S16,
    }
}

pub(super) fn options(args: &DecodeArgs) -> DecodeOptions {
    DecodeOptions {
        noise: args.noise.clone(),
        ..DecodeOptions::default()
    }
}
