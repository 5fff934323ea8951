"""Times streams against ONNX Runtime driving the same encoders. See README.md.

    python streams.py --out out [--modes 10-2-2,R=13,R=6,R=1,R=0] [--seconds 600] [--rounds 3]
"""

import argparse
import json
import statistics
from dataclasses import asdict, dataclass
from pathlib import Path

import chart
import checkpoint
import encoder
import stream_table
import virtual
from modes import MODES, Mode
from peers import Asked

HERE = Path(__file__).parent
OURS = "percept-int8"
NAMES = (OURS, "ort-int8", "ort-f32")
AUDIO_S = 60.0
SIMULATED_S = 120.0
LARGEST_BATCH_ROWS = 600


@dataclass(frozen=True)
class Effort:
    """How many steps are timed: as many as fit, within limits."""

    rounds: int
    round_s: float
    single: tuple[int, int]
    batch: tuple[int, int]

    def steps(self, ms: float, batch: int) -> int:
        fewest, most = self.single if batch == 1 else self.batch
        return max(fewest, min(most, int(1e3 * self.round_s / ms)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=HERE / "out", help="checkpoints, exports and results go here")
    parser.add_argument("--peers", default=",".join(NAMES))
    parser.add_argument("--modes", default=",".join(MODES))
    parser.add_argument("--seconds", type=float, default=600.0, help="of every stream's time in a live run")
    parser.add_argument("--peer-seconds", type=float, default=120.0, help="the same for the other engines; 0: none")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--round-seconds", type=float, default=4.0, help="for one engine and batch size")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--layers", type=int, default=24, help="fewer for a smoke test")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--prepare", action="store_true", help="make checkpoints, exports and features, and stop")
    arguments = parser.parse_args()
    out = arguments.out / f"{arguments.layers}-layers"
    names, modes = arguments.peers.split(","), [MODES[name] for name in arguments.modes.split(",")]
    prepare(out, arguments.layers, arguments.seed, {mode.family for mode in modes}, names)
    if arguments.prepare:
        return
    result = setup(arguments, names)
    effort = Effort(arguments.rounds, arguments.round_seconds, single=(20, 200), batch=(3, 30))
    for family in dict.fromkeys(mode.family for mode in modes):
        peers = [start(name, out, family, arguments.threads) for name in names]
        for mode in (mode for mode in modes if mode.family == family):
            result["modes"][mode.name] = measured(peers, mode, effort, arguments)
            report(arguments.out, result)
        for peer in peers:
            peer.stop()
    print(stream_table.markdown(result))


def prepare(out: Path, layers: int, seed: int, families: set[str], names: list[str]) -> None:
    """Makes what is not there yet."""
    import exported
    import streaming

    out.mkdir(parents=True, exist_ok=True)
    for family in sorted(families):
        folder, build = {"windows": (out / "model", checkpoint.build), "cached": (out / "streaming", streaming.build)}[family]
        if not (folder / "model.safetensors").exists():
            build(folder, layers, seed)
        if not (folder / "calibration.json").exists():
            streaming.calibrate(folder, seed)
        if any(name.startswith("ort-") for name in names):
            exported.prepare(folder, out, family)
        features = out / f"mel-{family}.f32"
        if not features.exists():
            streaming.features(folder, AUDIO_S, seed).astype("<f4").tofile(features)
    streaming.audio(AUDIO_S, seed).astype("<f4").tofile(out / "pcm.f32")


def setup(arguments: argparse.Namespace, names: list[str]) -> dict:
    return {
        "what": "streams on FastConformer with 0.6b random weights, samples in (features for the peers), tokens out",
        "layers": arguments.layers,
        "threads": arguments.threads,
        "rounds": arguments.rounds,
        "seed": arguments.seed,
        "cpu": encoder.cpu(),
        "versions": encoder.versions(),
        "order": names,
        "modes": {},
    }


