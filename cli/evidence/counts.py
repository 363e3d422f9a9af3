"""Cumulative counters, and what was added to them during a run."""

from __future__ import annotations

from collections.abc import Mapping


class Increase:
    """Sum of a family of counters' growth. A counter that falls began anew, with its process: all of it is growth."""

    __slots__ = ("_begun", "_last", "grown", "told")

    def __init__(self, *, whole: bool) -> None:
        """``whole``: what is first seen of a counter belongs to the run too, because everything began with it."""
        self._begun = whole
        self._last: dict[str, int] = {}
        self.grown: dict[str, int] = {}
        self.told = False
        """Whether anything was ever told."""

    def take(self, counts: Mapping[str, int]) -> dict[str, int]:
        """The counters now. Gives those that have grown since the last time, and by how much."""
        if self._begun and self.told and counts == self._last:
            return {}
        # A counter that appears later than its family was zero before: it is absent until it first counts.
        fresh: dict[str, int] = {}
        if self._begun:
            for name, count in counts.items():
                before = self._last.get(name, 0)
                if count != before:
                    fresh[name] = count - before if count > before else count
        self._begun = self.told = True
        self._last.update(counts)
        for name, growth in fresh.items():
            self.grown[name] = self.grown.get(name, 0) + growth
        return fresh
