//! A scheduler that is warm allocates nothing, on any thread, for as long as its streams go on.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use percept_asr::{
    ContextConfig, Model, ModelOptions, Next, Precision, Scheduler, SchedulerOptions, StreamId,
    StreamMode, StreamOptions,
};
use percept_testkit::golden::Case;
use percept_testkit::signals;
use percept_weights::Checkpoint;

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

/// The system's allocator, counting what all threads ask of it.
struct Counting;

// SAFETY: every call goes to `System` as it came; counting touches an atomic that needs neither memory nor a destructor.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promise about `layout` is the one that `System` asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: `ptr` came from `System` with `layout`; the caller promises the rest.
        unsafe { System.realloc(ptr, layout, size) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: `ptr` came from `System` with `layout`.
        unsafe { System.dealloc(ptr, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

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
    let before = ALLOCATIONS.load(Ordering::Relaxed);
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
    ALLOCATIONS.load(Ordering::Relaxed) - before
}

#[test]
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
        let alone = rounds(&model, &ways, 1);
        assert!(alone[0] > 0, "{name}: the counter counts nothing");
        assert_eq!(alone[2..4], [0, 0], "{name}: {alone:?}");
        // With several threads each must once have met its largest task, and chance has a hand in that.
        let together = rounds(&model, &ways, 2);
        assert!(together.contains(&0), "{name}: {together:?}");
    }
}

/// Allocations of each round of a driver that is a worker of a pool of `threads`, and so does not have to wake it.
fn rounds(model: &Arc<Model>, ways: &[StreamOptions; 2], threads: usize) -> Vec<usize> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
    let pool = pool.expect("the system has threads");
    let mut scheduler = Scheduler::new(Arc::clone(model), SchedulerOptions::default());
    let admit = |n: usize| scheduler.admit(&ways[n % 2]).expect("a free slot");
    let ids: Vec<StreamId> = (0..6).map(admit).collect();
    let pcm = signals::babble(16_000, 10.0, 1);
    let mut seen = Vec::with_capacity(12);
    pool.install(|| {
        while seen.len() < 4 || (seen.len() < 12 && !seen.contains(&0)) {
            let from = 10_000 * seen.len() as u64;
            seen.push(play(&mut scheduler, &ids, &pcm, from));
        }
    });
    seen
}
