"""One WebSocket connection: bounded sending through the hook, timers, and an orderly or disorderly end."""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import itertools
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from aiohttp import WSMessage, WSMsgType, web

from simulator.frames import Cut, Drip, Frame, Later, Op, Raw, Send, Step, wire
from simulator.listener import reset

if TYPE_CHECKING:
    from collections.abc import Callable

    from simulator.frames import Connection
    from simulator.scheduler import Timer
    from simulator.venue import Venue

MOST_QUEUED = 50_000
MOST_QUEUED_BYTES = 64 << 20
CLOSE_WAIT_S = 2.0
MOST_TIMERS = 64
"""Finished timers are forgotten beyond so many."""
TIMER_SLACK_S = 0.0005


class _Queued(NamedTuple):
    frame: Frame
    at: float
    final: bool
    """Past the hook already."""


def _due(entry: tuple[float, int, Later]) -> tuple[float, int]:
    return entry[:2]


class Session:
    """A venue's end of one connection. Subclasses speak the venue's protocol; this class owns the socket.

    Ways out: ``send`` (through the hook), ``close`` (a close frame behind what is queued), ``drop`` (FIN or RST now).
    """

    most_queued = MOST_QUEUED
    """Frames that may wait for a client which does not read."""

    def __init__(self, venue: Venue, connection: Connection, request: web.Request, ws: web.WebSocketResponse) -> None:
        self.venue = venue
        self.connection = connection
        self.request = request
        self.frames_sent = 0
        self.last_sent = venue.clock.monotonic()
        self.last_received = self.last_sent
        self.ended = False
        self._ws = ws
        self._queue: deque[_Queued] = deque()
        self._late: list[tuple[float, int, Later]] = []
        self._late_count = itertools.count()
        self._close_sent = False
        self._queued_bytes = 0
        self._wake = asyncio.Event()
        self._timers: list[Timer] = []

    # ---- for subclasses ----

    def opened(self) -> None:
        """Greet and start timers."""

    def received(self, message: str | bytes) -> None:
        """Digest one text (str) or binary (bytes) message."""

    def pinged(self, data: bytes) -> None:
        """Answer a protocol ping; venues that do not answer override this."""
        self.send(Frame(data, "pong", op=Op.PONG))

    def ponged(self, data: bytes) -> None:
        """Note a protocol pong."""

    def written(self, frame: Frame) -> None:
        """Note a frame that has been handed to the socket: what no fault has held back."""

    def closed(self) -> None:
        """Forget subscriptions; called once, whatever ended the connection."""

    def describe(self) -> dict[str, object]:
        """What ``GET /state`` shows of this connection: at least ``subscriptions``."""
        return {"subscriptions": []}

    # ---- services ----

    def after(self, seconds: float, callback: Callable[[], object]) -> Timer:
        """Call once, unless the connection ends first."""
        return self._keep(self.venue.scheduler.after(seconds, callback))

    def every(
        self, period: float | Callable[[], float], callback: Callable[[], object], *, first: float | None = None
    ) -> Timer:
        """Call until the connection ends."""
        return self._keep(self.venue.scheduler.every(period, callback, first=first))

    def _keep(self, timer: Timer) -> Timer:
        if len(self._timers) > MOST_TIMERS:
            self._timers = [known for known in self._timers if not known.cancelled]
        self._timers.append(timer)
        return timer

    def send(self, frame: Frame) -> None:
        """Queue a frame. A client that does not drain its socket is reset once the bounded queue is full."""
        if self.ended:
            return
        self._queue.append(_Queued(frame, self.venue.clock.monotonic(), final=False))
        self._queued_bytes += len(frame.data)
        self._wake.set()
        if len(self._queue) > self.most_queued or self._queued_bytes > MOST_QUEUED_BYTES:
            self.venue.note_slow_client(self.connection)
            self.drop("rst")

    def close(self, code: int = 1000, reason: str = "") -> None:
        """End with a close frame, after what is queued."""
        self.send(Frame(reason.encode(), "close", op=Op.CLOSE, code=code))

    def drop(self, how: str = "fin") -> None:
        """End TCP at once and without a close frame: the client sees 1006."""
        self.ended = True
        self._queue.clear()
        self._late.clear()
        self._wake.set()
        transport = self.request.transport
        if transport is None:
            return
        if how == "rst":
            reset(transport)
        else:
            transport.close()

    def faults_changed(self) -> None:
        """Let go of what a fault held back that is no longer in force."""
        freed = [later for _, _, later in sorted(self._late, key=_due) if not self.venue.hook.active(later.fault)]
        self._late = [entry for entry in self._late if self.venue.hook.active(entry[2].fault)]
        heapq.heapify(self._late)
        now = self.venue.clock.monotonic()
        self._queue.extendleft(_Queued(later.frame, now, final=True) for later in reversed(freed))
        self._queued_bytes += sum(len(later.frame.data) for later in freed)
        self._wake.set()

    def take(self, steps: tuple[Step, ...]) -> None:
        """Perform steps that no frame of the venue's own caused."""
        for step in steps:
            match step:
                case Send(frame):
                    self._queue.append(_Queued(frame, self.venue.clock.monotonic(), final=True))
                    self._queued_bytes += len(frame.data)
                case Later():
                    self._postpone(step)
                case Drip(frame):
                    self.send(frame)
                case Raw(data):
                    self._write_raw(data)
                case Cut(how):
                    self.drop(how)
        self._wake.set()

    # ---- shell ----

    async def run(self) -> None:
        """Serve until either side ends."""
        writer = asyncio.create_task(self._write())
        try:
            self.take(self.venue.hook.opened(self.connection, self.venue.clock.monotonic()))
            self.opened()
            await self._read()
        finally:
            self.ended = True
            for timer in self._timers:
                timer.cancel()
            self._timers.clear()
            self.closed()
            writer.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await writer

    async def _read(self) -> None:
        while True:
            message = await self._ws.receive()
            self.last_received = self.venue.clock.monotonic()
            if message.type is WSMsgType.TEXT or message.type is WSMsgType.BINARY:
                self._received(message.data)
            elif message.type is WSMsgType.PING:
                self.pinged(bytes(message.data))
            elif message.type is WSMsgType.PONG:
                self.ponged(bytes(message.data))
            else:
                await self._peer_closed(message)
                return

    def _received(self, message: str | bytes) -> None:
        hook = self.venue.hook
        steps = None if hook.idle else hook.incoming(self.connection, message, self.last_received)
        if steps is None:
            self.received(message)
        else:
            self.take(steps)

    async def _peer_closed(self, message: WSMessage) -> None:
        if message.type is not WSMsgType.CLOSE:
            return
        if self._close_sent and self.request.transport is not None:
            # Both close frames are on the wire: another one would be data after the close.
            self.request.transport.close()
            return
        await self._ws.close(code=message.data or 1000)

    async def _write(self) -> None:
        try:
            while not self.ended:
                await self._wake.wait()
                self._wake.clear()
                while self._queue and not self.ended:
                    queued = self._queue.popleft()
                    self._queued_bytes -= len(queued.frame.data)
                    await self._put(queued)
        except ConnectionError:
            # The peer went away, or the close handshake has begun; the reading side ends the session.
            self.ended = True
        except Exception as error:  # noqa: BLE001 - handed on, and the simulator ends
            self.venue.on_error(error)

    async def _put(self, queued: _Queued) -> None:
        hook = self.venue.hook
        if hook.idle or queued.final:
            await self._emit(queued.frame)
            return
        for step in hook.outgoing(self.connection, queued.frame, queued.at):
            await self._perform(step)

    async def _perform(self, step: Step) -> None:
        match step:
            case Send(frame):
                await self._emit(frame)
            case Later():
                self._postpone(step)
            case Drip():
                await self._drip(step)
            case Raw(data):
                self._write_raw(data)
            case Cut(how):
                self.drop(how)

    def _postpone(self, later: Later) -> None:
        if len(self._late) > MOST_QUEUED:
            self.drop("rst")
            return
        heapq.heappush(self._late, (later.at, next(self._late_count), later))
        self.after(max(0.0, later.at - self.venue.clock.monotonic()), self._release)

    def _release(self) -> None:
        now = self.venue.clock.monotonic()
        while self._late and self._late[0][0] <= now + TIMER_SLACK_S:
            later = heapq.heappop(self._late)[2]
            self._queue.append(_Queued(later.frame, now, final=True))
            self._queued_bytes += len(later.frame.data)
        self._wake.set()

    async def _emit(self, frame: Frame) -> None:
        self.frames_sent += 1
        self.venue.frames_sent += 1
        self.last_sent = self.venue.clock.monotonic()
        if frame.op is Op.CLOSE:
            # The reading side is inside receive(); only it may wait for the peer's close frame.
            self._close_sent = True
            self._write_raw(wire(Frame(frame.code.to_bytes(2) + frame.data, "close", op=Op.CLOSE)))
            self.after(CLOSE_WAIT_S, self.drop)
        else:
            await self._ws.send_frame(frame.data, _TYPES[frame.op])
            self.written(frame)

    async def _drip(self, step: Drip) -> None:
        data = wire(step.frame)
        for offset in range(len(data)):
            if self.ended:
                return
            if not self.venue.hook.active(step.fault):
                self._write_raw(data[offset:])
                return
            self._write_raw(data[offset : offset + 1])
            await asyncio.sleep(step.gap_s)

    def _write_raw(self, data: bytes) -> None:
        transport = self.request.transport
        if transport is not None and not transport.is_closing():
            transport.write(data)


_TYPES = {Op.TEXT: WSMsgType.TEXT, Op.BINARY: WSMsgType.BINARY, Op.PING: WSMsgType.PING, Op.PONG: WSMsgType.PONG}
