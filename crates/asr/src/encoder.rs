//! The FastConformer encoder: mel frames to encoder frames.

mod stream;

use std::sync::{Arc, Mutex};

use percept_nn::{
    AttentionMask, AttentionShape, Bias, ConvModule, ConvShape, FeedForward, Items, LayerNorm,
    Loader, PositionCache, RelPosAttention, RelativePositions, Subsampling,
};
use percept_weights::{Tensors, WeightsError};
use rayon::prelude::*;

use crate::config::EncoderConfig;
pub(crate) use stream::{EncoderState, MelTail, StreamGeometry};

/// Subsampling and Conformer layers. Immutable; shared by every stream.
#[derive(Debug)]
pub struct FastConformer {
    config: EncoderConfig,
    subsampling: Subsampling,
    layers: Vec<Layer>,
    positions: PositionCache,
    /// What streams with each right context share; made when the first of them begins.
    geometries: Mutex<Vec<Arc<StreamGeometry>>>,
}

/// Values of projected positions that are kept. At 24 layers of 1024 channels they reach 82 s to either side.
const POSITION_VALUES: usize = (2 * 1024 + 1) * 1024 * 24;

/// A part of the encoder, as [`FastConformer::encode_observed`] reports it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The convolutions that make encoder frames of mel frames.
    Subsampling,
    /// Either feed-forward module of a layer, with the norm that ends the layer.
    FeedForward,
    /// The attention of a layer.
    Attention,
    /// The convolution of a layer.
    Convolution,
}

/// One Conformer layer: half a feed-forward step, attention, convolution, the other half step, a norm.
#[derive(Debug)]
struct Layer {
    first: FeedForward,
    attention: RelPosAttention,
    convolution: ConvModule,
    second: FeedForward,
    norm: LayerNorm,
}

impl FastConformer {
    /// Takes the weights named `encoder.*`, in NeMo's names, from `loader`.
    ///
    /// # Errors
    /// What [`Tensors::f32`] refuses: a tensor that is missing or has another shape than `config` implies.
    pub fn load(loader: &Loader<'_>, config: EncoderConfig) -> Result<Self, WeightsError> {
        let subsampling = Subsampling::load(loader, "encoder.pre_encode", config.subsampling)?;
        let biases = Biases::of(loader.tensors());
        let layers = (0..config.layers)
            .into_par_iter()
            .map(|n| Layer::load(loader, &format!("encoder.layers.{n}"), &config, biases))
            .collect::<Vec<_>>();
        // In order, so that the first of several faults is the one reported.
        let layers = layers.into_iter().collect::<Result<_, _>>()?;
        Ok(FastConformer {
            config,
            subsampling,
            layers,
            positions: PositionCache::new(POSITION_VALUES),
            geometries: Mutex::default(),
        })
    }

    /// What it was made from.
    pub fn config(&self) -> &EncoderConfig {
        &self.config
    }

    /// Encoder frames that come out of `mel_frames`.
    pub fn frames(&self, mel_frames: usize) -> usize {
        self.subsampling.out_frames(mel_frames)
    }

    /// Encodes a ragged batch: `mel` `[items.total(), mels]` to `[frames, width]`, with the frames of each item.
    ///
    /// An item's result does not depend on the others.
    pub fn encode(&self, mel: &[f32], items: &Items, mask: &AttentionMask) -> (Vec<f32>, Items) {
        self.encode_observed(mel, items, mask, |_, _, _| {})
    }

    /// As [`FastConformer::encode`], showing `observe` what leaves each part: `(step, layer, [frames, width])`. The second
    /// feed-forward module of a layer ends it.
    pub fn encode_observed(
        &self,
        mel: &[f32],
        items: &Items,
        mask: &AttentionMask,
        observe: impl FnMut(Step, usize, &[f32]),
    ) -> (Vec<f32>, Items) {
        let mut out = Encoded::default();
        self.encode_into(mel, items, |_| *mask, &mut out, observe);
        (out.frames, out.items)
    }

