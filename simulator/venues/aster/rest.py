"""What REST answers, as plain values (pure)."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from simulator.decimals import fixed
from simulator.stats import HOUR_US, day_volume
from simulator.venues.aster import facts, messages
from simulator.venues.aster.messages import eight

if TYPE_CHECKING:
    from simulator.truth import MarketSpec
    from simulator.venues.aster.venue import Aster

HOUR_MS = HOUR_US // 1000
DELISTED = "APXUSDT"
PENDING = "NEWUSDT"
TESTING = "TESTUSDT"
FOREIGN = "雪球USDT"
ORDER_TYPES = ["LIMIT", "MARKET", "STOP", "STOP_MARKET", "TAKE_PROFIT", "TAKE_PROFIT_MARKET", "TRAILING_STOP_MARKET"]
RATE_LIMITS = [
    {
        "rateLimitType": "REQUEST_WEIGHT",
        "interval": "MINUTE",
        "intervalNum": 1,
        "limit": facts.WEIGHT_PER_MINUTE,
    },
    {"rateLimitType": "ORDERS", "interval": "MINUTE", "intervalNum": 1, "limit": 1200},
    {"rateLimitType": "ORDERS", "interval": "SECOND", "intervalNum": 10, "limit": 300},
]


class Rest:
    """Answers by market."""

    def __init__(self, venue: Aster) -> None:
        self._venue = venue

    def exchange_info(self) -> dict[str, Any]:
        """The whole list, with the odd rows that the real one has: one not yet trading, one for tests."""
        specs = list(self._venue.specs.values())
        rows = [_listing(spec) for spec in specs]
        if specs:
            rows.append(_listing(specs[-1]) | _named(PENDING) | {"contractType": "", "status": "PENDING_TRADING"})
            rows.append(_listing(specs[-1]) | _named(TESTING))
        assets = [*(spec.base for spec in specs), "USDT"]
        return {
            "timezone": "UTC",
            "serverTime": self._venue.now_ms(),
            "futuresType": "U_MARGINED",
            "rateLimits": RATE_LIMITS,
            "exchangeFilters": [],
            "assets": [_asset(asset) for asset in assets],
            "symbols": rows,
        }

    def depth(self, market: str, limit: int) -> bytes:
        """Engine and book as of the last 50 ms tick."""
        venue, spec = self._venue, self._venue.specs[market]
        tick = venue.tick()
        _, book = venue.truths[market].as_of_seq(tick.id, newest=tick.id)
        times = (venue.now_ms(), venue.clock.stamp_ms(tick.ts_us))
        return messages.snapshot(spec, tick.id, times, book.top_bids(limit), book.top_asks(limit))

    def trades(self, market: str, limit: int) -> list[dict[str, Any]]:
        """Fills, ascending."""
        venue, spec = self._venue, self._venue.specs[market]
        rows = [
            row
            for one in list(venue.truths[market].trades)[-limit:]
            for row in messages.rest_trades(spec, one, venue.clock.stamp_ms(one.ts_us))
        ]
        return rows[-limit:]

    def aggregates(self, market: str, limit: int) -> list[dict[str, Any]]:
        """Aggregate trades, ascending."""
        venue, spec = self._venue, self._venue.specs[market]
        return [
            messages.aggregate(spec, one, venue.clock.stamp_ms(one.ts_us))
            for one in list(venue.truths[market].trades)[-limit:]
        ]

    def book_ticker(self, market: str) -> dict[str, Any]:
        """The touch at the last tick."""
        venue, tick = self._venue, self._venue.tick()
        _, book = venue.truths[market].as_of_seq(tick.id, newest=tick.id)
        time_ms = venue.clock.stamp_ms(tick.ts_us)
        return messages.rest_book_ticker(venue.specs[market], tick.id, time_ms, book.top_bids(1), book.top_asks(1))

    def price(self, market: str) -> dict[str, Any]:
        """The last price."""
        venue, last = self._venue, self._venue.truths[market].trades[-1]
        spec = venue.specs[market]
        return {"symbol": spec.symbol, "price": spec.price(last.price), "time": venue.clock.stamp_ms(last.ts_us)}

    def day(self, market: str) -> dict[str, Any]:
        """24 hours by REST names; streams use the same numbers under short names."""
        venue, spec, truth = self._venue, self._venue.specs[market], self._venue.truths[market]
        stats, last, now = venue.stats[market], truth.trades[-1], venue.now_ms()
        price, base = Decimal(spec.price(last.price)), day_volume(stats, truth)
        opened = stats.previous_day
        digits = Decimal(1).scaleb(-spec.price_decimals)
        fills = messages.fills(last)
        return {
            "symbol": spec.symbol,
            "priceChange": format(price - opened, "f"),
            "priceChangePercent": format(((price - opened) / opened * 100).quantize(Decimal("0.001")), "f"),
            "weightedAvgPrice": format(((price + opened) / 2).quantize(digits), "f"),
            "lastPrice": format(price, "f"),
            "lastQty": spec.size(last.size),
            "openPrice": format(opened, "f"),
            "highPrice": format(max(price, opened), "f"),
            "lowPrice": format(min(price, opened), "f"),
            "volume": format(base, "f"),
            "quoteVolume": format((base * price).quantize(Decimal("0.01")), "f"),
            "openTime": now - 24 * HOUR_MS,
            "closeTime": now,
            "firstId": facts.FILL_BASE,
            "lastId": fills[-1].id,
            "count": fills[-1].id - facts.FILL_BASE + 1,
        }

    def premium(self, market: str) -> dict[str, Any]:
        """Mark, index and the running rate."""
        venue, stats = self._venue, self._venue.stats[market]
        return {
            "symbol": venue.specs[market].symbol,
            "markPrice": eight(stats.mark),
            "indexPrice": eight(stats.index),
            "estimatedSettlePrice": eight(stats.index),
            "lastFundingRate": eight(stats.funding * venue.funding_hours(market)),
            "interestRate": "0.00010000",
            "nextFundingTime": venue.next_funding_ms(market),
            "time": venue.now_ms() // 1000 * 1000,
        }

    def delisted_premium(self) -> dict[str, Any]:
        """A symbol that is gone still has a row."""
        return {
            "symbol": DELISTED,
            "markPrice": "0.61244035",
            "indexPrice": "0.61243000",
            "estimatedSettlePrice": "0",
            "lastFundingRate": "0",
            "interestRate": "0",
            "nextFundingTime": (self._venue.now_ms() // (8 * HOUR_MS) + 1) * 8 * HOUR_MS,
            "time": self._venue.now_ms() // 1000 * 1000,
        }

    def funding_info(self) -> list[dict[str, Any]]:
        """Intervals and caps; also of symbols that are not in the list of markets."""
        venue = self._venue
        known = [(spec.symbol, venue.funding_hours(market), spec.base) for market, spec in venue.specs.items()]
        rows = [*known, (DELISTED, 8, ""), (FOREIGN, 1, "")]
        return [
            {
                "symbol": symbol,
                "interestRate": "0.00010000",
                "time": venue.now_ms() // 1000 * 1000,
                "fundingIntervalHours": hours,
                "fundingFeeCap": facts.FUNDING_CAPS.get(base, 0.02),
                "fundingFeeFloor": -facts.FUNDING_CAPS.get(base, 0.02),
            }
            for symbol, hours, base in rows
        ]

    def funding_rates(self, market: str, start: int | None, end: int | None, limit: int) -> list[dict[str, Any]]:
        """Settled rates, ascending: the first ones after ``start``, or the last ones."""
        venue, symbol = self._venue, self._venue.specs[market].symbol
        step = venue.funding_hours(market)
        last = min(end if end is not None else venue.now_ms(), venue.now_ms()) // (step * HOUR_MS) * step
        first = last - (limit - 1) * step if start is None else -(-max(start, 0) // (step * HOUR_MS)) * step
        hours = range(first, last + 1, step)[:limit]
        return [
            {
                "symbol": symbol,
                "fundingTime": hour * HOUR_MS,
                "fundingRate": format(venue.settled(market, hour) * step, ".8f"),
            }
            for hour in hours
        ]

    def open_interest(self, market: str) -> dict[str, Any]:
        """Base units, one-sided."""
        interest = format(self._venue.stats[market].open_interest, "f")
        return {
            "symbol": self._venue.specs[market].symbol,
            "openInterest": interest,
            "time": self._venue.now_ms(),
        }


def _asset(name: str) -> dict[str, Any]:
    stable = name == "USDT"
    return {
        "asset": name,
        "marginAvailable": True,
        "autoAssetExchange": "-10000" if stable else "0",
        "assetType": "stable_coin" if stable else "crypto",
    }


def _named(symbol: str) -> dict[str, Any]:
    return {"symbol": symbol, "pair": symbol, "baseAsset": symbol.removesuffix("USDT")}


def _listing(spec: MarketSpec) -> dict[str, Any]:
    _, _, _, most, most_market = facts.RULES.get(spec.base, facts.DEFAULT_RULES)
    step = fixed(1, spec.size_decimals)
    lots = {"stepSize": step, "minQty": step}
    return {
        "symbol": spec.symbol,
        "filters": [
            {
                "minPrice": fixed(spec.tick, spec.price_decimals),
                "maxPrice": "1000000",
                "filterType": "PRICE_FILTER",
                "tickSize": fixed(spec.tick, spec.price_decimals),
            },
            lots | {"filterType": "LOT_SIZE", "maxQty": most},
            lots | {"filterType": "MARKET_LOT_SIZE", "maxQty": most_market},
            {"limit": 200, "filterType": "MAX_NUM_ORDERS"},
            {"limit": 10, "filterType": "MAX_NUM_ALGO_ORDERS"},
            {"notional": "5", "filterType": "MIN_NOTIONAL"},
            {
                "multiplierDown": "0.9800",
                "multiplierUp": "1.0200",
                "ltMultiplierDown": "0",
                "multiplierDecimal": "4",
                "filterType": "PERCENT_PRICE",
                "ltMultiplierUp": "0",
            },
        ],
        "orderTypes": ORDER_TYPES,
        "timeInForce": ["GTC", "IOC", "GTX", "HIDDEN"],
        "createTime": 1_630_045_468_108,
        "pair": spec.symbol,
        "contractType": "PERPETUAL",
        "deliveryDate": 4_133_404_800_000,
        "onboardDate": 1_627_628_400_000,
        "status": "TRADING",
        "maintMarginPercent": "2.5000",
        "requiredMarginPercent": "5.0000",
        "baseAsset": spec.base,
        "quoteAsset": "USDT",
        "marginAsset": "USDT",
        "pricePrecision": spec.price_decimals,
        "quantityPrecision": spec.size_decimals,
        "baseAssetPrecision": 8,
        "quotePrecision": 8,
        "underlyingType": "COIN",
        "underlyingSubType": ["Top"],
        "symbolType": 0,
        "tradingMode": 0,
        "name": "",
        "channel": "",
        "sequenceNo": 10,
        "twapMinNotional": "1000",
        "imn": "16000.00",
        "tags": [],
        "settlePlan": 0,
        "triggerProtect": "0.0200",
        "liquidationFee": "0.025000",
        "marketTakeBound": "0.02",
    }
