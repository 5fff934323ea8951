"""Writes the goldens of streaming beside those of parakeet.py, for the checkpoints that it left. See README.md.

    python stream.py [--out fixtures] [CASE ...]
"""

import argparse
import logging
import random
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np
import soundfile
import torch
import transformers
from safetensors.torch import save_file
from transformers import AutoFeatureExtractor, AutoModelForCTC, AutoModelForRNNT, AutoModelForTDT, DynamicCache

from lib import nemo, oracle, search, signals, tiny, windows
from lib.stream import Decoder, Step, WindowStream
from lib.windows import FRAME
from parakeet import CASES, MIN_MARGIN, Unlucky, dump, require

CONTEXTS = [(12, 5, 3), (25, 13, 6), (8, 8, 0), (0, 6, 4), (6, 1, 2)]
UNIFIED_CONTEXTS = [(12, 6, 3), (14, 7, 7)]
FEW_CONTEXTS = [(12, 5, 3), (6, 1, 2)]
UNIFIED = "rnnt"
FEW_ENDS = ["one sample past the grid", "inside a frame"]


def ends(left: int, chunk: int, right: int) -> dict[str, int]:
    """Lengths in samples at which a schedule can go wrong."""
    first = (chunk + right) * FRAME
    return {
        "less than a window": first - 700,
        "one window": first,
        "one sample past a window": first + 1,
        "on the grid": first + 2 * chunk * FRAME,
        "one sample past the grid": first + 2 * chunk * FRAME + 1,
        "on a frame": first + (chunk + 2) * FRAME,
        "inside a frame": first + (left + 3 * chunk) * FRAME + 517,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "fixtures")
    parser.add_argument("cases", nargs="*")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    logging.disable(logging.WARNING)
    transformers.utils.logging.disable_progress_bar()
    integers, _ = soundfile.read(arguments.out / "audio" / "long.wav", dtype="int16")
    pcm = signals.to_float(integers)
    for spec in CASES:
        if spec.hugging_face and (not arguments.cases or spec.name in arguments.cases):
            folder = arguments.out / "parakeet" / spec.name
            Case(spec, folder, pcm).write()
            sizes = {file.name: file.stat().st_size / 1e3 for file in folder.glob("stream.*")}
            print(f"{spec.name}: " + ", ".join(f"{name} {size:.0f} kB" for name, size in sizes.items()), flush=True)


