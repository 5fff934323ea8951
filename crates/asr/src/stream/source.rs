//! From the samples of a stream to the mel frames of its next step.

use std::sync::Arc;

use percept_audio::{MelFrontEnd, MelStream, MelWindows, Normalize, normalize};
use percept_nn::AttentionMask;

use crate::encoder::{EncoderState, MelTail};
use crate::windows::Schedule;

/// How a stream cuts its audio, and what it keeps of it.
#[derive(Clone, Debug)]
pub(super) enum Source {
    Windows(Box<WindowSource>),
    Frames(Box<FrameSource>),
}

/// What a step encodes and decodes of one stream.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Plan {
    /// Mel frames to encode, for windows; encoder frames to make, frame by frame.
    pub(super) frames: usize,
    /// Encoder frames of left context, which are not decoded.
    pub(super) left: usize,
    /// Encoder frames to decode; `None` is all that follow the left context.
    pub(super) chunk: Option<usize>,
}

impl Source {
    /// Samples that may come before a step is due.
    pub(super) fn room(&self) -> usize {
        match self {
            Source::Windows(source) => source.schedule.room(),
            Source::Frames(source) => source.room(),
        }
    }

    pub(super) fn push(&mut self, pcm: &[f32]) {
        match self {
            Source::Windows(source) => {
                source.schedule.receive(pcm.len() as u64);
                source.pending.extend_from_slice(pcm);
            }
            Source::Frames(source) => {
                source.received += pcm.len() as u64;
                source.pending.extend_from_slice(pcm);
            }
        }
    }

    /// No more samples will come.
    pub(super) fn end(&mut self) {
        match self {
            Source::Windows(source) => source.schedule.end_of_audio(),
            Source::Frames(source) => source.has_ended = true,
        }
    }

    pub(super) fn is_ready(&self) -> bool {
        match self {
            Source::Windows(source) => source.schedule.is_ready(),
            Source::Frames(source) => !source.is_done && (source.has_ended || source.room() == 0),
        }
    }

    /// Whether all audio was planned.
    pub(super) fn is_done(&self) -> bool {
        match self {
            Source::Windows(source) => source.schedule.is_done(),
            Source::Frames(source) => source.is_done,
        }
    }

    /// Encoder frames of a chunk.
    pub(super) fn chunk_frames(&self) -> usize {
        match self {
            Source::Windows(source) => source.schedule.policy().chunk,
            Source::Frames(source) => source.encoder.geometry().chunk(),
        }
    }

    /// Goes back to before the first sample.
    pub(super) fn restart(&mut self) {
        match self {
            Source::Windows(source) => source.restart(),
            Source::Frames(source) => source.restart(),
        }
    }

    /// The next step, if one is due: its mel frames are then in `mel`.
    pub(super) fn plan(&mut self) -> Option<Plan> {
        match self {
            Source::Windows(source) => source.plan(),
            Source::Frames(source) => source.plan(),
        }
    }
}

/// Windows that are encoded anew at each step.
#[derive(Clone, Debug)]
pub(super) struct WindowSource {
    pub(super) schedule: Schedule,
    windows: MelWindows,
    normalize: Normalize,
    /// Samples that have no mel frames yet.
    pending: Vec<f32>,
    /// The normalised mel frames of the next window, `[frames, mels]`.
    pub(super) mel: Vec<f32>,
    /// What attention sees within a window.
    pub(super) mask: AttentionMask,
    /// The chunks of the mask are those of the windows.
    follows_context: bool,
}

impl WindowSource {
    pub(super) fn new(
        schedule: Schedule,
        front_end: &Arc<MelFrontEnd>,
        (mask, follows_context): (AttentionMask, bool),
    ) -> Self {
        WindowSource {
            follows_context,
            schedule,
            windows: MelWindows::new(Arc::clone(front_end)),
            normalize: front_end.config().normalize,
            pending: Vec::new(),
            mel: Vec::new(),
            mask,
        }
    }

    /// Decodes `frames` frames at a step from the next window on.
    pub(super) fn set_chunk(&mut self, frames: usize) {
        self.schedule.set_chunk(frames);
        if let (true, AttentionMask::ChunkedWithRight { chunk, .. }) =
            (self.follows_context, &mut self.mask)
        {
            *chunk = frames;
        }
    }

    fn restart(&mut self) {
        let front_end = Arc::clone(self.windows.front_end());
        self.schedule.restart();
        self.windows = MelWindows::new(front_end);
        self.pending.clear();
    }

