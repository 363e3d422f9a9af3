"""One Paradex market: its book step by step, its quote, its figures, and what contradicts them.

Nothing here knows connections. A book that is no longer known raises ``BookError``; the protocol chooses the remedy.
"""

from __future__ import annotations

from enum import Enum
from typing import Final

from bus.counters import Counter
from bus.errors import VenueError
from bus.events import Funding, Instrument, Reason, Source, Stats, Trust
from connectors.effects import Count, Effects, Emit, Now
from connectors.feed import Agreement, MarketFeed
from connectors.paradex import spec
from connectors.paradex.book import Audit, BookError, divergence
from connectors.paradex.messages import (
    BboEvent,
    BookEvent,
    FundingEvent,
    Levels,
    Loose,
    MarketRow,
    RestBook,
    SummaryEvent,
    SummaryRow,
    Touch,
    TradeEvent,
    decimal,
    nanoseconds,
    number,
)
from connectors.streams import Stream
from connectors.venue import Context

IGNORED: Final = Count(Counter.IGNORED_FRAMES.label)
DUPLICATE: Final = Count(Counter.DUPLICATES.label)


class Remedy(Enum):
    """What is to be done for a book that is not known."""

    RESUBSCRIBE = "leave its channel and take it again"
    WAIT = "do so later"
    LEAVE = "give the connection up"


