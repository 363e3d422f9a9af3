"""Processes of a measurement: started, heard, measured and always ended."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Self

ROOT: Final = Path(__file__).resolve().parent.parent
CPU_CLOCK: Final = 2
"""The scheduler's clock of a process: what ``clock_getcpuclockid`` gives, in nanoseconds."""


def cpu_ns(pid: int) -> int:
    """CPU time of a running process with all its threads, user and system. Raises OSError when it is gone."""
    return time.clock_gettime_ns((~pid << 3) | CPU_CLOCK)


def rss_bytes(pid: int) -> int:
    """Resident memory of a process."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


class SilentError(RuntimeError):
    """A child did not say in time what it was waited for, or ended before."""


class Child:
    """A process of ours: lines in, lines out. Ends with its ``with`` block."""

    def __init__(
        self,
        arguments: Sequence[str],
        log: Path,
        *,
        environment: Mapping[str, str] | None = None,
        speaks: bool = True,
    ) -> None:
        """``python -m`` with these arguments. ``log`` gets its standard error, and its output unless it ``speaks``."""
        self.name = " ".join(arguments[:2])
        self._log = log
        self._file = log.open("ab")
        self.started_ns = time.monotonic_ns()
        self._process = subprocess.Popen(
            [sys.executable, "-m", *arguments],
            cwd=ROOT,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE if speaks else self._file,
            stderr=self._file,
        )
        self.pid = self._process.pid
        self._rest = b""

    def tell(self, line: str) -> None:
        """Write one line to its standard input."""
        if self._process.stdin is not None:
            self._process.stdin.write(line.encode() + b"\n")
            self._process.stdin.flush()

    def hear(self, word: str, timeout_s: float = 30.0) -> list[str]:
        """The rest of the next line that begins with this word; others are dropped. Raises SilentError."""
        until = time.monotonic() + timeout_s
        while True:
            line = self._line(until - time.monotonic())
            if line is None:
                raise SilentError(f"{self.name}: no {word!r} within {timeout_s:g} s\n{self._said()}")
            first, *rest = line.split(" ")
            if first == word:
                return rest

    def until(self, condition: Callable[[], bool], what: str, timeout_s: float = 30.0) -> None:
        """Wait for a condition that this child brings about. Raises SilentError."""
        until = time.monotonic() + timeout_s
        while not condition():
            if time.monotonic() > until or self._process.poll() is not None:
                raise SilentError(f"{self.name}: no {what} within {timeout_s:g} s\n{self._said()}")
            time.sleep(0.01)

    def quiet(self) -> None:
        """Drop what it has said so far."""
        while self._line(0.0) is not None:
            pass

    def cpu_ns(self) -> int:
        """CPU time used so far."""
        return cpu_ns(self.pid)

    def rss_bytes(self) -> int:
        """Resident memory."""
        return rss_bytes(self.pid)

    def kill(self) -> None:
        """SIGKILL, and wait."""
        self._process.kill()
        self._process.wait()

    def _line(self, timeout_s: float) -> str | None:
        if self._process.stdout is None:
            raise ValueError(f"{self.name} does not speak")
        fd = self._process.stdout.fileno()
        until = time.monotonic() + timeout_s
        while b"\n" not in self._rest:
            ready, _, _ = select.select([fd], [], [], max(0.0, until - time.monotonic()))
            data = os.read(fd, 65_536) if ready else b""
            if not data:
                return None
            self._rest += data
        line, _, self._rest = self._rest.partition(b"\n")
        return line.decode().rstrip()

    def _said(self) -> str:
        return self._log.read_text(errors="replace")[-2000:]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self.kill()
        for stream in (self._process.stdin, self._process.stdout, self._file):
            if stream is not None:
                with suppress(BrokenPipeError):
                    stream.close()
