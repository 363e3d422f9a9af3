"""Extended as a server: steps, book frames, minutely snapshots, prices."""

from __future__ import annotations

from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Any

from simulator.decimals import encode
from simulator.stats import settled
from simulator.venue import Venue
from simulator.venues.extended import facts, messages
from simulator.venues.extended.feed import Feed
from simulator.venues.extended.messages import Payload
from simulator.venues.extended.routes import Routes, refusal
from simulator.venues.extended.session import PathSession, RpcSession, StreamSession
from simulator.venues.extended.topics import Topic, Wrong, from_path

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from aiohttp import web

    from simulator.frames import Connection
    from simulator.truth import MarketSpec, Trade, Truth
    from simulator.venues.extended.topics import Scope

RATE_QUANTUM = Decimal("0.000001")
USUAL_RATE = Decimal("0.000013")
PRICE_DIGITS = 12
MOST_STEPS = 20
AHEAD_US = 50_000
"""Steps of a market get milliseconds of their own, unless that would run further ahead of the clock than this."""


class Extended(Venue):
    """A frame's ``ts`` names the book it shows: at the venue's own pace steps of a market never share a millisecond."""

    name = "extended"
    native_seq = False
    ws_paths = (f"{facts.STREAM}/v1", f"{facts.STREAM}/v2/rpc")
    switches = {"greets": "0", "omits_c": "0", "v2_restamps": "1"}  # noqa: RUF012 - read only
    """``greets``: mark, index and funding come at once on subscribing. ``omits_c``: deltas as the documents' oldest
    text has them, without the size after the change. ``v2_restamps``: a replay carries the time of sending over v2."""

    # ---- markets ----

    def spec(self, base: str) -> MarketSpec:
        """See ``facts.spec``."""
        return facts.spec(base, self.settings.depth)

    def settled(self, market: str, hour: int) -> Decimal:
        """Six decimals."""
        return settled(self.settings.seed, market, hour).quantize(RATE_QUANTUM)

    @property
    def symbols(self) -> set[str]:
        """Names of the markets."""
        return {spec.symbol for spec in self.specs.values()}

    def now_ms(self) -> int:
        """The printed present."""
        return self.clock.stamp_ms(self.clock.now_us())

    # ---- periodic work ----

    def begin(self) -> None:
        """Start steps, snapshots in a phase of each market's own, prices and funding."""
        period = self.book_period(facts.BOOK_S)
        self._frame_steps = min(MOST_STEPS, max(1, round(period / facts.STEP_S)))
        self._steps = 0
        self._listeners: dict[Topic, dict[StreamSession, None]] = {}
        self._feeds = {market: Feed(truth, self._last_ms(truth)) for market, truth in self.truths.items()}
        snapshots, fundings = self.scaled(facts.SNAPSHOT_S), self.scaled(facts.FUNDING_S)
        for market, stats in self.stats.items():
            stats.funding = USUAL_RATE
            self._digits(market)
            self.every(snapshots, partial(self._snapshot, market), first=self.noise.uniform(0, snapshots))
            self.every(fundings, partial(self._funding, market), first=self.noise.uniform(0, fundings))
        self.every(period / self._frame_steps, self._step)
        self.every(facts.PRICE_S, self._prices)

    def _last_ms(self, truth: Truth) -> int:
        return self.clock.stamp_ms(truth.last.ts_us)

    def _next_us(self, truth: Truth) -> int:
        now, after = self.clock.now_us(), truth.last.ts_us + 1000
        return max(now, after if after < now + AHEAD_US else truth.last.ts_us)

    def _step(self) -> None:
        self._steps += 1
        pace, traded = self.pace(facts.PACE), []
        for number, (market, truth) in enumerate(self.truths.items()):
            version = truth.step(self.rng[market], pace, seq=truth.last.seq + 1, now_us=self._next_us(truth))
            feed = self._feeds[market]
            if version.trades:
                traded.append((market, version.trades))
            if feed.moved(version.ts_us):
                self._publish("bbo", feed.touch(self._last_ms(truth)))
            if (self._steps + number) % self._frame_steps == 0:
                feed.printer.with_c = self.set["omits_c"] != "1"
                self._publish("book", feed.delta(self._last_ms(truth)))
                if feed.deltas >= facts.MOST_REPLAYED:
                    self._snapshot(market)
        if traded:
            self._publish_trades(traded)

    def _publish_trades(self, traded: list[tuple[str, tuple[Trade, ...]]]) -> None:
        for market, trades in traded:
            topic = Topic("trades", self.specs[market].symbol)
            self._send(topic, lambda market=market, trades=trades: self._trades([(market, trades)], market))
        # The stream of all markets puts several into one frame.
        self._send(Topic("trades", None), lambda: self._trades(traded, None))

    def _snapshot(self, market: str) -> None:
        truth = self.truths[market]
        version = truth.idle(seq=truth.last.seq + 1, now_us=self._next_us(truth))
        for payload in self._feeds[market].snapshot(self.clock.stamp_ms(version.ts_us)):
            self._publish("book", payload)

    def _prices(self) -> None:
        for market in self.truths:
            self.step_stats(market)
            self._digits(market)
            self._publish("mark", self._mark(market))
            self._publish("index", self._index(market))

    def _digits(self, market: str) -> None:
        """Mark and index are far finer than the tick."""
        stats, decimals = self.stats[market], self.specs[market].price_decimals
        stats.mark += Decimal(self.noise.randrange(10 ** (PRICE_DIGITS - decimals))).scaleb(-PRICE_DIGITS)
        stats.index += Decimal(self.noise.randrange(10 ** (PRICE_DIGITS - decimals))).scaleb(-PRICE_DIGITS)

    def _funding(self, market: str) -> None:
        stats, noise = self.stats[market], self.rng[market]
        pull = 1 if stats.funding < USUAL_RATE else -1
        stats.funding += RATE_QUANTUM * (noise.choice((-2, -1, 0, 1, 2)) + pull)
        self._publish("funding", self._rate(market))

    # ---- payloads ----

    def _mark(self, market: str) -> Payload:
        data = messages.price(self.specs[market], self.stats[market].mark, 0)
        return Payload("stats", market, "PRICES.MP", data, self.now_ms())

    def _index(self, market: str) -> Payload:
        now = self.now_ms()
        data = messages.price(self.specs[market], self.stats[market].index, now // 1000 * 1000)
        return Payload("stats", market, "PRICES.IP", data, now)

    def _rate(self, market: str) -> Payload:
        now = self.now_ms()
        data = encode(messages.funding(self.specs[market], self.stats[market].funding, now))
        return Payload("stats", market, "FUNDING_RATES", data, now)

    def trade_rows(self, market: str, trades: Iterable[Trade]) -> list[dict[str, Any]]:
        """Trades as both REST and streams show them."""
        spec = self.specs[market]
        return [messages.trade(spec, one, self.clock.stamp_ms(one.ts_us)) for one in trades]

    def _trades(self, traded: Iterable[tuple[str, Iterable[Trade]]], market: str | None) -> Payload:
        rows = [row for owner, trades in traded for row in self.trade_rows(owner, trades)]
        ts_ms = max(self.now_ms(), *(row["T"] for row in rows))
        return Payload("trades", market, "TRADES", encode(rows), ts_ms)

    def _history(self, markets: list[str], market: str | None) -> Payload:
        rows = [row for owner in markets for row in self.trade_rows(owner, self.truths[owner].trades)]
        rows.sort(key=lambda row: row["i"])
        return Payload("trades", market, "TRADES", encode(rows[-facts.REPLAYED_TRADES :]), self.now_ms())

    # ---- topics ----

    def _publish(self, scope: Scope, payload: Payload | None) -> None:
        if payload is None or payload.market is None:
            return
        for topic in (Topic(scope, self.specs[payload.market].symbol), Topic(scope, None)):
            self._send(topic, lambda: payload)

    def _send(self, topic: Topic, make: Any) -> None:  # noqa: ANN401 - a closure that gives a payload
        listening = self._listeners.get(topic)
        if listening:
            payload = make()
            for session in listening:
                session.push(topic, payload, payload.ts_ms)

    def listen(self, topic: Topic, session: StreamSession) -> None:
        """Deliver a topic to a session."""
        self._listeners.setdefault(topic, {})[session] = None

    def unlisten(self, topic: Topic, session: StreamSession) -> None:
        """Deliver it no longer."""
        self._listeners.get(topic, {}).pop(session, None)

    def greeting(self, topic: Topic) -> Iterator[Payload]:
        """What a new subscriber of a topic gets at once."""
        one = self.market_of(topic.symbol or "")
        markets = list(self.specs) if one is None else [one]
        if topic.scope == "trades":
            yield self._history(markets, one)
            return
        for market in markets:
            yield from self._first(topic.scope, market)

    def _first(self, scope: Scope, market: str) -> list[Payload]:
        feed, greets = self._feeds[market], self.set["greets"] == "1"
        match scope:
            case "book":
                return feed.catch_up()
            case "bbo":
                return [feed.touch(self._last_ms(self.truths[market]))]
            case "rfq":
                return [feed.empty(self.now_ms())]
            case "mark" if greets:
                return [self._mark(market)]
            case "index" if greets:
                return [self._index(market)]
            case "funding" if greets:
                return [self._rate(market)]
            case _:
                return []

    # ---- shell ----

    def install(self, app: web.Application) -> None:
        """REST, path streams and RPC."""
        Routes(self).install(app)
        app.router.add_get(facts.STREAM + "/v1/{topic:.*}", self.websocket)
        app.router.add_get(facts.STREAM + "/v2/rpc", self.websocket)

    def anonymous(self, request: web.Request) -> bool:
        """Whether a request shall be refused for lack of a User-Agent."""
        return not request.headers.get("User-Agent") and self.violation("user_agent", request.path)

    def topic_of(self, request: web.Request) -> Topic | Wrong:
        """Read a v1 path."""
        return from_path(request.match_info.get("topic", ""), request.query.get("depth"), self.symbols)

    def admit(self, request: web.Request) -> web.Response | None:
        """A v1 path must name a topic; the venue's reaction to a wrong one is not established."""
        if self.anonymous(request):
            return refusal(403, 403, "Forbidden")
        topic = self.topic_of(request) if "topic" in request.match_info else None
        if isinstance(topic, Wrong):
            return refusal(404, topic.code, topic.message)
        return None

    def open_session(self, connection: Connection, request: web.Request, ws: web.WebSocketResponse) -> StreamSession:
        """By the path of the upgrade."""
        if "topic" in request.match_info:
            return PathSession(self, connection, request, ws)
        return RpcSession(self, connection, request, ws)
