"""The guard against processes left behind is itself seen to bark, and only then."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]
pytestmark = pytest.mark.slow

CONFTEST = Path(__file__).with_name("conftest.py")
HEAD = """
import subprocess, pytest
pytestmark = pytest.mark.slow
"""


def run(pytester: pytest.Pytester, test: str) -> pytest.RunResult:
    """Run one test file under our conftest, in a pytest of its own."""
    shutil.copy(CONFTEST, pytester.path / "conftest.py")
    pytester.makeini("[pytest]\nmarkers = slow: starts processes\n")
    pytester.makepyfile(HEAD + test)
    return pytester.runpytest_subprocess("-p", "no:cacheprovider")


def runs(pid: str) -> bool:
    """Whether a process is there and more than the remains of one (not every container's init collects those)."""
    status = Path(f"/proc/{pid}/status")
    return status.exists() and "State:\tZ" not in status.read_text()


def test_a_test_that_leaves_a_detached_process_fails_and_the_process_is_ended(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
def test_leaves():
    subprocess.run(["sh", "-c", "setsid sleep 300 >/dev/null 2>&1 & echo $! >pid"], check=True)
""",
    )
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*left running: * sleep 300*"])
    assert not runs((pytester.path / "pid").read_text().strip())


def test_a_test_that_ends_what_it_started_passes(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
def test_tidy():
    child = subprocess.Popen(["sleep", "300"])
    child.kill()
    child.wait()
""",
    )
    result.assert_outcomes(passed=1)
