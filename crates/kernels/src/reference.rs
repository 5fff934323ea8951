//! Plain loops that say what each kernel computes. Slow, obvious, and what the tests compare with.

use crate::attention::Visible;
use crate::conv::{Conv2dGeometry, RowWindow};
use crate::int8::{Int8Matrix, QuantizedRows};

/// `x · wᵀ + bias` for `x` `[rows, inputs]` and `w` `[outputs, inputs]`, accumulated in `f64`.
pub fn matmul(
    x: &[f32],
    w: &[f32],
    bias: Option<&[f32]>,
    inputs: usize,
    outputs: usize,
) -> Vec<f32> {
    let mut out = Vec::with_capacity(x.len() / inputs.max(1) * outputs);
    for row in x.chunks_exact(inputs) {
        for (o, weights) in w.chunks_exact(inputs).enumerate() {
            let dot: f64 = row
                .iter()
                .zip(weights)
                .map(|(a, b)| f64::from(*a) * f64::from(*b))
                .sum();
            out.push((dot + bias.map_or(0.0, |b| f64::from(b[o]))) as f32);
        }
    }
    out
}

/// The product of the values that 8-bit rows and weights stand for, accumulated in `f64`.
pub fn matmul_int8(x: &QuantizedRows, w: &Int8Matrix, bias: Option<&[f32]>) -> Vec<f32> {
    let values = |row| (0..x.width()).map(move |column| x.value(row, column));
    let rows: Vec<f32> = (0..x.rows()).flat_map(values).collect();
    let weights = |output| (0..w.inputs()).map(move |input| w.value(output, input));
    let weights: Vec<f32> = (0..w.outputs()).flat_map(weights).collect();
    matmul(&rows, &weights, bias, w.inputs(), w.outputs())
}

/// Attention of one head with relative positions: queries `(with_u, with_v)` `[queries, width]`, then keys and positions
/// `[width, _]` and values `[frames, width]`.
pub fn relative_attention(
    (with_u, with_v): (&[f32], &[f32]),
    (keys, positions, values): (&[f32], &[f32], &[f32]),
    visible: &[Visible],
    (frames, width): (usize, usize),
) -> Vec<f32> {
    let reach = positions.len() / width;
    let mut out = Vec::new();
    for (i, seen) in visible.iter().enumerate() {
        let score = |(n, key): (usize, usize)| {
            let parts = (0..width).map(|c| {
                let position = positions[c * reach + seen.first_position + n];
                with_u[i * width + c] * keys[c * frames + key] + with_v[i * width + c] * position
            });
            parts.sum()
        };
        let scores: Vec<f32> = seen.keys.clone().enumerate().map(score).collect();
        let weights = softmax(&scores);
        for c in 0..width {
            let parts = seen.keys.clone().zip(&weights);
            out.push(parts.map(|(key, w)| w * values[key * width + c]).sum());
        }
    }
    out
}

/// Layer norm over each row of `width`, with scale and shift.
pub fn layer_norm(x: &[f32], scale: &[f32], shift: &[f32], eps: f32) -> Vec<f32> {
    let width = scale.len();
    let mut out = Vec::with_capacity(x.len());
    for row in x.chunks_exact(width) {
        let mean = row.iter().map(|v| f64::from(*v)).sum::<f64>() / width as f64;
        let var = row
            .iter()
            .map(|v| (f64::from(*v) - mean).powi(2))
            .sum::<f64>()
            / width as f64;
        let inv = 1.0 / (var + f64::from(eps)).sqrt();
        for (i, v) in row.iter().enumerate() {
            out.push(
                ((f64::from(*v) - mean) * inv * f64::from(scale[i]) + f64::from(shift[i])) as f32,
            );
        }
    }
    out
}

/// Softmax of one row.
pub fn softmax(x: &[f32]) -> Vec<f32> {
    let max = x.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let exp: Vec<f64> = x.iter().map(|v| f64::from(v - max).exp()).collect();
    let sum: f64 = exp.iter().sum();
    exp.iter().map(|v| (v / sum) as f32).collect()
}

/// `a · sigmoid(b)` for each row `[a, b]` of `2 · width`.
pub fn glu(x: &[f32], width: usize) -> Vec<f32> {
    x.chunks_exact(2 * width)
        .flat_map(|row| {
            (0..width)
                .map(|i| row[i] * sigmoid(row[width + i]))
                .collect::<Vec<_>>()
        })
        .collect()
}

/// `x · sigmoid(x)`.
pub fn silu(x: &[f32]) -> Vec<f32> {
    x.iter().map(|v| v * sigmoid(*v)).collect()
}

/// The logistic function.
pub fn sigmoid(x: f32) -> f32 {
    (1.0 / (1.0 + (-f64::from(x)).exp())) as f32
}

/// One LSTM cell in PyTorch's gate order i, f, g, o. `gates` is `[4 · hidden]`; `c` and `h` are replaced.
pub fn lstm_cell(gates: &[f32], c: &mut [f32], h: &mut [f32]) {
    let n = c.len();
    for k in 0..n {
        let (i, f) = (sigmoid(gates[k]), sigmoid(gates[n + k]));
        let (g, o) = (gates[2 * n + k].tanh(), sigmoid(gates[3 * n + k]));
        c[k] = f * c[k] + i * g;
        h[k] = o * c[k].tanh();
    }
}

