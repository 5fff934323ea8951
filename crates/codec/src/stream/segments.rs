//! Codecs that cut sound into segments and work on each alone.
//!
//! Segments begin every `step` samples and are `length` long; the last ones are shorter. What is decoded of them is faded
//! from each to the next, so that a sample is final once every segment that covers it is decoded.

use std::mem;

use percept_nn::signal::Context;
use rayon::prelude::*;

use super::fade::Fade;
use crate::model::CodecModel;
use crate::{CodecError, Codes, CodesError, Segment};

/// Added to the loudness that a segment is divided by.
const LEAST_SCALE: f32 = 1e-8;

/// Segments in memory at a time.
const MOST_SEGMENTS: usize = 4;

/// How sound is cut, in samples per channel. `usize::MAX` is the whole recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Segmentation {
    pub(crate) length: usize,
    /// From the start of a segment to that of the next.
    pub(crate) step: usize,
    /// Whether each is divided by its loudness.
    pub(crate) is_scaled: bool,
}

impl Segmentation {
    /// Segments that are worked on side by side; threads beyond share the work inside each.
    pub(crate) fn batch() -> usize {
        rayon::current_num_threads().min(MOST_SEGMENTS)
    }
}

/// Sound on its way into segments.
#[derive(Clone, Debug, Default)]
pub(crate) struct SegmentEncoder {
    /// Samples from the start of the next segment on.
    waiting: Vec<f32>,
}

impl SegmentEncoder {
    /// Takes samples, and adds the codes of the segments that are complete to `out`; returns how many frames.
    pub(crate) fn push(
        &mut self,
        (model, cut): (&CodecModel, Segmentation),
        pcm: &[f32],
        out: &mut Codes,
    ) -> Result<usize, CodecError> {
        let channels = usize::from(model.spec().channels);
        let more = cut.step.saturating_mul(Segmentation::batch() - 1);
        let batch = cut.length.saturating_add(more).saturating_mul(channels);
        let (mut added, mut rest) = (0, pcm);
        while !rest.is_empty() {
            let (taken, later) = rest.split_at(rest.len().min(batch - self.waiting.len()));
            self.waiting.extend_from_slice(taken);
            rest = later;
            let rows = self.waiting.len() / channels;
            let whole = rows
                .checked_sub(cut.length)
                .map_or(0, |more| more / cut.step + 1);
            added += self.encode((model, cut), whole, out)?;
        }
        Ok(added)
    }

    /// Adds the codes of the segments that the end of the sound cuts short.
    pub(crate) fn finish(
        &mut self,
        (model, cut): (&CodecModel, Segmentation),
        out: &mut Codes,
    ) -> Result<usize, CodecError> {
        let rows = self.waiting.len() / usize::from(model.spec().channels);
        self.encode((model, cut), rows.div_ceil(cut.step), out)
    }

    /// The next `count` segments.
    fn encode(
        &mut self,
        (model, cut): (&CodecModel, Segmentation),
        count: usize,
        out: &mut Codes,
    ) -> Result<usize, CodecError> {
        let channels = usize::from(model.spec().channels);
        let (step, length) = (
            cut.step.saturating_mul(channels),
            cut.length.saturating_mul(channels),
        );
        let books = out.books();
        let encoded = (0..count).into_par_iter().map(|n| {
            let segment = &self.waiting[n * step..];
            encode(model, &segment[..segment.len().min(length)], books)
        });
        let encoded: Vec<_> = encoded.collect();
        let mut added = 0;
        for (books, segment) in encoded {
            let mut codes = Codes::from_books(out.specs().clone(), books)?;
            codes.set_segments(vec![segment])?;
            out.extend(&codes)?;
            added += segment.frames as usize;
        }
        self.waiting
            .drain(..self.waiting.len().min(step.saturating_mul(count)));
        Ok(added)
    }
}

/// The codes of one segment.
fn encode(model: &CodecModel, pcm: &[f32], books: usize) -> (Vec<Vec<u16>>, Segment) {
    let parts = model.parts();
    let scale = match parts.segmentation {
        Some(cut) if cut.is_scaled => loudness(pcm, usize::from(parts.spec.channels)),
        _ => 1.0,
    };
    let mut state = parts.encoder.state();
    let rows = pcm.len() / parts.encoder.inputs();
    let scaled = state.input().extend(rows).iter_mut().zip(pcm);
    scaled.for_each(|(scaled, sample)| *scaled = sample / scale);
    parts.encoder.finish(&mut state, &Context::default());
    let latents = state.output();
    let mut codes = vec![Vec::new(); books];
    parts.quantizer.encode(latents.rows(), &mut codes);
    let frames = latents.len() as u32;
    (codes, Segment { frames, scale })
}

/// The root of the mean square of the mean of all channels, and a little more.
fn loudness(pcm: &[f32], channels: usize) -> f32 {
    let squares = pcm.chunks_exact(channels).map(|row| {
        let mean = row.iter().map(|v| f64::from(*v)).sum::<f64>() / channels as f64;
        mean * mean
    });
    let mean = squares.sum::<f64>() / (pcm.len() / channels) as f64;
    mean.sqrt() as f32 + LEAST_SCALE
}

