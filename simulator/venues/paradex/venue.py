"""Paradex as a server: sequence steps, books with and without RPI orders, summaries and funding."""

from __future__ import annotations

from decimal import Decimal
from functools import cache, partial
from typing import TYPE_CHECKING

from simulator.decimals import encode
from simulator.frames import Frame, Op
from simulator.limits import Window
from simulator.stats import day_volume
from simulator.venue import Venue, subscribe_request
from simulator.venues.paradex import control, facts, sbe
from simulator.venues.paradex.rest import trade_id, trade_type
from simulator.venues.paradex.routes import Routes, refusal
from simulator.venues.paradex.rpi import Overlay
from simulator.venues.paradex.session import ParadexSession

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from aiohttp import web

    from simulator.book import Levels
    from simulator.frames import Connection, Kind
    from simulator.truth import MarketSpec, Version
    from simulator.venues.paradex.channels import Channel
    from simulator.venues.paradex.sbe import BookEvent, Layout, Touches, TradeEvent

    Key = tuple[str, str | None, bool]
    Sides = tuple[Levels, Levels]

MILLI = 1000
EIGHT = Decimal("1e-8")
FIRST_INDEX = Decimal("20511.93608234044552")


@cache
def _layout(version: int, shape: str) -> Layout:
    return sbe.Layout(
        version, long_block=shape == "long_block", long_entries=shape == "long_entries", trade_id=shape != "no_trade_id"
    )


