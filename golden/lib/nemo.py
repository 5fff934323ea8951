"""Writes the `.nemo` form of a model: a tar of `model_config.yaml`, `model_weights.ckpt` and the tokenizer."""

import gzip
import hashlib
import io
import re
import tarfile
import tempfile
from collections import OrderedDict
from pathlib import Path

import torch
import yaml

from .text import pieces

RENAMED = [
    (r"^encoder\.subsampling\.conv_in\.", "encoder.pre_encode.conv.0."),
    (r"^encoder\.subsampling\.layers\.0\.depthwise_conv\.", "encoder.pre_encode.conv.2."),
    (r"^encoder\.subsampling\.layers\.0\.pointwise_conv\.", "encoder.pre_encode.conv.3."),
    (r"^encoder\.subsampling\.layers\.1\.depthwise_conv\.", "encoder.pre_encode.conv.5."),
    (r"^encoder\.subsampling\.layers\.1\.pointwise_conv\.", "encoder.pre_encode.conv.6."),
    (r"^encoder\.subsampling\.layers\.", "encoder.pre_encode.conv."),
    (r"^encoder\.subsampling\.linear\.", "encoder.pre_encode.out."),
    (r"\.conv\.norm\.", ".conv.batch_norm."),
    (r"\.self_attn\.([qkv])_proj\.", r".self_attn.linear_\1."),
    (r"\.self_attn\.o_proj\.", ".self_attn.linear_out."),
    (r"\.self_attn\.relative_k_proj\.", ".self_attn.linear_pos."),
    (r"\.self_attn\.bias_([uv])$", r".self_attn.pos_bias_\1"),
    (r"^decoder\.embedding\.", "decoder.prediction.embed."),
    (r"^decoder\.lstm\.", "decoder.prediction.dec_rnn.lstm."),
    (r"^decoder\.decoder_projector\.", "joint.pred."),
    (r"^encoder_projector\.", "joint.enc."),
    (r"^joint\.head\.", "joint.joint_net.2."),
    (r"^ctc_head\.", "decoder.decoder_layers.0."),
    (r"^prompt_projector\.linear_1\.", "prompt_kernel.0."),
    (r"^prompt_projector\.linear_2\.", "prompt_kernel.2."),
]


def nemo_name(name: str) -> str:
    for pattern, replacement in RENAMED:
        name = re.sub(pattern, replacement, name)
    return name


def state_dict(model, extractor, ctc_head=None) -> OrderedDict:
    """The weights under NeMo's names, front end included. `ctc_head` is a hybrid's second head."""
    out = OrderedDict()
    out["preprocessor.featurizer.window"] = torch.hann_window(extractor.win_length, periodic=False)
    out["preprocessor.featurizer.fb"] = extractor.mel_filters[None].clone()
    for name, tensor in model.state_dict().items():
        out[nemo_name(name)] = tensor.clone()
    if ctc_head is not None:
        out["ctc_decoder.decoder_layers.0.weight"] = ctc_head.weight.detach().clone()
        out["ctc_decoder.decoder_layers.0.bias"] = ctc_head.bias.detach().clone()
    out._metadata = OrderedDict(
        (name.rsplit(".", 1)[0], {"version": 1}) for name in ["", *list(out)]
    )
    return out


