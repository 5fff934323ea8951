//! Words and segments, and when they are said.
//!
//! Time is counted in encoder frames here. A word opens at a piece that begins with `▁` (closing punctuation glues to
//! the word before it) and takes the times of its tokens. Punctuation takes no time: the last token that is not
//! punctuation ends the word, as in NeMo's refinement of TDT timestamps, where a mark starts and ends with the token
//! before it. Tokens that are no text belong to no word.

use percept_weights::Vocabulary;

use crate::confidence::Aggregate;
use crate::search::EmittedToken;
use crate::text::{self, Detokenizer, Role};

/// The silence that ends a segment, in seconds.
const SEGMENT_GAP: f64 = 0.8;
/// The longest segment of more than one word, in seconds.
const SEGMENT_SECONDS: f64 = 12.0;
/// The widest segment of more than one word, in characters.
const SEGMENT_CHARS: usize = 84;
/// What ends a sentence.
const SENTENCE_ENDS: [char; 3] = ['.', '?', '!'];
/// Far below a frame, far above the rounding of frames × seconds.
const EPSILON: f64 = 1e-6;

/// A word between two frames.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct WordSpan {
    pub(crate) text: String,
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) confidence: f32,
}

/// Words that are read together, between two frames.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SegmentSpan {
    pub(crate) text: String,
    pub(crate) start: u64,
    pub(crate) end: u64,
}

/// The words of tokens in the order of their frames. Words without visible text are left out.
pub(crate) fn words(
    vocabulary: &Vocabulary,
    tokens: &[EmittedToken],
    aggregate: Aggregate,
) -> Vec<WordSpan> {
    let mut words = Vec::new();
    let mut open = OpenWord::default();
    for token in tokens {
        let role = Role::of(vocabulary, token.id);
        let piece = match role {
            Role::Text(piece) => piece,
            Role::Byte(_) => "",
            _ => continue,
        };
        if text::begins_word(piece) {
            words.extend(open.close(aggregate));
        }
        open.push(token, role, text::is_punctuation(piece));
    }
    words.extend(open.close(aggregate));
    words
}

/// A word whose tokens still come.
#[derive(Default)]
struct OpenWord {
    text: String,
    detokenizer: Detokenizer,
    start: u64,
    end: u64,
    confidences: Vec<f32>,
}

impl OpenWord {
    fn push(&mut self, token: &EmittedToken, role: Role<'_>, is_punctuation: bool) {
        let is_first = self.confidences.is_empty();
        if is_first {
            self.start = token.frame;
        }
        if is_first || !is_punctuation {
            self.end = token.frame.saturating_add(u64::from(token.duration));
        }
        self.confidences.push(token.confidence);
        let role = match role {
            Role::Text(piece) if !is_first => Role::Text(text::without_word_mark(piece)),
            role => role,
        };
        self.detokenizer.push(role, &mut self.text);
    }

    /// The word so far, if it has any text; the next one is empty.
    fn close(&mut self, aggregate: Aggregate) -> Option<WordSpan> {
        let mut text = std::mem::take(&mut self.text);
        std::mem::take(&mut self.detokenizer).finish(&mut text);
        let confidence = aggregate.of(&self.confidences);
        self.confidences.clear();
        (!text.is_empty()).then_some(WordSpan {
            text,
            start: self.start,
            end: self.end,
            confidence,
        })
    }
}

/// The segments of `words`: a new one begins after a word that ends in `.`, `?` or `!`, after a silence of 0.8 s, and
/// before a word that would make it longer than 12 s or 84 characters.
pub(crate) fn segments(words: &[WordSpan], seconds_per_frame: f64) -> Vec<SegmentSpan> {
    let mut segments: Vec<SegmentSpan> = Vec::new();
    let mut chars = 0;
    for word in words {
        let word_chars = word.text.chars().count();
        match segments.last_mut() {
            Some(open) if continues(open, chars + 1 + word_chars, word, seconds_per_frame) => {
                open.text.push(' ');
                open.text.push_str(&word.text);
                open.end = open.end.max(word.end);
                chars += 1 + word_chars;
            }
            _ => {
                segments.push(SegmentSpan {
                    text: word.text.clone(),
                    start: word.start,
                    end: word.end,
                });
                chars = word_chars;
            }
        }
    }
    segments
}

