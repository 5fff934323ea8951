//! The text that a Prometheus scraper reads
//! (<https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format>).

use std::fmt::{self, Write};
use std::ops::RangeInclusive;
use std::time::Duration;

use super::{Histogram, StreamMetrics};

/// The bounds of durations: powers of two from 1 ms to 67 s, in microseconds.
const DURATION_BITS: RangeInclusive<u32> = 10..=26;
/// The bounds of numbers of streams: powers of two up to 1024.
const STREAM_BITS: RangeInclusive<u32> = 0..=10;
const SECONDS_PER_MICRO: f64 = 1e-6;

impl StreamMetrics {
    /// Writes everything in Prometheus' text format, under names that begin with `percept_stream_`.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn prometheus(&self, out: &mut impl Write) -> fmt::Result {
        self.write_histograms(out)?;
        self.write_counters(out)
    }

    fn write_histograms(&self, out: &mut impl Write) -> fmt::Result {
        for (name, help, values) in [
            (
                "queue_wait",
                "From when a step was due until it began.",
                &self.queue_wait,
            ),
            (
                "encode",
                "Front end and encoder, for each step.",
                &self.encode,
            ),
            ("decode", "Search, for each step.", &self.decode),
            (
                "first_token",
                "From the first sample to the first token.",
                &self.first_token,
            ),
            (
                "finalisation_lag",
                "From the end of a token to its commit.",
                &self.finalisation_lag,
            ),
        ] {
            let family = Family {
                name: format!("percept_stream_{name}_seconds"),
                help,
                unit: SECONDS_PER_MICRO,
                bound_bits: DURATION_BITS,
            };
            family.write(values, out)?;
        }
        let streams = Family {
            name: "percept_stream_step_streams".into(),
            help: "Streams in a step.",
            unit: 1.0,
            bound_bits: STREAM_BITS,
        };
        streams.write(&self.occupancy, out)
    }

    fn write_counters(&self, out: &mut impl Write) -> fmt::Result {
        for (name, help, value) in [
            ("audio_seconds", "Audio decided.", seconds(self.audio)),
            (
                "compute_seconds",
                "Time spent in steps.",
                seconds(self.compute),
            ),
            ("steps", "Steps made.", self.steps as f64),
            (
                "rows",
                "Encoder frames computed, contexts included.",
                self.rows as f64,
            ),
            ("tokens", "Tokens committed.", self.tokens as f64),
            (
                "volatile_tokens",
                "Volatile tokens said.",
                self.volatile_tokens as f64,
            ),
            (
                "unheard_tokens",
                "Tokens that nobody took.",
                self.unheard_tokens as f64,
            ),
            ("endpoints", "Endpoints found.", self.endpoints as f64),
            ("gaps", "Stretches of lost audio.", self.gaps as f64),
            (
                "dropped_samples",
                "Samples lost before they arrived.",
                self.dropped_samples as f64,
            ),
            (
                "invalid_samples",
                "Samples that were no numbers.",
                self.invalid_samples as f64,
            ),
            ("started", "Streams begun.", self.started as f64),
            ("ended", "Streams ended.", self.ended as f64),
            ("refused", "Streams turned away.", self.refused as f64),
        ] {
            let name = format!("percept_stream_{name}_total");
            header(out, &name, help, "counter")?;
            writeln!(out, "{name} {value}")?;
        }
        Ok(())
    }
}

fn seconds(duration: Duration) -> f64 {
    duration.as_secs_f64()
}

fn header(out: &mut impl Write, name: &str, help: &str, kind: &str) -> fmt::Result {
    writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}")
}

/// How a histogram is shown.
struct Family<'a> {
    name: String,
    help: &'a str,
    /// What a value of 1 is.
    unit: f64,
    /// Buckets end at these powers of two.
    bound_bits: RangeInclusive<u32>,
}

impl Family<'_> {
    fn write(self, values: &Histogram, out: &mut impl Write) -> fmt::Result {
        let name = &self.name;
        header(out, name, self.help, "histogram")?;
        for bit in self.bound_bits {
            let bound = 1u64 << bit;
            let count = values.count_up_to(bound);
            // To six places, so that 1024 microseconds are 0.001024 and not 0.0010239999999999999.
            let shown = (bound as f64 * self.unit * 1e6).round() / 1e6;
            writeln!(out, "{name}_bucket{{le=\"{shown}\"}} {count}")?;
        }
        writeln!(out, "{name}_bucket{{le=\"+Inf\"}} {}", values.count())?;
        writeln!(out, "{name}_sum {}", values.sum() as f64 * self.unit)?;
        writeln!(out, "{name}_count {}", values.count())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_sample_is_a_number_under_a_name_that_was_declared_once() {
        let mut metrics = StreamMetrics::new();
        metrics.record_step(3, 10, Duration::from_millis(1), Duration::from_micros(1025));
        metrics.encode.record_duration(Duration::from_micros(1024));
        let mut text = String::new();
        metrics.prometheus(&mut text).unwrap();
        let mut declared = BTreeSet::new();
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').unwrap();
                assert!(declared.insert(name.to_owned()), "{line}");
                assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
            } else if !line.starts_with("# HELP ") {
                let (name, value) = line.rsplit_once(' ').unwrap();
                assert!(value.parse::<f64>().unwrap().is_finite(), "{line}");
                let name = name.split('{').next().unwrap();
                let suffixes = ["_bucket", "_sum", "_count"];
                let base = suffixes
                    .iter()
                    .find_map(|s| name.strip_suffix(s))
                    .unwrap_or(name);
                assert!(declared.contains(base), "{line}");
            }
        }
        assert_eq!(declared.len(), 20);
    }

    #[test]
    fn buckets_are_cumulative_and_include_their_bound() {
        let mut metrics = StreamMetrics::new();
        for micros in [1000, 1024, 1025, 90_000_000] {
            metrics
                .encode
                .record_duration(Duration::from_micros(micros));
        }
        for streams in [1, 4, 4, 5] {
            metrics.occupancy.record(streams);
        }
        let mut text = String::new();
        metrics.prometheus(&mut text).unwrap();
        for line in [
            "percept_stream_encode_seconds_bucket{le=\"0.001024\"} 2",
            "percept_stream_encode_seconds_bucket{le=\"0.002048\"} 3",
            "percept_stream_encode_seconds_bucket{le=\"67.108864\"} 3",
            "percept_stream_encode_seconds_bucket{le=\"+Inf\"} 4",
            "percept_stream_encode_seconds_count 4",
            "percept_stream_step_streams_bucket{le=\"1\"} 1",
            "percept_stream_step_streams_bucket{le=\"4\"} 3",
            "percept_stream_step_streams_bucket{le=\"8\"} 4",
            "percept_stream_step_streams_sum 14",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} in\n{text}");
        }
    }
}
