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
"""A neighbour is given so long for a blast, then judged by the frames it has digested."""


class Cost(NamedTuple):
    """Of one blast."""

    us: float
    """CPU microseconds a frame."""
    rate: float
    """Frames a second of wall time, on a machine that feeds and counts them at the same time."""
    rss_mb: float


class Plan(NamedTuple):
    """How much is measured."""

    rounds: int
    """Fresh processes of each client, the clients in turn."""
    blasts: int
    """Of one process. Each has an idle moment before and after it, so that nothing is counted twice or not at all."""
    frames: int
    """Of one blast: short, so that the best one finds a moment in which nobody else wants the machine."""
    seconds: float
    """No round begins later."""


QUICK: Final = Plan(1, 4, 3_000, 10.0)
WHOLE: Final = Plan(3, 6, 5_000, 30.0)
SIMULATED_S: Final = 3.0


def measure(*, quick: bool) -> Section:
    """Each client in turn, several rounds, the best blast of each. Quick: only the venue that the aims are about."""
    if quick:
        costs = _venue("aster", QUICK)
        return Section("frames", [_table("aster", costs)], _aims(costs))
    found = {venue: _venue(venue, WHOLE) for venue in CONTENDERS}
    tables = [_table(venue, costs) for venue, costs in found.items()]
    return Section("frames", [*tables, _simulated(SIMULATED_S)], _aims(found["aster"]))


def _aims(costs: dict[str, list[Cost]]) -> list[Aim]:
    best = {name: min(found).us for name, found in costs.items() if found}

    def times(name: str) -> float | None:
        return best[name] / best[OURS] if {name, OURS} <= best.keys() else None

    return [
        Aim("CPU a frame of 2×20 levels, socket to bus", "µs", best.get(OURS), at_most=20.0),
        Aim("cheaper than cryptofeed", "times", times("cryptofeed"), at_least=2.0),
        Aim("cheaper than ccxt pro", "times", times("ccxt-aster"), at_least=3.0),
    ]


def _table(venue: str, costs: dict[str, list[Cost]]) -> Table:
    ours = min(costs[OURS]).us if costs[OURS] else None
    rows: list[list[Cell]] = []
    for name, remark in CONTENDERS[venue]:
        found = sorted(costs[name])
        if not found:
            rows.append([name, *[None] * 5, "not measured: see the message above"])
            continue
        best = found[0]
        rates = max(cost.rate for cost in found)
        against = best.us / ours if ours else None
        rows.append([name, best.us, found[len(found) // 2].us, against, rates, best.rss_mb, remark])
    return Table(
        f"{venue} frames ({LEVELS[venue]}): best and median blast",
        ["client", "CPU µs/frame", "median", "× ours", "frames/s", "RSS MB", "what it does with a frame"],
        rows,
        "Neighbours publish to nobody. CPU: the client's whole process. Rate: beside feeder and sink.",
    )


def _venue(venue: str, plan: Plan) -> dict[str, list[Cost]]:
    costs: dict[str, list[Cost]] = {name: [] for name, _ in CONTENDERS[venue]}
    spare = 500
    with bench() as place, place.child("benchmarks.blaster", venue, str(plan.blasts * plan.frames + spare)) as blaster:
        (port,) = blaster.hear("port")
        until = time.monotonic() + plan.seconds
        for number in range(plan.rounds):
            if number and time.monotonic() > until:
                break
            for name in costs:
                blaster.quiet()
                try:
                    costs[name] += _run(place, blaster, venue, name, port, plan)
                except SilentError as problem:
                    print(f"{venue}: {name} was not measured: {problem}")
    return costs


def _run(place: Bench, blaster: Child, venue: str, name: str, port: str, plan: Plan) -> list[Cost]:
    if name not in {OURS, CEILING}:
        return _neighbour(place, blaster, name, port, plan)
    endpoint = place.blasted(venue, port).settings.endpoint("market_in")
    arguments = ("connectors", venue) if name == OURS else ("benchmarks.ceiling", venue, port, endpoint)
    with place.child("benchmarks.sink", endpoint) as sink:
        sink.hear("bound")
        with place.child(*arguments, speaks=False) as client:
            if name == OURS:
                sink.hear("live")
            blaster.hear("streaming")
            time.sleep(SETTLE_S)
            return [_blast(blaster, sink, client, plan.frames) for _ in range(plan.blasts)]


def _blast(blaster: Child, sink: Child, client: Child, frames: int) -> Cost:
    cpu, wall = client.cpu_ns(), time.monotonic_ns()
    blaster.tell(f"blast {frames}")
    (mark,) = blaster.hear("until")
    sink.tell(f"until {mark}")
    sink.hear("done")
    cpu, wall = client.cpu_ns() - cpu, time.monotonic_ns() - wall
    blaster.hear("sent")
    return Cost(cpu / frames / 1e3, frames / wall * 1e9, client.rss_bytes() / 1e6)


def _neighbour(place: Bench, blaster: Child, name: str, port: str, plan: Plan) -> list[Cost]:
    costs = []
    with place.child("benchmarks.neighbours", name, port) as client:
        client.hear("live")
        time.sleep(SETTLE_S / 3)
        for _ in range(plan.blasts):
            client.tell(f"count {plan.frames} {SLOWEST_S}")
            blaster.tell(f"blast {plan.frames}")
            frames, cpu, wall = map(int, client.hear("done"))
            blaster.hear("sent")
            costs.append(Cost(cpu / frames / 1e3, frames / wall * 1e9, client.rss_bytes() / 1e6))
    return costs


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
