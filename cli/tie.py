"""Lives that hang together: a child that does not outlive its parent, and orphans that come back to us."""

from __future__ import annotations

import ctypes
import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

_PR_SET_PDEATHSIG: Final = 1
_PR_SET_CHILD_SUBREAPER: Final = 36
"""Numbers of linux/prctl.h."""


def die_with(parent: int) -> Callable[[], None]:
    """For ``preexec_fn``: SIGTERM when the thread that started the child ends, however it ends.

    The kernel forgets it at the child's own forks.
    """
    prctl = _libc().prctl

    def tie() -> None:
        prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)
        if os.getppid() != parent:
            # It ended before the tie was made.
            os.kill(os.getpid(), signal.SIGTERM)

    return tie


def adopt_orphans() -> None:
    """From now on descendants whose parent dies become our children, so that ``end_children`` finds them."""
    if _libc().prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


def children() -> list[int]:
    """Processes whose parent is this one."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError, ValueError):
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                if int(fields[1]) == os.getpid() and fields[0] != "Z":
                    found.append(int(entry.name))
    return found


def end_children(grace_s: float) -> list[int]:
    """End every child, and theirs as they become ours: by SIGTERM, after the grace by SIGKILL. Gives whom it hit."""
    hit: list[int] = []
    until = time.monotonic() + grace_s
    while left := children():
        number = signal.SIGTERM if time.monotonic() < until else signal.SIGKILL
        for pid in left:
            if pid not in hit or number == signal.SIGKILL:
                with suppress(ProcessLookupError):
                    os.kill(pid, number)
            hit = hit if pid in hit else [*hit, pid]
        time.sleep(0.02)
        _reap()
    _reap()
    return hit


def _reap() -> None:
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)
