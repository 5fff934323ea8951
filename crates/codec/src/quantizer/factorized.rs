//! Quantisers that look codes up in few dimensions, by angle (SNAC, DAC).

use percept_kernels::{PackedMatrix, Rows, matmul, matmul_add};
use percept_nn::signal::{conv_bias, conv_weights};
use percept_weights::{Tensors, WeightsError};
use rayon::prelude::*;

use super::{Quantizer, nearest, square};

/// The least length that a vector is divided by.
const MIN_LENGTH: f32 = 1e-12;
/// Latent frames that are searched for at once.
const SEARCHED_FRAMES: usize = 32;

/// Books that map latent frames to few dimensions, compare directions, and map the entry found back.
#[derive(Debug)]
pub(crate) struct FactorizedQuantizer {
    books: Vec<FactorizedBook>,
    width: usize,
    /// Latent frames of a super-frame.
    align: usize,
}

/// One book.
#[derive(Debug)]
pub(crate) struct FactorizedBook {
    stride: usize,
    inward: PackedMatrix,
    inward_bias: Vec<f32>,
    outward: PackedMatrix,
    outward_bias: Vec<f32>,
    /// `[size, dimensions]`.
    entries: Vec<f32>,
    /// The entries scaled to length one, `[size, dimensions]`.
    directions: PackedMatrix,
    /// The squares of their lengths, which are one but for rounding.
    squares: Vec<f32>,
}

impl FactorizedBook {
    /// Loads `{prefix}.{in_proj,out_proj}` and `{prefix}.codebook.weight` `[size, dimensions]`.
    pub(crate) fn load(
        tensors: &Tensors,
        prefix: &str,
        (width, dimensions, size): (usize, usize, usize),
        stride: usize,
    ) -> Result<Self, WeightsError> {
        let map = |name: &str, inputs, outputs| -> Result<_, WeightsError> {
            let prefix = format!("{prefix}.{name}");
            let weights = conv_weights(tensors, &prefix, &[outputs, inputs, 1])?;
            let bias = conv_bias(tensors, &prefix, outputs)?.unwrap_or_else(|| vec![0.0; outputs]);
            Ok((PackedMatrix::pack(&weights, outputs, inputs), bias))
        };
        let (inward, inward_bias) = map("in_proj", width, dimensions)?;
        let (outward, outward_bias) = map("out_proj", dimensions, width)?;
        let entries = tensors.f32(&format!("{prefix}.codebook.weight"), &[size, dimensions])?;
        let mut directions = entries.clone();
        directions.chunks_exact_mut(dimensions).for_each(normalize);
        Ok(FactorizedBook {
            stride,
            inward,
            inward_bias,
            outward,
            outward_bias,
            squares: directions.chunks_exact(dimensions).map(square).collect(),
            directions: PackedMatrix::pack(&directions, size, dimensions),
            entries,
        })
    }

    fn dimensions(&self) -> usize {
        self.inward.outputs()
    }

    fn entry(&self, code: u16) -> &[f32] {
        let dimensions = self.dimensions();
        &self.entries[usize::from(code) * dimensions..][..dimensions]
    }

    /// The codes of pooled frames `[codes, width]`, and what each stands for `[codes, width]`.
    fn encode(&self, pooled: &[f32], codes: &mut [u16], meant: &mut [f32]) {
        let (dimensions, size) = (self.dimensions(), self.directions.outputs());
        let mut inner = vec![0.0; codes.len() * dimensions];
        let rows = Rows::dense(pooled, self.inward.inputs());
        matmul(rows, &self.inward, Some(&self.inward_bias), &mut inner);
        let mut unit = inner.clone();
        unit.chunks_exact_mut(dimensions).for_each(normalize);
        codes
            .par_chunks_mut(SEARCHED_FRAMES)
            .zip(unit.par_chunks(SEARCHED_FRAMES * dimensions))
            .for_each(|(codes, unit)| {
                let mut products = vec![0.0; codes.len() * size];
                matmul(
                    Rows::dense(unit, dimensions),
                    &self.directions,
                    None,
                    &mut products,
                );
                let each = products
                    .chunks_exact(size)
                    .zip(unit.chunks_exact(dimensions));
                for (code, (products, unit)) in codes.iter_mut().zip(each) {
                    *code = nearest(products, &self.squares, square(unit));
                }
            });
        for (inner, &code) in inner.chunks_exact_mut(dimensions).zip(&*codes) {
            for (inner, entry) in inner.iter_mut().zip(self.entry(code)) {
                // The reference's straight-through form, which rounds.
                *inner += entry - *inner;
            }
        }
        let rows = Rows::dense(&inner, dimensions);
        matmul(rows, &self.outward, Some(&self.outward_bias), meant);
    }
}

impl FactorizedQuantizer {
    pub(crate) fn new(books: Vec<FactorizedBook>, width: usize, align: usize) -> Self {
        FactorizedQuantizer {
            books,
            width,
            align,
        }
    }
}

impl Quantizer for FactorizedQuantizer {
    fn width(&self) -> usize {
        self.width
    }

    fn encode(&self, latents: &[f32], out: &mut [Vec<u16>]) {
        let frames = latents.len() / self.width;
        assert!(frames.is_multiple_of(self.align), "{frames} frames");
        let mut rest = latents.to_vec();
        for (book, out) in self.books.iter().zip(out) {
            let pooled = match book.stride {
                1 => rest.clone(),
                stride => pool(&rest, self.width, stride),
            };
            let mut codes = vec![0; frames / book.stride];
            let mut meant = vec![0.0; pooled.len()];
            book.encode(&pooled, &mut codes, &mut meant);
            let rows = meant.chunks_exact(self.width);
            for (rest, meant) in rest.chunks_exact_mut(book.stride * self.width).zip(rows) {
                for rest in rest.chunks_exact_mut(self.width) {
                    rest.iter_mut()
                        .zip(meant)
                        .for_each(|(rest, meant)| *rest -= meant);
                }
            }
            out.extend(codes);
        }
    }

    fn decode(&self, first: u64, books: &[&[u16]], out: &mut [f32]) {
        out.fill(0.0);
        for (book, codes) in self.books.iter().zip(books) {
            let skipped = (first % book.stride as u64) as usize;
            let frames = out.len() / self.width;
            let mut entries = Vec::with_capacity(frames * book.dimensions());
            for frame in skipped..skipped + frames {
                entries.extend_from_slice(book.entry(codes[frame / book.stride]));
            }
            if !entries.is_empty() {
                let rows = Rows::dense(&entries, book.dimensions());
                matmul_add(rows, &book.outward, Some(&book.outward_bias), out);
            }
        }
    }
}

/// Means of `stride` rows.
fn pool(rows: &[f32], width: usize, stride: usize) -> Vec<f32> {
    let mut pooled = vec![0.0; rows.len() / stride];
    for (pooled, rows) in pooled
        .chunks_exact_mut(width)
        .zip(rows.chunks_exact(stride * width))
    {
        for row in rows.chunks_exact(width) {
            pooled.iter_mut().zip(row).for_each(|(sum, v)| *sum += v);
        }
        pooled.iter_mut().for_each(|sum| *sum /= stride as f32);
    }
    pooled
}

fn normalize(vector: &mut [f32]) {
    let length = square(vector).sqrt().max(MIN_LENGTH);
    vector.iter_mut().for_each(|v| *v /= length);
}
