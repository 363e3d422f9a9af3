"""``POST /info``: what each request type answers (pure; the same answers serve ``post`` over the socket)."""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, Any, NamedTuple

from simulator.decimals import pointed_decimal
from simulator.stats import HOUR_US, settled
from simulator.venues.hyperliquid import facts, messages

if TYPE_CHECKING:
    from collections.abc import Callable

    from simulator.truth import MarketSpec
    from simulator.venues.hyperliquid.venue import Hyperliquid

HOUR_MS = HOUR_US // 1000
SPOT_META = {
    "universe": [],
    "tokens": [
        {
            "name": "USDC",
            "szDecimals": 8,
            "weiDecimals": 8,
            "index": 0,
            "tokenId": "0x6d1e7cde53ba9467b783cb7c530ce054",
            "isCanonical": True,
            "evmContract": None,
            "fullName": None,
        }
    ],
}


class Reply(NamedTuple):
    """Status, JSON value, and how many rows it has (rows cost weight)."""

    status: int
    value: Any
    rows: int = 0


UNPROCESSABLE = Reply(422, "Failed to deserialize the JSON body into the target type")
NULL_500 = Reply(500, None)


class Info:
    """Answers by request type."""

    def __init__(self, venue: Hyperliquid) -> None:
        self._venue = venue
        self._kinds: dict[str, Callable[[dict[str, Any]], Reply]] = {
            "meta": lambda _: Reply(200, self.meta()),
            "metaAndAssetCtxs": lambda _: Reply(200, [self.meta(), self.contexts()]),
            "allPerpMetas": lambda _: Reply(200, [self.meta()]),
            "spotMeta": lambda _: Reply(200, SPOT_META),
            "spotMetaAndAssetCtxs": lambda _: Reply(200, [SPOT_META, []]),
            "perpDexs": lambda _: Reply(200, [None]),
            "outcomeMeta": lambda _: Reply(200, {"outcomes": [], "questions": []}),
            "perpsAtOpenInterestCap": lambda _: Reply(200, []),
            "allMids": lambda _: Reply(200, self.mids()),
            "exchangeStatus": self._exchange_status,
            "l2Book": self._book,
            "fundingHistory": self._funding_history,
            "predictedFundings": lambda _: Reply(200, self._predicted()),
            "recentTrades": self._recent_trades,
        }

    def answer(self, body: Any) -> Reply:  # noqa: ANN401 - whatever the client sent
        """Answer one request body."""
        kind = body.get("type") if isinstance(body, dict) else None
        handler = self._kinds.get(kind) if isinstance(kind, str) else None
        if handler is None:
            return UNPROCESSABLE
        return NULL_500 if body.get("dex") else handler(body)

    @staticmethod
    def weight(body: Any, reply: Reply) -> int:  # noqa: ANN401 - whatever the client sent
        """Cost of an answered request."""
        kind = body.get("type") if isinstance(body, dict) else None
        base = facts.LIGHT_WEIGHT if kind in facts.LIGHT else facts.HEAVY_WEIGHT
        return base + reply.rows // facts.ROWS_PER_WEIGHT

    def meta(self) -> dict[str, Any]:
        """The universe; positions are asset indices, so a delisted entry keeps its place."""
        universe = [_listing(spec) for spec in self._venue.specs.values()]
        universe.insert(facts.DELISTED_INDEX, _DELISTED)
        leverages = sorted({listing["maxLeverage"] for listing in universe})
        tables = [[most, _margin_table(most)] for most in leverages]
        return {"universe": universe, "marginTables": tables, "collateralToken": 0}

    def contexts(self) -> list[dict[str, Any]]:
        """Contexts in the order of the universe."""
        found = [self._venue.context(market) for market in self._venue.specs]
        found.insert(facts.DELISTED_INDEX, dict(messages.DELISTED_CONTEXT))
        return found

    def mids(self) -> dict[str, str]:
        """The bare map of mids."""
        contexts = ((spec.symbol, self._venue.context(market)) for market, spec in self._venue.specs.items())
        return {coin: context["midPx"] for coin, context in contexts if context["midPx"]}

    def _exchange_status(self, body: dict[str, Any]) -> Reply:
        del body
        return Reply(200, {"specialStatuses": None, "time": self._venue.published_ms()})

    def _book(self, body: dict[str, Any]) -> Reply:
        coin = body.get("coin")
        if not isinstance(coin, str):
            return UNPROCESSABLE
        figures = (body.get("nSigFigs"), body.get("mantissa"))
        if not valid_figures(*figures):
            return NULL_500
        return Reply(200, self._venue.book_data(coin, facts.DEFAULT_DEPTH, *figures))

    def _funding_history(self, body: dict[str, Any]) -> Reply:
        start, end, coin = body.get("startTime"), body.get("endTime"), body.get("coin")
        if not isinstance(start, int) or not isinstance(coin, str):
            return UNPROCESSABLE
        market = self._venue.market_of(coin)
        if market is None:
            return NULL_500
        now = self._venue.clock.stamp_ms(self._venue.clock.now_us())
        last = min(end, now) if isinstance(end, int) else now
        rows = []
        for hour in range(max(start, last - 20_000 * HOUR_MS) // HOUR_MS, last // HOUR_MS + 1):
            time_ms = hour * HOUR_MS + _settlement_delay(coin, hour)
            if start <= time_ms <= last:
                rows.append(self._settled_row(market, coin, hour, time_ms))
            if len(rows) == facts.FUNDING_PAGE:
                break
        return Reply(200, rows, len(rows))

    def _settled_row(self, market: str, coin: str, hour: int, time_ms: int) -> dict[str, Any]:
        rate = settled(self._venue.settings.seed, market, hour)
        return {
            "coin": coin,
            "fundingRate": pointed_decimal(rate),
            "premium": pointed_decimal(rate * 8),
            "time": time_ms,
        }

    def _predicted(self) -> list[Any]:
        # The venue's own next time is the hour that was just settled.
        past = self._venue.clock.stamp_ms(self._venue.clock.now_us()) // HOUR_MS * HOUR_MS
        found = []
        for market, spec in self._venue.specs.items():
            rate = pointed_decimal(self._venue.stats[market].funding)
            row = {"fundingRate": rate, "nextFundingTime": past, "fundingIntervalHours": 1}
            found.append([spec.symbol, [["BinPerp", None], ["HlPerp", row], ["BybitPerp", None]]])
        return found

    def _recent_trades(self, body: dict[str, Any]) -> Reply:
        coin = body.get("coin")
        if not isinstance(coin, str):
            return UNPROCESSABLE
        market = self._venue.market_of(coin)
        if market is None:
            return NULL_500
        rows = self._venue.published_trades(market, facts.RECENT_TRADES)[::-1]
        return Reply(200, rows, len(rows))


def valid_figures(figures: Any, mantissa: Any) -> bool:  # noqa: ANN401 - whatever the client sent
    """``nSigFigs`` 2-5 or null; ``mantissa`` 2 or 5 only with 5 figures."""
    if isinstance(figures, bool) or isinstance(mantissa, bool) or figures not in {None, 2, 3, 4, 5}:
        return False
    return mantissa is None or (figures == facts.MANTISSA_FIGURES and mantissa in {2, 5})


def _settlement_delay(coin: str, hour: int) -> int:
    return 1 + blake2b(f"{coin}{hour}".encode(), digest_size=2).digest()[0] % 118


def _listing(spec: MarketSpec) -> dict[str, Any]:
    leverage = facts.LEVERAGE.get(spec.base, 10)
    return {"szDecimals": spec.size_decimals, "name": spec.symbol, "maxLeverage": leverage, "marginTableId": leverage}


def _margin_table(leverage: int) -> dict[str, Any]:
    tiers = [{"lowerBound": "0.0", "maxLeverage": leverage}]
    return {"description": f"tiered {leverage}x", "marginTiers": tiers}


_DELISTED = {"szDecimals": 1, "name": facts.DELISTED, "maxLeverage": 20, "marginTableId": 20, "isDelisted": True}
