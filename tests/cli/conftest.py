"""A soak as a process of its own, for the tests of the command."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bus.settings import VENUES
from cli.tie import children
from tests.conftest import Eventually

Start = Callable[..., "subprocess.Popen[str]"]
Simulate = Callable[..., dict[str, Any]]


@pytest.fixture
def out(run_dir: Path) -> Path:
    return run_dir / "out"


@pytest.fixture
def soak(run_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Give a function that starts a soak whose temporary files are in a directory of the test's own."""
    temp = run_dir / "t"
    temp.mkdir()
    started: list[subprocess.Popen[str]] = []

    def start(out: Path, *words: str, **more: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", "from cli.main import main; main()", "soak", "--out-dir", str(out), *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "TMPDIR": str(temp), **more},
            cwd=run_dir,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate(timeout=60)


@pytest.fixture
def simulate(run_dir: Path, eventually: Eventually) -> Iterator[Simulate]:
    """Give a function that starts a simulator and points the settings of this directory at it."""
    started: list[subprocess.Popen[bytes]] = []

    def start(*words: str, venues: tuple[str, ...] = ("aster", "lighter"), ca_file: str = "") -> dict[str, Any]:
        ports = run_dir / "ports.json"
        command = [sys.executable, "-m", "simulator", "--port-base", "0", "--ports-file", str(ports)]
        started.append(subprocess.Popen([*command, "--venues", ",".join(venues), *words]))
        eventually(ports.exists)
        addresses: dict[str, Any] = json.loads(ports.read_text())["venues"]
        text = "[dashboard]\nport = 0\n"
        for venue in VENUES:
            text += f"[venues.{venue}]\nenabled = {'true' if venue in venues else 'false'}\n"
            if venue in venues:
                text += f'ws_url = "{addresses[venue]["ws"]}"\nrest_url = "{addresses[venue]["rest"]}"\n'
                text += f'ca_file = "{ca_file}"\n'
        (run_dir / "paraphina.toml").write_text(text)
        return addresses

    yield start
    for process in started:
        process.terminate()
        process.wait(30)


def refused(process: subprocess.Popen[str], out: Path, *words: str) -> None:
    told, _ = process.communicate(timeout=120)
    assert process.returncode == 2, told
    flat = " ".join(told.split())
    assert "error: refused to start" in flat
    for word in words:
        assert word in flat
    assert children() == []
    assert not out.exists() or not any(path.name.startswith(".") for path in out.iterdir())
