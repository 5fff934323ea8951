"""Times the 0.6b FastConformer encoder against its peers. See README.md.

    python encoder.py --out out [--peers percept-f32,rten-f32,...] [--seconds 1,3,14] [--rounds 7]
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import chart
import checkpoint

HERE = Path(__file__).parent
REST_S = 0.4  # thread pools of the peer before stop spinning


@dataclass
class Peer:
    """One engine in a process of its own, driven line by line so that all of them can be timed in turn."""

    name: str
    process: subprocess.Popen

    @classmethod
    def start(cls, name: str, out: Path, threads: int) -> "Peer":
        model, onnx = out / "model", out / "encoder.onnx"
        released = HERE / "target" / "release"
        if name.startswith(("torch-", "ort-")):
            source = onnx if name.startswith("ort-") else model
            command = [sys.executable, HERE / "python_peer.py", name, source, checkpoint.MELS, threads]
        elif name.startswith("rten-"):
            command = [released / "rten-peer", onnx, checkpoint.MELS]
        elif name.startswith("percept-"):
            command = [released / "percept-peer", model, name.removeprefix("percept-")]
        else:
            raise SystemExit(f"no peer called {name}")
        count = str(threads)
        environment = os.environ | {"RTEN_NUM_THREADS": count, "RAYON_NUM_THREADS": count, "OMP_NUM_THREADS": count}
        process = subprocess.Popen(
            [str(part) for part in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        peer = cls(name, process)
        if peer.answer() != "ready":
            raise SystemExit(f"{name} did not start")
        return peer

    def answer(self) -> str:
        line = self.process.stdout.readline().strip()
        if not line:
            raise SystemExit(f"{self.name} ended early")
        return line

    def run(self, features: Path, output: Path | str = "-") -> float:
        """Milliseconds of one pass."""
        self.process.stdin.write(f"{features} {output}\n")
        self.process.stdin.flush()
        return float(self.answer())

    def stop(self) -> None:
        self.process.stdin.close()
        self.process.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=HERE / "out", help="checkpoint, features and results go here")
    parser.add_argument("--peers", default="percept-f32,rten-f32,ort-f32,torch-f32,torch-bf16")
    parser.add_argument("--seconds", default="1,3,14")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--layers", type=int, default=24, help="fewer for a smoke test")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    out = arguments.out / f"{arguments.layers}-layers"
    names = arguments.peers.split(",")
    lengths = [float(value) for value in arguments.seconds.split(",")]
    prepare(out, arguments.layers, arguments.seed, lengths, any(name.startswith(("rten", "ort")) for name in names))
    peers = [Peer.start(name, out, arguments.threads) for name in names]
    errors = {f"{s:g}": agreement(peers, out, s) for s in lengths}
    times = {f"{s:g}": interleaved(peers, out, s, arguments.rounds) for s in lengths}
    for peer in peers:
        peer.stop()
    report(arguments.out, arguments, times, errors)


def prepare(out: Path, layers: int, seed: int, lengths: list[float], with_onnx: bool) -> None:
    """Makes what is not there yet."""
    out.mkdir(parents=True, exist_ok=True)
    if not (out / "model" / "model.safetensors").exists():
        checkpoint.build(out / "model", layers, seed)
    if with_onnx and not (out / "encoder.onnx").exists():
        checkpoint.export(out / "model", out / "encoder.onnx")
    for seconds in lengths:
        checkpoint.features(seconds, seed).astype("<f4").tofile(features_of(out, seconds))


def features_of(out: Path, seconds: float) -> Path:
    return out / f"features-{seconds:g}.f32"


def agreement(peers: list[Peer], out: Path, seconds: float) -> dict[str, float]:
    """Also the warm-up. Largest difference to the first peer's output, relative to its largest value."""
    outputs = {}
    for peer in peers:
        target = out / f"encoded-{peer.name}.f32"
        peer.run(features_of(out, seconds), target)
        outputs[peer.name] = np.fromfile(target, "<f4")
    first = outputs[peers[0].name]
    errors = {name: float(np.abs(x - first).max() / np.abs(first).max()) for name, x in outputs.items()}
    for name, error in errors.items():
        if not error < (0.2 if "f32" not in name else 1e-2):
            raise SystemExit(f"{name} disagrees with {peers[0].name} at {seconds:g} s: {error:.2g}")
    return errors


def interleaved(peers: list[Peer], out: Path, seconds: float, rounds: int) -> dict[str, list[float]]:
    times = {peer.name: [] for peer in peers}
    for index in range(rounds):
        turn = index % len(peers)
        for peer in peers[turn:] + peers[:turn]:
            time.sleep(REST_S)
            peer.run(features_of(out, seconds))  # its caches are cold after the others' turns
            times[peer.name].append(peer.run(features_of(out, seconds)))
    return times


def report(folder: Path, arguments: argparse.Namespace, times: dict, errors: dict) -> None:
    medians = {s: {name: statistics.median(values) for name, values in row.items()} for s, row in times.items()}
    ours = next((name for name in arguments.peers.split(",") if name.startswith("percept-")), None)
    result = {
        "what": f"FastConformer encoder, {arguments.layers} layers, d 1024, features in, frames out, ms",
        "threads": arguments.threads,
        "rounds": arguments.rounds,
        "cpu": cpu(),
        "medians": medians,
        "all": times,
        "relative_difference": errors,
    }
    (folder / "encoder.json").write_text(json.dumps(result, indent=1) + "\n")
    groups = {f"{s} s of audio": row for s, row in medians.items()}
    title = f"FastConformer encoder, {arguments.layers} layers, {arguments.threads} threads: time (less is better)"
    (folder / "encoder.svg").write_text(chart.bars(title, groups, "ms"))
    print(f"{result['cpu']}, {arguments.threads} threads, medians of {arguments.rounds} interleaved rounds\n")
    names = list(next(iter(medians.values())))
    print("| audio | " + " | ".join(names) + " |\n" + "|---" * (1 + len(names)) + "|")
    for seconds, row in medians.items():
        cells = [f"{row[n]:.0f} ms" + (f" (x{row[n] / row[ours]:.2f})" if ours and n != ours else "") for n in names]
        print(f"| {seconds} s | " + " | ".join(cells) + " |")


def cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()


if __name__ == "__main__":
    main()
