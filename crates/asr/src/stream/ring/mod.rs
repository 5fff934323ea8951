//! Live audio in at one thread, tokens out at another, the model at a third: connected by rings, without a lock.
//!
//! What happens when one of the three goes away:
//! - The producer is dropped: that is the end of the audio. The engine recognises what is in the ring and is over.
//! - The consumer is dropped: tokens are counted as unheard and thrown away; the engine goes on for as long as it is asked
//!   to ([`StreamingParakeetTdt::is_heard`] says whether there is a point).
//! - The engine is dropped: the producer's pushes take nothing, the consumer gets what is in its ring, and both say so.
//!
//! When one of them stalls nothing is lost but what the caller gives up: a full audio ring takes no samples, a full
//! token ring makes the engine stop taking audio.

mod consumer;
mod engine;
mod intake;
mod outlet;
mod producer;
#[cfg(test)]
mod tests;
mod timing;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};

pub use consumer::{TokenConsumer, TokenResult};
pub use engine::StreamingParakeetTdt;
pub use producer::AudioProducer;

use rayon::ThreadPool;

use super::adaptive::AdaptiveContext;
use super::options::StreamOptions;

/// Tokens in the ring unless told otherwise: minutes of speech.
const TOKENS: usize = 1024;

/// What may be chosen when a stream with rings begins.
#[non_exhaustive]
#[derive(Clone, Debug)]
pub struct RingOptions {
    /// How the stream is recognised.
    pub stream: StreamOptions,
    /// Samples that the audio ring holds; 10 s of audio where it is `None`. It has to outlast the time for which the
    /// engine does not look: [`StreamingParakeetTdt::suggested_ring_samples`] says what it should have been.
    pub ring_samples: Option<usize>,
    /// Tokens that the token ring holds.
    pub ring_tokens: usize,
    /// Lets the chunk follow the machine's speed, for streams in windows.
    pub adaptive: Option<AdaptiveContext>,
    /// The threads that compute; those of the calling thread's pool where it is `None`.
    pub pool: Option<Arc<ThreadPool>>,
}

impl Default for RingOptions {
    fn default() -> Self {
        RingOptions {
            stream: StreamOptions::default(),
            ring_samples: None,
            ring_tokens: TOKENS,
            adaptive: None,
            pool: None,
        }
    }
}

/// What the three ends tell each other besides samples and tokens.
#[derive(Debug, Default)]
struct Shared {
    /// Samples that were lost after the last one in the ring, where no mark was free for them.
    lost_at_end: AtomicU64,
    /// No more samples will be taken.
    is_closed: AtomicBool,
    /// The number of the present tail.
    tail: AtomicU64,
    /// Every token was put into the ring.
    is_over: AtomicBool,
}
