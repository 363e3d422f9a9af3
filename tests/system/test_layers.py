"""Each layer of recovery does its work with those below it switched off."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable

import pytest

from bus.events import Reason
from bus.settings import VENUES
from tests.conftest import Eventually
from tests.system.conftest import Start, System
from tests.system.watcher import Watcher

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif("PARAPHINA_LONG_TESTS" not in os.environ, reason="minutes: set PARAPHINA_LONG_TESTS"),
]

MARKET = "BTC-PERP"
QUICK = {venue: {"stale_ms": 2_000, "read_timeout_ms": 5_000} for venue in VENUES}
ENGINES = {Reason.STALE_WATCHDOG.value, Reason.READ_TIMEOUT.value}
"""Reasons that the engine's own watch gives."""


def hearing(watcher: Watcher, condition: Callable[[], bool]) -> Callable[[], bool]:
    """Look at a condition while the bus is being read."""

    def look() -> bool:
        watcher.poll(0.05)
        return condition()

    return look


def stall(system: System, market: str | None, seconds: float, *, control: bool = False) -> None:
    """The venues send nothing, or nothing of one market, for so long."""
    faults = [
        {"fault": "stall", "venue": venue, "market": market, "params": {"control": control}, "for_s": seconds}
        for venue in system.settings.enabled
    ]
    system.control("POST", "/faults", faults)


def anew(system: System, watcher: Watcher, eventually: Eventually) -> None:
    """Every venue is live, by a process that found the venues there: nothing asks a second time in these tests."""
    eventually(system.served)
    for venue in system.settings.enabled:
        system.kill(f"connectors:{venue}")
    eventually(hearing(watcher, lambda: all(watcher.live(venue) for venue in system.settings.enabled)), within=120)


def found(watcher: Watcher, seen: dict[str, int]) -> bool:
    """Whether the engine's watch has left a connection of every venue since."""
    return all(any(left.reason in ENGINES for left in watcher.reconnects[v][seen[v] :]) for v in seen)


def over(system: System) -> bool:
    """Whether no fault is in force any more."""
    return not system.control("GET", "/faults")["active"]


def test_without_the_protocols_deadlines_the_engine_finds_what_is_silent(start: Start, eventually: Eventually) -> None:
    system = start(settings={"debug": {"disable": ["protocol"]}, "venues": QUICK})
    with Watcher(system.settings) as watcher:
        anew(system, watcher, eventually)
        pids = {venue: system.pid(f"connectors:{venue}") for venue in VENUES}
        for market in (MARKET, None):
            seen = {venue: len(watcher.reconnects[venue]) for venue in VENUES}
            stall(system, market, 60, control=market is None)
            eventually(hearing(watcher, lambda: found(watcher, seen)))  # noqa: B023
            system.control("DELETE", "/faults")
            whole = hearing(watcher, lambda: all(watcher.live(venue) for venue in VENUES))
            eventually(whole, within=120)
        assert {venue: system.pid(f"connectors:{venue}") for venue in VENUES} == pids, "no process was needed for that"


def test_without_protocol_and_engine_the_sentinel_restarts_what_grows_old(start: Start, eventually: Eventually) -> None:
    settings = {
        "debug": {"disable": ["protocol", "engine"]},
        "venues": QUICK,
        "sentinel": {"force_restart_ms": 8_000, "heartbeat_timeout_ms": 2_000},
    }
    system = start(settings=settings)
    with Watcher(system.settings) as watcher:
        anew(system, watcher, eventually)
        pids = {venue: system.pid(f"connectors:{venue}") for venue in VENUES}
        stall(system, None, 10, control=True)
        eventually(
            hearing(watcher, lambda: all(system.replaced(f"connectors:{venue}", pids[venue]) for venue in VENUES))
        )
        eventually(hearing(watcher, lambda: over(system) and all(watcher.live(venue) for venue in VENUES)), within=120)
        pids = {venue: system.pid(f"connectors:{venue}") for venue in VENUES}
        stall(system, MARKET, 12)
        eventually(
            hearing(watcher, lambda: all(system.replaced(f"connectors:{venue}", pids[venue]) for venue in VENUES))
        )
        eventually(hearing(watcher, lambda: over(system) and all(watcher.live(venue) for venue in VENUES)), within=120)
    told = system.log("sentinel")
    assert told.count(f'detail="{MARKET} age') >= len(VENUES), "one silent market beside live ones"
    for venue in VENUES:
        assert f"event=hung program=connectors:{venue}" in told
        assert "Current thread" in system.log(venue) or "Thread 0x" in system.log(venue), "its stacks are in its log"


def test_without_the_sentinels_judgement_supervisord_respawns_and_the_hung_are_called_down(
    start: Start, eventually: Eventually
) -> None:
    settings = {"debug": {"disable": ["sentinel"]}, "sentinel": {"heartbeat_timeout_ms": 2_000}}
    system = start(venues=("aster", "lighter"), settings=settings)
    with Watcher(system.settings) as watcher:
        eventually(hearing(watcher, lambda: watcher.live("aster") and watcher.live("lighter")))
        hung = system.kill("connectors:aster", signal.SIGSTOP)
        stopped = time.monotonic()
        eventually(hearing(watcher, lambda: not watcher.live("aster")))
        eventually(lambda: any(row.venue == "aster" and row.state == "down" for row in system.look().rows()))
        eventually(hearing(watcher, lambda: time.monotonic() - stopped > 8))
        assert system.pid("connectors:aster") == hung
        os.kill(hung, signal.SIGCONT)
        eventually(hearing(watcher, lambda: watcher.live("aster")))
        killed = system.kill("connectors:aster")
        eventually(lambda: system.replaced("connectors:aster", killed))
        eventually(hearing(watcher, lambda: watcher.live("aster")))


def test_without_a_sentinel_at_all_supervisord_respawns_a_second_later(start: Start, eventually: Eventually) -> None:
    system = start(venues=("lighter",), programs=("lighter", "publisher", "runner", "simulator"))
    eventually(system.all_live)
    for program in ("connectors:lighter", "publisher:publisher", "runner:runner"):
        pid = system.kill(program)
        eventually(lambda: system.replaced(program, pid), within=30)  # noqa: B023
    with Watcher(system.settings) as watcher:
        eventually(hearing(watcher, lambda: watcher.live("lighter")))
