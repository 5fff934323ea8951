//! What `percept bench` says, for people within 80 columns, for programs as one object.

use std::fmt::Write;

use serde::Serialize;

use super::kernels::Operation;
use super::measure::Length;
use super::memory::Memory;
use super::streams::Run;
use crate::models;

/// What is measured, and on what.
#[derive(Debug, Serialize)]
pub(super) struct Host {
    pub(super) model: String,
    pub(super) parameters: usize,
    pub(super) precision: &'static str,
    pub(super) threads: usize,
    pub(super) audio: String,
    pub(super) load_seconds: f64,
}

/// All that was measured.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    #[serde(flatten)]
    pub(super) host: Host,
    pub(super) rounds: usize,
    pub(super) memory: Memory,
    pub(super) lengths: Vec<Length>,
    pub(super) kernels: Vec<Operation>,
}

/// All that was measured with streams.
#[derive(Debug, Serialize)]
pub(super) struct StreamsReport {
    #[serde(flatten)]
    pub(super) host: Host,
    pub(super) context: String,
    /// Of each stream.
    pub(super) seconds: f64,
    pub(super) memory: Memory,
    pub(super) runs: Vec<Run>,
    /// The largest number of streams that the machine keeps up with, where it was looked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) largest: Option<usize>,
}

/// As one object with a line's end.
pub(super) fn json(report: &impl Serialize) -> String {
    serde_json::to_string_pretty(report).expect("a report holds strings and numbers only") + "\n"
}

impl Host {
    /// The lines above the figures; `work` says how often or how long.
    pub(super) fn table(&self, work: &str) -> String {
        let threads = match self.threads {
            1 => "1 thread".to_owned(),
            threads => format!("{threads} threads"),
        };
        let millions = self.parameters as f64 / 1e6;
        format!(
            "model       {}, {millions:.1} M parameters\n\
             runs in     {} on {threads}, loaded in {}\n\
             audio       {}, {work}\n\n",
            self.model,
            self.precision,
            time(self.load_seconds),
            self.audio,
        )
    }
}

impl StreamsReport {
    /// What is said below the figures.
    pub(super) fn table(&self) -> String {
        let size = |bytes: Option<u64>| bytes.map_or_else(|| "n/a".to_owned(), models::bytes);
        let largest = match self.largest {
            Some(largest) => format!("\nlargest     {largest} streams at a time\n"),
            None => String::new(),
        };
        format!(
            "{largest}\nmemory      {} at the end, {} at its highest\n",
            size(self.memory.resident_bytes),
            size(self.memory.peak_bytes),
        )
    }
}

impl Report {
    /// The figures and what they cost.
    pub(super) fn table(&self) -> String {
        let size = |bytes: Option<u64>| bytes.map_or_else(|| "n/a".to_owned(), models::bytes);
        format!(
            "{}\n{}\nmemory      {} at the end, {} at its highest\n",
            self.figures(),
            self.stages(),
            size(self.memory.resident_bytes),
            size(self.memory.peak_bytes),
        )
    }

    fn figures(&self) -> String {
        let mut table = format!(
            "{:>10}{:>12}{:>10}{:>20}{:>12}\n",
            "audio", "time", "spread", "real-time factor", "speed"
        );
        for length in &self.lengths {
            writeln!(
                table,
                "{:>10}{:>12}{:>10}{:>20}{:>12}",
                audio(length.seconds),
                time(length.median_seconds),
                format!("± {:.1} %", 100.0 * length.spread),
                digits(length.real_time_factor),
                format!("{} x", digits(1.0 / length.real_time_factor)),
            )
            .expect("a String takes everything");
        }
        table
    }

    fn stages(&self) -> String {
        let Some(first) = self.lengths.first() else {
            return String::new();
        };
        let widths: Vec<usize> = first
            .stages
            .iter()
            .map(|s| s.stage.len().max(5) + 2)
            .collect();
        let mut table = format!("{:>10}", "share of");
        for (stage, width) in first.stages.iter().zip(&widths) {
            write!(table, "{:>width$}", stage.stage).expect("a String takes everything");
        }
        for length in &self.lengths {
            write!(table, "\n{:>10}", audio(length.seconds)).expect("a String takes everything");
            for (stage, width) in length.stages.iter().zip(&widths) {
                let share = format!("{:.0} %", 100.0 * stage.share);
                write!(table, "{share:>width$}").expect("a String takes everything");
            }
        }
        table + "\n"
    }
}

/// A length of audio, without digits that say nothing.
pub(super) fn audio(seconds: f64) -> String {
    let text = format!("{seconds:.2}");
    format!("{} s", text.trim_end_matches('0').trim_end_matches('.'))
}

/// A time in the unit that suits it.
pub(super) fn time(seconds: f64) -> String {
    if seconds < 0.9995 {
        format!("{} ms", digits(seconds * 1e3))
    } else {
        format!("{} s", digits(seconds))
    }
}

/// Three digits that count.
fn digits(value: f64) -> String {
    let whole = if value > 0.0 {
        value.log10().floor() as i32 + 1
    } else {
        1
    };
    let decimals = (3 - whole).clamp(0, 6) as usize;
    format!("{value:.decimals$}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::measure::Stage;

    #[test]
    fn figures_have_three_digits_and_a_unit() {
        for (seconds, shown) in [
            (0.000_123_4, "0.123 ms"),
            (0.012_34, "12.3 ms"),
            (0.9994, "999 ms"),
            (1.0, "1.00 s"),
            (123.4, "123 s"),
        ] {
            assert_eq!(time(seconds), shown);
        }
        for (seconds, shown) in [
            (1.0, "1 s"),
            (0.1, "0.1 s"),
            (2.936, "2.94 s"),
            (3600.0, "3600 s"),
        ] {
            assert_eq!(audio(seconds), shown);
        }
    }

    #[test]
    fn tables_fit_into_80_columns() {
        let stages = [
            "mel",
            "subsampling",
            "feed-forward",
            "attention",
            "convolution",
            "decoder",
        ];
        let length = |seconds| Length {
            seconds,
            median_seconds: 12.345,
            spread: 0.123,
            real_time_factor: 1.2345,
            times: vec![12.345],
            stages: stages.map(|stage| Stage { stage, share: 1.0 }).into(),
        };
        let report = Report {
            host: Host {
                model: "tiny-en".to_owned(),
                parameters: 4_350_000,
                precision: "int8",
                threads: 64,
                audio: "built-in".to_owned(),
                load_seconds: 0.1234,
            },
            rounds: 7,
            memory: Memory {
                resident_bytes: Some(123_456_789),
                peak_bytes: None,
            },
            lengths: vec![length(1.0), length(3599.99)],
            kernels: Vec::new(),
        };
        let shown = report.host.table("7 rounds") + &report.table();
        for line in shown.lines() {
            assert!(line.chars().count() <= 80, "{line}");
            assert_eq!(line, line.trim_end());
        }
        assert!(shown.contains("n/a at its highest"), "{shown}");
    }
}
