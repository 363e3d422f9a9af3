"""Where an event's time goes on its way: venue → our socket → ZeroMQ → applied here. In microseconds.

A few events a tick are sampled evenly, so that the cost does not grow with the rate; the slowest is always known.
"""

from __future__ import annotations

from math import ceil
from typing import Final

import msgspec

from runner.percentiles import Run, Summary, Window

HOPS: Final = ("venue_to_socket", "socket_to_publish", "publish_to_apply", "socket_to_apply")
"""The first compares the venue's wall clock with ours and is signed (clock skew included); the others are monotonic."""

SAMPLES: Final = 1_200
"""Samples of a window, at any rate of events: a dozen lie above its 99th percentile."""

US: Final = 1_000
"""Nanoseconds."""


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

    __slots__ = ("_budget", "_every", "_peak", "_peaks", "_runs", "_samples", "_seen", "_windows")

    def __init__(self, span_ns: int, tick_ns: int) -> None:
        self._budget = SAMPLES * tick_ns / span_ns
        self._every = 1
        self._seen = 0
        self._peak = 0
        self._samples: list[Sample] = []
        self._windows = [Window(span_ns) for _ in HOPS]
        self._peaks = Window(span_ns)
        self._runs = [Run() for _ in HOPS]

    def wants(self, total_ns: int) -> bool:
        """Count an event that took so long from socket to application, and say whether to ``take`` a sample of it."""
        self._peak = max(self._peak, total_ns)
        self._seen += 1
        return self._seen % self._every == 0

    def take(self, sample: Sample) -> None:
        """Keep a sample until the tick."""
        self._samples.append(sample)

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