    /// As [`FastConformer::encode_observed`] with a mask for each item, in memory that is reused.
    pub(crate) fn encode_into(
        &self,
        mel: &[f32],
        mel_items: &Items,
        mask: impl Fn(usize) -> AttentionMask + Sync,
        out: &mut Encoded,
        mut observe: impl FnMut(Step, usize, &[f32]),
    ) {
        let (width, layers) = (self.config.width(), self.layers.len());
        out.clear();
        for item in mel_items.ranges() {
            out.items.push(self.subsampling.out_frames(item.len()));
        }
        let (x, items) = out.make_room(width);
        self.subsampling.forward(mel, mel_items, items, x);
        self.scale_input(x);
        observe(Step::Subsampling, 0, x);
        if items.total() == 0 {
            return;
        }
        let reaches = items.ranges().enumerate();
        let (back, ahead) = reaches.fold((0, 0), |(back, ahead), (n, item)| {
            let reach = mask(n).reach(item.len());
            (back.max(reach.0), ahead.max(reach.1))
        });
        let kept = self
            .positions
            .reaching((back, ahead), (layers, width), |n, encodings| {
                self.layers[n].attention.project(encodings)
            });
        // A reach that is too long to keep is projected layer by layer.
        let encodings = match kept {
            Some(_) => None,
            None => Some(RelativePositions::new(back, ahead, width)),
        };
        for (n, layer) in self.layers.iter().enumerate() {
            layer.first.forward(x, None);
            observe(Step::FeedForward, n, x);
            let projected;
            let positions = match (&kept, &encodings) {
                (Some(kept), _) => kept.layer(n),
                (None, Some(encodings)) => {
                    projected = layer.attention.project(encodings);
                    &projected
                }
                (None, None) => unreachable!("positions are kept or encoded"),
            };
            layer.attention.forward(x, items, &mask, positions);
            observe(Step::Attention, n, x);
            layer.convolution.forward(x, items);
            observe(Step::Convolution, n, x);
            layer.second.forward(x, Some(&layer.norm));
            observe(Step::FeedForward, n, x);
        }
    }

    fn scale_input(&self, x: &mut [f32]) {
        if self.config.input_scale != 1.0 {
            for v in x {
                *v *= self.config.input_scale;
            }
        }
    }
}

/// Encoder frames of a ragged batch, in memory that is reused.
#[derive(Clone, Debug, Default)]
pub(crate) struct Encoded {
    /// `[items.total(), width]`
    pub(crate) frames: Vec<f32>,
    pub(crate) items: Items,
}

impl Encoded {
    pub(crate) fn clear(&mut self) {
        self.frames.clear();
        self.items.clear();
    }

    /// Room for the frames of all items.
    fn make_room(&mut self, width: usize) -> (&mut [f32], &Items) {
        self.frames.resize(self.items.total() * width, 0.0);
        (&mut self.frames, &self.items)
    }
}

/// Which groups of maps have biases in a checkpoint: one of the group having a bias means that all must.
#[derive(Clone, Copy)]
struct Biases {
    /// Of feed-forward modules and attention.
    linear: Bias,
    /// Of convolution modules.
    convolution: Bias,
}

impl Biases {
    fn of(tensors: &Tensors) -> Self {
        let any = |parts: &[&str]| {
            let is_one = |name: &str| {
                let Some((_, part)) = name
                    .strip_prefix("encoder.layers.")
                    .and_then(|n| n.split_once('.'))
                else {
                    return false;
                };
                part.ends_with(".bias") && parts.iter().any(|p| part.starts_with(p))
            };
            match tensors.names().any(is_one) {
                true => Bias::Present,
                false => Bias::Absent,
            }
        };
        Biases {
            linear: any(&["feed_forward", "self_attn.linear_"]),
            convolution: any(&["conv.pointwise_conv", "conv.depthwise_conv"]),
        }
    }
}

impl Layer {
    fn load(
        loader: &Loader<'_>,
        prefix: &str,
        config: &EncoderConfig,
        biases: Biases,
    ) -> Result<Self, WeightsError> {
        let name = |part: &str| format!("{prefix}.{part}");
        let width = config.width();
        let feed_forward = |n: u8| {
            let (module, norm) = (
                name(&format!("feed_forward{n}")),
                name(&format!("norm_feed_forward{n}")),
            );
            FeedForward::load(
                loader,
                (&module, &norm),
                (width, config.inner),
                biases.linear,
            )
        };
        let attention = AttentionShape {
            width,
            heads: config.heads,
        };
        let convolution = ConvShape {
            width,
            kernel: config.kernel,
            padding: config.padding,
        };
        Ok(Layer {
            first: feed_forward(1)?,
            attention: RelPosAttention::load(
                loader,
                (&name("self_attn"), &name("norm_self_att")),
                attention,
                biases.linear,
            )?,
            convolution: ConvModule::load(
                loader,
                (&name("conv"), &name("norm_conv")),
                convolution,
                biases.convolution,
            )?,
            second: feed_forward(2)?,
            norm: LayerNorm::load(loader.tensors(), &name("norm_out"), width)?,
        })
    }
}
