//! A scheduler that is warm allocates nothing, on any thread, for as long as its streams go on.

use std::alloc::System;
use std::sync::Arc;
use std::time::Duration;

use percept_asr::{
    ContextConfig, Model, ModelOptions, Next, Precision, Scheduler, SchedulerOptions, StreamId,
    StreamMode, StreamOptions,
};
use percept_testkit::golden::Case;
use percept_testkit::signals;
use percept_weights::Checkpoint;
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

/// The system's allocator, counting what all threads ask of it.
#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

fn calls() -> usize {
    let stats = ALLOCATOR.stats();
    stats.allocations + stats.reallocations
}

fn load(name: &str) -> Arc<Model> {
    let path = Case::open(name).model().expect("the case has a model");
    let checkpoint = Checkpoint::open(&path).unwrap_or_else(|e| panic!("{e}"));
    let options = ModelOptions {
        precision: Some(Precision::Int8),
        ..ModelOptions::default()
    };
    Arc::new(Model::load(checkpoint, options).unwrap_or_else(|e| panic!("{e}")))
}

fn way(mode: StreamMode) -> StreamOptions {
    let mut options = StreamOptions::default();
    options.mode = mode;
    options
}

/// Plays `seconds` of the same audio to all streams in packets of 20 ms, one after the other, and takes their events.
fn play(scheduler: &mut Scheduler, ids: &[StreamId], pcm: &[f32], from: u64) -> usize {
    let before = calls();
    for (n, packet) in pcm.chunks(320).enumerate() {
        let now = Duration::from_millis(from + 20 * n as u64);
        for id in ids {
            assert_eq!(scheduler.push(*id, packet, now), Ok(packet.len()));
        }
        while scheduler.next(now) == Next::Run {
            scheduler.run(now);
            ids.iter().for_each(|id| scheduler.clear_events(*id));
        }
    }
    calls() - before
}

// Nothing else runs meanwhile: the counter is that of the process.
fn main() {
    a_warm_scheduler_allocates_nothing();
}

fn a_warm_scheduler_allocates_nothing() {
    let windows = |[left, chunk, right]: [usize; 3]| {
        let context = ContextConfig::from_frames(left, chunk, right).expect("a chunk");
        way(StreamMode::Windows(context))
    };
    let cache_aware = |right| {
        way(StreamMode::CacheAware {
            lookahead: Some(right),
        })
    };
    for (name, ways) in [
        ("tdt_v3", [windows([12, 5, 3]), windows([20, 10, 0])]),
        ("ctc", [windows([12, 5, 3]), windows([20, 10, 0])]),
        ("rnnt_nemotron", [cache_aware(1), windows([8, 6, 2])]),
    ] {
        let model = load(name);
        for threads in [1, 2, 3] {
            let seen = rounds(&model, &ways, threads);
            assert!(seen[0] > 0, "{name}: the counter counts nothing");
            assert_eq!(seen[WARM..], [0; 10], "{name}, {threads} threads: {seen:?}");
        }
    }
}

/// Rounds after which all is warm.
const WARM: usize = 2;

/// Allocations of each round of a driver that is a worker of a pool of `threads`, and so does not have to wake it.
fn rounds(model: &Arc<Model>, ways: &[StreamOptions; 2], threads: usize) -> Vec<usize> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
    let pool = pool.expect("the system has threads");
    let mut scheduler = Scheduler::new(Arc::clone(model), SchedulerOptions::default());
    let admit = |n: usize| scheduler.admit(&ways[n % 2]).expect("a free slot");
    let ids: Vec<StreamId> = (0..6).map(admit).collect();
    let pcm = signals::babble(16_000, 10.0, 1);
    pool.install(|| {
        let round = |n| play(&mut scheduler, &ids, &pcm, 10_000 * n);
        (0..WARM as u64 + 10).map(round).collect()
    })
}
