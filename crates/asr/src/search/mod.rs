//! From encoder frames to tokens, greedily.
//!
//! Every search walks over any number of streams at once and keeps what a stream carries in a state value of its own.
//! Tokens, frames, durations and confidences do not depend on how the frames are cut into chunks, nor on which streams
//! are searched together.

mod ctc;
#[cfg(test)]
mod tests;
mod transducer;

pub use ctc::{CtcState, CtcStream};
pub use transducer::TransducerStream;
pub(crate) use transducer::{SearchMemory, TransducerLane};

/// A token, and where it was found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EmittedToken {
    /// Its id in the vocabulary.
    pub id: u32,
    /// The encoder frame that emitted it, from the start of the stream.
    pub frame: u64,
    /// How many frames it lasts: what TDT predicted (it may be 0), 1 for RNNT, the length of the run for CTC.
    pub duration: u32,
    /// How sure the model was, from 0 to 1.
    pub confidence: f32,
}

/// The index of the first of the highest values; `None` where there is no number.
fn argmax(values: &[f32]) -> Option<usize> {
    let mut best: Option<(usize, f32)> = None;
    for (index, &value) in values.iter().enumerate() {
        let is_higher = match best {
            Some((_, highest)) => value > highest,
            None => !value.is_nan(),
        };
        if is_higher {
            best = Some((index, value));
        }
    }
    best.map(|(index, _)| index)
}
