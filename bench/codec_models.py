"""The codecs of the benchmark: random checkpoints of the published shapes, their exports, and their arithmetic.

The checkpoints are made by the recipes of `../golden`, so that activations have a realistic size and codes vary.
"""

import json
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from codec_folder import Folder

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "golden"))

from lib.codec import dac, encodec, files, mimi, snac  # noqa: E402
from lib.codec.case import Codec, Encoded  # noqa: E402

FAMILIES = {"snac": snac, "dac": dac, "encodec": encodec, "mimi": mimi}
OPSET = 20


@dataclass(frozen=True)
class Entry:
    """A model as users run it: with so many books. `tiny` names the small one of the goldens, for smoke tests."""

    name: str
    family: str
    books: int
    tiny: str
    tiny_books: int

    @property
    def has_noise(self) -> bool:
        return self.family == "snac"


ENTRIES = [
    Entry("snac_24khz", "snac", 3, "24khz", 3),
    Entry("encodec_24khz", "encodec", 8, "24khz", 4),
    Entry("mimi", "mimi", 8, "24khz", 3),
    Entry("dac_44khz", "dac", 9, "44khz", 5),
]


def prepare(entry: Entry, out: Path, seconds: float, tiny: bool, exports: bool) -> Folder:
    """Makes what is not there yet: model, sound, the reference's codes of it, arithmetic, and exports."""
    folder = Folder(out / (f"tiny-{entry.name}" if tiny else f"{entry.name}-{seconds:g}s"))
    if not folder.facts.exists():
        files.fresh(folder.path)
        make(entry, folder, seconds, tiny)
    if exports and not (folder.path / "exported.json").exists():
        failed = export(entry, folder, tiny)
        (folder.path / "exported.json").write_text(json.dumps(failed, indent=1) + "\n")
    return folder


def make(entry: Entry, folder: Folder, seconds: float, tiny: bool) -> None:
    module = FAMILIES[entry.family]
    specs = module.CASES if tiny else module.PUBLISHED
    spec = next(spec for spec in specs if spec.name == (entry.tiny if tiny else entry.name))
    codec = module.build(spec)
    codec.write_model(replace(spec, layout="" if entry.family == "mimi" else spec.layout), folder.model)
    samples = round(seconds * codec.sample_rate)
    pcm = files.speech(samples, codec.hop, 7, codec.channels)
    pcm.numpy().astype("<f4").tofile(folder.pcm)
    work: dict[str, float] = {}
    with torch.inference_mode(), Counted(codec.model) as counted:
        codes = encode(codec, books(entry, tiny), pcm)
        work["encode"] = counted.take() + search(codec, codes)
        decode(codec, codes)
        work["decode"] = counted.take()
        if entry.has_noise:
            quiet(codec)
            decode(codec, codes)
            work["decode, no noise"] = counted.take()
    folder.codes.write_text(json.dumps({"books": [book.tolist() for book in codes]}))
    facts = {
        "family": entry.family, "books": len(codes), "sample_rate": codec.sample_rate, "channels": codec.channels,
        "samples": samples, "seconds": samples / codec.sample_rate, "multiply_adds": work,
        "parameters": sum(parameter.numel() for parameter in codec.model.parameters()),
    }  # fmt: skip
    folder.facts.write_text(json.dumps(facts, indent=1) + "\n")


def books(entry: Entry, tiny: bool) -> int:
    return entry.tiny_books if tiny else entry.books


def load(folder: Folder) -> Codec:
    """Weight norm folded, which saves the reference a little at every call."""
    codec = FAMILIES[folder.read_facts()["family"]].load(folder.model)
    for module in codec.model.modules():
        if nn.utils.parametrize.is_parametrized(module, "weight"):
            nn.utils.parametrize.remove_parametrizations(module, "weight")
    return codec


def encode(codec: Codec, count: int, pcm: torch.Tensor) -> list[torch.Tensor]:
    """The reference's own call: `[samples]` -> `[T / stride]` of each book."""
    x, model = pcm[None, None], codec.model
    if codec.family == "snac":
        return [code[0] for code in model.encode(x)][:count]
    if codec.family == "dac":
        x = nn.functional.pad(x, (0, -x.shape[-1] % codec.hop))
        return list(model.encode(x, n_quantizers=count).audio_codes[0])
    if codec.family == "mimi":
        return list(model.encode(x, num_quantizers=count).audio_codes[0])
    return list(model.quantizer.encode(model.encoder(x), bandwidth(codec, count))[:, 0])


def bandwidth(codec: Codec, count: int) -> float:
    rates = codec.extra_expectations()["bandwidths"]
    return next(rate["kbps"] for rate in rates if rate["books"] == count)


