//! What a stream costs in memory: no more after half an hour than after a minute.

use std::alloc::System;
use std::sync::Arc;

use percept_codec::{CodecModel, DecodeOptions, EncodeOptions, StreamDecoder, StreamEncoder};
use percept_testkit::Rng;
use percept_testkit::golden::CodecCase;
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

/// The system's allocator, counting what all threads ask of it.
#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

fn bytes() -> i64 {
    let stats = ALLOCATOR.stats();
    stats.bytes_allocated as i64 - stats.bytes_deallocated as i64
}

/// Frames of half an hour of Mimi, and of two minutes.
const FRAMES: usize = 22_500;
const WARM: usize = 1_500;

#[test]
fn half_an_hour_needs_no_more_than_two_minutes() {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build();
    pool.expect("a thread").install(|| {
        for (family, name) in [
            ("snac", "no_noise_three_blocks"),
            ("mimi", "no_projection"),
            ("dac", "descript_names"),
            ("encodec", "24khz"),
        ] {
            let model = CodecModel::open(&CodecCase::open(family, name).model());
            stream(&Arc::new(model.expect("a complete checkpoint")), name);
        }
    });
}

/// Encodes and decodes noise in packets of some frames.
fn stream(model: &Arc<CodecModel>, name: &str) {
    let hop = model.spec().hop as usize;
    let mut encoder =
        StreamEncoder::new(model.clone(), &EncodeOptions::default()).expect("its books");
    let mut decoder = StreamDecoder::new(model.clone(), &DecodeOptions::default());
    let mut rng = Rng::new(1);
    let (mut codes, mut sound) = (encoder.empty_codes(), Vec::new());
    let (mut frames, mut samples, mut at_most, mut warm) = (0, 0, 0, 0);
    let mut pcm = vec![0.0; 5 * hop];
    while frames < FRAMES {
        pcm.fill_with(|| rng.uniform(-0.5, 0.5));
        codes.clear();
        sound.clear();
        frames += encoder.push(&pcm, &mut codes).expect("finite");
        samples += decoder.push(&codes, &mut sound).expect("its codes");
        at_most = at_most.max(bytes());
        if frames <= WARM {
            warm = at_most;
        }
    }
    assert!(samples > (FRAMES - 50) * hop, "{name}: {samples}");
    assert!(
        at_most <= warm + 4096,
        "{name}: {warm} bytes grew to {at_most}"
    );
}
