"""The matching engine's counter, its 50 ms ticks, and the chains of diffs cut from it (pure)."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from simulator.book import merge, split
from simulator.venues.aster import facts

if TYPE_CHECKING:
    from random import Random

    from simulator.book import Change, Levels
    from simulator.truth import Version

TICKS_KEPT = 400


class Tick(NamedTuple):
    """Where the counter stood at an instant (true microseconds) on the grid."""

    ts_us: int
    id: int


class Engine:
    """One counter for all symbols, also for the hundreds that are not simulated."""

    def __init__(self, first: int, noise: Random, others_per_step: float) -> None:
        self.id = first
        self._noise = noise
        self._most = max(1, round(2 * others_per_step / (1 - facts.IDLE_GAP)))
        self._ticks: deque[Tick] = deque(maxlen=TICKS_KEPT)

    def observe(self, now_us: int) -> None:
        """Note the last grid instant; call before anything changes."""
        ts_us = now_us // facts.TICK_US * facts.TICK_US
        if not self._ticks or self._ticks[-1].ts_us < ts_us:
            self._ticks.append(Tick(ts_us, self.id))

    def tick(self, now_us: int) -> Tick:
        """The last grid instant at or before ``now_us``, or the oldest one known."""
        return next((tick for tick in reversed(self._ticks) if tick.ts_us <= now_us), self._ticks[0])

    def others(self) -> None:
        """Let other symbols change, or nothing."""
        if self._noise.random() >= facts.IDLE_GAP:
            self.id += self._noise.randint(1, self._most)

    def take(self) -> tuple[int, int]:
        """First and last number of one symbol's step."""
        first = self.id + 1
        self.id += self._noise.choice((1, 1, 2, 3, 5, 9))
        return first, self.id


class Event(NamedTuple):
    """One diff; ``ts_us`` is when the last change in it happened."""

    first: int
    last: int
    previous: int
    ts_us: int
    bids: Levels
    asks: Levels


class Chain:
    """The diffs of one symbol at one speed: each names the last number of the one before."""

    def __init__(self, last: int) -> None:
        self.last = last
        self._first = 0
        self._newest: Version | None = None
        self._batches: list[tuple[Change, ...]] = []

    def note(self, first: int, version: Version) -> None:
        """Take a step that changed the book."""
        if not self._batches:
            self._first = first
        self._newest = version
        self._batches.append(version.changes)

    def cut(self) -> Event | None:
        """Everything since the last event; None when nothing differs."""
        # An event carries every change in (pu, u]: a snapshot may be of an instant between two of them.
        changes = merge(self._batches, touched=True) if self._batches else []
        if not changes or self._newest is None:
            return None
        bids, asks = split(changes)
        event = Event(self._first, self._newest.seq, self.last, self._newest.ts_us, bids, asks)
        self.last = event.last
        self._batches = []
        return event

    def skip(self) -> None:
        """Go on as if an event had been cut: nobody listens."""
        if self._newest is not None and self._batches:
            self.last = self._newest.seq
            self._batches = []
