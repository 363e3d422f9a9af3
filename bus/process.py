"""What a process says of itself once a second."""

from __future__ import annotations

from typing import Final

import msgspec

from bus.counters import Counters
from bus.events import Heartbeat

PERIOD_NS: Final = 1_000_000_000
"""Between heartbeats of one process."""


class Usage(msgspec.Struct, frozen=True, gc=False):
    """A process's use of the machine; ``bus.clock.usage`` reads it."""

    rss_bytes: int
    cpu_s: float


class Pulse:
    """Builds the heartbeats of one process.

    The shell calls ``late`` whenever it turns to something that was due, and when ``deadline`` has come publishes
    ``beat`` for market ``-``. The outbox fills in ``chains``.
    """

    def __init__(self, pid: int, started_ns: int, counters: Counters) -> None:
        self.deadline = 0
        """Monotonic ns when the next heartbeat is due; at once at first."""
        self._pid = pid
        self._started_ns = started_ns
        self._counters = counters
        self._worst_ns = 0

    def late(self, due_ns: int, mono_ns: int) -> None:
        """Something due at ``due_ns`` is being done at ``mono_ns``; the worst since the last beat is reported."""
        self._worst_ns = max(self._worst_ns, mono_ns - due_ns)

    def beat(self, usage: Usage, mono_ns: int, headroom: dict[str, float] | None = None) -> Heartbeat:
        """The heartbeat due now. Its own lateness counts as loop lag; missed ones are not made up for."""
        if self.deadline:
            self.late(self.deadline, mono_ns)
        self.deadline = max(self.deadline, mono_ns - PERIOD_NS) + PERIOD_NS if self.deadline else mono_ns + PERIOD_NS
        worst, self._worst_ns = self._worst_ns, 0
        return Heartbeat(
            self._pid,
            self._started_ns,
            self._counters.snapshot(),
            {},
            worst / 1e6,
            usage.rss_bytes,
            usage.cpu_s,
            headroom or {},
        )
