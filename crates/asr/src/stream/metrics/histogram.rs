//! Counts of values in buckets that grow with the value.

use std::time::Duration;

/// Buckets to a doubling of the value: the upper end of a bucket is at most 1/8 above its lower one.
const PER_OCTAVE: usize = 1 << SUB_BITS;
const SUB_BITS: u32 = 3;
/// Values above `2^MAX_BITS` share the last bucket: in microseconds, 12 days.
const MAX_BITS: u32 = 40;
const BUCKETS: usize = PER_OCTAVE * (MAX_BITS - SUB_BITS + 1) as usize;

/// How often values occurred, in a fixed amount of memory.
///
/// Values are whole numbers; durations count in microseconds, rounded up. Up to 16 every value has a bucket of its own;
/// above, a quantile is never too low and at most 1/8 too high. Values from 2^40 on count as that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Histogram {
    counts: [u64; BUCKETS],
    count: u64,
    sum: u64,
    max: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Histogram {
            counts: [0; BUCKETS],
            count: 0,
            sum: 0,
            max: 0,
        }
    }
}

impl Histogram {
    /// Without values.
    pub fn new() -> Self {
        Self::default()
    }

    /// Counts a value.
    pub fn record(&mut self, value: u64) {
        self.counts[bucket(value)] += 1;
        self.count += 1;
        self.sum = self.sum.saturating_add(value);
        self.max = self.max.max(value);
    }

    /// Counts a duration, in microseconds.
    pub fn record_duration(&mut self, duration: Duration) {
        let micros = duration.as_nanos().div_ceil(1000);
        self.record(u64::try_from(micros).unwrap_or(u64::MAX));
    }

    /// Counts all that `other` has counted.
    pub fn merge(&mut self, other: &Histogram) {
        for (mine, theirs) in self.counts.iter_mut().zip(&other.counts) {
            *mine += theirs;
        }
        self.count += other.count;
        self.sum = self.sum.saturating_add(other.sum);
        self.max = self.max.max(other.max);
    }

    /// Values counted.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The values together.
    pub fn sum(&self) -> u64 {
        self.sum
    }

    /// The highest value; 0 without values.
    pub fn max(&self) -> u64 {
        self.max
    }

    /// The mean; `None` without values.
    pub fn mean(&self) -> Option<f64> {
        (self.count > 0).then(|| self.sum as f64 / self.count as f64)
    }

    /// The value that a share `q` of all values does not exceed, with `q` from 0 to 1; `None` without values.
    pub fn quantile(&self, q: f64) -> Option<u64> {
        let rank = ((q * self.count as f64).ceil() as u64).clamp(1, self.count.max(1));
        let mut seen = 0;
        let found = self.counts.iter().position(|count| {
            seen += count;
            seen >= rank
        })?;
        Some(upper_end(found).min(self.max))
    }

    /// A quantile of durations.
    pub fn quantile_duration(&self, q: f64) -> Option<Duration> {
        self.quantile(q).map(Duration::from_micros)
    }

    /// How many values do not exceed `bound`, which is the upper end of a bucket: any number up to 16, any power of two.
    pub(super) fn count_up_to(&self, bound: u64) -> u64 {
        self.counts[..=bucket(bound)].iter().sum()
    }
}

/// The bucket of a value. Buckets are closed above, so that powers of two end one.
fn bucket(value: u64) -> usize {
    let below = value.saturating_sub(1).min((1 << MAX_BITS) - 1);
    if below < PER_OCTAVE as u64 {
        return below as usize;
    }
    let shift = below.ilog2() - SUB_BITS;
    // The leading bit counts as one octave: what lies below the first has a bucket for each value.
    (shift as usize) * PER_OCTAVE + (below >> shift) as usize
}

/// The highest value of a bucket.
fn upper_end(bucket: usize) -> u64 {
    if bucket < PER_OCTAVE {
        return bucket as u64 + 1;
    }
    let shift = bucket / PER_OCTAVE - 1;
    ((PER_OCTAVE + bucket % PER_OCTAVE + 1) as u64) << shift
}

#[cfg(test)]
mod tests {
    use percept_testkit::Rng;

    use super::*;

    #[test]
    fn every_value_lies_in_a_bucket_that_is_at_most_an_eighth_wide() {
        let mut rng = Rng::new(3);
        let around = (0..MAX_BITS).flat_map(|bit| [(1 << bit) - 1, 1 << bit, (1 << bit) + 1]);
        let random = (0..10_000).map(|_| rng.bits() >> (24 + rng.below(40)));
        for value in around.chain(random).filter(|&value| value > 0) {
            let bucket = bucket(value);
            let (low, high) = (
                bucket.checked_sub(1).map_or(0, upper_end),
                upper_end(bucket),
            );
            assert!(low < value && value <= high, "{low} < {value} <= {high}");
            assert!(high - low <= 1.max(value / 8), "{value}: {low} to {high}");
        }
        assert_eq!(bucket(0), 0);
        assert_eq!(
            (bucket(1 << MAX_BITS), bucket(u64::MAX)),
            (BUCKETS - 1, BUCKETS - 1)
        );
        assert_eq!(upper_end(BUCKETS - 1), 1 << MAX_BITS);
    }

    #[test]
    fn quantiles_are_never_too_low_and_at_most_an_eighth_too_high() {
        let mut rng = Rng::new(4);
        for round in 0..50 {
            let mut histogram = Histogram::new();
            let scale = 1 << (round % 30);
            let mut values: Vec<u64> = (0..1 + rng.below(500))
                .map(|_| rng.below(scale) as u64)
                .collect();
            values.iter().for_each(|&value| histogram.record(value));
            values.sort_unstable();
            for q in [0.0, 0.01, 0.5, 0.95, 0.999, 1.0] {
                let rank = ((q * values.len() as f64).ceil() as usize).max(1);
                let (exact, found) = (values[rank - 1], histogram.quantile(q).unwrap());
                assert!(
                    exact <= found && found <= exact + (exact / 8).max(1),
                    "{q} of {} values: {found} for {exact}",
                    values.len()
                );
            }
            assert_eq!(histogram.max(), values[values.len() - 1]);
            assert_eq!(histogram.sum(), values.iter().sum::<u64>());
        }
    }

    #[test]
    fn nothing_counted_is_no_quantile() {
        let histogram = Histogram::new();
        assert_eq!((histogram.quantile(0.5), histogram.mean()), (None, None));
        assert_eq!((histogram.count(), histogram.max()), (0, 0));
    }

    #[test]
    fn durations_count_in_microseconds_and_never_overflow() {
        let mut histogram = Histogram::new();
        histogram.record_duration(Duration::from_nanos(4_001));
        assert_eq!(
            histogram.quantile_duration(0.5),
            Some(Duration::from_micros(5))
        );
        histogram.record_duration(Duration::MAX);
        histogram.record_duration(Duration::MAX);
        assert_eq!((histogram.sum(), histogram.count()), (u64::MAX, 3));
    }

    #[test]
    fn merged_histograms_count_what_both_have_counted() {
        let mut rng = Rng::new(5);
        let (mut left, mut right, mut both) =
            (Histogram::new(), Histogram::new(), Histogram::new());
        for n in 0..1000 {
            let value = rng.bits() >> 40;
            if n % 3 == 0 { &mut left } else { &mut right }.record(value);
            both.record(value);
        }
        left.merge(&right);
        assert_eq!(left, both);
        let counted: Vec<u64> = (0..30).map(|bit| both.count_up_to(1 << bit)).collect();
        assert!(counted.is_sorted() && counted[29] == 1000, "{counted:?}");
    }
}
