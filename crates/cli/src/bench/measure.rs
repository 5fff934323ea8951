//! Times of whole recognitions, and of their stages.

use std::time::{Duration, Instant};

use percept::{Error, Recognizer, StageTime};
use serde::Serialize;

/// Recognitions whose stages are timed, at most: they only have to tell large from small.
const PROFILES: usize = 3;

/// What was measured at one length.
#[derive(Debug, Serialize)]
pub(super) struct Length {
    /// Of audio.
    pub(super) seconds: f64,
    pub(super) median_seconds: f64,
    /// Half the distance between the quartiles, as a share of the median.
    pub(super) spread: f64,
    pub(super) real_time_factor: f64,
    /// Seconds of each round.
    pub(super) times: Vec<f64>,
    pub(super) stages: Vec<Stage>,
}

/// A stage's part in the time.
#[derive(Debug, Serialize)]
pub(super) struct Stage {
    pub(super) stage: &'static str,
    pub(super) share: f64,
}

/// Recognises every piece `rounds` times, in turn, so that what slows the machine down for a while slows all of them.
///
/// # Errors
///
/// Samples that the model refuses.
pub(super) fn all(
    recognizer: &Recognizer,
    pieces: &[&[f32]],
    rounds: usize,
) -> Result<Vec<Length>, Error> {
    for piece in pieces {
        recognizer.transcribe(piece)?;
    }
    let mut times = vec![Vec::with_capacity(rounds); pieces.len()];
    for _ in 0..rounds {
        for (piece, times) in pieces.iter().zip(&mut times) {
            let start = Instant::now();
            recognizer.transcribe(piece)?;
            times.push(start.elapsed().as_secs_f64());
        }
    }
    let lengths = pieces.iter().zip(times).map(|(piece, times)| {
        let profiles: Result<Vec<_>, Error> = (0..rounds.min(PROFILES))
            .map(|_| recognizer.profile(piece))
            .collect();
        let stages = profiles?.into_iter().flat_map(|profile| profile.stages);
        let seconds = piece.len() as f64 / f64::from(recognizer.sample_rate());
        Ok(Length::new(seconds, times, shares(stages)))
    });
    lengths.collect()
}

impl Length {
    fn new(seconds: f64, times: Vec<f64>, stages: Vec<Stage>) -> Self {
        let median = quantile(&times, 0.5);
        Self {
            seconds,
            median_seconds: median,
            spread: (quantile(&times, 0.75) - quantile(&times, 0.25)) / 2.0 / median,
            real_time_factor: median / seconds,
            times,
            stages,
        }
    }
}

/// Between the two values that lie next to it.
fn quantile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let place = share * (sorted.len() - 1) as f64;
    let (below, above) = (sorted[place as usize], sorted[place.ceil() as usize]);
    below + (above - below) * place.fract()
}

/// Adds up the times of each stage, in the order in which they first appear.
fn shares(times: impl Iterator<Item = StageTime>) -> Vec<Stage> {
    let mut sums: Vec<(&'static str, Duration)> = Vec::new();
    for StageTime { name, time } in times {
        match sums.iter_mut().find(|(found, _)| *found == name) {
            Some((_, sum)) => *sum += time,
            None => sums.push((name, time)),
        }
    }
    let total: Duration = sums.iter().map(|(_, time)| time).sum();
    let share = |time: Duration| time.as_secs_f64() / total.as_secs_f64().max(f64::MIN_POSITIVE);
    sums.into_iter()
        .map(|(stage, time)| Stage {
            stage,
            share: share(time),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_and_its_spread_ignore_one_disturbed_round() {
        let length = Length::new(10.0, vec![1.0, 1.2, 0.8, 1.1, 9.0, 0.9, 1.0], Vec::new());
        assert_eq!(length.median_seconds, 1.0);
        assert_eq!(length.real_time_factor, 0.1);
        assert!((length.spread - 0.1).abs() < 1e-9, "{}", length.spread);
        let once = Length::new(10.0, vec![2.0], Vec::new());
        assert_eq!((once.median_seconds, once.spread), (2.0, 0.0));
    }

    #[test]
    fn shares_of_stages_add_up_to_one() {
        let stage = |name, milliseconds| StageTime {
            name,
            time: Duration::from_millis(milliseconds),
        };
        let found = shares([stage("mel", 10), stage("decoder", 50), stage("mel", 40)].into_iter());
        let found: Vec<_> = found
            .iter()
            .map(|stage| (stage.stage, stage.share))
            .collect();
        assert_eq!(found, [("mel", 0.5), ("decoder", 0.5)]);
        assert!(shares(std::iter::empty()).is_empty());
    }
}
