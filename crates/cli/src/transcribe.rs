//! `percept transcribe`.

use std::io;
use std::path::Path;
use std::process::ExitCode;

use percept::audio::AudioReader;
use percept::{Recognizer, Transcript};

use crate::args::{Format, TranscribeArgs};
use crate::error::CliError;
use crate::inputs::{self, Source};
use crate::model::Located;
use crate::plan::{self, Job};
use crate::progress::{FileProgress, Place, Progress};
use crate::resume::{self, Product, Seen, Settings};
use crate::{atomic, audio, defect, model, output};

/// Writes down every input; one that fails does not keep the others from being done.
pub(crate) fn run(args: &TranscribeArgs) -> ExitCode {
    let progress = Progress::new(args.progress);
    match transcribe_all(args, progress) {
        Ok(Tally { failed: 0, .. }) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            progress.error(None, &error);
            error.exit_code()
        }
    }
}

/// How many inputs ended how.
#[derive(Debug, Default, Clone, Copy)]
struct Tally {
    written: usize,
    skipped: usize,
    failed: usize,
}

fn transcribe_all(args: &TranscribeArgs, progress: Progress) -> Result<Tally, CliError> {
    let (found, missing): (Vec<_>, Vec<_>) = inputs::expand(&args.inputs)
        .into_iter()
        .partition(Result::is_ok);
    let found: Vec<_> = found.into_iter().flatten().collect();
    let jobs = match &args.output {
        Some(folder) => plan::to_folder(found, folder, args.format)?,
        None => plan::to_stdout(found, args.format)?,
    };
    for error in missing.iter().filter_map(|input| input.as_ref().err()) {
        progress.error(error.subject().as_deref(), error);
    }
    let mut tally = Tally {
        failed: missing.len(),
        ..Tally::default()
    };
    if jobs.is_empty() {
        return Ok(tally);
    }

    let located = model::locate(args.model.model.as_deref(), progress)?;
    let recognizer = located.open(&args.model, Some(&args.decoding), progress)?;
    let run = Run {
        settings: settings(args, &located, &recognizer),
        recognizer,
        format: args.format,
        resume: args.resume,
        is_one_of_several: args.inputs.len() > 1 || args.inputs.iter().any(|input| input.is_dir()),
        files: jobs.len(),
        progress,
    };
    for (index, job) in jobs.iter().enumerate() {
        let label = job.source.label();
        match defect::contain(&label, || run.transcribe(job, &label, index + 1)) {
            Ok(Ending::Written) => tally.written += 1,
            Ok(Ending::UpToDate) => tally.skipped += 1,
            Err(error) if error.is_closed_pipe() => return Ok(tally),
            Err(error @ CliError::Stdout { .. }) => return Err(error),
            Err(error) => {
                tally.failed += 1;
                progress.error(Some(&label), &error);
            }
        }
    }
    if args.output.is_some() {
        progress.summary(tally.written, tally.skipped, tally.failed);
    }
    Ok(tally)
}

/// What is the same for every recording.
struct Run {
    recognizer: Recognizer,
    settings: Settings,
    format: Format,
    resume: bool,
    is_one_of_several: bool,
    files: usize,
    progress: Progress,
}

/// How a recording that did not fail ended.
enum Ending {
    Written,
    UpToDate,
}

/// What was understood, and what kept the rest of the recording from being read.
struct Heard {
    transcript: Transcript,
    damage: Option<CliError>,
}

impl Run {
    fn transcribe(&self, job: &Job, label: &str, index: usize) -> Result<Ending, CliError> {
        let seen = match (&job.source, &job.output) {
            (Source::File(path), Some(_)) => Seen::look(path),
            _ => None,
        };
        let product = self.product(job, label);
        if let (true, Some(product), Some(seen)) = (self.resume, &product, &seen)
            && product.is_current(seen)
        {
            self.progress.skipped(label, product.output);
            return Ok(Ending::UpToDate);
        }

        let rate = self.recognizer.sample_rate();
        let mut reader = audio::open(&job.source, rate)?;
        let place = Place {
            index,
            files: self.files,
        };
        let mut progress = self
            .progress
            .start(label, place, audio::seconds(reader.info()));
        let heard = self.hear(&mut reader, &mut progress);
        let Heard { transcript, damage } = heard.map_err(|error| error.about(label))?;
        progress.clear();
        match &job.output {
            None => self.print(label, &transcript)?,
            Some(path) => {
                self.save(label, path, &transcript)?;
                if let (None, Some(product), Some(seen)) = (&damage, &product, &seen) {
                    product
                        .remember(seen)
                        .map_err(|source| write_error(path, source))?;
                }
            }
        }
        match damage {
            Some(damage) => Err(damage),
            None => {
                progress.done(transcript.duration, job.output.as_deref());
                Ok(Ending::Written)
            }
        }
    }

    /// Reads a recording to its end, or to where it is damaged.
    fn hear(
        &self,
        reader: &mut AudioReader,
        progress: &mut FileProgress<'_>,
    ) -> Result<Heard, CliError> {
        let rate = f64::from(self.recognizer.sample_rate());
        let mut session = self.recognizer.session();
        let mut block = Vec::new();
        let mut samples = 0_usize;
        let damage = loop {
            block.clear();
            let read = reader.read(&mut block);
            session.push(&block)?;
            samples += block.len();
            progress.advance(samples as f64 / rate);
            match read {
                Ok(0) => break None,
                Ok(_) => {}
                Err(error) if samples > 0 && audio::is_damage(&error) => {
                    break Some(CliError::from(error));
                }
                Err(error) => return Err(error.into()),
            }
        };
        Ok(Heard {
            transcript: session.finish()?,
            damage,
        })
    }

    fn product<'a>(&'a self, job: &'a Job, label: &'a str) -> Option<Product<'a>> {
        match (&job.source, &job.output) {
            (Source::File(input), Some(output)) => {
                let file = (self.format == Format::Json).then_some(label);
                Some(Product {
                    input,
                    output,
                    file,
                    settings: &self.settings,
                })
            }
            _ => None,
        }
    }

    fn print(&self, label: &str, transcript: &Transcript) -> Result<(), CliError> {
        let text = if self.is_one_of_several {
            output::among_others(self.format, label, transcript)
        } else {
            output::alone(self.format, label, transcript)
        };
        output::print(text.as_bytes())
    }

    fn save(&self, label: &str, path: &Path, transcript: &Transcript) -> Result<(), CliError> {
        let text = output::alone(self.format, label, transcript);
        resume::forget(path)
            .and_then(|()| atomic::write(path, |file| file.write_all(text.as_bytes())))
            .map_err(|source| write_error(path, source))
    }
}

fn write_error(path: &Path, source: io::Error) -> CliError {
    CliError::Write {
        path: path.to_owned(),
        source,
    }
}

/// What the outputs depend on besides the recordings.
fn settings(args: &TranscribeArgs, located: &Located, recognizer: &Recognizer) -> Settings {
    Settings {
        percept: env!("CARGO_PKG_VERSION").to_owned(),
        model: located.identity(),
        precision: model::precision_name(recognizer.precision()).to_owned(),
        decoder: model::decoder_name(recognizer.model().decoder()).to_owned(),
        confidence: args.decoding.confidence.to_string(),
        language: args.decoding.language.clone(),
        format: args.format.extension().to_owned(),
    }
}
