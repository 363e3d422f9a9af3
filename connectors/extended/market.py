"""One market of Extended: what its streams and REST answers say of it, whichever transport they came by.

Methods take payloads and return effects. They raise VenueError on what cannot be digested, and set ``trouble`` when the
book is known or suspected to be wrong: the caller then starts that stream over.
"""

from __future__ import annotations

from typing import Final

from bus.book import check_levels
from bus.counters import Counter
from bus.events import Funding, Instrument, Reason, Side, Source, Stats, Trade, Trust
from connectors.effects import Count, Effects, Emit, Note, Now
from connectors.extended import messages, spec
from connectors.extended.messages import Envelope
from connectors.feed import Agreement, MarketFeed, SeenTrades, Touches, apart
from connectors.replay import Levels, Phase, ReplayedBook, VenueClock

MS: Final = 1_000_000
SIDES: Final = {"BUY": Side.BUY, "SELL": Side.SELL}
CATEGORIES: Final = {"TRADE": "trade", "LIQUIDATION": "liquidation", "DELEVERAGE": "deleverage"}
BELOW_TOUCH: Final = 1e-9
"""Divergence told of two books that differ below an equal touch."""


class Market:
    """State of one wanted market."""

    def __init__(self, market: str, feed: MarketFeed, seen: SeenTrades, clock: VenueClock, *, stamped: bool) -> None:
        """``stamped``: replayed frames keep their original time (v1)."""
        self.id = market
        self.symbol = market.removesuffix("-PERP") + "-USD"
        """By the venue's naming rule; the market list has to confirm it."""
        self.feed = feed
        self.book = ReplayedBook(feed, spec.REPLAY, clock if stamped else None)
        self.trouble: tuple[str, Reason, str] | None = None
        """Kind of the stream to be started over, why, and the detail; the caller clears it."""
        self.instrument: Instrument | None = None
        self.tradable = False
        self.why_not = ""
        """What the market list last said against it."""
        self.awaited = False
        """A new snapshot was asked for on a running stream: frames of the old one may still come."""
        self.suspect_at: int | None = None
        """When a book that REST contradicts is held to be dead unless a frame comes first."""
        self.probe = 0
        """Number of the newest REST look at a silent book."""
        self._seen = seen
        self._clock = clock
        self._books, self._quotes = Touches(spec.TOUCH_WINDOW_NS), Touches(spec.TOUCH_WINDOW_NS)
        self._by_quote = Agreement("bbo", every_ns=spec.CHECK_EVERY_NS, lasting_ns=spec.TOUCH_LASTING_NS)
        self._by_snapshot = Agreement("snapshot", every_ns=0, lasting_ns=0)
        self._book_at = self._quote_at = 0
        self._remedied: int | None = None
        self._stats = Stats(None, None, None, None)
        self._funded: int | None = None
        self._rest_funding: tuple[str | None, int | None] | None = None
        self._settled_ms = 0

    # -- book

    def on_book(self, frame: Envelope, seq: int, ts_ns: int, now: Now) -> Effects:
        """A frame of the full book."""
        whole, data = messages.book(frame, self.symbol, messages.FULL)
        self.suspect_at = None
        self._book_at = now.mono
        if whole:
            self.awaited = False
            levels = messages.snapshot_levels(data)
            effects = self._compare_snapshot(ts_ns, levels, now) + self.book.snapshot(ts_ns, seq, levels, now)
        elif self.book.phase is Phase.EMPTY:
            if not self.awaited:
                self.trouble = (spec.BOOK, Reason.SEQ_MISMATCH, "a delta before the snapshot")
            return [Count(Counter.IGNORED_FRAMES.label)]
        else:
            levels = messages.delta_levels(data)
            if self.book.phase is Phase.LIVE and (wrong := messages.misfits(self.feed.book, data)):
                return self._contradicted(wrong, levels, ts_ns, seq, now)
            effects = self.book.delta(ts_ns, seq, levels, now)
        return self._moved(effects, ts_ns, now)

    def woken(self, now: Now) -> Effects:
        """``book.deadline`` has come."""
        return self._moved(self.book.woken(now), None, now)

    def lose_book(self, trust: Trust) -> Effects:
        """Its stream is gone or wrong: wait for a snapshot. A REST book in force stays."""
        self.book.reset()
        self._books.clear()
        self._by_quote.restart()
        self._by_snapshot.restart()
        self.suspect_at = None
        return self.feed.invalidate(trust, quote=False) if self.feed.live else []

    def _moved(self, effects: Effects, ts_ns: int | None, now: Now) -> Effects:
        """What follows from every change of the book."""
        if self.book.fault is not None:
            self.trouble = (spec.BOOK, *self.book.fault)
        elif self.book.phase is Phase.LIVE:
            if ts_ns is not None:
                self._clock.sample(ts_ns, now)
            book = self.feed.book
            self._books.show(book.best_bid(), book.best_ask(), now)
            effects += self._compare_touch(now)
        return effects

    # -- checks

    def _contradicted(self, wrong: int, levels: Levels, ts_ns: int, seq: int, now: Now) -> Effects:
        """Changes that do not start from what we hold: the book has been wrong, and may be so elsewhere too."""
        check_levels(levels[0], levels[1])
        check_levels(levels[2], levels[3])
        effects: Effects = [Count(Counter.CHECK_MISMATCHES.label, wrong)]
        effects += self._remedy(f"{wrong} changes do not fit the book", now)
        if self.trouble is not None:
            return effects + self.feed.invalidate(Trust.RESYNC, quote=False)
        return self._moved(effects + self.book.delta(ts_ns, seq, levels, now), ts_ns, now)

    def _compare_snapshot(self, ts_ns: int, levels: Levels, now: Now) -> Effects:
        """The delta just before a periodic snapshot has the same time: then both must hold the same book."""
        if self.book.phase is not Phase.LIVE or self.book.venue_ns != ts_ns:
            return []
        book = self.feed.book
        if messages.holds(book, levels):
            return self._by_snapshot.compared(self.id, 0.0, now)
        bid, ask = max(levels[0], default=None), min(levels[2], default=None)
        divergence = max(apart(book.best_bid(), bid), apart(book.best_ask(), ask), BELOW_TOUCH)
        return [
            Count(Counter.CHECK_MISMATCHES.label),
            *self._by_snapshot.compared(self.id, divergence, now),
            *self.feed.invalidate(Trust.RESYNC, quote=False),
        ]

    def _compare_touch(self, now: Now) -> Effects:
        divergence = self._books.differs(self._quotes, now)
        if divergence is None:
            return []
        effects = self._by_quote.compared(self.id, divergence, now)
        if divergence and self._by_quote.lasting(now):
            self._by_quote.restart()
            effects.append(Count(Counter.CHECK_MISMATCHES.label))
            effects += self._disagreed(f"book and quote differ by {divergence:.2e}", now)
        return effects

    def _disagreed(self, detail: str, now: Now) -> Effects:
        """One of the two is dead, if it has been silent meanwhile; else the book has gone wrong."""
        lag = self._book_at - self._quote_at
        if abs(lag) > spec.TOUCH_WINDOW_NS:
            self.trouble = (spec.BBO if lag > 0 else spec.BOOK, Reason.MARKET_STALE, detail)
            return []
        return self._remedy(detail, now)

    def _remedy(self, detail: str, now: Now) -> Effects:
        """Have the book started over for a failed check, unless that was done not long ago."""
        if self._remedied is not None and now.mono - self._remedied < spec.CHECK_REMEDY_NS:
            return [Note("warning", "check_failed_again", {"market": self.id, "detail": detail})]
        self._remedied = now.mono
        self.trouble = (spec.BOOK, Reason.SEQ_MISMATCH, detail)
        return []

    # -- quote, trades, prices, funding

    def on_quote(self, frame: Envelope, seq: int, ts_ns: int, now: Now) -> Effects:
        """A frame of the touch: replaces the one before."""
        _, data = messages.book(frame, self.symbol, messages.TOUCH)
        touch = messages.touch(data)
        effects = self.feed.quote(ts_ns, seq, touch)
        self._quote_at = now.mono
        self._quotes.show(touch[0], touch[2], now)
        return effects + self._compare_touch(now) if self.book.phase is Phase.LIVE else effects

    def quote_holds(self, now: Now) -> bool:
        """Whether a silent quote is a quiet market: a live book shows the same touch."""
        return self.feed.live and self._books.differs(self._quotes, now) == 0.0

    def lose(self, kind: str, trust: Trust) -> Effects:
        """The stream of this kind is gone or wrong: what it told is of no more use. REST speaks for it meanwhile."""
        if kind == spec.BOOK:
            return self.lose_book(trust)
        if kind == spec.BBO:
            return self.lose_quote(trust)
        if kind == spec.FUNDING:
            self._funded = None
        elif kind != spec.TRADE:
            self._stats = self._priced(kind, None, None)
        return []

    def lose_quote(self, trust: Trust) -> Effects:
        """Its stream is gone or wrong."""
        self._quotes.clear()
        self._by_quote.restart()
        return self.feed.invalidate_quote(trust)

    def on_trades(self, frame: Envelope, *, history: bool) -> Effects:
        """Trades; ``history``: the first frame of a subscription, which tells what happened before it."""
        effects: Effects = []
        rows = messages.trades(frame, self.symbol)
        for row in rows:
            if self._seen.first_time(self.id, row.i):
                category = CATEGORIES.get(row.tT, row.tT.lower())
                trade = Trade(row.T * MS, str(row.i), SIDES[row.S], row.p, row.q, history, category)
                effects.append(Emit(self.id, trade))
        fresh = len(effects)
        if history and fresh:
            effects.append(Count(Counter.HISTORY_TRADES.label, fresh))
        if fresh < len(rows):
            effects.append(Count(Counter.DUPLICATES.label, len(rows) - fresh))
        return effects or [Count(Counter.IGNORED_FRAMES.label)]

    def on_price(self, kind: str, frame: Envelope, ts_ns: int) -> Effects:
        """A mark or index price."""
        data = messages.price(frame, self.symbol)
        self._stats = self._priced(kind, data.p, data.ts * MS or ts_ns)
        return [Emit(self.id, self._stats)]

    def _priced(self, kind: str, price: float | None, at: int | None) -> Stats:
        old = self._stats
        if kind == spec.MARK:
            return Stats(at, price, old.index_px, old.open_interest)
        return Stats(at, old.mark_px, price, old.open_interest)

    def on_funding(self, frame: Envelope, now: Now) -> Effects:
        """A rate from the stream: the running one, recomputed every minute and charged on the hour."""
        data = messages.funding(frame, self.symbol)
        rate = messages.rate(data.f)
        self._funded = now.mono
        next_ns = (data.T // spec.HOUR_MS + 1) * spec.HOUR_MS * MS
        return [Emit(self.id, Funding(data.T * MS, rate, data.f, 1.0, settled=False, next_ns=next_ns))]

    # -- REST

    def on_listing(self, body: bytes) -> Effects:
        """The market list's word on it. Sets ``tradable`` and ``why_not``."""
        row = None if messages.says_absent(body) else messages.market_row(body, self.symbol)
        why_not = messages.untradable(row) or ""
        found = None if row is None or why_not else messages.instrument(row)
        effects: Effects = []
        if why_not != self.why_not and why_not:
            effects.append(Note("warning", "market_unavailable", {"market": self.id, "why": why_not}))
        self.tradable, self.why_not = not why_not, why_not
        if row is not None:
            self.book.may_be_empty = row.trading_hours != "CONTINUOUS"
        if found is not None and found != self.instrument:
            self.instrument = found
            effects.append(Emit(self.id, found))
        return effects

    def on_stats(self, body: bytes, now: Now) -> Effects:
        """Open interest; and prices and funding while their streams say nothing. The answer has no time."""
        found = messages.stats(body)
        said = (found.funding_rate, found.next_funding_rate)
        rate = None if found.funding_rate is None else messages.rate(found.funding_rate)
        old = self._stats
        self._stats = Stats(
            None,
            found.mark_price if old.mark_px is None else old.mark_px,
            found.index_price if old.index_px is None else old.index_px,
            found.open_interest_base,
        )
        effects: Effects = [Emit(self.id, self._stats)]
        streamed = self._funded is not None and now.mono - self._funded < spec.FUNDING_QUIET_NS
        if rate is not None and not streamed and said != self._rest_funding:
            self._rest_funding = said
            next_ns = None if said[1] is None else said[1] * MS
            effects.append(Emit(self.id, Funding(None, rate, said[0] or "", 1.0, settled=False, next_ns=next_ns)))
        return effects

    def on_settled(self, body: bytes) -> Effects:
        """The newest funding charged, once."""
        row = messages.settled(body, self.symbol)
        if row is None or self._settled_ms >= row.T:
            return []
        rate = messages.rate(row.f)
        self._settled_ms = row.T
        return [Emit(self.id, Funding(row.T * MS, rate, row.f, 1.0, settled=True))]

    def on_rest_book(self, body: bytes) -> Effects:
        """A REST book to stand in while the stream's is missing."""
        levels = messages.rest_book(body, self.symbol)
        effects = self.feed.whole(None, None, levels, kept=False, trust=Trust.REST, source=Source.REST)
        return [*effects, Count(Counter.REST_BOOKS.label)]

    def confirmed(self, body: bytes) -> bool:
        """Whether REST shows the top of the very book that we hold."""
        theirs = messages.rest_book(body, self.symbol)
        ours = self.feed.book.levels(spec.PROBE_LEVELS)
        return all(mine[: len(other)] == other[: spec.PROBE_LEVELS] for mine, other in zip(ours, theirs, strict=True))
