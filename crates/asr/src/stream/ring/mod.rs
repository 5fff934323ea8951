//! Live audio in at one thread, tokens out at another, the model at a third: connected by rings, without a lock.
//!
//! What happens when one of the three goes away:
//! - The producer is dropped: that is the end of the audio. The engine recognises what is in the ring and is over.
//! - The consumer is dropped: tokens are counted as unheard and thrown away; the engine goes on for as long as it is
//!   asked to ([`StreamingParakeetTdt::is_heard`] says whether there is a point).
//! - The engine is dropped: the producer's pushes take nothing, the consumer gets what is in its rings, and both say
//!   so.
//!
//! When one of them stalls nothing is lost but what the caller gives up: a full audio ring takes no samples, a full
//! token ring makes the engine stop taking audio, and so does a full ring of notices once somebody takes those.

mod consumer;
mod engine;
mod intake;
mod notice;
mod outlet;
mod producer;
#[cfg(test)]
mod tests;
mod timing;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};

pub use consumer::{TokenConsumer, TokenResult};
pub use engine::StreamingParakeetTdt;
pub use notice::StreamNotice;
pub use producer::AudioProducer;

use rayon::ThreadPool;

use super::adaptive::AdaptiveContext;
use super::error::StreamError;
use super::options::StreamOptions;

/// Seconds of audio that a ring holds unless told otherwise, and at most.
const RING_SECONDS: usize = 10;
const MAX_RING_SECONDS: usize = 3600;
/// Tokens in the ring unless told otherwise: minutes of speech.
const TOKENS: usize = 1024;
const MAX_TOKENS: usize = 1 << 20;
/// Endpoints and gaps in their ring.
const NOTICES: usize = 256;

/// What may be chosen when a stream with rings begins.
#[non_exhaustive]
#[derive(Clone, Debug)]
pub struct RingOptions {
    /// How the stream is recognised.
    pub stream: StreamOptions,
    /// Samples that the audio ring holds, from 1 to an hour of audio; 10 s of audio where it is `None`. It has to
    /// outlast the time for which the engine does not look: [`StreamingParakeetTdt::suggested_ring_samples`] says what
    /// it should have been.
    pub ring_samples: Option<usize>,
    /// Tokens that the token ring holds, from 1 to 1048576.
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

impl RingOptions {
    /// Samples and tokens that the rings hold, for audio at a rate that can be converted.
    fn sizes(&self, sample_rate: u32) -> Result<(usize, usize), StreamError> {
        let rate = sample_rate as usize;
        let within = |contents, asked, most| match (1..=most).contains(&asked) {
            true => Ok(asked),
            false => Err(StreamError::RingSize {
                contents,
                asked,
                most,
            }),
        };
        let samples = self.ring_samples.unwrap_or(RING_SECONDS * rate);
        Ok((
            within("samples", samples, MAX_RING_SECONDS * rate)?,
            within("tokens", self.ring_tokens, MAX_TOKENS)?,
        ))
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
    /// Somebody has asked for notices.
    takes_notices: AtomicBool,
    /// Notices that did not fit while nobody took any.
    missed_notices: AtomicU64,
}
