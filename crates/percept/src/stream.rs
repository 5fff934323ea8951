//! One stream or many, on the threads of their recogniser.

use std::sync::Arc;

use percept_asr::{
    Model, Scheduler, SchedulerOptions, StepReport, StreamEvent, StreamOptions, StreamState,
};
use rayon::ThreadPool;

use crate::recognizer::{Error, Recognizer};

impl Recognizer {
    /// A stream at sample 0, for speech that is still being spoken; see [`Stream`].
    ///
    /// # Errors
    /// [`Error::Stream`] where the model cannot be streamed in this way.
    pub fn stream(&self, options: &StreamOptions) -> Result<Stream, Error> {
        let model = Arc::clone(self.model());
        let begin = || percept_asr::Stream::new(model, options);
        Ok(Stream {
            stream: self.pool.install(begin)?,
            pool: Arc::clone(&self.pool),
        })
    }

    /// A scheduler for many streams, which computes on the threads of this recogniser.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use percept::{Next, Recognizer, RecognizerOptions, SchedulerOptions, StreamEvent, StreamOptions};
    ///
    /// let recognizer = Recognizer::embedded(&RecognizerOptions::default())?;
    /// let mut scheduler = recognizer.scheduler(SchedulerOptions::default());
    /// let now = Duration::ZERO; // since any origin, as the caller's clock has it
    /// let ids = [
    ///     scheduler.admit(&StreamOptions::default())?,
    ///     scheduler.admit(&StreamOptions::default())?,
    /// ];
    /// for id in ids {
    ///     let taken = scheduler.push(id, &[0.0; 16_000], now)?;
    ///     assert_eq!(taken, 16_000); // fewer where the queue is full
    ///     scheduler.finish(id, now)?;
    /// }
    /// while scheduler.next(now) == Next::Run {
    ///     scheduler.run(now);
    /// }
    /// for id in ids {
    ///     assert_eq!(scheduler.events(id).last(), Some(&StreamEvent::End));
    ///     scheduler.release(id)?;
    /// }
    /// # Ok::<(), percept::Error>(())
    /// ```
    pub fn scheduler(&self, options: SchedulerOptions) -> Scheduler {
        Scheduler::new(Arc::clone(self.model()), options).on_pool(Arc::clone(&self.pool))
    }
}

/// Speech that becomes text while it is spoken: one stream, which computes as audio comes. Any way of cutting the audio into
/// pushes tells the same events, and memory stays bounded where they are cleared.
///
/// ```
/// use percept::{Recognizer, RecognizerOptions, StreamEvent, StreamOptions};
///
/// let recognizer = Recognizer::embedded(&RecognizerOptions::default())?;
/// let mut stream = recognizer.stream(&StreamOptions::default())?;
/// for packet in vec![0.0; 16_000].chunks(320) {
///     stream.push(packet)?; // mono, at recognizer.sample_rate()
///     for event in stream.events() {
///         if let StreamEvent::Commit(token) = event {
///             print!("{}", recognizer.model().token_text(token.id));
///         }
///     }
///     stream.clear_events();
/// }
/// stream.finish();
/// assert_eq!(stream.events().last(), Some(&StreamEvent::End));
/// # Ok::<(), percept::Error>(())
/// ```
#[derive(Debug)]
pub struct Stream {
    stream: percept_asr::Stream,
    pool: Arc<ThreadPool>,
}

impl Stream {
    /// The model.
    pub fn model(&self) -> &Arc<Model> {
        self.stream.model()
    }

    /// A copy, which goes on by itself; see [`StreamState::fork`].
    pub fn fork(&self) -> Option<Stream> {
        Some(Stream {
            stream: self.stream.fork()?,
            pool: Arc::clone(&self.pool),
        })
    }

    /// Its memory.
    pub fn state(&self) -> &StreamState {
        self.stream.state()
    }

    /// Takes any number of mono samples in `[-1, 1]`, and computes what they decide.
    ///
    /// # Errors
    /// [`Error::Stream`] where a sample is no number, with all before it taken, and after [`Stream::finish`].
    pub fn push(&mut self, pcm: &[f32]) -> Result<(), Error> {
        // Where no step is due there is no work for the pool.
        if pcm.len() < self.stream.state().room() {
            return Ok(self.stream.push(pcm)?);
        }
        Ok(self.pool.install(|| self.stream.push(pcm))?)
    }

    /// Takes note of samples that were lost; see [`StreamState::skip`].
    ///
    /// # Errors
    /// [`Error::Stream`] after [`Stream::finish`].
    pub fn skip(&mut self, samples: u64) -> Result<(), Error> {
        Ok(self.pool.install(|| self.stream.skip(samples))?)
    }

    /// Ends the stream and computes the rest. Doing it again changes nothing.
    pub fn finish(&mut self) {
        self.pool.install(|| self.stream.finish());
    }

    /// What was decided since [`Stream::clear_events`].
    pub fn events(&self) -> &[StreamEvent] {
        self.stream.events()
    }

    /// Forgets the events so far.
    pub fn clear_events(&mut self) {
        self.stream.clear_events();
    }

    /// Decodes `frames` encoder frames at a step; see [`StreamState::set_chunk_frames`].
    ///
    /// # Errors
    /// [`Error::Stream`] for cache-aware streams, and for no frames at all.
    pub fn set_chunk_frames(&mut self, frames: usize) -> Result<(), Error> {
        Ok(self.stream.set_chunk_frames(frames)?)
    }

    /// What the last step did.
    pub fn last_step(&self) -> StepReport {
        self.stream.last_step()
    }
}
