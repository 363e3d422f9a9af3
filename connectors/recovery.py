"""What becomes of a book that may not be used: REST stands in, its market is mended alone, or its connection is left.

For all markets that one connection carries. While any other book is live the connection is in order, and a sick market
is mended alone, however often; one that stays sick is given another connection by the engine, beside this one. The
connection itself is given up when nothing on it is in order. Mending comes at a slowing pace, for every attempt costs
messages.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from bus.counters import Counter
from bus.events import Reason, Source, Trust
from connectors.effects import Count, Effects, Now, Reconnect
from connectors.feed import MarketFeed, Prices
from connectors.polls import StandIns

HELD_NS: Final = 10_000_000_000
"""A book that fails again sooner after it was mended was not mended; after this, it is mended at once."""
FIRST_WAIT_NS: Final = 500_000_000
LAST_WAIT_NS: Final = 5_000_000_000
WAIT_A_MARKET_NS: Final = 2_000_000_000
"""One sick market is mended at least so often, for thirty attempts a minute fit every venue's limits."""


class _Mending(msgspec.Struct):
    wanted: int | None = None
    """When it is to be mended; ``None``: nothing is wrong, or what was done about it is still to show."""
    not_before: int = 0
    tries: int = 0
    """Mends since the book was last in order for ``HELD_NS``."""
    live_since: int | None = None


class Recovery:
    """See the module. Tell it when the connection opens and closes, and when a book is live again."""

    def __init__(self, conn: str, feeds: Mapping[str, MarketFeed], stand_ins: StandIns, *, tries: int) -> None:
        """``tries``: attempts to mend a market, when no other is live, before the connection is given up."""
        self.leaving = False
        """The connection has been given up; nothing more is to be asked of it."""
        self._conn = conn
        self._feeds = feeds
        self._stand_ins = stand_ins
        self._limit = tries
        self._open = False
        self._mending = {market: _Mending() for market in feeds}
        self._sick: set[str] = set()

    @property
    def deadline(self) -> int | None:
        """Monotonic ns when ``due`` has a market to mend."""
        times = [self._mending[market].wanted for market in self._sick]
        return min((time for time in times if time is not None), default=None)

    def opened(self) -> None:
        """The connection is up."""
        self._open, self.leaving = True, False

    def closed(self) -> None:
        """The connection is gone, and with it what was to be mended on it."""
        self._open = False
        for market in self._sick:
            self._mending[market].wanted = None

    def leave(self, reason: Reason, detail: str) -> Effects:
        """Give the connection up, once."""
        if self.leaving or not self._open:
            return []
        self.leaving = True
        return [Reconnect(self._conn, reason, detail)]

    def lost(self, market: str, trust: Trust, now: Now, *, quote: bool = True) -> Effects:
        """The stream's book may not be used: say so, unless a REST book is in force, and have REST stand in."""
        self._stand_ins.missing(market, now)
        feed = self._feeds[market]
        return feed.invalidate_quote(trust) if feed.trust is Trust.REST else feed.invalidate(trust, quote=quote)

    def live(self, market: str, now: Now) -> None:
        """The stream's book is live (again). Cheap while nothing was wrong."""
        if market in self._stand_ins:
            self._stand_ins.served(market)
        if market in self._sick:
            self._sick.discard(market)
            self._mending[market].wanted, self._mending[market].live_since = None, now.mono

    def others_live(self, market: str) -> bool:
        """Whether any other market's book is live: then the connection itself is in order."""
        return any(feed.live for feed in self._feeds.values() if feed.market != market)

    def failed(self, market: str, reason: Reason, detail: str, now: Now, *, alone: bool) -> Effects:
        """A market's book needs mending: the connection is given up, or ``due`` names it as soon as that is sensible.

        ``alone``: nothing says that the connection is to blame, so mending comes first.
        """
        mending = self._mending[market]
        if mending.live_since is not None and now.mono - mending.live_since >= HELD_NS:
            mending.tries = mending.not_before = 0
        mending.live_since = None
        if not alone or (mending.tries >= self._limit and not self.others_live(market)):
            return self.leave(reason, detail)
        self._sick.add(market)
        mending.wanted = max(now.mono, mending.not_before)
        return []

    def due(self, now: Now) -> list[str]:
        """Markets to be mended now; taken for done."""
        found = []
        longest = min(LAST_WAIT_NS, WAIT_A_MARKET_NS * len(self._sick))
        for market in sorted(self._sick):  # in an order that a replay meets again
            mending = self._mending[market]
            if mending.wanted is not None and mending.wanted <= now.mono:
                mending.not_before = now.mono + min(longest, FIRST_WAIT_NS << min(mending.tries, 10))
                mending.wanted, mending.tries = None, mending.tries + 1
                found.append(market)
        return found

    def rest_book(
        self, market: str, venue_ns: int | None, levels: tuple[Prices, Prices, Prices, Prices], now: Now, depth: int
    ) -> Effects:
        """Publish a REST book (best levels first, at most ``depth`` a side) where the stream has none.

        Not when what was shown last is newer by the venue's time. Raises VenueError on impossible levels.
        """
        feed = self._feeds[market]
        older = venue_ns is not None and feed.venue_ns is not None and venue_ns < feed.venue_ns
        if market not in self._stand_ins or feed.live or older:
            return [Count(Counter.IGNORED_FRAMES.label)]
        bid_px, _, ask_px, _ = levels
        if bid_px and ask_px and bid_px[0] >= ask_px[0]:
            return [Count(Counter.CROSSED_BOOKS.label)]
        effects = feed.whole(venue_ns, None, levels, kept=False, trust=Trust.REST, source=Source.REST, depth=depth)
        self._stand_ins.seen(market, now)
        return [Count(Counter.REST_BOOKS.label), *effects]

    def expired(self, now: Now) -> Effects:
        """Invalidate REST books that have themselves grown too old."""
        effects: Effects = []
        for market in self._stand_ins.expired(now):
            effects += self._feeds[market].invalidate(Trust.STALE)
        return effects