class Market:
    """One wanted market. ``seq`` is the step that its book is at, ``None`` while it waits for a snapshot."""

    def __init__(self, name: str, context: Context, quiet_ns: int) -> None:
        """``quiet_ns``: a stream that has moved since is not called dead, whatever REST shows."""
        self.name = name
        self._quiet = quiet_ns
        self._moved = 0
        self._orphaned: int | None = None
        """The request of the book after which changes have come without a picture."""
        self._seen = context.seen
        self.symbol = ""
        """The venue's name; empty until it is listed."""
        self.channels: dict[str, str] = {}
        self.instrument: Instrument | None = None
        self.feed = MarketFeed(name, context.rebuilds)
        self.seq: int | None = None
        self.fence: int | None = None
        """Request whose acknowledgement ends the old subscription: a snapshot before it is of the old one."""
        self.cooling = False
        """It waits to be subscribed anew."""
        self.quote_seq: int | None = None
        self.audit: Audit | None = None
        self.ahead: int | None = None
        """REST is ahead of the stream: when the stream must have moved."""
        self.confirmed: int | None = None
        """When REST last said that the book has not changed."""
        self._repairs: list[int] = []
        self._cost: int | None = None
        """When it last cost the whole connection."""
        self._frame = b""
        self._touch: Touch = (None, None, None, None)
        self._checks = {
            "bbo": Agreement("bbo", every_ns=spec.CHECK_NS, lasting_ns=spec.BBO_DIVERGED_NS),
            "rest": Agreement("rest", every_ns=spec.CHECK_NS, lasting_ns=spec.REST_DIVERGED_NS),
        }
        self._doubted: set[str] = set()
        """Checks that a rebuild did not satisfy: not acted upon again until they have agreed once."""
        self._seen_at = 0
        self._promised: int | None = None
        """Step that REST showed and the stream never reached: the next snapshot must have it."""
        self._aligned = True
        """Whether REST and the stream share a sequence, as they should [C]; false once a snapshot denied it."""
        self._hours = 0.0
        self._stats: tuple[float | None, float | None, float | None] = (None, None, None)
        self._figured: int | None = None
        self._funded = 0
        self._digits = -1
        """Digits of the funding rate last published: while it is fresh no coarser one replaces it."""

    def resolve(self, rows: list[MarketRow], wall_ns: int) -> Effects:
        """Find it in the venue's list; a new instrument is published. Raises VenueError when it is not there."""
        row = find(rows, self.name)
        problem = untradable(row, wall_ns) if row else "not listed"
        if row is None or problem:
            raise VenueError(problem or "not listed", market=self.name)
        self.symbol = row.symbol
        self.channels = {kind: channel.format(row.symbol) for kind, channel in spec.CHANNELS.items()}
        self._hours = number(row.funding_period_hours) or self._hours
        found = Instrument(row.symbol, _step(row.price_tick_size), _step(row.order_size_increment), row.quote_currency)
        if found == self.instrument:
            return []
        self.instrument = found
        return [Emit(self.name, found)]

    def step(self, event: BookEvent, frame: bytes, now: Now, stream: Stream | None = None) -> Effects:
        """One book frame of this stream. Raises BookError."""
        if event.snapshot:
            self._moved = now.mono
            return self._snapshot(event, frame)
        last, seq = self.seq, event.seq
        if last is None:
            return self._orphan(stream, now)
        self._moved = now.mono
        if seq != last + 1:
            return self._out_of_step(last, seq, frame)
        try:
            effects = self.feed.delta(nanoseconds(event.ts), seq, event.levels)
        except VenueError as error:
            raise BookError(Reason.PARSE_ERROR, error.problem, []) from None
        if self.feed.book.is_crossed():
            raise _crossed()
        self.seq, self._frame = seq, frame
        if self.audit is not None and self.audit.applied(seq, event.levels):
            self._settle(self.audit, now, effects)
        if self.quote_seq == seq:
            self._compare("bbo", divergence(self.feed.book.best(), self._touch), now, effects)
        return effects

    def _orphan(self, stream: Stream | None, now: Now) -> Effects:
        """A change before its picture is early; but the first one after a silence shows that the picture was lost."""
        if stream is None or self.cooling or self.fence is not None or self._orphaned == stream.requested:
            return [IGNORED]
        self._orphaned = stream.requested
        if now.mono - stream.requested < spec.ORPHAN_NS:
            return [IGNORED]
        raise BookError(Reason.SNAPSHOT_TIMEOUT, "changes without a picture", [IGNORED])

    def _snapshot(self, event: BookEvent, frame: bytes) -> Effects:
        if self.fence is not None:
            return [IGNORED]
        last, seq = self.seq, event.seq
        if last is not None and (seq < last or frame == self._frame):
            return self._out_of_step(last, seq, frame)
        if _is_crossed(event.levels):
            raise _crossed()
        try:
            effects = self.feed.whole(nanoseconds(event.ts), seq, event.levels, kept=True)
        except VenueError as error:
            raise BookError(Reason.PARSE_ERROR, error.problem, []) from None
        self.seq, self._frame, self.audit, self.ahead = seq, frame, None, None
        if last is None:
            for check in self._checks.values():
                check.restart()
            # A restarted engine may count from lower again.
            self.quote_seq = None
            promised, self._promised = self._promised, None
            self._aligned = self._aligned and (promised is None or seq >= promised)
        return effects

    def _out_of_step(self, last: int, seq: int, frame: bytes) -> Effects:
        if seq == last and frame == self._frame:
            return [DUPLICATE]
        reason = Reason.SEQ_GAP if seq > last else Reason.SEQ_MISMATCH
        raise BookError(reason, f"step {seq} after {last}", [Count(Counter.SEQ_GAPS.label)])

    def lose(self, trust: Trust) -> Effects:
        """The stream book is no longer known. A REST picture is not of the stream and stays."""
        self.seq, self.audit, self.ahead = None, None, None
        return [] if self.feed.trust is Trust.REST else self.feed.invalidate(trust, quote=False)

    def cut(self) -> Effects:
        """The connection is gone, and everything that came by it. After ``lose``."""
        self.quote_seq = self.fence = None
        self.cooling = False
        return self.feed.invalidate_quote(Trust.STALE)

    def remedy(self, now: Now, *, alone: bool, others_live: bool) -> Remedy:
        """How to rebuild the book: ``alone`` where that may help or others are live, else with the connection.

        But not again and again at the cost of markets that are well: then it waits for its next turn.
        """
        self._repairs = [time for time in self._repairs if now.mono - time < spec.RESYNC_WINDOW_NS]
        if (alone or others_live) and len(self._repairs) < spec.RESYNCS:
            self._repairs.append(now.mono)
            return Remedy.RESUBSCRIBE
        if others_live and self._cost is not None and now.mono - self._cost < spec.SPARE_NS:
            self.cooling = True
            return Remedy.WAIT
        self._cost = now.mono
        self._repairs.clear()
        return Remedy.LEAVE

    def expects(self, seq: int | None) -> bool:
        """Whether this would be the book's next step. The markets' counters are far apart."""
        return seq is not None and self.seq == seq - 1

    def stand_in(self, claim: RestBook, depth: int) -> Effects:
        """A REST picture of so many levels while the stream has none, unless it is an old one. Raises VenueError."""
        time, levels = nanoseconds(claim.last_updated_at * 1_000), claim.levels()
        if (time or 0) < (self.feed.venue_ns or 0) and claim.seq_no < (self.feed.venue_seq or 0):
            return []
        if _is_crossed(levels):
            raise VenueError("crossed")
        effects = self.feed.whole(
            time, claim.seq_no, levels, kept=False, trust=Trust.REST, source=Source.REST, depth=depth
        )
        return [*effects, Count(Counter.REST_BOOKS.label)]

    def quote(self, event: BboEvent, now: Now) -> Effects:
        """One quote. Raises BookError when it proves the book wrong, VenueError when it is impossible itself."""
        if self.quote_seq is not None and event.seq <= self.quote_seq:
            return [DUPLICATE]
        bid, _, ask, _ = event.touch
        if bid is not None and ask is not None and bid >= ask:
            raise VenueError("crossed quote")
        effects = self.feed.quote(nanoseconds(event.ts), event.seq, event.touch)
        self.quote_seq, self._touch = event.seq, event.touch
        if event.seq == self.seq:
            self._compare("bbo", divergence(self.feed.book.best(), self._touch), now, effects)
        return effects

    def quiet_quote(self) -> bool:
        """Whether a silent quote is right all the same: it is the book's touch, or there is no book to tell."""
        return self.seq is None or self.feed.book.best() == self._touch

    def ask(self) -> None:
        """REST is being asked for the book."""
        self.audit = None if self.seq is None else Audit(self.seq, self.feed.book.levels())

    def claimed(self, claim: RestBook, now: Now) -> Effects:
        """REST answered. Raises BookError when the book is proven wrong."""
        audit = self.audit
        if audit is None or self.seq is None:
            return []
        audit.claim = claim
        effects: Effects = []
        if claim.seq_no <= self.seq:
            self._settle(audit, now, effects)
        elif self._aligned:
            self.ahead = max(now.mono + spec.BEHIND_NS, self._moved + self._quiet)
            self._seen_at = self.seq
        else:
            self.audit = None
        return effects

    def fell_behind(self) -> bool:
        """``ahead`` has come: whether the stream is dead, having shown nothing of what REST has."""
        audit, self.audit, self.ahead = self.audit, None, None
        if audit is None or audit.claim is None or self.seq != self._seen_at:
            return False
        self._promised = audit.claim.seq_no
        return True

    def _settle(self, audit: Audit, now: Now, effects: Effects) -> None:
        self.audit, self.ahead = None, None
        claim = audit.claim
        found = None if claim is None else audit.divergence(claim)
        if claim is None or found is None:
            return
        self._compare("rest", found, now, effects)
        if found == 0.0:
            self._aligned = True
            if claim.seq_no == self.seq:
                self.confirmed = now.mono
                effects += self.feed.confirm(self.feed.venue_ns, self.seq)

    def _compare(self, against: str, difference: float, now: Now, effects: Effects) -> None:
        check = self._checks[against]
        effects += check.compared(self.name, difference, now)
        if difference == 0.0:
            self._doubted.discard(against)
            return
        effects.append(Count(Counter.CHECK_MISMATCHES.label))
        if check.lasting(now) and against not in self._doubted:
            self._doubted.add(against)
            raise BookError(Reason.SEQ_MISMATCH, f"differs from {against} by {difference:.3g}", effects)

    def trade(self, event: TradeEvent, _: Now) -> Effects:
        """One trade. Nothing is replayed on subscribing, so none is history."""
        return [Emit(self.name, event.trade) if self._seen.first_time(self.name, event.key) else DUPLICATE]

    def summary(self, event: SummaryEvent, now: Now) -> Effects:
        """Mark, index, open interest, and the funding rate. Raises VenueError on impossible figures."""
        time = nanoseconds(event.ts)
        effects = self._figures(time, (event.mark_px, event.index_px, event.open_interest), now)
        if event.rate is not None:
            effects += self._rate(time, decimal(event.rate, event.digits), event.digits, now)
        return effects

    def funding(self, event: FundingEvent, now: Now) -> Effects:
        """The funding rate by itself, and the period it is for."""
        self._hours = float(event.hours) if event.hours > 0 else self._hours
        if event.rate is None:
            return [IGNORED]
        return self._rate(nanoseconds(event.created), decimal(event.rate, 8), 8, now)

    def rest_summary(self, row: SummaryRow, now: Now) -> Effects:
        """The same figures over REST, for where the streams are late or have not begun. Raises VenueError."""
        time = nanoseconds(row.created_at * 1_000)
        effects: Effects = []
        if self._figured is None or now.mono - self._figured >= spec.FRESH_NS:
            found = (number(row.mark_price), number(row.underlying_price), number(row.open_interest))
            effects += self._figures(time, found, now)
        if number(row.funding_rate) is not None:
            effects += self._rate(time, str(row.funding_rate), 0, now)
        return effects

    def _figures(self, time: int | None, found: tuple[float | None, float | None, float | None], now: Now) -> Effects:
        mark, index, interest = found
        if (mark is not None and mark <= 0) or (index is not None and index <= 0) or (interest or 0) < 0:
            raise VenueError("impossible mark price, index price or open interest")
        mark, index, interest = (old if new is None else new for old, new in zip(self._stats, found, strict=True))
        self._stats, self._figured = (mark, index, interest), now.mono
        return [Emit(self.name, Stats(time, mark, index, interest))]

    def _rate(self, time: int | None, rate: str, digits: int, now: Now) -> Effects:
        """A fraction for a whole funding period. Without a period it means nothing; it accrues, so nothing is due."""
        if self._hours <= 0:
            return [IGNORED]
        if digits < self._digits and now.mono - self._funded < spec.FRESH_NS:
            return []
        self._funded, self._digits = now.mono, digits
        return [Emit(self.name, Funding(time, float(rate) / self._hours, rate, self._hours, settled=False))]


