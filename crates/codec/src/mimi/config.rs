//! The numbers of a Mimi model.

use std::sync::Arc;

use percept_nn::signal::{PadMode, TransformerSize};
use serde::Deserialize;

use crate::BookSpec;
use crate::config::{MAX_SIZE, contradiction, in_range, product, rates_in_range};
use crate::error::ConfigFault;
use crate::spec::{CodecFamily, CodecSpec};

/// `config.json` of transformers, whose defaults are the published model.
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
pub(crate) struct MimiConfig {
    sampling_rate: u32,
    pub(super) audio_channels: usize,
    pub(super) hidden_size: usize,
    pub(super) num_filters: usize,
    pub(super) num_residual_layers: usize,
    upsampling_ratios: Option<Vec<usize>>,
    pub(super) kernel_size: usize,
    pub(super) last_kernel_size: usize,
    pub(super) residual_kernel_size: usize,
    dilation_growth_rate: usize,
    pub(super) use_causal_conv: bool,
    pad_mode: String,
    pub(super) compress: usize,
    trim_right_ratio: f64,
    pub(super) codebook_size: usize,
    codebook_dim: Option<usize>,
    pub(super) num_quantizers: usize,
    pub(super) use_conv_shortcut: bool,
    vector_quantization_hidden_dimension: usize,
    pub(super) num_semantic_quantizers: usize,
    pub(super) upsample_groups: usize,
    pub(super) num_hidden_layers: usize,
    intermediate_size: usize,
    num_attention_heads: usize,
    num_key_value_heads: usize,
    head_dim: Option<usize>,
    hidden_act: String,
    norm_eps: f32,
    rope_parameters: Option<Rope>,
    /// Where older files have it.
    rope_theta: Option<f32>,
    rope_scaling: Option<serde_json::Value>,
    sliding_window: usize,
    attention_bias: bool,
    frame_rate: Option<f64>,
    /// As some versions of transformers write it.
    #[serde(rename = "_frame_rate")]
    private_frame_rate: Option<f64>,
}

/// How queries and keys are turned.
#[derive(Clone, Debug, Deserialize)]
struct Rope {
    #[serde(alias = "type")]
    rope_type: Option<String>,
    rope_theta: Option<f32>,
}

impl Default for MimiConfig {
    fn default() -> Self {
        MimiConfig {
            sampling_rate: 24_000,
            audio_channels: 1,
            hidden_size: 512,
            num_filters: 64,
            num_residual_layers: 1,
            upsampling_ratios: None,
            kernel_size: 7,
            last_kernel_size: 3,
            residual_kernel_size: 3,
            dilation_growth_rate: 2,
            use_causal_conv: true,
            pad_mode: "constant".into(),
            compress: 2,
            trim_right_ratio: 1.0,
            codebook_size: 2048,
            codebook_dim: Some(256),
            num_quantizers: 32,
            use_conv_shortcut: false,
            vector_quantization_hidden_dimension: 256,
            num_semantic_quantizers: 1,
            upsample_groups: 512,
            num_hidden_layers: 8,
            intermediate_size: 2048,
            num_attention_heads: 8,
            num_key_value_heads: 8,
            head_dim: None,
            hidden_act: "gelu".into(),
            norm_eps: 1e-5,
            rope_parameters: None,
            rope_theta: None,
            rope_scaling: None,
            sliding_window: 250,
            attention_bias: false,
            frame_rate: None,
            private_frame_rate: None,
        }
    }
}

impl MimiConfig {
    pub(super) fn check(&self) -> Result<(), ConfigFault> {
        let sizes = [
            ("sampling_rate", self.sampling_rate as usize, 1 << 20),
            ("audio_channels", self.audio_channels, 2),
            ("hidden_size", self.hidden_size, MAX_SIZE),
            ("num_filters", self.num_filters, MAX_SIZE),
            ("num_residual_layers", self.num_residual_layers, 16),
            ("kernel_size", self.kernel_size, 1024),
            ("last_kernel_size", self.last_kernel_size, 1024),
            ("residual_kernel_size", self.residual_kernel_size, 1024),
            ("dilation_growth_rate", self.dilation_growth_rate, 1024),
            (
                "dilation_growth_rate",
                self.dilation(self.num_residual_layers.saturating_sub(1)),
                MAX_SIZE,
            ),
            ("compress", self.compress, self.num_filters),
            ("codebook_size", self.codebook_size, MAX_SIZE),
            ("codebook_dim", self.dimensions(), MAX_SIZE),
            ("num_quantizers", self.num_quantizers, 1024),
            (
                "num_semantic_quantizers",
                self.num_semantic_quantizers,
                1024,
            ),
            ("upsample_groups", self.upsample_groups, self.hidden_size),
            ("num_hidden_layers", self.num_hidden_layers, 1024),
            ("intermediate_size", self.intermediate_size, MAX_SIZE),
            ("num_attention_heads", self.num_attention_heads, MAX_SIZE),
            (
                "num_key_value_heads",
                self.num_key_value_heads,
                self.num_attention_heads,
            ),
            ("head_dim", self.head(), MAX_SIZE),
            ("sliding_window", self.sliding_window, 1 << 20),
        ];
        for (field, value, most) in sizes {
            in_range(field, value, most)?;
        }
        let ratios = self.ratios();
        rates_in_range("upsampling_ratios", &ratios)?;
        in_range("frame_rate", self.latent_stride().unwrap_or(1), 64)?;
        in_range("num_filters", self.num_filters << ratios.len(), MAX_SIZE)?;
        self.check_fit()?;
        self.check_kinds()
    }

