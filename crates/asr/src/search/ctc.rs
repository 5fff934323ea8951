//! Greedy search for CTC: the best class of each frame, runs of one class taken as one token, blanks dropped.

use super::{EmittedToken, argmax};
use crate::confidence::Confidence;
use crate::ctc::CtcHead;

/// How many frames get their logits at once; bounds the memory that a large vocabulary takes.
const TILE_FRAMES: usize = 64;

/// What one stream carries from chunk to chunk: the run that reaches the end of the frames so far.
///
/// Its length is not known yet, so it is emitted by the call that sees its end, or by [`CtcState::finish`].
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CtcState {
    run: Option<EmittedToken>,
}

impl CtcState {
    /// The state of a stream that has heard nothing.
    pub fn new() -> CtcState {
        CtcState::default()
    }

    /// The token whose run goes on, with its length so far.
    pub fn open_run(&self) -> Option<EmittedToken> {
        self.run
    }

    /// Ends the stream: appends the run that is still open.
    pub fn finish(self, out: &mut Vec<EmittedToken>) {
        out.extend(self.run);
    }
}

/// One stream's share of a call to [`CtcHead::decode`].
pub struct CtcStream<'a> {
    /// What the stream carries.
    pub state: &'a mut CtcState,
    /// The next encoder frames, `[T, encoder_hidden]`; any number, also none.
    pub frames: &'a [f32],
    /// The number of the first of them in the stream.
    pub first_frame: u64,
    /// Where tokens are appended.
    pub out: &'a mut Vec<EmittedToken>,
}

impl CtcHead {
    /// Searches the next frames of every stream and moves its state behind them.
    ///
    /// A token is at the first frame of its run, its duration is the length of the run, and its confidence is that of
    /// the first frame. Logits that are no numbers count as blank.
    ///
    /// # Panics
    /// Where a stream's frames are not whole frames of `encoder_hidden` values.
    pub fn decode(&self, confidence: Confidence, streams: &mut [CtcStream<'_>]) {
        let mut logits = Vec::new();
        for stream in streams {
            self.search(confidence, stream, &mut logits);
        }
    }

    /// As [`CtcHead::decode`] for one stream, in memory that is reused.
    pub(crate) fn search(
        &self,
        confidence: Confidence,
        stream: &mut CtcStream<'_>,
        logits: &mut Vec<f32>,
    ) {
        let config = *self.config();
        let width = config.encoder_hidden;
        assert_eq!(stream.frames.len() % width, 0, "frames are whole");
        logits.resize(TILE_FRAMES * config.vocab, 0.0);
        let mut frame = stream.first_frame;
        for tile in stream.frames.chunks(TILE_FRAMES * width) {
            let logits = &mut logits[..tile.len() / width * config.vocab];
            self.logits(tile, logits);
            for logits in logits.chunks_exact(config.vocab) {
                let best = argmax(logits).map_or(config.blank, |class| class as u32);
                let class = (best != config.blank).then_some(best);
                stream.take(class, frame, |class| confidence.of(logits, class));
                frame += 1;
            }
        }
    }
}

impl CtcStream<'_> {
    /// Takes the class of one frame, `None` for the blank.
    fn take(&mut self, class: Option<u32>, frame: u64, confidence: impl Fn(usize) -> f32) {
        let run = &mut self.state.run;
        match (run.as_mut(), class) {
            (Some(run), Some(id)) if run.id == id => run.duration = run.duration.saturating_add(1),
            (_, class) => {
                self.out.extend(run.take());
                *run = class.map(|id| EmittedToken {
                    id,
                    frame,
                    duration: 1,
                    confidence: confidence(id as usize),
                });
            }
        }
    }
}
