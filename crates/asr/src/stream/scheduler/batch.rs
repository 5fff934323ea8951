//! Which streams go together, and when.

use std::time::Duration;

use super::options::{Next, SchedulerOptions};
use crate::stream::StreamState;

/// A stream that is ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Candidate {
    pub(super) slot: usize,
    /// When its step has to be done.
    pub(super) deadline: Duration,
    /// Encoder frames of the step.
    pub(super) rows: usize,
}

/// Leaves those that go, the one with the earliest deadline first. What does not fit waits; what follows it and fits goes.
pub(super) fn pick(candidates: &mut Vec<Candidate>, options: &SchedulerOptions) {
    candidates.sort_unstable_by_key(|candidate| (candidate.deadline, candidate.slot));
    let (mut streams, mut rows) = (0, 0);
    candidates.retain(|candidate| {
        let fits = streams < options.max_batch && rows + candidate.rows <= options.max_rows;
        let goes = streams == 0 || fits;
        if goes {
            streams += 1;
            rows += candidate.rows;
        }
        goes
    });
}

/// A step that is being put together.
#[derive(Debug)]
pub(super) struct Batch<'o> {
    options: &'o SchedulerOptions,
    streams: usize,
    rows: usize,
    /// Since when the first of them is ready.
    since: Option<Duration>,
    /// Whether others may come to be ready.
    is_partial: bool,
}

impl<'o> Batch<'o> {
    pub(super) fn new(options: &'o SchedulerOptions) -> Self {
        Batch {
            options,
            streams: 0,
            rows: 0,
            since: None,
            is_partial: false,
        }
    }

    /// A stream is ready since `since`, with `rows` encoder frames.
    pub(super) fn add_ready(&mut self, since: Duration, rows: usize) {
        self.streams += 1;
        self.rows += rows;
        self.since = Some(self.since.map_or(since, |first| first.min(since)));
    }

    /// A stream may come to be ready.
    pub(super) fn wait_for_more(&mut self) {
        self.is_partial = true;
    }

    pub(super) fn next(&self, now: Duration) -> Next {
        let Some(since) = self.since else {
            return Next::Idle;
        };
        let until = since.saturating_add(self.options.max_wait);
        let is_full = self.streams >= self.options.max_batch || self.rows >= self.options.max_rows;
        match is_full || !self.is_partial || now >= until {
            true => Next::Run,
            false => Next::WaitUntil(until),
        }
    }
}

/// An empty list in the memory of another one.
pub(super) fn recycle<'b>(mut list: Vec<&mut StreamState>) -> Vec<&'b mut StreamState> {
    list.clear();
    let none = |_: &mut StreamState| -> &'b mut StreamState { unreachable!("the list is empty") };
    list.into_iter().map(none).collect()
}
