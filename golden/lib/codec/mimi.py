"""`transformers`' MimiModel: tiny and full-size random models, and what they say."""

import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import MimiConfig, MimiModel
from transformers.models.mimi.modeling_mimi import (
    MimiEuclideanCodebook,
    MimiLayerScale,
    MimiResnetBlock,
    MimiTransformerLayer,
    MimiTransformerModel,
)

from . import files, liven, moshi, quantise
from .case import Codec, Encoded, Spec, Tensors

# fmt: off
PUBLISHED = [
    Spec("mimi", 240_000, dict(sampling_rate=24_000, frame_rate=12.5, rope_theta=10_000.0, num_quantizers=32),
        books=(8,), calibration=1_440_000, strict=False, layout="moshi"),
]
CASES = [
    Spec("24khz", 12 * 1920 - 700, dict(
        sampling_rate=24_000, frame_rate=12.5, rope_theta=10_000.0, num_filters=2, hidden_size=32, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=4, intermediate_size=64, sliding_window=8, num_quantizers=4,
        codebook_size=32, codebook_dim=16, vector_quantization_hidden_dimension=16, upsample_groups=32),
        books=(2,), layout="moshi"),
    Spec("every_field", 40 * 24 - 5, dict(
        sampling_rate=16_000, num_filters=4, hidden_size=32, upsampling_ratios=[4, 3], kernel_size=5,
        last_kernel_size=5, residual_kernel_size=5, num_residual_layers=2, dilation_growth_rate=3, compress=4, use_conv_shortcut=True,
        num_hidden_layers=1, num_attention_heads=4, num_key_value_heads=2, head_dim=16, intermediate_size=48,
        attention_bias=True, norm_eps=1e-3, sliding_window=5, num_quantizers=5, num_semantic_quantizers=2,
        codebook_size=32, codebook_dim=12, vector_quantization_hidden_dimension=12, upsample_groups=8,
        rope_parameters={"rope_type": "default", "rope_theta": 500.0}), every_layer=True, books=(2, 3)),
    Spec("no_projection", 60 * 16 - 9, dict(
        sampling_rate=8_000, num_filters=4, hidden_size=16, upsampling_ratios=[4, 2], num_hidden_layers=1,
        num_attention_heads=2, num_key_value_heads=2, intermediate_size=32, sliding_window=16, num_quantizers=3,
        codebook_size=32, codebook_dim=16, vector_quantization_hidden_dimension=16, upsample_groups=16)),
]
# fmt: on


def build(spec: Spec) -> "Mimi":
    torch.manual_seed(spec.seed)
    codec = Mimi(MimiModel(MimiConfig(**spec.config)).eval())
    model = codec.model
    for module in model.modules():
        if isinstance(module, nn.Linear):
            module.reset_parameters()
        if isinstance(module, MimiLayerScale):
            module.scale.data.uniform_(0.3, 0.9)
        if isinstance(module, MimiTransformerLayer):
            module.self_attn.q_proj.weight.data.mul_(3.0)
            module.self_attn.k_proj.weight.data.mul_(3.0)
    liven.randomise_norms(model)
    sizes = {layer: 1.0 for layer in model.modules() if isinstance(layer, (nn.Conv1d, nn.ConvTranspose1d))}
    sizes |= {module.block[-1].conv: 0.6 for module in model.modules() if isinstance(module, MimiResnetBlock)}
    sizes[model.decoder.decoder_seanet.layers[-1].conv] = 0.3
    pcm = files.speech(spec.calibration or 200 * codec.hop, codec.hop, spec.seed + 1000)
    with torch.no_grad():
        liven.scale_layers(sizes, model.encoder, lambda: codec.latents(pcm))
        z = codec.latents(pcm)
        teach(codec, z)
        z_q = model.quantizer.decode(model.quantizer.encode(z).transpose(0, 1))
        liven.scale_layers(sizes, model.decoder, lambda: model.decoder(z_q))
    return codec


@torch.no_grad()
def teach(codec: "Mimi", z: torch.Tensor) -> None:
    """Whitens what both chains of books see of `z` `[1, C, T]`; the second makes up for what the first lacks."""
    missing = z[0].T
    for chain in codec.chains:
        seen = z[0].T
        if chain.input_proj is not None:
            weight = liven.whitening(seen, len(chain.input_proj.weight))[0]
            chain.input_proj.weight.copy_(weight[:, :, None])
            seen = seen @ weight.T
        residual = seen
        for layer in chain.layers:
            set_book(layer.codebook, liven.euclidean_book(residual, layer.codebook.codebook_size))
            residual = residual - layer.codebook.embed[layer.codebook.quantize(residual)]
        found = seen - residual
        if chain.output_proj is not None:
            weight = liven.regression(found, missing)[0]
            chain.output_proj.weight.copy_(weight[:, :, None])
            found = found @ weight.T
        missing = missing - found


def set_book(book: MimiEuclideanCodebook, entries: torch.Tensor) -> None:
    """As a sum and a usage; one usage in ten is below the limit of 1e-5 that the reference divides by at least."""
    usage = torch.empty(len(entries)).uniform_(0.5, 20.0)
    rare = torch.rand(len(entries)) < 0.1
    book.cluster_usage.copy_(torch.where(rare, torch.tensor(1e-7), usage))
    book.embed_sum.copy_(entries * book.cluster_usage.clamp(min=book.epsilon)[:, None])
    book._embed = None


def load(folder: Path) -> "Mimi":
    return Mimi(MimiModel.from_pretrained(folder).eval())


