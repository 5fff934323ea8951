//! What a stream costs in memory: nothing per step once it is warm, and no more after a day than after a minute.

use std::alloc::System;
use std::sync::Arc;

use percept_asr::{
    ContextConfig, Model, ModelOptions, Precision, StepMemory, StreamMode, StreamOptions,
    StreamState,
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

fn bytes() -> i64 {
    let stats = ALLOCATOR.stats();
    stats.bytes_allocated as i64 - stats.bytes_deallocated as i64
}

fn load(name: &str, precision: Precision) -> Arc<Model> {
    let case = Case::open(name);
    let path = case.model().or(case.nemo()).expect("a case has a model");
    let checkpoint = Checkpoint::open(&path).unwrap_or_else(|e| panic!("{e}"));
    let options = ModelOptions {
        precision: Some(precision),
        ..ModelOptions::default()
    };
    Arc::new(Model::load(checkpoint, options).unwrap_or_else(|e| panic!("{e}")))
}

fn options(context: Option<[usize; 3]>) -> StreamOptions {
    let mut options = StreamOptions::default();
    if let Some([left, chunk, right]) = context {
        let context = ContextConfig::from_frames(left, chunk, right).expect("a chunk");
        options.mode = StreamMode::Windows(context);
    }
    options
}

/// 20 ms.
const PACKET: usize = 320;

/// Pushes `pcm` in packets and steps whenever a step is due; says how many steps that were.
fn run(model: &Model, state: &mut StreamState, memory: &mut StepMemory, pcm: &[f32]) -> usize {
    let mut steps = 0;
    for mut packet in pcm.chunks(PACKET) {
        while !packet.is_empty() {
            let taken = state.push(packet).expect("finite samples");
            packet = &packet[taken..];
            if state.is_ready() {
                model.step(&mut [&mut *state], memory);
                state.clear_events();
                steps += 1;
            }
        }
    }
    steps
}

fn pool(threads: usize) -> rayon::ThreadPool {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
    pool.expect("a thread or two")
}

/// Allocations in each of ten runs of a warm stream.
fn allocations(model: &Model, options: &StreamOptions, pcm: &[f32]) -> Vec<usize> {
    let mut state = model.stream(options).expect("known");
    let mut memory = StepMemory::default();
    let mut run = || {
        let before = calls();
        let steps = run(model, &mut state, &mut memory, pcm);
        assert!(steps >= 5, "{steps} steps");
        calls() - before
    };
    for _ in 0..4 {
        run();
    }
    (0..10).map(|_| run()).collect()
}

// Nothing else runs meanwhile: the counters are those of the process.
fn main() {
    a_warm_stream_allocates_nothing_and_a_day_no_more_than_a_minute();
}

fn a_warm_stream_allocates_nothing_and_a_day_no_more_than_a_minute() {
    let pcm = signals::babble(16_000, 6.0, 1);
    let pools = [1, 2, 3].map(pool);
    for precision in [Precision::F32, Precision::Int8] {
        for (name, context) in [
            ("tdt_v3", Some([24, 6, 4])),
            ("rnnt", Some([10, 8, 0])),
            ("ctc", Some([12, 6, 4])),
            ("rnnt_nemotron", None),
            ("rnnt_nemotron3_5", None),
        ] {
            let (model, options) = (load(name, precision), options(context));
            for pool in &pools {
                // The driver is one of the pool's threads: a call from outside it would cost a message.
                let calls = pool.install(|| allocations(&model, &options, &pcm));
                let threads = pool.current_num_threads();
                assert_eq!(calls, [0; 10], "{name} {precision:?} on {threads} threads");
            }
        }
    }
    lasting(&pools[0], ("ctc", Some([6, 50, 6])), 24 * 60, &pcm);
    lasting(&pools[0], ("rnnt_nemotron", None), 2 * 60, &pcm);
}

/// A stream needs no more after `minutes` than after one.
fn lasting(
    pool: &rayon::ThreadPool,
    (name, context): (&str, Option<[usize; 3]>),
    minutes: usize,
    pcm: &[f32],
) {
    let (model, options) = (load(name, Precision::F32), options(context));
    pool.install(|| {
        let mut state = model.stream(&options).expect("known");
        let mut memory = StepMemory::default();
        let mut minute = || {
            for _ in 0..10 {
                run(&model, &mut state, &mut memory, pcm);
            }
        };
        minute();
        let before = bytes();
        for _ in 1..minutes {
            minute();
        }
        let grown = bytes() - before;
        assert!(
            grown < 64 << 10,
            "{name}: {grown} bytes more after {minutes} minutes"
        );
        assert_eq!(state.received(), (minutes * 60 * 16_000) as u64);
    });
}
