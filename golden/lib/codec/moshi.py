"""Mimi's weights under the names and in the layout of the `moshi` package.

The opposite of `convert_mimi_checkpoint_to_pytorch.py` in transformers (bd8ef8983d22), which see for the names.
"""

import re

import torch

NAMES = [
    (r"^encoder\.layers\.(.*)\.conv\.(weight|bias)$", r"encoder.model.\1.conv.conv.\2"),
    (r"^decoder\.layers\.(.*)\.conv\.(weight|bias)$", r"decoder.model.\1.conv.conv.\2"),
    (r"^downsample\.conv\.", r"downsample.conv.conv.conv."),
    (r"^upsample\.conv\.", r"upsample.convtr.convtr.convtr."),
    (r"^(encoder|decoder)_transformer\.layers", r"\1_transformer.transformer.layers"),
    (r"mlp\.fc1\.", "linear1."),
    (r"mlp\.fc2\.", "linear2."),
    (r"self_attn\.o_proj\.", "self_attn.out_proj."),
    (r"input_layernorm\.", "norm1."),
    (r"post_attention_layernorm\.", "norm2."),
    (r"self_attn_layer_scale\.", "layer_scale_1."),
    (r"mlp_layer_scale\.", "layer_scale_2."),
    (r"quantizer\.semantic_residual_vector_quantizer\.layers\.", "quantizer.rvq_first.vq.layers."),
    (r"quantizer\.acoustic_residual_vector_quantizer\.layers\.", "quantizer.rvq_rest.vq.layers."),
    (r"quantizer\.semantic_residual_vector_quantizer\.", "quantizer.rvq_first."),
    (r"quantizer\.acoustic_residual_vector_quantizer\.", "quantizer.rvq_rest."),
    (r"\.codebook\.initialized", "._codebook._initialized"),
    (r"\.codebook\.embed_sum", "._codebook.embedding_sum"),
    (r"\.codebook\.cluster_usage", "._codebook.cluster_usage"),
]


def names(tensors: dict[str, torch.Tensor], config) -> dict[str, torch.Tensor]:
    upsampling = {2 + index * (2 + config.num_residual_layers) for index in range(len(config.upsampling_ratios))}
    out = {}
    for name, tensor in tensors.items():
        if match := re.match(r"(.*self_attn)\.([qkv])_proj\.weight$", name):
            if match[2] != "q":
                continue
            q, k, v = (tensors[f"{match[1]}.{part}_proj.weight"] for part in "qkv")
            heads = config.num_attention_heads
            name, tensor = f"{match[1]}.in_proj_weight", torch.cat([interleaved(q, heads), interleaved(k, heads), v])
        for pattern, replacement in NAMES:
            name = re.sub(pattern, replacement, name)
        if (match := re.match(r"decoder\.model\.(\d+)\.conv\.conv\.", name)) and int(match[1]) in upsampling:
            name = name.replace("conv.conv", "convtr.convtr")
        out[name] = tensor.contiguous()
    return out


def interleaved(weight: torch.Tensor, heads: int) -> torch.Tensor:
    """Rows that rotate together lie `head_dim / 2` apart; makes them neighbours. `[heads * head_dim, width]`"""
    rows, width = weight.shape
    return weight.view(heads, 2, rows // heads // 2, width).transpose(1, 2).reshape(rows, width)
