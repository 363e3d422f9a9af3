"""Lighter's REST answers (pure). Success has ``"code": 200`` inside the body as well."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from simulator.stats import HOUR_US, day_volume, settled
from simulator.venues.lighter import facts, messages

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from simulator.book import Levels
    from simulator.truth import MarketSpec
    from simulator.venues.lighter.venue import Lighter

HOUR_S = HOUR_US // 1_000_000
DAY_S = 24 * HOUR_S
INVALID = {"code": 20001, "message": "invalid param "}
TOO_MANY = {"code": 23000, "message": "Too Many Requests!"}
MOST_ORDERS = 250
MOST_TRADES = 100


class InvalidParamError(ValueError):
    """A missing, malformed or out-of-range parameter."""


def integer(query: Mapping[str, str], name: str, low: int | None = None, high: int | None = None) -> int:
    """A required integer parameter within bounds."""
    try:
        value = int(query[name])
    except (KeyError, ValueError) as error:
        raise InvalidParamError(name) from error
    if (low is not None and value < low) or (high is not None and value > high):
        raise InvalidParamError(name)
    return value


class Answers:
    """Bodies by path below ``/api/v1/``."""

    def __init__(self, venue: Lighter) -> None:
        self._venue = venue
        self.kinds: dict[str, Callable[[Mapping[str, str]], dict[str, Any]]] = {
            "orderBooks": self._order_books,
            "orderBookDetails": self._order_book_details,
            "orderBookOrders": self._order_book_orders,
            "recentTrades": self._recent_trades,
            "fundings": self._fundings,
            "funding-rates": self._funding_rates,
            "exchangeStats": self._exchange_stats,
            "assetDetails": self._asset_details,
            "announcement": lambda _: {"code": 200, "announcements": []},
        }

    @staticmethod
    def weight(kind: str) -> int:
        """Cost against the budget of a rolling minute."""
        return facts.TRADES_WEIGHT if kind in {"recentTrades", "trades"} else facts.WEIGHT

    def _rows(self, query: Mapping[str, str], kind: str, make: Callable[[str], dict[str, Any]]) -> list[dict[str, Any]]:
        if query.get("filter", "all") not in {"all", kind}:
            return []
        rows = [make(market) for market in self._venue.specs] if kind == "perp" else [dict(_SPOT)]
        if "market_id" in query:
            wanted = integer(query, "market_id")
            rows = [row for row in rows if row["market_id"] == wanted]
        return rows

    def _order_books(self, query: Mapping[str, str]) -> dict[str, Any]:
        perps = self._rows(query, "perp", self._listing)
        if query.get("filter", "all") != "spot" and "market_id" not in query:
            perps.append(dict(_INACTIVE))
        return {"code": 200, "order_books": perps + self._rows(query, "spot", self._listing)}

    def _order_book_details(self, query: Mapping[str, str]) -> dict[str, Any]:
        perps = self._rows(query, "perp", self._details)
        return {"code": 200, "order_book_details": perps, "spot_order_book_details": []}

    def _listing(self, market: str) -> dict[str, Any]:
        spec = self._venue.specs[market]
        found = self._venue.listings[market]
        return _row(spec.symbol, found, "active")

    def _details(self, market: str) -> dict[str, Any]:
        truth, stats = self._venue.truths[market], self._venue.stats[market]
        found = self._venue.listings[market]
        volume = day_volume(stats, truth)
        last = truth.trades[-1].price if truth.trades else truth.mid
        return (
            self._listing(market)
            | {
                "size_decimals": found.size_decimals,
                "price_decimals": found.price_decimals,
                "last_trade_price": float(truth.spec.price(last)),
                "daily_trades_count": 400_000 + truth.trades_total,
                "open_interest": float(stats.open_interest),
                "mark_price": format(stats.mark, "f"),
                "index_price": format(stats.index, "f"),
            }
            | messages.daily(volume, stats.mark, stats)
            | _DETAILS
        )

    def _order_book_orders(self, query: Mapping[str, str]) -> dict[str, Any]:
        limit = integer(query, "limit", 1, MOST_ORDERS)
        market = self._venue.by_id.get(integer(query, "market_id"))
        if market is None:
            return {"code": 200, "total_asks": 0, "asks": [], "total_bids": 0, "bids": []}
        spec, book = self._venue.specs[market], self._venue.truths[market].book
        expiry = self._venue.clock.stamp_ms(self._venue.clock.now_us()) + 28 * 86_400_000
        asks = orders(spec, book.top_asks(limit), expiry)[:limit]
        bids = orders(spec, book.top_bids(limit), expiry)[:limit]
        return {"code": 200, "total_asks": len(asks), "asks": asks, "total_bids": len(bids), "bids": bids}

    def _recent_trades(self, query: Mapping[str, str]) -> dict[str, Any]:
        limit = integer(query, "limit", 1, MOST_TRADES)
        market = self._venue.by_id.get(integer(query, "market_id"))
        return {"code": 200, "trades": [] if market is None else self._venue.recent_trades(market, limit)}

    def _fundings(self, query: Mapping[str, str]) -> dict[str, Any]:
        resolution = query.get("resolution")
        if resolution not in {"1h", "1d"}:
            raise InvalidParamError("resolution")
        period = HOUR_S if resolution == "1h" else DAY_S
        market = self._venue.by_id.get(integer(query, "market_id"))
        start, end = (_seconds(integer(query, name)) for name in ("start_timestamp", "end_timestamp"))
        count = integer(query, "count_back", 0) or facts.FUNDINGS_PAGE
        if start >= end:
            raise InvalidParamError("start_timestamp")
        now = self._venue.clock.stamp_ms(self._venue.clock.now_us()) // 1000
        last = (min(end, now + 1) - 1) // period
        first = max(-(-start // period), last - min(count, facts.FUNDINGS_PAGE) + 1)
        rows = [] if market is None else [self._funding(market, at * period) for at in range(first, last + 1)]
        return {"code": 200, "resolution": resolution, "fundings": rows}

    def _funding(self, market: str, at_s: int) -> dict[str, Any]:
        rate = settled(self._venue.settings.seed, market, at_s // HOUR_S)
        value = abs(rate) * self._venue.stats[market].index
        return {
            "timestamp": at_s,
            "value": f"{value:.8f}",
            "rate": messages.per_cent(abs(rate)),
            "direction": "short" if rate < 0 else "long",
        }

    def _funding_rates(self, query: Mapping[str, str]) -> dict[str, Any]:
        del query
        rows: list[dict[str, Any]] = []
        for market, spec in self._venue.specs.items():
            common = {"market_id": self._venue.listings[market].market_id, "symbol": spec.symbol}
            ours = float(self._venue.stats[market].funding * 8)
            rows.append(common | {"exchange": "lighter", "rate": ours})
            rows.extend(common | {"exchange": other, "rate": 0.0001} for other in ("binance", "bybit", "hyperliquid"))
        return {"code": 200, "funding_rates": rows}

    def _exchange_stats(self, query: Mapping[str, str]) -> dict[str, Any]:
        del query
        details = [self._details(market) for market in self._venue.specs]
        rows = [{name: row[name] for name in _STATS} for row in details]
        volume = sum(row["daily_quote_token_volume"] for row in rows)
        count = sum(row["daily_trades_count"] for row in rows)
        total = {"total": len(rows), "daily_usd_volume": volume, "daily_trades_count": count}
        return {"code": 200, "order_book_stats": rows} | total

    def _asset_details(self, query: Mapping[str, str]) -> dict[str, Any]:
        del query
        return {"code": 200, "asset_details": [_USDC]}


def orders(spec: MarketSpec, side: Levels, expiry_ms: int) -> list[dict[str, Any]]:
    """Individual orders of some levels, best first: a level's size split into up to three."""
    found = []
    for price, size in side:
        parts = min(1 + price % 3, size)
        sizes = [size // parts] * (parts - 1)
        for number, part in enumerate([*sizes, size - sum(sizes)]):
            found.append(_order(spec, price, part, number, expiry_ms))
    return found


def _order(spec: MarketSpec, price: int, size: int, number: int, expiry_ms: int) -> dict[str, Any]:
    index = 281_474_976_710_656 + price * 8 + number
    return {
        "order_index": index,
        "order_id": str(index),
        "owner_account_index": 281_474_976_600_000 + price % 1000,
        "initial_base_amount": spec.size(size + number),
        "remaining_base_amount": spec.size(size),
        "price": spec.price(price),
        "order_expiry": expiry_ms,
        "transaction_time": 0,
    }


def _seconds(value: int) -> int:
    return value // 1000 if value > facts.MILLISECONDS_FROM else value


def _row(symbol: str, found: facts.Listing, status: str, kind: str = "perp") -> dict[str, Any]:
    return {
        "symbol": symbol,
        "market_id": found.market_id,
        "market_type": kind,
        "base_asset_id": 0,
        "quote_asset_id": 0,
        "status": status,
        "taker_fee": "0.0000",
        "is_taker_fee_enabled": True,
        "maker_fee": "0.0000",
        "is_maker_fee_enabled": True,
        "liquidation_fee": "1.0000",
        "min_base_amount": found.min_base,
        "min_quote_amount": "10.000000",
        "order_quote_limit": "281474976.710655",
        "supported_size_decimals": found.size_decimals,
        "supported_price_decimals": found.price_decimals,
        "supported_quote_decimals": found.price_decimals + found.size_decimals,
        "created_at": "1737098461100",
        "multiplier": "1.000000000000000000",
    }


_INACTIVE = _row("HYUNDAI", facts.Listing(141, 0, 6, "0.000010"), "inactive")
_SPOT = _row("SKY/USDC", facts.Listing(2053, 6, 0, "100"), "active", "spot")

_DETAILS: dict[str, Any] = {
    "quote_multiplier": 1,
    "default_initial_margin_fraction": 500,
    "min_initial_margin_fraction": 200,
    "maintenance_margin_fraction": 120,
    "closeout_margin_fraction": 80,
    "funding_clamp_small": "0.0500",
    "funding_clamp_big": "4.0000",
    "base_interest_rate": "0.0100",
    "daily_chart": {},
    "market_config": {
        "market_margin_mode": 0,
        "insurance_fund_account_index": 281_474_976_710_655,
        "liquidation_mode": 0,
        "force_reduce_only": False,
        "trading_hours": "",
        "funding_fee_discounts_enabled": False,
        "hidden": False,
        "rfq_enabled": True,
    },
    "strategy_index": 2,
}

_STATS = (
    "symbol",
    "last_trade_price",
    "daily_trades_count",
    "daily_base_token_volume",
    "daily_quote_token_volume",
    "daily_price_change",
)

_USDC = {
    "asset_id": 3,
    "symbol": "USDC",
    "l1_decimals": 6,
    "decimals": 6,
    "min_transfer_amount": "1.000000",
    "min_withdrawal_amount": "1.000000",
    "margin_mode": "enabled",
    "index_price": "1.000000",
    "l1_address": "0xa0b86991c6218b36c1d19d4a2e9eb0ce3606eb48",
}
