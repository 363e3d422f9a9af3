"""The unit is one that systemd takes, and it keeps the plane in its place."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
UNIT = ROOT / "deploy" / "systemd" / "paraphina.service"
ANALYZE = shutil.which("systemd-analyze")


def keys() -> dict[str, list[str]]:
    """Values of the unit by key."""
    found: dict[str, list[str]] = {}
    for key, value in re.findall(r"^(\w+)=(.*)$", UNIT.read_text(), re.MULTILINE):
        found.setdefault(key, []).append(value)
    return found


def test_it_runs_unprivileged_and_may_write_only_its_run_directory() -> None:
    found = keys()
    assert found["User"] == ["paraphina"]
    assert found["ProtectSystem"] == ["strict"]
    assert found["ReadWritePaths"] == ["/opt/paraphina/run"]
    assert found["CapabilityBoundingSet"] == [""]
    assert found["NoNewPrivileges"] == ["yes"]
    assert found["RestrictAddressFamilies"] == ["AF_UNIX AF_INET AF_INET6"]


def test_it_starts_the_plane_of_this_repository_in_the_foreground() -> None:
    assert keys()["ExecStart"] == [
        "/opt/paraphina/.venv/bin/python -m supervisor.supervisord -n -c /opt/paraphina/supervisord.conf"
    ]
    assert (ROOT / "supervisord.conf").exists()


@pytest.mark.skipif(ANALYZE is None, reason="no systemd-analyze here")
def test_systemd_takes_it(tmp_path: Path) -> None:
    # The program is not installed under /opt here: that alone may be missing.
    text = UNIT.read_text().replace("/opt/paraphina/.venv/bin/python", "/bin/true")
    (tmp_path / UNIT.name).write_text(text)
    done = subprocess.run([str(ANALYZE), "verify", tmp_path / UNIT.name], capture_output=True, text=True, check=False)
    said = [line for line in done.stderr.splitlines() if UNIT.name in line]
    assert said == []


@pytest.mark.skipif(ANALYZE is None, reason="no systemd-analyze here")
def test_its_exposure_stays_low() -> None:
    command = [str(ANALYZE), "security", "--offline=true", "--threshold=20", "--no-pager", str(UNIT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if "unrecognized option" in done.stderr:
        pytest.skip("this systemd cannot judge a unit that is not installed")
    assert done.returncode == 0, done.stdout[-300:]


def test_what_grows_is_rotated() -> None:
    text = (ROOT / "deploy" / "systemd" / "logrotate").read_text()
    for name in ("telemetry.jsonl", "market_rx_stats.log"):
        assert f"/opt/paraphina/run/{name}" in text
    # The runner notices a renamed file by itself and makes the new one with its own mode.
    assert "nocreate" in text
