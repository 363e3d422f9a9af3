"""An order book kept by snapshots and deltas, for connectors and consumers alike.

Prices are float64 keys: differently written decimals of one price (``"84050"``, ``"84050.000000"``) parse to the same
float, so they are one level. Each side keeps its sizes by price and its prices in order with the best at the end, where
most changes happen.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from math import isfinite

from bus.errors import VenueError


class _BookSide:
    """One side. ``sign`` is +1 for bids and -1 for asks, so that ``sign * price`` ascends towards the best."""

    __slots__ = ("keys", "sign", "sizes")

    def __init__(self, sign: float) -> None:
        self.sign = sign
        self.sizes: dict[float, float] = {}
        self.keys: list[float] = []

    def replace(self, prices: Sequence[float], sizes: Sequence[float]) -> None:
        self.sizes = dict(zip(prices, sizes, strict=True))
        if 0.0 in sizes:
            self.sizes = {price: size for price, size in self.sizes.items() if size > 0.0}
        # Venues give the best first, which is the reverse of the order here: sorting that takes no longer than copying.
        self.keys = sorted(self.sizes) if self.sign > 0.0 else sorted([-price for price in self.sizes])

    def apply(self, prices: Sequence[float], sizes: Sequence[float]) -> None:
        levels, keys, sign = self.sizes, self.keys, self.sign
        for price, size in zip(prices, sizes, strict=True):
            if size == 0.0:
                if levels.pop(price, None) is not None:
                    del keys[bisect_left(keys, sign * price)]
            else:
                if price not in levels:
                    key = sign * price
                    keys.insert(bisect_left(keys, key), key)
                levels[price] = size

    def best(self) -> float | None:
        return self.sign * self.keys[-1] if self.keys else None

    def flat(self, depth: int | None) -> tuple[list[float], list[float]]:
        keys = self.keys[::-1] if depth is None else self.keys[: -depth - 1 : -1]
        sign, sizes = self.sign, self.sizes
        prices = [sign * key for key in keys]
        return prices, [sizes[price] for price in prices]


def check_levels(prices: Sequence[float], sizes: Sequence[float]) -> None:
    """Raise VenueError unless every price is finite and positive and every size finite and not negative."""
    if len(prices) != len(sizes):
        raise VenueError(f"{len(prices)} prices and {len(sizes)} sizes")
    # The sum is there for what order cannot show: it is not finite if any of them is infinite or not a number.
    if prices and not (min(prices) > 0.0 and min(sizes) >= 0.0 and isfinite(sum(prices) + sum(sizes))):
        raise VenueError("a level is not a finite positive price with a finite size")


class Book:
    """Bids and asks of one market. Empty until the first ``replace``."""

    __slots__ = ("asks", "bids")

    def __init__(self) -> None:
        self.bids = _BookSide(1.0)
        self.asks = _BookSide(-1.0)

    def replace(
        self, bid_px: Sequence[float], bid_sz: Sequence[float], ask_px: Sequence[float], ask_sz: Sequence[float]
    ) -> None:
        """Forget everything and hold these levels; any order, zero sizes are dropped, of one price the last counts.

        Raises VenueError on a level that is not finite and positive, leaving the book as it was.
        """
        check_levels(bid_px, bid_sz)
        check_levels(ask_px, ask_sz)
        self.bids.replace(bid_px, bid_sz)
        self.asks.replace(ask_px, ask_sz)

    def apply(
        self, bid_px: Sequence[float], bid_sz: Sequence[float], ask_px: Sequence[float], ask_sz: Sequence[float]
    ) -> None:
        """Set these levels to their absolute sizes; 0.0 removes, removing an absent level is no error.

        Raises VenueError on a level that is not finite and positive, leaving the book as it was.
        """
        check_levels(bid_px, bid_sz)
        check_levels(ask_px, ask_sz)
        self.bids.apply(bid_px, bid_sz)
        self.asks.apply(ask_px, ask_sz)

    def clear(self) -> None:
        """Hold nothing."""
        self.bids.replace((), ())
        self.asks.replace((), ())

    def best_bid(self) -> float | None:
        """Highest bid, ``None`` on an empty side."""
        return self.bids.best()

    def best_ask(self) -> float | None:
        """Lowest ask, ``None`` on an empty side."""
        return self.asks.best()

    def best(self) -> tuple[float | None, float | None, float | None, float | None]:
        """Bid price, bid size, ask price, ask size of the touch; ``None`` where a side is empty."""
        bid, ask = self.bids.best(), self.asks.best()
        return (
            bid,
            None if bid is None else self.bids.sizes[bid],
            ask,
            None if ask is None else self.asks.sizes[ask],
        )

    def is_crossed(self) -> bool:
        """Whether the best bid is at or above the best ask."""
        bids, asks = self.bids.keys, self.asks.keys
        return bool(bids) and bool(asks) and bids[-1] >= -asks[-1]

    def levels(self, depth: int | None = None) -> tuple[list[float], list[float], list[float], list[float]]:
        """Flat lists ``bid_px, bid_sz, ask_px, ask_sz``, best first, at most ``depth`` a side."""
        bid_px, bid_sz = self.bids.flat(depth)
        ask_px, ask_sz = self.asks.flat(depth)
        return bid_px, bid_sz, ask_px, ask_sz

    def __len__(self) -> int:
        """Levels on both sides."""
        return len(self.bids.keys) + len(self.asks.keys)


def replayed(
    side: tuple[Sequence[float], Sequence[float]],
    changes: Iterable[tuple[Sequence[float], Sequence[float]]],
    *,
    bids: bool,
) -> tuple[list[float], list[float]]:
    """One side of a book, ``(prices, sizes)`` best first, after changes to absolute sizes; 0.0 removes.

    The same as ``Book.replace``, ``apply`` … and ``levels`` for levels already checked, at a fraction of the cost.
    """
    levels = dict(zip(*side, strict=True))
    for prices, sizes in changes:
        levels.update(zip(prices, sizes, strict=True))
    kept = sorted([price for price, size in levels.items() if size > 0.0], reverse=bids)
    return kept, [levels[price] for price in kept]
