//! A recording that is being read.

use percept::audio::AudioReader;

use crate::audio;
use crate::error::CliError;

/// A recording whose samples come a block at a time.
pub(super) struct Recording {
    reader: AudioReader,
    samples: usize,
    damage: Option<CliError>,
}

impl Recording {
    pub(super) fn new(reader: AudioReader) -> Self {
        Self {
            reader,
            samples: 0,
            damage: None,
        }
    }

    /// How long it says it is.
    pub(super) fn seconds(&self) -> Option<f64> {
        audio::seconds(self.reader.info())
    }

    /// Appends the next samples to `pcm` and says how many; 0 at the end, and where the rest is damaged.
    ///
    /// # Errors
    ///
    /// What leaves nothing worth writing down.
    pub(super) fn read(&mut self, pcm: &mut Vec<f32>) -> Result<usize, CliError> {
        match self.reader.read(pcm) {
            Ok(read) => {
                self.samples += read;
                Ok(read)
            }
            Err(error) if self.samples > 0 && audio::is_damage(&error) => {
                self.damage = Some(error.into());
                Ok(0)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// What kept the rest from being read.
    pub(super) fn into_damage(self) -> Option<CliError> {
        self.damage
    }
}
