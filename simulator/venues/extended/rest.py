"""What REST answers: values of ``data``, rendered anew when the cache has aged (pure)."""

from __future__ import annotations

from decimal import Decimal
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from simulator.decimals import trimmed
from simulator.stats import HOUR_US, day_volume
from simulator.venues.extended import facts, messages

if TYPE_CHECKING:
    from simulator.truth import MarketSpec
    from simulator.venues.extended.venue import Extended

HOUR_MS = HOUR_US // 1000
MICRO = Decimal("0.000001")
USD = {
    "id": 1,
    "name": "USD",
    "symbol": "USD",
    "description": "USD Collateral",
    "precision": 6,
    "isActive": True,
    "isCollateral": True,
    "starkexId": "0x1",
    "starkexResolution": 1_000_000,
    "l1Id": "0xa0b86991c6218b36c1d19d4a2e9eb0ce3606eb48",
    "l1Resolution": 1_000_000,
    "version": 3,
    "createdAt": facts.CREATED_MS,
    "type": "SPOT",
    "canBeUsedAsCollateral": True,
    "riskFactors": [],
    "availableForTradeFactors": [],
}


def envelope(data: Any, cursor: int | None = None, count: int = 0) -> dict[str, Any]:  # noqa: ANN401 - any JSON
    """A good answer; with a cursor it is a page of ``count`` rows."""
    value = {"status": "OK", "data": data}
    return value if cursor is None else value | {"pagination": {"cursor": cursor, "count": count}}


def error(code: int | str, message: str) -> dict[str, Any]:
    """A bad one."""
    return {"status": "ERROR", "error": {"code": code, "message": message}}


def plain(value: Decimal) -> str:
    """Without exponent and without trailing zeros."""
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


