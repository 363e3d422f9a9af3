"""Paradex's documented and measured numbers (seconds unless said), and its market rules."""

from __future__ import annotations

from simulator.truth import MarketSpec, Pace

SCHEMA_ID = 1
VERSIONS = 3
"""The highest schema version served; every lower one stays."""

BOOK_S = 0.1
"""A sequence step, and with it a DELTA, about ten times a second on BTC."""
EMPTY = 0.5
"""Share of DELTAs without a level: what changed is not in the book without RPI orders."""
SUMMARY_S = 1.0
FUNDING_S = 5.0
"""Documents say every second, recorded data every five."""
SNAPSHOT_DEPTH = 15
SNAPSHOT_MS = (50, 100)
INTERACTIVE_MS = (50, 100, 200, 400)
REST_DEPTH = 20

FIRST_SEQ = 7_687_289_234
FIRST_SEQ_AT_S = 1_791_421_535
SEQ_PER_S = 10
APART = 1_000_000_000
"""Counters of two markets differ by so much."""

PING_S = 55.0
PONG_S = 5.0
IDLE_HEARTBEAT_S = 20.0
UNREAD = 2000
"""Frames that may wait for a slow reader."""
CONNECTS_PER_S = 20
CONNECTS_PER_MINUTE = 600
REST_PER_MINUTE = 1500
TRADES_PAGE = (100, 1000)
FUNDING_PAGE = (100, 5000)
FUNDING_HOURS = 8

PACE = Pace(edits=2, move=0.2, trade=0.15)

# base: (price decimals, tick in that unit, size decimals, largest order, position limit)
RULES = {
    "BTC": (1, 1, 5, "100", "300"),
    "ETH": (2, 1, 4, "1000", "9000"),
    "SOL": (3, 1, 2, "10000", "100000"),
}
DEFAULT_RULES = (5, 1, 0, "1000000", "5000000")


def spec(base: str, depth: int) -> MarketSpec:
    """Symbols are identifiers."""
    price_decimals, tick, size_decimals, _, _ = RULES.get(base, DEFAULT_RULES)
    return MarketSpec.listed(
        base,
        f"{base}-USD-PERP",
        price_decimals=price_decimals,
        tick=tick,
        size_decimals=size_decimals,
        depth=depth,
    )
