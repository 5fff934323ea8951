//! What of a stream's audio is recognised, and where in time: all of it in one stretch, or in several with silence or lost
//! audio between them.

use std::collections::VecDeque;

use percept_audio::{GateSpan, SpeechGate};

use super::source::Source;

/// Takes the audio of a stream and hands it to its source, stretch by stretch.
#[derive(Debug)]
pub(super) struct Intake {
    pub(super) source: Source,
    gate: Option<Box<Gate>>,
    phase: Phase,
    frame_samples: u64,
    /// Samples taken, those that were lost included.
    received: u64,
    /// The frame at which the source began.
    origin: u64,
    is_finished: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Audio goes to the source.
    Listening,
    /// The source has all of a stretch and is not through with it.
    Ending(Next),
    /// Nobody speaks.
    Idle,
    Over,
}

/// What follows a stretch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Over,
    /// The stretch that begins at this sample.
    At(u64),
    Idle,
}

/// What happens once the source is through with a stretch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Onward {
    /// A stretch begins, or may begin: nothing is remembered.
    Anew,
    Over,
}

/// A gate, and the speech that it has let through and the source could not take yet.
#[derive(Debug)]
struct Gate {
    gate: SpeechGate,
    spans: Vec<GateSpan>,
    waiting: VecDeque<Waiting>,
    /// The samples of what waits.
    pcm: VecDeque<f32>,
}

#[derive(Clone, Copy, Debug)]
enum Waiting {
    Speech { start: u64, samples: usize },
    End,
}

impl Gate {
    fn push(&mut self, pcm: &[f32]) {
        self.gate.push(pcm, &mut self.spans);
        self.take_spans();
    }

    fn finish(&mut self) {
        self.gate.finish(&mut self.spans);
        self.take_spans();
    }

    fn take_spans(&mut self) {
        for span in self.spans.drain(..) {
            self.waiting.push_back(match span {
                GateSpan::Speech { start, end } => {
                    self.pcm.extend(self.gate.pcm(start..end));
                    let samples = (end - start) as usize;
                    Waiting::Speech { start, samples }
                }
                GateSpan::End { .. } => Waiting::End,
            });
        }
    }
}

impl Intake {
    pub(super) fn new(source: Source, gate: Option<SpeechGate>, frame_samples: usize) -> Self {
        Intake {
            source,
            phase: match gate {
                Some(_) => Phase::Idle,
                None => Phase::Listening,
            },
            gate: gate.map(|gate| {
                Box::new(Gate {
                    gate,
                    spans: Vec::new(),
                    waiting: VecDeque::new(),
                    pcm: VecDeque::new(),
                })
            }),
            frame_samples: frame_samples as u64,
            received: 0,
            origin: 0,
            is_finished: false,
        }
    }

    /// A copy; `None` where a detector of speech cannot be copied.
    pub(super) fn fork(&self) -> Option<Self> {
        self.gate.is_none().then(|| Intake {
            source: self.source.clone(),
            gate: None,
            ..*self
        })
    }

    pub(super) fn received(&self) -> u64 {
        self.received
    }

    pub(super) fn is_finished(&self) -> bool {
        self.is_finished
    }

    pub(super) fn is_over(&self) -> bool {
        self.phase == Phase::Over
    }

    /// Samples that may come before a step is due.
    pub(super) fn room(&self) -> usize {
        let is_blocked = self.is_finished || matches!(self.phase, Phase::Ending(_) | Phase::Over);
        let has_waiting = self.gate.as_ref().is_some_and(|g| !g.waiting.is_empty());
        match is_blocked || has_waiting {
            true => 0,
            false => self.source.room(),
        }
    }

    pub(super) fn is_ready(&self) -> bool {
        matches!(self.phase, Phase::Listening | Phase::Ending(_)) && self.source.is_ready()
    }

    /// Takes samples. There may be more of them than there is room.
    pub(super) fn push(&mut self, pcm: &[f32]) {
        self.received += pcm.len() as u64;
        self.hear(pcm);
    }

