"""Where an event's time goes on its way: venue → our socket → ZeroMQ → applied here. In microseconds.

Every event is counted in a histogram (0.4 µs each). For exact percentiles a few events a tick are sampled evenly, so
that the cost of those does not grow with the rate; the slowest is always known.
"""

from __future__ import annotations

from bisect import bisect_left
from math import ceil
from typing import Final

import msgspec

from runner.percentiles import Run, Summary, Window

HOPS: Final = ("venue_to_socket", "socket_to_publish", "publish_to_apply", "socket_to_apply")
"""The first compares the venue's wall clock with ours and is signed (clock skew included); the others are monotonic."""

BOUNDS_US: Final = (
    *(0, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000),
    *(100_000, 200_000, 500_000, 1_000_000, 2_000_000, 5_000_000, 10_000_000),
)
"""Upper bounds of the histogram, inclusive. The first is for a venue whose clock is ahead of ours."""

SAMPLES: Final = 1_200
"""Samples of a window, at any rate of events: a dozen lie above its 99th percentile."""

US: Final = 1_000
"""Nanoseconds."""
_BOUNDS_NS: Final = [bound * US for bound in BOUNDS_US]


class Sample(msgspec.Struct, frozen=True, gc=False):
    """Four clock readings of one event, ns."""

    venue_ns: int | None
    recv_ns: int
    mono_ns: int
    pub_ns: int
    applied_ns: int

    def micros(self) -> tuple[int | None, int, int, int]:
        """The hops, in the order of ``HOPS``; the first is unknown when the venue claimed no time."""
        return (
            None if self.venue_ns is None else (self.recv_ns - self.venue_ns) // US,
            (self.pub_ns - self.mono_ns) // US,
            (self.applied_ns - self.pub_ns) // US,
            (self.applied_ns - self.mono_ns) // US,
        )


class Hops:
    """Latencies of one venue's market events."""

    __slots__ = ("_budget", "_counts", "_every", "_peak", "_peaks", "_runs", "_samples", "_seen", "_sums", "_windows")

    def __init__(self, span_ns: int, tick_ns: int) -> None:
        self._budget = SAMPLES * tick_ns / span_ns
        self._every = 1
        self._seen = 0
        self._peak = 0
        self._samples: list[Sample] = []
        self._windows = [Window(span_ns) for _ in HOPS]
        self._peaks = Window(span_ns)
        self._runs = [Run() for _ in HOPS]
        self._counts = [[0] * (len(BOUNDS_US) + 1) for _ in HOPS]
        self._sums = [0] * len(HOPS)

    def add(self, venue_ns: int | None, recv_ns: int, mono_ns: int, pub_ns: int, applied_ns: int) -> None:
        """Count an event by its clock readings, as in ``Sample``; one in a few is kept until the tick besides."""
        counts, sums = self._counts, self._sums
        if venue_ns is not None:
            counts[0][bisect_left(_BOUNDS_NS, recv_ns - venue_ns)] += 1
        took = pub_ns - mono_ns
        counts[1][bisect_left(_BOUNDS_NS, took)] += 1
        sums[1] += took
        took = applied_ns - pub_ns
        counts[2][bisect_left(_BOUNDS_NS, took)] += 1
        sums[2] += took
        took = applied_ns - mono_ns
        counts[3][bisect_left(_BOUNDS_NS, took)] += 1
        sums[3] += took
        self._peak = max(self._peak, took)
        self._seen += 1
        if self._seen % self._every == 0:
            self._samples.append(Sample(venue_ns, recv_ns, mono_ns, pub_ns, applied_ns))

    def tick(self, now_mono: int) -> None:
        """Digest what was sampled since the last tick."""
        for sample in self._samples:
            for window, run, micros in zip(self._windows, self._runs, sample.micros(), strict=True):
                if micros is not None:
                    window.push(now_mono, micros)
                    run.push(micros)
        if self._seen:
            self._peaks.push(now_mono, self._peak // US)
            self._runs[-1].raise_max(self._peak // US)
        for window in (*self._windows, self._peaks):
            window.expire(now_mono)
        self._every = max(1, ceil(self._seen / self._budget))
        self._seen = self._peak = 0
        self._samples.clear()

    def windows(self) -> dict[str, Summary | None]:
        """Each hop over the sliding window."""
        told = {hop: window.summary() for hop, window in zip(HOPS, self._windows, strict=True)}
        total, peak = told[HOPS[-1]], self._peaks.summary()
        if total is not None and peak is not None:
            told[HOPS[-1]] = msgspec.structs.replace(total, max=max(total.max, peak.max))
        return told

    def runs(self) -> dict[str, Summary | None]:
        """Each hop over the run."""
        return {hop: run.summary() for hop, run in zip(HOPS, self._runs, strict=True)}

    def counts(self) -> dict[str, list[int]]:
        """Events of the run by hop: how many up to each of ``BOUNDS_US`` and above the one before, then the rest."""
        return {hop: list(counts) for hop, counts in zip(HOPS, self._counts, strict=True)}

    def sums_us(self) -> dict[str, int]:
        """What those events took together; not told of the first hop, whose values are signed."""
        return {hop: total // US for hop, total in zip(HOPS[1:], self._sums[1:], strict=True)}
