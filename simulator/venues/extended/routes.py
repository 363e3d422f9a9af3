"""Extended's REST endpoints: who may ask, what is in the cache, what is wrong with the question."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from aiohttp import web

from simulator.decimals import encode
from simulator.limits import Window
from simulator.venues.extended import facts
from simulator.venues.extended.rest import HOUR_MS, USD, Rest, envelope, error

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from simulator.venues.extended.venue import Extended

MOST_CACHED = 500
INTERVALS_MS = {"PT1H": HOUR_MS, "P1H": HOUR_MS, "P1D": 24 * HOUR_MS}


class BadRequestError(Exception):
    """Answered with ``status`` and the error envelope."""

    def __init__(self, status: int, code: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message


def refusal(status: int, code: int, message: str) -> web.Response:
    """The error envelope."""
    return web.Response(status=status, body=encode(error(code, message)), content_type="application/json")


class Routes:
    """One handler for all: a table says which cache age applies and which function answers."""

    def __init__(self, venue: Extended) -> None:
        self._venue = venue
        self._rest = Rest(venue)
        self._windows: defaultdict[str, Window] = defaultdict(lambda: Window(facts.REST_PER_MINUTE, 60))
        self._cache: dict[str, tuple[float, bytes]] = {}

    def install(self, app: web.Application) -> None:
        """Add the routes."""
        info = f"{facts.REST}/info"
        table: dict[str, tuple[str, Callable[[web.Request], Any]]] = {
            "/markets": ("markets", self._markets),
            "/markets/{market}/stats": ("stats", lambda asked: envelope(self._rest.stats(self._market(asked)))),
            "/markets/{market}/orderbook": (
                "orderbook",
                lambda asked: envelope(self._rest.orderbook(self._market(asked))),
            ),
            "/markets/{market}/trades": ("trades", lambda asked: envelope(self._rest.trades(self._market(asked)))),
            "/{market}/funding": ("funding", self._funding),
            "/{market}/open-interests": ("open-interests", self._interests),
            "/assets": ("assets", lambda _: envelope([USD])),
            "/status": ("status", lambda _: envelope({"operationalStatus": "OPERATIONAL"})),
        }
        for path, (kind, make) in table.items():
            app.router.add_get(info + path, self._handler(kind, make))
        app.router.add_get(facts.REST + "/{rest:.*}", self._handler("", self._unknown))

    def _handler(
        self, kind: str, make: Callable[[web.Request], Any]
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def handle(request: web.Request) -> web.StreamResponse:
            refused = self._refused(request)
            if refused is not None:
                return refused
            try:
                body = self._cached(request, facts.CACHED_S.get(kind, 0.0), make)
            except BadRequestError as bad:
                return refusal(bad.status, bad.code, bad.message)
            return web.Response(body=body, content_type="application/json")

        return handle

    def _refused(self, request: web.Request) -> web.Response | None:
        if self._venue.anonymous(request):
            return refusal(403, 403, "Forbidden")
        window = self._windows[request.remote or ""]
        if not window.spend(self._venue.clock.monotonic()) and self._venue.violation("rest_per_minute", request.path):
            return refusal(429, 429, "Too many requests")
        return None

    def _cached(self, request: web.Request, age_s: float, make: Callable[[web.Request], Any]) -> bytes:
        now, key = self._venue.clock.monotonic(), request.path_qs
        known = self._cache.get(key)
        if known is not None and known[0] > now:
            return known[1]
        body = encode(make(request))
        if len(self._cache) >= MOST_CACHED:
            self._cache.clear()
        self._cache[key] = (now + age_s, body)
        return body

    def _market(self, request: web.Request) -> str:
        return self._named(request.match_info["market"])

    def _named(self, symbol: str) -> str:
        market = self._venue.market_of(symbol)
        if market is None:
            raise BadRequestError(404, facts.MARKET_NOT_FOUND, "Market not found.")
        return market

    def _markets(self, request: web.Request) -> Any:  # noqa: ANN401 - JSON
        asked = request.query.getall("market", [])
        markets = [self._named(symbol) for symbol in asked] if asked else list(self._venue.specs)
        return envelope([self._rest.market(market) for market in markets])

    def _funding(self, request: web.Request) -> Any:  # noqa: ANN401 - JSON
        market = self._market(request)
        start, end = _number(request, "startTime"), _number(request, "endTime")
        limit = min(_number(request, "limit", facts.FUNDING_PAGE), facts.FUNDING_PAGE)
        return self._rest.funding(market, start, end, limit, _number(request, "cursor", 0) or None)

    def _interests(self, request: web.Request) -> Any:  # noqa: ANN401 - JSON
        market, step = self._market(request), INTERVALS_MS.get(request.query.get("interval", ""))
        if step is None:
            raise BadRequestError(400, 1005, "Invalid interval")
        limit = min(_number(request, "limit", facts.INTEREST_PAGE), facts.INTEREST_PAGE)
        start, end = _number(request, "startTime"), _number(request, "endTime")
        return envelope(self._rest.interests(market, start, end, limit, step))

    def _unknown(self, request: web.Request) -> Any:  # noqa: ANN401 - JSON
        raise BadRequestError(404, 404, f"Not found: {request.path}")


def _number(request: web.Request, name: str, default: int | None = None) -> int:
    text = request.query.get(name)
    if text is None and default is not None:
        return default
    try:
        return int(text or "")
    except ValueError:
        raise BadRequestError(400, 400, f"{name}: a number of milliseconds or rows is required") from None