/// Whether `word` belongs to the segment `open`, which it would widen to `chars`.
fn continues(open: &SegmentSpan, chars: usize, word: &WordSpan, seconds_per_frame: f64) -> bool {
    let seconds = |from: u64, to: u64| to.saturating_sub(from) as f64 * seconds_per_frame;
    !open.text.ends_with(SENTENCE_ENDS)
        && seconds(open.end, word.start) < SEGMENT_GAP - EPSILON
        && seconds(open.start, word.end) <= SEGMENT_SECONDS + EPSILON
        && chars <= SEGMENT_CHARS
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::tests::vocabulary;

    const FRAME: f64 = 0.08;

    /// Words of tokens given as (piece, frame, duration, confidence).
    fn words_of(tokens: &[(&str, u64, u32, f32)]) -> Vec<(String, u64, u64, f32)> {
        let pieces: Vec<&str> = tokens.iter().map(|token| token.0).collect();
        let emitted: Vec<_> = tokens
            .iter()
            .zip(0..)
            .map(|(&(_, frame, duration, confidence), id)| EmittedToken {
                id,
                frame,
                duration,
                confidence,
            })
            .collect();
        words(&vocabulary(&pieces), &emitted, Aggregate::Min)
            .into_iter()
            .map(|word| (word.text, word.start, word.end, word.confidence))
            .collect()
    }

    #[test]
    fn words_take_the_times_of_their_tokens() {
        let tokens = [
            ("th", 1, 2, 0.9),
            ("e", 3, 0, 0.8),
            ("▁f", 9, 1, 0.7),
            ("ox", 12, 4, 0.75),
        ];
        let want = [("the".into(), 1, 3, 0.8), ("fox".into(), 9, 16, 0.7)];
        assert_eq!(words_of(&tokens), want);
        assert_eq!(words_of(&[]), []);
    }

    #[test]
    fn punctuation_takes_no_time_and_glues_to_the_word_before() {
        let tokens = [
            ("▁no", 1, 2, 0.9),
            ("▁.", 30, 3, 0.8),
            ("?", 40, 1, 0.4),
            ("▁¿", 50, 1, 0.9),
            ("que", 51, 1, 0.9),
        ];
        let want = [("no.?".into(), 1, 3, 0.4), ("¿que".into(), 50, 52, 0.9)];
        assert_eq!(words_of(&tokens), want);
        let alone = [(".", 4, 2, 0.5), ("▁a", 8, 1, 0.5)];
        assert_eq!(words_of(&alone)[0], (".".into(), 4, 6, 0.5));
    }

    #[test]
    fn marks_and_lone_spaces_make_no_word() {
        let tokens = [
            ("▁", 0, 1, 0.1),
            ("▁a", 2, 1, 0.5),
            ("<|pnc|>", 3, 4, 0.1),
            ("<en-US>", 8, 4, 0.1),
            ("b", 9, 1, 0.6),
            ("<0xC3>", 10, 1, 0.9),
            ("<0xA9>", 11, 1, 0.9),
            ("▁", 13, 1, 0.1),
        ];
        assert_eq!(words_of(&tokens), [("abé".into(), 2, 12, 0.5)]);
    }

    fn word(text: &str, start: u64, end: u64) -> WordSpan {
        WordSpan {
            text: text.into(),
            start,
            end,
            confidence: 1.0,
        }
    }

    fn segment_texts(words: &[WordSpan]) -> Vec<String> {
        let segments = segments(words, FRAME);
        segments.into_iter().map(|segment| segment.text).collect()
    }

    #[test]
    fn segments_end_with_sentences_and_at_silence() {
        let words = [
            word("no.", 0, 5),
            word("is", 5, 6),
            word("it?", 6, 7),
            word("yes", 8, 9),
            word("sir", 18, 20),
            word("well", 30, 31),
        ];
        // Nine frames are 0.72 s, ten are 0.8 s.
        assert_eq!(segment_texts(&words), ["no.", "is it?", "yes sir", "well"]);
        let yes_sir = &segments(&words, FRAME)[2];
        assert_eq!((yes_sir.start, yes_sir.end), (8, 20));
        assert_eq!(segments(&[], FRAME), []);
    }

    #[test]
    fn segments_stay_within_their_length_and_width() {
        let long: Vec<_> = (0..40).map(|i| word("x", 5 * i, 5 * i + 5)).collect();
        let longest: Vec<_> = segments(&long, FRAME)
            .iter()
            .map(|s| s.end - s.start)
            .collect();
        assert_eq!(longest, [150, 50], "12 s are 150 frames");
        let wide: Vec<_> = (0..20).map(|i| word("ééééé", i, i + 1)).collect();
        let widths: Vec<_> = segment_texts(&wide)
            .iter()
            .map(|t| t.chars().count())
            .collect();
        assert_eq!(widths, [83, 35]);
        let huge = word(&"x".repeat(100), 0, 400);
        assert_eq!(segment_texts(&[huge, word("a", 400, 401)]).len(), 2);
    }
}
