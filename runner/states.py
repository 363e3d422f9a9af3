"""How long a venue or market has been in each state, by the runner's monotonic clock."""

from __future__ import annotations

from typing import Final

from bus.events import State, Status
from runner.freshness import to_ms

UNKNOWN: Final = "unknown"
"""Name of the time before the first status was heard."""


class StateTime:
    """State of one venue or market as its connector last told it, and the time spent in each since the start.

    A connector that is dead or silent says nothing of that itself: then the state is ``down`` until it speaks again.
    """

    __slots__ = ("_entered", "_gone", "_spent", "_told", "changes")

    def __init__(self, born_mono: int) -> None:
        self._entered = born_mono
        self._spent: dict[str, int] = {}
        self._told: Status | None = None
        self._gone: Status | None = None
        self.changes = 0
        """Changes of state seen; a status that is told again is none."""

    @property
    def last(self) -> Status | None:
        """What is known: the last status heard, or that its connector is gone; ``None`` before the first."""
        return self._told if self._gone is None else self._gone

    @property
    def state(self) -> State | None:
        """Present state; ``None`` while nothing is known."""
        return None if self.last is None else self.last.state

    def changed(self, status: Status, now_mono: int) -> None:
        """A status arrived."""
        before, self._told = self._told, status
        if self._gone is not None:
            return
        if before is not None and (before.state, before.since_ns) == (status.state, status.since_ns):
            return
        self._settle(UNKNOWN if before is None else before.state.value, now_mono)
        self.changes += before is not None

    def judged(self, gone: tuple[str, str] | None, now_mono: int, now_wall: int) -> None:
        """The connector is gone, for this reason and detail, or it is there."""
        if (gone is None) == (self._gone is None):
            return
        last = self.last
        self._settle(UNKNOWN if last is None else last.state.value, now_mono)
        self.changes += last is not None
        self._gone = None
        if gone is not None:
            self._gone = Status(State.DOWN, State.INIT if last is None else last.state, *gone, now_wall)

    def spent_ms(self, now_mono: int) -> dict[str, int]:
        """Milliseconds in each state so far, the present one up to now."""
        name = UNKNOWN if self.last is None else self.last.state.value
        spent = {**self._spent, name: self._spent.get(name, 0) + now_mono - self._entered}
        return {state: to_ms(total) for state, total in spent.items()}

    def _settle(self, name: str, now_mono: int) -> None:
        self._spent[name] = self._spent.get(name, 0) + now_mono - self._entered
        self._entered = now_mono
