"""How long a venue is away whose connector is killed, and that nobody else notices."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field

import pytest

from bus.errors import TransportError
from bus.lease import take
from bus.settings import VENUES
from tests.conftest import Eventually
from tests.system.conftest import Start, System
from tests.system.watcher import Watcher

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif("PARAPHINA_LONG_TESTS" not in os.environ, reason="minutes: set PARAPHINA_LONG_TESTS"),
]

KILLS = 50
AWAY_P95_S = 0.6
AWAY_MAX_S = 1.0
SETTLED_S = 1.5
"""Between two kills: uptime enough that supervisord calls the program started, and no storm for the sentinel."""


@dataclass
class Kill:
    """One kill and what it cost."""

    venue: str
    away_s: float
    wall_ms: tuple[int, int]
    """Begin and end by the wall clock, as telemetry has it."""
    disturbed: list[str] = field(default_factory=list)
    """Other venues that lost a book meanwhile."""


def kill(system: System, watcher: Watcher, venue: str, eventually: Eventually) -> Kill:
    """Kill one connector and wait until a consumer holds every book of it live again."""
    books = [seen for (at, _), seen in watcher.markets.items() if at == venue]
    others = {other: losses(watcher, other) for other in system.settings.enabled if other != venue}
    pid = system.kill(f"connectors:{venue}")
    killed, wall = time.monotonic(), time.time_ns() // 1_000_000

    def back() -> bool:
        watcher.poll(0.02)
        return all(seen.live and seen.since > killed for seen in books)

    eventually(back, every=0)
    away = max(seen.since for seen in books) - killed
    found = Kill(venue, away, (wall, time.time_ns() // 1_000_000))
    found.disturbed = [other for other, before in others.items() if losses(watcher, other) != before]
    assert system.replaced(f"connectors:{venue}", pid)
    return found


def losses(watcher: Watcher, venue: str) -> int:
    """How often a book of the venue was taken back so far."""
    return sum(len(seen.lost) for (at, _), seen in watcher.markets.items() if at == venue)


def kills(system: System, watcher: Watcher, venues: Iterable[str], eventually: Eventually) -> list[Kill]:
    """Kill them one after the other, each when everything has been well for a while."""
    eventually(system.all_live)
    found = []
    for venue in venues:
        well_since = time.monotonic()

        def settled() -> bool:
            nonlocal well_since
            watcher.poll(0.05)
            now = time.monotonic()
            if not all(watcher.live(each) for each in system.settings.enabled):
                well_since = now
            return now - well_since >= SETTLED_S

        eventually(settled, every=0)
        found.append(kill(system, watcher, venue, eventually))
    return found


def ages_meanwhile(system: System, done: list[Kill]) -> tuple[int, int]:
    """Greatest age of the venues not killed: in ticks while one was away, and in all the ticks between kills."""
    meanwhile, otherwise = [0], [0]
    for line in (system.settings.out_dir / "telemetry.jsonl").read_text().splitlines():
        tick = json.loads(line)
        at = tick["treasury_guidance"]["as_of_ms"]
        ages = dict(zip(VENUES, tick["venue_age_ms"], strict=True))
        away = {each.venue for each in done if each.wall_ms[0] <= at <= each.wall_ms[1] + 250}
        if done[0].wall_ms[0] <= at <= done[-1].wall_ms[1]:
            (meanwhile if away else otherwise).extend(age for venue, age in ages.items() if venue not in away)
    return max(meanwhile), max(otherwise)


def told(done: list[Kill]) -> str:
    """The figures in a line."""
    times = sorted(each.away_s for each in done)
    rank = {name: times[min(len(times) - 1, int(len(times) * part))] for name, part in (("p50", 0.5), ("p95", 0.95))}
    by_venue = ", ".join(f"{venue} {max(k.away_s for k in done if k.venue == venue):.2f}" for venue in VENUES)
    return f"{len(times)} kills: p50 {rank['p50']:.3f} s, p95 {rank['p95']:.3f} s, max {times[-1]:.3f} s ({by_venue})"


def test_fifty_kills_spread_over_the_venues_keep_to_their_bounds(start: Start, eventually: Eventually) -> None:
    system = start()
    with Watcher(system.settings) as watcher:
        done = kills(system, watcher, VENUES * (KILLS // len(VENUES)), eventually)
        assert watcher.bus_losses == 0
    meanwhile, otherwise = ages_meanwhile(system, done)
    print(f"\n{told(done)}; other venues' greatest age {meanwhile} ms meanwhile, {otherwise} ms otherwise")  # noqa: T201
    assert [each.disturbed for each in done] == [[]] * len(done)
    times = sorted(each.away_s for each in done)
    assert times[int(len(times) * 0.95)] <= AWAY_P95_S
    assert times[-1] <= AWAY_MAX_S


def test_a_program_that_was_given_up_comes_back(start: Start, eventually: Eventually) -> None:
    system = start(venues=("aster", "lighter"), retries=1, settings={"sentinel": {"fatal_cooldown_ms": 4_000}})
    eventually(system.all_live)
    place = None
    while place is None:
        # Whoever comes first takes its place; every connector after that ends at once.
        try:
            place = take(system.settings.run_dir, "aster")
        except TransportError:
            if pid := system.pid("connectors:aster"):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
    eventually(lambda: "event=fatal program=connectors:aster" in system.log("sentinel"))
    assert system.all_live("lighter")
    place.release()
    eventually(system.all_live)
    assert "event=revived program=connectors:aster" in system.log("sentinel")


def test_a_killed_sentinel_costs_nothing_but_haste(start: Start, eventually: Eventually) -> None:
    system = start()
    with Watcher(system.settings) as watcher:

        def settled() -> bool:
            watcher.poll(0.05)
            return system.all_live() and all(watcher.live(venue) for venue in VENUES)

        eventually(settled, every=0)
        sentinel = system.kill("sentinel:sentinel")
        without = kill(system, watcher, "lighter", eventually)
        assert without.disturbed == []
        eventually(lambda: settled() and system.replaced("sentinel:sentinel", sentinel), every=0)
        eventually(lambda: system.log("sentinel").count("event=starting") == 2)
        [again] = kills(system, watcher, ["lighter"], eventually)
    assert again.disturbed == []
    print(f"\n{without.away_s:.2f} s away without a sentinel, {again.away_s:.2f} s with one")  # noqa: T201
    assert without.away_s < 10
