//! Models that work in segments.

use std::sync::Arc;

use percept_testkit::{Rng, signals};
use serde_json::{Value, json};

use super::{encode, open, open_with};
use crate::encodec::config::EncodecConfig;
use crate::{Codes, DecodeOptions, EncodeOptions, Segment, StreamDecoder, StreamEncoder};

#[test]
fn segments_are_a_second_less_the_overlap_or_the_whole() {
    let cut = |fields: Value| {
        let config: EncodecConfig = serde_json::from_value(fields).expect("its fields");
        config
            .segmentation()
            .map(|cut| (cut.length, cut.step, cut.is_scaled))
    };
    let second = json!({"sampling_rate": 48000, "chunk_length_s": 1.0, "overlap": 0.01});
    assert_eq!(cut(second), Some((48_000, 47_520, false)));
    assert_eq!(cut(json!({})), None);
    assert_eq!(cut(json!({"overlap": 0.01})), None);
    assert_eq!(
        cut(json!({"normalize": true})),
        Some((usize::MAX, usize::MAX, true))
    );
    let normed = json!({"norm_type": "time_group_norm"});
    assert_eq!(cut(normed), Some((usize::MAX, usize::MAX, false)));
}

#[test]
fn each_segment_is_coded_as_if_it_were_alone() {
    let model = open("48khz");
    let pcm = signals::noise(2 * 2390, 0.4, 2);
    // 788 samples from one to the next, 800 each: the last but one is cut short too, which the reference cannot stack.
    for (samples, frames) in [
        (2390, vec![100, 100, 100, 4]),
        (788 * 2 + 790, vec![100, 100, 99, 1]),
        (1, vec![1]),
    ] {
        let codes = encode(&model, &pcm[..2 * samples]);
        let found: Vec<u32> = codes
            .segments()
            .iter()
            .map(|segment| segment.frames)
            .collect();
        assert_eq!(found, frames, "{samples} samples");
        let mut first = 0;
        for (n, segment) in codes.segments().iter().enumerate() {
            let end = (n * 788 + 800).min(samples);
            let alone = encode(&model, &pcm[2 * n * 788..2 * end]);
            let range = first..first + u64::from(segment.frames);
            first = range.end;
            // Alone, a full segment is followed by what overlaps with the next.
            let alone = alone.slice(0..u64::from(segment.frames)).expect("in range");
            let within = codes.slice(range).expect("in range");
            assert_eq!(within, alone, "segment {n} of {samples} samples");
        }
        let sound = model
            .decode(&codes, &DecodeOptions::default())
            .expect("its codes");
        assert_eq!(sound.samples.len(), 2 * samples);
    }
}

#[test]
fn segments_of_one_loudness_stay_apart_and_cut_ones_come_together() {
    let model = Arc::new(open("48khz"));
    let mut rng = Rng::new(6);
    let books = (0..4).map(|_| (0..200).map(|_| rng.below(64) as u16).collect());
    let mut codes = Codes::from_books(model.spec().books.clone(), books.collect()).expect("whole");
    let lengths = [100, 99, 1];
    let segments = lengths.map(|frames| Segment { frames, scale: 0.5 });
    codes.set_segments(segments.to_vec()).expect("all frames");
    let whole = model
        .decode(&codes, &DecodeOptions::default())
        .expect("its codes")
        .samples;
    assert_eq!(whole.len(), 2 * (2 * 788 + 8));
    let mut other = codes.clone();
    let segments = [100, 100].map(|frames| Segment { frames, scale: 0.5 });
    other.set_segments(segments.to_vec()).expect("all frames");
    let other = model
        .decode(&other, &DecodeOptions::default())
        .expect("its codes")
        .samples;
    assert!(other != whole);
    for cuts in [
        vec![100, 199],
        vec![30, 60, 100],
        vec![1, 99, 198],
        vec![100, 150, 199],
        vec![],
    ] {
        let mut stream = StreamDecoder::new(model.clone(), &DecodeOptions::default());
        let (mut out, mut first) = (Vec::new(), 0);
        for cut in cuts.iter().copied().chain([200]) {
            let part = codes.slice(first..cut).expect("in range");
            stream.push(&part, &mut out).expect("its codes");
            first = cut;
            // A segment is decoded once it is full, or the next begins; the overlap waits for the next.
            let full = if cut >= 100 { 788 * 2 } else { 0 };
            assert!(
                out.len() >= full && out[..full] == whole[..full],
                "at {cut}"
            );
        }
        stream.finish(&mut out).expect("the first end");
        // 99 frames and 1 of the same loudness, cut between them, are one segment for all that can be told.
        let is_joined = cuts.contains(&199);
        assert!(
            out == if is_joined { &other } else { &whole }[..],
            "{cuts:?}"
        );
    }
}

