//! The encoder as a stream: each frame is computed once, and its keys, values and convolution inputs are kept for as long
//! as later frames look back at them.
//!
//! For models whose convolutions see the past only and whose attention sees whole chunks (`chunked_limited`). Frames come
//! out bit for bit as [`FastConformer::encode`] makes them of the whole recording with the same mask.

use std::ops::Range;
use std::sync::{Arc, PoisonError};

use percept_kernels::{Conv2dGeometry, RowWindow};
use percept_nn::{
    AttentionMask, AttentionShape, AttentionStream, ConvPadding, FrameSpan, KeyValues,
    PaddedPositions, RelativePositions, Subsampling,
};

use super::{Encoded, FastConformer, Step};

/// What all streams with the same right context share.
#[derive(Debug)]
pub(crate) struct StreamGeometry {
    mask: AttentionMask,
    /// Frames of a chunk.
    chunk: usize,
    /// Of each layer.
    positions: Vec<PaddedPositions>,
    subsampling: Subsampled,
}

/// Which mel frames make an encoder frame.
#[derive(Clone, Debug)]
struct Subsampled {
    stages: Vec<Conv2dGeometry>,
    /// Mel frames from one encoder frame to the next.
    factor: usize,
    /// Mel frames before the one that encoder frame `n` is at, `n · factor`.
    before: usize,
    /// Mel frames from that one on.
    from: usize,
}

impl Subsampled {
    fn of(subsampling: &Subsampling, factor: usize) -> Self {
        let frame = 1 << 16; // far from the start of the signal, where nothing is cut off
        let rows = subsampling.mel_rows(frame..frame + 1);
        Subsampled {
            stages: subsampling.stages().to_vec(),
            factor,
            before: frame * factor - rows.start,
            from: rows.end - frame * factor,
        }
    }
}

impl StreamGeometry {
    /// Encoder frames of a signal of `mel_frames`.
    pub(crate) fn out_frames(&self, mel_frames: usize) -> usize {
        let stages = self.subsampling.stages.iter();
        stages.fold(mel_frames, |n, stage| stage.out_len(n))
    }

    /// Mel frames from the first that encoder frame `frames - 1` sees to the last that is needed for `frames` frames.
    pub(crate) fn mel_rows(&self, frames: usize) -> Range<usize> {
        let Subsampled {
            factor,
            before,
            from,
            ..
        } = self.subsampling;
        let at = frames.saturating_sub(1) * factor;
        at.saturating_sub(before)..at + from
    }

    /// Frames of a chunk, the right context included.
    pub(crate) fn chunk(&self) -> usize {
        self.chunk
    }
}

/// What the encoder keeps of one stream.
#[derive(Clone, Debug)]
pub(crate) struct EncoderState {
    geometry: Arc<StreamGeometry>,
    layers: Vec<LayerMemory>,
    span: FrameSpan,
}

#[derive(Clone, Debug)]
struct LayerMemory {
    attention: KeyValues,
    /// `[history, width]`
    convolution: Vec<f32>,
}

impl EncoderState {
    /// Frames that came out so far.
    pub(crate) fn frames(&self) -> usize {
        self.span.passed()
    }

    pub(crate) fn geometry(&self) -> &StreamGeometry {
        &self.geometry
    }

    /// Forgets all frames.
    pub(crate) fn restart(&mut self) {
        self.span.restart();
        for layer in &mut self.layers {
            layer.convolution.fill(0.0);
        }
    }
}

/// The latest mel frames of a stream.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MelTail<'a> {
    /// `[frames, mels]`
    pub(crate) frames: &'a [f32],
    /// The number of the first of them in the stream.
    pub(crate) first: usize,
    /// Mel frames of the whole stream, once it has ended.
    pub(crate) total: Option<usize>,
    /// The number of the encoder frame that comes next.
    pub(crate) next_out: usize,
}

