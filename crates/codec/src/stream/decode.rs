//! Codes to sound.

use std::sync::Arc;

use percept_nn::signal::{ChainState, Context, NoiseSource};

use super::segments::SegmentDecoder;
use crate::model::CodecModel;
use crate::noise::SeededNoise;
use crate::{CodecError, Codes, DecodeOptions, Lookahead, Noise};

/// Latent frames that are worked on at once, so that memory does not grow with what is pushed.
const PIECE_FRAMES: u64 = 64;

/// Decodes a stream of codes, cut anywhere. A copy goes its own way.
#[derive(Clone, Debug)]
pub struct StreamDecoder {
    model: Arc<CodecModel>,
    options: DecodeOptions,
    state: DecoderState,
}

impl StreamDecoder {
    /// A new stream.
    pub fn new(model: Arc<CodecModel>, options: &DecodeOptions) -> Self {
        let state = DecoderState::new(&model, options);
        StreamDecoder {
            model,
            options: options.clone(),
            state,
        }
    }

    /// Takes the codes of every book as far as they have come, and adds the samples that are final to `out`; returns how
    /// many. Books may be ahead of one another: a latent frame is decoded once all books cover it. The first push says how
    /// many books there are.
    ///
    /// A codec that works in segments takes whole super-frames that say theirs. A push may end inside a segment; the next
    /// goes on with it if it begins with the same scale and the segment is not complete. Each is decoded once it is.
    ///
    /// # Errors
    /// [`CodecError::Codes`] for codes that are not this model's or of other books than before,
    /// [`CodecError::NoSegments`] and [`CodecError::SegmentLength`] for segments that are not, and
    /// [`CodecError::Finished`]; nothing was taken then.
    pub fn push(&mut self, codes: &Codes, out: &mut Vec<f32>) -> Result<usize, CodecError> {
        self.state.push(&self.model, codes, &self.options, out)
    }

    /// Ends the stream and adds the samples that are left; returns how many. Codes that no complete latent frame is made
    /// of are dropped.
    ///
    /// # Errors
    /// [`CodecError::Finished`] the second time.
    pub fn finish(&mut self, out: &mut Vec<f32>) -> Result<usize, CodecError> {
        if self.state.is_finished {
            return Err(CodecError::Finished);
        }
        Ok(self.state.finish(&self.model, &self.options, out))
    }

    /// Samples per channel that have come out.
    pub fn emitted(&self) -> u64 {
        self.state.emitted
    }

    /// Samples that what comes out runs behind the frames put in.
    pub fn latency_samples(&self) -> u64 {
        let spec = self.model.spec();
        match self.options.lookahead {
            Lookahead::Frames(n) if self.model.parts().segmentation.is_none() => spec
                .decode_lookahead
                .min(u64::from(n) * u64::from(spec.hop)),
            Lookahead::Exact | Lookahead::Frames(_) => spec.decode_lookahead,
        }
    }
}

/// What a stream of codes carries; the model stands beside it.
#[derive(Clone, Debug)]
pub(crate) struct DecoderState {
    chain: ChainState,
    /// Codes of each book from the super-frame of `decoded` on.
    waiting: Vec<Vec<u16>>,
    /// The latent frame at which `waiting` begins, a whole number of super-frames.
    first: u64,
    /// Latent frames that were decoded.
    decoded: u64,
    /// Samples that were handed out, final or not.
    emitted: u64,
    seeded: Option<SeededNoise>,
    /// Used instead of all that is above by codecs that work in segments.
    segments: SegmentDecoder,
    is_finished: bool,
}

impl DecoderState {
    pub(crate) fn new(model: &CodecModel, options: &DecodeOptions) -> Self {
        DecoderState {
            chain: model.parts().decoder.state(),
            waiting: Vec::new(),
            first: 0,
            decoded: 0,
            emitted: 0,
            seeded: match options.noise {
                Noise::Seeded(seed) => Some(SeededNoise::new(seed)),
                Noise::Off | Noise::External(_) => None,
            },
            segments: SegmentDecoder::default(),
            is_finished: false,
        }
    }

    pub(crate) fn push(
        &mut self,
        model: &CodecModel,
        codes: &Codes,
        options: &DecodeOptions,
        out: &mut Vec<f32>,
    ) -> Result<usize, CodecError> {
        if self.is_finished {
            return Err(CodecError::Finished);
        }
        codes.validate(&model.spec().books)?;
        let before = out.len();
        if let Some(cut) = model.parts().segmentation {
            self.segments.push((model, cut), codes, out)?;
            return Ok(self.handed_out(model, out.len() - before));
        }
        if let Some(segment) = codes.segments().first() {
            return Err(CodecError::SegmentLength {
                segment: 0,
                frames: segment.frames,
                most: 0,
            });
        }
        if self.waiting.is_empty() {
            self.waiting = vec![Vec::new(); codes.books()];
        }
        if self.waiting.len() != codes.books() {
            return Err(crate::CodesError::BookCount {
                expected: self.waiting.len(),
                found: codes.books(),
            }
            .into());
        }
        for (k, book) in self.waiting.iter_mut().enumerate() {
            book.extend_from_slice(codes.book(k));
        }
        while self.decode_piece(model, options) {
            self.hand_out(model, out);
        }
        if let Lookahead::Frames(frames) = options.lookahead {
            self.guess(model, options, u64::from(frames), out);
        }
        Ok(out.len() - before)
    }

