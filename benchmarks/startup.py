"""Start-up is recovery: from ``exec`` to every market live, and from ``kill -9`` to live again under supervisord."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Sequence
from itertools import takewhile
from pathlib import Path
from typing import Final, NamedTuple

from benchmarks.bench import Bench, bench
from benchmarks.children import Child, SilentError
from benchmarks.figures import Aim, Cell, Section, Table, quantile
from bus.client import Subscriber
from bus.clock import mono
from bus.events import NO_MARKET, State, Status
from bus.items import Message
from bus.settings import VENUES
from cli.plane import Plane, prepare

AIM_S: Final = 0.6
PATIENCE_S: Final = 30.0
PAUSE_S: Final = 1.3
"""Between two kills: supervisord counts a program as started after one second."""
KILLS: Final = 5
"""Of each connector at most."""
KILLING_S: Final = 20.0
"""For all kills of one plane."""
PROGRAMS: Final = (*VENUES, "publisher", "simulator")


class Start(NamedTuple):
    """One start."""

    ms: float
    cpu_ms: float
    """CPU time that the process had used when it was live."""


def measure(*, quick: bool) -> Section:
    """First single connectors beside a running simulator, then a plane whose connectors are killed (not if quick)."""
    runs, seconds = (1, 6.0) if quick else (20, 35.0)
    starts = _starts(runs, seconds)
    medians = [quantile(sorted(start.ms for start in found), 0.5) for found in starts.values() if found]
    table = Table(
        f"exec → live, three markets, at most {runs} runs each within {seconds:g} s, ms",
        ["venue", "p50", "p90", "max", "CPU p50", "runs"],
        [
            [venue, *_spread([x.ms for x in found]), _spread([x.cpu_ms for x in found])[0], len(found)]
            for venue, found in starts.items()
        ],
        "From before exec to the arrival of the venue's status live on the bus; the simulator was running.",
    )
    return Section(
        "startup",
        [table] if quick else [table, _killed()],
        [Aim("exec → live, p50 of the slowest venue", "s", max(medians) / 1e3 if medians else None, at_most=AIM_S)],
    )


def _killed() -> Table:
    alone, watched = (_kills(KILLS, KILLING_S, programs) for programs in (PROGRAMS, (*PROGRAMS, "sentinel")))
    return Table(
        "kill -9 → live under supervisord, connectors in turn, ms",
        ["", "p50", "p90", "max", "kills"],
        [["with sentinel", *_spread(watched), len(watched)], ["without", *_spread(alone), len(alone)]],
        "supervisord alone notices a death when its 1 s poll wakes.",
    )


def _spread(values: Sequence[float]) -> list[Cell]:
    ordered = sorted(values)
    return [quantile(ordered, share) for share in (0.5, 0.9, 1.0)] if ordered else [None, None, None]


# -- exec → live -------------------------------------------------------------------------------------------------------


def _starts(runs: int, seconds: float) -> dict[str, list[Start]]:
    with bench() as place:
        plane = place.settings(sim=True)
        endpoint = plane.settings.endpoint("market_in")
        with place.simulator(plane, "--limits", "count"), place.child("benchmarks.sink", endpoint) as sink:
            sink.hear("bound")
            found: dict[str, list[Start]] = {venue: [] for venue in VENUES}
            until = time.monotonic() + seconds
            for number in range(runs):
                if number and time.monotonic() > until:
                    break
                for venue, starts in found.items():
                    starts.append(_start(place, sink, venue))
            return found


def _start(place: Bench, sink: Child, venue: str) -> Start:
    sink.quiet()
    # What the runs before spent of the venue's limits is not what a start takes.
    (place.base / "run" / f"{venue}.limits").unlink(missing_ok=True)
    with place.child("connectors", venue, speaks=False) as connector:
        named, at = sink.hear("live", PATIENCE_S)
        cpu = connector.cpu_ns()
    if named != venue:
        raise SilentError(f"{named} live instead of {venue}")
    return Start((int(at) - connector.started_ns) / 1e6, cpu / 1e6)


# -- kill -9 → live ----------------------------------------------------------------------------------------------------


def _kills(kills: int, seconds: float, programs: Sequence[str]) -> list[float]:
    with bench() as place:
        plane = prepare(Path(place.base), sim=True, programs=programs, simulator=("--limits", "count"))
        plane.start()
        found: list[float] = []
        try:
            with Subscriber(plane.settings, kinds=["status"], name="bench") as subscriber:
                watch = _Watch(subscriber)
                watch.until(lambda: len(watch.live) == len(VENUES))
                until = time.monotonic() + seconds
                turns = takewhile(lambda _: time.monotonic() < until, VENUES * kills)
                found.extend(_kill(plane, watch, venue) for venue in turns)
        except TimeoutError as problem:
            print(f"kill -9: {problem}")
        finally:
            plane.stop()
        return found


class _Watch:
    """Which run of each connector is live, and since when."""

    def __init__(self, subscriber: Subscriber) -> None:
        self.live: dict[str, tuple[int, int]] = {}
        """Epoch of the run and monotonic ns, by venue."""
        self._subscriber = subscriber

    def until(self, condition: Callable[[], bool]) -> None:
        """Follow the bus until then. Raises TimeoutError."""
        until = time.monotonic() + PATIENCE_S
        while not condition():
            if time.monotonic() > until:
                raise TimeoutError(f"live are only {sorted(self.live)}")
            for item in self._subscriber.poll(0.1):
                if isinstance(item, Message) and isinstance(item.event, Status) and item.market == NO_MARKET:
                    self._note(item, item.event)

    def _note(self, item: Message, status: Status) -> None:
        if status.state is State.LIVE:
            self.live.setdefault(item.venue, (item.header.epoch, item.applied_ns))
        else:
            self.live.pop(item.venue, None)


def _kill(plane: Plane, watch: _Watch, venue: str) -> float:
    until = time.monotonic() + PAUSE_S
    watch.until(lambda: time.monotonic() > until and len(watch.live) == len(VENUES))
    epoch, _ = watch.live.pop(venue)
    pid = int(plane.programs()[f"connectors:{venue}"]["pid"])
    at = mono()
    os.kill(pid, signal.SIGKILL)
    watch.until(lambda: watch.live.get(venue, (epoch, 0))[0] != epoch)
    return (watch.live[venue][1] - at) / 1e6
