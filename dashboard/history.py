"""The last quarter of an hour: ages and states by the second, and marks of what happened. Bounded."""

from __future__ import annotations

from collections import deque
from typing import Final

import msgspec

from bus.events import Process, State, Status
from dashboard.telemetry import Tick, VenueTick

STEP_MS: Final = 1_000
KEEP: Final = 900
"""Steps that are kept: 15 minutes."""
MARKS: Final = 1_000
MAX_TEXT: Final = 200
MAX_LANES: Final = 512
"""Venues and markets whose last status is remembered."""
STATES: Final = tuple(state.value for state in State)
"""A state's number on the page is its place here; -1 is unknown."""
_QUIET: Final = {State.INIT, State.CONNECTING, State.SYNCING, State.LIVE}
_MS: Final = 1_000_000


class Mark(msgspec.Struct, frozen=True):
    """Something that happened. ``lane`` is a venue or a process, ``kind`` one of the kinds below."""

    number: int
    """Counts from 1; tells which marks a page has already."""
    at_ms: int
    lane: str
    kind: str
    """``state``, ``market``, ``reconnect``, ``process``, ``gap`` or ``source``."""
    text: str


class Series(msgspec.Struct, frozen=True):
    """One venue's past, oldest first, one value a step; ``None`` where nothing was told."""

    age_ms: list[int | None]
    """Worst of the step."""
    age_event_ms: list[int | None]
    state: list[int]
    """Place in ``STATES``, worst of the step; -1 when unknown."""


class Past(msgspec.Struct, frozen=True):
    """Everything a page needs to open with."""

    start_ms: int
    step_ms: int
    states: tuple[str, ...]
    venues: dict[str, Series]
    marks: list[Mark]


class _Sample:
    __slots__ = ("age_event_ms", "age_ms", "state")

    def __init__(self) -> None:
        self.age_ms: int | None = None
        self.age_event_ms: int | None = None
        self.state = -1

    def take(self, venue: VenueTick) -> None:
        """Keep the worst of a step: a spike of a quarter of a second must not be lost."""
        self.age_ms = _worst(self.age_ms, venue.age_ms)
        self.age_event_ms = _worst(self.age_event_ms, venue.age_event_ms)
        number = STATES.index(venue.state) if venue.state in STATES else -1
        if self.state in {-1, STATES.index("live")} or number not in {-1, STATES.index("live")}:
            self.state = number


class History:
    """Ring of samples and marks. Times are wall clock ms; a clock that is set back adds to the newest step."""

    def __init__(self, venues: tuple[str, ...]) -> None:
        self._venues = venues
        self._steps: deque[tuple[int, dict[str, _Sample]]] = deque(maxlen=KEEP)
        self._marks: deque[Mark] = deque(maxlen=MARKS)
        self._told: dict[tuple[str, str], tuple[State, int]] = {}
        self.number = 0
        """Number of the newest mark."""

    def tick(self, tick: Tick) -> None:
        """Take the ages of a tick."""
        step = tick.as_of_ms // STEP_MS
        if not self._steps or step > self._steps[-1][0]:
            self._steps.append((step, {venue: _Sample() for venue in self._venues}))
        samples = self._steps[-1][1]
        for name, venue in tick.venues.items():
            if name in samples:
                samples[name].take(venue)

    def mark(self, at_ms: int, lane: str, kind: str, text: str) -> None:
        """Note that something happened."""
        self.number += 1
        self._marks.append(Mark(self.number, at_ms, lane[:MAX_TEXT], kind, text[:MAX_TEXT]))

    def status(self, venue: str, market: str, status: Status) -> None:
        """A venue (``market`` empty) or a market changed state. Repeated statuses are no news."""
        key = venue, market
        told = status.state, status.since_ns
        if self._told.get(key) == told or (key not in self._told and len(self._told) >= MAX_LANES):
            return
        before = self._told.get(key)
        self._told[key] = told
        at_ms = status.since_ns // _MS
        reason = f": {status.reason}" if status.reason else ""
        if not market:
            self.mark(at_ms, venue, "state", f"{status.state.value}{reason}")
        elif status.state not in _QUIET or (before is not None and before[0] not in _QUIET):
            self.mark(at_ms, venue, "market", f"{market} {status.state.value}{reason}")

    def process(self, event: Process, at_ms: int) -> None:
        """The sentinel said something of a program (``connectors:aster``)."""
        detail = f" ({event.detail})" if event.detail else ""
        self.mark(at_ms, event.program.rpartition(":")[2], "process", f"{event.action}{detail}")

    def since(self, number: int) -> list[Mark]:
        """Marks after this one, oldest first."""
        found: list[Mark] = []
        for mark in reversed(self._marks):
            if mark.number <= number:
                break
            found.append(mark)
        return found[::-1]

    def past(self, now_ms: int) -> Past:
        """What is kept of the last ``KEEP`` steps, with holes where nothing was told."""
        last = max(now_ms // STEP_MS, self._steps[-1][0] if self._steps else 0)
        first = last - KEEP + 1
        known = {step: samples for step, samples in self._steps if step >= first}
        first = min(known, default=last)
        steps = [known.get(step) for step in range(first, last + 1)]
        return Past(
            first * STEP_MS,
            STEP_MS,
            STATES,
            {venue: _series(venue, steps) for venue in self._venues},
            [mark for mark in self._marks if mark.at_ms >= first * STEP_MS or mark.at_ms >= now_ms - KEEP * STEP_MS],
        )


def _series(venue: str, steps: list[dict[str, _Sample] | None]) -> Series:
    samples = [_Sample() if step is None else step[venue] for step in steps]
    return Series(
        [sample.age_ms for sample in samples],
        [sample.age_event_ms for sample in samples],
        [sample.state for sample in samples],
    )


def _worst(known: int | None, new: int | None) -> int | None:
    return new if known is None else known if new is None else max(known, new)
