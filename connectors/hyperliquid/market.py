"""One Hyperliquid market: its frames as events, and whether its book can be believed."""

from __future__ import annotations

from typing import Final

from bus.counters import Counter
from bus.events import Funding, Instrument, Reason
from connectors.effects import Count, Effects, Emit, Note, Now
from connectors.feed import Agreement, MarketFeed, Quotes, Turnover
from connectors.hyperliquid import messages, spec
from connectors.hyperliquid.messages import NS_PER_MS
from connectors.venue import Context

IGNORED: Final = Count(Counter.IGNORED_FRAMES.label)
DUPLICATE: Final = Count(Counter.DUPLICATES.label)
_CROSSED: Final = Count(Counter.CROSSED_BOOKS.label)
_HISTORY: Final = Count(Counter.HISTORY_TRADES.label)
_MISMATCH: Final = Count(Counter.CHECK_MISMATCHES.label)


class Market:
    """One wanted market. Times ending in ``_ms`` are the venue's."""

    def __init__(self, market: str, context: Context) -> None:
        self.id = market
        self.feed = MarketFeed(market, context.rebuilds, spec.DEPTH)
        self.coin = ""
        """The venue's symbol while it is listed and tradable, else empty."""
        self.instrument: Instrument | None = None
        self.barred = False
        """Held to be what kills the connection: not subscribed until REST shows that the venue knows it."""
        self.strikes = 0
        self.key = ""
        """Key of its book stream."""
        self.trouble: tuple[Reason, str] | None = None
        """Why the last book frame asks for a remedy."""
        self.turnover = Turnover()
        self._seen = context.seen
        self._book_ms = 0
        self._bbo_ms = 0
        self._one_sided: int | None = None
        self._replay = False
        self._asked_ms = 0
        self._trade_ms = 0
        self._settled_ns: int | None = None
        self._running: Funding | None = None
        self._check = Agreement("bbo", every_ns=spec.CHECK_NS, lasting_ns=spec.CHECK_DIVERGED_NS)
        self._quotes = Quotes(spec.QUOTES)
        self._before: tuple[int, messages.Flat] | None = None
        self._doubt: int | None = None
        """Since when the quotes have contradicted the books."""
        self._check_off = False

    def listed(self, asset: messages.Asset) -> Effects:
        """The venue lists it: its instrument, when that is news."""
        self.coin, self.key = asset.name, f"l2Book:{asset.name}"
        instrument = messages.instrument(asset)
        if instrument == self.instrument:
            return []
        self.instrument = instrument
        return [Emit(self.id, instrument)]

    def asked(self, kind: str, now: Now) -> None:
        """A stream is being subscribed: times start anew, for another server may know less than the last one."""
        if kind == "l2Book":
            self._book_ms, self._before = 0, None
        elif kind == "bbo":
            self._bbo_ms = 0
            self._quotes.clear()
        elif kind == "trades":
            self._replay, self._asked_ms = True, now.wall // NS_PER_MS
            self.turnover.traded(now)

    def book(self, data: messages.BookData, now: Now) -> Effects | None:
        """A whole book; ``None`` when it is older than the last. ``trouble`` says whether something is to be done.

        What cannot be believed is not published. Raises VenueError on impossible levels.
        """
        if data.time < self._book_ms:
            return None
        levels = messages.flat(data.levels)
        self._book_ms, self.trouble = data.time, None
        before, self._before = self._before, (data.time, levels)
        if messages.crossed(levels):
            self.trouble, self._before = (Reason.CROSSED_BOOK, "crossed"), None
            return [_CROSSED]
        effects = [] if before is None else self._compare(*before, now)
        if self._lacks_a_side(levels, now) or self._doubt is not None:
            return effects or [IGNORED]
        return [*self.feed.whole(data.time * NS_PER_MS, None, levels, kept=False), *effects]

    def _lacks_a_side(self, levels: messages.Flat, now: Now) -> bool:
        """Whether a side is missing that the venue has not otherwise given up: no bids and no asks are rare claims.

        They are believed when the quote says the same, or when they last and no quote says otherwise.
        """
        quote = self.feed.last_quote()
        agreed = quote is not None and (levels[0] or quote.bid_px is None) and (levels[2] or quote.ask_px is None)
        if (levels[0] and levels[2]) or agreed:
            self._one_sided = None
            return False
        if self._one_sided is None:
            self._one_sided = now.mono
            self.trouble = Reason.CROSSED_BOOK, "a side is missing"
        return quote is not None or now.mono - self._one_sided < spec.EMPTY_NS

    def _compare(self, time: int, levels: messages.Flat, now: Now) -> Effects:
        """Compare the touch of the book before this one, for by now every quote of its time must have come.

        Once contradicted, no book is shown until one has agreed; for a while only, lest a check that no longer fits the
        venue should take its books away for good.
        """
        divergence = self._quotes.divergence(time, messages.best(levels))
        if divergence is None:
            return []
        effects = self._check.compared(self.id, divergence, now)
        if divergence == 0.0:
            self._doubt, self._check_off = None, False
            return effects
        effects.append(_MISMATCH)
        if self._doubt is not None and now.mono - self._doubt >= spec.DOUBT_NS:
            self._doubt, self._check_off = None, True
            effects.append(Note("error", "check_unsatisfied", {"market": self.id}))
        if self._check.lasting(now) and not self._check_off:
            self._check.restart()
            self._doubt = now.mono if self._doubt is None else self._doubt
            self.trouble = Reason.CROSSED_BOOK, "book contradicts the quotes"
        return effects

    def quote(self, data: messages.BboData) -> Effects:
        """The touch as of a block. Raises VenueError."""
        if data.time < self._bbo_ms:
            return [DUPLICATE]
        touch = messages.touch(data)
        effects = self.feed.quote(data.time * NS_PER_MS, None, touch)
        self._bbo_ms = data.time
        self._quotes.add(data.time, touch)
        return effects

    def trades(self, found: list[messages.TradeData]) -> Effects:
        """Trades, oldest first, each once. The first array after a subscription is a replay, with nothing to mark it.

        A market without a past starts with a live trade: one alone, newer than the request. Raises VenueError.
        """
        history = self._replay and (len(found) > 1 or found[0].time < self._asked_ms)
        events = [messages.trade(data, history=history) for data in found]
        effects: Effects = []
        if history and 0 < self._trade_ms < found[0].time:
            effects.append(Note("warning", "trades_missed", {"market": self.id, "after_ms": self._trade_ms}))
        self._replay = False
        self._trade_ms = max(self._trade_ms, found[-1].time)
        for event in events:
            if not self._seen.first_time(self.id, event.trade_id):
                effects.append(DUPLICATE)
            else:
                effects += [_HISTORY, Emit(self.id, event)] if history else [Emit(self.id, event)]
        return effects

    def figures(self, ctx: messages.Ctx, now: Now) -> Effects:
        """Mark, index, open interest and the running funding, the last when it has changed. Raises VenueError."""
        effects: Effects = [Emit(self.id, messages.stats(ctx))]
        running = messages.running(ctx, now.wall)
        if running != self._running:
            self._running = running
            effects.append(Emit(self.id, running))
        return effects

    def settled(self, rows: list[messages.FundingRow], now: Now) -> tuple[Effects, int]:
        """The newest charged hour, when it is news, and how long to wait before asking again. Raises VenueError."""
        hour = now.wall // spec.HOUR * spec.HOUR
        event = messages.settled(rows[-1]) if rows else None
        if event is None or event.venue_ns is None or event.venue_ns < hour:
            wait = spec.SETTLED_RETRY_NS
        else:
            wait = hour + spec.HOUR + spec.SETTLED_AFTER_NS - now.wall
        if event is None or event.venue_ns == self._settled_ns:
            return [], wait
        self._settled_ns = event.venue_ns
        return [Emit(self.id, event)], wait
