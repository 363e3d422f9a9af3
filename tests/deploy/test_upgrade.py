"""Everything is restarted one at a time, and nothing more after a venue that does not come back."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.dashboard.conftest import Watched

SCRIPT = Path(__file__).resolve().parent.parent.parent / "deploy" / "upgrade.sh"
RUNNING = """connectors:aster    RUNNING   pid 24, uptime 0:00:20
connectors:lighter  EXITED    Nov 22 02:39 AM
connectors:paradex  RUNNING   pid 21, uptime 0:00:20
dashboard           RUNNING   pid 25, uptime 0:00:20
publisher           RUNNING   pid 26, uptime 0:00:19
simulator           RUNNING   pid 28, uptime 0:00:19
"""


@pytest.fixture
def plane(tmp_path: Path) -> Path:
    """Give a checkout whose commands note what they are asked; ``sick`` holds what makes a venue unwell."""
    (tmp_path / "deploy").mkdir()
    shutil.copy(SCRIPT, tmp_path / "deploy")
    commands = tmp_path / ".venv" / "bin"
    commands.mkdir(parents=True)
    (tmp_path / "programs").write_text(RUNNING)
    (tmp_path / "sick").write_text("nothing")
    for name, body in {
        "supervisorctl": f'[ "$3" = status ] && cat {tmp_path}/programs && exit 3; echo "$3 $4" >> {tmp_path}/asked',
        "paraphina": f"echo status >> {tmp_path}/asked; ! grep -q -f {tmp_path}/sick {tmp_path}/asked",
    }.items():
        (commands / name).write_text(f"#!/bin/sh\n{body}\n")
        (commands / name).chmod(0o755)
    return tmp_path


def upgrade(plane: Path) -> tuple[int, list[str], str]:
    """Exit code, what was asked for in order, and what was said of trouble."""
    command = [str(plane / "deploy" / "upgrade.sh")]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env={"PATH": "/usr/bin:/bin", "PATIENCE_S": "0"}
    )
    asked = plane / "asked"
    return done.returncode, asked.read_text().splitlines() if asked.exists() else [], done.stderr


def test_what_runs_is_restarted_one_at_a_time_each_when_all_is_well(plane: Path) -> None:
    code, asked, _ = upgrade(plane)
    assert code == 0
    assert asked == [
        "status",
        *("restart connectors:aster", "status"),
        *("restart connectors:paradex", "status"),
        *("restart publisher", "status"),
        *("restart dashboard", "status"),
    ]


def test_a_venue_that_does_not_come_back_ends_it(plane: Path) -> None:
    (plane / "sick").write_text("connectors:aster")
    code, asked, said = upgrade(plane)
    assert code == 1
    assert [line for line in asked if line != "status"] == ["restart connectors:aster"]
    assert "not well after connectors:aster" in said


def test_it_does_not_begin_while_a_venue_is_unwell(plane: Path) -> None:
    (plane / "sick").write_text("status")
    code, asked, said = upgrade(plane)
    assert (code, set(asked)) == (1, {"status"})
    assert "not well before" in said


def test_it_says_when_nothing_runs(plane: Path) -> None:
    (plane / "programs").write_text("connectors:aster    STOPPED   Not started\n")
    code, asked, said = upgrade(plane)
    assert (code, asked) == (2, [])
    assert "nothing runs" in said


@pytest.mark.slow
@pytest.mark.skipif("PARAPHINA_LONG_TESTS" not in os.environ, reason="a minute: set PARAPHINA_LONG_TESTS")
def test_no_venue_becomes_stale_while_everything_is_restarted(watched: Watched) -> None:
    before = {name: info["pid"] for name, info in watched.plane.programs().items()}
    environment = {**os.environ, "PARAPHINA_CONFIG": str(watched.plane.base / "paraphina.toml")}
    with subprocess.Popen([str(SCRIPT), str(watched.plane.conf)], env=environment, stdout=subprocess.DEVNULL) as script:
        stale, asked = set(), 0
        while script.poll() is None:
            answer = watched.ask("/health")
            if answer.status_code and (told := answer.json())["source"]["ok"]:
                asked += 1
                stale |= {name for name, venue in told["venues"].items() if not venue["fresh"]}
    assert script.returncode == 0
    assert asked > 20
    assert stale == set()
    after = {name: info["pid"] for name, info in watched.plane.programs().items()}
    assert {name for name in before if before[name] == after[name]} == {"simulator:simulator"}
