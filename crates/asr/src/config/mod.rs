//! What a checkpoint says about its model, whatever its layout.

mod fields;
mod huggingface;
mod nemo;

use std::collections::BTreeMap;

use percept_audio::MelConfig;
use percept_nn::{AttentionMask, ConvPadding, SubsamplingShape};
use percept_weights::{Checkpoint, Layout};

use crate::ctc::CtcConfig;
use crate::error::ModelError;
use crate::transducer::TransducerConfig;

/// A FastConformer recogniser: its front end, encoder and heads.
#[derive(Clone, Debug)]
pub struct ModelConfig {
    /// What the checkpoint calls its kind: `model_type` in Hugging Face form, the last part of `target` in NeMo form.
    pub family: String,
    /// The mel front end, without the checkpoint's own window and filterbank.
    pub mel: MelConfig,
    /// The encoder.
    pub encoder: EncoderConfig,
    /// The RNNT or TDT head, where there is one.
    pub transducer: Option<TransducerConfig>,
    /// The CTC head, where there is one, and the prefix of its tensors.
    pub ctc: Option<(String, CtcConfig)>,
    /// The language prompt, where the model takes one.
    pub prompt: Option<PromptConfig>,
}

/// A FastConformer encoder.
#[derive(Clone, Debug, PartialEq)]
pub struct EncoderConfig {
    /// The convolutions in front.
    pub subsampling: SubsamplingShape,
    /// Conformer layers.
    pub layers: usize,
    /// Attention heads.
    pub heads: usize,
    /// Channels inside the feed-forward modules.
    pub inner: usize,
    /// What the subsampled frames are multiplied by: the root of the width, or 1.
    pub input_scale: f32,
    /// Taps of the depthwise convolutions.
    pub kernel: usize,
    /// Which frames the depthwise convolutions see.
    pub padding: ConvPadding,
    /// Which frames attention sees.
    pub mask: AttentionMask,
    /// Whether it was trained to see what the context of a streaming window says (`chunked_limited_with_rc`).
    pub follows_context: bool,
    /// The right contexts that the model was trained with, in frames; empty where the checkpoint does not say.
    pub lookaheads: Vec<usize>,
}

impl EncoderConfig {
    /// Channels of the encoder's output.
    pub fn width(&self) -> usize {
        self.subsampling.width
    }
}

/// How a model is told the language: a one-hot vector beside every encoder frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PromptConfig {
    /// Length of the one-hot vector.
    pub slots: usize,
    /// Channels inside the module.
    pub inner: usize,
    /// The slot used when no language is asked for.
    pub default_slot: usize,
    /// The slots by language.
    pub languages: BTreeMap<String, usize>,
}

impl ModelConfig {
    /// What a recogniser calls its family; `None` for a checkpoint of another kind.
    pub fn family_of(checkpoint: &Checkpoint) -> Option<String> {
        let file = checkpoint.config_path();
        let fields = fields::Fields::new(&file, checkpoint.config());
        let (family, is_recogniser) = match checkpoint.layout() {
            Layout::Nemo => nemo::family(&fields),
            _ => huggingface::family(&fields),
        };
        is_recogniser.then(|| family.to_owned())
    }

    /// Reads the configuration of `checkpoint`, whose tensors already have NeMo's names.
    ///
    /// # Errors
    /// [`ModelError::UnknownFamily`] for anything but a FastConformer recogniser; a field that is missing, of another
    /// type, or outside what the architecture allows, by its dotted name.
    pub fn read(checkpoint: &Checkpoint) -> Result<Self, ModelError> {
        match checkpoint.layout() {
            Layout::Nemo => nemo::read(checkpoint),
            _ => huggingface::read(checkpoint),
        }
    }

    /// Seconds that one encoder frame lasts.
    pub fn seconds_per_frame(&self) -> f64 {
        let samples = self.mel.hop_samples * self.encoder.subsampling.factor;
        samples as f64 / f64::from(self.mel.sample_rate)
    }

    /// Samples that one encoder frame lasts.
    pub fn samples_per_frame(&self) -> usize {
        self.mel.hop_samples * self.encoder.subsampling.factor
    }
}
