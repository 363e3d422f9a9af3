"""The processes of the system as their heartbeats and the sentinel tell of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from bus.events import Heartbeat, Process, Reconnect
from bus.wire import Header
from runner.freshness import Freshness, to_ms
from runner.totals import RECONNECT, Totals

MISSING_MS: Final = 3_000
"""A process that has beaten and then misses three heartbeats is told as missing."""
ENDED: Final = frozenset({"exited", "fatal", "stopped"})
"""Actions that the sentinel tells of a program that does not run any more."""
MAX_PROCESSES: Final = 64
"""Names beyond this are not followed: whoever sends them is not one of ours."""


class ProcessView:
    """One process, by the venue part of its heartbeats (``aster``, ``publisher``) and its line."""

    __slots__ = ("_cpu_percent", "_ended", "_expected", "_fresh", "_heartbeat", "_pub_ns", "lag_ms", "notice", "totals")

    def __init__(self, born_mono: int, *, expected: bool = True) -> None:
        """``expected``: it is one of ours, and its silence is told as such even before it has spoken."""
        self.totals = Totals()
        self._expected = expected
        self.notice: Process | None = None
        """The sentinel's last word about it."""
        self.lag_ms = 0.0
        """Worst loop lag it has told of since the start."""
        self._fresh = Freshness(born_mono)
        self._heartbeat: Heartbeat | None = None
        self._pub_ns = 0
        self._ended: Process | None = None
        """The sentinel's word that it ended, while no other process has spoken in its place."""
        self._cpu_percent: float | None = None

    def beaten(self, header: Header, heartbeat: Heartbeat, now_mono: int, cause_mono: int) -> None:
        """A heartbeat arrived. One of a run that has ended is ignored."""
        if not self.totals.heard(header.epoch, heartbeat.counters):
            return
        before = self._heartbeat
        elapsed_ns = header.pub_ns - self._pub_ns
        if before is not None and before.pid == heartbeat.pid and elapsed_ns > 0:
            self._cpu_percent = round((heartbeat.cpu_s - before.cpu_s) / elapsed_ns * 1e11, 1)
        elif before is None or before.pid != heartbeat.pid:
            self._cpu_percent = None
        self._heartbeat, self._pub_ns = heartbeat, header.pub_ns
        if self._ended is not None and self._ended.pid != heartbeat.pid:
            self._ended = None
        self.lag_ms = max(self.lag_ms, heartbeat.loop_lag_ms)
        self._fresh.applied(now_mono, cause_mono, None)

    def noticed(self, notice: Process) -> None:
        """The sentinel said something of it."""
        self.notice = notice
        successor = self._heartbeat is not None and notice.pid not in {None, self._heartbeat.pid}
        if notice.action in ENDED and not successor:
            self._ended = notice

    def gone(self, now_mono: int) -> tuple[str, str] | None:
        """Why it cannot be believed to do its work, as reason and detail; ``None`` when it can."""
        if self._ended is not None:
            return f"process_{self._ended.action}", self._ended.detail
        if self.missing(now_mono):
            return "no_heartbeat", f"none for {self._fresh.silent_ms(now_mono) / 1e3:.1f} s"
        return None

    def missing(self, now_mono: int) -> bool:
        """Whether its heartbeats have stopped, or never began where they are expected (a simulator beats nowhere)."""
        return (self._expected or self._heartbeat is not None) and self._fresh.silent_ms(now_mono) > MISSING_MS

    def told(self, now_mono: int, now_wall: int) -> dict[str, object]:
        """What telemetry says of it; unknown is ``None``."""
        beat = self._heartbeat
        notice = self.notice
        return {
            "pid": None if beat is None else beat.pid,
            "uptime_ms": None if beat is None else to_ms(now_wall - beat.started_ns),
            "restarts": self.totals.restarts,
            "rss_bytes": None if beat is None else beat.rss_bytes,
            "cpu_percent": self._cpu_percent,
            "loop_lag_ms": None if beat is None else round(beat.loop_lag_ms, 1),
            "worst_loop_lag_ms": None if beat is None else round(self.lag_ms, 1),
            "heartbeat_age_ms": self._fresh.age_ms(now_mono),
            "missing": self.missing(now_mono),
            "last_action": None if notice is None else notice.action,
            "last_detail": None if notice is None else notice.detail,
        }


class Processes:
    """All processes by name; those of another line than ``a`` carry it in their name (``aster/b``)."""

    __slots__ = ("_born", "_by_name", "overflow")

    def __init__(self, expected: Iterable[str], born_mono: int) -> None:
        """``expected`` are told of from the start, with nulls until they speak."""
        self._born = born_mono
        self._by_name = {name: ProcessView(born_mono) for name in expected}
        self.overflow = 0
        """Messages about processes beyond ``MAX_PROCESSES``, ignored."""

    def beaten(self, sender: str, header: Header, heartbeat: Heartbeat, now_mono: int, cause_mono: int) -> None:
        """A heartbeat arrived."""
        view = self._view(_name(sender, header.line))
        if view is not None:
            view.beaten(header, heartbeat, now_mono, cause_mono)

    def reconnected(self, sender: str, header: Header, reconnect: Reconnect) -> None:
        """A reconnect was announced: it is counted before the next heartbeat tells it, and even if none ever does."""
        view = self._view(_name(sender, header.line))
        if view is not None:
            view.totals.heard(header.epoch, {RECONNECT + reconnect.reason.value: reconnect.count})

    def noticed(self, notice: Process) -> None:
        """The sentinel said something of a program (``connectors:aster``)."""
        view = self._view(notice.program.rpartition(":")[2])
        if view is not None:
            view.noticed(notice)

    def total(self, label: str) -> int:
        """One counter over all processes and all their runs."""
        return sum(view.totals.get(label) for view in self._by_name.values())

    def of(self, name: str) -> Iterable[Totals]:
        """Counters of a name, one for each line."""
        return [view.totals for key, view in self._by_name.items() if key.partition("/")[0] == name]

    def gone(self, name: str, now_mono: int) -> tuple[str, str] | None:
        """As ``ProcessView.gone``, when it holds for every line of the name."""
        found = [view.gone(now_mono) for key, view in self._by_name.items() if key.partition("/")[0] == name]
        return found[0] if found and all(found) else None

    def told(self, now_mono: int, now_wall: int) -> dict[str, object]:
        """What telemetry says of all."""
        return {name: view.told(now_mono, now_wall) for name, view in self._by_name.items()}

    def _view(self, name: str) -> ProcessView | None:
        view = self._by_name.get(name)
        if view is None:
            if len(self._by_name) >= MAX_PROCESSES:
                self.overflow += 1
                return None
            view = self._by_name[name] = ProcessView(self._born, expected=False)
        return view


def _name(sender: str, line: str) -> str:
    return sender if line == "a" else f"{sender}/{line}"
