//! Layers against plain loops written from their definitions, on random weights.

use percept_kernels::reference;
use percept_nn::{
    AttentionMask, AttentionShape, Bias, ConvModule, ConvPadding, ConvShape, FeedForward, Items,
    Loader, Lstm, Precision, RelPosAttention, RelativePositions, Subsampling, SubsamplingShape,
};
use percept_testkit::{Rng, Tol, close};
use percept_weights::Tensors;

const TOL: Tol = Tol {
    abs: 2e-5,
    rel_to_max: 2e-5,
};

/// Random tensors by name; remembers them for the plain loops.
struct Weights {
    rng: Rng,
    tensors: Vec<(String, Vec<usize>, Vec<f32>)>,
}

impl Weights {
    fn new(seed: u64) -> Self {
        Weights {
            rng: Rng::new(seed),
            tensors: Vec::new(),
        }
    }

    fn noise(&mut self, n: usize, scale: f32) -> Vec<f32> {
        (0..n).map(|_| self.rng.uniform(-scale, scale)).collect()
    }

    fn add(&mut self, name: &str, shape: &[usize], scale: f32) {
        let data = self.noise(shape.iter().product(), scale);
        self.tensors.push((name.into(), shape.into(), data));
    }

    fn norm(&mut self, name: &str, width: usize) {
        let data = self.noise(width, 0.3).iter().map(|v| v + 1.0).collect();
        self.tensors
            .push((format!("{name}.weight"), vec![width], data));
        self.add(&format!("{name}.bias"), &[width], 0.2);
    }

    fn linear(&mut self, name: &str, inputs: usize, outputs: usize, bias: bool) {
        self.add(
            &format!("{name}.weight"),
            &[outputs, inputs],
            (3.0 / inputs as f32).sqrt(),
        );
        if bias {
            self.add(&format!("{name}.bias"), &[outputs], 0.2);
        }
    }

    fn table(&self) -> Tensors {
        Tensors::from_f32("random", self.tensors.clone()).expect("distinct names")
    }

    fn get(&self, name: &str) -> &[f32] {
        let found = self.tensors.iter().find(|(n, ..)| n == name);
        &found.unwrap_or_else(|| panic!("no {name}")).2
    }

    fn apply(&self, name: &str, x: &[f32], inputs: usize) -> Vec<f32> {
        let weight = self.get(&format!("{name}.weight"));
        let bias = self
            .tensors
            .iter()
            .find(|(n, ..)| *n == format!("{name}.bias"));
        let bias = bias.map(|(.., data)| data.as_slice());
        reference::matmul(x, weight, bias, inputs, weight.len() / inputs)
    }

    fn layer_norm(&self, name: &str, x: &[f32]) -> Vec<f32> {
        let (scale, shift) = (
            self.get(&format!("{name}.weight")),
            self.get(&format!("{name}.bias")),
        );
        reference::layer_norm(x, scale, shift, 1e-5)
    }
}

#[test]
fn feed_forward_adds_half_a_step() {
    let (width, inner, rows) = (24, 56, 150);
    let mut w = Weights::new(1);
    w.norm("norm", width);
    w.linear("ff.linear1", width, inner, true);
    w.linear("ff.linear2", inner, width, true);
    let layer = FeedForward::load(
        &Loader::new(&w.table(), Precision::F32),
        ("ff", "norm"),
        (width, inner),
        Bias::Present,
    )
    .expect("complete");
    let x = w.noise(rows * width, 1.0);
    let hidden = reference::silu(&w.apply("ff.linear1", &w.layer_norm("norm", &x), width));
    let step = w.apply("ff.linear2", &hidden, inner);
    let expected: Vec<f32> = x.iter().zip(&step).map(|(x, s)| x + 0.5 * s).collect();
    let mut out = x.clone();
    layer.forward(&mut out, None);
    close(&out, &expected, TOL, "feed forward");
}

