//! One stream on its way from its feed to the scheduler.

use std::time::Duration;

use percept::{AdaptiveContext, Scheduler, SchedulerError, StreamId};

use super::clock::duration;
use super::feed::{Fed, Feed};
use super::outbox::{Gate, Outbox};
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
    pub(crate) id: StreamId,
    pub(crate) feed: Feed,
    /// What keeps silence from the model.
    pub(crate) gate: Option<Gate>,
    /// What holds a latency.
    pub(crate) adaptive: Option<AdaptiveContext>,
    /// When its first sample is due.
    pub(crate) start: Duration,
}

/// What a feed has lost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Losses {
    pub(crate) gaps: u64,
    pub(crate) samples: u64,
}

/// A stream that is not over.
pub(crate) struct Lane {
    pub(crate) parts: LaneParts,
    units: LaneUnits,
    pub(crate) reader: StepReader,
    /// Samples that were read, and how many of them were fed.
    block: Vec<f32>,
    at: usize,
    outbox: Outbox,
    /// Samples fed, those that were lost included.
    fed: u64,
    has_ended: bool,
    pub(crate) lost: Losses,
    /// Why the feed ended before its end.
    pub(crate) damage: Option<CliError>,
}

impl Lane {
    pub(crate) fn new(parts: LaneParts, units: LaneUnits) -> Self {
        Self {
            reader: StepReader::new(parts.gate.is_some()),
            parts,
            units,
            block: Vec::new(),
            at: 0,
            outbox: Outbox::default(),
            fed: 0,
            has_ended: false,
            lost: Losses::default(),
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
            if !self.outbox.deliver(scheduler, self.parts.id, now)? {
                return Ok(Feeding::Full);
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
            if self.at == self.block.len() && !self.read(now) {
                return Ok(Feeding::Starved);
            }
            if !self.has_ended {
                self.feed_packet();
            }
        }
    }

    /// Ends the feed before its end, behind what was read already.
    pub(crate) fn stop(&mut self) {
        self.parts.feed.stop();
    }

    fn end(&mut self) {
        self.has_ended = true;
        if let Some(gate) = &mut self.parts.gate {
            gate.finish(&mut self.outbox);
        }
    }

    /// Reads the next block, or learns that there is none; false if that is not known yet.
    fn read(&mut self, now: Duration) -> bool {
        self.block.clear();
        self.at = 0;
        match self.parts.feed.read(&mut self.block) {
            Ok(Fed::Samples { has_waited }) => {
                let heard = self.units.duration(self.fed + self.block.len() as u64);
                if has_waited {
                    // What has just come was not there to be fed earlier.
                    self.parts.start = self.parts.start.max(now.saturating_sub(heard));
                }
            }
            Ok(Fed::Lost(samples)) => self.lose(samples),
            Ok(Fed::Nothing) => return false,
            Ok(Fed::End) => self.end(),
            Err(error) => {
                self.damage = Some(error);
                self.end();
            }
        }
        true
    }

    fn feed_packet(&mut self) {
        let end = self.block.len().min(self.at + self.units.packet_samples());
        let packet = &self.block[self.at..end];
        self.fed += packet.len() as u64;
        match &mut self.parts.gate {
            Some(gate) => gate.push(packet, &mut self.outbox),
            None => self.outbox.push(packet),
        }
        self.at = end;
    }

    fn lose(&mut self, samples: u64) {
        match &mut self.parts.gate {
            // The detector hears silence, so that it keeps its clock.
            Some(gate) => {
                gate.lose(samples, &mut self.outbox);
                self.reader.lose(self.fed..self.fed + samples);
            }
            None => self.outbox.lose(samples),
        }
        self.lost.gaps += 1;
        self.lost.samples += samples;
        self.fed += samples;
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
