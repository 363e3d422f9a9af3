"""Of every name one process in a run directory: an orphan makes room, one with a living parent does not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from bus.errors import TransportError
from bus.lease import hold, take
from bus.settings import Settings, parse
from tests.conftest import Eventually

HOLDER = """
import signal, sys
from pathlib import Path
from bus.lease import take
lease = take(Path(sys.argv[1]), "runner")
if sys.argv[2:] == ["deaf"]:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("held", flush=True)
signal.pause()
"""
PARENT = """
import subprocess, sys
child = subprocess.Popen([sys.executable, *sys.argv[1:]])
print(child.pid, flush=True)
child.wait()
"""


class Lines:
    """A log for looking into."""

    def __init__(self) -> None:
        self.events: list[str] = []

    def warning(self, event: str, **fields: object) -> None:
        self.events.append(event)


def settings(run_dir: Path, line: str = "a") -> Settings:
    return parse({"run": {"dir": str(run_dir), "line": line}}, {}, base="/")


def orphan(run_dir: Path, eventually: Eventually, *words: str) -> int:
    """A process that holds the place and whose parent was killed; its pid."""
    command = [sys.executable, "-c", PARENT, "-c", HOLDER, str(run_dir), *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert parent.stdout.readline() == "held\n"
        parent.kill()
    eventually(lambda: f"PPid:\t{parent.pid}\n" not in Path(f"/proc/{pid}/status").read_text())
    return pid


def test_a_free_place_is_taken_and_given_up(run_dir: Path) -> None:
    log = Lines()
    for _ in range(2):
        lease = hold(settings(run_dir), "runner", log)
        assert lease is not None
        assert lease.orphan is None
        lease.release()
    assert log.events == []
    assert (run_dir / "runner.pid").read_text() == f"{os.getpid()} {os.getppid()}\n"


@pytest.mark.slow
def test_the_place_of_a_process_whose_parent_lives_is_not_taken(run_dir: Path) -> None:
    command = [sys.executable, "-c", HOLDER, str(run_dir)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        with pytest.raises(TransportError, match=f"pid {holder.pid}"):
            take(run_dir, "runner")
        other = hold(settings(run_dir, "b"), "runner", Lines())
        assert other is not None, "another line is another place"
        other.release()
        holder.send_signal(signal.SIGTERM)


@pytest.mark.slow
@pytest.mark.parametrize("words", [(), ("deaf",)])
def test_an_orphan_is_ended_and_its_place_taken(run_dir: Path, eventually: Eventually, words: tuple[str, ...]) -> None:
    pid = orphan(run_dir, eventually, *words)
    log = Lines()
    lease = hold(settings(run_dir), "runner", log)
    assert lease is not None
    assert lease.orphan == pid
    assert log.events == ["orphan_ended"]
    assert not Path(f"/proc/{pid}").exists() or "State:\tZ" in Path(f"/proc/{pid}/status").read_text()
    lease.release()


def test_without_a_lock_file_the_process_runs_all_the_same(run_dir: Path) -> None:
    (run_dir / "file").write_text("")
    log = Lines()
    assert hold(settings(run_dir / "file" / "run"), "runner", log) is None
    assert log.events == ["no_lock_file"]
