//! Overlapping windows of a stream have the frames of the same samples alone, bit for bit.

use std::sync::Arc;

use percept_audio::{MelConfig, MelFrontEnd, MelWindows, features};
use percept_testkit::{Rng, signals};

/// Any front end that can be computed: odd windows, long hops, every padding. A window of the checkpoint's own has no
/// zeros at its ends, where a Hann window would hide what a frame sees there.
fn random_front_end(rng: &mut Rng) -> Arc<MelFrontEnd> {
    let n_fft = 2 * (1 + rng.below(160));
    let win_samples = 1 + rng.below(n_fft);
    let exact_pad = rng.below(2) == 0;
    let hop_samples = match exact_pad {
        true => 2 * (1 + rng.below(n_fft / 2)),
        false => 1 + rng.below(2 * n_fft),
    };
    let own = (0..win_samples).map(|_| rng.uniform(-1.0, 1.0)).collect();
    let config = MelConfig {
        n_fft,
        win_samples,
        hop_samples,
        exact_pad,
        preemphasis: [0.0, 0.97, -0.4, 1.5][rng.below(4)],
        window: (rng.below(3) > 0).then_some(own),
        ..MelConfig::nemo(1 + rng.below(20))
    };
    Arc::new(MelFrontEnd::new(config).expect("the config is valid"))
}

#[track_caller]
fn assert_alone(front_end: &Arc<MelFrontEnd>, pcm: &[f32], (count, frames): (usize, &[f32])) {
    let alone = features(front_end, pcm);
    let config = front_end.config();
    assert_eq!(
        count,
        alone.0,
        "frames of {} samples, {config:?}",
        pcm.len()
    );
    assert_eq!(frames.len(), alone.1.len());
    let differs = (0..frames.len()).find(|&i| frames[i].to_bits() != alone.1[i].to_bits());
    if let Some(at) = differs {
        let (found, expected) = (frames[at], alone.1[at]);
        let frame = at / config.n_mels;
        panic!("frame {frame} of {count} is {found}, alone {expected}; {config:?}");
    }
}

#[test]
fn a_window_has_the_frames_of_its_samples_alone() {
    let mut rng = Rng::new(11);
    for _ in 0..300 {
        let front_end = random_front_end(&mut rng);
        let hop = front_end.config().hop_samples;
        let pcm = signals::noise(40 * hop + 2_000, 0.3, rng.below(1 << 20) as u64);
        let mut mel = MelWindows::new(Arc::clone(&front_end));
        let (mut start, mut pushed, mut out) = (0, 0, Vec::new());
        while pushed < pcm.len() {
            let cut = rng.below(6 * hop).min(pcm.len() - pushed);
            mel.push(&pcm[pushed..pushed + cut]);
            pushed += cut;
            assert_eq!(mel.samples(), pushed as u64);
            for _ in 0..rng.below(3) {
                let end = start + rng.below(pushed + 1 - start);
                out.clear();
                let count = mel.window(start as u64, end as u64, &mut out);
                assert_alone(&front_end, &pcm[start..end], (count, &out));
                let steps = match rng.below(4) {
                    0 => rng.below(pushed + 1 - start),
                    _ => rng.below(10) * hop,
                };
                start = (start + steps).min(pushed);
                if rng.below(2) == 0 {
                    mel.forget(start as u64);
                }
            }
        }
    }
}

#[test]
fn neural_front_ends_give_the_windows_of_a_schedule() {
    for (exact_pad, n_mels) in [(false, 80), (false, 128), (true, 80)] {
        let config = MelConfig {
            exact_pad,
            ..MelConfig::nemo(n_mels)
        };
        let front_end = Arc::new(MelFrontEnd::new(config).expect("the config is valid"));
        let pcm = signals::babble(16_000, 12.0, 5);
        let mut mel = MelWindows::new(Arc::clone(&front_end));
        // 2.4 s on the left, chunks of 0.64 s, 0.32 s on the right.
        let (left, chunk, right, mut out) = (30 * 1280, 8 * 1280, 4 * 1280, Vec::new());
        let mut packets = pcm.chunks(480);
        for at in (0..pcm.len() - chunk - right).step_by(chunk) {
            while mel.samples() < (at + chunk + right) as u64 {
                mel.push(packets.next().expect("the signal is longer"));
            }
            let (start, end) = (at.saturating_sub(left), at + chunk + right);
            mel.forget(start as u64);
            out.clear();
            let count = mel.window(start as u64, end as u64, &mut out);
            assert_alone(&front_end, &pcm[start..end], (count, &out));
        }
    }
}

#[test]
fn a_window_never_depends_on_samples_around_it() {
    let mut rng = Rng::new(12);
    for _ in 0..100 {
        let front_end = random_front_end(&mut rng);
        let hop = front_end.config().hop_samples;
        let (start, length) = (rng.below(4) * hop, 1 + rng.below(9 * hop));
        let mut pcm = vec![f32::NAN; start + length + 700];
        pcm[start..start + length].copy_from_slice(&signals::noise(length, 0.3, 3));
        let mut mel = MelWindows::new(Arc::clone(&front_end));
        mel.push(&pcm);
        let mut out = Vec::new();
        let count = mel.window(start as u64, (start + length) as u64, &mut out);
        assert_alone(&front_end, &pcm[start..][..length], (count, &out));
    }
}

#[test]
fn what_was_forgotten_ahead_is_dropped_as_it_arrives() {
    let front_end = Arc::new(MelFrontEnd::new(MelConfig::nemo(80)).expect("the config is valid"));
    let pcm = signals::chirp(16_000, 2.0, 7);
    let mut mel = MelWindows::new(Arc::clone(&front_end));
    mel.push(&pcm[..1_000]);
    mel.forget(16_000);
    mel.push(&pcm[1_000..20_000]);
    mel.push(&pcm[20_000..]);
    let mut out = Vec::new();
    let count = mel.window(16_000, 32_000, &mut out);
    assert_alone(&front_end, &pcm[16_000..], (count, &out));
}

#[test]
#[should_panic(expected = "the window 159..400 is not inside 160..1000")]
fn a_window_of_forgotten_samples_is_refused() {
    let front_end = Arc::new(MelFrontEnd::new(MelConfig::nemo(80)).expect("the config is valid"));
    let mut mel = MelWindows::new(front_end);
    mel.push(&[0.0; 1_000]);
    mel.forget(160);
    mel.window(159, 400, &mut Vec::new());
}
