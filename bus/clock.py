"""The one place where shells read clocks and this process's own use of the machine."""

from __future__ import annotations

import os
import time

from bus.process import Usage

_PAGE = os.sysconf("SC_PAGE_SIZE")
_STATM = os.open("/proc/self/statm", os.O_RDONLY | os.O_CLOEXEC)
# Kept open: a process that has run out of descriptors must still be able to say that it lives.

mono = time.monotonic_ns
"""Monotonic ns: deadlines, ages, order. The same for all processes of a host."""

wall = time.time_ns
"""Wall clock ns: only for comparison with what others claim."""


def now() -> tuple[int, int]:
    """Both clocks in one reading, ``(mono_ns, wall_ns)``: once a step of a shell's loop."""
    return time.monotonic_ns(), time.time_ns()


def usage() -> Usage:
    """Memory and CPU of this process."""
    times = os.times()
    return Usage(int(os.pread(_STATM, 256, 0).split()[1]) * _PAGE, times.user + times.system)


def outlast_start() -> None:
    """Wait until supervisord takes this process for started (``startsecs`` is 1).

    Whatever ends sooner it tries again, whatever its exit code says; so one that cannot use its settings waits first.
    ``startsecs = 0`` would do without, but then nothing ever counts as a failed start: no backoff and no FATAL for a
    program that dies at once.
    """
    time.sleep(1.5)