def decode(codec: Codec, codes: list[torch.Tensor]) -> torch.Tensor:
    """The reference's own call, `[samples]`."""
    if codec.family == "snac":
        return codec.model.decode([code[None] for code in codes])[0, 0]
    stacked = torch.stack(codes)[None]
    if codec.family == "dac":
        return codec.model.decode(audio_codes=stacked).audio_values[0]
    if codec.family == "mimi":
        return codec.model.decode(stacked).audio_values[0, 0]
    return codec.model.decode(stacked[None], [None]).audio_values[0, 0]


class Counted:
    """Counts the multiply-adds of convolutions, linear maps and LSTMs (not of attention's scores)."""

    def __init__(self, model: nn.Module):
        self.model, self.total, self.hooks = model, 0, []

    def __enter__(self) -> "Counted":
        kinds = (nn.Conv1d, nn.ConvTranspose1d, nn.Linear, nn.LSTM)
        layers = [layer for layer in self.model.modules() if isinstance(layer, kinds)]
        self.hooks = [layer.register_forward_hook(self.count) for layer in layers]
        return self

    def __exit__(self, *_: object) -> None:
        for hook in self.hooks:
            hook.remove()

    def count(self, layer: nn.Module, args: tuple, out: torch.Tensor | tuple) -> None:
        if isinstance(layer, nn.LSTM):
            steps, batch, width = args[0].shape
            self.total += steps * batch * layer.num_layers * 4 * layer.hidden_size * (width + layer.hidden_size)
        elif isinstance(layer, nn.Linear):
            self.total += out.numel() * layer.in_features
        elif isinstance(layer, nn.ConvTranspose1d):
            self.total += args[0].numel() * layer.out_channels // layer.groups * layer.kernel_size[0]
        else:
            self.total += out.numel() * layer.in_channels // layer.groups * layer.kernel_size[0]

    def take(self) -> int:
        total, self.total = self.total, 0
        return total


def search(codec: Codec, codes: list[torch.Tensor]) -> int:
    """Multiply-adds of looking for the nearest entries."""
    config = getattr(codec.model, "config", codec.model)
    return sum(len(code) * codec.books[k]["size"] * config.codebook_dim for k, code in enumerate(codes))


class Encoder(nn.Module):
    def __init__(self, codec: Codec, count: int):
        super().__init__()
        self.codec, self.model, self.count = codec, codec.model, count

    def forward(self, pcm: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return tuple(encode(self.codec, self.count, pcm))


class Decoder(nn.Module):
    """With `noise`, the normals of each block follow the codes."""

    def __init__(self, codec: Codec, count: int):
        super().__init__()
        self.codec, self.model, self.count = codec, codec.model, count

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        codes, noise = list(inputs[: self.count]), inputs[self.count :]
        if not noise:
            return decode(self.codec, codes)
        with snac.patched_noise(list(noise)):
            return decode(self.codec, codes)


def quiet(codec: Codec) -> None:
    """Takes the noise layers out."""
    for module in codec.model.modules():
        if isinstance(module, snac.NoiseBlock):
            module.forward = lambda x: x


def with_plain_padding(codec: Codec) -> None:
    """The exporter cannot follow lengths that `transformers` computes in tensors; the same numbers as integers."""
    for module in codec.model.modules():
        if hasattr(module, "_get_extra_padding_for_conv1d"):
            for name in ("stride", "kernel_size", "padding_total"):
                value = int(getattr(module, name))
                delattr(module, name)
                setattr(module, name, value)
            module._get_extra_padding_for_conv1d = lambda x, stride=module.stride: -x.shape[-1] % stride


def export(entry: Entry, folder: Folder, tiny: bool) -> dict[str, str]:
    """Exports for sound of this very length; what fails is returned with the reason."""
    count, failed = books(entry, tiny), {}
    codec = load(folder)
    with_plain_padding(codec)
    pcm = torch.from_numpy(np.fromfile(folder.pcm, "<f4"))
    codes = [torch.tensor(book) for book in json.loads(folder.codes.read_text())["books"]]
    jobs = [("encoder", Encoder(codec, count), (pcm,))]
    if entry.has_noise:
        noise = codec.draw_noise(Encoded(codes, [], 0), 1)
        for block, normals in enumerate(noise):
            normals.numpy().astype("<f4").tofile(folder.path / f"noise-{block}.f32")
        jobs.append(("decoder", Decoder(codec, count), (*codes, *noise)))
        still = load(folder)
        quiet(still)
        jobs.append(("decoder-quiet", Decoder(still, count), tuple(codes)))
    else:
        jobs.append(("decoder", Decoder(codec, count), tuple(codes)))
    for what, module, inputs in jobs:
        try:
            with torch.inference_mode():
                program = torch.onnx.export(module.eval(), inputs, dynamo=True, opset_version=OPSET, verbose=False)
            program.save(folder.onnx(what))
        except Exception as reason:  # whatever the exporter cannot do is a result
            failed[what] = f"{type(reason).__name__}: {str(reason).splitlines()[0] if str(reason) else ''}"[:300]
            print(f"{entry.name}: no export of the {what}: {failed[what]}", file=sys.stderr, flush=True)
    return failed
