//! Where the time of a recognition goes.

use std::time::{Duration, Instant};

use crate::encoder::Step;
use crate::transcript::Transcript;

/// A recognition with the time of each of its stages; from [`Model::profile`](crate::Model::profile).
#[derive(Clone, Debug, PartialEq)]
pub struct Profile {
    /// In the order in which audio passes through them.
    pub stages: Vec<StageTime>,
    /// What was recognised.
    pub transcript: Transcript,
}

/// The time spent in one stage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StageTime {
    /// `mel`, `subsampling`, `feed-forward`, `attention`, `convolution` or `decoder`.
    pub name: &'static str,
    /// Wall-clock time.
    pub time: Duration,
}

/// A stage of a recognition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    Mel,
    Encoder(Step),
    Decoder,
}

impl Stage {
    const ALL: [Stage; 6] = [
        Stage::Mel,
        Stage::Encoder(Step::Subsampling),
        Stage::Encoder(Step::FeedForward),
        Stage::Encoder(Step::Attention),
        Stage::Encoder(Step::Convolution),
        Stage::Decoder,
    ];

    fn name(self) -> &'static str {
        match self {
            Stage::Mel => "mel",
            Stage::Encoder(Step::Subsampling) => "subsampling",
            Stage::Encoder(Step::FeedForward) => "feed-forward",
            Stage::Encoder(Step::Attention) => "attention",
            Stage::Encoder(Step::Convolution) => "convolution",
            Stage::Decoder => "decoder",
        }
    }
}

/// Adds up the time between laps.
pub(crate) struct Clock {
    last: Instant,
    times: [Duration; Stage::ALL.len()],
}

impl Clock {
    pub(crate) fn start() -> Self {
        Clock {
            last: Instant::now(),
            times: Default::default(),
        }
    }

    /// `stage` has ended; it began where the stage before it ended.
    pub(crate) fn lap(&mut self, stage: Stage) {
        let now = Instant::now();
        let index = Stage::ALL.iter().position(|s| *s == stage);
        self.times[index.expect("all stages are listed")] += now - self.last;
        self.last = now;
    }

    pub(crate) fn stages(&self) -> Vec<StageTime> {
        let pairs = Stage::ALL.iter().zip(self.times);
        pairs
            .map(|(stage, time)| StageTime {
                name: stage.name(),
                time,
            })
            .collect()
    }
}
