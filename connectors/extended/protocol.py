"""Extended's protocol: a connection a stream (v1) or one for all (v2), under one reading of the payloads."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

from bus.counters import Counter
from bus.errors import VenueError
from bus.events import Reason, Trust
from connectors.effects import (
    Count,
    Effects,
    Fetch,
    Note,
    Now,
    Ping,
    Reconnect,
    Refusal,
    Reject,
    Reply,
    VenueProtocol,
)
from connectors.extended import spec
from connectors.extended.market import Market
from connectors.extended.messages import Envelope, envelope, says_absent
from connectors.extended.wires import Link, Topic, Wires, call, trust_after
from connectors.feed import MarketFeed
from connectors.polls import Polls, StandIns
from connectors.replay import VenueClock
from connectors.streams import Beat, Stream, Verdict
from connectors.venue import Context

MS: Final = 1_000_000


class ExtendedProtocol:
    """See ``VenueProtocol``."""

    def __init__(self, context: Context) -> None:
        settings = context.settings
        self.deadline: int | None = None
        self._settings = settings
        self._wires = Wires(settings)
        self._clock = VenueClock(spec.CLOCK_WINDOW_NS)
        stamped = not self._wires.v2
        self._markets = {
            name: Market(name, MarketFeed(name, context.rebuilds), context.seen, self._clock, stamped=stamped)
            for name in settings.markets
        }
        self._wall = 0
        self._unknown: set[str] = set()
        self._failing: dict[str, str] = {}
        """How each REST call that now fails does so, to say it once."""
        self._stale = settings.stale_ms * MS
        self._polls = Polls()
        after, every = spec.REST_FALLBACK_AFTER_NS, spec.REST_BOOK_EVERY_NS
        # A method, not a closure: a recording's checkpoints hold a protocol's whole state.
        self._standins = StandIns(self._polls, self._book_call, after_ns=after, every_ns=every, stale_ns=self._stale)
        self._handlers: dict[str, Callable[[Topic, Envelope, int, int, Now], Effects]] = {
            spec.BOOK: self._on_book,
            spec.BBO: self._on_quote,
            spec.TRADE: self._on_trades,
            spec.MARK: self._on_price,
            spec.INDEX: self._on_price,
            spec.FUNDING: self._on_funding,
        }

    # -- what the engine calls

    def start(self, now: Now) -> Effects:
        """Ask for each market by itself, as an unknown one fails alone, and open the books of their likely names."""
        self._wall = now.wall
        for market in self._markets.values():
            self._look_up(market, now)
        effects: Effects = list(self._polls.due(now))
        for market in self._markets.values():
            effects += self._wires.want(market, (spec.BOOK,), now)
        return self._armed(effects)

    def opened(self, conn: str, now: Now) -> Effects:
        """A connection is up. In v1 that was the request, in v2 the requests follow, books first."""
        return self._armed(self._wires.opened(conn, now))

    def refused(self, conn: str, refusal: Refusal, now: Now) -> Effects:
        """The engine tries again; whether there is such a market is for the market list to say."""
        return []

    def closed(self, conn: str, now: Now) -> Effects:
        """Nothing that came by the connection may be used any more."""
        link = self._wires.links.get(conn)
        return [] if link is None else self._armed(self._down(link, Trust.STALE, now))

    def received(self, conn: str, frame: bytes, binary: bool, now: Now) -> Effects:  # noqa: FBT001
        """Digest one frame. The hot path."""
        link = self._wires.links.get(conn)
        if link is None or not link.up:
            return [Count(Counter.IGNORED_FRAMES.label)]
        link.heard = now.mono
        try:
            found = envelope(frame)
            seq, ts = found.seq, found.ts
            if seq is None or ts is None or found.error is not None:
                return self._armed(self._control(link, found, now))
        except VenueError as error:
            return self._armed([Reject(conn, error.problem, frame), *self._unreadable(link, error.problem, now)])
        if seq != link.last + 1:
            return self._armed(self._out_of_order(link, seq, now))
        link.last = seq
        topic = link.topic or self._wires.topics.get(found.subscription or "")
        if topic is None:
            return self._unfamiliar(f"{found.type} {found.subscription}")
        try:
            effects = self._handlers[topic.kind](topic, found, seq, ts * MS, now)
        except VenueError as error:
            return self._armed([Reject(conn, error.problem, frame), *self._indigestible(topic, error.problem, now)])
        return self._followed(topic.market, effects, now)

    def ponged(self, conn: str, now: Now) -> Effects:
        """A pong, or the venue's own ping, which it sends every 15 s: somebody is there."""
        link = self._wires.links.get(conn)
        if link is not None:
            link.keepalive.answered()
        return []

    def fetched(self, request: Fetch, reply: Reply, now: Now) -> Effects:
        """Digest a REST answer."""
        self._wall = now.wall
        market = self._markets[request.market or ""]
        effects: Effects = []
        usable = False
        try:
            if reply.ok or (request.name == "markets" and says_absent(reply.body)):
                effects = self._answered(market, request, reply, now)
                usable = request.name != "markets" or market.tradable
                self._failing.pop(request.name, None)
            elif self._failing.get(request.name) != reply.outcome:
                self._failing[request.name] = reply.outcome
                effects = [Note("warning", "rest_failing", {"call": request.name, "outcome": reply.outcome})]
        except VenueError as error:
            effects = [Reject(f"rest.{request.name}", error.problem, reply.body)]
        self._polls.done(request, reply, now, usable=usable)
        return self._armed([*effects, *self._polls.due(now)])

    def woken(self, now: Now) -> Effects:
        """Keepalives, missed deadlines, replays that end in silence, polls."""
        self._wall = now.wall
        effects: Effects = []
        for link in self._wires.links.values():
            effects += self._keep_alive(link, now)
        for stream, verdict in self._wires.streams.overdue(now):
            if self._wires.streams.get(stream.key) is stream:
                effects += self._late(self._wires.topics[stream.key], stream, verdict, now)
        for market in self._markets.values():
            effects += self._look_after(market, now)
        for name in self._standins.expired(now):
            effects += self._markets[name].feed.invalidate(Trust.STALE, quote=False)
        self._standins.begin(now)
        return self._armed([*effects, *self._polls.due(now)])

    # -- remedies

    def _keep_alive(self, link: Link, now: Now) -> Effects:
        beat = link.keepalive.due(now)
        if beat is Beat.PING:
            return [Ping(link.conn)]
        if beat is Beat.QUIET:
            return []
        if now.mono - link.heard < spec.PONG_NS:
            # Whoever sends data is there, whatever became of the pong.
            link.keepalive.answered()
            return []
        return self._leave(link, Reason.PONG_TIMEOUT, "a ping went unanswered", now)

    def _down(self, link: Link, trust: Trust, now: Now) -> Effects:
        """Nothing of this connection is of use from now on."""
        self._wires.down(link)
        return [effect for topic in self._wires.carried(link) for effect in self._lost(topic, trust, now)]

    def _lost(self, topic: Topic, trust: Trust, now: Now) -> Effects:
        if topic.kind == spec.BOOK and topic.market.tradable:
            self._standins.missing(topic.market.id, now)
        return topic.market.lose(topic.kind, trust)

    def _leave(self, link: Link, reason: Reason, detail: str, now: Now) -> Effects:
        """Give a connection up, having said first that what came by it is of no use."""
        return [*self._down(link, trust_after(reason), now), Reconnect(link.conn, reason, detail)]

    def _renew(self, topic: Topic, reason: Reason, detail: str, now: Now) -> Effects:
        """Start one stream over: by a new connection (v1), or by asking again unless that has just not helped (v2)."""
        live = any(market.feed.live for market in self._markets.values())
        if self._wires.hopeless(topic, now, spared=live):
            return self._leave(self._wires.links[topic.conn], reason, f"{topic.key}: {detail}", now)
        topic.renewed = now.mono
        topic.renewals += 1
        effects = self._lost(topic, trust_after(reason), now)
        if topic.kind == spec.BOOK:
            topic.market.awaited = True
            effects.append(Count(Counter.RESYNCS.label))
        if topic.renewals == 1:
            fields = {"stream": topic.key, "reason": reason.value, "detail": detail}
            effects.append(Note("warning", "stream_renewed", fields))
        return effects + self._wires.subscribe(topic, now)

    def _late(self, topic: Topic, stream: Stream, verdict: Verdict, now: Now) -> Effects:
        if self._wires.v2 and not topic.market.tradable:
            # An unknown market may be answered by silence; it is asked for again once the market list has confirmed it.
            self._wires.streams.drop(topic.key)
            return []
        if verdict is Verdict.ACK:
            return self._renew(topic, Reason.ACK_TIMEOUT, verdict.value, now)
        if verdict is Verdict.FIRST:
            reason = Reason.SNAPSHOT_TIMEOUT if topic.kind == spec.BOOK else Reason.MARKET_STALE
            return self._renew(topic, reason, verdict.value, now)
        if topic.kind == spec.BBO and topic.market.quote_holds(now):
            self._wires.streams.data(topic.key, now)
            return []
        silent = now.mono - (stream.last or 0)
        if topic.kind != spec.BOOK or silent >= self._stale:
            return self._renew(topic, Reason.MARKET_STALE, f"{verdict.value} for {silent / 1e9:.1f} s", now)
        if not topic.market.feed.live:
            return []
        topic.market.probe += 1
        return [self._call("probe", topic.market, topic.market.probe)]

    def _look_after(self, market: Market, now: Now) -> Effects:
        effects: Effects = []
        due = market.book.deadline
        if due is not None and due <= now.mono:
            effects = market.woken(now)
        if market.suspect_at is not None and market.suspect_at <= now.mono:
            market.suspect_at = None
            market.trouble = (spec.BOOK, Reason.MARKET_STALE, "silent while REST shows another book")
        return self._followed(market, effects, now)

    def _followed(self, market: Market, effects: Effects, now: Now) -> Effects:
        """What follows from anything a market has learnt: the remedy of its trouble, the end of its stand-in."""
        if market.trouble is not None:
            kind, reason, detail = market.trouble
            market.trouble = None
            topic = self._wires.topic(market, kind)
            return effects if topic is None else self._armed([*effects, *self._renew(topic, reason, detail, now)])
        if market.feed.live and market.id in self._standins:
            self._standins.served(market.id)
        for due in (market.book.deadline, self._wires.streams.deadline):
            if due is not None and (self.deadline is None or due < self.deadline):
                self.deadline = due
        return effects

    # -- frames

    def _unreadable(self, link: Link, problem: str, now: Now) -> Effects:
        """A frame that took a number, no doubt, but said nothing: fatal where every frame builds on the one before."""
        if link.topic is None or link.topic.kind == spec.BOOK:
            return self._leave(link, Reason.PARSE_ERROR, problem, now)
        link.last += 1
        return self._indigestible(link.topic, problem, now)

    def _indigestible(self, topic: Topic, problem: str, now: Now) -> Effects:
        if topic.kind == spec.BOOK:
            return self._renew(topic, Reason.PARSE_ERROR, problem, now)
        return topic.market.lose_quote(Trust.RESYNC) if topic.kind == spec.BBO else []

    def _out_of_order(self, link: Link, seq: int, now: Now) -> Effects:
        ahead = seq > link.last + 1
        counter, reason = (Counter.SEQ_GAPS, Reason.SEQ_GAP) if ahead else (Counter.DUPLICATES, Reason.SEQ_MISMATCH)
        return [*self._leave(link, reason, f"seq {seq} after {link.last}", now), Count(counter.label)]

    def _unfamiliar(self, kind: str) -> Effects:
        effects: Effects = [Count(Counter.UNKNOWN_FRAMES.label)]
        if kind not in self._unknown and len(self._unknown) < spec.NOTED_KINDS:
            self._unknown.add(kind)
            effects.append(Note("warning", "unknown_frame", {"kind": kind[:80]}))
        return effects

    def _control(self, link: Link, frame: Envelope, now: Now) -> Effects:
        """A frame without data: a reply (v2), an error, or something unknown. Raises VenueError on half of one."""
        if link.topic is None and frame.id is not None:
            outcome = self._wires.replied(frame, now)
            if isinstance(outcome, bool):
                return [] if outcome else [Count(Counter.IGNORED_FRAMES.label)]
            if outcome.lasting:
                self._look_up(outcome.topic.market, now, after_ns=spec.REFUSED_NS)
                return [Note("error", "subscription_refused", {"detail": outcome.detail})]
            return self._leave(link, Reason.SUBSCRIBE_ERROR, outcome.detail, now)
        if frame.error is not None:
            return self._leave(link, Reason.SUBSCRIBE_ERROR, str(frame.error)[:200], now)
        if bytes(frame.data):
            raise VenueError("data without seq or ts")
        return self._unfamiliar(f"{frame.type} without data")

    def _on_book(self, topic: Topic, frame: Envelope, seq: int, ts_ns: int, now: Now) -> Effects:
        topic.renewals = 0
        self._wires.streams.data(topic.key, now)
        return topic.market.on_book(frame, seq, ts_ns, now)

    def _on_quote(self, topic: Topic, frame: Envelope, seq: int, ts_ns: int, now: Now) -> Effects:
        self._heard(topic, ts_ns, now)
        return topic.market.on_quote(frame, seq, ts_ns, now)

    def _on_trades(self, topic: Topic, frame: Envelope, seq: int, ts_ns: int, now: Now) -> Effects:
        return topic.market.on_trades(frame, history=self._heard(topic, ts_ns, now))

    def _on_price(self, topic: Topic, frame: Envelope, seq: int, ts_ns: int, now: Now) -> Effects:
        self._heard(topic, ts_ns, now)
        return topic.market.on_price(topic.kind, frame, ts_ns)

    def _on_funding(self, topic: Topic, frame: Envelope, seq: int, ts_ns: int, now: Now) -> Effects:
        self._heard(topic, ts_ns, now)
        return topic.market.on_funding(frame, now)

    def _heard(self, topic: Topic, ts_ns: int, now: Now) -> bool:
        """Note a frame; whether it is the first of its subscription, which may have been kept from earlier."""
        stream = self._wires.streams.get(topic.key)
        first = stream is None or stream.first is None
        topic.renewals = 0
        self._wires.streams.data(topic.key, now)
        if not first:
            self._clock.sample(ts_ns, now)
        return first

    # -- REST

    def _look_up(self, market: Market, now: Now, after_ns: int = 0) -> None:
        call = partial(self._call, "markets", market)
        self._polls.add(call, now, every_ns=spec.MARKETS_EVERY_NS, after_ns=after_ns)

    def _call(self, name: str, market: Market, cause: int = 0) -> Fetch:
        return call(name, market, self._settings, self._wall, cause)

    def _book_call(self, name: str) -> Fetch:
        return self._call("book", self._markets[name])

    def _answered(self, market: Market, request: Fetch, reply: Reply, now: Now) -> Effects:
        if request.name == "markets":
            return self._on_listing(market, reply, now)
        if not market.tradable:
            return []
        if request.name == "probe":
            return self._on_probe(market, request, reply, now)
        if request.name == "stats":
            return market.on_stats(reply.body, now)
        if request.name == "settled":
            return market.on_settled(reply.body)
        if market.id not in self._standins:
            return []
        effects = market.on_rest_book(reply.body)
        self._standins.seen(market.id, now)
        return effects

    def _on_listing(self, market: Market, reply: Reply, now: Now) -> Effects:
        """Follow the market, or stop following it."""
        before = market.tradable
        effects = market.on_listing(reply.body)
        if not market.tradable:
            return effects + self._withdraw(market)
        if not before:
            every = max(spec.STATS_EVERY_NS, len(self._markets) * spec.STATS_SPACING_NS)
            self._polls.add(partial(self._call, "stats", market), now, every_ns=every)
            self._polls.add(partial(self._call, "settled", market), now, every_ns=spec.SETTLED_EVERY_NS)
            self._standins.missing(market.id, now)
        effects += self._wires.want(market, spec.KINDS, now) + market.book.allow(now)
        return self._followed(market, effects, now)

    def _withdraw(self, market: Market) -> Effects:
        effects: Effects = market.feed.invalidate(Trust.STALE)
        for topic in [topic for topic in self._wires.topics.values() if topic.market is market]:
            effects += market.lose(topic.kind, Trust.STALE) + self._wires.unwant(topic)
        for name in ("stats", "settled"):
            self._polls.remove(name, market.id)
        self._standins.served(market.id)
        market.book.allowed = False
        return effects

    def _on_probe(self, market: Market, request: Fetch, reply: Reply, now: Now) -> Effects:
        """A look at REST while a book is silent: the same book is a quiet market, another one a dead stream, soon."""
        topic = self._wires.topic(market, spec.BOOK)
        if topic is None or request.cause != market.probe or not market.feed.live:
            return []
        if not market.confirmed(reply.body):
            market.suspect_at = now.mono + spec.PROBE_WAIT_NS
            return []
        self._wires.streams.data(topic.key, now)
        return market.feed.confirm(None, market.feed.venue_seq)

    def _armed(self, effects: Effects) -> Effects:
        """Work out when ``woken`` is next due."""
        times = [self._polls.deadline, self._wires.streams.deadline, self._standins.deadline]
        times += [link.keepalive.deadline for link in self._wires.links.values()]
        for market in self._markets.values():
            times += [market.book.deadline, market.suspect_at]
        self.deadline = min((time for time in times if time is not None), default=None)
        return effects


def protocol(context: Context) -> VenueProtocol:
    """A protocol for one venue connector; see ``connectors.venue``."""
    return ExtendedProtocol(context)
