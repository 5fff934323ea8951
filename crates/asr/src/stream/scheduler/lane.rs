//! One stream of a scheduler: its memory, and what waits in front of it.

use std::collections::VecDeque;
use std::time::Duration;

use crate::stream::metrics::Arrivals;
use crate::stream::source::Source;
use crate::stream::{StreamError, StreamEvent, StreamMetrics, StreamState};

/// From so many gaps on those that follow each other are one, so that they take no more memory than the samples between
/// them. A stream may tell it apart: it hears a gap of up to 2 s as silence, and two of 1.5 s too.
const GAPS: usize = 1000;

/// What holds for all streams of a scheduler.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms {
    pub(super) sample_rate: u32,
    pub(super) frame_samples: u64,
    /// Samples that may wait in front of a stream.
    pub(super) queue_samples: usize,
    /// A stream with this many events waits until they are cleared.
    pub(super) max_events: usize,
}

impl Terms {
    fn samples(&self, samples: u64) -> Duration {
        let rate = u64::from(self.sample_rate);
        let nanos = samples % rate * 1_000_000_000 / rate;
        Duration::from_secs(samples / rate) + Duration::from_nanos(nanos)
    }
}

/// A stream and its queue. Whatever the stream has room for is given to it at once, so that the queue is empty where no
/// step is due.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) state: StreamState,
    /// Whether it goes with the next step.
    pub(super) is_picked: bool,
    terms: Terms,
    queue: VecDeque<f32>,
    /// Samples that were lost behind or among those that wait: where they begin and how many.
    gaps: VecDeque<(u64, u64)>,
    /// Samples that came, those that were lost or wait included.
    arrived: u64,
    arrivals: Arrivals,
    first_arrival: Option<Duration>,
    finished_at: Option<Duration>,
    /// Since when a step is due.
    due: Option<Duration>,
    /// The last time that was told.
    now: Duration,
    counted: Counted,
}

/// What the metrics know of a stream.
#[derive(Debug, Default)]
struct Counted {
    /// Events, of those that were not cleared.
    events: usize,
    /// Samples that were decided.
    samples: u64,
    has_token: bool,
}

impl Lane {
    pub(super) fn new(state: StreamState, terms: Terms) -> Self {
        Lane {
            state,
            is_picked: false,
            terms,
            queue: VecDeque::new(),
            gaps: VecDeque::new(),
            arrived: 0,
            arrivals: Arrivals::default(),
            first_arrival: None,
            finished_at: None,
            due: None,
            now: Duration::ZERO,
            counted: Counted::default(),
        }
    }

    /// How many samples it takes now.
    pub(super) fn room(&self) -> usize {
        let free = self.terms.queue_samples.saturating_sub(self.queue.len());
        match self.finished_at {
            None if !self.state.is_over() => self.state.room() + free,
            _ => 0,
        }
    }

    pub(super) fn queued(&self) -> usize {
        self.queue.len()
    }

    /// Whether it does not go on until its events are cleared.
    fn has_unread(&self) -> bool {
        self.state.events().len() >= self.terms.max_events
    }

    /// Takes as many samples as there is room for.
    pub(super) fn push(&mut self, pcm: &[f32], now: Duration) -> Result<usize, StreamError> {
        self.check_open()?;
        let pcm = &pcm[..pcm.len().min(self.room())];
        let invalid = pcm.iter().position(|v| !v.is_finite());
        let pcm = &pcm[..invalid.unwrap_or(pcm.len())];
        if !pcm.is_empty() {
            self.arrive(pcm.len() as u64, now);
            self.first_arrival.get_or_insert(now);
            let (direct, rest) = pcm.split_at(self.state.room().min(pcm.len()));
            give(&mut self.state, direct);
            self.queue.extend(rest);
            self.feed();
        }
        match invalid {
            None => Ok(pcm.len()),
            Some(_) => Err(StreamError::NotFinite {
                seconds: self.arrived as f64 / f64::from(self.terms.sample_rate),
            }),
        }
    }

    /// Takes note of samples that were lost behind those that wait.
    pub(super) fn skip(&mut self, samples: u64, now: Duration) -> Result<(), StreamError> {
        self.check_open()?;
        if samples == 0 {
            return Ok(());
        }
        let is_crowded = self.gaps.len() >= GAPS;
        match self.gaps.back_mut() {
            Some((start, lost)) if is_crowded && *start + *lost == self.arrived => *lost += samples,
            _ => self.gaps.push_back((self.arrived, samples)),
        }
        self.arrive(samples, now);
        self.feed();
        Ok(())
    }

    fn arrive(&mut self, samples: u64, now: Duration) {
        self.now = now;
        self.arrived += samples;
        self.arrivals.arrived(self.arrived, now);
    }

    fn check_open(&self) -> Result<(), StreamError> {
        // One that has failed is over before it was finished.
        match self.finished_at.is_some() || self.state.is_over() {
            true => Err(StreamError::Finished),
            false => Ok(()),
        }
    }

    /// Ends the stream behind what waits.
    pub(super) fn finish(&mut self, now: Duration) {
        if self.finished_at.is_none() {
            self.now = now;
            self.finished_at = Some(now);
            self.feed();
        }
    }

