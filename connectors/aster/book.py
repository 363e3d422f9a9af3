"""One market's book: REST snapshots joined with diffs, and proven again and again.

========== ======================================== =========== =====================================================
state      on                                       goes to     and
========== ======================================== =========== =====================================================
buffering  a diff                                   buffering   is kept; the first one asks for a snapshot
buffering  a snapshot                               bridging    is held until diffs lead on from it
bridging   a diff or snapshot that leads on         live        the book is published, with all diffs kept
bridging   a snapshot older than the diffs kept     buffering   the next is asked for; the third ends the connection
bridging   a snapshot ahead of the diffs            bridging    after 2 s it is shown as a REST picture
live       a diff with ``pu`` = last ``u``          live        is applied and published
live       a snapshot, rolled to the same id, equal live        proves the book; moves its horizon when that is due
live       any other diff, a crossed or emptied     buffering   is invalidated, and a snapshot asked for
           book, two snapshots unequal in one price
any        the stream is lost                       buffering   is invalidated; REST pictures after 2 s
========== ======================================== =========== =====================================================

Live is ``feed.live``; bridging is "a snapshot is held".
"""

from __future__ import annotations

from math import inf
from typing import Final

from bus.book import Book as Levels
from bus.counters import Counter
from bus.events import Reason, Source, Trust
from connectors.aster import spec
from connectors.aster.joining import WHOLE, Chain, Link, Span, differing, divergence, flat, rolled, span
from connectors.aster.messages import DepthUpdate, Snapshot
from connectors.effects import Count, Effects, Fetch, Now, Reconnect, Reply
from connectors.feed import Agreement, MarketFeed
from connectors.polls import LOST_AFTER_NS, retry_after_ns, retry_delay_ns
from connectors.venue import Context

SERVER_ERROR: Final = 500
RESYNC: Final = Count(Counter.RESYNCS.label)


