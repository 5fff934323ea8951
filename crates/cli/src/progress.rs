//! How far the work is: bars on a terminal, JSON lines for scripts, or nothing.

mod event;

use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::args::ProgressMode;
use crate::error::CliError;
use event::Event;

/// The shortest time between two `progress` events.
const EVENT_INTERVAL: Duration = Duration::from_millis(200);

/// Reports on stderr in one way for the whole run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Progress {
    way: Way,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Bars,
    Json,
    Silent,
}

/// Writes a line to stderr. If that is closed, nobody wants to know.
pub(crate) fn to_stderr(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// Which of how many recordings it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    /// From 1.
    pub(crate) index: usize,
    pub(crate) files: usize,
}

impl Progress {
    pub(crate) fn new(mode: ProgressMode) -> Self {
        let way = match mode {
            ProgressMode::Auto if io::stderr().is_terminal() => Way::Bars,
            ProgressMode::Json => Way::Json,
            ProgressMode::Auto | ProgressMode::None => Way::Silent,
        };
        Self { way }
    }

    /// Says what failed, in one line.
    pub(crate) fn error(self, file: Option<&str>, error: &CliError) {
        let message = error.line();
        match self.way {
            Way::Json => Event::Error { file, message }.send(),
            Way::Bars | Way::Silent => to_stderr(&format!("percept: {message}")),
        }
    }

    /// Says something that is no error; scripts are spared.
    pub(crate) fn notice(self, line: &str) {
        if self.way != Way::Json {
            to_stderr(&format!("percept: {line}"));
        }
    }

    /// Begins a recording of a length that may not be known.
    pub(crate) fn start<'a>(
        self,
        file: &'a str,
        place: Place,
        seconds_total: Option<f64>,
    ) -> FileProgress<'a> {
        let Place { index, files } = place;
        let message = match files {
            1 => file.to_owned(),
            _ => format!("[{index}/{files}] {file}"),
        };
        let bar = (self.way == Way::Bars).then(|| bar(seconds_total, &message));
        FileProgress {
            bar,
            ..self.start_beside(file, place, seconds_total)
        }
    }

    /// Begins one of several recordings that are done side by side; [`Progress::together`] has their bar.
    pub(crate) fn start_beside<'a>(
        self,
        file: &'a str,
        place: Place,
        seconds_total: Option<f64>,
    ) -> FileProgress<'a> {
        if self.way == Way::Json {
            let Place { index, files } = place;
            Event::Start {
                file,
                index,
                files,
                seconds_total,
            }
            .send();
        }
        FileProgress {
            way: self.way,
            file,
            seconds_total,
            bar: None,
            last: Instant::now(),
        }
    }

    /// Shows that `file` and others, `count` in all, are done side by side.
    pub(crate) fn together(self, file: &str, first: Place, count: usize) -> Together {
        let Place { index, files } = first;
        let others = match count {
            1 => String::new(),
            _ => format!(" and {} more", count - 1),
        };
        let bar = (self.way == Way::Bars).then(|| {
            let style = ProgressStyle::with_template("{msg} {wide_bar} {percent}%");
            ProgressBar::new(files as u64)
                .with_style(style.expect("the template is valid"))
                .with_message(format!("[{index}/{files}] {file}{others}"))
                .with_position(index as u64 - 1)
        });
        if let Some(bar) = &bar {
            bar.tick();
        }
        Together { bar }
    }

    /// A recording whose `output` is up to date.
    pub(crate) fn skipped(self, file: &str, output: &Path) {
        if self.way == Way::Json {
            let output = Some(output.display().to_string());
            Event::Done {
                file,
                seconds_done: None,
                output,
                skipped: true,
            }
            .send();
        }
    }

    /// The result of a run that wrote files, for whoever watches it.
    pub(crate) fn summary(self, written: usize, skipped: usize, failed: usize) {
        if self.way == Way::Bars {
            to_stderr(&format!(
                "percept: {written} written, {skipped} up to date, {failed} failed"
            ));
        }
    }

    /// Begins a download of a size that may not be known.
    pub(crate) fn download(self, name: &str) -> Download {
        let bar = (self.way == Way::Bars).then(|| {
            let style = ProgressStyle::with_template(
                "{msg} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec} eta {eta}",
            );
            ProgressBar::no_length()
                .with_message(name.to_owned())
                .with_style(style.expect("the template is valid"))
        });
        Download {
            way: self.way,
            model: name.to_owned(),
            bar,
            last: Instant::now(),
        }
    }
}

fn bar(seconds_total: Option<f64>, message: &str) -> ProgressBar {
    let (bar, template) = match seconds_total {
        Some(total) => (
            ProgressBar::new(milliseconds(total)),
            "{msg} {wide_bar} {percent}% eta {eta}",
        ),
        None => (ProgressBar::no_length(), "{spinner} {msg} {elapsed}"),
    };
    bar.with_style(ProgressStyle::with_template(template).expect("the template is valid"))
        .with_message(message.to_owned())
}

fn milliseconds(seconds: f64) -> u64 {
    (seconds * 1000.0) as u64
}

/// The progress of one recording. A bar disappears when this is dropped.
pub(crate) struct FileProgress<'a> {
    way: Way,
    file: &'a str,
    seconds_total: Option<f64>,
    bar: Option<ProgressBar>,
    last: Instant,
}

impl FileProgress<'_> {
    /// So many seconds of the recording have been taken in.
    pub(crate) fn advance(&mut self, seconds_done: f64) {
        if let Some(bar) = &self.bar {
            bar.set_position(milliseconds(seconds_done));
        }
        if self.way == Way::Json && self.last.elapsed() >= EVENT_INTERVAL {
            self.last = Instant::now();
            Event::Progress {
                file: self.file,
                seconds_done,
                seconds_total: self.seconds_total,
            }
            .send();
        }
    }

    /// The recording has been written down, to `output` or to stdout.
    pub(crate) fn done(mut self, seconds_done: f64, output: Option<&Path>) {
        self.clear();
        if self.way == Way::Json {
            let output = output.map(|path| path.display().to_string());
            Event::Done {
                file: self.file,
                seconds_done: Some(seconds_done),
                output,
                skipped: false,
            }
            .send();
        }
    }

    /// Takes a bar off the screen, before other lines go there.
    pub(crate) fn clear(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

impl Drop for FileProgress<'_> {
    fn drop(&mut self) {
        self.clear();
    }
}

/// Several recordings that are done side by side. The bar, which is over all recordings, disappears when this is dropped.
pub(crate) struct Together {
    bar: Option<ProgressBar>,
}

impl Drop for Together {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// The progress of a download. The bar disappears when this is dropped.
pub(crate) struct Download {
    way: Way,
    model: String,
    bar: Option<ProgressBar>,
    last: Instant,
}

impl Download {
    /// So many bytes of all files are there.
    pub(crate) fn advance(&mut self, bytes_done: u64, bytes_total: u64) {
        if let Some(bar) = &self.bar {
            bar.set_length(bytes_total);
            bar.set_position(bytes_done);
        }
        if self.way == Way::Json
            && (self.last.elapsed() >= EVENT_INTERVAL || bytes_done == bytes_total)
        {
            self.last = Instant::now();
            Event::Download {
                model: &self.model,
                bytes_done,
                bytes_total,
            }
            .send();
        }
    }
}

impl Drop for Download {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
