//! Every format decodes to the signal that was encoded.

mod common;

use common::*;
use percept_audio::{AudioError, AudioReader};

/// One fixture: what it is, and how close to the encoded chirp it must come.
struct Case {
    file: &'static str,
    container: &'static str,
    codec: &'static str,
    rate: u32,
    channels: usize,
    /// Samples at `rate`.
    samples: usize,
    /// Samples of encoder delay that the format has no way to state.
    delay: usize,
    min_snr_db: f64,
}

const fn case(
    (file, container, codec): (&'static str, &'static str, &'static str),
    (rate, channels): (u32, usize),
    (samples, delay): (usize, usize),
    min_snr_db: f64,
) -> Case {
    Case {
        file,
        container,
        codec,
        rate,
        channels,
        samples,
        delay,
        min_snr_db,
    }
}

const CASES: [Case; 25] = [
    case(
        ("chirp.flac", "flac", "flac"),
        (16_000, 1),
        (16_000, 0),
        120.0,
    ),
    case(
        ("chirp.flac.oga", "ogg", "flac"),
        (16_000, 1),
        (16_000, 0),
        120.0,
    ),
    case(
        ("flac.mkv", "matroska", "flac"),
        (16_000, 1),
        (16_000, 0),
        120.0,
    ),
    case(("alac.m4a", "mp4", "alac"), (16_000, 1), (16_000, 0), 120.0),
    case(("alac.caf", "caf", "alac"), (16_000, 1), (16_000, 0), 120.0),
    case(
        ("chirp.aiff", "aiff", "pcm_s16be"),
        (16_000, 1),
        (16_000, 0),
        85.0,
    ),
    case(
        ("chirp.caf", "caf", "pcm_s16le"),
        (16_000, 1),
        (16_000, 0),
        85.0,
    ),
    case(
        ("chirp.w64", "wav", "pcm_s16le"),
        (8_000, 1),
        (8_000, 0),
        85.0,
    ),
    case(
        ("rf64.wav", "wav", "pcm_s16le"),
        (8_000, 1),
        (8_000, 0),
        85.0,
    ),
    case(
        ("ima.wav", "wav", "adpcm_ima_wav"),
        (8_000, 1),
        (8_164, 0),
        15.0,
    ),
    case(("ms.wav", "wav", "adpcm_ms"), (8_000, 1), (8_144, 0), 15.0),
    case(("chirp.mp3", "mp3", "mp3"), (44_100, 2), (44_100, 0), 25.0),
    case(
        ("plain.mp3", "mp3", "mp3"),
        (44_100, 1),
        (46_080, 1_105),
        25.0,
    ),
    case(
        ("chirp.mp2", "mp3", "mp2"),
        (44_100, 1),
        (44_928, 481),
        18.0,
    ),
    case(
        ("chirp.ogg", "ogg", "vorbis"),
        (44_100, 2),
        (44_100, 0),
        25.0,
    ),
    case(
        ("vorbis.webm", "matroska", "vorbis"),
        (44_100, 2),
        (44_608, 0),
        25.0,
    ),
    case(("chirp.m4a", "mp4", "aac"), (44_100, 2), (44_100, 0), 17.0),
    case(
        ("faststart.m4a", "mp4", "aac"),
        (44_100, 1),
        (44_100, 0),
        17.0,
    ),
    case(
        ("chirp.aac", "aac", "aac"),
        (44_100, 1),
        (46_080, 1_024),
        17.0,
    ),
    case(("celt.opus", "ogg", "opus"), (48_000, 1), (48_000, 0), 35.0),
    case(
        ("hybrid.opus", "ogg", "opus"),
        (48_000, 2),
        (48_000, 0),
        30.0,
    ),
    case(
        ("surround.opus", "ogg", "opus"),
        (48_000, 6),
        (48_000, 0),
        15.0,
    ),
    case(
        ("opus.webm", "matroska", "opus"),
        (48_000, 1),
        (48_648, 0),
        35.0,
    ),
    case(("opus.mp4", "mp4", "opus"), (48_000, 1), (48_000, 0), 35.0),
    case(("silk.opus", "ogg", "opus"), (48_000, 1), (48_000, 0), 5.0),
];

#[test]
fn every_format_decodes_to_the_signal_that_was_encoded() {
    for case in &CASES {
        let reader = AudioReader::open(&fixture(case.file), case.rate).expect(case.file);
        let info = reader.info().clone();
        let found = (
            &*info.container,
            &*info.codec,
            info.sample_rate,
            info.channels,
        );
        assert_eq!(
            found,
            (case.container, case.codec, case.rate, case.channels),
            "{}",
            case.file
        );
        let (pcm, failure) = read_all(Ok(reader));
        assert!(failure.is_none(), "{}: {failure:?}", case.file);
        assert_eq!(pcm.len(), case.samples, "{}: samples", case.file);
        let amplitude = if case.channels == 2 { 0.25 } else { 0.5 };
        let ideal = fixture_chirp(case.rate, case.rate as usize, amplitude);
        let snr = snr_db(&pcm[case.delay..], &ideal, 1_000);
        assert!(snr >= case.min_snr_db, "{}: {snr:.1} dB", case.file);
    }
}

#[test]
fn a_pipe_gives_what_the_file_gives() {
    for case in &CASES {
        let from_file = decode(fixture_bytes(case.file), 16_000);
        let pipe = AudioReader::from_source("pipe", Pipe::boxed(fixture_bytes(case.file)), 16_000);
        let is_index_last =
            ["alac.m4a", "alac.caf", "chirp.caf", "chirp.m4a", "opus.mp4"].contains(&case.file);
        match pipe {
            Err(AudioError::NeedsSeek { .. }) if is_index_last => {}
            Err(error) => panic!("{}: {error}", case.file),
            Ok(reader) => {
                assert!(!is_index_last, "{}", case.file);
                let (pcm, failure) = read_all(Ok(reader));
                assert!(failure.is_none(), "{}: {failure:?}", case.file);
                assert_eq!(pcm, from_file, "{}", case.file);
            }
        }
    }
}

#[test]
fn low_rate_opus_is_what_the_reference_decoder_gives() {
    let found = decode(fixture_bytes("silk.opus"), 48_000);
    let oracle = decode(fixture_bytes("silk.oracle.flac"), 48_000);
    let worst = found
        .iter()
        .zip(&oracle)
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, f32::max);
    assert_eq!(found.len(), oracle.len());
    assert!(worst <= 1.0 / 32_768.0, "off by {worst}");
}

