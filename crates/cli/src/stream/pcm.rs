//! Raw samples from a pipe, in pieces of any size.

use clap::ValueEnum;

/// Beyond this a float is no sample, even if it was never scaled to full scale 1.
const MAX_AMPLITUDE: f32 = 1e8;

/// How a sample is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SampleFormat {
    /// Integers of 16 bits, little-endian
    S16le,
    /// Floats of 32 bits, little-endian; full scale is 1
    F32le,
}

impl SampleFormat {
    fn bytes(self) -> usize {
        match self {
            SampleFormat::S16le => 2,
            SampleFormat::F32le => 4,
        }
    }

    fn name(self) -> &'static str {
        match self {
            SampleFormat::S16le => "s16le",
            SampleFormat::F32le => "f32le",
        }
    }

    fn value(self, bytes: &[u8]) -> f32 {
        match self {
            SampleFormat::S16le => f32::from(i16::from_le_bytes([bytes[0], bytes[1]])) / 32_768.0,
            SampleFormat::F32le => f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]),
        }
    }
}

/// What raw samples are, which nothing in them says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PcmFormat {
    pub(crate) samples: SampleFormat,
    pub(crate) rate: u32,
    /// Interleaved; at least 1.
    pub(crate) channels: usize,
}

/// What is wrong with raw samples. All that came before was used.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub(crate) enum PcmError {
    #[error(
        "-: ends within a sample, {left_over} bytes after the last whole one of {sample_bytes}; check --pcm and --channels"
    )]
    Partial {
        left_over: usize,
        /// Of all channels together.
        sample_bytes: usize,
    },
    #[error("-: the sample at {seconds:.3} s is {value}, which is no sound; check --pcm")]
    NoSound { seconds: f64, value: f32 },
    #[error(
        "-: begins as a {container} file does, but --stream and `percept stream` take raw samples from stdin; name the file, or decode it first: ffmpeg -i FILE -f {} -ac {} -ar {} -",
        format.samples.name(), format.channels, format.rate
    )]
    Container {
        container: &'static str,
        /// What was expected.
        format: PcmFormat,
    },
}

/// The container whose files begin with these bytes.
pub(crate) fn container(head: &[u8]) -> Option<&'static str> {
    let containers: [(&[u8], &'static str); 4] = [
        (b"RIFF", "WAV"),
        (b"fLaC", "FLAC"),
        (b"OggS", "Ogg"),
        (b"ID3", "MP3"),
    ];
    let found = containers.iter().find(|(mark, _)| head.starts_with(mark));
    found.map(|&(_, name)| name)
}

/// Longest mark that [`container`] knows.
pub(crate) const HEAD_BYTES: usize = 4;

/// Takes raw samples as they arrive, mixed down to mono or not. How they are cut changes nothing, not even within a sample.
#[derive(Debug)]
pub(crate) struct PcmStream {
    format: PcmFormat,
    keeps_channels: bool,
    /// The beginning of a sample, of all channels together.
    partial: Vec<u8>,
    /// Samples per channel so far.
    taken: u64,
}

impl PcmStream {
    /// Gives the mean over the channels.
    pub(crate) fn new(format: PcmFormat) -> Self {
        Self {
            format,
            keeps_channels: false,
            partial: Vec::with_capacity(format.samples.bytes() * format.channels),
            taken: 0,
        }
    }

    /// Gives every channel, interleaved.
    pub(crate) fn interleaved(format: PcmFormat) -> Self {
        Self {
            keeps_channels: true,
            ..Self::new(format)
        }
    }

    /// Appends every sample that is complete.
    ///
    /// # Errors
    ///
    /// [`PcmError::NoSound`] for what is no number or far too large; the samples before it were appended.
    pub(crate) fn push(&mut self, mut bytes: &[u8], out: &mut Vec<f32>) -> Result<(), PcmError> {
        let sample_bytes = self.sample_bytes();
        if !self.partial.is_empty() {
            let missing = sample_bytes - self.partial.len();
            let (now, later) = bytes.split_at(missing.min(bytes.len()));
            self.partial.extend_from_slice(now);
            bytes = later;
            if self.partial.len() < sample_bytes {
                return Ok(());
            }
            let whole = std::mem::take(&mut self.partial);
            self.take(&whole, out)?;
            self.partial = whole;
            self.partial.clear();
        }
        let whole = bytes.chunks_exact(sample_bytes);
        self.partial.extend_from_slice(whole.remainder());
        for sample in whole {
            self.take(sample, out)?;
        }
        Ok(())
    }

    /// Ends the samples.
    ///
    /// # Errors
    ///
    /// [`PcmError::Partial`] if the last one is not complete.
    pub(crate) fn finish(&self) -> Result<(), PcmError> {
        match self.partial.len() {
            0 => Ok(()),
            left_over => Err(PcmError::Partial {
                left_over,
                sample_bytes: self.sample_bytes(),
            }),
        }
    }

