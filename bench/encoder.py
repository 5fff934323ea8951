"""Times the 0.6b FastConformer encoder against its peers. See README.md.

    python encoder.py --out out [--peers percept-int8,ort-int8,...] [--seconds 1,3,14,60,60/15] [--rounds 7]
"""

import argparse
import importlib.metadata
import json
import platform
import re
import statistics
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import chart
import checkpoint
import noise
import table
import work
from peers import NAMES, Peer, Piece, environment, released

HERE = Path(__file__).parent
REST_S = 0.4  # thread pools of the peer before stop spinning
WARM_S = 14.0  # longer passes need no run of their own length before them
LARGEST_ERROR = {"f32": 1e-3, "bf16": 0.1, "int8": 0.1}  # relative L2; beyond it a peer computes something else


@dataclass(frozen=True)
class Length:
    """`60`: a minute in one piece. `60/15`: a minute in pieces of 15 s, one after the other."""

    name: str

    @property
    def seconds(self) -> float:
        return float(self.name.split("/")[0])

    @property
    def piece_seconds(self) -> float:
        return float(self.name.split("/")[-1])

    def piece(self, out: Path) -> Piece:
        frames = work.mel_frames(self.piece_seconds) if "/" in self.name else 0
        return Piece(out / f"features-{self.seconds:g}.f32", frames)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=HERE / "out", help="checkpoint, features and results go here")
    parser.add_argument("--peers", default=",".join(NAMES))
    parser.add_argument("--seconds", default="1,3,14,60,60/15")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--layers", type=int, default=24, help="fewer for a smoke test")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--prepare", action="store_true", help="make checkpoint, exports and features, and stop")
    arguments = parser.parse_args()
    out = arguments.out / f"{arguments.layers}-layers"
    names = arguments.peers.split(",")
    lengths = [Length(name) for name in arguments.seconds.split(",")]
    prepare(out, arguments.layers, arguments.seed, lengths, names)
    if arguments.prepare:
        return
    result = setup(arguments, names)
    result["peaks"] = peaks(arguments.threads)
    result["limits_ms"] = {s.name: limits(s, arguments.layers, result["peaks"]) for s in lengths}
    peers = [Peer.start(name, out, arguments.threads) for name in names]
    reference = "torch-f32" if "torch-f32" in names else next((name for name in names if "f32" in name), names[0])
    errors = {s.name: agreement(peers, out, s, reference) for s in lengths}
    shortest = min(lengths, key=lambda length: length.seconds)
    times = {
        s.name: interleaved(peers, (s if s.seconds <= WARM_S else shortest).piece(out), s.piece(out), arguments.rounds)
        for s in lengths
    }
    result["reference"] = reference
    result["peers"] = {peer.name: {"load_s": round(peer.load_s, 3), "memory_mb": peer.memory_mb()} for peer in peers}
    result["series"] = {
        s: {name: summary(values) | errors[s][name] for name, values in row.items()} for s, row in times.items()
    }
    for peer in peers:
        peer.stop()
    report(arguments.out, result)


def prepare(out: Path, layers: int, seed: int, lengths: list[Length], names: list[str]) -> None:
    """Makes what is not there yet."""
    out.mkdir(parents=True, exist_ok=True)
    onnx, quantized = out / "encoder.onnx", out / "encoder-int8.onnx"
    exported = [name for name in names if name.startswith(("rten-", "ort-"))]
    if not (out / "model" / "model.safetensors").exists():
        checkpoint.build(out / "model", layers, seed)
    if exported and not onnx.exists():
        checkpoint.export(out / "model", onnx)
    if any(name.endswith("-int8") for name in exported) and not quantized.exists():
        checkpoint.quantize(onnx, quantized)
    for length in lengths:
        checkpoint.features(length.seconds, seed).astype("<f4").tofile(length.piece(out).features)


def versions(packages: tuple[str, ...] = ("torch", "transformers", "onnxruntime")) -> dict:
    return {name: importlib.metadata.version(name) for name in packages}


def setup(arguments: argparse.Namespace, names: list[str]) -> dict:
    rten = re.search(r'name = "rten"\nversion = "([^"]+)"', (HERE / "Cargo.lock").read_text())
    return {
        "what": "FastConformer encoder, d 1024, random weights, features in, frames out",
        "layers": arguments.layers,
        "threads": arguments.threads,
        "rounds": arguments.rounds,
        "seed": arguments.seed,
        "cpu": cpu(),
        "versions": versions() | {"rten": rten and rten[1]},
        "quantization": {"onnxruntime.quantization.quantize_dynamic": checkpoint.QUANTIZATION},
        "order": names,
    }


def peaks(threads: int) -> dict:
    """What the machine and the kernels alone reach."""
    command = [released("peaks"), str(threads)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, env=environment(threads)).stdout)


def limits(length: Length, layers: int, found: dict) -> dict[str, float]:
    pieces = length.seconds / length.piece_seconds
    return {name: ms * pieces for name, ms in work.limits(length.piece_seconds, layers, found).items()}


def agreement(peers: list[Peer], out: Path, length: Length, reference: str) -> dict[str, dict[str, float]]:
    """Each peer's distance from the reference at the encoder's end. Also the warm-up."""
    outputs = {}
    for peer in peers:
        target = out / f"encoded-{peer.name}.f32"
        peer.run(length.piece(out), target)
        outputs[peer.name] = np.fromfile(target, "<f4")
    truth = outputs[reference]
    errors = {name: distance(output, truth) for name, output in outputs.items()}
    for name, error in errors.items():
        if not error["relative_l2"] < LARGEST_ERROR[name.split("-")[1]]:
            raise SystemExit(f"{name} disagrees with {reference} at {length.name} s: {error}")
    return errors


def distance(output: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    difference = (output - truth).astype(np.float64)
    return {
        "relative_l2": float(f"{np.linalg.norm(difference) / np.linalg.norm(truth.astype(np.float64)):.3g}"),
        "largest_difference": float(f"{np.abs(difference).max() / np.abs(truth).max():.3g}"),
    }


def interleaved(peers: list[Peer], warm: Piece, piece: Piece, rounds: int) -> dict[str, list[float]]:
    """In every round each peer runs `warm`, its caches being cold after the others' turns, and `piece`, which counts."""
    times = {peer.name: [] for peer in peers}
    for index in range(rounds):
        for peer in rotated(peers, index):
            time.sleep(REST_S)
            peer.run(warm)
            times[peer.name].append(round(peer.run(piece), 3))
    return times


def rotated(peers: list, turn: int) -> list:
    turn %= len(peers)
    return peers[turn:] + peers[:turn]


def summary(values: list[float]) -> dict:
    return {
        "median_ms": round(statistics.median(values), 3),
        "noise_ms": round(noise.standard_error(values), 3),
        "times_ms": values,
    }


def report(folder: Path, result: dict) -> None:
    (folder / "encoder.json").write_text(json.dumps(result, indent=1) + "\n")
    (folder / "encoder.svg").write_text(chart.encoder(result))
    print(table.markdown(result))


def cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()


if __name__ == "__main__":
    main()
