use std::sync::Arc;

use super::*;

fn front_end(config: MelConfig) -> Arc<MelFrontEnd> {
    Arc::new(MelFrontEnd::new(config).expect("the config is valid"))
}

/// SplitMix64: noise and cuts that are the same in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    fn sample(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    }
}

/// A tone that glides through the band, with noise on it.
fn signal(samples: usize, seed: u64) -> Vec<f32> {
    let mut random = Random(seed);
    (0..samples)
        .map(|i| {
            let t = i as f32 / 16_000.0;
            0.4 * (600.0 * t + 1500.0 * t * t).sin() + 0.05 * random.sample()
        })
        .collect()
}

/// The frames as the definition says them, one f64 DFT bin after the other.
fn reference(config: &MelConfig, pcm: &[f32]) -> Vec<f32> {
    let bins = config.n_fft / 2 + 1;
    let pad = if config.exact_pad {
        (config.n_fft - config.hop_samples) / 2
    } else {
        config.n_fft / 2
    };
    let mut padded = vec![0f64; pcm.len() + 2 * pad];
    for (i, &x) in pcm.iter().enumerate() {
        let last = if i == 0 { 0.0 } else { f64::from(pcm[i - 1]) };
        if !config.exact_pad || i + pad < pcm.len() {
            padded[pad + i] = f64::from(x) - f64::from(config.preemphasis) * last;
        }
    }
    let left = (config.n_fft - config.win_samples) / 2;
    let window = config
        .window
        .clone()
        .unwrap_or_else(|| symmetric_hann(config.win_samples));
    let filters = config
        .filterbank
        .clone()
        .unwrap_or_else(|| filterbank::slaney(config));
    let frames = (pcm.len() + 2 * pad).saturating_sub(config.n_fft) / config.hop_samples;
    let mut out = Vec::new();
    for frame in 0..frames {
        let taps = &padded[frame * config.hop_samples + left..][..config.win_samples];
        let power: Vec<f64> = (0..bins)
            .map(|bin| {
                let step = -2.0 * std::f64::consts::PI * bin as f64 / config.n_fft as f64;
                let (re, im) = taps.iter().zip(&window).enumerate().fold(
                    (0.0, 0.0),
                    |(re, im), (i, (x, &w))| {
                        let (sin, cos) = (step * i as f64).sin_cos();
                        (re + x * f64::from(w) * cos, im + x * f64::from(w) * sin)
                    },
                );
                re * re + im * im
            })
            .collect();
        out.extend(filters.chunks_exact(bins).map(|row| {
            let energy: f64 = row.iter().zip(&power).map(|(&w, p)| f64::from(w) * p).sum();
            (energy + f64::from(config.log_guard)).ln() as f32
        }));
    }
    out
}

fn max_difference(a: &[f32], b: &[f32]) -> (f32, usize) {
    assert_eq!(a.len(), b.len(), "different numbers of values");
    a.iter()
        .zip(b)
        .enumerate()
        .fold((0.0, 0), |worst, (i, (a, b))| {
            let difference = (a - b).abs();
            if difference > worst.0 || difference.is_nan() {
                (difference, i)
            } else {
                worst
            }
        })
}

fn configs() -> Vec<MelConfig> {
    let nemo = MelConfig::nemo(80);
    let window = symmetric_hann(400).iter().map(|w| w.sqrt()).collect();
    let filterbank = (0..20 * 257)
        .map(|i| if i % 257 / 13 == i / 257 { 0.25 } else { 0.0 })
        .collect();
    vec![
        nemo.clone(),
        MelConfig {
            n_mels: 128,
            ..nemo.clone()
        },
        MelConfig {
            exact_pad: true,
            ..nemo.clone()
        },
        MelConfig {
            exact_pad: true,
            preemphasis: 0.0,
            ..nemo.clone()
        },
        MelConfig {
            n_fft: 400,
            win_samples: 400,
            hop_samples: 100,
            ..nemo.clone()
        },
        MelConfig {
            n_fft: 256,
            win_samples: 100,
            hop_samples: 320,
            n_mels: 40,
            ..nemo.clone()
        },
        MelConfig {
            n_mels: 20,
            window: Some(window),
            filterbank: Some(filterbank),
            ..nemo
        },
    ]
}

#[test]
fn frames_match_a_plain_f64_dft() {
    for config in configs() {
        let pcm = signal(4_000, 1);
        // With exact_pad and no pre-emphasis nothing is masked, which the reference does not model.
        if config.exact_pad && config.preemphasis == 0.0 {
            continue;
        }
        let (_, frames) = features(&front_end(config.clone()), &pcm);
        let (worst, at) = max_difference(&frames, &reference(&config, &pcm));
        assert!(worst < 2e-4, "{config:?}: value {at} is off by {worst}");
    }
}

