//! What is said about the times of streams: a table on stderr, and a picture.

use std::path::Path;

use percept::Recognizer;

use super::args::LiveArgs;
use super::context::Context;
use super::drive::Driver;
use super::plot::{self, Labels};
use crate::error::CliError;
use crate::progress::to_stderr;
use crate::{atomic, model};

/// What the times are of.
pub(crate) struct About<'a> {
    /// The name of the model.
    pub(crate) model: &'a str,
    pub(crate) recognizer: &'a Recognizer,
    pub(crate) context: &'a Context,
    /// What was recognised.
    pub(crate) streams: &'a str,
}

/// Writes what was asked for.
///
/// # Errors
///
/// A picture that cannot be written.
pub(crate) fn write(
    args: &LiveArgs,
    about: &About<'_>,
    driver: &Driver<'_>,
) -> Result<(), CliError> {
    let facts = about.facts(driver.is_measured());
    if args.stats {
        to_stderr(&format!("{facts}\n{}", driver.metrics()));
    }
    if let (Some(path), Some(times)) = (&args.plot, &driver.times) {
        let labels = Labels {
            title: format!("How late tokens were final: {}", about.short_name()),
            facts,
            context: about.context.latency(about.recognizer.model()),
        };
        save(path, &plot::svg(&labels, &times.tokens))?;
    }
    Ok(())
}

impl About<'_> {
    /// The name of a file without its folders.
    fn short_name(&self) -> String {
        let name = Path::new(self.streams).file_name();
        name.map_or_else(
            || self.streams.to_owned(),
            |name| name.display().to_string(),
        )
    }

    /// In one line.
    fn facts(&self, is_measured: bool) -> String {
        let precision = model::precision_name(self.recognizer.precision());
        let threads = match self.recognizer.threads() {
            1 => "1 thread".to_owned(),
            threads => format!("{threads} threads"),
        };
        let pace = match is_measured {
            true => "measured",
            false => "as if the audio had come at its own speed",
        };
        let context = self.context.describe(self.recognizer.model());
        format!(
            "{}, {context}, {precision} on {threads}, {pace}",
            self.model
        )
    }
}

fn save(path: &Path, picture: &str) -> Result<(), CliError> {
    atomic::write(path, |file| file.write_all(picture.as_bytes())).map_err(|source| {
        CliError::Write {
            path: path.to_owned(),
            source,
        }
    })
}
