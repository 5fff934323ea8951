//! One stream with its model: the plain way to stream.

use std::sync::Arc;

use super::error::StreamError;
use super::event::StreamEvent;
use super::options::StreamOptions;
use super::state::StreamState;
use super::step::{StepMemory, StepReport};
use crate::model::Model;

/// A stream that computes as audio comes, on the threads of the caller's pool.
#[derive(Debug)]
pub struct Stream {
    model: Arc<Model>,
    state: StreamState,
    memory: StepMemory,
    last: StepReport,
}

impl Stream {
    /// A stream at sample 0.
    ///
    /// # Errors
    /// As [`Model::stream`].
    pub fn new(model: Arc<Model>, options: &StreamOptions) -> Result<Self, StreamError> {
        Ok(Stream {
            state: model.stream(options)?,
            model,
            memory: StepMemory::default(),
            last: StepReport::default(),
        })
    }

    /// The model.
    pub fn model(&self) -> &Arc<Model> {
        &self.model
    }

    /// Its memory.
    pub fn state(&self) -> &StreamState {
        &self.state
    }

    /// A copy, which goes on by itself; see [`StreamState::fork`].
    pub fn fork(&self) -> Option<Stream> {
        Some(Stream {
            model: Arc::clone(&self.model),
            state: self.state.fork()?,
            memory: StepMemory::default(),
            last: self.last,
        })
    }

    /// Takes any number of samples and computes what they decide.
    ///
    /// # Errors
    /// As [`StreamState::push`]; all samples before the one at fault were taken.
    pub fn push(&mut self, mut pcm: &[f32]) -> Result<(), StreamError> {
        loop {
            self.run();
            if pcm.is_empty() {
                return Ok(());
            }
            let taken = self.state.push(pcm)?;
            pcm = &pcm[taken..];
        }
    }

    /// Takes note of lost samples; see [`StreamState::skip`].
    ///
    /// # Errors
    /// As [`StreamState::skip`].
    pub fn skip(&mut self, samples: u64) -> Result<(), StreamError> {
        self.state.skip(samples)?;
        self.run();
        Ok(())
    }

    /// Ends the stream and computes the rest.
    pub fn finish(&mut self) {
        self.state.finish();
        self.run();
    }

    /// What was decided since [`Stream::clear_events`].
    pub fn events(&self) -> &[StreamEvent] {
        self.state.events()
    }

    /// Forgets the events so far.
    pub fn clear_events(&mut self) {
        self.state.clear_events();
    }

    /// Decodes `frames` encoder frames at a step; see [`StreamState::set_chunk_frames`].
    ///
    /// # Errors
    /// As [`StreamState::set_chunk_frames`].
    pub fn set_chunk_frames(&mut self, frames: usize) -> Result<(), StreamError> {
        self.state.set_chunk_frames(frames)
    }

    /// What the last step did.
    pub fn last_step(&self) -> StepReport {
        self.last
    }

    fn run(&mut self) {
        while self.state.is_ready() {
            self.last = self.model.step(&mut [&mut self.state], &mut self.memory);
        }
    }
}
