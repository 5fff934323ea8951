//! Every layer against a plain loop over the whole padded signal, and in pieces against the whole.

use percept_testkit::{Rng, Tol, close};
use percept_weights::Tensors;

use super::*;

const TOLERANCE: Tol = Tol {
    abs: 2e-5,
    rel_to_max: 2e-5,
};

fn noise(n: usize, seed: u64) -> Vec<f32> {
    let mut rng = Rng::new(seed);
    (0..n).map(|_| rng.uniform(-1.0, 1.0)).collect()
}

/// A signal `[rows, channels]` with its padding, by the letter: lengthened with zeros if it is too short to be reflected.
fn padded(x: &[f32], channels: usize, padding: Padding, more: usize) -> Vec<Vec<f32>> {
    let rows: Vec<Vec<f32>> = x.chunks(channels).map(<[f32]>::to_vec).collect();
    let zero = vec![0.0; channels];
    let (left, right) = (padding.left, padding.right + more);
    let (n, longest) = (rows.len() as isize, left.max(right) as isize);
    let short = match padding.mode {
        PadMode::Reflect if longest > 0 => (longest - n + 1).max(0),
        _ => 0,
    };
    let long = n + short;
    let at = |i: isize| match padding.mode {
        _ if (0..n).contains(&i) => rows[i as usize].clone(),
        PadMode::Zero => zero.clone(),
        PadMode::Replicate => rows[i.clamp(0, n - 1) as usize].clone(),
        PadMode::Reflect => {
            let i = if i < 0 { -i } else { i };
            let i = if i >= long { 2 * (long - 1) - i } else { i };
            rows.get(i as usize)
                .cloned()
                .unwrap_or_else(|| zero.clone())
        }
    };
    (-(left as isize)..n + right as isize).map(at).collect()
}

/// `weights` `[outputs, inputs (1 if depthwise), kernel]` over rows that are padded already.
fn convolve(x: &[Vec<f32>], weights: &[f32], bias: &[f32], size: ConvSize) -> Vec<f32> {
    let fan = if size.is_depthwise { 1 } else { size.inputs };
    let mut out = Vec::new();
    let mut first = 0;
    while first + size.span() <= x.len() {
        for (o, bias) in bias.iter().enumerate() {
            let mut sum = f64::from(*bias);
            for k in 0..size.kernel {
                for i in 0..fan {
                    let input = if size.is_depthwise { o } else { i };
                    let x = x[first + k * size.dilation][input];
                    sum += f64::from(x * weights[(o * fan + i) * size.kernel + k]);
                }
            }
            out.push(sum as f32);
        }
        first += size.stride;
    }
    out
}

/// What a layer makes of `x`, whole; and the same in pieces that are followed by NaN.
#[track_caller]
fn run(layer: &dyn Layer, x: &[f32], name: &str) -> Vec<f32> {
    let width = layer.inputs();
    let context = Context::default();
    let pieces = |lengths: &mut dyn FnMut(usize) -> usize, limit: usize| {
        let mut memory = layer.memory();
        let mut out = Window::new(layer.outputs(), Padding::NONE);
        let mut rest = x;
        while !rest.is_empty() {
            let rows = lengths(rest.len() / width).min(rest.len() / width);
            let (piece, after) = rest.split_at(rows * width);
            memory.input.push(piece);
            while layer.advance(&mut memory, limit, &context, &mut out) {}
            let sent = (x.len() - after.len()) / width;
            assert_eq!(
                out.received(),
                layer.produced(sent as u64),
                "{name}: after {sent}"
            );
            rest = after;
        }
        memory.is_ended = true;
        layer.finish(&mut memory);
        while layer.advance(&mut memory, limit, &context, &mut out) {}
        assert_eq!(
            out.received(),
            layer.total((x.len() / width) as u64),
            "{name}: in all"
        );
        out.rows().to_vec()
    };
    let whole = pieces(&mut |rest| rest, usize::MAX >> 1);
    let mut rng = Rng::new(1);
    assert!(pieces(&mut |_| 1, 1) == whole, "{name}: row by row");
    assert!(
        pieces(&mut |_| 1 + rng.below(9), 3) == whole,
        "{name}: at random"
    );
    whole
}

fn tensors(parts: Vec<(&str, Vec<usize>, Vec<f32>)>) -> Tensors {
    Tensors::from_f32("mem", parts).expect("shapes fit")
}

