"""Real processes under a supervisord of their own, against simulated venues."""

from __future__ import annotations

# ruff: noqa: ANN401
import os
import select
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import requests

from bus.client import Subscriber
from bus.events import Telemetry
from bus.items import Message
from bus.settings import VENUES
from cli.board import Board
from cli.plane import Plane, prepare
from cli.supervise import launch


class System:
    """A plane that is running, and what a test asks of it."""

    def __init__(self, plane: Plane) -> None:
        self.plane = plane
        self.settings = plane.settings
        self._subscriber: Subscriber | None = None
        self.board = Board()
        self.daemon = False
        """Whether supervisord is in the background, and so nobody's child."""

    def look(self, timeout_s: float = 0.25) -> Board:
        """The runner's telemetry, up to date."""
        if self._subscriber is None:
            self._subscriber = Subscriber(self.settings, kinds=("telemetry",), name="test")
        for item in self._subscriber.poll(timeout_s):
            if isinstance(item, Message) and isinstance(item.event, Telemetry):
                self.board.absorb(item.event.body)
        return self.board

    def all_live(self, *venues: str) -> bool:
        """Whether these venues (default: all enabled) are live, fresh and trusted."""
        rows = {row.venue: row for row in self.look().rows()}
        return all(venue in rows and rows[venue].well for venue in venues or self.settings.enabled)

    def pid(self, program: str) -> int:
        """Of a program by ``group:name``."""
        return int(self.plane.programs()[program]["pid"])

    def kill(self, program: str, number: signal.Signals = signal.SIGKILL) -> int:
        """Send a signal; the pid it went to."""
        pid = self.pid(program)
        os.kill(pid, number)
        return pid

    def replaced(self, program: str, pid: int) -> bool:
        """Whether another process runs in place of this one."""
        return self.pid(program) not in {0, pid}

    def log(self, program: str) -> str:
        """A program's log so far."""
        path = self.settings.run_dir / f"{program.rpartition(':')[2]}.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def control(self, method: str, path: str, body: object = None) -> Any:
        """Ask the simulator."""
        answer = requests.request(method, f"{self.plane.control}{path}", json=body, timeout=10)
        assert answer.status_code < 300, answer.text
        return answer.json()

    def served(self) -> bool:
        """Whether the simulator answers."""
        try:
            return requests.get(f"{self.plane.control}/state", timeout=10).ok
        except requests.ConnectionError:
            return False

    def close(self) -> None:
        """End everything."""
        if self._subscriber is not None:
            self._subscriber.close()
        self.plane.stop()
        pid = self.plane.supervisor.pid() if self.daemon else None
        if pid is not None:
            self.plane.supervisor.shutdown()
            with suppress(ProcessLookupError):
                descriptor = os.pidfd_open(pid)
                select.select([descriptor], [], [], 30)
                os.close(descriptor)
        self.plane.supervisor.close()


Start = Callable[..., System]


@pytest.fixture
def start(run_dir: Path) -> Iterator[Start]:
    """Give a function that starts a plane; everything it started ends with the test."""
    systems: list[System] = []

    def begin(
        *,
        venues: tuple[str, ...] = VENUES,
        settings: dict[str, Any] | None = None,
        daemon: bool = False,
        retries: int = 20,
        **more: Any,
    ) -> System:
        over = {"venues": {venue: {"enabled": venue in venues} for venue in VENUES}}
        for section, keys in (settings or {}).items():
            for key, value in keys.items():
                target = over.setdefault(section, {})
                target[key] = {**target.get(key, {}), **value} if isinstance(value, dict) else value
        plane = prepare(run_dir / str(len(systems)), sim=True, settings=over, **more)
        plane.conf.write_text(plane.conf.read_text().replace("startretries = 20", f"startretries = {retries}"))
        system = System(plane)
        systems.append(system)
        if daemon:
            assert launch(plane.conf) is None
            system.daemon = True
        else:
            plane.start()
        return system

    yield begin
    for system in systems:
        system.close()
