"""The sentinel's loop: supervisord's events on stdin, every child's pidfd, heartbeats from the bus; acts by XML-RPC.

stdin and stdout belong to supervisord's event listener protocol, so the log goes to stderr.
"""

from __future__ import annotations

import http.client
import os
import select
import signal
import time
import xmlrpc.client
from typing import TYPE_CHECKING, Any, Final

import zmq
from supervisor.xmlrpc import SupervisorTransport

from bus import clock, wire
from bus.counters import Counter, Counters
from bus.errors import WireError
from bus.events import NO_MARKET, Heartbeat, Process, Telemetry
from bus.process import Pulse
from bus.settings import Settings
from bus.sockets import RECONNECT_MS, Producer, new_epoch
from sentinel.above import Above
from sentinel.ages import oldest
from sentinel.control import Control
from sentinel.guard import (
    EXITED,
    FATAL,
    MS,
    RUNNING,
    SECOND,
    STARTING,
    STOPPED,
    Action,
    Dump,
    Guard,
    Kill,
    Look,
    Poke,
    Policy,
    Start,
    Tell,
)
from sentinel.protocol import OK, READY, Notice, Reader, death_in_log

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

EXEMPT: Final = frozenset({"simulator:simulator", "sentinel:sentinel"})
"""Programs that send no heartbeats, and this one."""
LEASED: Final = ("connectors:", "publisher:", "runner:", "sentinel:")
"""Programs whose successors end them (``bus/lease.py``); all others hold ports and must be ended for theirs."""
END_S: Final = 2.0
SUPERVISORD: Final = "supervisord:supervisord"
LOG_TAIL_BYTES: Final = 4_096
POKES: Final = 40
POKE_WAIT_S: Final = 0.003
"""supervisord reaps in one turn of its loop and respawns in the next; each call is a turn."""
SHUTDOWN_STATE: Final = 6
"""supervisord's fault code while it shuts down."""
RPC_ERRORS: Final = (OSError, xmlrpc.client.Error, http.client.HTTPException)


def policy(settings: Settings) -> Policy:
    """The guard's bounds from the settings."""
    section = settings.sentinel
    return Policy(
        heartbeat_ns=section.heartbeat_timeout_ms * MS,
        force_ns=section.force_restart_ms * MS,
        budget=section.restart_budget,
        budget_window_ns=section.budget_window_s * 1_000 * MS,
        fatal_cooldown_ns=section.fatal_cooldown_ms * MS,
        exempt=EXEMPT,
        judges="sentinel" not in settings.debug.disable,
    )


