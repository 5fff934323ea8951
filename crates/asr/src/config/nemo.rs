//! Configurations as NeMo writes them (`model_config.yaml`). Absent keys take the defaults of NeMo's classes.

use percept_audio::{MelConfig, Normalize};
use percept_nn::{AttentionMask, ConvPadding, SubsamplingShape};
use percept_weights::{Checkpoint, Tensors, WeightsError};
use serde_json::Value;

use super::fields::Fields;
use super::{EncoderConfig, ModelConfig, PromptConfig};
use crate::ctc::CtcConfig;
use crate::error::ModelError;
use crate::transducer::{Activation, TransducerConfig};

/// What a checkpoint calls itself, and whether that is a recogniser.
pub(super) fn family<'a>(fields: &Fields<'a>) -> (&'a str, bool) {
    let encoder = fields.text("encoder._target_").unwrap_or("none");
    let target = fields.text("target").unwrap_or(encoder);
    let family = target.rsplit('.').next().unwrap_or(target);
    (family, encoder.ends_with("ConformerEncoder"))
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
    let family = family.to_owned();
    let tensors = checkpoint.tensors();
    let encoder = encoder(&fields, tensors)?;
    let mel = mel(&fields, encoder.subsampling.mels)?;
    let width = encoder.width();
    let transducer = if fields.has("joint") || tensors.contains("joint.joint_net.2.weight") {
        Some(transducer(&fields, checkpoint, width)?)
    } else {
        None
    };
    let ctc = ["decoder.decoder_layers.0", "ctc_decoder.decoder_layers.0"]
        .into_iter()
        .find_map(|prefix| {
            let vocab = *tensors.shape(&format!("{prefix}.weight"))?.first()?;
            let blank = u32::try_from(vocab.checked_sub(1)?).ok()?;
            Some((
                prefix.to_owned(),
                CtcConfig {
                    vocab,
                    blank,
                    encoder_hidden: width,
                },
            ))
        });
    if transducer.is_none() && ctc.is_none() {
        return Err(ModelError::NoHead {
            file: checkpoint.path().into(),
            family,
        });
    }
    let prompt = if tensors.contains("prompt_kernel.0.weight") {
        Some(prompt(&fields, checkpoint)?)
    } else {
        None
    };
    Ok(ModelConfig {
        family,
        mel,
        encoder,
        transducer,
        ctc,
        prompt,
    })
}

fn encoder(fields: &Fields<'_>, tensors: &Tensors) -> Result<EncoderConfig, WeightsError> {
    let size =
        |name: &str, max: usize, default| fields.size(&format!("encoder.{name}"), 1..=max, default);
    if !matches!(
        fields.text("encoder.subsampling"),
        None | Some("dw_striding")
    ) {
        return Err(fields.fault("encoder.subsampling", "dw_striding"));
    }
    if !matches!(
        fields.text("encoder.self_attention_model"),
        None | Some("rel_pos" | "rel_pos_local_attn")
    ) {
        return Err(fields.fault(
            "encoder.self_attention_model",
            "rel_pos or rel_pos_local_attn",
        ));
    }
    if fields.has("encoder.reduction") {
        return Err(fields.fault("encoder.reduction", "null: reduction layers are not read"));
    }
    let width = size("d_model", 1 << 16, None)?;
    let channels = match fields
        .get("encoder.subsampling_conv_channels")
        .and_then(Value::as_i64)
    {
        Some(-1) => width,
        _ => size("subsampling_conv_channels", 1 << 14, Some(width))?,
    };
    let subsampling = SubsamplingShape {
        mels: size("feat_in", 1024, None)?,
        channels,
        width,
        factor: size("subsampling_factor", 64, Some(4))?,
        causal: fields.flag("encoder.causal_downsampling", false)?,
    };
    let heads = size("n_heads", 1 << 10, Some(4))?;
    fields.check_encoder(
        &subsampling,
        (heads, "encoder.n_heads"),
        "encoder.subsampling_factor",
    )?;
    let scaled = fields.flag("encoder.xscaling", true)?;
    let (mask, lookaheads) = mask(fields)?;
    let padding = padding(fields)?;
    Ok(EncoderConfig {
        subsampling,
        layers: fields.layers("encoder.n_layers", None, tensors)?,
        heads,
        inner: width * size("ff_expansion_factor", 64, Some(4))?,
        input_scale: if scaled { (width as f32).sqrt() } else { 1.0 },
        kernel: fields.kernel("encoder.conv_kernel_size", 31, padding)?,
        padding,
        mask,
        lookaheads,
        follows_context: fields.text("encoder.att_context_style")
            == Some("chunked_limited_with_rc"),
    })
}