    pub(crate) fn finish(
        &mut self,
        model: &CodecModel,
        options: &DecodeOptions,
        out: &mut Vec<f32>,
    ) -> usize {
        let before = out.len();
        self.is_finished = true;
        if let Some(cut) = model.parts().segmentation {
            self.segments.finish((model, cut), out);
            return self.handed_out(model, out.len() - before);
        }
        if self.decoded == 0 {
            return 0;
        }
        let context = context(&self.seeded, options);
        model.parts().decoder.finish(&mut self.chain, &context);
        self.hand_out(model, out);
        out.len() - before
    }

    /// Says that the codes of the last segment have all been pushed, where that cannot be told from the next.
    pub(crate) fn end_segment(&mut self, model: &CodecModel, out: &mut Vec<f32>) {
        if let Some(cut) = model.parts().segmentation {
            let before = out.len();
            self.segments.end_segment((model, cut), out);
            self.handed_out(model, out.len() - before);
        }
    }

    /// Takes notice of `samples` samples of all channels together, which it returns.
    fn handed_out(&mut self, model: &CodecModel, samples: usize) -> usize {
        self.emitted += samples as u64 / u64::from(model.spec().channels);
        samples
    }

    /// Decodes the next frames that all books cover; false where there are none.
    fn decode_piece(&mut self, model: &CodecModel, options: &DecodeOptions) -> bool {
        let parts = model.parts();
        let specs = &parts.spec.books;
        let covered = specs
            .iter()
            .zip(&self.waiting)
            .map(|(spec, book)| book.len() as u64 * u64::from(spec.stride));
        let covered = self.first + covered.min().unwrap_or(0);
        let frames = (covered - self.decoded).min(PIECE_FRAMES) as usize;
        if frames == 0 {
            return false;
        }
        let books: Vec<&[u16]> = specs
            .iter()
            .zip(&self.waiting)
            .map(|(spec, book)| {
                &book[((self.decoded - self.first) / u64::from(spec.stride)) as usize..]
            })
            .collect();
        let latents = self.chain.input().extend(frames);
        parts.quantizer.decode(self.decoded, &books, latents);
        self.decoded += frames as u64;
        self.forget(model);
        let context = context(&self.seeded, options);
        parts.decoder.advance(&mut self.chain, &context);
        true
    }

    /// Lets go of the codes of super-frames that were decoded whole.
    fn forget(&mut self, model: &CodecModel) {
        let strides = model.parts().strides();
        let done = self.decoded - self.decoded % strides;
        for (spec, book) in model.spec().books.iter().zip(&mut self.waiting) {
            let codes = ((done - self.first) / u64::from(spec.stride)) as usize;
            book.drain(..codes);
        }
        self.first = done;
    }

    /// Adds what has come out of the decoder to `out`, except what was guessed before.
    fn hand_out(&mut self, model: &CodecModel, out: &mut Vec<f32>) {
        let channels = usize::from(model.spec().channels);
        let output = self.chain.output();
        let known = output.received();
        let rows = output.len();
        let guessed = self
            .emitted
            .saturating_sub(known - rows as u64)
            .min(rows as u64) as usize;
        out.extend_from_slice(&output.rows()[guessed * channels..]);
        output.consume(rows);
        self.emitted = self.emitted.max(known);
    }

    /// Adds samples up to `lookahead` frames before the last decoded one, as if the stream ended here.
    fn guess(
        &mut self,
        model: &CodecModel,
        options: &DecodeOptions,
        lookahead: u64,
        out: &mut Vec<f32>,
    ) {
        let parts = model.parts();
        let wanted = parts.decoder.total(self.decoded.saturating_sub(lookahead));
        if wanted <= self.emitted {
            return;
        }
        let mut ended = self.chain.clone();
        parts
            .decoder
            .finish(&mut ended, &context(&self.seeded, options));
        let channels = usize::from(model.spec().channels);
        let output = ended.output();
        let first = output.received() - output.len() as u64;
        let range = (self.emitted - first) as usize..(wanted - first) as usize;
        out.extend_from_slice(&output.rows()[range.start * channels..range.end * channels]);
        self.emitted = wanted;
    }
}

fn context<'a>(seeded: &'a Option<SeededNoise>, options: &'a DecodeOptions) -> Context<'a> {
    let noise: Option<&dyn NoiseSource> = match &options.noise {
        Noise::Off => None,
        Noise::Seeded(_) => seeded.as_ref().map(|noise| noise as &dyn NoiseSource),
        Noise::External(source) => Some(source.as_ref()),
    };
    Context { noise }
}
