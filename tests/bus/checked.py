"""A consumer of the world of delivery: a reader with its queues, its accounts, and the checker."""

from __future__ import annotations

from collections import deque
from random import Random
from typing import TYPE_CHECKING

from bus.accounting import Ledger
from bus.chains import Interest
from bus.counters import Counters
from bus.events import Bbo
from bus.items import Item, Lost, Message, Why
from bus.reader import Reader

if TYPE_CHECKING:
    from tests.bus.world import World


class Consumer:
    """A reader with its queues, its accounts, and the checker."""

    def __init__(self, world: World, name: str) -> None:
        self.world = world
        self.identity = name.encode()
        self.hello = b"~" + self.identity
        self.counters = Counters()
        self.reader = Reader(Interest(), self.hello, self.counters)
        self.connected = False
        self.paused = False
        self.queue: deque[list[bytes]] = deque()
        self.answers: deque[list[bytes]] = deque()
        self.ledger = Ledger()
        self._checked: dict[tuple[str, str], object] = {}
        self.pages = 0
        self.trades: dict[tuple[str, str, int, int], list[int]] = {}

    def connect(self) -> None:
        if not self.connected and self.world.publisher is not None:
            self.connected = True
            self.world.publisher.welcome(self)

    def step(self, draw: Random) -> bool:
        """Take one message; False when there is none."""
        now = self.world.clock.now
        queues = [queue for queue in (self.queue, self.answers) if queue]
        if not queues:
            return False
        queue = draw.choice(queues)
        frames = queue.popleft()
        if queue is self.queue:
            self.reader.received(frames, now)
            if frames[0] == self.hello:
                self.check_joined()
        else:
            self.reader.answered(frames, now)
        self._settle()
        return True

    def wake(self) -> None:
        deadline = self.reader.deadline
        if deadline is not None and deadline <= self.world.clock.now:
            self.reader.woken(self.world.clock.now, idle=not self.queue)
        self._settle()

    def _settle(self) -> None:
        publisher = self.world.publisher
        while self.reader.asking.outgoing:
            frames = self.reader.asking.outgoing.popleft()
            if publisher is not None and self.connected:
                publisher.service.request(self.identity, frames, self.world.clock.now)
        while self.reader.items:
            self._item(self.reader.items.popleft())
        self.check()

    def _item(self, item: Item) -> None:
        self.ledger.take(item)
        if isinstance(item, Lost) and self.world.lied and item.why in {Why.RESTART, Why.REFUTED}:
            # It was told that a run is over which goes on after all: what that run repeats comes again.
            self.pages += 1
        if isinstance(item, Message) and item.kind == "trade":
            key = (item.venue, item.market, item.header.epoch, self.pages)
            self.trades.setdefault(key, []).append(item.header.seq)

    def check_joined(self) -> None:
        """What came before a connection may have changed since: nothing of it is trusted until that is known."""
        for venue, markets in self.world.markets.items():
            for name in markets:
                for kind in ("book", "bbo"):
                    chain = self.reader.chain(kind, venue, name)
                    assert chain is None or not chain.told

    def check(self) -> None:
        """Whatever is trusted shows what was true at the moment that it claims to show."""
        for venue, markets in self.world.markets.items():
            for name, market in markets.items():
                book = self.reader.chain("book", venue, name)
                if book is not None and book.told and self._checked.get((venue, name)) is not book.event:
                    self._checked[venue, name] = book.event
                    assert book.event is not None
                    assert book.event.venue_seq is not None
                    levels, usable = market.history[book.event.venue_seq]
                    assert usable
                    assert book.levels.levels() == levels
                quote = self.reader.chain("bbo", venue, name)
                if quote is not None and quote.told:
                    assert isinstance(quote.event, Bbo)
                    assert quote.event.venue_seq is not None
                    assert market.quotes[quote.event.venue_seq] == (quote.event.bid_px, True)
