"""Many streams on one engine, with a clock that only work moves forward.

Audio arrives as it would in real time: every stream has a step due each `chunk_s`, at a phase of its own. The engine takes
the steps that have waited longest, as many as it does at once, and the clock moves on by what they cost. So ten minutes
of sixty streams take as long as their work does. A stream may have as much audio waiting as its queue holds; a run that
overflows it has lost audio and stops: the engine does not hold so many streams.
"""

import heapq
import random
import statistics
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Load:
    streams: int
    chunk_s: float
    seconds: float
    largest_batch: int

    @property
    def queue_s(self) -> float:
        return max(2.0 * self.chunk_s, 1.0)


@dataclass(frozen=True)
class Outcome:
    """`lags_ms`: from the last sample that a step needed to the step's end, over all steps."""

    held: bool
    lags_ms: list[float]
    busy: float
    mean_batch: float

    def summary(self) -> dict:
        return {
            "held": self.held,
            "lag_p50_ms": round(quantile(self.lags_ms, 0.5), 3),
            "lag_p99_ms": round(quantile(self.lags_ms, 0.99), 3),
            "busy": round(self.busy, 4),
            "mean_batch": round(self.mean_batch, 2),
        }


def serve(load: Load, cost: Callable[[list[int]], float], seed: int = 1) -> Outcome:
    """`cost` does a step of the streams given, or pretends to, and says how many seconds it took."""
    rng = random.Random(seed)
    due = [(rng.uniform(0.0, load.chunk_s), stream) for stream in range(load.streams)]
    heapq.heapify(due)
    now = busy = 0.0
    lags, steps = [], 0
    while due[0][0] < load.seconds:
        now = max(now, due[0][0])
        if now - due[0][0] > load.queue_s:
            return Outcome(False, lags, 1.0, len(lags) / max(steps, 1))
        batch = []
        while due and due[0][0] <= now and len(batch) < load.largest_batch:
            batch.append(heapq.heappop(due))
        spent = cost([stream for _, stream in batch])
        now, busy, steps = now + spent, busy + spent, steps + 1
        for ready, stream in batch:
            lags.append(1e3 * (now - ready))
            heapq.heappush(due, (ready + load.chunk_s, stream))
    return Outcome(True, lags, busy / max(now, 1e-9), len(lags) / steps)


class Costs:
    """What steps of some batch sizes were measured to cost, in ms; sizes in between lie on a line."""

    def __init__(self, measured: dict[int, list[float]], seed: int = 2):
        self.measured = dict(sorted(measured.items()))
        self.medians = {batch: statistics.median(times) for batch, times in self.measured.items()}
        self.rng = random.Random(seed)

    def largest_batch(self) -> int:
        """The size at which a stream's step is cheapest."""
        return min(self.medians, key=lambda batch: self.medians[batch] / batch)

    def seconds(self, streams: list[int]) -> float:
        """The median of that size, disturbed as one of the measured steps was."""
        size = len(streams)
        below = max(batch for batch in self.measured if batch <= size)
        above = min(batch for batch in self.measured if batch >= size)
        share = (size - below) / (above - below) if above > below else 0.0
        median = self.medians[below] + share * (self.medians[above] - self.medians[below])
        return 1e-3 * median * self.rng.choice(self.measured[below]) / self.medians[below]


def capacity(measured: dict[int, list[float]], chunk_s: float, seconds: float) -> tuple[int, Outcome]:
    """The most streams that steps of such costs hold, and how they fare."""
    largest = Costs(measured).largest_batch()

    def run(streams: int) -> Outcome:
        return serve(Load(streams, chunk_s, seconds, largest), Costs(measured).seconds)

    held, outcome = 0, Outcome(False, [], 1.0, 0.0)
    fails = 1 + int(largest * chunk_s / (1e-3 * Costs(measured).medians[largest]) * 1.2)
    while held + 1 < fails:
        streams = (held + fails) // 2
        tried = run(streams)
        if tried.held:
            held, outcome = streams, tried
        else:
            fails = streams
    return held, outcome


def highest(guess: int, run: Callable[[int], dict]) -> dict:
    """Tries `guess` streams; while they are not held, a twentieth less. None are held if not even one is."""
    while not (tried := run(guess))["held"] and guess > 1:
        guess -= max(1, guess // 20)
    return tried if tried["held"] else tried | {"streams": 0}


def quantile(values: list[float], share: float) -> float:
    """The value that at least so large a share does not exceed."""
    if not values:
        return float("nan")
    return sorted(values)[min(int(share * len(values)), len(values) - 1)]
