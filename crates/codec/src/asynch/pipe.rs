//! A stream through a coder that works on other threads.

use std::future::Future;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use rayon::ThreadPool;

use super::job::Job;
use crate::{CancelFlag, CodecError, CodecModel, Codes, StreamDecoder, StreamEncoder};

/// What a pipe does with each of its items.
pub(super) trait Stage: Send + 'static {
    type In: Send + 'static;
    type Out: Send + 'static;

    /// What an item decides, if anything; `None` in its place is the end.
    fn take(&mut self, item: Option<Self::In>) -> Result<Option<Self::Out>, CodecError>;
}

/// A source, a stage, and what the stage is doing.
pub(super) struct Pipe<S, G: Stage> {
    source: S,
    state: State<G>,
    has_ended: bool,
    pool: Option<Arc<ThreadPool>>,
    cancel: CancelFlag,
}

/// What an item has decided, if anything.
type Decided<G> = Result<Option<<G as Stage>::Out>, CodecError>;

enum State<G: Stage> {
    /// Waits for an item. Boxed: it moves to another thread and back.
    Idle(Box<G>),
    Working(Job<(Box<G>, Decided<G>)>),
    Done,
}

impl<S, G: Stage> Pipe<S, G>
where
    S: Stream<Item = G::In> + Unpin,
{
    pub(super) fn new(
        source: S,
        stage: G,
        pool: Option<Arc<ThreadPool>>,
        cancel: CancelFlag,
    ) -> Self {
        Self {
            source,
            state: State::Idle(Box::new(stage)),
            has_ended: false,
            pool,
            cancel,
        }
    }

    pub(super) fn poll_next(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<G::Out, CodecError>>> {
        loop {
            if let State::Working(job) = &mut self.state {
                let (stage, result) = ready!(Pin::new(job).poll(context));
                self.state = match self.has_ended || result.is_err() {
                    true => State::Done,
                    false => State::Idle(stage),
                };
                if let Some(result) = result.transpose() {
                    return Poll::Ready(Some(result));
                }
            }
            if matches!(self.state, State::Done) {
                return Poll::Ready(None);
            }
            if self.cancel.is_cancelled() {
                self.state = State::Done;
                return Poll::Ready(Some(Err(CodecError::Cancelled)));
            }
            let item = ready!(Pin::new(&mut self.source).poll_next(context));
            self.has_ended = item.is_none();
            if let State::Idle(mut stage) = std::mem::replace(&mut self.state, State::Done) {
                let work = move || {
                    let result = stage.take(item);
                    (stage, result)
                };
                self.state = State::Working(Job::start(self.pool.as_deref(), work));
            }
        }
    }
}

/// Codes in, samples out.
pub(super) struct DecoderStage {
    decoder: StreamDecoder,
    /// Samples still wanted, of all channels; all that come where it is `None`.
    wanted: Option<u64>,
}

impl DecoderStage {
    pub(super) fn new(decoder: StreamDecoder, wanted: Option<u64>) -> Self {
        Self { decoder, wanted }
    }
}

impl Stage for DecoderStage {
    type In = Codes;
    type Out = Vec<f32>;

    fn take(&mut self, codes: Option<Codes>) -> Result<Option<Vec<f32>>, CodecError> {
        let mut samples = Vec::new();
        match codes {
            Some(codes) => self.decoder.push(&codes, &mut samples)?,
            None => self.decoder.finish(&mut samples)?,
        };
        if let Some(wanted) = &mut self.wanted {
            samples.truncate(usize::try_from(*wanted).unwrap_or(usize::MAX));
            *wanted -= samples.len() as u64;
        }
        Ok((!samples.is_empty()).then_some(samples))
    }
}

/// Samples in, codes out.
pub(super) struct EncoderStage(pub(super) StreamEncoder);

impl Stage for EncoderStage {
    type In = Vec<f32>;
    type Out = Codes;

    fn take(&mut self, pcm: Option<Vec<f32>>) -> Result<Option<Codes>, CodecError> {
        let mut codes = self.0.empty_codes();
        match pcm {
            Some(pcm) => self.0.push(&pcm, &mut codes)?,
            None => self.0.finish(&mut codes)?,
        };
        let is_last = codes.source_samples().is_some();
        Ok((is_last || !codes.is_empty()).then_some(codes))
    }
}

/// Codes that are all there, a piece at a time; the source of [`AsyncCodec::decode_in_pieces`](super::AsyncCodec).
pub struct Pieces {
    codes: Codes,
    pieces: std::vec::IntoIter<Range<u64>>,
}

impl Pieces {
    /// Of codes that are whole.
    pub(super) fn new(model: &CodecModel, codes: Codes) -> Self {
        Self {
            pieces: model.decode_pieces(&codes).into_iter(),
            codes,
        }
    }
}

impl Stream for Pieces {
    type Item = Codes;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Codes>> {
        let Some(piece) = self.pieces.next() else {
            return Poll::Ready(None);
        };
        let piece = self.codes.slice(piece);
        let piece = piece.expect("whole codes have this range");
        Poll::Ready(Some(piece))
    }
}
