"""Paradex's REST endpoints: limits, pages, errors."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import TYPE_CHECKING, Any

from aiohttp import web

from simulator.decimals import encode
from simulator.venues.paradex import facts
from simulator.venues.paradex.bucket import Bucket
from simulator.venues.paradex.rest import SETTLEMENT, Rest

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from simulator.book import Levels
    from simulator.venues.paradex.venue import Paradex

    Make = Callable[[web.Request], Any]

FAR_MS = 1 << 50
MINUTE_S = 60


class BadRequestError(Exception):
    """Answered with ``status`` and ``{"error", "message"}``."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message


def refusal(status: int, code: str, message: str, headers: dict[str, str] | None = None) -> web.Response:
    """The error body."""
    body = encode({"error": code, "message": message})
    return web.Response(status=status, body=body, content_type="application/json", headers=headers)


class Routes:
    """A table of paths."""

    def __init__(self, venue: Paradex) -> None:
        self._venue = venue
        self._rest = Rest(venue)
        self._buckets: dict[str, Bucket] = {}

    def install(self, app: web.Application) -> None:
        """Add the routes."""
        table: dict[str, Make] = {
            "/markets": self._markets,
            "/markets/summary": self._summary,
            "/orderbook/{market}": lambda asked: self._orderbook(asked, rpi=False),
            "/orderbook/{market}/interactive": lambda asked: self._orderbook(asked, rpi=True),
            "/bbo/{market}": lambda asked: self._bbo(asked, rpi=False),
            "/bbo/{market}/interactive": lambda asked: self._bbo(asked, rpi=True),
            "/trades": self._trades,
            "/funding/data": self._funding,
            "/system/time": lambda _: {"server_time": self._venue.now_us() // 1000},
            "/system/state": lambda _: {"status": self._venue.set["system_state"]},
            "/system/config": lambda _: SETTLEMENT,
        }
        for path, make in table.items():
            app.router.add_get("/v1" + path, self._handler(make))
        app.router.add_get("/v1/{rest:.+}", self._handler(self._unknown))

    def _handler(self, make: Make) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def handle(request: web.Request) -> web.StreamResponse:
            now = self._venue.clock.monotonic()
            bucket = self._bucket(request.remote or "")
            refused = not bucket.take(now) and self._venue.violation("rest_per_minute", request.path)
            headers = self._headers(bucket, now)
            if refused:
                headers["Retry-After"] = str(int(bucket.wait(now)) + 1)
                return refusal(429, "TOO_MANY_REQUESTS", "rate limit exceeded", headers)
            try:
                body = encode(make(request))
            except BadRequestError as bad:
                return refusal(bad.status, bad.code, bad.message, headers)
            return web.Response(body=body, content_type="application/json", headers=headers)

        return handle

    def _bucket(self, address: str) -> Bucket:
        if address not in self._buckets:
            self._buckets[address] = Bucket(facts.REST_PER_MINUTE, MINUTE_S)
        return self._buckets[address]

    def _headers(self, bucket: Bucket, now: float) -> dict[str, str]:
        left = bucket.left(now)
        full_s = (bucket.capacity - left) * bucket.seconds / bucket.capacity
        return {
            "X-RateLimit-Limit": str(bucket.capacity),
            "X-RateLimit-Remaining": str(left),
            "X-RateLimit-Reset": str(self._venue.now_us() // 1_000_000 + int(full_s) + 1),
            "X-Ratelimit-Window": str(MINUTE_S),
        }

    # ---- answers ----

    def _named(self, symbol: str | None, status: int = 400) -> str:
        if not symbol:
            raise BadRequestError(400, "INVALID_REQUEST_PARAMETER", "market is required")
        market = self._venue.market_of(symbol)
        if market is None:
            raise BadRequestError(status, "MARKET_NOT_FOUND", f"market {symbol} not found")
        return market

    def _markets(self, request: web.Request) -> dict[str, Any]:
        symbol = request.query.get("market")
        markets = [self._named(symbol, 404)] if symbol else list(self._venue.specs)
        return {"results": [self._rest.market(market) for market in markets]}

    def _summary(self, request: web.Request) -> dict[str, Any]:
        symbol = request.query.get("market")
        markets = list(self._venue.specs) if symbol == "ALL" else [self._named(symbol)]
        return {"results": [self._rest.summary(market) for market in markets]}

    def _sides(self, market: str, *, rpi: bool) -> tuple[Levels, Levels]:
        return self._venue.levels(market, rpi=rpi)

    def _orderbook(self, request: web.Request, *, rpi: bool) -> dict[str, Any]:
        market = self._named(request.match_info["market"])
        depth = _number(request, "depth", facts.REST_DEPTH)
        return self._rest.orderbook(market, self._sides(market, rpi=rpi), max(1, depth))

    def _bbo(self, request: web.Request, *, rpi: bool) -> dict[str, Any]:
        market = self._named(request.match_info["market"])
        return self._rest.bbo(market, self._sides(market, rpi=rpi))

    def _trades(self, request: web.Request) -> dict[str, Any]:
        market = self._named(request.query.get("market"))
        rows = self._rest.trades(market, _number(request, "start_at", 0), _number(request, "end_at", FAR_MS))
        size, skip = _size(request, facts.TRADES_PAGE), _cursor(request)
        return _page(rows[skip : skip + size], skip, size, more=len(rows) > skip + size)

    def _funding(self, request: web.Request) -> dict[str, Any]:
        market = self._named(request.query.get("market"))
        size, skip = _size(request, facts.FUNDING_PAGE), _cursor(request)
        span = _number(request, "start_at", 0), _number(request, "end_at", FAR_MS)
        rows = self._rest.funding(market, *span, skip + size + 1)
        return _page(rows[skip : skip + size], skip, size, more=len(rows) > skip + size)

    def _unknown(self, request: web.Request) -> Any:  # noqa: ANN401 - JSON
        del request
        raise BadRequestError(401, "INVALID_TOKEN", "invalid bearer jwt: missing value in request header")


def _page(rows: list[dict[str, Any]], skip: int, size: int, *, more: bool) -> dict[str, Any]:
    before = None if not skip else _mark(max(0, skip - size))
    return {"next": _mark(skip + size) if more else None, "prev": before, "results": rows}


def _mark(skip: int) -> str:
    return urlsafe_b64encode(b"%d" % skip).decode()


MOST_SKIPPED = 100_000


def _cursor(request: web.Request) -> int:
    text = request.query.get("cursor", "")
    try:
        skip = int(urlsafe_b64decode(text)) if text else 0
    except ValueError:
        skip = -1
    if not 0 <= skip <= MOST_SKIPPED:
        raise BadRequestError(400, "INVALID_REQUEST_PARAMETER", "invalid cursor")
    return skip


def _size(request: web.Request, usual_and_most: tuple[int, int]) -> int:
    usual, most = usual_and_most
    size = _number(request, "page_size", usual)
    if not 1 <= size <= most:
        raise BadRequestError(400, "VALIDATION_ERROR", f"page_size must be between 1 and {most}")
    return size


def _number(request: web.Request, name: str, usual: int) -> int:
    text = request.query.get(name)
    if text is None:
        return usual
    try:
        return int(text)
    except ValueError:
        raise BadRequestError(400, "INVALID_REQUEST_PARAMETER", f"{name} must be an integer") from None
