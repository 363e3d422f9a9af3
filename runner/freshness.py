"""How old the newest usable market event of a venue or market is, by two clocks that must not be mixed.

The apply age runs on the monotonic clock, so a step of the wall clock cannot move it. The event age compares the wall
clock with the venue's claim and is signed: a negative one is clock skew and is shown as such.
"""

from __future__ import annotations

from collections import deque
from typing import Final

MS: Final = 1_000_000
"""Nanoseconds."""
LATE_NS: Final = 1_000 * MS
"""An event that took longer than this from its socket to us is old news (a cached or held-back state): it counts as of
its socket, so that replayed state cannot make a dead venue look alive."""
SLICE_NS: Final = 10_000 * MS
SLICES: Final = 6
"""The skew estimate looks back over this many slices."""


def to_ms(nanoseconds: int) -> int:
    """Whole milliseconds, rounded to nearest; the sign stays."""
    return (nanoseconds + MS // 2) // MS


class Freshness:
    """Ages of one venue or market. All times in ns; ``mono`` arguments on the monotonic clock of this host."""

    __slots__ = ("_base", "_born", "_venue_cause", "_venue_ns")

    def __init__(self, born_mono: int) -> None:
        """``born_mono``: when watching began; silence is counted from there until something is heard."""
        self._born = born_mono
        self._base: int | None = None
        self._venue_ns: int | None = None
        self._venue_cause = 0

    def applied(self, now_mono: int, cause_mono: int, venue_ns: int | None) -> None:
        """A usable event was applied whose cause was read from the venue's socket at ``cause_mono``.

        An event older than one applied before changes no age. An event without a venue time leaves the event age with
        the newest event that had one: that can only make it look older, never younger.
        """
        base = now_mono if now_mono - cause_mono <= LATE_NS else cause_mono
        if self._base is None or base > self._base:
            self._base = base
        if venue_ns is not None and (self._venue_ns is None or cause_mono >= self._venue_cause):
            self._venue_ns = venue_ns
            self._venue_cause = cause_mono

    def age_ms(self, now_mono: int) -> int | None:
        """Monotonic time since the newest usable event was applied; ``None`` before the first."""
        return None if self._base is None else to_ms(now_mono - self._base)

    def event_age_ms(self, now_wall: int) -> int | None:
        """Wall clock minus the venue's own time, signed; ``None`` while the venue has claimed none."""
        return None if self._venue_ns is None else to_ms(now_wall - self._venue_ns)

    def silent_ms(self, now_mono: int) -> int:
        """Time since the newest usable event, or since watching began when there has been none."""
        return to_ms(now_mono - (self._born if self._base is None else max(self._base, self._born)))


class Skew:
    """Lowest (our wall clock at the socket − the venue's time) of the last minute: clock offset plus fastest path.

    A negative value proves that the venue's clock is ahead of ours by at least that much. A positive one bounds how
    far it can be behind.
    """

    __slots__ = ("_current", "_index", "_slices")

    def __init__(self) -> None:
        self._current: int | None = None
        self._index: int | None = None
        self._slices: deque[int | None] = deque(maxlen=SLICES - 1)

    def add(self, offset_ns: int) -> None:
        """One observation."""
        if self._current is None or offset_ns < self._current:
            self._current = offset_ns

    def turn(self, now_mono: int) -> None:
        """Let old observations go; call it once a tick."""
        index = now_mono // SLICE_NS
        passed = 0 if self._index is None else min(index - self._index, SLICES)
        self._index = index
        for _ in range(passed):
            self._slices.append(self._current)
            self._current = None

    def clear(self) -> None:
        """Forget: our own clock has been stepped."""
        self._current = None
        self._slices.clear()

    def lowest_ms(self) -> int | None:
        """The estimate; ``None`` when nothing has been observed lately."""
        seen = [value for value in (self._current, *self._slices) if value is not None]
        return to_ms(min(seen)) if seen else None


class WallSteps:
    """Finds steps of the wall clock against the monotonic clock from one reading of both a tick."""

    STEP_NS: Final = 500 * MS
    """Smaller differences are scheduling noise or slewing."""

    __slots__ = ("_offset", "count", "last_step_ms")

    def __init__(self) -> None:
        self._offset: int | None = None
        self.count = 0
        self.last_step_ms: int | None = None
        """Size of the last step, signed: positive when the wall clock was set forward."""

    def tick(self, now_mono: int, now_wall: int) -> bool:
        """Whether the wall clock was stepped since the last tick."""
        offset = now_wall - now_mono
        before, self._offset = self._offset, offset
        if before is None or abs(offset - before) <= self.STEP_NS:
            return False
        self.count += 1
        self.last_step_ms = to_ms(offset - before)
        return True
