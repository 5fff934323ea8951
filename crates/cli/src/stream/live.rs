//! Steps of streams as captions on a terminal.

use super::screen::{Caption, Row, Screen, Size, one_row};
use super::steps::Step;
use super::write::{OpenLine, Writer};

/// The size of the terminal, asked for at every draw, because it may change.
pub(crate) type SizeOf = fn() -> Size;

/// One stream, wrapped between words, a new row for each utterance.
pub(crate) struct LiveCaption {
    caption: Caption,
    screen: Screen,
    size: SizeOf,
    has_lines: bool,
}

impl LiveCaption {
    pub(crate) fn new(size: SizeOf) -> Self {
        Self {
            caption: Caption::default(),
            screen: Screen::default(),
            size,
            has_lines: false,
        }
    }
}

impl Writer for LiveCaption {
    fn step(&mut self, _stream: usize, step: &Step, _transcript: &str, out: &mut String) {
        let size = (self.size)();
        let mut done = Vec::new();
        for (index, piece) in step.utterances().into_iter().enumerate() {
            if index > 0 {
                done.extend(self.caption.end(size));
            }
            self.caption.push(piece);
        }
        if let Some(volatile) = &step.volatile {
            self.caption.set_volatile(volatile);
        }
        if step.is_over {
            self.caption.set_volatile("");
            done.extend(self.caption.end(size));
        }
        let (full, live) = self.caption.flow(size);
        done.extend(full);
        if step.is_over && done.is_empty() && !self.has_lines {
            done.push(String::new());
        }
        self.has_lines |= !done.is_empty();
        self.screen.draw(&done, &live, size, out);
    }

    fn closing(&self) -> String {
        let mut out = String::new();
        let done = self.caption.certain_rows((self.size)());
        let mut screen = self.screen;
        screen.draw(&done, &[], (self.size)(), &mut out);
        out
    }
}

/// Several streams, a row for each that is not over, and their utterances above.
pub(crate) struct LiveRows {
    streams: Vec<LiveStream>,
    screen: Screen,
    size: SizeOf,
}

struct LiveStream {
    name: String,
    line: OpenLine,
    volatile: String,
    is_over: bool,
}

impl LiveStream {
    /// Whether there is anything to show that may still change.
    fn is_open(&self) -> bool {
        let has_text = !self.line.text.is_empty() || !self.volatile.is_empty();
        has_text && !self.is_over
    }
}

impl LiveRows {
    pub(crate) fn new(names: Vec<String>, size: SizeOf) -> Self {
        let stream = |name| LiveStream {
            name,
            line: OpenLine::default(),
            volatile: String::new(),
            is_over: false,
        };
        Self {
            streams: names.into_iter().map(stream).collect(),
            screen: Screen::default(),
            size,
        }
    }
}

impl Writer for LiveRows {
    fn step(&mut self, stream: usize, step: &Step, _transcript: &str, out: &mut String) {
        let size = (self.size)();
        let changed = &mut self.streams[stream];
        let done = changed.line.take(&changed.name, step);
        if let Some(volatile) = &step.volatile {
            changed.volatile.clone_from(volatile);
        }
        changed.is_over |= step.is_over;
        let open = self.streams.iter().filter(|stream| stream.is_open());
        let rows =
            open.map(|stream| one_row(&stream.name, &stream.line.text, &stream.volatile, size));
        let rows: Vec<Row> = rows.collect();
        self.screen.draw(&done, &rows, size, out);
    }

    fn closing(&self) -> String {
        let named = |stream: &LiveStream| {
            let text = stream.line.text.trim();
            (!text.is_empty()).then(|| format!("{}: {text}", stream.name))
        };
        let mut out = String::new();
        let done: Vec<String> = self.streams.iter().filter_map(named).collect();
        let mut screen = self.screen;
        screen.draw(&done, &[], (self.size)(), &mut out);
        out
    }
}

#[cfg(test)]
mod tests {
    use percept::{Endpoint, EndpointCause, StreamEvent, Vocabulary};

