//! What is recognised while the clock runs.

use std::path::Path;

use percept::audio::AudioReader;

use super::args::ALLOWED_SECONDS;
use crate::audio;
use crate::error::CliError;
use crate::inputs::Source;

/// Speech without pauses to speak of, so that the decoder has its usual work.
const BUILT_IN: &[u8] = include_bytes!("../../../../models/tiny-en/samples/hello.wav");

/// Samples, and the name they go by.
pub(super) struct Recording {
    pub(super) name: String,
    pcm: Vec<f32>,
}

impl Recording {
    /// The longest of `seconds` of a recording, or all of it where none are given; the built-in one, again and again,
    /// without a file.
    ///
    /// # Errors
    ///
    /// A recording that is damaged or shorter than asked for.
    pub(super) fn read(
        file: Option<&Path>,
        sample_rate: u32,
        seconds: &[f64],
    ) -> Result<Self, CliError> {
        let longest = seconds.iter().copied().reduce(f64::max);
        let most = longest.map_or(usize::MAX, |seconds| samples(seconds, sample_rate));
        let Some(path) = file else {
            let mut reader = AudioReader::from_bytes("built-in", BUILT_IN, sample_rate)?;
            let mut once = Vec::new();
            read(&mut reader, usize::MAX, &mut once)?;
            return Ok(Self {
                name: "built-in".to_owned(),
                pcm: once.iter().copied().cycle().take(most).collect(),
            });
        };
        let source = Source::from_argument(path);
        let mut pcm = Vec::new();
        read(&mut audio::open(&source, sample_rate)?, most, &mut pcm)?;
        let needed = longest.unwrap_or(*ALLOWED_SECONDS.start());
        if pcm.len() < samples(needed, sample_rate) {
            return Err(CliError::TooShort {
                file: source.label(),
                seconds: pcm.len() as f64 / f64::from(sample_rate),
                needed,
            });
        }
        Ok(Self {
            name: source.label(),
            pcm,
        })
    }

    /// All of it.
    pub(super) fn into_pcm(self) -> Vec<f32> {
        self.pcm
    }

    /// The beginnings of these lengths; the whole where none are given.
    pub(super) fn pieces(&self, seconds: &[f64], sample_rate: u32) -> Vec<&[f32]> {
        if seconds.is_empty() {
            return vec![&self.pcm];
        }
        let piece = |seconds: &f64| &self.pcm[..samples(*seconds, sample_rate)];
        seconds.iter().map(piece).collect()
    }
}

fn samples(seconds: f64, sample_rate: u32) -> usize {
    (seconds * f64::from(sample_rate)).round() as usize
}

/// Reads until `most` samples are there, or to the end.
fn read(reader: &mut AudioReader, most: usize, pcm: &mut Vec<f32>) -> Result<(), CliError> {
    while pcm.len() < most && reader.read(pcm)? > 0 {}
    pcm.truncate(most);
    Ok(())
}
