"""A wall clock that is set by an hour while everything runs, from a connector to the runner, in memory."""

from __future__ import annotations

import pytest

from bus.counters import Counter
from bus.events import BusEvent, State
from bus.items import Item, Message, TrustChanged
from bus.wire import SCHEMA, Header
from connectors.effects import Now
from connectors.watch import Watch
from runner.engine import Engine, Plan, Watched
from tests.connectors.doubles import MARKET, MS, WALL, Rig, S

FRAME_NS = 50 * MS
TICK_NS = 250 * MS
STEP_AT = 20 * S
END = 60 * S
HOP_NS = 200_000


class Line:
    """A connector and a runner on one host, whose wall clock is set at ``STEP_AT``."""

    def __init__(self, step_ns: int) -> None:
        self.rig = Rig()
        self.rig.engine.watch = Watch()
        self.runner = Engine(Plan((Watched("fake", (MARKET,), 10_000),), ("fake",), 250, 60, same_host=True), 0, WALL)
        self.ages: list[int] = []
        self.event_ages: list[int] = []
        self.stepped = 0
        self._step = step_ns
        self._passed = 0

    def now(self, mono: int) -> Now:
        """Both clocks; the venue's own goes on as before."""
        return Now(mono, WALL + mono + (self._step if mono >= STEP_AT else 0))

    def run(self) -> None:
        """A book frame every 50 ms, a tick of the runner every 250."""
        self.rig.engine.start(self.now(0))
        self.rig.engine.opened("1/main", self.now(0))
        self._take(TrustChanged("book", "fake", MARKET, trusted=True, trust=None, rebuild=None, at_ns=0))
        for mono in range(0, END, FRAME_NS):
            now = self.now(mono)
            deadline = self.rig.engine.deadline
            if deadline is not None and deadline <= mono:
                self.rig.engine.woken(now)
            self.rig.protocol.script["received"] = self.rig.protocol.live(now, venue_ns=WALL + mono - 5 * MS)
            self.rig.engine.received("1/main", b"frame", False, now)
            self._pass_on(now)
            if mono % TICK_NS == 0:
                self._tick(self.now(mono + HOP_NS))

    def _pass_on(self, now: Now) -> None:
        events, self._passed = self.rig.ports.events[self._passed :], len(self.rig.ports.events)
        for market, event in events:
            self._take(message(market, event, now))

    def _take(self, item: Item) -> None:
        self.runner.took(item)

    def _tick(self, now: Now) -> None:
        self.stepped += self.runner.tick(now.mono, now.wall)
        aging = self.runner.venues["fake"].aging
        assert aging.age_ms is not None
        assert aging.event_age_ms is not None
        self.ages.append(aging.age_ms)
        self.event_ages.append(aging.event_age_ms)


def message(market: str, event: BusEvent, now: Now) -> Message:
    """As it reaches the runner."""
    header = Header(SCHEMA, "a", 1, 1, now.wall, now.mono, now.mono + 50_000)
    return Message(event.kind, "fake", market, header, event, now.mono + HOP_NS)


@pytest.mark.parametrize("hours", [1, -1])
def test_ages_do_not_jump_and_nothing_is_reconnected_or_called_ill(hours: int) -> None:
    line = Line(hours * 3_600 * S)
    line.run()
    assert max(line.ages) <= FRAME_NS // MS
    assert line.rig.ports.reasons() == []
    assert line.rig.ports.states() == [State.INIT, State.CONNECTING, State.SYNCING, State.LIVE]
    assert line.rig.counters.get(Counter.CLOCK_JUMPS) == 1
    assert line.stepped == 1


@pytest.mark.parametrize("hours", [1, -1])
def test_the_event_age_shows_the_step_as_it_is(hours: int) -> None:
    line = Line(hours * 3_600 * S)
    line.run()
    before, after = line.event_ages[: STEP_AT // TICK_NS], line.event_ages[STEP_AT // TICK_NS :]
    assert set(before) <= set(range(5, 7))
    assert {age - hours * 3_600_000 for age in after} <= set(range(5, 7)), "signed, never clamped"
