//! One recording on its way through a model.

use std::sync::Arc;

use crate::error::ModelError;
use crate::model::{Head, Model};
use crate::profile::{Clock, Profile, Stage};
use crate::search::{CtcState, CtcStream, EmittedToken, TransducerStream};
use crate::transcript::{Transcript, TranscriptContext};
use crate::transducer::TransducerState;
use crate::windows::{Window, Windower};

/// Most audio that one batch holds, in windows' worth of samples of the longest window; bounds memory.
const BATCH_STREAMS: usize = 8;

/// A recording that arrives in pieces. Any way of cutting it gives the same transcript, and memory stays bounded
/// however long it is: [`Model::windows`] says how.
///
/// Samples are mono, in `[-1, 1]`, at [`Model::sample_rate`].
#[derive(Debug)]
pub struct Session {
    model: Arc<Model>,
    stream: Stream,
}

/// What one recording carries from window to window.
#[derive(Clone, Debug)]
struct Stream {
    windower: Windower,
    search: SearchState,
    tokens: Vec<EmittedToken>,
    frames: u64,
}

#[derive(Clone, Debug)]
enum SearchState {
    Transducer(Box<TransducerState>),
    Ctc(CtcState),
}

impl Session {
    /// A session at sample 0.
    pub fn new(model: Arc<Model>) -> Self {
        let stream = Stream::new(&model);
        Session { model, stream }
    }

    /// Takes any number of samples.
    ///
    /// # Errors
    /// [`ModelError::NotFinite`] where a sample is no number; the samples before it are kept, the rest of `pcm` is not.
    pub fn push(&mut self, pcm: &[f32]) -> Result<(), ModelError> {
        let finite = pcm.iter().position(|v| !v.is_finite()).unwrap_or(pcm.len());
        let mut rest = &pcm[..finite];
        while !rest.is_empty() {
            let (now, later) = rest.split_at(rest.len().min(self.stream.windower.room()));
            self.stream.windower.push(now);
            rest = later;
            run(&self.model, &mut [&mut self.stream], &mut |_| {});
        }
        if finite < pcm.len() {
            let seconds = self.stream.seconds(&self.model);
            return Err(ModelError::NotFinite { seconds });
        }
        Ok(())
    }

    /// Seconds of audio taken so far.
    pub fn seconds(&self) -> f64 {
        self.stream.seconds(&self.model)
    }

    /// Ends the recording and returns all that was said.
    pub fn finish(mut self) -> Transcript {
        self.stream.windower.end();
        run(&self.model, &mut [&mut self.stream], &mut |_| {});
        self.stream.transcript(&self.model)
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
        for group in recordings.chunks(BATCH_STREAMS) {
            let mut streams: Vec<Stream> = group.iter().map(|_| Stream::new(self)).collect();
            let mut rests: Vec<&[f32]> = group.to_vec();
            while rests.iter().any(|rest| !rest.is_empty()) {
                for (stream, rest) in streams.iter_mut().zip(&mut rests) {
                    let (now, later) = rest.split_at(rest.len().min(stream.windower.room()));
                    stream.windower.push(now);
                    *rest = later;
                    if later.is_empty() {
                        stream.windower.end();
                    }
                }
                run(self, &mut streams.iter_mut().collect::<Vec<_>>(), after);
            }
            for mut stream in streams {
                stream.windower.end();
                run(self, &mut [&mut stream], after);
                transcripts.push(stream.transcript(self));
            }
        }
        Ok(transcripts)
    }
}

impl Stream {
    fn new(model: &Model) -> Self {
        Stream {
            windower: Windower::new(model.windows(), model.config().samples_per_frame()),
            search: match model.head() {
                Head::Transducer(head) => SearchState::Transducer(Box::new(head.state())),
                Head::Ctc(_) => SearchState::Ctc(CtcState::new()),
            },
            tokens: Vec::new(),
            frames: 0,
        }
    }

    fn seconds(&self, model: &Model) -> f64 {
        self.windower.received() as f64 / f64::from(model.sample_rate())
    }

    fn transcript(mut self, model: &Model) -> Transcript {
        let duration = self.seconds(model);
        if let SearchState::Ctc(state) = self.search {
            state.finish(&mut self.tokens);
        }
        let context = TranscriptContext {
            vocabulary: model.vocabulary(),
            seconds_per_frame: model.config().seconds_per_frame(),
            duration,
            aggregate: model.options().aggregate,
        };
        Transcript::new(&self.tokens, &context)
    }
}

/// Encodes and decodes every window that is ready, those of several streams together.
/// `after` hears of each stage that has ended.
fn run(model: &Model, streams: &mut [&mut Stream], after: &mut dyn FnMut(Stage)) {
    loop {
        let ready: Vec<Option<Window>> = streams
            .iter_mut()
            .map(|stream| stream.windower.next())
            .collect();
        let mut busy: Vec<(&mut Stream, Window)> = streams
            .iter_mut()
            .zip(&ready)
            .filter_map(|(stream, window)| Some((&mut **stream, (*window)?)))
            .collect();
        if busy.is_empty() {
            return;
        }
        let pieces: Vec<&[f32]> = busy
            .iter()
            .map(|(stream, window)| stream.windower.samples(window))
            .collect();
        let (frames, items) = model.encode_for_head(&pieces, after);
        let width = model.config().encoder.width();
        let chunks: Vec<&[f32]> = items
            .ranges()
            .zip(&busy)
            .map(|(item, (_, window))| {
                let start = (item.start + window.left).min(item.end);
                let end = window
                    .chunk
                    .map_or(item.end, |chunk| (start + chunk).min(item.end));
                &frames[start * width..end * width]
            })
            .collect();
        decode(model, &mut busy, &chunks);
        after(Stage::Decoder);
        for ((stream, _), chunk) in busy.iter_mut().zip(&chunks) {
            stream.frames += (chunk.len() / width) as u64;
        }
    }
}

/// Moves every stream's search over its chunk `[frames, width]`.
fn decode(model: &Model, streams: &mut [(&mut Stream, Window)], chunks: &[&[f32]]) {
    let confidence = model.options().confidence;
    let (mut transducer, mut ctc) = (Vec::new(), Vec::new());
    for ((stream, _), frames) in streams.iter_mut().zip(chunks) {
        let first_frame = stream.frames;
        let Stream {
            search,
            tokens: out,
            ..
        } = &mut **stream;
        match search {
            SearchState::Transducer(state) => transducer.push(TransducerStream {
                state,
                frames,
                first_frame,
                out,
            }),
            SearchState::Ctc(state) => ctc.push(CtcStream {
                state,
                frames,
                first_frame,
                out,
            }),
        }
    }
    match model.head() {
        Head::Transducer(head) => head.decode(confidence, &mut transducer),
        Head::Ctc(head) => head.decode(confidence, &mut ctc),
    }
}