class Paradex(Venue):
    """``Version.seq`` is the market's counter: book, best prices, trades and REST share it."""

    name = "paradex"
    ws_paths = ("/v1",)
    switches = {  # noqa: RUF012 - read only
        "greets": "1",
        "heartbeats": "0",
        "layout": "plain",
        "max_version": str(facts.VERSIONS),
        "system_state": "ok",
    }
    """``greets``: best prices, summary and funding come at once on subscribing. ``heartbeats``: template 40 on idle
    connections. ``layout``: ``plain``, ``long_block``, ``long_entries``, ``no_trade_id`` or ``unknown`` (a template
    that no schema has, each second). ``max_version``: the highest schema version; more is refused with HTTP 400.
    ``system_state``: what ``/system/state`` says."""

    # ---- markets ----

    def spec(self, base: str) -> MarketSpec:
        """See ``facts.spec``."""
        return facts.spec(base, self.settings.depth)

    def now_us(self) -> int:
        """The printed present."""
        return self.clock.stamp_us(self.clock.now_us())

    def event_us(self, ts_us: int) -> int:
        """Printed microseconds: what is recorded is a whole millisecond."""
        return self.clock.stamp_us(ts_us) // MILLI * MILLI

    def rate(self, market: str) -> Decimal:
        """A fraction for the whole funding period."""
        return self.stats[market].funding * facts.FUNDING_HOURS

    def funding_index(self, market: str) -> Decimal:
        """USDC a unit has paid since the beginning."""
        return self._index[market]

    def funding_ms(self, market: str) -> int:
        """When the rate was last computed."""
        return self.clock.stamp_ms(self._funding_us[market])

    def levels(self, market: str, *, rpi: bool) -> Sides:
        """The book now, best first."""
        if rpi:
            return self._overlays[market].levels()
        book = self.truths[market].book
        return book.top_bids(), book.top_asks()

    # ---- periodic work ----

    def begin(self) -> None:
        """Start steps, summaries and funding."""
        now = self.clock.now_us()
        self.by_symbol = {spec.symbol: spec for spec in self.specs.values()}
        self._listeners: dict[Key, dict[ParadexSession, None]] = {}
        self._overlays = {market: Overlay(truth, self.noise) for market, truth in self.truths.items()}
        self._rpi_touch: dict[str, Sides] = {}
        self._index = dict.fromkeys(self.specs, FIRST_INDEX)
        self._funding_us = dict.fromkeys(self.specs, now)
        self._opens = (Window(facts.CONNECTS_PER_S, 1.0), Window(facts.CONNECTS_PER_MINUTE, 60.0))
        past_s = max(0, now // 1_000_000 - facts.FIRST_SEQ_AT_S)
        for number, (market, truth) in enumerate(self.truths.items()):
            # Where the real counters would about be, each far from the others, and never back between runs.
            truth.idle(seq=facts.FIRST_SEQ + past_s * facts.SEQ_PER_S + number * facts.APART, now_us=truth.last.ts_us)
            self._eight_digits(market)
        self.every(self.book_period(facts.BOOK_S), self._step)
        self.every(facts.SUMMARY_S, self._summaries)
        self.every(facts.FUNDING_S, self._fundings)

    def _step(self) -> None:
        now, pace = self.clock.now_us(), self.pace(facts.PACE)
        for market, truth in self.truths.items():
            seq, ts_us = truth.last.seq + 1, max(now, truth.last.ts_us)
            before = truth.book.touch()
            if self.noise.random() < facts.EMPTY:
                version = truth.idle(seq=seq, now_us=ts_us)
            else:
                version = truth.step(self.rng[market], pace, seq=seq, now_us=ts_us)
            self._tell(market, version, moved=truth.book.touch() != before)

    def _tell(self, market: str, version: Version, *, moved: bool) -> None:
        published = self.event_us(max(version.ts_us, self.clock.now_us()))
        for trade in version.trades:
            event = sbe.TradeEvent(published, version.seq, trade, self.event_us(trade.ts_us), trade_type(trade))
            self._broadcast("trades", market, partial(self._trade_frame, market, event))
        self._broadcast("book", market, partial(self._delta_frame, market, version))
        if self._listeners.get(("book", market, True)) or self._listeners.get(("bbo", market, True)):
            self._tell_interactive(market, version)
        if moved:
            self._broadcast("bbo", market, partial(self._bbo_frame, market, rpi=False))

    def _tell_interactive(self, market: str, version: Version) -> None:
        overlay = self._overlays[market]
        if not version.changes:
            overlay.step(self.noise)
        before = self._rpi_touch.get(market)
        sides = overlay.changes(version.changes)
        event = self._event(version, sbe.DELTA, self._touches(market))
        self._broadcast("book", market, partial(self._book_frame, market, event, sides, "delta"), rpi=True)
        bids, asks = overlay.levels()
        touch = self._rpi_touch[market] = (bids[:1], asks[:1])
        if touch != before:
            self._broadcast("bbo", market, partial(self._bbo_frame, market, rpi=True), rpi=True)

    def _summaries(self) -> None:
        for market in self.specs:
            self.step_stats(market)
            self._eight_digits(market)
            self._broadcast("summary", market, partial(self._summary_frame, market))
        if self.set["layout"] == "unknown":
            now = self.event_us(self.clock.now_us())
            for session in self.sessions.values():
                if isinstance(session, ParadexSession):
                    data = sbe.unknown(self.layout(session.version), now)
                    session.send(Frame(data, "control", op=Op.BINARY))

    def _fundings(self) -> None:
        now = self.clock.now_us()
        for market, stats in self.stats.items():
            self.step_funding(market)
            elapsed = Decimal(now - self._funding_us[market]) / (facts.FUNDING_HOURS * 3_600_000_000)
            self._index[market] += self.rate(market) * stats.index * elapsed
            self._funding_us[market] = now
            self._broadcast("funding", market, partial(self._funding_frame, market))

    def _eight_digits(self, market: str) -> None:
        """Mark and index have eight decimals."""
        stats, decimals = self.stats[market], self.specs[market].price_decimals
        for name in ("mark", "index"):
            fraction = Decimal(self.noise.randrange(10 ** (8 - decimals))).scaleb(-8)
            setattr(stats, name, (getattr(stats, name) + fraction).quantize(EIGHT))

    # ---- frames ----

    def layout(self, version: int) -> Layout:
        """How frames of a negotiated version look now."""
        return _layout(version, self.set["layout"])

    def _event(self, version: Version, kind: int, touches: Touches = sbe.UNTOLD) -> BookEvent:
        return sbe.BookEvent(self.event_us(version.ts_us), version.seq, kind, touches)

    def _touches(self, market: str) -> Touches:
        return sbe.touches(self.specs[market], self.levels(market, rpi=True), self.levels(market, rpi=False))

    def _book_frame(self, market: str, event: BookEvent, sides: Sides, kind: Kind, layout: Layout) -> Frame:
        render = partial(sbe.book, self.specs[market], layout, event)
        return Frame(render(*sides), kind, market, op=Op.BINARY, render=render, bids=sides[0], asks=sides[1])

    def _delta_frame(self, market: str, version: Version, layout: Layout) -> Frame:
        sides: Sides = ([], [])
        for change in version.changes:
            sides[change.side].append((change.price, change.size))
        return self._book_frame(market, self._event(version, sbe.DELTA), sides, "delta", layout)

    def _snapshot_frame(self, market: str, layout: Layout, *, rpi: bool) -> Frame:
        touches = self._touches(market) if rpi else sbe.UNTOLD
        event = self._event(self.truths[market].last, sbe.SNAPSHOT, touches)
        return self._book_frame(market, event, self.levels(market, rpi=rpi), "snapshot", layout)

    def tops_frame(self, channel: Channel, version: int) -> Frame:
        """The best 15 levels, gathered to a price step where one was asked for."""
        market = channel.market or ""
        bids, asks = (
            _gathered(side, channel.tick, up=bool(number))[: facts.SNAPSHOT_DEPTH]
            for number, side in enumerate(self.levels(market, rpi=channel.rpi))
        )
        touches = self._touches(market) if channel.rpi else sbe.UNTOLD
        event = self._event(self.truths[market].last, sbe.SNAPSHOT, touches)
        return self._book_frame(market, event, (bids, asks), "snapshot", self.layout(version))

    def _bbo_frame(self, market: str, layout: Layout, *, rpi: bool) -> Frame:
        spec, last = self.specs[market], self.truths[market].last
        bids, asks = (side[:1] for side in self.levels(market, rpi=rpi))

        def render(bids: Levels, asks: Levels) -> bytes:
            return sbe.bbo(spec, layout, self.event_us(last.ts_us), last.seq, (bids, asks))

        return Frame(render(bids, asks), "bbo", market, op=Op.BINARY, render=render, bids=bids, asks=asks)

    def _trade_frame(self, market: str, event: TradeEvent, layout: Layout) -> Frame:
        return Frame(
            sbe.trade(self.specs[market], layout, event, trade_id(event.trade)), "trades", market, op=Op.BINARY
        )

    def _summary_frame(self, market: str, layout: Layout) -> Frame:
        spec, stats, truth = self.specs[market], self.stats[market], self.truths[market]
        last = Decimal(spec.price(truth.trades[-1].price))
        bid, ask = (sbe.mantissas(spec, level) for level in truth.book.touch())
        event = sbe.SummaryEvent(
            self.event_us(self.clock.now_us()),
            sbe.units(stats.mark),
            sbe.units(stats.index),
            sbe.units(last),
            sbe.units(day_volume(stats, truth) * last),
            sbe.units(stats.open_interest),
            sbe.units(self.rate(market)),
            bid[0],
            ask[0],
            sbe.units(last / stats.previous_day - 1),
            bid[1],
            ask[1],
            sbe.units(self.rate(market), 12),
        )
        return Frame(sbe.summary(spec, layout, event), "stats", market, op=Op.BINARY)

    def _funding_frame(self, market: str, layout: Layout) -> Frame:
        stats, rate = self.stats[market], self.rate(market)
        event = sbe.FundingEvent(
            self.event_us(self.clock.now_us()),
            self.truths[market].last.seq,
            sbe.units(rate),
            sbe.units(self._index[market]),
            self.event_us(self._funding_us[market]),
            sbe.units(rate * stats.index),
            sbe.units(rate),
            facts.FUNDING_HOURS,
            sbe.units((stats.mark - stats.index) / stats.index),
        )
        return Frame(sbe.funding(self.specs[market], layout, event), "stats", market, op=Op.BINARY)

    # ---- channels ----

    def _broadcast(self, kind: str, market: str, make: Callable[..., Frame], *, rpi: bool = False) -> None:
        frames: dict[int, Frame] = {}
        for key in ((kind, market, rpi), (kind, None, rpi)):
            for session in self._listeners.get(key, ()):
                if not session.wants(key, market):
                    continue
                if session.version not in frames:
                    frames[session.version] = make(layout=self.layout(session.version))
                session.send(frames[session.version])

    def listen(self, channel: Channel, session: ParadexSession) -> None:
        """Deliver a channel to a session."""
        self._listeners.setdefault((channel.kind, channel.market, channel.rpi), {})[session] = None

    def unlisten(self, channel: Channel, session: ParadexSession) -> None:
        """Deliver it no longer, unless the session holds the same under another name."""
        key = (channel.kind, channel.market, channel.rpi)
        if all((known.kind, known.market, known.rpi) != key for known in session.held.values()):
            self._listeners.get(key, {}).pop(session, None)

    def first(self, channel: Channel, session: ParadexSession) -> Iterator[Frame]:
        """What follows an acknowledgement: a book always, most others if switched so."""
        layout = self.layout(session.version)
        if channel.kind == "book" and channel.market is not None:
            yield self._snapshot_frame(channel.market, layout, rpi=channel.rpi)
            return
        make = {"summary": self._summary_frame, "funding": self._funding_frame}.get(channel.kind)
        if self.set["greets"] != "1":
            return
        for market in self.specs if channel.market is None else [channel.market]:
            if channel.kind == "bbo":
                yield self._bbo_frame(market, layout, rpi=channel.rpi)
            elif make is not None and session.wants((channel.kind, channel.market, channel.rpi), market):
                yield make(market, layout)

    # ---- shell ----

    def refusal(self, text: str) -> bytes | None:
        """What a faulty venue answers to a subscription."""
        value = subscribe_request(text)
        if value is None:
            return None
        request = control.parse(encode(value))
        failure = control.Failure(request.id, control.INVALID_REQUEST, "invalid subscribe request", "invalid channel")
        return control.error(failure, self.now_us(), self.now_us())

    def install(self, app: web.Application) -> None:
        """One socket beside REST."""
        app.router.add_get("/v1", self.websocket)
        Routes(self).install(app)

    def admit(self, request: web.Request) -> web.Response | None:
        """A connect that asks for no version, another schema or too high a version is refused, never served lower."""
        now = self.clock.monotonic()
        within = [window.spend(now) for window in self._opens]
        if not all(within) and self.violation("connects", request.remote or ""):
            return refusal(429, "TOO_MANY_REQUESTS", "rate limit exceeded")
        schema, version = request.query.get("sbeSchemaId", ""), request.query.get("sbeSchemaVersion", "")
        known = {str(number) for number in range(int(self.set["max_version"]) + 1)}
        if schema != str(facts.SCHEMA_ID) or version not in known:
            return refusal(400, "INVALID_REQUEST_PARAMETER", "unsupported SBE schema id or version")
        return None

    def open_session(self, connection: Connection, request: web.Request, ws: web.WebSocketResponse) -> ParadexSession:
        """See ``ParadexSession``."""
        return ParadexSession(self, connection, request, ws)


def _gathered(levels: Levels, tick: int, *, up: bool) -> Levels:
    """Levels at multiples of ``tick`` ticks: bids rounded down, asks up."""
    if tick == 1:
        return levels
    found: dict[int, int] = {}
    for price, size in levels:
        bucket = -(-price // tick) * tick if up else price // tick * tick
        found[bucket] = found.get(bucket, 0) + size
    return list(found.items())
