"""The two transports: which connection and which request bring a stream, and what the venue says of a request.

In v1 the URL is the request and each stream has a connection; in v2 one connection carries all, by RPC.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Literal, TypeAlias

import msgspec

from bus.events import Reason, Trust
from bus.settings import Venue
from connectors.effects import Close, Effects, Fetch, Now, Open, Send
from connectors.extended import spec
from connectors.extended.market import Market
from connectors.extended.messages import Envelope
from connectors.streams import Keepalive, Patience, Stream, Streams

MS: Final = 1_000_000
Method: TypeAlias = Literal["subscribe", "unsubscribe"]


class Topic:
    """One stream of one market. ``key`` is unique: the connection's name (v1) or the subscription id (v2)."""

    def __init__(self, kind: str, market: Market, conn: str, key: str) -> None:
        self.kind = kind
        self.market = market
        self.conn = conn
        self.key = key
        self.renewed: int | None = None
        """v2: when it was last started over on its connection."""
        self.renewals = 0
        """v2: how often since it last brought something."""


class Link:
    """One connection: of one topic (v1), or of all (v2, ``topic`` is ``None``)."""

    def __init__(self, conn: str, topic: Topic | None, keepalive: Keepalive) -> None:
        self.conn = conn
        self.topic = topic
        self.keepalive = keepalive
        self.up = False
        self.last = 0
        """Sequence number of the last data frame."""
        self.heard = 0
        """Monotonic ns of the last frame of any kind."""


class Refused(msgspec.Struct, frozen=True):
    """The venue said no to a request; ``lasting``: asking again would not help."""

    topic: Topic
    detail: str
    lasting: bool


class Wires:
    """Connections, topics and the streams they bring, for one transport."""

    def __init__(self, settings: Venue) -> None:
        self.v2 = settings.transport == "v2"
        self.streams = Streams()
        self.links: dict[str, Link] = {}
        self.topics: dict[str, Topic] = {}
        self._first_seq = spec.FIRST_SEQ[settings.transport]
        self._settings = settings
        self._patience = patience(settings.stale_ms * MS, spec.ACK_NS if self.v2 else None)
        self._requests: dict[str, Topic] = {}
        self._number = 0

    def topic(self, market: Market, kind: str) -> Topic | None:
        """A market's stream of this kind, ``None`` when it is not wanted."""
        return self.topics.get(self._key(market, kind))

    def carried(self, link: Link) -> list[Topic]:
        """Topics that come by this connection, books first."""
        if link.topic is not None:
            return [link.topic]
        return sorted(self.topics.values(), key=lambda topic: spec.KINDS.index(topic.kind))

    def want(self, market: Market, kinds: Iterable[str], now: Now) -> Effects:
        """Have these streams of a market: those not yet wanted, and (v2) those once refused."""
        effects: Effects = []
        for kind in kinds:
            key = self._key(market, kind)
            conn = spec.RPC if self.v2 else key
            topic = self.topics.setdefault(key, Topic(kind, market, conn, key))
            link = self.links.get(conn)
            if link is None:
                keepalive = Keepalive(self._settings.ping_interval_ms * MS, spec.PONG_NS)
                self.links[conn] = Link(conn, None if self.v2 else topic, keepalive)
                path = spec.V2_PATH if self.v2 else spec.V1_PATH + spec.V1_PATHS[kind].format(market.symbol)
                effects.append(Open(conn, self._settings.ws_url + path, spec.HEADERS))
            elif link.up and self.streams.get(key) is None:
                effects += self.subscribe(topic, now)
        return effects

    def unwant(self, topic: Topic) -> Effects:
        """Give a stream up for good."""
        self.streams.drop(topic.key)
        del self.topics[topic.key]
        if self.v2:
            return self._request("unsubscribe", topic) if self.links[topic.conn].up else []
        del self.links[topic.conn]
        return [Close(topic.conn)]

    def opened(self, conn: str, now: Now) -> Effects:
        """A connection is up: its numbers and all its streams begin anew."""
        link = self.links.get(conn)
        if link is None:
            return []
        link.up, link.last = True, self._first_seq - 1
        link.keepalive.opened(now)
        effects: Effects = []
        for topic in self.carried(link):
            topic.renewed, topic.renewals, topic.market.awaited = None, 0, False
            effects += self.subscribe(topic, now)
        return effects

    def down(self, link: Link) -> None:
        """A connection is gone, or being left."""
        link.up = False
        link.keepalive.closed()
        self._requests.clear()
        self.streams.forget(link.conn)

    def subscribe(self, topic: Topic, now: Now) -> Effects:
        """A stream begins from nothing. In v1 the open connection was the request."""
        known = self._patience[topic.kind]
        self.streams.request(Stream(topic.conn, topic.key, topic.kind, topic.market.id, known, now.mono))
        return self._request("subscribe", topic) if self.v2 else []

    def hopeless(self, topic: Topic, now: Now, *, spared: bool) -> bool:
        """Whether a stream can only be started over by a new connection: always in v1, in v2 after trying without.

        ``spared``: there are live books, which are not to suffer for a lesser stream soon.
        """
        if not self.v2:
            return True
        if spared and topic.kind != spec.BOOK:
            return topic.renewals >= spec.RENEWALS
        return topic.renewed is not None and now.mono - topic.renewed < spec.RENEW_NS

    def replied(self, frame: Envelope, now: Now) -> Refused | bool:
        """v2: the answer to a request. False when nobody waits for it (any more)."""
        topic = self._requests.pop(str(frame.id), None)
        result, error = frame.result, frame.error
        if topic is None or topic.key not in self.topics or (result is not None and result.method == "unsubscribe"):
            return False
        if result is not None and result.status.upper() == "OK" and result.subscription in (None, topic.key):
            return self.streams.ack(topic.key, now)
        lasting = isinstance(error, dict) and error.get("code") in spec.V2_PERMANENT
        if lasting:
            self.streams.drop(topic.key)
        return Refused(topic, f"{topic.key}: {error or result}"[:200], lasting)

    def _key(self, market: Market, kind: str) -> str:
        return spec.V2_KEYS[kind].format(market.symbol) if self.v2 else f"{kind}.{market.id}"

    def _request(self, method: Method, topic: Topic) -> Effects:
        """One RPC; unsubscribing takes the very parameters of subscribing."""
        self._number += 1
        number = str(self._number)
        self._requests[number] = topic
        scope, selector = spec.V2_PARAMS[topic.kind]
        params = {"scope": scope, "selector": {**selector, "market": topic.market.symbol}}
        text = msgspec.json.encode({"method": method, "id": number, "jsonrpc": "2.0", "params": params}).decode()
        return [Send(topic.conn, text)]


