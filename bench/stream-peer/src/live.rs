//! Many streams through the scheduler, with a clock that only work moves forward: `virtual.py` says what that means.

use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

use percept_asr::{Next, Scheduler, SchedulerOptions, StreamEvent, StreamId, StreamOptions};
use serde::Serialize;

use crate::Bench;
use crate::request::{Mode, RATE};

pub(crate) struct Load {
    pub(crate) streams: usize,
    pub(crate) seconds: f64,
    pub(crate) batch: usize,
}

#[derive(Serialize)]
pub(crate) struct Answer {
    held: bool,
    lag_p50_ms: f64,
    lag_p99_ms: f64,
    busy: f64,
    mean_batch: f64,
    tokens_per_second: f64,
}

/// A stream's microphone: samples arrive from `phase` on, at the rate of real time.
struct Source {
    id: StreamId,
    phase: f64,
    /// Where in the audio it begins.
    offset: usize,
    pushed: u64,
}

impl Source {
    fn arrival(&self, sample: u64) -> f64 {
        self.phase + sample as f64 / RATE
    }

    /// Hands over what has arrived; whether the queue took it all.
    fn deliver(
        &mut self,
        scheduler: &mut Scheduler,
        pcm: &[f32],
        now: f64,
    ) -> Result<bool, Box<dyn Error>> {
        let arrived = ((now - self.phase) * RATE + 1e-6).max(0.0) as u64;
        while self.pushed < arrived {
            let at = (self.offset + self.pushed as usize) % pcm.len();
            let count = (pcm.len() - at).min((arrived - self.pushed) as usize);
            let taken = scheduler.push(self.id, &pcm[at..at + count], seconds(now))?;
            self.pushed += taken as u64;
            if taken == 0 {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// When its next step will be due, if none is.
    fn next_due(&self, scheduler: &Scheduler) -> f64 {
        let room = scheduler.state(self.id).map_or(0, |state| state.room());
        self.arrival(self.pushed + room as u64)
    }
}

pub(crate) fn run(
    bench: &Bench,
    mode: &Mode,
    options: &StreamOptions,
    load: Load,
) -> Result<Answer, Box<dyn Error>> {
    let mut scheduler = scheduler(bench, mode, &load);
    let mut sources = admit(&mut scheduler, bench, mode, options, load.streams)?;
    let (mut now, mut busy, mut held) = (0.0, 0.0, true);
    let (mut lags, mut tokens) = (Vec::new(), 0);
    while now < load.seconds && held {
        let start = Instant::now();
        for source in &mut sources {
            held &= source.deliver(&mut scheduler, &bench.pcm, now)?;
        }
        let next = scheduler.next(seconds(now));
        if next == Next::Run {
            scheduler.run(seconds(now));
        }
        let spent = start.elapsed().as_secs_f64();
        (now, busy) = (now + spent, busy + spent);
        if next == Next::Run {
            tokens += settle(&mut scheduler, mode, &sources, now, &mut lags);
        } else {
            let due = sources.iter().map(|source| source.next_due(&scheduler));
            let due = due.fold(f64::INFINITY, f64::min);
            let until = match next {
                Next::WaitUntil(until) => until.as_secs_f64(),
                _ => f64::INFINITY,
            };
            now = now.max(due.min(until));
        }
    }
    lags.sort_by(f64::total_cmp);
    let heard: u64 = sources.iter().map(|source| source.pushed).sum();
    let metrics = scheduler.metrics();
    Ok(Answer {
        held,
        lag_p50_ms: quantile(&lags, 0.5),
        lag_p99_ms: quantile(&lags, 0.99),
        busy: busy / now.max(1e-9),
        mean_batch: lags.len() as f64 / (metrics.steps as f64).max(1.0),
        tokens_per_second: tokens as f64 / (heard as f64 / RATE),
    })
}

fn scheduler(bench: &Bench, mode: &Mode, load: &Load) -> Scheduler {
    // As `virtual.Load.queue_s` has it.
    let queue_samples = (2 * mode.chunk_samples()).max(RATE as usize);
    let mut options = SchedulerOptions::default();
    options.slots = load.streams;
    options.max_batch = load.batch;
    options.max_rows = load.batch * mode.rows();
    options.max_wait = Duration::ZERO;
    options.queue_samples = queue_samples;
    Scheduler::new(Arc::clone(&bench.model), options).on_pool(Arc::clone(&bench.pool))
}

/// Streams that begin at different times within a chunk, and at different places in the audio.
fn admit(
    scheduler: &mut Scheduler,
    bench: &Bench,
    mode: &Mode,
    options: &StreamOptions,
    count: usize,
) -> Result<Vec<Source>, Box<dyn Error>> {
    let chunk = mode.chunk_samples() as f64 / RATE;
    let source = |index: usize, id| Source {
        id,
        // Multiples of the golden ratio are spread evenly, however many there are.
        phase: chunk * (index as f64 * 0.618_033_988_75).fract(),
        offset: index * bench.pcm.len() / count,
        pushed: 0,
    };
    (0..count)
        .map(|index| Ok(source(index, scheduler.admit(options)?)))
        .collect()
}

/// Notes how long after its audio each step's end was, and counts the tokens.
fn settle(
    scheduler: &mut Scheduler,
    mode: &Mode,
    sources: &[Source],
    now: f64,
    lags: &mut Vec<f64>,
) -> usize {
    let mut tokens = 0;
    for source in sources {
        for event in scheduler.events(source.id) {
            match event {
                StreamEvent::Commit(_) => tokens += 1,
                StreamEvent::Decided { frame } => {
                    lags.push(1e3 * (now - source.arrival(mode.samples_for(*frame))));
                }
                _ => {}
            }
        }
        scheduler.clear_events(source.id);
    }
    tokens
}

fn seconds(now: f64) -> Duration {
    Duration::from_secs_f64(now)
}

fn quantile(sorted: &[f64], share: f64) -> f64 {
    let index = ((share * sorted.len() as f64) as usize).min(sorted.len().saturating_sub(1));
    sorted.get(index).copied().unwrap_or(f64::NAN)
}
