"""The machine: interpreter, packages, limits, load, clock."""

from __future__ import annotations

import ctypes
import os
import platform
import re
import resource
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Final

import msgspec

from cli.checks import Check
from cli.manifest import LOCK, PACKAGE, locked

LEAST_PYTHON: Final = (3, 11)
MIN_FILES: Final = 4_096
"""``minfds`` of supervisord.conf: with a lower hard limit supervisord does not start."""
MIN_PROCESSES: Final = 200
"""Nine processes with a few threads each, the simulator's included."""
BUSY: Final = 1.5
"""Load per CPU above which ages are the host's rather than the venues'."""
MIN_CPUS: Final = 2


def interpreter(version: Sequence[int] = sys.version_info[:3]) -> Check:
    """Python's version."""
    text = ".".join(str(part) for part in version)
    tested = f"Python {text} at {sys.executable}"
    if tuple(version[:2]) < LEAST_PYTHON:
        return Check(
            "interpreter", "fail", tested, f"Python {text}; 3.11 or newer is needed", "make install PYTHON=..."
        )
    return Check("interpreter", "ok", tested, f"{platform.python_implementation()} {text}")


def packages(pins: Mapping[str, str] | None = None, installed: Callable[[str], str | None] | None = None) -> Check:
    """What is installed against requirements.lock."""
    pins = locked() if pins is None else pins
    installed = installed or _installed
    tested = f"installed versions against {LOCK.name}"
    fix = "make install"
    if not pins:
        return Check("packages", "warn", tested, f"there is no {LOCK.name}", "Run from a checkout.")
    found = {name: installed(name) for name in pins}
    needed = _needed(PACKAGE, frozenset(pins))
    missing = [name for name in pins if found[name] is None and name in needed]
    other = [f"{name} {found[name]} (locked {pin})" for name, pin in pins.items() if found[name] not in {None, pin}]
    if missing:
        return Check("packages", "fail", tested, f"missing: {', '.join(missing)}", fix)
    if other:
        return Check("packages", "warn", tested, f"other versions than tested: {', '.join(other)}", fix)
    return Check("packages", "ok", tested, f"{sum(version is not None for version in found.values())} as locked")


def _installed(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _needed(package: str, known: frozenset[str]) -> set[str]:
    """What a package needs without extras, and what that needs: names of the lock."""
    found: set[str] = set()
    waiting = [package]
    while waiting:
        try:
            requirements = metadata.requires(waiting.pop()) or []
        except metadata.PackageNotFoundError:
            continue
        for text in requirements:
            match = re.match(r"[A-Za-z0-9._-]+", text)
            name = "" if match is None else re.sub(r"[-_.]+", "-", match[0]).lower()
            if "extra ==" not in text and name in known and name not in found:
                found.add(name)
                waiting.append(name)
    return found


def open_files(limits: tuple[int, int] | None = None) -> Check:
    """RLIMIT_NOFILE."""
    soft, hard = limits or resource.getrlimit(resource.RLIMIT_NOFILE)
    tested, found = "RLIMIT_NOFILE", f"{_limit(soft)} open files, at most {_limit(hard)}"
    if hard != resource.RLIM_INFINITY and hard < MIN_FILES:
        fix = f"Raise the hard limit to {MIN_FILES:,} (ulimit -Hn, limits.conf, or LimitNOFILE of the service)."
        return Check("open files", "fail", tested, f"{found}; supervisord needs {MIN_FILES:,}", fix)
    return Check("open files", "ok", tested, found)


def processes(limits: tuple[int, int] | None = None, running: int | None = None) -> Check:
    """RLIMIT_NPROC, which counts threads of the user."""
    soft, _ = limits or resource.getrlimit(resource.RLIMIT_NPROC)
    tested = "RLIMIT_NPROC against the user's threads"
    if soft == resource.RLIM_INFINITY:
        return Check("processes", "ok", tested, "no limit")
    present = _threads() if running is None else running
    found = f"{present:,} of at most {soft:,} threads of this user"
    # The kernel does not hold root to it.
    if os.geteuid() != 0 and soft - present < MIN_PROCESSES:
        return Check("processes", "fail", tested, f"{found}; {MIN_PROCESSES} more are needed", "Raise ulimit -u.")
    return Check("processes", "ok", tested, found)


def _threads() -> int:
    ours, count = os.geteuid(), 0
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if entry.stat().st_uid == ours:
                    count += sum(1 for _ in (entry / "task").iterdir())
            except OSError:
                continue
    return count


def _limit(value: int) -> str:
    return "no limit" if value == resource.RLIM_INFINITY else f"{value:,}"


def load(cpus: int | None = None, average: float | None = None) -> Check:
    """CPUs, and what they do already."""
    cpus = cpus or len(os.sched_getaffinity(0))
    average = os.getloadavg()[0] if average is None else average
    tested, found = "CPU count and load of the last minute", f"{cpus} CPUs, load {average:.2f}"
    data = {"cpus": cpus, "load": average}
    if cpus < MIN_CPUS:
        fix = "Give the run two CPUs at least: latencies are queueing otherwise."
        return Check("CPU", "warn", tested, found, fix, data)
    if average / cpus > BUSY:
        fix = "End what else is running: ages and latencies will show the host rather than the venues."
        return Check("CPU", "warn", tested, found, fix, data)
    return Check("CPU", "ok", tested, found, data=data)


class _Timex(ctypes.Structure):
    """``struct timex`` of linux/timex.h, as far as it is read; the kernel writes the rest of it too."""

    _fields_ = [
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_byte * 256),
    ]


