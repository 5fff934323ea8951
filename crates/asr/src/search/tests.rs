//! What every search promises, on models with random weights.

use percept_nn::{Loader, Precision};
use percept_weights::Tensors;

use super::{CtcState, CtcStream, EmittedToken, TransducerStream, argmax};
use crate::confidence::Confidence;
use crate::ctc::{CtcConfig, CtcHead};
use crate::transducer::{Activation, Transducer, TransducerConfig, TransducerState};

const WIDTH: usize = 5;
const VOCAB: usize = 11;
const BLANK: u32 = 10;
const TDT: [u32; 5] = [0, 1, 2, 3, 4];
const PROB: Confidence = Confidence::Probability;

/// Uniform numbers in -1 .. 1.
struct Random(u64);

impl Random {
    fn next(&mut self) -> f32 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 40) as f32 / (1 << 23) as f32 - 1.0
    }

    fn below(&mut self, n: usize) -> usize {
        self.next();
        (self.0 >> 33) as usize % n
    }

    fn vec(&mut self, n: usize, scale: f32) -> Vec<f32> {
        (0..n).map(|_| scale * self.next()).collect()
    }

    fn frames(&mut self, n: usize) -> Vec<f32> {
        self.vec(n * WIDTH, 2.0)
    }
}

fn config(durations: &[u32]) -> TransducerConfig {
    TransducerConfig {
        vocab: VOCAB,
        blank: BLANK,
        pred_hidden: 6,
        pred_layers: 1,
        joint_hidden: 8,
        encoder_hidden: WIDTH,
        durations: durations.to_vec(),
        max_symbols: 10,
        activation: Activation::Tanh,
    }
}

/// A transducer of two LSTM layers; `bias` is added to the joint's outputs.
fn transducer(seed: u64, config: TransducerConfig, bias: impl Fn(usize) -> f32) -> Transducer {
    let outputs = VOCAB + config.durations.len();
    let shapes = [
        ("decoder.prediction.embed.weight", vec![VOCAB, 6]),
        ("decoder.prediction.dec_rnn.lstm.weight_ih_l0", vec![24, 6]),
        ("decoder.prediction.dec_rnn.lstm.weight_hh_l0", vec![24, 6]),
        ("decoder.prediction.dec_rnn.lstm.bias_ih_l0", vec![24]),
        ("decoder.prediction.dec_rnn.lstm.bias_hh_l0", vec![24]),
        ("decoder.prediction.dec_rnn.lstm.weight_ih_l1", vec![24, 6]),
        ("decoder.prediction.dec_rnn.lstm.weight_hh_l1", vec![24, 6]),
        ("decoder.prediction.dec_rnn.lstm.bias_ih_l1", vec![24]),
        ("decoder.prediction.dec_rnn.lstm.bias_hh_l1", vec![24]),
        ("joint.enc.weight", vec![8, WIDTH]),
        ("joint.enc.bias", vec![8]),
        ("joint.pred.weight", vec![8, 6]),
        ("joint.pred.bias", vec![8]),
        ("joint.joint_net.2.weight", vec![outputs, 8]),
    ];
    let mut random = Random(seed);
    let mut tensors: Vec<_> = shapes
        .into_iter()
        .map(|(name, shape)| {
            let values = random.vec(shape.iter().product(), 1.5);
            (name, shape, values)
        })
        .collect();
    let output_bias = (0..outputs).map(bias).collect();
    tensors.push(("joint.joint_net.2.bias", vec![outputs], output_bias));
    let tensors = Tensors::from_f32("mem", tensors).unwrap();
    Transducer::load(&Loader::new(&tensors, Precision::F32), config).unwrap()
}

/// A model in which blanks and labels are about as likely.
fn lively(seed: u64, durations: &[u32]) -> Transducer {
    transducer(seed, config(durations), |class| {
        if class == BLANK as usize { 2.5 } else { 0.0 }
    })
}

/// A model that says nothing but `class`, with a duration of index `duration`.
fn stubborn(config: TransducerConfig, class: usize, duration: usize) -> Transducer {
    let said = move |output| output == class || output == VOCAB + duration;
    transducer(
        1,
        config,
        move |output| if said(output) { 1e4 } else { 0.0 },
    )
}

fn decode(
    model: &Transducer,
    state: &mut TransducerState,
    frames: &[f32],
    first_frame: u64,
) -> Vec<EmittedToken> {
    let mut out = Vec::new();
    let stream = TransducerStream {
        state,
        frames,
        first_frame,
        out: &mut out,
    };
    model.decode(PROB, &mut [stream]);
    out
}

