"""How a chain falls out of step and gets back: every change of a chain's standing is made, and reported, here."""

from __future__ import annotations

from collections import deque
from typing import Final

from bus.asking import Asking
from bus.chains import Chain, Sync
from bus.counters import Counter, Counters
from bus.events import USABLE
from bus.items import Healed, Item, Lost, TrustChanged, Why
from bus.wire import Header

HELD: Final = 10_000
"""Deltas held for one broken book; beyond that they are forgotten and asked for again."""


class Losses:
    """Reports to ``items`` and has state asked for."""

    def __init__(self, items: deque[Item], asking: Asking, counters: Counters) -> None:
        self._items = items
        self._asking = asking
        self._counters = counters

    def missing(self, chain: Chain, upto: int, why: Why, now: int) -> None:
        """Everything up to this sequence that was not delivered is lost."""
        first = max(chain.next, chain.accounted + 1)
        if first > upto:
            return
        chain.accounted = upto
        self._counters.add(Counter.CLIENT_LOST, upto - first + 1)
        self._report(chain, why, (first, upto), now)

    def suspect(self, chain: Chain, why: Why, now: int) -> None:
        """Newer messages of this state may exist. What is known must not be trusted until that is cleared."""
        if chain.sync is not Sync.OK or chain.is_log:
            return
        chain.sync = Sync.SUSPECT
        if chain.bears_trust:
            self._report(chain, why, None, now)
            self.tell(chain, now, trusted=False)

    def broken(self, chain: Chain, why: Why, now: int) -> None:
        """What is known is of no use: a book needs to be whole again, other state only its next message."""
        if not chain.is_book:
            self.suspect(chain, why, now)
            return
        if chain.since is None:
            self._report(chain, why, None, now)
        chain.sync = Sync.BROKEN
        self.tell(chain, now, trusted=False)

    def hold(self, chain: Chain, header: Header, frames: list[bytes], now: int) -> None:
        """Keep a delta of a broken book until the book is whole."""
        if len(chain.held) >= HELD:
            chain.held.clear()
        chain.held.append((header, frames))
        self._asking.need(chain, now)

    def heal(self, chain: Chain, now: int) -> None:
        """The chain is complete up to its last message, unless more is known to be missing."""
        if chain.next <= chain.accounted:
            self._asking.need(chain, now)
            return
        chain.sync = Sync.OK
        self._asking.well(chain)
        if chain.since is not None:
            since, chain.since = chain.since, None
            if chain.is_book:
                self._counters.add(Counter.CLIENT_HEALS)
            self._items.append(Healed(chain.kind, chain.venue, chain.market, now, now - since))
        if chain.bears_trust and chain.trust in USABLE:
            self.tell(chain, now, trusted=True)

    def tell(self, chain: Chain, now: int, *, trusted: bool) -> None:
        """Say whether the chain may be trusted, if that is news."""
        if chain.told is not trusted:
            chain.told = trusted
            self._items.append(
                TrustChanged(chain.kind, chain.venue, chain.market, trusted, chain.trust, chain.rebuild, now)
            )

    def refuted(self, chain: Chain, last: int, now: int) -> None:
        """Its sender has come to ``last`` only: a message lied, and what follows would be taken for old."""
        self._counters.add(Counter.CLIENT_BAD)
        chain.held.clear()
        chain.next, chain.accounted = last + 1, last
        chain.doubts, chain.restored = 0, False
        self._report(chain, Why.REFUTED, None, now)
        if not chain.is_log:
            chain.sync = Sync.BROKEN if chain.is_book else Sync.SUSPECT
            self.tell(chain, now, trusted=False)
            self._asking.need(chain, now)

    def restarted(self, chain: Chain, now: int) -> None:
        """The process that sent this chain is over."""
        chain.run = None
        chain.known = True
        chain.held.clear()
        chain.next, chain.accounted = 1, 0
        self._report(chain, Why.RESTART, None, now)
        if not chain.is_log:
            chain.sync = Sync.BROKEN if chain.is_book else Sync.SUSPECT
            self.tell(chain, now, trusted=False)
            self._asking.well(chain)

    def _report(self, chain: Chain, why: Why, missing: tuple[int, int] | None, now: int) -> None:
        if chain.bears_trust and chain.since is None:
            chain.since = now
        if chain.delivered:
            first, last = missing or (None, None)
            count = 0 if missing is None else missing[1] - missing[0] + 1
            self._items.append(Lost(chain.kind, chain.venue, chain.market, why, first, last, count, now))
