"""What a codec case looks like on disk."""

import json
import shutil
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

from .. import signals


def write(folder: Path, seams: dict[str, torch.Tensor], expect: dict) -> None:
    tensors = {name: tensor.detach().float().contiguous().clone() for name, tensor in seams.items()}
    save_file(tensors, folder / "seams.safetensors")
    (folder / "expect.json").write_text(dump(expect) + "\n")


def fresh(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def dump(value, indent: int = 0) -> str:
    """JSON with one key a line and lists of plain values on one line."""
    pad = " " * (indent + 2)
    if isinstance(value, dict):
        rows = [f"{pad}{json.dumps(key)}: {dump(item, indent + 2)}" for key, item in value.items()]
        return "{\n" + ",\n".join(rows) + "\n" + " " * indent + "}"
    if isinstance(value, list) and any(isinstance(item, (dict, list)) for item in value):
        return "[\n" + ",\n".join(pad + dump(item, indent + 2) for item in value) + "\n" + " " * indent + "]"
    return json.dumps(value, ensure_ascii=False)


def rounded(values: torch.Tensor) -> list[float]:
    """Three digits, rounded down, are enough of a margin."""
    return [float(f"{0.999 * value:.3g}") for value in values.tolist()]


def speech(samples: int, hop: int, seed: int, channels: int = 1) -> torch.Tensor:
    """`[samples]` in f32 from inside a syllable on, or `[samples, channels]`; played faster for a small hop, so that
    latents differ."""
    if channels > 1:
        voices = [speech(samples, hop, seed + 100 * channel) for channel in range(channels)]
        return torch.stack([voices[0], *(0.5 * voices[0] + 0.5 * voice for voice in voices[1:])], 1)
    faster = max(1, 160 // hop)
    for lead in (8_000, 80_000):
        wave = signals.to_float(signals.speech_like((samples + lead) * faster, seed))[::faster]
        onset = int(np.argmax(np.abs(wave) > 0.25 * np.abs(wave).max()))
        if onset <= lead:
            return torch.from_numpy(np.float32(1.3) * wave[onset : onset + samples])
    raise AssertionError("a late onset")
