//! What attention and convolution keep of the frames of a stream that have passed.

use std::ops::Range;

use percept_kernels::Padded;

use crate::positions::PaddedPositions;
use crate::{AttentionMask, AttentionShape};

/// The keys and values of one attention layer of one stream. Which columns are in use, a [`FrameSpan`] says: it is the same
/// for all layers.
#[derive(Clone, Debug)]
pub struct KeyValues {
    /// For each head `[head width, capacity]`, in [`Padded`] form.
    pub(crate) keys: Vec<f32>,
    /// For each head `[capacity, head width]`, in [`Padded`] form.
    pub(crate) values: Vec<f32>,
    pub(crate) capacity: usize,
}

impl KeyValues {
    /// Room for `capacity` frames.
    pub fn new(shape: AttentionShape, capacity: usize) -> Self {
        let head_width = shape.width / shape.heads;
        let room = |(len, _): (usize, usize)| vec![0.0; shape.heads * len];
        KeyValues {
            keys: room(Padded::layout(head_width, capacity)),
            values: room(Padded::layout(capacity, head_width)),
            capacity,
        }
    }
}

/// Where the new frames of a step go, and which old ones are still there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FrameSpan {
    /// The number in the stream of the first new frame.
    pub(crate) first_frame: usize,
    /// New frames.
    pub(crate) frames: usize,
    /// The column of the first new frame; older frames are in the columns before it.
    pub(crate) column: usize,
    /// Columns that move to the front before the new frames come.
    pub(crate) moved: Option<Range<usize>>,
    capacity: usize,
}

impl FrameSpan {
    /// The span of a stream that has had no frames, in memories of `capacity` frames.
    pub fn new(capacity: usize) -> Self {
        FrameSpan {
            capacity,
            ..FrameSpan::default()
        }
    }

    /// Goes back to before the first frame.
    pub fn restart(&mut self) {
        *self = FrameSpan::new(self.capacity);
    }

    /// Frames that the stream has had.
    pub fn passed(&self) -> usize {
        self.first_frame + self.frames
    }

    /// Makes place for the next `frames` frames, which `mask` lets look back.
    ///
    /// # Panics
    /// Where what they look at has no room.
    pub fn advance(&mut self, frames: usize, mask: &AttentionMask) {
        let (next, end) = (self.passed(), self.column + self.frames);
        let kept = next - mask.visible(next, next + frames).start.min(next);
        self.moved = (end + frames > self.capacity).then(|| end - kept..end);
        self.column = self.moved.as_ref().map_or(end, ExactSizeIterator::len);
        self.first_frame = next;
        self.frames = frames;
        assert!(
            kept <= end && self.column + frames <= self.capacity,
            "{kept} and {frames} frames in a memory of {}",
            self.capacity
        );
    }
}

/// One stream's share of a call to [`RelPosAttention::forward_stream`](crate::RelPosAttention::forward_stream).
pub struct AttentionStream<'a> {
    /// Its keys and values in this layer.
    pub memory: &'a mut KeyValues,
    /// Where the frames of this call go.
    pub span: &'a FrameSpan,
    /// What they see.
    pub mask: &'a AttentionMask,
    /// Positions in this layer, as far as the mask reaches.
    pub positions: &'a PaddedPositions,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_keeps_what_is_seen_and_never_outgrows_its_memory() {
        let mask = AttentionMask::Chunked {
            left: Some(6),
            right: 1,
        };
        let capacity = 6 + 2 + 5;
        let mut span = FrameSpan::new(capacity);
        // The frame in each column, moved about as the span says.
        let mut columns = vec![usize::MAX; capacity];
        for step in 0..40 {
            let frames = if step == 39 { 1 } else { 2 };
            span.advance(frames, &mask);
            if let Some(moved) = span.moved.clone() {
                columns.copy_within(moved, 0);
            }
            for n in 0..frames {
                columns[span.column + n] = span.first_frame + n;
            }
            for query in span.first_frame..span.passed() {
                for key in mask.visible(query, span.passed()) {
                    assert_eq!(columns[key + span.column - span.first_frame], key);
                }
            }
        }
        assert_eq!(span.passed(), 79);
    }
}
