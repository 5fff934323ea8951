//! The memory of one stream.

use std::collections::VecDeque;

use percept_audio::SpeechGate;

use super::endpoint::{Endpoint, Endpointer};
use super::error::StreamError;
use super::event::StreamEvent;
use super::intake::{Intake, Onward};
use super::source::{Plan, Source};
use crate::model::{Head, Model};
use crate::search::{CtcState, CtcStream, EmittedToken, TransducerLane};
use crate::text::Role;
use crate::transducer::TransducerState;

/// As much of a gap is heard as silence; if it is longer, the stream begins anew behind it.
const SILENT_GAP_SECONDS: u64 = 2;

/// What one stream carries: audio that waits, the encoder's and the decoder's memory, and what was decided. No model, no
/// thread and no clock is inside; it may be moved and dropped at any time, and copied by [`StreamState::fork`].
///
/// Samples are mono, in `[-1, 1]`, at the model's rate; louder ones are taken as they are. They go in through
/// [`StreamState::push`]; where [`StreamState::is_ready`] says so, [`Model::step`] moves it on, and what was decided is in
/// [`StreamState::events`].
#[derive(Debug)]
pub struct StreamState {
    intake: Intake,
    pub(super) search: SearchState,
    /// The search behind the right context.
    pub(super) preview: SearchState,
    /// Which of the two a step is moving.
    pub(super) pass: Pass,
    pub(super) plan: Option<Plan>,
    pub(super) progress: Progress,
    #[cfg(test)]
    pub(super) panics_at: Option<Progress>,
    tokens: Vec<EmittedToken>,
    tail: Vec<EmittedToken>,
    /// The tail that was told last has tokens.
    has_tail: bool,
    pub(super) is_volatile: bool,
    resets: bool,
    endpointer: Endpointer,
    endpoints: Vec<Endpoint>,
    gaps: VecDeque<Gap>,
    events: Vec<StreamEvent>,
    clock: StreamClock,
}

#[derive(Clone, Copy, Debug)]
struct Gap {
    start: u64,
    samples: u64,
}

/// Where a stream is, in samples and encoder frames.
#[derive(Clone, Copy, Debug)]
struct StreamClock {
    frame_samples: u64,
    sample_rate: u32,
    /// Frames decided.
    decided: u64,
}

/// What a search carries from step to step.
#[derive(Clone, Debug)]
pub(super) enum SearchState {
    Transducer(Box<TransducerState>),
    Ctc(CtcState),
}

/// Which search a step is moving.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pass {
    /// Over what is committed.
    Commit,
    /// Over the right context.
    Preview,
}

/// How far a step has come with a stream, so that it can be ended where a panic interrupts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// No step is under way.
    Between,
    /// The memory is changing; what it was before is gone.
    Changing,
    /// The step is planned, and nothing else has changed.
    Planned,
    /// Its frames are encoded; the search has not begun.
    Encoded,
    /// The search moves; what it was before is in `preview`.
    Searching,
    /// The search of what is to be committed has ended.
    Decided,
}

/// How a step that was interrupted goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Resumption {
    /// It does not need to.
    Done,
    /// From the encoder on.
    Encode,
    /// Over the frames that were encoded.
    Search,
    /// It tells what is committed, without a tail.
    Settle,
    /// It cannot.
    Lost,
}

impl SearchState {
    pub(super) fn new(head: &Head) -> Self {
        match head {
            Head::Transducer(head) => SearchState::Transducer(Box::new(head.state())),
            Head::Ctc(_) => SearchState::Ctc(CtcState::new()),
        }
    }

    fn copy_from(&mut self, other: &SearchState) {
        match (self, other) {
            (SearchState::Transducer(to), SearchState::Transducer(from)) => to.copy_from(from),
            (SearchState::Ctc(to), SearchState::Ctc(from)) => to.clone_from(from),
            _ => unreachable!("a stream has one kind of search"),
        }
    }

    /// The frame of a token that is held back because its run goes on.
    fn held_back(&self) -> Option<u64> {
        match self {
            SearchState::Transducer(_) => None,
            SearchState::Ctc(state) => state.open_run().map(|token| token.frame),
        }
    }

    /// Forgets the text so far, and nothing else: where the search is within the frames stays.
    fn forget_text(&mut self, head: &Head) {
        if let (SearchState::Transducer(state), Head::Transducer(head)) = (self, head) {
            state.forget_text(&head.state());
        }
    }

