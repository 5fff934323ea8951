//! What a stream tells besides tokens.

use crate::stream::endpoint::EndpointCause;
use crate::stream::event::StreamEvent;

/// An endpoint or a gap, as the ring hands it out.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamNotice {
    /// An utterance, or a silence, has ended.
    Endpoint {
        /// When it is known to have ended: samples from the start of the stream, at the model's rate (16 kHz).
        timestamp: u64,
        /// Why.
        cause: EndpointCause,
    },
    /// Samples were lost.
    Gap {
        /// The first of them: samples from the start of the stream, at the model's rate (16 kHz).
        timestamp: u64,
        /// How many, at the model's rate.
        samples: u64,
    },
}

impl StreamNotice {
    /// Where it belongs among the tokens: after those with a lower timestamp, before the others.
    pub fn timestamp(&self) -> u64 {
        match *self {
            StreamNotice::Endpoint { timestamp, .. } | StreamNotice::Gap { timestamp, .. } => {
                timestamp
            }
        }
    }

    /// That of an event, if it has one.
    pub(super) fn of(event: &StreamEvent, frame_samples: u64) -> Option<Self> {
        match *event {
            StreamEvent::Endpoint(endpoint) => Some(StreamNotice::Endpoint {
                timestamp: endpoint.frame * frame_samples,
                cause: endpoint.cause,
            }),
            StreamEvent::Gap { start, samples } => Some(StreamNotice::Gap {
                timestamp: start,
                samples,
            }),
            _ => None,
        }
    }
}
