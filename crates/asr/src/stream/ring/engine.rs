//! The part of a ring in which the model works.

use std::sync::Arc;
use std::time::{Duration, Instant};

use percept_audio::Resampler;
use rayon::ThreadPool;

use super::consumer::TokenConsumer;
use super::intake::{Ends, Intake, Piece};
use super::outlet::Outlet;
use super::producer::AudioProducer;
use super::timing::Timing;
use super::{NOTICES, RingOptions, Shared};
use crate::model::Model;
use crate::stream::adaptive::AdaptiveContext;
use crate::stream::context::ContextConfig;
use crate::stream::error::StreamError;
use crate::stream::event::StreamEvent;
use crate::stream::metrics::StreamMetrics;
use crate::stream::options::StreamMode;
use crate::stream::state::StreamState;
use crate::stream::step::{StepMemory, StepReport};

/// Gaps that wait to be looked at; each takes two numbers.
const MARKS: usize = 1024;

/// Streams live audio through a model: samples come out of a ring, tokens go into another.
///
/// It works when it is asked to: call [`StreamingParakeetTdt::process_audio`] in a loop. Any model of the family does,
/// whatever the name says. What happens when a part goes away or stalls:
/// - [`AudioProducer`] dropped: the audio ends; the rest is recognised, then [`StreamingParakeetTdt::is_over`].
/// - [`TokenConsumer`] dropped: tokens are thrown away and counted ([`StreamingParakeetTdt::is_heard`]).
/// - The engine dropped: pushes take nothing, and both ends say that they are abandoned.
/// - Nobody calls it: the audio ring fills up; then pushes take nothing and the caller decides what to give up.
/// - Nobody takes tokens: the token ring fills up; then no audio is taken, and nothing is lost but volatile tokens. The
///   same holds for endpoints and gaps once the consumer has asked for one.
///
/// Samples that are no finite numbers are heard as a gap, as are those that the producer gives up.
#[derive(Debug)]
pub struct StreamingParakeetTdt {
    model: Arc<Model>,
    state: StreamState,
    memory: StepMemory,
    intake: Intake,
    outlet: Outlet,
    timing: Timing,
    metrics: StreamMetrics,
    adaptive: Option<AdaptiveContext>,
    pool: Option<Arc<ThreadPool>>,
    started: Instant,
}

impl StreamingParakeetTdt {
    /// A stream in windows of these sizes, of mono audio at `sample_rate`: the engine, where audio goes in and where
    /// tokens come out.
    ///
    /// # Errors
    /// As [`StreamingParakeetTdt::with_options`].
    pub fn new(
        model: Arc<Model>,
        context: ContextConfig,
        sample_rate: u32,
    ) -> Result<(Self, AudioProducer, TokenConsumer), StreamError> {
        let mut options = RingOptions::default();
        options.stream.mode = StreamMode::Windows(context);
        Self::with_options(model, sample_rate, options)
    }

    /// A stream with these options, of mono audio at `sample_rate`, which is converted to the model's where they
    /// differ.
    ///
    /// # Errors
    /// [`StreamError::SampleRate`] outside 1000 ..= 768000 Hz; [`StreamError::RingSize`] for a ring that holds nothing,
    /// more than an hour of audio or more than 1048576 tokens; [`StreamError`] where the model cannot be streamed in
    /// this way, or its chunk cannot be adapted.
    pub fn with_options(
        model: Arc<Model>,
        sample_rate: u32,
        options: RingOptions,
    ) -> Result<(Self, AudioProducer, TokenConsumer), StreamError> {
        let rates = (sample_rate, model.sample_rate());
        let resampler = Resampler::new(rates.0, rates.1)
            .map_err(|_| StreamError::SampleRate { rate: sample_rate })?;
        let (ring_samples, ring_tokens) = options.sizes(sample_rate)?;
        let mut state = model.stream(&options.stream)?;
        if let Some(adaptive) = &options.adaptive {
            state.set_chunk_frames(adaptive.chunk_frames())?;
        }
        let (samples_in, samples) = rtrb::RingBuffer::new(ring_samples);
        let (marks_in, marks) = rtrb::RingBuffer::new(MARKS);
        let (tokens_in, tokens) = rtrb::RingBuffer::new(ring_tokens);
        let (notices_in, notices) = rtrb::RingBuffer::new(NOTICES);
        let shared = Arc::new(Shared::default());
        let ends = Ends {
            samples,
            marks,
            shared: Arc::clone(&shared),
        };
        let mut metrics = StreamMetrics::new();
        metrics.started = 1;
        let engine = StreamingParakeetTdt {
            model,
            state,
            memory: StepMemory::default(),
            intake: Intake::new(ends, rates, resampler),
            outlet: Outlet::new(tokens_in, notices_in, Arc::clone(&shared)),
            timing: Timing::new(sample_rate),
            metrics,
            adaptive: options.adaptive,
            pool: options.pool,
            started: Instant::now(),
        };
        let producer = AudioProducer::new(samples_in, marks_in, Arc::clone(&shared));
        let consumer = TokenConsumer::new(tokens, notices, shared);
        Ok((engine, producer, consumer))
    }

