//! Containers and codecs: a source of bytes in, interleaved samples out, packet by packet.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use symphonia::core::codecs::CodecParameters;
use symphonia::core::codecs::audio::well_known::*;
use symphonia::core::codecs::audio::{
    AudioCodecId, AudioCodecParameters, AudioDecoder, AudioDecoderOptions,
};
use symphonia::core::common::Limit;
use symphonia::core::errors::Error;
use symphonia::core::formats::probe::Hint;
use symphonia::core::formats::{FormatOptions, FormatReader, Track, TrackType};
use symphonia::core::io::{MediaSource as _, MediaSourceStream};
use symphonia::core::meta::MetadataOptions;
use symphonia::core::packet::Packet;

use crate::error::AudioError;
use crate::mp4;
use crate::opus::{OPUS_RATE, OpusPackets};
use crate::sniff::{Content, looks, sniff};
use crate::source::Source;
use crate::wav::{self, WavError};

/// Pictures in tags are skipped; a tag may take this much memory.
const MAX_TAG_BYTES: usize = 1 << 20;

/// How samples lie in a decoded block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Layout {
    /// In Hz.
    pub(crate) rate: u32,
    pub(crate) channels: usize,
}

/// One turn of [`Decoder::next`].
pub(crate) enum Event {
    /// The buffer holds a block of samples, which may be empty.
    Block(Layout),
    /// A packet of this many frames could not be decoded, and why.
    Damaged { frames: u64, detail: String },
    /// The stream is over.
    End,
    /// The stream stops short.
    Cut,
    /// The rest of the stream cannot be read.
    Broken(String),
    /// The system failed to deliver bytes.
    Failed(std::io::Error),
}

/// What turns the packets of one track into samples.
enum Codec {
    Symphonia(Box<dyn AudioDecoder>),
    Opus(Box<OpusPackets>),
}

impl Codec {
    fn decode(&mut self, packet: &Packet, out: &mut Vec<f32>) -> Result<Layout, Error> {
        match self {
            Self::Symphonia(decoder) => {
                let block = decoder.decode(packet)?;
                block.copy_to_vec_interleaved(out);
                Ok(Layout {
                    rate: block.spec().rate(),
                    channels: block.spec().channels().count(),
                })
            }
            Self::Opus(opus) => {
                let trim_end = usize::try_from(packet.trim_end.get()).unwrap_or(usize::MAX);
                let done = opus.decode(&packet.data, trim_end, out);
                done.map_err(|_| Error::DecodeError("invalid opus packet"))?;
                Ok(Layout {
                    rate: OPUS_RATE,
                    channels: opus.channels(),
                })
            }
        }
    }
}

/// A track being decoded.
pub(crate) struct Decoder {
    path: PathBuf,
    content: Content,
    container: &'static str,
    format: Box<dyn FormatReader>,
    track: u32,
    codec: Codec,
    codec_name: String,
    layout: Layout,
    /// Where the last packet of any track ended.
    reached_seconds: f64,
    pub(crate) facts: Facts,
}

/// What the header says about the length of a track.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Facts {
    /// Frames of the source, without encoder delay and padding.
    pub(crate) frames: Option<u64>,
    /// Whether fewer than `frames` frames mean that the file was cut short.
    pub(crate) is_promise: bool,
    /// Frames at the start and at the end that the encoder added and the decoder does not drop by itself.
    pub(crate) delay: u64,
    pub(crate) padding: usize,
}

