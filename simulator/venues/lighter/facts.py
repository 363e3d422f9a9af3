"""Lighter's documented and measured numbers (seconds unless said), and its market list."""

from __future__ import annotations

from typing import NamedTuple

from simulator.truth import MarketSpec, Pace

GRID_S = 0.05
"""Book diffs are batched on this grid, and sent only when something changed."""
STEPS_PER_GRID = 2
"""The ticker is sent on every engine change: oftener than the book."""
STATS_PERIOD_S = 0.5
HEIGHT_PERIOD_S = 0.06
"""267 blocks in 15.1 s between two captures."""
REPLY_S = 0.03
NONCE_STEP = (1, 500)
FIRST_NONCE = 23_189_369_443
OFFSET_STEP = (1, 7)
REPLAYED_TRADES = 50
LIQUIDATION_EVERY = 97
"""Every so many trades one is a liquidation."""
FIRST_TRADE_ID = 26_412_385_647
FIRST_HEIGHT = 301_813_997

IDLE_S = 120.0
"""Without any client frame for so long the socket is closed, however much the server sends."""
LIFETIME_S = 86_400.0
NO_PONG_S = 60.0
"""Seen in 2025: a server ping that stays unanswered for so long ends in close 1008 ``no pong``."""

CONNECTIONS = 255
OPENS_PER_MINUTE = 255
SUBSCRIPTIONS = 500
SUBSCRIPTIONS_TOTAL = 5000
MESSAGES_PER_MINUTE = 200
INFLIGHT = 50
REQUESTS_PER_MINUTE = 60
WEIGHT_PER_MINUTE = 24_000
WEIGHT = 300
TRADES_WEIGHT = 600
FUNDINGS_PAGE = 100
MILLISECONDS_FROM = 10**11
"""Request times above are taken as milliseconds."""

PACE = Pace(edits=4, move=0.1, trade=0.05)


class Listing(NamedTuple):
    """Id and decimals of a perpetual on mainnet."""

    market_id: int
    price_decimals: int
    size_decimals: int
    min_base: str


LISTINGS = {
    "ETH": Listing(0, 2, 4, "0.0050"),
    "BTC": Listing(1, 1, 5, "0.00010"),
    "SOL": Listing(2, 3, 3, "0.100"),
    "DOGE": Listing(3, 6, 0, "50"),
    "XRP": Listing(7, 6, 0, "5"),
    "HYPE": Listing(24, 4, 2, "0.15"),
    "BNB": Listing(25, 4, 2, "0.02"),
}
OTHERS_FROM = 150


def listing(base: str, markets: tuple[str, ...]) -> Listing:
    """The real listing, or a made-up one above the ids in use."""
    return LISTINGS.get(base) or Listing(OTHERS_FROM + markets.index(base), 4, 2, "0.10")


def spec(base: str, found: Listing, depth: int) -> MarketSpec:
    """Tick 10^-price_decimals, lot 10^-size_decimals."""
    return MarketSpec.listed(
        base,
        base,
        price_decimals=found.price_decimals,
        tick=1,
        size_decimals=found.size_decimals,
        depth=depth,
    )
