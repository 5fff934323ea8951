//! Panics: defects of the command itself, kept to one line and to one recording.

use std::panic::{self, AssertUnwindSafe, PanicHookInfo};
use std::sync::{Mutex, PoisonError};

use crate::error::CliError;

/// Where the latest panic happened and what it said.
static LATEST: Mutex<String> = Mutex::new(String::new());

/// Keeps panics from writing to stderr; [`contain`] reports them.
pub(crate) fn install() {
    panic::set_hook(Box::new(|info| {
        *LATEST.lock().unwrap_or_else(PoisonError::into_inner) = describe(info)
    }));
}

/// Runs `work` and turns a panic into an error about `subject`.
pub(crate) fn contain<T>(
    subject: &str,
    work: impl FnOnce() -> Result<T, CliError>,
) -> Result<T, CliError> {
    panic::catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| Err(latest(subject)))
}

/// The latest panic, which was met with `subject`.
pub(crate) fn latest(subject: &str) -> CliError {
    CliError::Defect {
        subject: subject.to_owned(),
        fact: LATEST
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone(),
    }
}

fn describe(info: &PanicHookInfo<'_>) -> String {
    let message = info.payload_as_str().unwrap_or("no message");
    match info.location() {
        Some(place) => format!("{message} ({}:{})", place.file(), place.line()),
        None => message.to_owned(),
    }
}
