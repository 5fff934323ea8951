//! Many streams on one model.

mod batch;
mod lane;
mod options;
mod run;

use std::sync::Arc;
use std::time::Duration;

use rayon::ThreadPool;

use super::metrics::StreamMetrics;
use super::{StepMemory, StreamError, StreamEvent, StreamOptions, StreamState};
use crate::model::Model;
use batch::Candidate;
use lane::{Lane, Terms};
pub use options::{Next, SchedulerError, SchedulerOptions, StreamId};

/// Puts the steps of many streams together: one call of the encoder and one search for those that are ready.
///
/// There is no thread, lock or clock inside. Whoever drives it says what time it is, as a [`Duration`] since any origin, asks
/// [`Scheduler::next`] what to do, and calls [`Scheduler::run`] where that is due. Each stream tells the events that it would
/// tell alone, whatever the others do.
///
/// Audio waits in a queue in front of each stream. A full queue takes no more, and says so; nothing is dropped. What the
/// caller has to drop it reports with [`Scheduler::skip`].
///
/// ```no_run
/// # use std::{sync::Arc, time::{Duration, Instant}};
/// # use percept_asr::{Model, Next, Scheduler, SchedulerError, SchedulerOptions, StreamId, StreamOptions};
/// # fn audio_of(id: StreamId) -> Vec<f32> { Vec::new() }
/// # fn serve(model: Arc<Model>) -> Result<(), SchedulerError> {
/// let origin = Instant::now();
/// let mut scheduler = Scheduler::new(model, SchedulerOptions::default());
/// let id = scheduler.admit(&StreamOptions::default())?;
/// loop {
///     let pcm = audio_of(id);
///     let taken = scheduler.push(id, &pcm, origin.elapsed())?; // the rest again after a run
///     match scheduler.next(origin.elapsed()) {
///         Next::Run => {
///             scheduler.run(origin.elapsed());
///         }
///         Next::WaitUntil(_) | Next::Idle => std::thread::sleep(Duration::from_millis(1)),
///     }
///     for event in scheduler.events(id) {
///         println!("{event:?}");
///     }
///     scheduler.clear_events(id);
/// #   break Ok(());
/// }
/// # }
/// ```
#[derive(Debug)]
pub struct Scheduler {
    model: Arc<Model>,
    pool: Option<Arc<ThreadPool>>,
    options: SchedulerOptions,
    terms: Terms,
    slots: Vec<Slot>,
    memory: StepMemory,
    metrics: StreamMetrics,
    is_draining: bool,
    candidates: Vec<Candidate>,
    /// The memory of the list of streams of a step; empty between steps.
    lanes: Vec<&'static mut StreamState>,
}

#[derive(Debug, Default)]
struct Slot {
    /// How many streams have left it.
    generation: u32,
    lane: Option<Lane>,
}

impl Scheduler {
    /// A scheduler without streams, which computes on the threads of the caller's pool.
    pub fn new(model: Arc<Model>, options: SchedulerOptions) -> Self {
        Scheduler {
            terms: Terms {
                sample_rate: model.sample_rate(),
                frame_samples: model.config().samples_per_frame() as u64,
                queue_samples: options.queue_samples,
                max_events: options.max_events,
            },
            model,
            pool: None,
            options,
            slots: Vec::new(),
            memory: StepMemory::default(),
            metrics: StreamMetrics::new(),
            is_draining: false,
            candidates: Vec::new(),
            lanes: Vec::new(),
        }
    }

    /// Computes on the threads of `pool`.
    pub fn on_pool(self, pool: Arc<ThreadPool>) -> Self {
        let pool = Some(pool);
        Scheduler { pool, ..self }
    }

    /// The model.
    pub fn model(&self) -> &Arc<Model> {
        &self.model
    }

    /// What was chosen.
    pub fn options(&self) -> &SchedulerOptions {
        &self.options
    }

