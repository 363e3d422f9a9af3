"""A venue's limits kept on our side: nothing is sent that would exceed so many units in any window."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Final

from connectors.venue import Budget

GRAINS: Final = 64
"""Parts of a window that are told apart in what is handed down."""


class Window:
    """Units spent in the sliding window of one budget. ``None`` as budget: no limit."""

    def __init__(self, budget: Budget | None) -> None:
        self._budget = budget
        self._spent: deque[tuple[int, int]] = deque()
        self._sum = 0
        self._least = 1.0

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
            self._least = min(self._least, self._left())

    def headroom(self, now: int) -> float | None:
        """Least share of the budget that was left since this was last asked, 0 to 1; ``None`` without a budget."""
        if self._budget is None:
            return None
        self._forget(now - self._budget.per_ns)
        left = self._left()
        least, self._least = min(self._least, left), left
        return least

    def _left(self) -> float:
        return 1.0 if self._budget is None else max(0.0, 1.0 - self._sum / self._budget.units)

    def past(self, now: int) -> list[tuple[int, int]]:
        """What was spent within the window, by when; spendings close together count as one, at the later time."""
        if self._budget is None:
            return []
        self._forget(now - self._budget.per_ns)
        merged: list[tuple[int, int]] = []
        first = 0
        for when, units in self._spent:
            if merged and when - first < self._budget.per_ns // GRAINS:
                merged[-1] = (when, merged[-1][1] + units)
            else:
                first = when
                merged.append((when, units))
        return merged

    def recall(self, past: Sequence[tuple[int, int]]) -> None:
        """Take what was spent before this process began as spent."""
        if self._budget is not None:
            self._spent.extend(past)
            self._sum += sum(units for _, units in past)
            self._least = min(self._least, self._left())

    def _forget(self, horizon: int) -> None:
        while self._spent and self._spent[0][0] <= horizon:
            self._sum -= self._spent.popleft()[1]
