"""Log lines of many processes in one order: by the time they carry, each held back a little for those still to come."""

from __future__ import annotations

import heapq
from datetime import UTC, datetime
from typing import Final

from cli.evidence.logs import time_of

HOLD_MS: Final = 1_000
"""A line that comes later than this after a younger one of another process is written behind it."""
STAMP_BYTES: Final = 80
"""Where a line's own time is, if it has one."""


class Merger:
    """Lines in, lines out in time order. Times are wall clock ms."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, bytes]] = []
        self._last: dict[str, float] = {}
        self._serial = 0

    def take(self, process: str, line: bytes, read_ms: float) -> None:
        """One line, without its end, as read from the log of a process.

        One without a time of its own (a traceback, another program's words) gets that of the line before it, and its
        process's name, which it may not say.
        """
        at_ms = time_of(line[:STAMP_BYTES].decode(errors="replace"))
        if at_ms is None:
            at_ms = _foreign(line) or self._last.get(process, read_ms)
            line = b"time=%s process=%s | %s" % (_stamp(at_ms), process.encode(), line)
        self._last[process] = at_ms
        self._serial += 1
        heapq.heappush(self._heap, (at_ms, self._serial, line))

    def due(self, now_ms: float) -> list[bytes]:
        """Lines that nothing older can be expected before."""
        return self._until(now_ms - HOLD_MS)

    def rest(self) -> list[bytes]:
        """All that is held back."""
        return self._until(float("inf"))

    def _until(self, limit_ms: float) -> list[bytes]:
        found = []
        while self._heap and self._heap[0][0] <= limit_ms:
            found.append(heapq.heappop(self._heap)[2])
        return found


def _foreign(line: bytes) -> float | None:
    """Time of a line of supervisord's own log, which is local: ``2026-11-22 00:15:54,161 INFO …``."""
    try:
        text = line[:23].decode("ascii").replace(",", ".")
        return datetime.strptime(text, "%Y-%m-%d %H:%M:%S.%f").astimezone().timestamp() * 1_000
    except ValueError:
        return None


def _stamp(ms: float) -> bytes:
    return datetime.fromtimestamp(ms / 1_000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z").encode()