/// `conv_context_size` is `causal`, null (symmetric) or `[left, right]`.
fn padding(fields: &Fields<'_>) -> Result<ConvPadding, WeightsError> {
    let name = "encoder.conv_context_size";
    match fields.get(name) {
        None => Ok(ConvPadding::Symmetric),
        Some(Value::String(kind)) if kind == "causal" => Ok(ConvPadding::Causal),
        Some(value) => {
            let kernel = fields.size("encoder.conv_kernel_size", 1..=1024, Some(31))? as i64;
            match fields.list_of(name, value)?[..] {
                [left, right] if left == right && left + right == kernel - 1 => {
                    Ok(ConvPadding::Symmetric)
                }
                [left, 0] if left == kernel - 1 => Ok(ConvPadding::Causal),
                _ => Err(fields.fault(name, "null, causal, or two equal halves of the kernel")),
            }
        }
    }
}

/// The mask used by default, and the right contexts the model was trained with where there are several.
fn mask(fields: &Fields<'_>) -> Result<(AttentionMask, Vec<usize>), WeightsError> {
    let name = "encoder.att_context_size";
    let Some(value) = fields.get(name) else {
        return Ok((AttentionMask::Full, Vec::new()));
    };
    let choices: Vec<Vec<i64>> = match value.as_array() {
        Some(items) if items.first().is_some_and(Value::is_array) => items
            .iter()
            .map(|item| fields.list_of(name, item))
            .collect::<Result<_, _>>()?,
        _ => vec![fields.list_of(name, value)?],
    };
    let limit = |n: i64| usize::try_from(n).ok();
    let first = choices.first().map(Vec::as_slice).unwrap_or_default();
    let style = fields
        .text("encoder.att_context_style")
        .unwrap_or("regular");
    let mask = match (style, first) {
        (_, [-1, -1]) | (_, [-1, _, -1]) => AttentionMask::Full,
        ("regular" | "chunked_limited", &[left, -1]) => AttentionMask::Regular {
            left: limit(left),
            right: None,
        },
        ("regular", &[left, right]) => AttentionMask::Regular {
            left: limit(left),
            right: limit(right),
        },
        ("chunked_limited", &[left, right]) if left < 0 || left % (right + 1) == 0 => {
            AttentionMask::Chunked {
                left: limit(left),
                right: right as usize,
            }
        }
        ("chunked_limited", _) => {
            return Err(fields.fault(name, "[left, right] with left a multiple of right + 1"));
        }
        ("chunked_limited_with_rc", &[left, chunk, right])
            if left >= 0 && chunk > 0 && right >= 0 =>
        {
            AttentionMask::ChunkedWithRight {
                left: left as usize,
                chunk: chunk as usize,
                right: right as usize,
            }
        }
        // A model trained for both, with no context given: all of it.
        ("chunked_limited_with_rc", _) => AttentionMask::Full,
        _ => {
            return Err(fields.fault(
                "encoder.att_context_style",
                "regular, chunked_limited or chunked_limited_with_rc, with a matching att_context_size",
            ));
        }
    };
    let lookaheads = choices.iter().filter_map(|c| limit(*c.get(1)?)).collect();
    Ok((mask, lookaheads))
}

