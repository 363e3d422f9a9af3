"""What did not arrive here, by sender and cause, and how long healing took."""

from __future__ import annotations

from bus.items import Healed, Lost
from runner.freshness import to_ms

MAX_SENDERS = 64
"""Senders beyond this are counted together as ``other``."""


class Losses:
    """Counts of ``Lost`` and ``Healed`` since the start."""

    __slots__ = ("_by_venue", "heals", "slowest_heal_ms")

    def __init__(self) -> None:
        self._by_venue: dict[str, dict[str, int]] = {}
        self.heals = 0
        """Chains that were complete again."""
        self.slowest_heal_ms: int | None = None

    def lost(self, item: Lost) -> None:
        """Something was lost: counted as the messages known to be missing, or as one when their number is unknown."""
        sender = item.venue if item.venue in self._by_venue or len(self._by_venue) < MAX_SENDERS else "other"
        causes = self._by_venue.setdefault(sender, {})
        causes[item.why.value] = causes.get(item.why.value, 0) + max(1, item.count)

    def healed(self, item: Healed) -> None:
        """A chain is complete again."""
        self.heals += 1
        self.slowest_heal_ms = max(self.slowest_heal_ms or 0, to_ms(item.after_ns))

    def by_venue(self) -> dict[str, dict[str, int]]:
        """Messages missing, by sender and cause."""
        return {venue: dict(causes) for venue, causes in self._by_venue.items()}
