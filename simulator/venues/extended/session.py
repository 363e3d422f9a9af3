"""Extended's sockets: a v1 path stream is one topic, a v2 RPC socket holds many."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from simulator.frames import Frame, Op
from simulator.session import Session
from simulator.venues.extended import facts, messages
from simulator.venues.extended.topics import Topic, Wrong, from_params

if TYPE_CHECKING:
    from aiohttp import web

    from simulator.book import Levels
    from simulator.frames import Connection, Kind
    from simulator.scheduler import Timer
    from simulator.venues.extended.messages import Payload
    from simulator.venues.extended.venue import Extended

REPLAYED = frozenset({"snapshot", "delta"})


class StreamSession(Session):
    """Numbers every data frame of the connection, whatever its topic, and pings."""

    first_seq = 1
    shared = False
    """Whether markets share the connection, and its numbers."""
    restamps = False
    """Whether what is replayed to a new subscriber carries the time of sending instead of its own."""

    def __init__(
        self, venue: Extended, connection: Connection, request: web.Request, ws: web.WebSocketResponse
    ) -> None:
        super().__init__(venue, connection, request, ws)
        self.extended = venue
        self.topics: set[Topic] = set()
        self._seq = self.first_seq
        self._pings = 0
        self._pong_due: Timer | None = None

    def opened(self) -> None:
        """The server pings, and hangs up on who does not answer in time."""
        self.every(self.extended.scaled(facts.PING_S), self._ping)

    def _ping(self) -> None:
        self._pings += 1
        self.send(Frame(b"%d" % self._pings, "ping", op=Op.PING))

    def written(self, frame: Frame) -> None:
        """A ping that a fault has swallowed is none that a client could answer."""
        if frame.kind == "ping" and self._pong_due is None and frame.data == b"%d" % self._pings:
            self._pong_due = self.after(self.extended.scaled(facts.PONG_S), self._no_pong)

    def ponged(self, data: bytes) -> None:
        """Only the payload of the last ping counts."""
        if self._pong_due is not None and data == b"%d" % self._pings:
            self._pong_due.cancel()
            self._pong_due = None

    def _no_pong(self) -> None:
        if self.extended.violation("pong_10s", f"connection {self.connection.number}"):
            self.drop()

    def hold(self, topic: Topic) -> None:
        """Deliver a topic from now on, beginning with what has gone before."""
        self.topics.add(topic)
        self.extended.listen(topic, self)
        for payload in self.extended.greeting(topic):
            ts_ms = self.extended.now_ms() if self.restamps and payload.kind in REPLAYED else payload.ts_ms
            self.push(topic, payload, ts_ms)

    def release(self, topic: Topic) -> None:
        """Deliver it no longer."""
        self.topics.discard(topic)
        self.extended.unlisten(topic, self)

    def closed(self) -> None:
        """Nothing survives a socket."""
        for topic in list(self.topics):
            self.release(topic)

    def describe(self) -> dict[str, object]:
        """Topics by their v2 names, and the next number."""
        return {"subscriptions": sorted(topic.subscription for topic in self.topics), "next_seq": self._seq}

    def push(self, topic: Topic, payload: Payload, ts_ms: int) -> None:
        """Number and send a frame."""
        now = self.extended.clock.monotonic()
        if self.shared and self.extended.hook.withholds(self.connection, payload.kind, payload.market, now):
            return
        wrap = partial(self.wrap, topic, payload, ts_ms, self._seq)
        self._seq += 1
        self.send(
            Frame(
                wrap(payload.data),
                payload.kind,
                payload.market,
                render=None if payload.render is None else partial(_render, payload, wrap),
                bids=payload.bids,
                asks=payload.asks,
            )
        )

    def wrap(self, topic: Topic, payload: Payload, ts_ms: int, seq: int, data: bytes) -> bytes:
        """The frame around ``data``."""
        raise NotImplementedError


def _render(payload: Payload, wrap: Any, bids: Levels, asks: Levels) -> bytes:  # noqa: ANN401 - a partial
    return wrap(payload.render(bids, asks)) if payload.render else b""


class PathSession(StreamSession):
    """v1: the path is the subscription; nothing is acknowledged and what the client says means nothing."""

    def opened(self) -> None:
        """Deliver at once."""
        super().opened()
        topic = self.extended.topic_of(self.request)
        if isinstance(topic, Topic):
            self.hold(topic)

    def wrap(self, topic: Topic, payload: Payload, ts_ms: int, seq: int, data: bytes) -> bytes:
        """See ``messages.v1``."""
        del topic
        return messages.v1(payload, ts_ms, seq, data)


class RpcSession(StreamSession):
    """v2: requests with string ids; answers carry no number and take none."""

    first_seq = 0
    shared = True

    @property
    def restamps(self) -> bool:  # type: ignore[override]
        """v2 seems to stamp its replay with the time of sending."""
        return self.extended.set["v2_restamps"] == "1"

    def wrap(self, topic: Topic, payload: Payload, ts_ms: int, seq: int, data: bytes) -> bytes:
        """See ``messages.v2``."""
        return messages.v2(payload, ts_ms, seq, data, topic.subscription)

    def received(self, message: str | bytes) -> None:
        """Answer one request."""
        try:
            value = msgspec.json.decode(message)
        except (msgspec.DecodeError, RecursionError):
            self._refuse(None, facts.PARSE_ERROR, "Parse error")
            return
        number = value.get("id") if isinstance(value, dict) else None
        if not isinstance(number, str) or value.get("jsonrpc") != "2.0" or not isinstance(value.get("method"), str):
            self._refuse(number if isinstance(number, str) else None, facts.INVALID_REQUEST, "Invalid request")
            return
        self._call(number, value["method"], value.get("params"))

    def _call(self, number: str, method: str, params: Any) -> None:  # noqa: ANN401 - raw JSON
        match method:
            case "ping":
                self._answer(number, messages.ok("ping"), "pong")
            case "list-subscriptions":
                names = sorted(topic.subscription for topic in self.topics)
                self._answer(number, messages.ok(method, subscriptions=names), "control")
            case "subscribe" | "unsubscribe":
                topic = from_params(params, self.extended.symbols)
                if not isinstance(topic, Wrong):
                    self._change(number, method, topic)
                elif topic.code:
                    self._refuse(number, topic.code, topic.message)
            case _:
                self._refuse(number, facts.METHOD_NOT_FOUND, "Method not found")

    def _change(self, number: str, method: str, topic: Topic) -> None:
        market = self.extended.market_of(topic.symbol or "")
        if method == "unsubscribe":
            self.release(topic)
            self._answer(number, messages.ok(method), "ack", market)
            return
        # One that is held already is replaced: acknowledged, and begun anew with a full snapshot.
        self._answer(number, messages.ok(method, subscription=topic.subscription), "ack", market)
        self.hold(topic)

    def _answer(self, number: str, value: bytes, kind: Kind, market: str | None = None) -> None:
        self.send(Frame(messages.result(number, value), kind, market))

    def _refuse(self, number: str | None, code: int, text: str) -> None:
        self.send(Frame(messages.failure(number, code, text), "error"))
