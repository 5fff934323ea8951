use percept_testkit::{Rng, Tol, close};
use percept_weights::Tensors;

use super::{TransformerLayer, TransformerLayout, TransformerSize, frequencies, rotate};
use crate::signal::{Chain, Context, Layer};

const SIZE: TransformerSize = TransformerSize {
    channels: 12,
    heads: 4,
    key_heads: 2,
    head: 6,
    hidden: 20,
    window: 5,
    base: 100.0,
    epsilon: 1e-3,
    has_bias: true,
};

type Named = Vec<(String, Vec<usize>, Vec<f32>)>;

/// Random weights under the names of transformers.
fn split(size: TransformerSize, seed: u64) -> Named {
    let mut rng = Rng::new(seed);
    let (queries, keys) = (size.heads * size.head, size.key_heads * size.head);
    let mut shapes = vec![
        ("self_attn.q_proj.weight", vec![queries, size.channels]),
        ("self_attn.k_proj.weight", vec![keys, size.channels]),
        ("self_attn.v_proj.weight", vec![keys, size.channels]),
        ("self_attn.o_proj.weight", vec![size.channels, queries]),
        ("mlp.fc1.weight", vec![size.hidden, size.channels]),
        ("mlp.fc2.weight", vec![size.channels, size.hidden]),
        ("input_layernorm.weight", vec![size.channels]),
        ("input_layernorm.bias", vec![size.channels]),
        ("post_attention_layernorm.weight", vec![size.channels]),
        ("post_attention_layernorm.bias", vec![size.channels]),
        ("self_attn_layer_scale.scale", vec![size.channels]),
        ("mlp_layer_scale.scale", vec![size.channels]),
    ];
    if size.has_bias {
        shapes.push(("self_attn.q_proj.bias", vec![queries]));
        shapes.push(("self_attn.k_proj.bias", vec![keys]));
        shapes.push(("self_attn.v_proj.bias", vec![keys]));
        shapes.push(("self_attn.o_proj.bias", vec![size.channels]));
    }
    let named = shapes.into_iter().map(|(name, shape)| {
        let values = rng.normals(shape.iter().product());
        (format!("l.{name}"), shape, values)
    });
    named.collect()
}

fn get<'a>(weights: &'a Named, name: &str) -> &'a [f32] {
    let name = format!("l.{name}");
    &weights
        .iter()
        .find(|(n, ..)| *n == name)
        .expect("a weight")
        .2
}

fn layer(weights: Named, layout: TransformerLayout, size: TransformerSize) -> TransformerLayer {
    let tensors = Tensors::from_f32("mem", weights).expect("whole tensors");
    TransformerLayer::load(&tensors, "l", layout, size).expect("all weights")
}

/// Rows through a layer, in pieces of these lengths.
fn run(layer: TransformerLayer, x: &[f32], pieces: &[usize]) -> Vec<f32> {
    let width = layer.inputs();
    let chain = Chain::new(vec![Box::new(layer)]);
    let mut state = chain.state();
    let mut rest = x;
    for piece in pieces {
        let (now, after) = rest.split_at(piece * width);
        state.input().push(now);
        chain.advance(&mut state, &Context::default());
        rest = after;
    }
    state.input().push(rest);
    chain.finish(&mut state, &Context::default());
    state.output().rows().to_vec()
}

/// `y[o] = sum of w[o, i] x[i] + b[o]`, in 64 bits.
fn linear(weights: &Named, name: &str, x: &[f64]) -> Vec<f64> {
    let w = get(weights, &format!("{name}.weight"));
    let outputs = w.len() / x.len();
    let has_bias = weights.iter().any(|(n, ..)| *n == format!("l.{name}.bias"));
    let row = |o: usize| -> f64 {
        let bias = if has_bias {
            get(weights, &format!("{name}.bias"))[o]
        } else {
            0.0
        };
        let products = w[o * x.len()..][..x.len()]
            .iter()
            .zip(x)
            .map(|(w, x)| f64::from(*w) * x);
        products.sum::<f64>() + f64::from(bias)
    };
    (0..outputs).map(row).collect()
}

fn norm(weights: &Named, name: &str, x: &[f64], epsilon: f32) -> Vec<f64> {
    let n = x.len() as f64;
    let mean = x.iter().sum::<f64>() / n;
    let variance = x.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n;
    let (w, b) = (
        get(weights, &format!("{name}.weight")),
        get(weights, &format!("{name}.bias")),
    );
    let one = (variance + f64::from(epsilon)).sqrt().recip();
    let each = x.iter().zip(w).zip(b);
    each.map(|((x, w), b)| (x - mean) * one * f64::from(*w) + f64::from(*b))
        .collect()
}

