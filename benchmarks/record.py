"""Recording and replaying: what a capture costs the connector, and how fast it is played again.

Also by itself: ``python -m benchmarks.record [--quick]``.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Final, NamedTuple

from rich.console import Console

from benchmarks import figures
from benchmarks.bench import MARKET, Bench, bench
from benchmarks.children import Child
from benchmarks.figures import Aim, Cell, Section, Table
from bus.settings import VENUES
from cli.capture.player import Player
from cli.capture.runs import Run, runs

VENUE: Final = "aster"
RATE: Final = 2_000
SETTLE_S: Final = 1.5
REPLAYS: Final = 5
"""The best of so many counts: each takes a fraction of a second, and others run on the machine."""


class Cost(NamedTuple):
    """Of one run of the connector."""

    share: float
    """CPU time by wall time, of one core, with all threads."""
    events: int
    bytes: int
    """On disk."""
    captured: Path | None


class Played(NamedTuple):
    """One replay."""

    seconds: float
    """Recorded."""
    took: float
    frames: int
    differences: int


def measure(*, quick: bool) -> Section:
    """Record at a rate, with and without; then replay that, and what five simulated venues said."""
    seconds, rounds, simulated = (3.0, 3, 10.0) if quick else (5.0, 9, 40.0)
    with bench() as place:
        off, on, fast = _costs(place, seconds, rounds)
    with bench() as place:
        slow = _simulated(place, simulated)
    cost = on.share - off.share
    rows: list[list[Cell]] = [
        ["not recording", 100 * off.share, off.share / RATE * 1e6, None, None],
        ["recording", 100 * on.share, on.share / RATE * 1e6, on.bytes / seconds / 1e6, None],
        ["difference", 100 * cost, cost / RATE * 1e6, None, 100 * cost / off.share],
    ]
    recording = Table(
        f"{VENUE} frames of 2×20 levels at {RATE:,} frames/s, the median of {rounds} rounds each",
        ["connector", "% of a core", "µs CPU/frame", "MB/s on disk", "% of the connector's own CPU"],
        rows,
        "CPU of the process with all its threads; the capture is on the disk of the temporary directory.",
    )
    replays = Table(
        f"Replay at full speed, in one process, the best of {REPLAYS}",
        ["capture", "frames", "s recorded", "s taken", "times real time", "frames/s", "differences"],
        [
            _row(f"{VENUE} at {RATE:,} frames/s", [fast]),
            *(_row(f"{venue}, simulated", [played]) for venue, played in slow.items()),
            _row("all simulated, one after another", list(slow.values())),
        ],
    )
    took = sum(played.took for played in slow.values())
    recorded = max(played.seconds for played in slow.values())
    return Section(
        "record",
        [recording, replays],
        [
            Aim(f"recording at {RATE:,} frames/s", "% of a core", 100 * cost, at_most=5.0),
            Aim("replay of five venues", "times real time", recorded / took, at_least=50.0),
            Aim("differences", "", float(sum(p.differences for p in (fast, *slow.values()))), at_most=0.0),
        ],
    )


def _row(name: str, plays: list[Played]) -> list[Cell]:
    seconds = max(played.seconds for played in plays)
    took = sum(played.took for played in plays)
    frames = sum(played.frames for played in plays)
    return [name, frames, seconds, took, seconds / took, frames / took, sum(played.differences for played in plays)]


def _costs(place: Bench, seconds: float, rounds: int) -> tuple[Cost, Cost, Played]:
    """In turn, so that what else the machine does meets both alike; its noise is larger than what is sought."""
    count = int(RATE * seconds) + 400
    found: dict[bool, list[Cost]] = {False: [], True: []}
    with place.child("benchmarks.blaster", VENUE, str(count)) as blaster:
        (port,) = blaster.hear("port")
        for number in range(rounds):
            for recorded in (False, True):
                folder = place.base / f"capture-{number}" if recorded else None
                found[recorded].append(_cost(place, blaster, port, seconds, folder))
    off, on = (sorted(costs, key=lambda cost: cost.share)[rounds // 2] for costs in (found[False], found[True]))
    (run,) = runs([on.captured or place.base])
    return off, on, _played(run)


def _cost(place: Bench, blaster: Child, port: str, seconds: float, folder: Path | None) -> Cost:
    ours = {"ws_url": f"ws://127.0.0.1:{port}", "rest_url": f"http://127.0.0.1:{port}", "markets": [MARKET]}
    record = {"enabled": folder is not None, "dir": str(folder or "")}
    endpoint = place.settings({"venues": {VENUE: ours}, "record": record}).settings.endpoint("market_in")
    blaster.quiet()
    with place.child("benchmarks.sink", endpoint) as sink:
        sink.hear("bound")
        with place.child("connectors", VENUE, speaks=False) as connector:
            sink.hear("live")
            blaster.hear("streaming")
            time.sleep(SETTLE_S)
            cpu, wall = connector.cpu_ns(), time.monotonic_ns()
            blaster.tell(f"pace {RATE} {int(RATE * seconds)}")
            (mark,) = blaster.hear("until")
            sink.tell(f"until {mark}")
            events = int(sink.hear("done", 60.0)[0])
            share = (connector.cpu_ns() - cpu) / (time.monotonic_ns() - wall)
            blaster.hear("sent")
    size = sum(path.stat().st_size for path in folder.glob("*.cap")) if folder else 0
    return Cost(share, events, size, folder)


def _simulated(place: Bench, seconds: float) -> dict[str, Played]:
    plane = place.settings({"record": {"enabled": True}}, sim=True)
    with place.simulator(plane):
        connectors = [place.child("connectors", venue, speaks=False) for venue in VENUES]
        try:
            time.sleep(seconds)
        finally:
            for connector in connectors:
                connector.__exit__(None, None, None)
    return {run.header.venue: _played(run) for run in runs([plane.settings.record_dir])}


def _played(run: Run) -> Played:
    return min((_play(run) for _ in range(REPLAYS)), key=lambda played: played.took)


def _play(run: Run) -> Played:
    begin = time.perf_counter()
    score = Player(run.header).play(run.records())
    if score.ended or score.passed_over:
        # What was not written cost nothing.
        raise RuntimeError(f"{run.header.venue}: not everything was recorded: {score.ended or score.passed_over[0]}")
    return Played(score.seconds, time.perf_counter() - begin, score.frames, score.differences)


if __name__ == "__main__":
    loaded = figures.load()
    section = measure(quick="--quick" in sys.argv[1:])
    figures.show(section, Console(width=None if sys.stdout.isatty() else 140), loaded)
    print(figures.write(section, loaded))
