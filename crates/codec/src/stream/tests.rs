//! How far a value reaches.

use std::sync::Arc;

use percept_nn::signal::{Chain, Context};
use percept_testkit::Rng;
use percept_testkit::golden::CodecCase;

use crate::{CodecModel, Codes, DecodeOptions, StreamDecoder};

fn open(family: &str, name: &str) -> CodecModel {
    CodecModel::open(&CodecCase::open(family, name).model()).expect("a complete checkpoint")
}

/// What comes out of `rows` rows of noise, of which one is NaN.
fn with_nan(chain: &Chain, rows: usize, nan: usize) -> Vec<f32> {
    let mut rng = Rng::new(4);
    let width = chain.inputs();
    let mut x: Vec<f32> = (0..rows * width).map(|_| rng.uniform(-0.5, 0.5)).collect();
    x[nan * width..(nan + 1) * width].fill(f32::NAN);
    let mut state = chain.state();
    state.input().push(&x);
    chain.advance(&mut state, &Context::default());
    chain.finish(&mut state, &Context::default());
    state.output().rows().to_vec()
}

/// First and last row that hold a NaN.
fn reach(rows: &[f32], width: usize) -> (usize, usize) {
    let is_nan = |row: &[f32]| row.iter().any(|v| v.is_nan());
    let mut hit = rows
        .chunks_exact(width)
        .enumerate()
        .filter(|(_, row)| is_nan(row))
        .map(|(i, _)| i);
    let first = hit.next().expect("a NaN reaches something");
    (first, hit.next_back().unwrap_or(first))
}

#[test]
fn a_latent_reaches_ten_frames_and_no_further() {
    // The sizes of spec and paper: rates 8, 8, 4, 2 and no attention.
    let model = open("snac", "24khz");
    let (frames, at) = (40, 20);
    let out = with_nan(&model.parts().decoder, frames, at);
    assert_eq!(out.len(), 512 * frames);
    let (first, last) = reach(&out, 1);
    assert_eq!(first, 512 * at - 4757);
    assert!(last < 512 * (at + 11) && last >= 512 * (at + 10), "{last}");
    assert_eq!(model.spec().decode_lookahead, 4757);
}

#[test]
fn a_sample_reaches_the_frames_that_look_at_it() {
    let model = open("snac", "24khz");
    let at = 512 * 20;
    let out = with_nan(&model.parts().encoder, 512 * 40, at);
    let width = model.parts().encoder.outputs();
    // Frame i looks at samples 512 i - 4757 to 512 i + 5268.
    let sees = |i: usize| (512 * i).saturating_sub(4757) <= at && at <= 512 * i + 5268;
    let expected: Vec<usize> = (0..40).filter(|&i| sees(i)).collect();
    let (first, last) = reach(&out, width);
    assert_eq!((first, last), (expected[0], expected[expected.len() - 1]));
    assert_eq!(model.spec().encode_lookahead, 4757);
}

#[test]
fn descript_reaches_as_far_as_its_kernels_do() {
    // Case, hop, samples before and after the start of a frame that it is decoded to, and that it is encoded from.
    let cases = [
        ("44khz", 512, (4757, 5268), (3733, 4244)),
        ("24khz", 320, (3141, 3452), (2501, 2812)),
    ];
    for (name, hop, (before, after), (left, right)) in cases {
        let model = open("dac", name);
        let (frames, at) = (40, 20);
        let out = with_nan(&model.parts().decoder, frames, at);
        assert_eq!(
            reach(&out, 1),
            (hop * at - before, hop * at + after),
            "{name}"
        );
        assert!(
            after < 11 * hop && before < 10 * hop,
            "ten frames on either side"
        );
        assert_eq!(model.spec().decode_lookahead, before as u64, "{name}");

        let at = hop * 20;
        let out = with_nan(&model.parts().encoder, hop * frames, at);
        let sees = |i: usize| (hop * i).saturating_sub(left) <= at && at <= hop * i + right;
        let seen: Vec<usize> = (0..frames).filter(|i| sees(*i)).collect();
        let width = model.parts().encoder.outputs();
        assert_eq!(
            reach(&out, width),
            (seen[0], seen[seen.len() - 1]),
            "{name}"
        );
        assert_eq!(
            model.spec().encode_lookahead,
            (right + 1 - hop) as u64,
            "{name}"
        );
    }
}

