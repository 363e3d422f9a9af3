"""A reader and what it is sent, by hand."""

from __future__ import annotations

from collections.abc import Iterable

from bus.chains import Interest
from bus.counters import Counters
from bus.events import NO_MARKET, BusEvent, Heartbeat
from bus.items import Healed, Item, Lost, Message, TrustChanged
from bus.reader import Reader
from bus.resync import END, ITEM
from bus.wire import chain, encode_header, encode_payload, topic

HELLO = b"~me"
EPOCH = 1_000
PUBLISHER_EPOCH = 5
MARKET = "BTC-PERP"
Frames = list[bytes]


class Sender:
    """One run of a process that publishes, without any pressure."""

    def __init__(self, venue: str = "aster", epoch: int = EPOCH) -> None:
        self.venue = venue
        self.epoch = epoch
        self.seqs: dict[str, int] = {}

    def __call__(self, event: BusEvent, market: str = MARKET, *, seq: int | None = None, waited: int = 0) -> Frames:
        name = chain(event.kind, self.venue, market)
        self.seqs[name] = self.seqs.get(name, 0) + 1 if seq is None else seq
        header = encode_header("a", self.epoch, self.seqs[name], 10, 20, 20 + waited)
        return [topic(event.kind, self.venue, market), header, encode_payload(event)]

    def skip(self, *events: BusEvent) -> None:
        """Send what will not arrive."""
        for event in events:
            self(event)

    def beat(self) -> Frames:
        """A heartbeat that tells what was sent."""
        return self(Heartbeat(1, self.epoch, {}, dict(self.seqs), 0.0, 1, 1.0), NO_MARKET)


class Bench:
    """A reader that has been welcomed and given the publisher's (empty) state, unless told otherwise."""

    def __init__(self, interest: Interest | None = None, *, welcomed: bool = True, books: bool = True) -> None:
        self.now = 1_000_000_000
        self.counters = Counters()
        self.reader = Reader(interest or Interest(), HELLO, self.counters, books=books)
        self.publisher = Sender("publisher", PUBLISHER_EPOCH)
        self.aster = Sender()
        if welcomed:
            self.welcome()
            self.answer([])
            self.now += 1_000_000_000
            self.reader.items.clear()

    def welcome(self) -> None:
        self.reader.received([HELLO, b"", b""], self.now)

    def receive(self, *messages: Frames) -> list[Item]:
        for frames in messages:
            self.reader.received(frames, self.now)
        return self.items()

    def answer(self, messages: Iterable[Frames], *, end: bool = True) -> list[Item]:
        """Answer the request that is out."""
        request = self.request()
        assert request is not None, "nothing was asked"
        for frames in messages:
            self.reader.answered([ITEM, request[1], *frames], self.now)
        if end:
            self.reader.answered([END, request[1]], self.now)
        return self.items()

    def request(self) -> Frames | None:
        outgoing = self.reader.asking.outgoing
        return outgoing.popleft() if outgoing else None

    def items(self) -> list[Item]:
        found = list(self.reader.items)
        self.reader.items.clear()
        return found

    def beats(self, count: int) -> list[Item]:
        """The publisher alone is heard for so many seconds."""
        return self.receive(*[self.publisher.beat() for _ in range(count)])

    def trusted(self, kind: str = "book") -> bool:
        found = self.reader.chain(kind, "aster", MARKET)
        return found is not None and found.told


def said(items: Iterable[Item]) -> list[str]:
    """Items in short: ``delta 3``, ``lost book hole 2-4``, ``healed book``, ``trusted book``, and so on."""
    words = []
    for item in items:
        match item:
            case Message():
                words.append(f"{item.kind} {item.header.seq}")
            case Lost():
                extent = "" if item.first_seq is None else f" {item.first_seq}-{item.last_seq}"
                words.append(f"lost {item.kind} {item.why}{extent}")
            case Healed():
                words.append(f"healed {item.kind}")
            case TrustChanged():
                words.append(f"{'trusted' if item.trusted else 'untrusted'} {item.kind}")
    return words