impl Decoder {
    /// Recognises the content of `source`, reads its header and picks the first audio track that can be decoded.
    pub(crate) fn open(path: &Path, mut source: Source) -> Result<Self, AudioError> {
        let path = path.to_path_buf();
        let head = source.peek().map_err(|source| AudioError::Read {
            path: path.clone(),
            source,
        })?;
        let content = sniff(&head);
        let mut wav_frames = None;
        let index = match content {
            Content::Mp4 => source.mp4_index(&head),
            _ => mp4::Index::default(),
        };
        let is_seekable = source.is_seekable();
        let source = match content {
            _ if head.is_empty() => return Err(AudioError::Empty { path }),
            Content::Unknown => {
                return Err(AudioError::UnknownFormat {
                    path,
                    looks: looks(&head),
                });
            }
            Content::Unsupported(format) => {
                return Err(AudioError::UnsupportedFormat { path, format });
            }
            Content::Wave => {
                let wav = wav::open(source).map_err(|error| wav_error(&path, error))?;
                wav_frames = wav.frames;
                wav.source
            }
            // Given a source that can seek, the demuxer of MPEG audio guesses a length from the bit rate and cuts the
            // stream there, and those of AIFF and Matroska want to see the end of the file before its first sample.
            Content::Mpeg | Content::Id3 | Content::Aiff | Content::Matroska => {
                source.forward_only()
            }
            Content::Mp4 if index.is_forward() => source.forward_only(),
            _ => source,
        };
        let format = guarded(|| probe(source)).map_err(|error| match error {
            // The demuxer found no index, and could not go on to look for it behind the samples.
            Error::Unsupported(_) | Error::IoError(_)
                if matches!(content, Content::Mp4 | Content::Caf) && !is_seekable =>
            {
                let (path, container) = (path.clone(), content.name());
                AudioError::NeedsSeek { path, container }
            }
            error => open_error(&path, content, error),
        })?;
        let container = if content == Content::Id3 {
            format.format_info().short_name
        } else {
            content.name()
        };
        let (track, codec) = pick(&path, content, container, &*format)?;
        let (track, params) = (
            track.clone(),
            audio_params(track).cloned().unwrap_or_default(),
        );
        let mut facts = facts(content, &track, wav_frames);
        if let Some(start) = index.start(track.id) {
            let rate = params.sample_rate.unwrap_or(start.timescale);
            facts.delay = start.media_time.saturating_mul(rate.into()) / u64::from(start.timescale);
            facts.frames = facts
                .frames
                .map(|frames| frames.saturating_sub(facts.delay));
            // Opus drops what its own header says, which is the same.
            if matches!(codec, Codec::Opus(_)) {
                facts.delay = 0;
            }
        }
        let codec_name = codec_name(&codec);
        let channels = params
            .channels
            .as_ref()
            .map_or(0, |channels| channels.count());
        let layout = Layout {
            rate: params.sample_rate.unwrap_or(0),
            channels,
        };
        Ok(Self {
            path,
            content,
            container,
            track: track.id,
            format,
            codec,
            codec_name,
            layout,
            reached_seconds: 0.0,
            facts,
        })
    }

