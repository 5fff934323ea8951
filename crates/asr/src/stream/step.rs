//! One step of many streams: a call of the encoder, then a search over all of them.

use std::ops::Range;
use std::time::{Duration, Instant};

use percept_nn::{AttentionMask, Items};
use rayon::prelude::*;

use super::source::{FrameSource, Source, TakenTail};
use super::state::{Progress, Resumption, StreamState};
use crate::encoder::Encoded;
use crate::model::{Head, Model};
use crate::profile::Stage;
use crate::prompt::PromptMemory;
use crate::search::SearchMemory;

/// What a step needs, kept for the next one. One driver has one.
#[derive(Debug, Default)]
pub struct StepMemory {
    /// Of windows, `[frames, mels]`.
    mel: Vec<f32>,
    mel_items: Items,
    masks: Vec<AttentionMask>,
    windows: Encoded,
    /// Of streams that go frame by frame, while the encoder looks at them.
    tails: Vec<TakenTail>,
    frames: Encoded,
    chunks: Vec<Chunk>,
    search: SearchMemory,
    prompt: PromptMemory,
    logits: Vec<f32>,
}

/// The rows of a stream among what was encoded.
#[derive(Clone, Debug, Default)]
struct Chunk {
    is_window: bool,
    /// To decode for good.
    commit: Range<usize>,
    /// To look ahead.
    preview: Range<usize>,
}

/// What a step did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StepReport {
    /// Streams that moved on.
    pub streams: usize,
    /// Encoder frames computed for them.
    pub rows: usize,
    /// Time for mel frames and encoder.
    pub encode: Duration,
    /// Time for the search.
    pub decode: Duration,
}

impl Model {
    /// One step of each of `streams` that is ready: one call of the encoder and one search for all of them. Each gets what
    /// it would get alone, bit for bit. The order of `streams` may change.
    pub fn step(&self, streams: &mut [&mut StreamState], memory: &mut StepMemory) -> StepReport {
        self.step_observed(streams, memory, &mut |_| {})
    }

    /// Ends the step of stream `n` of those that a panic has interrupted, as it would have ended, but for a tail; `memory` is
    /// that of the step. `None` where the stream's own memory is lost.
    pub(crate) fn resume_step(
        &self,
        n: usize,
        mut stream: &mut StreamState,
        memory: &mut StepMemory,
    ) -> Option<StepReport> {
        let alone = std::slice::from_mut(&mut stream);
        match alone[0].resume() {
            Resumption::Done => return Some(StepReport::default()),
            Resumption::Encode => return Some(self.step(alone, &mut StepMemory::default())),
            Resumption::Search => self.search_all(alone, n, memory),
            Resumption::Settle => alone[0].settle(self),
            Resumption::Lost => return None,
        }
        Some(StepReport {
            streams: 1,
            ..StepReport::default()
        })
    }

    /// `after` hears of each stage that has ended.
    pub(crate) fn step_observed(
        &self,
        streams: &mut [&mut StreamState],
        memory: &mut StepMemory,
        after: &mut dyn FnMut(Stage),
    ) -> StepReport {
        let start = Instant::now();
        streams.par_iter_mut().for_each(|stream| stream.plan_step());
        // Frame by frame first, then windows, then those that are not ready.
        streams.sort_unstable_by_key(|stream| match (stream.source(), stream.plan) {
            (_, None) => 2,
            (Source::Windows(_), _) => 1,
            (Source::Frames(_), _) => 0,
        });
        let count = streams.iter().take_while(|s| s.plan.is_some()).count();
        let streams = &mut streams[..count];
        if count == 0 {
            return StepReport::default();
        }
        let is_window = |stream: &&mut StreamState| matches!(stream.source(), Source::Windows(_));
        let split = streams.iter().take_while(|s| !is_window(s)).count();
        let (frames, windows) = streams.split_at_mut(split);
        memory.gather_mel(windows);
        after(Stage::Mel);
        memory.chunks.clear();
        self.encode_frames(frames, memory, after);
        self.encode_windows(windows, memory, after);
        let encoded = Instant::now();
        self.search_all(streams, 0, memory);
        after(Stage::Decoder);
        let rows = memory.windows.items.total() + memory.frames.items.total();
        StepReport {
            streams: count,
            rows,
            encode: encoded - start,
            decode: encoded.elapsed(),
        }
    }

