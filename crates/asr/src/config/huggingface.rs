//! Configurations as `transformers` writes them.

use percept_audio::{MelConfig, Normalize};
use percept_nn::{AttentionMask, ConvPadding, SubsamplingShape};
use percept_weights::{Checkpoint, Tensors, WeightsError};
use serde_json::Value;

use super::fields::Fields;
use super::{EncoderConfig, ModelConfig, PromptConfig};
use crate::ctc::CtcConfig;
use crate::error::ModelError;
use crate::transducer::{Activation, TransducerConfig};

/// The kinds of FastConformer recogniser that `transformers` knows.
const FAMILIES: [&str; 5] = [
    "parakeet_tdt",
    "parakeet_rnnt",
    "parakeet_ctc",
    "nemotron_asr_streaming",
    "nemotron3_5_asr",
];

/// What a checkpoint calls itself, and whether that is a recogniser.
pub(super) fn family<'a>(fields: &Fields<'a>) -> (&'a str, bool) {
    let family = fields.text("model_type").unwrap_or("none");
    (family, FAMILIES.contains(&family))
}

pub(super) fn read(checkpoint: &Checkpoint) -> Result<ModelConfig, ModelError> {
    let file = checkpoint.config_path();
    let fields = Fields::new(&file, checkpoint.config());
    let (family, is_recogniser) = family(&fields);
    if !is_recogniser {
        return Err(ModelError::UnknownFamily {
            file: checkpoint.path().into(),
            family: family.into(),
        });
    }
    // `transformers` has one encoder for offline models and another, causal one for cache-aware models.
    let encoder_type = fields
        .text("encoder_config.model_type")
        .unwrap_or("parakeet_encoder");
    let causal = encoder_type == "nemotron_asr_streaming_encoder" || family.starts_with("nemotron");
    let encoder = encoder(&fields, checkpoint.tensors(), causal)?;
    let mel = mel(checkpoint, encoder.subsampling.mels, causal)?;
    let vocab = fields.size("vocab_size", 2..=1 << 24, None)?;
    let width = encoder.width();
    let (transducer, ctc) = if family == "parakeet_ctc" {
        let blank = fields.size("pad_token_id", 0..=vocab - 1, Some(vocab - 1))? as u32;
        (
            None,
            Some((
                "decoder.decoder_layers.0".to_owned(),
                CtcConfig {
                    vocab,
                    blank,
                    encoder_hidden: width,
                },
            )),
        )
    } else {
        (Some(transducer(&fields, family, vocab, width)?), None)
    };
    let prompt = if family == "nemotron3_5_asr" {
        Some(prompt(&fields, checkpoint)?)
    } else {
        None
    };
    let encoder = EncoderConfig {
        lookaheads: lookaheads(checkpoint.processor()),
        ..encoder
    };
    Ok(ModelConfig {
        family: family.to_owned(),
        mel,
        encoder,
        transducer,
        ctc,
        prompt,
    })
}

/// The right contexts that the processor lists, of which none is where it does not.
fn lookaheads(processor: Option<&Value>) -> Vec<usize> {
    let listed = processor.and_then(|p| p.get("supported_num_lookahead_tokens"));
    let frames = listed.and_then(Value::as_array).into_iter().flatten();
    frames.filter_map(|n| n.as_u64()?.try_into().ok()).collect()
}

fn encoder(
    fields: &Fields<'_>,
    tensors: &Tensors,
    causal: bool,
) -> Result<EncoderConfig, WeightsError> {
    let padding = if causal {
        ConvPadding::Causal
    } else {
        ConvPadding::Symmetric
    };
    let size = |name: &str, max: usize, default| {
        fields.size(&format!("encoder_config.{name}"), 1..=max, default)
    };
    let subsampling = SubsamplingShape {
        mels: size("num_mel_bins", 1024, Some(80))?,
        channels: size("subsampling_conv_channels", 1 << 14, Some(256))?,
        width: size("hidden_size", 1 << 16, Some(1024))?,
        factor: size("subsampling_factor", 64, Some(8))?,
        causal,
    };
    for (name, needed) in [
        ("subsampling_conv_kernel_size", 3),
        ("subsampling_conv_stride", 2),
    ] {
        if size(name, 64, Some(needed))? != needed {
            return Err(fields.fault(
                &format!("encoder_config.{name}"),
                "a 3x3 convolution of stride 2",
            ));
        }
    }
    let heads = size("num_attention_heads", 1 << 10, Some(8))?;
    fields.check_encoder(
        &subsampling,
        (heads, "encoder_config.num_attention_heads"),
        "encoder_config.subsampling_factor",
    )?;
    if !matches!(
        fields.text("encoder_config.hidden_act"),
        None | Some("silu" | "swish")
    ) {
        return Err(fields.fault("encoder_config.hidden_act", "silu"));
    }
    let scaled = fields.flag("encoder_config.scale_input", true)?;
    Ok(EncoderConfig {
        subsampling,
        layers: fields.layers("encoder_config.num_hidden_layers", Some(24), tensors)?,
        heads,
        inner: size("intermediate_size", 1 << 18, Some(4096))?,
        input_scale: if scaled {
            (subsampling.width as f32).sqrt()
        } else {
            1.0
        },
        kernel: fields.kernel("encoder_config.conv_kernel_size", 9, padding)?,
        padding,
        mask: mask(fields, causal)?,
        lookaheads: Vec::new(),
        follows_context: false,
    })
}

