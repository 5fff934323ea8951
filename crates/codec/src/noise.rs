//! Noise that is a function of its place.

use std::f64::consts::TAU;

use percept_nn::signal::NoiseSource;

/// Standard normal noise of a seed.
///
/// Each pair of values is made of one number of a counter by the Box-Muller transform, so that the value at a place does not
/// depend on what was asked before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SeededNoise {
    seed: u64,
}

impl SeededNoise {
    /// The noise of `seed`.
    pub fn new(seed: u64) -> Self {
        SeededNoise { seed }
    }

    fn pair(&self, block: u64, number: u64) -> [f32; 2] {
        let key = mix(self.seed ^ mix(block.wrapping_add(1)));
        let bits = |n: u64| mix(key.wrapping_add(mix(2 * number + n)));
        // In (0, 1], so that the logarithm is finite.
        let unit = |bits: u64| ((bits >> 11) + 1) as f64 / (1u64 << 53) as f64;
        let radius = (-2.0 * unit(bits(0)).ln()).sqrt();
        let (sin, cos) = (TAU * unit(bits(1))).sin_cos();
        [(radius * cos) as f32, (radius * sin) as f32]
    }
}

/// The finaliser of SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014) on the next
/// number of its counter.
fn mix(value: u64) -> u64 {
    let z = value.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

impl NoiseSource for SeededNoise {
    fn fill(&self, block: usize, start: u64, out: &mut [f32]) {
        let mut place = start;
        let mut rest = out;
        while !rest.is_empty() {
            let pair = self.pair(block as u64, place / 2);
            let from = (place % 2) as usize;
            let take = (2 - from).min(rest.len());
            rest[..take].copy_from_slice(&pair[from..from + take]);
            rest = &mut rest[take..];
            place += take as u64;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(seed: u64, block: usize, start: u64, n: usize) -> Vec<f32> {
        let mut out = vec![0.0; n];
        SeededNoise::new(seed).fill(block, start, &mut out);
        out
    }

    #[test]
    fn a_value_depends_on_seed_block_and_place_alone() {
        let whole = values(7, 2, 0, 1000);
        for (start, n) in [(0, 1), (1, 1), (1, 2), (500, 499), (999, 1)] {
            assert_eq!(
                values(7, 2, start, n),
                whole[start as usize..start as usize + n]
            );
        }
        assert_ne!(values(8, 2, 0, 4), whole[..4]);
        assert_ne!(values(7, 1, 0, 4), whole[..4]);
    }

    #[test]
    fn it_is_standard_normal_and_white() {
        let n = 200_000;
        let x = values(1, 0, 0, n);
        let mean = |f: &dyn Fn(usize) -> f64| (0..n - 2).map(f).sum::<f64>() / (n - 2) as f64;
        let at = |i: usize| f64::from(x[i]);
        assert!(mean(&at).abs() < 0.01);
        assert!((mean(&|i| at(i).powi(2)) - 1.0).abs() < 0.01);
        assert!((mean(&|i| at(i).powi(4)) - 3.0).abs() < 0.1);
        assert!(mean(&|i| at(i) * at(i + 1)).abs() < 0.01);
        assert!(mean(&|i| at(i) * at(i + 2)).abs() < 0.01);
        let beyond = mean(&|i| f64::from(at(i).abs() > 1.96));
        assert!((beyond - 0.05).abs() < 0.003, "{beyond}");
    }
}
