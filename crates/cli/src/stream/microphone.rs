//! What a microphone hears, from the thread of the sound system to the one that recognises.

use percept::audio::{Resampler, ResamplerError};
use rtrb::{Consumer, Producer, RingBuffer};

use super::feed::Fed;
use crate::error::CliError;

/// What fits between the two threads: longer than any step takes.
const RING_SECONDS: usize = 30;
/// Losses that can wait to be read.
const LOSSES: usize = 64;
/// Samples read at once, at most.
const BLOCK_SAMPLES: usize = 4096;

/// Samples that were dropped behind so many that were kept.
#[derive(Debug, Clone, Copy)]
struct Loss {
    at: u64,
    samples: u64,
}

/// Takes samples on the thread of the sound system. It never waits and never allocates: what finds no room is dropped, and
/// counted in its place.
pub(crate) struct MicrophoneSink {
    pcm: Producer<f32>,
    losses: Producer<Loss>,
    kept: u64,
    lost: u64,
}

/// The samples of a microphone at the model's rate.
pub(crate) struct MicrophoneFeed {
    pcm: Consumer<f32>,
    losses: Consumer<Loss>,
    converter: Converter,
    /// Why nothing more will come.
    failure: Box<dyn Fn() -> Option<CliError>>,
    /// Samples taken from the ring.
    taken: u64,
    /// Samples to be taken in all, once no more are wanted.
    end: Option<u64>,
    /// A loss behind what was read last, at the model's rate.
    loss: Option<u64>,
    /// Why the device gave no more, behind what was read last.
    fault: Option<CliError>,
    has_ended: bool,
}

/// What comes next in the ring.
enum Waiting {
    Samples(usize),
    Loss(u64),
    Nothing,
}

/// A ring for the samples of a device.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RingConfig {
    /// Of the device.
    pub(crate) rate: u32,
    /// Of the model.
    pub(crate) sample_rate: u32,
    pub(crate) capacity: usize,
}

impl RingConfig {
    pub(crate) fn new(rate: u32, sample_rate: u32) -> Self {
        Self {
            rate,
            sample_rate,
            capacity: rate as usize * RING_SECONDS,
        }
    }

    /// Both ends of the ring.
    ///
    /// # Errors
    ///
    /// A rate that cannot be converted.
    pub(crate) fn open(self) -> Result<(MicrophoneSink, MicrophoneFeed), ResamplerError> {
        let (sink_pcm, pcm) = RingBuffer::new(self.capacity);
        let (sink_losses, losses) = RingBuffer::new(LOSSES);
        let sink = MicrophoneSink {
            pcm: sink_pcm,
            losses: sink_losses,
            kept: 0,
            lost: 0,
        };
        let feed = MicrophoneFeed {
            pcm,
            losses,
            converter: Converter::new(self.rate, self.sample_rate)?,
            failure: Box::new(|| None),
            taken: 0,
            end: None,
            loss: None,
            fault: None,
            has_ended: false,
        };
        Ok((sink, feed))
    }
}

impl MicrophoneSink {
    /// Takes samples as they are heard.
    pub(crate) fn push(&mut self, pcm: &[f32]) {
        // A loss is told before what follows it, so that whoever reads on cannot miss it.
        let may_go_on = self.lost == 0 || self.tell_loss();
        let kept = match may_go_on {
            true => self.pcm.push_partial_slice(pcm).0.len(),
            false => 0,
        };
        self.kept += kept as u64;
        self.lost += (pcm.len() - kept) as u64;
    }

    /// Whether the loss so far was told. Not while the ring has no room: more will be lost in the same place.
    fn tell_loss(&mut self) -> bool {
        let loss = Loss {
            at: self.kept,
            samples: self.lost,
        };
        let is_told = !self.pcm.is_full() && self.losses.push(loss).is_ok();
        if is_told {
            self.lost = 0;
        }
        is_told
    }
}

impl MicrophoneFeed {
    /// Asks `failure` when nothing comes.
    pub(crate) fn watching(self, failure: Box<dyn Fn() -> Option<CliError>>) -> Self {
        Self { failure, ..self }
    }

