"""The publisher's loop: producers' messages in, raw, to all consumers out; answers to consumers that ask for state."""

from __future__ import annotations

import os
import signal
import socket
from pathlib import Path
from types import FrameType
from typing import Final, Literal, Protocol

import zmq

from bus.clock import mono, now, usage
from bus.counters import Counter, Counters
from bus.errors import ParaphinaError, WireError
from bus.events import NO_MARKET, Heartbeat
from bus.outbox import Outbox
from bus.process import PERIOD_NS, Pulse
from bus.resync import WELCOME
from bus.settings import Settings
from bus.siblings import Watchman
from bus.sockets import bind, new_epoch, receive, send, socket_path
from bus.warden import SENTINEL, Warden
from bus.wire import decode_header, decode_payload, encode_header, header_frame
from publisher.cache import Cache
from publisher.service import Service

NAME: Final = "publisher"
ENDPOINTS: Final[tuple[Literal["market_in", "market_out", "resync"], ...]] = ("market_in", "market_out", "resync")
BATCH: Final = 500
"""Messages passed on, or pieces of answers sent, before anything else gets its turn."""
LINES_PER_MINUTE: Final = 10
MINUTE_NS: Final = 60_000_000_000
STUCK_MS: Final = 10
"""Wait between attempts to send answers to consumers whose queues are full."""
MS: Final = 1_000_000


def _inode(path: Path) -> int | None:
    try:
        return path.stat().st_ino
    except OSError:
        return None


class Log(Protocol):
    """What is used of the logger."""

    def info(self, event: str, **fields: object) -> object:
        """Write one line."""
        ...

    def warning(self, event: str, **fields: object) -> object:
        """Write one line."""
        ...


