"""The unit is one that systemd takes, and it keeps the plane in its place."""

from __future__ import annotations

import os
import platform
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
UNIT = ROOT / "deploy" / "systemd" / "paraphina.service"
ANALYZE = shutil.which("systemd-analyze")


DENIED = {
    "ioprio_set": 251,
    "mbind": 237,
    "migrate_pages": 256,
    "move_pages": 279,
    "sched_setaffinity": 203,
    "sched_setattr": 314,
    "sched_setparam": 142,
    "set_mempolicy": 238,
    "set_mempolicy_home_node": 450,
    "setpriority": 141,
    "setrlimit": 160,
    "mount": 165,
    "umount2": 166,
    "pivot_root": 155,
}
"""What the unit's filter denies, with its numbers on x86_64, but for what it allows again."""
FILTERED = """
import ctypes, os, struct, sys
denied = [int(number) for number in sys.argv[1].split(",")]
step = lambda code, value, yes=0, no=0: struct.pack("HBBI", code, yes, no, value)
fail = step(6, 0x50001)  # return EPERM
checks = [step(0x15, number, 0, 1) + fail for number in denied]
# As MemoryDenyWriteExecute does: no mprotect to executable, no mapping that is both writable and executable.
checks += [step(0x15, 10, 0, 4), step(0x20, 32), step(0x45, 4, 0, 1), fail, step(0x20, 0)]
checks += [step(0x15, 9, 0, 4), step(0x20, 32), step(0x45, 4, 0, 2), step(0x45, 2, 0, 1), fail]
program = step(0x20, 0) + b"".join(checks) + step(6, 0x7FFF0000)
buffer = ctypes.create_string_buffer(program)
filters = struct.pack("HxxxxxxQ", len(program) // 8, ctypes.addressof(buffer))
prctl = ctypes.CDLL(None).prctl
assert prctl(38, 1, 0, 0, 0) == 0  # no new privileges
assert prctl(22, 2, filters) == 0  # seccomp, by this filter
os.execv(sys.executable, [sys.executable, "-m", sys.argv[2]])
"""
"""Runs a module of ours under a filter of system calls, as systemd would install it."""


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


@pytest.mark.slow
@pytest.mark.skipif(platform.machine() != "x86_64", reason="the numbers of system calls are those of x86_64")
@pytest.mark.parametrize("allowed", [True, False])
def test_the_processes_live_with_the_system_calls_that_the_unit_leaves_them(run_dir: Path, *, allowed: bool) -> None:
    assert keys()["SystemCallFilter"] == ["@system-service", "~@resources @mount", "sched_setscheduler"]
    (run_dir / "paraphina.toml").write_text("")
    denied = DENIED if allowed else {**DENIED, "sched_setscheduler": 144}
    command = [sys.executable, "-c", FILTERED, ",".join(map(str, denied.values())), "publisher"]
    environment = {**os.environ, "PARAPHINA_CONFIG": str(run_dir / "paraphina.toml")}
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said = process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        code = process.wait(30)
    # ZeroMQ's own thread asks for the call that is denied, sooner or later than the line is written.
    assert code == (0 if allowed else -signal.SIGABRT)
    assert "event=started" in said or not allowed


def test_what_grows_is_rotated() -> None:
    text = (ROOT / "deploy" / "systemd" / "logrotate").read_text()
    for name in ("telemetry.jsonl", "market_rx_stats.log"):
        assert f"/opt/paraphina/run/{name}" in text
    # The runner notices a renamed file by itself and makes the new one with its own mode.
    assert "nocreate" in text