#[test]
fn convolution_module_equals_the_plain_loop_and_keeps_items_apart() {
    let (width, frames) = (20, [5usize, 1, 70]);
    for (padding, kernel) in [
        (ConvPadding::Symmetric, 9),
        (ConvPadding::Causal, 9),
        (ConvPadding::Symmetric, 31),
    ] {
        for layer_norm in [false, true] {
            let mut w = Weights::new(2);
            w.norm("norm", width);
            w.linear("conv.pointwise_conv1", width, 2 * width, true);
            w.add("conv.depthwise_conv.weight", &[width, 1, kernel], 0.4);
            w.add("conv.depthwise_conv.bias", &[width], 0.1);
            w.norm("conv.batch_norm", width);
            if !layer_norm {
                w.add("conv.batch_norm.running_mean", &[width], 0.3);
                let var = w.noise(width, 0.5).iter().map(|v| v + 1.0).collect();
                w.tensors
                    .push(("conv.batch_norm.running_var".into(), vec![width], var));
            }
            w.linear("conv.pointwise_conv2", width, width, true);
            let shape = ConvShape {
                width,
                kernel,
                padding,
            };
            let module = ConvModule::load(
                &Loader::new(&w.table(), Precision::F32),
                ("conv", "norm"),
                shape,
                Bias::Present,
            )
            .expect("complete");
            let x = w.noise(frames.iter().sum::<usize>() * width, 1.0);
            let items = Items::new(frames);
            let mut expected = Vec::new();
            for item in items.ranges() {
                let rows = &x[item.start * width..item.end * width];
                expected.extend(convolution(&w, rows, width, kernel, padding, layer_norm));
            }
            let mut out = x.clone();
            module.forward(&mut out, &items);
            close(
                &out,
                &expected,
                TOL,
                &format!("{padding:?} {kernel} {layer_norm}"),
            );
        }
    }
}

fn convolution(
    w: &Weights,
    x: &[f32],
    width: usize,
    kernel: usize,
    padding: ConvPadding,
    layer_norm: bool,
) -> Vec<f32> {
    let gated = reference::glu(
        &w.apply("conv.pointwise_conv1", &w.layer_norm("norm", x), width),
        width,
    );
    let stored = w.get("conv.depthwise_conv.weight");
    let taps: Vec<f32> = (0..kernel * width)
        .map(|i| stored[i % width * kernel + i / width])
        .collect();
    let left = if padding == ConvPadding::Causal {
        kernel - 1
    } else {
        (kernel - 1) / 2
    };
    let filtered =
        reference::depthwise_conv1d(&gated, &taps, w.get("conv.depthwise_conv.bias"), left);
    let normed = if layer_norm {
        w.layer_norm("conv.batch_norm", &filtered)
    } else {
        let part = |name: &str| w.get(&format!("conv.batch_norm.{name}"));
        let each = filtered.iter().enumerate().map(|(i, v)| {
            let c = i % width;
            let inv = 1.0 / (part("running_var")[c] + 1e-5).sqrt();
            (v - part("running_mean")[c]) * inv * part("weight")[c] + part("bias")[c]
        });
        each.collect()
    };
    let out = w.apply("conv.pointwise_conv2", &reference::silu(&normed), width);
    x.iter().zip(&out).map(|(x, o)| x + o).collect()
}

#[test]
fn attention_equals_the_plain_loop_for_every_mask_and_length() {
    let (width, heads) = (24, 3);
    let mut w = Weights::new(3);
    w.norm("norm", width);
    for name in ["q", "k", "v", "out"] {
        w.linear(&format!("att.linear_{name}"), width, width, true);
    }
    w.linear("att.linear_pos", width, width, false);
    w.add("att.pos_bias_u", &[heads, width / heads], 0.4);
    w.add("att.pos_bias_v", &[heads, width / heads], 0.4);
    let shape = AttentionShape { width, heads };
    let layer = RelPosAttention::load(
        &Loader::new(&w.table(), Precision::F32),
        ("att", "norm"),
        shape,
        Bias::Present,
    )
    .expect("complete");
    let masks = [
        AttentionMask::Full,
        AttentionMask::Regular {
            left: Some(5),
            right: Some(2),
        },
        AttentionMask::Regular {
            left: Some(300),
            right: None,
        },
        AttentionMask::Chunked {
            left: Some(6),
            right: 2,
        },
        AttentionMask::ChunkedWithRight {
            left: 6,
            chunk: 3,
            right: 2,
        },
    ];
    for mask in masks {
        let items = Items::new([1usize, 2, 65, 330]);
        let x = w.noise(items.total() * width, 1.0);
        let (back, ahead) = mask.reach(items.longest());
        let mut out = x.clone();
        // A table that reaches further than the mask changes nothing.
        let encodings = RelativePositions::new(back + 3, ahead + 1, width);
        let projected = layer.project(&encodings);
        layer.forward(&mut out, &items, &|_| mask, &projected);
        let mut expected = Vec::new();
        for item in items.ranges() {
            expected.extend(attention(
                &w,
                &x[item.start * width..item.end * width],
                shape,
                &mask,
            ));
        }
        close(
            &out,
            &expected,
            Tol {
                abs: 5e-5,
                rel_to_max: 5e-5,
            },
            &format!("{mask:?}"),
        );
    }
}