def trust_after(reason: Reason) -> Trust:
    """What is to be said of a book given up for this reason: it was silent, or it was wrong."""
    return Trust.STALE if reason in (Reason.PONG_TIMEOUT, Reason.MARKET_STALE) else Trust.RESYNC


def patience(stale_ns: int, ack_ns: int | None) -> dict[str, Patience]:
    """How long each kind of stream may take. A silent book is looked up when half its threshold has passed."""
    probe = stale_ns // 2
    book = Patience(ack_ns, spec.FIRST_NS, probe if probe >= spec.PROBE_MIN_NS else stale_ns)
    quote = Patience(ack_ns, spec.FIRST_OTHER_NS, stale_ns)
    price = Patience(ack_ns, spec.FIRST_OTHER_NS, spec.PRICE_SILENCE_NS)
    # Trades come whenever there are some; funding every minute, or once an hour.
    rare = Patience(ack_ns)
    kinds = {spec.BOOK: book, spec.BBO: quote, spec.MARK: price, spec.INDEX: price}
    return {kind: kinds.get(kind, rare) for kind in spec.KINDS}


def call(name: str, market: Market, settings: Venue, wall: int, cause: int = 0) -> Fetch:
    """A REST call for one market. ``wall``: now, for those that ask for a span of time."""
    params: tuple[tuple[str, str], ...] = ()
    if name == "markets":
        params = (("market", market.symbol),)
    elif name == "settled":
        end = wall // MS
        params = (("startTime", str(end - spec.SETTLED_SPAN_MS)), ("endTime", str(end)))
    return Fetch(
        name,
        settings.rest_url + spec.REST_PATH + spec.REST_PATHS[name].format(market.symbol),
        market.id,
        params=params,
        headers=spec.HEADERS,
        timeout_s=settings.rest_timeout_ms / 1e3,
        cause=cause,
    )
