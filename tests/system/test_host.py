"""What befalls the host and the processes above ours: supervisord dies, sockets are deleted, disks are full."""

from __future__ import annotations

import os
import signal
import time
from functools import partial
from pathlib import Path

import pytest

from bus.events import Trust
from bus.settings import VENUES
from cli.board import Board, Row
from tests.conftest import Eventually
from tests.system.conftest import Start, System
from tests.system.watcher import Watcher

pytestmark = pytest.mark.slow

PROGRAMS = (*(f"connectors:{venue}" for venue in VENUES), "publisher:publisher", "runner:runner", "sentinel:sentinel")


def gone(pid: int) -> bool:
    """Whether the process has ended (a zombie has)."""
    try:
        return "State:\tZ" in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True


def down(system: System) -> Row | None:
    """The venue that telemetry calls down."""
    return next((row for row in system.look().rows() if row.state == "down"), None)


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


def test_a_sentinel_that_hangs_is_found_and_replaced_by_the_runner(start: Start, eventually: Eventually) -> None:
    system = start(venues=("aster",), settings={"sentinel": {"heartbeat_timeout_ms": 2_000}})
    eventually(system.all_live)
    pid = system.kill("sentinel:sentinel", signal.SIGSTOP)
    eventually(partial(system.replaced, "sentinel:sentinel", pid), within=30)
    assert f"pid={pid}" in system.log("runner")
    pid = system.kill("runner:runner", signal.SIGSTOP)
    eventually(partial(system.replaced, "runner:runner", pid), within=30)
    well(system, eventually)


def test_a_connector_that_is_gone_is_called_down_and_its_books_are_not_trusted(
    start: Start, eventually: Eventually
) -> None:
    system = start(venues=("aster", "lighter"))
    with Watcher(system.settings) as watcher:

        def live(*venues: str) -> bool:
            watcher.poll(0.05)
            return all(watcher.live(venue) for venue in venues)

        eventually(lambda: system.all_live() and live("aster", "lighter"))
        os.kill(system.pid("sentinel:sentinel"), signal.SIGSTOP)
        system.kill("connectors:aster", signal.SIGSTOP)
        stopped = time.monotonic()
        eventually(lambda: not live("aster"), within=30)
        assert time.monotonic() - stopped < 10
        row = eventually(lambda: down(system), within=30)
        assert row is not None
        assert (row.venue, row.reason) == ("aster", "no_heartbeat")
        eventually(lambda: not {row.venue: row for row in system.look().rows()}["aster"].trusted, within=10)
        assert live("lighter")


def test_a_connector_that_is_stopped_takes_its_books_back_at_once(start: Start, eventually: Eventually) -> None:
    system = start(venues=("aster", "lighter"))
    with Watcher(system.settings) as watcher:

        def live(venue: str) -> bool:
            watcher.poll(0.05)
            return watcher.live(venue)

        # By telemetry too, or a "down" of the start is taken for the one that is waited for.
        eventually(lambda: system.all_live() and live("aster") and live("lighter"))
        system.plane.supervisor.stop("connectors:aster")
        eventually(lambda: not live("aster"), within=2)
        assert {trust for _, trust in watcher.markets["aster", "BTC-PERP"].lost} == {Trust.STALE}
        row = eventually(lambda: down(system), within=30)
        assert row is not None
        assert (row.venue, row.reason) == ("aster", "process_stopped")
        assert live("lighter")
