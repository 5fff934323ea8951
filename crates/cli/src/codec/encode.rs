//! `percept codec encode`: a recording, or sound that is still to come, to tokens.

use std::fs;
use std::path::Path;

use percept::{Codec, CodecDecoder, CodecEncoder, CodecError, Codes, DecodeOptions, EncodeOptions};

use super::args::{EncodeArgs, TokenFormat};
use super::drawing::Drawing;
use super::error::CodecFault;
use super::layout::Order;
use super::live::check_segments;
use super::model::{self, Opened};
use super::output::Target;
use super::samples::{self, Samples};
use super::sink::{LiveSink, Sink, WholeSink};
use crate::error::CliError;
use crate::inputs::Source;
use crate::progress::{Place, Progress};

/// Latent frames that are encoded at once where nobody waits for them.
const TILE_FRAMES: usize = 64;

/// Encodes one recording.
///
/// # Errors
///
/// What keeps it from being encoded; for a damaged one after everything before the damage was written.
pub(crate) fn run(args: &EncodeArgs, progress: Progress) -> Result<(), CliError> {
    args.order.check(args.format == TokenFormat::Ids)?;
    let source = Source::from_argument(&args.input);
    let target = match args.stream {
        true => Target::Stdout,
        false => Target::choose(args.output.as_deref(), &source, args.format.extension())?,
    };
    target.check_plot(args.plot.as_deref(), &source)?;
    if args.format == TokenFormat::Nct {
        target.check_terminal("a token file")?;
    }
    check_exists(&source)?;
    let opened = model::open(&args.model, None, &args.work, progress)?;
    let within = |kbps: f64| opened.codec.spec().books_within(kbps * 1000.0);
    let options = EncodeOptions {
        books: args.books.map(usize::from).or(args.kbps.map(within)),
        ..EncodeOptions::default()
    };
    let label = source.label();
    let about = |error: percept::Error| CliError::from(error).about(&label);
    let encoder = opened.codec.encoder(&options).map_err(about)?;
    let order = match args.format {
        TokenFormat::Ids => {
            check_segments(&opened)?;
            Some(order(args, &label, &encoder)?)
        }
        TokenFormat::Nct | TokenFormat::Json => None,
    };
    let samples = match (args.stream, &source) {
        (true, Source::Stdin) => Samples::raw(&args.raw, opened.codec.spec())?,
        _ => Samples::recording(&source, opened.codec.spec())?,
    };
    if let Some(conversion) = samples.conversion(opened.codec.spec()) {
        progress.notice(&format!("{label}: {conversion}"));
    }
    let sink: Box<dyn Sink> = match args.stream && order.as_ref().is_none_or(Order::can_be_streamed)
    {
        true => Box::new(LiveSink::new(&opened, args.format, order)),
        false => Box::new(WholeSink::new(&opened, args.format, order, target.clone())),
    };
    let mut work = Work {
        label: &label,
        fresh: encoder.empty_codes(),
        encoder,
        sink,
        drawing: args.plot.as_ref().map(|_| Drawn::new(&opened.codec)),
    };
    let damage = work.encode(samples, args.stream, &opened, progress, target.path())?;
    if let (Some(path), Some(drawn)) = (&args.plot, work.drawing) {
        drawn.drawing.save(path, &label, &opened.name)?;
    }
    damage.map_or(Ok(()), Err)
}

fn order(args: &EncodeArgs, label: &str, encoder: &CodecEncoder) -> Result<Order, CliError> {
    let books = encoder.empty_codes();
    Order::of(&args.order, books.specs()).map_err(|source| layout_error(label, source))
}

pub(super) fn layout_error(label: &str, source: percept::LayoutError) -> CliError {
    CodecFault::Layout {
        file: label.to_owned(),
        source,
    }
    .into()
}

/// Refuses a file that is not there, before a codec is loaded for it.
pub(super) fn check_exists(source: &Source) -> Result<(), CliError> {
    match source {
        Source::Stdin => Ok(()),
        Source::File(path) => match fs::metadata(path) {
            Ok(_) => Ok(()),
            Err(error) => Err(CliError::Read {
                path: path.clone(),
                source: error,
            }),
        },
    }
}

