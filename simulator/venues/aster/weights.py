"""The request budget of one address, and what becomes of who ignores it (pure)."""

from __future__ import annotations

from typing import Literal, NamedTuple

from simulator.limits import Window
from simulator.venues.aster import facts


class Verdict(NamedTuple):
    """``used`` weight of the last minute; ``until`` is when a refusal ends, in seconds of the same clock."""

    status: Literal[200, 429, 418]
    used: int
    until: float = 0.0


class Gate:
    """429 above the budget; 418 for who keeps on asking, twice as long each time."""

    def __init__(self, ban_s: float) -> None:
        self._window = Window(facts.WEIGHT_PER_MINUTE, 60)
        self._ban_s = ban_s
        self._bans = 0
        self._refused = 0
        self._banned_until = 0.0

    def ask(self, now: float, weight: int) -> Verdict:
        """Judge one request."""
        used = int(self._window.used(now))
        if now < self._banned_until:
            return Verdict(418, used, self._banned_until)
        if self._window.spend(now, weight):
            self._refused = 0
            return Verdict(200, used + weight)
        self._refused += 1
        if self._refused <= facts.PATIENCE:
            return Verdict(429, used, now + self._window.retry_after(now))
        self._banned_until = now + min(self._ban_s * 2**self._bans, facts.LONGEST_BAN_S)
        self._bans += 1
        self._refused = 0
        return Verdict(418, used, self._banned_until)
