"""Hyperliquid as a server: blocks, pushes, contexts, and ``POST /info``."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import msgspec
from aiohttp import web

from simulator.decimals import encode
from simulator.frames import Frame
from simulator.limits import Window
from simulator.truth import Replica
from simulator.venue import Venue, subscribe_request
from simulator.venues.hyperliquid import facts, messages
from simulator.venues.hyperliquid.rest import Info
from simulator.venues.hyperliquid.session import HyperliquidSession

if TYPE_CHECKING:
    from collections.abc import Iterator

    from simulator.book import Levels
    from simulator.frames import Connection
    from simulator.truth import MarketSpec, Trade, Version
    from simulator.venues.hyperliquid.subscriptions import Subscription


class Hyperliquid(Venue):
    """What it publishes lies ``LAG_US`` behind the truth, exactly: a frame's ``time`` names the book it shows."""

    name = "hyperliquid"
    native_seq = False
    switches = {"greets": "0"}  # noqa: RUF012 - read only
    """1: a plain text precedes everything, as official clients still expect."""

    def begin(self) -> None:
        """Start blocks and the two clocks of the contexts."""
        self.info = Info(self)
        self.opens = Window(facts.OPENS_PER_MINUTE, 60)
        self.messages = Window(facts.MESSAGES_PER_MINUTE, 60)
        self.weight = Window(facts.WEIGHT_PER_MINUTE, 60)
        self._replicas = {market: Replica(truth) for market, truth in self.truths.items()}
        self._published: dict[str, list[Trade]] = {
            market: list(truth.trades)[-facts.REPLAYED_TRADES :] for market, truth in self.truths.items()
        }
        self._touches = {market: replica.book.touch() for market, replica in self._replicas.items()}
        self._published_us = self.clock.now_us() - facts.LAG_US
        self.every(self.book_period(facts.BLOCK_S), self._block)
        self.every(facts.MARK_PERIOD_S, self._marks)
        self.every(facts.FUNDING_PERIOD_S, self._fundings)

    # ---- markets ----

    def spec(self, base: str) -> MarketSpec:
        """See ``facts.spec``."""
        return facts.spec(base, self.settings.depth)

    def _block(self) -> None:
        now = self.clock.now_us()
        pace = self.pace(facts.PACE)
        for market, truth in self.truths.items():
            truth.step(self.rng[market], pace, seq=truth.last.seq + 1, now_us=now)
        self.publish()

    def publish(self) -> None:
        """Move what is published forward: trades, then the touch if it changed."""
        # To the end of a millisecond, so that the printed time says exactly what is included.
        self._published_us = (self.clock.now_us() - facts.LAG_US) // 1000 * 1000 + 999
        for market, replica in self._replicas.items():
            versions = replica.advance(self._published_us)
            if versions:
                self._publish_trades(market, versions)
                self._publish_touch(market, replica)

    def _publish_trades(self, market: str, versions: list[Version]) -> None:
        fresh = [trade for version in versions for trade in version.trades]
        if not fresh:
            return
        known = self._published[market]
        known.extend(fresh)
        del known[: -facts.REPLAYED_TRADES]
        self._broadcast("trades", market, lambda: Frame(self._trades_message(market, fresh), "trades", market))

    def _publish_touch(self, market: str, replica: Replica) -> None:
        touch = replica.book.touch()
        if touch == self._touches[market]:
            return
        self._touches[market] = touch
        if touch != (None, None):
            self._broadcast("bbo", market, lambda: self.bbo_frame(market))

    def refusal(self, text: str) -> bytes | None:
        """An error frame; one that older servers sent."""
        return None if subscribe_request(text) is None else messages.error(f"Invalid subscription {text}")

    def _broadcast(self, kind: str, market: str, make: Any) -> None:  # noqa: ANN401 - a closure over one market
        coin = self.specs[market].symbol
        listening = [session for session in self._sessions() if session.wants(kind, coin)]
        if listening:
            frame = make()
            for session in listening:
                session.send(frame)

    def _sessions(self) -> Iterator[HyperliquidSession]:
        return (session for session in self.sessions.values() if isinstance(session, HyperliquidSession))

    def _marks(self) -> None:
        for market in self.truths:
            self.step_stats(market)

    def _fundings(self) -> None:
        for market in self.truths:
            self.step_funding(market)

    # ---- what sessions and REST show ----

    def published_ms(self) -> int:
        """The printed time of what is published now."""
        return self.clock.stamp_ms(self._published_us)

    def published_trades(self, market: str, count: int) -> list[dict[str, Any]]:
        """Newest published trades, oldest first."""
        return [self._trade(market, trade) for trade in self._published[market][-count:]]

    def _trade(self, market: str, trade: Trade) -> dict[str, Any]:
        return messages.trade(self.specs[market], trade, self.clock.stamp_ms(trade.ts_us))

    def _trades_message(self, market: str, trades: list[Trade]) -> bytes:
        return messages.message("trades", [self._trade(market, trade) for trade in trades])

    def replay_frame(self, market: str) -> Frame | None:
        """The past trades that greet a subscription."""
        trades = self._published[market]
        return Frame(self._trades_message(market, trades), "trades", market) if trades else None

    def bbo_frame(self, market: str) -> Frame:
        """The published touch."""
        spec, time_ms = self.specs[market], self.published_ms()
        bids, asks = ([touch] if touch else [] for touch in self._touches[market])

        def render(bids: Levels, asks: Levels) -> bytes:
            return messages.bbo(spec, time_ms, bids[0] if bids else None, asks[0] if asks else None)

        return Frame(render(bids, asks), "bbo", market, render=render, bids=bids, asks=asks)

    def context(self, market: str) -> dict[str, Any]:
        """The context object."""
        return messages.context(self.stats[market], self.truths[market])

    def book_data(self, coin: str, depth: int, figures: int | None, mantissa: int | None) -> dict[str, Any] | None:
        """The published book; None for an unknown coin, empty for the delisted one."""
        if coin == facts.DELISTED:
            return {"coin": coin, "time": self.published_ms(), "levels": [[], []]}
        market = self.market_of(coin)
        if market is None:
            return None
        book, spec = self._replicas[market].book, self.specs[market]
        if figures is None:
            bids, asks = book.top_bids(depth), book.top_asks(depth)
            return messages.book_data(spec, self.published_ms(), bids, asks)
        bucketing = (figures, mantissa or 1)
        return messages.bucketed_data(spec, self.published_ms(), book.top_bids(), book.top_asks(), bucketing, depth)

    def book_frame(self, subscription: Subscription) -> Frame:
        """The published book as one subscription wants it."""
        coin = subscription.coin or ""
        depth = facts.FAST_DEPTH if subscription.fast else facts.DEFAULT_DEPTH
        market = self.market_of(coin)
        if market is None or subscription.figures is not None:
            data = self.book_data(coin, depth, subscription.figures, subscription.mantissa) or {}
            return Frame(messages.message("l2Book", data), "snapshot", market)
        book, spec, time_ms, fast = (
            self._replicas[market].book,
            self.specs[market],
            self.published_ms(),
            subscription.fast,
        )

        def render(bids: Levels, asks: Levels) -> bytes:
            return messages.message("l2Book", messages.book_data(spec, time_ms, bids, asks, fast=fast))

        bids, asks = book.top_bids(depth), book.top_asks(depth)
        return Frame(render(bids, asks), "snapshot", market, render=render, bids=bids, asks=asks)

    def subscriptions_total(self) -> int:
        """Subscriptions of all sockets."""
        return sum(len(session.subscriptions) for session in self._sessions())

    # ---- shell ----

    def install(self, app: web.Application) -> None:
        """One socket, one REST endpoint."""
        app.router.add_get("/ws", self.websocket)
        app.router.add_post("/info", self._post_info)

    def admit(self, request: web.Request) -> web.Response | None:
        """Connection limits; the venue's reaction is not established, 429 is what its REST side uses."""
        del request
        allowed = True
        if not self.opens.spend(self.clock.monotonic()):
            allowed = not self.violation("opens_per_minute")
        if len(self.sessions) >= facts.CONNECTIONS:
            allowed = not self.violation("connections") and allowed
        return None if allowed else web.Response(status=429)

    def open_session(
        self, connection: Connection, request: web.Request, ws: web.WebSocketResponse
    ) -> HyperliquidSession:
        """See ``HyperliquidSession``."""
        return HyperliquidSession(self, connection, request, ws)

    async def _post_info(self, request: web.Request) -> web.Response:
        if request.content_type != "application/json":
            return web.Response(status=415, text="Expected request with `Content-Type: application/json`")
        try:
            body = msgspec.json.decode(await request.read())
        except (msgspec.DecodeError, RecursionError):
            return web.Response(status=400, text="Failed to parse the request body as JSON")
        reply = self.info.answer(body)
        if not self.weight.spend(self.clock.monotonic(), self.info.weight(body, reply)) and self.violation("weight"):
            return web.Response(status=429)
        if reply.status == HTTPStatus.UNPROCESSABLE_ENTITY:
            return web.Response(status=422, text=str(reply.value))
        return web.Response(status=reply.status, body=encode(reply.value), content_type="application/json")
