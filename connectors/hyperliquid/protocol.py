"""Hyperliquid's protocol: one connection, snapshot books, and remedies for a venue that never says what is wrong."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from bus.counters import Counter
from bus.errors import VenueError
from bus.events import Instrument, Reason, Source, Trust
from connectors.effects import (
    Count,
    Effects,
    Emit,
    Fetch,
    Note,
    Now,
    Open,
    Reconnect,
    Refusal,
    Reject,
    Reply,
    Send,
    VenueProtocol,
)
from connectors.feed import Agreement, MarketFeed
from connectors.hyperliquid import messages, spec
from connectors.hyperliquid.messages import NS_PER_MS, Asset, BookData
from connectors.polls import Polls, StandIns
from connectors.streams import Beat, Keepalive, Patience, Stream, Streams, Verdict
from connectors.venue import Context

MAIN: Final = "main"
IGNORED: Final = Count(Counter.IGNORED_FRAMES.label)
DUPLICATE: Final = Count(Counter.DUPLICATES.label)
HISTORY: Final = Count(Counter.HISTORY_TRADES.label)


class _Market:
    """What is known of one wanted market. Times ending in ``_ms`` are the venue's."""

    def __init__(self, market: str, context: Context) -> None:
        self.id = market
        self.feed = MarketFeed(market, context.rebuilds, spec.DEPTH)
        self.coin = ""
        """The venue's symbol while it is listed and tradable, else empty."""
        self.instrument: Instrument | None = None
        self.barred = False
        """Held to be what kills the connection: not subscribed until REST shows that the venue knows it."""
        self.strikes = 0
        self.book_key = ""
        self.book_ms = 0
        """Newest time accepted since the stream was last subscribed, ``bbo_ms`` likewise: it must not go back."""
        self.bbo_ms = 0
        self.replay = False
        """The next trades frame is the replay that follows a subscription."""
        self.asked_ms = 0
        self.trade_ms = 0
        self.tries = 0
        """Attempts to mend it since its book was last live."""
        self.one_sided = 0
        self.settled_ns: int | None = None
        self.check = Agreement("bbo", every_ns=spec.CHECK_NS, lasting_ns=spec.CHECK_DIVERGED_NS)
        self.quotes: deque[tuple[int, float | None, float | None]] = deque(maxlen=spec.QUOTES)
        """Newest quotes as time, bid, ask, for the comparison with the book of the same instant."""


