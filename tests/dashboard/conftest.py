"""A plane of real processes with a dashboard on a known port, and a browser where there is one."""

from __future__ import annotations

# ruff: noqa: ANN401
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from cli.plane import Plane, prepare
from tests.conftest import Eventually
from tests.dashboard.browser import CHROMIUM, Browser

VENUES = ("paradex", "aster")
"""Enough for one to be well while the other is not."""


class Watched:
    """A plane with a dashboard."""

    def __init__(self, plane: Plane) -> None:
        self.plane = plane
        self.url = f"http://127.0.0.1:{plane.settings.dashboard.port}"

    def ask(self, path: str) -> requests.Response:
        """GET of the dashboard; a refused connection is status 0."""
        try:
            return requests.get(f"{self.url}{path}", timeout=10)
        except requests.ConnectionError:
            refused = requests.Response()
            refused.status_code = 0
            return refused

    def status(self, path: str) -> int:
        """Status of an answer."""
        return self.ask(path).status_code

    def problems(self, path: str = "/health") -> str:
        """Every problem it tells of, in one line."""
        answer = self.ask(path)
        return "; ".join(answer.json()["problems"]) if answer.status_code else "refused"

    def metric(self, name: str) -> float | None:
        """Value of a metric by name and labels."""
        for line in self.ask("/metrics").text.splitlines():
            if line.startswith(f"{name} "):
                return float(line.rpartition(" ")[2])
        return None

    def fault(self, **request: Any) -> None:
        """Set a fault in the simulator."""
        requests.post(f"{self.plane.control}/faults", json=request, timeout=10).raise_for_status()

    def mend(self) -> None:
        """End all faults."""
        requests.delete(f"{self.plane.control}/faults", timeout=10).raise_for_status()

    def stop(self, program: str) -> None:
        """Stop a program for good."""
        self.plane.supervisor.stop(program)

    def start(self, program: str) -> None:
        """Start it again."""
        self.plane.supervisor.start(program)

    def kill(self, program: str) -> None:
        """End its process without warning."""
        os.kill(int(self.plane.programs()[program]["pid"]), signal.SIGKILL)


@pytest.fixture
def watched(run_dir: Path, free_port: Callable[[], int], eventually: Eventually) -> Iterator[Watched]:
    """Give a plane of two simulated venues, all of it live. A silent venue is stale after three seconds."""
    every = ("hyperliquid", "paradex", "lighter", "extended", "aster")
    venues = {venue: {"enabled": venue in VENUES, "stale_ms": 3_000} for venue in every}
    plane = prepare(run_dir, sim=True, settings={"venues": venues, "dashboard": {"port": free_port()}})
    plane.start()
    found = Watched(plane)
    try:
        eventually(lambda: found.status("/health") == 200)
        yield found
    finally:
        plane.stop()


@pytest.fixture
def browser() -> Iterator[Browser]:
    """Give a headless browser, or skip."""
    if CHROMIUM is None:
        pytest.skip("no Chromium here")
    with Browser() as found:
        yield found
