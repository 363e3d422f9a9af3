"""Aster's REST endpoints: their weights, parameters and errors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiohttp import web

from simulator.decimals import encode
from simulator.venues.aster import facts
from simulator.venues.aster.rest import DELISTED, Rest
from simulator.venues.aster.weights import Gate

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from simulator.venues.aster.venue import Aster
    from simulator.venues.aster.weights import Verdict

    Weigh = Callable[[web.Request], int]
    Make = Callable[[web.Request], Any]

NO_SYMBOL = "Mandatory parameter 'symbol' was not sent, was empty/null, or malformed."


class BadRequestError(Exception):
    """Answered with HTTP 400 and ``{"code", "msg"}``."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def refusal(status: int, code: int, message: str, headers: dict[str, str] | None = None) -> web.Response:
    """The error body."""
    body = encode({"code": code, "msg": message})
    return web.Response(status=status, body=body, content_type="application/json", headers=headers)


class Routes:
    """A table of paths, each with its weight and its answer."""

    def __init__(self, venue: Aster) -> None:
        self._venue = venue
        self._rest = Rest(venue)
        self._gates: dict[str, Gate] = {}

    def install(self, app: web.Application) -> None:
        """Add the routes under both versions."""
        rest = self._rest
        table: dict[str, tuple[Weigh, Make]] = {
            "ping": (_flat(1), lambda _: {}),
            "time": (_flat(1), lambda _: {"serverTime": self._venue.now_ms()}),
            "exchangeInfo": (_flat(1), lambda _: rest.exchange_info()),
            "depth": (_depth_weight, self._depth),
            "trades": (_flat(1), lambda asked: rest.trades(self._market(asked), _limit(asked, 500))),
            "aggTrades": (_flat(20), lambda asked: rest.aggregates(self._market(asked), _limit(asked, 500))),
            "ticker/bookTicker": (_one_or_all(1, 2), lambda asked: self._each(asked, rest.book_ticker)),
            "ticker/price": (_one_or_all(1, 2), lambda asked: self._each(asked, rest.price)),
            "ticker/24hr": (_one_or_all(1, 40), lambda asked: self._each(asked, rest.day)),
            "premiumIndex": (_one_or_all(1, 10), self._premium),
            "fundingInfo": (_flat(1), self._funding_info),
            "fundingRate": (_flat(1), self._funding_rates),
            "openInterest": (_flat(1), lambda asked: rest.open_interest(self._market(asked))),
        }
        for version in facts.VERSIONS:
            for path, (weigh, make) in table.items():
                app.router.add_get(f"{version}/{path}", self._handler(weigh, make))
        # ccxt lists the spot host's markets too, whatever it is wanted for: pointed here, there are none.
        app.router.add_get(
            "/api/v3/exchangeInfo", self._handler(_flat(1), lambda _: rest.exchange_info() | {"symbols": []})
        )

    def _handler(self, weigh: Weigh, make: Make) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def handle(request: web.Request) -> web.StreamResponse:
            verdict = self._gate(request.remote or "").ask(self._venue.clock.monotonic(), weigh(request))
            headers = {"X-MBX-USED-WEIGHT-1M": str(verdict.used)}
            if verdict.status != web.HTTPOk.status_code and self._venue.violation(f"rest_{verdict.status}"):
                return self._refused(verdict, headers)
            try:
                value = make(request)
            except BadRequestError as bad:
                return refusal(400, bad.code, bad.message, headers)
            body = value if isinstance(value, bytes) else encode(value)
            return web.Response(body=body, content_type="application/json", headers=headers)

        return handle

    def _gate(self, address: str) -> Gate:
        if address not in self._gates:
            self._gates[address] = Gate(self._venue.scaled(facts.BAN_S))
        return self._gates[address]

    def _refused(self, verdict: Verdict, headers: dict[str, str]) -> web.Response:
        left = verdict.until - self._venue.clock.monotonic()
        until_ms = self._venue.now_ms() + round(left * 1000)
        message = f"Way too many requests; IP banned until {until_ms}."
        if verdict.status == web.HTTPTooManyRequests.status_code:
            message = f"Too many requests; current limit is {facts.WEIGHT_PER_MINUTE} request weight per 1 MINUTE."
        if self._venue.set["retry_after"] == "1":
            headers |= {"Retry-After": str(int(left) + 1)}
        return refusal(verdict.status, -1003, message, headers)

    def _market(self, request: web.Request) -> str:
        symbol = request.query.get("symbol")
        if not symbol:
            raise BadRequestError(-1102, NO_SYMBOL)
        market = self._venue.market_of(symbol)
        if market is None:
            raise BadRequestError(-1121, "Invalid symbol.")
        return market

    def _each(self, request: web.Request, make: Callable[[str], Any]) -> Any:  # noqa: ANN401 - JSON
        if "symbol" in request.query:
            return make(self._market(request))
        return [make(market) for market in self._venue.specs]

    def _depth(self, request: web.Request) -> bytes:
        market, limit = self._market(request), _depth_limit(request)
        if limit not in facts.DEPTH_WEIGHTS:
            raise BadRequestError(-4021, f"{request.query['limit']} is not valid depth limit.")
        return self._rest.depth(market, limit)

    def _premium(self, request: web.Request) -> Any:  # noqa: ANN401 - JSON
        if request.query.get("symbol") == DELISTED:
            return self._rest.delisted_premium()
        found = self._each(request, self._rest.premium)
        return found if isinstance(found, dict) else [*found, self._rest.delisted_premium()]

    def _funding_info(self, request: web.Request) -> Any:  # noqa: ANN401 - JSON
        symbol = request.query.get("symbol")
        return [row for row in self._rest.funding_info() if symbol is None or row["symbol"] == symbol]

    def _funding_rates(self, request: web.Request) -> Any:  # noqa: ANN401 - JSON
        start, end = _number(request, "startTime"), _number(request, "endTime")
        limit = _limit(request, facts.FUNDING_PAGE)
        if "symbol" in request.query:
            return self._rest.funding_rates(self._market(request), start, end, limit)
        rows = [row for market in self._venue.specs for row in self._rest.funding_rates(market, start, end, limit)]
        return sorted(rows, key=lambda row: row["fundingTime"])[:limit]


def _flat(weight: int) -> Weigh:
    return lambda _: weight


def _one_or_all(one: int, every: int) -> Weigh:
    return lambda request: one if "symbol" in request.query else every


def _depth_limit(request: web.Request) -> int:
    return _number(request, "limit", facts.USUAL_DEPTH) or 0


def _depth_weight(request: web.Request) -> int:
    try:
        return facts.DEPTH_WEIGHTS.get(_depth_limit(request), 1)
    except BadRequestError:
        return 1


def _limit(request: web.Request, usual: int) -> int:
    limit = _number(request, "limit", usual) or 0
    if not 1 <= limit <= facts.LONGEST_PAGE:
        raise BadRequestError(-1130, "Data sent for parameter 'limit' is not valid.")
    return limit


def _number(request: web.Request, name: str, usual: int | None = None) -> int | None:
    text = request.query.get(name)
    if text is None:
        return usual
    try:
        return int(text)
    except ValueError:
        raise BadRequestError(-1100, f"Illegal characters found in parameter '{name}'.") from None
