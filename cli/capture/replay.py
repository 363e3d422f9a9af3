"""``paraphina replay``: a capture through the same protocol objects, at full speed, at a pace, or onto a bus."""

from __future__ import annotations

import heapq
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from datetime import UTC, datetime
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Final

import click
import msgspec

from bus import clock
from bus.errors import SettingsError
from bus.events import BusEvent
from bus.settings import load
from cli.capture.onto_bus import TURN_S, Station
from cli.capture.player import Player, Publish, Score, Step, steps
from cli.capture.runs import Run, runs
from cli.tie import die_with
from connectors.capture import INPUTS, CaptureError, Output
from connectors.effects import Now

EXIT_DIFFERENT: Final = 1
EXIT_INPUT: Final = 2
INFINITE: Final = float("inf")


class Speed(click.ParamType[float]):
    """``max``, or how many times faster than it happened."""

    name = "max|N"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Infinity stands for ``max``."""
        try:
            speed = INFINITE if value == "max" else float(str(value))
        except ValueError:
            speed = -1.0
        if not speed > 0:
            self.fail(f"{value!r} is neither max nor a number over 0", param, ctx)
        return speed


@click.command()
@click.argument("captures", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--venue", "venues", multiple=True, help="Only this venue's runs; may be repeated.")
@click.option("--speed", type=Speed(), help="max, or times real time.  [default: max; 1 with --to-bus]")
@click.option("--to-bus", is_flag=True, help="Publish onto the bus of the settings in force, as the connectors would.")
@click.option("--jobs", type=click.IntRange(1), help="Runs replayed at once at full speed.  [default: one a CPU]")
@click.option("--json", "as_json", is_flag=True, help="Every event as a JSON line; the summary goes to stderr.")
def replay(
    *,
    captures: tuple[Path, ...],
    venues: tuple[str, ...],
    speed: float | None,
    to_bus: bool,
    jobs: int | None,
    as_json: bool,
) -> None:
    """Tell fresh engines what the recorded ones were told (files, or directories of them) and compare what they do.

    Exit code: 0 the same as recorded, 1 something differs, 2 nothing to replay.
    """
    try:
        chosen = _chosen(captures, venues)
        began = time.perf_counter()
        if as_json or to_bus or speed not in {None, INFINITE}:
            plays = _paced(chosen, speed or (1.0 if to_bus else INFINITE), to_bus=to_bus, as_json=as_json)
        else:
            plays = _fast(chosen, min(jobs or len(os.sched_getaffinity(0)), len(chosen)))
        took = time.perf_counter() - began
    except BrokenPipeError:
        raise
    except (CaptureError, SettingsError, OSError) as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(EXIT_INPUT)
    for run, play in zip(chosen, plays, strict=True):
        _tell(run, play, to_stderr=as_json)
    if len(plays) > 1:
        longest = max(play.score.seconds for play in plays)
        rate = longest / took if took else 0.0
        click.echo(
            f"all: {longest:.1f} s of {len(plays)} runs in {took:.2f} s, {rate:.0f} times real time", err=as_json
        )
    sys.exit(EXIT_DIFFERENT if any(not same(play.score) for play in plays) else 0)


class Play(msgspec.Struct, frozen=True):
    """One replay that is over."""

    score: Score
    digest: str
    seconds: float
    """How long it took."""


def same(score: Score) -> bool:
    """Whether the replay did what the recording says."""
    return not score.differences and not score.broken


def _chosen(captures: Sequence[Path], venues: Sequence[str]) -> list[Run]:
    found = [run for run in runs(captures) if not venues or run.header.venue in venues]
    chosen = []
    for run in found:
        if run.playable:
            chosen.append(run)
        else:
            name = run.segments[0][1].name
            click.echo(f"passed over: {name}: the beginning of its run is gone (see keep_mb), no checkpoint", err=True)
    if not chosen:
        raise CaptureError("no run with its beginning or a checkpoint here")
    return chosen


def _fast(chosen: Sequence[Run], jobs: int) -> list[Play]:
    """Each run by itself, so many at once in processes of their own, the largest first."""
    if jobs == 1:
        return [_played(run) for run in chosen]
    order = sorted(range(len(chosen)), key=lambda index: -chosen[index].size)
    try:
        with ProcessPoolExecutor(jobs, get_context("fork"), die_with(os.getpid())) as pool:
            plays = dict(zip(order, pool.map(_played, [chosen[index] for index in order]), strict=True))
    except BrokenProcessPool as error:
        raise CaptureError(f"a process of the replay was killed: {error}") from None
    return [plays[index] for index in range(len(chosen))]


def _played(run: Run) -> Play:
    began = time.perf_counter()
    player = Player(run.header)
    score = player.play(run.records())
    return Play(score, player.digest, time.perf_counter() - began)


def _paced(chosen: Sequence[Run], speed: float, *, to_bus: bool, as_json: bool) -> list[Play]:
    """In this process; at a pace all runs go side by side, as they did."""
    stations: list[Station] = []
    plays = []
    try:
        for run in chosen:
            sinks: list[Publish] = [partial(_line, run.header.venue)] if as_json else []
            if to_bus:
                stations.append(_station(run))
                sinks.append(stations[-1].publish)
            plays.append((run, Player(run.header, _all(sinks) if sinks else None)))
        took = _play(plays, speed, stations)
    finally:
        for station in stations:
            station.close()
    return [Play(player.score, player.digest, seconds) for (_, player), seconds in zip(plays, took, strict=True)]


def _station(run: Run) -> Station:
    settings = load()
    station = Station(settings, run.header.venue, clock.wall())
    if not station.heard():
        station.close()
        raise CaptureError(f"no publisher at {settings.endpoint('market_in')}")
    return station


def _all(sinks: Sequence[Publish]) -> Publish:
    def publish(market: str, event: BusEvent, now: Now) -> None:
        for sink in sinks:
            sink(market, event, now)

    return publish


def _line(venue: str, market: str, event: BusEvent, now: Now) -> None:
    tree = {
        "wall_ns": now.wall,
        "mono_ns": now.mono,
        "venue": venue,
        "market": market,
        "kind": event.kind,
        "event": msgspec.structs.asdict(event),
    }
    click.echo(msgspec.json.encode(tree))


def _play(plays: Sequence[tuple[Run, Player]], speed: float, stations: Sequence[Station]) -> list[float]:
    """Seconds that each took. At a pace, all runs go side by side, as they did."""
    if speed == INFINITE and not stations:
        return [_timed(partial(player.play, run.records())) for run, player in plays]
    pace = _Pace(speed, stations)
    return [_timed(partial(_together, plays, pace))] * len(plays)


def _timed(job: Callable[[], object]) -> float:
    begin = time.perf_counter()
    job()
    return time.perf_counter() - begin


def _together(plays: Sequence[tuple[Run, Player]], pace: _Pace) -> None:
    rows = [_times(index, run) for index, (run, _) in enumerate(plays)]
    for when, index, _, step, outputs in heapq.merge(*rows):
        player = plays[index][1]
        if player.score.broken:
            continue
        if not player.score.ended:
            pace.wait(when)
        player.step(step, outputs)


def _times(index: int, run: Run) -> Iterator[tuple[int, int, int, Step, Sequence[Output]]]:
    """Each step with its time: the wall clock of the run's start carried on by its monotonic clock."""
    offset: int | None = None
    when = 0
    for count, (step, outputs) in enumerate(steps(run.records())):
        if isinstance(step, INPUTS):
            offset = step.wall - step.mono if offset is None else offset
            when = step.mono + offset
        yield when, index, count, step, outputs


