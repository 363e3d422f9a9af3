"""One Aster socket: streams from the URL or by request, raw or combined, pings and limits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from simulator.frames import Frame, Op
from simulator.limits import Window
from simulator.session import Session
from simulator.venues.aster import control, facts

if TYPE_CHECKING:
    from aiohttp import web

    from simulator.frames import Connection, Kind
    from simulator.venues.aster.control import Refusal, Request
    from simulator.venues.aster.venue import Aster


class AsterSession(Session):
    """Any stream name is accepted; one that does not exist never sends."""

    def __init__(self, venue: Aster, connection: Connection, request: web.Request, ws: web.WebSocketResponse) -> None:
        super().__init__(venue, connection, request, ws)
        self.aster = venue
        self.combined = request.path.startswith("/stream")
        self.streams: dict[str, None] = {}
        self._asked = request.query.get("streams", "") if self.combined else request.match_info.get("streams", "")
        self._messages = Window(facts.MESSAGES_PER_S, 1.0)
        self._last_pong = venue.clock.monotonic()

    def opened(self) -> None:
        """No greeting and no acknowledgement of what the URL asks for."""
        for stream in filter(None, self._asked.split("/")):
            self._take_up(stream)
        self.every(self.aster.scaled(facts.PING_S), self._ping)
        self.after(self.aster.scaled(facts.LIFETIME_S), self._expire)

    def _expire(self) -> None:
        if self.aster.set["expiry"] == "abrupt":
            self.drop()
        else:
            self.close(1001, "")

    def _ping(self) -> None:
        now = self.aster.clock.monotonic()
        silent = now - self._last_pong >= self.aster.scaled(facts.PONG_S)
        if silent and self.aster.violation("pong_15min", f"connection {self.connection.number}"):
            self.drop()
            return
        self.send(Frame(b"%d" % self.aster.now_ms(), "ping", op=Op.PING))

    def ponged(self, data: bytes) -> None:
        """Unsolicited ones count too."""
        del data
        self._last_pong = self.aster.clock.monotonic()

    def pinged(self, data: bytes) -> None:
        """Answered; a ping is a message all the same."""
        if self._within_rate():
            super().pinged(data)

    def _within_rate(self) -> bool:
        if self._messages.spend(self.aster.clock.monotonic()):
            return True
        if not self.aster.violation("messages_per_second", f"connection {self.connection.number}"):
            return True
        self.close(1008, "Too many requests")
        return False

    def describe(self) -> dict[str, object]:
        """Streams in the order of asking."""
        return {"subscriptions": list(self.streams), "combined": self.combined}

    def closed(self) -> None:
        """Nothing survives a socket."""
        for stream in list(self.streams):
            self._let_go(stream)

    # ---- requests ----

    def received(self, message: str | bytes) -> None:
        """Answer one request."""
        if not self._within_rate():
            return
        request = control.parse(message)
        if isinstance(request, control.Refusal):
            self._refuse(request)
            return
        match request.method:
            case "SUBSCRIBE":
                self._subscribe(request)
            case "UNSUBSCRIBE":
                for stream in request.params:
                    self._let_go(stream)
                self._reply(None, request, "ack")
            case "LIST_SUBSCRIPTIONS":
                self._reply(list(self.streams), request, "control")
            case "SET_PROPERTY" | "GET_PROPERTY":
                self._property(request)

    def _subscribe(self, request: Request) -> None:
        if len(self.streams.keys() | set(request.params)) > facts.STREAMS and self.aster.violation("streams"):
            self._refuse(control.Refusal(control.INVALID, "Invalid request: too many streams", request.id))
            return
        self._reply(None, request, "ack")
        for stream in request.params:
            self._take_up(stream)

    def _property(self, request: Request) -> None:
        refusal = control.property_refusal(request)
        if refusal is not None:
            self._refuse(refusal)
        elif request.method == "GET_PROPERTY":
            self._reply(self.combined, request, "control")
        else:
            self.combined = request.params[1]
            self._reply(None, request, "control")

    def _reply(self, result: Any, request: Request, kind: Kind) -> None:  # noqa: ANN401 - any JSON
        markets = {self.aster.market_of(stream.partition("@")[0].upper()) for stream in map(str, request.params)}
        market = markets.pop() if len(markets) == 1 else None
        self.send(Frame(control.reply(result, request.id), kind, market))

    def _refuse(self, refusal: Refusal) -> None:
        self.send(Frame(control.error(refusal, self.aster.set["error_shape"]), "error"))

    def _take_up(self, stream: str) -> None:
        self.streams[stream] = None
        self.aster.listen(stream, self)

    def _let_go(self, stream: str) -> None:
        self.streams.pop(stream, None)
        self.aster.unlisten(stream, self)
