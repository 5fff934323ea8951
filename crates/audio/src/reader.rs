//! The front door: any supported source in, samples at one rate and with one number of channels out.

use std::fs::File;
use std::io::Read;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use crate::decode::{Decoder, Event, Facts, Layout};
use crate::error::AudioError;
use crate::resample::{RATES, Resampler};
use crate::source::Source;

/// Samples are fractions of full scale, or at the most unscaled integers of 16 or 24 bits; beyond is no sound.
const MAX_AMPLITUDE: f32 = 1e8;

/// What samples are wanted as. A rate alone means mono.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AudioFormat {
    /// In Hz.
    pub sample_rate: u32,
    /// Interleaved.
    pub channels: NonZeroUsize,
}

impl From<u32> for AudioFormat {
    fn from(sample_rate: u32) -> Self {
        Self {
            sample_rate,
            channels: NonZeroUsize::MIN,
        }
    }
}

/// What a source turned out to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AudioInfo {
    /// The container: `wav`, `flac`, `mp3`, `aac`, `ogg`, `mp4`, `matroska`, `aiff` or `caf`.
    pub container: String,
    /// The codec's short name, such as `pcm_s16le`, `flac` or `opus`.
    pub codec: String,
    /// Of the source, in Hz; 0 if the source holds no samples and does not say.
    pub sample_rate: u32,
    /// Of the source; 0 if the source holds no samples and does not say.
    pub channels: usize,
    /// Samples per channel that the header announces, at `sample_rate`.
    pub frames: Option<u64>,
}

/// Reads any supported source as `f32` samples at one rate, a bounded block at a time: mono, or interleaved channels.
///
/// - The content decides what a source is, its name does not.
/// - A source that has as many channels as are asked for keeps them; others are mixed to their mean, which every channel
///   asked for gets. Samples keep the scale of the source: full scale is `[-1, 1]`, float sources may exceed it.
/// - `n` samples of a channel at `from` Hz become `ceil(n * to / from)` samples, the first at time 0. A source that already has the
///   rate asked for passes through bit for bit.
/// - Encoder delay and padding are dropped where the file states them: MP3 (LAME header), Ogg, and the start of Opus
///   everywhere.
/// - Silence stands in for a packet that cannot be decoded, so that what follows keeps its time; the error comes last.
///
/// ```
/// use percept_audio::AudioReader;
///
/// let mut wav = b"RIFF\x2c\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0\x40\x1f\0\0\x80\x3e\0\0\x02\0\x10\0data\x08\0\0\0".to_vec();
/// wav.extend([0, 0, 0, 64, 0, 0, 0, 192]);
/// let mut reader = AudioReader::from_bytes("beep", wav, 8_000)?;
/// let mut pcm = Vec::new();
/// while reader.read(&mut pcm)? > 0 {}
/// assert_eq!(pcm, [0.0, 0.5, 0.0, -0.5]);
/// # Ok::<(), percept_audio::AudioError>(())
/// ```
pub struct AudioReader {
    path: PathBuf,
    info: AudioInfo,
    format: AudioFormat,
    decoder: Decoder,
    facts: Facts,
    /// Of the block before; a change starts new resamplers.
    layout: Layout,
    /// One block, `[frames, channels]`.
    interleaved: Vec<f32>,
    /// One for each channel that was asked for; all hold equally much.
    lanes: Vec<Lane>,
    /// Samples, interleaved, converted before they were asked for.
    ready: Vec<f32>,
    /// Frames decoded so far, at the source's rate, encoder delay included.
    frames: u64,
    damage: Option<Damage>,
    state: State,
}

struct Damage {
    seconds: f64,
    packets: u64,
    detail: String,
}

/// One channel of the output.
#[derive(Default)]
struct Lane {
    /// Samples at the source's rate. Before the end it keeps back what may turn out to be padding.
    pcm: Vec<f32>,
    resampler: Option<Resampler>,
    /// At the rate asked for, until it is interleaved.
    converted: Vec<f32>,
}

impl Lane {
    /// Moves the first `samples` on, and with `at_end` what the resampler has kept back.
    fn convert(&mut self, samples: usize, at_end: bool, out: &mut Vec<f32>) {
        match &mut self.resampler {
            Some(resampler) => resampler.push(&self.pcm[..samples], out),
            None => out.extend_from_slice(&self.pcm[..samples]),
        }
        self.pcm.drain(..samples);
        if let (Some(resampler), true) = (&mut self.resampler, at_end) {
            resampler.finish(out);
        }
    }
}

enum State {
    Running,
    /// All samples were delivered; the error was not.
    Failing(AudioError),
    Done,
}

impl AudioReader {
    /// Opens the file at `path`, to be read in `format`; a rate in Hz means mono.
    ///
    /// # Errors
    /// [`AudioError`] if the file cannot be opened, is empty, is no audio, or holds a format, codec or rate that is not
    /// supported. Damage further in is reported by [`read`](Self::read).
    pub fn open(path: &Path, format: impl Into<AudioFormat>) -> Result<Self, AudioError> {
        match File::open(path) {
            Ok(file) => Self::new(path, Source::file(file), format.into()),
            Err(source) => Err(AudioError::Open {
                path: path.to_path_buf(),
                source,
            }),
        }
    }

