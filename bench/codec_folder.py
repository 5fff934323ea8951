"""Where things lie. Apart from codec_models.py, so that ONNX Runtime's process holds no torch."""

import json
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Folder:
    """What `prepare` leaves."""

    path: Path

    model = property(lambda self: self.path / "model")
    pcm = property(lambda self: self.path / "pcm.f32")
    codes = property(lambda self: self.path / "codes.json")
    facts = property(lambda self: self.path / "facts.json")

    def onnx(self, what: str) -> Path:
        """`encoder`, `decoder` (with noise as inputs, where there is some) or `decoder-quiet`."""
        return self.path / f"{what}.onnx"

    def read_facts(self) -> dict:
        return json.loads(self.facts.read_text())