    fn encode_frames(
        &self,
        streams: &mut [&mut StreamState],
        memory: &mut StepMemory,
        after: &mut dyn FnMut(Stage),
    ) {
        let (tails, out) = (&mut memory.tails, &mut memory.frames);
        out.clear();
        tails.clear();
        for stream in streams.iter_mut() {
            // From here on keys and values change.
            stream.reach(Progress::Changing);
            out.items.push(stream.plan.map_or(0, |plan| plan.frames));
            tails.push(by_frame(stream).take_tail());
        }
        self.encoder().encode_stream(
            |n| tails[n].as_tail(),
            streams,
            |stream| &mut by_frame(stream).encoder,
            out,
            |step, _, _| after(Stage::Encoder(step)),
        );
        for ((stream, tail), rows) in streams.iter_mut().zip(tails).zip(out.items.ranges()) {
            by_frame(stream).mel = std::mem::take(&mut tail.frames);
            memory.chunks.push(Chunk {
                is_window: false,
                preview: rows.end..rows.end,
                commit: rows,
            });
        }
        self.condition(&mut out.frames, &mut memory.prompt);
        end_encoding(streams);
    }

    fn encode_windows(
        &self,
        streams: &mut [&mut StreamState],
        memory: &mut StepMemory,
        after: &mut dyn FnMut(Stage),
    ) {
        let out = &mut memory.windows;
        let masks: &[AttentionMask] = &memory.masks;
        self.encoder().encode_into(
            &memory.mel,
            &memory.mel_items,
            |n| masks[n],
            out,
            |step, _, _| after(Stage::Encoder(step)),
        );
        for (stream, rows) in streams.iter().zip(out.items.ranges()) {
            let plan = stream.plan.unwrap_or_default();
            let start = (rows.start + plan.left).min(rows.end);
            let end = plan.chunk.map_or(rows.end, |n| (start + n).min(rows.end));
            let ahead = if stream.is_volatile { rows.end } else { end };
            memory.chunks.push(Chunk {
                is_window: true,
                commit: start..end,
                preview: end..ahead,
            });
        }
        self.condition(&mut out.frames, &mut memory.prompt);
        end_encoding(streams);
    }

    /// Searches what is to be committed, then ahead of it, and tells each stream's events. The first of `streams` is number
    /// `first` of those that were encoded.
    fn search_all(&self, streams: &mut [&mut StreamState], first: usize, memory: &mut StepMemory) {
        let width = self.config().encoder.width();
        let StepMemory {
            windows,
            frames,
            chunks,
            search,
            logits,
            ..
        } = memory;
        let chunks = &chunks[first..];
        streams.iter_mut().for_each(|stream| stream.begin_search());
        let (windows, frames): (&[f32], &[f32]) = (&windows.frames, &frames.frames);
        let of = |chunk: &Chunk, rows: &Range<usize>| {
            let all = if chunk.is_window { windows } else { frames };
            &all[rows.start * width..rows.end * width]
        };
        self.search_streams(
            streams,
            |n| of(&chunks[n], &chunks[n].commit),
            search,
            logits,
        );
        for (stream, chunk) in streams.iter_mut().zip(chunks) {
            stream.advance(chunk.commit.len());
            stream.begin_preview();
        }
        self.search_streams(
            streams,
            |n| of(&chunks[n], &chunks[n].preview),
            search,
            logits,
        );
        for stream in streams {
            stream.end_preview();
            stream.settle(self);
        }
    }

    /// Moves the search of every stream over its frames `[T, width]`.
    fn search_streams<'f>(
        &self,
        streams: &mut [&mut StreamState],
        frames: impl Fn(usize) -> &'f [f32],
        memory: &mut SearchMemory,
        logits: &mut Vec<f32>,
    ) {
        let confidence = self.options().confidence;
        match self.head() {
            Head::Transducer(head) => head.search(confidence, streams, frames, memory),
            Head::Ctc(head) => {
                for (n, stream) in streams.iter_mut().enumerate() {
                    if let Some(mut stream) = stream.ctc(frames(n)) {
                        head.search(confidence, &mut stream, logits);
                    }
                }
            }
        }
    }
}

impl StepMemory {
    /// The encoder frames that the last step made of streams that go frame by frame.
    #[cfg(test)]
    pub(super) fn encoded_by_frame(&self) -> &[f32] {
        &self.frames.frames
    }

    /// The mel frames of all windows, one after the other.
    fn gather_mel(&mut self, streams: &[&mut StreamState]) {
        self.mel.clear();
        self.mel_items.clear();
        self.masks.clear();
        for stream in streams {
            if let Source::Windows(source) = stream.source() {
                let frames = stream.plan.map_or(0, |plan| plan.frames);
                self.mel.extend_from_slice(&source.mel);
                self.mel_items.push(frames);
                self.masks.push(source.mask);
            }
        }
    }
}

/// What `streams` keep of the encoder is whole again, all of it, whatever comes.
fn end_encoding(streams: &mut [&mut StreamState]) {
    for stream in streams.iter_mut() {
        stream.progress = Progress::Encoded;
    }
    for stream in streams {
        stream.reach(Progress::Encoded);
    }
}

fn by_frame<'s>(stream: &'s mut &mut StreamState) -> &'s mut FrameSource {
    match stream.source_mut() {
        Source::Frames(source) => source,
        Source::Windows(_) => unreachable!("streams were sorted by their source"),
    }
}
