"""What a consumer follows: which topics it wants, and where it stands on each chain."""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum
from typing import Final, NamedTuple

from bus.book import Book as Levels
from bus.events import EVENT_TYPES, LOG_KINDS, MARKET_KINDS, NO_MARKET, Bbo, Book, Delta, Trust
from bus.runs import Run
from bus.wire import BOOK_CHAIN_KINDS, Header, chain, topic

PUBLISHER: Final = "publisher"
"""Venue part of what the publisher says of itself."""


class Sync(IntEnum):
    """How a chain stands with this consumer."""

    OK = 0
    """Complete up to the last message."""
    SUSPECT = 1
    """What is known was complete, but newer messages may be missing. The next message in order clears it."""
    BROKEN = 2
    """Books only: what is known is of no use, a whole book is needed; deltas are held until then."""
    RESTORING = 3
    """Books only: being rebuilt from the publisher's answer; deltas are held until it is complete."""


class Chain:
    """One sequence of messages."""

    __slots__ = (
        *("accounted", "bears_trust", "delivered", "event", "header", "held", "is_book", "is_log", "kind", "known"),
        *("doubts", "levels", "market", "name", "next", "restored", "run", "since", "sync", "told", "venue"),
    )

    def __init__(self, kind: str, venue: str, market: str, *, delivered: bool = True) -> None:
        self.delivered = delivered
        """Whether the consumer asked for this kind; others are followed for what they tell of losses."""
        self.kind = "book" if kind in BOOK_CHAIN_KINDS else kind
        self.venue = venue
        self.market = market
        self.name = chain(kind, venue, market)
        self.is_book = self.kind == "book"
        self.is_log = kind in LOG_KINDS
        self.bears_trust = self.is_book or kind == "bbo"
        """Whether its events say if they may be used."""
        self.run: Run | None = None
        self.known = False
        """Whether it was followed through an earlier run."""
        self.next = 1
        """Sequence of the next message in order."""
        self.accounted = 0
        """Last sequence that was delivered or reported lost."""
        self.restored = False
        """Whether an answer may have brought it beyond what the heartbeats that are still to be read will say."""
        self.doubts = 0
        """Heartbeats in a row that said less than it has reached."""
        self.sync = Sync.BROKEN if self.is_book else Sync.OK
        self.since: int | None = None
        """When it was first reported lost, ``None`` while it is not."""
        self.told = False
        """Whether the consumer may trust it, as last told (books and quotes)."""
        self.levels = Levels()
        self.event: Book | Delta | Bbo | None = None
        """Last event that carries a trust."""
        self.header: Header | None = None
        self.held: list[tuple[Header, list[bytes]]] = []

    @property
    def unwell(self) -> bool:
        """Whether anything is left to heal."""
        return self.sync is not Sync.OK or self.since is not None

    @property
    def trust(self) -> Trust | None:
        """What the last event said."""
        return None if self.event is None else self.event.trust

    @property
    def rebuild(self) -> int | None:
        """The rebuild that the last event belongs to."""
        return None if self.event is None else self.event.rebuild


class Interest:
    """Kinds, venues and markets that a consumer wants; ``None``: all. A market filter concerns market kinds only."""

    def __init__(
        self,
        kinds: Iterable[str] | None = None,
        venues: Iterable[str] | None = None,
        markets: Iterable[str] | None = None,
    ) -> None:
        wanted = set(EVENT_TYPES if kinds is None else kinds)
        unknown = wanted - set(EVENT_TYPES)
        if unknown:
            raise ValueError(f"unknown kinds: {', '.join(sorted(unknown))}")
        if wanted & BOOK_CHAIN_KINDS:
            wanted |= BOOK_CHAIN_KINDS
        self.delivered = frozenset(wanted)
        """Kinds that the consumer is given."""
        self.kinds = frozenset(wanted | {"heartbeat"} | ({"gap"} if wanted & LOG_KINDS else set()))
        """Kinds that are needed: heartbeats and gaps tell what was lost."""
        self.venues = None if venues is None else frozenset(venues)
        self.markets = None if markets is None else frozenset(markets)

    def wants(self, kind: str, venue: str, market: str) -> bool:
        """Whether a topic is to be followed."""
        return (
            kind in self.kinds
            and (self.venues is None or venue in self.venues or (kind == "heartbeat" and venue == PUBLISHER))
            and (self.markets is None or market in self.markets or kind not in MARKET_KINDS)
        )

    def delivers(self, kind: str, venue: str) -> bool:
        """Whether the consumer is given what is followed; the publisher's heartbeats may be for ourselves alone."""
        return kind in self.delivered and (self.venues is None or venue in self.venues)

    def prefixes(self) -> list[bytes]:
        """What to subscribe to: as narrow as prefixes can be, ``wants`` does the rest."""
        found = {f"heartbeat.{PUBLISHER}.{NO_MARKET}".encode()}
        for kind in self.kinds:
            if self.venues is None:
                found.add(f"{kind}.".encode())
            elif self.markets is None or kind not in MARKET_KINDS:
                found |= {f"{kind}.{venue}.".encode() for venue in self.venues}
            else:
                found |= {topic(kind, venue, market) for venue in self.venues for market in self.markets}
        return sorted(found)


class Route(NamedTuple):
    """What a topic means to a reader: its chain, or ``None`` when it is not wanted."""

    kind: str
    chain: Chain | None
