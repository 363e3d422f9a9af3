"""What the world is told of one market: its book's trust, rebuild number and levels, and its quote.

Every venue protocol holds one ``MarketFeed`` a market and publishes books only through it, so that no book leaves
without its trust and every invalidation precedes what follows from it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from sys import float_info
from typing import Final, TypeAlias

from msgspec.structs import replace

from bus.book import Book as Levels
from bus.book import check_levels
from bus.events import Bbo, Book, Check, Delta, Source, Trade, Trust
from bus.state import MIN_CHANGES
from connectors.effects import Effects, Emit, Now

Prices: TypeAlias = Sequence[float]
SEEN_TRADES: Final = 20_000
"""Trade ids remembered a market: the longest replay known is Extended's and Lighter's 50; the rest is for bursts."""


class Rebuilds:
    """Rebuild numbers by market, shared by all protocol generations of a process so that they only ever grow."""

    def __init__(self) -> None:
        self._last: dict[str, int] = {}

    def next(self, market: str) -> int:
        """A number higher than any before it for this market."""
        number = self._last.get(market, 0) + 1
        self._last[market] = number
        return number


class MarketFeed:
    """One market's output. ``book`` is kept only where a venue sends deltas."""

    def __init__(self, market: str, rebuilds: Rebuilds, depth: int | None = None) -> None:
        self.market = market
        self.book = Levels()
        self.trust = Trust.RESYNC
        self.rebuild = 0
        self.venue_ns: int | None = None
        self.venue_seq: int | None = None
        self._rebuilds = rebuilds
        self._depth = depth
        self._quote: Bbo | None = None
        self._source = Source.STREAM
        self._shown = depth
        self._room = MIN_CHANGES
        """Changed levels that may still go out as such, counted as ``BookState`` does."""

    @property
    def live(self) -> bool:
        """Whether the book may be used and continued by deltas."""
        return self.trust is Trust.LIVE

    def whole(
        self,
        venue_ns: int | None,
        venue_seq: int | None,
        levels: tuple[Prices, Prices, Prices, Prices],
        *,
        kept: bool,
        trust: Trust = Trust.LIVE,
        source: Source = Source.STREAM,
        depth: int | None = None,
    ) -> Effects:
        """A whole book: ``levels`` are bid_px, bid_sz, ask_px, ask_sz, best first.

        ``kept``: also hold it in ``book`` for deltas to come. A new rebuild begins unless the book was live (then the
        snapshot continues it). ``depth``: levels a side, where it differs from the feed's.
        Raises VenueError on impossible levels, with nothing changed.
        """
        bid_px, bid_sz, ask_px, ask_sz = levels
        if kept:
            self.book.replace(bid_px, bid_sz, ask_px, ask_sz)
        else:
            check_levels(bid_px, bid_sz)
            check_levels(ask_px, ask_sz)
        if self.trust is not Trust.LIVE or trust is not Trust.LIVE:
            self.rebuild = self._rebuilds.next(self.market)
        self.trust, self.venue_ns, self.venue_seq = trust, venue_ns, venue_seq
        self._source, self._shown = source, self._depth if depth is None else depth
        shown = self.book.levels() if kept else (list(bid_px), list(bid_sz), list(ask_px), list(ask_sz))
        return self._picture(*shown)

    def _picture(self, bid_px: list[float], bid_sz: list[float], ask_px: list[float], ask_sz: list[float]) -> Effects:
        self._room = max(MIN_CHANGES, len(bid_px) + len(ask_px))
        event = Book(
            self.venue_ns,
            self.venue_seq,
            self.trust,
            self.rebuild,
            self._source,
            bid_px,
            bid_sz,
            ask_px,
            ask_sz,
            self._shown,
        )
        return [Emit(self.market, event)]

    def delta(
        self,
        venue_ns: int | None,
        venue_seq: int | None,
        levels: tuple[list[float], list[float], list[float], list[float]],
        *,
        checked: bool = False,
    ) -> Effects:
        """Changed levels with absolute sizes, applied to ``book`` and published. Only while ``live``.

        When more has changed than ``BookState`` keeps, the whole book goes out in place of the changes: here it lies
        ready, and there it would have to be merged. ``checked``: the decoder has let only possible levels through.
        Else raises VenueError on impossible ones, with nothing changed.
        """
        bid_px, bid_sz, ask_px, ask_sz = levels
        if not checked:
            check_levels(bid_px, bid_sz)
            check_levels(ask_px, ask_sz)
        self.book.bids.apply(bid_px, bid_sz)
        self.book.asks.apply(ask_px, ask_sz)
        self.venue_ns, self.venue_seq = venue_ns, venue_seq
        self._room -= len(bid_px) + len(ask_px) + 1
        if self._room < 0:
            return self._picture(*self.book.levels())
        event = Delta(venue_ns, venue_seq, self.trust, self.rebuild, bid_px, bid_sz, ask_px, ask_sz)
        return [Emit(self.market, event)]

    def confirm(self, venue_ns: int | None, venue_seq: int | None) -> Effects:
        """The venue said that the book has not changed: an empty delta, so that consumers see it fresh."""
        return self.delta(venue_ns, venue_seq, ([], [], [], []))

    def invalidate(self, trust: Trust, *, quote: bool = True) -> Effects:
        """The book and quote may no longer be used; says so once, before anything that follows from it.

        ``quote=False``: only the book; the quote came by another stream that is still good.
        """
        effects: Effects = []
        if self.trust is not trust:
            self.trust = trust
            if self.rebuild:
                gone = Delta(self.venue_ns, self.venue_seq, trust, self.rebuild, [], [], [], [])
                effects.append(Emit(self.market, gone))
        # The quote lives by itself: one that came after the book's invalidation is still to be taken back.
        return effects + self.invalidate_quote(trust) if quote else effects

    def invalidate_quote(self, trust: Trust) -> Effects:
        """The quote alone may no longer be used: its own stream is gone or bad, the book's is not."""
        if self._quote is None:
            return []
        quote, self._quote = self._quote, None
        event = Bbo(
            quote.venue_ns,
            quote.venue_seq,
            trust,
            self.rebuild,
            quote.source,
            quote.bid_px,
            quote.bid_sz,
            quote.ask_px,
            quote.ask_sz,
        )
        return [Emit(self.market, event)]

    def quote(
        self,
        venue_ns: int | None,
        venue_seq: int | None,
        touch: tuple[float | None, float | None, float | None, float | None],
        source: Source = Source.STREAM,
    ) -> Effects:
        """The venue's best bid and offer: bid_px, bid_sz, ask_px, ask_sz, ``None`` for an empty side.

        Trusted on its own account: a quote stream can be live while the book is being rebuilt.
        Raises VenueError on impossible numbers.
        """
        bid_px, bid_sz, ask_px, ask_sz = touch
        numbers = [number for number in touch if number is not None]
        check_levels(numbers, numbers)
        trust = Trust.LIVE if source is Source.STREAM else Trust.REST
        event = Bbo(venue_ns, venue_seq, trust, self.rebuild, source, bid_px, bid_sz, ask_px, ask_sz)
        self._quote = event
        return [Emit(self.market, event)]

    def last_quote(self) -> Bbo | None:
        """The quote now in force, ``None`` when there is none or it was invalidated."""
        return self._quote


