"""One connection that is to be kept open: what is known of it between and during its sessions."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from enum import Enum
from random import Random
from typing import Final

from connectors.backoff import HEALTHY_NS, Backoff
from connectors.budget import Window
from connectors.effects import Now

REJECT_LIMIT: Final = 20
"""Frames in a row that could not be digested after which the connection is given up (``decode_fail_loop``)."""


class Phase(Enum):
    """Where a link is in its cycle."""

    WAITING = "waiting"
    CONNECTING = "connecting"
    OPEN = "open"


class Link:
    """State of one wanted connection. ``key`` is unique among generations, ``conn`` is the protocol's name for it."""

    def __init__(self, key: str, conn: str, url: str, headers: Mapping[str, str], rng: Random) -> None:
        self.key = key
        self.conn = conn
        self.url = url
        self.headers = headers
        self.phase = Phase.WAITING
        self.backoff = Backoff(rng)
        self.retry_at = 0
        self.failures = 0
        """Attempts or short sessions in a row."""
        self.fruitless = 0
        """Those of them since a book was last live by it."""
        self.opened_at = 0
        self.last_rx = 0
        self.first_data: int | None = None
        self.rejects = 0
        self.outgoing: deque[str] = deque()
        self.messages = Window(None)

    def opened(self, now: Now, messages: Window) -> None:
        """The session is up, with a fresh message budget of its own."""
        self.phase = Phase.OPEN
        self.opened_at = self.last_rx = now.mono
        self.first_data = None
        self.rejects = 0
        self.outgoing.clear()
        self.messages = messages

    def rejected(self, problem: str) -> str | None:
        """A frame could not be digested. Why the connection is to be given up, if it is."""
        self.rejects += 1
        if self.rejects < REJECT_LIMIT or self.phase is not Phase.OPEN:
            return None
        return f"{self.rejects} bad frames in a row, last: {problem}"

    def redirected(self, url: str, headers: Mapping[str, str], now: Now) -> bool:
        """It is wanted like this. Whether what it has or is making must be dropped, and is to be made anew now."""
        if (self.url, self.headers) == (url, headers):
            return False
        self.url, self.headers = url, headers
        if self.phase is Phase.WAITING:
            return False
        self.phase, self.retry_at = Phase.WAITING, now.mono
        return True

    def healthy(self) -> bool:
        """Whether data has flowed for long enough to forget the past."""
        return self.first_data is not None and self.last_rx - self.first_data >= HEALTHY_NS

    def lost(self, now: Now, *, not_before: int) -> int:
        """The session ended or the attempt failed: plan the next one. The wait in ns."""
        if self.healthy():
            self.backoff.reset()
            self.failures = 0
        self.failures += 1
        self.fruitless += 1
        self.phase = Phase.WAITING
        self.outgoing.clear()
        wait = max(self.backoff.delay_ns(), not_before - now.mono)
        self.retry_at = now.mono + wait
        return wait
