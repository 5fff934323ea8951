//! The mel front end agrees with the reference implementation, run on torch.

use std::sync::Arc;

use percept_audio::{MelConfig, MelFrontEnd, Normalize, features, normalize};
use percept_testkit::golden;

/// Below this log energy a band is nothing but the rounding of an f32 FFT, torch's and ours.
const AUDIBLE: f32 = -15.0;

#[test]
fn mel_frames_match_torch() {
    let folder = golden::fixtures().join("mel");
    let signals = golden::read_safetensors(&folder.join("pcm.safetensors"));
    for n_mels in [80, 128] {
        let goldens = golden::read_safetensors(&folder.join(format!("mel_{n_mels}.safetensors")));
        let own = MelConfig::nemo(n_mels);
        let given = MelConfig {
            window: Some(goldens["window"].data.clone()),
            filterbank: Some(goldens["filterbank"].data.clone()),
            ..own.clone()
        };
        for config in [own, given] {
            let front_end = Arc::new(MelFrontEnd::new(config).expect("the config is valid"));
            for (name, expected) in &goldens {
                let [signal, samples, stage] = name.split('.').collect::<Vec<_>>()[..] else {
                    continue;
                };
                let samples: usize = samples.parse().expect("SIGNAL.N.STAGE");
                let (count, mut frames) = features(&front_end, &signals[signal].data[..samples]);
                assert_eq!(count, expected.shape[0], "{name}: frames");
                // The near-silent bands of a quiet signal, too, are compared once they are normalised, but loosely.
                let (mean_limit, max_limit) = if stage == "raw" {
                    (1e-4, 1e-3)
                } else {
                    (5e-4, 0.05)
                };
                if stage == "normalised" {
                    normalize(Normalize::PerFeature, &mut frames, n_mels);
                }
                let is_compared = |i: usize| stage != "raw" || expected.data[i] > AUDIBLE;
                let differences: Vec<f32> = (0..frames.len())
                    .filter(|&i| is_compared(i))
                    .map(|i| (frames[i] - expected.data[i]).abs())
                    .collect();
                let max = differences.iter().copied().fold(0.0, f32::max);
                let mean = differences.iter().sum::<f32>() / differences.len().max(1) as f32;
                println!("{n_mels} {name}: mean {mean:.1e}, max {max:.1e}");
                assert!(
                    mean <= mean_limit && max <= max_limit,
                    "{name}: mean {mean}, max {max}"
                );
            }
        }
    }
}
