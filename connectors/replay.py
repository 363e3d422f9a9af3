"""A delta book whose stream begins with an old snapshot and a replay of everything since.

Such a stream looks complete from its first frame on, and is up to a minute behind until the replay is drained. How that
end is told depends on what the venue's time stamps say; without any it is told by the pace of arrival alone.
"""

from __future__ import annotations

from enum import Enum
from typing import Final, TypeAlias

import msgspec

from bus.counters import Counter
from bus.events import Reason, Trust
from connectors.effects import Count, Effects, Now
from connectors.feed import MarketFeed

Levels: TypeAlias = tuple[list[float], list[float], list[float], list[float]]
"""bid_px, bid_sz, ask_px, ask_sz."""

UNFIT_FRAMES: Final = 3
UNFIT_NS: Final = 1_000_000_000
"""A book that is crossed, or has lost a side, after so many whole frames or so long is wrong."""


class VenueClock:
    """The venue's clock as its live streams tell it: the largest recent difference to our monotonic clock.

    Delay only ever makes the difference smaller, so the largest is the truest; it is forgotten after two windows, lest
    a clock set back block everything that is compared with it.
    """

    def __init__(self, window_ns: int) -> None:
        self._window = window_ns
        self._turn: int | None = None
        self._recent = 0
        self._older: int | None = None

    def sample(self, venue_ns: int, now: Now) -> None:
        """A frame that the venue sent as it happened. A replayed one would do no harm unless all were replayed."""
        difference = venue_ns - now.mono
        if self._turn is None or now.mono >= self._turn:
            fresh = self._turn is not None and now.mono < self._turn + self._window
            self._older = self._recent if fresh else None
            self._recent, self._turn = difference, now.mono + self._window
        elif difference > self._recent:
            self._recent = difference

    def at(self, now: Now) -> int | None:
        """The venue's time now, ns; ``None`` when nothing has told it lately."""
        if self._turn is None or now.mono >= self._turn + self._window:
            return None
        return now.mono + (self._recent if self._older is None else max(self._recent, self._older))


class Patience(msgspec.Struct, frozen=True):
    """When a replay counts as drained, in ns."""

    fresh_ns: int
    """A frame stamped at most so long before the venue's clock is not replayed (only where stamps are original)."""
    pace_ns: int
    """Frames that arrive so far apart come as they happen."""
    quiet_ns: int
    """Silence after which nothing more of the replay is to come."""
    cap_ns: int
    """A replay that takes longer is not one."""


class Drain:
    """Tells when the replay at the beginning of a stream is over.

    By the venue's clock where frames keep their original time and another stream has told the clock; by our own clock
    and one pause where none has; by two pauses in a row otherwise. One pause alone proves nothing: a process that was
    held up for a moment finds one in the middle of a burst. For the same reason silence is established in two halves.
    """

    def __init__(self, patience: Patience, clock: VenueClock | None) -> None:
        """``clock``: ``None`` when the venue stamps replayed frames anew."""
        self.deadline: int | None = None
        self._patience = patience
        self._clock = clock
        self._last = self._cap = self._step = 0
        self._needed = 2
        self._pauses = self._silences = 0

    def begin(self, now: Now) -> None:
        """The snapshot that the replay follows has come."""
        self._last, self._cap, self._pauses = now.mono, now.mono + self._patience.cap_ns, 0

    def frame(self, venue_ns: int, now: Now) -> bool:
        """Another frame came (the snapshot too); whether the replay is over with it."""
        patience = self._patience
        gap, self._last = now.mono - self._last, now.mono
        self._pauses = self._pauses + 1 if gap >= patience.pace_ns else 0
        self._silences, self._needed, self._step = 0, 2, patience.quiet_ns // 2
        clock = None if self._clock is None else self._clock.at(now)
        if clock is None and self._clock is not None and venue_ns >= now.wall - patience.fresh_ns:
            self._needed, self._step = 1, patience.pace_ns
        self.deadline = min(self._cap, now.mono + self._step)
        if clock is not None:
            return venue_ns >= clock - patience.fresh_ns
        return self._pauses >= self._needed

    def woken(self, now: Now) -> bool:
        """``deadline`` has come: whether the replay is over by silence."""
        self._silences += 1
        self.deadline = min(self._cap, now.mono + self._step)
        return self._silences >= self._needed

    def overrun(self, now: Now) -> bool:
        """Whether it has taken longer than any replay can."""
        return now.mono >= self._cap


class Phase(Enum):
    """How far a book has come on its stream."""

    EMPTY = "waits for a snapshot"
    REPLAY = "catches up"
    HELD = "caught up, not published: not yet allowed to be, or not fit to be"
    LIVE = "published"