#[test]
fn mimi_looks_at_no_later_frame_and_forgets_what_leaves_its_window() {
    let model = open("mimi", "no_projection");
    let (frames, at, hop) = (80, 20, 16);
    let out = with_nan(&model.parts().decoder, frames, at);
    let (first, last) = reach(&out, 1);
    assert_eq!(first, hop * at);
    // The frame is in four rows, the last of which is seen by fifteen more; seven taps follow, and a few samples.
    let rows = 2 * at + 3 + 15 + 6;
    assert!(
        last >= rows * hop / 2 && last < (rows + 5) * hop / 2,
        "{last}"
    );
    let out = with_nan(&model.parts().encoder, hop * frames, hop * at + hop - 1);
    let (first, last) = reach(&out, model.parts().encoder.outputs());
    assert_eq!(first, at);
    assert!((at + 8..at + 13).contains(&last), "{last}");
    let spec = model.spec();
    assert_eq!((spec.encode_lookahead, spec.decode_lookahead), (0, 0));
}

#[test]
fn counts_of_rows_are_those_that_come_out() {
    for case in ["snac", "dac", "mimi"].into_iter().flat_map(CodecCase::all) {
        let model = CodecModel::open(&case.model()).expect("a complete checkpoint");
        let parts = model.parts();
        for (chain, rows, step) in [
            (&parts.decoder, 90, 1),
            (&parts.encoder, 90 * parts.spec.hop as usize, 97),
        ] {
            let mut state = chain.state();
            let mut sent = 0;
            while sent + step < rows {
                state.input().extend(step).fill(0.25);
                sent += step;
                chain.advance(&mut state, &Context::default());
                assert_eq!(
                    state.output().received(),
                    chain.produced(sent as u64),
                    "{} after {sent}",
                    case.name()
                );
            }
            chain.finish(&mut state, &Context::default());
            assert_eq!(
                state.output().received(),
                chain.total(sent as u64),
                "{} of {sent}",
                case.name()
            );
            let half = chain.produced(sent as u64) / 2;
            let needed = chain.needed(half);
            assert!(chain.produced(needed) >= half && chain.produced(needed - 1) < half);
        }
    }
}

#[test]
fn sound_begins_after_18_tokens_and_a_superframe_after_25() {
    let model = Arc::new(open("snac", "24khz"));
    let mut stream = StreamDecoder::new(model.clone(), &DecodeOptions::default());
    let order = [0, 1, 2, 2, 1, 2, 2];
    let mut out = Vec::new();
    let (mut first, mut superframe) = (None, None);
    for token in 1..=70 {
        let mut codes = Codes::new(model.spec().books.clone());
        codes
            .push_token(order[(token - 1) % 7], 5)
            .expect("in range");
        stream.push(&codes, &mut out).expect("its codes");
        first = first.or((!out.is_empty()).then_some(token));
        superframe = superframe.or((out.len() >= 2048).then_some(token));
    }
    assert_eq!((first, superframe), (Some(18), Some(25)));
    stream.finish(&mut out).expect("the first end");
    assert_eq!(out.len(), 10 * 2048);
}

#[test]
fn what_comes_out_waits_for_all_it_looks_at_and_no_longer_also_around_attention() {
    for case in CodecCase::all("snac") {
        let model = CodecModel::open(&case.model()).expect("a complete checkpoint");
        let parts = model.parts();
        let hop = parts.spec.hop as usize;
        for (chain, rows, steps) in [
            (&parts.decoder, 130, [40, 41, 63, 64, 77]),
            (
                &parts.encoder,
                130 * hop,
                [
                    40 * hop,
                    41 * hop + 1,
                    64 * hop - 1,
                    64 * hop,
                    77 * hop + hop / 2,
                ],
            ),
        ] {
            for at in steps {
                let (first, _) = reach(&with_nan(chain, rows, at), chain.outputs());
                let known = chain.produced(at as u64);
                assert_eq!(first as u64, known, "{}: row {at}", case.name());
            }
        }
    }
}
