//! Bad input gets one clear line, and no audio is lost to it.

mod common;

use common::*;
use percept_audio::{AudioError, AudioReader};

/// How `bytes` fail to be read.
fn failure(bytes: impl AsRef<[u8]>) -> AudioError {
    let reader = AudioReader::from_bytes("bad.wav", bytes.as_ref().to_vec(), 16_000);
    read_all(reader).1.expect("this must not end well")
}

fn noise(bytes: usize) -> Vec<u8> {
    let mut state = 7u64;
    let mut next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    (0..bytes).map(|_| next()).collect()
}

#[test]
fn bad_input_is_named_with_its_fact_and_remedy() {
    let many_bits = Wav::new(1, 1, 16_000, 40, vec![0; 100]).bytes();
    let gsm = Wav::new(0x31, 1, 8_000, 16, vec![0; 100]).bytes();
    let slow = Wav::pcm16(999, &[0; 100]).bytes();
    let headless = Wav::pcm16(16_000, &[0; 100]).bytes()[..30].to_vec();
    let mute = Wav::new(1, 0, 16_000, 16, vec![0; 100]).bytes();
    let table: [(&str, Vec<u8>, &str, &str); 16] = [
        ("audio.empty", Vec::new(), "is empty", "again"),
        (
            "audio.unknown_format",
            b"one word after another".repeat(9),
            "looks like text",
            "give wav",
        ),
        (
            "audio.unknown_format",
            noise(300_000),
            "looks like binary data",
            "give wav",
        ),
        (
            "audio.unknown_format",
            vec![0; 4_096],
            "not a known audio format",
            "give wav",
        ),
        (
            "audio.unknown_format",
            b"R".to_vec(),
            "not a known audio format",
            "give wav",
        ),
        (
            "audio.unsupported_format",
            b"wvpk etc".to_vec(),
            "WavPack",
            "convert",
        ),
        (
            "audio.unsupported_format",
            b"RIFF\0\0\0\0AVI LIST".to_vec(),
            "AVI",
            "convert",
        ),
        (
            "audio.unsupported_format",
            fixture_bytes("speex.ogg"),
            "Speex",
            "convert",
        ),
        ("audio.unsupported_codec", gsm, "GSM 6.10", "convert"),
        ("audio.unsupported_codec", many_bits, "40 bits", "convert"),
        (
            "audio.no_audio",
            fixture_bytes("silent-film.mp4"),
            "no audio track",
            "sound",
        ),
        ("audio.sample_rate", slow, "999 Hz", "1000 Hz"),
        ("audio.malformed", headless, "wav header", "again"),
        ("audio.malformed", mute, "no channels", "again"),
        (
            "audio.malformed",
            fixture_bytes("chirp.flac")[..20].to_vec(),
            "flac header",
            "again",
        ),
        (
            "audio.malformed",
            fixture_bytes("chirp.m4a")[..9_000].to_vec(),
            "mp4 header",
            "again",
        ),
    ];
    for (code, bytes, fact, remedy) in table {
        let error = failure(&bytes);
        let line = error.to_string();
        assert_eq!(error.code(), code, "{line}");
        assert!(
            line.starts_with("bad.wav: ") && line.contains(fact) && line.contains(remedy),
            "{line}"
        );
        assert!(!line.contains('\n') && !line.contains("  "), "{line}");
    }
}

#[test]
fn what_cannot_be_opened_is_named() {
    let missing =
        AudioReader::open(&fixture("no-such-file"), 16_000).expect_err("there is no such file");
    assert_eq!(missing.code(), "audio.open");
    let folder = AudioReader::open(&fixture("."), 16_000).expect_err("a folder is no file");
    assert!(
        ["audio.open", "audio.read"].contains(&folder.code()),
        "{folder}"
    );
    let rate = AudioReader::open(&fixture("chirp.flac"), 0).expect_err("no rate");
    assert_eq!(rate.code(), "audio.sample_rate");
}

