//! The kernels of the encoder's shapes, each as a share of what the machine can do.
//!
//! Weights take turns among enough copies that they come from memory, as in a model of many layers.

use std::hint::black_box;
use std::time::{Duration, Instant};

use percept_kernels as kernels;
use rayon::prelude::*;
use serde_json::{Value, json};

use crate::Peaks;

/// Frames of 1, 3, 14 and 60 s of audio.
const FRAMES: [usize; 4] = [13, 38, 175, 750];
/// Inputs and outputs: a feed-forward step there and back, and queries, keys and values.
const MAPS: [(usize, usize); 3] = [(1024, 4096), (4096, 1024), (1024, 3072)];
const WIDTH: usize = 1024;
const HEAD: usize = 128;
const MELS: usize = 128;
const CHANNELS: usize = 256;
const TAPS: usize = 9;

/// One kernel at one shape.
struct Case {
    name: String,
    /// Operations of a call, and the kind that they are.
    operations: usize,
    kind: Kind,
    /// Bytes that must come from memory.
    bytes: usize,
    run: Box<dyn FnMut() + Send>,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    F32,
    Int8,
}

/// Visits every case, one in memory at a time. A new kernel is one line here, and a function below that makes its case.
fn each_case(threads: usize, mut visit: impl FnMut(Case)) {
    for rows in FRAMES {
        for (inputs, outputs) in MAPS {
            visit(matmul_f32(rows, inputs, outputs));
            visit(matmul_int8(rows, inputs, outputs));
        }
        visit(attention(rows, threads));
        visit(quantize_normed(rows, threads));
        visit(quantize_silu(rows, threads));
        visit(depthwise_conv1d(rows, threads));
    }
    visit(conv2d_first(threads));
    visit(conv2d_depthwise(threads));
}

/// One head and one block of queries for each thread.
fn attention(frames: usize, threads: usize) -> Case {
    let queries = frames.min(kernels::MAX_QUERIES);
    let table = |rows, columns| noise(kernels::Padded::layout(rows, columns).0);
    let positions = 2 * frames - 1;
    let (with_u, with_v) = (noise(queries * HEAD), noise(queries * HEAD));
    let (keys, values) = (table(HEAD, frames), table(frames, HEAD));
    let places = table(HEAD, positions);
    let sees = |query| kernels::Visible {
        keys: 0..frames,
        first_position: frames - 1 - query,
    };
    let visible: Vec<_> = (0..queries).map(sees).collect();
    let mut each: Vec<_> = (0..threads)
        .map(|_| (Vec::new(), vec![0.0; queries * HEAD]))
        .collect();
    Case {
        name: format!("attention {queries} of {frames} x {HEAD}"),
        operations: threads * 3 * 2 * queries * frames * HEAD,
        kind: Kind::F32,
        bytes: 0,
        run: Box::new(move || {
            let block = kernels::HeadBlock {
                with_u: &with_u,
                with_v: &with_v,
                keys: kernels::Padded::new(&keys, HEAD, frames),
                positions: kernels::Padded::new(&places, HEAD, positions),
                values: kernels::Padded::new(&values, frames, HEAD),
                visible: &visible,
            };
            each.par_iter_mut().for_each(|(scratch, out)| {
                kernels::relative_attention(&block, scratch, out);
                black_box(out);
            });
        }),
    }
}

/// Mean, variance, scaling, range and rounding: about twelve operations a value.
fn quantize_normed(rows: usize, threads: usize) -> Case {
    let (scale, shift) = (noise(WIDTH), noise(WIDTH));
    let name = format!("layer norm and quantisation {rows} x {WIDTH}");
    quantize(name, (rows, WIDTH), 12, threads, move |x, rows| {
        let norm = kernels::Prologue::LayerNorm {
            scale: &scale,
            shift: &shift,
            eps: 1e-5,
        };
        rows.quantize(x, WIDTH, norm);
    })
}

