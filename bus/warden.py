"""Who watches the sentinel: whoever hears its heartbeats. The runner first; the publisher, should both hang at once."""

from __future__ import annotations

from typing import Final

MS: Final = 1_000_000
SENTINEL: Final = "sentinel"
PUBLISHER: Final = "publisher"
BUS_NS: Final = 1_500 * MS
"""The publisher beats each second: silent for longer, the bus is, and nobody's silence proves anything."""
PAUSE_NS: Final = 1_000 * MS
"""When this process itself was not running for longer, what it did not hear in that time proves nothing."""
HOLD_CAP_NS: Final = 1_800_000 * MS


class Warden:
    """Judges the sentinel by its heartbeats; ``due`` is to be called more often than every ``pause_ns``."""

    def __init__(self, patience_ns: int, pause_ns: int = PAUSE_NS) -> None:
        self.patience_ns = patience_ns
        self._pause = pause_ns
        self._pid: int | None = None
        self._heard = 0
        self._bus = 0
        self._looked: int | None = None
        self._hold_until = 0
        self._ended = 0

    def heard(self, name: str, pid: int, at: int) -> None:
        """A heartbeat of this process, sent at monotonic ``at``."""
        if name == PUBLISHER:
            self._bus = max(self._bus, at)
        elif name == SENTINEL and at > self._heard:
            self._pid, self._heard = pid, at

    def due(self, now: int) -> int | None:
        """The pid of a sentinel that hangs and is to be ended, each once."""
        paused = self._looked is None or now - self._looked > self._pause
        self._looked = now
        if paused or now - self._bus > BUS_NS:
            self._heard = max(self._heard, now) if self._pid is not None else self._heard
            return None
        if self._pid is None or now - self._heard <= self.patience_ns or now < self._hold_until:
            return None
        pid, self._pid = self._pid, None
        self._hold_until = now + min(HOLD_CAP_NS, self.patience_ns << min(self._ended, 16))
        self._ended += 1
        return pid
