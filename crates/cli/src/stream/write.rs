//! Steps of streams as text and as JSON lines.

use percept::{Aggregate, Endpoint, Token, TranscriptContext, Vocabulary};
use serde::Serialize;

use super::steps::{Part, Step};

/// Writes the steps of one or several streams in one format.
pub(crate) trait Writer {
    /// Appends to `out` what is written of a step of the stream with this index. `transcript` is the whole text of the
    /// stream so far.
    fn step(&mut self, stream: usize, step: &Step, transcript: &str, out: &mut String);

    /// What has to be written yet if everything ends here.
    fn closing(&self) -> String {
        String::new()
    }
}

/// How frames, samples and tokens of a model are told.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Units<'a> {
    pub(crate) vocabulary: &'a Vocabulary,
    pub(crate) seconds_per_frame: f64,
    pub(crate) sample_rate: u32,
}

impl Units<'_> {
    fn frames(&self, frames: u64) -> f64 {
        rounded(frames as f64 * self.seconds_per_frame)
    }

    fn samples(&self, samples: u64) -> f64 {
        rounded(samples as f64 / f64::from(self.sample_rate))
    }
}

/// Six decimals: products such as 3 × 0.08 are written as 0.24, and a sample at any rate keeps its place.
fn rounded(seconds: f64) -> f64 {
    (seconds * 1e6).round() / 1e6
}

/// One event a line.
pub(crate) struct JsonLines<'a> {
    units: Units<'a>,
    /// Of the streams, where there are several.
    names: Option<Vec<String>>,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum Event<'a> {
    Commit {
        text: &'a str,
        start: f64,
        end: f64,
        tokens: Vec<Token>,
    },
    Volatile {
        text: &'a str,
    },
    Endpoint {
        time: f64,
        cause: &'static str,
    },
    Gap {
        start: f64,
        end: f64,
    },
    End {
        text: &'a str,
    },
}

#[derive(Serialize)]
struct Line<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    stream: Option<&'a str>,
    #[serde(flatten)]
    event: Event<'a>,
}

impl<'a> JsonLines<'a> {
    pub(crate) fn new(units: Units<'a>, names: Option<Vec<String>>) -> Self {
        Self { units, names }
    }

    fn commit<'s>(&self, part: &Part<'s>) -> Event<'s> {
        let context = TranscriptContext {
            vocabulary: self.units.vocabulary,
            seconds_per_frame: self.units.seconds_per_frame,
            // Of no concern to tokens: a stream does not know its end.
            duration: f64::INFINITY,
            aggregate: Aggregate::default(),
        };
        let tokens = part.tokens.iter().map(|token| Token::new(token, &context));
        Event::Commit {
            text: part.text,
            start: self.units.frames(part.frames.start),
            end: self.units.frames(part.frames.end),
            tokens: tokens.collect(),
        }
    }
}

impl Writer for JsonLines<'_> {
    fn step(&mut self, stream: usize, step: &Step, transcript: &str, out: &mut String) {
        let units = self.units;
        let endpoint = |endpoint: &Endpoint| Event::Endpoint {
            time: units.frames(endpoint.frame),
            cause: endpoint.cause.name(),
        };
        let parts = step.parts();
        // An endpoint that words follow stands before them, the others behind all text.
        let last = parts.iter().rposition(Part::commits).unwrap_or(0);
        let mut events = Vec::new();
        for part in &parts[..=last] {
            events.extend(part.commits().then(|| self.commit(part)));
            let is_followed = !std::ptr::eq(part, &parts[last]);
            events.extend(part.endpoint.filter(|_| is_followed).map(endpoint));
        }
        let volatile = step.volatile.as_deref();
        events.extend(volatile.map(|text| Event::Volatile { text }));
        let rest = parts[last..].iter().filter_map(|part| part.endpoint);
        events.extend(rest.map(endpoint));
        events.extend(step.gaps.iter().map(|gap| Event::Gap {
            start: units.samples(gap.start),
            end: units.samples(gap.end),
        }));
        events.extend(step.is_over.then_some(Event::End { text: transcript }));
        let name = self.names.as_ref().map(|names| names[stream].as_str());
        for event in events {
            let line = Line {
                stream: name,
                event,
            };
            out.push_str(
                &serde_json::to_string(&line).expect("an event holds strings and numbers"),
            );
            out.push('\n');
        }
    }
}