    /// Refuses numbers that do not fit each other.
    fn check_fit(&self) -> Result<(), ConfigFault> {
        if !self.hidden_size.is_multiple_of(self.num_attention_heads) {
            return contradiction(
                "num_attention_heads",
                self.num_attention_heads,
                "hidden_size",
            );
        }
        if !self
            .num_attention_heads
            .is_multiple_of(self.num_key_value_heads)
        {
            let heads = self.num_key_value_heads;
            return contradiction("num_key_value_heads", heads, "num_attention_heads");
        }
        if !self.head().is_multiple_of(2) {
            return contradiction("head_dim", self.head(), "rope_parameters");
        }
        if !self.hidden_size.is_multiple_of(self.upsample_groups) {
            return contradiction("upsample_groups", self.upsample_groups, "hidden_size");
        }
        if self.num_semantic_quantizers >= self.num_quantizers {
            let semantic = self.num_semantic_quantizers;
            return contradiction("num_semantic_quantizers", semantic, "num_quantizers");
        }
        if self.dimensions() != self.vector_quantization_hidden_dimension {
            let given = self.dimensions();
            return contradiction(
                "codebook_dim",
                given,
                "vector_quantization_hidden_dimension",
            );
        }
        Ok(())
    }

    /// Refuses variants that are not supported, here or by the reference.
    fn check_kinds(&self) -> Result<(), ConfigFault> {
        let unsupported = |field, value: &dyn ToString| {
            let value = value.to_string();
            Err(ConfigFault::Unsupported { field, value })
        };
        if pad_mode(&self.pad_mode).is_none() {
            return unsupported("pad_mode", &self.pad_mode);
        }
        if self.hidden_act != "gelu" {
            return unsupported("hidden_act", &self.hidden_act);
        }
        let is_whole = self.trim_right_ratio == 1.0;
        if !(0.0..=1.0).contains(&self.trim_right_ratio) || !(self.use_causal_conv || is_whole) {
            return unsupported("trim_right_ratio", &self.trim_right_ratio);
        }
        if let Some(scaling) = self.rope_scaling.as_ref().filter(|value| !value.is_null()) {
            return unsupported("rope_scaling", scaling);
        }
        let kind = self
            .rope_parameters
            .as_ref()
            .and_then(|rope| rope.rope_type.as_ref());
        match kind.filter(|kind| *kind != "default") {
            Some(kind) => unsupported("rope_parameters", kind),
            None => Ok(()),
        }
    }

    /// Samples per row of the transformers, rate by rate as the decoder has them.
    pub(super) fn ratios(&self) -> Vec<usize> {
        let published = || vec![8, 6, 5, 4];
        let given = self
            .upsampling_ratios
            .clone()
            .filter(|list| !list.is_empty());
        given.unwrap_or_else(published)
    }

    /// Rows of the transformers per latent frame, where they are not the same. As transformers works it out: from the
    /// rate of the rows rounded up.
    pub(super) fn latent_stride(&self) -> Option<usize> {
        let samples = product(&self.ratios()).max(1);
        let rows = (self.sampling_rate as usize).div_ceil(samples) as f64;
        let default = f64::from(self.sampling_rate) / (2 * samples) as f64;
        let frames = self
            .frame_rate
            .or(self.private_frame_rate)
            .unwrap_or(default);
        (frames != rows).then_some((rows / frames) as usize)
    }

    /// Samples per latent frame.
    fn hop(&self) -> usize {
        product(&self.ratios()) * self.latent_stride().unwrap_or(1)
    }

    /// Rows between the taps of residual layer `layer`.
    pub(super) fn dilation(&self, layer: usize) -> usize {
        self.dilation_growth_rate.saturating_pow(layer as u32)
    }

    pub(super) fn pad_mode(&self) -> PadMode {
        pad_mode(&self.pad_mode).unwrap_or(PadMode::Zero)
    }

    /// Rows that are cut after a transposed convolution of a stride: from the start and from the end.
    pub(super) fn cuts(&self, stride: usize) -> (usize, usize) {
        let right = match self.use_causal_conv {
            true => (stride as f64 * self.trim_right_ratio).ceil() as usize,
            false => stride / 2,
        };
        (stride - right, right)
    }

    /// Values of an entry of a book.
    pub(super) fn dimensions(&self) -> usize {
        self.codebook_dim.unwrap_or(self.hidden_size)
    }

    fn head(&self) -> usize {
        let even = self.hidden_size / self.num_attention_heads.max(1);
        self.head_dim.filter(|head| *head > 0).unwrap_or(even)
    }

    pub(super) fn transformer(&self) -> TransformerSize {
        let rope = self
            .rope_parameters
            .as_ref()
            .and_then(|rope| rope.rope_theta);
        TransformerSize {
            channels: self.hidden_size,
            heads: self.num_attention_heads,
            key_heads: self.num_key_value_heads,
            head: self.head(),
            hidden: self.intermediate_size,
            window: self.sliding_window,
            base: rope.or(self.rope_theta).unwrap_or(10_000.0),
            epsilon: self.norm_eps,
            has_bias: self.attention_bias,
        }
    }

    pub(super) fn spec(&self) -> CodecSpec {
        CodecSpec {
            family: CodecFamily::Mimi,
            sample_rate: self.sampling_rate,
            channels: self.audio_channels as u16,
            hop: self.hop() as u32,
            books: Arc::from(BookSpec::uniform(
                self.num_quantizers,
                self.codebook_size as u32,
            )),
            default_books: self.num_quantizers,
            align: 1,
            encode_lookahead: 0,
            decode_lookahead: 0,
        }
    }
}

fn pad_mode(name: &str) -> Option<PadMode> {
    match name {
        "constant" => Some(PadMode::Zero),
        "replicate" => Some(PadMode::Replicate),
        "reflect" => Some(PadMode::Reflect),
        _ => None,
    }
}
