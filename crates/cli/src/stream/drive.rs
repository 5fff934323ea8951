//! Moves streams on: feeds them, makes their steps, and hands on what they tell.

use std::time::{Duration, Instant};

use percept::{Model, Next, Scheduler, StreamEvent, StreamMetrics, Vocabulary};

use super::clock::Clock;
use super::lane::{Feeding, Lane, LaneParts, LaneUnits};
use super::plot::Finalised;
use super::steps::Step;
use crate::defect;
use crate::error::CliError;

/// How long a driver sleeps before it looks again: at a feed that has nothing yet, and whether it is to stop.
const STARVED: Duration = Duration::from_millis(1);
const WATCHFUL: Duration = Duration::from_millis(50);

/// What streams tell.
pub(crate) enum Told<'a> {
    /// A step changed something.
    Step {
        stream: usize,
        step: &'a Step,
        /// The whole text so far.
        transcript: &'a str,
    },
    /// A stream is gone; its damage, if that is why.
    Gone { damage: Option<CliError> },
}

/// When things became final.
#[derive(Debug, Default)]
pub(crate) struct Times {
    /// Every token.
    pub(crate) tokens: Vec<Finalised>,
    /// The last frame of every step.
    pub(crate) steps: Vec<Finalised>,
}

/// Streams, and what moves them on.
pub(crate) struct Driver<'a> {
    pub(crate) scheduler: Scheduler,
    clock: Clock,
    units: LaneUnits,
    vocabulary: &'a Vocabulary,
    lanes: Vec<Lane>,
    events: Vec<StreamEvent>,
    /// When things became final, where that is wanted.
    pub(crate) times: Option<Times>,
}

impl<'a> Driver<'a> {
    pub(crate) fn new(scheduler: Scheduler, clock: Clock, model: &'a Model) -> Self {
        Self {
            scheduler,
            clock,
            units: LaneUnits {
                sample_rate: model.sample_rate(),
                frame_samples: model.config().samples_per_frame() as u64,
            },
            vocabulary: model.vocabulary(),
            lanes: Vec::new(),
            events: Vec::new(),
            times: None,
        }
    }

    /// By which decisions go.
    pub(crate) fn now(&self) -> Duration {
        self.clock.now()
    }

    pub(crate) fn add(&mut self, parts: LaneParts) {
        self.lanes.push(Lane::new(parts, self.units));
    }

    /// Whether times were measured, rather than worked out.
    pub(crate) fn is_measured(&self) -> bool {
        matches!(self.clock, Clock::Wall { .. })
    }

    /// Streams that are not over.
    pub(crate) fn len(&self) -> usize {
        self.lanes.len()
    }

    /// Ends all feeds before their end. What was heard is still written down.
    pub(crate) fn stop(&mut self) {
        self.lanes.iter_mut().for_each(Lane::stop);
    }

    /// What was done so far.
    pub(crate) fn metrics(&self) -> &StreamMetrics {
        self.scheduler.metrics()
    }

