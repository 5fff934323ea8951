//! A codec with its weights.

use std::ops::Range;
use std::path::{Path, PathBuf};

use percept_nn::signal::Chain;
use percept_weights::{Checkpoint, NotACheckpoint, Tensors, WeightsError};
use rayon::prelude::*;

use crate::config::LoadFault;
use crate::error::ConfigFault;
use crate::options::{Control, Progress};
use crate::quantizer::Quantizer;
use crate::spec::CodecFamily;
use crate::stream::{DecoderState, EncoderState, Segmentation};
use crate::{CodecError, CodecSpec, Codes, DecodeOptions, EncodeOptions, Pcm, PcmRef};
use crate::{dac, encodec, mimi, snac};

/// Latent frames that whole recordings are worked on at once.
const PIECE_FRAMES: u64 = 64;

/// A neural audio codec: its numbers and its weights, which never change. Share it by [`Arc`](std::sync::Arc).
///
/// It computes on the rayon pool that its methods are called in, and results do not depend on the number of threads.
#[derive(Debug)]
pub struct CodecModel {
    parts: Parts,
    weights_file: PathBuf,
}

/// What a family is made of.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) spec: CodecSpec,
    /// From samples `[samples, channels]` to latent frames.
    pub(crate) encoder: Chain,
    pub(crate) quantizer: Box<dyn Quantizer>,
    /// From latent frames to samples.
    pub(crate) decoder: Chain,
    /// Samples that `encode` pads to a multiple of, with zeros after the last.
    pub(crate) pads_to: usize,
    /// How sound is cut into segments, for codecs that work on each alone.
    pub(crate) segmentation: Option<Segmentation>,
    /// For decoders that look as far back as ahead, but for their transposed convolutions: the rows in a latent frame
    /// behind each of these, where noise is added if at all.
    pub(crate) local_rates: Option<Vec<u64>>,
}

impl CodecModel {
    /// Opens a directory with `config.json` and the weights: `model.safetensors`, `pytorch_model.bin`, or whatever single
    /// file of one of these forms it holds.
    ///
    /// # Errors
    /// [`CodecError::Weights`] and [`CodecError::Config`] name the file and what in it is missing, misshapen or unknown.
    pub fn open(path: &Path) -> Result<Self, CodecError> {
        let checkpoint = match Checkpoint::open(path) {
            Err(WeightsError::NotACheckpoint {
                found: NotACheckpoint::Directory | NotACheckpoint::WeightsAlone,
                ..
            }) => Checkpoint::open_weights(path)?,
            opened => opened?,
        };
        Self::from_checkpoint(&checkpoint)
    }

    /// Of a checkpoint that is open.
    ///
    /// # Errors
    /// As for [`CodecModel::open`].
    pub fn from_checkpoint(checkpoint: &Checkpoint) -> Result<Self, CodecError> {
        let fault = |fault| CodecError::Config {
            file: checkpoint.config_path(),
            fault,
        };
        let (config, tensors) = (checkpoint.config(), checkpoint.tensors());
        let open = match family_of(config, tensors) {
            Some(CodecFamily::Snac) => snac::open,
            Some(CodecFamily::Dac) => dac::open,
            Some(CodecFamily::Encodec) => encodec::open,
            Some(CodecFamily::Mimi) => mimi::open,
            _ => return Err(fault(ConfigFault::UnknownFamily)),
        };
        let mut parts = open(config, tensors).map_err(|error| match error {
            LoadFault::Config(error) => fault(error),
            LoadFault::Weights(error) => error.into(),
        })?;
        parts.check().map_err(fault)?;
        parts.measure();
        Ok(CodecModel {
            parts,
            weights_file: tensors.path().into(),
        })
    }

    /// Its numbers.
    pub fn spec(&self) -> &CodecSpec {
        &self.parts.spec
    }

    /// Latent frames of a segment that is not cut short, for codecs that encode and decode each segment alone: their codes
    /// say their segments. `u64::MAX` where the whole recording is one.
    pub fn segment_frames(&self) -> Option<u64> {
        let cut = self.parts.segmentation?;
        Some(match cut.length {
            usize::MAX => u64::MAX,
            length => self.parts.encoder.total(length as u64),
        })
    }

