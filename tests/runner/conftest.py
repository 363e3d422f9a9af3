"""A runner, a publisher and a venue that speaks as the test wants, over real sockets."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from bus import clock
from bus.counters import Counters
from bus.events import NO_MARKET, Book, BusEvent, Source, Trust
from bus.process import Pulse
from bus.settings import Settings, parse
from bus.sockets import Producer, new_epoch

ROOT = Path(__file__).resolve().parents[2]
MARKET = "BTC-PERP"
MS = 1_000_000
TICK_MS = 50
VENUES = ("hyperliquid", "aster")

CONFIG = f"""
[run]
dir = "."

[runner]
tick_ms = {TICK_MS}

[venues.hyperliquid]
markets = ["{MARKET}"]
[venues.aster]
markets = ["{MARKET}"]
[venues.paradex]
enabled = false
[venues.lighter]
enabled = false
[venues.extended]
enabled = false
"""


class Program:
    """One process of ours and what it wrote."""

    def __init__(self, module: str, folder: Path, environment: Mapping[str, str]) -> None:
        self.log = folder / f"{module}.log"
        with self.log.open("ab") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", module],
                cwd=ROOT,
                env={**os.environ, "PARAPHINA_CONFIG": str(folder / "paraphina.toml"), **environment},
                stdout=out,
                stderr=out,
            )

    def end(self, number: int = signal.SIGTERM) -> int:
        """Send a signal and wait for the end."""
        self.process.send_signal(number)
        return self.process.wait(30)

    def text(self) -> str:
        """Its log so far."""
        return self.log.read_text()


Start = Callable[..., Program]


class Speaker:
    """The connector of a venue: says what it is told to, and a heartbeat each second."""

    def __init__(self, settings: Settings, venue: str) -> None:
        self.counters = Counters()
        epoch = new_epoch()
        self.producer = Producer(settings, venue, epoch, self.counters)
        self._pulse = Pulse(os.getpid(), epoch, self.counters)
        self._next = 0

    def say(self, event: BusEvent, market: str = MARKET) -> None:
        """Publish an event as if its frame had just been read."""
        mono, wall = clock.now()
        self.producer.publish(market, event, wall, mono)

    def book(self, trust: Trust = Trust.LIVE, rebuild: int = 1) -> Book:
        """A book of the venue's that is 30 ms old."""
        return Book(clock.wall() - 30 * MS, None, trust, rebuild, Source.STREAM, [100.0], [1.0], [101.0], [2.0])

    def turn(self, event: Callable[[], BusEvent] | None = None) -> None:
        """One turn of its loop: attend the bus, beat, and say ``event`` every 20 ms."""
        mono, wall = clock.now()
        self.producer.attend()
        if self._pulse.deadline <= mono:
            self.producer.publish(NO_MARKET, self._pulse.beat(clock.usage(), mono), wall, mono)
        if event is not None and mono >= self._next:
            self._next = mono + 20 * MS
            self.say(event())

    def close(self) -> None:
        """Leave the bus."""
        self.producer.close()


@pytest.fixture
def settings(run_dir: Path) -> Settings:
    """Settings of two venues with a fast tick, also in a file for processes."""
    (run_dir / "paraphina.toml").write_text(CONFIG)
    import tomllib

    return parse(tomllib.loads(CONFIG), {}, base=str(run_dir))


@pytest.fixture
def start(run_dir: Path, settings: Settings) -> Iterator[Start]:
    """Start ``python -m <module>`` with environment overrides; what is still running is ended afterwards."""
    with contextlib.ExitStack() as stack:

        def begin(module: str, **environment: str) -> Program:
            program = Program(module, run_dir, environment)
            stack.callback(_finish, program)
            return program

        yield begin


def _finish(program: Program) -> None:
    if program.process.poll() is None:
        program.process.send_signal(signal.SIGCONT)
        program.process.kill()
    program.process.wait(30)


@pytest.fixture
def aster(settings: Settings) -> Iterator[Speaker]:
    """A venue on the bus."""
    speaker = Speaker(settings, "aster")
    yield speaker
    speaker.close()


def lines(path: Path) -> list[dict[str, Any]]:
    """Whole lines of a telemetry file; none while there is no file."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return []
    return [json.loads(line) for line in data.split(b"\n")[:-1]]
