"""What a host may run out of, and what a venue's limits mean for whoever is started anew."""

from __future__ import annotations

import os
import re
import resource
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from functools import partial
from pathlib import Path

import pytest

from tests.conftest import Eventually
from tests.system.conftest import Start, System

pytestmark = pytest.mark.slow
long = pytest.mark.skipif("PARAPHINA_LONG_TESTS" not in os.environ, reason="a minute: set PARAPHINA_LONG_TESTS")

HOLD_S = 4


def stamps(system: System, venue: str, event: str) -> list[float]:
    """When lines of this event were written, wall clock seconds."""
    found = re.findall(rf"time=(\S+)Z .*event={event}\b", system.log(venue))
    return [datetime.fromisoformat(f"{time}+00:00").timestamp() for time in found]


def test_a_process_that_is_killed_does_not_forget_that_the_venue_wants_to_be_left_alone(
    start: Start, eventually: Eventually
) -> None:
    system = start(venues=("lighter",))
    eventually(system.all_live)
    refuse = {"fault": "handshake", "venue": "lighter", "params": {"status": 429, "retry_after": HOLD_S}}
    system.control("POST", "/faults", refuse)
    system.control("POST", "/faults", {"fault": "reset", "venue": "lighter"})
    eventually(lambda: "event=connects_held" in system.log("lighter"))
    held = stamps(system, "lighter", "connects_held")[0]
    system.control("DELETE", "/faults")
    for _ in range(2):
        pid = system.kill("connectors:lighter")
        eventually(partial(system.replaced, "connectors:lighter", pid))
    eventually(system.all_live)
    assert "asked for by the venue before this process began" in system.log("lighter")
    again = next(at for at in stamps(system, "lighter", "connected") if at > held)
    assert again - held >= HOLD_S - 0.01, "not a moment before the venue allows it"
    assert again - held < HOLD_S + 10
    assert system.control("GET", "/state")["violations"]["total"] == 0


@long
def test_a_process_without_descriptors_says_so_and_recovers_when_there_are_some(
    start: Start, eventually: Eventually
) -> None:
    system = start(venues=("aster", "lighter"))
    eventually(system.all_live)
    pid = system.pid("connectors:aster")
    limits = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    taken = len(os.listdir(f"/proc/{pid}/fd"))  # noqa: PTH208 - names alone
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (min(taken, 3), limits[1]))
    system.control("POST", "/faults", {"fault": "reset", "venue": "aster"})
    eventually(lambda: "Too many open files" in system.log("aster"))
    eventually(lambda: not {row.venue: row for row in system.look().rows()}["aster"].well)
    assert system.all_live("lighter"), "nobody else is concerned"
    resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)
    eventually(system.all_live)
    assert system.pid("connectors:aster") == pid, "no restart was needed"
    assert "Traceback" not in system.log("aster")


@pytest.fixture
def small_disk(run_dir: Path) -> Iterator[Path]:
    """Give the plane a file system of 8 MB; where that cannot be mounted, skip."""
    path = run_dir / "0"
    path.mkdir()
    if os.geteuid() or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", path], check=False).returncode:
        pytest.skip("no file system can be mounted here")
    yield path
    subprocess.run(["umount", "-l", path], check=True)


@long
def test_a_full_disk_costs_no_venue_its_freshness_and_the_loss_is_told(
    small_disk: Path, start: Start, eventually: Eventually
) -> None:
    system = start(venues=("aster",))
    eventually(system.all_live)
    filler = small_disk / "filler"
    with filler.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(b"x" * 65_536)
    pid = system.kill("connectors:aster")
    eventually(partial(system.replaced, "connectors:aster", pid))
    full_until = time.monotonic() + 3
    eventually(lambda: system.all_live() and time.monotonic() > full_until)
    others = {name: info["pid"] for name, info in system.plane.programs().items()}
    filler.unlink()
    eventually(lambda: "event=written_again" in system.log("runner"))
    assert re.search(r"event=written_again .*failures=\d+", system.log("runner"))
    assert system.all_live()
    assert {name: info["pid"] for name, info in system.plane.programs().items()} == others