    /// Appends what was heard since the last time. Where `is_stopped`, it ends behind what waits.
    ///
    /// # Errors
    ///
    /// A device that fails, once, after all samples before it.
    pub(crate) fn read(&mut self, is_stopped: bool, out: &mut Vec<f32>) -> Result<Fed, CliError> {
        if is_stopped && self.end.is_none() {
            // The device goes on, maybe quicker than anybody reads.
            self.end = Some(self.taken + self.pcm.slots() as u64);
        }
        let before = out.len();
        while out.len() == before && self.loss.is_none() && !self.has_ended {
            match self.waiting() {
                Waiting::Loss(samples) => self.loss = Some(self.converter.lose(samples, out)),
                Waiting::Samples(count) => self.take(count, out),
                Waiting::Nothing => {
                    self.fault = (self.failure)().filter(|_| !is_stopped);
                    if !is_stopped && self.fault.is_none() {
                        return Ok(Fed::Nothing);
                    }
                    self.has_ended = true;
                    self.converter.finish(out);
                }
            }
        }
        if out.len() > before {
            return Ok(Fed::Samples { has_waited: false });
        }
        match (self.loss.take(), self.fault.take()) {
            (Some(samples), _) => Ok(Fed::Lost(samples)),
            (None, Some(fault)) => Err(fault),
            (None, None) => Ok(Fed::End),
        }
    }

    /// What comes next in the ring.
    fn waiting(&mut self) -> Waiting {
        // Looked at before the losses: one that is told later lies behind these samples.
        let waiting = match self.end {
            Some(end) => (end - self.taken) as usize,
            None => self.pcm.slots(),
        };
        let until_loss = match self.losses.peek().copied() {
            Ok(loss) if loss.at == self.taken => {
                self.losses.pop().expect("it was looked at");
                return Waiting::Loss(loss.samples);
            }
            Ok(loss) => (loss.at - self.taken) as usize,
            Err(_) => usize::MAX,
        };
        match waiting.min(until_loss).min(BLOCK_SAMPLES) {
            0 => Waiting::Nothing,
            count => Waiting::Samples(count),
        }
    }

    fn take(&mut self, count: usize, out: &mut Vec<f32>) {
        let chunk = self.pcm.read_chunk(count).expect("so many are there");
        let (first, second) = chunk.as_slices();
        self.converter.push(first, out);
        self.converter.push(second, out);
        chunk.commit_all();
        self.taken += count as u64;
    }
}

/// Converts from the device's rate to the model's and keeps time over losses.
struct Converter {
    from: u32,
    to: u32,
    /// None where the rates are the same.
    resampler: Option<Resampler>,
    /// Samples of the device, lost ones included.
    taken: u64,
    /// Samples for the model, lost ones included.
    given: u64,
}

impl Converter {
    fn new(from: u32, to: u32) -> Result<Self, ResamplerError> {
        Ok(Self {
            from,
            to,
            resampler: (from != to).then(|| Resampler::new(from, to)).transpose()?,
            taken: 0,
            given: 0,
        })
    }

    fn push(&mut self, pcm: &[f32], out: &mut Vec<f32>) {
        let before = out.len();
        match &mut self.resampler {
            Some(resampler) => resampler.push(pcm, out),
            None => out.extend_from_slice(pcm),
        }
        self.taken += pcm.len() as u64;
        self.given += (out.len() - before) as u64;
    }

    /// Appends what is held back.
    fn finish(&mut self, out: &mut Vec<f32>) {
        let before = out.len();
        if let Some(resampler) = &mut self.resampler {
            resampler.finish(out);
        }
        self.given += (out.len() - before) as u64;
    }

