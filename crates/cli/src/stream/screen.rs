//! Text that changes in place at the bottom of a terminal.

use std::fmt::Write;
use std::ops::Range;

use unicode_width::UnicodeWidthStr;

use super::wrap::{end_of, harmless, wrap};

/// Cells of a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Size {
    pub(crate) columns: usize,
    pub(crate) rows: usize,
}

impl Size {
    /// The columns to write in: a character in the last one leaves the cursor in a place that terminals disagree on.
    fn width(self) -> usize {
        self.columns.saturating_sub(1).max(1)
    }

    /// The rows that may change in place without running out of the top.
    fn live_rows(self) -> usize {
        self.rows.saturating_sub(1).max(1)
    }
}

/// A row of text, the end of which may still change.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) certain: String,
    pub(crate) volatile: String,
}

/// The rows that are drawn and may be drawn anew.
///
/// Nothing is hidden or switched on beyond a draw, so there is nothing to restore. After the terminal has changed its
/// width, a draw takes back as many rows as it had written: where the terminal has wrapped them anew, some of them stay
/// as they were, and never is a row taken back that was final.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Screen {
    rows: usize,
}

impl Screen {
    /// Appends to `out` what replaces the rows that may change: rows that are final now, and new ones that may change.
    pub(crate) fn draw(&mut self, done: &[String], live: &[Row], size: Size, out: &mut String) {
        if self.rows > 1 {
            write!(out, "\x1b[{}A", self.rows - 1).expect("a String takes everything");
        }
        if self.rows > 0 {
            out.push_str("\r\x1b[J");
        }
        for row in done {
            out.push_str(row);
            out.push('\n');
        }
        let live = &live[..live.len().min(size.live_rows())];
        for (index, row) in live.iter().enumerate() {
            if index > 0 {
                out.push('\n');
            }
            out.push_str(&row.certain);
            if !row.volatile.is_empty() {
                write!(out, "\x1b[2m{}\x1b[0m", row.volatile).expect("a String takes everything");
            }
        }
        self.rows = live.len();
    }
}

/// A text that grows at its end, wrapped between words.
#[derive(Debug, Default)]
pub(crate) struct Caption {
    /// From the first row that may still change.
    certain: String,
    volatile: String,
}

impl Caption {
    pub(crate) fn push(&mut self, text: &str) {
        self.certain.extend(text.chars().map(harmless));
    }

    pub(crate) fn set_volatile(&mut self, text: &str) {
        self.volatile = text.chars().map(harmless).collect();
    }

    /// Takes out the rows that no later text can change, and shows the others.
    pub(crate) fn flow(&mut self, size: Size) -> (Vec<String>, Vec<Row>) {
        let text = format!("{}{}", self.certain, self.volatile);
        let rows = wrap(&text, size.width());
        let certain = self.certain.len();
        // A row is full for good once what follows it is certain.
        let is_full = |next: &Range<usize>| next.start < certain;
        let full = rows.iter().skip(1).take_while(|next| is_full(next)).count();
        let done = rows[..full].iter().map(|row| text[row.clone()].to_owned());
        let live = rows[full..].iter().map(|row| Row {
            certain: text[row.start..row.end.min(certain).max(row.start)].to_owned(),
            volatile: text[row.start.max(certain).min(row.end)..row.end].to_owned(),
        });
        let (done, live) = (done.collect(), live.collect());
        let kept = rows.get(full).map_or(certain, |row| row.start.min(certain));
        self.certain.drain(..kept);
        (done, live)
    }

    /// The rows of what is certain.
    pub(crate) fn certain_rows(&self, size: Size) -> Vec<String> {
        let rows = wrap(&self.certain, size.width()).into_iter();
        rows.map(|row| self.certain[row].to_owned()).collect()
    }

    /// Takes out all that is certain: the text ends, and the next one begins.
    pub(crate) fn end(&mut self, size: Size) -> Vec<String> {
        let rows = self.certain_rows(size);
        self.certain.clear();
        rows
    }
}

/// The end of a text in one row, after its name.
pub(crate) fn one_row(name: &str, certain: &str, volatile: &str, size: Size) -> Row {
    let name: String = name.chars().map(harmless).collect();
    let mut row = Row {
        certain: format!("{}: ", end_of(&name, size.width() / 3)),
        volatile: String::new(),
    };
    let text: String = format!("{certain}{volatile}")
        .chars()
        .map(harmless)
        .collect();
    let shown = end_of(
        text.trim_start(),
        size.width().saturating_sub(row.certain.width()),
    );
    let chars = shown.chars().count();
    let certain_chars = chars.saturating_sub(volatile.chars().count());
    row.certain.extend(shown.chars().take(certain_chars));
    row.volatile.extend(shown.chars().skip(certain_chars));
    row
}

#[cfg(test)]
mod tests {
    use std::num::NonZero;

    use super::*;

    const SIZE: Size = Size {
        columns: 21,
        rows: 6,
    };

