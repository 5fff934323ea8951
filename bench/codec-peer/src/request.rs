//! What can be asked, and what is answered.

use std::time::Duration;

use serde::{Deserialize, Serialize};

#[derive(Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum Request {
    /// Sound to codes, at once; `out` is a file for [`Books`].
    Encode {
        pcm: String,
        books: usize,
        out: Option<String>,
    },
    /// Codes to sound, at once; `out` is a file for samples.
    Decode {
        codes: String,
        noise: bool,
        out: Option<String>,
    },
    /// Codes to sound in steps of one super-frame, the same codes so many times in one stream.
    StreamDecode {
        codes: String,
        noise: bool,
        times: usize,
    },
    /// Sound to codes in steps of one super-frame, the same sound so many times in one stream.
    StreamEncode {
        pcm: String,
        books: usize,
        times: usize,
    },
}

/// Codes as a file.
#[derive(Deserialize, Serialize)]
pub struct Books {
    pub books: Vec<Vec<u16>>,
}

#[derive(Default, Serialize)]
pub struct Answer {
    pub ms: f64,
    /// Of streams: the steps, how long most and almost all took, and what came out (samples or super-frames).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub steps: Option<Steps>,
}

#[derive(Serialize)]
pub struct Steps {
    pub count: usize,
    pub p50_ms: f64,
    pub p99_ms: f64,
    pub made: usize,
}

impl Answer {
    pub fn of(elapsed: Duration) -> Answer {
        Answer {
            ms: milliseconds(elapsed),
            steps: None,
        }
    }

    /// Of a stream that made so much in steps of these times.
    pub fn of_steps(mut times: Vec<Duration>, made: usize) -> Answer {
        let total = times.iter().sum();
        times.sort();
        let at = |share: usize| times.get((times.len() * share / 100).min(times.len().max(1) - 1));
        let quantile = |share| at(share).map_or(0.0, |&time| milliseconds(time));
        let steps = Steps {
            count: times.len(),
            p50_ms: quantile(50),
            p99_ms: quantile(99),
            made,
        };
        Answer {
            steps: Some(steps),
            ..Answer::of(total)
        }
    }
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
