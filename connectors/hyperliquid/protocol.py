"""Hyperliquid's protocol: one connection, snapshot books, and remedies for a venue that never says what is wrong."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final

from bus.counters import Counter
from bus.errors import VenueError
from bus.events import Reason, Trust
from connectors.effects import Count, Effects, Fetch, Note, Now, Open, Refusal, Reject, Reply, Send, VenueProtocol
from connectors.hyperliquid import messages, spec
from connectors.hyperliquid.market import DUPLICATE, IGNORED, Market
from connectors.hyperliquid.messages import NS_PER_MS, Asset, BookData
from connectors.polls import Polls, StandIns
from connectors.recovery import Recovery
from connectors.streams import Beat, Keepalive, Patience, Requests, Stream, Streams, Verdict, earliest
from connectors.venue import Context

MAIN: Final = "main"


class Hyperliquid:
    """See ``VenueProtocol``."""

    def __init__(self, context: Context) -> None:
        settings = context.settings
        self._settings = settings
        self._seen = context.seen
        self._markets = {market: Market(market, context) for market in settings.markets}
        self._by_coin: dict[str, Market] = {}
        self._stale = settings.stale_ms * NS_PER_MS
        probe = self._stale // 2
        silence = probe if probe >= spec.PROBE_MIN_NS else self._stale
        self._patience = {kind: Patience(spec.ACK_NS) for kind in spec.STREAMS}
        self._patience["activeAssetCtx"] = Patience(spec.ACK_NS, None, spec.CTX_NS)
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
        feeds = {market.id: market.feed for market in self._markets.values()}
        self._recovery = Recovery(MAIN, feeds, self._stand_ins, tries=spec.TRIES)
        self._requests = Requests(self._streams)
        """Its window is 1, so one by one, after the connection died just after a burst of requests."""
        self._asked = 0
        self._wall = 0
        self._open = False
        self._refused: set[str] = set()
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
        return earliest(self._due, self._streams.deadline)

    def start(self, now: Now) -> Effects:
        """Read the market list and connect side by side; nothing is subscribed before the list is known."""
        self._polls.add(self._fetch_markets, now, every_ns=spec.MARKETS_NS)
        return [Open(MAIN, self._settings.ws_url + spec.WS_PATH), *self._armed([], now)]

    def opened(self, conn: str, now: Now) -> Effects:
        """Subscribe to every market that is known to be listed, the least suspect first."""
        self._open = True
        self._recovery.opened()
        self._keepalive.opened(now)
        return self._armed(self._subscribe(sorted(self._by_coin.values(), key=lambda market: market.strikes), now), now)

    def refused(self, conn: str, refusal: Refusal, now: Now) -> Effects:
        """Nothing to negotiate: the engine tries again."""
        return []

    def closed(self, conn: str, now: Now) -> Effects:
        """Nothing that came by the connection may be used any more."""
        effects: Effects = []
        if not self._recovery.leaving and now.mono - self._asked <= spec.KILL_NS:
            effects += self._suspect()
        self._open = False
        self._recovery.closed()
        self._keepalive.closed()
        self._streams.forget(MAIN)
        self._requests.clear()
        for market in self._by_coin.values():
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
            effects += self._recovery.leave(Reason.PONG_TIMEOUT, "two pings unanswered")
        overdue = self._streams.overdue(now)
        for stream, verdict in overdue:
            if stream.kind == "l2Book" and verdict is Verdict.SILENT and stream.silent_ns(now) >= self._stale:
                effects += self._recovery.lost(self._by_coin[stream.market].id, Trust.STALE, now)
        for stream, verdict in overdue:
            effects += self._late(stream, verdict, now)
        effects += self._mend(now)
        effects += self._recovery.expired(now)
        self._stand_ins.begin(now)
        return self._armed(effects, now)

    def _armed(self, effects: Effects, now: Now) -> Effects:
        """``effects`` and the calls that are due; after anything but data, whose deadlines only move away."""
        self._wall = now.wall
        effects = [*effects, *self._polls.due(now)]
        waiting = (self._polls, self._keepalive, self._stand_ins, self._recovery)
        self._due = earliest(*(each.deadline for each in waiting))
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
        if body is None:
            return []
        try:
            if isinstance(body, messages.Universe):
                return self._on_markets(body.universe, now)
            market = self._markets[request.market or ""]
            if isinstance(body, messages.BookData):
                return self._on_rest_book(market, body, now)
            return self._on_settled(market, body, now)
        except VenueError as error:
            return [Reject(request.name, str(error), b"")]

    def _on_markets(self, assets: list[Asset], now: Now) -> Effects:
        effects: Effects = []
        found: list[Market] = []
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

    def _list(self, market: Market, asset: Asset, now: Now) -> Effects:
        if not market.coin:
            self._by_coin[asset.name] = market
            self._stand_ins.missing(market.id, now)
            self._poll_settled(market, spec.SETTLED_AFTER_NS, now)
        return market.listed(asset)

    def _unlist(self, market: Market, why: str) -> Effects:
        effects: Effects = [Note("warning", "market_unavailable", {"market": market.id, "why": why})]
        if market.coin:
            self._requests.forget(market.coin)
            asked = [stream for stream in self._streams if stream.market == market.coin]
            for stream in asked:
                self._streams.drop(stream.key)
                effects.append(Send(MAIN, messages.subscribe(stream.kind, market.coin, "unsubscribe")))
            self._stand_ins.served(market.id)
            self._polls.remove("funding", market.id)
            del self._by_coin[market.coin]
            market.coin = ""
        return effects + market.feed.invalidate(Trust.STALE)

    def _on_rest_book(self, market: Market, data: BookData, now: Now) -> Effects:
        """Use a REST book where the stream has none, unless what was shown last is newer."""
        market.barred = False
        levels = messages.flat(data.levels)
        return self._recovery.rest_book(market.id, data.time * NS_PER_MS, levels, now, spec.DEPTH)

    def _on_settled(self, market: Market, rows: list[messages.FundingRow], now: Now) -> Effects:
        effects, wait = market.settled(rows, now)
        self._poll_settled(market, wait, now)
        return effects

    def _poll_settled(self, market: Market, wait: int, now: Now) -> None:
        make = partial(self._fetch_settled, market.id)
        self._polls.add(make, now, every_ns=spec.SETTLED_RETRY_NS, after_ns=wait)

    # Subscriptions

    def _subscribe(self, markets: list[Market], now: Now) -> Effects:
        """Ask for all streams of these markets: all books first, or market by market while a killer is looked for."""
        allowed = [market for market in markets if not market.barred]
        pairs = [(kind, market.coin) for kind in spec.STREAMS for market in allowed]
        if self._requests.window is not None:
            pairs.sort(key=lambda pair: [market.coin for market in allowed].index(pair[1]))
        for kind, coin in pairs:
            self._requests.add(Stream(MAIN, f"{kind}:{coin}", kind, coin, self._patience[kind], now.mono))
        return self._ask(now)

    def _ask(self, now: Now) -> Effects:
        found = self._requests.due(now)
        if found:
            self._asked = now.mono
            for stream in found:
                self._by_coin[stream.market].asked(stream.kind, now)
        elif not self._requests and not self._requests.unanswered():
            self._requests.window = None
        return [Send(MAIN, messages.subscribe(stream.kind, stream.market)) for stream in found]

    def _suspect(self) -> Effects:
        """The connection died just after subscribing: from now on ask one by one, and bar the coin it dies of.

        A coin is barred only when others were acknowledged before it: a server that hangs up on everybody is no sign.
        """
        pending = self._requests.unanswered()
        if not pending:
            return []
        if self._requests.window is None:
            self._requests.window = 1
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
        self._by_coin[stream.market].asked(stream.kind, now)
        self._asked = now.mono
        return [Send(MAIN, messages.subscribe(stream.kind, stream.market))]

    def _on_error(self, frame: messages.ErrorFrame, now: Now) -> Effects:
        """Errors leave the connection open; those that say "already" are as good as an acknowledgement."""
        words, key = messages.complaint(frame.data)
        if words == "Already subscribed" and key is not None and self._streams.ack(key, now):
            return self._ask(now)
        if words == "Already unsubscribed" and key is not None:
            return self._again(key, now)
        effects: Effects = [Note("warning", "venue_error", {"text": frame.data[:200]})]
        if key in self._refused:
            # Refused on two connections: carry on without it, REST stands in for a book.
            self._streams.drop(key)
            return effects + self._ask(now)
        if self._requests.unanswered():
            self._refused.update([key] if key else [])
            effects += self._recovery.leave(Reason.SUBSCRIBE_ERROR, words[:200])
        return effects

    # Remedies

    def _mend(self, now: Now) -> Effects:
        """Subscribe book and quote of ailing markets anew; the confirmation of each step brings the next."""
        effects: Effects = []
        for market in self._recovery.due(now):
            coin = self._markets[market].coin
            kinds = [kind for kind in ("l2Book", "bbo") if self._streams.get(f"{kind}:{coin}")]
            effects.append(Count(Counter.RESYNCS.label))
            effects += [Send(MAIN, messages.subscribe(kind, coin, "unsubscribe")) for kind in kinds]
        return effects

    def _late(self, stream: Stream, verdict: Verdict, now: Now) -> Effects:
        if self._recovery.leaving:
            return []
        market, detail = self._by_coin[stream.market], f"{stream.key}: {verdict.value}"
        if verdict is Verdict.ACK:
            return self._recovery.leave(Reason.ACK_TIMEOUT, detail)
        if stream.kind != "l2Book":
            return [Send(MAIN, messages.subscribe(stream.kind, market.coin, "unsubscribe"))]
        alone = self._recovery.others_live(market.id)
        reason = Reason.MARKET_STALE if alone else Reason.STALE_WATCHDOG
        if verdict is Verdict.FIRST:
            reason = Reason.SNAPSHOT_TIMEOUT
        elif stream.silent_ns(now) < self._stale:
            # An early look, before the threshold: the first frame of a new subscription tells quiet from dead.
            alone = True
        return self._recovery.failed(market.id, reason, detail, now, alone=alone)

    # Data

    def _on_book(self, frame: messages.BookFrame, now: Now) -> Effects:
        market = self._by_coin.get(frame.data.coin)
        if market is None or self._streams.get(market.key) is None:
            return [IGNORED]
        effects = market.book(frame.data, now)
        if effects is None:
            return [DUPLICATE]
        self._streams.data(market.key, now)
        if market.trouble is not None:
            # Nothing is usable until the venue shows a book that can be believed.
            effects += self._recovery.lost(market.id, Trust.RESYNC, now)
            effects += self._recovery.failed(market.id, *market.trouble, now, alone=True)
            return self._armed(effects + self._mend(now), now)
        if market.feed.live:
            self._recovery.live(market.id, now)
        return effects

    def _on_bbo(self, frame: messages.BboFrame, now: Now) -> Effects:
        market = self._by_coin.get(frame.data.coin)
        if market is None or not self._streams.data(f"bbo:{market.coin}", now):
            return [IGNORED]
        return market.quote(frame.data)

    def _on_trades(self, frame: messages.TradesFrame, now: Now) -> Effects:
        market = self._by_coin.get(frame.data[0].coin) if frame.data else None
        if market is None or not self._streams.data(f"trades:{market.coin}", now):
            return [IGNORED]
        market.turnover.traded(now)
        return market.trades(frame.data)

    def _on_ctx(self, frame: messages.CtxFrame, now: Now) -> Effects:
        market = self._by_coin.get(frame.data.coin)
        if market is None or not self._streams.data(f"activeAssetCtx:{market.coin}", now):
            return [IGNORED]
        effects = market.figures(frame.data.ctx, now)
        if market.turnover.dead(frame.data.ctx.day_base_vlm, now):
            effects.append(Note("warning", "stream_dead", {"market": market.id, "stream": "trades"}))
            effects.append(Send(MAIN, messages.subscribe("trades", market.coin, "unsubscribe")))
        return effects

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
