"""Times torch or ONNX Runtime: `python_peer.py torch-f32|torch-bf16|ort-f32|ort-int8 MODEL MELS THREADS`.

The protocol is that of `protocol/src/lib.rs`.
"""

import sys
import time
from pathlib import Path

import numpy as np


def torch_runner(path: Path, threads: int, dtype_name: str):
    import torch

    from checkpoint import load_encoder

    torch.set_num_threads(threads)
    dtype = {"f32": torch.float32, "bf16": torch.bfloat16}[dtype_name]
    encoder = load_encoder(path, dtype)

    def run(features: np.ndarray) -> tuple[float, np.ndarray]:
        with torch.inference_mode():
            start = time.perf_counter()
            output = encoder(torch.from_numpy(features).to(dtype))
            elapsed = time.perf_counter() - start
            return elapsed, output.float().numpy()

    return run


def ort_runner(path: Path, threads: int):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def run(features: np.ndarray) -> tuple[float, np.ndarray]:
        start = time.perf_counter()
        (output,) = session.run(None, {"features": features})
        return time.perf_counter() - start, output

    return run


def main() -> None:
    kind, path, mels, threads = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    engine, dtype = kind.split("-")
    run = torch_runner(path, threads, dtype) if engine == "torch" else ort_runner(path, threads)
    print("ready", flush=True)
    for line in sys.stdin:
        source, target, frames = line.split()
        features = np.fromfile(source, "<f4").reshape(1, -1, mels)
        step = int(frames) or features.shape[1]
        runs = [run(features[:, start : start + step]) for start in range(0, features.shape[1], step)]
        if target != "-":
            np.concatenate([output for _, output in runs], axis=1).astype("<f4").tofile(target)
        print(sum(seconds for seconds, _ in runs) * 1e3, flush=True)


if __name__ == "__main__":
    main()
