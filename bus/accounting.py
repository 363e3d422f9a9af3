"""Accounts of what was published and what became of it, from nothing but delivered items.

For every chain: published = applied + merged + dropped + in flight. ``merged`` is state that newer state contains,
``dropped`` log events that are gone for good; both have been announced by ``Lost``. What is missing without having been
announced, or delivered twice, is ``imbalance``, which must be 0 at all times.
"""

from __future__ import annotations

import msgspec

from bus.events import LOG_KINDS, Heartbeat
from bus.items import Item, Lost, Message, Why
from bus.wire import BOOK_CHAIN_KINDS


class Balance(msgspec.Struct, frozen=True):
    """Account of one chain, or of several together, since this consumer began to follow it; messages."""

    published: int = 0
    applied: int = 0
    merged: int = 0
    dropped: int = 0
    in_flight: int = 0
    """Sent according to the sender's last heartbeat, and neither here nor reported lost yet."""
    imbalance: int = 0

    def __add__(self, other: Balance) -> Balance:
        return Balance(
            self.published + other.published,
            self.applied + other.applied,
            self.merged + other.merged,
            self.dropped + other.dropped,
            self.in_flight + other.in_flight,
            self.imbalance + other.imbalance,
        )


class _Account:
    """One chain. A new run of its sender begins a new page."""

    __slots__ = ("announced", "applied", "base", "claimed", "closed", "epoch", "holes", "is_log", "position", "twice")

    def __init__(self, *, is_log: bool) -> None:
        self.is_log = is_log
        self.closed = Balance()
        self.epoch: int | None = None
        self.twice = 0
        self._begin(None, None)

    def _begin(self, epoch: int | None, base: int | None) -> None:
        self.epoch = epoch
        self.base = base
        """Sequence before the first that counts; ``None`` until something says."""
        self.position = base or 0
        self.claimed = 0
        self.applied = self.announced = self.holes = 0

    def turn(self, epoch: int | None, base: int | None) -> None:
        """Close the page. What its sender still had under way is nobody's any more."""
        self.claimed = 0
        self.closed = self.balance()
        self.twice = 0
        self._begin(epoch, base)

    def message(self, epoch: int, seq: int) -> None:
        if self.epoch is None:
            self.epoch = epoch
        elif self.epoch != epoch:
            self.turn(epoch, None)
        if self.base is None:
            self.base = self.position = seq - 1
        if seq > self.position:
            self.holes += seq - self.position - 1
            self.position = seq
            self.applied += 1
        elif self.is_log:
            self.twice += 1

    def lost(self, first: int, last: int) -> None:
        if self.base is not None and first <= self.position:
            self.turn(None, None)
        if self.base is None:
            self.base = self.position = first - 1
        self.holes += first - self.position - 1
        self.announced += last - first + 1
        self.position = last

    def balance(self) -> Balance:
        base = self.base or 0
        newest = max(self.position, self.claimed)
        here = Balance(
            newest - base,
            self.applied,
            0 if self.is_log else self.announced,
            self.announced if self.is_log else 0,
            newest - self.position,
            self.holes + self.twice,
        )
        return self.closed + here


class Ledger:
    """Takes every item of one Subscriber, which must be given heartbeats too."""

    def __init__(self) -> None:
        self._accounts: dict[tuple[str, str, str], _Account] = {}

    def take(self, item: Item) -> None:
        """Book one item."""
        if isinstance(item, Message):
            self._account(item.kind, item.venue, item.market).message(item.header.epoch, item.header.seq)
            if isinstance(item.event, Heartbeat):
                self._claims(item.header.epoch, item.event)
        elif isinstance(item, Lost):
            account = self._account(item.kind, item.venue, item.market)
            if item.why in {Why.RESTART, Why.REFUTED}:
                account.turn(None, None)
            elif item.first_seq is not None and item.last_seq is not None:
                account.lost(item.first_seq, item.last_seq)

    def balances(self) -> dict[str, Balance]:
        """Balance by chain name."""
        return {".".join(key): account.balance() for key, account in self._accounts.items()}

    def total(self) -> Balance:
        """All chains together."""
        return sum((account.balance() for account in self._accounts.values()), Balance())

    def _account(self, kind: str, venue: str, market: str) -> _Account:
        key = ("book" if kind in BOOK_CHAIN_KINDS else kind, venue, market)
        account = self._accounts.get(key)
        if account is None:
            account = self._accounts[key] = _Account(is_log=kind in LOG_KINDS)
        return account

    def _claims(self, epoch: int, event: Heartbeat) -> None:
        for name, last in event.chains.items():
            kind, venue, market = (*name.split(".", 2), "", "")[:3]
            account = self._accounts.get((kind, venue, market))
            if account is not None and account.epoch == epoch:
                account.claimed = last
