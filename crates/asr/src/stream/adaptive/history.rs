//! What the latest steps took.

/// Steps that are remembered: enough to tell 95 of 100.
pub(super) const STEPS: usize = 128;

#[derive(Clone, Debug)]
pub(super) struct History {
    /// Seconds of computing to a frame of the window; the oldest is overwritten.
    costs: [f64; STEPS],
    /// Seconds late.
    lateness: [f64; STEPS],
    steps: u64,
}

impl History {
    pub(super) fn new() -> Self {
        History {
            costs: [0.0; STEPS],
            lateness: [0.0; STEPS],
            steps: 0,
        }
    }

    pub(super) fn push(&mut self, cost: f64, lateness: f64) {
        let slot = (self.steps % STEPS as u64) as usize;
        self.costs[slot] = cost;
        self.lateness[slot] = lateness;
        self.steps += 1;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.steps == 0
    }

    /// The mean cost of a frame in the latest `steps` steps.
    pub(super) fn mean_cost(&self, steps: usize) -> f64 {
        let count = self.latest(&self.costs, steps).count().max(1);
        self.latest(&self.costs, steps).sum::<f64>() / count as f64
    }

    /// What a frame costs in all but the slowest 5 % of the latest `steps` steps.
    pub(super) fn slow_cost(&self, steps: usize) -> f64 {
        percentile_95(self.latest(&self.costs, steps))
    }

    /// How late all but the latest 5 % of the steps were.
    pub(super) fn lateness(&self) -> f64 {
        percentile_95(self.latest(&self.lateness, STEPS))
    }

    /// Whether any of the latest `steps` steps was later than `limit` seconds.
    pub(super) fn was_later(&self, limit: f64, steps: usize) -> bool {
        self.latest(&self.lateness, steps).any(|late| late > limit)
    }

    /// Whether all of the latest `steps` steps were later than `limit` seconds.
    pub(super) fn stays_later(&self, limit: f64, steps: usize) -> bool {
        self.latest(&self.lateness, steps).all(|late| late > limit)
    }

    fn latest<'a>(
        &self,
        values: &'a [f64; STEPS],
        steps: usize,
    ) -> impl Iterator<Item = f64> + use<'a> {
        let first = self.steps.saturating_sub(steps as u64);
        (first..self.steps).map(|step| values[(step % STEPS as u64) as usize])
    }
}

/// 0 without values.
fn percentile_95(values: impl Iterator<Item = f64>) -> f64 {
    let mut sorted = [0.0; STEPS];
    let slots = sorted.iter_mut().zip(values);
    let count = slots.map(|(slot, value)| *slot = value).count();
    sorted[..count].sort_unstable_by(f64::total_cmp);
    sorted[(count * 95).div_ceil(100).saturating_sub(1)]
}