fn attention(w: &Weights, x: &[f32], shape: AttentionShape, mask: &AttentionMask) -> Vec<f32> {
    let AttentionShape { width, heads } = shape;
    let (frames, head_width) = (x.len() / width, width / heads);
    let normed = w.layer_norm("norm", x);
    let [q, k, v] = ["q", "k", "v"].map(|n| w.apply(&format!("att.linear_{n}"), &normed, width));
    let mut context = vec![0.0; x.len()];
    for i in 0..frames {
        let seen = mask.visible(i, frames);
        // One sinusoid row per key, from its definition.
        let rows: Vec<f32> = seen
            .clone()
            .flat_map(|j| {
                let distance = i as f64 - j as f64;
                (0..width).map(move |c| {
                    let angle = distance / 10_000f64.powf((c / 2 * 2) as f64 / width as f64);
                    if c % 2 == 0 {
                        angle.sin() as f32
                    } else {
                        angle.cos() as f32
                    }
                })
            })
            .collect();
        let positions = w.apply("att.linear_pos", &rows, width);
        for head in 0..heads {
            let span = head * head_width..(head + 1) * head_width;
            let scores: Vec<f32> = seen
                .clone()
                .enumerate()
                .map(|(n, j)| {
                    let each = span.clone().map(|c| {
                        let query = q[i * width + c];
                        let (u, v) = (w.get("att.pos_bias_u")[c], w.get("att.pos_bias_v")[c]);
                        (query + u) * k[j * width + c] + (query + v) * positions[n * width + c]
                    });
                    each.sum::<f32>() / (head_width as f32).sqrt()
                })
                .collect();
            for (p, j) in reference::softmax(&scores).iter().zip(seen.clone()) {
                for c in span.clone() {
                    context[i * width + c] += p * v[j * width + c];
                }
            }
        }
    }
    let out = w.apply("att.linear_out", &context, width);
    x.iter().zip(&out).map(|(x, o)| x + o).collect()
}

#[test]
fn lstm_steps_equal_the_plain_loop_and_streams_do_not_mix() {
    let (inputs, hidden) = (6, 10);
    let mut w = Weights::new(4);
    for layer in 0..2 {
        let width = if layer == 0 { inputs } else { hidden };
        w.add(
            &format!("lstm.weight_ih_l{layer}"),
            &[4 * hidden, width],
            0.5,
        );
        w.add(
            &format!("lstm.weight_hh_l{layer}"),
            &[4 * hidden, hidden],
            0.5,
        );
        w.add(&format!("lstm.bias_ih_l{layer}"), &[4 * hidden], 0.2);
        w.add(&format!("lstm.bias_hh_l{layer}"), &[4 * hidden], 0.2);
    }
    let lstm = Lstm::load(
        &Loader::new(&w.table(), Precision::F32),
        "lstm",
        (inputs, hidden),
        1,
    )
    .expect("complete");
    assert_eq!((lstm.layers(), lstm.hidden()), (2, hidden));
    let x = w.noise(3 * 5 * inputs, 1.0);
    let mut batch = vec![lstm.state(); 3];
    for step in 0..5 {
        let rows = &x[step * 3 * inputs..(step + 1) * 3 * inputs];
        let mut out = vec![0.0; 3 * hidden];
        lstm.step(rows, (&[0, 1, 2], &mut batch), |state| state, &mut out);
        for stream in 0..3 {
            let mut alone = [lstm.state()];
            let mut single = vec![0.0; hidden];
            let (mut h, mut c) = (vec![vec![0.0; hidden]; 2], vec![vec![0.0; hidden]; 2]);
            for s in 0..=step {
                let row = &x[(s * 3 + stream) * inputs..][..inputs];
                lstm.step(row, (&[0], &mut alone), |state| state, &mut single);
                let mut below = row.to_vec();
                for l in 0..2 {
                    let part = |n: &str| w.get(&format!("lstm.{n}_l{l}"));
                    let a = reference::matmul(
                        &below,
                        part("weight_ih"),
                        Some(part("bias_ih")),
                        below.len(),
                        4 * hidden,
                    );
                    let b = reference::matmul(
                        &h[l],
                        part("weight_hh"),
                        Some(part("bias_hh")),
                        hidden,
                        4 * hidden,
                    );
                    let gates: Vec<f32> = a.iter().zip(&b).map(|(a, b)| a + b).collect();
                    reference::lstm_cell(&gates, &mut c[l], &mut h[l]);
                    below = h[l].clone();
                }
            }
            assert_eq!(
                single,
                out[stream * hidden..(stream + 1) * hidden],
                "alone = in a batch"
            );
            assert_eq!(alone[0], batch[stream]);
            close(&single, &h[1], TOL, "lstm");
        }
    }
}