class Quota:
    """Passes a handful of lines a minute and counts the rest."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._until = 0
        self._left = 0
        self._held = 0

    def info(self, event: str, **fields: object) -> None:
        """Write the line if there is room in this minute."""
        at = mono()
        if at >= self._until:
            self._until, self._left = at + MINUTE_NS, LINES_PER_MINUTE
        if not self._left:
            self._held += 1
            return
        self._left -= 1
        held, self._held = self._held, 0
        self._log.info(event, **fields, **({"lines_held_back": held} if held else {}))


class Publisher:
    """The process. ``run`` returns after ``stop`` (or SIGTERM, SIGINT). Raises as ``bus.sockets.bind`` does."""

    def __init__(self, settings: Settings, log: Log) -> None:
        self.counters = Counters()
        self._log = log
        self._lines = Quota(log)
        self._epoch = new_epoch()
        self._line = settings.run.line
        limits = settings.publisher
        self._cache = Cache(self.counters, limits.cached_deltas, limits.cached_bytes)
        self._service = Service(self._cache, self.counters, limits.resyncs_per_s)
        self._stopped = False
        self._unreachable = False
        self._flowing = True
        """Whether the last answers found room in their consumers' queues."""
        self._waker, self._woken = socket.socketpair()
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        try:
            self._open(settings)
        except ParaphinaError:
            self._close()
            raise
        self._outbox = Outbox(
            NAME, self._epoch, self._line, self.counters, self._publish, settings.bus.log_buffer, mono
        )
        self._outbox.joined(b"", mono())
        self._pulse = Pulse(os.getpid(), self._epoch, self.counters)
        # The runner acts on the sentinel first; when it does not, both hang.
        self._warden = Warden(2 * settings.sentinel.heartbeat_timeout_ms * MS, 3 * PERIOD_NS)
        self._watchman = Watchman(self._warden, NAME, log)

    def run(self) -> bool:
        """Serve until stopped; False when the endpoints were taken away, so that nobody new can reach this process."""
        poller = zmq.Poller()
        for source in (self._in, self._out, self._router, self._woken):
            poller.register(source, zmq.POLLIN)
        self._log.info("started", pid=os.getpid())
        while not self._stopped:
            ready = dict(poller.poll(self._wait_ms()))
            # Requests first: they are few, and who asks has lost something.
            if self._out in ready:
                self._subscriptions()
            if self._router in ready:
                self._requests()
            if self._in in ready:
                self._forward()
            self._serve()
            if mono() >= self._pulse.deadline:
                self._check_endpoints()
                self._beat()
        self._log.info("ending", forwarded=self.counters.get(Counter.FORWARDED))
        self._close()
        return not self._unreachable

    def stop(self) -> None:
        """End ``run`` soon; may be called from a signal handler or another thread."""
        self._stopped = True
        self._waker.send(b"\0")

    def stop_on_signals(self) -> None:
        """End ``run`` on SIGTERM and SIGINT."""

        def handle(_: int, __: FrameType | None) -> None:
            self.stop()

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, handle)

    def _open(self, settings: Settings) -> None:
        self._in = self._context.socket(zmq.XSUB)
        self._out = self._context.socket(zmq.XPUB)
        self._out.setsockopt(zmq.SNDHWM, settings.bus.consumer_hwm)
        self._out.setsockopt(zmq.XPUB_VERBOSE, 1)
        self._router = self._context.socket(zmq.ROUTER)
        self._router.setsockopt(zmq.ROUTER_MANDATORY, 1)
        self._router.setsockopt(zmq.ROUTER_HANDOVER, 1)
        bind(self._in, settings.endpoint("market_in"), "bus.market_in")
        bind(self._out, settings.endpoint("market_out"), "bus.market_out")
        bind(self._router, settings.endpoint("resync"), "bus.resync")
        self._in.send(b"\x01")
        self._bound = {path: _inode(path) for name in ENDPOINTS if (path := socket_path(settings.endpoint(name)))}

    def _close(self) -> None:
        self._context.destroy(linger=0)
        self._waker.close()
        self._woken.close()

    def _wait_ms(self) -> int:
        due = max(0, (self._pulse.deadline - mono()) // MS)
        if not self._service.busy:
            return due
        return min(due, 0 if self._flowing else STUCK_MS)

    def _forward(self) -> None:
        inward, outward, store = self._in, self._out, self._cache.store
        passed = 0
        for _ in range(BATCH):
            try:
                frames = receive(inward)
            except zmq.Again:
                break
            if store(frames):
                send(outward, frames)
                passed += 1
        self.counters.add(Counter.FORWARDED, passed)
        for prefix in self._cache.wanted:
            self._service.ask(prefix, mono())
        self._cache.wanted.clear()

    def _publish(self, frames: list[bytes]) -> bool:
        self._cache.store(frames)
        self._out.send_multipart(frames, zmq.NOBLOCK)
        return True

    def _subscriptions(self) -> None:
        for _ in range(BATCH):
            try:
                message = self._out.recv(zmq.NOBLOCK)
            except zmq.Again:
                return
            topic = message[1:]
            if message[:2] == b"\x01" + WELCOME:
                at = mono()
                header = encode_header(self._line, self._epoch, 0, now()[1], at, at)
                self._out.send_multipart([topic, header, b"\xc0"], zmq.NOBLOCK)
                self._lines.info("consumer joined", consumer=topic[1:].decode(errors="replace"))

    def _requests(self) -> None:
        for _ in range(BATCH):
            try:
                identity, *frames = self._router.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            self._service.request(identity, frames, mono())

    def _serve(self) -> None:
        if self._service.busy:
            self._flowing = self._service.pump(self._answer, BATCH)
        while self._service.wanted:
            prefix = self._service.wanted.popleft()
            # Producers see a subscription, and answer it with state; taking it back leaves nothing behind.
            self._in.send(b"\x01" + prefix)
            self._in.send(b"\x00" + prefix)
            self._lines.info("asked producers again", prefix=prefix.decode(errors="replace"))

    def _answer(self, frames: list[bytes]) -> bool | None:
        try:
            self._router.send_multipart(frames, zmq.NOBLOCK)
        except zmq.Again:
            return False
        except zmq.ZMQError as error:
            if error.errno != zmq.EHOSTUNREACH:
                raise
            return None
        return True

    def _check_endpoints(self) -> None:
        """Who deletes or replaces our socket files cuts off everybody who is not connected yet: start afresh then."""
        gone = [str(path) for path, inode in self._bound.items() if _inode(path) != inode]
        if gone:
            self._log.info("endpoints gone", paths=",".join(gone), detail="deleted or taken over; ending to bind anew")
            self._stopped = self._unreachable = True

    def _beat(self) -> None:
        at, wall = now()
        self._cache.beaten()
        self._outbox.publish(NO_MARKET, self._pulse.beat(usage(), at), wall, at)
        self._warden.heard(NAME, os.getpid(), at)
        for frames in self._cache.snapshot((b"heartbeat.sentinel.",)):
            self._heard_sentinel(frames)
        if (notice := self._watchman.look(at)) is not None:
            self._outbox.publish(NO_MARKET, notice, wall, at)

    def _heard_sentinel(self, frames: list[bytes]) -> None:
        try:
            header = decode_header(frames[0], header_frame(frames))
            beat = decode_payload("heartbeat", frames[0], frames[2])
        except (WireError, IndexError):
            self.counters.add(Counter.BAD_MESSAGES)
            return
        if isinstance(beat, Heartbeat):
            self._warden.heard(SENTINEL, beat.pid, header.mono_ns)
