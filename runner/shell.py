"""The runner's loop: take what the bus brings until the tick is due, then measure, write and publish."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from bus import clock
from bus.client import Subscriber
from bus.counters import Counter
from bus.events import EVENT_TYPES, NO_MARKET, Telemetry
from bus.process import Pulse
from bus.settings import Settings
from bus.siblings import Watchman
from bus.sockets import Producer, is_local, new_epoch
from bus.warden import SENTINEL
from runner import view
from runner.audit import Fields, text
from runner.engine import Engine, Plan, Watched
from runner.files import LineFile

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

KINDS: Final = tuple(kind for kind in EVENT_TYPES if kind != Telemetry.kind)
"""Everything but what the runner says itself."""
MS: Final = 1_000_000
SLICE_NS: Final = 100 * MS
"""Longest wait for the bus: a publisher that comes back to the own producer, or SIGTERM, waits no longer."""
BUSY_NS: Final = 20 * MS
"""The same while the own producer has something left to send."""
ATTEND_NS: Final = 5 * MS
"""Between looks at the own producer: it speaks a few times a second, and asking costs as much as an event."""
BATCH: Final = 1_000
"""Messages taken in one go: some ten ms of work, by which a tick may be late."""
COMPLAIN_NS: Final = 60_000 * MS
"""A file that cannot be written is complained of once in so long."""


def plan(settings: Settings) -> Plan:
    """What to watch, from the settings."""
    venues = tuple(
        Watched(venue, settings.venues[venue].markets, settings.venues[venue].stale_ms) for venue in settings.enabled
    )
    return Plan(
        venues,
        (*settings.enabled, "publisher", "runner", SENTINEL),
        settings.runner.tick_ms,
        settings.runner.window_s,
        same_host=is_local(settings.endpoint("market_out")),
        heartbeat_ms=settings.sentinel.heartbeat_timeout_ms,
    )


class Output:
    """One of the runner's files, and the log lines about its failures."""

    def __init__(self, path: Path, log: FilteringBoundLogger, *, truncate: bool = False) -> None:
        self.file = LineFile(path, truncate=truncate)
        self._log = log
        self._failing = False
        self._complain = 0

    def write(self, line: bytes, mono: int) -> bool:
        """Append a line; False when that failed, which is logged once a minute until it works again."""
        file = self.file
        written = file.write(line)
        if written and self._failing:
            self._log.info("written_again", path=str(file.path), failures=file.failures)
        elif not written and (not self._failing or mono >= self._complain):
            self._complain = mono + COMPLAIN_NS
            self._log.error("not_written", path=str(file.path), error=file.error, failures=file.failures)
        self._failing = not written
        return written


