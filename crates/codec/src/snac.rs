//! The multi-scale neural audio codec (SNAC) as its package publishes it.
//!
//! Names and sizes follow <https://github.com/hubertsiuzdak/snac> at f49016a (`snac/snac.py`, `layers.py`, `vq.py`).

use std::sync::Arc;

use percept_nn::signal::{
    Activation, Chain, Conv1d, ConvSize, ConvTranspose1d, Layer, LocalAttention,
    LocalAttentionShape, NoiseLayer, Padding, ResidualSize, ResidualUnit, TransposedSize,
};
use percept_weights::{Tensors, WeightsError};
use serde::Deserialize;

use crate::config::{LoadFault, MAX_SIZE, in_range, product, rates_behind};
use crate::error::ConfigFault;
use crate::model::Parts;
use crate::quantizer::{FactorizedBook, FactorizedQuantizer};
use crate::spec::{CodecFamily, CodecSpec};
use crate::{BookSpec, codes, mlx};

/// Channels of an attention head.
const HEAD: usize = 64;
/// Taps of the convolutions that keep the rate.
const KERNEL: usize = 7;
/// Rows between the taps of the residual units of a block.
const DILATIONS: [usize; 3] = [1, 3, 9];

/// `config.json`, with the defaults of the package's class.
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
pub(crate) struct SnacConfig {
    sampling_rate: u32,
    encoder_dim: usize,
    encoder_rates: Vec<usize>,
    latent_dim: Option<usize>,
    decoder_dim: usize,
    decoder_rates: Vec<usize>,
    attn_window_size: Option<usize>,
    codebook_size: usize,
    codebook_dim: usize,
    vq_strides: Vec<usize>,
    noise: bool,
    depthwise: bool,
}

impl Default for SnacConfig {
    fn default() -> Self {
        SnacConfig {
            sampling_rate: 44_100,
            encoder_dim: 64,
            encoder_rates: vec![3, 3, 7, 7],
            latent_dim: None,
            decoder_dim: 1536,
            decoder_rates: vec![7, 7, 3, 3],
            attn_window_size: Some(32),
            codebook_size: 4096,
            codebook_dim: 8,
            vq_strides: vec![8, 4, 2, 1],
            noise: true,
            depthwise: true,
        }
    }
}

impl SnacConfig {
    /// Whether a `config.json` is one of this codec. It names no `model_type`, and fields may be left to their defaults.
    pub(crate) fn is_in(config: &serde_json::Value) -> bool {
        let has = |field: &str| config.get(field).is_some();
        let own = [
            "vq_strides",
            "attn_window_size",
            "depthwise",
            "noise",
            "encoder_rates",
            "decoder_rates",
        ];
        !has("model_type") && !has("n_codebooks") && own.into_iter().any(has)
    }

    /// Refuses what the package could not run either.
    fn check(&self) -> Result<(), ConfigFault> {
        let sizes = [
            ("sampling_rate", self.sampling_rate as usize, 1 << 20),
            ("encoder_dim", self.encoder_dim, MAX_SIZE),
            ("decoder_dim", self.decoder_dim, MAX_SIZE),
            ("codebook_size", self.codebook_size, MAX_SIZE),
            ("codebook_dim", self.codebook_dim, MAX_SIZE),
            (
                "attn_window_size",
                self.attn_window_size.unwrap_or(1),
                MAX_SIZE,
            ),
        ];
        let lists = [
            ("encoder_rates", &self.encoder_rates),
            ("decoder_rates", &self.decoder_rates),
            ("vq_strides", &self.vq_strides),
        ];
        for (field, value, most) in sizes {
            in_range(field, value, most)?;
        }
        for (field, list) in lists {
            if list.is_empty() || list.len() > 16 {
                return Err(ConfigFault::EmptyList { field });
            }
            for &value in list {
                in_range(field, value, 1024)?;
            }
        }
        in_range("encoder_rates", self.hop(), MAX_SIZE * 16)?;
        in_range("encoder_rates", self.latent(), MAX_SIZE)?;
        let contradiction = |field, value: usize, other| {
            Err(ConfigFault::Contradiction {
                field,
                value: value as u64,
                other,
            })
        };
        if self.latent_dim.is_some_and(|given| given != self.latent()) {
            return contradiction("latent_dim", self.latent_dim.unwrap_or(0), "encoder_dim");
        }
        if self.decoder_dim >> self.decoder_rates.len() == 0 {
            return contradiction("decoder_dim", self.decoder_dim, "decoder_rates");
        }
        if let Some(&stride) = self
            .vq_strides
            .iter()
            .find(|&&s| !self.align().is_multiple_of(s))
        {
            return contradiction("vq_strides", stride, "attn_window_size");
        }
        for (field, width) in [
            ("encoder_dim", self.latent()),
            ("decoder_dim", self.decoder_dim),
        ] {
            if self.attn_window_size.is_some() && !width.is_multiple_of(HEAD) {
                return contradiction(field, width, "attn_window_size");
            }
        }
        Ok(())
    }

