"""Percentiles over a sliding window (exact) and over a whole run (within 1 %), and plateaus, in bounded memory."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque
from math import ceil
from typing import Final

import msgspec
from ddsketch import DDSketch

MAX_SAMPLES: Final = 2_400
"""Samples a window holds: ten minutes of ticks of 250 ms, or a minute of latencies at 40 a second."""
RELATIVE_ACCURACY: Final = 0.01
QUANTILES: Final = (0.5, 0.95, 0.99)


class Summary(msgspec.Struct, frozen=True):
    """What is told of many samples, in their own unit."""

    p50: int
    p95: int
    p99: int
    max: int
    n: int
    """How many samples."""


class Window:
    """The samples of the last ``span_ns``, exact while they are at most ``MAX_SAMPLES``; then the oldest go early."""

    __slots__ = ("_samples", "_sorted", "_span")

    def __init__(self, span_ns: int) -> None:
        self._span = span_ns
        self._samples: deque[tuple[int, int]] = deque()
        self._sorted: list[int] = []

    def push(self, now_mono: int, value: int) -> None:
        """Add a sample taken now."""
        if len(self._samples) >= MAX_SAMPLES:
            self._drop_oldest()
        self._samples.append((now_mono, value))
        insort(self._sorted, value)

    def expire(self, now_mono: int) -> None:
        """Drop what is older than the span; call it once a tick."""
        oldest = now_mono - self._span
        while self._samples and self._samples[0][0] <= oldest:
            self._drop_oldest()

    def summary(self) -> Summary | None:
        """Nearest-rank percentiles; ``None`` without a sample."""
        values = self._sorted
        count = len(values)
        if not count:
            return None
        p50, p95, p99 = (values[ceil(quantile * count) - 1] for quantile in QUANTILES)
        return Summary(p50, p95, p99, values[-1], count)

    def _drop_oldest(self) -> None:
        _, value = self._samples.popleft()
        del self._sorted[bisect_left(self._sorted, value)]


class Run:
    """Every sample since the start. Percentiles within 1 % of a real sample, the maximum exact, signed values."""

    __slots__ = ("_count", "_highest", "_lowest", "_sketch")

    def __init__(self) -> None:
        self._sketch = DDSketch(RELATIVE_ACCURACY)
        self._count = 0
        self._lowest = 0
        self._highest = 0

    def push(self, value: int) -> None:
        """Add a sample."""
        if not self._count:
            self._lowest = self._highest = value
        elif value > self._highest:
            self._highest = value
        elif value < self._lowest:
            self._lowest = value
        self._count += 1
        self._sketch.add(value)

    def raise_max(self, value: int) -> None:
        """Tell of a higher sample that was not pushed, because only some were. Needs a pushed sample before."""
        self._highest = max(self._highest, value)

    def summary(self) -> Summary | None:
        """Percentiles so far; ``None`` without a sample."""
        if not self._count:
            return None
        p50, p95, p99 = (self._quantile(quantile) for quantile in QUANTILES)
        return Summary(p50, p95, p99, self._highest, self._count)

    def _quantile(self, quantile: float) -> int:
        value = self._sketch.get_quantile_value(quantile)
        return self._lowest if value is None else min(max(round(value), self._lowest), self._highest)


class Ages:
    """Percentiles of an age that is sampled once a tick.

    A window of more than ``MAX_SAMPLES`` ticks keeps one sample for several ticks, the largest of them: its percentiles
    may then be too high by what an age grows in that time, never too low.
    """

    __slots__ = ("_every", "_held", "_left", "_run", "_window")

    def __init__(self, span_ns: int, tick_ns: int) -> None:
        self._every = max(1, ceil(span_ns / (tick_ns * MAX_SAMPLES)))
        self._left = self._every
        self._held: int | None = None
        self._window = Window(span_ns)
        self._run = Run()

    def tick(self, now_mono: int, value: int | None) -> None:
        """The age at this tick; an unknown one is no sample."""
        if value is not None:
            self._run.push(value)
            self._held = value if self._held is None else max(self._held, value)
        self._left -= 1
        if self._left == 0:
            self._left = self._every
            if self._held is not None:
                self._window.push(now_mono, self._held)
            self._held = None
        self._window.expire(now_mono)

    def window(self) -> Summary | None:
        """Over the sliding window."""
        return self._window.summary()

    def run(self) -> Summary | None:
        """Over the run."""
        return self._run.summary()


class Plateau:
    """Runs of at least ``MIN_TICKS`` consecutive ticks at or above a threshold."""

    MIN_TICKS: Final = 3

    __slots__ = ("_row", "_threshold", "count", "longest_ms", "ticks")

    def __init__(self, threshold_ms: int) -> None:
        self._threshold = threshold_ms
        self._row = 0
        self.count = 0
        """Plateaus so far, the present one included."""
        self.ticks = 0
        """Ticks spent on them."""
        self.longest_ms = 0
        """Highest silence reached on one."""

    def tick(self, silent_ms: int) -> None:
        """The silence at this tick: an age that is not known yet is no better than an old one."""
        if silent_ms < self._threshold:
            self._row = 0
            return
        self._row += 1
        if self._row < self.MIN_TICKS:
            return
        if self._row == self.MIN_TICKS:
            self.count += 1
            self.ticks += self.MIN_TICKS - 1
        self.ticks += 1
        self.longest_ms = max(self.longest_ms, silent_ms)

    @property
    def present(self) -> bool:
        """Whether it is on a plateau now."""
        return self._row >= self.MIN_TICKS
