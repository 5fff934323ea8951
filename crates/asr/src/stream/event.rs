//! What a stream tells, in the order in which it is decided.

use super::endpoint::Endpoint;
use crate::search::EmittedToken;

/// Something that a stream has decided.
///
/// The events of one step come together: tokens that stay, then the new tail where it changed, then endpoints and gaps,
/// then [`StreamEvent::Decided`]. What a stream tells depends on its audio and options alone, never on how the audio was
/// cut or what else the machine does.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum StreamEvent {
    /// A token that stays. Its frame counts from the start of the stream, silence and gaps included.
    Commit(EmittedToken),
    /// The tail of tokens that may still change is replaced by the [`StreamEvent::Volatile`] ones that follow.
    Tail,
    /// A token of the new tail.
    Volatile(EmittedToken),
    /// An utterance has ended.
    Endpoint(Endpoint),
    /// Samples that were lost, at the model's rate.
    Gap {
        /// The first of them, from the start of the stream.
        start: u64,
        /// How many.
        samples: u64,
    },
    /// All audio before this frame is decided. Ends the events of a step.
    Decided {
        /// Frames from the start of the stream.
        frame: u64,
    },
    /// The stream is over. Nothing follows.
    End,
    /// The stream cannot go on, because its step panicked: a defect. Nothing follows; what was committed stays.
    Failed,
}
