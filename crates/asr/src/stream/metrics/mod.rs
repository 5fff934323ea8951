//! What streams did and how long it took.

mod arrivals;
mod histogram;
mod prometheus;

use std::fmt;
use std::time::Duration;

pub(crate) use arrivals::Arrivals;
pub use histogram::Histogram;

/// What one stream, or several, did so far and how long it took, in a fixed amount of memory.
///
/// Displayed as a table; [`StreamMetrics::prometheus`] writes it for a scraper.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamMetrics {
    /// From when a step was due until it began.
    pub queue_wait: Histogram,
    /// Front end and encoder, for each step.
    pub encode: Histogram,
    /// Search, for each step.
    pub decode: Histogram,
    /// From a stream's first sample to its first token, committed or volatile.
    pub first_token: Histogram,
    /// From when the end of a token was heard until it was committed.
    pub finalisation_lag: Histogram,
    /// Streams in each step.
    pub occupancy: Histogram,
    /// Audio that was decided.
    pub audio: Duration,
    /// Time spent in steps.
    pub compute: Duration,
    /// Steps made.
    pub steps: u64,
    /// Encoder frames computed, those of contexts included.
    pub rows: u64,
    /// Tokens committed.
    pub tokens: u64,
    /// Volatile tokens, each as often as it was said.
    pub volatile_tokens: u64,
    /// Tokens, volatile ones included, that nobody was there or in time to take.
    pub unheard_tokens: u64,
    /// Endpoints found.
    pub endpoints: u64,
    /// Stretches of audio that were lost.
    pub gaps: u64,
    /// Samples that were lost before they arrived, at the rate they would have arrived in.
    pub dropped_samples: u64,
    /// Samples that were no finite numbers.
    pub invalid_samples: u64,
    /// Streams that were begun.
    pub started: u64,
    /// Streams that have ended.
    pub ended: u64,
    /// Streams that were turned away.
    pub refused: u64,
}

impl StreamMetrics {
    /// Nothing done yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Counts a step of `streams` streams and `rows` encoder frames.
    pub fn record_step(&mut self, streams: usize, rows: usize, encode: Duration, decode: Duration) {
        self.steps += 1;
        self.rows += rows as u64;
        self.occupancy.record(streams as u64);
        self.encode.record_duration(encode);
        self.decode.record_duration(decode);
        self.compute += encode + decode;
    }

    /// Seconds of computing to a second of audio; `None` before any audio was decided.
    pub fn real_time_factor(&self) -> Option<f64> {
        (!self.audio.is_zero()).then(|| self.compute.as_secs_f64() / self.audio.as_secs_f64())
    }

    /// Counts all that `other` has counted.
    pub fn merge(&mut self, other: &StreamMetrics) {
        let StreamMetrics {
            queue_wait,
            encode,
            decode,
            first_token,
            finalisation_lag,
            occupancy,
            ..
        } = self;
        queue_wait.merge(&other.queue_wait);
        encode.merge(&other.encode);
        decode.merge(&other.decode);
        first_token.merge(&other.first_token);
        finalisation_lag.merge(&other.finalisation_lag);
        occupancy.merge(&other.occupancy);
        self.audio += other.audio;
        self.compute += other.compute;
        for (mine, theirs) in self.counters_mut().into_iter().zip(other.counters()) {
            *mine = mine.saturating_add(theirs);
        }
    }

    fn counters(&self) -> [u64; COUNTERS] {
        [
            self.steps,
            self.rows,
            self.tokens,
            self.volatile_tokens,
            self.unheard_tokens,
            self.endpoints,
            self.gaps,
            self.dropped_samples,
            self.invalid_samples,
            self.started,
            self.ended,
            self.refused,
        ]
    }

