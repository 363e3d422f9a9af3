"""Minutes of faults at every venue at once, by real processes: a network that flaps, or anything at random.

``python -m tools.fault_storm --flap 180`` and ``python -m tools.fault_storm --random 600 --seed 7`` print what was seen
and, with ``--out docs/faults.md``, write it there.
"""

from __future__ import annotations

import itertools
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any, Final

import click
import msgspec

from bus.settings import VENUES
from cli.plane import Plane, prepare
from tools.fault_page import put
from tools.fault_trials import sections
from tools.fault_watch import Control, Observer

FLAPS: Final[tuple[dict[str, Any], ...]] = (
    {"fault": "refuse", "params": {"drop": True}},
    {"fault": "close", "params": {"code": 1001}},
    {"fault": "accept_close", "params": {"drop": True}},
    {"fault": "greet_close"},
    {"fault": "handshake", "params": {"status": 429, "retry_after": 2}},
    {"fault": "accept_reset", "params": {"drop": True}},
    {"fault": "reset"},
    {"fault": "rest_error", "params": {"status": 429, "retry_after": 2}},
    {"fault": "handshake", "params": {"status": 503}},
    {"fault": "fin"},
)
"""What a flapping network does, in turn."""
LASTS_S: Final = (0.2, 4.0)
PAUSE_S: Final = (0.1, 3.0)
WARM_S: Final = 60.0
"""Before processes are measured first: caches and pools have filled by then."""
CALM_S: Final = 180.0
"""To be live again after the last fault: the longest wait after a 418 is 120 s."""
STEADY_S: Final = 1.5
"""Looked at once more after so long: a heartbeat tells of losses once a second."""
RSS_MARGIN: Final = 24 << 20
"""Bytes that a process may have grown by: allocators keep what a burst needed."""
THREADS_MARGIN: Final = 8
"""A connector makes up to eight workers as it first needs them."""
FILES_MARGIN: Final = 24
"""Sockets that a connector has open differ by what is under way; Extended alone keeps eighteen."""


class Usage(msgspec.Struct):
    """What a process holds."""

    pid: int
    rss: int
    threads: int
    files: int


class Outcome(msgspec.Struct):
    """What came of a storm."""

    what: str
    seconds: float
    faults: int
    live_after_s: dict[str, float | None]
    """By venue, from the end of the last fault; ``None``: not in time."""
    reasons: dict[str, dict[str, int]]
    unexplained: int
    """Reconnects without a reason."""
    violations: dict[str, int]
    events_lost: int
    bus_losses: int
    before: dict[str, Usage]
    after: dict[str, Usage]

    def grown(self) -> list[str]:
        """Programs that hold more than the margins allow, and those that are not the same process any more."""
        found = []
        for name, now in self.after.items():
            then = self.before.get(name)
            if then is None or then.pid != now.pid:
                found.append(f"{name}: another process")
                continue
            if now.rss - then.rss > RSS_MARGIN:
                found.append(f"{name}: {(now.rss - then.rss) >> 20} MiB more")
            if now.threads - then.threads > THREADS_MARGIN:
                found.append(f"{name}: {now.threads - then.threads} threads more")
            if now.files - then.files > FILES_MARGIN:
                found.append(f"{name}: {now.files - then.files} descriptors more")
        return found

    def broken(self) -> list[str]:
        """Everything that is not as it must be."""
        late = [f"{venue} not live again" for venue, after in self.live_after_s.items() if after is None]
        limits = [f"{name} {count}" for name, count in self.violations.items()]
        lost = [f"{self.events_lost} log events dropped"] if self.events_lost else []
        lost += [f"{self.bus_losses} messages lost on the bus"] if self.bus_losses else []
        blank = [f"{self.unexplained} reconnects without a reason"] if self.unexplained else []
        return [*late, *limits, *lost, *blank, *self.grown()]


def usage(plane: Plane) -> dict[str, Usage]:
    """Of every program of ours."""
    found = {}
    for name, info in plane.programs().items():
        pid = int(info["pid"])
        if pid and not name.startswith("simulator"):
            status = Path(f"/proc/{pid}/status").read_text()
            fields = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
            rss, threads = int(fields["VmRSS"].split()[0]) << 10, int(fields["Threads"])
            found[name] = Usage(pid, rss, threads, len(list(Path(f"/proc/{pid}/fd").iterdir())))
    return found


def flapping(rng: Random, venue: str) -> Iterator[tuple[dict[str, Any], float]]:
    """Faults of one venue in turn, and how long after each the next one is set."""
    for fault in itertools.cycle(FLAPS):
        lasts = rng.uniform(*LASTS_S)
        timed = {} if fault["fault"] in {"close", "fin", "reset"} else {"for_s": lasts}
        yield fault | timed | {"venue": venue}, lasts + rng.uniform(*PAUSE_S)


def flap(plane: Plane, seconds: float, seed: int, warm_s: float = WARM_S) -> Outcome:
    """Have the network of every venue flap for so long."""
    plans = {venue: flapping(Random(f"{seed}:{venue}"), venue) for venue in VENUES}
    due = dict.fromkeys(VENUES, 0.0)

    def weather(control: Control, now: float) -> int:
        count = 0
        for venue in VENUES:
            if now >= due[venue]:
                fault, wait = next(plans[venue])
                control.ask("POST", "/faults", fault)
                due[venue] = now + wait
                count += 1
        return count

    return ride(plane, f"flap, seed {seed}", seconds, weather, warm_s)


