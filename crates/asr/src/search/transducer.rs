//! Greedy search for RNNT and TDT, as NeMo's label looping does it:
//! <https://github.com/NVIDIA/NeMo/blob/12a3ab7673823ec4665bb73320a910a95ff2baea/nemo/collections/asr/parts/submodules/transducer_decoding/tdt_label_looping.py>.
//!
//! Each round has two halves. First every stream looks for its next label: the joint runs for those that still look,
//! and a blank moves a stream forward. Then one step of the prediction network serves all streams that found one.

use super::{EmittedToken, argmax};
use crate::confidence::Confidence;
use crate::transducer::{PredictionMemory, Transducer, TransducerState};

/// One stream's share of a call to [`Transducer::decode`].
pub struct TransducerStream<'a> {
    /// What the stream carries; from [`Transducer::state`] for a new one.
    pub state: &'a mut TransducerState,
    /// The next encoder frames, `[T, encoder_hidden]`; any number, also none.
    pub frames: &'a [f32],
    /// The number of the first of them in the stream.
    pub first_frame: u64,
    /// Where tokens are appended.
    pub out: &'a mut Vec<EmittedToken>,
}

/// What a search moves: a stream, wherever its parts are kept.
pub(crate) trait TransducerLane {
    /// What the stream carries.
    fn state(&mut self) -> &mut TransducerState;
    /// Takes a token at frame `t` of this call.
    fn emit(&mut self, t: u64, token: EmittedToken);
}

impl TransducerLane for TransducerStream<'_> {
    fn state(&mut self) -> &mut TransducerState {
        self.state
    }

    fn emit(&mut self, t: u64, token: EmittedToken) {
        let frame = self.first_frame + t;
        self.out.push(EmittedToken { frame, ..token });
    }
}

impl Transducer {
    /// Searches the next frames of every stream and moves its state behind them.
    ///
    /// From one frame come at most `max_symbols` tokens. A blank always moves on, by one frame where its duration is 0.
    /// A duration that reaches past the last frame is carried into the next call. Logits that are no numbers count as
    /// blank.
    ///
    /// # Panics
    /// Where a stream's frames are not whole frames of `encoder_hidden` values.
    pub fn decode(&self, confidence: Confidence, streams: &mut [TransducerStream<'_>]) {
        let frames: Vec<&[f32]> = streams.iter().map(|stream| stream.frames).collect();
        self.search(
            confidence,
            streams,
            |n| frames[n],
            &mut SearchMemory::default(),
        );
    }

    /// As [`Transducer::decode`] for any lanes, of which lane `n` goes over `frames(n)`, in memory that is reused.
    pub(crate) fn search<'f, L: TransducerLane>(
        &self,
        confidence: Confidence,
        lanes: &mut [L],
        frames: impl Fn(usize) -> &'f [f32],
        memory: &mut SearchMemory,
    ) {
        let mut search = Search {
            transducer: self,
            confidence,
            memory,
        };
        search.begin(lanes, frames);
        loop {
            while search.look(lanes) {}
            if !search.advance(lanes) {
                break;
            }
        }
        for (lane, cursor) in lanes.iter_mut().zip(&search.memory.cursors) {
            lane.state().time_jump = cursor.t - cursor.frames;
        }
    }

    /// What the logits of one frame decide.
    fn decide(&self, logits: &[f32]) -> Decision {
        let config = self.config();
        let (tokens, durations) = logits.split_at(config.vocab);
        let token = argmax(tokens).map_or(config.blank, |token| token as u32);
        let is_blank = token == config.blank;
        if config.durations.is_empty() {
            return match is_blank {
                true => Decision::Blank { frames: 1 },
                false => Decision::Label {
                    token,
                    frames: 0,
                    duration: 1,
                },
            };
        }
        let frames = argmax(durations).map_or(0, |index| config.durations[index]);
        match is_blank {
            true => Decision::Blank {
                frames: frames.max(1),
            },
            false => Decision::Label {
                token,
                frames,
                duration: frames,
            },
        }
    }
}

enum Decision {
    /// Nothing here; on by `frames`, at least 1.
    Blank { frames: u32 },
    /// A token that lasts `duration`; on by `frames`, which may be 0.
    Label {
        token: u32,
        frames: u32,
        duration: u32,
    },
}

/// What one call needs, kept for the next.
#[derive(Debug, Default)]
pub(crate) struct SearchMemory {
    cursors: Vec<Cursor>,
    /// The joint's encoder projection of all frames of all streams, `[ΣT, joint_hidden]`.
    projected: Vec<f32>,
    /// The streams of the current joint call, by index.
    rows: Vec<usize>,
    /// `[B, joint_hidden]`.
    met: Vec<f32>,
    /// `[B, vocab + durations]`.
    logits: Vec<f32>,
    /// Labels of the current round, in the order of the streams that found them.
    labels: Vec<u32>,
    prediction: PredictionMemory,
}

