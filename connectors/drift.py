"""Finds a stream that flows but falls behind: the venue's time of its events advances slower than the wall clock.

Seen in the system this replaces: data at 82 % of real time, seven minutes behind after an hour, every watchdog happy.
"""

from __future__ import annotations

from typing import Final

import msgspec

from connectors.effects import Now

SUSTAINED_NS: Final = 5_000_000_000
"""A burst after a stall of ours is late once; a stream that falls behind stays late."""


CLOCK_STEP_NS: Final = 500_000_000


class _Lag(msgspec.Struct):
    newest: int
    best: int
    late_since: int | None = None


class Drift:
    """Lag (wall clock − venue time) of each stream against the best it has shown.

    Only events whose venue time is newer than any before count: a quiet book repeats an old time on a healthy link. The
    best is an offset between two clocks, so a constant skew is no drift.
    """

    def __init__(self, limit_ns: int) -> None:
        self._limit = limit_ns
        self._lags: dict[tuple[str, str], _Lag] = {}
        self._offset: int | None = None

    def observe(self, conn: str, market: str, venue_ns: int, now: Now) -> int | None:
        """Note one event. The excess lag in ns when it has been over the limit for ``SUSTAINED_NS``, else ``None``."""
        lag = self._lags.get((conn, market))
        behind = now.wall - venue_ns
        if lag is None:
            self._lags[conn, market] = _Lag(venue_ns, behind)
            return None
        if venue_ns <= lag.newest:
            return None
        lag.newest = venue_ns
        lag.best = min(lag.best, behind)
        if behind - lag.best <= self._limit:
            lag.late_since = None
        elif lag.late_since is None:
            lag.late_since = now.mono
        elif now.mono - lag.late_since >= SUSTAINED_NS:
            return behind - lag.best
        return None

    def forget(self, conn: str) -> None:
        """A connection is gone."""
        self._lags = {key: lag for key, lag in self._lags.items() if key[0] != conn}

    def clock_step(self, now: Now) -> int:
        """The wall clock's step against the monotonic clock since the last call in ns, 0 below ``CLOCK_STEP_NS``.

        After a step, what was learnt of offsets is void.
        """
        offset = now.wall - now.mono
        step, self._offset = (0 if self._offset is None else offset - self._offset), offset
        if abs(step) <= CLOCK_STEP_NS:
            return 0
        self._lags.clear()
        return step