#[test]
fn subsampling_in_tiles_equals_the_whole_convolutions() {
    for causal in [false, true] {
        for factor in [2, 4, 8] {
            let shape = SubsamplingShape {
                mels: 20,
                channels: 6,
                width: 10,
                factor,
                causal,
            };
            let mut w = Weights::new(5);
            let mut freqs = shape.mels;
            for stage in 0..factor.ilog2() as usize {
                let index = if stage == 0 { 0 } else { 3 * stage - 1 };
                w.add(&format!("pre.conv.{index}.weight"), &[6, 1, 3, 3], 0.5);
                w.add(&format!("pre.conv.{index}.bias"), &[6], 0.2);
                if stage > 0 {
                    w.add(
                        &format!("pre.conv.{}.weight", index + 1),
                        &[6, 6, 1, 1],
                        0.6,
                    );
                    w.add(&format!("pre.conv.{}.bias", index + 1), &[6], 0.2);
                }
                freqs = if causal {
                    freqs / 2 + 1
                } else {
                    freqs.div_ceil(2)
                };
            }
            w.linear("pre.out", 6 * freqs, 10, true);
            let layer = Subsampling::load(&Loader::new(&w.table(), Precision::F32), "pre", shape)
                .expect("complete");
            let items = Items::new([0usize, 1, 7, 8, 9, 801]);
            let mel = w.noise(items.total() * shape.mels, 1.0);
            let out_items = Items::new(items.ranges().map(|item| layer.out_frames(item.len())));
            let mut out = vec![0.0; out_items.total() * shape.width];
            layer.forward(&mel, &items, &out_items, &mut out);
            let mut expected = Vec::new();
            for (item, frames) in items.ranges().zip(out_items.ranges()) {
                let rows = &mel[item.start * shape.mels..item.end * shape.mels];
                let made = whole_subsampling(&w, rows, shape);
                assert_eq!(
                    made.len(),
                    frames.len() * shape.width,
                    "causal {causal}, factor {factor}"
                );
                expected.extend(made);
            }
            close(
                &out,
                &expected,
                TOL,
                &format!("causal {causal}, factor {factor}"),
            );
        }
    }
}

/// The stack over whole images, channel by channel, as PyTorch's `Conv2d` defines it.
fn whole_subsampling(w: &Weights, mel: &[f32], shape: SubsamplingShape) -> Vec<f32> {
    let (channels, pad) = (shape.channels, if shape.causal { 2 } else { 1 });
    let (mut rows, mut freqs) = (mel.len() / shape.mels, shape.mels);
    let mut planes = vec![mel.to_vec()];
    for stage in 0..shape.factor.ilog2() as usize {
        let index = if stage == 0 { 0 } else { 3 * stage - 1 };
        let (kernel, bias) = (
            w.get(&format!("pre.conv.{index}.weight")),
            w.get(&format!("pre.conv.{index}.bias")),
        );
        let out_of = |n: usize| if n == 0 { 0 } else { (n + pad + 1 - 3) / 2 + 1 };
        let (out_rows, out_freqs) = (out_of(rows), out_of(freqs));
        let strided: Vec<Vec<f32>> = (0..channels)
            .map(|c| {
                let plane = &planes[if stage == 0 { 0 } else { c }];
                let at = |r: usize, f: usize| {
                    let inside = r >= pad && r - pad < rows && f >= pad && f - pad < freqs;
                    if inside {
                        plane[(r - pad) * freqs + f - pad]
                    } else {
                        0.0
                    }
                };
                let each = (0..out_rows * out_freqs).map(|i| {
                    let (r, f) = (2 * (i / out_freqs), 2 * (i % out_freqs));
                    bias[c]
                        + (0..9)
                            .map(|t| kernel[c * 9 + t] * at(r + t / 3, f + t % 3))
                            .sum::<f32>()
                });
                each.collect()
            })
            .collect();
        planes = if stage == 0 {
            strided
        } else {
            pointwise(w, index + 1, &strided)
        };
        planes.iter_mut().flatten().for_each(|v| *v = v.max(0.0));
        (rows, freqs) = (out_rows, out_freqs);
    }
    let flat: Vec<f32> = (0..rows)
        .flat_map(|r| {
            planes
                .iter()
                .flat_map(move |p| p[r * freqs..(r + 1) * freqs].to_vec())
        })
        .collect();
    w.apply("pre.out", &flat, channels * freqs)
}

fn pointwise(w: &Weights, index: usize, planes: &[Vec<f32>]) -> Vec<Vec<f32>> {
    let (weight, bias) = (
        w.get(&format!("pre.conv.{index}.weight")),
        w.get(&format!("pre.conv.{index}.bias")),
    );
    (0..planes.len())
        .map(|o| {
            let each = (0..planes[0].len()).map(|i| {
                bias[o]
                    + planes
                        .iter()
                        .enumerate()
                        .map(|(c, p)| weight[o * planes.len() + c] * p[i])
                        .sum::<f32>()
            });
            each.collect()
        })
        .collect()
}