/// One stream, one frame, one evaluation at a time: the definition of the two searches.
fn plain_loop(model: &Transducer, frames: &[f32]) -> (Vec<EmittedToken>, TransducerState) {
    let config = model.config();
    let mut out: Vec<EmittedToken> = Vec::new();
    let mut state = model.state();
    let length = (frames.len() / WIDTH) as u64;
    let (mut t, mut last, mut same) = (0u64, u64::MAX, 0);
    while t < length {
        let mut projected = vec![0.0; config.joint_hidden];
        model.project_frames(&frames[t as usize * WIDTH..][..WIDTH], &mut projected);
        let mut met = vec![0.0; config.joint_hidden];
        model.meet(&projected, &state.predicted, &mut met);
        let mut logits = vec![0.0; VOCAB + config.durations.len()];
        model.logits(&met, &mut logits);
        let (tokens, durations) = logits.split_at(VOCAB);
        let token = argmax(tokens).unwrap();
        let jump = argmax(durations).map(|index| config.durations[index]);
        if token == BLANK as usize {
            t += u64::from(jump.unwrap_or(1).max(1));
            continue;
        }
        out.push(EmittedToken {
            id: token as u32,
            frame: t,
            duration: jump.unwrap_or(1),
            confidence: PROB.of(tokens, token),
        });
        state = model.after(token as u32, &state);
        same = if t == last { same + 1 } else { 1 };
        last = t;
        t += u64::from(jump.unwrap_or(0));
        if same >= config.max_symbols && t == last {
            t += 1;
        }
    }
    state.time_jump = t - length;
    (out, state)
}

/// Both families over a few seeds, with 60 frames for each.
fn lively_models() -> impl Iterator<Item = (Transducer, Vec<f32>)> {
    let seeds = 1..=8;
    let families = [&[][..], &TDT, &[0, 2, 7]];
    seeds.flat_map(move |seed| {
        families.map(|durations| (lively(seed, durations), Random(100 + seed).frames(60)))
    })
}

#[test]
fn search_is_the_plain_loop() {
    let mut tokens = 0;
    for (model, frames) in lively_models() {
        let mut state = model.state();
        let got = decode(&model, &mut state, &frames, 0);
        let (want, end) = plain_loop(&model, &frames);
        assert_eq!(got, want);
        assert_eq!(state, end);
        tokens += got.len();
    }
    assert!(
        (200..8000).contains(&tokens),
        "{tokens} tokens: the models are not lively"
    );
}

#[test]
fn any_chunking_finds_the_same() {
    let mut random = Random(3);
    for (model, frames) in lively_models() {
        let mut whole_state = model.state();
        let whole = decode(&model, &mut whole_state, &frames, 7);
        for longest in [1, 3, 60, 0] {
            let mut state = model.state();
            let mut found = Vec::new();
            let mut at = 0;
            while at < 60 {
                let take = match longest {
                    0 => random.below(9), // may be none
                    n => n,
                };
                let end = (at + take).min(60);
                let chunk = &frames[at * WIDTH..end * WIDTH];
                found.extend(decode(&model, &mut state, chunk, 7 + at as u64));
                at = end;
            }
            assert_eq!(found, whole, "chunks of {longest}");
            assert_eq!(state, whole_state);
        }
    }
}

#[test]
fn a_stream_finds_the_same_among_others() {
    for durations in [&[][..], &TDT] {
        let model = lively(5, durations);
        let mut random = Random(9);
        let inputs: Vec<_> = [17, 0, 40, 1, 33, 40].map(|n| random.frames(n)).into();
        let mut states: Vec<_> = inputs.iter().map(|_| model.state()).collect();
        let mut outs = vec![Vec::new(); inputs.len()];
        let mut streams: Vec<_> = states
            .iter_mut()
            .zip(&inputs)
            .zip(&mut outs)
            .map(|((state, frames), out)| TransducerStream {
                state,
                frames,
                first_frame: 4,
                out,
            })
            .collect();
        model.decode(PROB, &mut streams);
        for ((frames, out), state) in inputs.iter().zip(&outs).zip(states) {
            let mut alone = model.state();
            assert_eq!(out, &decode(&model, &mut alone, frames, 4));
            assert_eq!(state, alone);
        }
        model.decode(PROB, &mut []);
    }
}

