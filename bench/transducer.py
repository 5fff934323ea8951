"""Greedy RNNT and TDT over the frames of several streams at once, with the networks given as functions of arrays."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

MAX_SYMBOLS = 10


@dataclass
class State:
    """What one stream carries: the prediction network's memory and output, and the frames still to be skipped."""

    hidden: np.ndarray
    cell: np.ndarray
    output: np.ndarray
    jump: int = 0
    tokens: int = 0


@dataclass
class Greedy:
    """`join(frames [B, d], outputs [B, p]) -> logits [B, V + 1 (+ D)]`; `predict(tokens [B], hidden, cell [layers, B, p])
    -> (outputs [B, p], hidden, cell)`. Without `durations` it is RNNT."""

    join: Callable
    predict: Callable
    blank: int
    layers: int
    width: int
    durations: tuple[int, ...] = ()

    def start(self) -> State:
        zeros = np.zeros((self.layers, 1, self.width), np.float32)
        output, hidden, cell = self.predict(np.array([self.blank]), zeros, zeros)
        return State(hidden[:, 0], cell[:, 0], output[0])

    def decode(self, states: list[State], frames: np.ndarray) -> None:
        """`frames` `[B, T, d]`, the next ones of each stream."""
        count = frames.shape[1]
        at = np.array([state.jump for state in states])
        same = np.zeros(len(states), int)
        while (rows := np.flatnonzero(at < count)).size:
            logits = self.join(frames[rows, at[rows]], np.stack([states[row].output for row in rows]))
            tokens = logits[:, : self.blank + 1].argmax(1)
            is_blank = tokens == self.blank
            skip = self._skip(logits, is_blank)
            same[rows] = np.where(is_blank | (skip > 0), 0, same[rows] + 1)
            skip += same[rows] >= MAX_SYMBOLS
            same[rows] *= skip == 0
            at[rows] += skip
            self._say([states[row] for row in rows[~is_blank]], tokens[~is_blank])
        for state, end in zip(states, at, strict=True):
            state.jump = int(end) - count

    def _skip(self, logits: np.ndarray, is_blank: np.ndarray) -> np.ndarray:
        if not self.durations:
            return is_blank.astype(int)
        found = np.array(self.durations)[logits[:, self.blank + 1 :].argmax(1)]
        return np.where(is_blank, np.maximum(found, 1), found)

    def _say(self, states: list[State], tokens: np.ndarray) -> None:
        if not states:
            return
        hidden = np.stack([state.hidden for state in states], 1)
        cell = np.stack([state.cell for state in states], 1)
        output, hidden, cell = self.predict(tokens, hidden, cell)
        for row, state in enumerate(states):
            state.hidden, state.cell, state.output = hidden[:, row], cell[:, row], output[row]
            state.tokens += 1
