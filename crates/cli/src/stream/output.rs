//! Where the steps of streams are written: stdout, in place if that is a terminal.

use std::io::{self, IsTerminal, Write};
use std::sync::{Mutex, TryLockError};
use std::time::{Duration, Instant};

use super::args::StreamFormat;
use super::live::{LiveCaption, LiveRows};
use super::screen::Size;
use super::steps::Step;
use super::write::{JsonLines, NamedLines, PlainText, Units, Writer};
use crate::error::CliError;
use crate::output;

/// What brings the terminal into order if the command ends now.
static CLOSING: Mutex<String> = Mutex::new(String::new());
/// How long an interruption waits for a terminal that takes no output.
const PATIENCE: Duration = Duration::from_millis(200);

/// Writes steps to stdout as they come.
pub(crate) struct Output<'a> {
    writer: Box<dyn Writer + 'a>,
    is_live: bool,
    buffer: String,
}

impl<'a> Output<'a> {
    /// For the streams of these names.
    pub(crate) fn new(format: StreamFormat, names: Vec<String>, units: Units<'a>) -> Self {
        let is_live = format == StreamFormat::Text && is_live_terminal();
        let is_one = names.len() == 1;
        let writer: Box<dyn Writer> = match (format, is_live) {
            (StreamFormat::Json, _) => Box::new(JsonLines::new(units, (!is_one).then_some(names))),
            (StreamFormat::Text, true) if is_one => Box::new(LiveCaption::new(terminal_size)),
            (StreamFormat::Text, true) => Box::new(LiveRows::new(names, terminal_size)),
            (StreamFormat::Text, false) if is_one => Box::new(PlainText::default()),
            (StreamFormat::Text, false) => Box::new(NamedLines::new(names)),
        };
        Self {
            writer,
            is_live,
            buffer: String::new(),
        }
    }

    /// Whether text changes in place, so that nothing else may be written to the terminal.
    pub(crate) fn is_live(&self) -> bool {
        self.is_live
    }

    /// Writes a step of the stream with this index.
    ///
    /// # Errors
    ///
    /// [`CliError::Stdout`] where nobody takes it.
    pub(crate) fn step(
        &mut self,
        stream: usize,
        step: &Step,
        transcript: &str,
    ) -> Result<(), CliError> {
        self.buffer.clear();
        self.writer.step(stream, step, transcript, &mut self.buffer);
        if self.buffer.is_empty() {
            return Ok(());
        }
        if !self.is_live {
            return output::print(self.buffer.as_bytes());
        }
        let mut closing = CLOSING
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        *closing = self.writer.closing();
        output::print(self.buffer.as_bytes())
    }
}

impl Drop for Output<'_> {
    fn drop(&mut self) {
        let mut closing = CLOSING
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut stdout = io::stdout();
        let closing = std::mem::take(&mut *closing);
        // Nobody is left to tell.
        let _ = stdout
            .write_all(closing.as_bytes())
            .and_then(|()| stdout.flush());
    }
}

/// Brings the terminal into order before the process ends, and keeps more from being written to it.
#[cfg_attr(
    not(unix),
    allow(
        dead_code,
        reason = "called from the signal handler, which is Unix only"
    )
)]
pub(crate) fn leave_terminal() {
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        let closing = match CLOSING.try_lock() {
            Ok(closing) => closing,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => {
                std::thread::sleep(Duration::from_millis(5));
                continue;
            }
        };
        let mut stdout = io::stdout();
        // Nobody is left to tell.
        let _ = stdout
            .write_all(closing.as_bytes())
            .and_then(|()| stdout.flush());
        std::mem::forget(closing);
        return;
    }
}

/// Whether stdout is a terminal where text can change in place.
fn is_live_terminal() -> bool {
    let is_dumb = std::env::var_os("TERM").is_none_or(|name| name == "dumb");
    io::stdout().is_terminal() && (cfg!(windows) || !is_dumb)
}

fn terminal_size() -> Size {
    // A terminal that does not know its size says 0.
    let found = terminal_size::terminal_size_of(io::stdout())
        .filter(|(columns, rows)| columns.0 > 0 && rows.0 > 0);
    let (columns, rows) = found.map_or((80, 24), |(columns, rows)| (columns.0, rows.0));
    Size {
        columns: usize::from(columns),
        rows: usize::from(rows),
    }
}