    /// Begins a stream.
    ///
    /// # Errors
    /// [`SchedulerError::Full`] without a free slot, [`SchedulerError::Draining`] after [`Scheduler::drain`], and
    /// [`SchedulerError::Stream`] where the model cannot be streamed in this way.
    pub fn admit(&mut self, options: &StreamOptions) -> Result<StreamId, SchedulerError> {
        let slot = self
            .free_slot()
            .inspect_err(|_| self.metrics.refused += 1)?;
        let state = match &self.pool {
            Some(pool) => pool.install(|| self.model.stream(options))?,
            None => self.model.stream(options)?,
        };
        if slot == self.slots.len() {
            self.slots.push(Slot::default());
        }
        self.slots[slot].lane = Some(Lane::new(state, self.terms));
        self.metrics.started += 1;
        Ok(self.id(slot))
    }

    fn free_slot(&self) -> Result<usize, SchedulerError> {
        if self.is_draining {
            return Err(SchedulerError::Draining);
        }
        let free = self.slots.iter().position(|slot| slot.lane.is_none());
        match free {
            Some(slot) => Ok(slot),
            None if self.slots.len() < self.options.slots => Ok(self.slots.len()),
            None => Err(SchedulerError::Full {
                slots: self.options.slots,
            }),
        }
    }

    fn id(&self, slot: usize) -> StreamId {
        StreamId {
            slot: slot as u32,
            generation: self.slots[slot].generation,
        }
    }

    /// Takes samples that have arrived by `now`, as many as the stream's queue has room for, and says how many that were; 0
    /// where it is full. It has room again after a run, or once the events of a stream that has too many are cleared.
    ///
    /// # Errors
    /// [`SchedulerError::Gone`]; [`SchedulerError::Stream`] after [`Scheduler::finish`], and where a sample is no number: all
    /// before it were taken, it and the rest were not.
    pub fn push(
        &mut self,
        id: StreamId,
        pcm: &[f32],
        now: Duration,
    ) -> Result<usize, SchedulerError> {
        let pushed = self.with_lane(id, |lane| lane.push(pcm, now))?;
        if let Err(StreamError::NotFinite { .. }) = pushed {
            self.metrics.invalid_samples += 1;
        }
        Ok(pushed?)
    }

    /// Takes note of samples that were lost behind those that were taken; see [`StreamState::skip`].
    ///
    /// # Errors
    /// [`SchedulerError::Gone`]; [`SchedulerError::Stream`] after [`Scheduler::finish`].
    pub fn skip(
        &mut self,
        id: StreamId,
        samples: u64,
        now: Duration,
    ) -> Result<(), SchedulerError> {
        self.with_lane(id, |lane| lane.skip(samples, now))??;
        self.metrics.dropped_samples += samples;
        Ok(())
    }

    /// Ends a stream behind the samples that were taken: its last event will be [`StreamEvent::End`]. Doing it again changes
    /// nothing.
    ///
    /// # Errors
    /// [`SchedulerError::Gone`].
    pub fn finish(&mut self, id: StreamId, now: Duration) -> Result<(), SchedulerError> {
        self.with_lane(id, |lane| lane.finish(now))
    }

    /// Gives up a stream, what it holds included.
    ///
    /// # Errors
    /// [`SchedulerError::Gone`].
    pub fn cancel(&mut self, id: StreamId) -> Result<(), SchedulerError> {
        let was_over = self.lane(id).ok_or(SchedulerError::Gone)?.state.is_over();
        self.metrics.ended += u64::from(!was_over);
        self.vacate(id);
        Ok(())
    }

    /// Gives back the slot of a stream that is over.
    ///
    /// # Errors
    /// [`SchedulerError::Gone`]; [`SchedulerError::NotOver`].
    pub fn release(&mut self, id: StreamId) -> Result<(), SchedulerError> {
        if !self.lane(id).ok_or(SchedulerError::Gone)?.state.is_over() {
            return Err(SchedulerError::NotOver);
        }
        self.vacate(id);
        Ok(())
    }

