//! The convolutional front of FastConformer: mel frames to encoder frames, computed in time tiles.

use std::ops::Range;

use percept_kernels::{Conv2dGeometry, RowWindow, conv2d_depthwise, conv2d_first, relu};
use percept_weights::WeightsError;
use rayon::prelude::*;

use crate::arena::{Buffer, buffer};
use crate::linear::{load_bias, load_weights};
use crate::tiles::for_each_tile;
use crate::{Bias, Items, Linear, Loader};

/// Output frames per tile. The widest intermediate of a tile is `8 · TILE_FRAMES / 2` rows.
const TILE_FRAMES: usize = 16;
/// Output frames whose flattened channels are held at once.
const GROUP_FRAMES: usize = 256;

/// Sizes of a [`Subsampling`] stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubsamplingShape {
    /// Mel bins that come in.
    pub mels: usize,
    /// Channels of the convolutions.
    pub channels: usize,
    /// Channels that go out.
    pub width: usize,
    /// Mel frames per output frame: a power of two.
    pub factor: usize,
    /// Whether frames see only the past (two zeros before, one after) instead of one zero on either side.
    pub causal: bool,
}

/// A 3x3 convolution of stride 2, then pairs of depthwise 3x3 stride 2 and pointwise convolutions, then a linear map
/// of the flattened channels (NeMo's `dw_striding`).
#[derive(Debug)]
pub struct Subsampling {
    /// Taps `[9, channels]` and biases of the strided convolutions, in order.
    strided: Vec<(Vec<f32>, Vec<f32>)>,
    pointwise: Vec<Linear>,
    /// Inputs in the order frequency, channel.
    out: Linear,
    geometry: Vec<Conv2dGeometry>,
    shape: SubsamplingShape,
}

impl Subsampling {
    /// Loads `{prefix}.conv.{0,2,3,5,6,...}` and `{prefix}.out`.
    pub fn load(
        loader: &Loader<'_>,
        prefix: &str,
        shape: SubsamplingShape,
    ) -> Result<Self, WeightsError> {
        let SubsamplingShape {
            mels,
            channels,
            width,
            factor,
            causal,
        } = shape;
        assert!(
            factor.is_power_of_two() && factor >= 2,
            "a subsampling factor is a power of two"
        );
        let tensors = loader.tensors();
        let stages = factor.ilog2() as usize;
        let (mut strided, mut pointwise, mut geometry) = (Vec::new(), Vec::new(), Vec::new());
        let mut freqs = mels;
        for stage in 0..stages {
            // Convolution, activation, then (depthwise, pointwise, activation) for each further stage.
            let index = if stage == 0 { 0 } else { 3 * stage - 1 };
            let weights = tensors.f32(
                &format!("{prefix}.conv.{index}.weight"),
                &[channels, 1, 3, 3],
            )?;
            let bias = tensors.f32(&format!("{prefix}.conv.{index}.bias"), &[channels])?;
            let taps = (0..9 * channels).map(|i| weights[i % channels * 9 + i / channels]);
            strided.push((taps.collect(), bias));
            if stage > 0 {
                let name = format!("{prefix}.conv.{}", index + 1);
                let square = (channels, channels);
                pointwise.push(Linear::load(loader, &name, square, Bias::Present)?);
            }
            let in_channels = if stage == 0 { 1 } else { channels };
            let stage_geometry = Conv2dGeometry {
                freqs,
                in_channels,
                pad_before: if causal { 2 } else { 1 },
            };
            freqs = stage_geometry.out_freqs();
            geometry.push(stage_geometry);
        }
        let flat = (channels * freqs, width);
        let prefix = format!("{prefix}.out");
        let bias = load_bias(tensors, &prefix, width, Bias::Present)?;
        let out = Linear::load_with(loader, &prefix, flat, bias, || {
            let weights = load_weights(tensors, &prefix, flat)?;
            Ok(by_frequency(&weights, channels, freqs))
        })?;
        Ok(Subsampling {
            strided,
            pointwise,
            out,
            geometry,
            shape,
        })
    }