    /// Takes what is in the audio ring, recognises it and hands out tokens. Returns how many tokens that stay were put
    /// into their ring; 0 is no reason to stop, [`StreamingParakeetTdt::is_over`] is.
    ///
    /// # Errors
    /// None today; a model that can fail here will say so.
    pub fn process_audio(&mut self) -> Result<usize, StreamError> {
        self.process(self.started.elapsed())
    }

    /// Takes what is in the audio ring and recognises all of it to the end; nothing that is pushed later is heard.
    /// Returns how many tokens that stay were put into their ring. Those that do not fit are kept: call
    /// [`StreamingParakeetTdt::process_audio`] until [`StreamingParakeetTdt::is_over`]. Doing it again does nothing
    /// else.
    ///
    /// From here on pushes take nothing. One that is under way on the producer's thread may still take samples: those
    /// are thrown away and counted in [`StreamMetrics::dropped_samples`], together with what the producer gives up
    /// after this ([`AudioProducer::lost`]). They are no gap, for the stream has ended before them. What comes when
    /// this has returned is counted by the next call of it or of [`StreamingParakeetTdt::process_audio`].
    ///
    /// # Errors
    /// As [`StreamingParakeetTdt::process_audio`].
    pub fn finalize(&mut self) -> Result<usize, StreamError> {
        self.intake.close();
        self.process(self.started.elapsed())
    }

    /// Whether the audio has ended and every token and notice was put into its ring.
    pub fn is_over(&self) -> bool {
        self.state.is_over() && !self.outlet.is_blocked()
    }

    /// Whether somebody takes the tokens.
    pub fn is_heard(&self) -> bool {
        self.outlet.is_heard()
    }

    /// What the last call has decided, endpoints and gaps included.
    pub fn events(&self) -> &[StreamEvent] {
        self.state.events()
    }

    /// The memory of the stream.
    pub fn state(&self) -> &StreamState {
        &self.state
    }

    /// The model.
    pub fn model(&self) -> &Arc<Model> {
        &self.model
    }

    /// What the stream did so far and how long it took.
    pub fn metrics(&self) -> &StreamMetrics {
        &self.metrics
    }

    /// How many samples the audio ring should hold, at its rate and within what it can, to outlast twice the time
    /// between two calls, but for one in a thousand; `None` before that was measured.
    pub fn suggested_ring_samples(&self) -> Option<usize> {
        self.timing.suggested_ring_samples()
    }

    /// [`StreamingParakeetTdt::process_audio`] at `now`, since the start.
    pub(super) fn process(&mut self, now: Duration) -> Result<usize, StreamError> {
        self.state.clear_events();
        self.timing.look(now);
        let mut budget = self.intake.waiting();
        let (mut now, mut told) = (now, 0);
        let mut count = self.outlet.hand_out();
        while !self.outlet.is_blocked() || self.intake.is_closed() {
            self.feed(&mut budget)?;
            if !self.state.is_ready() {
                count += self.tell(&mut told, now);
                break;
            }
            let waited = self.timing.age(self.state.received(), now);
            self.metrics
                .queue_wait
                .record_duration(waited.unwrap_or_default());
            let report = self.step();
            now += report.encode + report.decode;
            self.metrics
                .record_step(report.streams, report.rows, report.encode, report.decode);
            count += self.tell(&mut told, now);
            self.adapt(report);
        }
        if self.is_over() {
            self.outlet.close();
        }
        self.intake.count_late();
        self.metrics.unheard_tokens = self.outlet.unheard;
        self.metrics.dropped_samples = self.intake.dropped;
        self.metrics.invalid_samples = self.intake.invalid;
        Ok(count)
    }

