"""What befalls the host and the processes above ours: supervisord dies, sockets are deleted, disks are full."""

from __future__ import annotations

import os
import signal
from functools import partial
from pathlib import Path

import pytest

from bus.settings import VENUES
from cli.board import Board
from tests.conftest import Eventually
from tests.system.conftest import Start, System

pytestmark = pytest.mark.slow

PROGRAMS = (*(f"connectors:{venue}" for venue in VENUES), "publisher:publisher", "runner:runner", "sentinel:sentinel")


def gone(pid: int) -> bool:
    """Whether the process has ended (a zombie has)."""
    try:
        return "State:\tZ" in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True


def well(system: System, eventually: Eventually, within: float = 60.0) -> None:
    """Every venue is live again as telemetry tells it from now on."""
    system.board = Board()
    eventually(lambda: system.look().complete and system.all_live(), within=within)


def test_a_killed_supervisord_comes_back_and_takes_over_what_it_left_behind(
    start: Start, eventually: Eventually
) -> None:
    system = start(daemon=True)
    eventually(system.all_live)
    before = {name: info["pid"] for name, info in system.plane.programs().items()}
    top = system.plane.supervisor.pid()
    assert top is not None
    os.kill(top, signal.SIGKILL)
    eventually(lambda: system.plane.supervisor.pid() not in {None, top})
    for pid in before.values():
        eventually(partial(gone, pid))
    well(system, eventually)
    after = {name: info["pid"] for name, info in system.plane.programs().items()}
    assert set(after) == set(before)
    assert all(after.values())
    for venue in VENUES:
        assert system.log(venue).count("orphan_ended") == 1


def test_deleted_sockets_of_the_bus_are_noticed_and_bound_anew(start: Start, eventually: Eventually) -> None:
    system = start(venues=("lighter", "aster"))
    eventually(system.all_live)
    others = {name: info["pid"] for name, info in system.plane.programs().items() if name != "publisher:publisher"}
    for lives, name in enumerate(("market_in", "market_out", "resync"), start=2):
        (system.settings.run_dir / "bus" / name).unlink()
        eventually(lambda: system.log("publisher").count("event=started") == lives, within=30)  # noqa: B023
        well(system, eventually)
    assert system.log("publisher").count("endpoints gone") == 3
    assert {name: system.pid(name) for name in others} == others


def test_a_deleted_control_socket_is_bound_anew(start: Start, eventually: Eventually) -> None:
    system = start(venues=("lighter",))
    eventually(system.all_live)
    assert system.plane.pid is not None
    system.plane.supervisor.close()
    system.plane.supervisor.socket.unlink()
    eventually(lambda: system.plane.supervisor.pid() == system.plane.pid, within=30)
    well(system, eventually)
    assert "its control socket is gone" in system.log("sentinel")