    pub(crate) fn container(&self) -> &'static str {
        self.container
    }

    pub(crate) fn codec(&self) -> &str {
        &self.codec_name
    }

    /// What the header says; a decoder may know better.
    pub(crate) fn layout(&self) -> Layout {
        self.layout
    }

    /// Reads one packet and decodes it into `out`, which is replaced.
    pub(crate) fn next(&mut self, out: &mut Vec<f32>) -> Event {
        out.clear();
        let packet = match guarded(|| self.format.next_packet()) {
            Ok(Some(packet)) => packet,
            Ok(None) => return Event::End,
            Err(Error::ResetRequired) => return self.reopen(),
            Err(Error::IoError(error)) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                return if self.may_end_here() {
                    Event::End
                } else {
                    Event::Cut
                };
            }
            Err(Error::IoError(error)) => return Event::Failed(error),
            Err(error) => return Event::Broken(error.to_string()),
        };
        self.reached_seconds = self.reached_seconds.max(self.end_seconds(&packet));
        if packet.track_id != self.track {
            return Event::Block(self.layout);
        }
        match guarded(|| self.codec.decode(&packet, out)) {
            Ok(layout) => {
                self.layout = layout;
                out.truncate(self.stated_frames(&packet).saturating_mul(layout.channels));
                Event::Block(layout)
            }
            Err(error) => {
                out.clear();
                Event::Damaged {
                    frames: self.frames_of(&packet),
                    detail: error.to_string(),
                }
            }
        }
    }

    /// Whether the stream may end without a word from the container. WAV and CAF written to a pipe leave their length
    /// open; Matroska has no end mark, only a duration, of which the last packet may fall a little short.
    fn may_end_here(&self) -> bool {
        const SLACK_SECONDS: f64 = 0.25;
        let media = self.format.media_info();
        match self.content {
            Content::Wave | Content::Caf => self.facts.frames.is_none(),
            Content::Matroska => {
                media
                    .duration
                    .zip(media.time_base)
                    .is_none_or(|(duration, base)| {
                        let ticks_per_second =
                            f64::from(base.denom.get()) / f64::from(base.numer.get());
                        self.reached_seconds + SLACK_SECONDS
                            >= duration.get() as f64 / ticks_per_second
                    })
            }
            _ => false,
        }
    }

    /// When `packet`, of any track, ends.
    fn end_seconds(&self, packet: &Packet) -> f64 {
        let track = self
            .format
            .tracks()
            .iter()
            .find(|track| track.id == packet.track_id);
        let base = track.and_then(|track| track.time_base);
        base.map_or(0.0, |base| {
            let ticks_per_second = f64::from(base.denom.get()) / f64::from(base.numer.get());
            (packet.pts.get() as f64 + packet.dur.get() as f64) / ticks_per_second
        })
    }

    /// Frames of `packet` that are to be heard. MP4 says so by the duration of the last packet, if it
    /// counts in samples.
    fn stated_frames(&self, packet: &Packet) -> usize {
        let track = self
            .format
            .tracks()
            .iter()
            .find(|track| track.id == self.track);
        let ticks_per_second = track
            .and_then(|track| track.time_base)
            .map(|base| base.denom.get());
        match self.content == Content::Mp4 && ticks_per_second == Some(self.layout.rate) {
            true => usize::try_from(packet.dur.get()).unwrap_or(usize::MAX),
            false => usize::MAX,
        }
    }

    /// Frames that `packet` stands for.
    fn frames_of(&self, packet: &Packet) -> u64 {
        let track = self
            .format
            .tracks()
            .iter()
            .find(|track| track.id == self.track);
        let Some(time_base) = track.and_then(|track| track.time_base) else {
            return 0;
        };
        let ticks = u128::from(packet.dur.get());
        let frames = ticks * u128::from(time_base.numer.get()) * u128::from(self.layout.rate)
            / u128::from(time_base.denom.get());
        // A packet that claims more than this is not to be believed.
        frames.min(u128::from(self.layout.rate)) as u64
    }

    /// Goes on with the next of several streams laid end to end, as internet radio does.
    fn reopen(&mut self) -> Event {
        match pick(&self.path, self.content, self.container, &*self.format) {
            Ok((track, codec)) => {
                self.track = track.id;
                self.codec = codec;
                self.facts = Facts::default();
                Event::Block(self.layout)
            }
            Err(error) => Event::Broken(error.to_string()),
        }
    }
}

/// Runs a demuxer or decoder, which hostile input may make panic; after that it is not used again.
fn guarded<T>(run: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    catch_unwind(AssertUnwindSafe(run)).unwrap_or(Err(Error::LimitError("the decoder gave up")))
}

fn probe(source: Source) -> Result<Box<dyn FormatReader>, Error> {
    let stream = MediaSourceStream::new(Box::new(source), Default::default());
    let metadata = MetadataOptions::default()
        .limit_tag_bytes(Limit::Maximum(MAX_TAG_BYTES))
        .limit_visual_bytes(Limit::Maximum(0));
    symphonia::default::get_probe().probe(&Hint::new(), stream, FormatOptions::default(), metadata)
}

fn audio_params(track: &Track) -> Option<&AudioCodecParameters> {
    match &track.codec_params {
        Some(CodecParameters::Audio(params)) => Some(params),
        _ => None,
    }
}

/// The default audio track, or the first other one, that can be decoded.
fn pick<'a>(
    path: &Path,
    content: Content,
    container: &'static str,
    format: &'a dyn FormatReader,
) -> Result<(&'a Track, Codec), AudioError> {
    let default = format.default_track(TrackType::Audio).map(|track| track.id);
    let mut tracks: Vec<&Track> = format
        .tracks()
        .iter()
        .filter(|track| audio_params(track).is_some())
        .collect();
    tracks.sort_by_key(|track| Some(track.id) != default);
    let mut refused = None;
    for track in tracks {
        let Some(params) = audio_params(track) else {
            continue;
        };
        match make_codec(content, params) {
            Ok(codec) => return Ok((track, codec)),
            Err(codec) => refused = refused.or(Some(codec)),
        }
    }
    let (path, container) = (path.to_path_buf(), container.to_string());
    Err(match refused {
        Some(codec) => AudioError::UnsupportedCodec {
            path,
            container,
            codec,
        },
        None => AudioError::NoAudio { path, container },
    })
}

