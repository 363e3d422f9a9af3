"""When to try a connection again: full-jitter backoff for each, one circuit breaker for the venue."""

from __future__ import annotations

from collections import deque
from random import Random
from typing import Final

FIRST_NS: Final = 250_000_000
BASE_NS: Final = 1_000_000_000
CAP_NS: Final = 30_000_000_000
FLOOR_NS: Final = 50_000_000
"""Full jitter may draw nothing at all; this bounds what a server that accepts and closes at once can provoke."""
HEALTHY_NS: Final = 60_000_000_000
"""Healthy data for so long ends a connection's bad history. Without it a backoff once at its cap would stay there."""


class Backoff:
    """Delays of one connection: at most 0.25 s, then 1 s doubling to 30 s, each drawn from zero to that."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self.attempt = 0

    def delay_ns(self) -> int:
        """Wait before the next attempt; counts it."""
        attempt, self.attempt = self.attempt, self.attempt + 1
        ceiling = FIRST_NS if attempt == 0 else min(CAP_NS, BASE_NS << min(attempt - 1, 10))
        return max(FLOOR_NS, int(self._rng.uniform(0.0, ceiling)))

    def reset(self) -> None:
        """The connection has proven itself."""
        self.attempt = 0


class Breaker:
    """Opens after ``limit`` failures within ``window_ns``; then one probe at a time until one succeeds.

    Its pause grows from 5 s to 30 s and no further, so that a venue that comes back is found within half a minute.
    """

    PAUSES_NS: Final = (5_000_000_000, 10_000_000_000, 20_000_000_000, 30_000_000_000)

    def __init__(self, limit: int = 10, window_ns: int = 120_000_000_000) -> None:
        self.limit = limit
        self.window_ns = window_ns
        self.open_until: int | None = None
        self._failures: deque[int] = deque()
        self._openings = 0
        self._probing = False

    @property
    def is_open(self) -> bool:
        """Whether attempts are being held back (half-open counts as open)."""
        return self.open_until is not None

    def failed(self, now: int) -> bool:
        """An attempt failed, or a connection died before it was healthy. True when this opens (or re-opens) it."""
        if self.is_open:
            self._probing = False
            return self._open(now)
        self._failures.append(now)
        while self._failures[0] < now - self.window_ns:
            self._failures.popleft()
        return len(self._failures) >= self.limit and self._open(now)

    def answered(self) -> None:
        """Data came: if by the probe, the others may try. Only ``succeeded`` makes the next pause short again."""
        if self.is_open:
            self.open_until = None
            self._probing = False
            self._failures.clear()

    def succeeded(self) -> None:
        """Data has flowed for long enough to forget the past."""
        self.answered()
        self._failures.clear()
        self._openings = 0

    def allows(self, now: int) -> bool:
        """Whether an attempt may start now; in the half-open state the first one asked for becomes the probe."""
        if self.open_until is None:
            return True
        if now < self.open_until or self._probing:
            return False
        self._probing = True
        return True

    def _open(self, now: int) -> bool:
        pause = self.PAUSES_NS[min(self._openings, len(self.PAUSES_NS) - 1)]
        self._openings += 1
        self.open_until = now + pause
        return True
