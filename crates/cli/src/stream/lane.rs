//! One stream on its way from its feed to the scheduler.

use std::time::Duration;

use percept::{AdaptiveContext, Scheduler, SchedulerError, StreamId};

use super::clock::duration;
use super::feed::{Fed, Feed};
use super::plot::Finalised;
use super::steps::StepReader;
use crate::error::CliError;

/// Audio is fed in packets of 20 ms, as a sound card or a network would.
const PACKETS_PER_SECOND: u32 = 50;

/// How lanes count.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LaneUnits {
    pub(crate) sample_rate: u32,
    pub(crate) frame_samples: u64,
}

impl LaneUnits {
    fn packet_samples(&self) -> usize {
        (self.sample_rate / PACKETS_PER_SECOND).max(1) as usize
    }

    fn duration(&self, samples: u64) -> Duration {
        duration(samples, self.sample_rate)
    }
}

/// How the feed of a lane stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Feeding {
    /// The next packet is fed when it has been spoken.
    Due(Duration),
    /// There is nothing to feed yet.
    Starved,
    /// The stream takes no more until a step was made.
    Full,
    /// All was fed.
    Ended,
}

/// What a lane is made of.
pub(crate) struct LaneParts {
    /// Its place among the streams.
    pub(crate) index: usize,
    /// What errors call it.
    pub(crate) name: String,
    pub(crate) id: StreamId,
    pub(crate) feed: Feed,
    /// What holds a latency.
    pub(crate) adaptive: Option<AdaptiveContext>,
    /// When its first sample is due.
    pub(crate) start: Duration,
}

/// A stream that is not over.
pub(crate) struct Lane {
    pub(crate) parts: LaneParts,
    units: LaneUnits,
    pub(crate) reader: StepReader,
    /// Samples that were read, how many of them were spoken, and how many of those the stream took.
    block: Vec<f32>,
    spoken: usize,
    taken: usize,
    /// Samples spoken, those that were lost included.
    fed: u64,
    has_ended: bool,
    /// Why the feed ended before its end.
    pub(crate) damage: Option<CliError>,
}

impl Lane {
    pub(crate) fn new(parts: LaneParts, units: LaneUnits) -> Self {
        Self {
            parts,
            units,
            reader: StepReader::default(),
            block: Vec::new(),
            spoken: 0,
            taken: 0,
            fed: 0,
            has_ended: false,
            damage: None,
        }
    }

    /// Whether nothing was heard at all.
    pub(crate) fn is_unheard(&self) -> bool {
        self.fed == 0
    }

    /// Feeds the packets that are due.
    ///
    /// # Errors
    ///
    /// None that the feed is to blame for: its damage ends the stream.
    pub(crate) fn advance(
        &mut self,
        scheduler: &mut Scheduler,
        now: Duration,
    ) -> Result<Feeding, SchedulerError> {
        loop {
            while self.taken < self.spoken {
                let pcm = &self.block[self.taken..self.spoken];
                match scheduler.push(self.parts.id, pcm, now)? {
                    0 => return Ok(Feeding::Full),
                    taken => self.taken += taken,
                }
            }
            if self.has_ended {
                scheduler.finish(self.parts.id, now)?;
                return Ok(Feeding::Ended);
            }
            let next = self.fed + self.units.packet_samples() as u64;
            let due = self.parts.start + self.units.duration(next);
            if due > now && self.parts.feed.is_paced() {
                return Ok(Feeding::Due(due));
            }
            if self.spoken == self.block.len() && !self.read(scheduler, now)? {
                return Ok(Feeding::Starved);
            }
            self.speak_packet();
        }
    }

    /// Ends the feed before its end, behind what was read already.
    pub(crate) fn stop(&mut self) {
        self.parts.feed.stop();
    }

    /// Reads the next block, or learns that there is none; false if that is not known yet.
    fn read(&mut self, scheduler: &mut Scheduler, now: Duration) -> Result<bool, SchedulerError> {
        self.block.clear();
        (self.spoken, self.taken) = (0, 0);
        match self.parts.feed.read(&mut self.block) {
            Ok(Fed::Samples { has_waited }) => {
                let last = self.fed + (self.block.len() + self.units.packet_samples()) as u64;
                let late = now.saturating_sub(self.units.duration(last));
                if has_waited {
                    // What comes a packet or more too late was spoken later than it seemed.
                    self.parts.start = self.parts.start.max(late);
                }
            }
            Ok(Fed::Lost(samples)) => {
                scheduler.skip(self.parts.id, samples, now)?;
                self.fed += samples;
            }
            Ok(Fed::Nothing) => return Ok(false),
            Ok(Fed::End) => self.has_ended = true,
            Err(error) => {
                self.damage = Some(error);
                self.has_ended = true;
            }
        }
        Ok(true)
    }

    /// The next packet of what was read has been spoken.
    fn speak_packet(&mut self) {
        let end = self.spoken + self.units.packet_samples();
        let end = end.min(self.block.len());
        self.fed += (end - self.spoken) as u64;
        self.spoken = end;
    }

    /// What became final at `done`, given the first frame after it and the samples received.
    pub(crate) fn finalised(&self, end_frame: u64, received: u64, done: Duration) -> Finalised {
        let end = (end_frame * self.units.frame_samples).min(received);
        let packet = self.units.packet_samples() as u64;
        let heard = self.parts.start + self.units.duration(end.next_multiple_of(packet));
        Finalised {
            time: end as f64 / f64::from(self.units.sample_rate),
            lag: done.saturating_sub(heard).as_secs_f64(),
        }
    }

    /// Samples that had been spoken at `time` and had not come to the model.
    pub(crate) fn backlog(&self, received: u64, time: Duration) -> u64 {
        if self.has_ended {
            return 0;
        }
        let spoken = time.saturating_sub(self.parts.start).as_secs_f64();
        let spoken = (spoken * f64::from(self.units.sample_rate)) as u64;
        spoken.saturating_sub(received)
    }
}