class ReplayedBook:
    """Keeps ``feed.book`` through snapshot, replay and live frames, and publishes it while it is right.

    After each call look at ``fault``: when it is set, the book is wrong or stuck and not published as live; its stream
    is to be started over (``reset``).
    """

    def __init__(self, feed: MarketFeed, patience: Patience, clock: VenueClock | None) -> None:
        self.feed = feed
        self.phase = Phase.EMPTY
        self.fault: tuple[Reason, str] | None = None
        self.allowed = False
        """Whether the book may be published at all (the market has been found to be the right one)."""
        self.may_be_empty = False
        """Whether a book without bids or asks is believable (a market outside its trading hours)."""
        self.venue_ns = 0
        """The venue's time of the last frame applied."""
        self._seq = 0
        self._drain = Drain(patience, clock)
        self._unfit_since = 0
        self._unfit_frames = 0

    @property
    def deadline(self) -> int | None:
        """Monotonic ns when ``woken`` is due, ``None`` for never."""
        if self.phase is Phase.REPLAY:
            return self._drain.deadline
        return self._unfit_since + UNFIT_NS if self._unfit_frames else None

    def reset(self) -> None:
        """The stream begins anew: wait for a snapshot. Says nothing to the world; invalidate before."""
        self.phase, self.fault, self._unfit_frames = Phase.EMPTY, None, 0

    def snapshot(self, venue_ns: int, seq: int, levels: Levels, now: Now) -> Effects:
        """A whole book, the first or any later one. Raises VenueError on impossible levels, with nothing changed."""
        self.feed.book.replace(*levels)
        self.venue_ns, self._seq = venue_ns, seq
        if self.phase is Phase.EMPTY:
            self.phase = Phase.REPLAY
            self._drain.begin(now)
            return self._publish(now) if self._drain.frame(venue_ns, now) else []
        # The next snapshot is made while the replay of the former runs, so what follows it is not replayed.
        return self._publish(now)

    def delta(self, venue_ns: int, seq: int, levels: Levels, now: Now) -> Effects:
        """Changed levels. Raises VenueError on impossible levels, with nothing changed."""
        if self.phase is Phase.LIVE:
            effects = self.feed.delta(venue_ns, seq, levels)
            self.venue_ns, self._seq = venue_ns, seq
            return effects if self._fit() else self._hold(now)
        self.feed.book.apply(*levels)
        self.venue_ns, self._seq = venue_ns, seq
        if self.phase is Phase.HELD:
            return self._publish(now)
        if self._drain.frame(venue_ns, now):
            return self._publish(now)
        return self._overrun(now)

    def allow(self, now: Now) -> Effects:
        """The market is the right one: publish as soon as the book is caught up."""
        self.allowed = True
        return self._publish(now) if self.phase is Phase.HELD else []

    def woken(self, now: Now) -> Effects:
        """``deadline`` has come."""
        if self.phase is Phase.REPLAY:
            return self._publish(now) if self._drain.woken(now) else self._overrun(now)
        if self._unfit_frames and now.mono >= self._unfit_since + UNFIT_NS:
            self.fault = (Reason.CROSSED_BOOK, self._unfitness())
        return []

    def _overrun(self, now: Now) -> Effects:
        if self._drain.overrun(now):
            self.fault = (Reason.SNAPSHOT_TIMEOUT, "the replay does not end")
        return []

    def _publish(self, now: Now) -> Effects:
        """Publish the whole book if that may be done."""
        if not self._fit():
            return self._hold(now)
        self._unfit_frames = 0
        if not self.allowed:
            self.phase = Phase.HELD
            return []
        self.phase = Phase.LIVE
        return self.feed.whole(self.venue_ns, self._seq, self.feed.book.levels(), kept=False)

    def _hold(self, now: Now) -> Effects:
        """The book is crossed or has lost a side after a whole frame: no one may use it until a frame mends that."""
        effects: Effects = []
        if not self._unfit_frames:
            self._unfit_since = now.mono
            if self.feed.book.is_crossed():
                effects.append(Count(Counter.CROSSED_BOOKS.label))
        self.phase = Phase.HELD
        self._unfit_frames += 1
        if self._unfit_frames >= UNFIT_FRAMES:
            self.fault = (Reason.CROSSED_BOOK, self._unfitness())
        return effects + self.feed.invalidate(Trust.RESYNC, quote=False) if self.feed.live else effects

    def _fit(self) -> bool:
        book = self.feed.book
        return not book.is_crossed() and (self.may_be_empty or book.is_two_sided())

    def _unfitness(self) -> str:
        bid, _, ask, _ = self.feed.book.best()
        return f"best bid {bid}, best ask {ask}"
