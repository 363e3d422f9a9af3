"""One Lighter market: the chain of its book, its frames as events, and whether they agree."""

from __future__ import annotations

from collections import defaultdict
from math import inf
from typing import Final

from msgspec.structs import replace

from bus.book import BookSide
from bus.counters import Counter
from bus.errors import VenueError
from bus.events import Funding, Instrument, Reason, Side, Stats, Trade
from connectors.effects import Count, Effect, Effects, Emit, Note, Now, Rotate
from connectors.feed import Agreement, MarketFeed, Quotes, Turnover
from connectors.lighter import messages, spec
from connectors.lighter.spec import HOUR, NS_PER_MS, NS_PER_US
from connectors.venue import Context

IGNORED: Final = Count(Counter.IGNORED_FRAMES.label)
DUPLICATE: Final = Count(Counter.DUPLICATES.label)
_GAP: Final = Count(Counter.SEQ_GAPS.label)
_CROSSED: Final = Count(Counter.CROSSED_BOOKS.label)
_HISTORY: Final = Count(Counter.HISTORY_TRADES.label)
_MISMATCH: Final = Count(Counter.CHECK_MISMATCHES.label)


class Market:
    """One wanted market. ``trouble`` says after each frame of its book or quote why the book can no longer be used."""

    def __init__(self, market: str, context: Context) -> None:
        self.id = market
        self.feed = MarketFeed(market, context.rebuilds)
        self.number: int | None = None
        """The venue's id while it is listed and tradable; 0 is one."""
        self.instrument: Instrument | None = None
        self.decimals = 0
        """Of sizes."""
        self.nonce: int | None = None
        """Where the book's chain is; ``None`` while it waits for a snapshot."""
        self.trouble: tuple[Reason, str] | None = None
        self.frames = 0
        """Book frames so far: whether any came while REST was asked."""
        self.doubted: int | None = None
        """``frames`` when REST last contradicted the book: a second time without a frame between is proof."""
        self._seen = context.seen
        self._quote_nonce = 0
        self._quotes = Quotes(spec.QUOTES)
        self._check = Agreement("bbo", every_ns=spec.CHECK_NS, lasting_ns=spec.DOUBT_NS)
        self._mismatches = 0.0
        self._doubt: int | None = None
        """Since when quotes have contradicted the book: it is kept and withheld until one agrees."""
        self._check_off = False
        self._venue_ns: int | None = None
        self._behind: int | None = None
        """Since when the quote has been ahead of the book; ``_leading``: the book ahead of the quote."""
        self._leading: int | None = None
        self._stats: Stats | None = None
        self.mute = False
        """The venue's volume shows trades that never came."""
        self._turnover = Turnover()
        self._orphaned: int | None = None
        """The subscription of the book after which differences have come without a snapshot."""
        self._running: Funding | None = None
        self._settled: Funding | None = None

    def channel(self, kind: str) -> str:
        """Name of one of its channels on frames."""
        return f"{kind}:{self.number}"

    def listed(self, row: messages.Row) -> Effects:
        """The venue lists it: its instrument, when that is news."""
        self.number, self.decimals = row.market_id, row.supported_size_decimals
        instrument = messages.instrument(row)
        if instrument == self.instrument:
            return []
        self.instrument = instrument
        return [Emit(self.id, instrument)]

    def broken(self) -> None:
        """The chain of its book is lost: nothing is applied until the next snapshot."""
        self.nonce = self.trouble = self._behind = self._leading = None

    def disconnected(self) -> None:
        """Nothing of the past continues on the next connection."""
        self.broken()
        self._quote_nonce = 0
        self._quotes.clear()

    def snapshot(self, book: messages.OrderBook, now: Now) -> Effects:
        """The whole book, whatever was held before. Raises VenueError on impossible levels."""
        levels = messages.flat(book)
        self.frames += 1
        if _crossed(levels):
            self.trouble = Reason.CROSSED_BOOK, "snapshot is crossed"
            return [_CROSSED]
        self._venue_ns, effects = book.last_updated_at * NS_PER_US or None, []
        if self._doubt is None:
            effects = self.feed.whole(self._venue_ns, book.nonce, levels, kept=True)
        else:
            self.feed.book.replace(*levels)
        self.nonce, self.trouble, self._behind = book.nonce, None, None
        return effects + self._compare(book.nonce, now)

    def difference(self, book: messages.OrderBook, now: Now, requested: int) -> Effects:
        """Changed levels, when they continue the chain. Raises VenueError on impossible ones, with nothing applied.

        ``requested``: when the book was subscribed, monotonic ns.
        """
        self.frames += 1
        if self.nonce is None:
            # One before its snapshot is early; the first one after a silence shows that the snapshot was lost in it.
            first, self._orphaned = self._orphaned != requested, requested
            if first and now.mono - requested >= spec.ORPHAN_NS:
                self.trouble = Reason.SNAPSHOT_TIMEOUT, "differences without a snapshot"
            return [IGNORED]
        if book.nonce <= self.nonce:
            return [DUPLICATE]
        if book.begin_nonce != self.nonce:
            self.trouble = Reason.SEQ_GAP, f"begin_nonce {book.begin_nonce} after nonce {self.nonce}"
            return [_GAP]
        self._venue_ns = book.last_updated_at * NS_PER_US or None
        effects = self._apply(book)
        self.nonce, self._behind = book.nonce, None
        return effects if self.trouble is not None else effects + self._compare(book.nonce, now)

    def _apply(self, book: messages.OrderBook) -> Effects:
        held, effects = self.feed.book, list[Effect]()
        levels = messages.flat(book)
        before = _at_stake(held.bids, levels[1]), _at_stake(held.asks, levels[3])
        if self._doubt is None:
            effects = self.feed.delta(self._venue_ns, book.nonce, levels)
        else:
            held.apply(*levels)
        if held.is_crossed():
            self.trouble = Reason.CROSSED_BOOK, "crossed after a whole frame"
            return [_CROSSED]
        if _collapsed(held.bids, before[0]) or _collapsed(held.asks, before[1]):
            # Rare enough to be asked about: a snapshot that says the same is believed.
            self.trouble = Reason.SEQ_MISMATCH, "half of a side has vanished"
            return []
        return effects

    def quote(self, frame: messages.TickerFrame, now: Now) -> Effects:
        """The touch; it has no chain, only an order. Raises VenueError."""
        if isinstance(frame, messages.FirstTicker):
            self._quotes.clear()
        elif frame.nonce < self._quote_nonce:
            return [DUPLICATE]
        touch = messages.touch(frame.ticker)
        effects = self.feed.quote(frame.ticker.last_updated_at * NS_PER_US or None, frame.nonce, touch)
        self._quote_nonce, self._leading = frame.nonce, None
        self._quotes.add(frame.nonce, touch)
        if self.nonce is None:
            return effects
        if frame.nonce == self.nonce:
            return effects + self._compare(frame.nonce, now)
        if frame.nonce < self.nonce or touch == self.feed.book.best():
            self._behind = None
        elif self._behind is None:
            self._behind = now.mono
        elif now.mono - self._behind >= spec.BEHIND_NS:
            self.trouble = Reason.MARKET_STALE, "the quote moves on and the book does not"
        return effects

    def quote_behind(self, now: Now) -> bool:
        """Whether the book has moved away from the last quote for long enough to take the quote stream for dead."""
        quote = self.feed.last_quote() if self.nonce is not None else None
        if quote is None or (quote.bid_px, quote.ask_px) == (self.feed.book.best_bid(), self.feed.book.best_ask()):
            self._leading = None
        elif self._leading is None:
            self._leading = now.mono
        elif now.mono - self._leading >= spec.BEHIND_NS:
            self._leading = None
            return True
        return False

    def _compare(self, nonce: int, now: Now) -> Effects:
        """Touch and quote of one and the same nonce are the same by definition.

        Once contradicted, the book is withheld until a comparison has agreed; for a while only, lest a check that no
        longer fits the venue should take its books away for good.
        """
        if self._doubt is not None and now.mono - self._doubt >= spec.DOUBT_NS:
            self._check_off = True
            return [Note("error", "check_unsatisfied", {"market": self.id}), *self.confirmed()]
        divergence = self._quotes.divergence(nonce, self.feed.book.best(), exactly=True)
        if divergence is None:
            return []
        effects = self._check.compared(self.id, divergence, now)
        if divergence == 0.0:
            self._mismatches, self._check_off = max(0.0, self._mismatches - 0.1), False
            return effects if self._doubt is None else effects + self.confirmed()
        effects.append(_MISMATCH)
        self._mismatches += 1.0
        if not self._check_off and (self._doubt is not None or self._mismatches >= spec.CHECK_MISMATCHES):
            self._mismatches, self._doubt = 0.0, now.mono if self._doubt is None else self._doubt
            self.trouble = Reason.SEQ_MISMATCH, "book contradicts the quote of its nonce"
        return effects

    def confirmed(self) -> Effects:
        """The venue has said elsewhere that the book is right: fresh again, or no longer withheld."""
        self._doubt, self._mismatches = None, 0.0
        if self.feed.live:
            return self.feed.confirm(self._venue_ns, self.nonce)
        return self.feed.whole(self._venue_ns, self.nonce, self.feed.book.levels(), kept=False)

    def trades(self, frame: messages.TradesFrame, now: Now) -> Effects:
        """Trades, each once; those of the first frame after a subscribe are history. Raises VenueError."""
        self._turnover.traded(now)
        history = isinstance(frame, messages.FirstTrades)
        effects: Effects = []
        for event in _trades(frame, history=history):
            if not self._seen.first_time(self.id, event.trade_id):
                effects.append(DUPLICATE)
            else:
                effects += [_HISTORY, Emit(self.id, event)] if history else [Emit(self.id, event)]
        return effects

    def figures(self, frame: messages.StatsFrame, now: Now) -> Effects:
        """What has changed of mark, index, open interest and both funding rates. Raises VenueError."""
        stats, running, settled = _stats(frame, self.decimals), _running(frame, now.wall), _settled(frame)
        effects: Effects = []
        if not _same(stats, self._stats):
            self._stats = stats
            effects.append(Emit(self.id, stats))
        if settled is not None and settled != self._settled:
            self._settled = settled
            effects.append(Emit(self.id, settled))
        if not _same(running, self._running):
            self._running = running
            effects.append(Emit(self.id, running))
        self.mute = self._turnover.dead(frame.market_stats.daily_base_token_volume, now)
        return (
            [*effects, Note("warning", "stream_dead", {"market": self.id, "stream": "trade"})] if self.mute else effects
        )

    def agrees(self, orders: messages.Orders) -> bool:
        """Whether REST shows what our book does, as far as it goes: a side cut at its limit does not show all."""
        bid_px, bid_sz, ask_px, ask_sz = aggregate(orders, self.decimals)
        ours = self.feed.book.levels()
        return _matches(ours[0], ours[1], bid_px, bid_sz, cut=len(orders.bids or ()) >= spec.PROBE_ORDERS) and _matches(
            ours[2], ours[3], ask_px, ask_sz, cut=len(orders.asks or ()) >= spec.PROBE_ORDERS
        )