#[test]
fn a_sample_that_is_no_number_ends_the_stream_where_it_is() {
    for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 3e38] {
        let mut samples = chirp(16_000, 16_000, 0.5, 200.0, 100.0);
        samples[5_000] = value;
        let reader =
            AudioReader::from_bytes("nan.wav", Wav::float(16_000, &samples).bytes(), 16_000);
        let (pcm, failure) = read_all(reader);
        assert_eq!(pcm, samples[..5_000]);
        match failure {
            Some(AudioError::NotFinite { seconds, .. }) => assert_eq!(seconds, 0.3125),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_stream_that_is_cut_short_delivers_what_it_holds_and_says_so() {
    let chirp = Wav::pcm16(16_000, &vec![77; 16_000]).bytes();
    let files = [
        "chirp.flac",
        "chirp.mp3",
        "chirp.ogg",
        "celt.opus",
        "chirp.aiff",
        "flac.mkv",
        "faststart.m4a",
    ];
    let sources = files.map(|file| (file, fixture_bytes(file))).into_iter();
    for (file, bytes) in sources.chain([("wav", chirp)]) {
        let whole = decode(bytes.clone(), 16_000);
        let cut = bytes[..bytes.len() * 7 / 10].to_vec();
        for reader in [
            AudioReader::from_bytes("cut", cut.clone(), 16_000),
            AudioReader::from_source("cut", Pipe::boxed(cut.clone()), 16_000),
        ] {
            let (pcm, failure) = read_all(reader);
            // Ogg pages hold up to a second, and the frame in which the cut lies is lost.
            let least = if ["chirp.ogg", "celt.opus"].contains(&file) {
                0
            } else {
                8_000
            };
            assert!(
                (least..15_000).contains(&pcm.len()),
                "{file}: {} samples, {failure:?}",
                pcm.len()
            );
            let sure = pcm.len().saturating_sub(2_000);
            let worst = pcm[..sure]
                .iter()
                .zip(&whole)
                .map(|(a, b)| (a - b).abs())
                .fold(0.0, f32::max);
            assert!(worst < 1e-6, "{file}: off by {worst}");
            match failure {
                Some(AudioError::Truncated { seconds, .. }) => {
                    assert!(
                        (seconds - pcm.len() as f64 / 16_000.0).abs() < 1e-3,
                        "{file}: {seconds} s"
                    );
                }
                other => panic!("{file}: {other:?}"),
            }
        }
    }
}

#[test]
fn a_header_that_promises_more_than_there_is_means_cut_short() {
    let mut wav = Wav::pcm16(16_000, &[5; 1_000]);
    wav.data_bytes = Some(4_000);
    wav.riff_bytes = Some(4_036);
    let (pcm, failure) = read_all(AudioReader::from_bytes("long", wav.bytes(), 16_000));
    assert_eq!(pcm.len(), 1_000);
    let line = failure.expect("the header lies").to_string();
    assert!(
        line.contains("ends after 0.062 s") && line.contains("promises 0.125 s"),
        "{line}"
    );
}

#[test]
fn damage_in_the_middle_costs_only_what_is_damaged() {
    for (file, start, len, rate) in [
        ("chirp.mp3", 4_000, 300, 44_100),
        ("chirp.flac", 16_000, 100, 16_000),
    ] {
        let bytes = fixture_bytes(file);
        let whole = decode(bytes.clone(), rate);
        let mut broken = bytes;
        broken[start..start + len].fill(0x55);
        let (pcm, failure) = read_all(AudioReader::from_bytes("broken", broken, rate));
        let failure = failure.expect(file);
        assert!(
            ["audio.corrupt", "audio.truncated"].contains(&failure.code()),
            "{file}: {failure}"
        );
        assert!(
            pcm.len() > 11_000,
            "{file}: {} samples, {failure}",
            pcm.len()
        );
        let early = pcm[..3_000]
            .iter()
            .zip(&whole)
            .map(|(a, b)| (a - b).abs())
            .fold(0.0, f32::max);
        assert!(early < 1e-6, "{file}: off by {early} before the damage");
        // The damage may have cost time, so the end is looked for.
        let end = &whole[whole.len() - 4_000..whole.len() - 1_000];
        let differences = |at: &[f32]| {
            at.iter()
                .zip(end)
                .map(|(a, b)| (a - b).abs())
                .fold(0.0, f32::max)
        };
        let late = pcm
            .windows(end.len())
            .map(differences)
            .fold(f32::INFINITY, f32::min);
        assert!(late < 1e-3, "{file}: off by {late} after the damage");
    }
}

#[test]
fn no_input_makes_the_reader_panic_or_run_for_ever() {
    let files = [
        "chirp.mp3",
        "chirp.ogg",
        "chirp.m4a",
        "celt.opus",
        "opus.webm",
        "ima.wav",
        "chirp.aac",
        "chirp.w64",
    ];
    for (seed, file) in files.into_iter().enumerate() {
        let bytes = fixture_bytes(file);
        let dice = noise(4 * 64);
        for (round, dice) in dice.chunks_exact(4).enumerate() {
            let mut broken = bytes.clone();
            let at = (usize::from(dice[0]) << 8 | usize::from(dice[1])) * (round + seed + 1)
                % broken.len();
            broken[at] ^= dice[2] | 1;
            if dice[3] & 1 == 1 {
                let near_the_start = at % 200;
                broken[near_the_start] = dice[3];
            }
            let (pcm, _) = read_all(AudioReader::from_bytes("fuzzed", broken, 16_000));
            assert!(
                pcm.iter().all(|x| x.is_finite()) && pcm.len() < 10_000_000,
                "{file}, round {round}"
            );
        }
    }
}
