"""A token bucket with continuous refill (pure)."""

from __future__ import annotations


class Bucket:
    """``capacity`` tokens, refilled evenly over ``seconds``."""

    def __init__(self, capacity: int, seconds: float) -> None:
        self.capacity = capacity
        self.seconds = seconds
        self._tokens = float(capacity)
        self._at = 0.0

    def take(self, now: float) -> bool:
        """Take one token if there is one."""
        self._refill(now)
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True

    def left(self, now: float) -> int:
        """Whole tokens."""
        self._refill(now)
        return int(self._tokens)

    def wait(self, now: float) -> float:
        """Seconds until there is a token."""
        self._refill(now)
        return max(0.0, 1 - self._tokens) * self.seconds / self.capacity

    def _refill(self, now: float) -> None:
        self._tokens = min(self.capacity, self._tokens + (now - self._at) * self.capacity / self.seconds)
        self._at = now
