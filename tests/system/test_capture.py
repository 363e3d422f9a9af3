"""What real connectors record is replayed to the same events, also after a kill."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bus.settings import VENUES
from bus.wire import encode_payload
from cli.capture.command import facts
from cli.capture.player import Player, steps
from cli.capture.runs import Run, runs
from connectors.capture import Torn
from tests.conftest import Eventually
from tests.system.conftest import Start, System

pytestmark = pytest.mark.slow

FRAMES = 100
CHECKS = 3
"""Sums of all events so far, written by the recorder every second or so."""


def captured(system: System, venue: str) -> list[Run]:
    """The runs of a venue so far."""
    return [run for run in runs([system.settings.record_dir]) if run.header.venue == venue]


def worth_replaying(system: System, venue: str) -> bool:
    """Whether enough is on disk for a replay to prove something: frames, and sums of what came of them."""
    found = [facts(run) for run in captured(system, venue)]
    return any(run.frames > FRAMES and run.kinds.get("checked", 0) > CHECKS for run in found)


def replayed(run: Run) -> Player:
    player = Player(run.header)
    player.play(run.records())
    assert player.score.described == []
    assert player.score.checks > CHECKS
    return player


def assert_continued_from_a_state(run: Run) -> None:
    """An engine that is given the state of another one's middle goes on as that one did."""
    told = list(steps(run.records()))
    half = len(told) // 2
    events: list[tuple[str, bytes]] = []
    again: list[tuple[str, bytes]] = []
    one = Player(run.header, lambda market, event, _: events.append((market, encode_payload(event))))
    for step, outputs in told[:half]:
        one.step(step, outputs)
    state = one.checkpoint()
    before = len(events)
    other = Player(run.header, lambda market, event, _: again.append((market, encode_payload(event))))
    other.step(Torn(None, "the first half"), ())
    other.step(state, ())
    for player in (one, other):
        for step, outputs in told[half:]:
            player.step(step, outputs)
    assert other.score.described == []
    assert len(again) > FRAMES / 2
    assert again == events[before:]


def test_five_venues_are_recorded_and_replayed_to_the_same_events(start: Start, eventually: Eventually) -> None:
    system = start(settings={"record": {"enabled": True}}, programs=[*VENUES, "publisher", "runner", "simulator"])
    eventually(system.all_live)
    system.control("POST", "/faults", {"venue": "aster", "fault": "close"})
    eventually(lambda: all(worth_replaying(system, venue) for venue in VENUES), every=0.5)
    system.plane.stop()
    for venue in VENUES:
        (run,) = captured(system, venue)
        player = replayed(run)
        assert player.score.orderly
        assert player.score.ended == ""
        assert player.score.events["book"] > 0
        assert replayed(run).digest == player.digest
        assert_continued_from_a_state(run)


def test_a_kill_loses_less_than_a_second_and_what_is_left_is_replayed(start: Start, eventually: Eventually) -> None:
    programs = ["aster", "publisher", "runner", "simulator"]
    system = start(venues=("aster",), settings={"record": {"enabled": True}}, programs=programs)
    eventually(system.all_live)
    eventually(lambda: worth_replaying(system, "aster"), every=0.2)
    killed = system.kill("connectors:aster")
    clock = Path("/proc/uptime")
    ended = float(clock.read_text().split()[0])
    eventually(lambda: system.replaced("connectors:aster", killed))
    run = captured(system, "aster")[0]
    score = replayed(run).score
    assert not score.orderly
    # Monotonic time and uptime are the same clock where a machine was never suspended.
    assert ended - score.last_mono / 1e9 < 1.0 + 1.0  # the second is for a machine that is busy


def test_a_replay_onto_a_bus_reaches_a_consumer(start: Start, eventually: Eventually) -> None:
    programs = ["aster", "publisher", "runner", "simulator"]
    system = start(venues=("aster",), settings={"record": {"enabled": True}}, programs=programs)
    eventually(system.all_live)
    eventually(lambda: worth_replaying(system, "aster"), every=0.2)
    system.plane.stop()
    other = start(venues=("aster",), programs=["publisher", "runner"])
    environment = {**os.environ, "PARAPHINA_CONFIG": str(other.plane.base / "paraphina.toml")}
    command = [sys.executable, "-c", "from cli.main import main; main()", "replay", str(system.settings.record_dir)]
    with subprocess.Popen([*command, "--to-bus"], env=environment, stdout=subprocess.PIPE, text=True) as replay:
        eventually(lambda: other.all_live("aster"))
        replay.kill()
