//! The numbers of an EnCodec model.

use std::sync::Arc;

use percept_nn::signal::PadMode;
use serde::Deserialize;

use crate::BookSpec;
use crate::config::{MAX_SIZE, contradiction, in_range, product, rates_in_range};
use crate::error::ConfigFault;
use crate::spec::{CodecFamily, CodecSpec};
use crate::stream::Segmentation;

/// Residual units or recurrent layers that are believed.
const MOST_LAYERS: usize = 64;
/// Samples of a segment that are believed.
const MAX_SEGMENT: f64 = (1u32 << 30) as f64;

/// `config.json` of transformers, with the defaults of its class, which are those of the published 24 kHz model.
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
pub(crate) struct EncodecConfig {
    /// In kbit/s; the first is the usual one, the last needs all books.
    target_bandwidths: Vec<f64>,
    pub(super) sampling_rate: u32,
    pub(super) audio_channels: usize,
    normalize: bool,
    chunk_length_s: Option<f64>,
    overlap: Option<f64>,
    pub(super) hidden_size: usize,
    pub(super) num_filters: usize,
    pub(super) num_residual_layers: usize,
    /// In the order of the decoder.
    pub(super) upsampling_ratios: Vec<usize>,
    pub(super) norm_type: String,
    pub(super) kernel_size: usize,
    pub(super) last_kernel_size: usize,
    pub(super) residual_kernel_size: usize,
    dilation_growth_rate: usize,
    pub(super) use_causal_conv: bool,
    pad_mode: String,
    pub(super) compress: usize,
    pub(super) num_lstm_layers: usize,
    trim_right_ratio: f64,
    pub(super) codebook_size: usize,
    codebook_dim: Option<usize>,
    pub(super) use_conv_shortcut: bool,
}

impl Default for EncodecConfig {
    fn default() -> Self {
        EncodecConfig {
            target_bandwidths: vec![1.5, 3.0, 6.0, 12.0, 24.0],
            sampling_rate: 24_000,
            audio_channels: 1,
            normalize: false,
            chunk_length_s: None,
            overlap: None,
            hidden_size: 128,
            num_filters: 32,
            num_residual_layers: 1,
            upsampling_ratios: vec![8, 5, 4, 2],
            norm_type: "weight_norm".into(),
            kernel_size: 7,
            last_kernel_size: 7,
            residual_kernel_size: 3,
            dilation_growth_rate: 2,
            use_causal_conv: true,
            pad_mode: "reflect".into(),
            compress: 2,
            num_lstm_layers: 2,
            trim_right_ratio: 1.0,
            codebook_size: 1024,
            codebook_dim: None,
            use_conv_shortcut: true,
        }
    }
}

impl EncodecConfig {
    /// Refuses what the reference could not run either.
    pub(super) fn check(&self) -> Result<(), ConfigFault> {
        self.check_sizes()?;
        if self.codebook_dim.is_some_and(|dim| dim != self.hidden_size) {
            return contradiction(
                "codebook_dim",
                self.codebook_dim.unwrap_or(0),
                "hidden_size",
            );
        }
        if self.compress > self.num_filters {
            return contradiction("compress", self.compress, "num_filters");
        }
        unless(
            self.has_group_norm() || self.norm_type == "weight_norm",
            "norm_type",
            &self.norm_type,
        )?;
        unless(self.pad().is_some(), "pad_mode", &self.pad_mode)?;
        let ratio = self.trim_right_ratio;
        let is_trimmed = match self.use_causal_conv {
            true => (0.0..=1.0).contains(&ratio),
            false => ratio == 1.0,
        };
        unless(is_trimmed, "trim_right_ratio", &ratio)?;
        self.check_segments()?;
        let rates = &self.target_bandwidths;
        unless(
            rates.iter().all(|rate| (0.0..1e6).contains(rate)),
            "target_bandwidths",
            &format!("{rates:?}"),
        )?;
        match self.books() {
            1..=1024 => Ok(()),
            books => contradiction("target_bandwidths", books, "codebook_size"),
        }
    }

    fn check_sizes(&self) -> Result<(), ConfigFault> {
        let longest = (self.residual_kernel_size.saturating_sub(1))
            .saturating_mul(self.dilation(self.num_residual_layers.saturating_sub(1)));
        let sizes = [
            ("sampling_rate", self.sampling_rate as usize, 1 << 20),
            ("audio_channels", self.audio_channels, 2),
            ("hidden_size", self.hidden_size, MAX_SIZE),
            ("num_filters", self.num_filters, MAX_SIZE),
            // None is fine.
            (
                "num_residual_layers",
                self.num_residual_layers.max(1),
                MOST_LAYERS,
            ),
            ("kernel_size", self.kernel_size, 1024),
            ("last_kernel_size", self.last_kernel_size, 1024),
            ("residual_kernel_size", self.residual_kernel_size, 1024),
            ("dilation_growth_rate", self.dilation_growth_rate, 1024),
            ("dilation_growth_rate", longest.max(1), MAX_SIZE),
            ("compress", self.compress, MAX_SIZE),
            ("num_lstm_layers", self.num_lstm_layers, MOST_LAYERS),
            (
                "codebook_size",
                self.codebook_size.saturating_sub(1),
                MAX_SIZE - 1,
            ),
        ];
        for (field, value, most) in sizes {
            in_range(field, value, most)?;
        }
        rates_in_range("upsampling_ratios", &self.upsampling_ratios)?;
        in_range("num_filters", self.width(), MAX_SIZE)
    }

