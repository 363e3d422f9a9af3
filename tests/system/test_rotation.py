"""Connections are replaced under load, and no consumer sees anything of it."""

from __future__ import annotations

import os
import time
from collections import Counter
from typing import Any

import pytest

from bus.client import Subscriber
from bus.events import USABLE, Book, Delta, State, Status, Trade, Trust
from bus.items import Item, Lost, Message, TrustChanged
from bus.settings import VENUES
from tests.conftest import Eventually
from tests.system.conftest import Start, System
from tests.system.truth import Checker

pytestmark = pytest.mark.slow

COMPARE_S = 0.25
DRAIN_S = 2.0
"""What comes out of order at the end has come by then, after the newest."""
PATIENCE_S = 90.0


class Tape:
    """What one consumer sees of books and trades, and everything in it that a rotation must not cause."""

    def __init__(self, system: System, subscriber: Subscriber) -> None:
        assert system.plane.control is not None
        self.checker = Checker(system.settings, system.plane.control)
        self.broken: list[str] = []
        """Books or quotes taken back, markets not live, messages lost."""
        self.trades: dict[tuple[str, str], list[Trade]] = {}
        self.silence: dict[tuple[str, str], float] = {}
        """Longest time without a usable book event."""
        self._subscriber = subscriber
        self._last: dict[tuple[str, str], float] = {}
        self._due: dict[tuple[str, str], float] = {}

    def run(self, seconds: float, *, compare: bool = True) -> None:
        """Watch for so long."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            for item in self._subscriber.poll(0.05):
                self._take(item, compare=compare)

    def until(self, ends_us: dict[tuple[str, str], int]) -> None:
        """Watch until every market's trades have come as far as this, however far this consumer is behind."""
        give_up = time.monotonic() + PATIENCE_S
        while time.monotonic() < give_up and not all(self._reached(key, at) for key, at in ends_us.items()):
            self.run(0.5, compare=False)
        self.run(DRAIN_S, compare=False)

    def _reached(self, key: tuple[str, str], at_us: int) -> bool:
        trades = self.trades.get(key, [])
        return bool(trades) and (trades[-1].venue_ns or 0) // 10**6 >= at_us // 1000

    def _take(self, item: Item, *, compare: bool) -> None:
        key = item.venue, item.market
        match item:
            case TrustChanged(trusted=False):
                self.broken.append(f"{key} {item.kind} {item.trust}")
            case Lost():
                self.broken.append(f"{key} {item}")
            case Message(event=Book() | Delta() as event):
                self._book(key, event.trust)
                if compare and event.trust is Trust.LIVE and time.monotonic() >= self._due.get(key, 0.0):
                    self._due[key] = time.monotonic() + COMPARE_S
                    self.checker.compare(self._subscriber, *key)
            case Message(event=Trade() as event):
                self.trades.setdefault(key, []).append(event)
            case Message(event=Status() as event) if event.state is not State.LIVE:
                self.broken.append(f"{key} {event.state} {event.reason}")
            case _:
                pass

    def _book(self, key: tuple[str, str], trust: Trust) -> None:
        now = time.monotonic()
        if trust in USABLE:
            self.silence[key] = max(self.silence.get(key, 0.0), now - self._last.get(key, now))
            self._last[key] = now

    def between(self, key: tuple[str, str], after_us: int, until_us: int) -> list[Trade]:
        """Trades of these times by the venue, to the millisecond."""
        times = range(after_us // 1000 + 1, until_us // 1000 + 1)
        return [one for one in self.trades.get(key, []) if one.venue_ns is not None and one.venue_ns // 10**6 in times]


def truths(system: System) -> dict[tuple[str, str], tuple[int, int]]:
    """Number and time (µs) of every market's newest trade."""
    found = {}
    for venue in system.settings.enabled:
        for market in system.settings.venues[venue].markets:
            told: dict[str, Any] = system.control("GET", f"/truth/{venue}/{market}")
            found[venue, market] = told["trades_total"], told["last_trade"]["ts_us"]
    return found


def rotations(system: System) -> dict[str, int]:
    """How often each venue's connections have been replaced so far."""
    return {venue: system.log(venue).count("event=took_over") for venue in system.settings.enabled}


def watch(start: Start, eventually: Eventually, *, age_s: float, frames_per_s: int, seconds: float) -> str:
    """Rotate under load for so long, and hold the tape to the truth. The figures in a line."""
    venues = {venue: {"session_age_ms": int(age_s * 1000)} for venue in VENUES}
    # This consumer asks for the truth while it reads, and must not lose anything for that.
    settings = {"venues": venues, "bus": {"consumer_hwm": 1_000_000}}
    system = start(settings=settings, simulator=("--frames-per-second", str(frames_per_s), "--rate", "3"))
    kinds = ("book", "delta", "bbo", "trade", "status")
    with Subscriber(system.settings, kinds=kinds, name="tape") as subscriber:
        eventually(lambda: bool(subscriber.poll(0.05)) and system.all_live())
        Tape(system, subscriber).run(1.0, compare=False)
        tape = Tape(system, subscriber)
        begun, before = rotations(system), truths(system)
        tape.run(seconds)
        after, done = truths(system), rotations(system)
        tape.until({key: at_us for key, (_, at_us) in after.items()})
    counts = {venue: done[venue] - begun[venue] for venue in VENUES}
    assert min(counts.values()) >= 1, counts
    assert tape.broken == []
    assert tape.checker.wrong == []
    total = 0
    for key, (number, at_us) in after.items():
        taken = tape.between(key, before[key][1], at_us)
        twice = [one for one, times in Counter(trade.trade_id for trade in taken).items() if times > 1]
        assert twice == [], key
        assert [trade for trade in taken if trade.history] == [], key
        assert len(taken) == number - before[key][0], key
        assert tape.checker.compared.get(key, 0) >= seconds / 4, (key, tape.checker.compared, tape.checker.unplaced)
        assert tape.silence[key] * 1000 < system.settings.venues[key[0]].stale_ms, key
        total += len(taken)
    for venue in VENUES:
        assert "event=standby_failed" not in system.log(venue), venue
    compared, silence = sum(tape.checker.compared.values()), max(tape.silence.values())
    return (
        f"{sum(counts.values())} rotations {counts}, {total} trades, {compared} books compared, "
        f"longest silence of a market {silence * 1000:.0f} ms"
    )


def test_connections_are_replaced_under_load_without_a_trace(start: Start, eventually: Eventually) -> None:
    watch(start, eventually, age_s=3, frames_per_s=50, seconds=6)


@pytest.mark.skipif("PARAPHINA_LONG_TESTS" not in os.environ, reason="minutes: set PARAPHINA_LONG_TESTS")
def test_connections_are_replaced_again_and_again_under_load_without_a_trace(
    start: Start, eventually: Eventually
) -> None:
    told = watch(start, eventually, age_s=8, frames_per_s=50, seconds=60)
    print(f"\n{told}")  # noqa: T201
