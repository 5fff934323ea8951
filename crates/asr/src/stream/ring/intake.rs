//! From the samples and marks in a ring to what a stream takes: finite samples at the model's rate, and gaps.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use percept_audio::Resampler;

use super::Shared;
use super::producer::Mark;

/// Samples taken out of the ring at a time.
const BLOCK: usize = 2048;
/// Where rates differ every gap costs a new filter, so one lasts at least this part of a second.
const GAP_DIVISOR: u64 = 100;
/// Lost samples do not move the clock beyond this, 186 years at the highest rate: no sum of times can overflow, also at
/// the model's rate.
const MAX_CLOCK: u64 = 1 << 52;

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Piece<'a> {
    /// Finite samples at the model's rate; [`Intake::consume`] says how many were used.
    Samples(&'a [f32]),
    /// Samples that were lost, at the model's rate.
    Skip(u64),
    /// Nothing yet.
    Nothing,
    /// Nothing ever.
    End,
}

/// The reading ends of the rings.
#[derive(Debug)]
pub(super) struct Ends {
    pub(super) samples: rtrb::Consumer<f32>,
    pub(super) marks: rtrb::Consumer<Mark>,
    pub(super) shared: Arc<Shared>,
}

#[derive(Debug)]
pub(super) struct Intake {
    ends: Ends,
    from: u32,
    to: u32,
    resampler: Resampler,
    /// Samples taken out of the ring.
    popped: u64,
    /// Those that were taken out last, and how many of them are dealt with.
    block: Vec<f32>,
    done: usize,
    /// Samples dealt with and samples lost, at the ring's rate.
    clock: u64,
    /// Samples given and samples skipped, at the model's rate.
    given: u64,
    /// Converted samples, and how many of them were used.
    ready: Vec<f32>,
    used: usize,
    /// The length of the gap that lasts until the next finite sample, at the ring's rate; `None` outside gaps.
    gap: Option<u64>,
    is_closed: bool,
    has_ended: bool,
    /// Samples that the producer has lost, or a gap that had to be longer.
    pub(super) dropped: u64,
    /// Samples that were no numbers.
    pub(super) invalid: u64,
}

impl Intake {
    /// Takes samples at one rate and gives samples at the other; `resampler` converts between them.
    pub(super) fn new(ends: Ends, (from, to): (u32, u32), resampler: Resampler) -> Self {
        Intake {
            ends,
            from,
            to,
            resampler,
            popped: 0,
            block: Vec::with_capacity(BLOCK),
            done: 0,
            clock: 0,
            given: 0,
            ready: Vec::new(),
            used: 0,
            gap: None,
            is_closed: false,
            has_ended: false,
            dropped: 0,
            invalid: 0,
        }
    }

    /// Samples in the ring.
    pub(super) fn waiting(&self) -> usize {
        self.ends.samples.slots()
    }

    /// Samples at the model's rate in the ring and on their way out of it.
    pub(super) fn waiting_at_model_rate(&self) -> u64 {
        let waiting = (self.waiting() + self.block.len() - self.done) as u64;
        let converted = self.ready.len() - self.used;
        waiting * u64::from(self.to) / u64::from(self.from) + converted as u64
    }

    /// Whether [`Intake::close`] was called.
    pub(super) fn is_closed(&self) -> bool {
        self.is_closed
    }

    /// From now on the budget is all that counts.
    pub(super) fn close(&mut self) {
        self.is_closed = true;
        self.ends.shared.is_closed.store(true, Ordering::Release);
    }

    /// Once the audio has ended: what was still pushed, or given up, is lost. A push that saw the ring open may come at
    /// any time after it was closed.
    pub(super) fn count_late(&mut self) {
        if !self.has_ended {
            return;
        }
        let late = self.waiting();
        if let Ok(chunk) = self.ends.samples.read_chunk(late) {
            chunk.commit_all();
        }
        let mut lost = self.ends.shared.lost_at_end.swap(0, Ordering::AcqRel);
        while let Ok(mark) = self.ends.marks.pop() {
            lost = lost.saturating_add(mark.lost);
        }
        self.dropped = self
            .dropped
            .saturating_add(lost)
            .saturating_add(late as u64);
    }

