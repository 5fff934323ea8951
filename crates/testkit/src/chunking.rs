//! Any way of cutting the input gives the same result.

use std::fmt::Debug;
use std::iter;

use crate::Rng;

/// One way of cutting an input: lengths that sum to the input's, some of them 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cuts {
    /// What is special about it, for messages.
    pub name: String,
    /// Samples per chunk.
    pub lengths: Vec<usize>,
}

/// Single samples in a row in one way of cutting; more only costs time.
const MOST_SINGLES: usize = 4_000;

/// Ways of cutting `total` samples: at once, in two around every power of two, one by one, at random at several scales,
/// with empty chunks in between. Depends on `total` and `seed` alone.
pub fn ways(total: usize, seed: u64) -> Vec<Cuts> {
    let mut rng = Rng::new(seed);
    let cuts = |name: &str, lengths| Cuts {
        name: name.to_owned(),
        lengths,
    };
    let singles = total.min(MOST_SINGLES);
    let head = iter::repeat_n(1, singles).chain([total - singles]);
    let tail = iter::once(total - singles).chain(iter::repeat_n(1, singles));
    let mut ways = vec![
        cuts("one chunk", vec![total]),
        cuts("one by one at the start", head.collect()),
        cuts("one by one at the end", tail.collect()),
        cuts("empty chunks around", vec![0, 0, total, 0]),
    ];
    for scale in [3, 160, 1_280, 20_000] {
        ways.push(Cuts {
            name: format!("random chunks up to {scale}"),
            lengths: random(total, scale, &mut rng),
        });
    }
    for middle in [1, 2, total / 2, total.saturating_sub(1)] {
        let middle = middle.min(total);
        ways.push(Cuts {
            name: format!("two chunks, cut at {middle}"),
            lengths: vec![middle, total - middle],
        });
    }
    ways
}

fn random(total: usize, scale: usize, rng: &mut Rng) -> Vec<usize> {
    let mut left = total;
    let mut lengths = Vec::new();
    while left > 0 {
        let empty = rng.below(8) == 0;
        let length = if empty {
            0
        } else {
            1 + rng.below(scale.min(left))
        };
        lengths.push(length);
        left -= length;
    }
    lengths
}

/// Runs `run` on `pcm` in many [`ways`] of cutting it and compares with the result for one chunk.
///
/// Each chunk lies in memory of its own and is followed by NaN.
///
/// # Panics
/// If two results differ; the message names the way of cutting.
#[track_caller]
pub fn assert_same<T, F>(pcm: &[f32], seed: u64, mut run: F)
where
    T: PartialEq + Debug,
    F: FnMut(&mut dyn Iterator<Item = &[f32]>) -> T,
{
    let buffers = |cuts: &Cuts| {
        let mut rest = pcm;
        let mut padded = Vec::new();
        for &length in &cuts.lengths {
            let (chunk, after) = rest.split_at(length);
            rest = after;
            padded.push([chunk, &[f32::NAN; 8]].concat());
        }
        padded
    };
    let mut apply = |cuts: &Cuts| {
        let padded = buffers(cuts);
        run(&mut padded.iter().map(|chunk| &chunk[..chunk.len() - 8]))
    };
    let mut ways = ways(pcm.len(), seed).into_iter();
    let Some(whole) = ways.next() else { return };
    let expected = apply(&whole);
    for cuts in ways {
        let found = apply(&cuts);
        assert!(
            found == expected,
            "cutting {} samples differently ({}) changes the result\n  one chunk: {}\n  cut:       {}",
            pcm.len(),
            cuts.name,
            brief(&expected),
            brief(&found),
        );
    }
}

fn brief(value: &impl Debug) -> String {
    let text = format!("{value:?}");
    match text.char_indices().nth(400) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::{assert_same, ways};
    use crate::signals;

    #[test]
    fn every_way_covers_the_input_exactly() {
        for total in [0, 1, 2, 159, 5_000, 50_000] {
            for cuts in ways(total, 9) {
                assert_eq!(cuts.lengths.iter().sum::<usize>(), total, "{}", cuts.name);
            }
        }
        let many = ways(10_000, 9);
        assert!(many.iter().any(|cuts| cuts.lengths.contains(&0)));
        assert!(
            many.iter()
                .any(|cuts| cuts.lengths.iter().filter(|&&n| n == 1).count() >= 1_000)
        );
        assert_ne!(many, ways(10_000, 10));
    }

    #[test]
    fn a_running_sum_does_not_depend_on_the_cuts() {
        assert_same(&signals::noise(9_000, 0.1, 1), 2, |chunks| {
            chunks.flatten().fold(0.0f32, |sum, v| sum + v)
        });
    }

    #[test]
    #[should_panic(expected = "changes the result")]
    fn a_result_that_depends_on_the_cuts_is_caught() {
        assert_same(&signals::silence(100), 2, |chunks| chunks.count());
    }
}
