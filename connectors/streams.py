"""Subscribed streams and what is due from each: acknowledgement, first data, and never more than so much silence.

Liveness is kept per stream, not per socket: trades keep a socket busy while its book is dead.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from enum import Enum

import msgspec

from connectors.effects import Now


def earliest(*times: int | None) -> int | None:
    """The smallest of them that is set; ``None`` when none is."""
    return min((time for time in times if time is not None), default=None)


class Verdict(Enum):
    """What a stream failed to do in time."""

    ACK = "no acknowledgement"
    FIRST = "no first data"
    SILENT = "silent"


class Patience(msgspec.Struct, frozen=True):
    """How long a kind of stream may take, in ns; ``None``: it may take for ever (trades whenever)."""

    ack_ns: int | None = None
    """From the request to its acknowledgement."""
    first_ns: int | None = None
    """From the request to the first data (or snapshot)."""
    silence_ns: int | None = None
    """Between data once there has been some."""


class Stream(msgspec.Struct):
    """One subscription. Times are monotonic ns."""

    conn: str
    key: str
    """The venue's name for it, unique in the protocol."""
    kind: str
    """What it carries: ``book``, ``bbo``, ``trade``, ``stats`` …"""
    market: str
    patience: Patience
    requested: int
    acked: int | None = None
    first: int | None = None
    last: int | None = None
    judged: int | None = None
    """When ``overdue`` last named it: silence is counted anew from there, so that one stall is one verdict a period."""

    def silent_ns(self, now: Now) -> int:
        """How long it has shown no data, since its request when it never has."""
        return now.mono - (self.requested if self.last is None else self.last)

    def due(self) -> tuple[int, Verdict] | None:
        """When the next thing is due, and what it means if that does not come."""
        patience, found = self.patience, None
        since = self.requested if self.judged is None else self.judged
        if self.last is not None:
            if patience.silence_ns is not None:
                found = (max(self.last, since) + patience.silence_ns, Verdict.SILENT)
            return found
        if patience.first_ns is not None:
            found = (since + patience.first_ns, Verdict.FIRST)
        if self.acked is None and patience.ack_ns is not None:
            ack = (since + patience.ack_ns, Verdict.ACK)
            found = ack if found is None else min(found, ack, key=lambda due: due[0])
        return found


class Streams:
    """All streams of one protocol by key. ``deadline`` may be early, never late."""

    def __init__(self) -> None:
        self.deadline: int | None = None
        self._by_key: dict[str, Stream] = {}

    def __iter__(self) -> Iterator[Stream]:
        return iter(self._by_key.values())

    def get(self, key: str) -> Stream | None:
        """The stream of this key, ``None`` when not subscribed."""
        return self._by_key.get(key)

    def request(self, stream: Stream) -> None:
        """A subscribe request is being sent; replaces an earlier one of the same key."""
        self._by_key[stream.key] = stream
        self._arm()

    def ack(self, key: str, now: Now) -> bool:
        """The venue acknowledged. False when nothing of that key was asked for."""
        stream = self._by_key.get(key)
        if stream is None:
            return False
        stream.acked = now.mono
        return True

    def data(self, key: str, now: Now) -> bool:
        """Data of a stream arrived. False when nothing of that key was asked for."""
        stream = self._by_key.get(key)
        if stream is None:
            return False
        if stream.first is None:
            stream.first = now.mono
            stream.last = now.mono
            self._arm()
        else:
            stream.last = now.mono
        return True

    def drop(self, key: str) -> None:
        """The stream was unsubscribed or refused."""
        self._by_key.pop(key, None)

    def forget(self, conn: str) -> None:
        """A connection is gone with all its streams."""
        self._by_key = {key: stream for key, stream in self._by_key.items() if stream.conn != conn}
        self._arm()

    def overdue(self, now: Now) -> list[tuple[Stream, Verdict]]:
        """Streams that have missed what was due, each once a period of its patience."""
        found = []
        for stream in self._by_key.values():
            due = stream.due()
            if due is not None and due[0] <= now.mono:
                stream.judged = now.mono
                found.append((stream, due[1]))
        self._arm()
        return found

    def _arm(self) -> None:
        dues = [due[0] for stream in self._by_key.values() if (due := stream.due()) is not None]
        self.deadline = min(dues) if dues else None


class Requests:
    """Streams to be subscribed, with at most ``window`` requests unanswered at a time (``None``: any number)."""

    def __init__(self, streams: Streams, window: int | None = None) -> None:
        self.window = window
        self._streams = streams
        self._waiting: deque[Stream] = deque()

    def __len__(self) -> int:
        """Streams not asked for yet."""
        return len(self._waiting)

    def add(self, stream: Stream) -> None:
        """Ask for it in its turn; its ``requested`` time is set then."""
        self._waiting.append(stream)

    def clear(self) -> None:
        """Forget what has not been asked for."""
        self._waiting.clear()

    def forget(self, market: str) -> None:
        """A market is not wanted any more: do not ask for its streams."""
        self._waiting = deque(stream for stream in self._waiting if stream.market != market)

    def unanswered(self) -> list[Stream]:
        """Streams asked for that have shown neither an acknowledgement nor data."""
        return [stream for stream in self._streams if stream.acked is None and stream.first is None]

    def due(self, now: Now) -> list[Stream]:
        """Streams to be asked for now, registered as requested; call again after an answer.

        What has been found overdue holds nobody up: it may never be answered.
        """
        count = len(self._waiting)
        if self.window is not None and count:
            count = min(count, self.window - sum(stream.judged is None for stream in self.unanswered()))
        found = [self._waiting.popleft() for _ in range(count)]
        for stream in found:
            stream.requested = now.mono
            self._streams.request(stream)
        return found


class Beat(Enum):
    """What a keepalive wants done now."""

    QUIET = "nothing"
    PING = "send a ping"
    DEAD = "give the connection up"


class Keepalive:
    """Pings of ours on one connection: when the next is due, and when a missing answer means that nobody is there."""

    def __init__(self, interval_ns: int, patience_ns: int) -> None:
        """``patience_ns``: age of the oldest unanswered ping at which the connection is dead."""
        self.deadline: int | None = None
        self._interval = interval_ns
        self._patience = patience_ns
        self._next: int | None = None
        self._unanswered: int | None = None

    def opened(self, now: Now) -> None:
        """The connection is up: the first ping is due one interval from now."""
        self._next, self._unanswered = now.mono + self._interval, None
        self._arm()

    def closed(self) -> None:
        """The connection is gone: nothing is due."""
        self._next = self._unanswered = None
        self._arm()

    def answered(self) -> None:
        """A pong came, for whichever ping."""
        self._unanswered = None
        self._arm()

    def due(self, now: Now) -> Beat:
        """What is to be done now; ``PING`` is taken for done, ``DEAD`` is said until ``closed``."""
        if self._next is None:
            return Beat.QUIET
        if self._unanswered is not None and now.mono >= self._unanswered + self._patience:
            return Beat.DEAD
        if now.mono < self._next:
            return Beat.QUIET
        self._next = now.mono + self._interval
        if self._unanswered is None:
            self._unanswered = now.mono
        self._arm()
        return Beat.PING

    def _arm(self) -> None:
        late = None if self._unanswered is None else self._unanswered + self._patience
        self.deadline = earliest(self._next, late)
