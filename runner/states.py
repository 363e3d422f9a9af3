"""How long a venue or market has been in each state, by the runner's monotonic clock."""

from __future__ import annotations

from typing import Final

from bus.events import State, Status
from runner.freshness import to_ms

UNKNOWN: Final = "unknown"
"""Name of the time before the first status was heard."""


class StateTime:
    """State of one venue or market as its connector last told it, and the time spent in each since the start."""

    __slots__ = ("_entered", "_spent", "changes", "last")

    def __init__(self, born_mono: int) -> None:
        self._entered = born_mono
        self._spent: dict[str, int] = {}
        self.last: Status | None = None
        """Last status heard; ``None`` before the first."""
        self.changes = 0
        """Changes of state seen; a status that is told again is none."""

    @property
    def state(self) -> State | None:
        """Present state; ``None`` while nothing is known."""
        return None if self.last is None else self.last.state

    def changed(self, status: Status, now_mono: int) -> None:
        """A status arrived."""
        before, self.last = self.last, status
        if before is not None and (before.state, before.since_ns) == (status.state, status.since_ns):
            return
        self._settle(UNKNOWN if before is None else before.state.value, now_mono)
        self.changes += before is not None

    def spent_ms(self, now_mono: int) -> dict[str, int]:
        """Milliseconds in each state so far, the present one up to now."""
        name = UNKNOWN if self.last is None else self.last.state.value
        spent = {**self._spent, name: self._spent.get(name, 0) + now_mono - self._entered}
        return {state: to_ms(total) for state, total in spent.items()}

    def _settle(self, name: str, now_mono: int) -> None:
        self._spent[name] = self._spent.get(name, 0) + now_mono - self._entered
        self._entered = now_mono
