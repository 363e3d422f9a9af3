"""A book held against what REST says of it, and the error that says it is not known any more."""

from __future__ import annotations

from itertools import chain, zip_longest

from bus.book import Book
from bus.errors import VenueError
from bus.events import Reason
from connectors.effects import Effects
from connectors.paradex.messages import Levels, RestBook


class BookError(VenueError):
    """The book is not known any more. ``reason`` is for giving up the connection; ``effects`` go before the remedy."""

    def __init__(self, reason: Reason, problem: str, effects: Effects) -> None:
        super().__init__(problem)
        self.reason = reason
        self.effects = effects


class Audit:
    """A live book held against REST: what it was when REST was asked, what was applied since, and what REST said."""

    def __init__(self, seq: int, levels: Levels) -> None:
        self.seq = seq
        self.claim: RestBook | None = None
        self._levels = levels
        self._steps: list[tuple[int, Levels]] = []

    def applied(self, seq: int, levels: Levels) -> bool:
        """The book went on. True when it has now reached what REST said."""
        self._steps.append((seq, levels))
        return self.claim is not None and seq >= self.claim.seq_no

    def divergence(self, claim: RestBook) -> float | None:
        """Largest difference at the step that REST shows; ``None`` when that is before the audit began."""
        if claim.seq_no < self.seq:
            return None
        book = Book()
        book.replace(*self._levels)
        for seq, levels in self._steps:
            if seq <= claim.seq_no:
                book.apply(*levels)
        # REST shows fewer levels than there are; an empty side is compared as empty.
        sides = zip(book.levels(), claim.levels(), strict=True)
        return divergence(*zip(*chain(*(zip_longest(a[: len(b) or 1], b) for a, b in sides)), strict=True))


def divergence(ours: tuple[float | None, ...] = (), theirs: tuple[float | None, ...] = ()) -> float:
    """Largest difference of numbers in the same place, as a fraction of the larger; 1.0 where only one side has one."""
    worst = 0.0
    for a, b in zip(ours, theirs, strict=True):
        if a != b:
            worst = max(worst, 1.0 if a is None or b is None else abs(a - b) / max(a, b))
    return worst
