//! Mimi, the codec of Moshi: causal convolutions, transformers, and two chains of books for the same latent frames.
//!
//! Layers and sizes follow `modeling_mimi.py` of transformers 5 and <https://github.com/kyutai-labs/moshi> at e6a55d2
//! (`moshi/modules/`, `moshi/quantization/`). A signal that is no whole number of frames is completed at every
//! convolution, as transformers does, and not at the first alone.

mod config;
mod names;
#[cfg(test)]
mod tests;

use percept_nn::signal::{
    Activation, Chain, Conv1d, ConvSize, ConvTranspose1d, Layer, PadMode, Padding, ResidualSize,
    ResidualUnit, TransformerLayer, TransposedSize, conv_weights,
};
use percept_weights::{Tensors, WeightsError};

use crate::config::LoadFault;
use crate::model::Parts;
use crate::quantizer::{EuclideanBook, EuclideanQuantizer, Projection, SplitQuantizer, Stage};
use config::MimiConfig;
use names::{Half, Names};

/// The least usage that a sum of an entry is divided by.
const MIN_USAGE: f32 = 1e-5;

type Layers = Vec<Box<dyn Layer>>;

/// Whether tensors without a configuration are those that the `moshi` package publishes for this codec.
pub(crate) fn is_published(tensors: &Tensors) -> bool {
    tensors.contains("quantizer.rvq_first.vq.layers.0._codebook.cluster_usage")
        && tensors.contains("decoder_transformer.transformer.layers.0.norm1.weight")
}

/// The model of a configuration and its tensors; of the published configuration where there is none.
pub(crate) fn open(config: &serde_json::Value, tensors: &Tensors) -> Result<Parts, LoadFault> {
    let config = match config.is_null() {
        true => MimiConfig::default(),
        false => serde_json::from_value(config.clone())?,
    };
    config.check()?;
    let builder = Builder {
        config: &config,
        tensors,
        names: Names::of(tensors),
    };
    Ok(Parts {
        spec: config.spec(),
        encoder: builder.encoder()?,
        quantizer: Box::new(builder.quantizer()?),
        decoder: builder.decoder()?,
        pads_to: 1,
        segmentation: None,
        local_rates: None,
    })
}

struct Builder<'a> {
    config: &'a MimiConfig,
    tensors: &'a Tensors,
    names: Names,
}

