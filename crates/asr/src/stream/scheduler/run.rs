//! When a step is due, and the step.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use super::batch::{self, Batch, Candidate, recycle};
use super::options::Next;
use super::{Lane, Scheduler, Slot};
use crate::model::Model;
use crate::stream::{StepMemory, StepReport, StreamState};

impl Scheduler {
    /// What is to be done at `now`: a run where all streams are ready, where those that are fill a step, or where one of
    /// them has waited for [`SchedulerOptions::max_wait`](super::SchedulerOptions::max_wait).
    pub fn next(&self, now: Duration) -> Next {
        let mut batch = Batch::new(&self.options);
        for lane in self.lanes() {
            match lane.due() {
                Some(since) => batch.add_ready(since, lane.rows()),
                None if lane.is_live() => batch.wait_for_more(),
                None => {}
            }
        }
        batch.next(now)
    }

    /// One step of the streams that are ready, those with the earliest deadline first where not all can go. A stream has to
    /// be done with a step before the audio of its next one is there.
    ///
    /// Where the step panics, its streams go on one by one; those that cannot end with
    /// [`StreamEvent::Failed`](crate::StreamEvent::Failed), and no other hears of it.
    pub fn run(&mut self, now: Duration) -> StepReport {
        self.pick();
        let mut batch = recycle(std::mem::take(&mut self.lanes));
        for lane in lanes_mut(&mut self.slots).filter(|lane| lane.is_picked) {
            self.metrics.queue_wait.record_duration(lane.waited(now));
            batch.push(&mut lane.state);
        }
        if batch.is_empty() {
            self.lanes = recycle(batch);
            return StepReport::default();
        }
        let (model, memory) = (&self.model, &mut self.memory);
        let mut step = || match contain(|| model.step(&mut batch, memory)) {
            Some(report) => report,
            None => resume_each(model, &mut batch, memory),
        };
        let report = match &self.pool {
            Some(pool) => pool.install(step),
            None => step(),
        };
        self.lanes = recycle(batch);
        let StepReport { encode, decode, .. } = report;
        self.metrics
            .record_step(report.streams, report.rows, encode, decode);
        let ended = now + encode + decode;
        for lane in lanes_mut(&mut self.slots).filter(|lane| lane.is_picked) {
            lane.end_step(ended, &mut self.metrics);
        }
        report
    }

    /// Marks the streams that go with the next step.
    fn pick(&mut self) {
        self.candidates.clear();
        for (slot, entry) in self.slots.iter_mut().enumerate() {
            let Some(lane) = &mut entry.lane else {
                continue;
            };
            lane.is_picked = false;
            if let Some(since) = lane.due() {
                self.candidates.push(Candidate {
                    slot,
                    deadline: lane.deadline(since),
                    rows: lane.rows(),
                });
            }
        }
        batch::pick(&mut self.candidates, &self.options);
        for candidate in &self.candidates {
            if let Some(lane) = &mut self.slots[candidate.slot].lane {
                lane.is_picked = true;
            }
        }
    }
}

/// What `work` returns; `None` where it panics.
fn contain<R>(work: impl FnOnce() -> R) -> Option<R> {
    // Streams know how far they have come, and their memory for steps is made anew.
    catch_unwind(AssertUnwindSafe(work)).ok()
}

/// Ends a step that has panicked for each of its streams alone. One that panics again, or whose memory is half changed,
/// fails.
fn resume_each(
    model: &Model,
    streams: &mut [&mut StreamState],
    memory: &mut StepMemory,
) -> StepReport {
    let mut all = StepReport::default();
    for (n, stream) in streams.iter_mut().enumerate() {
        match contain(|| model.resume_step(n, stream, memory)).flatten() {
            Some(report) => {
                all.streams += report.streams;
                all.rows += report.rows;
                all.encode += report.encode;
                all.decode += report.decode;
            }
            None => stream.fail(),
        }
    }
    *memory = StepMemory::default();
    all
}

fn lanes_mut(slots: &mut [Slot]) -> impl Iterator<Item = &mut Lane> {
    slots.iter_mut().filter_map(|slot| slot.lane.as_mut())
}
