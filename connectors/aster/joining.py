"""What joins a snapshot with diffs: their order, how far they reach, and whether two books are the same."""

from __future__ import annotations

from enum import Enum
from math import inf
from typing import Final, TypeAlias

from msgspec import Struct

from bus.book import Book as Levels
from connectors.aster.messages import DepthUpdate, Level, Snapshot, Touch
from connectors.aster.spec import BUFFER, SNAPSHOT_LEVELS

Flat: TypeAlias = tuple[list[float], list[float], list[float], list[float]]


class Link(Enum):
    """What a diff is to those before it."""

    NEXT = "next"
    REPEATED = "repeated"
    BROKEN = "broken"


class Chain:
    """The newest diffs of one stream on one connection, each the other's successor (``pu == last u``)."""

    __slots__ = ("keep", "last", "updates")

    def __init__(self) -> None:
        self.keep = BUFFER
        """So many diffs are held at most, and half of them at least."""
        self.last: int | None = None
        """Update id that the next diff must name; ``None``: any will do."""
        self.updates: list[DepthUpdate] = []

    def restart(self) -> None:
        """A diff was lost: nothing is known of what comes next."""
        self.last = None
        self.updates.clear()

    def offer(self, update: DepthUpdate) -> Link:
        """Take a diff. After a break the chain begins with it; a repeated or late one is not taken."""
        last, found = self.last, Link.NEXT
        if last is not None:
            if update.last <= last:
                return Link.REPEATED
            if update.previous != last:
                self.updates.clear()
                found = Link.BROKEN
        self.last = update.last
        self.updates.append(update)
        if len(self.updates) > self.keep:
            del self.updates[: -self.keep // 2]
        return found

    def after(self, snapshot: int) -> list[DepthUpdate] | None:
        """The diffs that lead on from a snapshot of this id; none: it is ahead of them; ``None``: it is older.

        The first one must follow the snapshot without a hole: everything up to its ``pu`` is in the snapshot
        (``pu <= lastUpdateId <= u``; the documented ``U <= lastUpdateId`` is not met by ids shared among symbols).
        """
        following = [update for update in self.updates if update.last >= snapshot]
        if following and following[0].previous > snapshot:
            return None
        return following


class Span(Struct, frozen=True):
    """The prices that a snapshot speaks for: from its lowest bid to its highest ask, where the limit cut it off."""

    low: float = 0.0
    high: float = inf


WHOLE: Final = Span()


def span(snapshot: Snapshot) -> Span:
    """How far a snapshot reaches."""
    bids, asks = snapshot.bids, snapshot.asks
    low = min(level.px for level in bids) if len(bids) >= SNAPSHOT_LEVELS else 0.0
    return Span(low, max(level.px for level in asks) if len(asks) >= SNAPSHOT_LEVELS else inf)


def flat(bids: list[Level], asks: list[Level], reach: Span) -> Flat:
    """Prices and sizes side by side, without what lies beyond the reach."""
    if reach.low > 0.0:
        bids = [level for level in bids if not level.px < reach.low]
    if reach.high < inf:
        asks = [level for level in asks if not level.px > reach.high]
    return (
        [level.px for level in bids],
        [level.sz for level in bids],
        [level.px for level in asks],
        [level.sz for level in asks],
    )


def rolled(snapshot: Snapshot, updates: list[DepthUpdate], reach: Span) -> Levels:
    """The book after these diffs. Re-applying what the snapshot already has is harmless: sizes are absolute."""
    levels = Levels()
    levels.replace(*flat(snapshot.bids, snapshot.asks, reach))
    for update in updates:
        levels.apply(*flat(update.bids, update.asks, reach))
    return levels


def differing(ours: Levels, theirs: Levels, reach: Span) -> set[float]:
    """Prices at which two books differ within a reach that both have."""
    low, high = reach.low, reach.high
    bids = {px for px, _ in ours.bids.live().items() ^ theirs.bids.live().items() if px >= low}
    return bids | {px for px, _ in ours.asks.live().items() ^ theirs.asks.live().items() if px <= high}


def divergence(ours: Levels, theirs: Levels, prices: set[float]) -> float:
    """How far two books are apart that differ at these prices: 0.0 for none.

    Else the distance of their touches or, where these agree, the share of prices that differ.
    """
    return (distance(ours.best(), theirs.best()) or len(prices) / (len(ours) + len(theirs))) if prices else 0.0


def distance(ours: Touch, theirs: Touch) -> float:
    """How far two touches are apart: 0.0 when equal, a fraction of the price, or of the size where prices agree."""
    return max(
        _apart(ours[0], theirs[0]) or _apart(ours[1], theirs[1]),
        _apart(ours[2], theirs[2]) or _apart(ours[3], theirs[3]),
    )


def _apart(mine: float | None, other: float | None) -> float:
    if mine == other:
        return 0.0
    return 1.0 if mine is None or other is None else abs(mine - other) / max(mine, other)
