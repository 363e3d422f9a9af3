"""What the runner's telemetry says, gathered over its ticks, as rows for a table. No I/O.

The ages come with every tick; details come in parts, each once a second, so a board is complete after one second.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
from rich.table import Table
from rich.text import Text

STYLES: Final = {"live": "green", "syncing": "cyan", "connecting": "cyan", "init": "cyan", "recovering": "yellow"}
"""Colour of a state; all others are trouble. The word itself is always there for whoever sees no colours."""


class Row(msgspec.Struct, frozen=True):
    """One venue."""

    venue: str
    state: str
    age_ms: int | None
    event_age_ms: int | None
    events_per_s: float | None
    pid: int | None
    trusted: bool
    fresh: bool
    reason: str
    since_ms: int | None
    markets: dict[str, dict[str, Any]]

    @property
    def well(self) -> bool:
        """Live, fresh, and every market trusted."""
        return self.state == "live" and self.fresh and self.trusted


class Board:
    """The newest of every part of telemetry."""

    def __init__(self) -> None:
        self._body: dict[str, Any] = {}

    def absorb(self, body: dict[str, Any]) -> None:
        """Take one tick."""
        self._body.update(body)

    @property
    def complete(self) -> bool:
        """Whether every part has come."""
        return {"venues", "venue_detail", "system"} <= self._body.keys()

    def rows(self) -> list[Row]:
        """Venues in venue order."""
        detail = self._body.get("venue_detail", {})
        processes = self._body.get("system", {}).get("processes", {})
        return [_row(name, venue, detail, processes) for name, venue in self._body.get("venues", {}).items()]

    @property
    def well(self) -> bool:
        """Whether every venue is live, fresh and trusted."""
        rows = self.rows()
        return bool(rows) and all(row.well for row in rows)

    def as_json(self) -> dict[str, Any]:
        """Everything known, for machines."""
        return {"well": self.well, "venues": [msgspec.to_builtins(row) for row in self.rows()], "telemetry": self._body}


def _row(name: str, venue: dict[str, Any], detail: dict[str, Any], processes: dict[str, Any]) -> Row:
    rates = detail.get(name, {}).get("events_per_s")
    return Row(
        venue=name,
        state=venue.get("state") or "unknown",
        age_ms=venue.get("age_ms"),
        event_age_ms=venue.get("age_event_ms"),
        events_per_s=None if rates is None else round(sum(rates.values()), 1),
        pid=processes.get(name, {}).get("pid"),
        trusted=bool(venue.get("trusted")),
        fresh=bool(venue.get("fresh")),
        reason=venue.get("reason") or "",
        since_ms=venue.get("since_ms"),
        markets=venue.get("markets", {}),
    )


def table(rows: list[Row]) -> Table:
    """The table of ages."""
    found = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("venue", "state"):
        found.add_column(heading)
    for heading in ("age ms", "event age ms", "events/s", "pid"):
        found.add_column(heading, justify="right")
    found.add_column("markets")
    for row in rows:
        found.add_row(
            row.venue,
            Text(row.state, STYLES.get(row.state, "bold red")),
            _number(row.age_ms),
            _number(row.event_age_ms),
            _number(row.events_per_s),
            "-" if row.pid is None else str(row.pid),
            _markets(row),
        )
    return found


def _markets(row: Row) -> Text:
    """Names of the markets; whatever is not right with one stands beside it."""
    text = Text()
    for name, market in row.markets.items():
        right = market.get("state") == "live" and market.get("trusted") and market.get("fresh")
        words = name if right else f"{name} ({market.get('state')}, {market.get('trust')})"
        text.append(("  " if text else "") + words, "" if right else "yellow")
    return text


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:,}"