/// An exponential of six terms, a division, range and rounding: about thirty operations a value.
fn quantize_silu(rows: usize, threads: usize) -> Case {
    let inner = 4 * WIDTH;
    let name = format!("SiLU and quantisation {rows} x {inner}");
    quantize(name, (rows, inner), 30, threads, move |x, rows| {
        rows.quantize(x, inner, kernels::Prologue::Silu);
    })
}

fn quantize(
    name: String,
    (rows, width): (usize, usize),
    operations: usize,
    threads: usize,
    run: impl Fn(&[f32], &mut kernels::QuantizedRows) + Send + Sync + 'static,
) -> Case {
    let x = noise(rows * width);
    let each = rows.div_ceil(threads) * width;
    let mut quantized = vec![kernels::QuantizedRows::new(); threads];
    Case {
        name,
        operations: operations * rows * width,
        kind: Kind::F32,
        bytes: 0,
        run: Box::new(move || {
            let parts = x.par_chunks(each).zip(&mut quantized);
            parts.for_each(|(x, rows)| run(x, black_box(rows)));
        }),
    }
}

/// The first convolution of the subsampling, for eight encoder frames on each thread.
fn conv2d_first(threads: usize) -> Case {
    conv2d(
        "first 3 x 3 convolution",
        (MELS, 1),
        threads,
        kernels::conv2d_first,
    )
}

/// The second one, on what the first leaves.
fn conv2d_depthwise(threads: usize) -> Case {
    let name = "depthwise 3 x 3 convolution";
    conv2d(
        name,
        (MELS / 2, CHANNELS),
        threads,
        kernels::conv2d_depthwise,
    )
}

type Conv2d = fn(
    &kernels::RowWindow<'_>,
    &[f32],
    &[f32],
    &kernels::Conv2dGeometry,
    std::ops::Range<usize>,
    &mut [f32],
);

fn conv2d(name: &str, (freqs, in_channels): (usize, usize), threads: usize, run: Conv2d) -> Case {
    const ROWS: usize = 64;
    let geometry = kernels::Conv2dGeometry {
        freqs,
        in_channels,
        pad_before: 1,
    };
    let out_rows = geometry.out_len(ROWS);
    let values = out_rows * geometry.out_freqs() * CHANNELS;
    let (x, weights) = (noise(ROWS * freqs * in_channels), noise(9 * CHANNELS));
    let bias = noise(CHANNELS);
    let mut each = vec![vec![0.0; values]; threads];
    Case {
        name: format!("{name} {ROWS} x {freqs} x {in_channels} to {CHANNELS}"),
        operations: threads * 2 * 9 * values,
        kind: Kind::F32,
        bytes: 0,
        run: Box::new(move || {
            let window = kernels::RowWindow {
                data: &x,
                first_row: 0,
                total_rows: ROWS,
            };
            each.par_iter_mut().for_each(|out| {
                run(&window, &weights, &bias, &geometry, 0..out_rows, out);
                black_box(out);
            });
        }),
    }
}

fn matmul_f32(rows: usize, inputs: usize, outputs: usize) -> Case {
    let bytes = 4 * inputs * outputs;
    let weights = noise(inputs * outputs);
    let pack = || kernels::PackedMatrix::pack(&weights, outputs, inputs);
    let mut copies = Turns::new(bytes, pack);
    let (x, mut out) = (noise(rows * inputs), vec![0.0; rows * outputs]);
    Case {
        name: format!("matmul f32 {rows} x {inputs} x {outputs}"),
        operations: 2 * rows * inputs * outputs,
        kind: Kind::F32,
        bytes,
        run: Box::new(move || {
            let x = kernels::Rows::dense(&x, inputs);
            kernels::matmul(x, copies.next(), None, &mut out);
            black_box(&mut out);
        }),
    }
}

