//! The end of the ring that audio goes into.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Shared;

/// Samples that were lost, and how many had been pushed before them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mark {
    pub(super) after: u64,
    pub(super) lost: u64,
}

/// Puts live audio into the ring: mono samples in `[-1, 1]` at the sample rate that the stream was made with
/// ([`StreamingParakeetTdt::new`](super::StreamingParakeetTdt::new)); louder ones are taken as they are. No call waits,
/// allocates or locks, so it may live in an audio callback.
///
/// Dropping it, or [`AudioProducer::finish`], is the end of the audio: what is in the ring is recognised to its end.
#[derive(Debug)]
pub struct AudioProducer {
    samples: rtrb::Producer<f32>,
    marks: rtrb::Producer<Mark>,
    shared: Arc<Shared>,
    pushed: u64,
    /// Lost samples that no mark was free for; nothing is taken before there is one.
    unmarked: u64,
}

impl AudioProducer {
    pub(super) fn new(
        samples: rtrb::Producer<f32>,
        marks: rtrb::Producer<Mark>,
        shared: Arc<Shared>,
    ) -> Self {
        AudioProducer {
            samples,
            marks,
            shared,
            pushed: 0,
            unmarked: 0,
        }
    }

    /// Puts one sample, mono, in `[-1, 1]` and at the stream's sample rate, into the ring, unless it is full or nobody
    /// listens. For more than one there is [`AudioProducer::push_slice`].
    #[must_use = "a sample that was not taken is to be pushed again, or counted by `lost`"]
    pub fn push(&mut self, sample: f32) -> bool {
        self.push_slice(&[sample]) == 1
    }

    /// Puts the first samples of `pcm`, mono, in `[-1, 1]` and at the stream's sample rate, into the ring, as many as
    /// fit, and says how many that were. The rest may be pushed again later, or given up: see [`AudioProducer::lost`].
    /// Once nobody listens it is always 0.
    ///
    /// Samples that are no finite numbers are taken, and heard as a gap. Those of a push that is under way while the
    /// stream is finalised may be taken and not heard; the engine counts them as dropped.
    #[must_use = "samples that were not taken are to be pushed again, or counted by `lost`"]
    pub fn push_slice(&mut self, pcm: &[f32]) -> usize {
        if self.is_abandoned() || !self.mark() {
            return 0;
        }
        let (taken, _) = self.samples.push_partial_slice(pcm);
        self.pushed += taken.len() as u64;
        taken.len()
    }

    /// Puts `pcm`, as [`AudioProducer::push_slice`] takes it, into the ring and gives up what does not fit, which
    /// becomes a gap; says how many samples that were. For sources that cannot wait.
    pub fn push_or_lose(&mut self, pcm: &[f32]) -> usize {
        let lost = pcm.len() - self.push_slice(pcm);
        self.lost(lost as u64);
        lost
    }

    /// Takes note that `samples` were lost here: the clock goes on by as much, and the stream tells of a gap. What is
    /// lost once the stream was finalised is no gap, but counted.
    pub fn lost(&mut self, samples: u64) {
        self.unmarked = self.unmarked.saturating_add(samples);
        self.mark();
    }

    /// Samples that fit now. The engine may make room for more at any time.
    pub fn free(&self) -> usize {
        self.samples.slots()
    }

    /// Samples that fit when the ring is empty.
    pub fn capacity(&self) -> usize {
        self.samples.buffer().capacity()
    }

    /// Whether nobody listens: the engine was dropped, or its stream finalised. It stays that way.
    pub fn is_abandoned(&self) -> bool {
        self.samples.is_abandoned() || self.shared.is_closed.load(Ordering::Acquire)
    }

    /// Ends the audio.
    pub fn finish(self) {}

    /// Tells of what was lost; false if that has to wait.
    fn mark(&mut self) -> bool {
        if self.unmarked > 0 {
            let mark = Mark {
                after: self.pushed,
                lost: self.unmarked,
            };
            if self.marks.push(mark).is_err() {
                return false;
            }
            self.unmarked = 0;
        }
        true
    }
}

impl Drop for AudioProducer {
    fn drop(&mut self) {
        if !self.mark() {
            self.shared
                .lost_at_end
                .store(self.unmarked, Ordering::Release);
        }
    }
}
