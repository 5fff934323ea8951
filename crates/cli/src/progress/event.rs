//! Progress for scripts: one JSON object a line.

use serde::Serialize;

use super::to_stderr;

/// What happened, as scripts are told.
#[derive(Serialize)]
#[serde(tag = "event", rename_all = "lowercase")]
pub(super) enum Event<'a> {
    Start {
        file: &'a str,
        index: usize,
        files: usize,
        #[serde(skip_serializing_if = "Option::is_none")]
        seconds_total: Option<f64>,
    },
    Progress {
        file: &'a str,
        seconds_done: f64,
        #[serde(skip_serializing_if = "Option::is_none")]
        seconds_total: Option<f64>,
    },
    Done {
        file: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        seconds_done: Option<f64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        output: Option<String>,
        skipped: bool,
    },
    Download {
        model: &'a str,
        bytes_done: u64,
        bytes_total: u64,
    },
    Error {
        #[serde(skip_serializing_if = "Option::is_none")]
        file: Option<&'a str>,
        message: String,
    },
}

impl Event<'_> {
    /// Tells it.
    pub(super) fn send(&self) {
        let json = serde_json::to_string(self).expect("an event holds strings and numbers only");
        to_stderr(&json);
    }
}
