//! The front door to codecs gives what the model gives, on threads of its own or of others.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use percept::{
    Codec, CodecOptions, Codes, DecodeOptions, EncodeOptions, Noise, PcmRef, Recognizer,
    RecognizerOptions, ThreadPoolBuilder,
};
use percept_testkit::{chunking, signals};

fn fixture() -> PathBuf {
    let fixture = "../../golden/fixtures/codec/snac/24khz/model";
    Path::new(env!("CARGO_MANIFEST_DIR")).join(fixture)
}

fn codec(threads: usize) -> Codec {
    let mut options = CodecOptions::default();
    options.threads = Some(threads);
    Codec::open(&fixture(), &options).unwrap()
}

fn pcm(seconds: f32) -> Vec<f32> {
    signals::babble(24_000, seconds, 3)
}

#[test]
fn threads_and_batches_change_nothing() {
    let recordings = [pcm(0.01), pcm(1.3), pcm(0.4)];
    let recordings: Vec<PcmRef<'_>> = recordings
        .iter()
        .map(|pcm| PcmRef::mono(pcm, 24_000))
        .collect();
    let (encode, decode) = (EncodeOptions::default(), DecodeOptions::default());
    let one = codec(1);
    let codes: Vec<Codes> = recordings
        .iter()
        .map(|&pcm| one.encode(pcm, &encode).unwrap())
        .collect();
    for threads in [1, 3] {
        let codec = codec(threads);
        assert_eq!(codec.threads(), threads);
        assert_eq!(codec.encode_batch(&recordings, &encode).unwrap(), codes);
        let sounds = codec.decode_batch(&codes, &decode).unwrap();
        for ((sound, codes), recording) in sounds.iter().zip(&codes).zip(&recordings) {
            assert_eq!(sound, &one.decode(codes, &decode).unwrap());
            assert_eq!(sound.samples.len(), recording.samples.len());
        }
    }
}

#[test]
fn any_cutting_gives_the_same_codes_and_the_same_sound() {
    let (codec, pcm) = (codec(2), pcm(0.6));
    let mut options = DecodeOptions::default();
    (options.noise, options.trim) = (Noise::Seeded(9), false);
    let whole = codec
        .encode(PcmRef::mono(&pcm, 24_000), &EncodeOptions::default())
        .unwrap();
    let sound = codec.decode(&whole, &options).unwrap().samples;
    chunking::assert_same(&pcm, 4, |chunks| {
        let mut encoder = codec.encoder(&EncodeOptions::default()).unwrap();
        let mut codes = encoder.empty_codes();
        for chunk in chunks {
            encoder.push(chunk, &mut codes).unwrap();
        }
        encoder.finish(&mut codes).unwrap();
        assert_eq!((encoder.received(), &codes), (pcm.len() as u64, &whole));
        codes
    });
    for step in [1, 2, 5] {
        let (mut decoder, mut out) = (codec.decoder(&options), Vec::new());
        for first in (0..whole.superframes()).step_by(step) {
            let last = (first + step as u64).min(whole.superframes());
            decoder
                .push(&whole.slice(first..last).unwrap(), &mut out)
                .unwrap();
        }
        let mut fork = decoder.clone();
        decoder.finish(&mut out).unwrap();
        assert!(out == sound && decoder.emitted() == sound.len() as u64);
        // A copy goes its own way.
        let mut rest = Vec::new();
        fork.finish(&mut rest).unwrap();
        assert!(sound.ends_with(&rest) && !rest.is_empty());
    }
}

#[test]
fn a_codec_and_a_recogniser_share_their_threads() {
    let pool = Arc::new(ThreadPoolBuilder::new().num_threads(1).build().unwrap());
    let mut options = CodecOptions::default();
    options.pool = Some(Arc::clone(&pool));
    let codec = Codec::open(&fixture(), &options).unwrap();
    let mut options = RecognizerOptions::default();
    options.pool = Some(pool);
    let recognizer = Recognizer::embedded(&options).unwrap();
    assert_eq!((codec.threads(), recognizer.threads()), (1, 1));
    let codes = codec.encode(PcmRef::mono(&pcm(0.1), 24_000), &EncodeOptions::default());
    assert!(!codes.unwrap().is_empty());
}

#[test]
fn what_it_cannot_take_has_a_stable_code() {
    let codec = codec(1);
    let encode = |samples: &[f32], rate| {
        let pcm = PcmRef::mono(samples, rate);
        codec
            .encode(pcm, &EncodeOptions::default())
            .unwrap_err()
            .code()
    };
    assert_eq!(encode(&[], 24_000), "empty-audio");
    assert_eq!(encode(&[0.0], 16_000), "rate-mismatch");
    assert_eq!(encode(&[f32::NAN], 24_000), "not-finite");
    let empty = Codes::new(Arc::clone(&codec.spec().books));
    let error = codec.decode(&empty, &DecodeOptions::default()).unwrap_err();
    assert_eq!(error.code(), "empty-codes");
    let nowhere = Codec::open(Path::new("/no/such"), &CodecOptions::default()).unwrap_err();
    assert!(nowhere.to_string().contains("/no/such"), "{nowhere}");
}
