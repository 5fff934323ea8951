//! Noise that a decoder adds where its own signal is loud.

use percept_kernels::{PackedMatrix, Rows, matmul, scale_rows_and_add};
use percept_weights::{Tensors, WeightsError};

use super::weights::conv_weights;
use super::{Context, Layer, Memory, More, Padding, Window};
use crate::arena::buffer;
use crate::tiles::for_each_block;

/// Where noise comes from. It must be the same every time it is asked for the same place.
pub trait NoiseSource: std::fmt::Debug + Send + Sync {
    /// Fills `out` with the values of rows `start ..` of the signal in layer `block` (counted from 0), standard normal.
    fn fill(&self, block: usize, start: u64, out: &mut [f32]);
}

/// `x + n · (W x)` with one value `n` of noise for each row.
#[derive(Debug)]
pub struct NoiseLayer {
    weights: PackedMatrix,
    channels: usize,
    block: usize,
}

impl NoiseLayer {
    /// Loads `{prefix}.weight` `[channels, channels, 1]`, with or without weight norm, for noise layer number `block`.
    pub fn load(
        tensors: &Tensors,
        prefix: &str,
        channels: usize,
        block: usize,
    ) -> Result<Self, WeightsError> {
        let weights = conv_weights(tensors, prefix, &[channels, channels, 1])?;
        Ok(NoiseLayer {
            weights: PackedMatrix::pack(&weights, channels, channels),
            channels,
            block,
        })
    }

    fn add(&self, noise: &dyn NoiseSource, (x, first): (&[f32], u64), out: &mut [f32]) {
        let channels = self.channels;
        for_each_block(out, channels, |row, out| {
            let x = &x[row * channels..][..out.len()];
            let mut scale = buffer(out.len() / channels);
            matmul(Rows::dense(x, channels), &self.weights, None, out);
            noise.fill(self.block, first + row as u64, &mut scale);
            scale_rows_and_add(out, &scale, x, channels);
        });
    }
}

impl Layer for NoiseLayer {
    fn inputs(&self) -> usize {
        self.channels
    }

    fn outputs(&self) -> usize {
        self.channels
    }

    fn memory(&self) -> Memory {
        Memory::window(self.channels, Padding::NONE).with(More::Position(0))
    }

    fn produced(&self, received: u64) -> u64 {
        received
    }

    fn total(&self, received: u64) -> u64 {
        received
    }

    fn advance(
        &self,
        memory: &mut Memory,
        _: usize,
        context: &Context<'_>,
        out: &mut Window,
    ) -> bool {
        let input = &mut memory.input;
        let rows = input.len();
        let More::Position(first) = &mut memory.more else {
            unreachable!("the memory of another layer");
        };
        if rows == 0 {
            return false;
        }
        match context.noise {
            Some(noise) => self.add(noise, (input.rows(), *first), out.extend(rows)),
            None => out.push(input.rows()),
        }
        *first += rows as u64;
        input.consume(rows);
        true
    }

    fn finish(&self, _: &mut Memory) {}
}
