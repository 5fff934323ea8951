//! A transcript as the text of one output format, and the way to stdout.

use std::io::{self, Write};

use percept::Transcript;
use serde::Serialize;

use crate::args::Format;
use crate::error::CliError;
use crate::subtitles;

/// A transcript under the name of its recording.
#[derive(Serialize)]
struct Named<'a> {
    file: &'a str,
    #[serde(flatten)]
    transcript: &'a Transcript,
}

/// The contents of an output file, or all of stdout for one recording.
pub(crate) fn alone(format: Format, file: &str, transcript: &Transcript) -> String {
    match format {
        Format::Text => format!("{}\n", transcript.text),
        Format::Json => {
            let named = Named { file, transcript };
            let json =
                serde_json::to_string(&named).expect("a transcript holds strings and numbers only");
            json + "\n"
        }
        Format::Srt => subtitles::srt(&transcript.segments),
        Format::Vtt => subtitles::vtt(&transcript.segments),
        Format::Tsv => subtitles::tsv(&transcript.segments),
    }
}

/// The line of one recording among several on stdout.
pub(crate) fn among_others(format: Format, file: &str, transcript: &Transcript) -> String {
    match format {
        Format::Text => format!("{file}: {}\n", transcript.text),
        other => alone(other, file, transcript),
    }
}

/// Writes to stdout to the end, or says why not.
pub(crate) fn print(text: &[u8]) -> Result<(), CliError> {
    let mut stdout = io::stdout().lock();
    stdout
        .write_all(text)
        .and_then(|()| stdout.flush())
        .map_err(|source| CliError::Stdout { source })
}