#[test]
fn segments_of_different_scales_stay_apart_wherever_they_are_cut() {
    let model = Arc::new(open("48khz"));
    let books = vec![(0..100).map(|code| code % 64).collect(); 4];
    let mut codes = Codes::from_books(model.spec().books.clone(), books).expect("whole");
    let segments = [(99, 0.5), (1, 0.25)].map(|(frames, scale)| Segment { frames, scale });
    codes.set_segments(segments.to_vec()).expect("all frames");
    let options = DecodeOptions::default();
    let whole = model.decode(&codes, &options).expect("its codes").samples;
    let mut stream = StreamDecoder::new(model, &options);
    let mut out = Vec::new();
    for part in [0..99, 99..100] {
        let part = codes.slice(part).expect("in range");
        stream.push(&part, &mut out).expect("its codes");
    }
    stream.finish(&mut out).expect("the first end");
    assert!(out == whole);
}

#[test]
fn codes_that_are_not_in_segments_of_this_codec_are_refused() {
    let model = open("48khz");
    let books = vec![vec![3; 101]; 4];
    let mut codes = Codes::from_books(model.spec().books.clone(), books).expect("whole");
    let error = model
        .decode(&codes, &DecodeOptions::default())
        .expect_err("no segments");
    assert_eq!(error.code(), "no-segments");
    let long = vec![Segment {
        frames: 101,
        scale: 1.0,
    }];
    codes.set_segments(long).expect("all frames");
    let error = model
        .decode(&codes, &DecodeOptions::default())
        .expect_err("too long");
    assert_eq!(error.code(), "segment-length");
    let plain = open("24khz");
    let mut codes = Codes::from_books(plain.spec().books.clone(), vec![vec![3]; 6]).expect("whole");
    codes
        .set_segments(vec![Segment {
            frames: 1,
            scale: 2.0,
        }])
        .expect("all frames");
    let error = plain
        .decode(&codes, &DecodeOptions::default())
        .expect_err("segments");
    assert_eq!(error.code(), "segment-length");
}

#[test]
fn what_needs_the_whole_recording_makes_one_segment_of_it() {
    let whole =
        open_with("48khz", json!({"chunk_length_s": null, "overlap": null})).expect("a model");
    assert!(whole.spec().encode_lookahead > 1 << 60);
    let pcm = signals::noise(2 * 2000, 0.4, 3);
    let codes = encode(&whole, &pcm);
    assert_eq!(codes.segments().len(), 1);
    assert_eq!(codes.frames(), 250);
    // A recording that fits into one segment is the same to both.
    let codes = encode(&whole, &pcm[..2 * 780]);
    let cut = open("48khz");
    assert_eq!(codes, encode(&cut, &pcm[..2 * 780]));
    let options = DecodeOptions::default();
    let sound = whole.decode(&codes, &options).expect("its codes");
    assert_eq!(sound, cut.decode(&codes, &options).expect("its codes"));
    let empty = StreamEncoder::new(Arc::new(whole), &EncodeOptions::default());
    let mut empty = empty.expect("its books");
    let mut codes = empty.empty_codes();
    assert_eq!(empty.finish(&mut codes).expect("the first end"), 0);
}

#[test]
fn silence_has_a_scale_and_an_empty_stream_has_no_codes() {
    let model = open("48khz");
    let codes = encode(&model, &[0.0; 2 * 1600]);
    assert!(codes.scales().all(|scale| scale == 1e-8));
    let sound = model
        .decode(&codes, &DecodeOptions::default())
        .expect("its codes");
    assert!(sound.samples.iter().all(|v| v.abs() < 1e-6));
    for name in ["24khz", "32khz", "48khz"] {
        let model = Arc::new(open(name));
        let mut encoder =
            StreamEncoder::new(model.clone(), &EncodeOptions::default()).expect("its books");
        let mut codes = encoder.empty_codes();
        assert_eq!(
            encoder.finish(&mut codes).expect("the first end"),
            0,
            "{name}"
        );
        let mut out = Vec::new();
        let mut decoder = StreamDecoder::new(model, &DecodeOptions::default());
        assert_eq!(
            decoder.finish(&mut out).expect("the first end"),
            0,
            "{name}"
        );
    }
}
