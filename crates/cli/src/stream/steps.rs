//! From the events of a stream to what is written of each step.

use std::ops::Range;

use percept::{Detokenizer, EmittedToken, Endpoint, Role, StreamEvent, Vocabulary};

/// What one step of a stream changed.
#[derive(Debug, Default, Clone, PartialEq)]
pub(crate) struct Step {
    /// What was added to the text for good.
    pub(crate) text: String,
    /// The tokens behind it.
    pub(crate) tokens: Vec<EmittedToken>,
    /// Where in `text` that of each token ends.
    ends: Vec<usize>,
    /// The uncommitted tail, if it changed.
    pub(crate) volatile: Option<String>,
    pub(crate) endpoints: Vec<Endpoint>,
    /// Samples that were lost.
    pub(crate) gaps: Vec<Range<u64>>,
    /// The stream is over.
    pub(crate) is_over: bool,
    /// The frame at which the last token ended, of this step or an earlier one.
    pub(crate) heard_until: u64,
}

impl Step {
    /// Whether anything became certain.
    pub(crate) fn commits(&self) -> bool {
        !self.tokens.is_empty() || !self.text.is_empty()
    }

    /// What was committed between endpoints; the last part is what follows the last of them.
    pub(crate) fn parts(&self) -> Vec<Part<'_>> {
        let mut parts = Vec::with_capacity(self.endpoints.len() + 1);
        let mut first = 0;
        for endpoint in self.endpoints.iter().map(Some).chain([None]) {
            let end = match endpoint {
                Some(at) => self.tokens.partition_point(|token| token.frame < at.frame),
                None => self.tokens.len(),
            };
            let tokens = first..end.max(first);
            let text_end = |tokens: usize| tokens.checked_sub(1).map_or(0, |last| self.ends[last]);
            let text = match endpoint {
                Some(_) => text_end(tokens.start)..text_end(tokens.end),
                None => text_end(tokens.start)..self.text.len(),
            };
            first = tokens.end;
            let tokens = &self.tokens[tokens];
            let heard_until = match endpoint {
                Some(_) => tokens.iter().map(end_frame).max().unwrap_or(0),
                None => self.heard_until,
            };
            let start = tokens.first().map_or(heard_until, |token| token.frame);
            parts.push(Part {
                text: &self.text[text],
                tokens,
                frames: start..heard_until.max(start),
                endpoint,
            });
        }
        parts
    }

    /// The text of each part.
    pub(crate) fn utterances(&self) -> Vec<&str> {
        self.parts().iter().map(|part| part.text).collect()
    }

    fn is_empty(&self) -> bool {
        let is_quiet = self.endpoints.is_empty() && self.gaps.is_empty() && !self.is_over;
        is_quiet && !self.commits() && self.volatile.is_none()
    }
}

/// What a step committed up to an endpoint, or behind the last one.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Part<'a> {
    pub(crate) text: &'a str,
    pub(crate) tokens: &'a [EmittedToken],
    /// From the first to the last token, that one included.
    pub(crate) frames: Range<u64>,
    /// What ends it.
    pub(crate) endpoint: Option<&'a Endpoint>,
}

impl Part<'_> {
    /// Whether anything became certain.
    pub(crate) fn commits(&self) -> bool {
        !self.tokens.is_empty() || !self.text.is_empty()
    }
}

fn end_frame(token: &EmittedToken) -> u64 {
    token.frame.saturating_add(u64::from(token.duration))
}

/// Turns the events of one stream into text, step by step.
#[derive(Debug, Default)]
pub(crate) struct StepReader {
    detokenizer: Detokenizer,
    /// Continues `detokenizer` over the volatile tokens.
    ahead: Detokenizer,
    /// The tail as it was last told.
    tail: String,
    transcript: String,
    /// What the events since the last whole step say.
    open: Step,
}

impl StepReader {
    /// All that was committed so far.
    pub(crate) fn transcript(&self) -> &str {
        &self.transcript
    }

    /// Takes the next event; the step that it ends, if that changed anything.
    pub(crate) fn take(&mut self, vocabulary: &Vocabulary, event: StreamEvent) -> Option<Step> {
        match event {
            StreamEvent::Commit(token) => {
                let role = Role::of(vocabulary, token.id);
                self.detokenizer.push(role, &mut self.open.text);
                self.open.ends.push(self.open.text.len());
                self.open.tokens.push(token);
                self.open.heard_until = self.open.heard_until.max(end_frame(&token));
            }
            StreamEvent::Tail => {
                self.ahead = self.detokenizer.clone();
                self.open.volatile = Some(String::new());
            }
            StreamEvent::Volatile(token) => {
                let tail = self.open.volatile.get_or_insert_default();
                self.ahead.push(Role::of(vocabulary, token.id), tail);
            }
            StreamEvent::Endpoint(endpoint) => self.open.endpoints.push(endpoint),
            StreamEvent::Gap { start, samples } => self.open.gaps.push(start..start + samples),
            StreamEvent::Decided { .. } => return self.end_step(),
            StreamEvent::End => {
                self.detokenizer.finish(&mut self.open.text);
                self.open.is_over = true;
                return self.end_step();
            }
            _ => {}
        }
        None
    }

