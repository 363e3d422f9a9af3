"""Lighter as a server: one engine counter, a 50 ms grid, and the REST answers."""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING

from aiohttp import web

from simulator.book import merge, split
from simulator.decimals import encode
from simulator.frames import Frame
from simulator.limits import Window
from simulator.stats import HOUR_US, settled
from simulator.truth import Replica
from simulator.venue import Venue, subscribe_request
from simulator.venues.lighter import facts, messages
from simulator.venues.lighter.messages import BookTimes
from simulator.venues.lighter.rest import INVALID, TOO_MANY, Answers, InvalidParamError
from simulator.venues.lighter.session import LighterSession

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from simulator.book import Levels
    from simulator.frames import Connection
    from simulator.truth import MarketSpec, Trade, Truth, Version
    from simulator.venues.lighter.messages import BookPieces

_MARKET_ID = re.compile(r"(?:/|market_id=)(\d+)")
SMALLEST_GRID_S = 0.02
"""Faster than this the engine steps once a grid."""


class Lighter(Venue):
    """``Version.seq`` is the engine's nonce. A book frame covers the versions since the last one of its market."""

    name = "lighter"
    first_seq = facts.FIRST_NONCE
    compress = True
    ws_paths = ("/stream",)
    switches = {"server_ping_s": "0"}  # noqa: RUF012 - read only
    """Seconds between the server's own ``{"type":"ping"}`` (0 = never), which must then be answered: else 1008."""

    def begin(self) -> None:
        """Start the engine, the grid, stats and blocks."""
        self.listings = {f"{base}-PERP": facts.listing(base, self.settings.markets) for base in self.settings.markets}
        self.by_id = {found.market_id: market for market, found in self.listings.items()}
        self.answers = Answers(self)
        self.opens = Window(facts.OPENS_PER_MINUTE, 60)
        self.messages = Window(facts.MESSAGES_PER_MINUTE, 60)
        self.requests = Window(facts.REQUESTS_PER_MINUTE, 60)
        self.weight = Window(facts.WEIGHT_PER_MINUTE, 60)
        self._nonce = facts.FIRST_NONCE
        self._height = facts.FIRST_HEIGHT
        self._shown = {market: Replica(truth) for market, truth in self.truths.items()}
        self._last_frame: dict[str, Version] = {market: truth.last for market, truth in self.truths.items()}
        grid = self.book_period(facts.GRID_S)
        self._steps = facts.STEPS_PER_GRID if grid >= SMALLEST_GRID_S else 1
        self._turn = 0
        self.every(grid / self._steps, self._engine)
        self.every(facts.STATS_PERIOD_S, self._stats)
        self.every(facts.HEIGHT_PERIOD_S, self._block)

    def counter(self) -> int:
        """The engine's nonce, shared by all markets."""
        return self._nonce

    def spec(self, base: str) -> MarketSpec:
        """See ``facts.spec``."""
        return facts.spec(base, facts.listing(base, self.settings.markets), self.settings.depth)

    def market_by_id(self, text: str) -> str | None:
        """Our market of a decimal id; id 0 is a valid one."""
        return self.by_id.get(int(text)) if text.isdecimal() else None

    def market_in(self, text: str) -> str | None:
        """Messages and paths name markets by id."""
        found = _MARKET_ID.search(text)
        return None if found is None else self.by_id.get(int(found[1]))

    def refusal(self, text: str) -> bytes | None:
        """An error that cannot be attributed to its request."""
        return None if subscribe_request(text) is None else messages.error(30012, "Failed to subscribe")

    # ---- periodic work ----

    def _engine(self) -> None:
        now = self.clock.now_us()
        pace = self.pace(facts.PACE)
        for market, truth in self.truths.items():
            self._nonce += self.noise.randint(*facts.NONCE_STEP)
            version = truth.step(self.rng[market], pace, seq=self._nonce, now_us=now)
            if version.changes:
                self._broadcast("ticker", market, partial(self._ticker, truth, first=False))
            if version.trades:
                self._broadcast("trade", market, partial(self._trades, market, version))
        self._turn = (self._turn + 1) % self._steps
        if not self._turn:
            for market in self.truths:
                self._flush(market)

    def _flush(self, market: str) -> None:
        versions = self._shown[market].advance(self.clock.now_us())
        changes = merge([version.changes for version in versions])
        if not changes:
            return
        before, last = self._last_frame[market], versions[-1]
        self._last_frame[market] = last
        times = self._times(last, before.seq)
        channel = f"order_book:{self.listings[market].market_id}"
        listening = self._listening(channel)
        if listening:
            sides = split(changes)
            pieces = self.pieces(market, times, sides)
            for session in listening:
                session.send(session.book_frame(channel, market, times, sides, pieces))

    def _times(self, version: Version, begin_nonce: int) -> BookTimes:
        now = self.clock.stamp_ms(self.clock.now_us())
        return BookTimes(version.seq, begin_nonce, now, self.clock.stamp_us(version.ts_us))

    def _stats(self) -> None:
        for market in self.truths:
            self.step_stats(market)
            self.step_funding(market)
            self._broadcast("market_stats", market, partial(self._stats_frame, market, first=False))
            listening = self._listening("market_stats:all")
            if listening:
                frame = Frame(self._all_stats([market], first=False), "stats", market)
                for session in listening:
                    session.send(frame)

    def _block(self) -> None:
        self._height += 1
        listening = self._listening("height")
        if listening:
            frame = Frame(self._height_frame(first=False), "stats")
            for session in listening:
                session.send(frame)

    def _broadcast(self, topic: str, market: str, make: Callable[[], Frame]) -> None:
        listening = self._listening(f"{topic}:{self.listings[market].market_id}")
        if listening:
            frame = make()
            for session in listening:
                session.send(frame)

    def _listening(self, channel: str) -> list[LighterSession]:
        return [
            session
            for session in self.sessions.values()
            if isinstance(session, LighterSession) and channel in session.subscriptions
        ]

    # ---- what sessions and REST show ----

    def snapshot(self, market: str) -> tuple[BookTimes, tuple[Levels, Levels]]:
        """The book as of the last diff of this market, so that the next diff continues it."""
        book = self._shown[market].book
        return self._times(self._last_frame[market], 0), (book.top_bids(), book.top_asks())

    def pieces(self, market: str, times: BookTimes, sides: tuple[Levels, Levels]) -> BookPieces:
        """A book frame without offsets."""
        return messages.book(self.specs[market], self.listings[market].market_id, times, sides)

    def first(self, topic: str, market: str | None) -> Frame:
        """The frame that acknowledges a subscription to anything but a book."""
        if topic == "height":
            return Frame(self._height_frame(first=True), "stats", acknowledges=True)
        if market is None:
            return Frame(self._all_stats(list(self.truths), first=True), "stats", acknowledges=True)
        if topic == "ticker":
            return self._ticker(self.truths[market], first=True)
        if topic == "trade":
            rows = self.recent_trades(market, facts.REPLAYED_TRADES)
            data = messages.trades(self.listings[market].market_id, rows, self._nonce, first=True)
            return Frame(data, "trades", market, acknowledges=True)
        return self._stats_frame(market, first=True)

    def recent_trades(self, market: str, count: int) -> list[dict[str, Any]]:
        """Newest first."""
        trades = list(self.truths[market].trades)[-count:]
        return [self._trade(market, trade) for trade in reversed(trades)]

    def _trade(self, market: str, trade: Trade) -> dict[str, Any]:
        market_id = self.listings[market].market_id
        return messages.trade(self.specs[market], market_id, trade, self.clock.stamp_us(trade.ts_us))

    def _trades(self, market: str, version: Version) -> Frame:
        rows = [self._trade(market, trade) for trade in version.trades]
        data = messages.trades(self.listings[market].market_id, rows, version.seq, first=False)
        return Frame(data, "trades", market)

    def _ticker(self, truth: Truth, *, first: bool) -> Frame:
        spec, market_id = truth.spec, self.listings[truth.spec.market].market_id
        times = self._times(truth.last, 0 if first else 1)
        bids, asks = truth.book.top_bids(1), truth.book.top_asks(1)

        def render(bids: Levels, asks: Levels) -> bytes:
            return messages.ticker(spec, market_id, times, (bids, asks))

        data = render(bids, asks)
        return Frame(data, "bbo", spec.market, render=render, bids=bids, asks=asks, acknowledges=first)

    def _stats_of(self, market: str) -> dict[str, Any]:
        now = self.clock.now_us()
        rate = settled(self.settings.seed, market, now // HOUR_US)
        market_id = self.listings[market].market_id
        return messages.market_stats(self.truths[market], self.stats[market], market_id, rate, self.clock.stamp_us(now))

    def _stats_frame(self, market: str, *, first: bool) -> Frame:
        channel = f"market_stats:{self.listings[market].market_id}"
        data = self._envelope(channel, self._stats_of(market), first=first)
        return Frame(data, "stats", market, acknowledges=first)

    def _all_stats(self, markets: list[str], *, first: bool) -> bytes:
        found = {str(self.listings[market].market_id): self._stats_of(market) for market in markets}
        return self._envelope("market_stats:all", found, first=first)

    def _envelope(self, channel: str, shown: dict[str, Any], *, first: bool) -> bytes:
        kind = f"{'subscribed' if first else 'update'}/market_stats"
        timestamp = self.clock.stamp_ms(self.clock.now_us())
        return encode({"channel": channel, "market_stats": shown, "timestamp": timestamp, "type": kind})

    def _height_frame(self, *, first: bool) -> bytes:
        kind = f"{'subscribed' if first else 'update'}/height"
        timestamp = self.clock.stamp_ms(self.clock.now_us())
        return encode({"channel": "height", "height": self._height, "timestamp": timestamp, "type": kind})

    def subscriptions_total(self) -> int:
        """Subscriptions of all sockets."""
        sessions = (session for session in self.sessions.values() if isinstance(session, LighterSession))
        return sum(len(session.subscriptions) for session in sessions)

    # ---- shell ----

    def install(self, app: web.Application) -> None:
        """One socket; health at the root; the rest below ``/api/v1``."""
        app.router.add_get("/stream", self.websocket)
        app.router.add_get("/", self._root)
        app.router.add_get("/api/v1/{kind}", self._api)

    def admit(self, request: web.Request) -> web.Response | None:
        """Connection limits."""
        del request
        allowed = True
        if not self.opens.spend(self.clock.monotonic()):
            allowed = not self.violation("opens_per_minute")
        if len(self.sessions) >= facts.CONNECTIONS:
            allowed = not self.violation("connections") and allowed
        return None if allowed else web.json_response({"code": 23003, "message": "Too Many Connections!"}, status=429)

    def open_session(self, connection: Connection, request: web.Request, ws: web.WebSocketResponse) -> LighterSession:
        """See ``LighterSession``."""
        return LighterSession(self, connection, request, ws)

    async def _root(self, request: web.Request) -> web.Response:
        del request
        seconds = self.clock.stamp_ms(self.clock.now_us()) // 1000
        return web.json_response({"status": 200, "network_id": 1, "timestamp": seconds})

    async def _api(self, request: web.Request) -> web.Response:
        kind = request.match_info["kind"]
        answer = self.answers.kinds.get(kind)
        if answer is None:
            return web.Response(status=404, text="404 page not found")
        now = self.clock.monotonic()
        within = self.requests.spend(now) and self.weight.spend(now, self.answers.weight(kind))
        if not within and self.violation("rest"):
            return web.json_response(TOO_MANY, status=429)
        try:
            return web.Response(body=encode(answer(request.query)), content_type="application/json")
        except InvalidParamError:
            return web.json_response(INVALID, status=400)
