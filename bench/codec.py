"""Times neural codecs against their peers. See README.md.

    python codec.py --out out [--models snac_24khz,...] [--engines percept-f32,ort-f32,torch-f32] [--rounds 7]
    python codec.py --out out --quick          # tiny checkpoints, one round: does it run?
"""

import argparse
import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import chart
import codec_models
import codec_table
import encoder
from codec_folder import Folder
from peers import Asked, released, spawn

HERE = Path(__file__).parent
ENGINES = ("percept-f32", "ort-f32", "torch-f32")
LARGEST_ERROR = 1e-3  # of a sample; beyond it a peer computes something else
FEWEST_EQUAL = 0.98  # of the codes: one that hangs on rounding moves the finer ones of its frame


@dataclass(frozen=True)
class Task:
    """`encode`, `decode` (with noise where the codec has some) or `decode, no noise`."""

    name: str
    request: dict

    @property
    def way(self) -> str:
        return self.name.split(",")[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=HERE / "out", help="checkpoints, exports and results go here")
    parser.add_argument("--models", default=",".join(entry.name for entry in codec_models.ENTRIES))
    parser.add_argument("--engines", default=",".join(ENGINES))
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--quick", action="store_true", help="a smoke test: tiny checkpoints, one round")
    parser.add_argument("--prepare", action="store_true", help="make checkpoints, sound and exports, and stop")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.rounds, arguments.seconds = 1, min(arguments.seconds, 0.8)
    names, engines = arguments.models.split(","), arguments.engines.split(",")
    entries = [entry for entry in codec_models.ENTRIES if entry.name in names]
    folder = arguments.out / "codec"
    exports = "ort-f32" in engines
    prepared = {
        entry.name: codec_models.prepare(entry, folder, arguments.seconds, arguments.quick, exports)
        for entry in entries
    }
    if arguments.prepare:
        return
    result = setup(arguments, engines)
    result["peaks"] = encoder.peaks(arguments.threads)
    for entry in entries:
        measure(entry, prepared[entry.name], engines, arguments, result)
    report(arguments.out, result)


def setup(arguments: argparse.Namespace, engines: list[str]) -> dict:
    return {
        "what": "neural codecs, random weights of the published shapes" if not arguments.quick else "a smoke test",
        "seconds": arguments.seconds,
        "threads": arguments.threads,
        "rounds": arguments.rounds,
        "cpu": encoder.cpu(),
        "versions": encoder.versions(("torch", "transformers", "snac", "onnxruntime")),
        "order": engines,
        "models": {},
        "series": {},
        "limits_ms": {},
    }


def measure(
    entry: codec_models.Entry, folder: Folder, names: list[str], arguments: argparse.Namespace, result: dict
) -> None:
    """One model in all engines, in turn."""
    facts = folder.read_facts()
    peers, load_s = [], {}
    try:
        for name in names:
            start = time.perf_counter()
            peers.append(start_peer(name, folder, arguments.threads))
            load_s[name] = round(time.perf_counter() - start, 3)
        for job in tasks(entry, folder, facts):
            row = f"{entry.name}: {job.name}"
            result["series"][row] = timed(peers, folder, job, arguments.rounds)
            operations = 2.0 * facts["multiply_adds"][job.name]
            result["limits_ms"][row] = {"f32": round(operations / result["peaks"]["f32_gflops"] / 1e6, 3)}
        facts |= {
            "load_s": load_s,
            "memory_mb": {peer.name: memory_mb(peer) for peer in peers},
            "not_exported": json.loads((folder.path / "exported.json").read_text()) if "ort-f32" in names else {},
            "streams": streams(peers, entry, folder, facts, arguments.rounds),
        }
    finally:
        for peer in peers:
            peer.stop()
    if "percept-f32" in names:
        facts["stream_memory_mb"] = stream_memory(folder, facts, arguments.threads, 2 if arguments.quick else 12)
    result["models"][entry.name] = facts


def timed(peers: list[Asked], folder: Folder, job: Task, rounds: int) -> dict[str, dict]:
    """Times of every peer that can do it, and how far it is from the reference."""
    errors = agreement(peers, folder, job)
    times = interleaved([peer for peer in peers if peer.name in errors], job, rounds)
    return {
        name: encoder.summary(values) | {"min_ms": round(min(values), 3)} | errors[name]
        for name, values in times.items()
    }


def start_peer(name: str, folder: Folder, threads: int) -> Asked:
    if name.startswith("percept"):
        command = [released("codec-peer"), folder.model]
    else:
        command = [sys.executable, HERE / "codec_peer.py", name, folder.path, threads]
    peer = Asked(name, spawn(command, threads))
    if peer.answer() != "ready":
        raise SystemExit(f"{name} did not start")
    return peer


def tasks(entry: codec_models.Entry, folder: Folder, facts: dict) -> list[Task]:
    sound = {"do": "encode", "pcm": str(folder.pcm), "books": facts["books"]}
    codes = {"do": "decode", "codes": str(folder.codes)}
    jobs = [Task("encode", sound), Task("decode", codes | {"noise": entry.has_noise})]
    return jobs + ([Task("decode, no noise", codes | {"noise": False})] if entry.has_noise else [])


