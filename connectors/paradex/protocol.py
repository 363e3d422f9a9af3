"""Paradex as a protocol without I/O: one connection, five channels a market, books by snapshot and ``seq == last + 1``.

A frame names its market, not its channel, so there is one book channel and one quote channel a market. What cannot be
read is held against every book that it may have belonged to.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final

from bus.counters import Counter
from bus.errors import FrameError, VenueError
from bus.events import Reason, Trust
from connectors import effects as fx
from connectors.effects import Count, Effects, Fetch, Note, Now, Open, Reconnect, Reject, Reply, Send, VenueProtocol
from connectors.paradex import messages as wire
from connectors.paradex import spec
from connectors.paradex.book import BookError
from connectors.paradex.market import IGNORED, Market, Remedy
from connectors.paradex.spec import CONN, MS
from connectors.polls import Polls, StandIns
from connectors.streams import Beat, Keepalive, Patience, Requests, Stream, Streams, Verdict
from connectors.venue import Context

UNKNOWN: Final = Count(Counter.UNKNOWN_FRAMES.label)
_DIGESTS: Final[dict[type, tuple[str, Callable[[Market, Any, Now], Effects]]]] = {
    wire.BboEvent: ("bbo", Market.quote),
    wire.TradeEvent: ("trade", Market.trade),
    wire.SummaryEvent: ("stats", Market.summary),
    wire.FundingEvent: ("funding", Market.funding),
}


class Paradex:
    """See ``VenueProtocol``. One object is one life: a list of markets, one connection at a time."""

    def __init__(self, context: Context) -> None:
        settings = context.settings
        self._settings = settings
        self._stale = settings.stale_ms * MS
        self._markets = {name: Market(name, context, self._stale // 2) for name in settings.markets}
        self._by_symbol: dict[bytes, Market] = {}
        self._polls = Polls()
        self._streams = Streams()
        self._waiting = Requests(self._streams, spec.UNANSWERED)
        self._alive = Keepalive(settings.ping_interval_ms * MS, spec.PONG_NS)
        spacing = spec.REST_SPACING_NS * len(self._markets)
        self._audit_every = max(min(spec.AUDIT_NS, self._stale // 3), spacing)
        every, after = max(spec.REST_BOOK_NS, spacing), spec.REST_FALLBACK_AFTER_NS
        self._stand_ins = StandIns(self._polls, self._ask_book, after_ns=after, every_ns=every, stale_ns=self._stale)
        self._version = spec.VERSIONS[0]
        self._depth = spec.DEPTHS[0]
        self._open = False
        self._heard = 0
        self._number = 0
        self._asked: dict[int | str | None, tuple[str, str]] = {}
        self._accepted: set[str] = set()
        self._noted: set[tuple[str, str]] = set()
        self._patience = spec.patience(self._stale)
        self._answers: dict[str, Callable[[Fetch, bytes, Now], Effects]] = {
            "markets": self._on_markets,
            "summary": self._on_rest_summary,
            "audit": self._on_audit,
            "book": self._on_rest_book,
        }

    @property
    def deadline(self) -> int | None:
        """When ``woken`` is due. Worked out when asked: the engine asks at most once a millisecond."""
        times = [self._polls.deadline, self._streams.deadline, self._alive.deadline, self._stand_ins.deadline]
        times += [m.ahead for m in self._markets.values()]
        return min((time for time in times if time is not None), default=None)

    def start(self, now: Now) -> Effects:
        """Ask for the markets and connect meanwhile; nothing is subscribed before it is known to be listed."""
        self._polls.add(self._ask_markets, now, every_ns=spec.MARKETS_NS)
        return [self._wish(), *self._due(now)]

    def opened(self, conn: str, now: Now) -> Effects:
        """Subscribe every market that is known by now."""
        self._open, self._heard = True, now.mono
        self._alive.opened(now)
        return [Note("info", "schema_negotiated", {"version": self._version}), *self._subscribe_missing(now)]

    def refused(self, conn: str, refusal: fx.Refusal, now: Now) -> Effects:
        """HTTP 400 means that the schema version is not served: the other one is tried, in turns."""
        if refusal.status != spec.HTTP_BAD_REQUEST:
            return []
        asked, self._version = self._version, next(v for v in spec.VERSIONS if v != self._version)
        return [Note("warning", "schema_refused", {"asked": asked, "next": self._version}), self._wish()]

    def closed(self, conn: str, now: Now) -> Effects:
        """Everything that came by the connection is stale."""
        self._open = False
        self._alive.closed()
        self._streams.forget(conn)
        self._waiting.clear()
        self._asked.clear()
        effects: Effects = []
        for m in self._markets.values():
            effects += self._lose(m, Trust.STALE, now) + m.cut()
        return effects

    def ponged(self, conn: str, now: Now) -> Effects:
        """The link is alive."""
        self._alive.answered()
        return []

    def woken(self, now: Now) -> Effects:
        """Keepalive, late streams, streams that REST has overtaken, REST pictures grown old, polls."""
        effects: Effects = []
        beat = self._alive.due(now)
        if beat is Beat.DEAD:
            effects.append(Reconnect(CONN, Reason.PONG_TIMEOUT, f"no pong within {spec.PONG_NS // 10**9} s"))
        elif beat is Beat.PING:
            effects.append(fx.Ping(CONN))
        for stream, verdict in self._streams.overdue(now):
            effects += self._overdue(self._markets[stream.market], stream, verdict, now)
        for m in self._markets.values():
            if m.ahead is not None and m.ahead <= now.mono and m.fell_behind():
                effects += self._dead(m, "REST is ahead", spec.BEHIND_NS, now)
        for name in self._stand_ins.expired(now):
            effects += self._markets[name].feed.invalidate(Trust.STALE, quote=False)
        return [*effects, *self._subscribe_next(now), *self._due(now)]

    def _wish(self) -> Open:
        query = f"sbeSchemaId={spec.SCHEMA_ID}&sbeSchemaVersion={self._version}"
        return Open(CONN, f"{self._settings.ws_url}{spec.WS_PATH}?{query}")

    def _due(self, now: Now) -> list[Fetch]:
        self._stand_ins.begin(now)
        calls = self._polls.due(now)
        for call in calls:
            if call.name == "audit" and call.market is not None:
                self._markets[call.market].ask()
        return calls

    def _note(self, event: str, what: str) -> Effects:
        """A warning, once for each thing that it is about."""
        if (event, what) in self._noted or len(self._noted) >= spec.NOTES:
            return []
        self._noted.add((event, what))
        return [Note("warning", event, {"what": what})]

    def _stream(self, m: Market, kind: str, patience: Patience, now: Now) -> Stream:
        return Stream(CONN, m.channels[kind], kind, m.name, patience, now.mono)

    def _subscribe_missing(self, now: Now) -> Effects:
        self._waiting.clear()
        for kind in spec.CHANNELS if self._open else ():
            for m in self._by_symbol.values():
                if self._streams.get(m.channels[kind]) is None:
                    self._waiting.add(self._stream(m, kind, self._patience[kind], now))
        return self._subscribe_next(now)

    def _subscribe_next(self, now: Now) -> Effects:
        return [self._request("subscribe", stream.key) for stream in self._waiting.due(now)]

    def _subscribe_anew(self, m: Market, kind: str, now: Now) -> Effects:
        """Leave a channel and take it again: a second ``subscribe`` alone is an error."""
        again = Patience(spec.RESYNC_NS, spec.RESYNC_NS, self._stale) if kind == "book" else self._patience[kind]
        stream = self._stream(m, kind, again, now)
        self._streams.request(stream)
        effects: Effects = [self._request(method, stream.key) for method in ("unsubscribe", "subscribe")]
        if kind == "book":
            m.fence, m.cooling = self._number, False
        return effects

    def _request(self, method: str, channel: str) -> Send:
        self._number += 1
        self._asked[self._number] = (method, channel)
        return Send(CONN, wire.request(self._number, method, channel))

    def _on_text(self, frame: bytes, now: Now) -> Effects:
        try:
            rpc = wire.decode_text(frame)
        except FrameError as error:
            return [Reject(CONN, error.problem, frame)]
        method, channel = self._asked.pop(rpc.id, ("", ""))
        if rpc.error is not None:
            return self._on_refusal(rpc.error, method, channel, now) + self._subscribe_next(now)
        if rpc.result is None or rpc.result.channel != channel or not channel:
            return [UNKNOWN, *self._note("text_not_understood", rpc.method or method or "answer")]
        if method == "subscribe" and self._streams.ack(channel, now):
            self._accepted.add(channel)
            for m in self._markets.values():
                m.fence = None if m.fence == rpc.id else m.fence
        return self._subscribe_next(now)

    def _on_refusal(self, error: wire.RpcError, method: str, channel: str, now: Now) -> Effects:
        """A refusal is permanent for its channel, unless the venue once accepted it or the code blames the venue."""
        said = f"{error.code} {error.message}: {error.data}"[:200]
        effects = self._note("refused", f"{method} {channel}: {said}")
        stream = self._streams.get(channel)
        if method != "subscribe" or stream is None:
            return [*effects, IGNORED]
        if error.code in spec.TRANSIENT_CODES or channel in self._accepted:
            self._accepted.discard(channel)
            if stream.kind == "book":
                effects += self._repair(self._markets[stream.market], Reason.SUBSCRIBE_ERROR, said, now, alone=False)
            return effects
        self._streams.drop(channel)
        return effects

    def _lose(self, m: Market, trust: Trust, now: Now) -> Effects:
        self._polls.remove("audit", m.name)
        if m.symbol:
            self._stand_ins.missing(m.name, now)
        return m.lose(trust)

    def _repair(
        self, m: Market, reason: Reason, why: str, now: Now, *, trust: Trust = Trust.RESYNC, alone: bool = True
    ) -> Effects:
        """The book is not known: say so, then have it rebuilt."""
        effects = self._lose(m, trust, now)
        others = any(o.seq is not None for o in self._markets.values())
        remedy = m.remedy(now, alone=alone, others_live=others)
        if remedy is Remedy.LEAVE:
            return [*effects, Reconnect(CONN, reason, f"{m.name}: {why}")]
        effects.append(Note("warning", "resync", {"market": m.name, "reason": reason.value, "why": why}))
        if remedy is Remedy.RESUBSCRIBE:
            return [*effects, Count(Counter.RESYNCS.label), *self._subscribe_anew(m, "book", now)]
        self._streams.request(self._stream(m, "book", Patience(None, spec.COOL_NS, self._stale), now))
        return effects

    def _overdue(self, m: Market, stream: Stream, verdict: Verdict, now: Now) -> Effects:
        if stream.kind != "book":
            return self._renew(m, stream, verdict, now)
        if verdict is Verdict.SILENT:
            return self._dead(m, "silent", self._stale, now)
        if m.cooling:
            return self._subscribe_anew(m, "book", now)
        reason = Reason.ACK_TIMEOUT if verdict is Verdict.ACK else Reason.SNAPSHOT_TIMEOUT
        return self._repair(m, reason, verdict.value, now, alone=False)

    def _dead(self, m: Market, why: str, silence_ns: int, now: Now) -> Effects:
        """A book stream has stopped: alone, or with everything else on the connection for so long."""
        if now.mono - self._heard >= silence_ns:
            return [*self._lose(m, Trust.STALE, now), Reconnect(CONN, Reason.STALE_WATCHDOG, f"{m.name}: {why}")]
        return self._repair(m, Reason.MARKET_STALE, why, now, trust=Trust.STALE)

    def _renew(self, m: Market, stream: Stream, verdict: Verdict, now: Now) -> Effects:
        """A stream other than a book is late: it is subscribed anew. A quote that is the book's touch is only quiet."""
        effects: Effects = []
        if stream.kind == "bbo" and verdict is Verdict.SILENT:
            if m.quiet_quote():
                return []
            effects += m.feed.invalidate_quote(Trust.STALE)
        effects += self._note("stream_late", f"{stream.key}: {verdict.value}")
        return effects + self._subscribe_anew(m, stream.kind, now)

    def _garbled(self, frame: bytes, problem: str, now: Now) -> Effects:
        """A frame that cannot be read: it may have been the next step of a book, or a quote."""
        effects: Effects = []
        template = wire.template_of(frame)
        markets = self._markets.values()
        if template in (None, spec.BOOK):
            suspects = [m for m in markets if m.expects(wire.seq_of(frame))]
            for m in suspects or [m for m in markets if m.seq is not None]:
                effects += self._repair(m, Reason.PARSE_ERROR, problem, now)
        if template in (None, spec.BBO):
            for m in markets:
                effects += m.feed.invalidate_quote(Trust.RESYNC)
        return [*effects, Reject(CONN, problem, frame)]

    def received(self, conn: str, frame: bytes, binary: bool, now: Now) -> Effects:  # noqa: FBT001
        """Digest one frame: data is binary, answers and refusals are text."""
        self._heard = now.mono
        if not binary:
            return self._on_text(frame, now)
        try:
            event = wire.decode(frame)
        except FrameError as error:
            return self._garbled(frame, error.problem, now)
        m = None if isinstance(event, wire.OtherEvent) else self._by_symbol.get(event.market)
        if m is None:
            return self._on_stranger(event, frame, now)
        if isinstance(event, wire.BookEvent):
            return self._on_book(m, event, frame, now)
        kind, digest = _DIGESTS[type(event)]
        self._streams.data(m.channels[kind], now)
        try:
            return digest(m, event, now)
        except BookError as error:
            return self._broken(m, error, frame, now)
        except VenueError as error:
            unknown = m.feed.invalidate_quote(Trust.RESYNC) if kind == "bbo" else []
            return [*unknown, Reject(CONN, error.problem, frame)]

    def _on_book(self, m: Market, event: wire.BookEvent, frame: bytes, now: Now) -> Effects:
        before = m.seq
        try:
            effects = m.step(event, frame, now, self._streams.get(m.channels["book"]))
        except BookError as error:
            return self._broken(m, error, frame, now)
        if m.seq != before:
            self._streams.data(m.channels["book"], now)
            if before is None:
                self._stand_ins.served(m.name)
                self._watch(m, now, self._audit_every)
        return effects

    def _broken(self, m: Market, error: BookError, frame: bytes, now: Now) -> Effects:
        effects = error.effects + self._repair(m, error.reason, error.problem, now)
        if error.reason is Reason.PARSE_ERROR:
            effects.append(Reject(CONN, error.problem, frame))
        return effects

    def _on_stranger(self, event: wire.Event, frame: bytes, now: Now) -> Effects:
        """Nothing that was asked for; but a book's next step under another name is a step that it has lost."""
        if isinstance(event, wire.OtherEvent):
            if event.schema == spec.SCHEMA_ID and event.template in spec.NOT_USED:
                return [IGNORED]
            return [UNKNOWN, *self._note("template_unknown", f"{event.schema}:{event.template}")]
        if isinstance(event, wire.BookEvent) and any(m.expects(event.seq) for m in self._markets.values()):
            return self._garbled(frame, "a book's next step under another name", now)
        return [UNKNOWN, *self._note("market_unknown", type(event).__name__)]

    def fetched(self, request: Fetch, reply: Reply, now: Now) -> Effects:
        """Digest a REST answer; whatever is not usable is asked for again."""
        self._polls.done(request, reply, now, usable=reply.ok)
        effects: Effects = []
        if reply.ok:
            try:
                effects = self._answers[request.name](request, reply.body, now)
            except VenueError as error:
                self._polls.done(request, reply, now, usable=False)
                effects = [Reject("rest", f"{request.name}: {error.problem}", reply.body)]
        else:
            effects = self._note("rest_failed", f"{request.name}: {reply.outcome.partition(':')[0]}")
            if reply.status == spec.HTTP_BAD_REQUEST and request.name in ("audit", "book"):
                self._depth = spec.DEPTHS[-1]
        return [*effects, *self._due(now)]

    def _get(self, name: str, path: str, market: str | None = None, *query: tuple[str, str]) -> Fetch:
        timeout_s = self._settings.rest_timeout_ms / 1_000
        return Fetch(name, self._settings.rest_url + path, market, params=query, timeout_s=timeout_s)

    def _ask_markets(self) -> Fetch:
        return self._get("markets", spec.MARKETS_PATH)

    def _ask_book(self, market: str, name: str = "book") -> Fetch:
        return self._get(name, f"{spec.BOOK_PATH}/{self._markets[market].symbol}", market, ("depth", f"{self._depth}"))

    def _watch(self, m: Market, now: Now, after_ns: int) -> None:
        """Have the live book compared with REST from then on."""
        self._polls.add(partial(self._ask_book, m.name, "audit"), now, every_ns=self._audit_every, after_ns=after_ns)

    def _on_markets(self, request: Fetch, body: bytes, now: Now) -> Effects:
        """Resolve what is wanted. A market that is missing is looked for again soon, and the others go on."""
        rows, bad = wire.market_rows(body)
        effects: Effects = self._note("market_rows_unreadable", f"{bad}") if bad else []
        missing = False
        for m in self._markets.values():
            fresh = not m.symbol
            try:
                effects += m.resolve(rows, now.wall)
            except VenueError as error:
                missing = True
                effects += self._note("market_missing", str(error))
                continue
            if fresh:
                self._by_symbol[m.symbol.encode()] = m
                self._stand_ins.missing(m.name, now)
                ask = partial(self._get, "summary", spec.SUMMARY_PATH, m.name, ("market", m.symbol))
                self._polls.add(ask, now, every_ns=spec.SUMMARY_NS)
        every = spec.UNLISTED_NS if missing else spec.MARKETS_NS
        self._polls.add(self._ask_markets, now, every_ns=every, after_ns=every)
        return effects + self._subscribe_missing(now)

    def _on_rest_summary(self, request: Fetch, body: bytes, now: Now) -> Effects:
        m = self._markets[str(request.market)]
        return m.rest_summary(wire.summary_row(body, m.symbol), now)

    def _on_audit(self, request: Fetch, body: bytes, now: Now) -> Effects:
        m = self._markets[str(request.market)]
        try:
            effects = m.claimed(wire.rest_book(body), now)
        except BookError as error:
            return self._broken(m, error, body, now)
        if m.confirmed == now.mono:
            self._streams.data(m.channels["book"], now)
        if any(isinstance(effect, Count) for effect in effects):
            self._watch(m, now, spec.REST_DIVERGED_NS)
        return effects

    def _on_rest_book(self, request: Fetch, body: bytes, now: Now) -> Effects:
        m = self._markets[str(request.market)]
        if m.name not in self._stand_ins:
            return []
        effects = m.stand_in(wire.rest_book(body), self._depth)
        self._stand_ins.seen(m.name, now)
        return effects


def protocol(context: Context) -> VenueProtocol:
    """A fresh protocol object."""
    return Paradex(context)