/// One recording on its way.
struct Work<'a> {
    label: &'a str,
    encoder: CodecEncoder,
    /// Codes that nobody has seen yet.
    fresh: Codes,
    sink: Box<dyn Sink + 'a>,
    drawing: Option<Drawn>,
}

impl Work<'_> {
    /// Encodes to the end, or to the damage, which is returned.
    fn encode(
        &mut self,
        mut samples: Samples,
        is_live: bool,
        opened: &Opened,
        progress: Progress,
        output: Option<&Path>,
    ) -> Result<Option<CliError>, CliError> {
        let spec = opened.codec.spec();
        let tile = match is_live {
            true => 1,
            false => TILE_FRAMES * spec.hop as usize * usize::from(spec.channels),
        };
        let place = Place { index: 1, files: 1 };
        let mut shown = progress.start(self.label, place, samples.seconds());
        let seconds =
            |encoder: &CodecEncoder| encoder.received() as f64 / f64::from(spec.sample_rate);
        let mut pcm = Vec::new();
        let damage = loop {
            let read = samples.read(&mut pcm);
            if pcm.len() >= tile || !matches!(read, Ok(true)) {
                self.take(&pcm)?;
                pcm.clear();
                shown.advance(seconds(&self.encoder));
            }
            match read {
                Ok(true) => {}
                Ok(false) => break None,
                Err(error) if self.encoder.received() > 0 && samples::is_damage(&error) => {
                    break Some(error);
                }
                Err(error) => return Err(error),
            }
        };
        self.finish()?;
        shown.clear();
        if damage.is_none() {
            shown.done(seconds(&self.encoder), output);
        }
        Ok(damage)
    }

    fn take(&mut self, pcm: &[f32]) -> Result<(), CliError> {
        let added = self.encoder.push(pcm, &mut self.fresh);
        added.map_err(|error| CliError::from(error).about(self.label))?;
        if let Some(drawn) = &mut self.drawing {
            drawn.drawing.source(pcm);
            drawn.take(&self.fresh)?;
        }
        self.sink.take(&self.fresh)?;
        self.fresh.clear();
        Ok(())
    }

    fn finish(&mut self) -> Result<(), CliError> {
        if self.encoder.received() == 0 {
            let error = percept::Error::from(CodecError::EmptyAudio);
            return Err(CliError::from(error).about(self.label));
        }
        let added = self.encoder.finish(&mut self.fresh);
        added.map_err(|error| CliError::from(error).about(self.label))?;
        if let Some(drawn) = &mut self.drawing {
            drawn.take(&self.fresh)?;
            drawn.finish(self.encoder.received())?;
        }
        self.sink.take(&self.fresh)?;
        self.sink.finish()
    }
}

/// A picture of codes that are decoded again as they come.
struct Drawn {
    drawing: Drawing,
    decoder: CodecDecoder,
    channels: usize,
    pcm: Vec<f32>,
    /// Samples that were drawn, of all channels.
    drawn: u64,
}

impl Drawn {
    fn new(codec: &Codec) -> Self {
        Self {
            drawing: Drawing::new(codec, true),
            decoder: codec.decoder(&DecodeOptions::default()),
            channels: codec.spec().channels.into(),
            pcm: Vec::new(),
            drawn: 0,
        }
    }

    fn take(&mut self, codes: &Codes) -> Result<(), CliError> {
        if codes.is_empty() {
            return Ok(());
        }
        self.drawing.codes(codes);
        self.pcm.clear();
        self.decoder.push(codes, &mut self.pcm)?;
        self.drawing.decoded(&self.pcm);
        self.drawn += self.pcm.len() as u64;
        Ok(())
    }

    /// Draws the rest, up to the length of the recording.
    fn finish(&mut self, source_samples: u64) -> Result<(), CliError> {
        self.pcm.clear();
        self.decoder.finish(&mut self.pcm)?;
        let wanted = (source_samples * self.channels as u64).saturating_sub(self.drawn);
        self.pcm
            .truncate(usize::try_from(wanted).unwrap_or(usize::MAX));
        self.drawing.decoded(&self.pcm);
        Ok(())
    }
}
