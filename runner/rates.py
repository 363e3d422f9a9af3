"""Events counted by kind, and how many came per second lately."""

from __future__ import annotations

from collections import deque
from typing import Final

SPAN_NS: Final = 10_000_000_000
"""Rates are over the last ten seconds: long enough for a book that comes every five."""


class Rates:
    """Counts of one venue by kind of event."""

    __slots__ = ("_past", "counts")

    def __init__(self, born_mono: int) -> None:
        self.counts: dict[str, int] = {}
        """Events so far, by kind. The caller adds; ``turn`` and ``per_second`` read."""
        self._past: deque[tuple[int, dict[str, int]]] = deque([(born_mono, {})])

    def turn(self, now_mono: int) -> None:
        """Remember the counts as they are now, once a second."""
        self._past.append((now_mono, dict(self.counts)))
        while len(self._past) > 1 and self._past[1][0] <= now_mono - SPAN_NS:
            self._past.popleft()

    def per_second(self, now_mono: int) -> dict[str, float]:
        """Events a second by kind over the last ten seconds, or since the start when that is shorter."""
        then, counts = self._past[0]
        seconds = (now_mono - then) / 1e9
        if seconds <= 0.0:
            return {}
        return {kind: round((count - counts.get(kind, 0)) / seconds, 1) for kind, count in self.counts.items()}
