"""Percentiles of many whole numbers in bounded memory."""

from __future__ import annotations

from collections import defaultdict
from math import ceil
from typing import Final

import msgspec

EXACT_BELOW: Final = 1 << 16
"""Values up to here (65 s in ms) are kept exactly; larger ones lose their low bits, less than 1 in 32,768."""


class Percentiles(msgspec.Struct, frozen=True):
    """Nearest-rank percentiles in the unit of the samples."""

    p50: float
    p95: float
    p99: float
    max: float
    min: float
    mean: float
    n: int
    """How many samples."""


class Tally:
    """Counts of values. ``counts`` is public because the loop over a run's ticks adds to it in place."""

    __slots__ = ("counts",)

    def __init__(self) -> None:
        self.counts: dict[int, int] = defaultdict(int)

    def add(self, value: float) -> None:
        """One sample, rounded to a whole number."""
        self.counts[whole(value)] += 1

    def percentiles(self) -> Percentiles | None:
        """Of everything so far; ``None`` without a sample."""
        values = sorted(self.counts)
        total = sum(self.counts.values())
        if not total:
            return None
        p50, p95, p99 = self._ranked(values, [ceil(quantile * total) for quantile in (0.5, 0.95, 0.99)])
        mean = sum(value * count for value, count in self.counts.items()) / total
        return Percentiles(p50, p95, p99, values[-1], values[0], round(mean, 2), total)

    def exceeding(self) -> list[tuple[int, float]]:
        """Each value with the share of samples above it, in rising order: what a distribution's picture is drawn of."""
        left = total = sum(self.counts.values())
        found = []
        for value in sorted(self.counts):
            left -= self.counts[value]
            found.append((value, left / total))
        return found

    def _ranked(self, values: list[int], ranks: list[int]) -> list[int]:
        found: list[int] = []
        seen = 0
        for value in values:
            seen += self.counts[value]
            while len(found) < len(ranks) and seen >= ranks[len(found)]:
                found.append(value)
        return found


def whole(value: float) -> int:
    """The number that a sample is counted as."""
    number = round(value)
    size = abs(number)
    if size < EXACT_BELOW:
        return number
    lost = size.bit_length() - 16
    kept = size >> lost << lost
    return kept if number > 0 else -kept