    fn hop(&self) -> usize {
        product(&self.encoder_rates)
    }

    fn latent(&self) -> usize {
        let doubled = u32::try_from(self.encoder_rates.len())
            .ok()
            .and_then(|n| 1usize.checked_shl(n));
        self.encoder_dim
            .saturating_mul(doubled.unwrap_or(usize::MAX))
    }

    /// Latent frames that the package pads to a multiple of.
    fn align(&self) -> usize {
        codes::lcm(
            self.vq_strides[0] as u64,
            self.attn_window_size.unwrap_or(1) as u64,
        ) as usize
    }

    fn spec(&self) -> CodecSpec {
        let book = |&stride: &usize| BookSpec {
            size: self.codebook_size as u32,
            stride: stride as u32,
        };
        CodecSpec {
            family: CodecFamily::Snac,
            sample_rate: self.sampling_rate,
            channels: 1,
            hop: self.hop() as u32,
            books: self.vq_strides.iter().map(book).collect::<Arc<[_]>>(),
            default_books: self.vq_strides.len(),
            align: self.align() as u32,
            encode_lookahead: 0,
            decode_lookahead: 0,
        }
    }
}

/// The model of a configuration and its tensors.
pub(crate) fn open(config: &serde_json::Value, tensors: &Tensors) -> Result<Parts, LoadFault> {
    let config: SnacConfig = serde_json::from_value(config.clone())?;
    config.check()?;
    Ok(match mlx::is_in(tensors) {
        true => build(&config, &mlx::to_torch(tensors)?)?,
        false => build(&config, tensors)?,
    })
}

fn build(config: &SnacConfig, tensors: &Tensors) -> Result<Parts, WeightsError> {
    let builder = Builder { config, tensors };
    let width = config.latent();
    let books = config.vq_strides.iter().enumerate().map(|(i, &stride)| {
        let sizes = (width, config.codebook_dim, config.codebook_size);
        FactorizedBook::load(tensors, &format!("quantizer.quantizers.{i}"), sizes, stride)
    });
    let books = books.collect::<Result<Vec<_>, _>>()?;
    let strides = config
        .vq_strides
        .iter()
        .map(|&s| s as u64)
        .fold(1, codes::lcm) as usize;
    Ok(Parts {
        spec: config.spec(),
        encoder: builder.encoder()?,
        quantizer: Box::new(FactorizedQuantizer::new(books, width, strides)),
        decoder: builder.decoder()?,
        pads_to: config.align() * config.hop(),
        segmentation: None,
        local_rates: Some(rates_behind(&config.decoder_rates)),
    })
}

type Layers = Vec<Box<dyn Layer>>;

struct Builder<'a> {
    config: &'a SnacConfig,
    tensors: &'a Tensors,
}

