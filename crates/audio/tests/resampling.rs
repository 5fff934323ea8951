//! Sample rate conversion, through the front door.

mod common;

use common::*;

const RATES: [u32; 13] = [
    1_000, 8_000, 11_025, 22_050, 24_000, 32_000, 37_800, 44_100, 44_101, 48_000, 96_000, 192_000,
    768_000,
];

#[test]
fn a_sweep_keeps_its_shape_and_its_place() {
    for rate in RATES {
        // From 20 Hz to 90 % of what both rates can hold, in one second.
        let slope = 0.9 * f64::from(rate.min(16_000)) / 2.0;
        let sweep = chirp(rate, rate as usize, 0.5, 20.0, slope);
        let pcm = decode(Wav::float(rate, &sweep).bytes(), 16_000);
        assert_eq!(pcm.len(), 16_000, "{rate} Hz");
        let snr = snr_db(&pcm, &chirp(16_000, 16_000, 0.5, 20.0, slope), 2_000);
        println!("{rate} Hz: {snr:.1} dB");
        assert!(snr > 80.0, "{rate} Hz: {snr:.1} dB");
    }
}

#[test]
fn what_the_target_rate_cannot_hold_is_gone() {
    for rate in [24_000, 44_100, 48_000, 192_000] {
        let low = 8_200.0;
        let tone = chirp(
            rate,
            rate as usize,
            0.5,
            low,
            f64::from(rate) / 2.0 - low - 200.0,
        );
        let pcm = decode(Wav::float(rate, &tone).bytes(), 16_000);
        let worst = pcm[2_000..14_000]
            .iter()
            .fold(0f32, |worst, x| worst.max(x.abs()));
        let rejection = -20.0 * (worst / 0.5).log10();
        println!("{rate} Hz: {rejection:.1} dB");
        assert!(rejection > 80.0, "{rate} Hz: {rejection:.1} dB");
    }
}

#[test]
fn every_length_is_rounded_up() {
    for rate in RATES {
        for samples in [0, 1, 2, 3, 159, 1_000, 4_321] {
            let pcm = decode(Wav::float(rate, &vec![0.25; samples]).bytes(), 16_000);
            assert_eq!(
                pcm.len() as u64,
                (samples as u64 * 16_000).div_ceil(rate.into()),
                "{samples} at {rate} Hz"
            );
        }
    }
}
