//! Recordings and raw samples as a codec takes them.

use std::io::{self, Read};
use std::num::NonZeroUsize;

use percept::CodecSpec;
use percept::audio::{AudioFormat, AudioReader, Resampler};

use super::args::RawArgs;
use crate::audio;
use crate::error::CliError;
use crate::inputs::Source;
use crate::stream::pcm::{HEAD_BYTES, PcmError, PcmFormat, PcmStream, SampleFormat, container};

/// What is read of a pipe at once, at most.
const BLOCK_BYTES: usize = 1 << 14;

/// Where samples come from: interleaved, at the codec's rate and with its channels.
pub(crate) enum Samples {
    File(Box<AudioReader>),
    Raw(Box<RawSamples>),
}

impl Samples {
    /// Opens a recording.
    ///
    /// # Errors
    ///
    /// As [`audio::open`].
    pub(crate) fn recording(source: &Source, spec: &CodecSpec) -> Result<Self, CliError> {
        let format = AudioFormat {
            sample_rate: spec.sample_rate,
            channels: NonZeroUsize::new(spec.channels.into()).unwrap_or(NonZeroUsize::MIN),
        };
        Ok(Samples::File(Box::new(audio::open(source, format)?)))
    }

    /// Raw samples on stdin.
    ///
    /// # Errors
    ///
    /// A rate that cannot be converted, or a pipe that cannot be read.
    pub(crate) fn raw(args: &RawArgs, spec: &CodecSpec) -> Result<Self, CliError> {
        let format = PcmFormat {
            samples: args.pcm.unwrap_or(SampleFormat::S16le),
            rate: args.rate.unwrap_or(spec.sample_rate),
            channels: args.channels.unwrap_or(spec.channels).into(),
        };
        Ok(Samples::Raw(Box::new(RawSamples::new(format, spec)?)))
    }

    /// What is done to the samples, if anything.
    pub(crate) fn conversion(&self, spec: &CodecSpec) -> Option<String> {
        let (rate, channels) = match self {
            Samples::File(reader) => (reader.info().sample_rate, reader.info().channels),
            Samples::Raw(raw) => (raw.format.rate, raw.format.channels),
        };
        let wanted = usize::from(spec.channels);
        let mixed = match (channels, wanted) {
            (0, _) => None,
            (a, b) if a == b => None,
            (1, many) => Some(format!("one channel repeated in {many}")),
            (many, 1) => Some(format!("{many} channels mixed down to one")),
            (many, wanted) => Some(format!(
                "{many} channels mixed down to one, repeated in {wanted}"
            )),
        };
        let resampled = (rate != spec.sample_rate && rate != 0)
            .then(|| format!("{rate} Hz resampled to {} Hz", spec.sample_rate));
        let done: Vec<String> = mixed.into_iter().chain(resampled).collect();
        (!done.is_empty()).then(|| done.join(", "))
    }

    /// How long the recording says it is.
    pub(crate) fn seconds(&self) -> Option<f64> {
        match self {
            Samples::File(reader) => audio::seconds(reader.info()),
            Samples::Raw(_) => None,
        }
    }

    /// Appends the next block to `out` and says whether there was one.
    ///
    /// # Errors
    ///
    /// What ends the samples early, once, after all that came before.
    pub(crate) fn read(&mut self, out: &mut Vec<f32>) -> Result<bool, CliError> {
        match self {
            Samples::File(reader) => Ok(reader.read(out)? > 0),
            Samples::Raw(raw) => raw.read(out),
        }
    }
}

/// Whether what came before the error is worth keeping.
pub(crate) fn is_damage(error: &CliError) -> bool {
    match error {
        CliError::Audio(error) => audio::is_damage(error),
        CliError::Pcm(PcmError::Container { .. }) => false,
        CliError::Pcm(_) | CliError::Read { .. } => true,
        _ => false,
    }
}

/// Raw samples on stdin.
pub(crate) struct RawSamples {
    format: PcmFormat,
    pcm: PcmStream,
    channels: Channels,
    bytes: Vec<u8>,
    taken: Vec<f32>,
    is_first: bool,
    /// What comes when all samples were given.
    ending: Option<Result<(), CliError>>,
}

impl RawSamples {
    fn new(format: PcmFormat, spec: &CodecSpec) -> Result<Self, CliError> {
        let wanted = usize::from(spec.channels);
        let keeps = format.channels == wanted;
        Ok(Self {
            pcm: match keeps {
                true => PcmStream::interleaved(format),
                false => PcmStream::new(format),
            },
            channels: Channels::new(
                if keeps { wanted } else { 1 },
                wanted,
                (format.rate, spec.sample_rate),
            )?,
            format,
            bytes: vec![0; BLOCK_BYTES],
            taken: Vec::new(),
            is_first: true,
            ending: None,
        })
    }

