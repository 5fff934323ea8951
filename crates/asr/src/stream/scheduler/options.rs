//! What may be chosen about a scheduler, and what it answers.

use std::time::Duration;

use crate::stream::StreamError;

/// How many streams a scheduler takes and how it puts them together.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchedulerOptions {
    /// Streams at a time.
    pub slots: usize,
    /// Streams in a step; at least one goes.
    pub max_batch: usize,
    /// Encoder frames in a step, those of contexts included; one stream goes however many it has. A window of 14 s has
    /// 175 of 80 ms. More make little difference to the time a frame takes, but all streams of a step end with it.
    pub max_rows: usize,
    /// How long a stream that is ready waits at most for others to go with.
    pub max_wait: Duration,
    /// Samples that wait in front of each stream, at the model's rate.
    pub queue_samples: usize,
    /// A stream with this many events or more that were not cleared does not go on until they are.
    pub max_events: usize,
}

impl Default for SchedulerOptions {
    fn default() -> Self {
        SchedulerOptions {
            slots: 64,
            max_batch: 64,
            max_rows: 640,
            max_wait: Duration::from_millis(20),
            queue_samples: 160_000,
            max_events: 4096,
        }
    }
}

/// A stream of a scheduler. It means nothing to any other, and nothing once the stream was cancelled or released, even when
/// its slot has a new stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamId {
    pub(super) slot: u32,
    pub(super) generation: u32,
}

/// What a scheduler wants to be done next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Call [`Scheduler::run`](super::Scheduler::run).
    Run,
    /// The same at this time, or sooner if audio makes it so.
    WaitUntil(Duration),
    /// Nothing, until audio comes or events are cleared.
    Idle,
}

/// What a scheduler refuses.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum SchedulerError {
    /// All slots are taken.
    #[error("all {slots} slots have a stream; try again when one has ended")]
    Full {
        /// How many there are.
        slots: usize,
    },
    /// It takes no new streams.
    #[error("no new streams are taken, as the scheduler is being drained; go to another one")]
    Draining,
    /// The stream was cancelled or released.
    #[error("the stream is gone: it was cancelled or released; admit a new one")]
    Gone,
    /// The stream is not over, so that its slot cannot be given back.
    #[error("the stream is not over; finish it and take its events up to the end, or cancel it")]
    NotOver,
    /// The stream cannot begin or take what it was given.
    #[error(transparent)]
    Stream(#[from] StreamError),
}

impl SchedulerError {
    /// A stable name of the kind of error.
    pub fn code(&self) -> &'static str {
        match self {
            SchedulerError::Full { .. } => "full",
            SchedulerError::Draining => "draining",
            SchedulerError::Gone => "gone",
            SchedulerError::NotOver => "not-over",
            SchedulerError::Stream(error) => error.code(),
        }
    }
}