def _is_crossed(levels: Levels) -> bool:
    bid_px, _, ask_px, _ = levels
    return bool(bid_px and ask_px) and max(bid_px) >= min(ask_px)


def _crossed() -> BookError:
    return BookError(Reason.CROSSED_BOOK, "crossed or locked", [Count(Counter.CROSSED_BOOKS.label)])


def _step(value: Loose) -> str | None:
    size = number(value)
    return str(value) if size is not None and size > 0 else None


def find(rows: list[MarketRow], market: str) -> MarketRow | None:
    """The perpetual of one of our markets: ``BTC-PERP`` is ``BTC-USD-PERP``, ``KPEPE-PERP`` is ``kPEPE-USD-PERP``."""
    symbol = f"{market.removesuffix('-PERP')}-USD-PERP"
    return next((row for row in rows if row.symbol.upper() == symbol and row.asset_kind in ("PERP", "")), None)


def untradable(row: MarketRow, wall_ns: int) -> str:
    """Why the market has no book to follow now; empty when it has one. The venue has no status field for it."""
    opens, expires = number(row.open_at), number(row.expiry_at)
    if row.trading_mode == "RFQ_ONLY":
        return "has no order book (RFQ_ONLY)"
    if opens and opens * 1e6 > wall_ns:
        return "not open yet"
    if expires and expires * 1e6 <= wall_ns:
        return "expired"
    return ""