/// The certain text of one stream as it comes, a line for each utterance.
#[derive(Debug, Default)]
pub(crate) struct PlainText {
    is_within_line: bool,
    has_lines: bool,
}

impl PlainText {
    fn end_line(&mut self, out: &mut String) {
        out.push('\n');
        self.is_within_line = false;
        self.has_lines = true;
    }
}

impl Writer for PlainText {
    fn step(&mut self, _stream: usize, step: &Step, _transcript: &str, out: &mut String) {
        for (index, piece) in step.utterances().into_iter().enumerate() {
            if index > 0 && self.is_within_line {
                self.end_line(out);
            }
            let piece = if self.is_within_line {
                piece
            } else {
                piece.trim_start()
            };
            out.push_str(piece);
            self.is_within_line |= !piece.is_empty();
        }
        // A stream without words is an empty line, as a recording without words is.
        if step.is_over && (self.is_within_line || !self.has_lines) {
            self.end_line(out);
        }
    }
}

/// The certain text of several streams, a line `NAME: text` for each utterance.
#[derive(Debug)]
pub(crate) struct NamedLines {
    names: Vec<String>,
    lines: Vec<OpenLine>,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct OpenLine {
    pub(crate) text: String,
    has_lines: bool,
}

impl NamedLines {
    pub(crate) fn new(names: Vec<String>) -> Self {
        let lines = vec![OpenLine::default(); names.len()];
        Self { names, lines }
    }
}

impl OpenLine {
    /// Takes the text of a step and returns the lines that it ends.
    pub(crate) fn take(&mut self, name: &str, step: &Step) -> Vec<String> {
        let mut ended = Vec::new();
        for (index, piece) in step.utterances().into_iter().enumerate() {
            if index > 0 && !self.text.trim().is_empty() {
                ended.push(self.end(name));
            }
            self.text.push_str(piece);
        }
        if step.is_over && (!self.text.trim().is_empty() || !self.has_lines) {
            ended.push(self.end(name));
        }
        ended
    }

    fn end(&mut self, name: &str) -> String {
        self.has_lines = true;
        format!("{name}: {}", std::mem::take(&mut self.text).trim())
    }
}

impl Writer for NamedLines {
    fn step(&mut self, stream: usize, step: &Step, _transcript: &str, out: &mut String) {
        for line in self.lines[stream].take(&self.names[stream], step) {
            out.push_str(&line);
            out.push('\n');
        }
    }
}

#[cfg(test)]
mod tests {
    use percept::{EndpointCause, StreamEvent};

    use super::super::steps::StepReader;
    use super::super::steps::tests::{token, vocabulary};
    use super::*;

    /// What is written of the events of some streams.
    fn written(writer: &mut dyn Writer, events: &[(usize, StreamEvent)]) -> String {
        let vocabulary = vocabulary();
        let mut readers = [StepReader::default(), StepReader::default()];
        let mut out = String::new();
        for &(stream, event) in events {
            if let Some(step) = readers[stream].take(&vocabulary, event) {
                let transcript = readers[stream].transcript();
                writer.step(stream, &step, transcript, &mut out);
            }
        }
        out
    }

    const DECIDED: StreamEvent = StreamEvent::Decided { frame: 100 };

    fn endpoint(frame: u64) -> StreamEvent {
        StreamEvent::Endpoint(Endpoint {
            frame,
            cause: EndpointCause::SilenceWithoutSpeech,
        })
    }

    /// A step with everything, and the end.
    fn everything(stream: usize) -> Vec<(usize, StreamEvent)> {
        use StreamEvent::{Commit, End, Gap, Tail, Volatile};
        let gap = Gap {
            start: 8_000,
            samples: 1_000,
        };
        let first = [
            Commit(token(0, 3)),
            Tail,
            Volatile(token(1, 7)),
            endpoint(30),
            gap,
            DECIDED,
        ];
        let second = [Commit(token(3, 40)), Tail, DECIDED, End];
        let events = first.into_iter().chain(second);
        events.map(|event| (stream, event)).collect()
    }

