"""The control API: what is true, what is going on, and (through ``simulator.faults``) what should go wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from aiohttp import web

from simulator.decimals import encode
from simulator.faults import CATALOGUE, FaultError
from simulator.stats import HOUR_US
from simulator.truth import OutsideHistoryError
from simulator.venue import UnknownSwitchError

if TYPE_CHECKING:
    from simulator.book import Book
    from simulator.server import Simulator
    from simulator.truth import Version
    from simulator.venue import Venue


def reply(value: Any, status: int = 200) -> web.Response:  # noqa: ANN401 - anything JSON
    """JSON answer."""
    return web.Response(body=encode(value), status=status, content_type="application/json")


class Control:
    """Handlers of the control port."""

    def __init__(self, simulator: Simulator) -> None:
        self._simulator = simulator

    def application(self) -> web.Application:
        """Routes of the control port."""
        app = web.Application()
        app.router.add_get("/state", self.state)
        app.router.add_get("/faults", self.faults)
        app.router.add_post("/faults", self.plan)
        app.router.add_delete("/faults", self.clear)
        app.router.add_delete("/faults/{id}", self.remove)
        app.router.add_get("/faults/catalogue", self.catalogue)
        app.router.add_get("/truth/{venue}/{market}", self.truth)
        app.router.add_put("/switches/{venue}/{name}", self.switch)
        return app

    async def state(self, request: web.Request) -> web.Response:
        """``GET /state``."""
        del request
        return reply(self._simulator.state())

    async def switch(self, request: web.Request) -> web.Response:
        """``PUT /switches/<venue>/<name>`` with the value as text."""
        venue = self._simulator.venues.get(request.match_info["venue"])
        if venue is None:
            return reply({"error": f"unknown venue: {request.path}"}, 404)
        try:
            venue.switch(request.match_info["name"], await request.text())
        except UnknownSwitchError as error:
            return reply({"error": str(error)}, 404)
        return reply(venue.set)

    async def faults(self, request: web.Request) -> web.Response:
        """``GET /faults``: active, scheduled, and a log of those that are over."""
        del request
        return reply(self._simulator.mischief.register.report())

    async def catalogue(self, request: web.Request) -> web.Response:
        """``GET /faults/catalogue``: names, parameters with defaults, and a sentence each."""
        del request
        entries = CATALOGUE.items()
        return reply({name: {"params": dict(kind.params), "about": kind.sentence} for name, kind in entries})

    async def plan(self, request: web.Request) -> web.Response:
        """``POST /faults``: one fault or a list; answers the ids in the same order."""
        try:
            faults = self._simulator.mischief.plan(msgspec.json.decode(await request.read()))
        except (FaultError, msgspec.DecodeError) as error:
            return reply({"error": str(error)}, 400)
        await self._simulator.settled()
        return reply({"ids": [fault.id for fault in faults]}, 201)

    async def remove(self, request: web.Request) -> web.Response:
        """``DELETE /faults/<id>``."""
        try:
            fault = self._simulator.mischief.remove(request.match_info["id"])
        except FaultError as error:
            return reply({"error": str(error)}, 404)
        await self._simulator.settled()
        return reply(fault.report())

    async def clear(self, request: web.Request) -> web.Response:
        """``DELETE /faults``."""
        del request
        ended = self._simulator.mischief.clear()
        await self._simulator.settled()
        return reply({"ended": ended})

    async def truth(self, request: web.Request) -> web.Response:
        """``GET /truth/<venue>/<market>[?seq=N|?ts_ms=N|?ts_us=N]``."""
        venue = self._simulator.venues.get(request.match_info["venue"])
        market = request.match_info["market"]
        if venue is None or market not in venue.truths:
            return reply({"error": f"unknown venue or market: {request.path}"}, 404)
        try:
            seq, ts_us = _asked(request)
        except ValueError:
            return reply({"error": "seq, ts_ms and ts_us must be integers"}, 400)
        try:
            version, book = venue.truth_at(market, seq, ts_us)
        except OutsideHistoryError as error:
            return reply({"error": str(error)}, 404)
        return reply(describe(venue, market, version, book))


def _asked(request: web.Request) -> tuple[int | None, int | None]:
    query = request.query
    seq = int(query["seq"]) if "seq" in query else None
    if "ts_us" in query:
        return seq, int(query["ts_us"])
    # A printed millisecond covers everything that happened within it.
    return seq, int(query["ts_ms"]) * 1000 + 999 if "ts_ms" in query else None


def describe(venue: Venue, market: str, version: Version, book: Book) -> dict[str, Any]:
    """The JSON of ``GET /truth``: the book of that version, and everything else as it is now."""
    truth, stats, spec = venue.truths[market], venue.stats[market], venue.specs[market]
    every = venue.funding_hours(market)
    hour = venue.clock.now_us() // HOUR_US // every * every
    return {
        "venue": venue.name,
        "market": market,
        "symbol": spec.symbol,
        "seq": version.seq if venue.native_seq else None,
        "ts_ms": venue.clock.stamp_ms(version.ts_us),
        "ts_us": venue.clock.stamp_us(version.ts_us),
        "bids": [[spec.price(price), spec.size(size)] for price, size in book.top_bids()],
        "asks": [[spec.price(price), spec.size(size)] for price, size in book.top_asks()],
        "trades_total": truth.trades_total,
        "last_trade": _trade(venue, market),
        "mark": str(stats.mark),
        "index": str(stats.index),
        "open_interest": str(stats.open_interest),
        "funding": format(stats.funding, "f"),
        "funding_settled": format(venue.settled(market, hour), "f"),
        "funding_settled_at_ms": hour * HOUR_US // 1000,
        "next_funding_ms": (hour + every) * HOUR_US // 1000,
    }


def _trade(venue: Venue, market: str) -> dict[str, Any] | None:
    truth, spec = venue.truths[market], venue.specs[market]
    if not truth.trades:
        return None
    trade = truth.trades[-1]
    return {
        "number": trade.number,
        "ts_us": venue.clock.stamp_us(trade.ts_us),
        "price": spec.price(trade.price),
        "size": spec.size(trade.size),
        "side": "buy" if trade.buy else "sell",
    }