impl Builder<'_> {
    fn encoder(&self) -> Result<Chain, WeightsError> {
        let (config, half) = (self.config, Half::Encoder);
        let mut channels = config.num_filters;
        let first = ConvSize::dense(config.audio_channels, channels, config.kernel_size);
        let mut layers: Layers = vec![Box::new(self.conv(half, 0, first)?)];
        let mut module = 1;
        for ratio in config.ratios().into_iter().rev() {
            self.residual_units(&mut layers, half, module, channels)?;
            module += config.num_residual_layers + 1;
            let size = ConvSize {
                stride: ratio,
                ..ConvSize::dense(channels, 2 * channels, 2 * ratio)
            };
            layers.push(Box::new(
                self.conv(half, module, size)?.after(Activation::Elu),
            ));
            module += 1;
            channels *= 2;
        }
        let last = ConvSize::dense(channels, config.hidden_size, config.last_kernel_size);
        layers.push(Box::new(
            self.conv(half, module + 1, last)?.after(Activation::Elu),
        ));
        self.transformer(&mut layers, half)?;
        if let Some(stride) = config.latent_stride() {
            let size = ConvSize {
                stride,
                ..ConvSize::dense(config.hidden_size, config.hidden_size, 2 * stride)
            };
            let padding = self.padding(size, PadMode::Replicate);
            let down = Conv1d::load(self.tensors, self.names.downsample(), size, padding)?;
            layers.push(Box::new(down.completed()));
        }
        Ok(Chain::new(layers))
    }

    fn decoder(&self) -> Result<Chain, WeightsError> {
        let (config, half) = (self.config, Half::Decoder);
        let ratios = config.ratios();
        let mut layers: Layers = Vec::new();
        if let Some(stride) = config.latent_stride() {
            let size = self.transposed(config.hidden_size, config.hidden_size, stride);
            let (name, groups) = (self.names.upsample(), config.upsample_groups);
            let up = ConvTranspose1d::load_grouped(self.tensors, name, size, groups)?;
            layers.push(Box::new(up));
        }
        self.transformer(&mut layers, half)?;
        let mut channels = config.num_filters << ratios.len();
        let first = ConvSize::dense(config.hidden_size, channels, config.kernel_size);
        layers.push(Box::new(self.conv(half, 0, first)?));
        let mut module = 2;
        for ratio in ratios {
            let size = self.transposed(channels, channels / 2, ratio);
            let up = ConvTranspose1d::load(self.tensors, &self.names.transposed(module), size)?;
            layers.push(Box::new(up.after(Activation::Elu)));
            channels /= 2;
            self.residual_units(&mut layers, half, module + 1, channels)?;
            module += config.num_residual_layers + 2;
        }
        let last = ConvSize::dense(channels, config.audio_channels, config.last_kernel_size);
        layers.push(Box::new(
            self.conv(half, module, last)?.after(Activation::Elu),
        ));
        Ok(Chain::new(layers))
    }

    fn transformer(&self, layers: &mut Layers, half: Half) -> Result<(), WeightsError> {
        let size = self.config.transformer();
        for layer in 0..self.config.num_hidden_layers {
            let name = self.names.transformer(half, layer);
            let layer = TransformerLayer::load(self.tensors, &name, self.names.layout, size)?;
            layers.push(Box::new(layer));
        }
        Ok(())
    }

    /// The residual units of the modules from `first` on.
    fn residual_units(
        &self,
        layers: &mut Layers,
        half: Half,
        first: usize,
        channels: usize,
    ) -> Result<(), WeightsError> {
        let config = self.config;
        for layer in 0..config.num_residual_layers {
            let (kernel, dilation) = (config.residual_kernel_size, config.dilation(layer));
            let hidden = channels / config.compress;
            let taps = ConvSize {
                dilation,
                ..ConvSize::dense(channels, hidden, kernel)
            };
            let size = ResidualSize {
                channels,
                hidden,
                kernel,
                dilation,
                is_depthwise: false,
                padding: self.padding(taps, config.pad_mode()),
            };
            let name = |part: &str| self.names.conv(half, first + layer, part);
            let shortcut = config.use_conv_shortcut.then(|| name(".shortcut"));
            let names = (&*name(".block.1"), &*name(".block.3"), shortcut.as_deref());
            let before = [Activation::Elu, Activation::Elu];
            layers.push(Box::new(ResidualUnit::load(
                self.tensors,
                names,
                size,
                before,
            )?));
        }
        Ok(())
    }

    /// The convolution of a module.
    fn conv(&self, half: Half, module: usize, size: ConvSize) -> Result<Conv1d, WeightsError> {
        let (name, padding) = (
            self.names.conv(half, module, ""),
            self.padding(size, self.config.pad_mode()),
        );
        Ok(Conv1d::load(self.tensors, &name, size, padding)?.completed())
    }

    /// Padding in which no output of a convolution looks ahead of its stride, or about as far as back.
    fn padding(&self, size: ConvSize, mode: PadMode) -> Padding {
        let total = size.span() - size.stride;
        let right = match self.config.use_causal_conv {
            true => 0,
            false => total / 2,
        };
        Padding {
            left: total - right,
            right,
            mode,
        }
    }

    fn transposed(&self, inputs: usize, outputs: usize, stride: usize) -> TransposedSize {
        let (cut_left, cut_right) = self.config.cuts(stride);
        TransposedSize {
            inputs,
            outputs,
            stride,
            cut_left,
            cut_right,
        }
    }

    fn quantizer(&self) -> Result<SplitQuantizer, WeightsError> {
        let semantic = self.config.num_semantic_quantizers;
        let [first, rest] = self.names.quantizers();
        let stages = [
            self.stage(first, semantic)?,
            self.stage(rest, self.config.num_quantizers - semantic)?,
        ];
        Ok(SplitQuantizer::new(stages, self.config.hidden_size))
    }

    /// One chain of books and the maps around it.
    fn stage(&self, name: &str, books: usize) -> Result<Stage, WeightsError> {
        let (width, dimensions) = (self.config.hidden_size, self.config.dimensions());
        let books = (0..books).map(|book| self.book(name, book));
        let books = EuclideanQuantizer::new(books.collect::<Result<_, _>>()?, dimensions);
        if width == dimensions {
            return Ok(Stage { books, maps: None });
        }
        let map = |part: &str, inputs, outputs| {
            let weights = conv_weights(
                self.tensors,
                &format!("{name}.{part}"),
                &[outputs, inputs, 1],
            )?;
            Ok::<_, WeightsError>(Projection::pack(&weights, outputs, inputs))
        };
        let maps = [
            map("input_proj", width, dimensions)?,
            map("output_proj", dimensions, width)?,
        ];
        Ok(Stage {
            books,
            maps: Some(maps),
        })
    }

    /// A book whose entries are means, stored as sums and counts.
    fn book(&self, quantizer: &str, book: usize) -> Result<EuclideanBook, WeightsError> {
        let (size, dimensions) = (self.config.codebook_size, self.config.dimensions());
        let [sums, usage] = self.names.book(self.tensors, quantizer, book);
        let mut entries = self.tensors.f32(&sums, &[size, dimensions])?;
        let usage = self.tensors.f32(&usage, &[size])?;
        for (entry, usage) in entries.chunks_exact_mut(dimensions).zip(usage) {
            entry
                .iter_mut()
                .for_each(|sum| *sum /= usage.max(MIN_USAGE));
        }
        Ok(EuclideanBook::new(entries, dimensions))
    }
}
