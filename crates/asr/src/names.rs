//! One set of tensor names: NeMo's. Checkpoints in Hugging Face form are renamed to it.

/// Beginnings of names, Hugging Face's and NeMo's, as in `convert_nemo_to_hf.py` of `transformers`.
const PREFIXES: [(&str, &str); 9] = [
    ("encoder.subsampling.linear.", "encoder.pre_encode.out."),
    ("decoder.embedding.", "decoder.prediction.embed."),
    ("decoder.lstm.", "decoder.prediction.dec_rnn.lstm."),
    ("decoder.decoder_projector.", "joint.pred."),
    ("encoder_projector.", "joint.enc."),
    ("joint.head.", "joint.joint_net.2."),
    ("ctc_head.", "decoder.decoder_layers.0."),
    ("prompt_projector.linear_1.", "prompt_kernel.0."),
    ("prompt_projector.linear_2.", "prompt_kernel.2."),
];

/// Parts of an encoder layer, likewise.
const LAYER_PARTS: [(&str, &str); 8] = [
    ("conv.norm.", "conv.batch_norm."),
    ("self_attn.q_proj.", "self_attn.linear_q."),
    ("self_attn.k_proj.", "self_attn.linear_k."),
    ("self_attn.v_proj.", "self_attn.linear_v."),
    ("self_attn.o_proj.", "self_attn.linear_out."),
    ("self_attn.relative_k_proj.", "self_attn.linear_pos."),
    ("self_attn.bias_u", "self_attn.pos_bias_u"),
    ("self_attn.bias_v", "self_attn.pos_bias_v"),
];

/// The NeMo name of a Hugging Face tensor of the FastConformer families; `None` where both agree or it is unknown.
pub(crate) fn nemo_name(name: &str) -> Option<String> {
    let subsampling = name.strip_prefix("encoder.subsampling.");
    if let Some(stage) = subsampling.and_then(subsampling_name) {
        return Some(format!("encoder.pre_encode.conv.{stage}"));
    }
    renamed(name, |(theirs, ours)| (theirs, ours))
}

/// The Hugging Face name of a NeMo tensor, for errors about Hugging Face checkpoints. The `causal` family numbers the
/// stages of its subsampling, the other one its operations.
pub(crate) fn hugging_face_name(name: &str, causal: bool) -> Option<String> {
    let Some(rest) = name.strip_prefix("encoder.pre_encode.conv.") else {
        return renamed(name, |(theirs, ours)| (ours, theirs));
    };
    let (index, part) = rest.split_once('.')?;
    let index: usize = index.parse().ok()?;
    Some(match (causal, index) {
        (false, _) => format!("encoder.subsampling.layers.{index}.{part}"),
        (true, 0) => format!("encoder.subsampling.conv_in.{part}"),
        (true, _) => {
            let kind = if index % 3 == 2 {
                "depthwise_conv"
            } else {
                "pointwise_conv"
            };
            format!(
                "encoder.subsampling.layers.{}.{kind}.{part}",
                (index - 2) / 3
            )
        }
    })
}

/// `name` with its beginning, or the beginning of its part of a layer, replaced; `order` says (from, to).
fn renamed<'a>(
    name: &str,
    order: impl Fn((&'a str, &'a str)) -> (&'a str, &'a str),
) -> Option<String> {
    let replaced = |name: &str, table: &[(&'a str, &'a str)]| {
        table.iter().find_map(|pair| {
            let (from, to) = order(*pair);
            Some(format!("{to}{}", name.strip_prefix(from)?))
        })
    };
    if let Some(rest) = name.strip_prefix("encoder.layers.") {
        let (layer, part) = rest.split_once('.')?;
        return Some(format!(
            "encoder.layers.{layer}.{}",
            replaced(part, &LAYER_PARTS)?
        ));
    }
    replaced(name, &PREFIXES)
}

fn subsampling_name(rest: &str) -> Option<String> {
    if let Some(rest) = rest.strip_prefix("conv_in.") {
        return Some(format!("0.{rest}"));
    }
    let rest = rest.strip_prefix("layers.")?;
    let (index, part) = rest.split_once('.')?;
    let stage: usize = index.parse().ok()?;
    if let Some(rest) = part.strip_prefix("depthwise_conv.") {
        return Some(format!("{}.{rest}", stage.checked_mul(3)?.checked_add(2)?));
    }
    if let Some(rest) = part.strip_prefix("pointwise_conv.") {
        return Some(format!("{}.{rest}", stage.checked_mul(3)?.checked_add(3)?));
    }
    Some(format!("{stage}.{part}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hugging_face_names_become_nemo_names() {
        let cases = [
            (
                "encoder.subsampling.layers.0.weight",
                "encoder.pre_encode.conv.0.weight",
            ),
            (
                "encoder.subsampling.layers.6.bias",
                "encoder.pre_encode.conv.6.bias",
            ),
            (
                "encoder.subsampling.conv_in.weight",
                "encoder.pre_encode.conv.0.weight",
            ),
            (
                "encoder.subsampling.layers.0.depthwise_conv.weight",
                "encoder.pre_encode.conv.2.weight",
            ),
            (
                "encoder.subsampling.layers.1.pointwise_conv.bias",
                "encoder.pre_encode.conv.6.bias",
            ),
            (
                "encoder.subsampling.linear.weight",
                "encoder.pre_encode.out.weight",
            ),
            (
                "encoder.layers.3.conv.norm.running_mean",
                "encoder.layers.3.conv.batch_norm.running_mean",
            ),
            (
                "encoder.layers.3.self_attn.o_proj.bias",
                "encoder.layers.3.self_attn.linear_out.bias",
            ),
            (
                "encoder.layers.3.self_attn.bias_u",
                "encoder.layers.3.self_attn.pos_bias_u",
            ),
            (
                "decoder.lstm.weight_ih_l0",
                "decoder.prediction.dec_rnn.lstm.weight_ih_l0",
            ),
            ("joint.head.weight", "joint.joint_net.2.weight"),
            ("ctc_head.weight", "decoder.decoder_layers.0.weight"),
        ];
        for (theirs, ours) in cases {
            assert_eq!(nemo_name(theirs).as_deref(), Some(ours));
            let causal = theirs.contains("conv_in") || theirs.contains("wise_conv.");
            assert_eq!(hugging_face_name(ours, causal).as_deref(), Some(theirs));
        }
        for same in [
            "encoder.layers.0.norm_out.weight",
            "encoder.layers.0.feed_forward1.linear1.bias",
            "other",
        ] {
            assert_eq!(nemo_name(same), None);
        }
    }
}