class Mimi(Codec):
    family = "mimi"
    has_ceiling = False
    time_major = (MimiTransformerLayer,)

    def __init__(self, model: MimiModel):
        self.model, config = model, model.config
        self.sample_rate = config.sampling_rate
        self.hop = self.pad_to = 2 * math.prod(config.upsampling_ratios)
        assert self.hop == config.sampling_rate / config.frame_rate
        self.books = [{"size": config.codebook_size, "stride": 1}] * config.num_quantizers

    @property
    def chains(self) -> tuple[nn.Module, nn.Module]:
        quantizer = self.model.quantizer
        return quantizer.semantic_residual_vector_quantizer, quantizer.acoustic_residual_vector_quantizer

    def in_double(self) -> Codec:
        other = super().in_double()
        for module in other.model.modules():
            if isinstance(module, MimiEuclideanCodebook):
                module._embed = None  # made once, in f32
        return other

    def latents(self, pcm: torch.Tensor) -> torch.Tensor:
        """`[1, C, T]`"""
        return self.model.encoder(pcm[None, None]).latents

    @torch.no_grad()
    def encode(self, pcm: torch.Tensor) -> Encoded:
        codes = list(self.model.encode(pcm[None, None]).audio_codes[0])
        few = self.model.config.num_semantic_quantizers
        fewer = self.model.encode(pcm[None, None], num_quantizers=few).audio_codes[0]
        assert torch.equal(fewer, torch.stack(codes[:few])), "fewer books are not a prefix"
        z = self.latents(pcm)
        margins = []
        for chain in self.chains:
            seen = (z if chain.input_proj is None else chain.input_proj(z))[0].T
            books = [layer.codebook.embed for layer in chain.layers]
            margins += quantise.residual_margins(seen, books, codes[len(margins) : len(margins) + len(books)])
        return Encoded(codes, margins, z.shape[-1])

    @torch.no_grad()
    def decode(self, heard: Encoded, noise: list[torch.Tensor] | None = None) -> torch.Tensor:
        return self.model.decode(torch.stack(heard.codes)[None]).audio_values[0, 0]

    def watched(self, every_layer: bool) -> dict[str, nn.Module]:
        """By the names in the file."""
        encoder, decoder = self.model.encoder, self.model.decoder
        out = {}
        for side, half in (("encoder", encoder.encoder_transformer), ("decoder", decoder.decoder_transformer)):
            out |= {f"{side}_transformer.layers.{index}": layer for index, layer in enumerate(half.layers)}
        if every_layer:
            for side, half in (("encoder", encoder.encoder_seanet), ("decoder", decoder.decoder_seanet)):
                out |= {f"{side}.layers.{index}": layer for index, layer in enumerate(half.layers)}
            out["upsample"] = decoder.upsample
        return out

    def pass_seams(self, pcm: torch.Tensor, heard: Encoded) -> Tensors:
        z = self.latents(pcm)
        z_q = self.model.quantizer.decode(torch.stack(heard.codes)[None])
        self.model.decoder(z_q)
        return {"z": z[0].T, "z_q": z_q[0].T}

    @torch.no_grad()
    def check_longest(self, pcm: torch.Tensor, heard: Encoded) -> None:
        """A query sees itself and the `sliding_window - 1` keys before it, however attention is computed, and this
        matters."""
        z, out = self.latents(pcm), self.decode(heard)
        with self.attention("eager"):
            assert (self.latents(pcm) - z).abs().max() < 1e-4 and (self.decode(heard) - out).abs().max() < 1e-4
        window = self.model.config.sliding_window
        with self.mask(window):
            assert (self.latents(pcm) - z).abs().max() < 1e-4 and (self.decode(heard) - out).abs().max() < 1e-4
        if heard.frames * 2 > window + 2:
            for other in (window - 1, window + 1):
                with self.mask(other):
                    assert (self.latents(pcm) - z).abs().max() > 1e-3, "the encoder's window does not matter"
                    assert (self.decode(heard) - out).abs().max() > 1e-3, "the decoder's window does not matter"

    @contextmanager
    def attention(self, implementation: str) -> Iterator[None]:
        before = self.model.config._attn_implementation
        self.model.set_attn_implementation(implementation)
        yield
        self.model.set_attn_implementation(before)

    @contextmanager
    def mask(self, window: int) -> Iterator[None]:
        """Gives both transformers an explicit mask in which a query sees `window` keys, its own the last."""

        def band(_module, args, kwargs):
            steps = torch.arange(args[0].shape[1])
            age = steps[:, None] - steps
            return args, kwargs | {"attention_mask": ((age >= 0) & (age < window))[None, None]}

        transformers = [module for module in self.model.modules() if isinstance(module, MimiTransformerModel)]
        hooks = [module.register_forward_pre_hook(band, with_kwargs=True) for module in transformers]
        yield
        for hook in hooks:
            hook.remove()

    def write_model(self, spec: Spec, folder: Path) -> None:
        self.model.save_pretrained(folder)
        path = folder / "config.json"
        config = json.loads(path.read_text())
        config.pop("_frame_rate")
        if "rope_theta" in spec.config:
            config.pop("rope_parameters")
        path.write_text(json.dumps(config | spec.config, indent=2) + "\n")
        if spec.layout == "moshi":
            tensors = moshi.names(load_file(folder / "model.safetensors"), self.model.config)
            other = folder.parent / "moshi"
            other.mkdir()
            save_file(tensors, other / "tokenizer-tiny-checkpoint.safetensors")
            (other / "config.json").write_text(path.read_text())
