"""One symbol's streams: what its engine steps become (pure)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from simulator.venues.aster import facts
from simulator.venues.aster.engine import Chain

if TYPE_CHECKING:
    from random import Random

    from simulator.truth import Trade, Truth, Version


class Feed:
    """Chains of diffs at every speed, the touch that was told last, and trades to be told."""

    def __init__(self, truth: Truth, steps: int, noise: Random) -> None:
        self.truth = truth
        self.trades: list[Trade] = []
        self._chains = {speed: Chain(truth.last.seq) for speed in facts.SPEEDS_MS}
        # Speeds other than real time are cut every so many steps, each in a phase of its own.
        self._every = {speed: steps * speed // 100 for speed in facts.SPEEDS_MS if speed}
        self._phase = {speed: noise.randrange(every) for speed, every in self._every.items()}
        self._touch = truth.book.touch()

    def note(self, first: int, version: Version) -> None:
        """Take a step."""
        if version.changes:
            for chain in self._chains.values():
                chain.note(first, version)
        self.trades.extend(version.trades)

    def due(self, steps: int) -> list[tuple[int, Chain]]:
        """Chains to cut after so many steps, with their speeds."""
        return [
            (speed, chain)
            for speed, chain in self._chains.items()
            if not speed or (steps + self._phase[speed]) % self._every[speed] == 0
        ]

    def moved(self) -> bool:
        """Whether the touch differs from what was told last, which it then is."""
        touch = self.truth.book.touch()
        before, self._touch = self._touch, touch
        return touch != before

    def told(self) -> list[Trade]:
        """Trades since the last call."""
        trades, self.trades = self.trades, []
        return trades