    fn read(&mut self, out: &mut Vec<f32>) -> Result<bool, CliError> {
        let before = out.len();
        while self.ending.is_none() && out.len() == before {
            self.taken.clear();
            let ending = match self.read_some() {
                Ok(0) => Some(self.pcm.finish().map_err(CliError::from)),
                Ok(read) => self
                    .pcm
                    .push(&self.bytes[..read], &mut self.taken)
                    .err()
                    .map(|error| Err(error.into())),
                Err(error) => Some(Err(error)),
            };
            self.channels.push(&self.taken, out);
            if ending.is_some() {
                self.channels.finish(out);
                self.ending = ending;
            }
        }
        match &mut self.ending {
            Some(ending) if out.len() == before => {
                std::mem::replace(ending, Ok(())).map(|()| false)
            }
            _ => Ok(true),
        }
    }

    /// What is there, at least one byte; the head of the stream whole, so that a file is told from samples.
    fn read_some(&mut self) -> Result<usize, CliError> {
        let least = if std::mem::take(&mut self.is_first) {
            HEAD_BYTES
        } else {
            1
        };
        let mut filled = 0;
        while filled < least {
            match io::stdin().lock().read(&mut self.bytes[filled..]) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => {
                    return Err(CliError::Read {
                        path: "-".into(),
                        source,
                    });
                }
            }
        }
        match (least, container(&self.bytes[..filled])) {
            (HEAD_BYTES, Some(container)) => Err(PcmError::Container {
                container,
                format: self.format,
            }
            .into()),
            _ => Ok(filled),
        }
    }
}

/// Converts the rate of interleaved channels and repeats a single one.
struct Channels {
    /// One for each channel that comes in; none where the rate is right.
    resamplers: Vec<Resampler>,
    incoming: usize,
    /// How often every sample is written.
    repeats: usize,
    lane: Vec<f32>,
    converted: Vec<Vec<f32>>,
}

impl Channels {
    fn new(incoming: usize, outgoing: usize, (from, to): (u32, u32)) -> Result<Self, CliError> {
        let resamplers = match from == to {
            true => Vec::new(),
            false => (0..incoming)
                .map(|_| Resampler::new(from, to))
                .collect::<Result<_, _>>()?,
        };
        Ok(Self {
            resamplers,
            incoming,
            repeats: outgoing / incoming,
            lane: Vec::new(),
            converted: vec![Vec::new(); incoming],
        })
    }

    fn push(&mut self, samples: &[f32], out: &mut Vec<f32>) {
        if self.resamplers.is_empty() {
            let repeated = samples
                .iter()
                .flat_map(|&s| std::iter::repeat_n(s, self.repeats));
            return out.extend(repeated);
        }
        for (channel, resampler) in self.resamplers.iter_mut().enumerate() {
            self.lane.clear();
            self.lane
                .extend(samples.iter().skip(channel).step_by(self.incoming));
            resampler.push(&self.lane, &mut self.converted[channel]);
        }
        self.interleave(out);
    }

    fn finish(&mut self, out: &mut Vec<f32>) {
        for (resampler, converted) in self.resamplers.iter_mut().zip(&mut self.converted) {
            resampler.finish(converted);
        }
        self.interleave(out);
    }

    fn interleave(&mut self, out: &mut Vec<f32>) {
        for sample in 0..self.converted[0].len() {
            let frame = self.converted.iter().map(|channel| channel[sample]);
            out.extend(frame.flat_map(|s| std::iter::repeat_n(s, self.repeats)));
        }
        self.converted.iter_mut().for_each(Vec::clear);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_are_resampled_each_and_a_single_one_is_repeated() {
        let left: Vec<f32> = (0..5_000).map(|i| (i as f32 * 0.05).sin()).collect();
        let right: Vec<f32> = (0..5_000).map(|i| (i as f32 * 0.11).cos()).collect();
        let alone = |samples: &[f32]| {
            let (mut one, mut out) = (Channels::new(1, 1, (16_000, 24_000)).unwrap(), Vec::new());
            samples
                .chunks(777)
                .for_each(|piece| one.push(piece, &mut out));
            one.finish(&mut out);
            out
        };
        let (l, r) = (alone(&left), alone(&right));
        assert_eq!(l.len(), 7_500);
        let stereo: Vec<f32> = left
            .iter()
            .zip(&right)
            .flat_map(|(&l, &r)| [l, r])
            .collect();
        let (mut two, mut out) = (Channels::new(2, 2, (16_000, 24_000)).unwrap(), Vec::new());
        stereo
            .chunks(2 * 501)
            .for_each(|piece| two.push(piece, &mut out));
        two.finish(&mut out);
        let expected: Vec<f32> = l.iter().zip(&r).flat_map(|(&l, &r)| [l, r]).collect();
        assert!(out == expected);

        let (mut twice, mut out) = (Channels::new(1, 2, (24_000, 24_000)).unwrap(), Vec::new());
        twice.push(&[0.25, -0.5], &mut out);
        assert_eq!(out, [0.25, 0.25, -0.5, -0.5]);
    }
}