    fn plan(&mut self) -> Option<Plan> {
        let window = self.schedule.next()?;
        self.windows.forget(window.samples.start);
        self.windows.push(&self.pending);
        self.pending.clear();
        self.mel.clear();
        let (start, end) = (window.samples.start, window.samples.end);
        let frames = self.windows.window(start, end, &mut self.mel);
        let mels = self.windows.front_end().config().n_mels;
        normalize(self.normalize, &mut self.mel, mels);
        Some(Plan {
            frames,
            left: window.left,
            chunk: window.chunk,
        })
    }
}

/// Frames that are each computed once.
#[derive(Clone, Debug)]
pub(super) struct FrameSource {
    stream: MelStream,
    pub(super) encoder: EncoderState,
    /// Chunks that one step may take.
    chunks: usize,
    received: u64,
    /// Samples that have no mel frames yet.
    pending: Vec<f32>,
    /// The latest mel frames, `[frames, mels]`.
    pub(super) mel: Vec<f32>,
    /// The number of the first of them.
    first_row: usize,
    /// Encoder frames of the whole stream, once it has ended.
    total: Option<usize>,
    /// Encoder frames that were planned.
    planned: usize,
    has_ended: bool,
    is_done: bool,
}

impl FrameSource {
    /// A stream that takes up to `chunks` chunks at a step.
    pub(super) fn new(front_end: &Arc<MelFrontEnd>, encoder: EncoderState, chunks: usize) -> Self {
        FrameSource {
            stream: MelStream::new(Arc::clone(front_end)),
            encoder,
            chunks,
            received: 0,
            pending: Vec::new(),
            mel: Vec::new(),
            first_row: 0,
            total: None,
            planned: 0,
            has_ended: false,
            is_done: false,
        }
    }

    fn step_frames(&self) -> usize {
        self.chunks * self.encoder.geometry().chunk()
    }

    fn room(&self) -> usize {
        let rows = self
            .encoder
            .geometry()
            .mel_rows(self.planned + self.step_frames())
            .end;
        let hop = self.stream.front_end().config().hop_samples;
        // The last of these rows is there when its window is.
        let needed = ((rows - 1) * hop + self.stream.delay()) as u64;
        needed.saturating_sub(self.received) as usize
    }

    fn plan(&mut self) -> Option<Plan> {
        if self.is_done || !(self.has_ended || self.room() == 0) {
            return None;
        }
        let geometry = self.encoder.geometry();
        let mels = self.stream.front_end().config().n_mels;
        let gone = geometry.mel_rows(self.planned + 1).start - self.first_row;
        let gone = gone.min(self.mel.len() / mels);
        self.mel.drain(..gone * mels);
        self.first_row += gone;
        self.stream.push(&self.pending, &mut self.mel);
        self.pending.clear();
        let mut frames = self.step_frames();
        if self.has_ended {
            self.stream.finish(&mut self.mel);
            let rows = self.first_row + self.mel.len() / mels;
            let total = *self.total.get_or_insert_with(|| geometry.out_frames(rows));
            frames = frames.min(total - self.planned);
            self.is_done = self.planned + frames == total;
        }
        self.planned += frames;
        Some(Plan {
            frames,
            left: 0,
            chunk: None,
        })
    }

    fn restart(&mut self) {
        let front_end = Arc::clone(self.stream.front_end());
        self.stream = MelStream::new(front_end);
        self.encoder.restart();
        self.pending.clear();
        self.mel.clear();
        self.received = 0;
        self.first_row = 0;
        self.total = None;
        self.planned = 0;
        self.has_ended = false;
        self.is_done = false;
    }

    /// The mel frames of the planned step; to be given back to `mel`.
    pub(super) fn take_tail(&mut self) -> TakenTail {
        let frames = std::mem::take(&mut self.mel);
        let mels = self.stream.front_end().config().n_mels;
        TakenTail {
            first: self.first_row,
            total: self.total.map(|_| self.first_row + frames.len() / mels),
            next_out: self.encoder.frames(),
            frames,
        }
    }
}

/// The latest mel frames of a stream, apart from it.
#[derive(Debug, Default)]
pub(super) struct TakenTail {
    pub(super) frames: Vec<f32>,
    first: usize,
    total: Option<usize>,
    next_out: usize,
}

impl TakenTail {
    pub(super) fn as_tail(&self) -> MelTail<'_> {
        MelTail {
            frames: &self.frames,
            first: self.first,
            total: self.total,
            next_out: self.next_out,
        }
    }
}