class _Pace:
    """Waits until a recorded time has come again."""

    def __init__(self, speed: float, stations: Sequence[Station]) -> None:
        self._speed = speed
        self._stations = stations
        self._first: int | None = None
        self._begin = 0.0

    def wait(self, when: int) -> None:
        if self._first is None:
            self._first, self._begin = when, time.monotonic()
        until = self._begin + (when - self._first) / 1e9 / self._speed
        while True:
            for station in self._stations:
                station.attend()
            left = until - time.monotonic()
            if left <= 0:
                return
            time.sleep(min(left, TURN_S) if self._stations else left)


def _tell(run: Run, play: Play, *, to_stderr: bool) -> None:
    """The summary of one run."""
    score, header, took = play.score, run.header, play.seconds
    began = datetime.fromtimestamp(header.epoch / 1e9, UTC).isoformat(timespec="milliseconds")
    rate = score.seconds / took if took else 0.0
    lines = [
        f"{header.venue} run of {began}, recorded by {header.version}",
        f"  replayed     {score.seconds:.1f} s in {took:.2f} s, {rate:.0f} times real time",
        f"  told         {score.frames} frames, {score.bytes} bytes, {score.records} calls",
        f"  events       {_counts(score.events)}",
        *(f"  {market:12} {_counts(states)}" for market, states in sorted(score.statuses.items())),
        f"  reconnects   {_counts(score.reconnects) or 'none'}",
        f"  digest       {play.digest}",
        f"  as recorded  {'yes' if same(score) else 'NO'}: {score.checks} comparisons, {score.differences} differences",
        *(f"    {what}" for what in score.described),
    ]
    lines += [f"  passed over  {what}; went on from a checkpoint" for what in score.passed_over]
    if score.ended:
        lines.append(f"  ended early  {score.ended}")
    elif not score.orderly:
        lines.append("  ended        without a goodbye: the process was killed, or still runs")
    if score.broken:
        lines.append(score.broken.rstrip())
    click.echo("\n".join(lines), err=to_stderr)


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))
