"""Frame to published event: frames a second and CPU time a frame, ours beside neighbours and the ceiling."""

from __future__ import annotations

import time
from typing import Final, NamedTuple

import msgspec

from benchmarks.bench import Bench, bench
from benchmarks.children import Child, SilentError
from benchmarks.figures import Aim, Cell, Section, Table
from bus.events import Heartbeat

OURS: Final = "paraphina"
CEILING: Final = "ceiling"
CONTENDERS: Final[dict[str, tuple[tuple[str, str], ...]]] = {
    "aster": (
        (OURS, "one event a frame on the bus; book kept, proven, watched"),
        ("cryptofeed", "book kept; callback only"),
        ("ccxt-aster", "takes each frame for a whole book; callback only"),
        (CEILING, "picows, msgspec, pack, send: no book, no checks"),
    ),
    "hyperliquid": (
        (OURS, "one event a frame on the bus; checked, watched"),
        ("ccxt-hyperliquid", "callback only"),
        ("hyperliquid-sdk", "plain JSON to a callback; numbers stay strings"),
        (CEILING, "picows, msgspec, pack, send: no checks"),
    ),
}
LEVELS: Final = {"aster": "2×20 changed levels, 1.0 kB", "hyperliquid": "2×5 levels, 0.5 kB"}
SIMULATED: Final = ("paradex", "lighter", "extended")
SIMULATED_RATE: Final = "4000"
SETTLE_S: Final = 1.5
"""After a connector is live: what it does once at the start (a proof of the book over REST) is not a frame's cost."""
SLOWEST_S: Final = 4.0
"""A neighbour is given so long for its frames, then judged by those it has done."""


class Cost(NamedTuple):
    """Of one run."""

    us: float
    """CPU microseconds a frame."""
    rate: float
    """Frames a second of wall time, on a machine that feeds and counts them at the same time."""
    rss_mb: float


def measure(*, quick: bool) -> Section:
    """Run everything: each contender in turn, several rounds, the best of each."""
    count, rounds = (10_000, 1) if quick else (40_000, 3)
    costs = {venue: _venue(venue, count, rounds) for venue in CONTENDERS}
    tables = [_table(venue, found) for venue, found in costs.items()]
    tables.append(_simulated(2.0 if quick else 5.0))
    return Section("frames", tables, _aims(costs["aster"]))


def _aims(costs: dict[str, Cost]) -> list[Aim]:
    def times(name: str) -> float | None:
        return costs[name].us / costs[OURS].us if {name, OURS} <= costs.keys() else None

    ours = costs.get(OURS)
    return [
        Aim("CPU a frame of 2×20 levels, socket to bus", "µs", ours and ours.us, at_most=20.0),
        Aim("cheaper than cryptofeed", "times", times("cryptofeed"), at_least=2.0),
        Aim("cheaper than ccxt pro", "times", times("ccxt-aster"), at_least=3.0),
    ]


def _table(venue: str, costs: dict[str, Cost]) -> Table:
    ours = costs.get(OURS)
    rows: list[list[Cell]] = []
    for name, remark in CONTENDERS[venue]:
        cost = costs.get(name)
        if cost is None:
            rows.append([name, None, None, None, None, "not measured: see the message above"])
        else:
            rows.append([name, cost.us, cost.us / ours.us if ours else None, cost.rate, cost.rss_mb, remark])
    return Table(
        f"{venue} frames ({LEVELS[venue]}), best of the rounds",
        ["client", "CPU µs/frame", "× ours", "frames/s", "RSS MB", "what it does with a frame"],
        rows,
        "Neighbours publish to nobody. CPU: the client's whole process. Rate: beside feeder and sink.",
    )


def _venue(venue: str, count: int, rounds: int) -> dict[str, Cost]:
    best: dict[str, Cost] = {}
    with bench() as place, place.child("benchmarks.blaster", venue, str(count)) as blaster:
        port, mark = blaster.hear("port")
        for _ in range(rounds):
            for name, _ in CONTENDERS[venue]:
                blaster.quiet()
                try:
                    cost = _run(place, blaster, venue, name, port, mark, count)
                except SilentError as problem:
                    print(f"{venue}: {name} was not measured: {problem}")
                    continue
                best[name] = min(cost, best.get(name, cost))
    return best


def _run(place: Bench, blaster: Child, venue: str, name: str, port: str, mark: str, count: int) -> Cost:
    if name not in {OURS, CEILING}:
        return _neighbour(place, blaster, name, port, count)
    endpoint = place.blasted(venue, port).settings.endpoint("market_in")
    arguments = ("connectors", venue) if name == OURS else ("benchmarks.ceiling", venue, port, endpoint)
    with place.child("benchmarks.sink", endpoint, mark) as sink:
        sink.hear("bound")
        with place.child(*arguments, speaks=False) as client:
            if name == OURS:
                sink.hear("live")
            blaster.hear("streaming")
            time.sleep(SETTLE_S)
            sink.tell("count")
            cpu, wall = client.cpu_ns(), time.monotonic_ns()
            blaster.tell("blast")
            events = int(sink.hear("done")[0])
            cpu, wall = client.cpu_ns() - cpu, time.monotonic_ns() - wall
            return Cost(cpu / events / 1e3, events / wall * 1e9, client.rss_bytes() / 1e6)


def _neighbour(place: Bench, blaster: Child, name: str, port: str, count: int) -> Cost:
    # A little less than all: some frames are the trickle before the start.
    with place.child("benchmarks.neighbours", name, port, str(count * 97 // 100), str(SLOWEST_S)) as client:
        client.hear("live")
        time.sleep(SETTLE_S / 3)
        client.tell("count")
        blaster.tell("blast")
        frames, cpu, wall = map(int, client.hear("done"))
        return Cost(cpu / frames / 1e3, frames / wall * 1e9, client.rss_bytes() / 1e6)


# -- venues without a blaster: the simulator at a high rate ------------------------------------------------------------


def _simulated(seconds: float) -> Table:
    rows: list[list[Cell]] = []
    for venue in SIMULATED:
        try:
            rows.append([venue, *_beats(venue, seconds)])
        except SilentError as problem:
            print(f"{venue}: not measured: {problem}")
            rows.append([venue, None, None, None, None])
    return Table(
        "the other venues, frames of the simulator at a high rate",
        ["venue", "CPU µs/frame", "bytes/frame", "frames/s", "RSS MB"],
        rows,
        "Between two heartbeats of the connector, all its streams together; the rate is the simulator's.",
    )


def _beats(venue: str, seconds: float) -> list[Cell]:
    with bench() as place:
        plane = place.settings({"venues": {venue: {"markets": ["BTC-PERP"]}}}, sim=True)
        flags = ("--venues", venue, "--markets", "BTC", "--frames-per-second", SIMULATED_RATE, "--limits", "count")
        endpoint = plane.settings.endpoint("market_in")
        with place.simulator(plane, *flags), place.child("benchmarks.sink", endpoint) as sink:
            sink.hear("bound")
            with place.child("connectors", venue, speaks=False):
                sink.hear("live")
                first = _beat(sink)
                time.sleep(seconds)
                sink.quiet()
                last = _beat(sink)
    frames = last.counters["frames"] - first.counters["frames"]
    size = last.counters["frame_bytes"] - first.counters["frame_bytes"]
    us = (last.cpu_s - first.cpu_s) / frames * 1e6
    return [us, size / frames, frames / seconds, last.rss_bytes / 1e6]


def _beat(sink: Child) -> Heartbeat:
    _, text = sink.hear("beat")
    return msgspec.json.decode(text, type=Heartbeat)