class SeenTrades:
    """Trade ids already published, by market, bounded; shared by all protocol generations of a process."""

    def __init__(self, capacity: int = SEEN_TRADES) -> None:
        self._capacity = capacity
        self._ids: dict[str, set[object]] = {}
        self._order: dict[str, deque[object]] = {}
        self._newest: dict[str, int] = {}

    def placed(self, market: str, trade: Trade, *, beside: bool) -> Trade:
        """A trade as it is to be published. ``beside``: it came by a connection that opens beside one that is live.

        What such a connection replays on subscribing is history only up to where the other has come: beyond, it is a
        live trade that the other brings a moment later, when it will be a duplicate.
        """
        venue_ns = trade.venue_ns or 0
        if venue_ns < self._newest.get(market, 0):
            return trade
        self._newest[market] = venue_ns
        return replace(trade, history=False) if beside and trade.history else trade

    def first_time(self, market: str, trade_id: object) -> bool:
        """Remember the id; True when it had not been seen."""
        ids = self._ids.setdefault(market, set())
        if trade_id in ids:
            return False
        order = self._order.setdefault(market, deque())
        if len(order) >= self._capacity:
            ids.discard(order.popleft())
        ids.add(trade_id)
        order.append(trade_id)
        return True


class Turnover:
    """Tells a dead trade stream by the volume that the venue itself gives in another one: it grows by trades alone."""

    LAG_NS: Final = 5_000_000_000
    """A volume that grows so soon after a trade may be that trade's: figures come every second or less."""
    LATE_NS: Final = 10_000_000_000

    def __init__(self) -> None:
        self._volume: float | None = None
        self._quiet = 0
        """Since when no trade has come, monotonic ns."""
        self._grew: int | None = None
        """When the volume first grew without one."""

    def traded(self, now: Now) -> None:
        """A trade came, or trades are being asked for."""
        self._quiet, self._grew = now.mono, None

    def dead(self, volume: float | None, now: Now) -> bool:
        """``volume``: of the last 24 h. Whether it shows trades that never came; then they are to be asked for anew."""
        if volume is not None:
            grown = self._volume is not None and volume > self._volume
            self._volume = volume
            if grown and self._grew is None and now.mono - self._quiet >= self.LAG_NS:
                self._grew = now.mono
        if self._grew is None or now.mono - self._grew < self.LATE_NS:
            return False
        self.traded(now)
        return True


