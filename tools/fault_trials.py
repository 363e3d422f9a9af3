"""Does one thing after another to every venue of a running plane, venue beside venue, and measures what comes of it."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import requests

from bus.events import State, Trust
from bus.settings import VENUES
from cli.plane import Plane
from tests.system.truth import Checker
from tools.fault_cells import MARKET, Cell
from tools.fault_result import Result
from tools.fault_watch import Control, Observer

CALM_S: Final = {"lighter": 8.0}
"""Every book of the venue has been live for so long before something is done to it; a second unless said here.

Lighter allows 200 messages and 60 REST calls a minute, and a start costs a dozen.
"""
COURTEOUS: Final = {"extended"}
"""Venues whose limit of connects is ours alone: at eighteen a start it would hold every cell."""
STEADY_S: Final = 1.2
"""And afterwards, before it counts as live again: a heartbeat has told its counts by then."""
PATIENCE_S: Final = 150.0
EQUAL_S: Final = 10.0
SAMPLE_S: Final = 0.2
TOLD: Final = (
    "bad_frames",
    "unknown_frames",
    "ignored_frames",
    "duplicates",
    "seq_gaps",
    "crossed_books",
    "resyncs",
    "check_mismatches",
    "rest_failures",
    "rest_books",
    "escalations",
    "rotations",
    "breaker_openings",
)
"""Counters shown of what was done; reconnects are shown by their reasons."""


class Trials:
    """One venue's cells, one after another. Call ``step`` often."""

    def __init__(self, plane: Plane, control: Control, observer: Observer, venue: str, cells: list[Cell]) -> None:
        self.plane, self.control, self.seen, self.venue = plane, control, observer, venue
        self.queue = list(cells)
        self.results: list[Result] = []
        self.done = False
        self.calm_s: float | None = None
        """In place of ``CALM_S``."""
        self.logs: Path | None = None
        """Where the connector's log of each cell is written, if anywhere."""
        self._step = self._idle
        self._fresh = False
        self._calm_since: float | None = None
        self._checker = Checker(plane.settings, control.url)

    @property
    def _markets(self) -> tuple[str, ...]:
        return self.plane.settings.venues[self.venue].markets

    def step(self) -> None:
        """Look, and do what is due."""
        if not self.done:
            self._step(time.monotonic())

    # -- before

    def _idle(self, now: float) -> None:
        if not self.seen.live(self.venue):
            self._calm_since = None
            return
        self._calm_since = self._calm_since or now
        if now - self._calm_since < (CALM_S.get(self.venue, 1.0) if self.calm_s is None else self.calm_s):
            return
        if not self.queue:
            self.done = True
            return
        if not self._fresh:
            # The simulator may have come up after the connectors.
            self._renew()
            return
        self._begin(self.queue.pop(0))

    def _begin(self, cell: Cell) -> None:
        self.cell = cell
        self._log_from = len(self._log_path.read_text(errors="replace"))
        self._reconnects = len(self.seen.reconnects[self.venue])
        self._statuses = len(self.seen.statuses)
        self._lost = {key: len(seen.lost) for key, seen in self.seen.markets.items()}
        self._counted = dict(self.seen.counters.get(self.venue, {}))
        self._events_lost = self.seen.events_lost[self.venue]
        self._rest = self.seen.rest[self.venue]
        self._violated = self.control.violations(self.venue)
        self._checker.wrong.clear()
        self._checker.compared.clear()
        self._wrong_at: list[float] = []
        self._sample_at = 0.0
        self._began = time.monotonic()
        self._ids: list[str] = self.control.ask("POST", "/faults", cell.request(self.venue))["ids"]
        self._ended = self._began + cell.lasts_s(self.venue)
        self._step = self._holding

    # -- while

    def _holding(self, now: float) -> None:
        self._sample(now)
        if now >= self._ended:
            if self.cell.hold_s is not None:
                self._ended = time.monotonic()
            for name in self._ids:
                # Those that are over as soon as they have happened are gone.
                with suppress(requests.HTTPError):
                    self.control.ask("DELETE", f"/faults/{name}")
            self._steady_since: float | None = None
            self._step = self._recovering

    def _sample(self, now: float) -> None:
        """Compare what is done to books with the truth."""
        if self.cell.content and now >= self._sample_at and self.seen.markets[self.venue, MARKET].live:
            self._sample_at = now + SAMPLE_S
            self._compare(MARKET)

    def _compare(self, market: str) -> bool | None:
        """Whether it equals the truth; ``None`` when that could not be told."""
        wrong, compared = len(self._checker.wrong), sum(self._checker.compared.values())
        at = time.monotonic()
        self._checker.compare(self.seen.subscriber, self.venue, market)
        if sum(self._checker.compared.values()) == compared:
            return None
        if len(self._checker.wrong) > wrong:
            self._wrong_at.append(at)
            return False
        return True

    def _recovering(self, now: float) -> None:
        self._sample(now)
        if now - self._ended > PATIENCE_S:
            self._finish(equal=False)
        elif not self.seen.live(self.venue):
            self._steady_since = None
        else:
            self._steady_since = self._steady_since or now
            if now - max(self._steady_since, self._ended) >= STEADY_S:
                self._opened = self._newest_connection()
                self._left = set(self._markets)
                self._equal_by = now + EQUAL_S
                self._step = self._comparing

    def _comparing(self, now: float) -> None:
        if now < self._sample_at:
            return
        if not self.seen.live(self.venue):
            self._steady_since, self._step = None, self._recovering
            return
        self._sample_at = now + SAMPLE_S
        self._left = {market for market in self._left if not self._compare(market)}
        if not self._left or now > self._equal_by:
            self._finish(equal=not self._left)

    def _newest_connection(self) -> list[float]:
        state = self.control.ask("GET", "/state")["venues"][self.venue]["connections"]
        return [self.control.when(connection["opened_ns"]) for connection in state]

    # -- after

    def _finish(self, *, equal: bool) -> None:
        left = self.seen.reconnects[self.venue][self._reconnects :]
        result = self._result(equal=equal)
        self.results.append(result)
        self._calm_since = None
        self._step = self._idle
        if self.logs is not None:
            text = self._log_path.read_text(errors="replace")[self._log_from :]
            (self.logs / f"{self.venue}.{self.cell.name.replace(' ', '_')}.log").write_text(text)
        if left or result.counted.get("resyncs", 0) > 1 or self.cell.fault == "clock_skew":
            # The next cell begins without the waits that this one has earned, and without its idea of the time.
            self._renew()

    @property
    def _log_path(self) -> Path:
        return self.plane.settings.run_dir / f"{self.venue}.log"

    def _renew(self) -> None:
        self._fresh, self._calm_since = True, None
        pid = int(self.plane.programs()[f"connectors:{self.venue}"]["pid"])
        if pid:
            os.kill(pid, signal.SIGKILL)
        if self.venue in COURTEOUS:
            # Nor with connects spent: no limit is documented, and a cell would be judged by those before it.
            (self.plane.settings.run_dir / f"{self.venue}.limits").unlink(missing_ok=True)
        for market in self._markets:
            self.seen.markets[self.venue, market].trusted = False

    def _result(self, *, equal: bool) -> Result:
        lost = {
            market: self.seen.markets[self.venue, market].lost[self._lost[self.venue, market] :]
            for market in self._markets
        }
        lost = {market: times for market, times in lost.items() if times}
        applied, touched = self._touched()
        detected = self._detected(lost)
        return Result(
            cell=self.cell.name,
            venue=self.venue,
            applied=applied,
            detected_ms=None if detected is None else max(0.0, (detected - touched) * 1e3),
            threshold_ms=self.cell.threshold_ms(self.venue),
            reasons=self._reasons(),
            counted=self._counts(),
            lost=sorted(lost),
            **self._recovery(lost, detected),
            stood_in=self.seen.rest[self.venue] - self._rest,
            wrong=len(self._wrong_at),
            wrong_ms=(self._wrong_at[-1] - self._wrong_at[0]) * 1e3 if self._wrong_at else 0.0,
            compared=sum(self._checker.compared.values()),
            equal=equal,
            events_lost=self.seen.events_lost[self.venue] - self._events_lost,
            violated={
                name: count - self._violated.get(name, 0)
                for name, count in self.control.violations(self.venue).items()
                if count > self._violated.get(name, 0)
            },
            disturbed=sorted(set(lost) - {MARKET}) if self.cell.market else [],
        )

    def _touched(self) -> tuple[int, float]:
        """How often it was applied, and when first."""
        log = self.control.ask("GET", "/faults")["log"]
        mine = [fault for fault in log if fault["id"] in self._ids]
        applied = sum(fault["applied"] for fault in mine if fault["fault"] == self.cell.fault)
        first = [fault["first_ns"] for fault in mine if fault["first_ns"] is not None]
        # What acts on ports and clocks as a whole is in force from the start.
        if self.cell.fault in {"refuse", "blackhole", "accept_close", "accept_reset", "clock_skew"}:
            applied = max(1, applied)
        began = self._began if self.cell.finds == "drift" or not first else min(map(self.control.when, first))
        return applied, max(self._began, began)

    def _detected(self, lost: dict[str, list[tuple[float, Trust | None]]]) -> float | None:
        left = self.seen.reconnects[self.venue][self._reconnects :]
        times = [times[0][0] for times in lost.values()] + [one.at for one in left]
        noted = self._noted()
        return min(times if noted is None else [*times, noted], default=None)

    def _noted(self) -> float | None:
        """When the log said that a stream other than a book was dead: no book is taken back for that."""
        for line in self._log_path.read_text(errors="replace")[self._log_from :].splitlines():
            if self.cell.fault == "mute" and "event=stream_dead" in line:
                stamp = line.split()[0].removeprefix("time=").replace("Z", "+00:00")
                return self.control.when(round(datetime.fromisoformat(stamp).timestamp() * 1e9))
        return None

    def _reasons(self) -> dict[str, int]:
        left = Counter(one.reason for one in self.seen.reconnects[self.venue][self._reconnects :])
        told = {
            status.reason
            for _, venue, market, status in self.seen.statuses[self._statuses :]
            if venue == self.venue and market != "-" and status.state in {State.STALE, State.RECOVERING}
        }
        if self._noted() is not None:
            told.add("stream_dead")
        return {reason: left.get(reason, 0) for reason in sorted(told | set(left))}

    def _counts(self) -> dict[str, int]:
        now = self.seen.counters.get(self.venue, {})
        grown = {name: now.get(name, 0) - self._counted.get(name, 0) for name in TOLD}
        return {name: count for name, count in grown.items() if count > 0}

    def _recovery(self, lost: dict[str, list[tuple[float, Trust | None]]], detected: float | None) -> dict[str, Any]:
        if not lost or detected is None:
            return {"away_ms": None, "after_ms": None, "recovered_ms": None, "held_by": ""}
        live = max(self.seen.markets[self.venue, market].since for market in lost)
        ended = max(self._ended, detected) if live >= self._ended else detected
        made = max((at for at in getattr(self, "_opened", []) if at <= live), default=ended)
        free = min(max(ended, made), live)
        return {
            "away_ms": (live - detected) * 1e3,
            "after_ms": (live - ended) * 1e3,
            "recovered_ms": (live - free) * 1e3,
            "held_by": self._held_by(ended) if made > ended else "",
        }

    def _held_by(self, since: float) -> str:
        """Reasons of the attempts that failed or were announced before the one that brought it back."""
        left = self.seen.reconnects[self.venue][self._reconnects :]
        after = [one for one in left if one.at >= since] or left[-1:]
        return ", ".join(sorted({one.reason for one in after}))


def run(
    plane: Plane,
    cells: list[Cell],
    done: set[tuple[str, str]],
    *,
    venues: tuple[str, ...],
    until: float,
    logs: Path | None = None,
    calm_s: float | None = None,
) -> Iterator[Result]:
    """Have every venue go through its cells, those ``done`` left out; none is begun after the monotonic ``until``."""
    if plane.control is None:
        raise ValueError("the plane has no simulator")
    control = Control(plane.control)
    with Observer(plane) as observer:
        trials = [
            Trials(
                plane,
                control,
                observer,
                venue,
                [cell for cell in cells if venue not in cell.never and (cell.name, venue) not in done],
            )
            for venue in venues
        ]
        for trial in trials:
            trial.logs, trial.calm_s = logs, calm_s
        while any(not trial.done for trial in trials):
            observer.poll(0.02)
            for trial in trials:
                trial.step()
                while trial.results:
                    yield trial.results.pop()
                if time.monotonic() > until:
                    trial.queue.clear()


def sections(venues: tuple[str, ...], keys: dict[str, Any]) -> dict[str, Any]:
    """Settings of a plane in which these venues run with these keys."""
    return {"venues": {venue: {"enabled": venue in venues, **keys} for venue in VENUES}}
