//! What `--plot` draws, collected while the work goes on.

use std::path::Path;

use percept::{Codec, CodecSpec, Codes};

use super::info::counted;
use super::plot::{self, Book, CodeRow, Labels, Panels, Spectrogram};
use crate::atomic;
use crate::error::CliError;

/// The recording, the codes and what is decoded, in bounded memory.
pub(crate) struct Drawing {
    spec: CodecSpec,
    source: Option<Spectrogram>,
    decoded: Spectrogram,
    rows: Vec<CodeRow>,
}

impl Drawing {
    /// Of a codec; with the recording or without.
    pub(crate) fn new(codec: &Codec, has_source: bool) -> Self {
        let spec = codec.spec().clone();
        let spectrogram = || Spectrogram::new(spec.sample_rate, spec.channels);
        Self {
            source: has_source.then(spectrogram),
            decoded: spectrogram(),
            rows: Vec::new(),
            spec,
        }
    }

    pub(crate) fn source(&mut self, samples: &[f32]) {
        if let Some(source) = &mut self.source {
            source.push(samples);
        }
    }

    pub(crate) fn decoded(&mut self, samples: &[f32]) {
        self.decoded.push(samples);
    }

    pub(crate) fn codes(&mut self, codes: &Codes) {
        self.rows.resize_with(codes.books(), CodeRow::default);
        for (book, row) in self.rows.iter_mut().enumerate() {
            row.push(codes.book(book));
        }
    }

    /// Writes the picture.
    ///
    /// # Errors
    ///
    /// Where the file cannot be written.
    pub(crate) fn save(mut self, path: &Path, title: &str, model: &str) -> Result<(), CliError> {
        if let Some(source) = &mut self.source {
            source.finish();
        }
        self.decoded.finish();
        let frame = f64::from(self.spec.hop) / f64::from(self.spec.sample_rate);
        let books = self
            .rows
            .iter()
            .zip(&*self.spec.books)
            .map(|(row, book)| Book {
                row,
                size: book.size,
                seconds: frame * f64::from(book.stride),
            });
        let panels = Panels {
            source: self.source.as_ref(),
            decoded: &self.decoded,
            books: books.collect(),
        };
        let labels = Labels {
            title: title.to_owned(),
            facts: format!(
                "{model}: {}, {:.2} kbit/s at {} Hz",
                counted(self.rows.len(), "book"),
                self.spec.bitrate(self.rows.len()) / 1000.0,
                self.spec.sample_rate
            ),
        };
        let picture = plot::svg(&labels, &panels);
        atomic::write(path, |file| file.write_all(picture.as_bytes())).map_err(|source| {
            CliError::Write {
                path: path.to_owned(),
                source,
            }
        })
    }
}
