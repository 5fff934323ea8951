"""`transformers`' DacModel: tiny and full-size random models, and what they say."""

import json
import math
from pathlib import Path

import torch
from torch import nn
from transformers import DacConfig, DacModel
from transformers.models.dac.modeling_dac import DacResidualUnit, Snake1d

from . import descript, files, liven, quantise
from .case import Codec, Encoded, Spec, Tensors
from .quantise import seen_by

# fmt: off
# Published files say "hop_length": 512 whatever the ratios are.
PUBLISHED = [
    Spec("dac_16khz", 160_000, dict(
        sampling_rate=16_000, downsampling_ratios=[2, 4, 5, 8], n_codebooks=12, hop_length=512),
        books=(4,), calibration=32_000, strict=False),
    Spec("dac_44khz", 441_000, dict(sampling_rate=44_100, n_codebooks=9, hop_length=512),
        books=(4,), calibration=49_152, strict=False),
]
CASES = [
    Spec("44khz", 20 * 512 - 100, dict(
        sampling_rate=44_100, encoder_hidden_size=2, downsampling_ratios=[2, 4, 8, 8], decoder_hidden_size=32,
        n_codebooks=5, codebook_size=64, codebook_dim=8, hop_length=512), books=(1, 3)),
    Spec("24khz", 24 * 320 - 111, dict(
        sampling_rate=24_000, encoder_hidden_size=2, downsampling_ratios=[2, 4, 5, 8], decoder_hidden_size=32,
        n_codebooks=4, codebook_size=64, codebook_dim=8, hop_length=512), books=(2,)),
    Spec("odd_rates_small_latent", 60 * 15 - 4, dict(
        sampling_rate=16_000, encoder_hidden_size=6, downsampling_ratios=[3, 5], hidden_size=10, decoder_hidden_size=20,
        n_codebooks=3, codebook_size=16, codebook_dim=4, hop_length=15), every_layer=True, books=(1, 2)),
    Spec("descript_names", 40 * 8 - 3, dict(
        sampling_rate=44_100, encoder_hidden_size=4, downsampling_ratios=[2, 4], decoder_hidden_size=16,
        n_codebooks=2, codebook_size=32, codebook_dim=8), layout="descript"),
]
# fmt: on


def build(spec: Spec) -> "Dac":
    torch.manual_seed(spec.seed)
    codec = Dac(DacModel(DacConfig(**spec.config)).eval())
    model = codec.model
    liven.randomise_snakes([module.alpha for module in model.modules() if isinstance(module, Snake1d)])
    pcm = files.speech(spec.calibration or 96 * codec.hop, codec.hop, spec.seed + 1000)
    sizes = {layer: 1.0 for layer in model.modules() if isinstance(layer, (nn.Conv1d, nn.ConvTranspose1d))}
    sizes |= {module.conv2: 0.6 for module in model.modules() if isinstance(module, DacResidualUnit)}
    sizes[model.decoder.conv2] = 0.5
    with torch.no_grad():
        liven.scale_layers(sizes, model.encoder, lambda: codec.latents(pcm))
        z = codec.latents(pcm)
        liven.teach_factorised(list(model.quantizer.quantizers), z)
        z_q = model.quantizer(z)[0]
        liven.scale_layers(sizes, model.decoder, lambda: model.decoder(z_q))
    return codec


def load(folder: Path) -> "Dac":
    return Dac(DacModel.from_pretrained(folder).eval())


class Dac(Codec):
    family = "dac"

    def __init__(self, model: DacModel):
        self.model = model
        config = model.config
        self.sample_rate, self.hop = config.sampling_rate, math.prod(config.downsampling_ratios)
        self.pad_to = self.hop
        self.books = [{"size": config.codebook_size, "stride": 1}] * config.n_codebooks

    def latents(self, pcm: torch.Tensor) -> torch.Tensor:
        """`[1, C, T]`, of the signal padded with zeros to whole hops."""
        return self.model.encoder(nn.functional.pad(pcm, (0, -len(pcm) % self.hop))[None, None])

    @torch.no_grad()
    def encode(self, pcm: torch.Tensor) -> Encoded:
        quantizers = self.model.quantizer.quantizers
        z = self.latents(pcm)
        with seen_by([quantizer.in_proj for quantizer in quantizers]) as seen:
            codes = list(self.model.quantizer(z)[1][0])
        few = self.model.quantizer(z, 1)[1][0]
        assert torch.equal(few[0], codes[0]), "fewer books are not a prefix"
        sure = [
            quantise.margins(e, quantizer.codebook.weight, code, normalise=True)
            for e, quantizer, code in zip(seen, quantizers, codes)
        ]
        return Encoded(codes, sure, z.shape[-1])

    @torch.no_grad()
    def decode(self, heard: Encoded, noise: list[torch.Tensor] | None = None) -> torch.Tensor:
        return self.model.decode(audio_codes=torch.stack(heard.codes)[None]).audio_values[0]

    def watched(self, every_layer: bool) -> dict[str, nn.Module]:
        if not every_layer:
            return {}
        out = {}
        for side in ("encoder", "decoder"):
            half = getattr(self.model, side)
            out |= {f"{side}.conv1": half.conv1, f"{side}.conv2": half.conv2}
            out |= {f"{side}.block.{index}": layer for index, layer in enumerate(half.block)}
        return out

    def pass_seams(self, pcm: torch.Tensor, heard: Encoded) -> Tensors:
        z = self.latents(pcm)
        z_q = self.model.quantizer.from_codes(torch.stack(heard.codes)[None])[0]
        self.model.decoder(z_q)
        return {"z": z[0].T, "z_q": z_q[0].T}

    def write_model(self, spec: Spec, folder: Path) -> None:
        self.model.save_pretrained(folder)
        path = folder / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | spec.config, indent=2) + "\n")
        if spec.layout == "descript":
            other = folder.parent / "descript"
            other.mkdir()
            torch.save(descript.checkpoint(self.model), other / "weights.pth")