def agreement(peers: list[Asked], folder: Folder, job: Task) -> dict[str, dict]:
    """How far each peer is from torch (or the first). Also the warm-up. Peers without this export are left out."""
    found = {}
    for peer in peers:
        if peer.name == "ort-f32" and not folder.onnx(export_of(job)).exists():
            continue
        target = folder.path / f"{peer.name}.out"
        peer.ask(job.request | {"out": str(target)})
        found[peer.name] = target
    reference = "torch-f32" if "torch-f32" in found else next(iter(found))
    return {name: compare(job, target, found[reference], name) for name, target in found.items()}


def export_of(job: Task) -> str:
    return {"encode": "encoder", "decode": "decoder", "decode, no noise": "decoder-quiet"}[job.name]


def compare(job: Task, target: Path, reference: Path, name: str) -> dict:
    if job.way == "encode":
        pair = [json.loads(path.read_text())["books"] for path in (target, reference)]
        equal = [np.array(one) == np.array(other) for one, other in zip(*pair, strict=True)]
        share = float(np.concatenate(equal).mean())
        if share < FEWEST_EQUAL:
            raise SystemExit(f"{name}: only {share:.3f} of the codes are those of the reference ({target})")
        return {"equal_codes": round(share, 5)}
    if job.request["noise"]:
        return {}  # everyone draws other noise
    out, truth = (np.fromfile(path, "<f4") for path in (target, reference))
    length = min(len(out), len(truth))
    error = float(np.abs(out[:length] - truth[:length]).max())
    if len(out) != len(truth) or not error < LARGEST_ERROR:
        raise SystemExit(f"{name}: {len(out)} samples that differ by {error:.2g}, the reference has {len(truth)}")
    return {"largest_difference": float(f"{error:.3g}")}


def interleaved(peers: list[Asked], job: Task, rounds: int) -> dict[str, list[float]]:
    """In every round each peer runs once to be warm and once to be counted; the order rotates."""
    times = {peer.name: [] for peer in peers}
    for turn in range(rounds):
        for peer in encoder.rotated(peers, turn):
            time.sleep(encoder.REST_S)
            peer.ask(job.request)
            times[peer.name].append(round(peer.ask(job.request)["ms"], 3))
    return times


def streams(peers: list[Asked], entry: codec_models.Entry, folder: Folder, facts: dict, rounds: int) -> dict:
    """Ours in steps of one super-frame, offline in turn with it, so that both meet the same machine."""
    ours = next((peer for peer in peers if peer.name == "percept-f32"), None)
    if ours is None:
        return {}
    jobs = {
        "decode": (
            {"do": "stream_decode", "codes": str(folder.codes), "noise": entry.has_noise, "times": 1},
            {"do": "decode", "codes": str(folder.codes), "noise": entry.has_noise},
        ),
        "encode": (
            {"do": "stream_encode", "pcm": str(folder.pcm), "books": facts["books"], "times": 1},
            {"do": "encode", "pcm": str(folder.pcm), "books": facts["books"]},
        ),
    }
    found = {}
    for way, (stepped, whole) in jobs.items():
        ours.ask(stepped)
        rows = [(ours.ask(stepped), ours.ask(whole)["ms"]) for _ in range(rounds)]
        times = encoder.summary([round(answer["ms"], 3) for answer, _ in rows])
        steps = [answer["steps"] for answer, _ in rows]
        found[way] = times | {
            "offline_median_ms": encoder.summary([ms for _, ms in rows])["median_ms"],
            "steps": steps[0]["count"], "made": steps[0]["made"],
            "step_p50_ms": round(float(np.median([step["p50_ms"] for step in steps])), 3),
            "step_p99_ms": round(float(np.median([step["p99_ms"] for step in steps])), 3),
        }  # fmt: skip
        found[way]["ratio"] = round(found[way]["median_ms"] / found[way]["offline_median_ms"], 3)
    return found


def stream_memory(folder: Folder, facts: dict, threads: int, longer: int) -> dict[str, float]:
    """Peak memory of a process of its own after the codes were streamed once, and then `longer` times in one stream."""
    peer = start_peer("percept-f32", folder, threads)
    request = {"do": "stream_decode", "codes": str(folder.codes), "noise": facts["family"] == "snac"}
    found = {"loaded": memory_mb(peer)["peak"]}
    for times in (1, longer):
        peer.ask(request | {"times": times})
        found[f"after_{facts['seconds'] * times:g}_s"] = memory_mb(peer)["peak"]
    peer.stop()
    return found


def memory_mb(peer: Asked) -> dict[str, float]:
    """Largest and present resident memory."""
    found = {}
    for line in Path(f"/proc/{peer.process.pid}/status").read_text().splitlines():
        name, _, value = line.partition(":")
        found[name] = value.split()
    sizes = (("peak", "VmHWM"), ("resident", "VmRSS"))
    return {key: round(int(found[field][0]) * 1024 / 1e6, 1) for key, field in sizes}


def report(folder: Path, result: dict) -> None:
    (folder / "codec.json").write_text(json.dumps(result, indent=1) + "\n")
    (folder / "codec.svg").write_text(chart.codec(result))
    print(codec_table.markdown(result))


if __name__ == "__main__":
    main()
