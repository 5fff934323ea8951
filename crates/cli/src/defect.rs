//! Panics: defects of the command itself, kept to one line and to one recording.

use std::any::Any;
use std::collections::VecDeque;
use std::panic::{self, AssertUnwindSafe, PanicHookInfo};
use std::sync::{Mutex, PoisonError};
use std::thread::{self, ThreadId};

use crate::error::CliError;

/// A panic as it began. What is caught later is only what it said, and often on another thread: those of a pool hand on
/// the panics of their tasks.
struct Begun {
    message: String,
    place: Option<String>,
    thread: ThreadId,
}

/// The latest panics, the newest last.
static LATEST: Mutex<VecDeque<Begun>> = Mutex::new(VecDeque::new());

/// How many are kept: more than are on their way at once.
const KEPT: usize = 256;

/// Keeps panics from writing to stderr; [`contain`] reports them.
pub(crate) fn install() {
    panic::set_hook(Box::new(note));
}

/// Runs `work` and turns a panic into an error about `subject`.
pub(crate) fn contain<T>(
    subject: &str,
    work: impl FnOnce() -> Result<T, CliError>,
) -> Result<T, CliError> {
    panic::catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|payload| {
        Err(CliError::Defect {
            subject: subject.to_owned(),
            fact: fact(message(&*payload)),
        })
    })
}

/// The latest panic of all threads, which was met with `subject`.
pub(crate) fn latest(subject: &str) -> CliError {
    let latest = LATEST.lock().unwrap_or_else(PoisonError::into_inner);
    CliError::Defect {
        subject: subject.to_owned(),
        fact: latest.back().map(Begun::describe).unwrap_or_default(),
    }
}

impl Begun {
    fn describe(&self) -> String {
        match &self.place {
            Some(place) => format!("{} ({place})", self.message),
            None => self.message.clone(),
        }
    }
}

/// Remembers a panic.
fn note(info: &PanicHookInfo<'_>) {
    let place = |place: &panic::Location<'_>| format!("{}:{}", place.file(), place.line());
    let begun = Begun {
        message: message(info.payload()).to_owned(),
        place: info.location().map(place),
        thread: thread::current().id(),
    };
    let mut latest = LATEST.lock().unwrap_or_else(PoisonError::into_inner);
    if latest.len() == KEPT {
        latest.pop_front();
    }
    latest.push_back(begun);
}

/// What a caught panic said and where it began: here rather than elsewhere, and lately.
fn fact(message: &str) -> String {
    let here = thread::current().id();
    let latest = LATEST.lock().unwrap_or_else(PoisonError::into_inner);
    let alike = latest.iter().filter(|begun| begun.message == message);
    alike
        .max_by_key(|begun| begun.thread == here)
        .map_or_else(|| message.to_owned(), Begun::describe)
}

fn message(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<&str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Notes panics, and shows them where a test fails.
    fn install_loudly() {
        let shown = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            note(info);
            shown(info);
        }));
    }

    /// A panic on another thread, which hands it on as a pool does.
    fn panic_elsewhere(message: &'static str) -> ! {
        let panicked = thread::spawn(move || panic!("{message}")).join();
        panic::resume_unwind(panicked.expect_err("it panics"))
    }

    /// Whatever else panics while this is dropped.
    struct Meanwhile;

    impl Drop for Meanwhile {
        fn drop(&mut self) {
            let _ = thread::spawn(|| panic!("meanwhile")).join();
        }
    }

    #[test]
    fn a_defect_says_what_its_own_panic_said() {
        install_loudly();
        let here: fn() = || panic!("in a.wav");
        let with_words: fn() = || panic!("in {}.wav", 'b');
        let elsewhere: fn() = || panic_elsewhere("in c.wav");
        for (work, said) in [
            (here, "in a.wav"),
            (with_words, "in b.wav"),
            (elsewhere, "in c.wav"),
        ] {
            let contained = contain("x.wav", || {
                let _meanwhile = Meanwhile;
                work();
                Ok(())
            });
            let line = contained.expect_err("it panics").line();
            let start = format!("x.wav: internal error: {said} (");
            assert!(line.starts_with(&start), "{line}");
            assert!(line.contains("defect.rs:"), "{line}");
        }
    }
}