fn mel(fields: &Fields<'_>, mels: usize) -> Result<MelConfig, WeightsError> {
    let base = MelConfig::nemo(mels);
    if fields.size("preprocessor.features", 1..=1024, Some(64))? != mels {
        return Err(fields.fault(
            "preprocessor.features",
            "the same number as encoder.feat_in",
        ));
    }
    let rate = fields.size("preprocessor.sample_rate", 1_000..=384_000, Some(16_000))?;
    // NeMo truncates seconds times rate; the half guards 0.025 · 16000 = 399.99... from losing a sample.
    let samples = |name: &str, default: f64| -> Result<usize, WeightsError> {
        let seconds = fields.number(&format!("preprocessor.{name}"), default)?;
        let samples = (seconds * rate as f64 + 1e-6).floor();
        if (1.0..=65_536.0).contains(&samples) {
            Ok(samples as usize)
        } else {
            Err(fields.fault(
                &format!("preprocessor.{name}"),
                "a time of at least one sample",
            ))
        }
    };
    let win_samples = samples("window_size", 0.02)?;
    if !matches!(fields.text("preprocessor.window"), None | Some("hann")) {
        return Err(fields.fault("preprocessor.window", "hann"));
    }
    if fields.number("preprocessor.mag_power", 2.0)? != 2.0
        || !fields.flag("preprocessor.log", true)?
    {
        return Err(fields.fault(
            "preprocessor.mag_power",
            "2, with log: the logarithm of a power spectrum",
        ));
    }
    if fields.size("preprocessor.frame_splicing", 1..=64, Some(1))? != 1 {
        return Err(fields.fault("preprocessor.frame_splicing", "1"));
    }
    Ok(MelConfig {
        sample_rate: rate as u32,
        n_fft: fields.size(
            "preprocessor.n_fft",
            2..=1 << 16,
            Some(win_samples.next_power_of_two()),
        )?,
        win_samples,
        hop_samples: samples("window_stride", 0.01)?,
        f_min: fields.number("preprocessor.lowfreq", 0.0)?,
        f_max: fields.number("preprocessor.highfreq", rate as f64 / 2.0)?,
        preemphasis: fields.number("preprocessor.preemph", 0.97)? as f32,
        normalize: match fields.text("preprocessor.normalize") {
            Some("per_feature") => Normalize::PerFeature,
            Some("all_features") => Normalize::AllFeatures,
            None if !fields.has("preprocessor.normalize") => Normalize::PerFeature,
            // NeMo takes any other string, such as "NA", as none.
            _ => Normalize::None,
        },
        exact_pad: fields.flag("preprocessor.exact_pad", false)?,
        ..base
    })
}

fn transducer(
    fields: &Fields<'_>,
    checkpoint: &Checkpoint,
    width: usize,
) -> Result<TransducerConfig, WeightsError> {
    let tensors = checkpoint.tensors();
    let classes = fields.size("decoder.vocab_size", 1..=1 << 24, None)?;
    let vocab = classes + 1;
    let outputs = tensors
        .shape("joint.joint_net.2.weight")
        .and_then(|s| s.first())
        .copied()
        .unwrap_or(vocab);
    let extra = outputs.saturating_sub(vocab);
    let list = fields
        .list("decoding.durations")?
        .or(fields.list("model_defaults.tdt_durations")?);
    let durations: Vec<u32> = match list {
        _ if extra == 0 => Vec::new(),
        None => (0..extra as u32).collect(),
        Some(list) => list.iter().filter_map(|d| u32::try_from(*d).ok()).collect(),
    };
    if durations.len() != extra {
        return Err(fields.fault(
            "decoding.durations",
            "one duration per extra output of the joint",
        ));
    }
    let pred_hidden = fields.size("decoder.prednet.pred_hidden", 1..=1 << 16, None)?;
    let activation = fields
        .text("joint.jointnet.activation")
        .unwrap_or("relu")
        .parse::<Activation>();
    Ok(TransducerConfig {
        vocab,
        blank: classes as u32,
        pred_hidden,
        pred_layers: fields.size("decoder.prednet.pred_rnn_layers", 1..=64, Some(1))?,
        joint_hidden: fields.size("joint.jointnet.joint_hidden", 1..=1 << 16, None)?,
        encoder_hidden: width,
        durations,
        max_symbols: fields.size("decoding.greedy.max_symbols", 1..=1 << 16, Some(10))? as u32,
        activation: activation
            .map_err(|_| fields.fault("joint.jointnet.activation", "relu, tanh or sigmoid"))?,
    })
}

fn prompt(fields: &Fields<'_>, checkpoint: &Checkpoint) -> Result<PromptConfig, WeightsError> {
    let slots = fields.size("model_defaults.num_prompts", 1..=1 << 16, Some(128))?;
    let languages = Fields::languages(fields.get("model_defaults.prompt_dictionary"), slots);
    let inner = checkpoint
        .tensors()
        .shape("prompt_kernel.0.weight")
        .and_then(|s| s.first())
        .copied();
    let default_slot = languages.get("auto").copied().unwrap_or(101.min(slots - 1));
    Ok(PromptConfig {
        slots,
        inner: inner.unwrap_or(2048),
        default_slot,
        languages,
    })
}
