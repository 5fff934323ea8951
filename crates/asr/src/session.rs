//! One recording on its way through a model.

use std::sync::Arc;

use crate::error::ModelError;
use crate::model::Model;
use crate::profile::{Clock, Profile, Stage};
use crate::search::EmittedToken;
use crate::stream::{StepMemory, StreamError, StreamEvent, StreamState};
use crate::transcript::{Transcript, TranscriptContext};

/// Most recordings that are recognised side by side; bounds memory.
const BATCH_STREAMS: usize = 8;

/// A recording that arrives in pieces. Any way of cutting it gives the same transcript, and memory stays bounded
/// however long it is: [`Model::windows`] says how.
///
/// Samples are mono, in `[-1, 1]`, at [`Model::sample_rate`].
#[derive(Debug)]
pub struct Session {
    model: Arc<Model>,
    recording: Recording,
    memory: StepMemory,
}

/// A recording and what was heard of it so far.
#[derive(Debug)]
struct Recording {
    state: StreamState,
    tokens: Vec<EmittedToken>,
}

impl Session {
    /// A session at sample 0.
    pub fn new(model: Arc<Model>) -> Self {
        Session {
            recording: Recording::new(&model),
            model,
            memory: StepMemory::default(),
        }
    }

    /// Takes any number of samples.
    ///
    /// # Errors
    /// [`ModelError::NotFinite`] where a sample is no number; the samples before it are kept, the rest of `pcm` is not.
    pub fn push(&mut self, mut pcm: &[f32]) -> Result<(), ModelError> {
        while !pcm.is_empty() {
            let taken = self.recording.push(pcm);
            self.run();
            pcm = &pcm[taken?..];
        }
        Ok(())
    }

    /// Seconds of audio taken so far.
    pub fn seconds(&self) -> f64 {
        self.recording.seconds(&self.model)
    }

    /// Ends the recording and returns all that was said.
    pub fn finish(mut self) -> Transcript {
        self.recording.state.finish();
        self.run();
        self.recording.transcript(&self.model)
    }

    fn run(&mut self) {
        while self.recording.state.is_ready() {
            self.model
                .step(&mut [&mut self.recording.state], &mut self.memory);
            self.recording.collect();
        }
    }
}

impl Model {
    /// Recognises several recordings side by side. Each transcript is what the recording gives alone.
    ///
    /// # Errors
    /// [`ModelError::NotFinite`] at the first sample of any recording that is no number.
    pub fn transcribe(&self, recordings: &[&[f32]]) -> Result<Vec<Transcript>, ModelError> {
        self.transcribe_observed(recordings, &mut |_| {})
    }

    /// Recognises a recording and says where the time went.
    ///
    /// # Errors
    /// As [`Model::transcribe`].
    pub fn profile(&self, pcm: &[f32]) -> Result<Profile, ModelError> {
        let mut clock = Clock::start();
        let mut said = self.transcribe_observed(&[pcm], &mut |stage| clock.lap(stage))?;
        Ok(Profile {
            stages: clock.stages(),
            transcript: said.remove(0),
        })
    }

    /// `after` hears of each stage that has ended.
    fn transcribe_observed(
        &self,
        recordings: &[&[f32]],
        after: &mut dyn FnMut(Stage),
    ) -> Result<Vec<Transcript>, ModelError> {
        for pcm in recordings {
            if let Some(at) = pcm.iter().position(|v| !v.is_finite()) {
                return Err(ModelError::NotFinite {
                    seconds: at as f64 / f64::from(self.sample_rate()),
                });
            }
        }
        let mut transcripts = Vec::with_capacity(recordings.len());
        let mut memory = StepMemory::default();
        for group in recordings.chunks(BATCH_STREAMS) {
            let mut side_by_side: Vec<Recording> =
                group.iter().map(|_| Recording::new(self)).collect();
            let mut rests: Vec<&[f32]> = group.to_vec();
            while side_by_side.iter().any(|one| !one.state.is_over()) {
                for (one, rest) in side_by_side.iter_mut().zip(&mut rests) {
                    *rest = &rest[one.push(rest)?..];
                    if rest.is_empty() {
                        one.state.finish();
                    }
                }
                let mut states: Vec<&mut StreamState> =
                    side_by_side.iter_mut().map(|one| &mut one.state).collect();
                self.step_observed(&mut states, &mut memory, after);
                side_by_side.iter_mut().for_each(Recording::collect);
            }
            let said = side_by_side.into_iter().map(|one| one.transcript(self));
            transcripts.extend(said);
        }
        Ok(transcripts)
    }
}

impl Recording {
    fn new(model: &Model) -> Self {
        Recording {
            state: model.recording(),
            tokens: Vec::new(),
        }
    }

    /// How many samples were taken; none once it was finished.
    fn push(&mut self, pcm: &[f32]) -> Result<usize, ModelError> {
        match self.state.push(pcm) {
            Ok(taken) => Ok(taken),
            Err(StreamError::NotFinite { seconds }) => Err(ModelError::NotFinite { seconds }),
            Err(_) => Ok(0),
        }
    }

    /// Takes the tokens that were decided.
    fn collect(&mut self) {
        let events = self.state.events().iter();
        self.tokens.extend(events.filter_map(|event| match event {
            StreamEvent::Commit(token) => Some(*token),
            _ => None,
        }));
        self.state.clear_events();
    }

    fn seconds(&self, model: &Model) -> f64 {
        self.state.received() as f64 / f64::from(model.sample_rate())
    }

    fn transcript(self, model: &Model) -> Transcript {
        let context = TranscriptContext {
            vocabulary: model.vocabulary(),
            seconds_per_frame: model.config().seconds_per_frame(),
            duration: self.seconds(model),
            aggregate: model.options().aggregate,
        };
        Transcript::new(&self.tokens, &context)
    }
}