    fn sample_bytes(&self) -> usize {
        self.format.samples.bytes() * self.format.channels
    }

    fn take(&mut self, sample: &[u8], out: &mut Vec<f32>) -> Result<(), PcmError> {
        let (mut sum, before) = (0.0, out.len());
        for bytes in sample.chunks_exact(self.format.samples.bytes()) {
            let value = self.format.samples.value(bytes);
            if value.is_nan() || value.abs() > MAX_AMPLITUDE {
                out.truncate(before);
                let seconds = self.taken as f64 / f64::from(self.format.rate);
                return Err(PcmError::NoSound { seconds, value });
            }
            match self.keeps_channels {
                true => out.push(value),
                false => sum += value,
            }
        }
        if !self.keeps_channels {
            out.push(sum / self.format.channels as f32);
        }
        self.taken += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn format(samples: SampleFormat, channels: usize) -> PcmFormat {
        PcmFormat {
            samples,
            rate: 16_000,
            channels,
        }
    }

    /// Pushes pieces of up to `longest` bytes.
    fn mono(format: PcmFormat, bytes: &[u8], longest: usize) -> (Vec<f32>, Result<(), PcmError>) {
        let (mut stream, mut out) = (PcmStream::new(format), Vec::new());
        let mut rest = bytes;
        let mut step = 0;
        while !rest.is_empty() {
            step = (step * 31 + 17) % (longest + 1);
            let (now, later) = rest.split_at(step.max(1).min(rest.len()));
            if let Err(error) = stream.push(now, &mut out) {
                return (out, Err(error));
            }
            rest = later;
        }
        (out, stream.finish())
    }

    #[test]
    fn samples_are_the_same_however_their_bytes_are_cut() {
        let bytes: Vec<u8> = (0..4_800_u32).map(|i| (i * 37 % 64) as u8).collect();
        for samples in [SampleFormat::S16le, SampleFormat::F32le] {
            for channels in [1, 2, 3, 64] {
                let format = format(samples, channels);
                let whole = mono(format, &bytes, bytes.len());
                assert_eq!(whole.0.len(), bytes.len() / (samples.bytes() * channels));
                for longest in [1, 2, 3, 7, 100] {
                    assert_eq!(mono(format, &bytes, longest), whole, "{format:?} {longest}");
                }
            }
        }
    }

    #[test]
    fn full_scale_is_one_and_channels_are_their_mean() {
        let bytes: Vec<u8> = [i16::MIN, 0, 16_384, -16_384, i16::MAX, i16::MAX]
            .iter()
            .flat_map(|sample| sample.to_le_bytes())
            .collect();
        let (stereo, end) = mono(format(SampleFormat::S16le, 2), &bytes, 1);
        assert_eq!(
            (stereo, end),
            (vec![-0.5, 0.0, 32_767.0 / 32_768.0], Ok(()))
        );
        let (mut kept, mut out) = (
            PcmStream::interleaved(format(SampleFormat::S16le, 2)),
            Vec::new(),
        );
        bytes
            .chunks(3)
            .for_each(|piece| kept.push(piece, &mut out).unwrap());
        assert_eq!(out[..4], [-1.0, 0.0, 0.5, -0.5]);
    }

    #[test]
    fn what_is_left_over_is_an_error_after_everything_was_used() {
        let (out, end) = mono(format(SampleFormat::S16le, 2), &[0; 4 * 10 + 3], 5);
        let error = PcmError::Partial {
            left_over: 3,
            sample_bytes: 4,
        };
        assert_eq!((out.len(), end), (10, Err(error)));
        assert_eq!(
            mono(format(SampleFormat::F32le, 1), &[], 1),
            (vec![], Ok(()))
        );
    }

    #[test]
    fn what_is_no_number_ends_the_samples_at_its_place() {
        for bad in [f32::NAN, f32::INFINITY, -1e9] {
            let bytes: Vec<u8> = [0.5, 0.25, bad, 0.5]
                .iter()
                .flat_map(|sample: &f32| sample.to_le_bytes())
                .collect();
            let (out, end) = mono(format(SampleFormat::F32le, 1), &bytes, 3);
            assert_eq!(out, [0.5, 0.25]);
            let error = end.unwrap_err().to_string();
            assert!(
                error.contains("0.000 s") && error.contains("--pcm"),
                "{error}"
            );
        }
    }

    #[test]
    fn files_are_told_from_samples() {
        assert_eq!(container(b"RIFF\x24\0\0\0WAVE"), Some("WAV"));
        assert_eq!(container(b"\0\0\0\0RIFF"), None);
        assert_eq!(container(b"RI"), None);
    }
}
