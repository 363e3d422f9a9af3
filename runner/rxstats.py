"""The line of receive statistics of one tick, in the format that existing analysers read."""

from __future__ import annotations

from typing import Final

from bus.events import MARKET_KINDS

NAMED: Final = (("delta", "l2_delta"), ("book", "l2_snapshot"), ("trade", "trade"), ("funding", "funding_update"))
"""Kind of event, and its name in the line."""


class RxStats:
    """Counts of one tick by kind: ``raw`` as received from the bus, ``out`` as applied to a venue's state."""

    __slots__ = ("out", "raw")

    def __init__(self) -> None:
        self.raw: dict[str, int] = {}
        self.out: dict[str, int] = {}

    def line(self, tick: int, cap_hits: int) -> str:
        """The line without its end. ``cap_hits``: ticks so far whose drain stopped at its cap."""
        drained = sum(self.raw.values())
        raw = {name: self.raw.get(kind, 0) for kind, name in NAMED}
        out = {name: self.out.get(kind, 0) for kind, name in NAMED}
        out_market = sum(count for kind, count in self.out.items() if kind in MARKET_KINDS)
        fields = [
            ("tick", tick),
            ("raw_drained", drained),
            *((f"raw_{name}", count) for name, count in raw.items()),
            ("out_market", out_market),
            *((f"out_{name}", count) for name, count in out.items()),
            ("other", drained - sum(raw.values())),
            ("cap_hits", cap_hits),
        ]
        return "market_rx_stats " + " ".join(f"{name}={count}" for name, count in fields)

    def clear(self) -> None:
        """Begin the next tick."""
        self.raw.clear()
        self.out.clear()
