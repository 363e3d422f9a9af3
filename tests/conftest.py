"""What every test may use: short run directories, free ports, patience, and a guard against processes left behind."""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import socket
import tempfile
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

T = TypeVar("T")

# Hypothesis loads its own "ci" profile (derandomised, no deadline) where CI is set. Elsewhere examples are random; a
# deadline per example would only measure who else uses the machine.
settings.register_profile("here", deadline=None, suppress_health_check=[HealthCheck.too_slow])
if not os.environ.get("CI"):
    settings.load_profile("here")

# Inherited by every process that a test starts, and by theirs, also when they are re-parented.
MARK = "PYTEST_STARTED_BY"
# Read by tests themselves; every other PARAPHINA_ variable would reach the settings of what is tested.
OURS = {"PARAPHINA_CONFORMANCE_DIR", "PARAPHINA_FUZZ_FRAMES", "PARAPHINA_LONG_TESTS"}
GRACE_S = 5.0


class Eventually(Protocol):
    """Waits for ``condition`` to be truthy and gives back what it returned; fails the test after ``within`` seconds."""

    def __call__(self, condition: Callable[[], T], *, within: float = 60.0, every: float = 0.01) -> T: ...


@pytest.fixture(scope="session", autouse=True)
def _clean_environment() -> Iterator[None]:
    """Keep a developer's own overrides out of the settings under test."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("PARAPHINA_") and name not in OURS]:
            patch.delenv(name)
        yield


@pytest.fixture
def run_dir() -> Iterator[Path]:
    """Give a directory of the test's own, short enough for the sockets in it (107 bytes a path)."""
    path = Path(tempfile.mkdtemp(prefix="pc-", dir="/tmp"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def free_port() -> Callable[[], int]:
    """Give a function that names a TCP port of 127.0.0.1 which nobody listens on, another one at each call."""
    given: set[int] = set()

    def pick() -> int:
        while True:
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                port: int = probe.getsockname()[1]
            if port not in given:
                given.add(port)
                return port

    return pick


@pytest.fixture
def eventually() -> Eventually:
    """Give a function that waits for a condition: for what has no descriptor or callback to wait on."""

    def wait(condition: Callable[[], T], *, within: float = 60.0, every: float = 0.01) -> T:
        give_up = time.monotonic() + within
        while not (found := condition()):
            if time.monotonic() > give_up:
                pytest.fail(f"not within {within} s: {getattr(condition, '__doc__', None) or condition}")
            time.sleep(every)
        return found

    return wait


@pytest.fixture(scope="session")
def fuzz_frames() -> int:
    """How many mutated frames a fuzz test feeds: few in an ordinary run, many by `make fuzz`."""
    return int(os.environ.get("PARAPHINA_FUZZ_FRAMES", "2000"))


@pytest.fixture(scope="session")
def conformance_dir() -> Path:
    """Give the folder of recorded venue payloads, or skip where there is none."""
    path = os.environ.get("PARAPHINA_CONFORMANCE_DIR")
    if not path:
        pytest.skip("PARAPHINA_CONFORMANCE_DIR is not set: no recorded payloads here")
    return Path(path)


@pytest.fixture(scope="session", autouse=True)
def _session_leaves_no_process() -> Iterator[None]:
    yield from _guarded(f"session-{uuid.uuid4()}")


@pytest.fixture(autouse=True)
def _test_leaves_no_process(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a slow test that leaves a process running, and end that process."""
    if request.node.get_closest_marker("slow") is None:
        yield
    else:
        yield from _guarded(f"{os.environ[MARK].split()[0]} {request.node.nodeid}")


def _guarded(mark: str) -> Iterator[None]:
    before = _started_here(mark)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(MARK, mark)
        yield
    left = [pid for pid in _started_here(mark) - before if not _ends(pid)]
    told = [f"{pid} {_command(pid)}" for pid in left]
    for pid in left:
        _kill(pid)
    if told:
        pytest.fail("left running: " + "; ".join(told))


def _started_here(mark: str) -> set[int]:
    """Children of this process, and whoever inherited ``mark`` from one, wherever they hang in the tree now."""
    found = set()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            state, parent = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
            environment = (entry / "environ").read_bytes()
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
        inherited = b"\0" + f"{MARK}={mark}".encode()
        if state not in "ZX" and (int(parent) == os.getpid() or inherited in b"\0" + environment):
            found.add(int(entry.name))
    return found


def _ends(pid: int) -> bool:
    """Whether the process is gone within the grace that one on its way out is given."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([descriptor], [], [], GRACE_S)[0])
    finally:
        os.close(descriptor)


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except (FileNotFoundError, ProcessLookupError):
        return "(gone)"


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    _ends(pid)