    /// Reads `source` strictly forward, as a pipe demands. Errors call it `name`.
    ///
    /// # Errors
    /// As [`open`](Self::open), and [`AudioError::NeedsSeek`] for an MP4 or CAF whose index is at its end.
    pub fn from_source(
        name: &str,
        source: Box<dyn Read + Send + Sync>,
        format: impl Into<AudioFormat>,
    ) -> Result<Self, AudioError> {
        Self::new(Path::new(name), Source::stream(source), format.into())
    }

    /// Reads a file that is in memory. Errors call it `name`.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn from_bytes(
        name: &str,
        bytes: impl AsRef<[u8]> + Send + Sync + 'static,
        format: impl Into<AudioFormat>,
    ) -> Result<Self, AudioError> {
        Self::new(Path::new(name), Source::bytes(bytes), format.into())
    }

    fn new(path: &Path, source: Source, format: AudioFormat) -> Result<Self, AudioError> {
        let path = path.to_path_buf();
        if !RATES.contains(&format.sample_rate) {
            return Err(AudioError::SampleRate {
                path,
                rate: format.sample_rate,
            });
        }
        let decoder = Decoder::open(&path, source)?;
        let mut reader = Self {
            info: AudioInfo {
                container: decoder.container().to_string(),
                codec: decoder.codec().to_string(),
                sample_rate: decoder.layout().rate,
                channels: decoder.layout().channels,
                frames: decoder.facts.frames,
            },
            path,
            format,
            facts: decoder.facts,
            decoder,
            layout: Layout::default(),
            interleaved: Vec::new(),
            lanes: (0..format.channels.get())
                .map(|_| Lane::default())
                .collect(),
            ready: Vec::new(),
            frames: 0,
            damage: None,
            state: State::Running,
        };
        // The first block knows better than the header what the decoder gives.
        while reader.frames == 0 && matches!(reader.state, State::Running) {
            reader.step();
        }
        if reader.layout.rate != 0 {
            reader.info.sample_rate = reader.layout.rate;
            reader.info.channels = reader.layout.channels;
        }
        match std::mem::replace(&mut reader.state, State::Done) {
            State::Failing(error @ AudioError::SampleRate { .. }) => Err(error),
            state => {
                reader.state = state;
                Ok(reader)
            }
        }
    }

    /// What the source is.
    pub fn info(&self) -> &AudioInfo {
        &self.info
    }

    /// Appends the next block of samples, of all channels, to `out` and returns how many; 0 at the end.
    ///
    /// # Errors
    /// [`AudioError::Truncated`], [`AudioError::Corrupt`], [`AudioError::NotFinite`] or [`AudioError::Read`], once, when
    /// every sample that could be decoded was delivered. After that, 0.
    pub fn read(&mut self, out: &mut Vec<f32>) -> Result<usize, AudioError> {
        while self.ready.is_empty() {
            match std::mem::replace(&mut self.state, State::Done) {
                State::Running => {
                    self.state = State::Running;
                    self.step();
                }
                State::Failing(error) => return Err(error),
                State::Done => return Ok(0),
            }
        }
        let samples = self.ready.len();
        out.append(&mut self.ready);
        Ok(samples)
    }

    /// Takes one packet from the decoder.
    fn step(&mut self) {
        match self.decoder.next(&mut self.interleaved) {
            Event::Block(layout) => self.take(layout),
            Event::Damaged { frames, detail } => self.patch(frames, detail),
            Event::End => {
                let cut = self.facts.is_promise
                    && self
                        .facts
                        .frames
                        .is_some_and(|frames| self.played() < frames);
                self.end(if cut { Some(self.truncated()) } else { None });
            }
            Event::Cut => self.end(Some(self.truncated())),
            Event::Broken(detail) => {
                self.note_damage(detail);
                self.end(None);
            }
            Event::Failed(source) => self.end(Some(AudioError::Read {
                path: self.path.clone(),
                source,
            })),
        }
    }

    /// Shares a block out among the lanes and converts it.
    fn take(&mut self, layout: Layout) {
        if self.interleaved.is_empty() || layout.channels == 0 {
            return;
        }
        if layout.rate != self.layout.rate && !self.change_rate(layout.rate) {
            return;
        }
        self.layout = layout;
        let bad = self
            .interleaved
            .iter()
            .position(|x| x.is_nan() || x.abs() > MAX_AMPLITUDE);
        let frames = bad.map_or(self.interleaved.len() / layout.channels, |at| {
            at / layout.channels
        });
        let good = &self.interleaved[..frames * layout.channels];
        share_out(good, layout.channels, &mut self.lanes);
        self.advance(frames);
        if let Some(at) = bad {
            let error = AudioError::NotFinite {
                path: self.path.clone(),
                seconds: self.seconds(),
                value: self.interleaved[at],
            };
            self.end(Some(error));
        }
    }

    /// Puts silence in the place of a damaged packet.
    fn patch(&mut self, frames: u64, detail: String) {
        // MPEG audio cut out of a longer stream refers to bits before its start: that is no damage.
        let is_first = self.frames == 0 && self.info.container == "mp3";
        if !is_first {
            self.note_damage(detail);
        }
        if self.layout.rate != 0 {
            for lane in &mut self.lanes {
                lane.pcm.resize(lane.pcm.len() + frames as usize, 0.0);
            }
            self.advance(frames as usize);
        }
    }

    fn note_damage(&mut self, detail: String) {
        let seconds = self.seconds();
        let damage = self.damage.get_or_insert(Damage {
            seconds,
            packets: 0,
            detail,
        });
        damage.packets += 1;
    }

    /// Counts the last `frames` samples of every lane, drops those that are encoder delay, and converts what is certain.
    fn advance(&mut self, frames: usize) {
        let delay = self
            .facts
            .delay
            .saturating_sub(self.frames)
            .min(frames as u64) as usize;
        self.frames += frames as u64;
        let start = self.waiting() - frames;
        for lane in &mut self.lanes {
            lane.pcm.drain(start..start + delay);
        }
        self.convert(self.waiting().saturating_sub(self.facts.padding), false);
    }

    /// Samples of each lane that were not moved on yet.
    fn waiting(&self) -> usize {
        self.lanes[0].pcm.len() // there is one at least
    }

    /// Moves the first `samples` of every lane on.
    fn convert(&mut self, samples: usize, at_end: bool) {
        if let [lane] = &mut self.lanes[..] {
            return lane.convert(samples, at_end, &mut self.ready);
        }
        for lane in &mut self.lanes {
            let mut converted = std::mem::take(&mut lane.converted);
            lane.convert(samples, at_end, &mut converted);
            lane.converted = converted;
        }
        for sample in 0..self.lanes[0].converted.len() {
            let frame = self.lanes.iter().map(|lane| lane.converted[sample]);
            self.ready.extend(frame);
        }
        self.lanes
            .iter_mut()
            .for_each(|lane| lane.converted.clear());
    }

    /// Finishes what was at the old rate. `false`, and an error is set, if `rate` cannot be converted from.
    fn change_rate(&mut self, rate: u32) -> bool {
        self.flush();
        for lane in &mut self.lanes {
            lane.resampler = None;
            if rate == self.format.sample_rate {
                continue;
            }
            let Ok(resampler) = Resampler::new(rate, self.format.sample_rate) else {
                self.state = State::Failing(AudioError::SampleRate {
                    path: self.path.clone(),
                    rate,
                });
                return false;
            };
            lane.resampler = Some(resampler);
        }
        true
    }

    fn flush(&mut self) {
        self.convert(self.waiting(), true);
    }

    /// Delivers what is left and settles how the stream ended.
    fn end(&mut self, error: Option<AudioError>) {
        let Facts {
            frames,
            delay,
            padding,
            ..
        } = self.facts;
        // Padding is only where the header says if the stream is as long as the header says.
        if frames.is_some_and(|frames| self.frames == frames + delay + padding as u64) {
            let kept = self.waiting().saturating_sub(padding);
            self.lanes
                .iter_mut()
                .for_each(|lane| lane.pcm.truncate(kept));
        }
        self.flush();
        let damage = self.damage.take().map(
            |Damage {
                 seconds,
                 packets,
                 detail,
             }| {
                let path = self.path.clone();
                AudioError::Corrupt {
                    path,
                    seconds,
                    packets,
                    detail,
                }
            },
        );
        self.state = error.or(damage).map_or(State::Done, State::Failing);
    }

    /// Frames of the source so far, without the encoder's delay.
    fn played(&self) -> u64 {
        self.frames.saturating_sub(self.facts.delay)
    }

    fn seconds(&self) -> f64 {
        match self.layout.rate {
            0 => 0.0,
            rate => self.played() as f64 / f64::from(rate),
        }
    }

    fn truncated(&self) -> AudioError {
        let rate = self.info.sample_rate;
        let expected = self
            .facts
            .frames
            .filter(|_| self.facts.is_promise && rate != 0);
        AudioError::Truncated {
            path: self.path.clone(),
            seconds: self.seconds(),
            expected_seconds: expected.map(|frames| frames as f64 / f64::from(rate)),
        }
    }
}

/// Gives each lane its channel where there are as many of both, else the mean of the channels.
fn share_out(interleaved: &[f32], channels: usize, lanes: &mut [Lane]) {
    if channels == lanes.len() {
        for (channel, lane) in lanes.iter_mut().enumerate() {
            let samples = interleaved[channel.min(interleaved.len())..].iter();
            lane.pcm.extend(samples.step_by(channels));
        }
        return;
    }
    let mean = |frame: &[f32]| frame.iter().sum::<f32>() / channels as f32;
    for lane in lanes {
        lane.pcm
            .extend(interleaved.chunks_exact(channels).map(mean));
    }
}

impl std::fmt::Debug for AudioReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AudioReader")
            .field("path", &self.path)
            .field("info", &self.info)
            .finish_non_exhaustive()
    }
}
