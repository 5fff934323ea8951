"""DAC's weights as the `descript-audio-codec` package saves them: its names, weight norm, its own kind of config.

Names and arguments: `dac/model/dac.py` of github.com/descriptinc/descript-audio-codec (c7cfc5d).
"""

import re
from collections import OrderedDict

import torch
from transformers import DacModel


def checkpoint(model: DacModel) -> dict:
    """What its `BaseModel.save` writes: `state_dict` and `metadata.kwargs`."""
    config = model.config
    state = OrderedDict()
    for name, tensor in model.state_dict().items():
        name = _name(name, len(config.downsampling_ratios))
        if name.endswith(".weight") and "codebook" not in name:
            length = tensor.flatten(1).norm(dim=1).reshape(-1, 1, 1)
            state[name + "_g"] = length
            state[name + "_v"] = tensor * torch.empty_like(length).uniform_(0.5, 2.0)
        else:
            state[name] = tensor
    kwargs = {
        "encoder_dim": config.encoder_hidden_size, "encoder_rates": list(config.downsampling_ratios),
        "latent_dim": config.hidden_size, "decoder_dim": config.decoder_hidden_size,
        "decoder_rates": list(config.upsampling_ratios), "n_codebooks": config.n_codebooks,
        "codebook_size": config.codebook_size, "codebook_dim": config.codebook_dim,
        "quantizer_dropout": config.quantizer_dropout, "sample_rate": config.sampling_rate,
    }
    return {"state_dict": state, "metadata": {"kwargs": kwargs}}


def _name(name: str, blocks: int) -> str:
    unit = {"snake1": 0, "conv1": 1, "snake2": 2, "conv2": 3}
    if match := re.match(r"(encoder|decoder)\.block\.(\d+)\.(?:res_unit(\d)\.)?(\w+)\.(\w+)$", name):
        side, block, residual, layer, rest = match.groups()
        stack = "block" if side == "encoder" else "model"
        first = 0 if side == "encoder" else 2
        if residual:
            inside = f"{first + int(residual) - 1}.block.{unit[layer]}"
        else:
            inside = {"snake1": 3, "conv1": 4}[layer] if side == "encoder" else {"snake1": 0, "conv_t1": 1}[layer]
        return f"{side}.{stack}.{int(block) + 1}.block.{inside}.{rest}"
    ends = {"conv1": 0, "snake1": blocks + 1, "conv2": blocks + 2}
    if match := re.match(r"(encoder|decoder)\.(\w+)\.(\w+)$", name):
        return f"{match[1]}.{'block' if match[1] == 'encoder' else 'model'}.{ends[match[2]]}.{match[3]}"
    return name
