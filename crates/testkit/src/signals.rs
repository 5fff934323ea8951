//! Seeded mono signals in `[-1, 1]`.

use std::f32::consts::TAU;

use crate::Rng;

/// A sine that sweeps from 80 Hz to 0.45 x `sample_rate` and whose loudness wavers; phases depend on `seed`.
pub fn chirp(sample_rate: u32, seconds: f32, seed: u64) -> Vec<f32> {
    let mut rng = Rng::new(seed);
    let (start, waver) = (rng.uniform(0.0, TAU), rng.uniform(0.0, TAU));
    let rate = sample_rate as f32;
    let count = (rate * seconds) as usize;
    let (low, high) = (80.0, 0.45 * rate);
    let mut phase = start;
    (0..count)
        .map(|i| {
            phase = (phase + TAU * (low + (high - low) * i as f32 / count as f32) / rate) % TAU;
            0.5 * phase.sin() * (0.6 + 0.4 * (waver + TAU * 4.0 * i as f32 / rate).sin())
        })
        .collect()
}

/// White noise of standard deviation `level`, clipped to `[-1, 1]`.
pub fn noise(samples: usize, level: f32, seed: u64) -> Vec<f32> {
    let mut rng = Rng::new(seed);
    (0..samples)
        .map(|_| (level * rng.normal()).clamp(-1.0, 1.0))
        .collect()
}

/// Zeros.
pub fn silence(samples: usize) -> Vec<f32> {
    vec![0.0; samples]
}

/// Tones, noise bursts and pauses of 50 to 250 ms in random order: something for a recogniser to chew on.
pub fn babble(sample_rate: u32, seconds: f32, seed: u64) -> Vec<f32> {
    let mut rng = Rng::new(seed);
    let rate = sample_rate as f32;
    let count = (rate * seconds) as usize;
    let mut out = Vec::with_capacity(count);
    while out.len() < count {
        let length = ((rng.uniform(0.05, 0.25) * rate) as usize).clamp(1, count - out.len());
        let (pitch, level) = (rng.uniform(90.0, 260.0), rng.uniform(0.05, 0.6));
        let kind = rng.below(4);
        for i in 0..length {
            let t = i as f32 / rate;
            let fade = (std::f32::consts::PI * i as f32 / length as f32).sin();
            out.push(
                level
                    * fade
                    * match kind {
                        0 => 0.0,
                        1 => 0.4 * rng.normal().clamp(-2.0, 2.0),
                        _ => {
                            (1..=8)
                                .map(|h| (TAU * pitch * h as f32 * t).sin() / (h as f32 + 1.0))
                                .sum::<f32>()
                                * 0.5
                        }
                    },
            );
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{babble, chirp, noise, silence};

    #[test]
    fn signals_depend_on_the_seed_alone_and_stay_in_range() {
        for make in [
            |seed| chirp(16_000, 0.5, seed),
            |seed| noise(8_000, 0.9, seed),
            |seed| babble(16_000, 0.5, seed),
        ] {
            let pcm: Vec<f32> = make(1);
            assert_eq!(pcm.len(), 8_000);
            assert_eq!(pcm, make(1));
            assert_ne!(pcm, make(2));
            assert!(pcm.iter().all(|v| v.abs() <= 1.0));
            assert!(pcm.iter().any(|v| v.abs() > 0.1));
        }
        assert_eq!(silence(3), [0.0; 3]);
    }
}
