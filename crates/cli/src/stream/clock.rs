//! What time it is for streams: by the wall, or by the audio itself.

use std::time::{Duration, Instant};

/// A clock that a driver of streams goes by.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Clock {
    /// The time since it was made; waiting is sleeping.
    Wall { origin: Instant },
    /// The time of the audio, as fast as it can be read. Decisions go by `now` alone, so that they are the same in every
    /// run; when results would have been there had the audio come at its own speed is counted beside it.
    Audio { now: Duration, busy_until: Duration },
    /// As if the audio came at its own speed: waiting takes no time, and computing takes what it takes.
    Simulated { now: Duration },
}

impl Clock {
    pub(crate) fn wall() -> Self {
        Clock::Wall {
            origin: Instant::now(),
        }
    }

    pub(crate) fn audio() -> Self {
        Clock::Audio {
            now: Duration::ZERO,
            busy_until: Duration::ZERO,
        }
    }

    pub(crate) fn simulated() -> Self {
        Clock::Simulated {
            now: Duration::ZERO,
        }
    }

    /// By which decisions go.
    pub(crate) fn now(&self) -> Duration {
        match self {
            Clock::Wall { origin } => origin.elapsed(),
            Clock::Audio { now, .. } | Clock::Simulated { now } => *now,
        }
    }

    /// When a computation that is due now can begin.
    pub(crate) fn begins(&self) -> Duration {
        match self {
            Clock::Audio { now, busy_until } => *now.max(busy_until),
            _ => self.now(),
        }
    }

    /// Takes note of a computation that has just ended and took so long; when its result is there.
    pub(crate) fn computed(&mut self, took: Duration) -> Duration {
        let end = self.begins() + took;
        match self {
            Clock::Wall { origin } => origin.elapsed(),
            Clock::Audio { busy_until, .. } => {
                *busy_until = end;
                end
            }
            Clock::Simulated { now } => {
                *now = end;
                end
            }
        }
    }

    /// Waits until then, but no longer than `longest` by the wall, so that somebody can look after other things.
    pub(crate) fn wait_until(&mut self, time: Duration, longest: Duration) {
        match self {
            Clock::Wall { origin } => {
                std::thread::sleep(time.saturating_sub(origin.elapsed()).min(longest));
            }
            Clock::Audio { now, .. } | Clock::Simulated { now } => *now = time.max(*now),
        }
    }
}

/// How long so many samples last.
pub(crate) fn duration(samples: u64, sample_rate: u32) -> Duration {
    Duration::from_secs_f64(samples as f64 / f64::from(sample_rate))
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn millis(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[test]
    fn decisions_by_the_audio_do_not_depend_on_the_machine() {
        let mut clock = Clock::audio();
        clock.wait_until(millis(100), Duration::ZERO);
        assert_eq!(clock.computed(millis(30)), millis(130));
        assert_eq!((clock.now(), clock.begins()), (millis(100), millis(130)));
        clock.wait_until(millis(120), Duration::ZERO);
        assert_eq!(
            clock.computed(millis(5)),
            millis(135),
            "after what came before"
        );
        clock.wait_until(millis(200), Duration::ZERO);
        assert_eq!((clock.now(), clock.begins()), (millis(200), millis(200)));
    }

    #[test]
    fn a_simulated_clock_goes_on_while_it_computes() {
        let mut clock = Clock::simulated();
        clock.wait_until(millis(100), Duration::ZERO);
        assert_eq!(clock.computed(millis(30)), millis(130));
        clock.wait_until(millis(120), Duration::ZERO);
        assert_eq!(clock.now(), millis(130), "time does not go back");
    }
}
