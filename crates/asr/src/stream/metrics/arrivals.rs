//! When the samples of a stream arrived.

use std::time::Duration;

/// Marks that are kept at most.
const MARKS: usize = 256;

/// Remembers when samples arrived, for as long as somebody may ask. Times count from any origin.
///
/// Memory is bounded: with more than 256 packets in flight neighbours share the time of the earlier one, so that a delay
/// measured from it is never too short.
#[derive(Clone, Debug, Default)]
pub(crate) struct Arrivals {
    /// Samples so far and when the last of them came, in order.
    marks: Vec<(u64, Duration)>,
}

impl Arrivals {
    /// `received` samples have arrived by `now`.
    pub(crate) fn arrived(&mut self, received: u64, now: Duration) {
        if self.marks.last().is_some_and(|mark| mark.0 >= received) {
            return;
        }
        if self.marks.len() == MARKS {
            for pair in 0..MARKS / 2 {
                let (_, earlier) = self.marks[2 * pair];
                let (samples, _) = self.marks[2 * pair + 1];
                self.marks[pair] = (samples, earlier);
            }
            self.marks.truncate(MARKS / 2);
        }
        self.marks.push((received, now));
    }

    /// When the first `samples` samples had arrived; `None` if they have not.
    pub(crate) fn time_of(&self, samples: u64) -> Option<Duration> {
        let at = self.marks.partition_point(|mark| mark.0 < samples);
        self.marks.get(at).map(|mark| mark.1)
    }

    /// Nobody will ask for less than `samples` samples.
    pub(crate) fn forget(&mut self, samples: u64) {
        let old = self.marks.partition_point(|mark| mark.0 < samples);
        self.marks.drain(..old);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn millis(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[test]
    fn samples_came_with_the_packet_that_held_them() {
        let mut arrivals = Arrivals::default();
        arrivals.arrived(100, millis(1));
        arrivals.arrived(100, millis(5));
        arrivals.arrived(300, millis(9));
        for (samples, want) in [(1, 1), (100, 1), (101, 9), (300, 9)] {
            assert_eq!(arrivals.time_of(samples), Some(millis(want)), "{samples}");
        }
        assert_eq!(arrivals.time_of(301), None);
        arrivals.forget(101);
        assert_eq!(arrivals.time_of(1), Some(millis(9)));
    }

    #[test]
    fn memory_is_bounded_and_delays_are_never_too_short() {
        let mut arrivals = Arrivals::default();
        let packets = 5000;
        for n in 1..=packets {
            arrivals.arrived(320 * n, millis(20 * n));
        }
        assert!(arrivals.marks.len() <= MARKS);
        for n in 1..=packets {
            let time = arrivals.time_of(320 * n).unwrap();
            assert!(time <= millis(20 * n), "packet {n} came at {time:?}");
        }
        let last = arrivals.time_of(320 * packets).unwrap();
        assert_eq!(last, millis(20 * packets));
    }
}