class Shell:
    """One running runner."""

    def __init__(self, settings: Settings, log: FilteringBoundLogger) -> None:
        self._settings = settings
        self._log = log
        self._stopping = False
        self._tick_ns = settings.runner.tick_ms * MS
        epoch = new_epoch()
        self._engine = Engine(plan(settings), *clock.now())
        self._missed = 0
        self._attended = 0
        self._watchman = Watchman(self._engine.warden, "runner", log)
        self._telemetry, self._stats = self._outputs()
        self._subscriber = Subscriber(settings, kinds=KINDS, books=False, name="runner")
        self._counters = self._subscriber.counters
        self._producer = Producer(settings, "runner", epoch, self._counters)
        self._pulse = Pulse(os.getpid(), epoch, self._counters)

    def run(self) -> None:
        """Run until SIGTERM or SIGINT; then write and publish a last tick."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        due = clock.mono() + self._tick_ns
        while not self._stopping:
            self._drain(due)
            if not self._stopping:
                self._tick(due)
                due = self._next(due)
        self._tick(clock.mono(), last=True)
        self._subscriber.close()
        self._producer.close()

    def _stop(self, *_: object) -> None:
        self._stopping = True

    def _outputs(self) -> tuple[Output | None, Output | None]:
        section = self._settings.runner
        telemetry = stats = None
        if section.telemetry_mode != "off":
            path = self._path(section.telemetry_path, "telemetry.jsonl")
            telemetry = Output(path, self._log, truncate=section.telemetry_mode == "truncate")
        if section.rx_stats:
            stats = Output(self._path(section.rx_stats_path, "market_rx_stats.log"), self._log)
        return telemetry, stats

    def _path(self, configured: str, name: str) -> Path:
        return Path(self._settings.base) / configured if configured else self._settings.out_dir / name

    def _next(self, due: int) -> int:
        """The next deadline on the grid; those that passed while this process did not run are not made up for."""
        missed = max(0, (clock.mono() - due) // self._tick_ns)
        self._missed += missed
        return due + (missed + 1) * self._tick_ns

    def _drain(self, due: int) -> None:
        """Take what comes until the tick is due; at the cap the rest waits for the next tick."""
        applied = self._counters.get(Counter.APPLIED)
        cap = self._settings.runner.drain_cap
        took = self._engine.took
        while not self._stopping:
            mono = clock.mono()
            if mono >= due:
                return
            self._attend(mono)
            slice_ns = SLICE_NS if self._producer.outbox.deadline is None else BUSY_NS
            wait_s = min(due - mono, slice_ns) / 1e9
            left = cap - (self._counters.get(Counter.APPLIED) - applied)
            if left <= 0:
                time.sleep(wait_s)
                continue
            for item in self._subscriber.poll(wait_s, min(left, BATCH)):
                took(item)
            if self._counters.get(Counter.APPLIED) - applied >= cap:
                self._engine.cap_hits = self._counters.add(Counter.CAP_HITS)

    def _attend(self, mono: int) -> None:
        if mono < self._attended + ATTEND_NS:
            return
        self._attended = mono
        self._producer.attend()
        if self._pulse.deadline <= mono:
            self._producer.publish(NO_MARKET, self._pulse.beat(clock.usage(), mono), clock.wall(), mono)

    def _tick(self, due: int, *, last: bool = False) -> None:
        mono, wall = clock.now()
        engine = self._engine
        self._pulse.late(due, mono)
        engine.late_tick_ms = max(engine.late_tick_ms, (mono - due) // MS)
        self._watch(mono, wall)
        if engine.tick(mono, wall):
            self._counters.add(Counter.CLOCK_JUMPS)
            self._log.warning("clock_stepped", by_ms=engine.steps.last_step_ms)
        parts = view.LAST_PARTS if last else view.parts_due(engine.ticks - 1, self._settings.runner.tick_ms)
        body = self._body(parts, mono, wall)
        if self._telemetry is not None and not self._telemetry.write(msgspec.json.encode(body), mono):
            self._counters.add(Counter.TELEMETRY_FAILURES)
        if self._stats is not None:
            self._stats.write(engine.rx.line(engine.ticks - 1, engine.cap_hits).encode(), mono)
        engine.rx.clear()
        self._producer.publish(NO_MARKET, Telemetry(body), wall, mono)
        if "system" in parts and self._settings.runner.ws_audit:
            for fields in engine.audit(mono):
                self._audit(fields)

    def _watch(self, mono: int, wall: int) -> None:
        if (notice := self._watchman.look(mono)) is not None:
            self._producer.publish(NO_MARKET, notice, wall, mono)

    def _body(self, parts: frozenset[str], mono: int, wall: int) -> view.Body:
        engine = self._engine
        body = view.body(engine, mono, wall)
        if "venue_detail" in parts:
            body["venue_detail"] = view.venue_detail(engine, mono)
        if "market_detail" in parts:
            body["market_detail"] = view.market_detail(engine, mono, wall)
        if "system" in parts:
            own: view.Body = {
                "missed_ticks": self._missed,
                "telemetry_failures": self._counters.get(Counter.TELEMETRY_FAILURES),
                "counters": self._counters.snapshot(),
            }
            body["system"] = view.system(engine, mono, wall, own)
        return body

    def _audit(self, fields: Fields) -> None:
        # In logfmt the fields follow the event's name, which gives the very words that analysers look for, unquoted.
        if self._settings.log.format == "logfmt":
            self._log.info("WS_AUDIT", **fields)
        else:
            self._log.info(text(fields))