    fn step(&mut self) -> StepReport {
        let (model, state, memory) = (&self.model, &mut self.state, &mut self.memory);
        let mut step = || model.step(&mut [state], memory);
        match &self.pool {
            Some(pool) => pool.install(step),
            None => step(),
        }
    }

    /// Moves audio from the ring into the stream until a step is due or nothing is left.
    fn feed(&mut self, budget: &mut usize) -> Result<(), StreamError> {
        while self.state.room() > 0 && !self.state.is_finished() {
            match self.intake.next(budget) {
                Piece::Samples(samples) => {
                    let taken = self.state.push(samples)?;
                    self.intake.consume(taken);
                }
                Piece::Skip(samples) => self.state.skip(samples)?,
                Piece::End => self.state.finish(),
                Piece::Nothing => break,
            }
            self.timing.received(self.state.received(), *budget);
        }
        Ok(())
    }

    /// Hands out and counts the events from `told` on, known at `now`; says how many tokens that stay it could hand
    /// out.
    fn tell(&mut self, told: &mut usize, now: Duration) -> usize {
        let events = &self.state.events()[*told..];
        let count = self.outlet.take(events, &self.model);
        self.count(*told, now);
        *told = self.state.events().len();
        count
    }

    /// Counts the events from `told` on.
    fn count(&mut self, told: usize, now: Duration) {
        let frame_samples = self.model.config().samples_per_frame() as u64;
        let received = self.state.received();
        for event in &self.state.events()[told..] {
            let is_token = matches!(event, StreamEvent::Commit(_) | StreamEvent::Volatile(_));
            if is_token && self.metrics.first_token.count() == 0 {
                let age = self.timing.stream_age(now).unwrap_or_default();
                self.metrics.first_token.record_duration(age);
            }
            match event {
                StreamEvent::Commit(token) => {
                    self.metrics.tokens += 1;
                    let frames = token.frame + u64::from(token.duration.max(1));
                    let end = (frames * frame_samples).min(received);
                    let age = self.timing.age(end, now).unwrap_or_default();
                    self.metrics.finalisation_lag.record_duration(age);
                }
                StreamEvent::Volatile(_) => self.metrics.volatile_tokens += 1,
                StreamEvent::Endpoint(_) => self.metrics.endpoints += 1,
                StreamEvent::Gap { .. } => self.metrics.gaps += 1,
                StreamEvent::End | StreamEvent::Failed => self.metrics.ended = 1,
                _ => {}
            }
        }
        let decided = (self.state.decided() * frame_samples).min(received);
        let seconds = decided as f64 / f64::from(self.model.sample_rate());
        self.metrics.audio = Duration::from_secs_f64(seconds);
        self.timing.forget(decided);
    }

    /// Lets the chunk follow what the step took.
    fn adapt(&mut self, report: StepReport) {
        let Some(adaptive) = &mut self.adaptive else {
            return;
        };
        let frame_samples = self.model.config().samples_per_frame();
        let chunk = self.state.chunk_frames() * frame_samples;
        let heard = chunk.saturating_sub(self.state.room()) as u64;
        let waiting = heard + self.intake.waiting_at_model_rate();
        let rate = u64::from(self.model.sample_rate());
        let backlog = waiting * u64::from(adaptive.sample_rate()) / rate;
        if let Some(frames) = adaptive.observe(report.encode + report.decode, backlog) {
            let changed = self.state.set_chunk_frames(frames);
            debug_assert!(changed.is_ok(), "it could be set when the stream began");
        }
    }
}
