"""When do two series of times differ? Only beyond their own noise.

A series is summed up by its median, and the median's noise by the spread of the series: 1.4826 x the median absolute
deviation estimates the standard deviation without being moved by a few disturbed rounds, and a median of n values
scatters by 1.2533 / sqrt(n) of that. Two medians differ if they are more than `ERRORS` combined standard errors apart and
more than `FLOOR` of the older one: rounds of one process share its memory layout, which their spread cannot show.
"""

import statistics
from dataclasses import dataclass
from math import exp, hypot, log, sqrt

ERRORS = 4.0  # seven rounds estimate their own spread badly: 3 would flag 3 % of equal series, 4 flags 1 %
FLOOR = 0.02
FEWEST = 5


def standard_error(series: list[float]) -> float:
    """The noise of the median."""
    middle = statistics.median(series)
    deviation = statistics.median(abs(value - middle) for value in series)
    return 1.2533 * 1.4826 * deviation / sqrt(len(series))


@dataclass
class Change:
    """From one series to another, as shares of the older median. Positive is slower."""

    share: float
    allowed: float

    @property
    def is_flagged(self) -> bool:
        return abs(self.share) > self.allowed

    @classmethod
    def between(cls, old: list[float], new: list[float]) -> "Change":
        if min(len(old), len(new)) < FEWEST:
            return cls(statistics.median(new) / statistics.median(old) - 1.0, float("inf"))
        middle = statistics.median(old)
        errors = hypot(standard_error(old), standard_error(new)) / middle
        return cls(statistics.median(new) / middle - 1.0, max(ERRORS * errors, FLOOR))


def ratios(series: list[float], yardsticks: list[list[float]]) -> list[float]:
    """Round by round, the time as a ratio to the geometric mean of other series of the same rounds."""
    means = [exp(sum(log(value) for value in row) / len(row)) for row in zip(*yardsticks, strict=True)]
    return [value / mean for value, mean in zip(series, means, strict=True)]
