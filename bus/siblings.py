"""Ends a sentinel that hangs: done by those who hear it, because nobody else watches who watches all."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import Final, Protocol

from bus.events import Process
from bus.warden import SENTINEL, Warden

PROGRAM: Final = f"{SENTINEL}:{SENTINEL}"


class Log(Protocol):
    """What is used of the logger."""

    def warning(self, event: str, **fields: object) -> object:
        """Write one line."""
        ...


class Watchman:
    """Acts for a ``Warden``: first the stacks of a sentinel that hangs, and its end when called the next time.

    supervisord starts another.
    """

    def __init__(self, warden: Warden, finder: str, log: Log) -> None:
        """``finder``: who does this, for the log."""
        self._warden = warden
        self._finder = finder
        self._log = log
        self._hung: tuple[int, int] | None = None
        """Pid and descriptor of a sentinel that has been asked for its stacks."""

    def look(self, mono: int) -> Process | None:
        """A few times a second, or once. What is to be published of it, if anything."""
        if self._hung is not None:
            pid, descriptor = self._hung
            self._hung = None
            _send(descriptor, signal.SIGKILL)
            os.close(descriptor)
            self._log.warning("ended", program=PROGRAM, pid=pid)
        due = self._warden.due(mono)
        found = None if due is None else sibling(due, SENTINEL)
        if due is None or found is None:
            return None
        why = f"no heartbeat for {self._warden.patience_ns / 1e9:g} s, found by the {self._finder}"
        self._log.warning("hung", program=PROGRAM, pid=due, detail=why)
        _send(found, signal.SIGUSR1)
        self._hung = due, found
        return Process(PROGRAM, "hung", due, why, None, None)


def sibling(pid: int, module: str) -> int | None:
    """A descriptor of this process if it is ``python -m module`` and has our own parent; else ``None``."""
    try:
        descriptor = os.pidfd_open(pid)
    except OSError:
        return None
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        parent = int(Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[1])
    except (OSError, ValueError, IndexError):
        words, parent = [], 0
    if words[1:3] == [b"-m", module.encode()] and parent == os.getppid():
        return descriptor
    os.close(descriptor)
    return None


def _send(descriptor: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        signal.pidfd_send_signal(descriptor, number)
