"""The engines: each in a process of its own, driven line by line so that all of them can be timed in turn."""

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import work

HERE = Path(__file__).parent
NAMES = (
    "percept-int8", "percept-f32", "rten-int8", "rten-f32", "ort-int8", "ort-f32", "torch-bf16", "torch-f32",
)  # fmt: skip


def released(program: str) -> Path:
    """Where cargo leaves it."""
    return Path(os.environ.get("CARGO_TARGET_DIR", HERE / "target")) / "release" / program


def environment(threads: int) -> dict[str, str]:
    count = str(threads)
    return os.environ | {"RTEN_NUM_THREADS": count, "RAYON_NUM_THREADS": count, "OMP_NUM_THREADS": count}


def spawn(command: list, threads: int) -> subprocess.Popen:
    return subprocess.Popen(
        [str(part) for part in command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment(threads),
    )


@dataclass(frozen=True)
class Piece:
    """What one pass computes: a file of features, in pieces of so many frames (0: in one piece)."""

    features: Path
    frames: int = 0


@dataclass
class Peer:
    """One engine that has loaded the model."""

    name: str
    process: subprocess.Popen
    load_s: float

    @classmethod
    def start(cls, name: str, out: Path, threads: int) -> "Peer":
        if name not in NAMES:
            raise SystemExit(f"no peer called {name}; there is {', '.join(NAMES)}")
        engine, arithmetic = name.split("-")
        onnx = out / ("encoder-int8.onnx" if arithmetic == "int8" else "encoder.onnx")
        command = {
            "torch": [sys.executable, HERE / "python_peer.py", name, out / "model", work.MELS, threads],
            "ort": [sys.executable, HERE / "python_peer.py", name, onnx, work.MELS, threads],
            "rten": [released("rten-peer"), onnx, work.MELS],
            "percept": [released("percept-peer"), out / "model", arithmetic],
        }[engine]
        start = time.perf_counter()
        process = spawn(command, threads)
        peer = cls(name, process, 0.0)
        if peer.answer() != "ready":
            raise SystemExit(f"{name} did not start")
        peer.load_s = time.perf_counter() - start
        return peer

    def answer(self) -> str:
        line = self.process.stdout.readline().strip()
        if not line:
            raise SystemExit(f"{self.name} ended early (status {self.process.wait()}); was there memory enough?")
        return line

    def run(self, piece: Piece, output: Path | str = "-") -> float:
        """Milliseconds of one pass."""
        self.process.stdin.write(f"{piece.features} {output} {piece.frames}\n")
        self.process.stdin.flush()
        return float(self.answer())

    def memory_mb(self) -> dict[str, float]:
        """Largest and present resident memory; mapped files count as far as they are resident."""
        fields = {}
        try:
            for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
                name, _, value = line.partition(":")
                fields[name] = value.split()
        except OSError:
            return {}
        sizes = (("peak", "VmHWM"), ("resident", "VmRSS"))
        return {key: round(int(fields[field][0]) * 1024 / 1e6, 1) for key, field in sizes}

    def stop(self) -> None:
        self.process.stdin.close()
        self.process.wait()


@dataclass
class Asked:
    """An engine that answers lines of JSON with lines of JSON."""

    name: str
    process: subprocess.Popen

    @classmethod
    def start(cls, name: str, model: Path, out: Path, threads: int) -> "Asked":
        """`out` holds the exports of `model` and the audio."""
        engine, arithmetic = name.split("-")
        command = {
            "percept": [released("stream-peer"), model, arithmetic, out / "pcm.f32"],
            "ort": [sys.executable, HERE / "ort_streams.py", name, out, threads],
        }[engine]
        peer = cls(name, spawn(command, threads))
        if peer.answer() != "ready":
            raise SystemExit(f"{name} did not start")
        return peer

    def answer(self) -> dict | str:
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"{self.name} ended early (status {self.process.wait()}); was there memory enough?")
        return json.loads(line)

    def ask(self, request: dict) -> dict:
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        return self.answer()

    def stop(self) -> None:
        self.process.stdin.close()
        self.process.wait()
