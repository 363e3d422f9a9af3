"""Orders for retail flow that only interactive feeds show: a layer over the book (pure)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from simulator.book import ASK, BID, Book

if TYPE_CHECKING:
    from collections.abc import Iterable
    from random import Random

    from simulator.book import Change, Levels
    from simulator.truth import Truth

MOST = 4
REACH = 6


class Overlay:
    """A few levels at or just behind the touch; never across the other side of the plain book."""

    def __init__(self, truth: Truth, rng: Random) -> None:
        self.truth = truth
        self._own = Book()
        self._touched: set[tuple[int, int]] = set()
        for _ in range(MOST):
            self.step(rng)
        self._touched.clear()

    def step(self, rng: Random) -> None:
        """Change one level."""
        which = rng.choice((BID, ASK))
        side = self._own.side(which)
        if len(side) >= MOST or (len(side) and rng.random() < 0.3):  # noqa: PLR2004 - now and then
            self._put(which, rng.choice(side.prices), 0)
            return
        touch = self.truth.book.touch()[which]
        if touch is not None:
            offset = rng.randint(0, REACH)
            price = touch[0] - offset if which == BID else touch[0] + offset
            self._put(which, max(1, price), rng.randint(1, self.truth.spec.typical))

    def _put(self, which: int, price: int, size: int) -> None:
        self._own.side(which).put(price, size)
        self._touched.add((which, price))

    def changes(self, plain: Iterable[Change]) -> tuple[Levels, Levels]:
        """Totals of the levels that changed in either layer since the last call."""
        self._withdraw()
        touched = self._touched | {(change.side, change.price) for change in plain}
        self._touched = set()
        sides: tuple[Levels, Levels] = ([], [])
        for which, price in sorted(touched):
            sides[which].append((price, self._total(which, price)))
        return sides

    def _withdraw(self) -> None:
        """Take back what the plain book has moved across."""
        bid, ask = self.truth.book.touch()
        for which, other in ((BID, ask), (ASK, bid)):
            if other is not None:
                across = [p for p in self._own.side(which).prices if (p >= other[0] if which == BID else p <= other[0])]
                for price in across:
                    self._put(which, price, 0)

    def _total(self, which: int, price: int) -> int:
        return self.truth.book.side(which).sizes.get(price, 0) + self._own.side(which).sizes.get(price, 0)

    def levels(self) -> tuple[Levels, Levels]:
        """Both layers together, best first."""
        self._withdraw()
        found = []
        for which in (BID, ASK):
            prices = set(self.truth.book.side(which).prices) | set(self._own.side(which).prices)
            found.append([(price, self._total(which, price)) for price in sorted(prices, reverse=which == BID)])
        return found[0], found[1]