def start(name: str, out: Path, family: str, threads: int) -> Asked:
    model = out / {"windows": "model", "cached": "streaming"}[family]
    return Asked.start(name, model, out, threads)


def measured(peers: list[Asked], mode: Mode, effort: Effort, arguments: argparse.Namespace) -> dict:
    """Everything about one mode."""
    print(mode.name, flush=True)
    batches = mode.batches(LARGEST_BATCH_ROWS)
    first = {peer.name: {b: steady(peer, mode, b, 2) for b in batches} for peer in peers}
    costs = {peer.name: {b: [] for b in batches} for peer in peers}
    said = {}
    for index in range(effort.rounds):
        for peer in encoder.rotated(peers, index):
            for batch in batches:
                guess = statistics.median(first[peer.name][batch]["ms"])
                found = steady(peer, mode, batch, effort.steps(guess, batch))
                costs[peer.name][batch] += found["ms"]
                said[peer.name] = found["tokens_per_second"]
    row = {peer.name: summary(costs[peer.name], mode) for peer in peers}
    for peer in peers:
        row[peer.name]["tokens_per_second"] = round(said[peer.name], 2)
        seconds = arguments.seconds if peer.name == OURS else arguments.peer_seconds
        if seconds > 0:
            row[peer.name]["live"] = live(peer, mode, row[peer.name], seconds)
    out = {"chunk_s": mode.chunk_s, "latency_s": mode.latency_s, "engines": row}
    if mode.right_frames and peers[0].name.startswith("percept"):
        out["volatile_share"] = volatile(peers[0], mode, effort)
    return out


def steady(peer: Asked, mode: Mode, batch: int, steps: int, is_volatile: bool = False) -> dict:
    request = {"do": "steady", "batch": batch, "steps": steps, "volatile": is_volatile}
    said = peer.ask({"mode": asdict(mode)} | request)
    return said | {"ms": [a + b for a, b in zip(said["encode_ms"], said["decode_ms"], strict=True)]}


def summary(costs: dict[int, list[float]], mode: Mode) -> dict:
    """Of one engine: the time of a step alone, of a stream's share of larger ones, and the streams such costs hold."""
    streams, outcome = virtual.capacity(costs, mode.chunk_s, SIMULATED_S)
    alone = costs[1]
    return {
        "step_p50_ms": round(virtual.quantile(alone, 0.5), 3),
        "step_p99_ms": round(virtual.quantile(alone, 0.99), 3),
        "batch_ms": {batch: round(statistics.median(times), 3) for batch, times in costs.items()},
        "largest_batch": virtual.Costs(costs).largest_batch(),
        "simulated": {"streams": streams} | outcome.summary(),
    }


def live(peer: Asked, mode: Mode, row: dict, seconds: float) -> dict:
    """The most streams that were seen to be held, from a little less than was simulated down."""

    def run(streams: int) -> dict:
        request = {"do": "live", "streams": streams, "seconds": seconds, "batch": row["largest_batch"]}
        return {"streams": streams, "seconds": seconds} | peer.ask({"mode": asdict(mode)} | request)

    return virtual.highest(max(round(0.97 * row["simulated"]["streams"]), 1), run)


def volatile(peer: Asked, mode: Mode, effort: Effort) -> float:
    """How much longer a step takes with volatile text, as a share; the two are measured in turn."""
    times = {False: [], True: []}
    for index in range(2 * effort.rounds):
        for is_volatile in (False, True) if index % 2 else (True, False):
            times[is_volatile] += steady(peer, mode, 1, effort.single[0], is_volatile)["ms"]
    return round(statistics.median(times[True]) / statistics.median(times[False]) - 1.0, 4)


def report(folder: Path, result: dict) -> None:
    (folder / "streams.json").write_text(json.dumps(result, indent=1) + "\n")
    (folder / "streams.svg").write_text(chart.streams(result))


if __name__ == "__main__":
    main()
