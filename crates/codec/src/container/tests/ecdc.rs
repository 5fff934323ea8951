//! ECDC files, written here as the `encodec` package writes them.

use super::*;

/// Numbers of 10 bits, lowest bit first, filled up to a byte.
fn pack(codes: impl Iterator<Item = u16>) -> Vec<u8> {
    let bits: Vec<bool> = codes
        .flat_map(|code| (0..10).map(move |bit| code >> bit & 1 == 1))
        .collect();
    let byte = |bits: &[bool]| {
        (0..8)
            .map(|i| u8::from(bits.get(i) == Some(&true)) << i)
            .sum()
    };
    bits.chunks(8).map(byte).collect()
}

fn start(meta: &str) -> Vec<u8> {
    let mut bytes = b"ECDC\0".to_vec();
    bytes.extend((meta.len() as u32).to_be_bytes());
    bytes.extend(meta.as_bytes());
    bytes
}

fn meta(model: &str, samples: u64, books: usize) -> String {
    format!(r#"{{"m": "{model}", "al": {samples}, "nc": {books}, "lm": false}}"#)
}

/// Codes as time-major numbers.
fn time_major(codes: &Codes) -> impl Iterator<Item = u16> + '_ {
    (0..codes.frames() as usize)
        .flat_map(move |t| (0..codes.books()).map(move |k| codes.book(k)[t]))
}

/// A file of each model, and the codes in it.
fn samples() -> Vec<(Codes, Vec<u8>)> {
    let mut rng = Rng::new(SEED);
    let mut all = Vec::new();
    for (samples, frames, nc) in [
        (1, 1, 2),
        (320, 1, 8),
        (321, 2, 8),
        (24_000, 75, 3),
        (10_000, 32, 32),
        (0, 0, 4),
    ] {
        let mut codes = random_codes(&books(&vec![1; nc], 1_024), frames, &mut rng);
        let mut bytes = start(&meta("encodec_24khz", samples, nc));
        bytes.extend(pack(time_major(&codes)));
        codes.set_source_samples(Some(samples));
        all.push((codes, bytes));
    }
    for (samples, segments) in [
        (48_000, &[150, 2][..]),
        (47_600, &[149, 1]),
        (100_000, &[150, 150, 16]),
        (5, &[1]),
    ] {
        let frames = segments.iter().sum();
        let mut codes = random_codes(&books(&[1; 3], 1_024), frames, &mut rng);
        let mut bytes = start(&meta("encodec_48khz", samples, 3));
        let mut at = 0;
        let mut scaled = Vec::new();
        for &length in segments {
            let scale = rng.uniform(0.01, 1.0);
            bytes.extend(scale.to_be_bytes());
            bytes.extend(pack(time_major(
                &codes.slice(at..at + length as u64).unwrap(),
            )));
            scaled.push(Segment {
                frames: length as u32,
                scale,
            });
            at += length as u64;
        }
        codes.set_segments(scaled).unwrap();
        codes.set_source_samples(Some(samples));
        all.push((codes, bytes));
    }
    all
}

#[test]
fn files_of_both_models_are_read() {
    for (codes, bytes) in samples() {
        let file = read_ecdc(&bytes[..]).unwrap();
        let stereo = !codes.segments().is_empty();
        assert_eq!(
            (file.sample_rate, file.channels),
            if stereo { (48_000, 2) } else { (24_000, 1) }
        );
        assert_eq!(file.meta.books, codes.books());
        assert_eq!(file.read.whole().unwrap(), codes);
    }
}

#[test]
fn the_first_bit_is_the_lowest() {
    let mut bytes = start(&meta("encodec_24khz", 320, 2));
    bytes.extend([0x01, 0b0000_0110, 0x00]);
    let codes = read_ecdc(&bytes[..]).unwrap().read.whole().unwrap();
    assert_eq!((codes.book(0), codes.book(1)), (&[0x201][..], &[0x001][..]));
}