impl FastConformer {
    /// What streams with `right` frames of right context share; `None` for models that were not made for streaming frame
    /// by frame, and for a right context whose chunks do not divide the left one.
    pub(crate) fn geometry(&self, right: usize) -> Option<Arc<StreamGeometry>> {
        let AttentionMask::Chunked {
            left: Some(left), ..
        } = self.config.mask
        else {
            return None;
        };
        let is_causal =
            self.config.subsampling.causal && self.config.padding == ConvPadding::Causal;
        if !is_causal || !left.is_multiple_of(right + 1) {
            return None;
        }
        let mask = AttentionMask::Chunked {
            left: Some(left),
            right,
        };
        let mut known = self
            .geometries
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(geometry) = known.iter().find(|geometry| geometry.mask == mask) {
            return Some(Arc::clone(geometry));
        }
        let reach = mask.reach(usize::MAX);
        let encodings = RelativePositions::new(reach.0, reach.1, self.config.width());
        let layers = self.layers.iter();
        let positions = layers.map(|layer| {
            let projected = layer.attention.project(&encodings);
            projected.padded(reach, self.attention_shape())
        });
        let geometry = Arc::new(StreamGeometry {
            mask,
            chunk: right + 1,
            positions: positions.collect(),
            subsampling: Subsampled::of(&self.subsampling, self.config.subsampling.factor),
        });
        known.push(Arc::clone(&geometry));
        Some(geometry)
    }

    fn attention_shape(&self) -> AttentionShape {
        AttentionShape {
            width: self.config.width(),
            heads: self.config.heads,
        }
    }

    /// A stream that has heard nothing and will take up to `longest_step` frames at a time.
    pub(crate) fn stream(
        &self,
        geometry: &Arc<StreamGeometry>,
        longest_step: usize,
    ) -> EncoderState {
        /// Frames between two moves of the memory, at least.
        const SLACK: usize = 32;
        let (back, _) = geometry.mask.reach(usize::MAX);
        let capacity = (back + longest_step + SLACK.max(3 * geometry.chunk)).next_multiple_of(16);
        let width = self.config.width();
        let layers = self.layers.iter().map(|layer| LayerMemory {
            attention: KeyValues::new(self.attention_shape(), capacity),
            convolution: vec![0.0; layer.convolution.history() * width],
        });
        EncoderState {
            geometry: Arc::clone(geometry),
            layers: layers.collect(),
            span: FrameSpan::new(capacity),
        }
    }

    /// The next frames of several streams: of stream `n` as many as item `n` of `out.items` has, made of `tail(n)`. A
    /// stream's frames do not depend on the others.
    ///
    /// Steps end on a chunk of the stream's geometry, except for the last.
    pub(crate) fn encode_stream<'a, S: Send>(
        &self,
        tail: impl Fn(usize) -> MelTail<'a> + Sync,
        streams: &mut [S],
        state: impl for<'s> Fn(&'s mut S) -> &'s mut EncoderState + Sync,
        out: &mut Encoded,
        mut observe: impl FnMut(Step, usize, &[f32]),
    ) {
        let (x, items) = out.make_room(self.config.width());
        if items.total() == 0 {
            return;
        }
        for (item, stream) in items.ranges().zip(streams.iter_mut()) {
            let state = state(stream);
            state.span.advance(item.len(), &state.geometry.mask);
        }
        let source = |n: usize| {
            let tail = tail(n);
            let window = RowWindow {
                data: tail.frames,
                first_row: tail.first,
                total_rows: tail.total.unwrap_or(RowWindow::ENDLESS),
            };
            (window, tail.next_out)
        };
        self.subsampling.forward_rows(items, source, x);
        self.scale_input(x);
        observe(Step::Subsampling, 0, x);
        for (n, layer) in self.layers.iter().enumerate() {
            layer.first.forward(x, None);
            observe(Step::FeedForward, n, x);
            layer.attention.forward_stream(x, items, streams, |stream| {
                let EncoderState {
                    geometry,
                    layers,
                    span,
                    ..
                } = state(stream);
                AttentionStream {
                    memory: &mut layers[n].attention,
                    span,
                    mask: &geometry.mask,
                    positions: &geometry.positions[n],
                }
            });
            observe(Step::Attention, n, x);
            layer
                .convolution
                .forward_stream(x, items, streams, |s| &mut state(s).layers[n].convolution);
            observe(Step::Convolution, n, x);
            layer.second.forward(x, Some(&layer.norm));
            observe(Step::FeedForward, n, x);
        }
    }
}
