"""An order book of integers: price in ticks, size in lots."""

from __future__ import annotations

from bisect import bisect_left, insort
from typing import NamedTuple

BID = 0
ASK = 1

Levels = list[tuple[int, int]]
"""``(price in ticks, size in lots)``, best first."""


class Change(NamedTuple):
    """One level that changed: ``size`` is the new absolute size in lots (0 = gone), ``before`` the one it replaces."""

    side: int
    price: int
    size: int
    before: int


class Side:
    """One side: sizes by price, prices kept sorted ascending."""

    __slots__ = ("prices", "sizes")

    def __init__(self, sizes: dict[int, int] | None = None) -> None:
        self.sizes: dict[int, int] = dict(sizes or {})
        self.prices: list[int] = sorted(self.sizes)

    def put(self, price: int, size: int) -> int:
        """Set the absolute size of a level (0 removes it) and return the size it had."""
        before = self.sizes.get(price, 0)
        if size == before:
            return before
        if size:
            self.sizes[price] = size
            if not before:
                insort(self.prices, price)
        else:
            del self.sizes[price]
            del self.prices[bisect_left(self.prices, price)]
        return before

    def __len__(self) -> int:
        return len(self.prices)


class Book:
    """Both sides. ``bids.prices[-1]`` and ``asks.prices[0]`` are the touch."""

    __slots__ = ("asks", "bids")

    def __init__(self, bids: dict[int, int] | None = None, asks: dict[int, int] | None = None) -> None:
        self.bids = Side(bids)
        self.asks = Side(asks)

    def side(self, which: int) -> Side:
        """Return the side named ``BID`` or ``ASK``."""
        return self.asks if which else self.bids

    def apply(self, changes: tuple[Change, ...]) -> None:
        """Apply absolute sizes."""
        for change in changes:
            self.side(change.side).put(change.price, change.size)

    def copy(self) -> Book:
        """Return an independent copy."""
        return Book(self.bids.sizes, self.asks.sizes)

    @property
    def crossed(self) -> bool:
        """Whether the best bid is at or above the best ask."""
        return bool(self.bids.prices and self.asks.prices) and self.bids.prices[-1] >= self.asks.prices[0]

    def top_bids(self, depth: int | None = None) -> Levels:
        """Best (highest) first."""
        prices = self.bids.prices if depth is None else self.bids.prices[-depth:]
        sizes = self.bids.sizes
        return [(price, sizes[price]) for price in reversed(prices)]

    def top_asks(self, depth: int | None = None) -> Levels:
        """Best (lowest) first."""
        prices = self.asks.prices if depth is None else self.asks.prices[:depth]
        sizes = self.asks.sizes
        return [(price, sizes[price]) for price in prices]

    def touch(self) -> tuple[tuple[int, int] | None, tuple[int, int] | None]:
        """Best bid and best ask, each ``(price, size)`` or ``None``."""
        bids, asks = self.top_bids(1), self.top_asks(1)
        return (bids[0] if bids else None, asks[0] if asks else None)


def merge(batches: list[tuple[Change, ...]], *, touched: bool = False) -> list[Change]:
    """Fold consecutive changes into one net change a level; levels that end as they began disappear.

    ``touched``: those stay. A client that joins by a snapshot from between the changes needs them.
    """
    net: dict[tuple[int, int], Change] = {}
    for batch in batches:
        for change in batch:
            key = (change.side, change.price)
            known = net.get(key)
            net[key] = change if known is None else Change(change.side, change.price, change.size, known.before)
    return [change for change in net.values() if touched or change.size != change.before]


def split(changes: list[Change] | tuple[Change, ...]) -> tuple[Levels, Levels]:
    """Absolute new sizes of the changed bids and asks, in the order given."""
    bids = [(change.price, change.size) for change in changes if change.side == BID]
    asks = [(change.price, change.size) for change in changes if change.side == ASK]
    return bids, asks
