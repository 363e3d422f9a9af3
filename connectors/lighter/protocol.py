"""Lighter's protocol: one connection, books by snapshot and chained differences, each market rebuilt by itself."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final

from bus.counters import Counter
from bus.errors import VenueError
from bus.events import Reason, Trust
from connectors.effects import Count, Effects, Fetch, Note, Now, Open, Refusal, Reject, Reply, Send, VenueProtocol
from connectors.lighter import messages, spec
from connectors.lighter.market import IGNORED, Market, aggregate, shutdown
from connectors.lighter.spec import NS_PER_MS
from connectors.polls import Polls, StandIns
from connectors.recovery import Recovery
from connectors.streams import Beat, Keepalive, Patience, Requests, Stream, Streams, Verdict, earliest
from connectors.venue import Context

MAIN: Final = "main"


def _ignore(_: object, __: Now) -> Effects:
    return [IGNORED]


class Lighter:
    """See ``VenueProtocol``."""

    def __init__(self, context: Context) -> None:
        settings = context.settings
        self._settings = settings
        self._markets = {market: Market(market, context) for market in settings.markets}
        self._by_channel: dict[str, Market] = {}
        self._stale = settings.stale_ms * NS_PER_MS
        silence = self._stale // 2 if self._stale >= 2 * spec.PROBE_MIN_NS else self._stale
        self._patience = {kind: Patience(spec.ACK_NS) for kind in spec.CHANNELS}
        self._patience["market_stats"] = Patience(spec.ACK_NS, None, spec.STATS_NS)
        self._patience["order_book"] = Patience(None, spec.SNAPSHOT_NS, silence)
        interval = settings.ping_interval_ms * NS_PER_MS
        self._keepalive = Keepalive(interval, interval + spec.PONG_NS)
        self._streams = Streams()
        self._requests = Requests(self._streams, spec.IN_FLIGHT)
        self._polls = Polls()
        self._stand_ins = StandIns(
            self._polls,
            partial(self._fetch_book, "book"),
            after_ns=spec.REST_FALLBACK_AFTER_NS,
            every_ns=max(spec.SECOND, spec.REST_SHARE_NS * len(self._markets)),
            stale_ns=self._stale,
        )
        feeds = {name: market.feed for name, market in self._markets.items()}
        self._recovery = Recovery(MAIN, feeds, self._stand_ins, tries=spec.TRIES)
        self._open, self._limited_until = False, 0
        """The venue has said that it is asked too much: reconnecting would only ask more."""
        self._unknown: set[str] = set()
        self._due: int | None = None
        self._handlers: dict[type, Callable[[Any, Now], Effects]] = {
            messages.Snapshot: self._on_snapshot,
            messages.Difference: self._on_difference,
            messages.FirstTicker: self._on_ticker,
            messages.TickerFrame: self._on_ticker,
            messages.FirstTrades: self._on_trades,
            messages.TradesFrame: self._on_trades,
            messages.FirstStats: self._on_stats,
            messages.StatsFrame: self._on_stats,
            messages.Unsubscribed: _ignore,
            messages.Connected: _ignore,
            messages.Height: _ignore,
            messages.Ping: self._on_ping,
            messages.Pong: self._on_pong,
            messages.Shutdown: self._on_shutdown,
            messages.ErrorFrame: self._on_error,
            messages.Envelope: self._on_unknown,
        }

    @property
    def deadline(self) -> int | None:
        """See ``VenueProtocol``."""
        return earliest(self._due, self._streams.deadline)

    def start(self, now: Now) -> Effects:
        """Read the market list and connect side by side; channels need the ids that the list gives."""
        self._polls.add(self._fetch_markets, now, every_ns=spec.MARKETS_NS)
        return [Open(MAIN, self._settings.ws_url + spec.WS_PATH), *self._armed([], now)]

    def opened(self, conn: str, now: Now) -> Effects:
        """Subscribe to every market that is known to be listed; the greeting need not be waited for."""
        self._open = True
        self._recovery.opened()
        self._keepalive.opened(now)
        markets = [market for market in self._markets.values() if market.number is not None]
        return self._armed(self._subscribe(markets, now), now)

    def refused(self, conn: str, refusal: Refusal, now: Now) -> Effects:
        """Nothing to negotiate, but the body tells why (a restricted region is told so with code 20558)."""
        body = refusal.body[:200].decode(errors="backslashreplace")
        return [Note("warning", "upgrade_refused", {"status": refusal.status, "body": body})] if body else []

    def closed(self, conn: str, now: Now) -> Effects:
        """Nothing that came by the connection may be used or continued any more."""
        self._open = False
        self._recovery.closed()
        self._keepalive.closed()
        self._streams.forget(MAIN)
        self._requests.clear()
        effects: Effects = []
        for market in self._markets.values():
            market.disconnected()
            if market.number is not None:
                effects += self._recovery.lost(market.id, Trust.STALE, now)
        return self._armed(effects, now)

    def received(self, conn: str, frame: bytes, binary: bool, now: Now) -> Effects:  # noqa: FBT001
        """Digest one frame."""
        if binary:
            return [Reject(conn, "binary frame", frame)]
        try:
            message = messages.decode(frame)
            return self._handlers[type(message)](message, now)
        except VenueError as error:
            return [Reject(conn, str(error), frame), *self._spoilt(frame, now)]

    def ponged(self, conn: str, now: Now) -> Effects:
        """Control frames say nothing here: the keepalive is a text frame."""
        return []

    def fetched(self, request: Fetch, reply: Reply, now: Now) -> Effects:
        """Digest a REST answer."""
        try:
            body = messages.body(request.name, reply.body) if reply.ok else None
        except VenueError as error:
            self._polls.done(request, reply, now, usable=False)
            return self._armed([Reject(request.name, str(error), reply.body)], now)
        self._polls.done(request, reply, now, usable=reply.ok)
        return self._armed(self._digest(request, body, now), now)

    def woken(self, now: Now) -> Effects:
        """Polls, keepalive and whatever has missed its time."""
        effects: Effects = []
        beat = self._keepalive.due(now)
        if beat is Beat.PING:
            effects.append(Send(MAIN, messages.PING))
        elif beat is Beat.DEAD:
            effects += self._recovery.leave(Reason.PONG_TIMEOUT, "two pings unanswered")
        overdue = self._streams.overdue(now)
        for stream, verdict in overdue:
            if stream.kind == "order_book" and verdict is Verdict.SILENT and stream.silent_ns(now) >= self._stale:
                effects += self._recovery.lost(stream.market, Trust.STALE, now)
        for stream, verdict in overdue:
            effects += self._late(stream, verdict, now)
        effects += [*self._mend(now), *self._ask(now), *self._recovery.expired(now)]
        self._stand_ins.begin(now)
        return self._armed(effects, now)

    def _armed(self, effects: Effects, now: Now) -> Effects:
        """``effects`` and the calls that are due; after anything but data, whose deadlines only move away."""
        effects = [*effects, *self._polls.due(now)]
        waiting = (self._polls, self._keepalive, self._stand_ins, self._recovery)
        self._due = earliest(*(each.deadline for each in waiting))
        return effects

    # Discovery and REST

    def _fetch(self, name: str, market: str | None, path: str, params: dict[str, str], cause: int = 0) -> Fetch:
        url, timeout_s = self._settings.rest_url + path, self._settings.rest_timeout_ms / 1e3
        return Fetch(name, url, market, params=tuple(params.items()), timeout_s=timeout_s, cause=cause)

    def _fetch_markets(self) -> Fetch:
        return self._fetch("markets", None, spec.MARKETS_PATH, {})

    def _fetch_book(self, name: str, market: str) -> Fetch:
        found = self._markets[market]
        params = {"market_id": str(found.number), "limit": str(spec.PROBE_ORDERS)}
        return self._fetch(name, market, spec.BOOK_PATH, params, found.frames)

    def _digest(self, request: Fetch, body: messages.Body | None, now: Now) -> Effects:
        if isinstance(body, messages.Details):
            return self._on_markets(body, now)
        market = self._markets[request.market or ""] if request.market else None
        if body is None or market is None or market.number is None:
            return []
        if request.name == "probe":
            return self._on_probe(market, request, body, now)
        if not body.bids and not body.asks:
            return [Note("warning", "rest_book_empty", {"market": market.id})]
        try:
            return self._recovery.rest_book(market.id, None, aggregate(body, market.decimals), now, spec.PROBE_ORDERS)
        except VenueError as error:
            return [Reject(request.name, str(error), b"")]

    def _on_markets(self, details: messages.Details, now: Now) -> Effects:
        rows, bad = messages.rows(details)
        effects: Effects = [Reject("markets", problem, sample) for problem, sample in bad[: spec.NOTED_KINDS]]
        found: list[Market] = []
        for market in self._markets.values():
            row = messages.find(rows, market.id)
            if market.number is not None and (row is None or row.market_id != market.number):
                effects += self._unlist(market)
            if row is None:
                effects.append(Note("warning", "market_unavailable", {"market": market.id}))
                continue
            if market.number is None:
                found.append(market)
                self._stand_ins.missing(market.id, now)
            effects += market.listed(row)
        if None in {market.number for market in self._markets.values()}:
            self._polls.add(self._fetch_markets, now, every_ns=spec.MARKETS_NS, after_ns=spec.UNLISTED_NS)
        return effects + (self._subscribe(found, now) if self._open else [])

    def _unlist(self, market: Market) -> Effects:
        effects: Effects = []
        for kind in spec.CHANNELS:
            channel = market.channel(kind)
            self._by_channel.pop(channel, None)
            if self._streams.get(channel) is not None:
                self._streams.drop(channel)
                effects.append(Send(MAIN, messages.subscribe(channel, "unsubscribe")))
        self._requests.forget(market.id)
        self._stand_ins.served(market.id)
        market.number = None
        market.disconnected()
        return effects + market.feed.invalidate(Trust.STALE)

    def _on_probe(self, market: Market, request: Fetch, orders: messages.Orders, now: Now) -> Effects:
        """A silent book was compared with REST: equal is quiet; different twice, with no frame between, is dead."""
        if market.nonce is None or request.cause != market.frames:
            return [IGNORED]
        if market.agrees(orders):
            market.doubted = None
            self._streams.data(market.channel("order_book"), now)
            return self._settle(market, market.confirmed(), now)
        if market.doubted != market.frames:
            market.doubted = market.frames
            return [self._fetch_book("probe", market.id)]
        heard = max(stream.last or stream.requested for stream in self._streams)
        if now.mono - heard >= self._stale // 4:
            return self._recovery.leave(Reason.STALE_WATCHDOG, "REST moves on and nothing comes")
        return self._rebuild(market, Reason.MARKET_STALE, "REST shows another book", now)

    # Subscriptions

    def _subscribe(self, markets: list[Market], now: Now) -> Effects:
        for kind in spec.CHANNELS:
            for market in markets:
                channel = market.channel(kind)
                self._by_channel[channel] = market
                self._requests.add(Stream(MAIN, channel, kind, market.id, self._patience[kind], now.mono))
        return self._ask(now)

    def _ask(self, now: Now) -> Effects:
        return [Send(MAIN, messages.subscribe(stream.key)) for stream in self._requests.due(now)]

    def _market(self, channel: str, now: Now) -> Market | None:
        """The market of a channel that was asked for; its data is noted, and makes room for the next request."""
        stream = self._streams.get(channel)
        if stream is None:
            return None
        self._streams.data(channel, now)
        return self._by_channel[channel]

    def _settle(self, market: Market, effects: Effects, now: Now) -> Effects:
        """``effects`` of a frame, with the remedy when it showed that the book is wrong, and what may be asked now."""
        if market.trouble is not None:
            return effects + self._rebuild(market, *market.trouble, now)
        if market.feed.live:
            self._recovery.live(market.id, now)
        return effects + self._ask(now) if self._requests else effects

    def _on_error(self, frame: messages.ErrorFrame, now: Now) -> Effects:
        """A refusal leaves the connection open and mostly does not say of what: deadlines find what is missing."""
        effects: Effects = [Note("warning", "venue_error", {"code": frame.code, "text": frame.message[:200]})]
        channel = messages.channel_in(frame.message)
        if frame.code == spec.NOT_SUBSCRIBED:
            return [IGNORED]
        if frame.code == spec.ALREADY_SUBSCRIBED and channel is not None and self._streams.ack(channel, now):
            market = self._by_channel[channel]
            # The subscription is alive, but no snapshot will come of asking again.
            waiting = channel == market.channel("order_book") and market.nonce is None
            return self._rebuild(market, Reason.SUBSCRIBE_ERROR, frame.message, now) if waiting else self._ask(now)
        if frame.code == spec.INVALID_CHANNEL:
            self._polls.add(self._fetch_markets, now, every_ns=spec.MARKETS_NS, after_ns=spec.SECOND)
        elif frame.code == spec.TOO_MANY_IN_FLIGHT:
            self._requests.window = max(spec.FEWEST_IN_FLIGHT, (self._requests.window or 0) // 2)
        elif frame.code in spec.TOO_FAST:
            self._limited_until = now.mono + spec.LIMITED_NS
            self._keepalive.answered()
        return self._armed(effects, now)

    # Remedies

    def _rebuild(self, market: Market, reason: Reason, detail: str, now: Now) -> Effects:
        """A book can no longer be used: say so first, then ask for another. The quote stream is another matter."""
        market.broken()
        effects = self._recovery.lost(market.id, Trust.RESYNC, now, quote=False)
        effects += self._recovery.failed(market.id, reason, detail, now, alone=True)
        return self._armed(effects + self._mend(now), now)

    def _spoilt(self, frame: bytes, now: Now) -> Effects:
        """A frame that cannot be read may have been a difference: of the book it names, or, mangled, of any."""
        channel = messages.channel_of(frame)
        effects: Effects = []
        if channel is None and messages.well_formed(frame):
            return effects
        for market in self._markets.values():
            if market.nonce is not None if channel is None else market.channel("order_book") == channel:
                effects += self._rebuild(market, Reason.PARSE_ERROR, "a frame of it could not be read", now)
        return effects

    def _mend(self, now: Now) -> Effects:
        """Unsubscribe and subscribe back to back: a lone subscribe would be refused and bring no snapshot."""
        effects: Effects = []
        for name in self._recovery.due(now):
            self._markets[name].broken()
            effects.append(Count(Counter.RESYNCS.label))
            effects += self._again(self._markets[name], "order_book", now)
        return effects

    def _again(self, market: Market, kind: str, now: Now) -> Effects:
        channel = market.channel(kind)
        self._streams.request(Stream(MAIN, channel, kind, market.id, self._patience[kind], now.mono))
        return [Send(MAIN, messages.subscribe(channel, verb)) for verb in ("unsubscribe", "subscribe")]

    def _late(self, stream: Stream, verdict: Verdict, now: Now) -> Effects:
        if self._recovery.leaving:
            return []
        market, detail = self._markets[stream.market], f"{stream.key}: {verdict.value}"
        if verdict is Verdict.ACK:
            # Refusals cannot be attributed, so asking again is how to learn: "already subscribed" is an answer too.
            return [Send(MAIN, messages.subscribe(stream.key))]
        if stream.kind != "order_book":
            return self._again(market, stream.kind, now)
        alone = self._recovery.others_live(market.id)
        if verdict is Verdict.SILENT and stream.silent_ns(now) < self._stale:
            return [self._fetch_book("probe", market.id)]
        if verdict is Verdict.FIRST:
            reason = Reason.SNAPSHOT_TIMEOUT
        else:
            reason = Reason.MARKET_STALE if alone else Reason.STALE_WATCHDOG
        alone = alone or now.mono < self._limited_until
        return self._recovery.failed(market.id, reason, detail, now, alone=alone)

    # Data

    def _on_snapshot(self, frame: messages.Snapshot, now: Now) -> Effects:
        market = self._market(frame.channel, now)
        if market is None:
            return [IGNORED]
        return self._settle(market, market.snapshot(frame.order_book, now), now)

    def _on_difference(self, frame: messages.Difference, now: Now) -> Effects:
        market, stream = self._by_channel.get(frame.channel), self._streams.get(frame.channel)
        if market is None or stream is None:
            return [IGNORED]
        if market.nonce is not None:
            self._streams.data(stream.key, now)
        effects = market.difference(frame.order_book, now, stream.requested)
        if market.quote_behind(now):
            effects += [*market.feed.invalidate_quote(Trust.STALE), *self._again(market, "ticker", now)]
        return self._settle(market, effects, now)

    def _on_ticker(self, frame: messages.TickerFrame, now: Now) -> Effects:
        market = self._market(frame.channel, now)
        if market is None:
            return [IGNORED]
        return self._settle(market, market.quote(frame, now), now)

    def _on_trades(self, frame: messages.TradesFrame, now: Now) -> Effects:
        market = self._market(frame.channel, now)
        return [IGNORED] if market is None else self._settle(market, market.trades(frame, now), now)

    def _on_stats(self, frame: messages.StatsFrame, now: Now) -> Effects:
        market = self._market(frame.channel, now)
        if market is None:
            return [IGNORED]
        effects = market.figures(frame, now)
        return self._settle(market, effects + (self._again(market, "trade", now) if market.mute else []), now)

    def _on_ping(self, frame: messages.Ping, now: Now) -> Effects:
        return [Send(MAIN, messages.PONG)]

    def _on_pong(self, frame: messages.Pong, now: Now) -> Effects:
        self._keepalive.answered()
        return self._armed([], now)

    def _on_shutdown(self, frame: messages.Shutdown, now: Now) -> Effects:
        return shutdown(MAIN, frame)

    def _on_unknown(self, frame: messages.Envelope, now: Now) -> Effects:
        effects: Effects = [Count(Counter.UNKNOWN_FRAMES.label)]
        if frame.type not in self._unknown and len(self._unknown) < spec.NOTED_KINDS:
            self._unknown.add(frame.type)
            effects.append(Note("warning", "unknown_type", {"type": frame.type[:80]}))
        return effects


def protocol(context: Context) -> VenueProtocol:
    """A protocol for one generation of the connector."""
    return Lighter(context)