/// A decoder for `params`, or the name of the codec that has none.
fn make_codec(content: Content, params: &AudioCodecParameters) -> Result<Codec, String> {
    if params.codec == CODEC_ID_OPUS {
        let head = params.extra_data.as_deref().unwrap_or_default();
        let opus = OpusPackets::new(head, content == Content::Mp4);
        return opus
            .map(Box::new)
            .map(Codec::Opus)
            .ok_or_else(|| "Opus with an unknown header".into());
    }
    // MPEG audio is trimmed by the reader, which knows whether the stream kept the length that its header promises.
    let options =
        AudioDecoderOptions::default().gapless(content != Content::Mpeg && content != Content::Id3);
    let made = guarded(|| symphonia::default::get_codecs().make_audio_decoder(params, &options));
    made.map(Codec::Symphonia)
        .map_err(|error| match unsupported_name(params.codec) {
            Some(name) => name.to_string(),
            None => error.to_string(),
        })
}

fn codec_name(codec: &Codec) -> String {
    match codec {
        Codec::Symphonia(decoder) => decoder.codec_info().short_name.to_string(),
        Codec::Opus(_) => "opus".to_string(),
    }
}

fn unsupported_name(codec: AudioCodecId) -> Option<&'static str> {
    Some(match codec {
        CODEC_ID_ADPCM_G722 => "G.722",
        CODEC_ID_ADPCM_G726 | CODEC_ID_ADPCM_G726LE => "G.726",
        CODEC_ID_SPEEX => "Speex",
        CODEC_ID_MUSEPACK => "Musepack",
        CODEC_ID_AC3 => "AC-3",
        CODEC_ID_EAC3 => "E-AC-3",
        CODEC_ID_AC4 => "AC-4",
        CODEC_ID_DCA => "DTS",
        CODEC_ID_WMA => "Windows Media Audio",
        CODEC_ID_WAVPACK => "WavPack",
        CODEC_ID_MONKEYS_AUDIO => "Monkey's Audio",
        CODEC_ID_TTA => "True Audio",
        CODEC_ID_TRUEHD => "TrueHD",
        _ => return None,
    })
}

fn facts(content: Content, track: &Track, wav_frames: Option<u64>) -> Facts {
    let is_opus = audio_params(track).is_some_and(|params| params.codec == CODEC_ID_OPUS);
    let frames = wav_frames.or(track.num_frames);
    match content {
        Content::Wave | Content::Flac | Content::Aiff => Facts {
            frames,
            is_promise: true,
            ..Facts::default()
        },
        Content::Mpeg | Content::Id3 => Facts {
            frames,
            is_promise: true,
            delay: track.delay.unwrap_or(0).into(),
            padding: track.padding.unwrap_or(0) as usize,
        },
        // The demuxer counts the frames that Opus skips at its start.
        Content::Ogg if is_opus => Facts {
            frames: frames.map(|n| n.saturating_sub(track.delay.unwrap_or(0).into())),
            ..Facts::default()
        },
        _ => Facts {
            frames,
            ..Facts::default()
        },
    }
}

fn open_error(path: &Path, content: Content, error: Error) -> AudioError {
    let path = path.to_path_buf();
    match error {
        Error::IoError(source) if source.kind() != std::io::ErrorKind::UnexpectedEof => {
            AudioError::Read { path, source }
        }
        error => AudioError::Malformed {
            path,
            container: content.name(),
            detail: error.to_string(),
        },
    }
}

fn wav_error(path: &Path, error: WavError) -> AudioError {
    let path = path.to_path_buf();
    match error {
        WavError::Io(source) => AudioError::Read { path, source },
        WavError::Malformed(detail) => AudioError::Malformed {
            path,
            container: "wav",
            detail: detail.into(),
        },
        WavError::Codec(codec) => AudioError::UnsupportedCodec {
            path,
            container: "wav".into(),
            codec,
        },
    }
}