fn apply(x: &mut [f32], f: impl Fn(f32) -> f32) {
    x.iter_mut().for_each(|v| *v = f(*v));
}

fn elu(v: f32) -> f32 {
    if v > 0.0 { v } else { v.exp() - 1.0 }
}

#[test]
fn convolutions_equal_the_plain_loop() {
    let dense = |inputs, outputs, kernel, dilation, stride| ConvSize {
        dilation,
        stride,
        ..ConvSize::dense(inputs, outputs, kernel)
    };
    let sizes = [
        dense(1, 5, 7, 1, 1),
        dense(6, 1, 7, 1, 1),
        dense(6, 9, 1, 1, 1),
        dense(4, 8, 6, 1, 3),
        dense(4, 8, 3, 5, 1),
        ConvSize {
            is_depthwise: true,
            ..dense(6, 6, 7, 3, 1)
        },
    ];
    let modes = [PadMode::Zero, PadMode::Replicate, PadMode::Reflect];
    for (n, size) in sizes.into_iter().enumerate() {
        let fan = if size.is_depthwise { 1 } else { size.inputs };
        let weights = noise(size.outputs * fan * size.kernel, 2);
        let bias = noise(size.outputs, 3);
        let shape = vec![size.outputs, fan, size.kernel];
        let tensors = tensors(vec![
            ("c.weight", shape, weights.clone()),
            ("c.bias", vec![size.outputs], bias.clone()),
        ]);
        for mode in modes {
            for (left, right) in [(0, 0), (3, 3), (size.span() - 1, 0), (1, 4)] {
                let padding = Padding { left, right, mode };
                for rows in [1, 2, 5, 40] {
                    let name = format!("size {n}, {padding:?}, {rows} rows");
                    let x = noise(rows * size.inputs, 4);
                    let layer = Conv1d::load(&tensors, "c", size, padding).expect("complete");
                    let expected =
                        convolve(&padded(&x, size.inputs, padding, 0), &weights, &bias, size);
                    close(&run(&layer, &x, &name), &expected, TOLERANCE, &name);
                    // As much more as the last stride needs.
                    let length = rows + left + right;
                    let steps = length.saturating_sub(size.span()).div_ceil(size.stride);
                    let more = steps * size.stride + size.span() - length;
                    let whole = padded(&x, size.inputs, padding, more);
                    let mut expected = convolve(&whole, &weights, &bias, size);
                    apply(&mut expected, f32::tanh);
                    let layer = layer.completed().ending_in_tanh();
                    close(&run(&layer, &x, &name), &expected, TOLERANCE, &name);
                }
            }
        }
    }
}

#[test]
fn an_activation_before_a_convolution_is_that_of_the_signal() {
    let (channels, size) = (6, ConvSize::dense(6, 4, 5));
    let (weights, bias) = (noise(4 * 6 * 5, 2), noise(4, 3));
    let alpha: Vec<f32> = (1..=channels).map(|c| 0.3 * c as f32).collect();
    let tensors = tensors(vec![
        ("c.weight", vec![4, 6, 5], weights.clone()),
        ("c.bias", vec![4], bias.clone()),
        ("s.alpha", vec![1, channels, 1], alpha.clone()),
    ]);
    let snake = Activation::snake(&tensors, "s", channels).expect("complete");
    for mode in [PadMode::Zero, PadMode::Reflect] {
        for (activation, rows) in [
            (snake.clone(), 30),
            (Activation::Elu, 30),
            (Activation::Elu, 3),
        ] {
            let padding = Padding {
                left: 2,
                right: 4,
                mode,
            };
            let x = noise(rows * channels, 4);
            let mut active = x.clone();
            for (i, v) in active.iter_mut().enumerate() {
                let alpha = alpha[i % channels];
                *v = match activation {
                    Activation::Snake { .. } => *v + (alpha * *v).sin().powi(2) / (alpha + 1e-9),
                    Activation::Elu => elu(*v),
                };
            }
            let expected = convolve(
                &padded(&active, channels, padding, 0),
                &weights,
                &bias,
                size,
            );
            let layer = Conv1d::load(&tensors, "c", size, padding).expect("complete");
            let name = format!("{activation:?}, {mode:?}, {rows}");
            close(
                &run(&layer.after(activation), &x, &name),
                &expected,
                TOLERANCE,
                &name,
            );
        }
    }
}