    fn counters_mut(&mut self) -> [&mut u64; COUNTERS] {
        [
            &mut self.steps,
            &mut self.rows,
            &mut self.tokens,
            &mut self.volatile_tokens,
            &mut self.unheard_tokens,
            &mut self.endpoints,
            &mut self.gaps,
            &mut self.dropped_samples,
            &mut self.invalid_samples,
            &mut self.started,
            &mut self.ended,
            &mut self.refused,
        ]
    }
}

const COUNTERS: usize = 12;

impl fmt::Display for StreamMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = ["count", "p50", "p95", "p99", "max"];
        write!(f, "{:18}", "")?;
        names.iter().try_for_each(|name| write!(f, "{name:>12}"))?;
        for (name, histogram) in [
            ("queue wait", &self.queue_wait),
            ("encode", &self.encode),
            ("decode", &self.decode),
            ("first token", &self.first_token),
            ("finalisation lag", &self.finalisation_lag),
        ] {
            row(f, name, histogram, |micros| {
                format!("{:.1} ms", micros as f64 / 1e3)
            })?;
        }
        row(f, "streams in a step", &self.occupancy, |n| n.to_string())?;
        write!(
            f,
            "\n{} streams, {} steps, {} tokens, {} volatile, {} endpoints",
            self.started, self.steps, self.tokens, self.volatile_tokens, self.endpoints
        )?;
        write!(
            f,
            "\n{:.1} s of audio, {:.1} s of computing",
            self.audio.as_secs_f64(),
            self.compute.as_secs_f64()
        )?;
        if let Some(factor) = self.real_time_factor() {
            write!(f, ", real-time factor {factor:.3}")?;
        }
        write!(
            f,
            "\n{} gaps, {} samples dropped, {} invalid, {} tokens unheard",
            self.gaps, self.dropped_samples, self.invalid_samples, self.unheard_tokens
        )
    }
}

fn row(
    f: &mut fmt::Formatter<'_>,
    name: &str,
    histogram: &Histogram,
    show: impl Fn(u64) -> String,
) -> fmt::Result {
    write!(f, "\n{name:18}{:>12}", histogram.count())?;
    for q in [0.5, 0.95, 0.99, 1.0] {
        let shown = histogram.quantile(q).map_or("-".into(), &show);
        write!(f, "{shown:>12}")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn millis(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    fn some() -> StreamMetrics {
        let mut metrics = StreamMetrics::new();
        metrics.record_step(2, 87, millis(30), millis(2));
        metrics.record_step(3, 100, millis(50), millis(8));
        metrics.audio = Duration::from_secs(9);
        metrics
            .queue_wait
            .record_duration(Duration::from_micros(80));
        for counter in metrics.counters_mut().into_iter().skip(2) {
            *counter += 7;
        }
        metrics
    }

    #[test]
    fn the_real_time_factor_is_compute_to_audio() {
        assert_eq!(StreamMetrics::new().real_time_factor(), None);
        assert_eq!(some().real_time_factor(), Some(0.01));
    }

    #[test]
    fn merging_twice_is_counting_twice() {
        let mut merged = some();
        merged.merge(&some());
        assert_eq!(merged.counters(), some().counters().map(|n| 2 * n));
        assert_eq!(
            (merged.audio, merged.compute),
            (millis(18_000), millis(180))
        );
        assert_eq!((merged.occupancy.count(), merged.encode.count()), (4, 4));
        assert_eq!(merged.queue_wait.count(), 2);
    }

    #[test]
    fn the_table_has_a_line_for_each_histogram_and_aligned_columns() {
        let table = some().to_string();
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(lines.len(), 10, "{table}");
        assert!(
            lines[..7].iter().all(|line| line.chars().count() == 78),
            "{table}"
        );
        assert!(
            lines[2].starts_with("encode") && lines[2].ends_with("50.0 ms"),
            "{table}"
        );
        assert!(lines[4].ends_with('-'), "{table}");
        assert!(table.contains("9.0 s of audio, 0.1 s of computing, real-time factor 0.010"));
    }
}
