"""The client that strategies import: events in order, books kept up to date, and every loss told.

::

    from bus.client import Subscriber
    from bus.items import Message

    with Subscriber(kinds=["book", "trade"], markets=["BTC-PERP"]) as subscriber:
        for item in subscriber:
            if isinstance(item, Message):
                print(item.venue, item.market, item.event)
            if subscriber.trusted("aster", "BTC-PERP"):
                print(subscriber.book("aster", "BTC-PERP").levels.best())

A Subscriber is owned by one thread, like the ZeroMQ sockets in it: create it, use it and close it there. It does
nothing while its owner is not in ``poll``, the iterator or ``close``; threads that need events have a Subscriber each.
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Final, Self

import msgspec
import zmq

from bus.book import Book as Levels
from bus.chains import Chain, Interest
from bus.clock import mono
from bus.counters import Counters
from bus.events import Bbo, Trust
from bus.items import Item
from bus.reader import Reader
from bus.resync import WELCOME
from bus.settings import Settings, load
from bus.sockets import consumer_sockets, receive
from bus.wire import Header

BATCH: Final = 10_000
"""Messages that one ``poll`` takes at most, unless told otherwise."""
_EVENTS: Final = int(zmq.EVENTS)
_READABLE: Final = int(zmq.POLLIN)
NS_PER_MS: Final = 1_000_000
NS_PER_S: Final = 1_000_000_000


class BookView(msgspec.Struct, frozen=True):
    """A market's book as this consumer holds it. ``levels`` is the live object: it changes with the next ``poll``."""

    levels: Levels
    trusted: bool
    """Whether it may be used: complete here, and live (or a REST stand-in) at its sender."""
    trust: Trust
    rebuild: int
    venue_ns: int | None
    venue_seq: int | None
    header: Header
    """Of the newest event in it."""