impl Builder<'_> {
    fn encoder(&self) -> Result<Chain, WeightsError> {
        let config = self.config;
        let mut channels = config.encoder_dim;
        let mut layers: Layers = vec![self.conv("encoder.block.0", 1, channels, false)?];
        for (i, &rate) in config.encoder_rates.iter().enumerate() {
            let prefix = format!("encoder.block.{}.block", i + 1);
            self.residual_units(&mut layers, &prefix, 0, channels)?;
            let snake = self.snake(&format!("{prefix}.3"), channels)?;
            let size = ConvSize {
                kernel: 2 * rate,
                stride: rate,
                ..ConvSize::dense(channels, 2 * channels, 1)
            };
            let padding = Padding::zeros(rate.div_ceil(2), rate.div_ceil(2));
            let down = Conv1d::load(self.tensors, &format!("{prefix}.4"), size, padding)?;
            layers.push(Box::new(down.after(snake)));
            channels *= 2;
        }
        let mut next = config.encoder_rates.len() + 1;
        next += self.attention(&mut layers, &format!("encoder.block.{next}"), channels)?;
        let last = format!("encoder.block.{next}");
        layers.push(self.conv(&last, channels, channels, config.depthwise)?);
        Ok(Chain::new(layers))
    }

    fn decoder(&self) -> Result<Chain, WeightsError> {
        let config = self.config;
        let (latent, mut channels) = (config.latent(), config.decoder_dim);
        let mut layers: Layers = Vec::new();
        let mut next = 1;
        if config.depthwise {
            layers.push(self.conv("decoder.model.0", latent, latent, true)?);
            let point = ConvSize::dense(latent, channels, 1);
            let point = Conv1d::load(self.tensors, "decoder.model.1", point, Padding::NONE)?;
            layers.push(Box::new(point));
            next = 2;
        } else {
            layers.push(self.conv("decoder.model.0", latent, channels, false)?);
        }
        next += self.attention(&mut layers, &format!("decoder.model.{next}"), channels)?;
        for (i, &rate) in config.decoder_rates.iter().enumerate() {
            let outputs = config.decoder_dim >> (i + 1);
            self.decoder_block(&mut layers, (next + i, i), (channels, outputs), rate)?;
            channels = outputs;
        }
        next += config.decoder_rates.len();
        let snake = self.snake(&format!("decoder.model.{next}"), channels)?;
        let last = format!("decoder.model.{}", next + 1);
        let padding = Padding::zeros(KERNEL / 2, KERNEL / 2);
        let last = Conv1d::load(
            self.tensors,
            &last,
            ConvSize::dense(channels, 1, KERNEL),
            padding,
        )?;
        layers.push(Box::new(last.after(snake).ending_in_tanh()));
        Ok(Chain::new(layers))
    }

    /// Module `module` of the decoder, its block number `block`.
    fn decoder_block(
        &self,
        layers: &mut Layers,
        (module, block): (usize, usize),
        (inputs, outputs): (usize, usize),
        rate: usize,
    ) -> Result<(), WeightsError> {
        let prefix = format!("decoder.model.{module}.block");
        let size = TransposedSize {
            inputs,
            outputs,
            stride: rate,
            cut_left: rate.div_ceil(2),
            cut_right: rate - rate.div_ceil(2),
        };
        let up = ConvTranspose1d::load(self.tensors, &format!("{prefix}.1"), size)?;
        layers.push(Box::new(
            up.after(self.snake(&format!("{prefix}.0"), inputs)?),
        ));
        let mut next = 2;
        if self.config.noise {
            let name = format!("{prefix}.2.linear");
            layers.push(Box::new(NoiseLayer::load(
                self.tensors,
                &name,
                outputs,
                block,
            )?));
            next = 3;
        }
        self.residual_units(layers, &prefix, next, outputs)
    }

    /// The residual units `{prefix}.{first ..}`.
    fn residual_units(
        &self,
        layers: &mut Layers,
        prefix: &str,
        first: usize,
        channels: usize,
    ) -> Result<(), WeightsError> {
        for (i, dilation) in DILATIONS.into_iter().enumerate() {
            let prefix = format!("{prefix}.{}.block", first + i);
            let side = (KERNEL - 1) / 2 * dilation;
            let size = ResidualSize {
                channels,
                hidden: channels,
                kernel: KERNEL,
                dilation,
                is_depthwise: self.config.depthwise,
                padding: Padding::zeros(side, side),
            };
            let before = [
                self.snake(&format!("{prefix}.0"), channels)?,
                self.snake(&format!("{prefix}.2"), channels)?,
            ];
            let names = (&*format!("{prefix}.1"), &*format!("{prefix}.3"), None);
            layers.push(Box::new(ResidualUnit::load(
                self.tensors,
                names,
                size,
                before,
            )?));
        }
        Ok(())
    }

    /// The attention at `prefix`, where the model has one; returns how many modules were added.
    fn attention(
        &self,
        layers: &mut Layers,
        prefix: &str,
        channels: usize,
    ) -> Result<usize, WeightsError> {
        let Some(window) = self.config.attn_window_size else {
            return Ok(0);
        };
        let shape = LocalAttentionShape { channels, window };
        layers.push(Box::new(LocalAttention::load(self.tensors, prefix, shape)?));
        Ok(1)
    }

    fn conv(
        &self,
        prefix: &str,
        inputs: usize,
        outputs: usize,
        is_depthwise: bool,
    ) -> Result<Box<dyn Layer>, WeightsError> {
        let size = ConvSize {
            is_depthwise,
            ..ConvSize::dense(inputs, outputs, KERNEL)
        };
        let padding = Padding::zeros(KERNEL / 2, KERNEL / 2);
        Ok(Box::new(Conv1d::load(self.tensors, prefix, size, padding)?))
    }

    fn snake(&self, prefix: &str, channels: usize) -> Result<Activation, WeightsError> {
        Activation::snake(self.tensors, prefix, channels)
    }
}