    fn vacate(&mut self, id: StreamId) {
        let slot = &mut self.slots[id.slot as usize];
        slot.lane = None;
        slot.generation = slot.generation.wrapping_add(1);
    }

    /// Takes no new streams from now on. Those that are here go on until they are over.
    pub fn drain(&mut self) {
        self.is_draining = true;
    }

    /// Whether it takes no new streams and none is left that is not over.
    pub fn is_drained(&self) -> bool {
        self.is_draining && self.lanes().all(|lane| lane.state.is_over())
    }

    /// Decodes `frames` encoder frames at a step of a stream; see [`StreamState::set_chunk_frames`].
    ///
    /// # Errors
    /// [`SchedulerError::Gone`]; [`SchedulerError::Stream`] for cache-aware streams, and for no frames at all.
    pub fn set_chunk_frames(&mut self, id: StreamId, frames: usize) -> Result<(), SchedulerError> {
        Ok(self.with_lane(id, |lane| lane.set_chunk_frames(frames))??)
    }

    /// The streams that are here, those that are over included.
    pub fn ids(&self) -> impl Iterator<Item = StreamId> + '_ {
        let taken = |slot: &usize| self.slots[*slot].lane.is_some();
        (0..self.slots.len())
            .filter(taken)
            .map(|slot| self.id(slot))
    }

    /// What a stream has decided since [`Scheduler::clear_events`]; nothing for one that is gone.
    pub fn events(&self, id: StreamId) -> &[StreamEvent] {
        self.state(id).map_or(&[], StreamState::events)
    }

    /// Forgets the events of a stream so far.
    pub fn clear_events(&mut self, id: StreamId) {
        // One that is gone has none.
        let _ = self.with_lane(id, Lane::clear_events);
    }

    /// The memory of a stream; `None` for one that is gone.
    pub fn state(&self, id: StreamId) -> Option<&StreamState> {
        self.lane(id).map(|lane| &lane.state)
    }

    #[cfg(test)]
    pub(super) fn state_mut(&mut self, id: StreamId) -> &mut StreamState {
        let lane = &mut self.slots[id.slot as usize].lane;
        &mut lane.as_mut().expect("it is here").state
    }

    /// Whether a stream has told all that it will: it is over, or gone.
    pub fn is_over(&self, id: StreamId) -> bool {
        self.state(id).is_none_or(StreamState::is_over)
    }

    /// How many samples [`Scheduler::push`] takes now; 0 for a stream that is gone or was finished.
    pub fn room(&self, id: StreamId) -> usize {
        self.lane(id).map_or(0, Lane::room)
    }

    /// Samples of a stream that wait in its queue.
    pub fn queued(&self, id: StreamId) -> usize {
        self.lane(id).map_or(0, Lane::queued)
    }

    /// What all streams did so far and how long it took.
    pub fn metrics(&self) -> &StreamMetrics {
        &self.metrics
    }

    fn lanes(&self) -> impl Iterator<Item = &Lane> {
        self.slots.iter().filter_map(|slot| slot.lane.as_ref())
    }

    fn lane(&self, id: StreamId) -> Option<&Lane> {
        let slot = self.slots.get(id.slot as usize)?;
        let is_its = slot.generation == id.generation;
        slot.lane.as_ref().filter(|_| is_its)
    }

    /// Does something with a stream and counts what that makes it tell.
    fn with_lane<R>(
        &mut self,
        id: StreamId,
        act: impl FnOnce(&mut Lane) -> R,
    ) -> Result<R, SchedulerError> {
        let slot = self.slots.get_mut(id.slot as usize);
        let slot = slot.filter(|slot| slot.generation == id.generation);
        let lane = slot.and_then(|slot| slot.lane.as_mut());
        let lane = lane.ok_or(SchedulerError::Gone)?;
        let result = act(lane);
        lane.count(&mut self.metrics);
        Ok(result)
    }
}
