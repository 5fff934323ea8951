//! What is asked.

use std::error::Error;

use percept_asr::{ContextConfig, StreamMode, StreamOptions};
use serde::Deserialize;

pub(crate) const RATE: f64 = 16_000.0;
pub(crate) const FRAME_SAMPLES: usize = 1280;

#[derive(Deserialize)]
pub(crate) struct Request {
    pub(crate) mode: Mode,
    #[serde(default)]
    pub(crate) volatile: bool,
    #[serde(flatten)]
    pub(crate) task: Task,
}

#[derive(Deserialize)]
#[serde(tag = "do", rename_all = "lowercase")]
pub(crate) enum Task {
    /// Steps of `batch` streams that are under way, each timed.
    Steady { batch: usize, steps: usize },
    /// `streams` at once for so many seconds of their time, at most `batch` in a step.
    Live {
        streams: usize,
        seconds: f64,
        batch: usize,
    },
}

/// As in `modes.py`.
#[derive(Deserialize)]
pub(crate) struct Mode {
    pub(crate) family: Family,
    pub(crate) frames: usize,
    pub(crate) left_frames: usize,
    pub(crate) right_frames: usize,
}

#[derive(Deserialize, Clone, Copy, PartialEq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Family {
    Windows,
    Cached,
}

impl Mode {
    pub(crate) fn options(&self, volatile: bool) -> Result<StreamOptions, Box<dyn Error>> {
        let mut options = StreamOptions::default();
        options.volatile = volatile;
        options.mode = match self.family {
            Family::Windows => StreamMode::Windows(ContextConfig::from_frames(
                self.left_frames,
                self.frames,
                self.right_frames,
            )?),
            Family::Cached => StreamMode::CacheAware {
                lookahead: Some(self.frames - 1),
            },
        };
        Ok(options)
    }

    pub(crate) fn chunk_samples(&self) -> usize {
        self.frames * FRAME_SAMPLES
    }

    /// Encoder frames of a step.
    pub(crate) fn rows(&self) -> usize {
        self.left_frames + self.frames + self.right_frames
    }

    /// How many samples it takes to decide `frames`: windows wait for the sample behind them, and frames for the window of
    /// their last mel frame.
    pub(crate) fn samples_for(&self, frames: u64) -> u64 {
        let frame = FRAME_SAMPLES as u64;
        match self.family {
            Family::Windows => (frames + self.right_frames as u64) * frame + 1,
            Family::Cached => (frames - 1) * frame + 200,
        }
    }
}
