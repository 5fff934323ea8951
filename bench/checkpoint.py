"""A full-size random FastConformer (the shape of parakeet-tdt-0.6b-v2), its ONNX export, and features to feed it."""

import logging
from pathlib import Path

import numpy as np
import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from torch import nn
from transformers import ParakeetEncoderConfig, ParakeetFeatureExtractor, ParakeetForTDT, ParakeetProcessor
from transformers import ParakeetTDTConfig
from transformers.utils import logging as transformers_logging
from transformers.models.parakeet.tokenization_parakeet import ParakeetTokenizer

from work import MELS

VOCABULARY = 1024
QUANTIZATION = {"weight_type": "QInt8", "per_channel": True, "reduce_range": False, "op_types_to_quantize": ["MatMul"]}

transformers_logging.disable_progress_bar()


@torch.no_grad()
def build(folder: Path, layers: int, seed: int) -> None:
    """Writes a Hugging Face checkpoint in f32. Each layer gets its own default initialisation, seeded."""
    encoder = ParakeetEncoderConfig(
        hidden_size=1024, num_hidden_layers=layers, num_attention_heads=8, intermediate_size=4096, conv_kernel_size=9,
        attention_bias=False, convolution_bias=False, scale_input=False, num_mel_bins=MELS,
        subsampling_conv_channels=256,
    )
    model = ParakeetForTDT(
        ParakeetTDTConfig(
            vocab_size=VOCABULARY + 1, blank_token_id=VOCABULARY, pad_token_id=1, encoder_config=encoder.to_dict()
        )
    ).eval()
    initialise(model, seed)
    model.save_pretrained(folder)
    ParakeetProcessor(ParakeetFeatureExtractor(feature_size=MELS), tokenizer(), decoder_type="tdt").save_pretrained(folder)


@torch.no_grad()
def initialise(model: nn.Module, seed: int) -> None:
    torch.manual_seed(seed)
    for module in model.modules():
        if hasattr(module, "reset_parameters"):
            module.reset_parameters()
        if hasattr(module, "bias_u"):
            module.bias_u.normal_(0.0, 0.1)
            module.bias_v.normal_(0.0, 0.1)
        if isinstance(module, nn.BatchNorm1d):
            module.running_mean.normal_(0.0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
    model.decoder.embedding.weight[VOCABULARY] = 0.0


def tokenizer() -> ParakeetTokenizer:
    """A vocabulary of the right size; its words mean nothing."""
    names = ["<unk>", "<pad>"] + [f"▁w{i}" for i in range(VOCABULARY - 2)]
    made = Tokenizer(models.BPE(vocab={name: i for i, name in enumerate(names)}, merges=[], unk_token="<unk>"))
    made.pre_tokenizer, made.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
    made.add_special_tokens([AddedToken(name, special=True, normalized=False) for name in ("<unk>", "<pad>", "<blank>")])
    return ParakeetTokenizer(tokenizer_object=made, unk_token="<unk>", pad_token="<pad>")


class Encoder(nn.Module):
    """Features `[1, N, mels]` without padding -> `[1, T, d]`."""

    def __init__(self, encoder: nn.Module):
        super().__init__()
        self.encoder = encoder

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return self.encoder(features).last_hidden_state


def load_encoder(folder: Path, dtype: torch.dtype) -> Encoder:
    return Encoder(ParakeetForTDT.from_pretrained(folder, dtype=dtype).encoder).eval()


def export(folder: Path, path: Path) -> None:
    """The encoder as ONNX with a dynamic number of frames; weights beside it as external data."""
    encoder = load_encoder(folder, torch.float32)
    encoder.encoder.set_attn_implementation("eager")  # the exporter trips over the strides of "sdpa"
    torch.onnx.export(
        encoder,
        (torch.randn(1, 304, MELS),),
        path,
        input_names=["features"],
        output_names=["encoded"],
        dynamic_shapes={"features": {1: torch.export.Dim("frames", min=16, max=30_000)}},
        dynamo=True,
        external_data=True,
    )


def quantize(path: Path, quantized: Path) -> None:
    """Dynamic quantisation as ONNX Runtime's users do it; rten runs the same file.

    Every linear map becomes `MatMulInteger` with one scale per output channel and unsigned activations with one scale
    per call. Pointwise convolutions (an eighth of the arithmetic) stay in f32, as rten's guide advises for files of both.
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic

    logging.getLogger().setLevel(logging.ERROR)  # it advises a preprocessing that changes nothing here
    options = QUANTIZATION | {"weight_type": QuantType[QUANTIZATION["weight_type"]]}
    quantize_dynamic(path, quantized, use_external_data_format=True, **options)


def pcm(seconds: float, seed: int) -> np.ndarray:
    """Noise that comes and goes, mono f32 at 16 kHz."""
    samples = int(seconds * 16_000)
    rng = np.random.default_rng(seed)
    loudness = 0.02 + 0.1 * np.sin(np.arange(samples) * 2 * np.pi * 3.0 / 16_000) ** 2
    return (loudness * rng.normal(size=samples)).astype(np.float32)


def mel(extractor, audio: np.ndarray) -> np.ndarray:
    """What an extractor of `transformers` makes of it, `[floor(samples / 160), mels]`."""
    frames = extractor([audio], sampling_rate=16_000, return_tensors="pt")["input_features"][0]
    return frames[: len(audio) // 160].numpy()


def features(seconds: float, seed: int) -> np.ndarray:
    """Normalised log-mel features of the bench's audio."""
    return mel(ParakeetFeatureExtractor(feature_size=MELS), pcm(seconds, seed))
