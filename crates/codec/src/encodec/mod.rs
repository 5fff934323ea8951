//! EnCodec.
//!
//! Layers and sizes follow `modeling_encodec.py` of transformers 5 and <https://github.com/facebookresearch/encodec> at
//! 0e2d0ae (`encodec/model.py`, `modules/`). Convolutions and recurrent layers run as the sound comes in; models that norm
//! over time, or scale their input, do so in segments, each on its own (`stream::segments`).
//!
//! A recording is encoded as it is: no segment is lengthened with zeros, as the processor of transformers does to make
//! batches, and lengths for which the reference has no result have one here.

mod config;
mod names;
#[cfg(test)]
mod tests;

use percept_nn::signal::{
    Activation, Branches, Chain, Conv1d, ConvSize, ConvTranspose1d, GroupNorm, Layer, PadMode,
    Padding, Recurrent, ResidualSize, ResidualUnit, TransposedSize,
};
use percept_weights::{Tensors, WeightsError};

use crate::config::LoadFault;
use crate::error::ConfigFault;
use crate::model::Parts;
use crate::quantizer::{EuclideanBook, EuclideanQuantizer};
use config::EncodecConfig;
use names::{Half, Names};

type Layers = Vec<Box<dyn Layer>>;

/// Whether tensors are an EnCodec model's, for configurations that do not name one.
pub(crate) fn is_in(tensors: &Tensors) -> bool {
    Names::of(tensors).is_some()
}

/// The model of a configuration and its tensors.
pub(crate) fn open(json: &serde_json::Value, tensors: &Tensors) -> Result<Parts, LoadFault> {
    let has = |field: &str| json.get(field).is_some();
    if !has("model_type") && !has("sampling_rate") {
        // The original package keeps no configuration, and weights do not say what rate they are for.
        return Err(ConfigFault::Missing {
            field: "sampling_rate",
        }
        .into());
    }
    let config: EncodecConfig = serde_json::from_value(json.clone())?;
    config.check()?;
    let names = Names::of(tensors);
    let builder = Builder {
        config: &config,
        tensors,
        // Without any, the error names what is looked for in transformers' files.
        names: names.unwrap_or_default(),
        pad: config.pad().unwrap_or(PadMode::Reflect),
    };
    builder.check_weights()?;
    let width = config.hidden_size;
    let book = |k| -> Result<EuclideanBook, WeightsError> {
        let entries = tensors.f32(&builder.names.book(k), &[config.codebook_size, width])?;
        Ok(EuclideanBook::new(entries, width))
    };
    let books = (0..config.books()).map(book).collect::<Result<_, _>>()?;
    Ok(Parts {
        spec: config.spec(),
        encoder: builder.encoder()?,
        quantizer: Box::new(EuclideanQuantizer::new(books, width)),
        decoder: builder.decoder()?,
        pads_to: 1,
        segmentation: config.segmentation(),
        local_rates: None,
    })
}

struct Builder<'a> {
    config: &'a EncodecConfig,
    tensors: &'a Tensors,
    names: Names,
    pad: PadMode,
}

