//! One recording on its way through a model.

use std::sync::Arc;

use crate::error::ModelError;
use crate::model::Model;
use crate::profile::{Clock, Profile, Stage};
use crate::search::EmittedToken;
use crate::stream::{StepMemory, StreamError, StreamEvent, StreamState};
use crate::transcript::{Transcript, TranscriptContext};

/// Seconds of audio that recordings side by side may have at a step: enough rows for the matrix kernels on many threads,
/// little memory. One that has more by itself is alone.
const BATCH_SECONDS: usize = 60;

/// Most recordings side by side, however short.
const BATCH_STREAMS: usize = 64;

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
        let room = self.recording().room();
        let most = BATCH_SECONDS * self.sample_rate() as usize;
        for group in runs(recordings, room, most) {
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

/// Cuts recordings into runs that are recognised side by side: a step takes at most `most` samples of all of a run together,
/// or of a single one what that needs. It takes no more than `room` of each. The shortest ones count as if they were longer.
fn runs<'r, 'a>(recordings: &'r [&'a [f32]], room: usize, most: usize) -> Vec<&'r [&'a [f32]]> {
    let (mut runs, mut start, mut samples) = (Vec::new(), 0, 0);
    for (n, pcm) in recordings.iter().enumerate() {
        let own = pcm.len().min(room).max(most / BATCH_STREAMS);
        if n > start && samples + own > most {
            runs.push(&recordings[start..n]);
            (start, samples) = (n, 0);
        }
        samples += own;
    }
    runs.push(&recordings[start..]);
    runs
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

#[cfg(test)]
mod tests {
    use super::runs;

    #[test]
    fn recordings_run_together_while_a_step_of_all_stays_small() {
        let silence = [0.0; 100];
        for (lengths, expected) in [
            (&[][..], &[0][..]),
            (&[100], &[1]),
            (&[4, 3, 3, 1, 0, 9], &[3, 3]),
            (&[4, 7, 4, 6], &[1, 1, 2]),
            // Of long ones, a step takes the room of a window.
            (&[8, 100, 100, 100], &[1, 1, 1, 1]),
        ] {
            let recordings: Vec<&[f32]> = lengths.iter().map(|&n| &silence[..n]).collect();
            let cut = runs(&recordings, 8, 10);
            let counts: Vec<usize> = cut.iter().map(|run| run.len()).collect();
            assert_eq!(counts, expected, "{lengths:?}");
            assert_eq!(cut.concat(), recordings);
        }
        let long: Vec<&[f32]> = vec![&silence; 7];
        let counts: Vec<usize> = runs(&long, 3, 10).iter().map(|run| run.len()).collect();
        assert_eq!(
            counts,
            [3, 3, 1],
            "windows of long ones go together where they are short"
        );
        let none: Vec<&[f32]> = vec![&[]; 200];
        let longest = runs(&none, 1000, 1000).iter().map(|run| run.len()).max();
        assert!(longest <= Some(67), "{longest:?}");
    }
}
