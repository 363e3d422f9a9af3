"""One process of a name in a run directory: whoever finds its place taken by an orphan of a dead supervisor ends it.

supervisord's children go on when it dies, and a new supervisord starts them all a second time. Two connectors of one
venue would spend its limits twice, two runners would write one file, so a newcomer takes the place of an orphan. The
place of a process whose parent lives is not taken.
"""

from __future__ import annotations

import fcntl
import os
import select
import signal
import struct
from contextlib import suppress
from pathlib import Path
from typing import Final, Protocol

from bus.errors import TransportError
from bus.settings import Settings

TERM_S: Final = 2.0
"""What an orphan may take to end by itself; then it is killed."""
KILL_S: Final = 5.0
_FLOCK: Final = "hhqqi4x"
"""struct flock of 64-bit Linux: type, whence, start, length, pid."""


class Lease:
    """The place taken, until the process ends. ``orphan`` is the pid of the process that was ended for it, if any."""

    def __init__(self, descriptor: int, orphan: int | None) -> None:
        self.orphan = orphan
        self._descriptor = descriptor

    def release(self) -> None:
        """Give the place up."""
        os.close(self._descriptor)


def take(run_dir: Path, name: str) -> Lease:
    """Take the place of ``name``; waits for an orphan to end.

    Raises TransportError when another process holds it that has not lost its parent, OSError when there can be no
    lock file.
    """
    run_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(run_dir / f"{name}.pid", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    orphan = None
    try:
        while not _locked(descriptor):
            holder = _holder(descriptor)
            if holder is None:
                continue
            _end_orphan(holder, name, descriptor)
            orphan = holder
        with suppress(OSError):
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()} {os.getppid()}\n".encode(), 0)
    except BaseException:
        os.close(descriptor)
        raise
    return Lease(descriptor, orphan)


class Log(Protocol):
    """What is used of the logger."""

    def warning(self, event: str, **fields: object) -> object:
        """Write one line."""
        ...


def hold(settings: Settings, name: str, log: Log) -> Lease | None:
    """``take`` for a process on its start, with a line for what is out of the ordinary.

    ``None`` when there can be no lock file (the disk is full, the directory not ours): better two than none. Raises
    TransportError as ``take``.
    """
    line = settings.run.line
    try:
        lease = take(settings.run_dir, name if line == "a" else f"{name}.{line}")
    except OSError as error:
        log.warning("no_lock_file", problem=str(error))
        return None
    if lease.orphan is not None:
        log.warning("orphan_ended", pid=lease.orphan, detail="left over from a supervisord that is gone")
    return lease


def _locked(descriptor: int) -> bool:
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    return True


def _holder(descriptor: int) -> int | None:
    """Who holds the lock, from the kernel; ``None`` when it has just been given up."""
    asked = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
    kind, _, _, _, pid = struct.unpack(_FLOCK, fcntl.fcntl(descriptor, fcntl.F_GETLK, asked))
    return None if kind == fcntl.F_UNLCK else int(pid)


def _is_orphan(pid: int, descriptor: int) -> bool:
    """Whether its parent is another than when it took the place; without a record, whether that is init."""
    try:
        parent = int(Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[1])
    except (OSError, IndexError, ValueError):
        return True
    words = os.pread(descriptor, 64, 0).split()
    if len(words) == 2 and words[0] == str(pid).encode():  # noqa: PLR2004 - pid and parent
        return words[1] != str(parent).encode()
    return parent == 1


def _end_orphan(pid: int, name: str, descriptor: int) -> None:
    if not _is_orphan(pid, descriptor):
        raise TransportError(f"another {name} is running here, pid {pid}")
    for number, patience_s in ((signal.SIGTERM, TERM_S), (signal.SIGKILL, KILL_S)):
        try:
            watched = os.pidfd_open(pid)
        except ProcessLookupError:
            return
        try:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(watched, number)
            ended, _, _ = select.select([watched], [], [], patience_s)
        finally:
            os.close(watched)
        if ended:
            return
