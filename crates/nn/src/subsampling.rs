//! The convolutional front of FastConformer: mel frames to encoder frames, computed in time tiles.

use std::ops::Range;

use percept_kernels::{Conv2dGeometry, RowWindow, conv2d_depthwise, conv2d_first, relu};
use percept_weights::WeightsError;

use crate::arena::{Buffer, buffer};
use crate::linear::{load_bias, load_weights};
use crate::tiles::{Spare, for_each_chunk, for_each_tile, lanes};
use crate::{Bias, Items, Linear, Loader};

/// Output frames per tile. The widest intermediate of a tile is `8 · TILE_FRAMES / 2` rows.
const TILE_FRAMES: usize = 16;
/// Output frames whose flattened channels are held at once.
const GROUP_FRAMES: usize = 256;
/// Strided convolutions at most: a factor of 256.
const MAX_STAGES: usize = 8;

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
            factor.is_power_of_two() && (2..=1 << MAX_STAGES).contains(&factor),
            "a subsampling factor is a power of two, up to 256"
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

    /// The strided convolutions, in order.
    pub fn stages(&self) -> &[Conv2dGeometry] {
        &self.geometry
    }

    /// Output frames that come out of `mel_frames`.
    pub fn out_frames(&self, mel_frames: usize) -> usize {
        self.geometry.iter().fold(mel_frames, |n, g| g.out_len(n))
    }

    /// The mel frames that output frames `frames` see, in a signal without end.
    pub fn mel_rows(&self, frames: Range<usize>) -> Range<usize> {
        let stages = self.geometry.iter().rev();
        stages.fold(frames, |rows, g| g.input_rows(&rows, usize::MAX))
    }

    /// Maps `mel` `[mel_items.total(), mels]` to `out` `[items.total(), width]`, where each of `items` has the frames that
    /// [`Subsampling::out_frames`] gives for it.
    pub fn forward(&self, mel: &[f32], mel_items: &Items, items: &Items, out: &mut [f32]) {
        let mels = self.shape.mels;
        assert_eq!(
            mel.len(),
            mel_items.total() * mels,
            "mel frames do not match their items"
        );
        let whole = |item: usize| {
            let rows = mel_items.range(item);
            let window = RowWindow {
                data: &mel[rows.start * mels..rows.end * mels],
                first_row: 0,
                total_rows: rows.len(),
            };
            (window, 0)
        };
        self.forward_rows(items, whole, out);
    }

    /// As [`Subsampling::forward`] for parts of longer signals: `source(n)` gives mel frames of the signal of item `n`,
    /// those of [`Subsampling::mel_rows`] at least, and which of its output frames comes first.
    pub fn forward_rows<'a>(
        &self,
        items: &Items,
        source: impl Fn(usize) -> (RowWindow<'a>, usize) + Sync,
        out: &mut [f32],
    ) {
        let (inputs, width) = (self.out.inputs(), self.shape.width);
        assert_eq!(out.len(), items.total() * width, "out is [frames, width]");
        for (group, out) in out.chunks_mut(GROUP_FRAMES * width).enumerate() {
            let first = group * GROUP_FRAMES;
            let mut flat = buffer(out.len() / width * inputs);
            let tiles = (out.len() / width).div_ceil(TILE_FRAMES);
            let tile_lanes = lanes(tiles, 1, Spare::None);
            for_each_chunk(
                &mut flat,
                TILE_FRAMES * inputs,
                tile_lanes,
                |tile, mut flat| {
                    let start = first + tile * TILE_FRAMES;
                    for (item, part) in items.parts(start..start + flat.len() / inputs) {
                        let (now, later) = flat.split_at_mut(part.len() * inputs);
                        let (window, first_frame) = source(item);
                        let frames = first_frame + part.start..first_frame + part.end;
                        self.tile(&window, frames, now);
                        flat = later;
                    }
                },
            );
            for_each_tile(out, width, |row, tile| {
                let rows = tile.len() / width;
                self.out
                    .forward(&flat[row * inputs..(row + rows) * inputs], tile);
            });
        }
    }

    /// The flattened channels of output frames `frames`, `[frames.len(), freqs · channels]`.
    fn tile(&self, mel: &RowWindow<'_>, frames: Range<usize>, flat: &mut [f32]) {
        // Which rows each stage must make, and how many there are in the whole signal.
        let stages = self.geometry.len();
        let mut rows: [Range<usize>; MAX_STAGES] = std::array::from_fn(|_| 0..0);
        let mut totals = [mel.total_rows; MAX_STAGES];
        for stage in 1..stages {
            totals[stage] = self.geometry[stage - 1].out_len(totals[stage - 1]);
        }
        rows[stages - 1] = frames;
        for stage in (1..stages).rev() {
            rows[stage - 1] = self.geometry[stage].input_rows(&rows[stage], totals[stage]);
        }
        let mut current: Option<Buffer> = None;
        for (stage, geometry) in self.geometry.iter().enumerate() {
            let (taps, bias) = &self.strided[stage];
            let out_rows = rows[stage].clone();
            let mut strided = buffer(out_rows.len() * geometry.out_freqs() * self.shape.channels);
            let Some(source) = &current else {
                conv2d_first(mel, taps, bias, geometry, out_rows, &mut strided);
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