class Case:
    def __init__(self, spec: tiny.Spec, folder: Path, pcm: np.ndarray):
        self.spec, self.folder, self.pcm = spec, folder, pcm
        kind = {"tdt": AutoModelForTDT, "ctc": AutoModelForCTC}.get(spec.family, AutoModelForRNNT)
        self.model = kind.from_pretrained(folder / "model", attn_implementation="sdpa").eval()
        self.extractor = AutoFeatureExtractor.from_pretrained(folder / "model")
        self.tensors: dict[str, torch.Tensor] = {}

    def write(self) -> None:
        found = {
            "case": self.spec.name,
            "reference": {"transformers": transformers.__version__, "torch": torch.__version__.split("+")[0]},
            "blank": self.spec.vocabulary,
            "windows": [] if self.spec.streaming else list(self.windowed()),
            "unified_windows": list(self.unified()) if self.spec.name == UNIFIED else [],
            "cache_aware": list(self.cache_aware()) if self.spec.streaming else [],
        }
        (self.folder / "stream.json").write_text(dump(found, flat=("steps",)) + "\n")
        if found["unified_windows"]:
            nemo.restyle(self.folder / "model.nemo", self.folder / "unified.nemo", "chunked_limited_with_rc")
        if self.tensors:
            save_file(self.tensors, self.folder / "stream.safetensors")

    def encode(self, pcm: np.ndarray, lookahead: int | None = None) -> torch.Tensor:
        return oracle.encode(self.model, self.extractor, pcm, lookahead).encoder

    def encode_unified(self, pcm: np.ndarray, context: tuple[int, int, int]) -> torch.Tensor:
        """A window under the mask that its context makes; its grid begins with the window."""
        mel = oracle.encode(self.model, self.extractor, pcm).mel
        return oracle.encode_masked(self.model, mel, "chunked_limited_with_rc", list(context))

    def stream(self, encode: Callable, context: tuple[int, int, int]) -> WindowStream:
        return WindowStream(encode, Decoder.start(self.model, self.spec.family, self.spec.vocabulary), *context)

    def windowed(self) -> Iterator[dict]:
        all_of_them = bool(self.spec.windows)
        for context in CONTEXTS if all_of_them else FEW_CONTEXTS:
            for name, samples in ends(*context).items():
                if all_of_them or name in FEW_ENDS:
                    yield self.lively(samples, lambda start, n: self.in_windows(name, start, n, context))
        if all_of_them:
            samples = len(self.pcm)
            yield self.lively(samples, lambda start, n: self.in_windows("a whole file", start, n, CONTEXTS[1]))

    def unified(self) -> Iterator[dict]:
        for context in UNIFIED_CONTEXTS:
            for name, samples in ends(*context).items():
                if name in FEW_ENDS:
                    encode = lambda pcm, context=context: self.encode_unified(pcm, context)  # noqa: E731
                    yield self.lively(samples, lambda start, n: self.in_windows(name, start, n, context, encode))

    def lively(self, samples: int, stream: Callable[[int, int], dict]) -> dict:
        """The stream of that length, or of what is left, from a place in the audio where no decision hangs on rounding."""
        for start in range(0, max(len(self.pcm) - samples, len(self.pcm) // 4), 1111):
            try:
                return stream(start, min(samples, len(self.pcm) - start))
            except Unlucky:
                continue
        raise SystemExit(f"{self.spec.name}: no lively {samples} samples")

    def in_windows(
        self, name: str, start: int, samples: int, context: tuple[int, int, int], encode: Callable | None = None
    ) -> dict:
        pcm, encode = self.pcm[start : start + samples], encode or self.encode
        stream, shaken = self.stream(encode, context), self.stream(lambda pcm: shake(encode(pcm)), context)
        steps = list(run(stream, pcm))
        assert [step.window for step in steps] == windows.plan(samples, *context)
        require(stream.found.margin > MIN_MARGIN, "a close decision")
        again = list(run(shaken, pcm))
        require(answer(stream.found) == answer(shaken.found), "the answer hangs on rounding")
        tails = [[answer(step.volatile) for step in some] for some in (steps, again)]
        require(tails[0] == tails[1], "the tail hangs on rounding")
        require(len(set(stream.found.tokens)) > min(len(steps), 6) // 2, "few different tokens")
        require(len(steps) < 6 or max(stream.found.frames) >= 0.6 * samples / FRAME, "silent at the end")
        require(is_lively(self.spec, context, steps), "nothing volatile, or no jump past a chunk")
        return {
            **self.said(start, samples, stream.found),
            "context_frames": list(context),
            "ends": name,
            "steps": [self.step(step) for step in steps],
        }

    def said(self, start: int, samples: int, found: search.Hypothesis) -> dict:
        return {
            "audio": "audio/long.wav",
            "start": start,
            "samples": samples,
            "tokens": found.tokens,
            "frames": found.frames,
            "durations": found.durations,
            "probabilities": [round(p, 6) for p in found.probabilities],
            "margin": round(found.margin, 6) if found.steps else None,
        }

    def step(self, step: Step) -> dict:
        tail = step.volatile
        out = asdict(step.window) | {"committed": step.committed}
        if self.spec.family == "tdt":
            out["jump"] = step.jump
        if self.spec.family == "ctc":
            out |= {"open_run": step.open_run, "volatile_run": step.volatile_run}
        return out | {"volatile": {"tokens": tail.tokens, "frames": tail.frames, "durations": tail.durations}}

    def cache_aware(self) -> Iterator[dict]:
        """Encoder frames under every look-ahead, of a long odd length and of every way to end."""
        lengths = {"long": len(self.pcm)}
        lengths |= {f"mels_{mels}": mels * 160 + 37 for mels in (1, 8, 9, *range(88, 96))}
        for lookahead in self.spec.rights:
            for name, samples in lengths.items():
                seam = f"{name}.lookahead_{lookahead}"
                yield from self.lively(samples, lambda start, n: self.under(seam, start, n, lookahead))

    def under(self, seam: str, start: int, samples: int, lookahead: int) -> list[dict]:
        pcm = self.pcm[start : start + samples]
        encoded = self.encode(pcm, lookahead)
        self.check_cached(pcm, lookahead, encoded)
        out = []
        for prompt in [101, 9] if self.spec.head == "nemotron3_5" else [None]:
            found, again = (
                oracle.transduce(self.model, oracle.project(self.model, one, prompt)[1])
                for one in (encoded, shake(encoded))
            )
            require(found.margin > MIN_MARGIN, "a close decision")
            require(answer(found) == answer(again), "the answer hangs on rounding")
            require(len(encoded) < 10 or len(set(found.tokens)) > 3, "few different tokens")
            said = self.said(start, samples, found) | {"lookahead": lookahead, "encoder_frames": len(encoded)}
            out.append(said | {"seam": seam} | ({} if prompt is None else {"prompt": prompt}))
        self.tensors[seam] = encoded.contiguous()
        return out

    @torch.no_grad()
    def check_cached(self, pcm: np.ndarray, lookahead: int, encoded: torch.Tensor) -> None:
        """The reference's own streaming, chunk by chunk with its caches, gives the same frames."""
        mel = oracle.features(self.extractor, [pcm])["input_features"][:, : len(pcm) // 160]
        caches: dict = {"past_key_values": DynamicCache(config=self.model.encoder.config), "padding_cache": None}
        at, size, frames = 0, 1 + 8 * lookahead, []
        while at + size <= mel.shape[1]:
            out = self.model.encoder(
                mel[:, at : at + size], use_cache=True, num_lookahead_tokens=lookahead, **caches
            )
            caches = {"past_key_values": out.past_key_values, "padding_cache": out.padding_cache}
            frames.append(out.last_hidden_state[0])
            at, size = at + size, 8 * (lookahead + 1)
        if frames:
            streamed = torch.cat(frames)
            # The last chunk of the audio may be short, and then its frames see fewer to their right.
            difference = (streamed - encoded[: len(streamed)]).abs().max()
            assert difference < 2e-5 * encoded.abs().max(), f"{difference}"


def run(stream: WindowStream, pcm: np.ndarray) -> Iterator[Step]:
    """Pushes the audio in packets of random sizes."""
    rng = random.Random(len(pcm))
    at = 0
    while at < len(pcm):
        size = rng.choice([1, 160, 320, 4096, 16_000, 100_000])
        yield from stream.push(pcm[at : at + size])
        at += size
    yield from stream.finish()


def shake(encoded: torch.Tensor) -> torch.Tensor:
    """With noise of the size that implementations may differ by."""
    noise = torch.rand(encoded.shape, generator=torch.Generator().manual_seed(0)) * 2 - 1
    return encoded + 1e-4 * encoded.abs().max() * noise


def answer(found: search.Hypothesis) -> tuple[list[int], list[int], list[int]]:
    return found.tokens, found.frames, found.durations


def is_lively(spec: tiny.Spec, context: tuple[int, int, int], steps: list[Step]) -> bool:
    """A stream of many windows has volatile tokens, and short chunks are jumped over."""
    _, chunk, right = context
    if len(steps) < 6:
        return True
    if right and not any(step.volatile.tokens for step in steps):
        return False
    return spec.family != "tdt" or chunk > 1 or any(step.jump > 1 for step in steps)


if __name__ == "__main__":
    main()
