//! Sound to codes.

use std::sync::Arc;

use percept_nn::signal::{ChainState, Context};

use super::segments::SegmentEncoder;
use crate::model::CodecModel;
use crate::{CodecError, Codes, EncodeOptions};

/// Latent frames that are worked on at once, so that memory does not grow with what is pushed.
const PIECE_FRAMES: usize = 64;

/// Encodes a stream of samples, cut anywhere. A copy goes its own way.
#[derive(Clone, Debug)]
pub struct StreamEncoder {
    model: Arc<CodecModel>,
    state: EncoderState,
}

impl StreamEncoder {
    /// A new stream.
    ///
    /// # Errors
    /// [`CodecError::Books`] where the options ask for more books than the model has.
    pub fn new(model: Arc<CodecModel>, options: &EncodeOptions) -> Result<Self, CodecError> {
        let state = EncoderState::new(&model, options)?;
        Ok(StreamEncoder { model, state })
    }

    /// Codes with nothing in them, to push to.
    pub fn empty_codes(&self) -> Codes {
        self.state.empty_codes(&self.model)
    }

    /// Takes samples in `[-1, 1]` at the model's rate (of several channels, one of each in turn) and adds the super-frames
    /// that are final to `out`; returns how many.
    ///
    /// # Errors
    /// [`CodecError::NotFinite`] and [`CodecError::PartialFrame`], before anything was taken; [`CodecError::Finished`];
    /// [`CodecError::Codes`] where `out` is for other books.
    pub fn push(&mut self, pcm: &[f32], out: &mut Codes) -> Result<usize, CodecError> {
        self.state.check(&self.model, pcm)?;
        self.state.push(&self.model, pcm, out)
    }

    /// Ends the stream and adds the super-frames that are left; returns how many.
    ///
    /// # Errors
    /// [`CodecError::Finished`] the second time; [`CodecError::Codes`] where `out` is for other books.
    pub fn finish(&mut self, out: &mut Codes) -> Result<usize, CodecError> {
        self.state.finish(&self.model, out)
    }

    /// Samples per channel that were taken so far.
    pub fn received(&self) -> u64 {
        self.state.received
    }

    /// Samples that must follow a super-frame before it comes out.
    pub fn latency_samples(&self) -> u64 {
        self.model.spec().encode_lookahead
    }
}

/// What a stream of samples carries; the model stands beside it.
#[derive(Clone, Debug)]
pub(crate) struct EncoderState {
    chain: ChainState,
    books: usize,
    received: u64,
    /// Used instead of the chain by codecs that work in segments.
    segments: SegmentEncoder,
    is_finished: bool,
}

impl EncoderState {
    pub(crate) fn new(model: &CodecModel, options: &EncodeOptions) -> Result<Self, CodecError> {
        let spec = model.spec();
        let books = options.books.unwrap_or(spec.default_books);
        if books == 0 || books > spec.books.len() {
            return Err(CodecError::Books {
                asked: books,
                available: spec.books.len(),
            });
        }
        Ok(EncoderState {
            chain: model.parts().encoder.state(),
            books,
            received: 0,
            segments: SegmentEncoder::default(),
            is_finished: false,
        })
    }

    pub(crate) fn received(&self) -> u64 {
        self.received
    }

    pub(crate) fn empty_codes(&self, model: &CodecModel) -> Codes {
        let spec = model.spec();
        Codes::new(spec.books[..self.books].into())
    }

    /// Refuses samples that cannot be taken.
    pub(crate) fn check(&self, model: &CodecModel, pcm: &[f32]) -> Result<(), CodecError> {
        if self.is_finished {
            return Err(CodecError::Finished);
        }
        let channels = model.spec().channels;
        if !pcm.len().is_multiple_of(usize::from(channels)) {
            let samples = pcm.len();
            return Err(CodecError::PartialFrame { samples, channels });
        }
        match pcm.iter().position(|v| !v.is_finite()) {
            Some(index) => Err(CodecError::NotFinite {
                index,
                value: pcm[index],
            }),
            None => Ok(()),
        }
    }

    /// Takes samples that [`EncoderState::check`] has seen.
    pub(crate) fn push(
        &mut self,
        model: &CodecModel,
        pcm: &[f32],
        out: &mut Codes,
    ) -> Result<usize, CodecError> {
        let spec = model.spec();
        out.check_same_books(&spec.books[..self.books])?;
        let channels = usize::from(spec.channels);
        if let Some(cut) = model.parts().segmentation {
            self.received += (pcm.len() / channels) as u64;
            return self.segments.push((model, cut), pcm, out);
        }
        let mut added = 0;
        for piece in pcm.chunks(PIECE_FRAMES * spec.hop as usize * channels) {
            self.received += (piece.len() / channels) as u64;
            self.chain.input().push(piece);
            model
                .parts()
                .encoder
                .advance(&mut self.chain, &Context::default());
            added += self.quantize(model, out)?;
        }
        Ok(added)
    }

    pub(crate) fn finish(
        &mut self,
        model: &CodecModel,
        out: &mut Codes,
    ) -> Result<usize, CodecError> {
        if self.is_finished {
            return Err(CodecError::Finished);
        }
        let spec = model.spec();
        out.check_same_books(&spec.books[..self.books])?;
        self.is_finished = true;
        out.set_source_samples(Some(self.received));
        if let Some(cut) = model.parts().segmentation {
            return self.segments.finish((model, cut), out);
        }
        if self.received == 0 {
            return Ok(0);
        }
        let pads_to = model.parts().pads_to as u64;
        let missing = self.received.next_multiple_of(pads_to) - self.received;
        let input = self.chain.input();
        input.extend(missing as usize).fill(0.0);
        model
            .parts()
            .encoder
            .finish(&mut self.chain, &Context::default());
        self.quantize(model, out)
    }

    /// Codes of the whole super-frames that have come out of the encoder.
    fn quantize(&mut self, model: &CodecModel, out: &mut Codes) -> Result<usize, CodecError> {
        let parts = model.parts();
        let (strides, width) = (parts.strides() as usize, parts.quantizer.width());
        let latents = self.chain.output();
        let superframes = latents.len() / strides;
        if superframes == 0 {
            return Ok(0);
        }
        let rows = superframes * strides;
        let mut books = vec![Vec::new(); self.books];
        parts
            .quantizer
            .encode(&latents.rows()[..rows * width], &mut books);
        latents.consume(rows);
        out.extend(&Codes::from_books(out.specs().clone(), books)?)?;
        Ok(superframes)
    }
}