#[test]
fn streams_start_behind_the_blank() {
    let model = lively(1, &TDT);
    let mut state = model.state();
    state.lstm.h.fill(0.0);
    state.lstm.c.fill(0.0);
    state.predicted.fill(0.0);
    assert_ne!(state, model.state());
    assert_eq!(model.after(BLANK, &state), model.state());
}

#[test]
fn a_jump_past_the_end_is_carried_through_later_chunks() {
    let model = stubborn(config(&[0, 9]), BLANK as usize, 1);
    let mut state = model.state();
    let frames = Random(1).frames(3);
    let mut jumps = Vec::new();
    for (chunk, frames) in [3, 2, 0, 3, 3]
        .map(|n| &frames[..n * WIDTH])
        .iter()
        .enumerate()
    {
        assert_eq!(decode(&model, &mut state, frames, chunk as u64), []);
        jumps.push(state.time_jump());
    }
    // 9 - 3, then nothing is looked at until the sixth of the eight frames that follow.
    assert_eq!(jumps, [6, 4, 4, 1, 7]);
}

#[test]
fn blanks_leave_the_prediction_network_alone() {
    for durations in [&[][..], &TDT] {
        let model = stubborn(config(durations), BLANK as usize, 1);
        let mut state = model.state();
        assert_eq!(decode(&model, &mut state, &Random(1).frames(9), 0), []);
        assert_eq!(state, model.state());
    }
}

#[test]
fn a_frame_gives_ten_tokens_at_most() {
    for durations in [&[][..], &TDT] {
        let model = stubborn(config(durations), 3, 0);
        let found = decode(&model, &mut model.state(), &Random(1).frames(4), 0);
        let frames: Vec<_> = found.iter().map(|token| token.frame).collect();
        let want: Vec<_> = (0..4).flat_map(|frame| [frame; 10]).collect();
        assert_eq!(frames, want);
    }
    for (max_symbols, duration, tokens) in [(10, 1, 40), (1, 1, 40), (1, 2, 20)] {
        let config = TransducerConfig {
            max_symbols,
            ..config(&TDT)
        };
        let moving = stubborn(config, 3, duration);
        let found = decode(&moving, &mut moving.state(), &Random(1).frames(40), 0);
        assert_eq!(found.len(), tokens, "labels that move on by themselves");
    }
}

#[test]
fn a_blank_always_moves_on() {
    let model = stubborn(config(&TDT), BLANK as usize, 0);
    let mut state = model.state();
    assert_eq!(decode(&model, &mut state, &Random(1).frames(40), 0), []);
    assert_eq!(state.time_jump(), 0);
}

#[test]
fn durations_are_values_not_indices() {
    let model = stubborn(config(&[1, 5]), 3, 1);
    let mut state = model.state();
    let found = decode(&model, &mut state, &Random(1).frames(12), 20);
    let times: Vec<_> = found
        .iter()
        .map(|token| (token.frame, token.duration))
        .collect();
    assert_eq!(times, [(20, 5), (25, 5), (30, 5)]);
    assert_eq!(state.time_jump(), 3);
}

#[test]
fn frames_that_are_no_numbers_are_silent() {
    for durations in [&[][..], &TDT] {
        let model = lively(1, durations);
        let mut state = model.state();
        assert_eq!(decode(&model, &mut state, &[f32::NAN; 6 * WIDTH], 0), []);
        assert_eq!(state, model.state());
    }
}

#[test]
fn frames_are_in_order_and_within_the_stream() {
    for (model, frames) in lively_models() {
        let found = decode(&model, &mut model.state(), &frames, 0);
        assert!(found.is_sorted_by_key(|token| token.frame));
        assert!(found.iter().all(|token| token.frame < 60));
        assert!(
            found
                .iter()
                .all(|token| (0.0..=1.0).contains(&token.confidence))
        );
    }
}

/// A head that repeats what the frames say: class `c` where value `c` of the frame is the highest.
fn identity_head() -> CtcHead {
    let mut weight = vec![0.0; WIDTH * WIDTH];
    (0..WIDTH).for_each(|i| weight[i * WIDTH + i] = 1.0);
    let tensors = [
        ("ctc.weight", vec![WIDTH, WIDTH, 1], weight),
        ("ctc.bias", vec![WIDTH], vec![0.0; WIDTH]),
    ];
    let config = CtcConfig {
        vocab: WIDTH,
        blank: 4,
        encoder_hidden: WIDTH,
    };
    let tensors = Tensors::from_f32("mem", tensors).unwrap();
    CtcHead::load(&Loader::new(&tensors, Precision::F32), "ctc", config).unwrap()
}

