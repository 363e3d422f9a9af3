"""What looking costs: the dashboard under five pages and a scrape a second, and the plane's latencies with and without.

The same plane is measured in turns, with the dashboard stopped and with it watched, so that what else the machine does
meets both alike.
"""

from __future__ import annotations

import time
from pathlib import Path
from statistics import median
from typing import Final, NamedTuple

import requests

from benchmarks.bench import Bench, bench
from benchmarks.children import Child, SilentError, cpu_ns, rss_bytes
from benchmarks.figures import Aim, Cell, Section, Table, quantile
from bus.client import Subscriber
from bus.events import NO_MARKET, State, Status
from bus.items import Message
from bus.settings import VENUES
from cli.plane import Plane, free_ports, prepare

PAGES: Final = 5
PRICED: Final = ("book", "delta", "bbo")
PROGRAM: Final = "dashboard:dashboard"
PATIENCE_S: Final = 60.0
WARM_S: Final = 3.0
SHARES: Final = (0.5, 0.9, 0.99)


class Turn(NamedTuple):
    """One stretch of time."""

    watched: bool
    applied_us: list[float]
    """From a connector's socket to a consumer, by event, sorted."""
    cpu_percent: float | None
    rss_mb: float | None
    stream_kb_s: float | None
    """Of one page."""


def measure(*, quick: bool) -> Section:
    """Turns of one plane, without and with."""
    seconds, rounds = (4.0, 1) if quick else (20.0, 4)
    try:
        with bench() as place:
            turns = _plane(place, seconds, rounds)
    except (TimeoutError, SilentError) as problem:
        print(f"dashboard: not measured: {problem}")
        turns = []
    watched = [turn for turn in turns if turn.watched]
    rows: list[list[Cell]] = [
        ["watched" if turn.watched else "stopped", len(turn.applied_us), *_quantiles(turn), *turn[2:]] for turn in turns
    ]
    return Section(
        "dashboard",
        [
            Table(
                f"five venues × three markets, {PAGES} pages and a scrape a second, turns of {seconds:.0f} s",
                [
                    "dashboard",
                    "events",
                    *(f"p{share * 100:g} µs" for share in SHARES),
                    "CPU %",
                    "RSS MB",
                    "kB/s a page",
                ],
                rows,
                "Latencies are from a connector's socket to a consumer of all books and quotes.",
            )
        ],
        [
            Aim("CPU of the dashboard", "% of a core", _middle([turn.cpu_percent for turn in watched]), at_most=5.0),
            Aim(
                "RSS of the dashboard", "MB", max((turn.rss_mb or 0.0 for turn in watched), default=None), at_most=80.0
            ),
            *(
                Aim(f"p{share * 100:g} watched over stopped", "", _ratio(turns, share), at_most=1.2)
                for share in SHARES[:2]
            ),
        ],
    )


def _quantiles(turn: Turn) -> list[Cell]:
    return [quantile(turn.applied_us, share) if turn.applied_us else None for share in SHARES]


def _middle(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return median(known) if known else None


def _ratio(turns: list[Turn], share: float) -> float | None:
    """Of the middle turn of each kind."""
    with_it, without = (
        _middle([quantile(turn.applied_us, share) for turn in turns if turn.watched is kind and turn.applied_us])
        for kind in (True, False)
    )
    return None if with_it is None or without is None else with_it / without


def _plane(place: Bench, seconds: float, rounds: int) -> list[Turn]:
    plane = prepare(Path(place.base), sim=True, settings={"dashboard": {"port": free_ports(1)}})
    plane.start()
    try:
        turns = []
        with Subscriber(plane.settings, kinds=[*PRICED, "status"], books=False, name="bench") as subscriber:
            _until_live(subscriber)
            for _ in range(rounds):
                turns.append(_stopped(plane, subscriber, seconds))
                turns.append(_watched(place, plane, subscriber, seconds))
        return turns
    finally:
        plane.stop()


def _until_live(subscriber: Subscriber) -> None:
    live: set[str] = set()
    until = time.monotonic() + PATIENCE_S
    while len(live) < len(VENUES):
        if time.monotonic() > until:
            raise TimeoutError(f"live are only {sorted(live)}")
        for item in subscriber.poll(0.1):
            if isinstance(item, Message) and isinstance(item.event, Status) and item.market == NO_MARKET:
                (live.add if item.event.state is State.LIVE else live.discard)(item.venue)


def _until_served(port: int) -> None:
    until = time.monotonic() + PATIENCE_S
    while True:
        try:
            requests.get(f"http://127.0.0.1:{port}/live", timeout=5).raise_for_status()
        except requests.RequestException:
            if time.monotonic() > until:
                raise TimeoutError("the dashboard does not answer") from None
            time.sleep(0.1)
        else:
            return


def _stopped(plane: Plane, subscriber: Subscriber, seconds: float) -> Turn:
    plane.supervisor.stop(PROGRAM)
    _latencies(subscriber, WARM_S)
    return Turn(
        watched=False, applied_us=_latencies(subscriber, seconds), cpu_percent=None, rss_mb=None, stream_kb_s=None
    )


def _watched(place: Bench, plane: Plane, subscriber: Subscriber, seconds: float) -> Turn:
    plane.supervisor.start(PROGRAM)
    _until_served(plane.settings.dashboard.port)
    pid = int(plane.programs()[PROGRAM]["pid"])
    with place.child("benchmarks.viewers", str(plane.settings.dashboard.port), str(PAGES)) as viewers:
        viewers.hear("watching")
        _latencies(subscriber, WARM_S)
        _count(viewers)
        used, began = cpu_ns(pid), time.monotonic_ns()
        applied = _latencies(subscriber, seconds)
        passed = time.monotonic_ns() - began
        cpu = (cpu_ns(pid) - used) / passed * 100
        return Turn(
            watched=True,
            applied_us=applied,
            cpu_percent=cpu,
            rss_mb=rss_bytes(pid) / 1e6,
            stream_kb_s=_count(viewers) / PAGES / passed * 1e6,
        )


def _count(viewers: Child) -> int:
    viewers.tell("count")
    return int(viewers.hear("counted")[0])


def _latencies(subscriber: Subscriber, seconds: float) -> list[float]:
    """Of what arrives in this time, sorted, µs."""
    found: list[float] = []
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        found += [
            (item.applied_ns - item.header.mono_ns) / 1e3
            for item in subscriber.poll(left)
            if isinstance(item, Message) and item.kind in PRICED
        ]
    return sorted(found)