/// Turns the pairs of each head that lie half a head apart.
fn turned(mut x: Vec<f64>, position: usize, size: TransformerSize) -> Vec<f64> {
    let half = size.head / 2;
    for head in x.chunks_exact_mut(size.head) {
        for i in 0..half {
            let exponent = 2.0 * i as f64 / size.head as f64;
            let angle = position as f64 / f64::from(size.base).powf(exponent);
            let (a, b) = (head[i], head[half + i]);
            head[i] = a * angle.cos() - b * angle.sin();
            head[half + i] = b * angle.cos() + a * angle.sin();
        }
    }
    x
}

/// `erf` by its power series.
fn erf(x: f64) -> f64 {
    let (mut term, mut sum) = (x, x);
    for n in 1..200 {
        term *= -x * x / f64::from(n);
        sum += term / f64::from(2 * n + 1);
    }
    sum * 2.0 / std::f64::consts::PI.sqrt()
}

/// The layer as plain loops over whole rows.
fn plain(weights: &Named, x: &[f32], size: TransformerSize) -> Vec<f32> {
    let rows: Vec<Vec<f64>> = x
        .chunks_exact(size.channels)
        .map(|row| row.iter().map(|v| f64::from(*v)).collect())
        .collect();
    let normed = |row: &Vec<f64>| norm(weights, "input_layernorm", row, size.epsilon);
    let map =
        |part: &str, t: usize| linear(weights, &format!("self_attn.{part}"), &normed(&rows[t]));
    let keys: Vec<_> = (0..rows.len())
        .map(|t| turned(map("k_proj", t), t, size))
        .collect();
    let values: Vec<_> = (0..rows.len()).map(|t| map("v_proj", t)).collect();
    let mut out = Vec::new();
    for (t, _) in rows.iter().enumerate() {
        let query = turned(map("q_proj", t), t, size);
        let mut context = vec![0.0; query.len()];
        for head in 0..size.heads {
            let own = |row: &[f64], head: usize| row[head * size.head..][..size.head].to_vec();
            let shared = head / (size.heads / size.key_heads);
            let seen = (t + 1).saturating_sub(size.window)..=t;
            let score = |s: usize| -> f64 {
                let products = own(&query, head).into_iter().zip(own(&keys[s], shared));
                products.map(|(q, k)| q * k).sum::<f64>() / (size.head as f64).sqrt()
            };
            let weights: Vec<f64> = seen.clone().map(|s| score(s).exp()).collect();
            let total: f64 = weights.iter().sum();
            for (s, weight) in seen.zip(weights) {
                for (i, value) in own(&values[s], shared).into_iter().enumerate() {
                    context[head * size.head + i] += weight / total * value;
                }
            }
        }
        let attended = linear(weights, "self_attn.o_proj", &context);
        let scale = get(weights, "self_attn_layer_scale.scale");
        let add = |x: &[f64], y: &[f64], scale: &[f32]| -> Vec<f64> {
            x.iter()
                .zip(y)
                .zip(scale)
                .map(|((x, y), s)| x + f64::from(*s) * y)
                .collect()
        };
        let y = add(&rows[t], &attended, scale);
        let hidden = linear(
            weights,
            "mlp.fc1",
            &norm(weights, "post_attention_layernorm", &y, size.epsilon),
        );
        let active: Vec<f64> = hidden
            .iter()
            .map(|v| v / 2.0 * (1.0 + erf(v / 2f64.sqrt())))
            .collect();
        let fed = linear(weights, "mlp.fc2", &active);
        out.extend(add(&y, &fed, get(weights, "mlp_layer_scale.scale")));
    }
    out.into_iter().map(|v| v as f32).collect()
}

/// Inputs small enough for the series of `erf`.
fn rows(count: usize, seed: u64) -> Vec<f32> {
    Rng::new(seed).normals(count * SIZE.channels)
}

const CLOSE: Tol = Tol {
    abs: 1e-5,
    rel_to_max: 1e-5,
};

#[test]
fn a_layer_is_what_plain_loops_give() {
    for (window, has_bias) in [(5, true), (1, false), (100, true)] {
        let size = TransformerSize {
            window,
            has_bias,
            ..SIZE
        };
        let mut weights = split(size, 1);
        for (name, _, values) in &mut weights {
            // The series of `erf` holds where the hidden channels are small.
            if name.ends_with("fc1.weight") {
                values.iter_mut().for_each(|v| *v *= 0.3);
            }
        }
        let x = rows(23, 2);
        let expected = plain(&weights, &x, size);
        let found = run(layer(weights, TransformerLayout::Split, size), &x, &[]);
        close(&found, &expected, CLOSE, &format!("window {window}"));
    }
}

