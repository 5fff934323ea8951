//! One recording's turn: it is heard, and its transcript goes where it should.

use std::io;
use std::path::Path;

use percept::{Recognizer, Transcript};

use super::recording::Recording;
use crate::args::Format;
use crate::error::CliError;
use crate::inputs::Source;
use crate::plan::Job;
use crate::progress::{FileProgress, Place, Progress};
use crate::resume::{self, Product, Seen, Settings};
use crate::{atomic, audio, output};

/// What is the same for every recording.
pub(super) struct Run {
    pub(super) recognizer: Recognizer,
    pub(super) settings: Settings,
    pub(super) format: Format,
    pub(super) resume: bool,
    pub(super) is_one_of_several: bool,
    pub(super) progress: Progress,
}

/// A recording and its place among all.
pub(super) struct Turn<'j> {
    pub(super) job: &'j Job,
    pub(super) label: String,
    pub(super) place: Place,
}

/// How far a recording is when its turn comes.
pub(super) enum Ready<'t> {
    /// Nothing was done.
    Untouched,
    /// There is nothing to do.
    UpToDate,
    Heard(Box<Heard<'t>>),
}

/// What was understood, and what kept the rest of the recording from being read.
pub(super) struct Heard<'t> {
    pub(super) transcript: Transcript,
    pub(super) damage: Option<CliError>,
    pub(super) seen: Option<Seen>,
    pub(super) progress: FileProgress<'t>,
}

/// How a recording that did not fail ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    Written,
    UpToDate,
}

impl<'j> Turn<'j> {
    pub(super) fn of_each(jobs: &'j [Job]) -> Vec<Self> {
        let files = jobs.len();
        let turn = |(job, index): (&'j Job, usize)| Turn {
            job,
            label: job.source.label(),
            place: Place { index, files },
        };
        jobs.iter().zip(1..).map(turn).collect()
    }
}

impl Run {
    /// Does what is left to do for a recording.
    pub(super) fn end<'t>(&self, turn: &'t Turn<'_>, ready: Ready<'t>) -> Result<Ending, CliError> {
        match ready {
            Ready::Heard(heard) => return self.write(turn, *heard),
            Ready::Untouched => {
                if let Some((recording, seen)) = self.open(turn)? {
                    let heard = self.hear(turn, recording, seen);
                    return self.write(turn, heard.map_err(|error| error.about(&turn.label))?);
                }
            }
            Ready::UpToDate => {}
        }
        if let Some(output) = &turn.job.output {
            self.progress.skipped(&turn.label, output);
        }
        Ok(Ending::UpToDate)
    }

    /// Opens a recording, unless its output is up to date.
    pub(super) fn open(
        &self,
        turn: &Turn<'_>,
    ) -> Result<Option<(Recording, Option<Seen>)>, CliError> {
        let seen = match (&turn.job.source, &turn.job.output) {
            (Source::File(path), Some(_)) => Seen::look(path),
            _ => None,
        };
        if let (true, Some(product), Some(seen)) = (self.resume, self.product(turn), &seen)
            && product.is_current(seen)
        {
            return Ok(None);
        }
        let reader = audio::open(&turn.job.source, self.recognizer.sample_rate())?;
        Ok(Some((Recording::new(reader), seen)))
    }

    /// Recognises a recording while it is read, to its end or to where it is damaged.
    fn hear<'t>(
        &self,
        turn: &'t Turn<'_>,
        mut recording: Recording,
        seen: Option<Seen>,
    ) -> Result<Heard<'t>, CliError> {
        let seconds = recording.seconds();
        let mut progress = self.progress.start(&turn.label, turn.place, seconds);
        let rate = f64::from(self.recognizer.sample_rate());
        let mut session = self.recognizer.session();
        let (mut block, mut samples) = (Vec::new(), 0);
        while recording.read(&mut block)? > 0 {
            session.push(&block)?;
            samples += block.len();
            progress.advance(samples as f64 / rate);
            block.clear();
        }
        Ok(Heard {
            transcript: session.finish()?,
            damage: recording.into_damage(),
            seen,
            progress,
        })
    }

    fn write(&self, turn: &Turn<'_>, heard: Heard<'_>) -> Result<Ending, CliError> {
        let Heard {
            transcript,
            damage,
            seen,
            mut progress,
        } = heard;
        progress.clear();
        match &turn.job.output {
            None => self.print(&turn.label, &transcript)?,
            Some(path) => {
                self.save(&turn.label, path, &transcript)?;
                if let (None, Some(product), Some(seen)) = (&damage, self.product(turn), &seen) {
                    product
                        .remember(seen)
                        .map_err(|source| write_error(path, source))?;
                }
            }
        }
        match damage {
            Some(damage) => Err(damage),
            None => {
                progress.done(transcript.duration, turn.job.output.as_deref());
                Ok(Ending::Written)
            }
        }
    }

    fn product<'a>(&'a self, turn: &'a Turn<'_>) -> Option<Product<'a>> {
        match (&turn.job.source, &turn.job.output) {
            (Source::File(input), Some(output)) => {
                let file = (self.format == Format::Json).then_some(turn.label.as_str());
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
