//! Greedy search for RNNT and TDT, as NeMo's label looping does it:
//! <https://github.com/NVIDIA/NeMo/blob/12a3ab7673823ec4665bb73320a910a95ff2baea/nemo/collections/asr/parts/submodules/transducer_decoding/tdt_label_looping.py>.
//!
//! Each round has two halves. First every stream looks for its next label: the joint runs for those that still look,
//! and a blank moves a stream forward. Then one step of the prediction network serves all streams that found one.

use super::{EmittedToken, argmax};
use crate::confidence::Confidence;
use crate::transducer::{Transducer, TransducerState};

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
        let mut search = Search::new(self, confidence, streams);
        loop {
            while search.look(streams) {}
            if !search.advance(streams) {
                break;
            }
        }
        for (stream, cursor) in streams.iter_mut().zip(&search.cursors) {
            stream.state.time_jump = cursor.t - cursor.frames;
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

/// One call's walk over its streams.
struct Search<'a> {
    transducer: &'a Transducer,
    confidence: Confidence,
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
}

/// Where one stream is within its frames of this call.
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

impl<'a> Search<'a> {
    fn new(
        transducer: &'a Transducer,
        confidence: Confidence,
        streams: &[TransducerStream<'_>],
    ) -> Search<'a> {
        let config = transducer.config();
        let (width, joint) = (config.encoder_hidden, config.joint_hidden);
        let mut cursors = Vec::with_capacity(streams.len());
        let mut rows = 0;
        for stream in streams {
            let frames = stream.frames.len() / width;
            assert_eq!(stream.frames.len(), frames * width, "frames are whole");
            cursors.push(Cursor {
                first_row: rows,
                frames: frames as u64,
                t: stream.state.time_jump,
                label: None,
                last: None,
                same: 0,
            });
            rows += frames;
        }
        let mut projected = vec![0.0; rows * joint];
        let mut rest = &mut projected[..];
        for stream in streams {
            let (own, others) = rest.split_at_mut(stream.frames.len() / width * joint);
            transducer.project_frames(stream.frames, own);
            rest = others;
        }
        Search {
            transducer,
            confidence,
            cursors,
            projected,
            rows: Vec::with_capacity(streams.len()),
            met: vec![0.0; streams.len() * joint],
            logits: vec![0.0; streams.len() * (config.vocab + config.durations.len())],
            labels: Vec::with_capacity(streams.len()),
        }
    }

    /// Runs the joint once for every stream that looks for a label; `false` where none does.
    fn look(&mut self, streams: &mut [TransducerStream<'_>]) -> bool {
        let config = self.transducer.config();
        let joint = config.joint_hidden;
        let outputs = config.vocab + config.durations.len();
        self.rows.clear();
        for (index, cursor) in self.cursors.iter().enumerate() {
            if cursor.is_looking() {
                let at = (cursor.first_row + cursor.t as usize) * joint;
                let frame = &self.projected[at..at + joint];
                let met = &mut self.met[self.rows.len() * joint..][..joint];
                self.transducer
                    .meet(frame, &streams[index].state.predicted, met);
                self.rows.push(index);
            }
        }
        let rows = self.rows.len();
        let logits = &mut self.logits[..rows * outputs];
        if rows == 0 {
            return false;
        }
        self.transducer.logits(&self.met[..rows * joint], logits);
        for (&index, logits) in self.rows.iter().zip(logits.chunks_exact(outputs)) {
            let (cursor, stream) = (&mut self.cursors[index], &mut streams[index]);
            match self.transducer.decide(logits) {
                Decision::Blank { frames } => cursor.t += u64::from(frames),
                Decision::Label {
                    token,
                    frames,
                    duration,
                } => {
                    let tokens = &logits[..config.vocab];
                    stream.out.push(EmittedToken {
                        id: token,
                        frame: stream.first_frame + cursor.t,
                        duration,
                        confidence: self.confidence.of(tokens, token as usize),
                    });
                    cursor.label = Some(token);
                    cursor.leave(frames, config.max_symbols);
                }
            }
        }
        true
    }

    /// Feeds the labels found to the prediction networks; `false` where there are none.
    fn advance(&mut self, streams: &mut [TransducerStream<'_>]) -> bool {
        self.labels.clear();
        let mut states = Vec::with_capacity(streams.len());
        for (cursor, stream) in self.cursors.iter_mut().zip(streams) {
            if let Some(label) = cursor.label.take() {
                self.labels.push(label);
                states.push(&mut *stream.state);
            }
        }
        if states.is_empty() {
            return false;
        }
        self.transducer.predict(&self.labels, &mut states);
        true
    }
}
