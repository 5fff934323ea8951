//! What may be chosen when sound is encoded or decoded.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use percept_nn::signal::NoiseSource;

/// The noise that a decoder adds.
#[derive(Clone, Debug)]
pub enum Noise {
    /// None: less work, and the same result everywhere.
    Off,
    /// Normal noise that depends on the seed and the place in the stream alone, so that cutting changes nothing.
    Seeded(u64),
    /// From outside.
    External(Arc<dyn NoiseSource>),
}

impl Default for Noise {
    fn default() -> Self {
        Noise::Seeded(0)
    }
}

/// How much of what follows a decoder waits for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Lookahead {
    /// All that matters: the samples are those of the whole recording.
    #[default]
    Exact,
    /// This many latent frames, and silence is taken for what would follow. Sooner, at the price of a small error and of
    /// computing the end of every push twice; more frames than the exact look-ahead change nothing.
    Frames(u8),
}

/// What may be chosen for encoding.
#[derive(Clone, Debug, Default)]
pub struct EncodeOptions {
    /// Books to use, coarse to fine; the model's usual number where it is `None`.
    pub books: Option<usize>,
    /// Progress and cancelling, of whole recordings.
    pub control: Control,
}

/// What may be chosen for decoding.
#[derive(Clone, Debug)]
pub struct DecodeOptions {
    /// The noise to add, for decoders that do.
    pub noise: Noise,
    /// How much of what follows is waited for, in streams.
    pub lookahead: Lookahead,
    /// Whether what the encoder padded is cut off again, where the codes say how long the source was.
    pub trim: bool,
    /// Progress and cancelling, of whole recordings.
    pub control: Control,
}

impl Default for DecodeOptions {
    fn default() -> Self {
        DecodeOptions {
            noise: Noise::default(),
            lookahead: Lookahead::default(),
            trim: true,
            control: Control::default(),
        }
    }
}

/// A hand on work that takes long.
#[derive(Clone, Default)]
pub struct Control {
    /// Told how far the work is, from the thread that does it.
    pub progress: Option<Arc<dyn Fn(Progress) + Send + Sync>>,
    /// Ends the work early.
    pub cancel: CancelFlag,
}

impl fmt::Debug for Control {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Control")
            .field("progress", &self.progress.is_some())
            .field("cancel", &self.cancel)
            .finish()
    }
}

/// How far work is, in samples per channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Done so far.
    pub done: u64,
    /// To be done in all.
    pub total: u64,
}

/// Says that work is no longer wanted. Copies are one flag.
#[derive(Clone, Debug, Default)]
pub struct CancelFlag(Arc<AtomicBool>);

impl CancelFlag {
    /// Cancels the work; it ends with an error soon after.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether the work was cancelled.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