    /// What comes next. Takes at most `budget` samples out of the ring, and lessens it by those.
    pub(super) fn next(&mut self, budget: &mut usize) -> Piece<'_> {
        loop {
            if self.used < self.ready.len() {
                return Piece::Samples(&self.ready[self.used..]);
            }
            self.ready.clear();
            self.used = 0;
            if self.done < self.block.len() {
                if let Some(skip) = self.deal_with_block() {
                    return Piece::Skip(skip);
                }
            } else if self.has_ended {
                return match self.gap {
                    Some(_) => Piece::Skip(self.end_gap()),
                    None => Piece::End,
                };
            } else if !self.refill(budget) {
                return Piece::Nothing;
            }
        }
    }

    /// `samples` of the last [`Piece::Samples`] were used.
    pub(super) fn consume(&mut self, samples: usize) {
        self.used += samples;
    }

    /// Takes a mark or samples out of the rings, or finds that they have ended; false where there is nothing yet.
    fn refill(&mut self, budget: &mut usize) -> bool {
        // In this order: what was there when the producer went is counted, and a mark is in its ring before the samples
        // that follow it.
        let is_last = self.ends.samples.is_abandoned() || self.is_closed;
        let waiting = self.waiting().min(*budget);
        let until_mark = match self.ends.marks.peek() {
            Ok(mark) if mark.after == self.popped => {
                let lost = mark.lost;
                self.ends.marks.pop().ok();
                self.lose(lost);
                return true;
            }
            Ok(mark) => mark.after - self.popped,
            Err(_) => u64::MAX,
        };
        let count = until_mark.min(waiting.min(BLOCK) as u64) as usize;
        if count > 0 {
            self.block.resize(count, 0.0);
            self.ends.samples.pop_entire_slice(&mut self.block).ok();
            self.done = 0;
            self.popped += count as u64;
            *budget -= count;
            return true;
        }
        let is_drained = self.is_closed || self.waiting() == 0;
        if is_last && is_drained {
            self.end();
            return true;
        }
        false
    }

    /// Deals with the samples up to where a gap begins or ends, or with all. The length of a gap that ended is
    /// returned.
    fn deal_with_block(&mut self) -> Option<u64> {
        let rest = &self.block[self.done..];
        let Some(gap) = &mut self.gap else {
            let finite = rest.iter().position(|v| !v.is_finite());
            let count = finite.unwrap_or(rest.len());
            self.convert(self.done..self.done + count);
            self.clock += count as u64;
            self.done += count;
            if finite.is_some() {
                self.widen_gap(0);
            }
            return None;
        };
        let least = match self.from == self.to {
            true => 0,
            false => u64::from(self.from) / GAP_DIVISOR,
        };
        let before = *gap;
        for sample in rest {
            match sample.is_finite() {
                false => self.invalid += 1,
                true if *gap < least => self.dropped = self.dropped.saturating_add(1),
                true => break,
            }
            *gap += 1;
        }
        let count = *gap - before;
        self.clock += count;
        self.done += count as usize;
        (self.done < self.block.len()).then(|| self.end_gap())
    }

    fn lose(&mut self, lost: u64) {
        self.dropped = self.dropped.saturating_add(lost);
        self.widen_gap(lost.min(MAX_CLOCK.saturating_sub(self.clock)));
    }

    /// Makes the gap longer; begins one where there is none.
    fn widen_gap(&mut self, samples: u64) {
        if self.gap.is_none() {
            self.finish_segment();
        }
        self.clock += samples;
        *self.gap.get_or_insert(0) += samples;
    }

    /// Its length at the model's rate.
    fn end_gap(&mut self) -> u64 {
        self.gap = None;
        let end = u128::from(self.clock) * u128::from(self.to);
        let end = end.div_ceil(u128::from(self.from)) as u64;
        let samples = end.saturating_sub(self.given).max(1);
        self.given += samples;
        let resampler = Resampler::new(self.from, self.to);
        self.resampler = resampler.expect("these rates made one before");
        samples
    }

    fn convert(&mut self, samples: std::ops::Range<usize>) {
        let before = self.ready.len();
        self.resampler.push(&self.block[samples], &mut self.ready);
        self.settle(before);
    }

    /// Gives what the filter has held back.
    fn finish_segment(&mut self) {
        let before = self.ready.len();
        self.resampler.finish(&mut self.ready);
        self.settle(before);
    }

    /// Counts what was converted. Of the largest numbers the filter may make more than a float holds.
    fn settle(&mut self, before: usize) {
        let new = &mut self.ready[before..];
        new.iter_mut()
            .for_each(|v| *v = v.clamp(f32::MIN, f32::MAX));
        self.given += new.len() as u64;
    }

    fn end(&mut self) {
        let lost = self.ends.shared.lost_at_end.swap(0, Ordering::AcqRel);
        if lost > 0 {
            self.lose(lost);
        } else if self.gap.is_none() {
            self.finish_segment();
        }
        self.has_ended = true;
    }
}
