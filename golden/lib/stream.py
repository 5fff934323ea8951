"""One stream in left-chunk-right windows, as plainly as possible: samples come in packets of any size, steps come out.

A step is due when a sample after its chunk and right context has come, or when the stream has ended: only then is it
known whether this window is the last. So the windows are those of `windows.plan` for the whole audio, however it was
cut. The decoder visits the chunk's frames and keeps its state. The frames of the right context are decoded from a copy
of the state and forgotten: that is the volatile tail.
"""

from collections.abc import Callable
from copy import copy
from dataclasses import dataclass, field, replace

import numpy as np
import torch

from . import oracle, search, tiny
from .windows import FRAME, Window, encoder_frames


@dataclass
class Decoder:
    """A greedy search that goes on from frame to frame. A copy of it is a clone: no state is changed in place."""

    model: object
    blank: int
    prediction: search.Prediction | None = None
    label: int | None = None

    @classmethod
    def start(cls, model: object, family: str, blank: int) -> "Decoder":
        return cls(model, blank, None if family == "ctc" else search.Prediction(model).start())

    def clone(self) -> "Decoder":
        return replace(self, prediction=copy(self.prediction))

    @torch.no_grad()
    def visit(self, encoded: torch.Tensor, into: search.Hypothesis, offset: int) -> None:
        """`encoded` `[T, d]`, whose first frame is the stream's frame `offset`."""
        if self.prediction is None:
            logits = tiny.ctc_logits(self.model.ctc_head, encoded)
            self.label = search.ctc(logits, self.blank, into, self.label, offset)
        else:
            run = search.tdt if hasattr(self.model.config, "durations") else search.rnnt
            run(oracle.project(self.model, encoded)[1], self.prediction, into, offset)


@dataclass
class Step:
    """One window. `committed`: tokens of the stream so far.

    CTC: `open_run` is the length so far of the run that the chunk ends in (0: it ends in blank), `volatile_run` by how
    many frames of the right context that run goes on.
    """

    window: Window
    committed: int
    volatile: search.Hypothesis
    jump: int = 0
    open_run: int = 0
    volatile_run: int = 0


@dataclass
class WindowStream:
    """`encode` turns the samples of a window into encoder frames `[T, d]`; contexts are in encoder frames."""

    encode: Callable[[np.ndarray], torch.Tensor]
    decoder: Decoder
    left: int
    chunk: int
    right: int
    found: search.Hypothesis = field(default_factory=search.Hypothesis)
    buffer: np.ndarray = field(default_factory=lambda: np.zeros(0, np.float32))
    dropped: int = 0
    have_left: int = 0
    have_chunk: int = 0
    have_right: int = 0
    decoded: int = 0

    def push(self, pcm: np.ndarray) -> list[Step]:
        self.buffer = np.concatenate([self.buffer, pcm])
        steps = []
        while self._waiting() > self._due():
            steps.append(self._step(self._due(), is_last=False))
        return steps

    def finish(self) -> list[Step]:
        return [self._step(self._waiting(), is_last=True)] if self._waiting() else []

    def _waiting(self) -> int:
        return len(self.buffer) - self.have_left - self.have_chunk - self.have_right

    def _due(self) -> int:
        return (self.chunk + (0 if self.have_chunk else self.right)) * FRAME

    def _step(self, add: int, is_last: bool) -> Step:
        self.have_left += self.have_chunk
        self.have_right += add
        self.have_chunk = self.have_right if is_last else self.chunk * FRAME
        self.have_right -= self.have_chunk
        limit = (self.left + self.chunk + self.right) * FRAME
        extra = max(self.have_left + self.have_chunk + self.have_right - limit, 0)
        extra = -(-extra // FRAME) * FRAME
        self.have_left -= extra
        self.dropped += extra
        self.buffer = self.buffer[extra:]
        samples = self.have_left + self.have_chunk + self.have_right
        skip = self.have_left // FRAME
        frames = encoder_frames(samples) - skip if is_last else self.chunk
        step = self._decode(Window(self.dropped, samples, skip, frames, self.decoded))
        self.decoded += frames
        return step

    def _decode(self, window: Window) -> Step:
        encoded = self.encode(self.buffer[: window.samples])
        end = window.skip + window.frames
        self.decoder.visit(encoded[window.skip : end], self.found, window.first_frame)
        tail = search.Hypothesis()
        step = Step(window, len(self.found.tokens), tail)
        copied = self.decoder.clone()
        if self.decoder.prediction is not None:
            step.jump = self.decoder.prediction.jump
        elif self.decoder.label not in (None, self.decoder.blank):
            step.open_run = self.found.durations[-1]
            tail.durations, tail.run_probabilities = [0], [[]]  # of the run that the chunk ends in
        copied.visit(encoded[end:], tail, window.first_frame + window.frames)
        if step.open_run:
            step.volatile_run = tail.durations.pop(0)
        self.found.margin = min(self.found.margin, tail.margin)
        return step
