"""Stopping the plane: what is dead is not waited for."""

from __future__ import annotations

import os
import subprocess
import sys

from cli.up import ended
from tests.conftest import Eventually


def test_a_process_has_ended_when_it_is_dead_even_if_nobody_reaps_it(eventually: Eventually) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        assert not ended(process.pid)
        process.kill()
        eventually(lambda: ended(process.pid))
        assert os.path.exists(f"/proc/{process.pid}")  # noqa: PTH110 - not reaped yet: that is the point
    assert ended(process.pid)
