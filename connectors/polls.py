"""REST calls that are made for ever: once until they succeed, or again and again.

A funding poll that ended when its first request failed left a venue without funding for good; here a failure only ever
means "again, later".
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

import msgspec

from connectors.effects import Fetch, Now, Reply

FIRST_RETRY_NS: Final = 500_000_000
LAST_RETRY_NS: Final = 30_000_000_000
LOST_AFTER_NS: Final = 60_000_000_000
"""An answer that has not come by then is taken for a failure, whatever became of the worker."""


class _Poll(msgspec.Struct):
    make: Callable[[], Fetch]
    every_ns: int | None
    next: int | None
    failures: int = 0
    sent: int | None = None


class Polls:
    """Named calls, at most one of a name in flight. ``deadline`` is when ``due`` has something to send."""

    def __init__(self) -> None:
        self._polls: dict[tuple[str, str | None], _Poll] = {}

    @property
    def deadline(self) -> int | None:
        """Monotonic ns of the next call due, ``None`` when there is none."""
        times = [time for poll in self._polls.values() if (time := _time(poll)) is not None]
        return min(times) if times else None

    def add(self, make: Callable[[], Fetch], now: Now, *, every_ns: int | None = None, after_ns: int = 0) -> None:
        """Have ``make()`` sent ``after_ns`` from now until it succeeds, then again ``every_ns`` later if given.

        The name and market of what ``make`` returns are its key; adding the same key again replaces it.
        """
        sample = make()
        self._polls[sample.name, sample.market] = _Poll(make, every_ns, now.mono + after_ns)

    def remove(self, name: str, market: str | None = None) -> None:
        """Stop calling; an answer still on its way is the protocol's to ignore."""
        self._polls.pop((name, market), None)

    def due(self, now: Now) -> list[Fetch]:
        """Calls to be made now; each is in flight until ``done``."""
        found = []
        for poll in self._polls.values():
            time = _time(poll)
            if time is not None and time <= now.mono:
                if poll.sent is not None:
                    poll.failures += 1
                poll.sent, poll.next = now.mono, None
                found.append(poll.make())
        return found

    def done(self, request: Fetch, reply: Reply, now: Now, *, usable: bool) -> None:
        """An answer came. ``usable`` says whether the protocol could digest it; if not, it is asked again later.

        ``Retry-After`` is obeyed to the second.
        """
        poll = self._polls.get((request.name, request.market))
        if poll is None:
            return
        poll.sent = None
        if usable:
            poll.failures = 0
            poll.next = None if poll.every_ns is None else now.mono + poll.every_ns
        else:
            poll.next = now.mono + max(retry_delay_ns(poll.failures), retry_after_ns(reply))
            poll.failures += 1


def _time(poll: _Poll) -> int | None:
    return poll.next if poll.sent is None else poll.sent + LOST_AFTER_NS


def retry_delay_ns(failures: int) -> int:
    """Wait before the next try after so many failures in a row: 0.5 s doubling to 30 s."""
    return min(LAST_RETRY_NS, FIRST_RETRY_NS << min(failures, 10))


def retry_after_ns(reply: Reply) -> int:
    """The ``Retry-After`` of an answer in ns, 0 without one (a date form is not used by any venue here)."""
    text = reply.headers.get("retry-after", "")
    try:
        seconds = float(text)
    except ValueError:
        return 0
    return int(min(max(seconds, 0.0), 7 * 86_400.0) * 1e9)


class StandIns:
    """REST books for markets whose stream book has been unusable for a while, until it is usable again.

    The calls are polls named as ``make`` names them, one a market.
    """

    def __init__(
        self, polls: Polls, make: Callable[[str], Fetch], *, after_ns: int, every_ns: int, stale_ns: int
    ) -> None:
        self._polls = polls
        self._make = make
        self._after = after_ns
        self._every = every_ns
        self._stale = stale_ns
        self._begin: dict[str, int | None] = {}
        self._seen: dict[str, int] = {}

    def __contains__(self, market: str) -> bool:
        """Whether the stream book is missing."""
        return market in self._begin

    @property
    def deadline(self) -> int | None:
        """Monotonic ns when ``begin`` or ``expired`` has something to say."""
        times = [time for time in self._begin.values() if time is not None]
        times += [seen + self._stale for seen in self._seen.values()]
        return min(times, default=None)

    def missing(self, market: str, now: Now) -> None:
        """The stream book may not be used. Saying it again does not start the wait anew."""
        if market not in self._begin:
            self._begin[market] = now.mono + self._after

    def served(self, market: str) -> None:
        """The stream book is usable again, or the market is not wanted any more."""
        if market in self._begin:
            del self._begin[market]
            self._seen.pop(market, None)
            self._polls.remove(self._make(market).name, market)

    def seen(self, market: str, now: Now) -> None:
        """A REST book was published for it."""
        if market in self._begin:
            self._seen[market] = now.mono

    def begin(self, now: Now) -> None:
        """Start the calls of markets that have waited long enough; ``Polls.due`` makes them."""
        for market, time in self._begin.items():
            if time is not None and time <= now.mono:
                self._begin[market] = None
                self._polls.add(partial(self._make, market), now, every_ns=self._every)

    def expired(self, now: Now) -> list[str]:
        """Markets whose newest REST book has itself grown too old, each once."""
        old = [market for market, seen in self._seen.items() if seen + self._stale <= now.mono]
        for market in old:
            del self._seen[market]
        return old