    /// The file that the weights were read from.
    pub fn weights_file(&self) -> &Path {
        &self.weights_file
    }

    pub(crate) fn parts(&self) -> &Parts {
        &self.parts
    }

    /// Sound to codes.
    ///
    /// # Errors
    /// [`CodecError`] for no samples, samples that are no numbers, another rate or number of channels than the model's,
    /// and for more books than it has.
    pub fn encode(&self, pcm: PcmRef<'_>, options: &EncodeOptions) -> Result<Codes, CodecError> {
        let spec = self.spec();
        if pcm.samples.is_empty() {
            return Err(CodecError::EmptyAudio);
        }
        if pcm.sample_rate != spec.sample_rate {
            return Err(CodecError::RateMismatch {
                want: spec.sample_rate,
                got: pcm.sample_rate,
            });
        }
        if pcm.channels != spec.channels {
            return Err(CodecError::ChannelMismatch {
                want: spec.channels,
                got: pcm.channels,
            });
        }
        let channels = usize::from(spec.channels);
        let mut state = EncoderState::new(self, options)?;
        state.check(self, pcm.samples)?;
        let mut codes = state.empty_codes(self);
        let total = (pcm.samples.len() / channels) as u64;
        for piece in pcm.samples.chunks(self.piece_samples() * channels) {
            state.push(self, piece, &mut codes)?;
            options.control.report(state.received(), total)?;
        }
        state.finish(self, &mut codes)?;
        Ok(codes)
    }

    /// Codes to sound; as long as the source where the codes say how long that was and `options.trim`. Where the decoder
    /// gives a few samples less than its frames last, silence makes up for them then.
    ///
    /// # Errors
    /// [`CodecError`] for no codes, and for codes that are not this model's.
    pub fn decode(&self, codes: &Codes, options: &DecodeOptions) -> Result<Pcm, CodecError> {
        if codes.is_empty() {
            return Err(CodecError::EmptyCodes);
        }
        codes.validate(&self.spec().books)?;
        let mut state = DecoderState::new(self, options);
        let mut samples = Vec::new();
        let superframes = codes.superframes();
        let each = u64::from(codes.align()) * u64::from(self.spec().hop);
        for piece in self.pieces(codes) {
            let last = piece.end;
            state.push(self, &codes.slice(piece)?, options, &mut samples)?;
            state.end_segment(self, &mut samples);
            options.control.report(last * each, superframes * each)?;
        }
        state.finish(self, options, &mut samples);
        let channels = self.spec().channels;
        if let Some(source) = codes.source_samples().filter(|_| options.trim) {
            // Less where the decoder gives less than the frames last (DAC at 16 and 24 kHz): silence is put there.
            let kept = source.min(codes.frames() * u64::from(self.spec().hop));
            samples.resize(kept as usize * usize::from(channels), 0.0);
        }
        Ok(Pcm {
            samples,
            sample_rate: self.spec().sample_rate,
            channels,
        })
    }

    /// Samples per channel that are encoded at once.
    fn piece_samples(&self) -> usize {
        let frames = PIECE_FRAMES as usize * self.spec().hop as usize;
        match self.parts.segmentation {
            Some(cut) if cut.length < usize::MAX => cut.step * Segmentation::batch(),
            _ => frames,
        }
    }

    /// The super-frames that are decoded at once: whole segments, for codecs that have them.
    pub(crate) fn pieces(&self, codes: &Codes) -> Vec<Range<u64>> {
        let superframes = codes.superframes();
        if self.parts.segmentation.is_none() || codes.segments().is_empty() {
            let step = PIECE_FRAMES.div_ceil(u64::from(codes.align()));
            let firsts = (0..superframes).step_by(step as usize);
            return firsts
                .map(|first| first..(first + step).min(superframes))
                .collect();
        }
        let mut first = 0;
        let pieces = codes
            .segments()
            .chunks(Segmentation::batch())
            .map(|segments| {
                let frames = segments.iter().map(|segment| u64::from(segment.frames));
                let piece = first..first + frames.sum::<u64>();
                first = piece.end;
                piece
            });
        pieces.collect()
    }