    /// Ends the search: appends what it has held back.
    fn finish(&mut self, out: &mut Vec<EmittedToken>) {
        if let SearchState::Ctc(state) = self {
            std::mem::take(state).finish(out);
        }
    }
}

/// What a stream is made of besides its source.
pub(super) struct StreamParts {
    pub(super) source: Source,
    pub(super) gate: Option<SpeechGate>,
    pub(super) search: SearchState,
    pub(super) endpointer: Endpointer,
    pub(super) is_volatile: bool,
    pub(super) resets: bool,
    pub(super) frame_samples: usize,
    pub(super) sample_rate: u32,
}

impl StreamState {
    pub(super) fn new(parts: StreamParts) -> Self {
        StreamState {
            intake: Intake::new(
                parts.source,
                parts.gate,
                (
                    parts.frame_samples,
                    SILENT_GAP_SECONDS * u64::from(parts.sample_rate),
                ),
            ),
            preview: parts.search.clone(),
            search: parts.search,
            pass: Pass::Commit,
            plan: None,
            progress: Progress::Between,
            #[cfg(test)]
            panics_at: None,
            tokens: Vec::new(),
            tail: Vec::new(),
            has_tail: false,
            is_volatile: parts.is_volatile,
            resets: parts.resets,
            endpointer: parts.endpointer,
            endpoints: Vec::new(),
            gaps: VecDeque::new(),
            events: Vec::new(),
            clock: StreamClock {
                frame_samples: parts.frame_samples as u64,
                sample_rate: parts.sample_rate,
                decided: 0,
            },
        }
    }

    /// A copy, which goes on by itself; `None` where a detector of speech is inside, which cannot be copied.
    pub fn fork(&self) -> Option<StreamState> {
        Some(StreamState {
            intake: self.intake.fork()?,
            search: self.search.clone(),
            preview: self.preview.clone(),
            tokens: self.tokens.clone(),
            tail: self.tail.clone(),
            endpoints: self.endpoints.clone(),
            gaps: self.gaps.clone(),
            events: self.events.clone(),
            ..*self
        })
    }

    /// How many samples it takes before a step is due; 0 where one is.
    pub fn room(&self) -> usize {
        self.intake.room()
    }

    /// Takes samples, as many as there is room for, and says how many that were.
    ///
    /// # Errors
    /// [`StreamError::Finished`] after [`StreamState::finish`]; [`StreamError::NotFinite`] where a sample is no number: those
    /// before it were taken, it and the rest were not.
    pub fn push(&mut self, pcm: &[f32]) -> Result<usize, StreamError> {
        if self.is_finished() {
            return Err(StreamError::Finished);
        }
        let pcm = &pcm[..pcm.len().min(self.room())];
        let finite = pcm.iter().position(|v| !v.is_finite());
        let pcm = &pcm[..finite.unwrap_or(pcm.len())];
        self.intake.push(pcm);
        self.tell_silence();
        match finite {
            None => Ok(pcm.len()),
            Some(_) => Err(StreamError::NotFinite {
                seconds: self.received() as f64 / f64::from(self.clock.sample_rate),
            }),
        }
    }

    /// Takes note of samples that were lost. The clock goes on; a [`StreamEvent::Gap`] follows once the audio before is
    /// decided. The first 2 s of a gap are heard as silence; behind a longer one nothing is remembered of what came before.
    /// Samples lost in several calls without audio between them are one gap.
    ///
    /// # Errors
    /// [`StreamError::Finished`] after [`StreamState::finish`].
    pub fn skip(&mut self, samples: u64) -> Result<(), StreamError> {
        if self.is_finished() {
            return Err(StreamError::Finished);
        }
        if samples == 0 {
            return Ok(());
        }
        let start = self.received();
        match self.gaps.back_mut() {
            Some(last) if last.start.saturating_add(last.samples) == start => {
                last.samples = last.samples.saturating_add(samples);
            }
            _ => self.gaps.push_back(Gap { start, samples }),
        }
        self.intake.lose(samples);
        self.tell_silence();
        Ok(())
    }

    /// Ends the stream: what was heard so far will be decided to its end, a last chunk that is shorter included, as it is in
    /// a recording. No silence is added; where a model speaks late, push some first. Doing it again changes nothing.
    pub fn finish(&mut self) {
        if !self.is_finished() {
            self.intake.finish();
            self.tell_silence();
            if self.is_over() {
                self.tell_end();
            }
        }
    }

    /// Whether a step is due.
    pub fn is_ready(&self) -> bool {
        self.intake.is_ready()
    }