class Agreement:
    """Comparisons of one market's book with what the venue says elsewhere, told as ``Check`` events.

    One difference proves nothing where the two come by different streams: only one that lasts, without a single
    agreement in between, does.
    """

    def __init__(self, against: str, *, every_ns: int, lasting_ns: int) -> None:
        """``every_ns``: least time between two events; ``lasting_ns``: a difference so old is real."""
        self._against = against
        self._every = every_ns
        self._lasting = lasting_ns
        self._compared = 0
        self._diverged = 0
        self._since: Now | None = None
        self._told: int | None = None

    def restart(self) -> None:
        """A new rebuild of the book: forget everything compared before it."""
        self._compared = self._diverged = 0
        self._since = None

    def compared(self, market: str, divergence: float, now: Now) -> Effects:
        """One comparison; ``divergence`` is the difference as a fraction of the price, 0.0 for none."""
        self._compared += 1
        if divergence == 0.0:
            self._since = None
        else:
            self._diverged += 1
            self._since = self._since or now
        if self._told is not None and now.mono - self._told < self._every:
            return []
        self._told = now.mono
        since = None if self._since is None else self._since.wall
        return [Emit(market, Check(self._against, self._compared, self._diverged, divergence, since))]

    def lasting(self, now: Now) -> bool:
        """Whether the book has differed for so long that it is to be taken for wrong."""
        return self._since is not None and now.mono - self._since.mono >= self._lasting


class Touches:
    """Best bid and ask as one stream has shown them lately.

    Two streams of one market never tell of the same instant; they agree when one's touch is in the other's recent past.
    """

    def __init__(self, window_ns: int) -> None:
        """``window_ns``: how long after it was replaced a touch still counts."""
        self._window = window_ns
        self._began = 0
        self._shown: deque[tuple[int, float | None, float | None]] = deque()

    def clear(self) -> None:
        """The stream is gone: nothing is shown."""
        self._shown.clear()

    def show(self, bid_px: float | None, ask_px: float | None, now: Now) -> None:
        """The touch from now on."""
        shown = self._shown
        if not shown:
            self._began = now.mono
        elif shown[-1][1] == bid_px and shown[-1][2] == ask_px:
            return
        shown.append((now.mono, bid_px, ask_px))

    def differs(self, other: Touches, now: Now) -> float | None:
        """How far apart the two are as a fraction of the price, 0.0 if they agree.

        ``None`` while one shows nothing, or has not shown enough for the other to be found in it.
        """
        if not self._shown or not other._shown:
            return None
        mine, theirs = self._shown[-1], other._shown[-1]
        if other._has(mine, now) or self._has(theirs, now):
            return 0.0
        if now.mono - max(self._began, other._began) < self._window:
            return None
        return max(apart(mine[1], theirs[1]), apart(mine[2], theirs[2]))

    def _has(self, touch: tuple[int, float | None, float | None], now: Now) -> bool:
        # Each lasts until the next one begins, and counts for a window more.
        while len(self._shown) > 1 and self._shown[1][0] + self._window < now.mono:
            self._shown.popleft()
        return any(bid == touch[1] and ask == touch[2] for _, bid, ask in reversed(self._shown))


def apart(mine: float | None, theirs: float | None) -> float:
    """Difference of two prices as a fraction, 1.0 when only one of them is there."""
    if mine is None or theirs is None:
        return 0.0 if mine is theirs else 1.0
    return abs(mine - theirs) / theirs


Touch: TypeAlias = tuple[float | None, float | None, float | None, float | None]
"""Bid price, bid size, ask price, ask size; ``None`` for an empty side."""


class Quotes:
    """The newest quotes of a market by the venue's time or sequence, to know the touch as of an earlier instant."""

    def __init__(self, capacity: int) -> None:
        self._kept: deque[tuple[int, Touch]] = deque(maxlen=capacity)

    def clear(self) -> None:
        """The stream begins anew."""
        self._kept.clear()

    def add(self, at: int, quote: Touch) -> None:
        """A quote; its position is never before the last one's."""
        self._kept.append((at, quote))

    def divergence(self, at: int, touch: Touch, *, exactly: bool = False) -> float | None:
        """How far the touch of a book at this position is from the quote then in force; 0.0 when equal.

        The greatest difference of prices as a fraction, or the smallest float there is when only sizes or sides differ.
        ``None`` when no quote is known for then. ``exactly``: only a quote of the very same position counts.
        """
        found = next(((position, quote) for position, quote in reversed(self._kept) if position <= at), None)
        if found is None or (exactly and found[0] != at):
            return None
        quote = found[1]
        if quote == touch:
            return 0.0
        apart = [abs(a - b) / b for a, b in zip(touch[::2], quote[::2], strict=True) if a and b]
        return max([*apart, float_info.min])
