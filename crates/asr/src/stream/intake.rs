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
    /// Samples lost since the last that were not.
    lost: u64,
    /// Nothing was heard since the stretch began behind lost audio.
    is_fresh: bool,
    /// Lost samples up to which a gap is heard as silence.
    silent_gap: u64,
    /// Silence that a gate has still to hear before what follows a long gap.
    owed: u64,
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
    /// Samples of the stream that the gate was spared, whole cells of its grid.
    spared: u64,
}

/// As much of a gap does a gate hear, in multiples of what is silence for others; then it is closed for certain.
const GATED_GAP: u64 = 40;

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
                    Waiting::Speech {
                        start: start + self.spared,
                        samples: (end - start) as usize,
                    }
                }
                GateSpan::End { .. } => Waiting::End,
            });
        }
    }
}

impl Intake {
    pub(super) fn new(
        source: Source,
        gate: Option<SpeechGate>,
        (frame_samples, silent_gap): (usize, u64),
    ) -> Self {
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
                    spared: 0,
                })
            }),
            frame_samples: frame_samples as u64,
            received: 0,
            origin: 0,
            lost: 0,
            is_fresh: false,
            silent_gap,
            owed: 0,
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
        if !pcm.is_empty() {
            self.lost = 0;
            self.is_fresh = false;
            self.received = self.received.saturating_add(pcm.len() as u64);
            let owed = std::mem::take(&mut self.owed);
            self.hear_silence(owed);
            self.hear(pcm);
        }
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

    fn hear_silence(&mut self, mut samples: u64) {
        const SILENCE: [f32; 1024] = [0.0; 1024];
        while samples > 0 {
            let now = samples.min(SILENCE.len() as u64);
            self.hear(&SILENCE[..now as usize]);
            samples -= now;
        }
    }

    /// Takes note of lost samples. The first of a gap are heard as silence; behind more of them a stretch begins. A gate hears
    /// enough of them to close, and is spared the rest.
    pub(super) fn lose(&mut self, samples: u64) {
        let limit = match self.gate {
            Some(_) => GATED_GAP * self.silent_gap,
            None => self.silent_gap,
        };
        let heard = samples.min(limit.saturating_sub(self.lost));
        self.lost = self.lost.saturating_add(samples);
        self.received = self.received.saturating_add(samples);
        if self.gate.is_some() {
            self.hear_silence(heard);
            self.owed = self.owed.saturating_add(samples - heard);
        }
        if let Some(gate) = &mut self.gate {
            let cells = self.owed / self.frame_samples * self.frame_samples;
            gate.spared = gate.spared.saturating_add(cells);
            self.owed -= cells;
            return;
        }
        match self.phase {
            Phase::Ending(Next::At(_)) => self.phase = Phase::Ending(Next::At(self.received)),
            _ if self.is_fresh => self.begin_at(self.received),
            _ => {
                self.hear_silence(heard);
                if heard < samples {
                    self.source.end();
                    self.phase = Phase::Ending(Next::At(self.received));
                }
            }
        }
    }

    /// Begins a stretch at sample `at`, of which nothing was heard yet.
    fn begin_at(&mut self, at: u64) {
        self.source.restart();
        self.origin = at / self.frame_samples;
        self.phase = Phase::Listening;
        self.is_fresh = true;
        self.hear_silence(at % self.frame_samples);
    }

    /// No more audio will come.
    pub(super) fn finish(&mut self) {
        if self.is_finished {
            return;
        }
        self.is_finished = true;
        let owed = std::mem::take(&mut self.owed);
        self.hear_silence(owed);
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

    /// Takes nothing more.
    pub(super) fn give_up(&mut self) {
        self.phase = Phase::Over;
        self.is_finished = true;
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
                self.begin_at(at);
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
            (Phase::Idle, Some(gate)) => {
                gate.gate.decided().saturating_add(gate.spared) / self.frame_samples
            }
            (Phase::Over, _) => self.received / self.frame_samples,
            _ => self.origin,
        }
    }
}