def config(spec, model, extractor, tokenizer_name: str, vocabulary_name: str, vocabulary: list[str]) -> dict:
    """`model_config.yaml`, with the keys that the released models have."""
    encoder = model.config.encoder_config
    hidden = getattr(model.config, "decoder_hidden_size", 0)
    target = {
        "tdt": "rnnt_bpe_models.EncDecRNNTBPEModel",
        "rnnt": "rnnt_bpe_models.EncDecRNNTBPEModel",
        "nemotron": "rnnt_bpe_models.EncDecRNNTBPEModel",
        "nemotron3_5": "rnnt_bpe_models_prompt.EncDecRNNTBPEModelWithPrompt",
        "ctc": "ctc_bpe_models.EncDecCTCModelBPE",
        "hybrid": "hybrid_rnnt_ctc_bpe_models.EncDecHybridRNNTCTCBPEModel",
    }[spec.head]
    durations = list(getattr(model.config, "durations", []))
    out = {
        "sample_rate": 16000,
        "compute_eval_loss": False,
        "log_prediction": True,
        "skip_nan_grad": False,
        "target": f"nemo.collections.asr.models.{target}",
        "nemo_version": "2.4.0",
        "tokenizer": {
            "dir": "???",
            "type": "bpe",
            "model_path": f"nemo:{tokenizer_name}",
            "vocab_path": f"nemo:{vocabulary_name}",
        },
        "preprocessor": {
            "_target_": "nemo.collections.asr.modules.AudioToMelSpectrogramPreprocessor",
            "sample_rate": 16000,
            "normalize": "NA" if spec.streaming else "per_feature",
            "window_size": 0.025,
            "window_stride": 0.01,
            "window": "hann",
            "features": spec.mels,
            "n_fft": 512,
            "log": True,
            "frame_splicing": 1,
            "dither": 1.0e-05,
            "pad_to": 0,
            "pad_value": 0.0,
        },
        "spec_augment": {
            "_target_": "nemo.collections.asr.modules.SpectrogramAugmentation",
            "freq_masks": 2,
            "time_masks": 10,
            "freq_width": 27,
            "time_width": 0.05,
        },
        "encoder": {
            "_target_": "nemo.collections.asr.modules.ConformerEncoder",
            "feat_in": spec.mels,
            "feat_out": -1,
            "n_layers": encoder.num_hidden_layers,
            "d_model": encoder.hidden_size,
            "subsampling": "dw_striding",
            "subsampling_factor": encoder.subsampling_factor,
            "subsampling_conv_channels": encoder.subsampling_conv_channels,
            "causal_downsampling": spec.streaming,
            "reduction": None,
            "reduction_position": None,
            "reduction_factor": 1,
            "ff_expansion_factor": encoder.intermediate_size // encoder.hidden_size,
            "self_attention_model": "rel_pos",
            "n_heads": encoder.num_attention_heads,
            "att_context_size": [[spec.left, right] for right in spec.rights] if spec.streaming else [-1, -1],
            "att_context_style": "chunked_limited" if spec.streaming else "regular",
            "xscaling": encoder.scale_input,
            "untie_biases": True,
            "pos_emb_max_len": 5000,
            "conv_kernel_size": encoder.conv_kernel_size,
            "conv_norm_type": "layer_norm" if spec.streaming else "batch_norm",
            "conv_context_size": "causal" if spec.streaming else None,
            "dropout": 0.1,
            "dropout_pre_encoder": 0.1,
            "dropout_emb": 0.0,
            "dropout_att": 0.1,
            "stochastic_depth_drop_prob": 0.0,
        },
        "optim": {"name": "adamw", "lr": 1.0e-3, "betas": [0.9, 0.98], "weight_decay": 1.0e-3},
    }
    if spec.nemo != "no_bias_key" and not spec.bias:
        out["encoder"]["use_bias"] = False
    ctc_decoder = {
        "_target_": "nemo.collections.asr.modules.ConvASRDecoder",
        "feat_in": encoder.hidden_size,
        "num_classes": spec.vocabulary,
        "vocabulary": vocabulary,
    }
    if spec.head == "ctc":
        out["decoder"] = ctc_decoder
        out["decoding"] = {"strategy": "greedy_batch", "preserve_alignments": None, "compute_timestamps": None}
        return out
    out["model_defaults"] = {"enc_hidden": encoder.hidden_size, "pred_hidden": hidden, "joint_hidden": hidden}
    out["decoder"] = {
        "_target_": "nemo.collections.asr.modules.RNNTDecoder",
        "normalization_mode": None,
        "random_state_sampling": False,
        "blank_as_pad": True,
        "prednet": {"pred_hidden": hidden, "pred_rnn_layers": spec.lstm_layers, "t_max": None, "dropout": 0.2},
        "vocab_size": spec.vocabulary,
    }
    out["joint"] = {
        "_target_": "nemo.collections.asr.modules.RNNTJoint",
        "log_softmax": None,
        "preserve_memory": False,
        "fuse_loss_wer": True,
        "fused_batch_size": 4,
        "jointnet": {
            "joint_hidden": hidden,
            "activation": "relu",
            "dropout": 0.2,
            "encoder_hidden": encoder.hidden_size,
            "pred_hidden": hidden,
        },
        "num_classes": spec.vocabulary,
        "vocabulary": vocabulary,
    }
    out["decoding"] = {"strategy": "greedy_batch", "greedy": {"max_symbols": 10}, "beam": {"beam_size": 2}}
    if durations:
        out["model_defaults"] |= {"num_tdt_durations": len(durations), "tdt_durations": durations}
        out["joint"]["num_extra_outputs"] = len(durations)
        out["decoding"] |= {"model_type": "tdt", "durations": durations}
    if spec.head == "hybrid":
        out["aux_ctc"] = {"ctc_loss_weight": 0.3, "use_cer": False, "decoder": ctc_decoder}
        out["aux_ctc"]["decoding"] = {"strategy": "greedy_batch"}
    if spec.head == "nemotron3_5":
        out["model_defaults"] |= {
            "initialize_prompt_feature": True,
            "num_prompts": model.config.num_prompts,
            "prompt_dictionary": {"en-US": 0, "de-DE": 9, "auto": 101},
        }
    return out