#[test]
fn any_chunking_gives_the_same_bits() {
    for (seed, config) in configs().into_iter().enumerate() {
        let front_end = front_end(config);
        let pcm = signal(12_345, 2);
        let whole = features(&front_end, &pcm);
        let mut random = Random(seed as u64);
        for longest in [1, 7, 161, 5_000, 20_000] {
            let mut stream = MelStream::new(Arc::clone(&front_end));
            let (mut frames, mut count, mut rest) = (Vec::new(), 0, &pcm[..]);
            while !rest.is_empty() {
                let cut = random.below(longest + 1).min(rest.len());
                count += stream.push(&rest[..cut], &mut frames);
                rest = &rest[cut..];
            }
            count += stream.finish(&mut frames);
            assert_eq!(
                count, whole.0,
                "cuts of up to {longest} samples change the number of frames"
            );
            let same = frames
                .iter()
                .zip(&whole.1)
                .position(|(a, b)| a.to_bits() != b.to_bits());
            assert_eq!(same, None, "cuts of up to {longest} samples change a value");
        }
    }
}

#[test]
fn a_frame_never_depends_on_samples_after_its_window() {
    for config in configs() {
        let front_end = front_end(config);
        let pcm = signal(4_000, 3);
        let mut clean = Vec::new();
        let mut stream = MelStream::new(Arc::clone(&front_end));
        let count = stream.push(&pcm, &mut clean);
        let mut broken = Vec::new();
        let mut again = MelStream::new(Arc::clone(&front_end));
        again.push(&pcm, &mut broken);
        again.push(&[f32::NAN; 500], &mut broken);
        again.finish(&mut broken);
        assert!(count > 0);
        assert_eq!(clean, broken[..clean.len()], "{:?}", front_end.config());
    }
}

#[test]
fn a_frame_is_emitted_with_the_sample_that_makes_it_final() {
    let front_end = front_end(MelConfig::nemo(80));
    let mut stream = MelStream::new(Arc::clone(&front_end));
    let mut out = Vec::new();
    assert_eq!(stream.delay(), 200);
    for n in 1..2_000u64 {
        stream.push(&[0.1], &mut out);
        let expected = if n < 200 { 0 } else { (n - 200) / 160 + 1 };
        assert_eq!(stream.frames(), expected, "after {n} samples");
    }
}

#[test]
fn short_signals_give_one_frame_per_full_hop() {
    for (samples, expected) in [
        (0, 0),
        (1, 0),
        (100, 0),
        (159, 0),
        (160, 1),
        (200, 1),
        (319, 1),
        (320, 2),
        (1_000, 6),
    ] {
        for config in [MelConfig::nemo(80), MelConfig::nemo(128)] {
            let front_end = front_end(config);
            let (count, mut frames) = features(&front_end, &signal(samples, 4));
            assert_eq!(count, expected, "{samples} samples");
            assert_eq!(count as u64, front_end.frames(samples as u64));
            normalize(
                Normalize::PerFeature,
                &mut frames,
                front_end.config().n_mels,
            );
            assert!(frames.iter().all(|x| x.is_finite()), "{samples} samples");
        }
    }
}

#[test]
fn a_finished_stream_takes_and_gives_nothing() {
    let mut stream = MelStream::new(front_end(MelConfig::nemo(80)));
    let mut out = Vec::new();
    stream.push(&[0.1; 1_000], &mut out);
    stream.finish(&mut out);
    let len = out.len();
    assert_eq!(
        stream.push(&[0.1; 1_000], &mut out) + stream.finish(&mut out),
        0
    );
    assert_eq!(out.len(), len);
}

#[test]
fn silence_is_the_log_of_the_guard_and_normalises_to_zero() {
    let (count, mut frames) = features(&front_end(MelConfig::nemo(80)), &[0.0; 16_000 * 3]);
    assert_eq!(count, 300);
    assert!(frames.iter().all(|&x| (x + 16.635_532).abs() < 1e-5));
    for kind in [Normalize::PerFeature, Normalize::AllFeatures] {
        let mut normalized = frames.clone();
        normalize(kind, &mut normalized, 80);
        assert!(normalized.iter().all(|&x| x == 0.0), "{kind:?}");
    }
    let before = frames.clone();
    normalize(Normalize::None, &mut frames, 80);
    assert_eq!(before, frames);
}

