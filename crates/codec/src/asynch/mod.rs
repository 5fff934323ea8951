//! Futures over the blocking calls, for any executor.
//!
//! The work runs on a rayon pool; polling looks whether it is done and never waits. No thread waits for a consumer either:
//! a stream starts its next piece of work when the one before was taken. Dropping a future cancels it within a piece of its
//! work, dropping a stream when it is done with the item it has.
//!
//! ```
//! use std::sync::Arc;
//!
//! use percept_codec::asynch::AsyncCodec;
//! use percept_codec::{CodecError, CodecModel, Codes, DecodeOptions, EncodeOptions, Pcm};
//!
//! async fn there_and_back(model: Arc<CodecModel>, pcm: Pcm) -> Result<Pcm, CodecError> {
//!     let codec = AsyncCodec::new(model);
//!     let codes: Codes = codec.encode(pcm, EncodeOptions::default()).await?;
//!     codec.decode(codes, DecodeOptions::default()).await
//! }
//! ```

mod job;
mod pipe;
#[cfg(test)]
mod tests;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_core::Stream;
use rayon::ThreadPool;

use crate::{
    CancelFlag, CodecBackend, CodecError, CodecModel, Codes, Control, DecodeOptions, EncodeOptions,
    Pcm, PcmRef, StreamDecoder, StreamEncoder,
};
use job::Job;
use pipe::{DecoderStage, EncoderStage, Pipe};

pub use pipe::Pieces;

/// A codec whose work other threads do.
#[derive(Clone, Debug)]
pub struct AsyncCodec {
    model: Arc<CodecModel>,
    pool: Option<Arc<ThreadPool>>,
}

impl AsyncCodec {
    /// On rayon's global pool.
    pub fn new(model: Arc<CodecModel>) -> Self {
        Self { model, pool: None }
    }

    /// On the threads of `pool`.
    pub fn on_pool(self, pool: Arc<ThreadPool>) -> Self {
        Self {
            pool: Some(pool),
            ..self
        }
    }

    /// As [`CodecModel::encode`].
    pub fn encode(&self, pcm: Pcm, mut options: EncodeOptions) -> Task<Codes> {
        let model = Arc::clone(&self.model);
        let cancel = Cancel::of(&mut options.control);
        self.task(cancel, move || model.encode(PcmRef::from(&pcm), &options))
    }

    /// As [`CodecModel::decode`].
    pub fn decode(&self, codes: Codes, mut options: DecodeOptions) -> Task<Pcm> {
        let model = Arc::clone(&self.model);
        let cancel = Cancel::of(&mut options.control);
        self.task(cancel, move || model.decode(&codes, &options))
    }

    /// The sound of `codes`, a piece at a time; together the samples of [`decode`](Self::decode).
    ///
    /// # Errors
    /// As for [`CodecModel::decode`].
    pub fn decode_in_pieces(
        &self,
        codes: Codes,
        options: &DecodeOptions,
    ) -> Result<PcmStream<Pieces>, CodecError> {
        if codes.is_empty() {
            return Err(CodecError::EmptyCodes);
        }
        codes.validate(&self.model.spec().books)?;
        codes.check_whole()?;
        let trimmed = codes.source_samples().filter(|_| options.trim);
        let decoder = StreamDecoder::new(Arc::clone(&self.model), options);
        let samples = trimmed.map(|n| n.saturating_mul(u64::from(self.model.spec().channels)));
        Ok(PcmStream(Pipe::new(
            Pieces::new(&self.model, codes),
            DecoderStage::new(decoder, samples),
            self.pool.clone(),
            options.control.cancel.clone(),
        )))
    }

    /// The sound of codes that are still to come, as it becomes final: interleaved samples for each item of `codes` that
    /// decides any. The first error ends it.
    pub fn decode_stream<S>(&self, codes: S, options: &DecodeOptions) -> PcmStream<S>
    where
        S: Stream<Item = Codes> + Unpin,
    {
        let decoder = StreamDecoder::new(Arc::clone(&self.model), options);
        PcmStream(Pipe::new(
            codes,
            DecoderStage::new(decoder, None),
            self.pool.clone(),
            options.control.cancel.clone(),
        ))
    }

    /// The codes of sound that is still to come, as they become final: whole super-frames for each item of `pcm`
    /// (interleaved samples) that decides any, and a last item, which knows how long the source was. The first error ends it.
    ///
    /// # Errors
    /// As for [`StreamEncoder::new`].
    pub fn encode_stream<S>(
        &self,
        pcm: S,
        options: &EncodeOptions,
    ) -> Result<CodesStream<S>, CodecError>
    where
        S: Stream<Item = Vec<f32>> + Unpin,
    {
        let encoder = StreamEncoder::new(Arc::clone(&self.model), options)?;
        Ok(CodesStream(Pipe::new(
            pcm,
            EncoderStage(encoder),
            self.pool.clone(),
            options.control.cancel.clone(),
        )))
    }

