"""Aster's documented and measured numbers (seconds unless said), and its market rules."""

from __future__ import annotations

from simulator.truth import MarketSpec, Pace

VERSIONS = ("/fapi/v1", "/fapi/v3")
"""Public GETs answer the same under both."""

BOOK_S = 0.1
"""Period of ``@depth@100ms``; the other speeds are multiples."""
SPEEDS_MS = (0, 100, 250, 500)
"""``@depth`` alone is 250; 0 is real time, undocumented but in use."""
USUAL_SPEED_MS = 250
STEPS = 4
FEWEST_STEPS = 2
"""Engine steps in a book period; with two, a snapshot may still fall between the changes of one event."""
TRADES_S = 0.1
MARK_S = 1.0
MARK_EVERY = 3
"""``@markPrice`` without ``@1s``: every third."""
TICKER_S = 1.0
FUNDING_S = 5.0

IDS_PER_S = 23_000
"""Changes of all symbols together; each takes a number of the one counter."""
FIRST_ID = 590_000_000_000
FIRST_ID_AT_S = 1_791_450_000
"""The counter stood there then, and has not stopped."""
IDLE_GAP = 0.3
"""Chance that nothing else happens between two steps."""
TICK_US = 50_000
"""REST shows the engine as of a multiple of this."""

DEPTH_WEIGHTS = {5: 2, 10: 2, 20: 2, 50: 2, 100: 5, 500: 10, 1000: 20}
USUAL_DEPTH = 500
WEIGHT_PER_MINUTE = 2400
PATIENCE = 10
"""Refused requests before an address is banned (418); documented only as ignoring 429."""
BAN_S = 120.0
LONGEST_BAN_S = 3 * 86_400.0

PING_S = 300.0
PONG_S = 900.0
LIFETIME_S = 86_400.0
MESSAGES_PER_S = 10
STREAMS = 200

AGGREGATE_BASE = 60_000_000
FILL_BASE = 70_000_000
FILLS = 3
"""Fill ids are handed out by threes, so that holes come up, as they do where fills are left out."""

PACE = Pace(edits=3, move=0.12, trade=0.06)
"""A step."""
QUIET = 0.4
"""Chance that a symbol has no step: some events hold a single change, some do not come at all."""

FUNDING_HOURS = {"BTC": 8, "ETH": 8, "SOL": 4}
FUNDING_CAPS = {"BTC": 0.003, "ETH": 0.003}
FUNDING_PAGE = 100
LONGEST_PAGE = 1000

# base: (decimals printed, tick in that unit, size decimals, largest order, largest market order)
RULES = {
    "BTC": (1, 1, 3, "1000", "120"),
    "ETH": (2, 1, 3, "10000", "2000"),
    "SOL": (4, 100, 2, "100000", "8000"),
}
DEFAULT_RULES = (5, 10, 0, "10000000", "500000")


def spec(base: str, depth: int) -> MarketSpec:
    """Printed decimals are not the tick: SOL prints four and moves by the second."""
    price_decimals, tick, size_decimals, _, _ = RULES.get(base, DEFAULT_RULES)
    return MarketSpec.listed(
        base,
        f"{base}USDT",
        price_decimals=price_decimals,
        tick=tick,
        size_decimals=size_decimals,
        depth=depth,
    )
