//! Chunks that follow the machine: as large as the latency that was asked for allows.

mod history;
mod patience;
#[cfg(test)]
mod tests;

use std::time::Duration;

use percept_nn::AttentionMask;

use super::context::ContextConfig;
use history::History;
use patience::Patience;

/// Steps that the mean cost is judged by.
const AVERAGED: usize = 32;
/// Steps that show how things are now.
const RECENT: usize = 8;
/// Late steps in a row that are a backlog.
const BACKLOG: usize = 4;
/// Steps between two changes, so that the second sees what the first did.
const SETTLING_STEPS: u32 = 4;
/// Steps without trouble before the chunk grows to use up the latency.
const GROWTH_STEPS: u32 = 32;
/// A change aims at this share of a limit, and is made only when the limit itself is missed.
const MARGIN: f64 = 0.9;
/// The share of the time that may go into computing; less while a backlog is to be worked off.
const UTILISATION: f64 = 0.85;
const UTILISATION_WHEN_LATE: f64 = 0.6;
/// Lateness that matters, as a share of the target.
const LATE: f64 = 0.1;
/// The longest chunk, for machines that only keep up with long ones: one minute.
const MOST_FRAMES: usize = 750;
/// Neighbouring chunks of the choice differ by a tenth at least.
const RUNG: f64 = 1.1;

/// Chooses the chunk of a live stream so that words are final in time.
///
/// The aim is that the first word of a chunk is final within the target in 95 of 100 steps: chunk, right context,
/// computing and waiting together. The chunk is as long as that allows, because longer ones cost less. A machine that
/// cannot make the target gets the shortest chunk that it keeps up with. The right context, on which quality depends,
/// stays as it is.
///
/// There is no clock inside: the driver says how long each step took and what waits. Feed it live audio only; a file
/// that is read as fast as possible looks like a backlog.
#[derive(Clone, Debug)]
pub struct AdaptiveContext {
    target: f64,
    seconds_per_frame: f64,
    sample_rate: u32,
    left: usize,
    right: usize,
    /// The choice, ascending.
    rungs: Vec<usize>,
    /// The rung in use.
    at: usize,
    /// Frames of left context that the next window has, if no more than `left`.
    left_so_far: usize,
    history: History,
    since_change: u32,
    /// Changes to use up the latency, and to hold it.
    growth: Patience,
    shrinking: Patience,
}

/// A latency that cannot be reached.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum AdaptiveError {
    /// The shortest chunk and the right context alone take longer.
    #[error(
        "a latency of {target:?} cannot be held with a right context and shortest chunk of {least:?}; \
         ask for more, or for less right context"
    )]
    Target {
        /// What was asked for.
        target: Duration,
        /// What the audio alone takes.
        least: Duration,
    },
}

impl AdaptiveError {
    /// A stable name of the kind of error.
    pub fn code(&self) -> &'static str {
        match self {
            AdaptiveError::Target { .. } => "latency-target",
        }
    }
}

impl AdaptiveContext {
    /// Begins with the chunk of `context`, or the longest one that may hold the target. Chunks are `floor_frames` at
    /// least and fit the grid of the attention, which is what [`ContextConfig::mask`] says.
    ///
    /// # Errors
    /// [`AdaptiveError::Target`] where right context and shortest chunk last longer than `target`.
    pub fn new(
        target: Duration,
        context: &ContextConfig,
        mask: &AttentionMask,
        floor_frames: usize,
    ) -> Result<Self, AdaptiveError> {
        let seconds_per_frame =
            context.latency_secs() / (context.chunk_frames() + context.right_frames()) as f64;
        let rungs = rungs(context, mask, floor_frames);
        let least = (rungs[0] + context.right_frames()) as f64 * seconds_per_frame;
        if target.as_secs_f64() <= least {
            let least = Duration::from_secs_f64(least);
            return Err(AdaptiveError::Target { target, least });
        }
        let mut adaptive = AdaptiveContext {
            target: target.as_secs_f64(),
            seconds_per_frame,
            sample_rate: context.sample_rate(),
            left: context.left_frames(),
            right: context.right_frames(),
            rungs,
            at: 0,
            left_so_far: 0,
            history: History::new(),
            since_change: 0,
            growth: Patience::new(GROWTH_STEPS),
            shrinking: Patience::new(SETTLING_STEPS),
        };
        let longest = adaptive.longest_in_time(0.0, MARGIN);
        let asked = context.chunk_frames();
        let asked = adaptive.rungs.partition_point(|&chunk| chunk <= asked);
        adaptive.at = longest.min(asked.saturating_sub(1));
        Ok(adaptive)
    }

    /// Frames of the chunk to use.
    pub fn chunk_frames(&self) -> usize {
        self.rungs[self.at]
    }

    /// Samples per second in which it is told of a backlog: that of the context it was made for.
    pub fn sample_rate(&self) -> u32 {
        self.sample_rate
    }

    /// The chunks to choose from, ascending.
    pub fn choice(&self) -> &[usize] {
        &self.rungs
    }

    /// How late the first word of a chunk is final in 95 of 100 steps, judged by the latest ones; `None` before the
    /// first.
    pub fn finalisation(&self) -> Option<Duration> {
        let cost = self.history.slow_cost(history::STEPS);
        let seconds = self.latency(self.at, cost) + self.history.lateness();
        (!self.history.is_empty()).then(|| Duration::from_secs_f64(seconds))
    }