/// Depthwise convolution over time: `x` `[frames, channels]`, `weights` `[kernel, channels]`, `bias` `[channels]`.
/// Output frame `t` sees input frames `t - left .. t - left + kernel`, zeros outside.
pub fn depthwise_conv1d(x: &[f32], weights: &[f32], bias: &[f32], left: usize) -> Vec<f32> {
    let channels = bias.len();
    let (frames, kernel) = (x.len() / channels, weights.len() / channels);
    let mut out = vec![0.0; x.len()];
    for t in 0..frames {
        for c in 0..channels {
            let mut sum = bias[c];
            for k in 0..kernel {
                let source = t + k;
                if source >= left && source - left < frames {
                    sum += weights[k * channels + c] * x[(source - left) * channels + c];
                }
            }
            out[t * channels + c] = sum;
        }
    }
    out
}

/// 3x3 convolution of stride 2 over `[rows, freqs, in_channels]`; `in_channels` is 1 (ordinary) or `channels`
/// (depthwise). `weights` is `[9, channels]`. Gives output rows `out_rows`.
pub fn conv2d(
    input: &RowWindow<'_>,
    weights: &[f32],
    bias: &[f32],
    geometry: &Conv2dGeometry,
    out_rows: std::ops::Range<usize>,
) -> Vec<f32> {
    let (channels, pad) = (bias.len(), geometry.pad_before as isize);
    let in_channels = geometry.in_channels;
    let out_freqs = geometry.out_freqs();
    let mut out = Vec::new();
    for row in out_rows {
        for freq in 0..out_freqs {
            for c in 0..channels {
                let mut sum = bias[c];
                for tap in 0..9 {
                    let r = 2 * row as isize - pad + (tap / 3) as isize;
                    let f = 2 * freq as isize - pad + (tap % 3) as isize;
                    if r < 0
                        || r >= input.total_rows as isize
                        || f < 0
                        || f >= geometry.freqs as isize
                    {
                        continue;
                    }
                    let at = ((r as usize - input.first_row) * geometry.freqs + f as usize)
                        * in_channels;
                    let value = input.data[at + if in_channels == 1 { 0 } else { c }];
                    sum += weights[tap * channels + c] * value;
                }
                out.push(sum);
            }
        }
    }
    out
}

/// `x + sin(alpha · x)² · inverse` for rows of `alpha.len()` channels, from the product as `f32` rounds it.
pub fn snake(x: &[f32], alpha: &[f32], inverse: &[f32]) -> Vec<f32> {
    let channels = alpha.len();
    let channel = |(i, v): (usize, &f32)| {
        let sine = f64::from(alpha[i % channels] * v).sin();
        (f64::from(*v) + sine * sine * f64::from(inverse[i % channels])) as f32
    };
    x.iter().enumerate().map(channel).collect()
}

/// `x` where it is positive, else `exp(x) - 1`.
pub fn elu(x: &[f32]) -> Vec<f32> {
    let value = |v: &f32| {
        if *v > 0.0 {
            *v
        } else {
            f64::from(*v).exp_m1() as f32
        }
    };
    x.iter().map(value).collect()
}

/// `x / 2 · (1 + erf(x / √2))`.
pub fn gelu(x: &[f32]) -> Vec<f32> {
    let value = |v: &f32| {
        let v = f64::from(*v);
        (v / 2.0 * (1.0 + erf(v / std::f64::consts::SQRT_2))) as f32
    };
    x.iter().map(value).collect()
}

/// The error function, by the series `2 x / √π · exp(-x²) · Σ (2 x²)ⁿ / (1 · 3 · … · (2 n + 1))`
/// (<https://dlmf.nist.gov/7.6.E2>).
pub fn erf(x: f64) -> f64 {
    if x.abs() > 6.0 {
        return x.signum();
    }
    let (mut term, mut sum) = (1.0, 1.0);
    for n in 1..200 {
        term *= 2.0 * x * x / f64::from(2 * n + 1);
        sum += term;
    }
    std::f64::consts::FRAC_2_SQRT_PI * x * (-x * x).exp() * sum
}

/// `x[t, c] + scale[t] · h[t, c]`.
pub fn scale_rows_and_add(h: &[f32], scale: &[f32], x: &[f32], channels: usize) -> Vec<f32> {
    let value = |(i, (x, h)): (usize, (&f32, &f32))| x + scale[i / channels] * h;
    x.iter().zip(h).enumerate().map(value).collect()
}

/// Depthwise convolution over time without borders: output row `t` is `bias + Σ_k weights[k] · x[t + k · dilation]`.
pub fn depthwise_conv1d_dilated(
    x: &[f32],
    weights: &[f32],
    bias: &[f32],
    dilation: usize,
    rows: usize,
) -> Vec<f32> {
    let channels = bias.len();
    let taps = weights.len() / channels;
    let mut out = Vec::new();
    for t in 0..rows {
        for c in 0..channels {
            let tap = |k| weights[k * channels + c] * x[(t + k * dilation) * channels + c];
            out.push(bias[c] + (0..taps).map(tap).sum::<f32>());
        }
    }
    out
}

/// Attention of one query over keys `[count, query.len()]` and values `[count, width]`.
pub fn scaled_dot_attention(
    query: &[f32],
    keys: &[f32],
    values: &[f32],
    width: usize,
    scale: f32,
) -> Vec<f32> {
    let dot = |key: &[f32]| key.iter().zip(query).map(|(k, q)| k * q).sum::<f32>();
    let scores: Vec<f32> = keys
        .chunks_exact(query.len())
        .map(|key| scale * dot(key))
        .collect();
    let mut out = vec![0.0; width];
    for (weight, value) in softmax(&scores).iter().zip(values.chunks_exact(width)) {
        for (out, value) in out.iter_mut().zip(value) {
            *out += weight * value;
        }
    }
    out
}

/// The transpose of `x` `[rows, columns]`.
pub fn transpose(x: &[f32], columns: usize) -> Vec<f32> {
    let rows = x.len() / columns;
    (0..x.len())
        .map(|i| x[i % rows * columns + i / rows])
        .collect()
}