def _at_stake(side: BookSide, sizes: list[float]) -> int:
    """Levels of a side before a frame with these sizes; any number but 0 where it removes too few for more than half.

    Counting them takes longer than applying the frame.
    """
    if 2 * sizes.count(0.0) > spec.MANY_LEVELS:
        return side.count()
    return 0 if side.best() is None else 1


def _collapsed(side: BookSide, before: int) -> bool:
    """Whether a side has lost all its levels, or more than half of many."""
    if side.best() is None:
        return before > 0
    return before >= spec.MANY_LEVELS and side.count() < before / 2


def _crossed(levels: messages.Flat) -> bool:
    """Whether a whole book's best bid is at or above its best ask, zero sizes left out."""
    bids = [price for price, size in zip(levels[0], levels[1], strict=True) if size]
    asks = [price for price, size in zip(levels[2], levels[3], strict=True) if size]
    return bool(bids) and bool(asks) and max(bids) >= min(asks)


def aggregate(orders: messages.Orders, decimals: int) -> messages.Flat:
    """Orders as levels, best first, sizes with ``decimals``.

    A side cut at ``PROBE_ORDERS`` orders ends in a price that may be incomplete: it is left out.
    """
    bid_px, bid_sz = _levels(orders.bids or [], decimals, sign=-1)
    ask_px, ask_sz = _levels(orders.asks or [], decimals, sign=1)
    return bid_px, bid_sz, ask_px, ask_sz