    use super::super::steps::StepReader;
    use super::super::steps::tests::{token, vocabulary};
    use super::*;

    fn size() -> Size {
        Size {
            columns: 20,
            rows: 10,
        }
    }

    /// What a terminal shows after each piece of output.
    struct Shown {
        vocabulary: Vocabulary,
        readers: Vec<StepReader>,
        terminal: vt100::Parser,
    }

    impl Shown {
        fn new(streams: usize) -> Self {
            let cells = |n| std::num::NonZero::new(n).unwrap();
            Self {
                vocabulary: vocabulary(),
                readers: (0..streams).map(|_| StepReader::default()).collect(),
                terminal: vt100::Parser::new(cells(10), cells(20), 0),
            }
        }

        fn tell(
            &mut self,
            writer: &mut dyn Writer,
            stream: usize,
            events: &[StreamEvent],
        ) -> String {
            for &event in events {
                if let Some(step) = self.readers[stream].take(&self.vocabulary, event) {
                    let mut out = String::new();
                    writer.step(stream, &step, "", &mut out);
                    self.draw(&out);
                }
            }
            self.terminal.screen().contents()
        }

        fn draw(&mut self, out: &str) -> String {
            self.terminal.process(out.replace('\n', "\r\n").as_bytes());
            self.terminal.screen().contents()
        }
    }

    const DECIDED: StreamEvent = StreamEvent::Decided { frame: 9 };

    #[test]
    fn captions_keep_what_is_certain_and_begin_a_row_at_each_endpoint() {
        use StreamEvent::{Commit, End, Tail, Volatile};
        let mut shown = Shown::new(1);
        let mut live = LiveCaption::new(size);
        let first = [Tail, Volatile(token(0, 0)), Volatile(token(3, 2)), DECIDED];
        assert_eq!(shown.tell(&mut live, 0, &first), "so goes");
        let endpoint = StreamEvent::Endpoint(Endpoint {
            frame: 3,
            cause: EndpointCause::Silence,
        });
        let second = [
            Commit(token(0, 0)),
            Commit(token(1, 5)),
            Tail,
            Volatile(token(2, 6)),
            endpoint,
            DECIDED,
        ];
        assert_eq!(shown.tell(&mut live, 0, &second), "so\nits");
        let closing = live.closing();
        assert_eq!(shown.tell(&mut live, 0, &[End]), "so\nit");

        let mut interrupted = Shown::new(1);
        let mut live = LiveCaption::new(size);
        interrupted.tell(&mut live, 0, &first);
        assert_eq!(interrupted.tell(&mut live, 0, &second), "so\nits");
        assert_eq!(
            interrupted.draw(&closing),
            "so\nit",
            "what is not certain goes"
        );
        assert_eq!(interrupted.terminal.screen().cursor_position(), (2, 0));
    }

    #[test]
    fn streams_have_a_row_each_until_they_are_over() {
        use StreamEvent::{Commit, End, Tail, Volatile};
        let mut shown = Shown::new(2);
        let mut live = LiveRows::new(vec!["a".to_owned(), "b".to_owned()], size);
        let both = [Commit(token(0, 0)), Tail, Volatile(token(3, 2)), DECIDED];
        assert_eq!(shown.tell(&mut live, 1, &both), "b: so goes");
        assert_eq!(shown.tell(&mut live, 0, &both), "a: so goes\nb: so goes");
        assert_eq!(
            shown.tell(&mut live, 1, &[Tail, DECIDED, End]),
            "b: so\na: so goes"
        );
        assert_eq!(
            shown.tell(&mut live, 0, &[Tail, DECIDED, End]),
            "b: so\na: so"
        );
        assert_eq!(live.closing(), "");
    }

    #[test]
    fn a_stream_without_words_is_an_empty_row() {
        let mut shown = Shown::new(1);
        shown.tell(&mut LiveCaption::new(size), 0, &[StreamEvent::End]);
        assert_eq!(shown.terminal.screen().cursor_position(), (1, 0));
    }
}
