"""Writes the goldens of the Parakeet / FastConformer family. See README.md.

    python parakeet.py [--out fixtures] [CASE ...]
"""

import argparse
import json
import logging
import shutil
import sys
import warnings
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import soundfile
import torch
import transformers
from safetensors.torch import save_file
from transformers import (
    Nemotron3_5AsrProcessor,
    NemotronAsrStreamingFeatureExtractor,
    NemotronAsrStreamingProcessor,
    ParakeetFeatureExtractor,
    ParakeetProcessor,
)

from lib import nemo, oracle, search, signals, text, tiny, windows

AUDIO = {"a": (45_003, 11), "b": (38_437, 12), "long": (209_777, 13)}
MASKS = [("regular", [4, 2]), ("regular", [6, -1]), ("chunked_limited", [6, 2]), ("chunked_limited_with_rc", [6, 3, 2])]
MIN_MARGIN = 2e-3
V3_CONTROL = ("<|nospeech|>", "<pad>", "<|endoftext|>", "<|startoftranscript|>", "<|pnc|>", "<|nopnc|>")
V3_CONTROL += ("<|startofcontext|>", "<|itn|>", "<|noitn|>")

CASES = [
    tiny.Spec(
        "tdt_v3", "tdt", mels=128, width=64, heads=8, bias=False, lstm_layers=2, vocabulary=64, control=V3_CONTROL,
        punctuation=True, nemo="no_bias_key", seed=10, windows=((25, 40, 15), (10, 13, 6)),
    ),
    tiny.Spec("tdt_110m", "tdt", nemo="gzip", seed=25),
    tiny.Spec(
        "ctc", "ctc", heads=2, kernel=5, scale_input=True, channels=16, nemo="plain", seed=10,
        windows=((25, 40, 15), (10, 13, 6)),
    ),
    tiny.Spec(
        "rnnt", "rnnt", kernel=31, scale_input=True, lstm_layers=2, nemo="plain", seed=21,
        windows=((25, 40, 15), (10, 13, 6)),
    ),
    tiny.Spec("rnnt_stuck", "rnnt", stuck=True, seed=8),
    tiny.Spec("tdt_xscale_no_bias", "tdt", heads=2, kernel=5, bias=False, scale_input=True, seed=2),
    tiny.Spec("hybrid", "hybrid", nemo="gzip", hugging_face=False, punctuation=True, seed=35),
    tiny.Spec(
        "rnnt_nemotron", "nemotron", mels=128, bias=False, lstm_layers=2, left=6, rights=(2, 1, 0), nemo="plain"
    ),
    tiny.Spec("rnnt_eou", "nemotron", mels=128, left=4, rights=(1,), control=("<EOU>", "<EOB>"), nemo="plain"),
    tiny.Spec(
        "rnnt_nemotron3_5", "nemotron3_5", mels=128, bias=False, lstm_layers=2, left=6, rights=(2, 0),
        control=("<en-US>", "<de-DE>"), punctuation=True, nemo="plain", seed=15,
    ),
]


class Unlucky(Exception):
    """This seed does not exercise what the case is for; the next one is tried."""


def require(holds: bool, what: str) -> None:
    if not holds:
        raise Unlucky(what)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "fixtures")
    parser.add_argument("cases", nargs="*")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    logging.disable(logging.WARNING)
    warnings.filterwarnings("ignore", message="Using the model-agnostic default `max_length`")
    transformers.utils.logging.disable_progress_bar()
    pcm = write_audio(arguments.out / "audio")
    for spec in CASES:
        if not arguments.cases or spec.name in arguments.cases:
            folder = arguments.out / "parakeet" / spec.name
            seed = write_first_lively(spec, pcm, folder)
            size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
            print(f"{spec.name}: seed {seed}, {size / 1e3:.0f} kB", flush=True)