/// Codes on their way out of segments.
#[derive(Clone, Debug, Default)]
pub(crate) struct SegmentDecoder {
    /// The segment that is coming in.
    open: Option<OpenSegment>,
    /// How many books there are, from the first push on.
    books: Option<usize>,
    fade: Fade,
}

#[derive(Clone, Debug)]
struct OpenSegment {
    books: Vec<Vec<u16>>,
    scale: f32,
}

impl SegmentDecoder {
    /// Takes codes, and adds the samples to `out` that are final.
    pub(crate) fn push(
        &mut self,
        (model, cut): (&CodecModel, Segmentation),
        codes: &Codes,
        out: &mut Vec<f32>,
    ) -> Result<(), CodecError> {
        let most = model.segment_frames().unwrap_or(0);
        self.check(codes, most)?;
        self.books = Some(codes.books());
        let mut ready = Vec::new();
        let mut first = 0;
        for (n, segment) in codes.segments().iter().enumerate() {
            let frames = first..first + segment.frames as usize;
            first = frames.end;
            let goes_on = |open: &OpenSegment| {
                let is_same = open.scale.to_bits() == segment.scale.to_bits();
                n == 0 && is_same && (open.books[0].len() + frames.len()) as u64 <= most
            };
            if !self.open.as_ref().is_some_and(goes_on) {
                ready.extend(self.open.take());
            }
            let open = self.open.get_or_insert_with(|| OpenSegment {
                books: vec![Vec::new(); codes.books()],
                scale: segment.scale,
            });
            for (k, book) in open.books.iter_mut().enumerate() {
                book.extend_from_slice(&codes.book(k)[frames.clone()]);
            }
            if open.books[0].len() as u64 == most {
                ready.extend(self.open.take());
            }
            if ready.len() >= Segmentation::batch() {
                self.decode((model, cut), mem::take(&mut ready), out);
            }
        }
        self.decode((model, cut), ready, out);
        Ok(())
    }

    /// Takes the segment that is coming in for complete.
    pub(crate) fn end_segment(
        &mut self,
        (model, cut): (&CodecModel, Segmentation),
        out: &mut Vec<f32>,
    ) {
        let ready = self.open.take().into_iter().collect();
        self.decode((model, cut), ready, out);
    }

    /// Ends the stream, and adds the samples to `out` that are left.
    pub(crate) fn finish(&mut self, (model, cut): (&CodecModel, Segmentation), out: &mut Vec<f32>) {
        self.end_segment((model, cut), out);
        self.fade
            .emit(usize::MAX, usize::from(model.spec().channels), out);
    }

    /// Refuses codes that are not in segments of this codec, or of other books than before.
    fn check(&self, codes: &Codes, most: u64) -> Result<(), CodecError> {
        if let Some(expected) = self.books.filter(|&books| books != codes.books()) {
            let found = codes.books();
            return Err(CodesError::BookCount { expected, found }.into());
        }
        codes.check_whole()?;
        if codes.segments().is_empty() && !codes.is_empty() {
            return Err(CodecError::NoSegments);
        }
        let is_long = |segment: &Segment| u64::from(segment.frames) > most;
        match codes.segments().iter().position(is_long) {
            None => Ok(()),
            Some(segment) => Err(CodecError::SegmentLength {
                segment,
                frames: codes.segments()[segment].frames,
                most,
            }),
        }
    }

    fn decode(
        &mut self,
        (model, cut): (&CodecModel, Segmentation),
        ready: Vec<OpenSegment>,
        out: &mut Vec<f32>,
    ) {
        let decoded = ready
            .par_iter()
            .filter(|segment| !segment.books[0].is_empty());
        let decoded: Vec<Vec<f32>> = decoded.map(|segment| segment.decode(model)).collect();
        let channels = usize::from(model.spec().channels);
        for samples in decoded {
            self.fade.add(&samples, channels);
            self.fade.emit(cut.step, channels, out);
        }
    }
}

impl OpenSegment {
    fn decode(&self, model: &CodecModel) -> Vec<f32> {
        let parts = model.parts();
        let mut state = parts.decoder.state();
        let books: Vec<&[u16]> = self.books.iter().map(Vec::as_slice).collect();
        let latents = state.input().extend(books[0].len());
        parts.quantizer.decode(0, &books, latents);
        parts.decoder.finish(&mut state, &Context::default());
        state
            .output()
            .rows()
            .iter()
            .map(|sample| sample * self.scale)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loudness_is_that_of_the_mean_of_all_channels() {
        assert_eq!(loudness(&[3.0, -3.0, 3.0, -3.0], 2), LEAST_SCALE);
        assert_eq!(loudness(&[0.5, 0.5, -0.5, -0.5], 2), 0.5 + LEAST_SCALE);
        assert!(loudness(&[f32::MAX, f32::MAX], 2).is_finite());
    }
}