#[test]
fn any_pieces_give_the_same_bits() {
    let size = TransformerSize { window: 7, ..SIZE };
    let make = || layer(split(size, 3), TransformerLayout::Split, size);
    let x = rows(700, 4);
    let whole = run(make(), &x, &[]);
    let mut rng = Rng::new(5);
    for most in [1, 2, 6, 7, 8, 50] {
        let pieces: Vec<usize> = (0..13).map(|_| rng.below(most + 1)).collect();
        assert!(run(make(), &x, &pieces) == whole, "pieces {pieces:?}");
    }
}

#[test]
fn both_layouts_are_the_same_layer() {
    let size = TransformerSize {
        key_heads: SIZE.heads,
        has_bias: false,
        ..SIZE
    };
    let weights = split(size, 6);
    // Neighbours instead of halves.
    let mixed = |part: &str| -> Vec<f32> {
        let rows: Vec<&[f32]> = get(&weights, part).chunks_exact(size.channels).collect();
        let heads = rows.chunks_exact(size.head);
        let order = (0..size.head).map(|i| i / 2 + i % 2 * (size.head / 2));
        heads
            .flat_map(|head| order.clone().flat_map(|i| head[i].to_vec()))
            .collect()
    };
    let joined = [
        mixed("self_attn.q_proj.weight"),
        mixed("self_attn.k_proj.weight"),
        get(&weights, "self_attn.v_proj.weight").to_vec(),
    ];
    let mut other: Named = vec![(
        "l.self_attn.in_proj_weight".into(),
        vec![3 * size.heads * size.head, size.channels],
        joined.concat(),
    )];
    let names = [
        ("self_attn.o_proj.weight", "self_attn.out_proj.weight"),
        ("mlp.fc1.weight", "linear1.weight"),
        ("mlp.fc2.weight", "linear2.weight"),
        ("input_layernorm.weight", "norm1.weight"),
        ("input_layernorm.bias", "norm1.bias"),
        ("post_attention_layernorm.weight", "norm2.weight"),
        ("post_attention_layernorm.bias", "norm2.bias"),
        ("self_attn_layer_scale.scale", "layer_scale_1.scale"),
        ("mlp_layer_scale.scale", "layer_scale_2.scale"),
    ];
    for (from, to) in names {
        let found = weights
            .iter()
            .find(|(name, ..)| *name == format!("l.{from}"));
        let (_, shape, values) = found.expect("a weight").clone();
        other.push((format!("l.{to}"), shape, values));
    }
    let x = rows(9, 7);
    let expected = run(layer(weights, TransformerLayout::Split, size), &x, &[]);
    assert_eq!(
        run(layer(other, TransformerLayout::Joined, size), &x, &[]),
        expected
    );
}

#[test]
fn a_row_reaches_those_that_see_it_and_no_other() {
    let make = || layer(split(SIZE, 8), TransformerLayout::Split, SIZE);
    let x = rows(20, 9);
    let before = run(make(), &x, &[]);
    let mut changed = x.clone();
    let at = 10;
    changed[at * SIZE.channels] += 1.0;
    let after = run(make(), &changed, &[]);
    let differs = |t: usize| {
        let range = t * SIZE.channels..(t + 1) * SIZE.channels;
        before[range.clone()] != after[range]
    };
    let reached: Vec<usize> = (0..20).filter(|t| differs(*t)).collect();
    assert_eq!(reached, (at..at + SIZE.window).collect::<Vec<_>>());
}

#[test]
fn only_the_distance_of_two_rows_counts_however_late_they_come() {
    let layer = layer(split(SIZE, 10), TransformerLayout::Split, SIZE);
    let mut rng = Rng::new(11);
    let (query, key) = (rng.normals(SIZE.head), rng.normals(SIZE.head));
    let product = |first: u64| -> f32 {
        let turned = |head: &[f32], row: u64| {
            let (mut head, mut turn) = (head.to_vec(), vec![0.0; SIZE.head]);
            layer.turn_of(row, &mut turn);
            rotate(&mut head, &turn);
            head
        };
        let pairs = turned(&query, first + 4)
            .into_iter()
            .zip(turned(&key, first));
        pairs.map(|(q, k)| q * k).sum()
    };
    let early = product(0);
    // A day of Mimi, and a hundred years.
    for first in [2_160_000, 80_000_000_000] {
        assert!(
            (product(first) - early).abs() < 2e-5,
            "{first}: {} {early}",
            product(first)
        );
    }
    assert_eq!(frequencies(4, 100.0), [1.0, 0.1]);
}
