"""Greedy searches written as plainly as possible; the oracle for tokens, durations and emission frames.

They follow NeMo's label looping (the semantics of `greedy_batch`), step by step on one stream, on top of the
`transformers` modules. The recipes compare them with `transformers`' own `generate`.
"""

from dataclasses import dataclass, field

import torch

MAX_SYMBOLS = 10


@dataclass
class Hypothesis:
    tokens: list[int] = field(default_factory=list)
    frames: list[int] = field(default_factory=list)
    durations: list[int] = field(default_factory=list)
    probabilities: list[float] = field(default_factory=list)
    run_probabilities: list[list[float]] = field(default_factory=list)
    steps: int = 0
    blanks: int = 0
    margin: float = float("inf")
    stuck: int = 0

    def see(self, logits: torch.Tensor) -> int:
        """Argmax, keeping the smallest distance that ever decided one."""
        top = logits.topk(2).values
        self.margin = min(self.margin, float(top[0] - top[1]))
        return int(logits.argmax())


@dataclass
class Prediction:
    """The prediction network's state: what a stream carries from chunk to chunk, besides `jump`."""

    model: object
    state: tuple | None = None
    output: torch.Tensor | None = None
    top: torch.Tensor | None = None
    jump: int = 0

    def start(self) -> "Prediction":
        return self.step(self.model.config.blank_token_id)

    def step(self, token: int) -> "Prediction":
        decoder = self.model.decoder
        self.top, self.state = decoder.lstm(decoder.embedding(torch.tensor([[token]])), self.state)
        self.output = decoder.decoder_projector(self.top)[0, 0]
        return self

    def logits(self, projected_frame: torch.Tensor) -> torch.Tensor:
        return self.model.joint.head(self.model.joint.activation(projected_frame + self.output))


def rnnt(projected: torch.Tensor, prediction: Prediction, into: Hypothesis, offset: int = 0) -> Hypothesis:
    """`projected` `[T, joint]` is the encoder output after the joint's encoder projection. Frames get `offset` added."""
    blank = prediction.model.config.blank_token_id
    for t, frame in enumerate(projected):
        symbols = 0
        while symbols < MAX_SYMBOLS:
            logits = prediction.logits(frame)
            into.steps += 1
            token = into.see(logits)
            if token == blank:
                into.blanks += 1
                break
            _emit(into, token, t + offset, 1, logits)
            prediction.step(token)
            symbols += 1
        into.stuck += symbols == MAX_SYMBOLS
    return into


def tdt(projected: torch.Tensor, prediction: Prediction, into: Hypothesis, offset: int = 0) -> Hypothesis:
    config = prediction.model.config
    blank, vocabulary, durations = config.blank_token_id, config.vocab_size, list(config.durations)
    t, last, same = prediction.jump, -1, 0
    while t < len(projected):
        logits = prediction.logits(projected[t])
        into.steps += 1
        token = into.see(logits[:vocabulary])
        duration = durations[into.see(logits[vocabulary:])]
        if token == blank:
            into.blanks += 1
            t += max(duration, 1)
            continue
        _emit(into, token, t + offset, duration, logits[:vocabulary])
        prediction.step(token)
        same = same + 1 if t == last else 1
        last = t
        t += duration
        if same >= MAX_SYMBOLS and t == last:
            into.stuck += 1
            t += 1
    prediction.jump = t - len(projected)
    return into


def ctc(logits: torch.Tensor, blank: int, into: Hypothesis, previous: int | None = None, offset: int = 0) -> int:
    """`logits` `[T, V + 1]`. Returns the last frame's label, which the next chunk passes as `previous`."""
    previous = blank if previous is None else previous
    for t, row in enumerate(logits):
        label = into.see(row)
        into.steps += 1
        probability = float(row.double().softmax(-1)[label])
        if label == blank:
            into.blanks += 1
        elif label == previous:
            into.durations[-1] += 1
            into.run_probabilities[-1].append(probability)
        else:
            _emit(into, label, t + offset, 1, row)
            into.run_probabilities.append([probability])
        previous = label
    return previous


def _emit(into: Hypothesis, token: int, frame: int, duration: int, logits: torch.Tensor) -> None:
    into.tokens.append(token)
    into.frames.append(frame)
    into.durations.append(duration)
    into.probabilities.append(float(logits.double().softmax(-1)[token]))
