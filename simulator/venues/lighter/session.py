"""One Lighter socket: slash-named subscriptions, colon-named frames, and the two-minute rule."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

import msgspec

from simulator.decimals import encode
from simulator.frames import Frame
from simulator.session import Session
from simulator.venues.lighter import facts, messages

if TYPE_CHECKING:
    from simulator.book import Levels
    from simulator.frames import Kind
    from simulator.scheduler import Timer
    from simulator.venues.lighter.messages import BookPieces, BookTimes
    from simulator.venues.lighter.venue import Lighter

PING = b'{"type":"ping"}'
PER_MARKET = frozenset({"order_book", "ticker", "trade", "market_stats"})


class LighterSession(Session):
    """Speaks one JSON object a text frame; there are no request ids."""

    def opened(self) -> None:
        """Greet; watch the client's silence and the session's age."""
        self.lighter = cast("Lighter", self.venue)
        self.subscriptions: set[str] = set()
        """Colon form: ``order_book:1``."""
        self._offsets: dict[str, int] = {}
        self._inflight = 0
        self._no_pong: Timer | None = None
        session_id = str(UUID(int=self.lighter.noise.getrandbits(128), version=4))
        self._say(encode({"session_id": session_id, "type": "connected"}), "control")
        self.after(self.lighter.scaled(facts.LIFETIME_S), lambda: self.close(1001))
        idle = self.lighter.scaled(facts.IDLE_S)
        self.every(min(1.0, idle / 10), lambda: self._close_idle(idle))

        server_ping = float(self.lighter.set["server_ping_s"])
        if server_ping:
            self.every(self.lighter.scaled(server_ping), self._ping)

    def _ping(self) -> None:
        self._say(PING, "ping")
        if self._no_pong is None:
            wait = self.lighter.scaled(facts.NO_PONG_S)
            self._no_pong = self.after(wait, lambda: self.close(1008, "no pong"))

    def _close_idle(self, idle: float) -> None:
        if self.lighter.clock.monotonic() - self.last_received >= idle and not self.ended:
            self.lighter.violation("client_silent_120s", f"connection {self.connection.number}")
            self.last_received = self.lighter.clock.monotonic()
            self.close(1001)

    def describe(self) -> dict[str, object]:
        """Channels in colon form."""
        return {"subscriptions": sorted(self.subscriptions)}

    def closed(self) -> None:
        """Nothing survives a socket."""
        self.subscriptions.clear()

    def _say(self, data: bytes, kind: Kind, market: str | None = None) -> None:
        self.send(Frame(data, kind, market))

    def _refuse(self, code: int, text: str) -> None:
        self._say(messages.error(code, text), "error")

    # ---- incoming ----

    def received(self, message: str | bytes) -> None:
        """Answer one client frame."""
        if not self.lighter.messages.spend(self.lighter.clock.monotonic()) and self.lighter.violation(
            "messages_per_minute"
        ):
            self._refuse(30009, "Too Many Websocket Messages!")
            return
        try:
            value = msgspec.json.decode(message)
        except (msgspec.DecodeError, RecursionError):
            self._refuse(30000, "Invalid Json")
            return
        self._request(value if isinstance(value, dict) else {})

    def _request(self, value: dict[str, Any]) -> None:
        match value.get("type"):
            case "ping":
                self._say(messages.PONG, "pong")
            case "pong":
                if self._no_pong is not None:
                    self._no_pong.cancel()
                    self._no_pong = None
            case "subscribe" | "unsubscribe" as kind:
                self._channel_request(kind, value.get("channel"))
            case _:
                self._refuse(30001, "Invalid Type")

    def _channel_request(self, kind: str, name: object) -> None:
        if self._inflight >= facts.INFLIGHT and self.lighter.violation("inflight"):
            self._refuse(30010, "Too Many Inflight Messages!")
            return
        self._inflight += 1
        # One delay for all, so replies keep the order of the requests.
        self.after(facts.REPLY_S, lambda: self._reply(kind, name))

    def _reply(self, kind: str, name: object) -> None:
        self._inflight -= 1
        topic, market_id = _split(name)
        if topic != "height" and topic not in PER_MARKET:
            self._refuse(30005, "Invalid Channel")
            return
        everything = topic == "market_stats" and market_id == "all"
        market = self.lighter.market_by_id(market_id)
        if topic != "height" and market is None and not everything:
            self._refuse(30005, "Invalid Channel:  (marketId)")
            return
        channel = topic if topic == "height" else f"{topic}:{market_id}"
        if kind == "subscribe":
            self._subscribe(channel, topic, market)
        else:
            self._unsubscribe(channel, market)

    def _subscribe(self, channel: str, topic: str, market: str | None) -> None:
        if channel in self.subscriptions:
            self._refuse(30003, f"Already Subscribed to : {channel}")
            return
        total = self.lighter.subscriptions_total()
        full = len(self.subscriptions) >= facts.SUBSCRIPTIONS or total >= facts.SUBSCRIPTIONS_TOTAL
        if full and self.lighter.violation("subscriptions"):
            self._refuse(23001, "Too Many Subscriptions!")
            return
        self.subscriptions.add(channel)
        if topic == "order_book" and market is not None:
            self._offsets[channel] = self.lighter.noise.randint(1, 9_000_000)
            self.send(self.book_frame(channel, market, *self.lighter.snapshot(market)))
        else:
            self.send(self.lighter.first(topic, market))

    def _unsubscribe(self, channel: str, market: str | None) -> None:
        if channel not in self.subscriptions:
            self._refuse(30002, f"Not Subscribed to : {channel}")
            return
        self.subscriptions.discard(channel)
        self._say(messages.unsubscribed(channel), "ack", market)

    # ---- outgoing ----

    def book_frame(
        self,
        channel: str,
        market: str,
        times: BookTimes,
        sides: tuple[Levels, Levels],
        pieces: BookPieces | None = None,
    ) -> Frame:
        """A book frame with this subscription's own offset."""
        offset = self._offsets[channel] + self.lighter.noise.randint(*facts.OFFSET_STEP)
        self._offsets[channel] = offset
        lighter = self.lighter

        def render(bids: Levels, asks: Levels) -> bytes:
            return lighter.pieces(market, times, (bids, asks)).at(offset)

        data = (pieces or lighter.pieces(market, times, sides)).at(offset)
        if times.begin_nonce:
            return Frame(data, "delta", market, render=render, bids=sides[0], asks=sides[1])
        return Frame(data, "snapshot", market, render=render, bids=sides[0], asks=sides[1], acknowledges=True)


def _split(name: object) -> tuple[str, str]:
    if not isinstance(name, str):
        return "", ""
    topic, _, market_id = name.partition("/")
    return topic, market_id