def storm(plane: Plane, seconds: float, seed: int) -> Outcome:
    """Let the simulator's own storm, which was given at its start, pass."""
    return ride(plane, f"random, seed {seed}", seconds, lambda _, __: 0, WARM_S)


def ride(plane: Plane, what: str, seconds: float, weather: Callable[[Control, float], int], warm_s: float) -> Outcome:
    """Watch until the time is over, then until every venue is live again."""
    if plane.control is None:
        raise ValueError("the plane has no simulator")
    control = Control(plane.control)
    with Observer(plane) as seen:
        wait(seen, lambda: all(seen.live(venue) for venue in VENUES), time.monotonic() + CALM_S)
        began = time.monotonic()
        random = what.startswith("random")
        wait(seen, lambda: False, began + (0.0 if random else warm_s))
        before = usage(plane)
        faults, until = 0, time.monotonic() + seconds
        measured = not random
        while (now := time.monotonic()) < until:
            seen.poll(0.05)
            faults += weather(control, now)
            if not measured and now - began > warm_s:
                measured, before = True, usage(plane)
        # What was set last ends by itself, so that nothing is cut short.
        wait(seen, lambda: not control.ask("GET", "/faults")["active"], time.monotonic() + CALM_S)
        ended = time.monotonic()
        live = dict[str, float | None].fromkeys(VENUES)

        def settled() -> bool:
            for venue in VENUES:
                back = max(item.since for (at, _), item in seen.markets.items() if at == venue)
                live[venue] = max(0.0, back - ended) if seen.live(venue) else None
            return None not in live.values()

        wait(seen, settled, ended + CALM_S)
        wait(seen, lambda: False, time.monotonic() + STEADY_S)
        settled()
        log = control.ask("GET", "/faults")["log"]
        left = {venue: seen.reconnects[venue] for venue in VENUES}
        return Outcome(
            what,
            seconds,
            max(faults, len(log)),
            live,
            {venue: dict(Counter(one.reason for one in found).most_common()) for venue, found in left.items()},
            sum(not one.reason for found in left.values() for one in found),
            control.ask("GET", "/state")["violations"]["counts"],
            sum(seen.events_lost.values()),
            seen.bus_losses,
            before,
            usage(plane),
        )


def wait(seen: Observer, over: Callable[[], bool], until: float) -> None:
    """Follow the bus until something is so, or the time is over."""
    while time.monotonic() < until and not over():
        seen.poll(0.05)


def page(outcome: Outcome, command: str) -> str:
    """For ``docs/faults.md``."""
    broken = "; ".join(outcome.broken()) or "nothing"
    day = time.strftime("%Y-%m-%d %H:%M", time.gmtime())
    lines = [
        f"`{command}`, {day} UTC: {outcome.seconds:.0f} s, {outcome.faults} faults. Out of bounds: {broken}.\n",
        "| venue | live again after the last fault | reconnects by reason | limits broken |",
        "|---|---|---|---|",
    ]
    for venue in VENUES:
        after = outcome.live_after_s[venue]
        reasons = ", ".join(f"`{name}` {count}" for name, count in outcome.reasons[venue].items()) or "none"
        limits = sum(count for name, count in outcome.violations.items() if name.startswith(f"{venue}."))
        lines.append(f"| {venue} | {'not' if after is None else f'{after:.1f} s'} | {reasons} | {limits} |")
    lines += ["", "| process | RSS before, after (MiB) | threads | descriptors |", "|---|---|---|---|"]
    for name, now in sorted(outcome.after.items()):
        then = outcome.before.get(name, now)
        lines.append(
            f"| {name} | {then.rss / 2**20:.1f}, {now.rss / 2**20:.1f} | {then.threads}, {now.threads} "
            f"| {then.files}, {now.files} |"
        )
    return "\n".join(lines) + "\n"


def weathered(base: Path, *, flap_s: float, random_s: float, seed: int) -> Outcome:
    """Run one of the two on a plane of its own in ``base``."""
    options = ["--seed", str(seed), *(["--storm", str(random_s)] if random_s else [])]
    plane = prepare(base, sim=True, settings=sections(VENUES, {}), simulator=options)
    plane.start()
    try:
        return storm(plane, random_s, seed) if random_s else flap(plane, flap_s, seed)
    finally:
        plane.stop()


@click.command()
@click.option("--flap", "flap_s", type=float, default=0.0, help="Have the network flap for so many seconds.")
@click.option("--random", "random_s", type=float, default=0.0, help="Or have random faults for so many.")
@click.option("--seed", type=int, default=1, help="The same seed sets the same faults.")
@click.option("--out", type=click.Path(path_type=Path), help="Page whose part is written anew.")
def main(*, flap_s: float, random_s: float, seed: int, out: Path | None) -> None:
    """Run a storm. Exit code 1 when something is out of bounds."""
    if bool(flap_s) == bool(random_s):
        raise click.UsageError("either --flap or --random")
    base = Path(tempfile.mkdtemp(prefix="pf-", dir="/tmp"))
    try:
        outcome = weathered(base, flap_s=flap_s, random_s=random_s, seed=seed)
    finally:
        shutil.rmtree(base, ignore_errors=True)
    how = f"--flap {flap_s:.0f}" if flap_s else f"--random {random_s:.0f}"
    text = page(outcome, f"python -m tools.fault_storm {how} --seed {seed}")
    click.echo(text)
    if out is not None:
        put(out, "flap" if flap_s else "random", text)
    raise SystemExit(bool(outcome.broken()))


if __name__ == "__main__":
    main()
