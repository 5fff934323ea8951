"""The `snac` package: tiny and full-size random models, and what they say."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from snac import SNAC
from snac.attention import LocalMHA
from snac.layers import NoiseBlock, ResidualUnit, Snake1d
from torch import nn

from . import files, liven, quantise
from .case import Codec, Encoded, Spec, Tensors
from .quantise import seen_by

# fmt: off
_SMALL = dict(
    encoder_dim=48, encoder_rates=[2, 4, 8, 8], decoder_dim=1024, decoder_rates=[8, 8, 4, 2], attn_window_size=None,
    codebook_size=4096, codebook_dim=8, vq_strides=[4, 2, 1], noise=True, depthwise=True)
_LARGE = dict(
    encoder_dim=64, encoder_rates=[2, 3, 8, 8], decoder_dim=1536, decoder_rates=[8, 8, 3, 2], attn_window_size=32,
    codebook_size=4096, codebook_dim=8, vq_strides=[8, 4, 2, 1], noise=True, depthwise=True)
PUBLISHED = [
    Spec("snac_24khz", 240_000, dict(sampling_rate=24_000) | _SMALL, calibration=96_000, strict=False),
    Spec("snac_32khz", 320_000, dict(sampling_rate=32_000) | _LARGE, calibration=98_304, strict=False),
    Spec("snac_44khz", 441_000, dict(sampling_rate=44_100) | _LARGE, calibration=98_304, strict=False),
]
CASES = [
    Spec("24khz", 9 * 2048 - 777, dict(
        sampling_rate=24_000, encoder_dim=3, encoder_rates=[2, 4, 8, 8], decoder_dim=16, decoder_rates=[8, 8, 4, 2],
        attn_window_size=None, codebook_size=1024, codebook_dim=8, vq_strides=[4, 2, 1], noise=True, depthwise=True)),
    Spec("44khz", 3 * 3072 - 1001, dict(
        sampling_rate=44_100, encoder_dim=4, encoder_rates=[2, 3, 4, 4], decoder_dim=64, decoder_rates=[4, 4, 3, 2],
        attn_window_size=32, codebook_size=256, codebook_dim=8, vq_strides=[8, 4, 2, 1], noise=True, depthwise=True)),
    Spec("two_heads", 5 * 96 - 11, dict(
        sampling_rate=32_000, encoder_dim=32, encoder_rates=[2, 2], decoder_dim=64, decoder_rates=[2, 2],
        attn_window_size=12, codebook_size=64, codebook_dim=8, vq_strides=[8, 4, 2, 1], noise=True, depthwise=True)),
    Spec("dense_attention", 4 * 64 - 3, dict(
        sampling_rate=32_000, encoder_dim=16, encoder_rates=[2, 2], decoder_dim=64, decoder_rates=[2, 2],
        attn_window_size=16, codebook_size=64, codebook_dim=8, vq_strides=[2, 1], noise=True, depthwise=False),
        every_layer=True),
    Spec("odd_rates", 5 * 3528 - 100, dict(
        sampling_rate=44_100, encoder_dim=2, encoder_rates=[3, 3, 7, 7], decoder_dim=16, decoder_rates=[7, 7, 3, 3],
        attn_window_size=None, codebook_size=100, codebook_dim=4, vq_strides=[8, 4, 2, 1], noise=True, depthwise=True)),
    Spec("dense_no_noise", 8 * 100 - 1, dict(
        sampling_rate=16_000, encoder_dim=8, encoder_rates=[2, 4], decoder_dim=24, decoder_rates=[4, 2],
        attn_window_size=None, codebook_size=16, codebook_dim=4, vq_strides=[1], noise=False, depthwise=False),
        every_layer=True),
    Spec("no_noise_three_blocks", 40 * 60 - 7, dict(
        sampling_rate=22_050, encoder_dim=8, encoder_rates=[4, 5], decoder_dim=32, decoder_rates=[2, 5, 2],
        attn_window_size=None, codebook_size=32, codebook_dim=8, vq_strides=[2, 1], noise=False, depthwise=True)),
    Spec("five_rates", 26 * 4 * 48 - 5, dict(
        sampling_rate=16_000, encoder_dim=2, encoder_rates=[2, 3, 2, 2, 2], latent_dim=64, decoder_dim=40,
        decoder_rates=[2, 2, 2, 3, 2], attn_window_size=None, codebook_size=100, codebook_dim=16, vq_strides=[4, 4, 2],
        noise=True, depthwise=True)),
    Spec("one_rate_big_book", 50 * 2 * 8 - 3, dict(
        sampling_rate=48_000, encoder_dim=16, encoder_rates=[8], latent_dim=None, decoder_dim=16, decoder_rates=[8],
        attn_window_size=None, codebook_size=4096, codebook_dim=8, vq_strides=[2, 1], noise=True, depthwise=True),
        every_layer=True),
    Spec("class_defaults", 4 * 128 - 30, dict(
        encoder_dim=16, encoder_rates=[2, 2], decoder_dim=64, decoder_rates=[2, 2], codebook_size=48)),
]
# fmt: on


def build(spec: Spec) -> "Snac":
    """A random SNAC that keeps its activations at a realistic size."""
    torch.manual_seed(spec.seed)
    codec = Snac(SNAC(**spec.config).eval())
    model = codec.model
    liven.randomise_snakes([module.alpha for module in model.modules() if isinstance(module, Snake1d)])
    liven.randomise_norms(model)
    for attention in (module for module in model.modules() if isinstance(module, LocalMHA)):
        attention.to_qkv.weight.data.mul_(2.0)
    pcm = files.speech(spec.calibration or 64 * codec.pad_to, codec.hop, spec.seed + 1000)
    sizes = {layer: 1.0 for layer in model.modules() if isinstance(layer, (nn.Conv1d, nn.ConvTranspose1d))}
    for module in model.modules():
        if isinstance(module, ResidualUnit):
            sizes[module.block[3]] = 0.6
        if isinstance(module, NoiseBlock):
            sizes[module.linear] = 0.4
    sizes[model.decoder.model[-2]] = 0.5
    with torch.no_grad():
        liven.scale_layers(sizes, model.encoder, lambda: codec.latents(pcm))
        z = codec.latents(pcm)
        liven.teach_factorised(list(model.quantizer.quantizers), z)
        z_q = model.quantizer(z)[0]
        liven.scale_layers(sizes, model.decoder, lambda: model.decoder(z_q))
    return codec


def load(folder: Path) -> "Snac":
    return Snac(SNAC.from_pretrained(str(folder)))


class Snac(Codec):
    family = "snac"

    def __init__(self, model: SNAC):
        self.model = model
        self.sample_rate, self.hop = model.sampling_rate, int(model.hop_length)
        self.pad_to = model.preprocess(torch.zeros(1, 1, 1)).shape[-1]
        self.books = [{"size": model.codebook_size, "stride": stride} for stride in model.vq_strides]

    def latents(self, pcm: torch.Tensor) -> torch.Tensor:
        """`[1, C, T]`"""
        return self.model.encoder(self.model.preprocess(pcm[None, None]))

    @torch.no_grad()
    def encode(self, pcm: torch.Tensor) -> Encoded:
        quantizers = self.model.quantizer.quantizers
        z = self.latents(pcm)
        with seen_by([quantizer.in_proj for quantizer in quantizers]) as seen:
            codes = [code[0] for code in self.model.quantizer(z)[1]]
        assert all(torch.equal(a, b[0]) for a, b in zip(codes, self.model.encode(pcm[None, None])))
        sure = [
            quantise.margins(e, quantizer.codebook.weight, code, normalise=True)
            for e, quantizer, code in zip(seen, quantizers, codes)
        ]
        return Encoded(codes, sure, z.shape[-1])

    @torch.no_grad()
    def decode(self, heard: Encoded, noise: list[torch.Tensor] | None = None) -> torch.Tensor:
        with patched_noise(noise):
            out = self.model.decode([code[None] for code in heard.codes])[0, 0]
        assert len(out) % self.hop == 0
        return out

    def draw_noise(self, heard: Encoded, seed: int) -> list[torch.Tensor]:
        """One normal `[T_block]` for each time step of each decoder block, in the order in which the reference asks."""
        with patched_noise(None) as asked, torch.no_grad():
            self.model.decode([code[None] for code in heard.codes])
        generator = torch.Generator().manual_seed(seed)
        return [torch.empty(shape[-1]).normal_(generator=generator) for shape in asked]

    def watched(self, every_layer: bool) -> dict[str, nn.Module]:
        halves = (("encoder.block", self.model.encoder.block), ("decoder.model", self.model.decoder.model))
        named = {f"{prefix}.{index}": layer for prefix, layers in halves for index, layer in enumerate(layers)}
        return {name: layer for name, layer in named.items() if every_layer or isinstance(layer, LocalMHA)}

    def pass_seams(self, pcm: torch.Tensor, heard: Encoded) -> Tensors:
        z = self.latents(pcm)
        z_q = self.model.quantizer.from_codes([code[None] for code in heard.codes])
        with patched_noise(None):
            self.model.decoder(z_q)
        return {"z": z[0].T, "z_q": z_q[0].T}

    def write_model(self, spec: Spec, folder: Path) -> None:
        folder.mkdir(parents=True)
        (folder / "config.json").write_text(json.dumps(spec.config, indent=2) + "\n")
        torch.save(self.model.state_dict(), folder / "pytorch_model.bin")


@contextmanager
def patched_noise(given: list[torch.Tensor] | None) -> Iterator[list[tuple[int, ...]]]:
    """Replaces `torch.randn` by zeros, or by the tensors given, in order. Yields the shapes asked for."""
    asked: list[tuple[int, ...]] = []

    def draw(shape, dtype, **_):
        asked.append(tuple(shape))
        return (torch.zeros(shape) if given is None else given[len(asked) - 1].reshape(shape)).to(dtype)

    original, torch.randn = torch.randn, draw
    try:
        yield asked
    finally:
        torch.randn = original
