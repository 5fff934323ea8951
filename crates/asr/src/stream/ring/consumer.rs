//! The end of the ring that tokens come out of.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::{Shared, StreamNotice};

/// A token as the ring hands it out.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq)]
pub struct TokenResult {
    /// Its id in the vocabulary.
    pub token_id: u32,
    /// Its text, with the space before a word; empty for marks. The texts of all tokens make the transcript, but for a
    /// space at its start.
    pub text: Arc<str>,
    /// When it was said: samples from the start of the stream, silence and gaps included, at the model's rate (16 kHz)
    /// whatever rate goes into the ring.
    pub timestamp: u64,
    /// How long it lasts, in encoder frames of 80 ms (1280 samples); it may be 0.
    pub duration: u32,
    /// How sure the model was, from 0 to 1.
    pub confidence: f32,
    /// Whether it may still change. What comes of it is said again later, as a volatile token or for good.
    pub volatile: bool,
    /// The tail that it belongs to, or, where it stays, the tail that follows it. A new number replaces all volatile
    /// tokens with a lower one.
    pub tail: u64,
}

/// Takes tokens out of the ring.
///
/// Tokens that stay come in order and none is missed. Volatile ones are the present guess at what follows them:
/// whenever [`TokenResult::tail`] grows, forget the volatile tokens with lower numbers. When the ring is full, volatile
/// tokens are left out.
///
/// Endpoints and gaps come out of a ring of their own, see [`TokenConsumer::pop_notice`].
///
/// ```
/// # fn show(consumer: &mut percept_asr::TokenConsumer) -> String {
/// let (mut text, mut tail) = (String::new(), Vec::new());
/// while let Some(token) = consumer.pop() {
///     match token.volatile {
///         true => tail.push(token),
///         false => text += &token.text,
///     }
/// }
/// tail.retain(|token| token.tail == consumer.tail());
/// tail.iter().for_each(|token| text += &token.text);
/// text
/// # }
/// ```
#[derive(Debug)]
pub struct TokenConsumer {
    tokens: rtrb::Consumer<TokenResult>,
    notices: rtrb::Consumer<StreamNotice>,
    shared: Arc<Shared>,
}

impl TokenConsumer {
    pub(super) fn new(
        tokens: rtrb::Consumer<TokenResult>,
        notices: rtrb::Consumer<StreamNotice>,
        shared: Arc<Shared>,
    ) -> Self {
        TokenConsumer {
            tokens,
            notices,
            shared,
        }
    }

    /// The next token, if there is one.
    pub fn pop(&mut self) -> Option<TokenResult> {
        self.tokens.pop().ok()
    }

    /// The next endpoint or gap, if there is one.
    ///
    /// Timestamps say where it belongs: after the tokens with a lower one, before the others. Tokens that the stream
    /// has committed before it are in their ring when it comes: take a notice first and then all tokens, and every one
    /// with a lower timestamp is there, but for the one that a CTC model holds back across a gap until its run ends.
    ///
    /// From the first call on none is missed: where 256 wait, no audio is taken until there is room, as with tokens.
    /// Before that, those that do not fit are counted ([`TokenConsumer::missed_notices`]) and hold nothing up, so that
    /// who wants tokens alone need not ask.
    pub fn pop_notice(&mut self) -> Option<StreamNotice> {
        self.shared.takes_notices.store(true, Ordering::Release);
        self.notices.pop().ok()
    }

    /// Endpoints and gaps that did not fit into their ring before they were first asked for.
    pub fn missed_notices(&self) -> u64 {
        self.shared.missed_notices.load(Ordering::Acquire)
    }

    /// Tokens that can be taken out now.
    pub fn available(&self) -> usize {
        self.tokens.slots()
    }

    /// The number of the present tail: volatile tokens with a lower one are out of date, also where no new ones came.
    pub fn tail(&self) -> u64 {
        self.shared.tail.load(Ordering::Acquire)
    }

    /// Whether the audio has ended and every token and notice was put into its ring. What can be taken out then is all
    /// there is.
    pub fn is_over(&self) -> bool {
        self.shared.is_over.load(Ordering::Acquire)
    }

    /// Whether no further token or notice comes: the stream is over, or its engine was dropped before that. It stays
    /// that way; what is in the rings can still be taken out.
    pub fn is_abandoned(&self) -> bool {
        self.is_over() || self.tokens.is_abandoned()
    }
}
