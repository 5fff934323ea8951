//! The numbers of a Descript audio codec.

use std::sync::Arc;

use serde::Deserialize;

use crate::BookSpec;
use crate::config::{MAX_SIZE, contradiction, in_range, product, rates_in_range};
use crate::error::ConfigFault;
use crate::spec::{CodecFamily, CodecSpec};

/// `config.json` of transformers, or of Parler-TTS, or the arguments of the original package, which its files keep
/// under `metadata.kwargs`. What is left out is that of the published 44.1 kHz model, as in all three.
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
pub(crate) struct DacConfig {
    /// The one number that has to be given: the defaults of the three differ.
    #[serde(alias = "sample_rate")]
    sampling_rate: u32,
    #[serde(alias = "encoder_dim")]
    pub(super) encoder_hidden_size: usize,
    #[serde(alias = "encoder_rates")]
    pub(super) downsampling_ratios: Vec<usize>,
    #[serde(alias = "decoder_dim")]
    pub(super) decoder_hidden_size: usize,
    #[serde(alias = "decoder_rates")]
    upsampling_ratios: Option<Vec<usize>>,
    #[serde(alias = "latent_dim")]
    hidden_size: Option<usize>,
    #[serde(alias = "num_codebooks")]
    pub(super) n_codebooks: usize,
    pub(super) codebook_size: usize,
    pub(super) codebook_dim: usize,
}

impl Default for DacConfig {
    fn default() -> Self {
        DacConfig {
            sampling_rate: 0,
            encoder_hidden_size: 64,
            downsampling_ratios: vec![2, 4, 8, 8],
            decoder_hidden_size: 1536,
            upsampling_ratios: None,
            hidden_size: None,
            n_codebooks: 9,
            codebook_size: 1024,
            codebook_dim: 8,
        }
    }
}

impl DacConfig {
    /// Whether a configuration that names no `model_type` is one of this codec.
    pub(crate) fn is_in(config: &serde_json::Value) -> bool {
        let has = |field: &str| config.get(field).is_some();
        has("n_codebooks") && (has("encoder_rates") || has("encoder_dim"))
    }

    pub(super) fn check(&self) -> Result<(), ConfigFault> {
        let sizes = [
            ("sampling_rate", self.sampling_rate as usize, 1 << 20),
            ("encoder_hidden_size", self.encoder_hidden_size, MAX_SIZE),
            ("decoder_hidden_size", self.decoder_hidden_size, MAX_SIZE),
            ("hidden_size", self.latent(), MAX_SIZE),
            ("n_codebooks", self.n_codebooks, 1024),
            ("codebook_size", self.codebook_size, MAX_SIZE),
            ("codebook_dim", self.codebook_dim, MAX_SIZE),
        ];
        for (field, value, most) in sizes {
            in_range(field, value, most)?;
        }
        let up = self.upsampling();
        rates_in_range("downsampling_ratios", &self.downsampling_ratios)?;
        rates_in_range("upsampling_ratios", &up)?;
        in_range("encoder_hidden_size", self.encoder_width(), MAX_SIZE)?;
        if product(&up) != self.hop() {
            return contradiction("upsampling_ratios", product(&up), "downsampling_ratios");
        }
        if self.decoder_hidden_size >> up.len() == 0 {
            return contradiction(
                "decoder_hidden_size",
                self.decoder_hidden_size,
                "upsampling_ratios",
            );
        }
        Ok(())
    }

    /// Samples per latent frame. The field `hop_length` of published files says 512 whatever the ratios are.
    pub(super) fn hop(&self) -> usize {
        product(&self.downsampling_ratios)
    }

    pub(super) fn upsampling(&self) -> Vec<usize> {
        let mirrored = || self.downsampling_ratios.iter().rev().copied().collect();
        self.upsampling_ratios.clone().unwrap_or_else(mirrored)
    }

    /// Channels at the end of the encoder's blocks.
    fn encoder_width(&self) -> usize {
        let doublings = self.downsampling_ratios.len().min(32);
        self.encoder_hidden_size.saturating_mul(1 << doublings)
    }

    /// Channels of a latent frame.
    pub(super) fn latent(&self) -> usize {
        self.hidden_size.unwrap_or(self.encoder_width())
    }

    pub(super) fn spec(&self) -> CodecSpec {
        CodecSpec {
            family: CodecFamily::Dac,
            sample_rate: self.sampling_rate,
            channels: 1,
            hop: self.hop() as u32,
            books: Arc::from(BookSpec::uniform(
                self.n_codebooks,
                self.codebook_size as u32,
            )),
            default_books: self.n_codebooks,
            align: 1,
            encode_lookahead: 0,
            decode_lookahead: 0,
        }
    }
}
