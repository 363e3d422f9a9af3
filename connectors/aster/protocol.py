"""Aster's protocol: combined connections, four streams a market, the market list, and what only REST tells."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final, NamedTuple

from bus.counters import Counter
from bus.errors import VenueError
from bus.events import Reason, Trust
from connectors import effects as fx
from connectors.aster import messages, spec
from connectors.aster.market import IGNORED, Market
from connectors.aster.messages import Fault, Symbol
from connectors.effects import Count, Effects, Emit, Fetch, Note, Now, Refusal, Reply, VenueProtocol
from connectors.polls import Polls
from connectors.streams import Beat, Keepalive, Patience, Stream, Streams, Verdict
from connectors.venue import Context

KINDS: Final = {spec.DEPTH: "book", spec.QUOTES: "bbo", spec.TRADES: "trade", spec.MARK: "stats"}
SUBSCRIBE: Final = "SUBSCRIBE"
UNSUBSCRIBE: Final = "UNSUBSCRIBE"


class _Route(NamedTuple):
    """Where the frames of a stream go."""

    market: Market
    suffix: str
    kind: type
    handle: Callable[[Any, Now], Effects]


class _Conn:
    """One connection."""

    def __init__(self, interval_ns: int) -> None:
        self.up = False
        self.keepalive = Keepalive(interval_ns, spec.PONG_NS)
        self.requests: dict[int, list[str]] = {}
        """Streams of each SUBSCRIBE not answered yet, none for an UNSUBSCRIBE."""
        self.opened = 0
        self.barren: int | None = None
        """Since when it has been up without a live book."""
        self.patience = spec.NO_SNAPSHOT_NS


class Aster:
    """See ``VenueProtocol``."""

    def __init__(self, context: Context) -> None:
        self._settings = settings = context.settings
        self._stale = settings.stale_ms * spec.MS
        self._conns: dict[str, _Conn] = {}
        self._markets: dict[str, Market] = {}
        for index, market in enumerate(settings.markets):
            shard = index // spec.MARKETS_PER_CONNECTION
            conn = f"main{shard + 1}" if shard else "main"
            self._conns.setdefault(conn, _Conn(settings.ping_interval_ms * spec.MS))
            self._markets[market] = Market(market, conn, context, self._again)
        self._patience = {
            spec.DEPTH: Patience(spec.ACK_NS, self._stale),
            spec.QUOTES: Patience(spec.ACK_NS),
            spec.TRADES: Patience(spec.ACK_NS),
            spec.MARK: Patience(spec.ACK_NS, spec.MARK_NS, spec.MARK_NS),
        }
        self._hours: dict[str, float | None] | None = None
        """Funding interval by symbol, ``None`` until the list has come."""
        self._routes: dict[str, _Route] = {}
        self._ended: set[str] = set()
        """Streams that were left; frames of them may still be on their way."""
        self._streams = Streams()
        self._polls = Polls()
        self._last_request = 0
        self._unknown: set[str] = set()
        self._said: set[tuple[str, str]] = set()
        self._due: int | None = None

    @property
    def deadline(self) -> int | None:
        """See ``VenueProtocol``."""
        due, streams = self._due, self._streams.deadline
        return streams if due is None else due if streams is None else min(due, streams)

    # -- connections

    def start(self, now: Now) -> Effects:
        """Read the market list and connect at the same time."""
        for market in self._markets.values():
            # Streams that do not exist are harmless, so the likely symbol is subscribed before the list has come.
            market.book.symbol = market.base + spec.QUOTE_ASSET
            market.book.missing(now)
        self._polls.add(self._fetch_markets, now, every_ns=spec.MARKETS_NS)
        intervals = partial(self._fetch, "intervals", "fundingInfo")
        self._polls.add(intervals, now, every_ns=spec.INTERVALS_NS, after_ns=spec.INTERVALS_AFTER_NS)
        url = self._settings.ws_url + spec.WS_PATH
        return self._armed([fx.Open(conn, url) for conn in self._conns], now)

    def opened(self, conn: str, now: Now) -> Effects:
        """Subscribe to everything, in one message."""
        state = self._conns[conn]
        state.up, state.opened, state.barren, state.requests = True, now.mono, now.mono, {}
        state.keepalive.opened(now)
        self._streams.forget(conn)
        names = [name for market in self._of(conn) if market.book.symbol for name in self._expect(market, now)]
        return self._armed(self._send(conn, SUBSCRIBE, names), now)

    def refused(self, conn: str, refusal: Refusal, now: Now) -> Effects:
        """Nothing to negotiate."""
        return []

    def closed(self, conn: str, now: Now) -> Effects:
        """Nothing that came by the connection may be used any more."""
        state = self._conns[conn]
        state.up, state.barren = False, None
        state.keepalive.closed()
        self._streams.forget(conn)
        return self._armed([effect for market in self._of(conn) for effect in market.book.lost(Trust.STALE, now)], now)

    def ponged(self, conn: str, now: Now) -> Effects:
        """Somebody is there."""
        self._conns[conn].keepalive.answered()
        return []

    def _of(self, conn: str) -> list[Market]:
        return [market for market in self._markets.values() if market.conn == conn]

    def _expect(self, market: Market, now: Now, suffixes: tuple[str, ...] = spec.STREAMS) -> list[str]:
        """Be ready for these streams of a market; returns their names."""
        handlers: dict[str, tuple[type, Callable[[Any, Now], Effects]]] = {
            spec.DEPTH: (messages.DepthUpdate, market.on_depth),
            spec.QUOTES: (messages.BookTicker, market.on_quote),
            spec.TRADES: (messages.AggTrade, market.on_trade),
            spec.MARK: (messages.MarkPrice, market.on_mark),
        }
        names = [f"{market.book.symbol.lower()}@{suffix}" for suffix in suffixes]
        for name, suffix in zip(names, suffixes, strict=True):
            self._routes[name] = _Route(market, suffix, *handlers[suffix])
            self._streams.request(Stream(market.conn, name, KINDS[suffix], market.id, self._patience[suffix], now.mono))
        if spec.DEPTH in suffixes:
            market.book.requested(now)
        if spec.QUOTES in suffixes:
            market.quotes_requested()
        return names

    def _send(self, conn: str, method: str, names: list[str]) -> Effects:
        if not names:
            return []
        self._last_request += 1
        self._conns[conn].requests[self._last_request] = names if method == SUBSCRIBE else []
        return [fx.Send(conn, messages.request(method, names, self._last_request))]

    def _again(self, market: Market, suffix: str, now: Now) -> Effects:
        """Subscribe one stream anew; a second SUBSCRIBE of an active stream is not documented, so leave it first."""
        names = self._expect(market, now, (suffix,))
        note = Note("warning", "stream_dead", {"market": market.id, "stream": suffix})
        return [note, *self._send(market.conn, UNSUBSCRIBE, names), *self._send(market.conn, SUBSCRIBE, names)]

    # -- frames

    def received(self, conn: str, frame: bytes, binary: bool, now: Now) -> Effects:  # noqa: FBT001
        """Digest one frame; all but control frames are combined ones."""
        try:
            push = messages.PUSH.decode(frame)
        except messages.UNREADABLE as error:
            return self._armed(self._other(conn, frame, str(error), now), now)
        route, data = self._routes.get(push.stream), push.data
        if route is None:
            return self._stranger(push.stream)
        if type(data) is not route.kind or data.symbol != route.market.book.symbol:
            problem = f"{type(data).__name__} of {data.symbol}"
            return self._armed(self._bad(conn, push.stream, frame, problem, now), now)
        try:
            self._streams.data(push.stream, now)
            effects = route.handle(data, now)
        except VenueError as error:
            return self._armed(self._bad(conn, push.stream, frame, error.problem, now), now)
        # What a live market says in events alone never brings a deadline nearer; mostly it is a single one.
        if effects and type(effects[-1]) is Emit and (len(effects) == 1 or all(type(x) is Emit for x in effects)):
            return effects
        return self._armed(effects, now)

    def _other(self, conn: str, frame: bytes, problem: str, now: Now) -> Effects:
        """A frame that is no push of ours: an answer, a refusal, a push of another kind, or rubbish."""
        control = messages.control(frame)
        if control is None:
            return self._bad(conn, messages.stream_of(frame), frame, problem, now)
        if control.stream is not None:
            known = control.stream in self._routes
            return self._bad(conn, control.stream, frame, problem, now) if known else self._stranger(control.stream)
        if control.fault is not None:
            return self._denied(conn, control.id, control.fault)
        if control.id is None:
            return self._stranger("")
        names = self._conns[conn].requests.pop(control.id, None)
        for name in names or ():
            self._streams.ack(name, now)
        return [IGNORED] if names is None else []

    def _bad(self, conn: str, name: str, frame: bytes, problem: str, now: Now) -> Effects:
        """What the frame would have said is lost: take back what it may have changed, then mend it."""
        reject, route = fx.Reject(conn, problem, frame), self._routes.get(name)
        if route is not None and route.suffix == spec.DEPTH:
            return [*route.market.book.broken(now), reject]
        if route is not None and route.suffix == spec.QUOTES:
            return [*route.market.book.feed.invalidate_quote(Trust.RESYNC), reject]
        return [reject]

    def _stranger(self, name: str) -> Effects:
        """Well-formed, and not for us."""
        if name in self._ended:
            return [IGNORED]
        count, kind = Count(Counter.UNKNOWN_FRAMES.label), name.partition("@")[2]
        if kind in self._unknown or len(self._unknown) >= spec.UNKNOWN_KINDS:
            return [count]
        self._unknown.add(kind)
        return [count, Note("warning", "unknown_frame", {"stream": name})]

    def _denied(self, conn: str, number: int | None, fault: Fault) -> Effects:
        """A request was refused. Every code says "malformed", which ours are not: a fresh start may be a remedy."""
        waiting = [stream.key for stream in self._streams if stream.conn == conn and stream.acked is None]
        asked = waiting if number is None else self._conns[conn].requests.pop(number, [])
        note = Note("error", "request_refused", {"conn": conn, "code": fault.code, "msg": fault.msg})
        return [note, fx.Reconnect(conn, Reason.SUBSCRIBE_ERROR, f"{fault.code}: {fault.msg}")] if asked else [note]

    # -- time

    def woken(self, now: Now) -> Effects:
        """Keepalive, streams that owe something, books that owe something."""
        effects: Effects = []
        for conn, state in self._conns.items():
            effects += self._beat(conn, state, now) + self._barren(conn, state, now)
        for stream, verdict in self._streams.overdue(now):
            effects += self._late(stream, verdict, now)
        for market in self._markets.values():
            if why := market.book.dead(now):
                effects += self._dead(market, why, now)
            effects += market.book.woken(now)
        return self._armed(effects, now)

    def _armed(self, effects: Effects, now: Now) -> Effects:
        """``effects`` and the calls that are due; to be said by everything that may bring a deadline nearer."""
        calls = self._polls.due(now)
        times = [self._polls.deadline, *(market.book.deadline for market in self._markets.values())]
        for state in self._conns.values():
            times += [state.keepalive.deadline, None if state.barren is None else state.barren + state.patience]
        self._due = min((time for time in times if time is not None), default=None)
        return [*effects, *calls]

    @staticmethod
    def _beat(conn: str, state: _Conn, now: Now) -> Effects:
        beat = state.keepalive.due(now)
        if beat is Beat.DEAD:
            return [fx.Reconnect(conn, Reason.PONG_TIMEOUT, "ping unanswered")]
        return [fx.Ping(conn)] if beat is Beat.PING else []

    def _barren(self, conn: str, state: _Conn, now: Now) -> Effects:
        """Leave a connection by which no book comes about; while one lives, others are mended beside it."""
        if not state.up:
            return []
        books = [market.book for market in self._of(conn)]
        if any(book.feed.live for book in books):
            state.barren, state.patience = None, spec.NO_SNAPSHOT_NS
        elif state.barren is None:
            state.barren = now.mono
        elif now.mono >= state.barren + state.patience:
            state.barren = now.mono
            if any(book.failures or book.chain.updates for book in books):
                state.patience = min(2 * state.patience, spec.NO_SNAPSHOT_CAP_NS)
                return [fx.Reconnect(conn, Reason.SNAPSHOT_TIMEOUT, "no book has become live")]
        return []

    def _late(self, stream: Stream, verdict: Verdict, now: Now) -> Effects:
        market, suffix = self._markets[stream.market], self._routes[stream.key].suffix
        if verdict is Verdict.ACK:
            if self._heard(stream.conn) >= stream.requested:
                # The connection serves other streams: whether this one comes is for its own deadlines.
                self._streams.ack(stream.key, now)
                return []
            return [fx.Reconnect(stream.conn, Reason.ACK_TIMEOUT, stream.key)]
        if suffix != spec.DEPTH:
            return self._again(market, suffix, now)
        # Before its first diff a market may be quiet for as long as REST shows no change.
        return [] if market.book.moved is False else self._dead(market, "no first diff", now)

    def _heard(self, conn: str) -> int:
        """When data last came by a connection."""
        return max((stream.last or 0 for stream in self._streams if stream.conn == conn), default=0)

    def _dead(self, market: Market, why: str, now: Now) -> Effects:
        """The book's stream is dead: mend it alone, or where no other lives, ever more rarely, with the connection."""
        book, conn = market.book, market.conn
        if not book.confirmed:  # its symbol is a guess, so its silence proves nothing
            return []
        book.strikes += 1
        all_silent = Reason.STALE_WATCHDOG if book.feed.live else Reason.SNAPSHOT_TIMEOUT
        effects = book.lost(Trust.STALE, now, quote=False)
        if now.mono - max(self._heard(conn), self._conns[conn].opened) >= self._stale // 2:
            return [*effects, fx.Reconnect(conn, all_silent, f"{market.id}: {why}; no other stream either")]
        alone = not any(other.book.feed.live for other in self._of(conn))
        if alone and book.strikes > 1 and book.strikes & (book.strikes - 1) == 0:
            return [*effects, fx.Reconnect(conn, Reason.MARKET_STALE, f"{market.id}: {why}")]
        return [*effects, Count(Counter.RESYNCS.label), *self._again(market, spec.DEPTH, now)]

    # -- REST

    def fetched(self, request: Fetch, reply: Reply, now: Now) -> Effects:
        """Digest a REST answer or its failure."""
        market = self._markets.get(request.market or "")
        if request.name == "book" and (market is None or not market.book.awaits(request)):
            return []
        usable = False
        try:
            body = messages.content(reply)
            if market is not None:
                effects = market.answered(request.name, body, now)
            else:
                effects = self._on_markets(body, now) if request.name == "markets" else self._on_intervals(body)
            usable = True
        except VenueError as error:
            effects = self._unanswered(request, reply, f"{request.name}: {error.problem}", now)
        if usable:
            self._said = {said for said in self._said if said[0] != request.name}
        self._polls.done(request, reply, now, usable=usable)
        if usable and request.name == "markets" and not all(market.book.confirmed for market in self._markets.values()):
            self._polls.add(self._fetch_markets, now, every_ns=spec.MARKETS_NS, after_ns=spec.UNLISTED_NS)
        return self._armed(effects, now)

    def _fetch(self, name: str, path: str, market: Market | None = None, *params: tuple[str, str]) -> Fetch:
        url, timeout_s = f"{self._settings.rest_url}{spec.REST_PATH}{path}", self._settings.rest_timeout_ms / 1e3
        query = params if market is None else (("symbol", market.book.symbol), *params)
        whose = None if market is None else market.id
        return Fetch(name, url, whose, params=query, timeout_s=timeout_s, weight=spec.WEIGHT_OTHER)

    def _fetch_markets(self) -> Fetch:
        return self._fetch("markets", "exchangeInfo")

    def _unanswered(self, request: Fetch, reply: Reply, problem: str, now: Now) -> Effects:
        """No usable answer; it is asked for again, for ever."""
        effects: Effects = [] if reply.status is None else [fx.Reject("rest", problem, reply.body)]
        if request.market is not None:
            effects += self._markets[request.market].unanswered(request.name, reply, now)
        said = (request.name, problem)
        if said in self._said or len(self._said) >= spec.UNKNOWN_KINDS:
            return effects
        self._said.add(said)
        return [*effects, Note("warning", "rest_failed", {"call": request.name, "problem": problem})]

    def _on_intervals(self, body: bytes) -> Effects:
        self._hours = {row.symbol: row.hours for row in messages.rows(body, messages.Interval)}
        return [effect for market in self._markets.values() for effect in market.on_interval(self._hours)]

    def _on_markets(self, body: bytes, now: Now) -> Effects:
        listed = messages.symbols(body)
        effects: Effects = []
        for market in self._markets.values():
            row = messages.find(listed, market.base)
            if row is not None and row.status == "TRADING":
                effects += self._list(market, row, now)
            elif row is not None or not market.book.feed.live:
                # Missing from the list while its book is live is the list's fault.
                effects += self._miss(market, row, now)
        return effects

    def _list(self, market: Market, row: Symbol, now: Now) -> Effects:
        effects: Effects = []
        if market.book.symbol != row.symbol:
            effects += self._leave(market, now)
            market.book.symbol = row.symbol
            if self._conns[market.conn].up:
                effects += self._send(market.conn, SUBSCRIBE, self._expect(market, now))
        if not market.book.confirmed:
            interest = partial(self._fetch, "interest", "openInterest", market)
            self._polls.add(interest, now, every_ns=spec.INTEREST_NS, after_ns=spec.INTERVALS_AFTER_NS)
            settled = partial(self._fetch, "settled", "fundingRate", market, ("limit", spec.SETTLED_ROWS))
            self._polls.add(settled, now, every_ns=spec.SETTLED_NS, after_ns=2 * spec.INTERVALS_AFTER_NS)
        return effects + market.confirm(row.instrument(), self._hours, now)

    def _miss(self, market: Market, row: Symbol | None, now: Now) -> Effects:
        why = "not listed" if row is None else row.status or "not trading yet"
        for name in ("interest", "settled"):
            self._polls.remove(name, market.id)
        gone = [*market.book.retire(now), *self._leave(market, now)]
        return [*gone, Note("warning", "market_unavailable", {"market": market.id, "why": why})]

    def _leave(self, market: Market, now: Now) -> Effects:
        """Unsubscribe a symbol and forget it."""
        names = [name for name, route in self._routes.items() if route.market is market]
        for name in names:
            del self._routes[name]
            self._streams.drop(name)
        self._ended.update(names)
        market.book.symbol = ""
        return self._send(market.conn, UNSUBSCRIBE, names) if self._conns[market.conn].up else []


def protocol(context: Context) -> VenueProtocol:
    """Make the protocol of this venue."""
    return Aster(context)