    fn hear(&mut self, pcm: &[f32]) {
        match &mut self.gate {
            Some(gate) => {
                gate.push(pcm);
                self.feed();
            }
            None => self.source.push(pcm),
        }
    }

    /// Takes silence in place of samples that were lost.
    pub(super) fn push_silence(&mut self, samples: u64) {
        if let Phase::Ending(Next::At(at)) = self.phase {
            self.phase = Phase::Ending(Next::At(at + samples));
            self.received += samples;
            return;
        }
        self.received += samples;
        self.hear_silence(samples);
    }

    fn hear_silence(&mut self, mut samples: u64) {
        const SILENCE: [f32; 1024] = [0.0; 1024];
        while samples > 0 {
            let now = samples.min(SILENCE.len() as u64);
            self.hear(&SILENCE[..now as usize]);
            samples -= now;
        }
    }

    /// Leaves out samples that were lost and begins anew behind them; a gate hears them as silence.
    pub(super) fn leave_out(&mut self, samples: u64) {
        match self.phase {
            Phase::Listening if self.gate.is_none() => {
                self.received += samples;
                self.source.end();
                self.phase = Phase::Ending(Next::At(self.received));
            }
            _ => self.push_silence(samples),
        }
    }

    /// No more audio will come.
    pub(super) fn finish(&mut self) {
        if self.is_finished {
            return;
        }
        self.is_finished = true;
        if let Some(gate) = &mut self.gate {
            gate.finish();
            self.feed();
        }
        self.end_if_done();
    }

    /// After the last audio: ends the stretch, or the stream.
    fn end_if_done(&mut self) {
        let has_waiting = self.gate.as_ref().is_some_and(|g| !g.waiting.is_empty());
        match self.phase {
            Phase::Listening if self.gate.is_none() => {
                self.source.end();
                self.phase = Phase::Ending(Next::Over);
            }
            Phase::Idle if !has_waiting => self.phase = Phase::Over,
            _ => {}
        }
    }

    /// Hands waiting speech to the source, up to the end of a stretch.
    fn feed(&mut self) {
        let Some(gate) = &mut self.gate else { return };
        while let (Phase::Listening | Phase::Idle, Some(next)) = (self.phase, gate.waiting.front())
        {
            match (*next, self.phase) {
                (Waiting::Speech { start, .. }, Phase::Idle) => {
                    self.origin = start / self.frame_samples;
                    self.phase = Phase::Listening;
                    continue;
                }
                (Waiting::Speech { samples, .. }, _) => {
                    let (first, second) = gate.pcm.as_slices();
                    let cut = samples.min(first.len());
                    self.source.push(&first[..cut]);
                    self.source.push(&second[..samples - cut]);
                    gate.pcm.drain(..samples);
                }
                (Waiting::End, Phase::Listening) => {
                    self.source.end();
                    self.phase = Phase::Ending(Next::Idle);
                }
                (Waiting::End, _) => {}
            }
            gate.waiting.pop_front();
        }
    }

    /// What follows the stretch that the source is through with.
    pub(super) fn go_on(&mut self) -> Onward {
        let Phase::Ending(next) = self.phase else {
            unreachable!("a source ends when it is told to")
        };
        match next {
            Next::Over => {
                self.phase = Phase::Over;
                return Onward::Over;
            }
            Next::At(at) => {
                self.source.restart();
                self.origin = at / self.frame_samples;
                self.phase = Phase::Listening;
                self.hear_silence(at % self.frame_samples);
            }
            Next::Idle => {
                self.source.restart();
                self.phase = Phase::Idle;
                self.feed();
            }
        }
        if self.is_finished {
            self.end_if_done();
        }
        match self.phase {
            Phase::Over => Onward::Over,
            _ => Onward::Anew,
        }
    }

    /// The frame before which all is known to be silent or lost, where nothing is being heard.
    pub(super) fn silent_until(&self) -> u64 {
        match (self.phase, &self.gate) {
            (Phase::Idle, Some(gate)) => gate.gate.decided() / self.frame_samples,
            (Phase::Over, _) => self.received / self.frame_samples,
            _ => self.origin,
        }
    }
}
