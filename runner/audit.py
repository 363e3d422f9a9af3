"""Audit lines of reconnects and publisher pressure, in the words that existing analysers look for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from bus.counters import Counter

PRESSURE: Final = tuple(
    counter.label for counter in (Counter.TRY_SEND_FULL, Counter.PENDING_REPLACED, Counter.LOSSLESS_WAIT)
)
"""Counters of publishing under pressure, summed over all processes that publish."""
SUMMARY_NS: Final = 60_000_000_000


Fields = dict[str, str | int]
"""Fields of one line, in their order."""


def text(fields: Fields) -> str:
    """The line: ``WS_AUDIT`` and the fields."""
    return " ".join(["WS_AUDIT", *(f"{name}={value}" for name, value in fields.items())])


class Audit:
    """Decides which lines are due: each count once when it changes, and all of them once a minute."""

    __slots__ = ("_next_summary", "_told")

    def __init__(self, now_mono: int) -> None:
        self._told: dict[tuple[str, str], int] = {}
        self._next_summary = now_mono + SUMMARY_NS

    def due(
        self, reconnects: Mapping[str, Mapping[str, int]], pressure: Mapping[str, int], now_mono: int
    ) -> list[Fields]:
        """Lines due now. ``reconnects``: by venue and reason; ``pressure``: by counter label."""
        summary = now_mono >= self._next_summary
        if summary:
            self._next_summary = now_mono + SUMMARY_NS
        counts = {(venue, reason): n for venue, reasons in reconnects.items() for reason, n in reasons.items()}
        counts |= {("", label): n for label, n in pressure.items()}
        before, self._told = self._told, counts
        return [_fields(key, count) for key, count in counts.items() if summary or count != before.get(key, 0)]


def _fields(key: tuple[str, str], count: int) -> Fields:
    venue, name = key
    if venue:
        return {"venue": venue, "reconnect_reason": name, "count": count}
    return {"component": "market_publisher", name: count}
