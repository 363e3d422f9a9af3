"""Extended's documented and measured numbers (seconds unless said), and its market rules."""

from __future__ import annotations

from simulator.truth import MarketSpec, Pace

STREAM = "/stream.extended.exchange"
REST = "/api/v1"

BOOK_S = 0.1
"""A book frame at most this often, and only when something changed."""
STEP_S = 0.05
"""Trades and best prices do not wait for the book's frame."""
SNAPSHOT_S = 60.6
"""A full book again, in a phase of each market's own."""
MOST_REPLAYED = 2000
"""About 600 at the venue's pace; a faster one gets its snapshots earlier instead of replaying for ever."""
BBO_MIN_S = 0.01
PRICE_S = 1.4
"""Mark and index change about 0.7 times a second."""
FUNDING_S = 60.0
"""The running rate is computed anew each minute."""
REPLAYED_TRADES = 50

PING_S = 15.0
PONG_S = 10.0
"""The server pings so often and wants the answer within this."""

REST_PER_MINUTE = 1000
"""An address; all endpoints share it and there are no weights."""
CACHED_S = {"markets": 60.0, "stats": 2.0, "orderbook": 2.0, "trades": 5.0, "funding": 60.0, "open-interests": 60.0}
FUNDING_PAGE = 10_000
INTEREST_PAGE = 300

PACE = Pace(edits=3, move=0.12, trade=0.06)
"""A step; two steps make a frame."""

# base: (price decimals, tick in that unit, size decimals, minimum order in lots). BTC's tick was 0.1 once and is 1 now.
RULES = {"BTC": (0, 1, 5, 10), "ETH": (1, 1, 3, 10), "SOL": (2, 1, 2, 10)}
DEFAULT_RULES = (4, 1, 1, 10)
NAMES = {"BTC": "Bitcoin", "ETH": "Ethereum", "SOL": "Solana"}
LEVERAGE = {"BTC": "50.00", "ETH": "50.00", "SOL": "25.00"}
CREATED_MS = 1_752_829_532_673

SNOWFLAKE_EPOCH_MS = 1_288_834_974_657
"""Trade ids are ``(T - this) << 22`` plus a counter: read off recorded ids."""
SNOWFLAKE_SHIFT = 22

PING_METHOD = "ping"
PARSE_ERROR, INVALID_REQUEST, METHOD_NOT_FOUND, INVALID_PARAMS = -32700, -32600, -32601, -32602
MARKET_NOT_FOUND = 1001


def spec(base: str, depth: int) -> MarketSpec:
    """The name is the id; sizes are in base units."""
    price_decimals, tick, size_decimals, _ = RULES.get(base, DEFAULT_RULES)
    return MarketSpec.listed(
        base,
        f"{base}-USD",
        price_decimals=price_decimals,
        tick=tick,
        size_decimals=size_decimals,
        depth=depth,
    )
