"""Times torch or ONNX Runtime on a codec: `codec_peer.py torch-f32|ort-f32 FOLDER THREADS`.

`FOLDER` is what `codec_models.prepare` leaves. Requests and answers are those of `codec-peer`, without streams.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np

from codec_folder import Folder


class Torch:
    def __init__(self, folder: Folder, threads: int):
        import torch

        import codec_models

        torch.set_num_threads(threads)
        self.torch, self.models = torch, codec_models
        self.loud = codec_models.load(folder)
        self.quiet = codec_models.load(folder) if self.loud.family == "snac" else self.loud
        codec_models.quiet(self.quiet)

    def encode(self, pcm: np.ndarray, books: int) -> tuple[float, list[list[int]]]:
        with self.torch.inference_mode():
            samples = self.torch.from_numpy(pcm)
            start = time.perf_counter()
            codes = self.models.encode(self.loud, books, samples)
            return time.perf_counter() - start, [code.tolist() for code in codes]

    def decode(self, codes: list[list[int]], noise: bool) -> tuple[float, np.ndarray]:
        codec = self.loud if noise else self.quiet
        with self.torch.inference_mode():
            books = [self.torch.tensor(book) for book in codes]
            start = time.perf_counter()
            out = self.models.decode(codec, books)
            return time.perf_counter() - start, out.numpy()


class OnnxRuntime:
    """The normals are there before the clock starts."""

    def __init__(self, folder: Folder, threads: int):
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        self.sessions = {
            what: onnxruntime.InferenceSession(str(folder.onnx(what)), options, providers=["CPUExecutionProvider"])
            for what in ("encoder", "decoder", "decoder-quiet")
            if folder.onnx(what).exists()
        }
        self.noise = [np.fromfile(path, "<f4") for path in sorted(folder.path.glob("noise-*.f32"))]

    def run(self, what: str, inputs: list[np.ndarray]) -> tuple[float, list[np.ndarray]]:
        session = self.sessions[what]
        named = {put.name: value for put, value in zip(session.get_inputs(), inputs, strict=True)}
        start = time.perf_counter()
        out = session.run(None, named)
        return time.perf_counter() - start, out

    def encode(self, pcm: np.ndarray, books: int) -> tuple[float, list[list[int]]]:
        seconds, out = self.run("encoder", [pcm])
        return seconds, [code.tolist() for code in out]

    def decode(self, codes: list[list[int]], noise: bool) -> tuple[float, np.ndarray]:
        books = [np.array(book, np.int64) for book in codes]
        if noise or "decoder-quiet" not in self.sessions:
            seconds, out = self.run("decoder", books + self.noise)
        else:
            seconds, out = self.run("decoder-quiet", books)
        return seconds, out[0]


def main() -> None:
    kind, folder, threads = sys.argv[1], Folder(Path(sys.argv[2])), int(sys.argv[3])
    engine = {"torch-f32": Torch, "ort-f32": OnnxRuntime}[kind](folder, threads)
    print(json.dumps("ready"), flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        if request["do"] == "encode":
            seconds, codes = engine.encode(np.fromfile(request["pcm"], "<f4"), request["books"])
            if request.get("out"):
                Path(request["out"]).write_text(json.dumps({"books": codes}))
        else:
            codes = json.loads(Path(request["codes"]).read_text())["books"]
            seconds, samples = engine.decode(codes, request["noise"])
            if request.get("out"):
                samples.astype("<f4").tofile(request["out"])
        print(json.dumps({"ms": seconds * 1e3}), flush=True)


if __name__ == "__main__":
    main()
