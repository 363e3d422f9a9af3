"""What becomes of a book that may not be used: REST stands in, its market is mended alone, or its connection is left.

For all markets that one connection carries. One sick market is mended without disturbing the others; when that has
failed, or all are sick, the connection is given up, but one sick market never costs the healthy ones more than one
connection in a while.
"""

from __future__ import annotations

from collections.abc import Mapping

from bus.counters import Counter
from bus.events import Reason, Source, Trust
from connectors.effects import Count, Effects, Now, Reconnect
from connectors.feed import MarketFeed, Prices
from connectors.polls import StandIns


class Recovery:
    """See the module. Tell it when the connection opens and closes, and when a book is live again."""

    def __init__(
        self, conn: str, feeds: Mapping[str, MarketFeed], stand_ins: StandIns, *, tries: int, spare_ns: int
    ) -> None:
        """``tries``: attempts to mend one market alone; ``spare_ns``: see the module."""
        self.leaving = False
        """The connection has been given up; nothing more is to be asked of it."""
        self._conn = conn
        self._feeds = feeds
        self._stand_ins = stand_ins
        self._limit = tries
        self._spare = spare_ns
        self._spare_until = 0
        self._open = False
        self._tries: dict[str, int] = {}

    def opened(self) -> None:
        """The connection is up."""
        self._open, self.leaving = True, False

    def closed(self) -> None:
        """The connection is gone."""
        self._open = False

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

    def live(self, market: str) -> None:
        """The stream's book is live (again). Cheap while nothing was wrong."""
        if market in self._stand_ins:
            self._stand_ins.served(market)
        if self._tries:
            self._tries.pop(market, None)

    def others_live(self, market: str) -> bool:
        """Whether any other market's book is live: then the connection itself is in order."""
        return any(feed.live for feed in self._feeds.values() if feed.market != market)

    def failed(self, market: str, reason: Reason, detail: str, now: Now, *, alone: bool) -> Effects:
        """A market's book needs mending. The connection is given up, or, with no effects, it is to be mended alone.

        ``alone``: the others are in order, so mending it alone comes first.
        """
        tries = self._tries[market] = self._tries.get(market, 0) + 1
        if alone and (tries <= self._limit or now.mono < self._spare_until):
            return []
        self._spare_until = now.mono + self._spare
        return self.leave(reason, detail)

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
