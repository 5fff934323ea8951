//! When samples came into a ring, and how long nobody looked.

use std::time::Duration;

use super::MAX_RING_SECONDS;
use crate::stream::metrics::{Arrivals, Histogram};

/// The suggested ring outlasts the longest stalls, but for one in a thousand, this many times.
const STALL_MARGIN: u32 = 2;
const STALL_QUANTILE: f64 = 0.999;

/// The clock of one engine; times count from its beginning.
#[derive(Debug)]
pub(super) struct Timing {
    arrivals: Arrivals,
    ring_rate: f64,
    stalls: Histogram,
    /// When the ring was looked into last, and the time before that.
    now: Duration,
    before: Option<Duration>,
    first: Option<Duration>,
}

impl Timing {
    pub(super) fn new(ring_rate: u32) -> Self {
        Timing {
            arrivals: Arrivals::default(),
            ring_rate: f64::from(ring_rate),
            stalls: Histogram::new(),
            now: Duration::ZERO,
            before: None,
            first: None,
        }
    }

    /// The ring is looked into.
    pub(super) fn look(&mut self, now: Duration) {
        if self.first.is_some() {
            self.stalls.record_duration(now.saturating_sub(self.now));
            self.before = Some(self.now);
        }
        self.now = now;
    }

    /// `received` samples of the stream have been taken, with `waiting` ones behind them in the ring: live audio came
    /// in evenly, but not before the ring was looked into the last time.
    pub(super) fn received(&mut self, received: u64, waiting: usize) {
        let since = Duration::from_secs_f64(waiting as f64 / self.ring_rate);
        let at = self.now.saturating_sub(since);
        let at = at.max(self.before.unwrap_or(self.now));
        self.first.get_or_insert(at);
        self.arrivals.arrived(received, at);
    }

    /// How long ago the first `samples` samples were complete at `now`.
    pub(super) fn age(&self, samples: u64, now: Duration) -> Option<Duration> {
        Some(now.saturating_sub(self.arrivals.time_of(samples)?))
    }

    /// How long ago the first sample came.
    pub(super) fn stream_age(&self, now: Duration) -> Option<Duration> {
        Some(now.saturating_sub(self.first?))
    }

    pub(super) fn forget(&mut self, samples: u64) {
        self.arrivals.forget(samples);
    }

    /// Samples that a ring should hold, within what it can; `None` before the ring was looked into twice.
    pub(super) fn suggested_ring_samples(&self) -> Option<usize> {
        let stall = self.stalls.quantile_duration(STALL_QUANTILE)? * STALL_MARGIN;
        let samples = (stall.as_secs_f64() * self.ring_rate).ceil() as usize;
        Some(samples.clamp(1, MAX_RING_SECONDS * self.ring_rate as usize))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn millis(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[test]
    fn the_suggested_ring_outlasts_the_stalls_but_one_in_a_thousand() {
        let mut timing = Timing::new(16_000);
        assert_eq!(timing.suggested_ring_samples(), None);
        let mut now = Duration::ZERO;
        for n in 0..3000 {
            now += match n {
                1500 => millis(9000),
                n if n % 100 == 0 => millis(800),
                _ => millis(20),
            };
            timing.look(now);
            timing.received(n + 1, 0);
        }
        let samples = timing.suggested_ring_samples().unwrap();
        assert!((25_600..28_800).contains(&samples), "{samples}");
    }

    #[test]
    fn samples_behind_in_the_ring_came_later() {
        let mut timing = Timing::new(16_000);
        timing.look(millis(1000));
        timing.received(160, 0);
        timing.look(millis(3000));
        timing.received(320, 16_000);
        timing.received(16_160, 160);
        timing.received(16_320, 0);
        let age = |samples| timing.age(samples, millis(4000));
        assert_eq!(age(160), Some(millis(3000)));
        assert_eq!(age(320), Some(millis(2000)));
        assert_eq!(age(16_160), Some(millis(1010)));
        assert_eq!(age(16_320), Some(millis(1000)));
        assert_eq!(age(16_321), None);
        assert_eq!(timing.stream_age(millis(4000)), Some(millis(3000)));
    }

    #[test]
    fn no_sample_came_before_the_ring_was_found_empty() {
        let mut timing = Timing::new(16_000);
        timing.look(millis(1000));
        timing.received(1, 0);
        timing.look(millis(1500));
        timing.received(2, 160_000);
        assert_eq!(timing.age(2, millis(1500)), Some(millis(500)));
    }
}
