"""The simulator's clock, and each venue's own possibly skewed one. The only place that reads time."""

from __future__ import annotations

import time


class Clock:
    """Wall time that never steps back: read once at the start, then carried by the monotonic clock."""

    def __init__(self) -> None:
        self._base_ns = time.time_ns() - time.monotonic_ns()

    def now_ns(self) -> int:
        """Nanoseconds since the epoch."""
        return self._base_ns + time.monotonic_ns()

    def now_us(self) -> int:
        """Microseconds since the epoch."""
        return self.now_ns() // 1000

    @staticmethod
    def monotonic() -> float:
        """Seconds for deadlines and windows."""
        return time.monotonic()


class VenueClock(Clock):
    """What a venue believes the time is.

    Truth keeps unskewed times; everything printed goes through ``stamp_*``. The skew is piecewise constant, so that a
    printed time can be translated back exactly.
    """

    def __init__(self) -> None:
        super().__init__()
        self._skews: list[tuple[int, int]] = [(0, 0)]

    @property
    def skew_us(self) -> int:
        """The present skew: printed minus true time."""
        return self._skews[-1][1]

    def set_skew(self, skew_us: int) -> None:
        """Print times shifted by so much from now on."""
        if skew_us != self.skew_us:
            self._skews.append((self.now_us(), skew_us))

    def stamp_us(self, ts_us: int) -> int:
        """True microseconds to printed ones."""
        return ts_us + self.skew_us

    def stamp_ms(self, ts_us: int) -> int:
        """True microseconds to printed milliseconds."""
        return (ts_us + self.skew_us) // 1000

    def true_us(self, printed_us: int) -> int:
        """Printed microseconds back to true ones, by the skew that was in force when they were printed."""
        until = self.now_us() + 1
        for since, skew in reversed(self._skews):
            true = printed_us - skew
            if since <= true + 1_000_000 and true < until + 1_000_000:
                return true
            until = since
        return printed_us
