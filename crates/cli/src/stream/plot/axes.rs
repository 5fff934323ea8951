//! Where in the picture times and lags lie.

/// Where the axes lie.
pub(super) const LEFT: f64 = 66.0;
pub(super) const RIGHT: f64 = 700.0;
pub(super) const TOP: f64 = 96.0;
pub(super) const BOTTOM: f64 = 376.0;

/// Values from 0 to `end`, with a mark every `step`.
pub(crate) struct Axis {
    pub(crate) end: f64,
    pub(crate) step: f64,
}

impl Axis {
    /// An axis for values up to `most`, with about `marks` round marks.
    pub(crate) fn up_to(most: f64, marks: usize) -> Self {
        let rough = most / marks as f64;
        let power = 10_f64.powf(rough.log10().floor());
        let factors = [1.0, 2.0, 2.5, 5.0, 10.0];
        let fitting = factors
            .iter()
            .find(|&factor| factor * power >= rough * 0.999);
        let step = fitting.unwrap_or(&10.0) * power;
        Self {
            end: (most / step - 1e-6).ceil().max(1.0) * step,
            step,
        }
    }

    pub(crate) fn marks(&self) -> impl Iterator<Item = f64> {
        let marks = (self.end / self.step + 1e-6) as usize;
        (0..=marks).map(|mark| mark as f64 * self.step)
    }

    /// A mark without digits that say nothing.
    pub(crate) fn label(&self, value: f64) -> String {
        let decimals = (-(self.step.log10() - 1e-9).floor()).clamp(0.0, 6.0) as usize;
        let text = format!("{value:.*}", decimals + 1);
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    }
}

/// What the time of a stream is told in.
pub(crate) struct TimeUnit {
    pub(crate) seconds: f64,
    pub(crate) name: &'static str,
}

impl TimeUnit {
    pub(crate) fn for_up_to(latest: f64) -> Self {
        let (seconds, name) = match latest {
            ..=300.0 => (1.0, "seconds"),
            ..=7200.0 => (60.0, "minutes"),
            _ => (3600.0, "hours"),
        };
        Self { seconds, name }
    }
}

pub(super) struct Axes {
    pub(super) time: Axis,
    pub(super) unit: TimeUnit,
    pub(super) lag: Axis,
}

impl Axes {
    /// For tokens up to this time and this lag, in seconds.
    pub(super) fn up_to(latest: f64, highest: f64) -> Self {
        let latest = latest.max(1.0);
        let unit = TimeUnit::for_up_to(latest);
        let latest = latest / unit.seconds;
        Self {
            time: Axis {
                end: latest,
                ..Axis::up_to(latest, 8)
            },
            unit,
            lag: Axis::up_to(highest.max(0.01), 6),
        }
    }

    pub(super) fn x(&self, time: f64) -> f64 {
        LEFT + (RIGHT - LEFT) * self.share(time)
    }

    /// How far along its axis a time of the stream in seconds lies.
    pub(super) fn share(&self, time: f64) -> f64 {
        (time / self.unit.seconds / self.time.end).clamp(0.0, 1.0)
    }

    pub(super) fn y(&self, lag: f64) -> f64 {
        BOTTOM - (BOTTOM - TOP) * (lag / self.lag.end).clamp(0.0, 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_round_and_reach_beyond_the_last_value() {
        for (most, marks, last, shown) in [
            (1.0, 8, 1.0, "1"),
            (3.93, 6, 4.0, "4"),
            (59.7, 8, 60.0, "60"),
            (0.037, 6, 0.04, "0.04"),
            (86_400.0, 8, 100_000.0, "100000"),
        ] {
            let axis = Axis::up_to(most, marks);
            assert!(
                (axis.end - last).abs() < 1e-9 * last,
                "{most}: {}",
                axis.end
            );
            let labels: Vec<String> = axis.marks().map(|mark| axis.label(mark)).collect();
            assert_eq!(labels.last().map(String::as_str), Some(shown), "{labels:?}");
            assert!((3..=12).contains(&labels.len()), "{labels:?}");
            let mut distinct = labels.clone();
            distinct.dedup();
            assert_eq!(distinct, labels);
        }
    }
}