fn matmul_int8(rows: usize, inputs: usize, outputs: usize) -> Case {
    let bytes = inputs * outputs;
    let weights = noise(inputs * outputs);
    let quantize = || kernels::Int8Matrix::quantize(&weights, outputs, inputs);
    let mut copies = Turns::new(bytes, quantize);
    let (mut x, mut out) = (kernels::QuantizedRows::new(), vec![0.0; rows * outputs]);
    x.quantize(&noise(rows * inputs), inputs, kernels::Prologue::None);
    Case {
        name: format!("matmul int8 {rows} x {inputs} x {outputs}"),
        operations: 2 * rows * inputs * outputs,
        kind: Kind::Int8,
        bytes,
        run: Box::new(move || {
            kernels::matmul_int8(&x, copies.next(), None, kernels::Store::Replace, &mut out);
            black_box(&mut out);
        }),
    }
}

fn depthwise_conv1d(rows: usize, threads: usize) -> Case {
    let (x, weights, bias) = (noise(rows * WIDTH), noise(TAPS * WIDTH), noise(WIDTH));
    let mut out = vec![0.0; rows * WIDTH];
    Case {
        name: format!("depthwise convolution {rows} x {WIDTH} x {TAPS}"),
        operations: 2 * rows * WIDTH * TAPS,
        kind: Kind::F32,
        bytes: 0,
        run: Box::new(move || {
            let each = rows.div_ceil(threads);
            let parts = out.par_chunks_mut(each * WIDTH).enumerate();
            parts.for_each(|(n, out)| {
                let frames = n * each..n * each + out.len() / WIDTH;
                kernels::depthwise_conv1d(&x, &weights, &bias, TAPS / 2, frames, out);
            });
            black_box(&mut out);
        }),
    }
}

/// Copies of one thing that take turns, more than caches hold.
struct Turns<T> {
    copies: Vec<T>,
    at: usize,
}

impl<T> Turns<T> {
    const BYTES: usize = 192 << 20;

    fn new(bytes: usize, make: impl Fn() -> T) -> Self {
        let copies = (0..Self::BYTES.div_ceil(bytes)).map(|_| make()).collect();
        Turns { copies, at: 0 }
    }

    fn next(&mut self) -> &T {
        self.at = (self.at + 1) % self.copies.len();
        &self.copies[self.at]
    }
}

/// Each kernel's median, beside the peak of its kind of number and the limit that memory sets as well.
pub fn measure(peaks: &Peaks, threads: usize) -> Vec<Value> {
    let mut figures = Vec::new();
    each_case(threads, |mut case| {
        let seconds = median_seconds(&mut case.run);
        let peak = match case.kind {
            Kind::F32 => Some(peaks.f32),
            Kind::Int8 => peaks.int8,
        };
        let share = |least: f64| (least / seconds * 1000.0).round() / 1000.0;
        let at_peak = peak.map(|peak| case.operations as f64 / peak);
        let limit = at_peak.map(|least| least.max(case.bytes as f64 / peaks.memory));
        figures.push(json!({
            "kernel": case.name,
            "microseconds": (seconds * 1e7).round() / 10.0,
            "giga_operations": (case.operations as f64 / seconds / 1e8).round() / 10.0,
            "share_of_peak": at_peak.map(share),
            "share_of_limit": limit.map(share),
        }));
    });
    figures
}

/// A fifth of a second of calls, after a few that do not count.
fn median_seconds(run: &mut (dyn FnMut() + Send)) -> f64 {
    for _ in 0..3 {
        run();
    }
    let (mut seconds, begin) = (Vec::new(), Instant::now());
    while seconds.len() < 9 || begin.elapsed() < Duration::from_millis(200) {
        let start = Instant::now();
        run();
        seconds.push(start.elapsed().as_secs_f64());
    }
    seconds.sort_by(f64::total_cmp);
    seconds[seconds.len() / 2]
}

/// Values in -1..1, the same every time.
fn noise(count: usize) -> Vec<f32> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    (0..count)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 40) as f32 / (1 << 23) as f32 - 1.0
        })
        .collect()
}
