"""One model at one point of its family's config space: what it says about clips of one signal."""

import copy
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import nn

from . import files, quantise

Tensors = dict[str, torch.Tensor]


@dataclass(frozen=True)
class Spec:
    """`config` is the file as written: fields left out have the reference's defaults. `samples` is the longest clip.

    With `every_layer` the seams hold the output of each module. `books` lists prefixes to decode. `calibration` is how
    many samples teach a random model its scales (0: what its family likes); `strict` asks that no code hangs on
    rounding. `layout` picks the family's way of writing names.
    """

    name: str
    samples: int
    config: dict = field(default_factory=dict)
    every_layer: bool = False
    books: tuple[int, ...] = ()
    layout: str = ""
    calibration: int = 0
    strict: bool = True
    seed: int = 1


@dataclass
class Encoded:
    """The codes `[T / stride]` of each book, how sure they are, and T; of chunks the frames and the scale of each."""

    codes: list[torch.Tensor]
    margins: list[torch.Tensor]
    frames: int
    segments: list[int] = field(default_factory=list)
    scales: list[float] = field(default_factory=list)

    def prefix(self, books: int) -> "Encoded":
        return Encoded(self.codes[:books], self.margins[:books], self.frames, self.segments, self.scales)


class Codec:
    """A reference model and how to ask it. PCM is `[samples]`, or `[samples, channels]` for several."""

    family: str
    least_margin = 1e-4
    has_ceiling = True  # the output ends in a tanh
    time_major: tuple[type, ...] = ()  # modules whose outputs are [1, T, C]
    model: nn.Module
    sample_rate: int
    channels = 1
    hop: int
    pad_to: int
    books: list[dict]

    def encode(self, pcm: torch.Tensor) -> Encoded:
        raise NotImplementedError

    def decode(self, heard: Encoded, noise: list[torch.Tensor] | None = None) -> torch.Tensor:
        raise NotImplementedError

    def draw_noise(self, heard: Encoded, seed: int) -> list[torch.Tensor]:
        return []

    def watched(self, every_layer: bool) -> dict[str, nn.Module]:
        """The modules whose outputs become seams, by name."""
        raise NotImplementedError

    def pass_seams(self, pcm: torch.Tensor, heard: Encoded) -> Tensors:
        """Runs encoder and decoder once; returns what no module gives: `z` and `z_q`."""
        raise NotImplementedError

    def write_model(self, spec: Spec, folder: Path) -> None:
        raise NotImplementedError

    def in_double(self) -> "Codec":
        other = copy.copy(self)
        other.model = copy.deepcopy(self.model).double()
        return other

    def extra_lengths(self) -> list[int]:
        return []

    def extra_expectations(self) -> dict:
        return {}

    def check_longest(self, pcm: torch.Tensor, heard: Encoded) -> None:
        """What only this family must show. Raises `AssertionError` for a dull seed."""


def describe(codec: Codec, spec: Spec) -> tuple[Tensors, dict]:
    """The seams of a model and what is expected of it. Raises `AssertionError` for a dull seed."""
    pcm = files.speech(spec.samples, codec.hop, spec.seed, codec.channels)
    seams, clips = {"pcm": pcm}, []
    for samples in lengths(codec, spec):
        heard = codec.encode(pcm[:samples])
        check(codec, spec, heard)
        clip = {"samples": samples, "frames": heard.frames, "codes": [code.tolist() for code in heard.codes]}
        if spec.strict:
            clip["margins"] = [files.rounded(sure) for sure in heard.margins]
        else:
            seams |= {f"{samples}.margins.{book}": sure for book, sure in enumerate(heard.margins)}
        if heard.segments:
            clip |= {"segments": heard.segments, "scales": heard.scales}
        longest = samples == spec.samples
        if longest or samples == 1 or codec.pad_to <= 1024:
            seams |= decoded(codec, heard, clip, noisy=longest or (samples == 1 and codec.pad_to <= 2048))
        if longest:
            check_variety(codec, heard, 0.5 if spec.strict else 0.03)
            if spec.strict:
                check_rounding(codec, pcm, heard)
            codec.check_longest(pcm, heard)
            seams |= prefixes(codec, heard, clip, spec.books) | watch(codec, pcm, heard, spec.every_layer)
        clips.append(clip)
    sure = [least for clip in clips for least in map(min, clip.get("margins", []))]
    return seams, {
        "family": codec.family, "sample_rate": codec.sample_rate, "channels": codec.channels, "hop": codec.hop,
        "pad_to": codec.pad_to, "books": codec.books, **codec.extra_expectations(), "clips": clips,
        "min_margin": min(sure, default=0.0),
    }