impl Builder<'_> {
    /// Refuses weights that have what the configuration says there is not: they would load, and sound wrong.
    fn check_weights(&self) -> Result<(), ConfigFault> {
        let config = self.config;
        let first = self.names.module(Half::Encoder, 0);
        let unit = format!("{}.shortcut", self.names.module(Half::Encoder, 1));
        let lstm = format!(
            "{}.lstm.weight_ih_l{}",
            self.names.module(Half::Decoder, 1),
            config.num_lstm_layers
        );
        let norm = self.names.conv(&first).norm;
        let shortcut = self.names.conv(&unit).conv;
        let is_there = |prefix: &str| self.tensors.contains(&format!("{prefix}.bias"));
        let more = [
            (
                "norm_type",
                config.norm_type.clone(),
                !config.has_group_norm() && is_there(&norm),
            ),
            (
                "use_conv_shortcut",
                "false".into(),
                !config.use_conv_shortcut && is_there(&shortcut),
            ),
            (
                "num_lstm_layers",
                config.num_lstm_layers.to_string(),
                self.tensors.contains(&lstm),
            ),
        ];
        match more.into_iter().find(|(_, _, is_wrong)| *is_wrong) {
            None => Ok(()),
            Some((field, value, _)) => Err(ConfigFault::OtherWeights { field, value }),
        }
    }

    fn encoder(&self) -> Result<Chain, WeightsError> {
        let (config, half) = (self.config, Half::Encoder);
        let module = |number| self.names.module(half, number);
        let mut channels = config.num_filters;
        let mut layers: Layers = Vec::new();
        let size = ConvSize::dense(config.audio_channels, channels, config.kernel_size);
        self.conv(&mut layers, &module(0), size, None)?;
        let mut next = 1;
        for &rate in config.upsampling_ratios.iter().rev() {
            next += self.residual_units(&mut layers, (half, next), channels)?;
            let size = ConvSize {
                stride: rate,
                ..ConvSize::dense(channels, 2 * channels, 2 * rate)
            };
            self.conv(&mut layers, &module(next + 1), size, Some(Activation::Elu))?;
            channels *= 2;
            next += 2;
        }
        layers.push(self.recurrent(&module(next), channels)?);
        let size = ConvSize::dense(channels, config.hidden_size, config.last_kernel_size);
        self.conv(&mut layers, &module(next + 2), size, Some(Activation::Elu))?;
        Ok(Chain::new(layers))
    }

    fn decoder(&self) -> Result<Chain, WeightsError> {
        let (config, half) = (self.config, Half::Decoder);
        let module = |number| self.names.module(half, number);
        let mut channels = config.width();
        let mut layers: Layers = Vec::new();
        let size = ConvSize::dense(config.hidden_size, channels, config.kernel_size);
        self.conv(&mut layers, &module(0), size, None)?;
        layers.push(self.recurrent(&module(1), channels)?);
        let mut next = 2;
        for &rate in &config.upsampling_ratios {
            self.transposed(&mut layers, &module(next + 1), (channels, rate))?;
            channels /= 2;
            next += 2;
            next += self.residual_units(&mut layers, (half, next), channels)?;
        }
        let size = ConvSize::dense(channels, config.audio_channels, config.last_kernel_size);
        self.conv(&mut layers, &module(next + 1), size, Some(Activation::Elu))?;
        Ok(Chain::new(layers))
    }

    /// The residual units from module `first` on; returns how many.
    fn residual_units(
        &self,
        layers: &mut Layers,
        (half, first): (Half, usize),
        channels: usize,
    ) -> Result<usize, WeightsError> {
        let units = self.config.num_residual_layers;
        for unit in 0..units {
            let module = self.names.module(half, first + unit);
            let dilation = self.config.dilation(unit);
            layers.push(match self.config.has_group_norm() {
                true => self.normed_unit(&module, channels, dilation)?,
                false => self.unit(&module, channels, dilation)?,
            });
        }
        Ok(units)
    }

    fn unit(
        &self,
        module: &str,
        channels: usize,
        dilation: usize,
    ) -> Result<Box<dyn Layer>, WeightsError> {
        let kernel = self.config.residual_kernel_size;
        let size = ResidualSize {
            channels,
            hidden: channels / self.config.compress,
            kernel,
            dilation,
            is_depthwise: false,
            padding: self.padding((kernel - 1) * dilation),
        };
        let part = |name: &str| self.names.conv(&format!("{module}.{name}")).conv;
        let shortcut = self.config.use_conv_shortcut.then(|| part("shortcut"));
        let (first, second) = (part("block.1"), part("block.3"));
        let names = (&*first, &*second, shortcut.as_deref());
        let before = [Activation::Elu, Activation::Elu];
        Ok(Box::new(ResidualUnit::load(
            self.tensors,
            names,
            size,
            before,
        )?))
    }

    /// A residual unit whose convolutions have norms behind them.
    fn normed_unit(
        &self,
        module: &str,
        channels: usize,
        dilation: usize,
    ) -> Result<Box<dyn Layer>, WeightsError> {
        let hidden = channels / self.config.compress;
        let chain =
            |parts: &[(&str, ConvSize, Option<Activation>)]| -> Result<Chain, WeightsError> {
                let mut layers: Layers = Vec::new();
                for (name, size, before) in parts {
                    self.conv(
                        &mut layers,
                        &format!("{module}.{name}"),
                        *size,
                        before.clone(),
                    )?;
                }
                Ok(Chain::new(layers))
            };
        let first = ConvSize {
            dilation,
            ..ConvSize::dense(channels, hidden, self.config.residual_kernel_size)
        };
        let main = chain(&[
            ("block.1", first, Some(Activation::Elu)),
            (
                "block.3",
                ConvSize::dense(hidden, channels, 1),
                Some(Activation::Elu),
            ),
        ])?;
        let point = ConvSize::dense(channels, channels, 1);
        let side = self
            .config
            .use_conv_shortcut
            .then(|| chain(&[("shortcut", point, None)]));
        Ok(Box::new(Branches::new(main, side.transpose()?)))
    }

    /// A convolution, and its norm if it has one.
    fn conv(
        &self,
        layers: &mut Layers,
        module: &str,
        size: ConvSize,
        before: Option<Activation>,
    ) -> Result<(), WeightsError> {
        let names = self.names.conv(module);
        let padding = self.padding(size.span() - size.stride);
        let conv = Conv1d::load(self.tensors, &names.conv, size, padding)?.completed();
        layers.push(Box::new(match before {
            Some(activation) => conv.after(activation),
            None => conv,
        }));
        self.norm(layers, &names.norm, size.outputs, (0, 0))
    }

    /// A transposed convolution that halves the channels, and its norm if it has one, to which what is cut still counts.
    fn transposed(
        &self,
        layers: &mut Layers,
        module: &str,
        (channels, stride): (usize, usize),
    ) -> Result<(), WeightsError> {
        let names = self.names.transposed(module);
        let cuts = self.config.cuts(stride);
        let (cut_left, cut_right) = match self.config.has_group_norm() {
            true => (0, 0),
            false => cuts,
        };
        let size = TransposedSize {
            inputs: channels,
            outputs: channels / 2,
            stride,
            cut_left,
            cut_right,
        };
        let up = ConvTranspose1d::load(self.tensors, &names.conv, size)?;
        layers.push(Box::new(up.after(Activation::Elu)));
        self.norm(layers, &names.norm, size.outputs, cuts)
    }

    fn norm(
        &self,
        layers: &mut Layers,
        name: &str,
        channels: usize,
        (left, right): (usize, usize),
    ) -> Result<(), WeightsError> {
        if self.config.has_group_norm() {
            let norm = GroupNorm::load(self.tensors, name, channels)?.cutting(left, right);
            layers.push(Box::new(norm));
        }
        Ok(())
    }

    fn recurrent(&self, module: &str, channels: usize) -> Result<Box<dyn Layer>, WeightsError> {
        let (name, layers) = (format!("{module}.lstm"), self.config.num_lstm_layers);
        Ok(Box::new(Recurrent::load(
            self.tensors,
            &name,
            channels,
            layers,
        )?))
    }

    /// What a convolution that would lose `rows` rows puts around the signal.
    fn padding(&self, rows: usize) -> Padding {
        let right = match self.config.use_causal_conv {
            true => 0,
            false => rows / 2,
        };
        Padding {
            left: rows - right,
            right,
            mode: self.pad,
        }
    }
}