    /// Output frames that come out of `mel_frames`.
    pub fn out_frames(&self, mel_frames: usize) -> usize {
        self.geometry.iter().fold(mel_frames, |n, g| g.out_len(n))
    }

    /// Maps `mel` `[mel_items.total(), mels]` to `[frames, width]`, and says how many frames each item has.
    pub fn forward(&self, mel: &[f32], mel_items: &Items) -> (Vec<f32>, Items) {
        assert_eq!(
            mel.len(),
            mel_items.total() * self.shape.mels,
            "mel frames do not match their items"
        );
        let items = Items::new(mel_items.ranges().map(|r| self.out_frames(r.len())));
        let mut out = vec![0.0; items.total() * self.shape.width];
        for (source, target) in mel_items.ranges().zip(items.ranges()) {
            let mel = &mel[source.start * self.shape.mels..source.end * self.shape.mels];
            let out = &mut out[target.start * self.shape.width..target.end * self.shape.width];
            self.forward_item(mel, out);
        }
        (out, items)
    }

    fn forward_item(&self, mel: &[f32], out: &mut [f32]) {
        let (inputs, width) = (self.out.inputs(), self.shape.width);
        let mel_frames = mel.len() / self.shape.mels;
        for (group, out) in out.chunks_mut(GROUP_FRAMES * width).enumerate() {
            let first = group * GROUP_FRAMES;
            let mut flat = buffer(out.len() / width * inputs);
            flat.par_chunks_mut(TILE_FRAMES * inputs)
                .enumerate()
                .for_each(|(tile, flat)| {
                    let start = first + tile * TILE_FRAMES;
                    self.tile(mel, mel_frames, start..start + flat.len() / inputs, flat);
                });
            for_each_tile(out, width, |row, tile| {
                let rows = tile.len() / width;
                self.out
                    .forward(&flat[row * inputs..(row + rows) * inputs], tile);
            });
        }
    }

    /// The flattened channels of output frames `frames`, `[frames.len(), freqs · channels]`.
    fn tile(&self, mel: &[f32], mel_frames: usize, frames: Range<usize>, flat: &mut [f32]) {
        // Which rows each stage must make, and how many there are in the whole item.
        let mut rows = vec![frames; self.geometry.len()];
        let mut totals = vec![mel_frames];
        for geometry in &self.geometry {
            totals.push(geometry.out_len(totals[totals.len() - 1]));
        }
        for stage in (1..self.geometry.len()).rev() {
            rows[stage - 1] = self.geometry[stage].input_rows(&rows[stage], totals[stage]);
        }
        let mut current: Option<Buffer> = None;
        for (stage, geometry) in self.geometry.iter().enumerate() {
            let (taps, bias) = &self.strided[stage];
            let out_rows = rows[stage].clone();
            let mut strided = buffer(out_rows.len() * geometry.out_freqs() * self.shape.channels);
            let Some(source) = &current else {
                let window = RowWindow {
                    data: mel,
                    first_row: 0,
                    total_rows: mel_frames,
                };
                conv2d_first(&window, taps, bias, geometry, out_rows, &mut strided);
                current = Some(strided);
                continue;
            };
            let window = RowWindow {
                data: source,
                first_row: rows[stage - 1].start,
                total_rows: totals[stage],
            };
            conv2d_depthwise(&window, taps, bias, geometry, out_rows, &mut strided);
            let mut mixed = buffer(strided.len());
            self.pointwise[stage - 1].forward(&strided, &mut mixed);
            relu(&mut mixed);
            current = Some(mixed);
        }
        flat.copy_from_slice(&current.expect("there is at least one stage"));
    }
}

/// Columns `[channels, freqs]` of `weights` in the order `[freqs, channels]`.
fn by_frequency(weights: &[f32], channels: usize, freqs: usize) -> Vec<f32> {
    let inputs = channels * freqs;
    (0..weights.len())
        .map(|i| {
            let (row, column) = (i / inputs * inputs, i % inputs);
            weights[row + column % channels * freqs + column / channels]
        })
        .collect()
}