def write(path: Path, spec, model, extractor, sentencepiece: bytes, ctc_head=None) -> None:
    """A gzip'd tar with `./` prefixes for `spec.nemo == "gzip"`, else a plain tar with bare names."""
    digest = hashlib.md5(sentencepiece).hexdigest()
    vocabulary = pieces(sentencepiece)
    listed = ("\n".join(vocabulary) + "\n").encode()
    tokenizer_name = f"{digest}_tokenizer.model"
    vocabulary_name = f"{hashlib.md5(listed).hexdigest()}_vocab.txt"
    yaml_text = yaml.safe_dump(
        config(spec, model, extractor, tokenizer_name, vocabulary_name, vocabulary), sort_keys=False, allow_unicode=True
    )
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = Path(folder) / "model_weights.ckpt"
        torch.save(state_dict(model, extractor, ctc_head), checkpoint)
        members = {
            "model_config.yaml": yaml_text.encode(),
            tokenizer_name: sentencepiece,
            vocabulary_name: listed,
            "model_weights.ckpt": checkpoint.read_bytes(),
        }
    packed = io.BytesIO()
    prefix = "./" if spec.nemo == "gzip" else ""
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.GNU_FORMAT) as tar:
        if prefix:
            folder_entry = tarfile.TarInfo("./")
            folder_entry.type, folder_entry.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(folder_entry)
        for name, data in members.items():
            entry = tarfile.TarInfo(prefix + name)
            entry.size, entry.mode = len(data), 0o644
            tar.addfile(entry, io.BytesIO(data))
    data = packed.getvalue()
    path.write_bytes(gzip.compress(data, mtime=0) if spec.nemo == "gzip" else data)


def restyle(source: Path, target: Path, attention: str) -> None:
    """A copy of a plain `.nemo` whose configuration names another style of attention."""
    with tarfile.open(source) as old, tarfile.open(target, "w", format=tarfile.USTAR_FORMAT) as new:
        for member in old:
            data = old.extractfile(member).read()
            if member.name.endswith("model_config.yaml"):
                data = data.replace(b"att_context_style: regular", f"att_context_style: {attention}".encode())
                member.size = len(data)
            new.addfile(member, io.BytesIO(data))