/// Frames that say these classes.
fn saying(classes: &[usize]) -> Vec<f32> {
    let one = |&class: &usize| (0..WIDTH).map(move |i| if i == class { 3.0 } else { 0.0 });
    classes.iter().flat_map(one).collect()
}

fn decode_ctc(head: &CtcHead, chunks: &[&[f32]]) -> Vec<EmittedToken> {
    let mut state = CtcState::new();
    let mut out = Vec::new();
    let mut first_frame = 0;
    for &frames in chunks {
        let stream = CtcStream {
            state: &mut state,
            frames,
            first_frame,
            out: &mut out,
        };
        head.decode(PROB, &mut [stream]);
        first_frame += (frames.len() / WIDTH) as u64;
    }
    state.finish(&mut out);
    out
}

#[test]
fn ctc_runs_become_tokens_with_their_lengths() {
    let frames = saying(&[4, 1, 1, 1, 2, 4, 4, 2, 2, 4, 0]);
    let found = decode_ctc(&identity_head(), &[&frames]);
    let times: Vec<_> = found.iter().map(|t| (t.id, t.frame, t.duration)).collect();
    assert_eq!(times, [(1, 1, 3), (2, 4, 1), (2, 7, 2), (0, 10, 1)]);
    let probability = 3f32.exp() / (3f32.exp() + 4.0);
    assert!((found[0].confidence - probability).abs() < 1e-6);
    assert_eq!(decode_ctc(&identity_head(), &[]), []);
}

#[test]
fn ctc_finds_the_same_in_any_chunks() {
    let head = identity_head();
    let mut random = Random(21);
    for _ in 0..50 {
        // More than one tile, few classes, so that runs cross every kind of border.
        let frames = saying(&(0..150).map(|_| 2 + random.below(3)).collect::<Vec<_>>());
        let whole = decode_ctc(&head, &[&frames]);
        for longest in [1, 3, 20] {
            let mut chunks = Vec::new();
            let mut rest = &frames[..];
            while !rest.is_empty() {
                let take = (1 + random.below(longest)) * WIDTH;
                let (chunk, others) = rest.split_at(take.min(rest.len()));
                chunks.extend([chunk, &[]]);
                rest = others;
            }
            assert_eq!(decode_ctc(&head, &chunks), whole);
        }
    }
}

#[test]
fn ctc_emits_a_run_once_its_end_is_seen() {
    let head = identity_head();
    let mut state = CtcState::new();
    let mut out = Vec::new();
    let frames = saying(&[1, 2, 2]);
    let stream = CtcStream {
        state: &mut state,
        frames: &frames,
        first_frame: 5,
        out: &mut out,
    };
    head.decode(PROB, &mut [stream]);
    assert_eq!(out.len(), 1);
    let open = state.open_run().unwrap();
    assert_eq!((open.id, open.frame, open.duration), (2, 6, 2));
    state.finish(&mut out);
    assert_eq!(out.len(), 2);
    let no_numbers = decode_ctc(&head, &[&[f32::NAN; 3 * WIDTH]]);
    assert_eq!(no_numbers, []);
}

#[test]
fn the_first_of_equal_maxima_is_taken() {
    const NAN: f32 = f32::NAN;
    const LOW: f32 = f32::NEG_INFINITY;
    for (values, want) in [
        (&[1.0, 3.0, 3.0, 2.0][..], Some(1)),
        (&[LOW, LOW], Some(0)),
        (&[NAN, LOW, 1.0, NAN], Some(2)),
        (&[NAN, NAN], None),
        (&[], None),
    ] {
        assert_eq!(argmax(values), want, "{values:?}");
    }
}

#[test]
fn a_blank_outside_the_classes_is_refused() {
    let tensors = Tensors::from_f32("model", [("x", vec![1], vec![0.0])]).unwrap();
    let config = CtcConfig {
        vocab: 5,
        blank: 5,
        encoder_hidden: WIDTH,
    };
    let refused = CtcHead::load(&Loader::new(&tensors, Precision::F32), "ctc", config)
        .err()
        .unwrap();
    assert_eq!(
        refused.to_string(),
        "model: field `pad_token_id` must be below the number of classes; use the configuration published with these weights"
    );
}
