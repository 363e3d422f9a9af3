"""A venue's limits kept on our side: nothing is sent that would exceed so many units in any window."""

from __future__ import annotations

from collections import deque

from connectors.venue import Budget


class Window:
    """Units spent in the sliding window of one budget. ``None`` as budget: no limit."""

    def __init__(self, budget: Budget | None) -> None:
        self._budget = budget
        self._spent: deque[tuple[int, int]] = deque()
        self._sum = 0

    def wait_ns(self, now: int, units: int = 1) -> int:
        """How long to wait until so many units fit; 0 when they fit now. More than the whole budget fits when empty."""
        budget = self._budget
        if budget is None:
            return 0
        self._forget(now - budget.per_ns)
        excess = self._sum + min(units, budget.units) - budget.units
        for when, spent in self._spent:
            if excess <= 0:
                break
            excess -= spent
            if excess <= 0:
                return when + budget.per_ns - now
        return 0

    def take(self, now: int, units: int = 1) -> None:
        """Spend."""
        if self._budget is not None:
            self._spent.append((now, units))
            self._sum += units

    def _forget(self, horizon: int) -> None:
        while self._spent and self._spent[0][0] <= horizon:
            self._sum -= self._spent.popleft()[1]