    /// Decodes `frames` encoder frames at a step from the next window on.
    pub(super) fn set_chunk_frames(&mut self, frames: usize) -> Result<(), StreamError> {
        self.state.set_chunk_frames(frames)?;
        self.feed();
        Ok(())
    }

    pub(super) fn clear_events(&mut self) {
        self.state.clear_events();
        self.counted.events = 0;
    }

    /// Gives the stream what waits, in its order, until a step is due.
    fn feed(&mut self) {
        while !self.state.is_ready() && !self.state.is_finished() {
            let at = self.state.received();
            match self.gaps.front() {
                Some(&(start, lost)) if start == at => {
                    self.gaps.pop_front();
                    let skipped = self.state.skip(lost);
                    debug_assert_eq!(skipped, Ok(()));
                }
                _ if !self.queue.is_empty() => self.feed_samples(),
                _ if self.finished_at.is_some() => self.state.finish(),
                _ => break,
            }
        }
        let is_due = self.state.is_ready();
        self.due = is_due.then(|| self.due.unwrap_or_else(|| self.due_since()));
    }

    /// Gives the stream samples that wait: as many as it has room for, up to the next gap.
    fn feed_samples(&mut self) {
        let until_gap = match self.gaps.front() {
            Some((start, _)) => start - self.state.received(),
            None => u64::MAX,
        };
        let (front, _) = self.queue.as_slices();
        let count = front.len().min(self.state.room());
        let count = count.min(usize::try_from(until_gap).unwrap_or(usize::MAX));
        give(&mut self.state, &front[..count]);
        self.queue.drain(..count);
    }

    /// When what makes the step due came.
    fn due_since(&self) -> Duration {
        let last_sample = self.arrivals.time_of(self.state.received());
        match self.finished_at {
            Some(at) if self.state.is_finished() => at,
            _ => last_sample.unwrap_or(self.now),
        }
    }

    /// Since when a step is due that may be made.
    pub(super) fn due(&self) -> Option<Duration> {
        self.due.filter(|_| !self.has_unread())
    }

    /// Until when a step that is due since `since` has to be done: by then there is audio for the next one.
    pub(super) fn deadline(&self, since: Duration) -> Duration {
        let chunk = self.state.chunk_frames() as u64 * self.terms.frame_samples;
        since.saturating_add(self.terms.samples(chunk))
    }

    /// Whether a step may come to be due without events being cleared.
    pub(super) fn is_live(&self) -> bool {
        !self.state.is_over() && !self.has_unread()
    }

    /// Encoder frames of its next step, at most.
    pub(super) fn rows(&self) -> usize {
        match self.state.source() {
            Source::Windows(source) => {
                // A window is due with the first sample behind it.
                let heard = self.state.received().saturating_sub(1);
                let heard = heard.div_ceil(self.terms.frame_samples);
                let window = source.schedule.policy().window();
                window.min(usize::try_from(heard).unwrap_or(window))
            }
            Source::Frames(_) => self.state.chunk_frames(),
        }
    }

    /// For how long the step that begins at `now` is due.
    pub(super) fn waited(&self, now: Duration) -> Duration {
        now.saturating_sub(self.due.unwrap_or(now))
    }

    /// A step has ended at `now`.
    pub(super) fn end_step(&mut self, now: Duration, metrics: &mut StreamMetrics) {
        self.now = now;
        self.due = None;
        self.count(metrics);
        self.arrivals.forget(self.counted.samples);
        self.feed();
        self.count(metrics);
    }

    /// Counts what was told and decided since it was called before.
    pub(super) fn count(&mut self, metrics: &mut StreamMetrics) {
        let (now, counted) = (self.now, &mut self.counted);
        let received = self.state.received();
        for event in &self.state.events()[counted.events..] {
            match event {
                StreamEvent::Commit(token) => {
                    metrics.tokens += 1;
                    let end = token.frame + u64::from(token.duration.max(1));
                    let end = (end * self.terms.frame_samples).min(received);
                    let heard = self.arrivals.time_of(end).unwrap_or(now);
                    let lag = now.saturating_sub(heard);
                    metrics.finalisation_lag.record_duration(lag);
                }
                StreamEvent::Volatile(_) => metrics.volatile_tokens += 1,
                StreamEvent::Endpoint(_) => metrics.endpoints += 1,
                StreamEvent::Gap { .. } => metrics.gaps += 1,
                StreamEvent::End | StreamEvent::Failed => metrics.ended += 1,
                StreamEvent::Tail | StreamEvent::Decided { .. } => {}
            }
            if !counted.has_token && is_token(event) {
                counted.has_token = true;
                let since = self.first_arrival.unwrap_or(now);
                let until_token = now.saturating_sub(since);
                metrics.first_token.record_duration(until_token);
            }
        }
        counted.events = self.state.events().len();
        let decided = (self.state.decided() * self.terms.frame_samples).min(received);
        // The difference of two times, so that many of them add up to the whole.
        metrics.audio += self.terms.samples(decided) - self.terms.samples(counted.samples);
        counted.samples = decided;
    }
}

fn is_token(event: &StreamEvent) -> bool {
    matches!(event, StreamEvent::Commit(_) | StreamEvent::Volatile(_))
}

/// Gives a stream samples that it has room for.
fn give(state: &mut StreamState, pcm: &[f32]) {
    let taken = state.push(pcm);
    debug_assert_eq!(taken, Ok(pcm.len()));
}