    fn end_step(&mut self) -> Option<Step> {
        let heard_until = self.open.heard_until;
        let mut step = std::mem::take(&mut self.open);
        self.open.heard_until = heard_until;
        self.transcript.push_str(&step.text);
        // A tail that reads as before is news only if text has come between.
        if step.volatile.as_ref() == Some(&self.tail) && !step.commits() {
            step.volatile = None;
        }
        if let Some(tail) = &step.volatile {
            self.tail.clone_from(tail);
        }
        (!step.is_empty()).then_some(step)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use percept::{EndpointCause, Piece, PieceKind};

    use super::*;

    pub(crate) fn vocabulary() -> Vocabulary {
        let piece = |text: &str, kind| Piece {
            text: text.to_owned(),
            kind,
        };
        let texts = ["▁so", "▁it", "s", "▁goes", "."].map(|text| piece(text, PieceKind::Normal));
        let bytes = [0xC3, 0xA9].map(|byte| piece(&format!("<0x{byte:X}>"), PieceKind::Byte(byte)));
        Vocabulary::new(texts.into_iter().chain(bytes).collect())
    }

    pub(crate) fn token(id: u32, frame: u64) -> EmittedToken {
        EmittedToken {
            id,
            frame,
            duration: 2,
            confidence: 0.5,
        }
    }

    fn steps(events: &[StreamEvent]) -> (Vec<Step>, StepReader) {
        let (vocabulary, mut reader) = (vocabulary(), StepReader::default());
        let take = |&event| reader.take(&vocabulary, event);
        let steps = events.iter().filter_map(take).collect();
        (steps, reader)
    }

    const DECIDED: StreamEvent = StreamEvent::Decided { frame: 100 };

    #[test]
    fn deltas_join_to_the_transcript_and_the_tail_continues_them() {
        use StreamEvent::{Commit, End, Tail, Volatile};
        let (steps, reader) = steps(&[
            Tail,
            Volatile(token(0, 0)),
            DECIDED,
            Commit(token(0, 0)),
            Tail,
            Volatile(token(1, 4)),
            Volatile(token(2, 5)),
            DECIDED,
            DECIDED,
            Commit(token(1, 4)),
            Commit(token(5, 6)),
            Tail,
            Volatile(token(6, 7)),
            DECIDED,
            Tail,
            DECIDED,
            End,
        ]);
        let texts: Vec<&str> = steps.iter().map(|step| step.text.as_str()).collect();
        assert_eq!(texts, ["", "so", " it", "", "\u{fffd}"]);
        let tails: Vec<_> = steps.iter().map(|step| step.volatile.as_deref()).collect();
        assert_eq!(tails, [Some("so"), Some(" its"), Some("é"), Some(""), None]);
        assert_eq!(reader.transcript(), texts.concat());
        let frames = |step: &Step| step.parts()[0].frames.clone();
        assert_eq!((frames(&steps[1]), frames(&steps[2])), (0..2, 4..8));
        assert_eq!(frames(&steps[4]), 8..8, "the end of a text without a token");
        assert!(steps[4].is_over && steps[4].commits());
    }

    #[test]
    fn a_tail_that_stays_is_no_news() {
        use StreamEvent::{Commit, Tail, Volatile};
        let again = [Tail, Volatile(token(1, 4)), DECIDED];
        let events = [&again[..], &again, &[Commit(token(0, 0))], &again].concat();
        let tails: Vec<_> = steps(&events)
            .0
            .into_iter()
            .map(|step| step.volatile)
            .collect();
        assert_eq!(tails, [Some("it".to_owned()), Some(" it".to_owned())]);
    }

    #[test]
    fn utterances_end_at_their_endpoints() {
        use StreamEvent::{Commit, Endpoint as End};
        let endpoint = |frame| {
            End(Endpoint {
                frame,
                cause: EndpointCause::Silence,
            })
        };
        let (steps, _) = steps(&[
            Commit(token(0, 0)),
            Commit(token(1, 3)),
            Commit(token(3, 20)),
            endpoint(18),
            DECIDED,
            Commit(token(4, 22)),
            endpoint(22),
            endpoint(40),
            DECIDED,
        ]);
        assert_eq!(steps[0].utterances(), ["so it", " goes"]);
        assert_eq!(steps[1].utterances(), ["", ".", ""]);
        assert_eq!(steps[1].endpoints.len(), 2);
    }
}
