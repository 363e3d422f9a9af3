"""What the whole plane takes from the machine: five venues, three markets each, at their documented rates."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final, NamedTuple

from benchmarks.bench import bench
from benchmarks.children import cpu_ns, rss_bytes
from benchmarks.figures import Aim, Cell, Section, Table
from bus.client import Subscriber
from bus.events import NO_MARKET, Heartbeat, State, Status
from bus.items import Message
from bus.settings import VENUES
from cli.plane import Plane, prepare

PATIENCE_S: Final = 60.0
SIMULATOR: Final = "simulator"
WARM_S: Final = 3.0
"""Let pass after all are live: what is read once over REST at the start belongs to the start."""


class Use(NamedTuple):
    """Of one process."""

    cpu_percent: float
    rss_mb: float
    own_mb: float
    """Resident memory that no other process shares."""
    frames: float | None
    """Frames of its venue a second, for connectors."""


def measure(*, quick: bool) -> Section:
    """One plane, watched for a while."""
    seconds = 4.0 if quick else 35.0
    found = _plane(seconds)
    ours = {name: use for name, use in found.items() if name != SIMULATOR}
    rows: list[list[Cell]] = [[name, *use] for name, use in found.items()]
    total = sum(use.cpu_percent for use in ours.values()) if ours else None
    largest = max((use.rss_mb for use in ours.values()), default=None)
    rows.append(["all but the simulator", total, sum(use.rss_mb for use in ours.values()), None, None])
    return Section(
        "resources",
        [
            Table(
                f"five venues × three markets at documented rates, {seconds:.0f} s",
                ["process", "CPU % of a core", "RSS MB", "not shared MB", "frames/s"],
                rows,
                "The simulator stands for the venues and is not counted.",
            )
        ],
        [
            Aim("CPU of all processes together", "% of a core", total, at_most=15.0),
            Aim("RSS of the largest process", "MB", largest, at_most=40.0),
        ],
    )


def _plane(seconds: float) -> dict[str, Use]:
    with bench() as place:
        plane = prepare(Path(place.base), sim=True)
        plane.start()
        try:
            return _watched(plane, seconds)
        except TimeoutError as problem:
            print(f"resources: not measured: {problem}")
            return {}
        finally:
            plane.stop()


def _watched(plane: Plane, seconds: float) -> dict[str, Use]:
    with Subscriber(plane.settings, kinds=["status", "heartbeat"], books=False, name="bench") as subscriber:
        live: set[str] = set()
        frames: dict[str, int] = {}
        until = time.monotonic() + PATIENCE_S
        while len(live) < len(VENUES):
            if time.monotonic() > until:
                raise TimeoutError(f"live are only {sorted(live)}")
            _follow(subscriber, 0.1, live, frames)
        _follow(subscriber, WARM_S, live, frames)
        pids = {name.partition(":")[2]: int(info["pid"]) for name, info in plane.programs().items() if info["pid"]}
        if plane.pid is not None:
            pids["supervisord"] = plane.pid
        first, cpu, begun = dict(frames), {name: cpu_ns(pid) for name, pid in pids.items()}, time.monotonic_ns()
    time.sleep(seconds)
    passed = time.monotonic_ns() - begun
    used = {name: (cpu_ns(pid) - cpu[name]) / passed * 100 for name, pid in pids.items()}
    with Subscriber(plane.settings, kinds=["heartbeat"], books=False, name="bench") as subscriber:
        _follow(subscriber, 1.5, live, frames)
    return {
        name: Use(used[name], rss_bytes(pid) / 1e6, _own_bytes(pid) / 1e6, _per_second(name, first, frames, passed))
        for name, pid in pids.items()
    }


def _follow(subscriber: Subscriber, seconds: float, live: set[str], frames: dict[str, int]) -> None:
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        for item in subscriber.poll(left):
            if not isinstance(item, Message):
                continue
            if isinstance(item.event, Status) and item.market == NO_MARKET and item.event.state is State.LIVE:
                live.add(item.venue)
            elif isinstance(item.event, Heartbeat) and "frames" in item.event.counters:
                frames[item.venue] = item.event.counters["frames"]


def _per_second(name: str, first: dict[str, int], last: dict[str, int], passed_ns: int) -> float | None:
    return (last[name] - first[name]) / passed_ns * 1e9 if name in first and name in last else None


def _own_bytes(pid: int) -> int:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Private_"))