def write_audio(folder: Path) -> dict[str, np.ndarray]:
    folder.mkdir(parents=True, exist_ok=True)
    pcm = {}
    for name, (samples, seed) in AUDIO.items():
        integers = signals.speech_like(samples, seed)
        soundfile.write(folder / f"{name}.wav", integers, signals.RATE, subtype="PCM_16")
        pcm[name] = signals.to_float(integers)
    return pcm


def write_first_lively(spec: tiny.Spec, pcm: dict[str, np.ndarray], folder: Path) -> int:
    for seed in range(spec.seed, spec.seed + 200):
        try:
            case = Case(replace(spec, seed=seed), pcm)
            case.check_and_fill()
        except Unlucky as reason:
            print(f"{spec.name}: seed {seed}: {reason}", file=sys.stderr, flush=True)
            continue
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        case.write(folder)
        return seed
    raise SystemExit(f"{spec.name}: no lively seed")


class Case:
    """One model, what it says about the audio, and the tensors at its seams."""

    def __init__(self, spec: tiny.Spec, pcm: dict[str, np.ndarray]):
        self.spec, self.pcm = spec, pcm
        self.sentencepiece = text.train_sentencepiece(spec.vocabulary, spec.control, spec.punctuation)
        names = text.pieces(self.sentencepiece)
        if spec.head == "ctc":
            last, pad = "<pad>", "<pad>"
        else:
            last, pad = "<blank>", "<pad>" if "<pad>" in names else "<blank>"
        self.tokenizer = text.hugging_face(self.sentencepiece, last, pad)
        self.extractor = (NemotronAsrStreamingFeatureExtractor if spec.streaming else ParakeetFeatureExtractor)(
            feature_size=spec.mels
        )
        pad_id = self.tokenizer.pad_token_id
        self.model = tiny.build(spec, pad_id)
        tiny.reinitialise(self.model, spec.seed)
        self.ctc_head = getattr(self.model, "ctc_head", None)
        if spec.head == "hybrid":
            self.ctc_head = torch.nn.Conv1d(spec.width, spec.vocabulary + 1, 1)
        self.lookahead = spec.rights[0] if spec.streaming else None
        encoded = [
            oracle.encode(self.model, self.extractor, x, lookahead).encoder
            for x in pcm.values()
            for lookahead in spec.rights or (None,)
        ]
        encoded += [torch.cat(list(self.visited(*context))) for context in spec.windows]
        quiet = [0] + ([pad_id] if pad_id < spec.vocabulary else [])
        if spec.head != "ctc":
            seen = [oracle.project(self.model, x, prompt)[0] for x in encoded for prompt in self.prompts()]
            tiny.liven_transducer(self.model, seen, quiet, spec)
        if self.ctc_head is not None:
            tiny.liven_ctc(self.ctc_head, encoded, quiet)
        self.seams: dict[str, torch.Tensor] = {}
        self.expect: dict = {}
        self.margin = float("inf")

    def prompts(self) -> list[int | None]:
        return [101, 9] if self.spec.head == "nemotron3_5" else [None]

    def check_and_fill(self) -> None:
        utterances = []
        for name in ("a", "b"):
            for lookahead in self.spec.rights or (None,):
                encoded = oracle.encode(self.model, self.extractor, self.pcm[name], lookahead)
                self.keep_seams(name, lookahead, encoded)
                for prompt in self.prompts():
                    if self.spec.head != "ctc":
                        utterances.append(self.transducer(name, lookahead, prompt, encoded.encoder))
                if self.ctc_head is not None:
                    utterances.append(self.ctc(name, encoded.encoder))
        self.check_lively(utterances)
        self.check_batch()
        self.expect = {
            "case": self.spec.name,
            "spec": asdict(self.spec),
            "reference": {"transformers": transformers.__version__, "torch": torch.__version__.split("+")[0]},
            "blank": self.spec.vocabulary,
            "utterances": utterances,
            "masks": [] if self.spec.streaming else self.masked_encoders(),
            "windows": [self.windowed(*context) for context in self.spec.windows],
        }
        if self.spec.head != "ctc":
            self.expect["joint_points"] = self.joint_points(utterances[0])
        require(self.margin > MIN_MARGIN, f"a decision by {self.margin}")
        self.expect["min_margin"] = self.margin

    def keep_seams(self, name: str, lookahead: int | None, encoded: oracle.Encoded) -> None:
        suffix = "" if lookahead in (None, self.lookahead) else f".lookahead_{lookahead}"
        if name != "a":
            self.seams[f"{name}.encoder{suffix}"] = encoded.encoder
            return
        self.seams[f"encoder{suffix}"] = encoded.encoder
        for index, layer in enumerate(encoded.layers):
            self.seams[f"layer.{index}{suffix}"] = layer
        if not suffix:
            self.seams |= {"mel_raw": encoded.mel_raw, "mel": encoded.mel, "subsampled": encoded.subsampled}

    def transducer(self, name: str, lookahead: int | None, prompt: int | None, encoded: torch.Tensor) -> dict:
        seen, projected = oracle.project(self.model, encoded, prompt)
        found = oracle.transduce(self.model, projected)
        extra = {} if lookahead is None else {"num_lookahead_tokens": lookahead}
        if prompt is not None:
            extra["prompt_ids"] = torch.tensor([prompt])
            self.seams.setdefault(f"{name}.prompted_{prompt}", seen)
        advances = found.durations if self.spec.family == "tdt" else [int(n) for n in tenth_symbols(found.frames)]
        generated = oracle.generate(self.model, self.extractor, self.pcm[name], **extra)
        require((found.stuck > 0) == self.spec.stuck, f"{found.stuck} frames with ten symbols")
        require(self.is_steady(seen, found), "the answer hangs on rounding")
        assert generated == (found.tokens, found.frames, advances), "transformers' own search disagrees"
        attention = {"style": "full"}
        if lookahead is not None:
            attention = {"style": "chunked_limited", "context": [self.spec.left, lookahead]}
        out = self.utterance(name, self.spec.family, len(encoded), found) | {"attention": attention}
        return out if prompt is None else out | {"prompt": prompt}

    def is_steady(self, seen: torch.Tensor, found: search.Hypothesis) -> bool:
        """The answer survives noise of the size that implementations may differ by."""
        noise = torch.rand(seen.shape, generator=torch.Generator().manual_seed(0)) * 2 - 1
        shaken = oracle.project(self.model, seen + 1e-4 * seen.abs().max() * noise)[1]
        again = oracle.transduce(self.model, shaken)
        return (again.tokens, again.frames, again.durations) == (found.tokens, found.frames, found.durations)

    @torch.no_grad()
    def ctc(self, name: str, encoded: torch.Tensor) -> dict:
        logits = tiny.ctc_logits(self.ctc_head, encoded)
        self.seams["logits" if name == "a" else f"{name}.logits"] = logits
        found = search.Hypothesis()
        search.ctc(logits, self.spec.vocabulary, found)
        if self.spec.head == "ctc":
            output = self.model.generate(**oracle.features(self.extractor, [self.pcm[name]]))
            theirs = self.tokenizer.decode(output[0], skip_special_tokens=True, group_tokens=True)
            assert theirs == self.decode(found.tokens), "transformers' own search disagrees"
        out = self.utterance(name, "ctc", len(encoded), found)
        return out | {"attention": {"style": "full"}, "run_probabilities": found.run_probabilities}

    def decode(self, tokens: list[int]) -> str:
        return self.tokenizer.decode(tokens, skip_special_tokens=True, group_tokens=False).strip()

    def utterance(self, name: str, decoder: str, frames: int, found: search.Hypothesis) -> dict:
        self.margin = min(self.margin, found.margin)
        share = found.blanks / found.steps
        require(0.2 < share < 0.85, f"{share:.2f} of the decisions are blank")
        require(len(set(found.tokens)) > 6, "few different tokens")
        require(max(found.frames) >= 0.6 * frames, "silent at the end")
        return {
            "audio": f"audio/{name}.wav",
            "samples": len(self.pcm[name]),
            "mel_frames": len(self.pcm[name]) // 160,
            "encoder_frames": frames,
            "decoder": decoder,
            "tokens": found.tokens,
            "pieces": self.tokenizer.convert_ids_to_tokens(found.tokens),
            "frames": found.frames,
            "durations": found.durations,
            "probabilities": found.probabilities,
            "text": self.decode(found.tokens),
            "joint_evaluations": found.steps,
        }

    def check_lively(self, utterances: list[dict]) -> None:
        durations = {d for u in utterances if u["decoder"] == "tdt" for d in u["durations"]}
        if self.spec.family == "tdt":
            require(durations == {0, 1, 2, 3, 4}, "a duration is missing")
        runs = {d for u in utterances if u["decoder"] == "ctc" for d in u["durations"]}
        require(not runs or max(runs) > 1, "no repeated CTC label")
        if self.spec.rights[1:]:
            first = utterances[0]["tokens"]
            require(any(u["tokens"] != first for u in utterances if u["audio"] == utterances[0]["audio"]), "one answer")
        control = range(1, 1 + len(self.spec.control))
        require(not control or any(t in control for u in utterances for t in u["tokens"]), "no control token")

    def check_batch(self) -> None:
        """Two lengths in one batch give each what it gives alone."""
        inputs = oracle.features(self.extractor, [self.pcm["b"], self.pcm["a"]])
        extra = {} if self.lookahead is None else {"num_lookahead_tokens": self.lookahead}
        with torch.no_grad():
            output = self.model.encoder(**inputs, **extra)
        for row, name in enumerate(["b.encoder", "encoder"]):
            alone = self.seams[name]
            together = output.last_hidden_state[row][: len(alone)]
            assert int(output.attention_mask[row].sum()) == len(alone)
            assert (together - alone).abs().max() < 2e-5 * alone.abs().max(), name

    def masked_encoders(self) -> list[dict]:
        mel = self.seams["mel"]
        full = oracle.encode_masked(self.model, mel, "full", [])
        assert (full - self.seams["encoder"]).abs().max() < 2e-5 * full.abs().max()
        out = []
        for style, context in MASKS:
            name = "encoder." + "_".join([style, *("all" if n < 0 else str(n) for n in context)])
            self.seams[name] = oracle.encode_masked(self.model, mel, style, context)
            out.append({"style": style, "context": context, "seam": name, "audio": "audio/a.wav"})
        return out

    def joint_points(self, utterance: dict) -> list[dict]:
        """`prediction` `[S, hidden]` (LSTM output) and `joint_logits` `[S, F, V + 1 (+ D)]` after three histories."""
        seen, projected = oracle.project(self.model, self.seams["encoder"], self.prompts()[0])
        frames = [0, len(seen) // 2, len(seen) - 1]
        histories = [utterance["tokens"][:n] for n in (0, 1, 5)]
        outputs, logits = [], []
        with torch.no_grad():
            for history in histories:
                prediction = search.Prediction(self.model).start()
                for token in history:
                    prediction.step(token)
                outputs.append(prediction.top[0, 0])
                logits.append(torch.stack([prediction.logits(projected[t]) for t in frames]))
        self.seams |= {"prediction": torch.stack(outputs), "joint_logits": torch.stack(logits)}
        return [{"frames": frames, "history": history} for history in histories]

    def visited(self, left: int, chunk: int, right: int) -> Iterator[torch.Tensor]:
        """The encoder frames that the decoder visits in each window of the long file, `[T, d]`."""
        pcm = self.pcm["long"]
        for window in windows.plan(len(pcm), left, chunk, right):
            samples = pcm[window.start : window.start + window.samples]
            encoded = oracle.encode(self.model, self.extractor, samples).encoder
            assert len(encoded) >= window.skip + window.frames
            yield encoded[window.skip : window.skip + window.frames]

    @torch.no_grad()
    def windowed(self, left: int, chunk: int, right: int) -> dict:
        """The long file, window by window, with carried decoder state; frames count from the start of the file."""
        pcm = self.pcm["long"]
        found = search.Hypothesis()
        prediction = None if self.spec.head == "ctc" else search.Prediction(self.model).start()
        label = None
        plan = windows.plan(len(pcm), left, chunk, right)
        for window, visited in zip(plan, self.visited(left, chunk, right)):
            if prediction is None:
                logits = tiny.ctc_logits(self.ctc_head, visited)
                label = search.ctc(logits, self.spec.vocabulary, found, label, window.first_frame)
            else:
                run = search.tdt if self.spec.family == "tdt" else search.rnnt
                run(oracle.project(self.model, visited)[1], prediction, found, window.first_frame)
        require(found.stuck == 0, "ten symbols on one frame")
        frames = sum(window.frames for window in plan)
        out = self.utterance("long", self.spec.family, frames, found)
        return out | {"context_frames": [left, chunk, right], "plan": [asdict(window) for window in plan]}

    def write(self, folder: Path) -> None:
        if self.spec.hugging_face:
            self.model.save_pretrained(folder / "model")
            self.processor().save_pretrained(folder / "model")
        if self.spec.nemo:
            extra_head = self.ctc_head if self.spec.head == "hybrid" else None
            path = folder / "model.nemo"
            nemo.write(path, self.spec, self.model, self.extractor, self.sentencepiece, extra_head)
        tensors = {name: tensor.detach().float().contiguous() for name, tensor in self.seams.items()}
        save_file(tensors, folder / "seams.safetensors")
        (folder / "expect.json").write_text(dump(self.expect) + "\n")

    def processor(self):
        if self.spec.head in ("tdt", "rnnt", "ctc"):
            return ParakeetProcessor(self.extractor, self.tokenizer, decoder_type=self.spec.family)
        lookaheads = dict(
            supported_num_lookahead_tokens=list(self.spec.rights), default_num_lookahead_tokens=self.lookahead
        )
        if self.spec.head == "nemotron":
            return NemotronAsrStreamingProcessor(self.extractor, self.tokenizer, **lookaheads)
        return Nemotron3_5AsrProcessor(self.extractor, self.tokenizer, **lookaheads)


def tenth_symbols(frames: list[int]) -> list[bool]:
    """Whether each emission was the tenth at its frame, after which RNNT moves on without a blank."""
    return [frames[max(i - 9, 0) : i + 1] == [frame] * 10 for i, frame in enumerate(frames)]


def dump(value, indent: int = 0, flat: tuple[str, ...] = ()) -> str:
    """JSON with one key a line and lists of plain values on one line; items of the lists named `flat` are lines too."""
    pad = " " * (indent + 2)
    if isinstance(value, dict):
        rows = [f"{pad}{json.dumps(k)}: {dump_items(k, v, indent + 2, flat)}" for k, v in value.items()]
        return "{\n" + ",\n".join(rows) + "\n" + " " * indent + "}"
    if isinstance(value, list) and any(isinstance(item, dict) for item in value):
        return "[\n" + ",\n".join(pad + dump(item, indent + 2, flat) for item in value) + "\n" + " " * indent + "]"
    return json.dumps(value, ensure_ascii=False)


def dump_items(key: str, value, indent: int, flat: tuple[str, ...]) -> str:
    if key not in flat:
        return dump(value, indent, flat)
    return "[\n" + ",\n".join(" " * (indent + 2) + json.dumps(item) for item in value) + "\n" + " " * indent + "]"


if __name__ == "__main__":
    main()