class Shell:
    """One running sentinel."""

    def __init__(self, settings: Settings, log: FilteringBoundLogger, server_url: str) -> None:
        self._settings = settings
        self._log = log
        self._counters = Counters()
        epoch = new_epoch()
        self._producer = Producer(settings, "sentinel", epoch, self._counters)
        self._pulse = Pulse(os.getpid(), epoch, self._counters)
        transport = SupervisorTransport(None, None, server_url)
        self._rpc: Any = xmlrpc.client.ServerProxy("http://127.0.0.1", transport).supervisor
        self._above = Above(server_url, log)
        self._control = Control(clock.mono())
        self._guard = Guard(policy(settings), clock.mono())
        self._reader = Reader()
        self._pidfds: dict[int, int] = {}
        self._poll = select.epoll()
        self._sub = self._subscribe(settings.endpoint("market_out"))
        self._poll.register(0, select.EPOLLIN)
        fd: int = self._sub.getsockopt(zmq.FD)  # type: ignore[assignment]
        self._poll.register(fd, select.EPOLLIN)
        self._poll.register(self._producer.link.fd, select.EPOLLIN)
        self._stopping = False
        self._bereft = False
        self._ages: dict[str, int] = {}

    def run(self) -> None:
        """Run until SIGTERM, or until supervisord is gone and has been started again."""
        signal.signal(signal.SIGTERM, self._stop)
        self._look_around()
        os.write(1, READY)
        while not self._stopping:
            self._turn()
        if self._bereft:
            self._resurrect()
        self._producer.close()
        self._sub.close(0)

    def _stop(self, *_: object) -> None:
        self._stopping = True

    def _turn(self) -> None:
        present = clock.mono()
        wait = max(0, min(self._guard.deadline, self._pulse.deadline) - present) / 1e9
        ready = [fd for fd, _ in self._poll.poll(min(wait, 0.25))]
        for fd in ready:
            if fd == 0:
                self._listen()
            elif fd in self._pidfds:
                self._ended(fd)
        self._hear()
        self._perform(self._guard.due(clock.mono()))
        self._producer.attend()
        mono, wall = clock.now()
        if self._control.deadline <= mono and self._control.looked(mono, present=self._above.reachable()):
            self._tell(
                Tell(SUPERVISORD, "unreachable", self._above.pid, "its control socket is gone; restarting it all")
            )
            self._above.restart()
        if self._pulse.deadline <= mono:
            self._producer.publish(NO_MARKET, self._pulse.beat(clock.usage(), mono), wall, mono)

    # supervisord

    def _listen(self) -> None:
        data = os.read(0, 65_536)
        if not data:
            self._stopping = self._bereft = True
            return
        for notice in self._reader.feed(data):
            self._noticed(notice)
            os.write(1, OK + READY)

    def _resurrect(self) -> None:
        """Without supervisord nobody would respawn what dies from now on. Its end closed our log, too."""
        self._tell(Tell(SUPERVISORD, "exited", self._above.pid, ""))
        self._producer.attend()
        for fd, pid in self._pidfds.items():
            if not self._guard.pids.get(pid, LEASED[0]).startswith(LEASED):
                _signal(pid, signal.SIGTERM)
                if not select.select([fd], [], [], END_S)[0]:
                    _signal(pid, signal.SIGKILL)
        done = self._above.resurrect()
        self._tell(Tell(SUPERVISORD, "revived", None, done))
        self._producer.attend()

    def _noticed(self, notice: Notice) -> None:
        program = notice.program
        if program is None:
            return
        now = clock.mono()
        if notice.name in {"PROCESS_STATE_STARTING", "PROCESS_STATE_RUNNING"}:
            self._look_at(program)
        elif notice.name == "PROCESS_STATE_FATAL":
            self._perform(self._guard.fatal(program, now))
        elif notice.name == "PROCESS_STATE_STOPPED":
            self._perform(self._guard.stopped(program, now))

    def _look_around(self) -> None:
        """After a start, and so after any death of this process: what is there now."""
        for info in self._rpc.getAllProcessInfo():
            self._see(info)

    def _look_at(self, program: str) -> None:
        try:
            self._see(self._rpc.getProcessInfo(program))
        except RPC_ERRORS as error:
            self._unanswered(error)

    def _see(self, info: dict[str, Any]) -> None:
        name, now = f"{info['group']}:{info['name']}", clock.mono()
        if info["pid"] and info["state"] in {STARTING, RUNNING}:
            uptime_ns = (info["now"] - info["start"]) * SECOND
            if self._watch(int(info["pid"])):
                self._perform(self._guard.running(name, int(info["pid"]), now, uptime_ns))
        elif info["state"] == FATAL:
            self._perform(self._guard.fatal(name, now))
        elif info["state"] in {STOPPED, EXITED}:
            self._guard.stopped(name, now)

    def _watch(self, pid: int) -> bool:
        """Hold the pid's descriptor, readable the instant it dies. False when it is dead already."""
        if pid in self._pidfds.values() or pid == os.getpid():
            return True
        try:
            fd = os.pidfd_open(pid)
        except ProcessLookupError:
            return False
        self._pidfds[fd] = pid
        self._poll.register(fd, select.EPOLLIN)
        return True

    def _ended(self, fd: int) -> None:
        pid = self._pidfds.pop(fd)
        self._poll.unregister(fd)
        os.close(fd)
        self._perform(self._guard.died(pid, clock.mono()))

    def _poke(self, program: str, dead: int) -> None:
        """Each call turns supervisord's loop; ends when it has a new process, or says that it will not."""
        for _ in range(POKES):
            try:
                info = self._rpc.getProcessInfo(program)
            except RPC_ERRORS as error:
                self._unanswered(error)
                return
            if info["pid"] not in {0, dead} or info["state"] not in {STARTING, RUNNING, EXITED}:
                return
            time.sleep(POKE_WAIT_S)

    def _unanswered(self, error: Exception) -> None:
        """One that shuts down answers nothing any more: it says so in its own log, and its programs in theirs."""
        if getattr(error, "faultCode", None) != SHUTDOWN_STATE:
            self._log.warning("supervisord_unreachable", problem=str(error))

    def _cause(self, program: str) -> str:
        """How the process ended, as only its parent knows."""
        try:
            log = str(self._rpc.readLog(-LOG_TAIL_BYTES, 0))
        except RPC_ERRORS:
            return ""
        return death_in_log(log, program.partition(":")[2]) or ""

    # the bus

    def _subscribe(self, endpoint: str) -> zmq.Socket[bytes]:
        socket: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.SUB)
        socket.setsockopt(zmq.RECONNECT_IVL, RECONNECT_MS)
        socket.setsockopt(zmq.RCVHWM, 10_000)
        socket.subscribe(b"heartbeat.")
        socket.subscribe(b"telemetry.")
        socket.connect(endpoint)
        return socket

    def _hear(self) -> None:
        """Everything the bus has; ZeroMQ's descriptor is edge-triggered, so this runs at every turn."""
        while True:
            try:
                frames = self._sub.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            try:
                kind, _, _ = wire.split_topic(frames[0])
                event = wire.decode_payload(kind, frames[0], frames[2])
            except (WireError, IndexError) as error:
                self._counters.add(Counter.BAD_MESSAGES)
                self._log.warning("bad_message", problem=str(error))
                continue
            if isinstance(event, Heartbeat):
                self._guard.beat(event.pid, clock.mono())
            elif isinstance(event, Telemetry):
                self._aged(event.body)

    def _aged(self, body: dict[str, object]) -> None:
        venues = body.get("venues")
        if not isinstance(venues, dict):
            return
        for venue, view in venues.items():
            if (found := oldest(view)) is not None:
                age_ms, whose = found
                self._perform(self._guard.aged(f"connectors:{venue}", age_ms * MS, clock.mono(), whose))

    # acting

    def _perform(self, actions: list[Action]) -> None:
        for action in actions:
            match action:
                case Poke(program, dead):
                    self._poke(program, dead)
                case Look(program):
                    self._look_at(program)
                case Dump(pid):
                    _signal(pid, signal.SIGUSR1)
                case Kill(pid):
                    self._counters.add(Counter.RESTARTS)
                    _signal(pid, signal.SIGKILL)
                case Start(program):
                    self._start(program)
                case Tell():
                    self._tell(action)

    def _start(self, program: str) -> None:
        self._counters.add(Counter.REVIVALS)
        try:
            self._rpc.startProcess(program, False)  # noqa: FBT003 - XML-RPC has no keywords
        except RPC_ERRORS as error:
            self._log.warning("start_refused", program=program, problem=str(error))

    def _tell(self, told: Tell) -> None:
        mono, wall = clock.now()
        detail = told.detail
        if told.action == "exited":
            detail = "; ".join(part for part in (detail, self._cause(told.program)) if part)
        event = Process(told.program, told.action, told.pid, detail, told.uptime_ms, told.away_ms)
        self._producer.publish(NO_MARKET, event, wall, mono)
        fields = {"pid": told.pid, "detail": detail, "uptime_ms": told.uptime_ms, "away_ms": told.away_ms}
        self._log.info(told.action, program=told.program, **{k: v for k, v in fields.items() if v not in {None, ""}})


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