    /// Whether [`StreamState::finish`] was called.
    pub fn is_finished(&self) -> bool {
        self.intake.is_finished()
    }

    /// Whether all was decided; then [`StreamEvent::End`] was the last event.
    pub fn is_over(&self) -> bool {
        self.intake.is_over()
    }

    /// What was decided since [`StreamState::clear_events`].
    pub fn events(&self) -> &[StreamEvent] {
        &self.events
    }

    /// Forgets the events so far.
    pub fn clear_events(&mut self) {
        self.events.clear();
    }

    /// Samples taken so far, those that were lost included.
    pub fn received(&self) -> u64 {
        self.intake.received()
    }

    /// Encoder frames decided so far.
    pub fn decided(&self) -> u64 {
        self.clock.decided
    }

    /// Encoder frames that a step decodes.
    pub fn chunk_frames(&self) -> usize {
        self.intake.source.chunk_frames()
    }

    /// Decodes `frames` encoder frames at a step from the next window on.
    ///
    /// # Errors
    /// [`StreamError::FixedChunk`] for cache-aware streams, and for no frames at all.
    pub fn set_chunk_frames(&mut self, frames: usize) -> Result<(), StreamError> {
        match &mut self.intake.source {
            Source::Windows(source) if frames > 0 => {
                source.set_chunk(frames);
                Ok(())
            }
            source => Err(StreamError::FixedChunk {
                frames: source.chunk_frames(),
            }),
        }
    }

    /// Plans the next step, if one is due; one that was planned already and interrupted stays.
    pub(super) fn plan_step(&mut self) {
        if self.progress == Progress::Planned {
            return;
        }
        self.plan = None;
        if self.is_ready() {
            self.reach(Progress::Changing);
            self.plan = self.intake.source.plan();
            let is_planned = self.plan.is_some();
            self.reach(match is_planned {
                true => Progress::Planned,
                false => Progress::Between,
            });
        }
    }

    pub(super) fn reach(&mut self, progress: Progress) {
        self.progress = progress;
        #[cfg(test)]
        assert_ne!(self.panics_at, Some(progress), "a test wants it so");
    }

    /// Gets ready to go on with a step that was interrupted.
    pub(super) fn resume(&mut self) -> Resumption {
        match self.progress {
            Progress::Between => Resumption::Done,
            Progress::Changing => Resumption::Lost,
            Progress::Planned => Resumption::Encode,
            Progress::Encoded => Resumption::Search,
            Progress::Searching => {
                self.search.copy_from(&self.preview);
                self.tokens.clear();
                self.progress = Progress::Encoded;
                Resumption::Search
            }
            Progress::Decided => {
                self.pass = Pass::Commit;
                self.tail.clear();
                Resumption::Settle
            }
        }
    }

    /// Ends the stream: its memory is not what it should be.
    pub(super) fn fail(&mut self) {
        self.plan = None;
        self.progress = Progress::Between;
        self.intake.give_up();
        self.events.push(StreamEvent::Failed);
    }

    /// Gets ready to search what is to be committed.
    pub(super) fn begin_search(&mut self) {
        self.preview.copy_from(&self.search);
        self.reach(Progress::Searching);
    }

    pub(super) fn source(&self) -> &Source {
        &self.intake.source
    }

    pub(super) fn source_mut(&mut self) -> &mut Source {
        &mut self.intake.source
    }

    /// The number of the first frame of the step under way.
    pub(super) fn first_frame(&self) -> u64 {
        self.clock.decided
    }

    /// The frames of the step under way are searched; `frames` of them.
    pub(super) fn advance(&mut self, frames: usize) {
        self.reach(Progress::Changing);
        self.clock.decided += frames as u64;
        if self.intake.source.is_done() {
            self.search.finish(&mut self.tokens);
        }
        self.reach(Progress::Decided);
    }

    /// Gets ready to search the right context.
    pub(super) fn begin_preview(&mut self) {
        self.pass = Pass::Preview;
        self.tail.clear();
        self.preview.copy_from(&self.search);
    }

    /// Ends the search of the right context, whose tokens are the tail.
    pub(super) fn end_preview(&mut self) {
        self.pass = Pass::Commit;
        self.preview.finish(&mut self.tail);
        if !self.is_volatile {
            self.tail.clear();
        }
    }

    /// Tells what the step has decided.
    pub(super) fn settle(&mut self, model: &Model) {
        self.reach(Progress::Changing);
        self.tell_step(model);
        self.reach(Progress::Between);
    }