def lengths(codec: Codec, spec: Spec) -> list[int]:
    around = [length + step for length in (codec.pad_to, *codec.extra_lengths()) for step in (-1, 0, 1)]
    wanted = {1, codec.hop - 1, codec.hop, *around, spec.samples}
    return sorted(length for length in wanted if 0 < length <= spec.samples)


def decoded(codec: Codec, heard: Encoded, clip: dict, *, noisy: bool) -> Tensors:
    """Names the seams in `clip`: `decoded` without noise, `noisy` with the normals of `noise`."""
    name = str(clip["samples"])
    quiet = codec.decode(heard)
    clip["decoded"] = f"{name}.decoded"
    out = {clip["decoded"]: quiet}
    if noisy and (normals := codec.draw_noise(heard, clip["samples"])):
        loud = codec.decode(heard, normals)
        assert (loud - quiet).abs().max() > 0.05, "the noise does nothing"
        clip["noise"] = [f"{name}.noise.{block}" for block in range(len(normals))]
        clip["noisy"] = f"{name}.noisy"
        out |= dict(zip(clip["noise"], normals)) | {clip["noisy"]: loud}
    return out


def prefixes(codec: Codec, heard: Encoded, clip: dict, books: tuple[int, ...]) -> Tensors:
    out = {}
    for count in books:
        name = f"{clip['samples']}.decoded.first_{count}"
        out[name] = codec.decode(heard.prefix(count))
        clip.setdefault("prefixes", []).append({"books": count, "decoded": name})
    return out


@torch.no_grad()
def watch(codec: Codec, pcm: torch.Tensor, heard: Encoded, every_layer: bool) -> Tensors:
    """Tensors `[T, C]` along the way, noise off."""
    out: Tensors = {}

    def keep(name: str, layer: nn.Module, x: torch.Tensor) -> None:
        out[name] = x[0] if isinstance(layer, codec.time_major) else x[0].T

    hooks = [
        layer.register_forward_hook(lambda layer, _args, x, name=name: keep(name, layer, x))
        for name, layer in codec.watched(every_layer).items()
    ]
    out |= codec.pass_seams(pcm, heard)
    for hook in hooks:
        hook.remove()
    return out


def check(codec: Codec, spec: Spec, heard: Encoded) -> None:
    least = min(float(sure.min()) for sure in heard.margins)
    assert not spec.strict or least > codec.least_margin, "a code hangs on rounding"


def check_rounding(codec: Codec, pcm: torch.Tensor, heard: Encoded) -> None:
    """In f64 the codes are the same, and what is decoded from them is almost."""
    exact = codec.in_double()
    codes = exact.encode(pcm.double()).codes
    assert all(torch.equal(one, other) for one, other in zip(codes, heard.codes)), "f64 has other codes"
    error = float((exact.decode(heard) - codec.decode(heard)).abs().max())
    assert error < 1e-5, f"f64 decodes something else: {error:.1e}"


def check_variety(codec: Codec, heard: Encoded, enough: float) -> None:
    """In the longest clip codes vary, and the output is neither silent nor clipped."""
    for book, code in enumerate(heard.codes):
        share = quantise.variety(code, codec.books[book]["size"])
        assert share > enough, f"book {book}: {share:.2f} of the codes"
    out = codec.decode(heard).abs()
    loud = float((out > 0.02 * out.max()).float().mean())
    clipped = float((out > 0.97).float().mean()) if codec.has_ceiling else 0.0
    assert loud > 0.7 and clipped < 0.02 and out.max() > 0.05, f"output: {loud:.2f} audible, {clipped:.3f} clipped"
