//! The Descript audio codec (DAC).
//!
//! Layers and sizes follow `modeling_dac.py` of transformers 5 and
//! <https://github.com/descriptinc/descript-audio-codec> at c7cfc5d (`dac/model/dac.py`, `dac/nn/`). As there, the
//! transposed convolutions of odd rates give a row less than the rate asks for, so that the 16 and 24 kHz models
//! decode `320 · frames - 8` samples.

mod config;
mod names;
#[cfg(test)]
mod tests;

use percept_nn::signal::{
    Activation, Chain, Conv1d, ConvSize, ConvTranspose1d, Layer, Padding, ResidualSize,
    ResidualUnit, TransposedSize,
};
use percept_weights::{Tensors, WeightsError};

use crate::config::{LoadFault, rates_behind};
use crate::model::Parts;
use crate::quantizer::{FactorizedBook, FactorizedQuantizer};
pub(crate) use config::DacConfig;
use names::{Half, Names};

/// Taps of the convolutions that keep the rate.
const KERNEL: usize = 7;
/// Taps of the encoder's last convolution.
const LAST_KERNEL: usize = 3;
/// Rows between the taps of the residual units of a block.
const DILATIONS: [usize; 3] = [1, 3, 9];

type Layers = Vec<Box<dyn Layer>>;

/// The model of a configuration and its tensors.
pub(crate) fn open(config: &serde_json::Value, tensors: &Tensors) -> Result<Parts, LoadFault> {
    let config: DacConfig = serde_json::from_value(config.clone())?;
    config.check()?;
    let builder = Builder {
        config: &config,
        tensors,
        names: Names::of(tensors),
    };
    let width = config.latent();
    let sizes = (width, config.codebook_dim, config.codebook_size);
    let book = |k| FactorizedBook::load(tensors, &builder.names.book(k), sizes, 1);
    let books = (0..config.n_codebooks)
        .map(book)
        .collect::<Result<_, _>>()?;
    Ok(Parts {
        spec: config.spec(),
        encoder: builder.encoder()?,
        quantizer: Box::new(FactorizedQuantizer::new(books, width, 1)),
        decoder: builder.decoder()?,
        pads_to: config.hop(),
        segmentation: None,
        local_rates: Some(rates_behind(&config.upsampling())),
    })
}

struct Builder<'a> {
    config: &'a DacConfig,
    tensors: &'a Tensors,
    names: Names,
}

impl Builder<'_> {
    fn encoder(&self) -> Result<Chain, WeightsError> {
        let rates = &self.config.downsampling_ratios;
        let half = Half::Encoder(rates.len());
        let mut channels = self.config.encoder_hidden_size;
        let first = self.conv(&self.names.first(half), 1, channels, KERNEL)?;
        let mut layers: Layers = vec![Box::new(first)];
        for (block, &rate) in rates.iter().enumerate() {
            self.residual_units(&mut layers, half, block, channels)?;
            let [snake, conv] = self.names.rate(half, block);
            let size = ConvSize {
                stride: rate,
                ..ConvSize::dense(channels, 2 * channels, 2 * rate)
            };
            let side = rate.div_ceil(2);
            let down = Conv1d::load(self.tensors, &conv, size, Padding::zeros(side, side))?;
            layers.push(Box::new(down.after(self.snake(&snake, channels)?)));
            channels *= 2;
        }
        let [snake, conv] = self.names.last(half);
        let last = self.conv(&conv, channels, self.config.latent(), LAST_KERNEL)?;
        layers.push(Box::new(last.after(self.snake(&snake, channels)?)));
        Ok(Chain::new(layers))
    }

    fn decoder(&self) -> Result<Chain, WeightsError> {
        let rates = self.config.upsampling();
        let half = Half::Decoder(rates.len());
        let mut channels = self.config.decoder_hidden_size;
        let first = self.conv(
            &self.names.first(half),
            self.config.latent(),
            channels,
            KERNEL,
        )?;
        let mut layers: Layers = vec![Box::new(first)];
        for (block, &rate) in rates.iter().enumerate() {
            let outputs = self.config.decoder_hidden_size >> (block + 1);
            let [snake, conv] = self.names.rate(half, block);
            let size = TransposedSize {
                inputs: channels,
                outputs,
                stride: rate,
                cut_left: rate.div_ceil(2),
                cut_right: rate.div_ceil(2),
            };
            let up = ConvTranspose1d::load(self.tensors, &conv, size)?;
            layers.push(Box::new(up.after(self.snake(&snake, channels)?)));
            self.residual_units(&mut layers, half, block, outputs)?;
            channels = outputs;
        }
        let [snake, conv] = self.names.last(half);
        let last = self.conv(&conv, channels, 1, KERNEL)?;
        let last = last.after(self.snake(&snake, channels)?).ending_in_tanh();
        layers.push(Box::new(last));
        Ok(Chain::new(layers))
    }

    fn residual_units(
        &self,
        layers: &mut Layers,
        half: Half,
        block: usize,
        channels: usize,
    ) -> Result<(), WeightsError> {
        for (unit, dilation) in DILATIONS.into_iter().enumerate() {
            let names = self.names.unit(half, block, unit);
            let side = (KERNEL - 1) / 2 * dilation;
            let size = ResidualSize {
                channels,
                hidden: channels,
                kernel: KERNEL,
                dilation,
                is_depthwise: false,
                padding: Padding::zeros(side, side),
            };
            let [first, second] = &names.snakes;
            let before = [self.snake(first, channels)?, self.snake(second, channels)?];
            let [first, second] = &names.convs;
            let unit = ResidualUnit::load(self.tensors, (first, second, None), size, before)?;
            layers.push(Box::new(unit));
        }
        Ok(())
    }

    fn conv(
        &self,
        name: &str,
        inputs: usize,
        outputs: usize,
        kernel: usize,
    ) -> Result<Conv1d, WeightsError> {
        let size = ConvSize::dense(inputs, outputs, kernel);
        Conv1d::load(
            self.tensors,
            name,
            size,
            Padding::zeros(kernel / 2, kernel / 2),
        )
    }

    fn snake(&self, name: &str, channels: usize) -> Result<Activation, WeightsError> {
        Activation::snake(self.tensors, name, channels)
    }
}