    /// Takes note of a step: how long it took, waiting for the processor included, and how many samples, at
    /// [`AdaptiveContext::sample_rate`], had come by its end that its window did not hold yet.
    /// Returns the chunk to use from now on, if it changes.
    pub fn observe(&mut self, step: Duration, backlog_samples: u64) -> Option<usize> {
        let chunk = self.chunk_frames();
        if self.left_so_far < self.left {
            // The first windows are shorter, which makes their frames look dear.
            self.left_so_far += chunk;
            return None;
        }
        let window = (self.left + chunk + self.right) as f64;
        let waiting = backlog_samples as f64 / f64::from(self.sample_rate);
        // The next step is due once a chunk has come; what lies beyond it should have been under way by now.
        let late = (waiting - chunk as f64 * self.seconds_per_frame).max(0.0);
        self.history.push(step.as_secs_f64() / window, late);
        self.since_change = self.since_change.saturating_add(1);
        if self.since_change < SETTLING_STEPS {
            return None;
        }
        let next = self
            .too_short()
            .or_else(|| self.too_long())
            .or_else(|| self.may_grow())?;
        self.since_change = 0;
        self.at = next;
        Some(self.chunk_frames())
    }

    /// The rung to change to where the machine does not keep up.
    fn too_short(&mut self) -> Option<usize> {
        // Late for longer than it takes to make up for one slow step.
        let has_backlog = self.history.stays_later(LATE * self.target, BACKLOG);
        let (steps, utilisation) = match has_backlog {
            true => (RECENT, UTILISATION_WHEN_LATE),
            false => (AVERAGED, UTILISATION),
        };
        let sustained = self.shortest_sustained(self.history.mean_cost(steps), utilisation);
        (self.at < sustained).then(|| {
            self.growth.take_back();
            self.shrinking.take_back();
            sustained
        })
    }

    /// The rung to change to where the target is missed: only a machine that is slow now and was before, and has no
    /// backlog, which a shorter chunk would make last longer.
    fn too_long(&mut self) -> Option<usize> {
        let slow = self
            .history
            .slow_cost(RECENT)
            .min(self.history.slow_cost(history::STEPS));
        let is_in_time = self.latency(self.at, slow) <= self.target;
        if is_in_time
            || self.since_change < self.shrinking.steps
            || self.history.was_later(LATE * self.target, RECENT)
        {
            return None;
        }
        let mean = self
            .history
            .mean_cost(RECENT)
            .max(self.history.mean_cost(AVERAGED));
        let least = self.shortest_sustained(mean, MARGIN * UTILISATION);
        let shorter = self.longest_in_time(slow, MARGIN).max(least);
        (shorter < self.at).then(|| {
            self.growth.take_back();
            self.shrinking.change();
            shorter
        })
    }

    /// The rung to change to where the target leaves time for it.
    fn may_grow(&mut self) -> Option<usize> {
        let slow = self
            .history
            .slow_cost(RECENT)
            .max(self.history.slow_cost(history::STEPS));
        let longer = self.longest_in_time(slow, MARGIN);
        if longer <= self.at
            || self.since_change < self.growth.steps
            || self.history.was_later(LATE * self.target, RECENT)
        {
            return None;
        }
        self.growth.change();
        Some(longer)
    }

    /// The shortest chunk whose step takes less than this share of it; the longest of all if none does.
    fn shortest_sustained(&self, cost: f64, utilisation: f64) -> usize {
        let keeps_up = |&chunk: &usize| {
            let step = cost * (self.left + chunk + self.right) as f64;
            step <= utilisation * chunk as f64 * self.seconds_per_frame
        };
        let found = self.rungs.iter().position(keeps_up);
        found.unwrap_or(self.rungs.len() - 1)
    }

    /// The longest chunk that is final within this share of the target; the shortest of all if none is.
    fn longest_in_time(&self, cost: f64, share: f64) -> usize {
        let is_in_time = |&at: &usize| self.latency(at, cost) <= share * self.target;
        (0..self.rungs.len()).rev().find(is_in_time).unwrap_or(0)
    }

    /// Seconds from the first word of a chunk until it is final, without waiting.
    fn latency(&self, at: usize, cost: f64) -> f64 {
        let ahead = self.rungs[at] + self.right;
        ahead as f64 * self.seconds_per_frame + cost * (self.left + ahead) as f64
    }
}

/// The chunks that a model's attention allows, far enough apart to tell.
fn rungs(context: &ContextConfig, mask: &AttentionMask, floor_frames: usize) -> Vec<usize> {
    let left = context.left_frames();
    let is_legal = |chunk: usize| match *mask {
        AttentionMask::ChunkedWithRight { .. } => left.is_multiple_of(chunk),
        AttentionMask::Chunked { right, .. } => chunk.is_multiple_of(right + 1),
        _ => true,
    };
    let floor = floor_frames.max(1);
    let ceiling = MOST_FRAMES.max(context.chunk_frames()).max(floor);
    let mut rungs: Vec<usize> = Vec::new();
    for chunk in (floor..=ceiling).filter(|&chunk| is_legal(chunk)) {
        let least = rungs.last().map_or(0.0, |&last| last as f64 * RUNG);
        if chunk as f64 >= least {
            rungs.push(chunk);
        }
    }
    if rungs.is_empty() {
        rungs.push(context.chunk_frames());
    }
    rungs
}