def _levels(orders: list[messages.Order], decimals: int, *, sign: int) -> tuple[list[float], list[float]]:
    sizes: defaultdict[float, float] = defaultdict(float)
    for order in orders:
        sizes[order.price] += order.remaining_base_amount
    prices = sorted(sizes, key=lambda price: sign * price)
    if len(orders) >= spec.PROBE_ORDERS:
        prices = prices[:-1]
    return prices, [round(sizes[price], decimals) for price in prices]


def _matches(px: list[float], sz: list[float], rest_px: list[float], rest_sz: list[float], *, cut: bool) -> bool:
    depth = len(rest_px) if cut else len(px)
    return px[:depth] == rest_px and sz[:depth] == rest_sz


def _trades(frame: messages.TradesFrame, *, history: bool) -> list[Trade]:
    """All trades of a frame by ascending id, for a replay comes newest first. Raises VenueError."""
    found = sorted([*(frame.trades or ()), *(frame.liquidation_trades or ())], key=lambda data: data.trade_id)
    return [_trade(data, history=history) for data in found]


def _trade(data: messages.TradeData, *, history: bool) -> Trade:
    if not (0.0 < data.price < inf and 0.0 < data.size < inf):
        raise VenueError("a trade without a price or a size")
    return Trade(
        venue_ns=data.transaction_time * NS_PER_US or data.timestamp * NS_PER_MS or None,
        trade_id=str(data.trade_id),
        side=Side.BUY if data.is_maker_ask else Side.SELL,
        px=data.price,
        sz=data.size,
        history=history,
        category="settlement" if data.type == "market-settlement" else data.type,
    )


