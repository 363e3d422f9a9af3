"""What a run of the simulator is told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from pathlib import Path

VENUES = ("hyperliquid", "paradex", "lighter", "extended", "aster")
"""In the order of their ports: control API on the base, the first venue one above."""

DEFAULT_PORT_BASE = 18090


@dataclass(frozen=True, slots=True)
class Settings:
    """See ``python -m simulator --help`` for each; times in seconds."""

    host: str = "127.0.0.1"
    port_base: int = DEFAULT_PORT_BASE
    venues: tuple[str, ...] = VENUES
    markets: tuple[str, ...] = ("BTC", "ETH", "SOL")
    seed: int = 1
    rate: float = 1.0
    """Multiplies how lively the markets are."""
    frames_per_second: float | None = None
    """Book-change frames a market and second; None = each venue's documented cadence."""
    depth: int = 40
    history: int = 4096
    time_scale: float = 1.0
    """Multiplies lifetimes and keepalive periods: 0.01 makes a 10,000 s lifetime 100 s."""
    limits: Literal["enforce", "count"] = "enforce"
    """Whether going over a documented limit is punished as documented, or only counted."""
    tls_dir: Path | None = None
    wrong_certificate: bool = False
    ports_file: Path | None = None
    scenario: Path | None = None
    storm_s: float | None = None
    """Random faults, by the seed, for a run of so many seconds."""
    switches: tuple[tuple[str, str], ...] = ()
    """``("venue.name", "value")``: see ``Venue.switches``."""

    def switches_of(self, venue: str) -> dict[str, str]:
        """One venue's switches by name."""
        parts = ((key.partition("."), value) for key, value in self.switches)
        return {name: value for (owner, _, name), value in parts if owner == venue}

    def port(self, venue: str | None) -> int:
        """Port of a venue, or of the control API for None; 0 = any free one."""
        if not self.port_base:
            return 0
        return self.port_base + (0 if venue is None else 1 + VENUES.index(venue))


REFERENCE_PRICES = {
    "BTC": 84_000.0,
    "ETH": 2_640.0,
    "SOL": 141.0,
    "XRP": 2.31,
    "DOGE": 0.174,
    "BNB": 612.0,
    "HYPE": 38.5,
}


def reference_price(base: str) -> float:
    """A plausible price to start a market at, in USD."""
    return REFERENCE_PRICES.get(base, 100.0)


TYPICAL_NOTIONAL = 12_000.0
"""A usual level is worth this many USD."""
