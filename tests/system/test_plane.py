"""What a newcomer sees: everything runs, every book is true, whatever is killed comes back, nothing is left over."""

from __future__ import annotations

import json
import signal
from functools import partial
from pathlib import Path

import pytest

from bus.client import Subscriber
from bus.settings import VENUES
from cli.board import Board
from tests.conftest import Eventually
from tests.system.conftest import Start
from tests.system.truth import Checker

pytestmark = pytest.mark.slow


def test_five_venues_come_live_and_every_book_equals_the_simulators_truth(start: Start, eventually: Eventually) -> None:
    system = start()
    eventually(system.all_live)
    assert system.plane.control is not None
    checker = Checker(system.settings, system.plane.control)
    with Subscriber(system.settings, kinds=("book", "delta"), name="truth") as subscriber:
        checker.run(subscriber, 15)
    assert checker.wrong == []
    for venue in VENUES:
        for market in ("BTC-PERP", "ETH-PERP", "SOL-PERP"):
            assert checker.compared.get((venue, market), 0) >= 10, (venue, market, checker.compared, checker.unplaced)


def test_telemetry_carries_both_ages_of_five_venues_four_times_a_second(start: Start, eventually: Eventually) -> None:
    system = start()
    eventually(system.all_live)
    path = system.settings.out_dir / "telemetry.jsonl"

    def ticks() -> list[dict[str, object]]:
        return [json.loads(line) for line in path.read_text().splitlines() if line.endswith("}")]

    first = len(ticks())
    eventually(lambda: len(ticks()) >= first + 12)
    lines = ticks()[first:]
    times = [line["treasury_guidance"]["as_of_ms"] for line in lines]  # type: ignore[index]
    assert 0.8 * 250 <= (times[-1] - times[0]) / (len(times) - 1) <= 1.5 * 250
    for line in lines:
        assert [entry["venue_id"] for entry in line["treasury_guidance"]["venues"]] == list(VENUES)  # type: ignore[index]
        for name in ("venue_age_ms", "venue_age_event_ms"):
            ages = line[name]
            assert isinstance(ages, list)
            assert len(ages) == 5
            assert all(isinstance(age, int) for age in ages)


def test_what_is_killed_comes_back_and_nobody_else_notices(start: Start, eventually: Eventually) -> None:
    system = start()
    eventually(system.all_live)
    for program in (*(f"connectors:{venue}" for venue in VENUES), "publisher:publisher", "runner:runner"):
        others = {name: info["pid"] for name, info in system.plane.programs().items() if name != program}
        pid = system.kill(program)
        eventually(partial(system.replaced, program, pid))
        system.board = Board()
        eventually(lambda: system.look().complete and system.all_live())
        assert {name: info["pid"] for name, info in system.plane.programs().items() if name != program} == others
    log = system.log("sentinel")
    assert log.count("terminated by SIGKILL") == len(VENUES) + 2


def test_ages_grow_honestly_while_the_venues_are_gone_and_the_reasons_are_counted(
    start: Start, eventually: Eventually
) -> None:
    system = start()
    eventually(system.all_live)
    system.plane.supervisor.stop("simulator:simulator")
    eventually(lambda: all((row.age_ms or 0) > 3_000 for row in system.look().rows()))
    assert not any(row.trusted for row in system.board.rows())
    system.plane.supervisor.start("simulator:simulator")
    eventually(system.all_live, within=120)
    for venue in VENUES:
        assert "event=reconnect" in system.log(venue)


def test_a_stopped_plane_leaves_no_process(start: Start, eventually: Eventually) -> None:
    system = start()
    eventually(system.all_live)
    pids = [info["pid"] for info in system.plane.programs().values()]
    system.plane.stop()
    eventually(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids))
    for venue in VENUES:
        assert "Traceback" not in system.log(venue)


def test_bad_settings_are_refused_with_their_path_and_not_tried_again(
    start: Start, eventually: Eventually, run_dir: Path
) -> None:
    system = start(venues=("aster",))
    eventually(lambda: system.plane.programs()["connectors:aster"]["pid"] != 0)
    path = run_dir / "0" / "paraphina.toml"
    path.write_text(path.read_text() + "\n[runner]\ntick = 3\n")
    system.kill("connectors:aster")
    eventually(lambda: "settings_refused" in system.log("aster"))
    eventually(lambda: system.plane.programs()["connectors:aster"]["statename"] == "EXITED")
    assert system.plane.programs()["connectors:aster"]["exitstatus"] == 78
    assert "runner.tick" in system.log("aster")


def test_what_is_stopped_is_found_dumped_and_replaced(start: Start, eventually: Eventually) -> None:
    system = start(settings={"sentinel": {"heartbeat_timeout_ms": 2_000}})
    eventually(system.all_live)
    for program in ("connectors:hyperliquid", "connectors:extended", "publisher:publisher", "runner:runner"):
        pid = system.kill(program, signal.SIGSTOP)
        eventually(partial(system.replaced, program, pid), within=30)
        system.board = Board()
        eventually(lambda: system.look().complete and system.all_live())
    assert system.log("sentinel").count("no heartbeat for") >= 4
