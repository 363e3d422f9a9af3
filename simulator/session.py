"""One WebSocket connection: bounded sending through the hook, timers, and an orderly or disorderly end."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from typing import TYPE_CHECKING

from aiohttp import ClientConnectionResetError, WSMsgType, web

from simulator.frames import Cut, Drip, Frame, Op, Raw, Send, Step, Wait, wire
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


class Session:
    """A venue's end of one connection. Subclasses speak the venue's protocol; this class owns the socket.

    Ways out: ``send`` (through the hook), ``close`` (a close frame behind what is queued), ``drop`` (FIN or RST now).
    """

    def __init__(self, venue: Venue, connection: Connection, request: web.Request, ws: web.WebSocketResponse) -> None:
        self.venue = venue
        self.connection = connection
        self.request = request
        self.frames_sent = 0
        self.last_sent = venue.clock.monotonic()
        self.last_received = self.last_sent
        self.ended = False
        self._ws = ws
        self._queue: deque[Frame] = deque()
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
        self._queue.append(frame)
        self._queued_bytes += len(frame.data)
        self._wake.set()
        if len(self._queue) > MOST_QUEUED or self._queued_bytes > MOST_QUEUED_BYTES:
            self.venue.note_slow_client(self.connection)
            self.drop("rst")

    def close(self, code: int = 1000, reason: str = "") -> None:
        """End with a close frame, after what is queued."""
        self.send(Frame(reason.encode(), "close", op=Op.CLOSE, code=code))

    def drop(self, how: str = "fin") -> None:
        """End TCP at once and without a close frame: the client sees 1006."""
        self.ended = True
        self._queue.clear()
        self._wake.set()
        transport = self.request.transport
        if transport is None:
            return
        if how == "rst":
            reset(transport)
        else:
            transport.close()

    # ---- shell ----

    async def run(self) -> None:
        """Serve until either side ends."""
        writer = asyncio.create_task(self._write())
        try:
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
                self.received(message.data)
            elif message.type is WSMsgType.PING:
                self.pinged(bytes(message.data))
            elif message.type is WSMsgType.PONG:
                self.ponged(bytes(message.data))
            else:
                return

    async def _write(self) -> None:
        try:
            while not self.ended:
                await self._wake.wait()
                self._wake.clear()
                while self._queue and not self.ended:
                    frame = self._queue.popleft()
                    self._queued_bytes -= len(frame.data)
                    await self._put(frame)
        except (ClientConnectionResetError, ConnectionError, RuntimeError):
            # The peer went away, or the close handshake has begun; the reading side ends the session.
            self.ended = True

    async def _put(self, frame: Frame) -> None:
        hook = self.venue.hook
        if hook.idle:
            await self._emit(frame)
            return
        for step in hook.outgoing(self.connection, frame, self.venue.clock.monotonic()):
            await self._perform(step)

    async def _perform(self, step: Step) -> None:
        match step:
            case Send(frame):
                await self._emit(frame)
            case Wait(seconds):
                await asyncio.sleep(seconds)
            case Drip(frame, gap):
                await self._drip(wire(frame), gap)
            case Raw(data):
                self._write_raw(data)
            case Cut(how):
                self.drop(how)

    async def _emit(self, frame: Frame) -> None:
        self.frames_sent += 1
        self.venue.frames_sent += 1
        self.last_sent = self.venue.clock.monotonic()
        if frame.op is Op.CLOSE:
            # The reading side is inside receive(); only it may wait for the peer's close frame.
            self._write_raw(wire(Frame(frame.code.to_bytes(2) + frame.data, "close", op=Op.CLOSE)))
            self.after(CLOSE_WAIT_S, self.drop)
        else:
            await self._ws.send_frame(frame.data, _TYPES[frame.op])

    async def _drip(self, data: bytes, gap: float) -> None:
        for offset in range(len(data)):
            if self.ended:
                return
            self._write_raw(data[offset : offset + 1])
            await asyncio.sleep(gap)

    def _write_raw(self, data: bytes) -> None:
        transport = self.request.transport
        if transport is not None and not transport.is_closing():
            transport.write(data)


_TYPES = {Op.TEXT: WSMsgType.TEXT, Op.BINARY: WSMsgType.BINARY, Op.PING: WSMsgType.PING, Op.PONG: WSMsgType.PONG}
