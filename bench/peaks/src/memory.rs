//! How fast memory can be read in a stream.

use std::hint::black_box;

use crate::together;

/// Far more than any cache holds.
const BYTES_EACH: usize = 512 << 20;
const ROUNDS: usize = 12;

/// Bytes a second, all threads together.
pub fn measure(threads: usize) -> f64 {
    // Each thread's memory holds ones, so that every page is a page of its own.
    let buffers: Vec<Vec<u64>> = (0..threads).map(|_| vec![1; BYTES_EACH / 8]).collect();
    let seconds = together::rounds(threads, ROUNDS, |thread| {
        black_box(sum(&buffers[thread]));
    });
    let best = seconds.into_iter().fold(f64::INFINITY, f64::min);
    (threads * BYTES_EACH) as f64 / best
}

/// Several sums side by side: a core that waits for one value has others under way.
fn sum(values: &[u64]) -> u64 {
    let mut sums = [0u64; 32];
    let (rows, _) = values.as_chunks::<32>();
    for row in rows {
        for (sum, value) in sums.iter_mut().zip(row) {
            *sum = sum.wrapping_add(*value);
        }
    }
    sums.iter().fold(0, |all, sum| all.wrapping_add(*sum))
}