#[test]
fn transposed_convolutions_equal_the_plain_loop() {
    for (inputs, outputs, stride) in [(3, 5, 1), (4, 2, 2), (5, 3, 5), (2, 6, 8)] {
        let weights = noise(inputs * outputs * 2 * stride, 2);
        let bias = noise(outputs, 3);
        let tensors = tensors(vec![
            (
                "c.weight",
                vec![inputs, outputs, 2 * stride],
                weights.clone(),
            ),
            ("c.bias", vec![outputs], bias.clone()),
        ]);
        for (cut_left, cut_right) in [
            (0, 0),
            (stride.div_ceil(2), stride / 2),
            (0, stride),
            (stride, 1),
        ] {
            let size = TransposedSize {
                inputs,
                outputs,
                stride,
                cut_left,
                cut_right,
            };
            let layer = ConvTranspose1d::load(&tensors, "c", size).expect("complete");
            for rows in [1, 2, 17] {
                let x = noise(rows * inputs, 4);
                let mut full = bias.repeat((rows + 1) * stride);
                for (t, x) in x.chunks(inputs).enumerate() {
                    for (i, x) in x.iter().enumerate() {
                        for o in 0..outputs {
                            for k in 0..2 * stride {
                                full[(t * stride + k) * outputs + o] +=
                                    x * weights[(i * outputs + o) * 2 * stride + k];
                            }
                        }
                    }
                }
                let kept = cut_left * outputs..full.len() - cut_right * outputs;
                let name = format!("{size:?}, {rows} rows");
                close(&run(&layer, &x, &name), &full[kept], TOLERANCE, &name);
            }
        }
    }
}

#[test]
fn residual_units_equal_the_plain_loop() {
    // Depthwise, dense with taps apart, narrower inside with a map around it.
    let cases = [
        (6, 6, 7, 3, true, PadMode::Zero, false),
        (6, 6, 7, 9, false, PadMode::Zero, false),
        (8, 4, 3, 1, false, PadMode::Reflect, true),
        (2, 1, 3, 1, false, PadMode::Zero, true),
    ];
    for (channels, hidden, kernel, dilation, is_depthwise, mode, has_map) in cases {
        let fan = if is_depthwise { 1 } else { channels };
        let (first, second) = (noise(hidden * fan * kernel, 2), noise(channels * hidden, 3));
        let (map, biases) = (
            noise(channels * channels, 4),
            [5, 6, 7].map(|seed| noise(channels, seed)),
        );
        let tensors = tensors(vec![
            ("a.weight", vec![hidden, fan, kernel], first.clone()),
            ("a.bias", vec![hidden], biases[0][..hidden].to_vec()),
            ("b.weight", vec![channels, hidden, 1], second.clone()),
            ("b.bias", vec![channels], biases[1].clone()),
            ("m.weight", vec![channels, channels, 1], map.clone()),
            ("m.bias", vec![channels], biases[2].clone()),
        ]);
        let span = (kernel - 1) * dilation;
        for (left, right) in [(span / 2, span - span / 2), (span, 0)] {
            let padding = Padding { left, right, mode };
            let size = ResidualSize {
                channels,
                hidden,
                kernel,
                dilation,
                is_depthwise,
                padding,
            };
            let names = ("a", "b", has_map.then_some("m"));
            let before = [Activation::Elu, Activation::Elu];
            let unit = ResidualUnit::load(&tensors, names, size, before).expect("complete");
            for rows in [1, 4, 61] {
                let x = noise(rows * channels, 8);
                let mut active = x.clone();
                apply(&mut active, elu);
                let taps = ConvSize {
                    inputs: channels,
                    outputs: hidden,
                    kernel,
                    dilation,
                    stride: 1,
                    is_depthwise,
                };
                let mut inner = convolve(
                    &padded(&active, channels, padding, 0),
                    &first,
                    &biases[0][..hidden],
                    taps,
                );
                apply(&mut inner, elu);
                let rows_of = |x: &[f32], n: usize| -> Vec<Vec<f32>> {
                    x.chunks(n).map(<[f32]>::to_vec).collect()
                };
                let inner = convolve(
                    &rows_of(&inner, hidden),
                    &second,
                    &biases[1],
                    ConvSize::dense(hidden, channels, 1),
                );
                let around = match has_map {
                    true => convolve(
                        &rows_of(&x, channels),
                        &map,
                        &biases[2],
                        ConvSize::dense(channels, channels, 1),
                    ),
                    false => x.clone(),
                };
                let expected: Vec<f32> = inner.iter().zip(&around).map(|(a, b)| a + b).collect();
                let name = format!("{channels} channels, {padding:?}, {rows} rows");
                close(&run(&unit, &x, &name), &expected, TOLERANCE, &name);
            }
        }
    }
}