    fn tell_step(&mut self, model: &Model) {
        let clock = &self.clock;
        let last_token = self.tokens.last().map(|token| token.frame);
        self.endpoints.clear();
        for token in &self.tokens {
            self.events.push(StreamEvent::Commit(*token));
            let role = Role::of(model.vocabulary(), token.id);
            let end = token.frame + u64::from(token.duration);
            self.endpoints
                .extend(self.endpointer.token(token.frame, end, role));
        }
        self.tokens.clear();
        if self.has_tail || !self.tail.is_empty() {
            self.events.push(StreamEvent::Tail);
            let tail = self.tail.iter().copied();
            self.events.extend(tail.map(StreamEvent::Volatile));
            self.has_tail = !self.tail.is_empty();
        }
        let heard = self.search.held_back().unwrap_or(clock.decided);
        self.endpoints.extend(self.endpointer.decided(heard));
        let endpoints = self.endpoints.iter().copied();
        self.events.extend(endpoints.map(StreamEvent::Endpoint));
        let is_through = self.intake.source.is_done();
        self.tell_gaps(is_through);
        let frame = self.clock.decided;
        self.events.push(StreamEvent::Decided { frame });
        let last_endpoint = self.endpoints.last().map(|endpoint| endpoint.frame);
        // Where words of the next utterance were found already, they are what the search remembers.
        if self.resets && last_endpoint.is_some() && last_token < last_endpoint {
            self.search.forget_text(model.head());
        }
        if is_through {
            match self.intake.go_on() {
                Onward::Anew => {
                    self.search = SearchState::new(model.head());
                    self.tell_silence();
                }
                Onward::Over => self.tell_end(),
            }
        }
    }

    /// Moves the clock over what is known to be silent, or was lost, and tells what endpoints lie there.
    fn tell_silence(&mut self) {
        let until = self.intake.silent_until();
        if until <= self.clock.decided || self.intake.is_over() {
            return;
        }
        self.clock.decided = until;
        for endpoint in self.endpointer.decided(until) {
            self.events.push(StreamEvent::Endpoint(endpoint));
            let frame = endpoint.frame;
            self.events.push(StreamEvent::Decided { frame });
        }
    }

    /// Tells the gaps before what is decided, or all.
    fn tell_gaps(&mut self, is_through: bool) {
        let decided = self.clock.decided * self.clock.frame_samples;
        while let Some(gap) = self.gaps.front() {
            if !is_through && gap.start > decided {
                break;
            }
            self.events.push(StreamEvent::Gap {
                start: gap.start,
                samples: gap.samples,
            });
            self.gaps.pop_front();
        }
    }

    fn tell_end(&mut self) {
        let until = self.intake.silent_until();
        if self.clock.decided < until || !self.gaps.is_empty() {
            let until = until.max(self.clock.decided);
            self.clock.decided = until;
            let endpoints = self.endpointer.decided(until);
            self.events.extend(endpoints.map(StreamEvent::Endpoint));
            self.tell_gaps(true);
            self.events.push(StreamEvent::Decided { frame: until });
        }
        self.events.push(StreamEvent::End);
    }

    /// What a search of the CTC head over `frames` moves.
    pub(super) fn ctc<'a>(&'a mut self, frames: &'a [f32]) -> Option<CtcStream<'a>> {
        let first_frame = self.clock.decided;
        let (search, out) = match self.pass {
            Pass::Commit => (&mut self.search, &mut self.tokens),
            Pass::Preview => (&mut self.preview, &mut self.tail),
        };
        match search {
            SearchState::Ctc(state) => Some(CtcStream {
                state,
                frames,
                first_frame,
                out,
            }),
            SearchState::Transducer(_) => None,
        }
    }
}

impl TransducerLane for &mut StreamState {
    fn state(&mut self) -> &mut TransducerState {
        let search = match self.pass {
            Pass::Commit => &mut self.search,
            Pass::Preview => &mut self.preview,
        };
        match search {
            SearchState::Transducer(state) => state,
            SearchState::Ctc(_) => unreachable!("the head of the model is a transducer"),
        }
    }

    fn emit(&mut self, t: u64, token: EmittedToken) {
        let frame = self.first_frame() + t;
        let token = EmittedToken { frame, ..token };
        match self.pass {
            Pass::Commit => self.tokens.push(token),
            Pass::Preview => self.tail.push(token),
        }
    }
}