#[test]
fn normalised_frames_have_mean_zero_and_deviation_one() {
    let (count, frames) = features(&front_end(MelConfig::nemo(80)), &signal(40_000, 5));
    let deviation = |values: &[f64]| {
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let squares: f64 = values.iter().map(|x| (x - mean).powi(2)).sum();
        (mean, (squares / (values.len() - 1) as f64).sqrt())
    };
    let mut each = frames.clone();
    normalize(Normalize::PerFeature, &mut each, 80);
    for mel in 0..80 {
        let column: Vec<f64> = (0..count).map(|t| each[t * 80 + mel].into()).collect();
        let (mean, deviation) = deviation(&column);
        assert!(
            mean.abs() < 1e-6 && (deviation - 1.0).abs() < 1e-4,
            "band {mel}: {mean}, {deviation}"
        );
    }
    let mut all = frames;
    normalize(Normalize::AllFeatures, &mut all, 80);
    let (mean, deviation) = deviation(&all.iter().map(|&x| x.into()).collect::<Vec<_>>());
    assert!(mean.abs() < 1e-6 && (deviation - 1.0).abs() < 1e-4);
}

#[test]
fn a_band_is_normalised_as_if_it_were_alone() {
    let (count, n_mels) = (40, 300);
    let frames = signal(count * n_mels, 6);
    let mut all = frames.clone();
    normalize(Normalize::PerFeature, &mut all, n_mels);
    for mel in 0..n_mels {
        let mut alone: Vec<f32> = (0..count).map(|t| frames[t * n_mels + mel]).collect();
        normalize(Normalize::PerFeature, &mut alone, 1);
        let together = (0..count).map(|t| all[t * n_mels + mel]);
        assert!(together.eq(alone), "band {mel}");
    }
}

#[test]
fn a_single_frame_normalises_to_zeros() {
    let mut frame = [1.0, -2.0, 3.0];
    normalize(Normalize::PerFeature, &mut frame, 3);
    assert_eq!(frame, [0.0; 3]);
    normalize(Normalize::PerFeature, &mut [], 3);
}

#[test]
fn slaney_filters_have_unit_area_and_known_edges() {
    let config = MelConfig::nemo(128);
    let filters = filterbank::slaney(&config);
    let wide: Vec<f32> = filters
        .chunks_exact(257)
        .map(|row| row.iter().sum::<f32>() * 31.25)
        .collect();
    // Narrow bands sample their triangle coarsely; the wide ones at the top come close to their area.
    assert!(
        wide[100..].iter().all(|area| (area - 1.0).abs() < 0.02),
        "{wide:?}"
    );
    // librosa.filters.mel(sr=16000, n_fft=512, n_mels=80), version 0.11
    let librosa = filterbank::slaney(&MelConfig::nemo(80));
    for (mel, bin, expected) in [
        (0, 1, 0.022_534_56),
        (10, 13, 0.024_415_132),
        (79, 250, 0.002_103_558),
        (40, 70, 0.0),
    ] {
        assert_eq!(
            librosa[mel * 257 + bin],
            expected,
            "weight of bin {bin} in band {mel}"
        );
    }
}

#[test]
fn a_config_that_cannot_be_computed_is_refused() {
    let nemo = MelConfig::nemo(80);
    let table = [
        (
            "sample_rate",
            MelConfig {
                sample_rate: 0,
                ..nemo.clone()
            },
        ),
        (
            "n_fft",
            MelConfig {
                n_fft: 511,
                ..nemo.clone()
            },
        ),
        (
            "n_fft",
            MelConfig {
                n_fft: 1 << 40,
                ..nemo.clone()
            },
        ),
        (
            "win_samples",
            MelConfig {
                win_samples: 513,
                ..nemo.clone()
            },
        ),
        (
            "win_samples",
            MelConfig {
                win_samples: 0,
                ..nemo.clone()
            },
        ),
        (
            "hop_samples",
            MelConfig {
                hop_samples: 0,
                ..nemo.clone()
            },
        ),
        (
            "hop_samples",
            MelConfig {
                hop_samples: 514,
                exact_pad: true,
                ..nemo.clone()
            },
        ),
        (
            "n_mels",
            MelConfig {
                n_mels: 0,
                ..nemo.clone()
            },
        ),
        (
            "f_min",
            MelConfig {
                f_min: f64::NAN,
                ..nemo.clone()
            },
        ),
        (
            "f_max",
            MelConfig {
                f_max: 8_001.0,
                ..nemo.clone()
            },
        ),
        (
            "preemphasis",
            MelConfig {
                preemphasis: f32::NAN,
                ..nemo.clone()
            },
        ),
        (
            "log_guard",
            MelConfig {
                log_guard: 0.0,
                ..nemo.clone()
            },
        ),
        (
            "window",
            MelConfig {
                window: Some(vec![1.0; 399]),
                ..nemo.clone()
            },
        ),
        (
            "filterbank",
            MelConfig {
                filterbank: Some(vec![f32::NAN; 80 * 257]),
                ..nemo
            },
        ),
    ];
    for (field, config) in table {
        let error = MelFrontEnd::new(config).expect_err(field).to_string();
        assert!(error.contains(&format!("`{field}`")), "{error}");
    }
}