class DiffBook:
    """See the table above. Times are monotonic ns; the effects of a method are to be performed in order."""

    def __init__(self, market: str, conn: str, context: Context) -> None:
        settings, count = context.settings, len(context.settings.markets)
        self.market = market
        self.conn = conn
        self.symbol = ""
        self.confirmed = False
        """Whether the market list names ``symbol``: until then all is prepared and nothing published."""
        self.streaming = False
        """Whether diffs are subscribed on an open connection."""
        self.feed = MarketFeed(market, context.rebuilds, spec.SNAPSHOT_LEVELS)
        self.chain = Chain()
        self.seen = 0
        """When a diff last came in order, or REST last showed that none was due."""
        self.strikes = 0
        """Times the stream was found dead since the book was last live."""
        self.moved: bool | None = None
        """Whether REST shows changes while no diff has come since subscribing; ``None``: not known."""
        self.failures = 0
        self._rest = settings.rest_url + spec.REST_PATH + "depth"
        self._timeout_s = min(settings.rest_timeout_ms / 1e3, spec.SNAPSHOT_TIMEOUT_S)
        self._stale = settings.stale_ms * spec.MS
        self._pace = spec.snapshot_every_ns(count)
        self._check = spec.check_every_ns(count)
        self._proofs = Agreement("rest", every_ns=spec.CHECK_TOLD_NS, lasting_ns=spec.LASTING_NS)
        self._suspects: set[float] = set()
        """Prices at which the last proof failed."""
        self._snapshot: Snapshot | None = None
        self._held = 0
        self._picture: Snapshot | None = None
        self._shown = 0
        self._reach = WHOLE
        self._reached = 0
        self._one_sided = False
        self._misfits = 0
        self.proven = 0
        """When REST last agreed with the live book."""
        self._lost: int | None = None
        self._cause = 0
        self._asked: int | None = None
        self._want: int | None = None
        self._spent = 0

    @property
    def deadline(self) -> int | None:
        """When ``woken`` has something to do; it may be early."""
        times = [self._fetch_at(), self.seen + self._stale if self.feed.live else None]
        if self._snapshot is not None and (self.feed.live or self.moved):
            times.append(self._held + spec.PROOF_NS)
        if self.feed.trust is Trust.REST:
            times.append(self._shown + self._stale)
        return min((time for time in times if time is not None), default=None)

    # -- the stream

    def missing(self, now: Now) -> None:
        """There is no stream, and it is time to look to REST in a while."""
        self.streaming = False
        self._lost = now.mono if self._lost is None else self._lost
        self._forget(max(now.mono, self._lost + spec.REST_FALLBACK_AFTER_NS))

    def requested(self, now: Now) -> None:
        """Diffs are being subscribed: what came before is another chain."""
        self.streaming = True
        # Every connection has its full number of tries, and the patience learnt on the one before.
        self._misfits += -self._misfits % spec.MISFITS
        self._forget(now.mono + max(spec.FIRST_SNAPSHOT_NS, spec.misfit_ns(self._misfits)))

    def lost(self, trust: Trust, now: Now, *, quote: bool = True) -> Effects:
        """The stream is gone or dead."""
        feed = self.feed
        effects: Effects = []
        if feed.trust is not Trust.REST:
            effects += feed.invalidate(trust, quote=False)
        if quote:
            effects += feed.invalidate_quote(trust)
        if self.streaming:
            self.missing(now)
        return effects

    def retire(self, now: Now) -> Effects:
        """The market list no longer names the market."""
        effects = self.lost(Trust.STALE, now) + self.feed.invalidate(Trust.STALE)
        self.confirmed = False
        return effects

    def update(self, update: DepthUpdate, now: Now) -> Effects:
        """One diff, the hot path."""
        link = self.chain.offer(update)
        if link is Link.REPEATED:
            return [Count(Counter.DUPLICATES.label)]
        self.seen = now.mono
        feed = self.feed
        if not feed.live:
            effects: Effects = [] if link is Link.NEXT else [Count(Counter.SEQ_GAPS.label)]
            return effects + self._waiting(now)
        if link is Link.BROKEN:
            return self._distrust(now, Count(Counter.SEQ_GAPS.label))
        levels = flat(update.bids, update.asks, self._reach)
        effects = feed.delta(update.venue_ns, update.last, levels, checked=True)
        bid, ask = feed.book.bids.best(), feed.book.asks.best()
        if bid is not None and ask is not None:
            self._one_sided = False
            if bid >= ask:
                self.chain.updates.clear()
                return self._distrust(now, Count(Counter.CROSSED_BOOKS.label))
        elif not self._one_sided:
            return self.wrong(now)
        return effects if self._snapshot is None else effects + self._prove(self._snapshot, now)

    def broken(self, now: Now) -> Effects:
        """A diff could not be read: what it said is lost."""
        self.chain.restart()
        return self._distrust(now)

    def doubt(self, now: Now) -> Effects:
        """Something else of the venue's contradicts the book: see what REST says, at once."""
        return self._ask(now) if self._asked is None and self._snapshot is None else []

    def wrong(self, now: Now) -> Effects:
        """The book is not what the venue's is, or must not be believed without a second look (a side ran empty)."""
        self.chain.updates.clear()
        return self._distrust(now)

    def confirm(self, now: Now) -> Effects:
        """The market list names ``symbol``."""
        self.confirmed = True
        return self._join(self._snapshot, now) if self._snapshot is not None and not self.feed.live else []

    # -- REST

    def woken(self, now: Now) -> Effects:
        """Ask for what is due, take back a picture that has grown old."""
        effects: Effects = []
        if self.feed.trust is Trust.REST and now.mono >= self._shown + self._stale:
            effects += self.feed.invalidate(Trust.STALE, quote=False)
        at = self._fetch_at()
        return [*effects, self._fetch(now)] if at is not None and at <= now.mono else effects

    def dead(self, now: Now) -> str:
        """Why the stream is to be taken for dead, empty when it is not; to be asked before ``woken``."""
        if self.feed.live and now.mono >= self.seen + self._stale:
            return "silent"
        if self._snapshot is None or now.mono < self._held + spec.PROOF_NS:
            return ""
        if self.feed.live:
            self._snapshot = None
            return "silent while REST moves" if self.seen <= self._held else ""
        return "no diffs while REST moves" if self.moved else ""

    def awaits(self, request: Fetch) -> bool:
        """Whether this is the answer waited for, not one to an earlier question. It is taken for answered."""
        mine = self._asked is not None and request.cause == self._cause
        if mine:
            self._asked = None
        return mine

    def refused(self, reply: Reply, now: Now) -> None:
        """There is no usable snapshot in the answer: ask again, for ever."""
        wait = retry_delay_ns(self.failures)
        if reply.status is None or reply.status >= SERVER_ERROR:
            # It is the venue's trouble, not our question: the usual pace is gentle enough.
            wait = min(wait, self._pace)
        self._want = now.mono + max(wait, retry_after_ns(reply))
        self.failures += 1

    def answered(self, snapshot: Snapshot, now: Now) -> Effects:
        """A snapshot came."""
        self.failures = 0
        self._want = now.mono + (self._check if self.feed.live else self._pace)
        if self._lost is not None and now.mono < self._lost + spec.REST_FALLBACK_AFTER_NS:
            # If it is still needed then, it is to be shown then.
            self._want = self._lost + spec.REST_FALLBACK_AFTER_NS
        if not self.streaming:
            return self._show(snapshot, now)
        self._snapshot, self._held = snapshot, now.mono
        if self.feed.live:
            return self._prove(snapshot, now)
        return self._join(snapshot, now) or self._show(snapshot, now)

    def _fetch_at(self) -> int | None:
        """When the next snapshot is to be asked for: as wanted, and in a live book when it has been quiet for long."""
        if self._asked is not None:
            return self._asked + LOST_AFTER_NS
        want = self._want
        if want is None or not (self.confirmed or self.streaming):
            return None
        if self.feed.live and self._snapshot is None and not self.failures:
            want = min(want, self.seen + self._stale // 2)
        return max(want, self._spent - spec.SNAPSHOT_BURST * self._pace)

    def _ask(self, now: Now) -> Effects:
        self._want = now.mono
        return [] if (self._fetch_at() or 0) > now.mono else [self._fetch(now)]

    def _fetch(self, now: Now) -> Fetch:
        self._asked = now.mono
        self._cause += 1
        self._spent = max(self._spent, now.mono) + self._pace
        query = (("symbol", self.symbol), ("limit", str(spec.SNAPSHOT_LEVELS)))
        return Fetch(
            "book",
            self._rest,
            self.market,
            params=query,
            timeout_s=self._timeout_s,
            weight=spec.WEIGHT_SNAPSHOT,
            cause=self._cause,
        )

    # -- transitions

    def _forget(self, want: int) -> None:
        """Begin anew, and ask for a snapshot at the time given."""
        self.chain.restart()
        self.chain.keep = spec.BUFFER
        self._snapshot = self._picture = self._asked = self.moved = None
        self._want = want

    def _waiting(self, now: Now) -> Effects:
        self._picture = self.moved = None
        if self._snapshot is not None:
            return self._join(self._snapshot, now)
        first = len(self.chain.updates) == 1 and self._asked is None
        return self._ask(now) if first and not self._misfits and not self.failures else []

    def _distrust(self, now: Now, *why: Count) -> Effects:
        effects: Effects = []
        if self.feed.live:
            effects += self.feed.invalidate(Trust.RESYNC, quote=False)
            effects.append(RESYNC)
            self.chain.keep = spec.BUFFER
            self._lost, self._asked = now.mono, None
        self._snapshot = self._picture = self.moved = None
        return [*effects, *why, *(self._ask(now) if self._asked is None else [])]

    def _join(self, snapshot: Snapshot, now: Now) -> Effects:
        following = self.chain.after(snapshot.last)
        if following is None:
            return self._misfit(Reason.SEQ_MISMATCH, "older than the diffs", now)
        if not following or not self.confirmed:
            return []
        reach = span(snapshot)
        levels = rolled(snapshot, following, reach)
        if levels.is_crossed():
            effects: Effects = [Count(Counter.CROSSED_BOOKS.label)]
            return effects + self._misfit(Reason.CROSSED_BOOK, "crossed", now)
        self._proofs.restart()
        self._suspects = set()
        self.chain.keep = spec.HISTORY
        self.strikes = self._misfits = 0
        self._want = now.mono + spec.RECHECK_NS
        return self._publish(levels, reach, now)

    def _publish(self, levels: Levels, reach: Span, now: Now) -> Effects:
        self._snapshot = self._picture = self._lost = None
        self._reach, self._reached = reach, now.mono
        self._one_sided = not levels.is_two_sided()
        newest = self.chain.updates[-1]
        return self.feed.whole(newest.venue_ns, newest.last, levels.levels(), kept=True)

    def _misfit(self, reason: Reason, why: str, now: Now) -> Effects:
        self._snapshot = None
        self._misfits += 1
        self._want = now.mono + spec.misfit_ns(self._misfits)
        if self._misfits % spec.MISFITS:
            return []
        return [Reconnect(self.conn, reason, f"{self.market}: {self._misfits} snapshots in a row, the last {why}")]

    def _show(self, snapshot: Snapshot, now: Now) -> Effects:
        """Publish a REST picture when the stream has not made a book for a while."""
        before, self._picture = self._picture, snapshot
        if before is not None:
            self.moved = bool(self.moved) or (before.bids, before.asks) != (snapshot.bids, snapshot.asks)
        levels = rolled(snapshot, [], WHOLE)
        if levels.is_crossed():
            return [Count(Counter.CROSSED_BOOKS.label)]
        if not self.confirmed or self._lost is None or now.mono - self._lost < spec.REST_FALLBACK_AFTER_NS:
            return []
        self._shown = now.mono
        picture = self.feed.whole(
            snapshot.venue_ns, snapshot.last, levels.levels(), kept=False, trust=Trust.REST, source=Source.REST
        )
        return [*picture, Count(Counter.REST_BOOKS.label)]

    def _prove(self, snapshot: Snapshot, now: Now) -> Effects:
        """Compare the live book with a snapshot rolled to the same id."""
        following = self.chain.after(snapshot.last)
        if following is None:
            # Older than the history: it proves nothing.
            self._snapshot = None
            return []
        if not following and now.mono != self._held:
            return []
        reach = span(snapshot)
        levels = rolled(snapshot, following, reach)
        both = Span(max(reach.low, self._reach.low), min(reach.high, self._reach.high))
        differs = differing(self.feed.book, levels, both)
        if differs and not following:
            # Either a diff is still on its way, or none will ever come: `dead` tells.
            return []
        self._snapshot = None
        effects = self._proofs.compared(self.market, divergence(self.feed.book, levels, differs), now)
        again, self._suspects = differs & self._suspects, differs
        if not differs:
            return effects + self._proven(levels, reach, snapshot, now, quiet=not following)
        effects.append(Count(Counter.CHECK_MISMATCHES.label))
        # Were diffs to leave out what came and went between two of them, a snapshot from between would show it.
        if again or self._proofs.lasting(now):
            return [*self.wrong(now), *effects]
        self._want = now.mono + spec.RECHECK_NS
        return effects

    def _proven(self, levels: Levels, reach: Span, snapshot: Snapshot, now: Now, *, quiet: bool) -> Effects:
        self.proven = now.mono
        if quiet:
            self.seen = now.mono
            return self.feed.confirm(snapshot.venue_ns or self.feed.venue_ns, self.chain.last)
        mine, book = self._reach, self.feed.book
        used = min(
            book.bids.count() if mine.low > 0.0 else inf,
            book.asks.count() if mine.high < inf else inf,
        )
        old = mine != WHOLE and now.mono - self._reached >= spec.REFRESH_NS
        return self._publish(levels, reach, now) if old or used < spec.SNAPSHOT_LEVELS // 2 else []