    /// Takes note of samples that were lost, and says how many that are for the model.
    fn lose(&mut self, samples: u64, out: &mut Vec<f32>) -> u64 {
        self.finish(out);
        if let Some(resampler) = &mut self.resampler {
            *resampler = Resampler::new(self.from, self.to).expect("it was made before");
        }
        self.taken += samples;
        let due = (u128::from(self.taken) * u128::from(self.to) / u128::from(self.from)) as u64;
        let lost = due.saturating_sub(self.given);
        self.given += lost;
        lost
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(rate: u32, capacity: usize) -> (MicrophoneSink, MicrophoneFeed) {
        let config = RingConfig {
            capacity,
            ..RingConfig::new(rate, 16_000)
        };
        config.open().unwrap()
    }

    /// Reads all there is: samples, and the losses between them at their places.
    fn read_all(feed: &mut MicrophoneFeed, is_stopped: bool) -> (Vec<f32>, Vec<(usize, u64)>) {
        let (mut pcm, mut losses) = (Vec::new(), Vec::new());
        loop {
            match feed.read(is_stopped, &mut pcm).unwrap() {
                Fed::Samples { .. } => {}
                Fed::Lost(samples) => losses.push((pcm.len(), samples)),
                Fed::Nothing | Fed::End => return (pcm, losses),
            }
        }
    }

    #[test]
    fn what_finds_no_room_leaves_a_gap_in_its_place() {
        let (mut sink, mut feed) = open(16_000, 10);
        let pcm: Vec<f32> = (0..40).map(|i| i as f32).collect();
        sink.push(&pcm[..8]);
        sink.push(&pcm[8..16]);
        sink.push(&pcm[16..20]);
        let (first, losses) = read_all(&mut feed, false);
        assert_eq!((first, losses), (pcm[..10].to_vec(), vec![]));
        sink.push(&pcm[20..24]);
        sink.push(&pcm[24..28]);
        let (second, losses) = read_all(&mut feed, false);
        assert_eq!((second, losses), (pcm[20..28].to_vec(), vec![(0, 10)]));
    }

    #[test]
    fn time_goes_on_over_losses_at_any_rate() {
        for rate in [8_000, 16_000, 44_100, 48_000] {
            let (mut sink, mut feed) = open(rate, rate as usize);
            let (mut given, mut lost) = (0, 0);
            for _ in 0..7 {
                // More than the ring holds before anybody reads.
                sink.push(&vec![0.25; rate as usize]);
                sink.push(&vec![0.25; 1_001]);
                let (pcm, losses) = read_all(&mut feed, false);
                given += pcm.len() as u64;
                lost += losses.iter().map(|loss| loss.1).sum::<u64>();
            }
            sink.push(&[0.25; 1]);
            let (pcm, losses) = read_all(&mut feed, true);
            given += pcm.len() as u64;
            lost += losses.iter().map(|loss| loss.1).sum::<u64>();
            let heard = 7 * (u64::from(rate) + 1_001) + 1;
            let due = heard * 16_000 / u64::from(rate);
            assert!(
                (given + lost).abs_diff(due) <= 2,
                "{rate} Hz: {given} + {lost}, not {due}"
            );
        }
    }

    #[test]
    fn what_was_heard_before_the_end_is_read() {
        let (mut sink, mut feed) = open(48_000, 48_000);
        sink.push(&vec![0.25; 4_800]);
        let (before, _) = read_all(&mut feed, false);
        let (rest, _) = read_all(&mut feed, true);
        assert_eq!(before.len() + rest.len(), 1_600);
        assert_eq!(feed.read(true, &mut Vec::new()).unwrap(), Fed::End);
    }

    #[test]
    fn what_is_heard_behind_the_end_is_not_read() {
        let (mut sink, mut feed) = open(16_000, 16_000);
        sink.push(&[0.25; 10_000]);
        let mut pcm = Vec::new();
        feed.read(true, &mut pcm).unwrap();
        sink.push(&[0.5; 4_000]);
        pcm.extend(read_all(&mut feed, true).0);
        assert_eq!(pcm, [0.25; 10_000]);
    }

    #[test]
    fn a_device_that_fails_is_an_error_behind_its_last_sample() {
        let config = RingConfig::new(16_000, 16_000);
        let (mut sink, feed) = config.open().unwrap();
        let mut feed = feed.watching(Box::new(|| Some(CliError::StdinTwice)));
        sink.push(&[0.5; 100]);
        let mut pcm = Vec::new();
        assert!(feed.read(false, &mut pcm).is_ok());
        assert_eq!(pcm.len(), 100);
        assert!(feed.read(false, &mut pcm).is_err());
        assert_eq!(feed.read(false, &mut pcm).unwrap(), Fed::End);
    }
}
