"""`transformers`' EncodecModel: tiny and full-size random models, and what they say."""

import json
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import EncodecConfig, EncodecModel
from transformers.models.encodec.modeling_encodec import EncodecLSTM, EncodecResnetBlock

from . import files, liven, quantise
from .case import Codec, Encoded, Spec, Tensors

# fmt: off
PUBLISHED = [
    Spec("encodec_24khz", 240_000, dict(sampling_rate=24_000), books=(2, 8), calibration=96_000, strict=False,
        layout="weight_g"),
    Spec("encodec_32khz", 320_000, dict(
        sampling_rate=32_000, target_bandwidths=[2.2], num_filters=64, upsampling_ratios=[8, 5, 4, 4],
        codebook_size=2048, use_causal_conv=False, use_conv_shortcut=False), calibration=96_000, strict=False),
    Spec("encodec_48khz", 480_000, dict(
        sampling_rate=48_000, target_bandwidths=[3.0, 6.0, 12.0, 24.0], audio_channels=2, normalize=True,
        chunk_length_s=1.0, overlap=0.01, norm_type="time_group_norm", use_causal_conv=False), books=(2,),
        calibration=96_000, strict=False),
]
CASES = [
    Spec("24khz", 26 * 320 - 77, dict(
        sampling_rate=24_000, target_bandwidths=[0.45, 0.9, 1.8, 2.7], num_filters=2, hidden_size=16, codebook_size=64),
        books=(1, 2, 4), layout="weight_g"),
    Spec("32khz", 14 * 640 - 99, dict(
        sampling_rate=32_000, target_bandwidths=[1.4], num_filters=2, hidden_size=16, upsampling_ratios=[8, 5, 4, 4],
        codebook_size=128, use_causal_conv=False, use_conv_shortcut=False)),
    Spec("48khz", 2500, dict(
        sampling_rate=800, target_bandwidths=[0.6, 1.2, 2.4], audio_channels=2, normalize=True, chunk_length_s=1.0,
        overlap=0.015, norm_type="time_group_norm", use_causal_conv=False, num_filters=4, hidden_size=16,
        upsampling_ratios=[4, 2], codebook_size=64), books=(2,)),
    Spec("every_field", 24 * 30 - 7, dict(
        sampling_rate=12_000, target_bandwidths=[2.0, 6.0], num_filters=3, hidden_size=12, upsampling_ratios=[5, 2, 3],
        codebook_size=32, kernel_size=5, last_kernel_size=3, residual_kernel_size=5, num_residual_layers=2,
        dilation_growth_rate=3, compress=3, num_lstm_layers=1, trim_right_ratio=0.4, pad_mode="constant"),
        every_layer=True, books=(1,)),
]
# fmt: on


def build(spec: Spec) -> "Encodec":
    torch.manual_seed(spec.seed)
    codec = Encodec(EncodecModel(EncodecConfig(**spec.config)).eval())
    model = codec.model
    liven.randomise_norms(model)
    sizes = {layer: 1.0 for layer in model.modules() if isinstance(layer, (nn.Conv1d, nn.ConvTranspose1d))}
    for module in model.modules():
        if isinstance(module, EncodecResnetBlock):
            sizes[module.block[-1].conv] = 0.6
        if isinstance(module, nn.LSTM):
            module.reset_parameters()
            for parameter in module.parameters():
                parameter.data.mul_(2.0)
    last = model.decoder.layers[-1]
    sizes[last.conv] = 0.3
    if hasattr(last, "norm"):
        last.norm.weight.data.uniform_(0.5, 0.9)
    samples = spec.calibration or 300 * codec.hop
    pcm = files.speech(samples, codec.hop, spec.seed + 1000, codec.channels)
    with torch.no_grad():
        segment = codec.segments(pcm)[0][0]
        liven.scale_layers(sizes, model.encoder, lambda: model.encoder(segment))
        liven.whiten_outputs(model.encoder.layers[-1].conv, codec.latents(pcm).T)
        z = codec.latents(pcm)
        seen = z.T.contiguous()
        for layer in model.quantizer.layers:
            book = layer.codebook
            book.embed.copy_(liven.euclidean_book(seen, book.codebook_size))
            book.embed_avg.normal_()
            book.cluster_size.uniform_(0.0, 9.0)
            seen = seen - book.embed[book.quantize(seen)]
        z_q = (z - seen.T)[None]
        liven.scale_layers(sizes, model.decoder, lambda: model.decoder(z_q))
    return codec


def load(folder: Path) -> "Encodec":
    return Encodec(EncodecModel.from_pretrained(folder).eval())


