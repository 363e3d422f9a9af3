"""The connector's only loop: waits on sockets, mailbox and bus, drains, runs what is due.

One thread owns everything. Before each frame the engine's deadline is looked at, because with a receive-with-timeout
loop alone 1,000 back-to-back frames gave an overdue keepalive no turn at all.
"""

from __future__ import annotations

import os
import select
import signal
import ssl
from collections.abc import Callable, Mapping
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Final

from websocket import ABNF

from bus import clock
from bus.counters import Counter, Counters
from bus.errors import SettingsError, TransportError
from bus.events import NO_MARKET, BusEvent, Reason
from bus.process import Pulse
from bus.settings import Settings
from bus.sockets import Producer, new_epoch
from connectors.effects import Fetch, Now, Refusal, Reply
from connectors.engine import Engine
from connectors.keeper import Keeper
from connectors.ports import Ports
from connectors.rest import Mailbox, Rest, Workers
from connectors.session import ConnectTimeout, FrameTooLarge, Session, UpgradeRefused, close_text, connect
from connectors.venue import Factory, VenueSpec, load
from connectors.watch import Watch

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

    from connectors.recorded import RecordedEngine
    from connectors.recorder import Recorder

LONGEST_WAIT_NS: Final = 1_000_000_000
FRAMES_AT_ONCE: Final = 16
"""Frames whose events go to the bus together when more than one lies ready; the first waits for 0.4 ms at most."""
FRAMES_A_TURN: Final = 512
"""Frames taken from one connection before the others, the bus and the mailbox get their turn."""
_MESSAGES: Final = frozenset({ABNF.OPCODE_TEXT, ABNF.OPCODE_BINARY})
_FRAMES: Final = Counter.FRAMES.label
_FRAME_BYTES: Final = Counter.FRAME_BYTES.label
RATE_LIMITS: Final = frozenset({418, 429})


def now() -> Now:
    """Both clocks, read together."""
    return Now(clock.mono(), clock.wall())


class _Attempt:
    """A connection attempt under way on a worker; ``wanted`` is cleared when the engine changes its mind."""

    def __init__(self, key: str) -> None:
        self.key = key
        self.wanted = True


