//! What streams wait for.

use std::sync::Arc;

use percept_nn::signal::{Chain, Context};
use percept_testkit::{Rng, signals};

use super::open;
use crate::{DecodeOptions, EncodeOptions, StreamDecoder, StreamEncoder};

/// The first row of what comes out that a NaN in row `nan` of `rows` reaches.
fn first_reached(chain: &Chain, rows: usize, nan: usize) -> usize {
    let width = chain.inputs();
    let mut x = Rng::new(3).normals(rows * width);
    x[nan * width..(nan + 1) * width].fill(f32::NAN);
    let mut state = chain.state();
    state.input().push(&x);
    chain.finish(&mut state, &Context::default());
    let out = state.output().rows();
    let first = out
        .iter()
        .position(|v| v.is_nan())
        .expect("a NaN reaches something");
    first / chain.outputs()
}

#[test]
fn a_row_waits_for_the_last_one_that_it_looks_at_and_no_longer() {
    for (name, encode_lookahead, decode_lookahead) in [
        ("24khz", 0, 0),
        ("32khz", 2386, 2402),
        ("every_field", 0, 22),
    ] {
        let model = open(name);
        let (parts, hop) = (model.parts(), model.spec().hop as usize);
        assert_eq!(model.spec().encode_lookahead, encode_lookahead, "{name}");
        assert_eq!(model.spec().decode_lookahead, decode_lookahead, "{name}");
        let hops = hop as u64;
        let samples = [0, 1, 7 * hops, 9 * hops - 1, 13 * hops + 5];
        for (chain, rows, wanted) in [
            (&parts.encoder, 30 * hop, [0, 1, 5, 9, 16]),
            (&parts.decoder, 30, samples),
        ] {
            for row in wanted {
                let last = chain.needed(row + 1) - 1;
                let reached = first_reached(chain, rows, last as usize) as u64;
                let out = chain.produced(last);
                assert!(
                    (out..=row).contains(&reached),
                    "{name}: row {row}, {reached}, {out}"
                );
            }
        }
    }
}

#[test]
fn a_reflected_start_waits_for_seven_frames_once() {
    let model = Arc::new(open("24khz"));
    let pcm = signals::noise(320 * 12, 0.3, 1);
    let mut encoder =
        StreamEncoder::new(model.clone(), &EncodeOptions::default()).expect("its books");
    let mut codes = encoder.empty_codes();
    assert_eq!(
        encoder
            .push(&pcm[..7 * 320 - 1], &mut codes)
            .expect("finite"),
        0
    );
    assert_eq!(
        encoder
            .push(&pcm[7 * 320 - 1..7 * 320], &mut codes)
            .expect("finite"),
        7
    );
    for frame in 7..12 {
        let next = &pcm[frame * 320..(frame + 1) * 320];
        assert_eq!(encoder.push(next, &mut codes).expect("finite"), 1);
    }
    let mut decoder = StreamDecoder::new(model, &DecodeOptions::default());
    let mut out = Vec::new();
    for frame in 0..12 {
        let one = codes.slice(frame..frame + 1).expect("in range");
        decoder.push(&one, &mut out).expect("its codes");
        let expected = if frame < 6 {
            0
        } else {
            320 * (frame as usize + 1)
        };
        assert_eq!(out.len(), expected, "frame {frame}");
    }
}

#[test]
fn counts_of_rows_are_those_that_come_out() {
    for name in ["24khz", "32khz", "every_field"] {
        let model = open(name);
        let parts = model.parts();
        let hop = parts.spec.hop as usize;
        for (chain, rows, step) in [(&parts.decoder, 40, 1), (&parts.encoder, 40 * hop, 97)] {
            for total in [1, step, rows / 3, rows - 1, rows] {
                let mut state = chain.state();
                let mut sent = 0;
                while sent < total {
                    let more = step.min(total - sent);
                    state.input().extend(more).fill(0.25);
                    sent += more;
                    chain.advance(&mut state, &Context::default());
                    let expected = chain.produced(sent as u64);
                    assert_eq!(state.output().received(), expected, "{name} after {sent}");
                }
                chain.finish(&mut state, &Context::default());
                assert_eq!(
                    state.output().received(),
                    chain.total(sent as u64),
                    "{name} of {sent}"
                );
            }
        }
    }
}
