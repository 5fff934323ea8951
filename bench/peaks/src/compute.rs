//! Loops of nothing but multiply-adds: the widest that the CPU has for each kind of number.

use std::hint::black_box;

use crate::together;

/// What is multiplied.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    F32,
    Bf16,
    Int8,
}

/// A loop over registers.
pub struct Loop {
    pub kind: Kind,
    /// The instruction it is made of.
    pub instruction: &'static str,
    /// Operations of one turn.
    pub operations: usize,
    /// Makes so many turns.
    pub run: fn(usize),
}

const ROUNDS: usize = 100;
const SECONDS_A_ROUND: f64 = 0.005;

/// Operations a second, all threads together.
pub fn measure(found: &Loop, threads: usize) -> f64 {
    let turns = 1 << 18;
    let seconds = together::rounds(threads, 10, |_| (found.run)(turns));
    let shortest = seconds.into_iter().fold(f64::INFINITY, f64::min);
    let turns = ((turns as f64 * SECONDS_A_ROUND / shortest) as usize).max(1);
    let seconds = together::rounds(threads, ROUNDS, |_| (found.run)(turns));
    let best = seconds.into_iter().fold(f64::INFINITY, f64::min);
    (threads * turns * found.operations) as f64 / best
}

/// The loops that this CPU can run, the widest first within a kind.
pub fn loops() -> Vec<Loop> {
    #[cfg(target_arch = "x86_64")]
    let mut found = x86::loops();
    #[cfg(not(target_arch = "x86_64"))]
    let mut found = Vec::new();
    found.push(Loop {
        kind: Kind::F32,
        instruction: "plain loop",
        operations: 2 * 64,
        run: plain,
    });
    found
}

fn plain(turns: usize) {
    let (x, y) = (black_box(0.999_f32), black_box(1e-3_f32));
    let mut sums = [0.0f32; 64];
    for _ in 0..turns {
        for sum in &mut sums {
            *sum = *sum * x + y;
        }
    }
    black_box(sums);
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;
    use std::hint::black_box;

    use super::{Kind, Loop};

    /// Sums under way at once: more than the latency of any of these instructions times the units that run it.
    const CHAINS: usize = 14;

    pub(super) fn loops() -> Vec<Loop> {
        let has_avx512 = is_x86_feature_detected!("avx512f");
        let has_avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
        let candidates = [
            (
                has_avx512,
                Kind::F32,
                "vfmadd zmm",
                2 * 16,
                fma_512 as fn(usize),
            ),
            (has_avx2, Kind::F32, "vfmadd ymm", 2 * 8, fma_256),
            (
                has_avx512 && is_x86_feature_detected!("avx512bf16"),
                Kind::Bf16,
                "vdpbf16ps zmm",
                2 * 32,
                bf16_512,
            ),
            (
                has_avx512 && is_x86_feature_detected!("avx512vnni"),
                Kind::Int8,
                "vpdpbusd zmm",
                2 * 64,
                dot_512,
            ),
            (
                has_avx2 && is_x86_feature_detected!("avxvnni"),
                Kind::Int8,
                "vpdpbusd ymm",
                2 * 32,
                dot_256,
            ),
            (has_avx2, Kind::Int8, "vpmaddubsw ymm", 2 * 32, pairs_256),
        ];
        let supported = candidates.into_iter().filter(|candidate| candidate.0);
        supported
            .map(|(_, kind, instruction, lanes, run)| Loop {
                kind,
                instruction,
                operations: CHAINS * lanes,
                run,
            })
            .collect()
    }

    /// A function that makes `turns` turns of one instruction on `CHAINS` independent sums.
    macro_rules! chains {
        ($name:ident, $features:literal, $zero:expr, |$sum:ident| $step:expr, { $($setup:tt)* }) => {
            fn $name(turns: usize) {
                #[target_feature(enable = $features)]
                fn inner(turns: usize) {
                    $($setup)*
                    let mut sums = [$zero; CHAINS];
                    for _ in 0..turns {
                        for $sum in &mut sums {
                            *$sum = $step;
                        }
                    }
                    black_box(sums);
                }
                // SAFETY: `loops` lists this function only where the CPU has these features.
                unsafe { inner(turns) }
            }
        };
    }

    chains!(
        fma_512,
        "avx512f",
        _mm512_setzero_ps(),
        |sum| _mm512_fmadd_ps(*sum, x, y),
        {
            let (x, y) = (
                _mm512_set1_ps(black_box(0.999)),
                _mm512_set1_ps(black_box(1e-3)),
            );
        }
    );
    chains!(
        fma_256,
        "avx2,fma",
        _mm256_setzero_ps(),
        |sum| _mm256_fmadd_ps(*sum, x, y),
        {
            let (x, y) = (
                _mm256_set1_ps(black_box(0.999)),
                _mm256_set1_ps(black_box(1e-3)),
            );
        }
    );
    chains!(
        bf16_512,
        "avx512f,avx512bf16",
        _mm512_setzero_ps(),
        |sum| _mm512_dpbf16_ps(*sum, x, y),
        {
            let ones = _mm512_set1_ps(black_box(1e-3));
            let (x, y) = (
                _mm512_cvtne2ps_pbh(ones, ones),
                _mm512_cvtne2ps_pbh(ones, ones),
            );
        }
    );
    chains!(
        dot_512,
        "avx512f,avx512vnni",
        _mm512_setzero_si512(),
        |sum| _mm512_dpbusd_epi32(*sum, x, y),
        {
            let (x, y) = (
                _mm512_set1_epi8(black_box(3)),
                _mm512_set1_epi8(black_box(-5)),
            );
        }
    );
    chains!(
        dot_256,
        "avx2,avxvnni",
        _mm256_setzero_si256(),
        |sum| _mm256_dpbusd_avx_epi32(*sum, x, y),
        {
            let (x, y) = (
                _mm256_set1_epi8(black_box(3)),
                _mm256_set1_epi8(black_box(-5)),
            );
        }
    );
    // Without a dot product in the CPU, four 8-bit products take three instructions. Each depends on the sum, or the
    // compiler would move it out of the loop.
    chains!(
        pairs_256,
        "avx2",
        _mm256_setzero_si256(),
        |sum| {
            let pairs = _mm256_maddubs_epi16(*sum, y);
            _mm256_add_epi32(x, _mm256_madd_epi16(pairs, ones))
        },
        {
            let (x, y) = (
                _mm256_set1_epi8(black_box(3)),
                _mm256_set1_epi8(black_box(-5)),
            );
            let ones = _mm256_set1_epi16(black_box(1));
        }
    );
}