fn mask(fields: &Fields<'_>, causal: bool) -> Result<AttentionMask, WeightsError> {
    if causal {
        let window = fields.size("encoder_config.sliding_window", 1..=1 << 16, Some(71))?;
        let right = fields.size(
            "encoder_config.default_num_lookahead_tokens",
            0..=1 << 16,
            Some(13),
        )?;
        return Ok(AttentionMask::Chunked {
            left: Some(window - 1),
            right,
        });
    }
    if fields.text("encoder_config.attention_type") == Some("rel_pos_local_attn") {
        let name = "encoder_config.attention_context_size";
        let context = fields.list(name)?.unwrap_or_default();
        let [left, right] = context[..] else {
            return Err(fields.fault(name, "two numbers of frames"));
        };
        return Ok(AttentionMask::Regular {
            left: usize::try_from(left).ok(),
            right: usize::try_from(right).ok(),
        });
    }
    Ok(AttentionMask::Full)
}

fn mel(checkpoint: &Checkpoint, mels: usize, causal: bool) -> Result<MelConfig, WeightsError> {
    let empty = Value::Null;
    let file = checkpoint.preprocessor_path();
    let fields = Fields::new(&file, checkpoint.preprocessor().unwrap_or(&empty));
    let base = MelConfig::nemo(mels);
    if fields.size("feature_size", 1..=1024, Some(mels))? != mels {
        return Err(fields.fault("feature_size", "the encoder's number of mel bins"));
    }
    Ok(MelConfig {
        sample_rate: fields.size(
            "sampling_rate",
            1_000..=384_000,
            Some(base.sample_rate as usize),
        )? as u32,
        n_fft: fields.size("n_fft", 2..=1 << 16, Some(base.n_fft))?,
        win_samples: fields.size("win_length", 2..=1 << 16, Some(base.win_samples))?,
        hop_samples: fields.size("hop_length", 1..=1 << 16, Some(base.hop_samples))?,
        preemphasis: fields.number("preemphasis", f64::from(base.preemphasis))? as f32,
        // The extractor of the cache-aware models does not normalise; the other one always does.
        normalize: if causal {
            Normalize::None
        } else {
            Normalize::PerFeature
        },
        ..base
    })
}

fn transducer(
    fields: &Fields<'_>,
    family: &str,
    vocab: usize,
    width: usize,
) -> Result<TransducerConfig, WeightsError> {
    let hidden = fields.size("decoder_hidden_size", 1..=1 << 16, Some(640))?;
    let durations = if family == "parakeet_tdt" {
        let list = fields
            .list("durations")?
            .unwrap_or_else(|| (0..5).collect());
        let durations: Option<Vec<u32>> = list.iter().map(|d| u32::try_from(*d).ok()).collect();
        durations
            .filter(|d| !d.is_empty())
            .ok_or_else(|| fields.fault("durations", "a list of numbers of frames"))?
    } else {
        Vec::new()
    };
    let activation = fields
        .text("hidden_act")
        .unwrap_or("relu")
        .parse::<Activation>();
    Ok(TransducerConfig {
        vocab,
        blank: fields.size("blank_token_id", 0..=vocab - 1, Some(vocab - 1))? as u32,
        pred_hidden: hidden,
        pred_layers: fields.size("num_decoder_layers", 1..=64, Some(2))?,
        joint_hidden: hidden,
        encoder_hidden: width,
        durations,
        max_symbols: fields.size("max_symbols_per_step", 1..=1 << 16, Some(10))? as u32,
        activation: activation.map_err(|_| fields.fault("hidden_act", "relu, tanh or sigmoid"))?,
    })
}

fn prompt(fields: &Fields<'_>, checkpoint: &Checkpoint) -> Result<PromptConfig, WeightsError> {
    let slots = fields.size("num_prompts", 1..=1 << 16, Some(128))?;
    let dictionary = checkpoint
        .processor()
        .and_then(|processor| processor.get("prompt_dictionary"));
    let languages = Fields::languages(dictionary, slots);
    Ok(PromptConfig {
        slots,
        inner: fields.size("prompt_intermediate_size", 1..=1 << 18, Some(2048))?,
        default_slot: fields.size("default_prompt_id", 0..=slots - 1, Some(101.min(slots - 1)))?,
        languages,
    })
}
