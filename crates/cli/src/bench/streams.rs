//! `percept bench --streams`: how many live streams the machine keeps up with.
//!
//! Streams are fed as if they came live, by a clock on which waiting takes no time and computing takes what it takes. So a
//! minute of audio takes the machine as long as it computes, and not a minute.

use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use percept::{Recognizer, SchedulerOptions};
use serde::Serialize;

use super::args::Streams;
use crate::error::CliError;
use crate::stream::clock::Clock;
use crate::stream::context::Context;
use crate::stream::drive::{Driver, Times};
use crate::stream::feed::Feed;
use crate::stream::lane::LaneParts;
use crate::stream::plot::Finalised;

/// Where the search for the largest number of streams gives up.
const MOST_STREAMS: usize = 4096;

/// What is recognised by how many.
pub(super) struct Load<'a> {
    pub(super) recognizer: &'a Recognizer,
    pub(super) context: &'a Context,
    /// Repeated by each stream, from a place of its own.
    pub(super) pcm: Arc<[f32]>,
    /// Seconds of each stream.
    pub(super) seconds: f64,
}

/// What was measured with so many streams.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Run {
    pub(super) streams: usize,
    /// Whether every stream was done with each step before its next one was due, in the second half of the time.
    pub(super) keeps_up: bool,
    /// Seconds of computing to a second of audio.
    real_time_factor: f64,
    /// The share of the time in which it computed.
    busy: f64,
    /// Seconds from the end of a token until it was final.
    lag_p50: f64,
    lag_p99: f64,
    lag_max: f64,
    /// Streams in a step, on average.
    occupancy: f64,
    steps: u64,
    tokens: usize,
}

impl Load<'_> {
    /// Measures each of these numbers of streams, and looks for the largest one that the machine keeps up with where that
    /// is asked for. `after` hears of each.
    ///
    /// # Errors
    ///
    /// A context that the model does not have, and what `after` says.
    pub(super) fn measure(
        &self,
        asked: &[Streams],
        after: &mut dyn FnMut(&Run) -> Result<(), CliError>,
    ) -> Result<(Vec<Run>, Option<usize>), CliError> {
        let seconds = 4.0 * self.context.chunk(self.recognizer.model());
        self.run(1, seconds)?; // to warm up
        let mut runs = Vec::new();
        let mut largest = None;
        for asked in asked {
            match *asked {
                Streams::Count(streams) => {
                    runs.push(self.run(streams, self.seconds)?);
                    after(&runs[runs.len() - 1])?;
                }
                Streams::Auto => {
                    largest = Some(search(|streams| {
                        runs.push(self.run(streams, self.seconds)?);
                        let run = &runs[runs.len() - 1];
                        after(run)?;
                        Ok::<_, CliError>(run.keeps_up)
                    })?);
                }
            }
        }
        Ok((runs, largest))
    }

    fn run(&self, streams: usize, seconds: f64) -> Result<Run, CliError> {
        let model = self.recognizer.model();
        let mut options = SchedulerOptions::default();
        options.slots = streams;
        let scheduler = self.recognizer.scheduler(options);
        let mut driver = Driver::new(scheduler, Clock::simulated(), model);
        driver.times = Some(Times::default());
        let samples = (seconds * f64::from(model.sample_rate())) as u64;
        for index in 0..streams {
            // Streams begin at any time, so that their steps are due at any time.
            let share = index as f64 / streams as f64;
            self.begin(&mut driver, index, share, samples)?;
        }
        while driver.len() > 0 {
            driver.turn(&mut |_| Ok(()))?;
        }
        let Times { tokens, steps } = driver.times.take().unwrap_or_default();
        let metrics = driver.metrics();
        // By then the next step is due.
        let late = self.context.latency(model).unwrap_or_default();
        let compute = metrics.compute.as_secs_f64();
        Ok(Run {
            streams,
            keeps_up: keeps_up(&steps, seconds / 2.0, late),
            real_time_factor: compute / (streams as f64 * seconds),
            busy: compute / driver.now().as_secs_f64(),
            lag_p50: quantile(&tokens, 0.5),
            lag_p99: quantile(&tokens, 0.99),
            lag_max: quantile(&tokens, 1.0),
            occupancy: metrics.occupancy.sum() as f64 / metrics.steps.max(1) as f64,
            steps: metrics.steps,
            tokens: tokens.len(),
        })
    }

    /// Begins a stream at this share of a chunk and of the recording.
    fn begin(
        &self,
        driver: &mut Driver<'_>,
        index: usize,
        share: f64,
        samples: u64,
    ) -> Result<(), CliError> {
        let chunk = self.context.chunk(self.recognizer.model());
        let place = (share * self.pcm.len() as f64) as usize;
        let id = driver.scheduler.admit(&self.context.options)?;
        driver.add(LaneParts {
            index,
            name: "bench".to_owned(),
            id,
            feed: Feed::repeated(Arc::clone(&self.pcm), place, samples),
            adaptive: None,
            start: Duration::from_secs_f64(share * chunk),
        });
        Ok(())
    }
}