    fn task<T: Send + 'static>(
        &self,
        cancel: Cancel,
        work: impl FnOnce() -> Result<T, CodecError> + Send + 'static,
    ) -> Task<T> {
        Task::start(self.pool.as_deref(), cancel, work)
    }
}

/// As [`CodecBackend::load`], on rayon's global pool. Loading that has begun is done to its end, since other calls may wait
/// for it.
pub fn load(backend: Arc<dyn CodecBackend>) -> Task<()> {
    Task::start(None, Cancel::default(), move || backend.load())
}

/// As [`CodecBackend::encode_pcm_with`], on rayon's global pool. Cancelling takes effect within a piece of work.
pub fn encode_pcm(
    backend: Arc<dyn CodecBackend>,
    samples: Vec<f32>,
    sample_rate: u32,
    mut control: Control,
) -> Task<Vec<u32>> {
    let cancel = Cancel::of(&mut control);
    let encode = move || backend.encode_pcm_with(&samples, sample_rate, &control);
    Task::start(None, cancel, encode)
}

/// As [`CodecBackend::decode_tokens_with`], on rayon's global pool. Cancelling takes effect within a piece of work.
pub fn decode_tokens(
    backend: Arc<dyn CodecBackend>,
    tokens: Vec<u32>,
    num_codebooks: usize,
    mut control: Control,
) -> Task<Vec<f32>> {
    let cancel = Cancel::of(&mut control);
    let decode = move || backend.decode_tokens_with(&tokens, num_codebooks, &control);
    Task::start(None, cancel, decode)
}

/// The result of work that other threads do. Dropping it cancels the work.
///
/// # Panics
/// Polling panics where the work did.
#[must_use = "dropping it cancels the work"]
pub struct Task<T> {
    job: Job<Result<T, CodecError>>,
    cancel: CancelFlag,
}

impl<T: Send + 'static> Task<T> {
    fn start(
        pool: Option<&ThreadPool>,
        cancel: Cancel,
        work: impl FnOnce() -> Result<T, CodecError> + Send + 'static,
    ) -> Self {
        let own = cancel.own.clone();
        let job = Job::start(pool, move || match cancel.is_cancelled() {
            true => Err(CodecError::Cancelled),
            false => work(),
        });
        Self { job, cancel: own }
    }
}

impl<T> Future for Task<T> {
    type Output = Result<T, CodecError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.job).poll(context)
    }
}

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        self.cancel.cancel();
    }
}

/// The flag of one future, and the caller's: that may belong to other work as well, which must not end because one future
/// is dropped.
#[derive(Clone, Default)]
struct Cancel {
    own: CancelFlag,
    callers: CancelFlag,
}

impl Cancel {
    /// Puts a flag of its own into `control`, which follows the caller's before and after each report of progress.
    fn of(control: &mut Control) -> Self {
        let own = CancelFlag::default();
        let callers = std::mem::replace(&mut control.cancel, own.clone());
        let cancel = Self { own, callers };
        let (follower, report) = (cancel.clone(), control.progress.take());
        control.progress = Some(Arc::new(move |progress| {
            match &report {
                Some(report) if !follower.follow() => report(progress),
                _ => {}
            }
            follower.follow();
        }));
        cancel
    }

    /// Whether the work is not wanted any more; its own flag says so then.
    fn follow(&self) -> bool {
        if self.callers.is_cancelled() {
            self.own.cancel();
        }
        self.own.is_cancelled()
    }

    fn is_cancelled(&self) -> bool {
        self.own.is_cancelled() || self.callers.is_cancelled()
    }
}

/// Interleaved samples as they become final; see [`AsyncCodec::decode_stream`].
pub struct PcmStream<S>(Pipe<S, DecoderStage>);

impl<S: Stream<Item = Codes> + Unpin> Stream for PcmStream<S> {
    type Item = Result<Vec<f32>, CodecError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_next(context)
    }
}

/// Codes as they become final; see [`AsyncCodec::encode_stream`].
pub struct CodesStream<S>(Pipe<S, EncoderStage>);

impl<S: Stream<Item = Vec<f32>> + Unpin> Stream for CodesStream<S> {
    type Item = Result<Codes, CodecError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_next(context)
    }
}
