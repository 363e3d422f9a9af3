"""Full state from the events that changed it: the last of each kind, and books as last whole book plus deltas.

Used by whoever must be able to say everything again: a producer when somebody joins, and the connector engine for the
connection it keeps in reserve.
"""

from __future__ import annotations

from typing import Final, TypeAlias

from bus.book import replayed
from bus.events import LOG_KINDS, USABLE, Bbo, Book, BusEvent, Delta
from bus.wire import BOOK_CHAIN_KINDS

MIN_CHANGES: Final = 2_048
"""Changed levels after a whole book that are always cheaper to keep than to merge."""

ORDER: Final = ("instrument", "book", "bbo", "stats", "funding", "check", "status", "heartbeat", "telemetry")
"""Kinds of the state class in the order that full state is told: what the others are about first."""


class Latest:
    """State that each event tells whole."""

    __slots__ = ("_event",)

    due: Final = False
    """Never: nothing accumulates."""

    def __init__(self) -> None:
        self._event: BusEvent | None = None

    def absorb(self, event: BusEvent) -> None:
        """Remember an event as the present state."""
        self._event = event

    def whole(self) -> BusEvent | None:
        """The last event, ``None`` when there was none."""
        return self._event

    @property
    def invalid(self) -> bool:
        """Whether this is a quote that must not be used."""
        return isinstance(self._event, Bbo) and self._event.trust not in USABLE


class BookState:
    """A book as its last whole picture and the deltas after it, merged only when somebody needs it whole."""

    __slots__ = ("_base", "_deltas", "_left", "due")

    def __init__(self) -> None:
        self.due = False
        """Checkpoint rule: more levels have changed than the book has (and than ``MIN_CHANGES``), so a whole book is to
        be sent in place of the last delta. Whoever keeps a book with its deltas thereby keeps a bounded amount, and the
        cost of merging stays constant per changed level."""
        self._base: Book | None = None
        self._deltas: list[Delta] = []
        self._left = 0

    def absorb(self, event: BusEvent) -> None:
        """Take a Book or a Delta. Raises ValueError on a delta of no book: its sender is broken."""
        if isinstance(event, Delta):
            if self._base is None:
                raise ValueError(f"a delta before any book: {event}")
            self._deltas.append(event)
            # An event without levels (a confirmation) takes room too.
            self._left -= len(event.bid_px) + len(event.ask_px) + 1
            self.due = self._left < 0
        elif isinstance(event, Book):
            self._rest_on(event)

    def whole(self) -> Book | None:
        """The book as of the newest event, with that one's trust, rebuild, time and sequence."""
        base, deltas = self._base, self._deltas
        if base is None or not deltas:
            return base
        last = deltas[-1]
        bid_px, bid_sz = replayed((base.bid_px, base.bid_sz), [(d.bid_px, d.bid_sz) for d in deltas], bids=True)
        ask_px, ask_sz = replayed((base.ask_px, base.ask_sz), [(d.ask_px, d.ask_sz) for d in deltas], bids=False)
        merged = Book(
            last.venue_ns,
            last.venue_seq,
            last.trust,
            last.rebuild,
            base.source,
            bid_px,
            bid_sz,
            ask_px,
            ask_sz,
            base.depth,
        )
        self._rest_on(merged)
        return merged

    @property
    def invalid(self) -> bool:
        """Whether the newest event says that the book must not be used."""
        newest = self._deltas[-1] if self._deltas else self._base
        return newest is not None and newest.trust not in USABLE

    def _rest_on(self, base: Book) -> None:
        self._base = base
        self._deltas = []
        self._left = max(MIN_CHANGES, len(base.bid_px) + len(base.ask_px))
        self.due = False


Cell: TypeAlias = Latest | BookState


class StateCache:
    """State of any number of markets."""

    def __init__(self) -> None:
        self._cells: dict[tuple[str, str], Cell] = {}

    def cell(self, market: str, kind: str) -> Cell:
        """Where a market's state of this kind is kept, made when new; ``book`` and ``delta`` are kept together."""
        key = (market, "book" if kind in BOOK_CHAIN_KINDS else kind)
        cell = self._cells.get(key)
        if cell is None:
            cell = self._cells[key] = BookState() if key[1] == "book" else Latest()
        return cell

    def absorb(self, market: str, event: BusEvent) -> bool:
        """Take an event of a market (or ``-``); False when it is of the log class, which leaves no state."""
        if event.kind in LOG_KINDS:
            return False
        cell = self.cell(market, event.kind)
        cell.absorb(event)
        if cell.due:
            cell.whole()
        return True

    def merged(self, market: str) -> Book | None:
        """The whole book of a market as of its newest event, ``None`` before there is one."""
        book = self.cell(market, "book").whole()
        return book if isinstance(book, Book) else None

    def full(self) -> list[tuple[str, BusEvent]]:
        """All state as ``(market, event)``, by kind in the order of ``ORDER``."""
        found = [(market, event) for (market, _), cell in self._cells.items() if (event := cell.whole()) is not None]
        return sorted(found, key=lambda item: ORDER.index(item[1].kind))
