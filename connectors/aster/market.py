"""One market: its book, quotes, trades, mark price and funding, and whether book and quotes say the same."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import inf
from typing import Final

from bus.counters import Counter
from bus.events import Funding, Instrument, Stats, Trust
from connectors.aster import messages, spec
from connectors.aster.book import DiffBook
from connectors.aster.joining import distance
from connectors.aster.messages import AggTrade, BookTicker, DepthUpdate, MarkPrice, Settled, Touch
from connectors.effects import Count, Effects, Emit, Note, Now, Reply
from connectors.feed import Agreement
from connectors.venue import Context

DUPLICATE: Final = Count(Counter.DUPLICATES.label)
IGNORED: Final = Count(Counter.IGNORED_FRAMES.label)
MISMATCH: Final = Count(Counter.CHECK_MISMATCHES.label)


class Market:
    """What is known of one wanted market. Its methods digest one event each; all raise VenueError on a bad one."""

    def __init__(self, market: str, conn: str, context: Context, again: Callable[[Market, str, Now], Effects]) -> None:
        """``again``: subscribe a stream of the market anew, because it is dead."""
        self.id = market
        self.conn = conn
        self.base = market.removesuffix("-PERP")
        self.book = DiffBook(market, conn, context)
        self.instrument: Instrument | None = None
        self.hours: float | None = None
        """Funding interval, ``None`` until it is known."""
        self._again = again
        self._seen = context.seen
        self._quoted = 0
        """Update id of the newest quote, 0 for none."""
        self._touch: Touch | None = None
        """What the newest quote says, or the book before the first one: any other touch makes a quote."""
        self._parted: int | None = None
        """Since when the book's touch has differed from an older quote's."""
        self._doubted: int | None = None
        """When the book was first contradicted by a quote of its own update id, without an agreement since."""
        self._agreed = Agreement("bbo", every_ns=spec.CHECK_TOLD_NS, lasting_ns=spec.LASTING_NS)
        self._stats = Stats(None, None, None, None)
        self._settled = 0

    def quotes_requested(self) -> None:
        """Quotes are being subscribed: what came before says nothing of what will."""
        self._quoted, self._touch, self._parted = 0, None, None

    def confirm(self, instrument: Instrument, hours: Mapping[str, float | None] | None, now: Now) -> Effects:
        """The market list names it; ``hours`` is the list of funding intervals, if it has come."""
        effects: Effects = []
        if instrument != self.instrument:
            self.instrument = instrument
            effects.append(Emit(self.id, instrument))
        effects += self.book.confirm(now)
        return effects if hours is None else effects + self.on_interval(hours)

    def answered(self, name: str, body: bytes, now: Now) -> Effects:
        """A REST answer that concerns it alone."""
        if name == "book":
            return self.book.answered(messages.snapshot(body), now)
        if not self.book.confirmed:
            return []
        if name == "interest":
            return self.on_interest(messages.interest(body))
        return self.on_settled(messages.rows(body, Settled))

    def unanswered(self, name: str, reply: Reply, now: Now) -> Effects:
        """There was no usable one."""
        if name == "book":
            self.book.refused(reply, now)
        # Open interest is not documented and may go at any time: then it is unknown, not an error.
        return self.on_interest(None) if name == "interest" else []

    def on_depth(self, update: DepthUpdate, now: Now) -> Effects:
        """A diff of the book."""
        feed = self.book.feed
        was_live = feed.trust is Trust.LIVE
        effects = self.book.update(update, now)
        if not was_live or feed.trust is not Trust.LIVE:
            self._parted = None
        elif self._quoted <= update.last:
            touch = feed.book.best()
            effects += self._compare(touch, now) if self._quoted == update.last else self._outrun(touch, now)
        return effects

    def on_quote(self, quote: BookTicker, now: Now) -> Effects:
        """A new touch."""
        if not self.book.confirmed:
            return [IGNORED]
        if quote.last < self._quoted:
            return [DUPLICATE]
        feed, touch = self.book.feed, quote.touch
        effects = feed.quote(quote.venue_ns, quote.last, touch)
        self._quoted, self._touch, self._parted = quote.last, touch, None
        if feed.live and self.book.chain.last == quote.last:
            effects += self._compare(feed.book.best(), now)
        return effects

    def on_trade(self, trade: AggTrade, _: Now) -> Effects:
        """A trade. Holes between ids are no loss: fills of the insurance fund are left out."""
        event = trade.trade()
        if not self.book.confirmed:
            return [IGNORED]
        return [Emit(self.id, event)] if self._seen.first_time(self.id, trade.id) else [DUPLICATE]

    def on_mark(self, mark: MarkPrice, _: Now) -> Effects:
        """Mark and index price and the running funding estimate, which may be missing."""
        stats = Stats(mark.venue_ns, *mark.prices, self._stats.open_interest)
        rate = messages.number(mark.rate) if mark.rate else None
        if not self.book.confirmed:
            return [IGNORED]
        self._stats = stats
        effects: Effects = [Emit(self.id, stats)]
        if rate is not None and mark.next and self.hours is not None:
            next_ns = mark.next * spec.MS
            funding = Funding(mark.venue_ns, rate / self.hours, mark.rate, self.hours, settled=False, next_ns=next_ns)
            effects.append(Emit(self.id, funding))
        return effects

    def on_interval(self, hours: Mapping[str, float | None]) -> Effects:
        """Funding intervals by symbol. A symbol without one has the usual, and that is said."""
        found, before = hours.get(self.book.symbol), self.hours
        if found is not None and 0.0 < found < inf:
            self.hours = found
            return []
        self.hours = before or spec.DEFAULT_INTERVAL_HOURS
        if before is not None or not self.book.confirmed:
            return []
        return [Note("warning", "funding_interval_assumed", {"market": self.id, "hours": self.hours})]

    def on_interest(self, amount: float | None) -> Effects:
        """Open interest, ``None`` when it is not known any more. Without a time: the mark price's is kept."""
        old = self._stats
        if amount == old.open_interest:
            return []
        self._stats = Stats(old.venue_ns, old.mark_px, old.index_px, amount)
        return [Emit(self.id, self._stats)]

    def on_settled(self, rows: list[Settled]) -> Effects:
        """Charged funding: the newest row, once."""
        newest = max((row for row in rows if row.symbol == self.book.symbol), key=lambda row: row.time, default=None)
        if newest is None or self.hours is None or newest.time <= self._settled:
            return []
        rate = messages.number(newest.rate)
        self._settled = newest.time
        funding = Funding(newest.time * spec.MS, rate / self.hours, newest.rate, self.hours, settled=True)
        return [Emit(self.id, funding)]

    def _compare(self, touch: Touch, now: Now) -> Effects:
        """Book and quote of the same update id must be equal; when they are not, REST decides which is wrong."""
        differs = distance(touch, self._touch or touch)
        effects = self._agreed.compared(self.id, differs, now)
        if not differs:
            self._doubted = None
            return effects
        effects.append(MISMATCH)
        if self._doubted is not None and self.book.proven > self._doubted:
            self._doubted = None
            self._agreed.restart()
            return [*self.book.feed.invalidate_quote(Trust.RESYNC), *effects]
        if self._agreed.lasting(now):
            self._agreed.restart()
            return [*self.book.wrong(now), *effects]
        self._doubted = self._doubted or now.mono
        return effects + self.book.doubt(now)

    def _outrun(self, touch: Touch, now: Now) -> Effects:
        """The book is ahead of the newest quote: were its touch another, a quote should have said so by now."""
        if self._touch is None:
            self._touch = touch
        if self._touch == touch:
            self._parted = None
        elif self._parted is None:
            self._parted = now.mono
        elif now.mono - self._parted >= spec.QUOTE_LAG_NS:
            gone = self.book.feed.invalidate_quote(Trust.STALE)
            return [*gone, MISMATCH, *self._again(self, spec.QUOTES, now), *self.book.doubt(now)]
        return []