def _stats(frame: messages.StatsFrame, decimals: int) -> Stats:
    """Mark, index and open interest. Raises VenueError.

    The stream's open interest is base units times the mark price of the same frame (the captures divide exactly), so
    dividing gives base units again, in steps of the lot.
    """
    data = frame.market_stats
    if not (0.0 < data.mark_price < inf and 0.0 < data.index_price < inf and 0.0 <= data.open_interest < inf):
        raise VenueError("impossible mark, index or open interest")
    base = round(data.open_interest / data.mark_price, decimals)
    return Stats(frame.timestamp * NS_PER_MS or None, data.mark_price, data.index_price, base)


def _running(frame: messages.StatsFrame, wall_ns: int) -> Funding:
    """The estimate for the next full hour: the venue settles hourly and gives no next time. Raises VenueError."""
    text = frame.market_stats.current_funding_rate
    due = (wall_ns // HOUR + 1) * HOUR
    venue_ns = frame.timestamp * NS_PER_MS or None
    return Funding(venue_ns, _rate(text), text, 1.0, settled=False, next_ns=due, raw_unit="percent")


def _settled(frame: messages.StatsFrame) -> Funding | None:
    """The rate last charged, stamped with its hour (the venue's stamp is some ms after it). Raises VenueError."""
    data = frame.market_stats
    if not data.funding_timestamp:
        return None
    hour = data.funding_timestamp * NS_PER_MS // HOUR * HOUR
    text = data.funding_rate
    return Funding(hour, _rate(text), text, 1.0, settled=True, next_ns=hour + HOUR, raw_unit="percent")


def _rate(text: str) -> float:
    """Percent per hour as a fraction per hour; the venue clamps it at 0.5 %."""
    try:
        rate = float(text) / 100.0
    except ValueError:
        raise VenueError(f"no funding rate: {text[:40]!r}") from None
    if not -1.0 < rate < 1.0:
        raise VenueError(f"impossible funding rate: {text[:40]!r}")
    return round(rate, 12)


def _same(event: Stats | Funding, last: Stats | Funding | None) -> bool:
    """Whether two events say the same but for their times."""
    return last is not None and replace(event, venue_ns=None) == replace(last, venue_ns=None)


def shutdown(conn: str, frame: messages.Shutdown) -> Effects:
    """The venue wants the replacement opened before it closes."""
    note = Note("info", "shutdown_announced", {"close_in_ms": frame.close_in_ms})
    return [note, Rotate(conn, f"the venue closes in {frame.close_in_ms} ms")]