    const JSON: [&str; 7] = [
        r#""type":"commit","text":"so","start":0.24,"end":0.4,"tokens":[{"id":0,"piece":"▁so","frame":3,"duration":2,"start":0.24,"end":0.4,"confidence":0.5}]}"#,
        r#""type":"volatile","text":" it"}"#,
        r#""type":"endpoint","time":2.4,"cause":"silence-without-speech"}"#,
        r#""type":"gap","start":0.5,"end":0.5625}"#,
        r#""type":"commit","text":" goes","start":3.2,"end":3.36,"tokens":[{"id":3,"piece":"▁goes","frame":40,"duration":2,"start":3.2,"end":3.36,"confidence":0.5}]}"#,
        r#""type":"volatile","text":""}"#,
        r#""type":"end","text":"so goes"}"#,
    ];

    #[test]
    fn json_lines_have_the_documented_keys_in_their_order() {
        let vocabulary = vocabulary();
        let units = Units {
            vocabulary: &vocabulary,
            seconds_per_frame: 0.08,
            sample_rate: 16_000,
        };
        let alone = written(&mut JsonLines::new(units, None), &everything(0));
        let expected: String = JSON.iter().map(|line| format!("{{{line}\n")).collect();
        assert_eq!(alone, expected);
        let names = vec!["a.wav".to_owned(), "\"b\".wav".to_owned()];
        let named = written(&mut JsonLines::new(units, Some(names)), &everything(1));
        let name = r#"{"stream":"\"b\".wav","#;
        let expected: String = JSON.iter().map(|line| format!("{name}{line}\n")).collect();
        assert_eq!(named, expected);
    }

    #[test]
    fn a_commit_ends_at_an_endpoint_of_the_same_step() {
        use StreamEvent::{Commit, Tail, Volatile};
        let vocabulary = vocabulary();
        let units = Units {
            vocabulary: &vocabulary,
            seconds_per_frame: 0.08,
            sample_rate: 16_000,
        };
        let events = [
            Commit(token(0, 3)),
            Commit(token(1, 40)),
            Commit(token(2, 41)),
            Tail,
            Volatile(token(3, 90)),
            endpoint(10),
            endpoint(20),
            endpoint(60),
            DECIDED,
        ];
        let all = written(
            &mut JsonLines::new(units, None),
            &events.map(|event| (0, event)),
        );
        let lines = all.lines().map(|line| {
            let line: serde_json::Value = serde_json::from_str(line).expect("JSON");
            let what = line["text"].as_str().map(str::to_owned);
            let of = |key: &str| line[key].as_f64();
            (what, of("time").or(of("start")), of("end"))
        });
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(
            lines.collect::<Vec<_>>(),
            [
                (text("so"), Some(0.24), Some(0.4)),
                (None, Some(0.8), None),
                (None, Some(1.6), None),
                (text(" its"), Some(3.2), Some(3.44)),
                (text(" goes"), None, None),
                (None, Some(4.8), None),
            ]
        );
    }

    #[test]
    fn plain_text_has_a_line_for_each_utterance() {
        assert_eq!(
            written(&mut PlainText::default(), &everything(0)),
            "so\ngoes\n"
        );
        let silence = [(0, endpoint(30)), (0, DECIDED), (0, StreamEvent::End)];
        assert_eq!(written(&mut PlainText::default(), &silence), "\n");
        let ended = [&everything(0)[..6], &[(0, StreamEvent::End)]].concat();
        assert_eq!(written(&mut PlainText::default(), &ended), "so\n");
    }

    #[test]
    fn lines_of_several_streams_are_named_and_never_mixed() {
        let mut lines = NamedLines::new(vec!["a".to_owned(), "b".to_owned()]);
        let mixed: Vec<_> = everything(0)
            .into_iter()
            .zip(everything(1))
            .flat_map(|(a, b)| [a, b])
            .collect();
        assert_eq!(
            written(&mut lines, &mixed),
            "a: so\nb: so\na: goes\nb: goes\n"
        );
        let mut lines = NamedLines::new(vec!["a".to_owned()]);
        assert_eq!(written(&mut lines, &[(0, StreamEvent::End)]), "a: \n");
    }
}
