"""What the sentinel thinks of supervisord itself: is its control socket there, and who starts it when it dies.

A supervisord whose socket was deleted runs on, but nobody can ask it anything: no status, no revival, no respawn at
once. Only a restart of its own (SIGHUP) binds the socket anew; that also restarts every program. One that dies leaves
its programs running and takes with it what would respawn them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

SECOND: Final = 1_000_000_000
LOOK_NS: Final = SECOND
"""Between two looks at the socket."""
MISSING_NS: Final = 2 * SECOND
"""The socket has been away for so long: it is not merely being replaced."""
FIRST_HOLD_NS: Final = 60 * SECOND
LAST_HOLD_NS: Final = 3_600 * SECOND
"""A restart of everything that did not help is tried again, ever more seldom."""
YOUNG_S: Final = 5.0
"""A supervisord that lived no longer is not started again before so long has passed."""
LAST_WAIT_S: Final = 60.0


class Control:
    """Judges the control socket; ``deadline`` is when to look again."""

    def __init__(self, now: int) -> None:
        self.deadline = now
        self._missing_since: int | None = None
        self._hold_until = now
        self._hold = FIRST_HOLD_NS

    def looked(self, now: int, *, present: bool) -> bool:
        """The socket is there or not. Whether supervisord is to be restarted now."""
        self.deadline = now + LOOK_NS
        if present:
            self._missing_since = None
            return False
        if self._missing_since is None:
            self._missing_since = now
        if now - self._missing_since < MISSING_NS or now < self._hold_until:
            return False
        self._hold_until, self._hold = now + self._hold, min(LAST_HOLD_NS, 2 * self._hold)
        return True


def configuration(command: Sequence[str]) -> str | None:
    """The configuration file that a supervisord command names, ``None`` when it has to be searched for."""
    for index, word in enumerate(command):
        if word in {"-c", "--configuration"}:
            return command[index + 1] if index + 1 < len(command) else None
        if word.startswith("--configuration="):
            return word.partition("=")[2]
        if word.startswith("-c") and not word.startswith("--"):
            return word[2:]
    return None


def is_ours(command: Sequence[str], *, nodaemon: bool) -> bool:
    """Whether this supervisord has nobody else to start it: in the foreground (``-n``) it belongs to who started it."""
    return bool(command) and not nodaemon and not {"-n", "--nodaemon"} & set(command)


def wait_s(attempts: int, uptime_s: float) -> float:
    """How long to wait before the next start, after so many that failed and a life of so long before them."""
    if not attempts:
        return max(0.0, YOUNG_S - uptime_s)
    return min(LAST_WAIT_S, 2.0 ** min(attempts - 1, 10))
