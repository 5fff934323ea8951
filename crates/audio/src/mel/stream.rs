//! The memory of one stream of frames.

use std::sync::Arc;

use super::MelFrontEnd;
use super::frame::FrameScratch;

/// Samples taken from a push at a time, which bounds the buffer however long the push is.
const BLOCK_SAMPLES: usize = 4096;

/// Turns PCM into log-mel frames as it arrives.
///
/// Input: mono `f32` at the front end's sample rate. Output: `[frames, n_mels]`, natural logarithm, not normalised, one
/// frame per hop. A frame is emitted as soon as its window is complete; `finish` computes the rest against zeros. Any
/// split of the input gives the same frames, bit for bit, and a frame never depends on a sample after its window. After
/// [`new`](Self::new), nothing but a growing `out` allocates.
///
/// ```
/// use std::sync::Arc;
/// use percept_audio::{MelConfig, MelFrontEnd, MelStream};
///
/// let front_end = Arc::new(MelFrontEnd::new(MelConfig::nemo(80))?);
/// let mut mel = MelStream::new(front_end);
/// let mut frames = Vec::new();
/// assert_eq!(mel.push(&[0.0; 199], &mut frames), 0);
/// assert_eq!(mel.push(&[0.0; 1], &mut frames), 1);
/// assert_eq!(mel.push(&[0.0; 120], &mut frames) + mel.finish(&mut frames), 1);
/// assert_eq!(frames.len(), 2 * 80);
/// # Ok::<(), percept_audio::MelError>(())
/// ```
#[derive(Clone)]
pub struct MelStream {
    front_end: Arc<MelFrontEnd>,
    /// Pre-emphasised samples from `base_sample` on.
    buffer: Vec<f32>,
    /// Position of `buffer[0]` in the signal; negative while the zeros before sample 0 are still in it.
    base_sample: i64,
    samples: u64,
    frames: u64,
    last_sample: f32,
    is_finished: bool,
    scratch: FrameScratch,
}

impl MelStream {
    /// A stream at sample 0.
    pub fn new(front_end: Arc<MelFrontEnd>) -> Self {
        let lookback = front_end.lookback_samples().max(0) as usize;
        let config = front_end.config();
        // As long as it ever gets: what frames wait for, and a block; at the end, a window one hop on.
        let waiting = lookback + front_end.ready_samples() as usize + BLOCK_SAMPLES;
        let mut buffer = Vec::with_capacity(waiting.max(config.hop_samples + config.win_samples));
        buffer.resize(lookback, 0.0);
        Self {
            buffer,
            base_sample: -(lookback as i64),
            samples: 0,
            frames: 0,
            last_sample: 0.0,
            is_finished: false,
            scratch: FrameScratch::new(&front_end),
            front_end,
        }
    }

    /// The front end it computes with.
    pub fn front_end(&self) -> &Arc<MelFrontEnd> {
        &self.front_end
    }

    /// Samples pushed so far.
    pub fn samples(&self) -> u64 {
        self.samples
    }

    /// Frames emitted so far.
    pub fn frames(&self) -> u64 {
        self.frames
    }

    /// Samples after the first of a hop that must have arrived before that hop's frame is emitted: 200 for NeMo's
    /// defaults.
    pub fn delay(&self) -> usize {
        self.front_end.ready_samples() as usize
    }

    /// Takes any number of samples and appends the frames that they complete to `out`. Returns how many frames that
    /// are. A stream that was finished takes no more: it returns 0.
    pub fn push(&mut self, pcm: &[f32], out: &mut Vec<f32>) -> usize {
        if self.is_finished {
            return 0;
        }
        let before = self.frames;
        for block in pcm.chunks(BLOCK_SAMPLES) {
            self.append(block);
            let hop = self.front_end.config().hop_samples as u64;
            while self.frames * hop + self.front_end.ready_samples() <= self.samples {
                self.emit(out);
            }
            self.forget();
        }
        (self.frames - before) as usize
    }

    /// Ends the signal: appends the frames whose windows reach past it, the missing samples being zero. Returns how
    /// many frames that are. In total a stream of `n` samples gives [`MelFrontEnd::frames`]`(n)` frames.
    pub fn finish(&mut self, out: &mut Vec<f32>) -> usize {
        if self.is_finished {
            return 0;
        }
        self.is_finished = true;
        let before = self.frames;
        let masked = (self.front_end.masked_samples()).min(self.buffer.len());
        let audible = self.buffer.len() - masked;
        self.buffer[audible..].fill(0.0);
        while self.frames < self.front_end.frames(self.samples) {
            let end = self.window_start() + self.front_end.config().win_samples;
            if self.buffer.len() < end {
                self.buffer.resize(end, 0.0);
            }
            self.emit(out);
            self.forget();
        }
        (self.frames - before) as usize
    }

    /// Pre-emphasis; the sample before sample 0 counts as 0, which leaves sample 0 as it is.
    fn append(&mut self, pcm: &[f32]) {
        let preemphasis = self.front_end.config().preemphasis;
        let mut last = self.last_sample;
        self.buffer.extend(pcm.iter().map(|&x| {
            let y = x - preemphasis * last;
            last = x;
            y
        }));
        self.last_sample = last;
        self.samples += pcm.len() as u64;
    }

    /// Index in `buffer` of the first sample that the next frame needs.
    fn window_start(&self) -> usize {
        let hop = self.front_end.config().hop_samples as i64;
        let start = self.frames as i64 * hop - self.front_end.lookback_samples() - self.base_sample;
        usize::try_from(start).expect("the buffer starts at or before the window of the next frame")
    }

    /// Drops the samples that no frame will need again.
    fn forget(&mut self) {
        let gone = self.window_start().min(self.buffer.len());
        self.buffer.drain(..gone);
        self.base_sample += gone as i64;
    }

    /// Computes the next frame, whose window is in the buffer.
    fn emit(&mut self, out: &mut Vec<f32>) {
        let start = self.window_start();
        let taps = &self.buffer[start..][..self.front_end.config().win_samples];
        self.scratch.log_mels(&self.front_end, taps, out);
        self.frames += 1;
    }
}

impl std::fmt::Debug for MelStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MelStream")
            .field("samples", &self.samples)
            .field("frames", &self.frames)
            .field("is_finished", &self.is_finished)
            .finish_non_exhaustive()
    }
}

/// All frames of `pcm`, un-normalised: a new [`MelStream`], everything pushed, finished. Returns the number of frames
/// and `[frames, n_mels]`.
pub fn features(front_end: &Arc<MelFrontEnd>, pcm: &[f32]) -> (usize, Vec<f32>) {
    let mut stream = MelStream::new(Arc::clone(front_end));
    let mut frames = Vec::new();
    let count = stream.push(pcm, &mut frames) + stream.finish(&mut frames);
    (count, frames)
}