    fn cells(count: usize) -> NonZero<u16> {
        NonZero::new(count as u16).unwrap()
    }

    /// A terminal that shows what was written to it.
    struct Terminal {
        parser: vt100::Parser,
        screen: Screen,
        size: Size,
    }

    impl Terminal {
        fn new(size: Size) -> Self {
            let parser = vt100::Parser::new(cells(size.rows), cells(size.columns), 100);
            Self {
                parser,
                screen: Screen::default(),
                size,
            }
        }

        fn draw(&mut self, done: &[String], live: &[Row]) {
            let mut out = String::new();
            self.screen.draw(done, live, self.size, &mut out);
            self.parser.process(out.replace('\n', "\r\n").as_bytes());
        }

        fn show(&mut self, caption: &mut Caption) {
            let (done, live) = caption.flow(self.size);
            self.draw(&done, &live);
        }

        fn end(&mut self, caption: &mut Caption) {
            let rows = caption.end(self.size);
            self.draw(&rows, &[]);
        }

        fn resize(&mut self, size: Size) {
            self.size = size;
            let screen = self.parser.screen_mut();
            screen.set_size(cells(size.rows), cells(size.columns));
        }

        fn rows(&self) -> Vec<String> {
            let contents = self.parser.screen().contents();
            contents.lines().map(str::to_owned).collect()
        }

        fn is_dim(&self, row: u16, column: u16) -> bool {
            let cell = self.parser.screen().cell(row, column);
            cell.is_some_and(|cell| cell.dim())
        }
    }

    #[test]
    fn volatile_text_is_dim_and_gives_way() {
        let (mut terminal, mut caption) = (Terminal::new(SIZE), Caption::default());
        caption.push("hello");
        caption.set_volatile(" word");
        terminal.show(&mut caption);
        assert_eq!(terminal.rows(), ["hello word"]);
        assert!(!terminal.is_dim(0, 4) && terminal.is_dim(0, 6));
        caption.push(" world");
        caption.set_volatile("");
        terminal.show(&mut caption);
        assert_eq!(terminal.rows(), ["hello world"]);
        assert!(!terminal.is_dim(0, 6));
    }

    #[test]
    fn a_long_text_reads_as_it_was_said() {
        let words: Vec<String> = (0..60).map(|i| format!("w{}", "o".repeat(i % 9))).collect();
        let tall = Size {
            columns: 21,
            rows: 40,
        };
        let (mut terminal, mut caption) = (Terminal::new(tall), Caption::default());
        for word in &words {
            caption.push(" ");
            for piece in word.split_inclusive('o') {
                caption.push(piece);
                caption.set_volatile(" something that will not be said after all");
                terminal.show(&mut caption);
            }
        }
        terminal.end(&mut caption);
        let rows = terminal.rows();
        assert_eq!(rows.join(" "), words.join(" "));
        assert!(
            rows.iter().all(|row| row.width() < tall.columns),
            "{rows:?}"
        );
        assert!(rows.len() > 10);
    }

    #[test]
    fn a_new_width_never_costs_a_final_row() {
        let (mut terminal, mut caption) = (Terminal::new(SIZE), Caption::default());
        caption.push("one two three four five six seven");
        caption.set_volatile(" and more that is not sure");
        terminal.show(&mut caption);
        assert_eq!(terminal.rows()[0], "one two three four");
        for columns in [12, 40, 8, 30] {
            terminal.resize(Size { columns, rows: 6 });
            caption.set_volatile(" and that");
            terminal.show(&mut caption);
            assert!(
                terminal.rows()[0].starts_with("one two"),
                "{:?}",
                terminal.rows()
            );
        }
        terminal.end(&mut caption);
        let rows = terminal.rows().join("\n");
        assert!(rows.contains("seven") && !rows.contains("that"), "{rows}");
    }

    #[test]
    fn rows_that_may_change_never_run_out_of_the_top() {
        let size = Size {
            columns: 6,
            rows: 3,
        };
        let (mut terminal, mut caption) = (Terminal::new(size), Caption::default());
        caption.push("first");
        for _ in 0..4 {
            caption.set_volatile(" a lot of text that is not sure at all");
            terminal.show(&mut caption);
        }
        terminal.end(&mut caption);
        assert_eq!(terminal.rows(), ["first"]);
    }

    #[test]
    fn text_cannot_steer_the_terminal() {
        let mut caption = Caption::default();
        caption.push("a\x1b[2Jb\nc");
        assert_eq!(caption.end(SIZE), ["a\u{fffd}[2Jb c"]);
    }

    #[test]
    fn a_stream_among_others_has_one_row_with_the_end_of_its_text() {
        let row = one_row("a.wav", " so it goes", " on and on", SIZE);
        assert_eq!(row.certain, "a.wav: …es");
        assert_eq!(row.volatile, " on and on");
        let row = one_row("a/very/long/name.wav", "", " hi", SIZE);
        assert_eq!(
            (row.certain.as_str(), row.volatile.as_str()),
            ("…e.wav: ", "hi")
        );
    }
}