/// One call's walk over its streams.
struct Search<'a> {
    transducer: &'a Transducer,
    confidence: Confidence,
    memory: &'a mut SearchMemory,
}

/// Where one stream is within its frames of this call.
#[derive(Debug)]
struct Cursor {
    /// Its first row of [`Search::projected`].
    first_row: usize,
    frames: u64,
    t: u64,
    /// Found and not yet fed to the prediction network.
    label: Option<u32>,
    /// The frame of the last label, and how many labels came from it in a row.
    last: Option<u64>,
    same: u32,
}

impl Cursor {
    fn is_looking(&self) -> bool {
        self.label.is_none() && self.t < self.frames
    }

    /// Moves on from a label that takes `frames`, and on from a frame that gives more than it should.
    fn leave(&mut self, frames: u32, max_symbols: u32) {
        let from = self.t;
        self.same = if self.last == Some(from) {
            self.same + 1
        } else {
            1
        };
        self.last = Some(from);
        self.t += u64::from(frames);
        if self.same >= max_symbols && self.t == from {
            self.t += 1;
        }
    }
}

impl Search<'_> {
    fn begin<'f, L: TransducerLane>(
        &mut self,
        lanes: &mut [L],
        frames: impl Fn(usize) -> &'f [f32],
    ) {
        let config = self.transducer.config();
        let (width, joint) = (config.encoder_hidden, config.joint_hidden);
        let memory = &mut *self.memory;
        memory.cursors.clear();
        let mut rows = 0;
        for (n, lane) in lanes.iter_mut().enumerate() {
            let count = frames(n).len() / width;
            assert_eq!(frames(n).len(), count * width, "frames are whole");
            memory.cursors.push(Cursor {
                first_row: rows,
                frames: count as u64,
                t: lane.state().time_jump,
                label: None,
                last: None,
                same: 0,
            });
            rows += count;
        }
        memory.projected.resize(rows * joint, 0.0);
        let mut rest = &mut memory.projected[..];
        for n in 0..lanes.len() {
            let frames = frames(n);
            let (own, others) = rest.split_at_mut(frames.len() / width * joint);
            self.transducer.project_frames(frames, own);
            rest = others;
        }
        memory.met.resize(lanes.len() * joint, 0.0);
        let outputs = config.vocab + config.durations.len();
        memory.logits.resize(lanes.len() * outputs, 0.0);
    }

    /// Runs the joint once for every stream that looks for a label; `false` where none does.
    fn look<L: TransducerLane>(&mut self, lanes: &mut [L]) -> bool {
        let config = self.transducer.config();
        let joint = config.joint_hidden;
        let outputs = config.vocab + config.durations.len();
        let memory = &mut *self.memory;
        memory.rows.clear();
        for (index, cursor) in memory.cursors.iter().enumerate() {
            if cursor.is_looking() {
                let at = (cursor.first_row + cursor.t as usize) * joint;
                let frame = &memory.projected[at..at + joint];
                let met = &mut memory.met[memory.rows.len() * joint..][..joint];
                self.transducer
                    .meet(frame, &lanes[index].state().predicted, met);
                memory.rows.push(index);
            }
        }
        let rows = memory.rows.len();
        let logits = &mut memory.logits[..rows * outputs];
        if rows == 0 {
            return false;
        }
        self.transducer.logits(&memory.met[..rows * joint], logits);
        for (&index, logits) in memory.rows.iter().zip(logits.chunks_exact(outputs)) {
            let cursor = &mut memory.cursors[index];
            match self.transducer.decide(logits) {
                Decision::Blank { frames } => cursor.t += u64::from(frames),
                Decision::Label {
                    token,
                    frames,
                    duration,
                } => {
                    let tokens = &logits[..config.vocab];
                    let found = EmittedToken {
                        id: token,
                        frame: cursor.t,
                        duration,
                        confidence: self.confidence.of(tokens, token as usize),
                    };
                    lanes[index].emit(cursor.t, found);
                    cursor.label = Some(token);
                    cursor.leave(frames, config.max_symbols);
                }
            }
        }
        true
    }

    /// Feeds the labels found to the prediction networks; `false` where there are none.
    fn advance<L: TransducerLane>(&mut self, lanes: &mut [L]) -> bool {
        let memory = &mut *self.memory;
        memory.labels.clear();
        memory.rows.clear();
        for (index, cursor) in memory.cursors.iter_mut().enumerate() {
            if let Some(label) = cursor.label.take() {
                memory.labels.push(label);
                memory.rows.push(index);
            }
        }
        if memory.rows.is_empty() {
            return false;
        }
        self.transducer.predict(
            &memory.labels,
            (&memory.rows, lanes),
            |lane| lane.state(),
            &mut memory.prediction,
        );
        true
    }
}
