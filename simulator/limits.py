"""Documented limits: sliding windows, and the ledger of who broke which (pure: time is an argument)."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import asdict, dataclass
from typing import Any

KEPT = 1000


class Window:
    """At most ``limit`` units in any ``seconds`` (a rolling window, not a fixed minute)."""

    def __init__(self, limit: float, seconds: float) -> None:
        self.limit = limit
        self.seconds = seconds
        self._spent: deque[tuple[float, float]] = deque()
        self._total = 0.0

    def spend(self, now: float, cost: float = 1.0) -> bool:
        """Take ``cost`` and say whether it was within the limit; a refused cost is not taken."""
        self._expire(now)
        if self._total + cost > self.limit:
            return False
        self._spent.append((now, cost))
        self._total += cost
        return True

    def used(self, now: float) -> float:
        """Units spent in the window that ends now."""
        self._expire(now)
        return self._total

    def retry_after(self, now: float) -> float:
        """Seconds until the oldest unit leaves the window."""
        self._expire(now)
        return self._spent[0][0] + self.seconds - now if self._spent else 0.0

    def _expire(self, now: float) -> None:
        while self._spent and self._spent[0][0] <= now - self.seconds:
            self._total -= self._spent.popleft()[1]


@dataclass(frozen=True, slots=True)
class Violation:
    """A client went over a documented limit."""

    venue: str
    limit: str
    at_ns: int
    detail: str


class Ledger:
    """All violations: the newest kept whole, all counted."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.recent: deque[Violation] = deque(maxlen=KEPT)

    def record(self, venue: str, limit: str, at_ns: int, detail: str) -> None:
        """Count one violation."""
        self.counts[f"{venue}.{limit}"] += 1
        self.recent.append(Violation(venue, limit, at_ns, detail))

    def report(self) -> dict[str, Any]:
        """``{"total": n, "counts": {"venue.limit": n}, "recent": [...]}``."""
        recent = [asdict(violation) for violation in self.recent]
        return {"total": self.counts.total(), "counts": dict(self.counts), "recent": recent}
