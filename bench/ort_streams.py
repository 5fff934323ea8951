"""Streams on ONNX Runtime, on request: `ort_streams.py ort-f32|ort-int8 FOLDER THREADS`.

Requests are lines of JSON, and so are the answers; before the first one it says "ready". `mode` is a `modes.Mode`, and
streams are under way when they start:

    {"mode", "do": "steady", "batch", "steps"} -> {"encode_ms": [...], "decode_ms": [...], "tokens_per_second"}
    {"mode", "do": "live", "streams", "seconds", "batch"} -> what `virtual.Outcome` says, and "tokens_per_second"

Features are computed beforehand and cost nothing here.
"""

import json
import sys
import time
from copy import copy
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path

import numpy as np
import onnxruntime

import virtual
from modes import MODES, Mode
from transducer import Greedy, State
from work import MELS

LEFT, CONVOLVED, MEL_MEMORY = 70, 8, 7
SLACK = 35  # frames that a stream's memory may grow by before it is moved to the front


@dataclass
class Stream:
    search: State
    at: int = 0
    keys_values: np.ndarray | None = None  # `[left + SLACK, 2 layers, d]`, of which the frames before `end` count
    convolved: np.ndarray | None = None
    end: int = LEFT
    seen: int = 0

    def fork(self) -> "Stream":
        made = copy(self)
        made.search = copy(self.search)
        if self.keys_values is not None:
            made.keys_values = self.keys_values.copy()
        return made

    def remember(self, keys_values: np.ndarray, convolved: np.ndarray) -> None:
        count = len(keys_values)
        if self.end + count > len(self.keys_values):
            self.keys_values[:LEFT] = self.keys_values[self.end - LEFT : self.end]
            self.end = LEFT
        self.keys_values[self.end : self.end + count] = keys_values
        self.end, self.seen = self.end + count, min(self.seen + count, LEFT)
        self.convolved = np.concatenate([self.convolved, convolved])[-CONVOLVED:]


class Engine:
    """All modes of one family, by the files in `folder`. `arithmetic` is f32 or int8."""

    def __init__(self, folder: Path, arithmetic: str, threads: int):
        self.folder, self.suffix, self.threads = folder, "-int8" if arithmetic == "int8" else "", threads

    @cache
    def session(self, name: str) -> onnxruntime.InferenceSession:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = self.threads, 1
        return onnxruntime.InferenceSession(str(self.folder / name), options, providers=["CPUExecutionProvider"])

    @cache
    def search(self, family: str) -> Greedy:
        joiner = self.session(f"joiner-{family}{self.suffix}.onnx")
        predictor = self.session(f"predictor-{family}.onnx")
        shape = predictor.get_inputs()[1].shape
        facts = json.loads((self.folder / f"search-{family}.json").read_text())
        return Greedy(
            lambda frames, outputs: joiner.run(None, {"frames": frames, "outputs": outputs})[0],
            lambda tokens, hidden, cell: predictor.run(None, {"tokens": tokens, "hidden": hidden, "cell": cell}),
            facts["blank"], int(shape[0]), int(shape[2]), tuple(facts["durations"]),
        )  # fmt: skip

    @cache
    def features(self, family: str) -> np.ndarray:
        shape = (-1, MELS) if family == "cached" else (-1, 1400, MELS)
        return np.fromfile(self.folder / f"mel-{family}.f32", "<f4").reshape(shape)

    @lru_cache(maxsize=1)
    def pool(self, mode: Mode) -> list[Stream]:
        """Streams under way; so far one, which has filled its memory."""
        stream = Stream(self.search(mode.family).start())
        if mode.family == "cached":
            layers = self.session(f"step{self.suffix}.onnx").get_inputs()[2].shape[2]
            stream.keys_values = np.zeros((LEFT + SLACK, 2 * layers, 1024), np.float32)
            stream.convolved = np.zeros((CONVOLVED, layers, 1024), np.float32)
            for _ in range(LEFT // 14):
                self.step(MODES["R=13"], [stream])
        return [stream]

    def streams(self, mode: Mode, count: int) -> list[Stream]:
        """The first so many of the pool. The first of all was copied whenever it was two steps further."""
        pool = self.pool(mode)
        while len(pool) < count:
            pool.append(pool[0].fork())
            for _ in range(2):
                self.step(mode, pool[:1])
        return pool[:count]

    def step(self, mode: Mode, streams: list[Stream]) -> tuple[float, float]:
        """Seconds spent on the encoder and on the search."""
        start = time.perf_counter()
        encoded = self.cached(mode, streams) if mode.family == "cached" else self.windows(mode, streams)
        middle = time.perf_counter()
        self.search(mode.family).decode([stream.search for stream in streams], encoded)
        return middle - start, time.perf_counter() - middle

    def windows(self, mode: Mode, streams: list[Stream]) -> np.ndarray:
        """One after the other: a window alone keeps the processor busy."""
        features, encoded = self.features(mode.family), []
        for stream in streams:
            (frames,) = self.session(f"encoder{self.suffix}.onnx").run(None, {"features": features[stream.at][None]})
            encoded.append(frames[0, mode.left_frames : mode.left_frames + mode.frames])
            stream.at = (stream.at + 1) % len(features)
        return np.stack(encoded)

    def cached(self, mode: Mode, streams: list[Stream]) -> np.ndarray:
        features, size = self.features(mode.family), MEL_MEMORY + 8 * mode.frames
        for stream in streams:
            stream.at = stream.at if stream.at + size <= len(features) else 0
        memory = [stream.keys_values[stream.end - LEFT : stream.end] for stream in streams]
        inputs = {
            "mel": np.stack([features[stream.at : stream.at + size] for stream in streams]),
            "keys_values": np.stack(memory) if len(memory) > 1 else memory[0][None],
            "convolved": np.stack([stream.convolved for stream in streams]),
            "seen": np.array([stream.seen for stream in streams]),
        }
        encoded, keys_values, convolved = self.session(f"step{self.suffix}.onnx").run(None, inputs)
        for row, stream in enumerate(streams):
            stream.remember(keys_values[row], convolved[row])
            stream.at += 8 * mode.frames
        return encoded


def answer(engine: Engine, request: dict) -> dict:
    mode = MODES[request["mode"]["name"]]
    streams = engine.streams(mode, request.get("batch" if request["do"] == "steady" else "streams"))
    before = sum(stream.search.tokens for stream in streams)
    if request["do"] == "steady":
        spent = [engine.step(mode, streams) for _ in range(request["steps"])]
        said = {name: [round(1e3 * one, 4) for one in times] for name, times in zip(("encode_ms", "decode_ms"), zip(*spent))}
        heard = request["steps"] * len(streams) * mode.chunk_s
    else:
        load = virtual.Load(request["streams"], mode.chunk_s, request["seconds"], request["batch"])
        outcome = virtual.serve(load, lambda batch: sum(engine.step(mode, [streams[index] for index in batch])))
        said, heard = outcome.summary(), len(outcome.lags_ms) * mode.chunk_s
    tokens = sum(stream.search.tokens for stream in streams) - before
    return said | {"tokens_per_second": round(tokens / heard, 2)}


def main() -> None:
    name, folder, threads = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    engine = Engine(folder, name.split("-")[1], threads)
    print(json.dumps("ready"), flush=True)
    for line in sys.stdin:
        print(json.dumps(answer(engine, json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