class Feed:
    """Sockets and reader of one consumer; the sync and asyncio faces are built on it."""

    def __init__(
        self,
        settings: Settings | None,
        kinds: Iterable[str] | None,
        venues: Iterable[str] | None,
        markets: Iterable[str] | None,
        *,
        books: bool,
        name: str,
        context: zmq.Context[zmq.Socket[bytes]] | None,
    ) -> None:
        if re.fullmatch(r"[A-Za-z0-9_-]{1,32}", name) is None:
            raise ValueError(f"a consumer's name is 1 to 32 letters, digits, _ and -, not {name!r}")
        settings = settings or load()
        if venues is None and markets is not None:
            venues = settings.enabled
        self.identity = f"{name}.{os.getpid()}.{secrets.token_hex(4)}"
        self.counters = Counters()
        hello = WELCOME + self.identity.encode()
        interest = Interest(kinds, venues, markets)
        self.reader = Reader(interest, hello, self.counters, books=books)
        self.subscription, self.requests = consumer_sockets(settings, self.identity, context)
        for prefix in [*interest.prefixes(), hello]:
            self.subscription.subscribe(prefix)
        self.subscription.connect(settings.endpoint("market_out"))
        self.requests.connect(settings.endpoint("resync"))

    def drain(self, limit: int) -> bool:
        """Take what has arrived, up to ``limit`` messages. Whether there may be more."""
        reader = self.reader
        self._drain_answers()
        subscription, received = self.subscription, reader.received
        more = True
        for _ in range(limit):
            try:
                frames = receive(subscription)
            except zmq.Again:
                more = False
                break
            received(frames, mono())
            if reader.asking.outgoing:
                self._send_requests()
        now = mono()
        deadline = reader.deadline
        if deadline is not None and deadline <= now:
            reader.woken(now, idle=not more)
        self._send_requests()
        return more

    def items(self) -> list[Item]:
        """What is there for the user."""
        found = list(self.reader.items)
        self.reader.items.clear()
        return found

    def wait_ms(self, until: int | None) -> int | None:
        """How long to wait for sockets when the user waits until then; ``None`` for ever."""
        times = [time for time in (until, self.reader.deadline) if time is not None]
        return max(0, -((mono() - min(times)) // NS_PER_MS)) if times else None

    def close(self) -> None:
        """Close both sockets."""
        self.subscription.close(0)
        self.requests.close(0)

    def _drain_answers(self) -> None:
        # Mostly there are none, and a read that fails costs twice as much as the question.
        while int(self.requests.getsockopt(_EVENTS)) & _READABLE:
            self.reader.answered(self.requests.recv_multipart(zmq.NOBLOCK), mono())

    def _send_requests(self) -> None:
        outgoing = self.reader.asking.outgoing
        while outgoing:
            try:
                self.requests.send_multipart(outgoing[0], zmq.NOBLOCK)
            except zmq.Again:
                return
            outgoing.popleft()


class Views:
    """What a consumer can look up between items."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed

    @property
    def counters(self) -> Counters:
        """What this consumer applied, lost, dropped and healed (``Owner.CLIENT``)."""
        return self._feed.counters

    @property
    def identity(self) -> str:
        """Name by which the publisher counts this consumer's requests."""
        return self._feed.identity

    def book(self, venue: str, market: str) -> BookView | None:
        """The book of a market, ``None`` before there was one. Look at ``trusted`` before using it."""
        chain = self._feed.reader.chain("book", venue, market)
        if chain is None or chain.event is None or chain.header is None:
            return None
        event = chain.event
        return BookView(
            chain.levels, chain.told, event.trust, event.rebuild, event.venue_ns, event.venue_seq, chain.header
        )

    def quote(self, venue: str, market: str) -> Bbo | None:
        """The venue's own best bid and offer, ``None`` when there is none that may be trusted."""
        chain = self._feed.reader.chain("bbo", venue, market)
        return chain.event if chain is not None and chain.told and isinstance(chain.event, Bbo) else None

    def trusted(self, venue: str, market: str, kind: str = "book") -> bool:
        """Whether the market's book (or ``kind="bbo"``: its quote) may be used now."""
        chain: Chain | None = self._feed.reader.chain(kind, venue, market)
        return chain is not None and chain.told


class Subscriber(Views):
    """A consumer of the bus. Works before the publisher is there, and through its restarts.

    ``kinds`` (see ``bus.events``), ``venues`` and ``markets`` choose what is delivered, all when ``None``. ``books``:
    keep books for ``book()``; without it events are still in order, complete and healed. ``name`` is what the publisher
    counts heals by. Raises ValueError on an unknown kind or impossible name, SettingsError as ``bus.settings.load``.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        kinds: Iterable[str] | None = None,
        venues: Iterable[str] | None = None,
        markets: Iterable[str] | None = None,
        books: bool = True,
        name: str = "consumer",
        context: zmq.Context[zmq.Socket[bytes]] | None = None,
    ) -> None:
        super().__init__(Feed(settings, kinds, venues, markets, books=books, name=name, context=context))
        self.backlog = False
        """Whether the last ``poll`` stopped at its limit."""
        self._poller = zmq.Poller()
        self._poller.register(self._feed.subscription, zmq.POLLIN)
        self._poller.register(self._feed.requests, zmq.POLLIN)

    def poll(self, timeout_s: float | None = 0.0, limit: int = BATCH) -> list[Item]:
        """Items that have arrived; waits up to ``timeout_s`` (``None``: for ever) for the first.

        Takes what is there, up to ``limit`` messages; ``backlog`` says whether it stopped there. Empty when the time is
        over.
        """
        until = None if timeout_s is None else mono() + int(timeout_s * NS_PER_S)
        while True:
            # Asked first, for it costs less to be told that nothing is there than to fail to read it.
            self._poller.poll(self._feed.wait_ms(until))
            self.backlog = self._feed.drain(limit)
            items = self._feed.items()
            if items or (until is not None and mono() >= until):
                return items

    def __iter__(self) -> Iterator[Item]:
        """Every item, for ever."""
        while True:
            yield from self.poll(None)

    def close(self) -> None:
        """Close the sockets; the Subscriber is of no use afterwards."""
        self._feed.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