#[test]
fn every_wav_sample_format_decodes_to_the_same_signal() {
    let signal = chirp(16_000, 8_000, 0.5, 200.0, 2_000.0);
    let scaled = |scale: f64| {
        signal
            .iter()
            .map(move |&x| (f64::from(x) * scale).round() as i64)
            .collect::<Vec<_>>()
    };
    let le = |values: Vec<i64>, bytes: usize| -> Vec<u8> {
        values
            .iter()
            .flat_map(|v| v.to_le_bytes()[..bytes].to_vec())
            .collect()
    };
    let unsigned: Vec<i64> = scaled(128.0).iter().map(|v| v + 128).collect();
    let doubles: Vec<u8> = signal
        .iter()
        .flat_map(|&x| f64::from(x).to_le_bytes())
        .collect();
    let floats: Vec<u8> = signal.iter().flat_map(|x| x.to_le_bytes()).collect();
    let table = [
        (1, 8, le(unsigned, 1), 38.0),
        (1, 16, le(scaled(32_768.0), 2), 85.0),
        (1, 24, le(scaled(8_388_608.0), 3), 130.0),
        (1, 32, le(scaled(2_147_483_648.0), 4), 130.0),
        (3, 32, floats.clone(), 200.0),
        (3, 64, doubles, 200.0),
        (0xfffe, 24, le(scaled(8_388_608.0), 3), 130.0),
        (0xfffe, 32, floats, 200.0),
        (6, 8, signal.iter().map(|&x| alaw(x)).collect(), 30.0),
        (7, 8, signal.iter().map(|&x| mulaw(x)).collect(), 30.0),
    ];
    for (tag, bits, data, min_snr_db) in table {
        let pcm = decode(Wav::new(tag, 1, 16_000, bits, data).bytes(), 16_000);
        assert_eq!(pcm.len(), signal.len(), "tag {tag:#x}, {bits} bits");
        let snr = snr_db(&pcm, &signal, 0);
        assert!(snr >= min_snr_db, "tag {tag:#x}, {bits} bits: {snr:.1} dB");
    }
}

/// ITU-T G.711, by search: the code whose value is nearest.
fn nearest(x: f32, value: impl Fn(u8) -> i32) -> u8 {
    let target = (x * 32_768.0) as i32;
    (0..=255)
        .min_by_key(|&code| (value(code) - target).abs())
        .expect("there are 256 codes")
}

fn alaw(x: f32) -> u8 {
    nearest(x, |code| {
        let code = code ^ 0x55;
        let (exponent, mantissa) = (i32::from(code >> 4 & 7), i32::from(code & 15));
        let value = if exponent == 0 {
            mantissa << 4 | 8
        } else {
            (mantissa << 4 | 0x108) << (exponent - 1)
        };
        if code & 0x80 != 0 { value } else { -value }
    })
}

