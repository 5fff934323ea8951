//! Sizes of windows that go by a name.

use std::fmt;
use std::str::FromStr;

use super::{ContextConfig, MODEL_SAMPLE_RATE};

/// Sizes by name, from the most accurate to the quickest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Preset {
    /// 10-10-5: what a whole recording gives, nearly; 15 s late.
    Quality,
    /// 10-2-2: a tiny loss; 4 s late.
    #[default]
    Balanced,
    /// 5-1-1: about 2 s late.
    Quick,
    /// 2-0.5-0.5: about 1 s late, for models that do well with little right context.
    Quickest,
}

impl Preset {
    /// All of them.
    pub const ALL: [Preset; 4] = [
        Preset::Quality,
        Preset::Balanced,
        Preset::Quick,
        Preset::Quickest,
    ];

    /// Its sizes, for audio at 16 kHz.
    pub fn context(self) -> ContextConfig {
        let [left_frames, chunk_frames, right_frames] = match self {
            Preset::Quality => [125, 125, 62],
            Preset::Balanced => [125, 25, 25],
            Preset::Quick => [62, 12, 12],
            Preset::Quickest => [25, 6, 6],
        };
        ContextConfig {
            left_frames,
            chunk_frames,
            right_frames,
            sample_rate: MODEL_SAMPLE_RATE,
        }
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Preset::Quality => "quality",
            Preset::Balanced => "balanced",
            Preset::Quick => "quick",
            Preset::Quickest => "quickest",
        }
    }
}

impl fmt::Display for Preset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A name that no preset has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no preset is called `{asked}`; use quality, balanced, quick or quickest")]
pub struct UnknownPreset {
    /// The name.
    pub asked: String,
}

impl FromStr for Preset {
    type Err = UnknownPreset;

    fn from_str(name: &str) -> Result<Self, UnknownPreset> {
        let found = Preset::ALL.into_iter().find(|preset| preset.name() == name);
        found.ok_or_else(|| UnknownPreset { asked: name.into() })
    }
}
