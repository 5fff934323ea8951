//! What was said: the result of a recognition.

use percept_weights::Vocabulary;
use serde::{Serialize, Serializer};

use crate::confidence::Aggregate;
use crate::search::EmittedToken;
use crate::text::{self, Role};
use crate::timing;

/// What was said in one recording, and when. Serialises to the documented JSON; times are in seconds, written to the
/// microsecond.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Transcript {
    /// The length of the recording.
    #[serde(serialize_with = "rounded")]
    pub duration: f64,
    /// The text, without space around it.
    pub text: String,
    /// The language that the model says it heard first, such as `en-US`; most models say none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// Every token, also those that are no text, in the order of their frames.
    pub tokens: Vec<Token>,
    /// The words of the text.
    pub words: Vec<Word>,
    /// The words in lines fit for subtitles.
    pub segments: Vec<Segment>,
}

/// One token of the model's vocabulary.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Token {
    /// Its id in the vocabulary.
    pub id: u32,
    /// The piece of text, `▁` before a word; empty for an id without one.
    pub piece: String,
    /// The encoder frame that emitted it.
    pub frame: u64,
    /// How many frames it lasts: predicted by TDT (it may be 0), 1 for RNNT, the length of the run for CTC.
    pub duration: u32,
    /// The time of its frame.
    #[serde(serialize_with = "rounded")]
    pub start: f64,
    /// The time `duration` frames later, which may be past the end of the recording.
    #[serde(serialize_with = "rounded")]
    pub end: f64,
    /// How sure the model was, from 0 to 1.
    #[serde(serialize_with = "rounded_f32")]
    pub confidence: f32,
}

/// One word with the punctuation that follows it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Word {
    /// The word.
    pub word: String,
    /// When it begins.
    #[serde(serialize_with = "rounded")]
    pub start: f64,
    /// When it ends, within the recording.
    #[serde(serialize_with = "rounded")]
    pub end: f64,
    /// The confidence of its tokens taken together.
    #[serde(serialize_with = "rounded_f32")]
    pub confidence: f32,
}

/// Words that are read together: at most a sentence, 12 s and 84 characters, without a silence of 0.8 s. A single word
/// may be longer.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Segment {
    /// The words, separated by single spaces.
    pub text: String,
    /// When its first word begins.
    #[serde(serialize_with = "rounded")]
    pub start: f64,
    /// When its last word ends, within the recording.
    #[serde(serialize_with = "rounded")]
    pub end: f64,
}

/// What turns tokens and frames into text and seconds.
#[derive(Debug, Clone, Copy)]
pub struct TranscriptContext<'a> {
    /// The pieces of the tokens.
    pub vocabulary: &'a Vocabulary,
    /// How long an encoder frame is, in seconds.
    pub seconds_per_frame: f64,
    /// The length of the recording, in seconds.
    pub duration: f64,
    /// How a word's confidence follows from those of its tokens.
    pub aggregate: Aggregate,
}

impl Transcript {
    /// The transcript of `tokens`, in the order in which they were emitted.
    pub fn new(tokens: &[EmittedToken], context: &TranscriptContext<'_>) -> Transcript {
        let vocabulary = context.vocabulary;
        let language = tokens
            .iter()
            .find_map(|t| match Role::of(vocabulary, t.id) {
                Role::Language(language) => Some(language.to_owned()),
                _ => None,
            });
        let words = timing::words(vocabulary, tokens, context.aggregate);
        let segments = timing::segments(&words, context.seconds_per_frame);
        Transcript {
            duration: context.duration,
            text: text::text(vocabulary, tokens.iter().map(|token| token.id)),
            language,
            tokens: tokens
                .iter()
                .map(|token| Token::new(token, context))
                .collect(),
            words: words
                .into_iter()
                .map(|word| Word {
                    word: word.text,
                    start: context.seconds_within(word.start),
                    end: context.seconds_within(word.end),
                    confidence: word.confidence,
                })
                .collect(),
            segments: segments
                .into_iter()
                .map(|segment| Segment {
                    text: segment.text,
                    start: context.seconds_within(segment.start),
                    end: context.seconds_within(segment.end),
                })
                .collect(),
        }
    }
}

impl Token {
    /// A token with its piece and its times.
    pub fn new(token: &EmittedToken, context: &TranscriptContext<'_>) -> Token {
        let piece = context.vocabulary.piece(token.id as usize);
        let end = token.frame.saturating_add(u64::from(token.duration));
        Token {
            id: token.id,
            piece: piece.map_or_else(String::new, |piece| piece.text.clone()),
            frame: token.frame,
            duration: token.duration,
            start: context.seconds(token.frame),
            end: context.seconds(end),
            confidence: token.confidence,
        }
    }
}

impl TranscriptContext<'_> {
    fn seconds(&self, frame: u64) -> f64 {
        frame as f64 * self.seconds_per_frame
    }

    /// The time of a frame, or the end of the recording where that comes first.
    fn seconds_within(&self, frame: u64) -> f64 {
        self.seconds(frame).min(self.duration)
    }
}

/// Six decimals: products such as 3 × 0.08 are written as 0.24, and a sample at any rate keeps its place.
fn rounded<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64((value * 1e6).round() / 1e6)
}

fn rounded_f32<S: Serializer>(value: &f32, serializer: S) -> Result<S::Ok, S::Error> {
    rounded(&f64::from(*value), serializer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::tests::vocabulary;

    fn transcript(pieces: &[&str], duration: f64) -> Transcript {
        let emitted = |id: u32| EmittedToken {
            id,
            frame: 3 * u64::from(id),
            duration: 4,
            confidence: 0.75 - id as f32 / 8.0,
        };
        let tokens: Vec<_> = (0..pieces.len() as u32).map(emitted).collect();
        let context = TranscriptContext {
            vocabulary: &vocabulary(pieces),
            seconds_per_frame: 0.08,
            duration,
            aggregate: Aggregate::Min,
        };
        Transcript::new(&tokens, &context)
    }

    #[test]
    fn json_has_the_documented_fields_in_their_order() {
        let json = serde_json::to_string(&transcript(&["▁a", "b"], 0.5)).unwrap();
        let want = concat!(
            r#"{"duration":0.5,"text":"ab","tokens":["#,
            r#"{"id":0,"piece":"▁a","frame":0,"duration":4,"start":0.0,"end":0.32,"confidence":0.75},"#,
            r#"{"id":1,"piece":"b","frame":3,"duration":4,"start":0.24,"end":0.56,"confidence":0.625}],"#,
            r#""words":[{"word":"ab","start":0.0,"end":0.5,"confidence":0.625}],"#,
            r#""segments":[{"text":"ab","start":0.0,"end":0.5}]}"#,
        );
        assert_eq!(json, want);
    }

    #[test]
    fn the_first_language_is_reported() {
        let said = transcript(&["<en-US>", "▁a", "<de-DE>"], 1.0);
        assert_eq!(
            (said.text.as_str(), said.language.as_deref()),
            ("a", Some("en-US"))
        );
        assert_eq!(said.tokens.len(), 3, "tags stay tokens");
        let json = serde_json::to_value(&said).unwrap();
        assert_eq!(json["language"], "en-US");
    }

    #[test]
    fn silence_is_an_empty_transcript() {
        let json = serde_json::to_string(&transcript(&[], 0.0125)).unwrap();
        let want = r#"{"duration":0.0125,"text":"","tokens":[],"words":[],"segments":[]}"#;
        assert_eq!(json, want);
    }
}
