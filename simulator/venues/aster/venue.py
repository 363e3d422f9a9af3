"""Aster as a server: engine steps, diffs at their speeds, trades, marks."""

from __future__ import annotations

from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING

from aiohttp import web

from simulator.decimals import encode
from simulator.frames import Frame
from simulator.stats import HOUR_US
from simulator.venue import Venue, subscribe_request
from simulator.venues.aster import control, facts, messages, streams
from simulator.venues.aster.engine import Engine, Tick
from simulator.venues.aster.feed import Feed
from simulator.venues.aster.rest import Rest
from simulator.venues.aster.routes import Routes
from simulator.venues.aster.session import AsterSession

if TYPE_CHECKING:
    from collections.abc import Callable

    from simulator.book import Levels
    from simulator.frames import Connection, Kind
    from simulator.truth import MarketSpec, Pace, Trade, Version
    from simulator.venues.aster.engine import Event

    Render = Callable[[Levels, Levels], bytes]

MARK_DIGITS = 8


class Aster(Venue):
    """``Version.seq`` is the engine's counter after the step: ``u``, ``lastUpdateId`` and ``bookTicker.u`` name it."""

    name = "aster"
    ws_paths = ("/ws", "/stream")
    switches = {  # noqa: RUF012 - read only
        "blank_funding": "0",
        "depth_lag_ms": "0",
        "error_shape": "envelope",
        "expiry": "close",
        "retry_after": "0",
    }
    """``blank_funding``: marks without rate and time. ``depth_lag_ms``: REST books are so much older. ``error_shape``:
    ``envelope``, ``bare`` or ``reversed``. ``expiry``: after 24 h ``close`` or ``abrupt``. ``retry_after``: 429 and 418
    say when to come back."""

    # ---- markets ----

    @property
    def first_seq(self) -> int:  # type: ignore[override]
        """Where the real counter would about be, so that it never goes back between runs."""
        past_s = self.clock.now_us() // 1_000_000 - facts.FIRST_ID_AT_S
        return max(1_000_000, facts.FIRST_ID + past_s * facts.IDS_PER_S)

    def spec(self, base: str) -> MarketSpec:
        """See ``facts.spec``."""
        return facts.spec(base, self.settings.depth)

    def funding_hours(self, market: str) -> int:
        """By symbol."""
        return facts.FUNDING_HOURS.get(self.specs[market].base, 8)

    def counter(self) -> int | None:
        """The engine's."""
        return self.engine.id

    def now_ms(self) -> int:
        """The printed present."""
        return self.clock.stamp_ms(self.clock.now_us())

    def next_funding_ms(self, market: str) -> int:
        """True time: settlements follow the calendar, not the venue's idea of it."""
        interval = self.funding_hours(market) * HOUR_US
        return (self.clock.now_us() // interval + 1) * interval // 1000

    def tick(self) -> Tick:
        """What REST shows now."""
        now = self.clock.now_us()
        self.engine.observe(now)
        return self.engine.tick(now - int(self.set["depth_lag_ms"]) * 1000)

    # ---- periodic work ----

    def begin(self) -> None:
        """Start the engine and the clocks of trades, marks and tickers."""
        period = self.book_period(facts.BOOK_S)
        steps = facts.STEPS if period >= facts.BOOK_S / 2 else facts.FEWEST_STEPS
        others = facts.IDS_PER_S * facts.BOOK_S / steps / max(1, len(self.specs))
        self._quiet = facts.QUIET if self.settings.frames_per_second is None else 0.0
        self._steps = 0
        self._seconds = 0
        self._rest = Rest(self)
        self._listeners: dict[str, dict[AsterSession, None]] = {}
        self._order = list(self.specs)
        self.engine = Engine(max(truth.last.seq for truth in self.truths.values()), self.noise, others)
        self.engine.observe(self.clock.now_us())
        self._feeds = {market: Feed(truth, steps, self.noise) for market, truth in self.truths.items()}
        for market in self.specs:
            self._whole_digits(market)
        self.every(period / steps, self._step)
        self.every(facts.TRADES_S, self._tell_trades)
        # E of a mark is a whole second.
        self.every(facts.MARK_S, self._marks, first=1.0 - self.now_ms() % 1000 / 1000)
        self.every(facts.TICKER_S, self._tickers)
        self.every(facts.FUNDING_S, self._fundings)

    def _step(self) -> None:
        self._steps += 1
        now, pace = self.clock.now_us(), self.pace(facts.PACE)
        self.engine.observe(now)
        self.noise.shuffle(self._order)
        for market in self._order:
            self.engine.others()
            if self.noise.random() >= self._quiet:
                self._step_market(market, now, pace)
            self._cut(market)
        self.engine.others()

    def _step_market(self, market: str, now_us: int, pace: Pace) -> None:
        truth, feed, name = self.truths[market], self._feeds[market], self.specs[market].symbol.lower()
        first, last = self.engine.take()
        version = truth.step(self.rng[market], pace, seq=last, now_us=max(now_us, truth.last.ts_us))
        feed.note(first, version)
        for trade in version.trades:
            self._send_fills(f"{name}@trade", market, trade)
        if feed.moved():
            self._send_touch(name, market, version)

    def _cut(self, market: str) -> None:
        name = self.specs[market].symbol.lower()
        for speed, chain in self._feeds[market].due(self._steps):
            if not any(self._listeners.get(name + suffix) for suffix in streams.BY_SPEED[speed]):
                chain.skip()
                continue
            event = chain.cut()
            if event is not None:
                self._send_depth(name, market, speed, event)

    def _send_depth(self, name: str, market: str, speed: int, event: Event) -> None:
        times = (self.now_ms(), self.clock.stamp_ms(event.ts_us))
        render = partial(messages.depth, self.specs[market], event, times)
        for suffix in streams.diff_suffixes(speed):
            self._send_book(name + suffix, "delta", market, (event.bids, event.asks), render)
        for depth in streams.DEPTHS:
            for suffix in streams.partial_suffixes(speed, depth):
                if self._listeners.get(name + suffix):
                    book = self.truths[market].book
                    self._send_book(
                        name + suffix, "snapshot", market, (book.top_bids(depth), book.top_asks(depth)), render
                    )

    def _send_touch(self, name: str, market: str, version: Version) -> None:
        book = self.truths[market].book
        times = (self.now_ms(), self.clock.stamp_ms(version.ts_us))
        render = partial(messages.book_ticker, self.specs[market], version.seq, times)
        for stream in (f"{name}@bookTicker", "!bookTicker"):
            self._send_book(stream, "bbo", market, (book.top_bids(1), book.top_asks(1)), render)

    def _send_fills(self, stream: str, market: str, trade: Trade) -> None:
        if self._listeners.get(stream):
            times = (self.now_ms(), self.clock.stamp_ms(trade.ts_us))
            for data in messages.trades(self.specs[market], trade, times):
                self._send(stream, "trades", market, data)

    def _tell_trades(self) -> None:
        now = self.now_ms()
        for market, feed in self._feeds.items():
            spec = self.specs[market]
            for trade in feed.told():
                times = (now, self.clock.stamp_ms(trade.ts_us))
                self._send(f"{spec.symbol.lower()}@aggTrade", "trades", market, messages.agg_trade(spec, trade, times))

    def _marks(self) -> None:
        self._seconds += 1
        speeds = ("@1s", "") if self._seconds % facts.MARK_EVERY == 0 else ("@1s",)
        rows = []
        for market, spec in self.specs.items():
            self.step_stats(market)
            self._whole_digits(market)
            rows.append(self._mark(market))
            for speed in speeds:
                self._send(f"{spec.symbol.lower()}@markPrice{speed}", "stats", market, encode(rows[-1]))
        for speed in speeds:
            self._send(f"!markPrice@arr{speed}", "stats", None, encode(rows))

    def _mark(self, market: str) -> dict[str, object]:
        hours, blank = self.funding_hours(market), self.set["blank_funding"] == "1"
        times = (self.now_ms() // 1000 * 1000, self.next_funding_ms(market))
        return messages.mark_price(self.specs[market], self.stats[market], hours, times, blank=blank)

    def _whole_digits(self, market: str) -> None:
        """Mark and index have eight decimals, and so has the rate of an interval."""
        stats, decimals = self.stats[market], self.specs[market].price_decimals
        most = 10 ** max(0, MARK_DIGITS - decimals)
        stats.mark += Decimal(self.noise.randrange(most)).scaleb(-MARK_DIGITS)
        stats.index += Decimal(self.noise.randrange(most)).scaleb(-MARK_DIGITS)
        hours = self.funding_hours(market)
        stats.funding = (stats.funding * hours).quantize(messages.EIGHT) / hours

    def _fundings(self) -> None:
        for market in self.specs:
            self.step_funding(market)
            hours = self.funding_hours(market)
            self.stats[market].funding = (self.stats[market].funding * hours).quantize(messages.EIGHT) / hours

    def _tickers(self) -> None:
        for kind, make in (("ticker", messages.ticker), ("miniTicker", messages.mini_ticker)):
            rows = []
            for market, spec in self.specs.items():
                rows.append(make(self._rest.day(market), self.now_ms()))
                self._send(f"{spec.symbol.lower()}@{kind}", "stats", market, encode(rows[-1]))
            self._send(f"!{kind}@arr", "stats", None, encode(rows))

    # ---- streams ----

    def listen(self, stream: str, session: AsterSession) -> None:
        """Deliver a stream to a session, should it ever carry anything."""
        self._listeners.setdefault(stream, {})[session] = None

    def unlisten(self, stream: str, session: AsterSession) -> None:
        """Deliver it no longer."""
        self._listeners.get(stream, {}).pop(session, None)

    def _send(self, stream: str, kind: Kind, market: str | None, data: bytes) -> None:
        listening = self._listeners.get(stream)
        if not listening:
            return
        raw = Frame(data, kind, market)
        combined = raw.with_data(messages.combined(stream, data))
        for session in listening:
            session.send(combined if session.combined else raw)

    def _send_book(self, stream: str, kind: Kind, market: str, sides: tuple[Levels, Levels], render: Render) -> None:
        listening = self._listeners.get(stream)
        if not listening:
            return

        def wrapped(bids: Levels, asks: Levels) -> bytes:
            return messages.combined(stream, render(bids, asks))

        data = render(*sides)
        raw = Frame(data, kind, market, render=render, bids=sides[0], asks=sides[1])
        both = Frame(messages.combined(stream, data), kind, market, render=wrapped, bids=sides[0], asks=sides[1])
        for session in listening:
            session.send(both if session.combined else raw)

    # ---- shell ----

    def refusal(self, text: str) -> bytes | None:
        """What a faulty venue answers to a subscription."""
        value = subscribe_request(text)
        if value is None:
            return None
        number = value.get("id")
        wrong = control.Refusal(control.INVALID, "Invalid request", number if isinstance(number, int) else None)
        return control.error(wrong, self.set["error_shape"])

    def install(self, app: web.Application) -> None:
        """REST, and four ways to open a socket."""
        Routes(self).install(app)
        for path in ("/ws", "/ws/{streams:.+}", "/stream"):
            app.router.add_get(path, self.websocket)

    def open_session(self, connection: Connection, request: web.Request, ws: web.WebSocketResponse) -> AsterSession:
        """See ``AsterSession``."""
        return AsterSession(self, connection, request, ws)
