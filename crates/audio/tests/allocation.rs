//! The stages that run once per packet or window allocate nothing once they are warm.

use std::alloc::System;
use std::sync::Arc;

use percept_audio::{
    Earshot, GateConfig, GateSpan, MelConfig, MelFrontEnd, MelStream, MelWindows, Normalize,
    Resampler, SpeechGate, normalize,
};
use percept_testkit::signals;
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

/// The system's allocator, counting what all threads ask of it.
#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

fn calls() -> usize {
    let stats = ALLOCATOR.stats();
    stats.allocations + stats.reallocations
}

/// How often `work` allocates.
fn allocations(work: impl FnOnce()) -> usize {
    let before = calls();
    work();
    calls() - before
}

fn front_end(n_mels: usize) -> Arc<MelFrontEnd> {
    Arc::new(MelFrontEnd::new(MelConfig::nemo(n_mels)).expect("the config is valid"))
}

// One test: the counter is that of the process.
#[test]
fn warm_stages_allocate_nothing() {
    the_counter_counts();
    windows_allocate_nothing_once_warm();
    a_stream_of_frames_allocates_nothing_but_its_output();
    normalising_allocates_nothing();
    resampling_allocates_nothing_but_its_output();
    the_gate_allocates_nothing_once_warm();
}

fn the_counter_counts() {
    assert_eq!(allocations(|| drop(vec![0u8; 100])), 1);
    let mut grown = Vec::with_capacity(1);
    assert_eq!(allocations(|| grown.extend([1, 2, 3])), 1);
    assert_eq!(allocations(|| grown.clear()), 0);
}

fn windows_allocate_nothing_once_warm() {
    let (left, chunk, right) = (30 * 1280, 8 * 1280, 4 * 1280);
    let pcm = signals::noise(40 * chunk, 0.2, 1);
    let mut mel = MelWindows::new(front_end(80));
    let mut frames = Vec::new();
    let mut packets = pcm.chunks(480);
    let mut step = |at: usize| {
        while mel.samples() < (at + chunk + right) as u64 {
            mel.push(packets.next().expect("the signal is longer"));
        }
        frames.clear();
        let start = at.saturating_sub(left) as u64;
        mel.window(start, (at + chunk + right) as u64, &mut frames);
        mel.forget(start);
        normalize(Normalize::PerFeature, &mut frames, 80);
    };
    let starts: Vec<usize> = (0..pcm.len() - chunk - right).step_by(chunk).collect();
    let (warm_up, steady) = starts.split_at(8);
    warm_up.iter().for_each(|&at| step(at));
    for &at in steady {
        assert_eq!(allocations(|| step(at)), 0, "window at sample {at}");
    }
}

fn a_stream_of_frames_allocates_nothing_but_its_output() {
    let pcm = signals::noise(50_000, 0.2, 2);
    let mut mel = MelStream::new(front_end(128));
    let mut frames = Vec::with_capacity(400 * 128);
    let count = allocations(|| {
        for packet in pcm.chunks(7_000).chain(pcm.chunks(37)) {
            frames.clear();
            mel.push(packet, &mut frames);
        }
        mel.finish(&mut frames);
    });
    assert_eq!(count, 0);
}

fn normalising_allocates_nothing() {
    for n_mels in [1, 80, 128, 300] {
        let mut frames = signals::noise(50 * n_mels, 0.5, 3);
        for kind in [Normalize::PerFeature, Normalize::AllFeatures] {
            let count = allocations(|| normalize(kind, &mut frames, n_mels));
            assert_eq!(count, 0, "{kind:?} of {n_mels} bands");
        }
    }
}

fn resampling_allocates_nothing_but_its_output() {
    let pcm = signals::noise(50_000, 0.2, 4);
    for rate in [8_000, 16_000, 44_100, 48_000] {
        let mut resampler = Resampler::new(rate, 16_000).expect("the rate is in range");
        let mut out = Vec::with_capacity(3 * pcm.len());
        let count = allocations(|| {
            pcm.chunks(480)
                .for_each(|packet| resampler.push(packet, &mut out));
            resampler.finish(&mut out);
        });
        assert_eq!(count, 0, "{rate} Hz");
    }
}

fn the_gate_allocates_nothing_once_warm() {
    let pcm = signals::babble(16_000, 20.0, 5);
    let detector = Box::new(Earshot::new());
    let mut gate = SpeechGate::new(detector, GateConfig::default()).expect("the defaults fit");
    let (mut spans, mut heard) = (Vec::with_capacity(100), 0);
    let mut packets = pcm.chunks(480);
    let mut push = |packet| {
        gate.push(packet, &mut spans);
        for span in spans.drain(..) {
            if let GateSpan::Speech { start, end } = span {
                heard += gate.pcm(start..end).len();
            }
        }
    };
    packets.by_ref().take(300).for_each(&mut push);
    assert_eq!(allocations(|| packets.for_each(push)), 0);
    assert!(heard > 16_000);
}