/// Whether no step after `from` was later than `late`.
fn keeps_up(steps: &[Finalised], from: f64, late: f64) -> bool {
    let mut after = steps.iter().filter(|step| step.time > from);
    after.all(|step| step.lag <= late)
}

/// The largest number that `holds`, found by doubling and halving; 0 if 1 does not.
fn search<E>(mut holds: impl FnMut(usize) -> Result<bool, E>) -> Result<usize, E> {
    let (mut most, mut least) = (0, 1);
    while least <= MOST_STREAMS && holds(least)? {
        most = least;
        least *= 2;
    }
    // `most` holds and `least` does not; a step below 5 % is within the noise.
    while least - most > 1 + most / 20 {
        let middle = most.midpoint(least);
        match holds(middle)? {
            true => most = middle,
            false => least = middle,
        }
    }
    Ok(most)
}

fn quantile(tokens: &[Finalised], share: f64) -> f64 {
    let mut lags: Vec<f64> = tokens.iter().map(|token| token.lag).collect();
    lags.sort_unstable_by(f64::total_cmp);
    let place = (share * lags.len() as f64).ceil() as usize;
    lags.get(place.max(1) - 1).copied().unwrap_or(0.0)
}

/// The line above those of [`line`].
pub(super) fn heading() -> String {
    format!(
        "{:>8}{:>10}{:>8}{:>10}{:>10}{:>10}{:>10}{:>11}\n",
        "streams", "keeps up", "busy", "lag p50", "lag p99", "lag max", "in a step", "speed"
    )
}

/// One run, within 80 columns.
pub(super) fn line(run: &Run) -> String {
    let mut line = String::new();
    let answer = if run.keeps_up { "yes" } else { "no" };
    writeln!(
        line,
        "{:>8}{answer:>10}{:>8}{:>10}{:>10}{:>10}{:>10.1}{:>11}",
        run.streams,
        format!("{:.0} %", 100.0 * run.busy),
        super::report::time(run.lag_p50),
        super::report::time(run.lag_p99),
        super::report::time(run.lag_max),
        run.occupancy,
        format!("{:.1} x", 1.0 / run.real_time_factor),
    )
    .expect("a String takes everything");
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_search_finds_the_largest_number_within_a_twentieth() {
        for limit in [0, 1, 2, 3, 7, 40, 100, 1000] {
            let mut tried = Vec::new();
            let found = search(|streams| {
                tried.push(streams);
                Ok::<_, ()>(streams <= limit)
            });
            let found = found.unwrap();
            assert!(
                found <= limit && limit - found <= limit / 20,
                "{found}, not {limit}"
            );
            assert!(tried.len() < 20, "{tried:?}");
        }
        assert_eq!(search(|_| Err(3)), Err(3));
    }

    #[test]
    fn only_the_second_half_counts() {
        let token = |time, lag| Finalised { time, lag };
        let tokens = [token(1.0, 9.0), token(6.0, 4.0), token(9.0, 5.0)];
        assert!(keeps_up(&tokens, 5.0, 5.0));
        assert!(!keeps_up(&tokens, 5.0, 4.5));
        assert_eq!(
            [0.0, 0.5, 1.0].map(|share| quantile(&tokens, share)),
            [4.0, 5.0, 9.0]
        );
        assert_eq!(quantile(&[], 0.5), 0.0);
    }
}