class Hyperliquid:
    """See ``VenueProtocol``."""

    def __init__(self, context: Context) -> None:
        settings = context.settings
        self._settings = settings
        self._seen = context.seen
        self._markets = {market: _Market(market, context) for market in settings.markets}
        self._by_coin: dict[str, _Market] = {}
        self._stale = settings.stale_ms * NS_PER_MS
        probe = self._stale // 2
        silence = probe if probe >= spec.PROBE_MIN_NS else self._stale
        self._patience = {kind: Patience(spec.ACK_NS) for kind in spec.STREAMS}
        self._patience["l2Book"] = Patience(spec.ACK_NS, spec.FIRST_NS, silence)
        interval = settings.ping_interval_ms * NS_PER_MS
        self._keepalive = Keepalive(interval, interval + spec.PONG_NS)
        self._streams = Streams()
        self._polls = Polls()
        self._stand_ins = StandIns(
            self._polls,
            self._fetch_book,
            after_ns=spec.REST_FALLBACK_AFTER_NS,
            every_ns=spec.REST_BOOK_NS,
            stale_ns=self._stale,
        )
        self._wall = 0
        self._open = False
        self._leaving = False
        self._careful = False
        """Ask for one stream at a time, because the connection died just after a burst of requests."""
        self._asked = 0
        self._waiting: deque[tuple[str, str]] = deque()
        self._spare_until = 0
        self._unknown: set[str] = set()
        self._due: int | None = None
        self._handlers: dict[type, Callable[[Any, Now], Effects]] = {
            messages.BookFrame: self._on_book,
            messages.BboFrame: self._on_bbo,
            messages.TradesFrame: self._on_trades,
            messages.CtxFrame: self._on_ctx,
            messages.AckFrame: self._on_ack,
            messages.ErrorFrame: self._on_error,
            messages.PongFrame: self._on_pong,
            messages.Envelope: self._on_unknown,
        }

    @property
    def deadline(self) -> int | None:
        """See ``VenueProtocol``."""
        due, streams = self._due, self._streams.deadline
        if due is None or streams is None:
            return streams if due is None else due
        return min(due, streams)

    def start(self, now: Now) -> Effects:
        """Read the market list and connect side by side; nothing is subscribed before the list is known."""
        self._polls.add(self._fetch_markets, now, every_ns=spec.MARKETS_NS)
        return [Open(MAIN, self._settings.ws_url + spec.WS_PATH), *self._armed([], now)]

    def opened(self, conn: str, now: Now) -> Effects:
        """Subscribe to every market that is known to be listed, the least suspect first."""
        self._streams.forget(MAIN)
        self._waiting.clear()
        self._open, self._leaving = True, False
        self._keepalive.opened(now)
        return self._armed(self._subscribe(sorted(self._by_coin.values(), key=lambda market: market.strikes), now), now)

    def refused(self, conn: str, refusal: Refusal, now: Now) -> Effects:
        """Nothing to negotiate: the engine tries again."""
        return []

    def closed(self, conn: str, now: Now) -> Effects:
        """Nothing that came by the connection may be used any more."""
        effects: Effects = []
        if self._open and not self._leaving and now.mono - self._asked <= spec.KILL_NS:
            effects += self._suspect()
        self._open = False
        self._keepalive.closed()
        self._streams.forget(MAIN)
        for market in self._markets.values():
            effects += self._lost(market, Trust.STALE, now)
        return self._armed(effects, now)

    def received(self, conn: str, frame: bytes, binary: bool, now: Now) -> Effects:  # noqa: FBT001
        """Digest one frame."""
        try:
            message = messages.decode(frame)
            return self._handlers[type(message)](message, now)
        except VenueError as error:
            return [IGNORED] if frame == messages.GREETING else [Reject(conn, str(error), frame)]

    def ponged(self, conn: str, now: Now) -> Effects:
        """Control frames say nothing here: the venue's keepalive is a text frame."""
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
            effects += self._leave(Reason.PONG_TIMEOUT, "two pings unanswered")
        overdue = self._streams.overdue(now)
        for stream, verdict in overdue:
            if verdict is Verdict.SILENT and self._silence(stream, now) >= self._stale:
                effects += self._lost(self._by_coin[stream.market], Trust.STALE, now)
        for stream, verdict in overdue:
            effects += self._late(stream, verdict, now)
        for market in self._stand_ins.expired(now):
            effects += self._markets[market].feed.invalidate(Trust.STALE)
        self._stand_ins.begin(now)
        return self._armed(effects, now)

    def _armed(self, effects: Effects, now: Now) -> Effects:
        """``effects`` and the calls that are due; after anything but data, whose deadlines only move away."""
        self._wall = now.wall
        effects = [*effects, *self._polls.due(now)]
        dues = (self._polls.deadline, self._keepalive.deadline, self._stand_ins.deadline)
        self._due = min((due for due in dues if due is not None), default=None)
        return effects

    # Discovery and REST

    def _info(self, name: str, market: str | None, weight: int, body: dict[str, object]) -> Fetch:
        url, timeout_s = self._settings.rest_url + spec.INFO_PATH, self._settings.rest_timeout_ms / 1e3
        return Fetch(name, url, market, method="POST", json=body, timeout_s=timeout_s, weight=weight)

    def _fetch_markets(self) -> Fetch:
        return self._info("markets", None, spec.WEIGHT_OTHER, {"type": "meta"})

    def _fetch_book(self, market: str) -> Fetch:
        return self._info("book", market, spec.WEIGHT_BOOK, {"type": "l2Book", "coin": self._markets[market].coin})

    def _fetch_settled(self, market: str) -> Fetch:
        start = (self._wall - 2 * spec.HOUR) // NS_PER_MS
        body = {"type": "fundingHistory", "coin": self._markets[market].coin, "startTime": start}
        return self._info("funding", market, spec.WEIGHT_FUNDING, body)

    def _digest(self, request: Fetch, body: messages.Body | None, now: Now) -> Effects:
        try:
            if isinstance(body, messages.Universe):
                return self._on_markets(body.universe, now)
            market = self._markets[request.market or ""]
            if isinstance(body, messages.BookData):
                return self._on_rest_book(market, body, now)
            return [] if body is None else self._on_settled(market, body, now)
        except VenueError as error:
            return [Reject(request.name, str(error), b"")]

    def _on_markets(self, assets: list[Asset], now: Now) -> Effects:
        effects: Effects = []
        found: list[_Market] = []
        for market in self._markets.values():
            asset = messages.find(assets, market.id)
            if asset is None or asset.is_delisted:
                effects += self._unlist(market, "delisted" if asset else "not listed")
            else:
                found += [] if market.coin else [market]
                effects += self._list(market, asset, now)
        if len(self._by_coin) < len(self._markets):
            self._polls.add(self._fetch_markets, now, every_ns=spec.MARKETS_NS, after_ns=spec.UNLISTED_NS)
        return effects + (self._subscribe(found, now) if self._open else [])

    def _list(self, market: _Market, asset: Asset, now: Now) -> Effects:
        if not market.coin:
            market.coin, market.book_key = asset.name, f"l2Book:{asset.name}"
            self._by_coin[asset.name] = market
            self._stand_ins.missing(market.id, now)
            self._polls.add(partial(self._fetch_settled, market.id), now, after_ns=spec.SETTLED_AFTER_NS)
        instrument = messages.instrument(asset)
        if instrument == market.instrument:
            return []
        market.instrument = instrument
        return [Emit(market.id, instrument)]

    def _unlist(self, market: _Market, why: str) -> Effects:
        effects: Effects = [Note("warning", "market_unavailable", {"market": market.id, "why": why})]
        if market.coin:
            asked = [stream for stream in self._streams if stream.market == market.coin]
            for stream in asked:
                self._streams.drop(stream.key)
                effects.append(Send(MAIN, messages.subscribe(stream.kind, market.coin, "unsubscribe")))
            self._stand_ins.served(market.id)
            self._polls.remove("funding", market.id)
            del self._by_coin[market.coin]
            market.coin = ""
        return effects + market.feed.invalidate(Trust.STALE)

    def _on_rest_book(self, market: _Market, data: BookData, now: Now) -> Effects:
        """Use a REST book where the stream has none, unless what was shown last is newer."""
        market.barred = False
        venue_ns = data.time * NS_PER_MS
        if market.id not in self._stand_ins or market.feed.live or venue_ns < (market.feed.venue_ns or 0):
            return [IGNORED]
        levels = messages.flat(data.levels)
        if messages.crossed(levels):
            return [Count(Counter.CROSSED_BOOKS.label), *market.feed.invalidate(Trust.RESYNC)]
        effects = market.feed.whole(venue_ns, None, levels, kept=False, trust=Trust.REST, source=Source.REST)
        self._stand_ins.seen(market.id, now)
        return [Count(Counter.REST_BOOKS.label), *effects]

    def _on_settled(self, market: _Market, rows: list[messages.FundingRow], now: Now) -> Effects:
        """Publish the newest charged hour, and ask again after the next one."""
        hour_ns = now.wall // spec.HOUR * spec.HOUR
        newest = messages.settled(rows[-1]) if rows else None
        current = newest is not None and (newest.venue_ns or 0) >= hour_ns
        wait = hour_ns + spec.HOUR + spec.SETTLED_AFTER_NS - now.wall if current else spec.SETTLED_RETRY_NS
        self._polls.add(partial(self._fetch_settled, market.id), now, after_ns=wait)
        if newest is None or newest.venue_ns == market.settled_ns:
            return []
        market.settled_ns = newest.venue_ns
        return [Emit(market.id, newest)]

    # Subscriptions

    def _subscribe(self, markets: list[_Market], now: Now) -> Effects:
        """Ask for all streams of these markets: all books first, or market by market while a killer is looked for."""
        allowed = [market for market in markets if not market.barred]
        for market in allowed:
            market.book_ms = market.bbo_ms = 0
            market.replay, market.asked_ms = True, now.wall // NS_PER_MS
            market.quotes.clear()
        if self._careful:
            self._waiting.extend((kind, market.coin) for market in allowed for kind in spec.STREAMS)
        else:
            self._waiting.extend((kind, market.coin) for kind in spec.STREAMS for market in allowed)
        return self._ask(now)

    def _ask(self, now: Now) -> Effects:
        effects: Effects = []
        while self._waiting and not (self._careful and self._pending()):
            kind, coin = self._waiting.popleft()
            self._streams.request(Stream(MAIN, f"{kind}:{coin}", kind, coin, self._patience[kind], now.mono))
            self._asked = now.mono
            effects.append(Send(MAIN, messages.subscribe(kind, coin)))
        self._careful = self._careful and bool(self._pending())
        return effects

    def _pending(self) -> list[Stream]:
        return [stream for stream in self._streams if stream.acked is None]

    def _suspect(self) -> Effects:
        """The connection died just after subscribing: from now on ask one by one, and bar the coin it dies of.

        A coin is barred only when others were acknowledged before it: a server that hangs up on everybody is no sign.
        """
        pending = self._pending()
        if not pending:
            return []
        if not self._careful:
            self._careful = True
            return [Note("warning", "died_after_subscribing", {"pending": sorted(stream.key for stream in pending)})]
        market = self._by_coin[pending[0].market]
        market.strikes += 1
        acked = any(stream.acked is not None and stream.market != market.coin for stream in self._streams)
        if market.strikes < spec.STRIKES or not acked:
            return []
        market.barred = True
        return [Note("error", "market_barred", {"market": market.id, "request": pending[0].key})]

    def _on_ack(self, frame: messages.AckFrame, now: Now) -> Effects:
        key = frame.data.subscription.key
        if frame.data.method == "unsubscribe":
            return self._again(key, now)
        return self._ask(now) if self._streams.ack(key, now) else [IGNORED]

    def _again(self, key: str, now: Now) -> Effects:
        """An unsubscribe was confirmed: only now may the stream be asked for again, or the venue mixes the two up."""
        stream = self._streams.get(key)
        if stream is None:
            return [IGNORED]
        market = self._by_coin[stream.market]
        market.book_ms, market.bbo_ms = (0, market.bbo_ms) if stream.kind == "l2Book" else (market.book_ms, 0)
        self._asked = now.mono
        return [Send(MAIN, messages.subscribe(stream.kind, stream.market))]

    def _on_error(self, frame: messages.ErrorFrame, now: Now) -> Effects:
        """Errors leave the connection open; those that say "already" are as good as an acknowledgement."""
        words, key = messages.complaint(frame.data)
        if words == "Already subscribed" and key is not None and self._streams.ack(key, now):
            return self._ask(now)
        if words == "Already unsubscribed" and key is not None:
            return self._again(key, now)
        note = Note("warning", "venue_error", {"text": frame.data[:200]})
        return [note, *(self._leave(Reason.SUBSCRIBE_ERROR, words[:200]) if self._pending() else [])]

    # Remedies

    def _leave(self, reason: Reason, detail: str) -> Effects:
        if self._leaving or not self._open:
            return []
        self._leaving = True
        return [Reconnect(MAIN, reason, detail)]

    def _lost(self, market: _Market, trust: Trust, now: Now) -> Effects:
        """The stream's book may not be used: say so, unless a REST book has taken its place, and have REST stand in."""
        if not market.coin or market.feed.trust is Trust.REST:
            return []
        self._stand_ins.missing(market.id, now)
        return market.feed.invalidate(trust)

    def _mend(self, market: _Market, reason: Reason, detail: str, now: Now, *, alone: bool) -> Effects:
        """Subscribe one market anew; when that has not helped, give up the connection, but spare the others."""
        market.tries += 1
        if not alone or (market.tries > spec.TRIES and now.mono >= self._spare_until):
            self._spare_until = now.mono + spec.SPARE_NS
            return self._leave(reason, detail)
        kinds = [kind for kind in ("l2Book", "bbo") if self._streams.get(f"{kind}:{market.coin}")]
        requests = [Send(MAIN, messages.subscribe(kind, market.coin, "unsubscribe")) for kind in kinds]
        return [Count(Counter.RESYNCS.label), *requests]

    def _late(self, stream: Stream, verdict: Verdict, now: Now) -> Effects:
        if self._leaving:
            return []
        market, detail = self._by_coin[stream.market], f"{stream.key}: {verdict.value}"
        if verdict is Verdict.ACK:
            return self._leave(Reason.ACK_TIMEOUT, detail)
        alone = any(other.feed.live for other in self._by_coin.values() if other is not market)
        if verdict is Verdict.FIRST:
            return self._mend(market, Reason.SNAPSHOT_TIMEOUT, detail, now, alone=alone)
        # An early look, before the threshold: the first frame of a new subscription tells quiet from dead.
        early = self._silence(stream, now) < self._stale
        reason = Reason.MARKET_STALE if alone else Reason.STALE_WATCHDOG
        return self._mend(market, reason, detail, now, alone=alone or early)

    def _silence(self, stream: Stream, now: Now) -> int:
        return now.mono - (stream.requested if stream.last is None else stream.last)

    # Data

    def _on_book(self, frame: messages.BookFrame, now: Now) -> Effects:
        data = frame.data
        market = self._by_coin.get(data.coin)
        if market is None or self._streams.get(market.book_key) is None:
            return [IGNORED]
        if data.time < market.book_ms:
            return [DUPLICATE]
        levels = messages.flat(data.levels)
        market.book_ms = data.time
        if messages.crossed(levels):
            return self._on_crossed(market, now)
        effects = market.feed.whole(data.time * NS_PER_MS, None, levels, kept=False)
        self._streams.data(market.book_key, now)
        if market.id in self._stand_ins or market.tries:
            self._stand_ins.served(market.id)
            market.tries = 0
            market.check.restart()
        return effects

    def _on_crossed(self, market: _Market, now: Now) -> Effects:
        """A book that contradicts itself: nothing is usable until the venue shows a sane one."""
        effects = [Count(Counter.CROSSED_BOOKS.label), *self._lost(market, Trust.RESYNC, now)]
        return effects + self._mend(market, Reason.CROSSED_BOOK, "crossed", now, alone=True)

    def _on_bbo(self, frame: messages.BboFrame, now: Now) -> Effects:
        data = frame.data
        market = self._by_coin.get(data.coin)
        if market is None or not self._streams.data(f"bbo:{data.coin}", now):
            return [IGNORED]
        if data.time < market.bbo_ms:
            return [DUPLICATE]
        market.bbo_ms = data.time
        return market.feed.quote(data.time * NS_PER_MS, None, messages.touch(data))

    def _on_trades(self, frame: messages.TradesFrame, now: Now) -> Effects:
        """The first array after a subscription is a replay of the past, with nothing to mark it."""
        market = self._by_coin.get(frame.data[0].coin) if frame.data else None
        if market is None or not self._streams.data(f"trades:{market.coin}", now):
            return [IGNORED]
        history = market.replay and (len(frame.data) > 1 or frame.data[0].time < market.asked_ms)
        market.replay = False
        trades = [(data, messages.trade(data, history=history)) for data in frame.data]
        effects: Effects = []
        if history and 0 < market.trade_ms < frame.data[0].time:
            effects.append(Note("warning", "trades_missed", {"market": market.id, "after_ms": market.trade_ms}))
        for data, event in trades:
            if not self._seen.first_time(market.id, event.trade_id):
                effects.append(DUPLICATE)
                continue
            effects += [HISTORY] if history else []
            effects.append(Emit(market.id, event))
            market.trade_ms = max(market.trade_ms, data.time)
        return effects

    def _on_ctx(self, frame: messages.CtxFrame, now: Now) -> Effects:
        data = frame.data
        market = self._by_coin.get(data.coin)
        if market is None or not self._streams.data(f"activeAssetCtx:{data.coin}", now):
            return [IGNORED]
        return [
            Emit(market.id, messages.stats(data.ctx)),
            Emit(market.id, messages.running(data.ctx, now.wall)),
        ]

    def _on_pong(self, frame: messages.PongFrame, now: Now) -> Effects:
        self._keepalive.answered()
        return self._armed([], now)

    def _on_unknown(self, frame: messages.Envelope, now: Now) -> Effects:
        effects: Effects = [Count(Counter.UNKNOWN_FRAMES.label)]
        if frame.channel not in self._unknown and len(self._unknown) < spec.NOTED_CHANNELS:
            self._unknown.add(frame.channel)
            effects.append(Note("warning", "unknown_channel", {"channel": frame.channel[:80]}))
        return effects


def protocol(context: Context) -> VenueProtocol:
    """A protocol for one generation of the connector."""
    return Hyperliquid(context)
