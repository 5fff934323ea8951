//! The same work on several threads at the same moment.

use std::hint::spin_loop;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

/// Seconds from the first thread's start to the last one's end, for each of `rounds` rounds of `work(thread)`.
pub fn rounds(threads: usize, rounds: usize, work: impl Fn(usize) + Sync) -> Vec<f64> {
    let arrived = AtomicUsize::new(0);
    // Waits without sleeping: waking a thread takes longer than a round may be late.
    let meet = |round: usize| {
        arrived.fetch_add(1, Ordering::SeqCst);
        while arrived.load(Ordering::SeqCst) < (round + 1) * threads {
            spin_loop();
        }
    };
    let run = |thread: usize| -> Vec<(Instant, Instant)> {
        let round = |round| {
            meet(round);
            let start = Instant::now();
            work(thread);
            (start, Instant::now())
        };
        (0..rounds).map(round).collect()
    };
    let spans: Vec<Vec<(Instant, Instant)>> = std::thread::scope(|scope| {
        let run = &run;
        let running: Vec<_> = (0..threads)
            .map(|thread| scope.spawn(move || run(thread)))
            .collect();
        let joined = running.into_iter().map(|thread| thread.join());
        joined
            .map(|spans| spans.expect("a loop does not panic"))
            .collect()
    });
    let seconds = |round: usize| {
        let spans = spans.iter().map(|spans| spans[round]);
        let ends = spans.clone().map(|(_, end)| end).max();
        let starts = spans.map(|(start, _)| start).min();
        match (starts, ends) {
            (Some(start), Some(end)) => (end - start).as_secs_f64(),
            _ => 0.0,
        }
    };
    (0..rounds).map(seconds).collect()
}