fn mulaw(x: f32) -> u8 {
    nearest(x, |code| {
        let code = !code;
        let value = ((i32::from(code & 15) << 3 | 0x84) << (code >> 4 & 7)) - 0x84;
        if code & 0x80 == 0 { value } else { -value }
    })
}

#[test]
fn samples_at_the_rate_asked_for_pass_bit_for_bit() {
    let integers: Vec<i16> = (0..5_000)
        .map(|i: i32| (i * 7_919 % 65_536 - 32_768) as i16)
        .collect();
    let expected: Vec<f32> = integers.iter().map(|&x| f32::from(x) / 32_768.0).collect();
    assert_eq!(
        decode(Wav::pcm16(16_000, &integers).bytes(), 16_000),
        expected
    );
    let floats: Vec<f32> = (0..5_000).map(|i| (i as f32 * 0.37).sin() * 3.0).collect();
    assert_eq!(decode(Wav::float(16_000, &floats).bytes(), 16_000), floats);
}

#[test]
fn open_ended_wav_headers_are_read_to_the_end() {
    let samples: Vec<i16> = (0..1_000).collect();
    let expected: Vec<f32> = samples.iter().map(|&x| f32::from(x) / 32_768.0).collect();
    for (riff_bytes, data_bytes) in [
        (u32::MAX, u32::MAX),
        (0, 0),
        (u32::MAX, 0),
        (0x7fff_f024, 0x7fff_f000),
        (36, 0),
        (2_036, 0),
    ] {
        let mut wav = Wav::pcm16(16_000, &samples);
        (wav.riff_bytes, wav.data_bytes) = (Some(riff_bytes), Some(data_bytes));
        assert_eq!(
            decode(wav.bytes(), 16_000),
            expected,
            "data size {data_bytes:#x}"
        );
    }
}

#[test]
fn chunks_after_the_samples_are_no_samples() {
    let mut bytes = Wav::pcm16(16_000, &[1, 2, 3]).bytes();
    bytes.extend(b"LIST\x04\0\0\0INFO");
    assert_eq!(decode(bytes, 16_000).len(), 3);
    let mut empty = Wav::pcm16(16_000, &[]).bytes();
    empty[4] += 12;
    empty.extend(b"LIST\x04\0\0\0INFO");
    assert_eq!(decode(empty, 16_000).len(), 0);
}

#[test]
fn short_wavs_are_fine() {
    for samples in [0, 1, 100, 200] {
        let wav = Wav::pcm16(16_000, &vec![100; samples]).bytes();
        assert_eq!(decode(wav.clone(), 16_000).len(), samples);
        assert_eq!(decode(wav, 8_000).len(), samples.div_ceil(2));
    }
}

#[test]
fn channels_are_mixed_to_their_mean() {
    let frame: [f32; 8] = [0.5, -0.25, 0.125, 0.5, 0.5, 0.5, 0.5, -0.375];
    let data = frame
        .iter()
        .flat_map(|x| x.to_le_bytes())
        .collect::<Vec<_>>()
        .repeat(192_000 / 4);
    for tag in [3, 0xfffe] {
        let pcm = decode(Wav::new(tag, 8, 192_000, 32, data.clone()).bytes(), 16_000);
        assert_eq!(pcm.len(), 4_000);
        let worst = pcm[1_000..3_000]
            .iter()
            .map(|x| (x - 0.25).abs())
            .fold(0.0, f32::max);
        assert!(worst < 1e-5, "off by {worst}");
    }
}

#[test]
fn a_tag_before_the_audio_is_stepped_over() {
    for file in ["chirp.mp3", "plain.mp3", "chirp.aac", "chirp.flac"] {
        let bytes = fixture_bytes(file);
        for tag_bytes in [0u32, 1_000, 100_000, 1_500_000] {
            // A private frame full of what looks like MPEG audio, as pictures do.
            let frame: Vec<u8> = [0xff, 0xfb, 0x90, 0x64].repeat(tag_bytes as usize / 4);
            let synchsafe = |n: u32| [n >> 21, n >> 14, n >> 7, n].map(|byte| byte as u8 & 0x7f);
            let mut tagged = b"ID3\x04\0\0".to_vec();
            tagged.extend(synchsafe(frame.len() as u32 + 10));
            tagged.extend(b"PRIV");
            tagged.extend(synchsafe(frame.len() as u32));
            tagged.extend([0, 0]);
            tagged.extend(frame);
            tagged.extend(&bytes);
            let same = decode(tagged, 16_000) == decode(bytes.clone(), 16_000);
            assert!(same, "{file} after a tag of {tag_bytes} bytes");
        }
    }
}