class Clock(msgspec.Struct, frozen=True):
    """What the kernel says of its clock; errors in ms."""

    disciplined: bool
    offset_ms: float
    max_error_ms: float


_STA_UNSYNC: Final = 0x0040
_STA_NANO: Final = 0x2000


def kernel_clock() -> Clock | None:
    """``adjtimex`` without changing anything; ``None`` where it is not allowed."""
    timex = _Timex()
    if ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.byref(timex)) < 0:
        return None
    scale = 1e6 if timex.status & _STA_NANO else 1e3
    return Clock(not timex.status & _STA_UNSYNC, timex.offset / scale, timex.maxerror / 1e3)


SKEW_FAIL_MS: Final = 1_000.0
SKEW_WARN_MS: Final = 100.0


def clock(kernel: Clock | None, skews_ms: Mapping[str, float]) -> Check:
    """The wall clock, from the kernel and from what venues' own times say. Event ages depend on it.

    ``skews_ms``: our clock minus a venue's at its first data, network included. A clock of ours that is wrong is wrong
    against most of them; against one alone, it is that venue's.
    """
    tested = "adjtimex" + (f", and the times of {', '.join(skews_ms)}" if skews_ms else "; no venue's time was seen")
    data = {"kernel": None if kernel is None else msgspec.to_builtins(kernel), "skews_ms": dict(skews_ms)}
    ours = _ours(skews_ms)
    if ours is not None and abs(ours) > SKEW_FAIL_MS:
        side = "ahead of" if ours > 0 else "behind"
        told = ", ".join(f"{venue} {skew / 1e3:+.2f} s" for venue, skew in skews_ms.items())
        found = f"our clock is about {abs(ours) / 1e3:.2f} s {side} the venues' ({told})"
        return Check(
            "clock", "fail", tested, found, "Set the clock: chronyc makestep, or timedatectl set-ntp true.", data
        )
    if kernel is None:
        return Check("clock", "skip", tested, "the kernel does not tell here", "Ask chronyc tracking.", data)
    words = f"offset {kernel.offset_ms:.3f} ms, error at most {kernel.max_error_ms:,.1f} ms"
    if not kernel.disciplined:
        fix = "Start chrony or systemd-timesyncd; event ages are only as good as this clock."
        return Check("clock", "warn", tested, f"nothing disciplines the clock ({words})", fix, data)
    if abs(kernel.offset_ms) > SKEW_WARN_MS:
        return Check("clock", "warn", tested, f"disciplined, but {words}", "Wait until it has settled.", data)
    return Check("clock", "ok", tested, f"disciplined, {words}", data=data)


def _ours(skews_ms: Mapping[str, float]) -> float | None:
    """The middle one, when there are enough to tell whose clock is wrong."""
    if len(skews_ms) < 2:  # noqa: PLR2004 - one venue against us is one word against another
        return None
    ranked = sorted(skews_ms.values())
    middle = len(ranked) // 2
    return ranked[middle] if len(ranked) % 2 else min(ranked[middle - 1 : middle + 1], key=abs)
