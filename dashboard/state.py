"""Everything the dashboard knows, from what the bus delivers. No I/O; clocks are arguments."""

from __future__ import annotations

from typing import Final, NamedTuple

import msgspec

from bus.counters import Counter, Counters
from bus.events import NO_MARKET, Gap, Heartbeat, Process, Reconnect, Status, Telemetry
from bus.items import Item, Message
from bus.wire import Header
from dashboard.history import History
from dashboard.plan import Plan
from dashboard.telemetry import MarketDetail, System, Tick, VenueDetail, read

MS: Final = 1_000_000
LIMIT_MS: Final = 2_000
"""Telemetry older than this says nothing of now."""
HEARD_MS: Final = 3_000
"""A process whose heartbeats have stopped for so long is not heard any more: it missed three."""
SUSPECT_MS: Final = 1_500
"""When telemetry is missing, whoever has been silent for so long is to blame: by then its heartbeat is due too."""
MAX_PROCESSES: Final = 64
LIMITS: Final = ("connects", "messages", "rest")
"""What venues limit, in the heartbeats of their connectors."""
KINDS: Final = ("telemetry", "heartbeat", "status", "reconnect", "process", "gap")
"""What the dashboard subscribes to."""


class Now(NamedTuple):
    """Both clocks, ns."""

    mono: int
    wall: int

    @property
    def wall_ms(self) -> int:
        """Wall clock in ms."""
        return self.wall // MS


class Beat(NamedTuple):
    """The newest heartbeat of a process, and when it was made (our monotonic clock, ns)."""

    heartbeat: Heartbeat
    epoch: int
    at: int


class Source(msgspec.Struct, frozen=True):
    """Whether what is shown is current. Times in ms."""

    ok: bool
    problem: str | None
    age_ms: int | None
    """Of the newest telemetry; ``None`` before the first."""
    limit_ms: int
    last_ms: int | None
    """Wall clock of the newest telemetry."""


class State:
    """The newest of everything, and what it was before in ``history``."""

    def __init__(self, plan: Plan, now: Now, counters: Counters | None = None) -> None:
        self.plan = plan
        self.history = History(tuple(plan.markets))
        self.history.mark(now.wall_ms, "dashboard", "process", "started")
        self.started = now
        self.tick: Tick | None = None
        self.venue_detail: dict[str, VenueDetail] = {}
        self.market_detail: dict[str, dict[str, MarketDetail]] = {}
        self.system: System | None = None
        self.beats: dict[str, Beat] = {}
        self.counters = counters or Counters()
        """What this process counts itself."""
        self._unreadable: str | None = None
        self._at = 0
        self._epoch = 0
        self._source_ok: bool | None = None

    def take(self, item: Item, now: Now) -> bool:
        """Take what the bus delivered; whether it was a tick that can be read."""
        if not isinstance(item, Message):
            return False
        event, header = item.event, item.header
        match event:
            case Telemetry():
                return self._telemetry(event, header, now)
            case Heartbeat():
                self._beat(item.venue, event, header, now)
            case Status():
                self.history.status(item.venue, "" if item.market == NO_MARKET else item.market, event)
            case Reconnect():
                detail = f" ({event.detail})" if event.detail else ""
                self.history.mark(header.recv_ns // MS, item.venue, "reconnect", f"{event.reason}{detail}")
            case Process():
                self.history.process(event, header.recv_ns // MS)
            case Gap():
                self.history.mark(
                    header.recv_ns // MS, item.venue, "gap", f"{event.count} events of {event.chain} dropped"
                )
            case _:
                pass
        return False

    def source(self, now: Now) -> Source:
        """Judge the source of everything else."""
        if self.tick is None:
            return Source(
                ok=False,
                problem=self._unreadable or f"no telemetry yet: {self._suspect(now)}",
                age_ms=None,
                limit_ms=LIMIT_MS,
                last_ms=None,
            )
        age_ms = max(0, (now.mono - self._at) // MS)
        problem: str | None = None
        if age_ms > LIMIT_MS:
            problem = self._unreadable or f"telemetry is {age_ms / 1_000:.1f} s old: {self._suspect(now)}"
        return Source(ok=problem is None, problem=problem, age_ms=age_ms, limit_ms=LIMIT_MS, last_ms=self.tick.as_of_ms)

    def watch(self, now: Now) -> Source:
        """As ``source``, and note in the history when it is lost or back."""
        source = self.source(now)
        if source.ok is not self._source_ok:
            if not source.ok:
                self.history.mark(now.wall_ms, "telemetry", "source", source.problem or "")
            elif self._source_ok is False:
                self.history.mark(now.wall_ms, "telemetry", "process", "telemetry is here")
            self._source_ok = source.ok
        return source

    def heard(self, process: str, now: Now, within_ms: int = HEARD_MS) -> bool:
        """Whether a process has beaten lately."""
        beat = self.beats.get(process)
        return beat is not None and now.mono - beat.at <= within_ms * MS

    def headroom(self, now: Now) -> dict[str, dict[str, float]]:
        """Least share left of each limit of a venue, over the lines of its connector that are heard; 0 to 1."""
        found: dict[str, dict[str, float]] = {}
        for name, beat in self.beats.items():
            venue = name.partition("/")[0]
            if venue in self.plan.markets and self.heard(name, now):
                limits = found.setdefault(venue, {})
                for limit in LIMITS:
                    share = beat.heartbeat.headroom.get(limit)
                    if share is not None:
                        limits[limit] = min(share, limits.get(limit, 1.0))
        return found

    def _suspect(self, now: Now) -> str:
        """Who is to blame for missing telemetry."""
        heard = {process for process in self.beats if self.heard(process, now, SUSPECT_MS)}
        if not heard:
            return "nothing is heard on the bus, is the publisher running?"
        if "publisher" not in heard:
            return "the publisher is not heard"
        if "runner" not in heard:
            return "the publisher is heard, the runner is not"
        return "the runner is heard, but not its telemetry"

    def _telemetry(self, event: Telemetry, header: Header, now: Now) -> bool:
        tick = read(event.body)
        if isinstance(tick, str):
            self._unreadable = tick
            self.counters.add(Counter.TELEMETRY_UNREADABLE)
            return False
        if header.epoch != self._epoch:
            # Another run of the runner counts from nothing: what is left of the one before must not stand beside it.
            self._epoch = header.epoch
            self.venue_detail, self.market_detail, self.system = {}, {}, None
        self._unreadable = None
        self.tick = tick
        self._at = self._cause(header, now)
        self.venue_detail = self.venue_detail if tick.venue_detail is None else tick.venue_detail
        self.market_detail = self.market_detail if tick.market_detail is None else tick.market_detail
        self.system = tick.system or self.system
        self.history.tick(tick)
        return True

    def _beat(self, sender: str, heartbeat: Heartbeat, header: Header, now: Now) -> None:
        name = sender if header.line == "a" else f"{sender}/{header.line}"
        known = self.beats.get(name)
        if known is None and len(self.beats) >= MAX_PROCESSES:
            return
        if known is None or header.epoch >= known.epoch:
            self.beats[name] = Beat(heartbeat, header.epoch, self._cause(header, now))

    def _cause(self, header: Header, now: Now) -> int:
        """When it was made, by our monotonic clock: a repeated message must not look new."""
        return header.mono_ns if self.plan.same_host else now.mono - (now.wall - header.recv_ns)
