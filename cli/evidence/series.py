"""A run over time in bounded memory: values in buckets that grow, and spans of trouble."""

from __future__ import annotations

from typing import Final

import msgspec

MAX_BUCKETS: Final = 2_048
"""Points of one line of a picture: more than it has pixels. When they are used up, each two become one."""
FIRST_BUCKET_MS: Final = 250


class Bucket(msgspec.Struct, gc=False):
    """One stretch of a series."""

    lowest: float
    highest: float
    total: float
    count: int

    def join(self, other: Bucket) -> None:
        """All of another."""
        self.lowest = min(self.lowest, other.lowest)
        self.highest = max(self.highest, other.highest)
        self.total += other.total
        self.count += other.count


class Series:
    """Values by time since the beginning of the run, in ms. Where nothing was added there is nothing."""

    __slots__ = ("buckets", "first", "last", "width_ms")

    def __init__(self) -> None:
        self.buckets: dict[int, Bucket] = {}
        self.width_ms = FIRST_BUCKET_MS
        self.first: float | None = None
        self.last: float | None = None

    def add(self, at_ms: float, value: float) -> None:
        """One value at a time. The hottest place of a report, so it is written out."""
        key = int(at_ms // self.width_ms)
        bucket = self.buckets.get(key)
        if bucket is None:
            self.buckets[key] = Bucket(value, value, value, 1)
            if len(self.buckets) > MAX_BUCKETS:
                self._widen()
            if self.first is None:
                self.first = value
        else:
            if value < bucket.lowest:
                bucket.lowest = value
            elif value > bucket.highest:
                bucket.highest = value
            bucket.total += value
            bucket.count += 1
        self.last = value

    @property
    def highest(self) -> float | None:
        """Of all values."""
        return max((bucket.highest for bucket in self.buckets.values()), default=None)

    @property
    def lowest(self) -> float | None:
        """Of all values."""
        return min((bucket.lowest for bucket in self.buckets.values()), default=None)

    @property
    def mean(self) -> float | None:
        """Of all values."""
        count = sum(bucket.count for bucket in self.buckets.values())
        return sum(bucket.total for bucket in self.buckets.values()) / count if count else None

    def highest_in(self, from_ms: float, to_ms: float) -> float | None:
        """Of the values in and around a stretch of time: as exactly as buckets are wide."""
        keys = range(int(from_ms // self.width_ms), int(to_ms // self.width_ms) + 1)
        return max((self.buckets[key].highest for key in keys if key in self.buckets), default=None)

    def highs(self) -> list[tuple[float, float]]:
        """Middle of each bucket in ms and its highest value, in time order."""
        return [((key + 0.5) * self.width_ms, self.buckets[key].highest) for key in sorted(self.buckets)]

    def means(self) -> list[tuple[float, float]]:
        """Middle of each bucket in ms and its mean."""
        middle = self.width_ms / 2
        return [
            (key * self.width_ms + middle, bucket.total / bucket.count) for key, bucket in sorted(self.buckets.items())
        ]

    def _widen(self) -> None:
        self.width_ms *= 2
        old, self.buckets = self.buckets, {}
        for key, bucket in old.items():
            present = self.buckets.get(key // 2)
            if present is None:
                self.buckets[key // 2] = bucket
            else:
                present.join(bucket)


class Span(msgspec.Struct, gc=False):
    """A stretch of time in wall clock ms; ``end_ms`` is ``None`` while it lasts."""

    begin_ms: float
    end_ms: float | None
    why: str


class Spans:
    """Stretches of one kind of trouble, at most ``limit`` of them kept; ``count`` counts all."""

    __slots__ = ("_limit", "_open", "count", "kept", "total_ms")

    def __init__(self, limit: int = 20_000) -> None:
        self._limit = limit
        self._open: Span | None = None
        self.kept: list[Span] = []
        self.count = 0
        self.total_ms = 0.0
        """Length of those that are over."""

    def set(self, why: str, at_ms: float) -> None:
        """What the trouble is now; empty when there is none."""
        present = self._open
        if present is None:
            if why:
                self._begin(why, at_ms)
        elif not why:
            present.end_ms = at_ms
            self.total_ms += at_ms - present.begin_ms
            self._open = None

    @property
    def present(self) -> Span | None:
        """The one that lasts."""
        return self._open

    def _begin(self, why: str, at_ms: float) -> None:
        self._open = Span(at_ms, None, why)
        self.count += 1
        if len(self.kept) < self._limit:
            self.kept.append(self._open)


class Plateau:
    """Silences of one threshold: at least ``MIN_TICKS`` consecutive ticks at or above it."""

    MIN_TICKS: Final = 3

    __slots__ = ("_run", "count", "longest_ms", "threshold_ms", "ticks")

    def __init__(self, threshold_ms: int) -> None:
        self.threshold_ms = threshold_ms
        self.count = 0
        self.ticks = 0
        self.longest_ms = 0.0
        self._run = 0

    def tick(self, silent_ms: float) -> None:
        """The silence at this tick."""
        if silent_ms < self.threshold_ms:
            self._run = 0
            return
        self._run += 1
        if self._run == self.MIN_TICKS:
            self.count += 1
            self.ticks += self.MIN_TICKS
        elif self._run > self.MIN_TICKS:
            self.ticks += 1
        if self._run >= self.MIN_TICKS:
            self.longest_ms = max(self.longest_ms, silent_ms)
