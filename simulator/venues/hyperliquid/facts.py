"""Hyperliquid's documented and measured numbers (seconds unless said), and its market rules."""

from __future__ import annotations

from math import floor, log10

from simulator.settings import reference_price
from simulator.truth import MarketSpec, Pace

BLOCK_S = 0.07
"""bbo is pushed at block times, about this far apart."""
FAST_PUSH_S = (0.47, 0.66)
"""``l2Book`` with ``fast``: 5 levels, uniform in between, p50 0.54."""
DEFAULT_PUSH_S = (5.0, 5.6)
"""``l2Book`` without: 20 levels."""
CONTEXT_PUSH_S = 1.0
MARK_PERIOD_S = 3.0
FUNDING_PERIOD_S = 5.0
MIDS_PUSH_S = 5.0
ALL_CONTEXTS_PUSH_S = 13.6
FAST_CONTEXTS_PUSH_S = 1.0
LAG_US = 300_000
"""Published times lie 250-400 ms behind the server's clock."""
REPEATED_TIME = 1 / 2500
"""Share of fast frames that carry the previous frame's time again."""
FAST_DEPTH = 5
DEFAULT_DEPTH = 20
REPLAYED_TRADES = 30
FIRST_FRAME_S = (0.05, 0.2)
PONG_S = 0.09
SILENT_CLOSE_S = 0.1
"""A bad coin ends the socket without a close frame after 90-155 ms."""

IDLE_S = 60.0
"""The server drops a socket it has itself sent nothing on for so long."""
LIFETIME_S = (10_000.0, 10_600.0)
"""Then close 1000 ``Expired``."""

CONNECTIONS = 10
OPENS_PER_MINUTE = 30
SUBSCRIPTIONS = 1000
MESSAGES_PER_MINUTE = 2000
WEIGHT_PER_MINUTE = 1200
LIGHT_WEIGHT = 2
HEAVY_WEIGHT = 20
LIGHT = frozenset({"l2Book", "allMids", "exchangeStatus"})
ROWS_PER_WEIGHT = 20
"""``fundingHistory`` and ``recentTrades`` cost one more per so many rows."""
MANTISSA_FIGURES = 5
FUNDING_PAGE = 500
RECENT_TRADES = 10

PACE = Pace(edits=5, move=0.2, trade=0.12)

SIZE_DECIMALS = {"BTC": 5, "ETH": 4, "SOL": 2, "XRP": 0, "DOGE": 0, "BNB": 3, "HYPE": 2}
LEVERAGE = {"BTC": 40, "ETH": 25, "SOL": 20}
DELISTED = "MATIC"
DELISTED_INDEX = 3
"""On mainnet the delisted MATIC keeps index 3."""


def spec(base: str, depth: int) -> MarketSpec:
    """At most 5 significant figures and ``6 - szDecimals`` decimals; integers always allowed."""
    size_decimals = SIZE_DECIMALS.get(base, 2)
    price = reference_price(base)
    decimals = 6 - size_decimals
    used = max(0, min(decimals, 5 - (floor(log10(price)) + 1)))
    tick = 10 ** (decimals - used)
    return MarketSpec.listed(
        base,
        base,
        price_decimals=decimals,
        tick=tick,
        size_decimals=size_decimals,
        depth=depth,
    )
