//! What a stream was fed and the model has not taken yet: samples, and those that it does not get.

use std::collections::VecDeque;
use std::time::Duration;

use percept::audio::{Earshot, GateConfig, GateSpan, SpeechGate, VoiceActivity};
use percept::{Scheduler, SchedulerError, StreamId};

use crate::error::CliError;

/// Samples, and how many are missing where, in the order in which the model takes them.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    pcm: Vec<f32>,
    /// How much of `pcm` was taken.
    taken: usize,
    /// Before which of `pcm`, how many samples are missing.
    missing: VecDeque<(usize, u64)>,
}

impl Outbox {
    pub(crate) fn push(&mut self, pcm: &[f32]) {
        self.pcm.extend_from_slice(pcm);
    }

    /// Takes note of samples that the model does not get.
    pub(crate) fn lose(&mut self, samples: u64) {
        self.missing.push_back((self.pcm.len(), samples));
    }

    /// Gives the stream what it takes now; whether that was everything.
    pub(crate) fn deliver(
        &mut self,
        scheduler: &mut Scheduler,
        id: StreamId,
        now: Duration,
    ) -> Result<bool, SchedulerError> {
        loop {
            let missing = self.missing.front().copied();
            let end = missing.map_or(self.pcm.len(), |(at, _)| at);
            while self.taken < end {
                match scheduler.push(id, &self.pcm[self.taken..end], now)? {
                    0 => return Ok(false),
                    taken => self.taken += taken,
                }
            }
            let Some((_, samples)) = missing else {
                self.pcm.clear();
                self.taken = 0;
                return Ok(true);
            };
            scheduler.skip(id, samples, now)?;
            self.missing.pop_front();
        }
    }
}

/// Keeps what is no speech from the model.
///
/// The model learns of silence in pieces that are long enough for it to end what it has heard before and to begin anew
/// behind them, so that the last words before a silence are final while it still goes on. It hears the rest of a silence, so
/// that when it learns of a piece changes nothing.
pub(crate) struct Gate {
    gate: SpeechGate,
    spans: Vec<GateSpan>,
    /// Up to where the model knows.
    told: u64,
    /// Samples of a piece.
    piece: u64,
}

/// Silence to be heard.
const SILENCE: [f32; 1024] = [0.0; 1024];
/// The model begins anew behind what is missing for longer than this.
const HEARD_SECONDS: u64 = 2;

impl Gate {
    /// For a model whose encoder frames have `frame_samples` samples.
    ///
    /// # Errors
    ///
    /// A sample rate that the detector does not hear.
    pub(crate) fn new(frame_samples: usize, sample_rate: u32) -> Result<Self, CliError> {
        let detector = Earshot::new();
        if detector.sample_rate() != sample_rate {
            return Err(CliError::DetectorRate {
                heard: detector.sample_rate(),
                rate: sample_rate,
            });
        }
        let config = GateConfig {
            grid_samples: frame_samples,
            ..GateConfig::default()
        };
        let heard = HEARD_SECONDS * u64::from(sample_rate);
        let frame = frame_samples as u64;
        Ok(Self {
            gate: SpeechGate::new(Box::new(detector), config)?,
            spans: Vec::new(),
            told: 0,
            piece: (heard + 1).next_multiple_of(frame),
        })
    }

    /// Takes samples and hands on what of them the model should know.
    pub(crate) fn push(&mut self, pcm: &[f32], out: &mut Outbox) {
        self.gate.push(pcm, &mut self.spans);
        self.hand_on(out);
        self.skip_pieces(self.gate.decided(), out);
    }

    /// Takes lost samples for silence.
    pub(crate) fn lose(&mut self, mut samples: u64, out: &mut Outbox) {
        while samples > 0 {
            let now = samples.min(SILENCE.len() as u64);
            self.push(&SILENCE[..now as usize], out);
            samples -= now;
        }
    }

    /// Ends the samples.
    pub(crate) fn finish(&mut self, out: &mut Outbox) {
        self.gate.finish(&mut self.spans);
        self.hand_on(out);
        self.silence_until(self.gate.decided(), out);
    }

    fn hand_on(&mut self, out: &mut Outbox) {
        let mut spans = std::mem::take(&mut self.spans);
        for span in spans.drain(..) {
            if let GateSpan::Speech { start, end } = span {
                self.silence_until(start, out);
                out.push(self.gate.pcm(start..end));
                self.told = end;
            }
        }
        self.spans = spans;
    }

    fn silence_until(&mut self, end: u64, out: &mut Outbox) {
        self.skip_pieces(end, out);
        while self.told < end {
            let now = (end - self.told).min(SILENCE.len() as u64);
            out.push(&SILENCE[..now as usize]);
            self.told += now;
        }
    }

    fn skip_pieces(&mut self, end: u64, out: &mut Outbox) {
        while end.saturating_sub(self.told) >= self.piece {
            out.lose(self.piece);
            self.told += self.piece;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the model gets of a recording in pieces of up to `longest` samples: samples, and where how many are missing.
    fn gated(pcm: &[f32], longest: usize) -> (Vec<f32>, Vec<(usize, u64)>) {
        let (mut gate, mut out) = (Gate::new(1280, 16_000).unwrap(), Outbox::default());
        let (mut rest, mut step) = (pcm, 0);
        while !rest.is_empty() {
            step = (step * 31 + 17) % (longest + 1);
            let (now, later) = rest.split_at(step.clamp(1, rest.len()));
            gate.push(now, &mut out);
            rest = later;
        }
        gate.finish(&mut out);
        (out.pcm, out.missing.into_iter().collect())
    }

    #[test]
    fn a_gate_keeps_the_clock_however_the_audio_is_cut() {
        let mut speech = Vec::new();
        let wav = include_bytes!("../../../../models/tiny-en/samples/hello.wav");
        let reader = percept::audio::AudioReader::from_bytes("hello", wav, 16_000);
        let mut reader = reader.unwrap();
        while reader.read(&mut speech).unwrap() > 0 {}
        for silence in [3_000, 31_000, 40_000, 200_000] {
            let pcm = [vec![0.0; silence], speech.clone()].concat();
            let pcm = [&pcm[..], &pcm, &vec![0.0; silence]].concat();
            let (heard, missing) = gated(&pcm, pcm.len());
            let lost: u64 = missing.iter().map(|missing| missing.1).sum();
            assert_eq!(heard.len() as u64 + lost, pcm.len() as u64);
            assert!(
                missing.iter().all(|missing| missing.1 == 33_280),
                "{missing:?}"
            );
            assert_eq!(missing.is_empty(), silence < 33_280, "{silence}");
            for longest in [1, 333, 50_000] {
                let again = gated(&pcm, longest);
                assert!(
                    again == (heard.clone(), missing.clone()),
                    "{silence}, {longest}"
                );
            }
        }
    }
}