    /// Feeds what is due, and makes a step or waits until there is something to do.
    ///
    /// # Errors
    ///
    /// What `tell` refuses.
    pub(crate) fn turn(
        &mut self,
        tell: &mut dyn FnMut(Told<'_>) -> Result<(), CliError>,
    ) -> Result<(), CliError> {
        let now = self.clock.now();
        let mut wake = None::<Duration>;
        let mut is_starved = false;
        for lane in &mut self.lanes {
            match lane.advance(&mut self.scheduler, now)? {
                Feeding::Due(due) => wake = Some(wake.map_or(due, |wake| wake.min(due))),
                Feeding::Starved => is_starved = true,
                Feeding::Full | Feeding::Ended => {}
            }
        }
        self.drop_unheard(tell)?;
        // What silence decides needs no step.
        self.collect(None, now, tell)?;
        match self.scheduler.next(now) {
            Next::Run => return self.step(tell),
            Next::WaitUntil(time) => wake = Some(wake.map_or(time, |wake| wake.min(time))),
            Next::Idle => {}
        }
        match wake {
            Some(time) => {
                let longest = if is_starved { STARVED } else { WATCHFUL };
                self.clock.wait_until(time, longest);
            }
            None => std::thread::sleep(STARVED),
        }
        Ok(())
    }

    /// Gives up the streams that were damaged before anything was heard.
    fn drop_unheard(
        &mut self,
        tell: &mut dyn FnMut(Told<'_>) -> Result<(), CliError>,
    ) -> Result<(), CliError> {
        let is_useless = |lane: &Lane| lane.damage.is_some() && lane.is_unheard();
        while let Some(at) = self.lanes.iter().position(is_useless) {
            let mut lane = self.lanes.remove(at);
            self.scheduler.cancel(lane.parts.id)?;
            let damage = lane.damage.take();
            tell(Told::Gone { damage })?;
        }
        Ok(())
    }

    fn step(
        &mut self,
        tell: &mut dyn FnMut(Told<'_>) -> Result<(), CliError>,
    ) -> Result<(), CliError> {
        let start = Instant::now();
        self.scheduler.run(self.clock.begins());
        let took = start.elapsed();
        let done = self.clock.computed(took);
        self.collect(Some(took), done, tell)
    }

    /// Hands on what all streams have decided by `done`, in a step that took so long or without one, and gives up those
    /// that are over.
    fn collect(
        &mut self,
        took: Option<Duration>,
        done: Duration,
        tell: &mut dyn FnMut(Told<'_>) -> Result<(), CliError>,
    ) -> Result<(), CliError> {
        for at in 0..self.lanes.len() {
            self.collect_from(at, took, done, tell)?;
        }
        for at in (0..self.lanes.len()).rev() {
            if !self.scheduler.is_over(self.lanes[at].parts.id) {
                continue;
            }
            let mut lane = self.lanes.remove(at);
            self.scheduler.release(lane.parts.id)?;
            let damage = lane.damage.take();
            tell(Told::Gone { damage })?;
        }
        Ok(())
    }

    /// Hands on what a stream has decided, and lets it follow the machine.
    fn collect_from(
        &mut self,
        at: usize,
        took: Option<Duration>,
        done: Duration,
        tell: &mut dyn FnMut(Told<'_>) -> Result<(), CliError>,
    ) -> Result<(), CliError> {
        let lane = &mut self.lanes[at];
        let id = lane.parts.id;
        self.events.clear();
        self.events.extend_from_slice(self.scheduler.events(id));
        if self.events.is_empty() {
            return Ok(());
        }
        self.scheduler.clear_events(id);
        let received = self.scheduler.state(id).map_or(0, |state| state.received());
        for &event in &self.events {
            if let Some(times) = &mut self.times {
                times.note(&event, |frame| lane.finalised(frame, received, done));
            }
            if event == StreamEvent::Failed {
                lane.damage = Some(defect::latest(&lane.parts.name));
            }
            if let Some(step) = lane.reader.take(self.vocabulary, event) {
                tell(Told::Step {
                    stream: lane.parts.index,
                    step: &step,
                    transcript: lane.reader.transcript(),
                })?;
            }
        }
        let backlog = lane.backlog(received, done);
        if let (Some(took), Some(adaptive)) = (took, &mut lane.parts.adaptive)
            && let Some(chunk) = adaptive.observe(took, backlog)
        {
            self.scheduler.set_chunk_frames(id, chunk)?;
        }
        Ok(())
    }
}

impl Times {
    /// Takes note of an event, given what is known of what ends at a frame.
    fn note(&mut self, event: &StreamEvent, finalised: impl Fn(u64) -> Finalised) {
        match event {
            StreamEvent::Commit(token) => {
                // A token lasts a frame at least.
                let end = token.frame + u64::from(token.duration.max(1));
                self.tokens.push(finalised(end));
            }
            StreamEvent::Decided { frame } => self.steps.push(finalised(*frame)),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use percept::audio::GateConfig;
    use percept::{Recognizer, RecognizerOptions, SchedulerOptions, StreamOptions};

    use super::super::feed::Feed;
    use super::super::microphone::RingConfig;
    use super::*;

    /// A second of a hum.
    fn hum() -> Vec<f32> {
        (0..16_000).map(|i| 0.1 * (i as f32 * 0.05).sin()).collect()
    }

    /// What is told of a hum in which 2000 samples are lost.
    fn steps(is_gated: bool) -> (Vec<Step>, StreamMetrics) {
        let recognizer = Recognizer::embedded(&RecognizerOptions::default()).unwrap();
        let scheduler = recognizer.scheduler(SchedulerOptions::default());
        let mut driver = Driver::new(scheduler, Clock::audio(), recognizer.model());
        let config = RingConfig {
            capacity: 16_000,
            ..RingConfig::new(16_000, 16_000)
        };
        let (mut sink, feed) = config.open().unwrap();
        sink.push(&hum());
        sink.push(&[0.1; 2_000]);
        let mut options = StreamOptions::default();
        options.gate = is_gated.then(GateConfig::default);
        let id = driver.scheduler.admit(&options).unwrap();
        driver.add(LaneParts {
            index: 3,
            name: "hum".to_owned(),
            id,
            feed: Feed::microphone(feed),
            adaptive: None,
            start: driver.now(),
        });
        let mut steps = Vec::new();
        for turn in 0.. {
            match turn {
                20 => sink.push(&hum()),
                40 => driver.stop(),
                _ if driver.len() == 0 => break,
                _ => {}
            }
            let tell = &mut |told: Told<'_>| {
                if let Told::Step { stream, step, .. } = told {
                    assert_eq!(stream, 3);
                    steps.push(step.clone());
                }
                Ok(())
            };
            driver.turn(tell).unwrap();
        }
        (steps, driver.metrics().clone())
    }

    #[test]
    fn lost_samples_are_a_gap_in_their_place() {
        for is_gated in [false, true] {
            let (steps, metrics) = steps(is_gated);
            let gaps: Vec<_> = steps
                .iter()
                .flat_map(|step| &step.gaps)
                .map(|gap| (gap.start, gap.end))
                .collect();
            assert_eq!(gaps, vec![(16_000, 18_000)], "gated: {is_gated}");
            assert!(steps.last().unwrap().is_over);
            let counted = (metrics.gaps, metrics.dropped_samples);
            assert_eq!(counted, (1, 2_000), "gated: {is_gated}");
        }
    }
}