    fn check_segments(&self) -> Result<(), ConfigFault> {
        let Some(seconds) = self.chunk_length_s else {
            return Ok(());
        };
        let samples = seconds * f64::from(self.sampling_rate);
        unless(
            (1.0..MAX_SEGMENT).contains(&samples),
            "chunk_length_s",
            &seconds,
        )?;
        match self.overlap {
            None => Err(ConfigFault::Missing { field: "overlap" }),
            Some(overlap) => unless((0.0..1.0).contains(&overlap), "overlap", &overlap),
        }
    }

    /// Samples per latent frame.
    pub(super) fn hop(&self) -> usize {
        product(&self.upsampling_ratios)
    }

    /// Channels at the low rate.
    pub(super) fn width(&self) -> usize {
        let doublings = self.upsampling_ratios.len().min(32);
        self.num_filters.saturating_mul(1 << doublings)
    }

    /// Rows from tap to tap of residual unit `unit` of a block.
    pub(super) fn dilation(&self, unit: usize) -> usize {
        self.dilation_growth_rate
            .saturating_pow(u32::try_from(unit).unwrap_or(u32::MAX))
    }

    pub(super) fn has_group_norm(&self) -> bool {
        self.norm_type == "time_group_norm"
    }

    /// What stands before and after a signal, if it is known.
    pub(super) fn pad(&self) -> Option<PadMode> {
        match &*self.pad_mode {
            "reflect" => Some(PadMode::Reflect),
            "replicate" => Some(PadMode::Replicate),
            "constant" | "zero" => Some(PadMode::Zero),
            _ => None,
        }
    }

    /// Rows that a transposed convolution of `stride` cuts from the start and from the end.
    pub(super) fn cuts(&self, stride: usize) -> (usize, usize) {
        let right = match self.use_causal_conv {
            true => (stride as f64 * self.trim_right_ratio).ceil() as usize,
            false => stride / 2,
        };
        (stride - right, right)
    }

    /// How sound is cut before it is encoded. What has to be known of all of it makes one segment of it.
    pub(super) fn segmentation(&self) -> Option<Segmentation> {
        let is_scaled = self.normalize;
        match (self.chunk_length_s, self.overlap) {
            (Some(seconds), Some(overlap)) => {
                let length = (seconds * f64::from(self.sampling_rate)) as usize;
                let step = ((1.0 - overlap) * length as f64) as usize;
                Some(Segmentation {
                    length,
                    step: step.max(1),
                    is_scaled,
                })
            }
            _ if is_scaled || self.has_group_norm() => Some(Segmentation {
                length: usize::MAX,
                step: usize::MAX,
                is_scaled,
            }),
            _ => None,
        }
    }

    /// Latent frames per second, rounded up, as bandwidths count them.
    fn frame_rate(&self) -> f64 {
        f64::from(self.sampling_rate.div_ceil(self.hop() as u32))
    }

    /// Books of the highest bandwidth.
    pub(super) fn books(&self) -> usize {
        let bits = self.codebook_size.next_power_of_two().trailing_zeros();
        let rate = self.frame_rate() * f64::from(bits);
        let most = 1000.0 * self.target_bandwidths.last().copied().unwrap_or(0.0);
        ((most - most % rate) / rate).round() as usize
    }

    /// Books of the first bandwidth.
    fn default_books(&self) -> usize {
        let rate = self.frame_rate() * (self.codebook_size as f64).log2();
        let first = 1000.0 * self.target_bandwidths.first().copied().unwrap_or(0.0);
        ((first / rate).floor() as usize).clamp(1, self.books())
    }

    pub(super) fn spec(&self) -> CodecSpec {
        CodecSpec {
            family: CodecFamily::Encodec,
            sample_rate: self.sampling_rate,
            channels: self.audio_channels as u16,
            hop: self.hop() as u32,
            books: Arc::from(BookSpec::uniform(self.books(), self.codebook_size as u32)),
            default_books: self.default_books(),
            align: 1,
            encode_lookahead: 0,
            decode_lookahead: 0,
        }
    }
}

/// Refuses a value that `is_known` is not said of.
fn unless(
    is_known: bool,
    field: &'static str,
    value: &impl std::fmt::Display,
) -> Result<(), ConfigFault> {
    match is_known {
        true => Ok(()),
        false => Err(ConfigFault::Unsupported {
            field,
            value: value.to_string(),
        }),
    }
}