class Rest:
    """Answers by market."""

    def __init__(self, venue: Extended) -> None:
        self._venue = venue

    def market(self, market: str) -> dict[str, Any]:
        """A whole row: the official SDK refuses one that lacks any member."""
        spec = self._venue.specs[market]
        return {
            "name": spec.symbol,
            "type": "PERPETUAL",
            "uiName": spec.symbol,
            "category": "Crypto",
            "subCategory": "L1",
            "assetName": spec.base,
            "assetPrecision": spec.size_decimals,
            "collateralAssetName": "USD",
            "collateralAssetPrecision": 6,
            "description": facts.NAMES.get(spec.base, spec.base),
            "active": True,
            "isRfq": False,
            "isOffHours": False,
            "status": "ACTIVE",
            "tradingHours": "CONTINUOUS",
            "marketStats": self.stats(market),
            "tradingConfig": _trading(spec),
            "l2Config": _settlement(spec),
            "visibleOnUi": True,
            "referenceMarket": "null",
            "createdAt": facts.CREATED_MS,
        }

    def stats(self, market: str) -> dict[str, Any]:
        """No time in it. The change in percent is a fraction, the next funding rate a time."""
        venue, spec, stats, truth = (
            self._venue,
            self._venue.specs[market],
            self._venue.stats[market],
            self._venue.truths[market],
        )
        bid, ask = truth.book.touch()
        last = Decimal(spec.price(truth.trades[-1].price))
        base = day_volume(stats, truth)
        return {
            "dailyVolume": format((base * last).quantize(MICRO), "f"),
            "dailyVolumeBase": format(base, "f"),
            "dailyPriceChange": plain(last - stats.previous_day),
            "dailyPriceChangePercentage": format(
                ((last - stats.previous_day) / stats.previous_day).quantize(Decimal("0.0001")), "f"
            ),
            "dailyLow": plain(min(last, stats.previous_day)),
            "dailyHigh": plain(max(last, stats.previous_day)),
            "lastPrice": plain(last),
            "askPrice": _ticks(spec, ask),
            "bidPrice": _ticks(spec, bid),
            "markPrice": format(stats.mark, "f"),
            "indexPrice": format(stats.index, "f"),
            "fundingRate": format(stats.funding, "f"),
            "nextFundingRate": (venue.now_ms() // HOUR_MS + 1) * HOUR_MS,
            "openInterest": format((stats.open_interest * stats.mark).quantize(MICRO), "f"),
            "openInterestBase": format(stats.open_interest, "f"),
            "deleverageLevels": {"shortPositions": _RANKS, "longPositions": _RANKS},
        }

    def orderbook(self, market: str) -> dict[str, Any]:
        """Neither sequence nor time."""
        spec, book = self._venue.specs[market], self._venue.truths[market].book
        sides = [
            [{"qty": spec.size(q), "price": trimmed(spec.units(p), spec.price_decimals)} for p, q in levels]
            for levels in (book.top_bids(), book.top_asks())
        ]
        return {"market": spec.symbol, "bid": sides[0], "ask": sides[1]}

    def trades(self, market: str) -> list[dict[str, Any]]:
        """The last ones, oldest first."""
        return self._venue.trade_rows(market, list(self._venue.truths[market].trades)[-facts.REPLAYED_TRADES :])

    def funding(self, market: str, start: int, end: int, limit: int, cursor: int | None) -> dict[str, Any]:
        """Settled rates, newest first; a cursor is the last row's time and what follows is older."""
        last = min(end, self._venue.now_ms(), (cursor or end + 1) - 1)
        rows: list[dict[str, Any]] = []
        hour = last // HOUR_MS
        while len(rows) < limit and hour * HOUR_MS >= start - HOUR_MS and hour > 0:
            time_ms = hour * HOUR_MS + _delay_ms(market, hour)
            if start <= time_ms <= last:
                rate = self._venue.settled(market, hour)
                rows.append(messages.funding(self._venue.specs[market], rate, time_ms))
            hour -= 1
        return envelope(rows, rows[-1]["T"] if rows else 0, len(rows))

    def interests(self, market: str, start: int, end: int, limit: int, step_ms: int) -> list[dict[str, Any]]:
        """Open interest in USD (``i``) and in base units (``I``), newest first."""
        stats = self._venue.stats[market]
        last = min(end, self._venue.now_ms()) // step_ms * step_ms
        times = range(last, max(start, last - limit * step_ms), -step_ms)
        return [_interest(market, stats.open_interest, stats.mark, time_ms) for time_ms in times]


def _interest(market: str, interest: Decimal, mark: Decimal, time_ms: int) -> dict[str, Any]:
    base = interest * (1 + Decimal(_byte(market, time_ms) - 128).scaleb(-5))
    return {"i": f"{base * mark:.16f}", "I": f"{base:.16f}", "t": time_ms}


def _delay_ms(market: str, hour: int) -> int:
    """Settlements are stamped about a second after the hour."""
    return 950 + _byte(market, hour)


def _byte(market: str, number: int) -> int:
    return blake2b(f"{market}{number}".encode(), digest_size=1).digest()[0]


def _ticks(spec: MarketSpec, level: tuple[int, int] | None) -> str:
    return "0" if level is None else trimmed(spec.units(level[0]), spec.price_decimals)


def _trading(spec: MarketSpec) -> dict[str, Any]:
    least = facts.RULES.get(spec.base, facts.DEFAULT_RULES)[3]
    return {
        "minOrderSize": trimmed(least, spec.size_decimals),
        "minOrderSizeChange": trimmed(1, spec.size_decimals),
        "minPriceChange": trimmed(spec.tick, spec.price_decimals),
        "maxMarketOrderValue": "3000000",
        "maxLimitOrderValue": "15000000",
        "maxPositionValue": "60000000",
        "maxLeverage": facts.LEVERAGE.get(spec.base, "10.00"),
        "hourlyFundingRateCap": "0.25",
        "openInterestLimit": "0",
        "maxNumOrders": "200",
        "limitPriceCap": "0.05",
        "limitPriceFloor": "0.05",
        "riskFactorConfig": [
            {"upperBound": "4000000", "riskFactor": "0.02", "isAvailableForUsers": True},
            {"upperBound": "8000000", "riskFactor": "0.04", "isAvailableForUsers": True},
            {"upperBound": "1000000000", "riskFactor": "1", "isAvailableForUsers": False},
        ],
        "uPnlWithdrawable": True,
        "postWithdrawalMarginFactor": "0.1",
    }


def _settlement(spec: MarketSpec) -> dict[str, Any]:
    return {
        "type": "STARKX",
        "collateralId": "0x1",
        "syntheticId": f"0x{spec.base.encode().hex()}2d{spec.size_decimals + 0x31:02x}".ljust(32, "0"),
        "syntheticResolution": 10 ** (spec.size_decimals + 1),
        "collateralResolution": 1_000_000,
    }


_RANKS = [
    {"level": level, "rankingLowerBound": bound}
    for level, bound in enumerate(("-651.8818", "-1.5450", "-0.0169", "0.0000"), 1)
]