class Encodec(Codec):
    family = "encodec"
    has_ceiling = False

    def __init__(self, model: EncodecModel):
        self.model, self.config = model, model.config
        self.sample_rate, self.channels = self.config.sampling_rate, self.config.audio_channels
        self.hop = self.pad_to = self.config.hop_length
        self.books = [{"size": self.config.codebook_size, "stride": 1}] * self.config.num_quantizers

    def extra_lengths(self) -> list[int]:
        return [self.config.chunk_stride, self.config.chunk_length] if self.config.chunk_length else []

    def extra_expectations(self) -> dict:
        quantizer = self.model.quantizer
        rates = [
            {"kbps": rate, "books": min(len(self.books), quantizer.get_num_quantizers_for_bandwidth(rate))}
            for rate in self.config.target_bandwidths
        ]
        chunks = {"chunk_length": self.config.chunk_length, "chunk_stride": self.config.chunk_stride}
        return {"bandwidths": rates} | (chunks if self.config.chunk_length else {})

    def segments(self, pcm: torch.Tensor) -> list[tuple[torch.Tensor, float | None]]:
        """What the encoder sees, `[1, channels, samples]` each, and the scale that each was divided by."""
        x = pcm.reshape(len(pcm), -1).T[None]
        length, stride = self.config.chunk_length or len(pcm), self.config.chunk_stride or len(pcm)
        out = []
        for offset in range(0, len(pcm), stride):
            segment, scale = x[..., offset : offset + length], None
            if self.config.normalize:
                scale = segment.mean(1).square().mean().sqrt() + 1e-8
                segment = segment / scale
            out.append((segment, scale))
        return out

    def latents(self, pcm: torch.Tensor) -> torch.Tensor:
        """`[C, T]` of all segments."""
        return torch.cat([self.model.encoder(segment)[0] for segment, _ in self.segments(pcm)], 1)

    @torch.no_grad()
    def encode(self, pcm: torch.Tensor) -> Encoded:
        x = pcm.reshape(len(pcm), -1).T[None]
        said = self.model.encode(x, bandwidth=self.config.target_bandwidths[-1])
        few = self.model.encode(x, bandwidth=self.config.target_bandwidths[0]).audio_codes
        assert torch.equal(few, said.audio_codes[:, :, : few.shape[2]]), "fewer books are not a prefix"
        books = [layer.codebook.embed for layer in self.model.quantizer.layers]
        codes, margins, frames, scales = [], [], [], []
        for (segment, _), row, scale in zip(self.segments(pcm), said.audio_codes, said.audio_scales):
            z = self.model.encoder(segment)
            codes.append(row[0, :, : z.shape[-1]])
            margins.append(quantise.residual_margins(z[0].T, books, list(codes[-1])))
            frames.append(z.shape[-1])
            scales += [] if scale is None else [float(scale)]
        codes = list(torch.cat(codes, 1))
        margins = [torch.cat(parts) for parts in zip(*margins)]
        return Encoded(codes, margins, sum(frames), frames if self.config.chunk_length else [], scales)

    @torch.no_grad()
    def decode(self, heard: Encoded, noise: list[torch.Tensor] | None = None) -> torch.Tensor:
        rows = torch.stack(heard.codes).split(heard.segments or [heard.frames], 1)
        scales = [torch.tensor([[scale]]) for scale in heard.scales] or [None]
        out = self.model.decode([row[None] for row in rows], scales).audio_values[0]
        return out[0] if self.channels == 1 else out.T

    def watched(self, every_layer: bool) -> dict[str, nn.Module]:
        named = {
            f"{side}.layers.{index}": layer
            for side in ("encoder", "decoder")
            for index, layer in enumerate(getattr(self.model, side).layers)
        }
        return {name: layer for name, layer in named.items() if every_layer or isinstance(layer, EncodecLSTM)}

    def pass_seams(self, pcm: torch.Tensor, heard: Encoded) -> Tensors:
        """Of the first segment, if there are several."""
        z = self.model.encoder(self.segments(pcm)[0][0])
        codes = torch.stack(heard.codes)[:, : z.shape[-1]]
        z_q = self.model.quantizer.decode(codes[:, None])
        self.model.decoder(z_q)
        return {"z": z[0].T, "z_q": z_q[0].T}

    def write_model(self, spec: Spec, folder: Path) -> None:
        self.model.save_pretrained(folder)
        if spec.layout == "weight_g":
            tensors = load_file(folder / "model.safetensors")
            for part, name in (("0", "weight_g"), ("1", "weight_v")):
                long = f"parametrizations.weight.original{part}"
                tensors = {key.replace(long, name): tensor for key, tensor in tensors.items()}
            save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
        path = folder / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | spec.config, indent=2) + "\n")
