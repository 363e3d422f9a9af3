"""The truth: markets as their venue has them, and everything that was ever published of them."""

from __future__ import annotations

from random import Random

from bus.book import Book as Levels
from bus.events import Bbo, Book, Delta, Source, Trust

SECOND = 1_000_000_000
Flat = tuple[list[float], list[float], list[float], list[float]]


class Clock:
    """Monotonic ns, moved by hand."""

    def __init__(self) -> None:
        self.now = SECOND

    def __call__(self) -> int:
        return self.now


class Market:
    """One market at its venue: the true book, and what was ever published of it by version (``venue_seq``)."""

    def __init__(self) -> None:
        self.levels = Levels()
        self.version = 0
        self.rebuild = 0
        self.trust = Trust.RESYNC
        self.history: dict[int, tuple[Flat, bool]] = {}
        self.quotes: dict[int, tuple[float, bool]] = {}
        self.quote = 0

    def record(self) -> int:
        self.version += 1
        self.history[self.version] = (self.levels.levels(), self.trust is Trust.LIVE)
        return self.version

    def whole(self, draw: Random) -> Book:
        if self.trust is not Trust.LIVE:
            self.rebuild += 1
            self.trust = Trust.LIVE
            self.levels.replace(*_levels(draw, 4))
        version = self.record()
        return Book(version, version, self.trust, self.rebuild, Source.STREAM, *self.levels.levels())

    def change(self, draw: Random) -> Book | Delta:
        if self.trust is not Trust.LIVE:
            return self.whole(draw)
        changes = _levels(draw, draw.choice((0, 1, 1, 2, 200)))
        self.levels.apply(*changes)
        version = self.record()
        return Delta(version, version, self.trust, self.rebuild, *changes)

    def invalidate(self) -> Delta | None:
        if not self.rebuild:
            return None
        self.trust = Trust.RESYNC
        version = self.record()
        return Delta(version, version, self.trust, self.rebuild, [], [], [], [])

    def touch(self, draw: Random) -> Bbo:
        self.quote += 1
        usable = draw.random() < 0.8
        self.quotes[self.quote] = (float(self.quote), usable)
        trust = Trust.LIVE if usable else Trust.STALE
        return Bbo(self.quote, self.quote, trust, 1, Source.STREAM, float(self.quote), 1.0, None, None)


def _levels(draw: Random, count: int) -> Flat:
    bids = [float(draw.randint(1, 100)) for _ in range(count)]
    asks = [float(draw.randint(101, 200)) for _ in range(count)]
    sizes = [float(draw.randint(0, 3)) for _ in range(2 * count)]
    return bids, sizes[:count], asks, sizes[count:]