#[test]
fn a_file_cut_anywhere_gives_the_frames_before_the_cut() {
    for (codes, bytes) in samples() {
        let body = 9 + bytes[8] as usize;
        for cut in 0..bytes.len() {
            match read_ecdc(&bytes[..cut]) {
                Err(error) => {
                    assert!(cut < body);
                    assert_eq!(error.code(), "truncated-header");
                }
                Ok(file) => {
                    let found = file.read.codes;
                    assert_eq!(file.read.fault.unwrap().code(), "truncated");
                    let frames = found.frames();
                    assert_eq!(
                        found.into_books(),
                        codes.slice(0..frames).unwrap().into_books()
                    );
                    if codes.segments().is_empty() {
                        assert_eq!(frames, ((cut - body) * 8 / (10 * codes.books())) as u64);
                    }
                }
            }
        }
    }
}

#[test]
fn nothing_follows_the_last_frame() {
    for (codes, mut bytes) in samples() {
        let end = bytes.len() as u64;
        bytes.push(0);
        let Salvage {
            codes: found,
            fault,
        } = read_ecdc(&bytes[..]).unwrap().read;
        assert!(matches!(fault, Some(ContainerError::Trailing { offset }) if offset == end));
        assert_eq!(found, codes);
    }
}

#[test]
fn what_cannot_be_read_is_named() {
    let code = |bytes: Vec<u8>| read_ecdc(&bytes[..]).map_or_else(|e| e.code(), |_| "fine");
    let text = |text: &str| code(start(text));
    assert_eq!(text(&meta("encodec_24khz", 0, 4)), "fine");
    assert_eq!(
        text(&meta("encodec_24khz", 0, 4).replace("false", "true")),
        "language-model"
    );
    assert_eq!(text(&meta("encodec_32khz", 0, 4)), "unknown-model");
    assert_eq!(text(&meta("encodec_24khz", 0, 0)), "book-count");
    assert_eq!(text(&meta("encodec_24khz", 0, 33)), "book-count");
    assert_eq!(text(&meta("encodec_48khz", 0, 17)), "book-count");
    assert_eq!(text("{}"), "user-json");
    assert_eq!(
        text(r#"{"m":"encodec_24khz","al":-1,"nc":4,"lm":false}"#),
        "user-json"
    );
    assert_eq!(code(b"ECDC\x01\0\0\0\0".to_vec()), "version");
    assert_eq!(code(b"ECDC\0\xFF\0\0\0".to_vec()), "header");
    assert_eq!(code(b"NCT1".to_vec()), "magic");
    for scale in [f32::NAN, 0.0, -1.0] {
        let mut bytes = start(&meta("encodec_48khz", 320, 1));
        bytes.extend(scale.to_be_bytes());
        bytes.extend([0; 2]);
        let read = read_ecdc(&bytes[..]).unwrap().read;
        assert_eq!(read.fault.unwrap().code(), "segment-scale");
        assert!(read.codes.is_empty());
    }
    for model in ["encodec_24khz", "encodec_48khz"] {
        let mut bytes = start(&meta(model, u64::MAX, 1));
        bytes.extend([1; 100]);
        let file = read_ecdc(&bytes[..]).unwrap();
        assert_eq!(file.read.fault.unwrap().code(), "truncated");
        assert!(file.read.codes.frames() <= 80);
    }
}

#[test]
fn random_damage_never_panics() {
    let mut rng = Rng::new(SEED);
    let samples = samples();
    for _ in 0..3_000 {
        let mut bytes = samples[rng.below(samples.len())].1.clone();
        for _ in 0..1 + rng.below(4) {
            let bound = if rng.below(2) == 0 { 70 } else { bytes.len() };
            let at = rng.below(bound.min(bytes.len()));
            bytes[at] = match rng.below(2) {
                0 => rng.bits() as u8,
                _ => b'0' + rng.below(10) as u8,
            };
        }
        bytes.truncate(rng.below(bytes.len() * 2));
        if let Ok(file) = read_ecdc(&bytes[..]) {
            assert!(file.read.codes.is_whole());
            assert!(file.read.codes.tokens() * 10 <= bytes.len() * 8);
        }
    }
}