#[test]
fn attention_stays_inside_its_window() {
    let (channels, window, rows) = (128, 5, 13);
    let (qkv, out) = (
        noise(3 * channels * channels, 2),
        noise(channels * channels, 3),
    );
    let tensors = tensors(vec![
        ("a.norm.weight", vec![channels], noise(channels, 4)),
        ("a.norm.bias", vec![channels], noise(channels, 5)),
        (
            "a.to_qkv.weight",
            vec![3 * channels, channels],
            qkv.iter().map(|v| v * 0.2).collect(),
        ),
        ("a.to_out.weight", vec![channels, channels], out),
    ]);
    let shape = LocalAttentionShape { channels, window };
    let layer = LocalAttention::load(&tensors, "a", shape).expect("complete");
    let x = noise(rows * channels, 6);
    let whole = run(&layer, &x, "attention");
    for (n, part) in x.chunks(window * channels).enumerate() {
        let alone = run(&layer, part, "one window");
        assert_eq!(
            alone,
            whole[n * window * channels..][..part.len()],
            "window {n}"
        );
    }
    let mut swapped = x.clone();
    let (a, b) = swapped[..2 * channels].split_at_mut(channels);
    a.swap_with_slice(b);
    let swapped = run(&layer, &swapped, "swapped");
    assert!(
        swapped[..channels] != whole[channels..2 * channels],
        "positions count"
    );
}

#[test]
fn noise_is_added_where_its_place_says() {
    #[derive(Debug)]
    struct Ramp;
    impl NoiseSource for Ramp {
        fn fill(&self, block: usize, start: u64, out: &mut [f32]) {
            for (i, v) in out.iter_mut().enumerate() {
                *v = block as f32 + 0.01 * (start as f32 + i as f32);
            }
        }
    }
    let (channels, rows, block) = (5, 30, 2);
    let weights = noise(channels * channels, 2);
    let tensors = tensors(vec![(
        "n.weight",
        vec![channels, channels, 1],
        weights.clone(),
    )]);
    let layer = NoiseLayer::load(&tensors, "n", channels, block).expect("complete");
    let x = noise(rows * channels, 3);
    assert_eq!(run(&layer, &x, "no noise"), x);
    let split: Vec<Vec<f32>> = x.chunks(channels).map(<[f32]>::to_vec).collect();
    let product = convolve(
        &split,
        &weights,
        &[0.0; 5],
        ConvSize::dense(channels, channels, 1),
    );
    let at = |i: usize| x[i] + (2.0 + 0.01 * (i / channels) as f32) * product[i];
    let expected: Vec<f32> = (0..x.len()).map(at).collect();
    let mut memory = layer.memory();
    let mut out = Window::new(channels, Padding::NONE);
    let context = Context { noise: Some(&Ramp) };
    for piece in x.chunks(7 * channels) {
        memory.input.push(piece);
        layer.advance(&mut memory, 100, &context, &mut out);
    }
    close(out.rows(), &expected, TOLERANCE, "noise");
}

#[test]
fn weights_come_together_from_size_and_direction() {
    let direction = noise(3 * 4 * 5, 2);
    let size = vec![0.5, -2.0, 3.0];
    let expected: Vec<f32> = direction
        .chunks(20)
        .zip(&size)
        .flat_map(|(v, g)| {
            let length = v.iter().map(|v| v * v).sum::<f32>().sqrt();
            v.iter().map(move |v| v * g / length).collect::<Vec<_>>()
        })
        .collect();
    let names = [
        ("c.weight_g", "c.weight_v"),
        (
            "c.parametrizations.weight.original0",
            "c.parametrizations.weight.original1",
        ),
    ];
    for (g, v) in names {
        let tensors = tensors(vec![
            (g, vec![3, 1, 1], size.clone()),
            (v, vec![3, 4, 5], direction.clone()),
        ]);
        let weights = conv_weights(&tensors, "c", &[3, 4, 5]).expect("complete");
        close(&weights, &expected, TOLERANCE, g);
        assert!(conv_weights(&tensors, "c", &[3, 5, 4]).is_err());
    }
}