class Shell:
    """One running connector. Implements the engine's ``Ports``."""

    def __init__(self, settings: Settings, venue: str, log: FilteringBoundLogger) -> None:
        spec, factory = load(venue)
        self._settings = settings.venues[venue]
        self._log = log
        self._counters = Counters()
        epoch = new_epoch()
        self._producer = Producer(settings, venue, epoch, self._counters)
        self._pulse = Pulse(os.getpid(), epoch, self._counters)
        self._mailbox = Mailbox()
        self._workers = Workers(self._mailbox)
        self._rest = Rest(self._settings.ca_file)
        self._tls = _tls(venue, self._settings.ca_file) if self._settings.ws_url.startswith("wss:") else None
        self._sessions: dict[str, Session] = {}
        self._attempts: dict[str, _Attempt] = {}
        self._keys: dict[int, str] = {}
        self._more: set[str] = set()
        self._poll = select.epoll()
        self._poll.register(self._mailbox.fileno(), select.EPOLLIN)
        self._poll.register(self._producer.link.fd, select.EPOLLIN)
        self._stopping = False
        self._keeper = Keeper(settings, venue, log)
        self._kept = 0
        self._recorder: Recorder | None = None
        self._engine: Engine | RecordedEngine = self._make(settings, spec, factory, epoch)

    def _make(self, settings: Settings, spec: VenueSpec, factory: Factory, epoch: int) -> Engine | RecordedEngine:
        """The engine, or what records its calls on their way to it."""
        seed = Random().getrandbits(63)
        ports: Ports = self
        if settings.record.enabled:
            from connectors.recorder import Recorder

            self._recorder = Recorder(
                settings, spec, seed=seed, epoch=epoch, counters=self._counters, log=self._log, failed=self._mailbox.put
            )
            ports = self._recorder.ports(self)
        engine = Engine(spec, factory, self._settings, ports, self._counters, Random(seed))
        off = settings.debug.disable
        engine.heeds_protocol = "protocol" not in off
        engine.watch = None if "engine" in off else Watch()
        if off:
            self._log.warning("layers_disabled", layers=",".join(off))
        return engine if self._recorder is None else self._recorder.engine(engine)

    # -- the loop -------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Run until SIGTERM or SIGINT. SIGHUP reconnects everything."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._mailbox.put(_Stop()))
        signal.signal(signal.SIGHUP, lambda *_: self._mailbox.put(_Reconnect()))
        try:
            self._begin(now())
            while not self._stopping:
                self._turn()
            self._log.info("stopping")
            self._engine.stop(now())
        finally:
            if self._recorder is not None:
                self._recorder.close(orderly=self._stopping)
        self._close()

    def _begin(self, present: Now) -> None:
        past = self._keeper.load(present)
        for what, until in (("connects_held", past.connects_held_until), ("rest_held", past.rest_held_until)):
            if until > present.mono:
                wait_s = round((until - present.mono) / 1e9, 1)
                self._log.warning(what, wait_s=wait_s, detail="asked for by the venue before this process began")
        self._engine.start(present, past)

    def _keep(self) -> None:
        """Write down what a successor has to know of the venue's limits, should this process be killed now."""
        limits = self._engine.limits
        if limits.changes != self._kept:
            self._kept = limits.changes
            present = now()
            self._keeper.save(limits.past(present), present)

    def _turn(self) -> None:
        self._engine.settle(now())
        self._keep()
        ready = [fd for fd, _ in self._poll.poll(self._wait_s())]
        self._due(now())
        self._producer.attend()
        if self._mailbox.fileno() in ready:
            for item in self._mailbox.drain():
                self._deliver(item)
        keys = {key for fd in ready if (key := self._keys.get(fd)) is not None}
        for key in keys | self._more:
            self._drain(key)

    def _wait_s(self) -> float:
        if self._more:
            return 0.0
        present = clock.mono()
        due = [present + LONGEST_WAIT_NS, self._pulse.deadline]
        due += [time for time in (self._engine.deadline, self._producer.outbox.deadline) if time is not None]
        return max(0, min(due) - present) / 1e9

    def _due(self, present: Now) -> None:
        deadline = self._engine.deadline
        if deadline is not None and deadline <= present.mono:
            self._pulse.late(deadline, present.mono)
            self._engine.woken(present)
        if self._pulse.deadline <= present.mono:
            headroom = self._engine.limits.headroom(present)
            self.publish(NO_MARKET, self._pulse.beat(clock.usage(), present.mono, headroom), present)

    def _drain(self, key: str) -> None:
        """Read once, then hand on whole frames: at most a turn's worth."""
        session = self._sessions.get(key)
        self._more.discard(key)
        if session is None:
            return
        lost: tuple[Reason, str] | None = None
        try:
            more = session.fill()
        except TransportError as error:
            more, lost = False, (Reason.STREAM_ENDED, error.problem)
        left = FRAMES_A_TURN
        while left > 0 and (frames := session.ready(FRAMES_AT_ONCE) or self._next(key, session)):
            left -= len(frames)
            self._producer.outbox.hold()
            for opcode, payload in frames:
                self._digest(key, opcode, payload)
                if self._sessions.get(key) is not session:
                    break
            self._producer.outbox.release()
            if self._sessions.get(key) is not session:
                return
        more = more or left <= 0
        if more and lost is None:
            self._more.add(key)
        if lost is not None:
            self._engine.lost(key, *lost, now())

    def _next(self, key: str, session: Session) -> list[tuple[int, bytes]]:
        """What is no whole message, or must be looked at more closely."""
        try:
            found = session.next()
            return [] if found is None else [found]
        except FrameTooLarge as error:
            self._engine.lost(key, Reason.PARSE_ERROR, error.problem, now())
        except TransportError as error:
            self._engine.lost(key, Reason.STREAM_ENDED, error.problem, now())
        return []

    def _digest(self, key: str, opcode: int, payload: bytes) -> None:
        present = now()
        deadline = self._engine.deadline
        if deadline is not None and deadline <= present.mono:
            self._due(present)
        if opcode in _MESSAGES:
            counts = self._counters.values
            counts[_FRAMES] = counts.get(_FRAMES, 0) + 1
            counts[_FRAME_BYTES] = counts.get(_FRAME_BYTES, 0) + len(payload)
            self._engine.received(key, payload, opcode == ABNF.OPCODE_BINARY, present)
        elif opcode == ABNF.OPCODE_CLOSE:
            self._engine.lost(key, Reason.WS_CLOSED, close_text(payload), present)
        else:
            self._engine.ponged(key, present)

    def _deliver(self, item: object) -> None:
        if isinstance(item, BaseException):
            raise item
        if isinstance(item, _Stop):
            self._stopping = True
        elif isinstance(item, _Reconnect):
            self._engine.command_reconnect(now())
        elif isinstance(item, _Connected):
            self._adopt(item)
        elif isinstance(item, _Answered):
            self._engine.fetched(item.key, item.request, item.reply, now())

    def _adopt(self, item: _Connected) -> None:
        attempt, outcome = item.attempt, item.outcome
        if not attempt.wanted:
            if isinstance(outcome, Session):
                outcome.close()
            return
        del self._attempts[attempt.key]
        if isinstance(outcome, Refusal):
            self._engine.refused(attempt.key, outcome, now())
            return
        self._sessions[attempt.key] = outcome
        self._keys[outcome.fileno()] = attempt.key
        self._poll.register(outcome.fileno(), select.EPOLLIN)
        self._more.add(attempt.key)
        self._engine.opened(attempt.key, now())

    def _close(self) -> None:
        for session in self._sessions.values():
            session.close()
        # What was taken back just now goes out with it.
        self._producer.attend()
        self._producer.close()

    # -- ports ----------------------------------------------------------------------------------------------------

    def connect(self, key: str, url: str, headers: Mapping[str, str]) -> None:
        """Start an attempt on a worker."""
        attempt = self._attempts[key] = _Attempt(key)
        self._workers.submit(partial(self._connect, attempt, url, headers))

    def drop(self, key: str) -> None:
        """End the session or forget the attempt."""
        attempt = self._attempts.pop(key, None)
        if attempt is not None:
            attempt.wanted = False
        session = self._sessions.pop(key, None)
        self._more.discard(key)
        if session is not None:
            fd = session.fileno()
            self._keys.pop(fd, None)
            self._poll.unregister(fd)
            session.close()

    def send(self, key: str, text: str) -> str | None:
        """Send a text frame now; what went wrong."""
        return self._try(key, lambda session: session.send(text))

    def ping(self, key: str) -> str | None:
        """Send a ping now; what went wrong."""
        return self._try(key, Session.ping)

    def fetch(self, key: str, request: Fetch) -> None:
        """Start a REST call on a worker."""
        self._workers.submit(lambda: _Answered(key, request, self._rest.call(request)))

    def publish(self, market: str, event: BusEvent, now: Now) -> None:
        """Hand an event to the bus; never blocks."""
        self._producer.outbox.publish(market, event, now.wall, now.mono)

    def log(self, level: str, event: str, fields: Mapping[str, object]) -> None:
        """Write one log line."""
        getattr(self._log, level)(event, **fields)

    def _try(self, key: str, act: Callable[[Session], None]) -> str | None:
        session = self._sessions.get(key)
        if session is None:
            return "not connected"
        try:
            act(session)
        except TransportError as error:
            return error.problem
        return None

    def _connect(self, attempt: _Attempt, url: str, headers: Mapping[str, str]) -> _Connected:
        """On a worker."""
        settings = self._settings
        try:
            return _Connected(
                attempt,
                connect(
                    url,
                    headers,
                    timeout_s=settings.connect_timeout_ms / 1e3,
                    max_frame_bytes=settings.max_frame_bytes,
                    tls=self._tls,
                ),
            )
        except UpgradeRefused as error:
            reason = Reason.RATE_LIMITED if error.status in RATE_LIMITS else Reason.HTTP_STATUS
            return _Connected(attempt, Refusal(reason, str(error), error.status, error.body, error.headers))
        except ConnectTimeout as error:
            return _Connected(attempt, Refusal(Reason.CONNECT_TIMEOUT, error.problem))
        except TransportError as error:
            return _Connected(attempt, Refusal(Reason.CONNECT_ERROR, error.problem))


class _Stop:
    """SIGTERM."""


class _Reconnect:
    """SIGHUP."""


class _Connected:
    """Outcome of an attempt."""

    def __init__(self, attempt: _Attempt, outcome: Session | Refusal) -> None:
        self.attempt = attempt
        self.outcome = outcome


class _Answered:
    """Outcome of a REST call."""

    def __init__(self, key: str, request: Fetch, reply: Reply) -> None:
        self.key = key
        self.request = request
        self.reply = reply


def _tls(venue: str, ca_file: str) -> ssl.SSLContext:
    """Verification is never off: the system's authorities, or the ones of ``ca_file`` alone."""
    try:
        return ssl.create_default_context(cafile=ca_file or None)
    except (OSError, ssl.SSLError) as error:
        raise SettingsError(f"venues.{venue}.ca_file", f"{ca_file}: {error}", "a PEM file of certificates") from None
