"""One Paradex socket: channels by JSON-RPC, data in the negotiated version of SBE."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from simulator.frames import Frame, Op
from simulator.session import Session
from simulator.venues.paradex import channels, control, facts, sbe

if TYPE_CHECKING:
    from aiohttp import web

    from simulator.frames import Connection
    from simulator.scheduler import Timer
    from simulator.venues.paradex.channels import Channel
    from simulator.venues.paradex.control import Failure, Request
    from simulator.venues.paradex.venue import Paradex


class ParadexSession(Session):
    """A refusal concerns one request; the connection lives on."""

    def __init__(self, venue: Paradex, connection: Connection, request: web.Request, ws: web.WebSocketResponse) -> None:
        super().__init__(venue, connection, request, ws)
        self.paradex = venue
        self.version = int(request.query.get("sbeSchemaVersion", "0"))
        if venue.settings.frames_per_second is None:
            self.most_queued = facts.UNREAD
        self.held: dict[str, Channel] = {}
        self.scope: set[str] | None = None
        """Markets of the bare ``markets_summary``; None is every one."""
        self._tops: dict[str, Timer] = {}
        self._shown: dict[str, int] = {}
        self._pong_due: Timer | None = None
        self._pings = 0

    def opened(self) -> None:
        """No greeting; the server pings."""
        self.every(self.paradex.scaled(facts.PING_S), self._ping)
        idle = self.paradex.scaled(facts.IDLE_HEARTBEAT_S)
        self.every(idle / 4, partial(self._heartbeat, idle))

    def _ping(self) -> None:
        self._pings += 1
        self.send(Frame(b"%d" % self._pings, "ping", op=Op.PING))

    def written(self, frame: Frame) -> None:
        """A ping that a fault has swallowed is none that a client could answer."""
        if frame.kind == "ping" and self._pong_due is None:
            self._pong_due = self.after(self.paradex.scaled(facts.PONG_S), self._no_pong)

    def ponged(self, data: bytes) -> None:
        """Any pong renews the connection."""
        del data
        if self._pong_due is not None:
            self._pong_due.cancel()
            self._pong_due = None

    def _no_pong(self) -> None:
        self._pong_due = None
        if self.paradex.violation("pong_5s", f"connection {self.connection.number}"):
            self.drop()

    def _heartbeat(self, idle: float) -> None:
        if self.paradex.set["heartbeats"] == "1" and self.paradex.clock.monotonic() - self.last_sent >= idle:
            data = sbe.heartbeat(self.paradex.layout(self.version), self.paradex.event_us(self.paradex.clock.now_us()))
            self.send(Frame(data, "control", op=Op.BINARY))

    def describe(self) -> dict[str, object]:
        """Channels as they were asked for."""
        return {"subscriptions": list(self.held), "sbe_version": self.version}

    def closed(self) -> None:
        """Nothing survives a socket."""
        for name in list(self.held):
            self._let_go(name)

    # ---- requests ----

    def received(self, message: str | bytes) -> None:
        """Answer one request."""
        us_in = self.paradex.now_us()
        request = control.parse(message)
        if isinstance(request, control.Failure):
            self._fail(request, us_in)
            return
        match request.method:
            case "subscribe":
                self._subscribe(request, us_in)
            case "unsubscribe":
                self._unsubscribe(request, us_in)
            case _:
                self._modify(request, us_in)

    def _subscribe(self, request: Request, us_in: int) -> None:
        channel = channels.parse(request.channel, self.paradex.by_symbol)
        reason = channel.data if isinstance(channel, channels.Refused) else self._conflict(channel)
        if isinstance(channel, channels.Refused) or reason is not None:
            code, message = control.INVALID_REQUEST, "invalid subscribe request"
            self._fail(control.Failure(request.id, code, message, reason), us_in)
            return
        self._ack(request, us_in, channel.market)
        self.held[channel.name] = channel
        scope = control.symbols(request.params, "markets")
        if channel.kind == "summary" and channel.market is None:
            self.scope = set(scope) or None
        self._begin(channel)

    def _conflict(self, channel: Channel) -> str | None:
        """Frames name no channel, so one book of a market is all that a session can tell apart."""
        if channel.name in self.held:
            return "already subscribed"
        if channel.kind in {"book", "tops"}:
            for known in self.held.values():
                if known.kind in {"book", "tops"} and known.market == channel.market:
                    return f"channel '{channel.name}' cannot share an SBE session with '{known.name}'"
        return None

    def _begin(self, channel: Channel) -> None:
        if channel.kind == "tops":
            self._tops[channel.name] = self.every(channel.period_ms / 1000, partial(self._push_tops, channel), first=0)
        elif channel.kind != "silent":
            self.paradex.listen(channel, self)
            for frame in self.paradex.first(channel, self):
                self.send(frame)

    def _push_tops(self, channel: Channel) -> None:
        seq = self.paradex.truths[channel.market or ""].last.seq
        if self._shown.get(channel.name) != seq:
            self._shown[channel.name] = seq
            self.send(self.paradex.tops_frame(channel, self.version))

    def _unsubscribe(self, request: Request, us_in: int) -> None:
        channel = self.held.get(request.channel)
        if channel is None:
            code, message = control.INVALID_REQUEST, "invalid unsubscribe request"
            self._fail(control.Failure(request.id, code, message, "not subscribed"), us_in)
            return
        self._let_go(request.channel)
        self._ack(request, us_in, channel.market)

    def _let_go(self, name: str) -> None:
        channel = self.held.pop(name)
        self.paradex.unlisten(channel, self)
        self._shown.pop(name, None)
        timer = self._tops.pop(name, None)
        if timer is not None:
            timer.cancel()

    def _modify(self, request: Request, us_in: int) -> None:
        if request.channel != "markets_summary" or request.channel not in self.held:
            failure = control.Failure(request.id, control.INVALID_REQUEST, "invalid modify request", "not subscribed")
            self._fail(failure, us_in)
            return
        scope = self.scope or set()
        added, removed = (set(control.symbols(request.params, name)) for name in ("add", "remove"))
        self.scope = (scope | added) - removed
        self._ack(request, us_in, None)

    def _ack(self, request: Request, us_in: int, market: str | None) -> None:
        self.send(Frame(control.ack(request, us_in, self.paradex.now_us()), "ack", market))

    def _fail(self, failure: Failure, us_in: int) -> None:
        self.send(Frame(control.error(failure, us_in, self.paradex.now_us()), "error"))

    def wants(self, channel: tuple[str, str | None, bool], market: str) -> bool:
        """Whether a frame about a market goes to this session, which listens to the channel."""
        if channel != ("summary", None, False) or self.scope is None:
            return True
        return self.paradex.specs[market].symbol in self.scope