    /// Several recordings side by side, of any lengths. Each gets what it would get alone.
    ///
    /// # Errors
    /// The first that [`CodecModel::encode`] has for any of them.
    pub fn encode_batch(
        &self,
        pcm: &[PcmRef<'_>],
        options: &EncodeOptions,
    ) -> Result<Vec<Codes>, CodecError> {
        pcm.par_iter()
            .map(|pcm| self.encode(*pcm, options))
            .collect()
    }

    /// Several recordings side by side, of any lengths. Each gets what it would get alone.
    ///
    /// # Errors
    /// The first that [`CodecModel::decode`] has for any of them.
    pub fn decode_batch(
        &self,
        codes: &[Codes],
        options: &DecodeOptions,
    ) -> Result<Vec<Pcm>, CodecError> {
        codes
            .par_iter()
            .map(|codes| self.decode(codes, options))
            .collect()
    }
}

/// The family that a configuration is of, or that tensors without one are of.
pub(crate) fn family_of(config: &serde_json::Value, tensors: &Tensors) -> Option<CodecFamily> {
    if config.is_null() && mimi::is_published(tensors) {
        return Some(CodecFamily::Mimi);
    }
    match config.get("model_type").and_then(|name| name.as_str()) {
        // Parler-TTS calls it so where transformers has a model of the shorter name.
        Some("dac_on_the_hub") => Some(CodecFamily::Dac),
        Some(name) => CodecFamily::from_name(name),
        None if snac::SnacConfig::is_in(config) => Some(CodecFamily::Snac),
        None if dac::DacConfig::is_in(config) => Some(CodecFamily::Dac),
        None if encodec::is_in(tensors) => Some(CodecFamily::Encodec),
        None => None,
    }
}

impl Control {
    /// Tells how far the work is, unless it is not wanted any more.
    fn report(&self, done: u64, total: u64) -> Result<(), CodecError> {
        self.check()?;
        if let Some(progress) = &self.progress {
            progress(Progress { done, total });
        }
        self.check()
    }

    /// Whether the work is still wanted.
    pub(crate) fn check(&self) -> Result<(), CodecError> {
        match self.cancel.is_cancelled() {
            true => Err(CodecError::Cancelled),
            false => Ok(()),
        }
    }
}

impl Parts {
    /// Refuses an encoder whose frames the books do not fit.
    fn check(&self) -> Result<(), ConfigFault> {
        let strides = self.strides();
        for pieces in 1..=3 {
            let frames = self.encoder.total((pieces * self.pads_to) as u64);
            if !frames.is_multiple_of(strides) {
                return Err(ConfigFault::Contradiction {
                    field: "vq_strides",
                    value: strides,
                    other: "encoder_rates",
                });
            }
        }
        Ok(())
    }

    /// Latent frames that codes of all books come together after.
    pub(crate) fn strides(&self) -> u64 {
        let strides = self.spec.books.iter().map(|book| u64::from(book.stride));
        strides.fold(1, crate::codes::lcm)
    }

    /// Works out the look-ahead of both ways from the layers.
    fn measure(&mut self) {
        let hop = u64::from(self.spec.hop);
        if let Some(cut) = self.segmentation {
            // The first frame of a segment waits for the last.
            let wait = (cut.length as u64).saturating_sub(hop);
            (self.spec.encode_lookahead, self.spec.decode_lookahead) = (wait, wait);
            return;
        }
        // Far from the start, where nothing of it is left, and at the edge of whatever goes in whole windows.
        let frames = 64 * self.strides() * u64::from(self.spec.align);
        self.spec.encode_lookahead = self.encoder.needed(frames).saturating_sub(frames * hop);
        let out = self.decoder.produced(frames);
        self.spec.decode_lookahead = (frames * hop).saturating_sub(out);
    }
}
