"""Whatever bytes come over the bus: no part raises, hangs or grows; damage is accounted for, and heals."""

from __future__ import annotations

import os
from pathlib import Path
from random import Random

import pytest

from bus.chains import Interest
from bus.counters import Counters
from bus.events import NO_MARKET, Side, Stats, Trade
from bus.items import Item, Message
from bus.outbox import Outbox
from bus.process import Pulse, Usage
from bus.reader import Reader
from bus.wire import encode_header
from publisher.cache import Cache
from publisher.service import Service
from tests.bus.venue import SECOND, Clock, Market

MARKETS = ("BTC-PERP", "ETH-PERP")
EPOCH = 1_790_000_000 * SECOND
HELLO = b"~c.1.x"
TOPICS = [
    f"{kind}.{venue}.{market}".encode()
    for kind in ("book", "delta", "bbo", "trade", "stats", "heartbeat", "gap", "bOok", "", "b\xffok")
    for venue in ("aster", "asteR", "publisher", "", "\x00")
    for market in ("BTC-PERP", "BTC.PERP", "-", "", "~")
] + [b"", b"book", b"book.aster", b"~", b"~other", b"\xff.\xfe.\xfd", b"." * 300]
"""What a damaged topic may have become."""
MOST_GROWTH = 24 << 20


def resident() -> int:
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")


class Line:
    """One producer, the publisher's parts and one consumer; every message between them may be damaged on its way."""

    def __init__(self, seed: int) -> None:
        self.draw = Random(seed)
        self.clock = Clock()
        self.damaging = True
        self.damaged = 0
        self.markets = {name: Market() for name in MARKETS}
        self.counters = Counters()
        self.cache = Cache(self.counters, 50, 1 << 20)
        self.service = Service(self.cache, self.counters, 50)
        self.pipe: list[list[bytes]] = []
        self.outbox = Outbox("aster", EPOCH, "a", self.counters, self._sent, 100, self.clock)
        self.pulse = Pulse(1, EPOCH, self.counters)
        self.own = Outbox("publisher", EPOCH + 5, "a", self.counters, self._sent, 10, self.clock)
        self.reader = Reader(Interest(), HELLO, self.counters)
        for outbox in (self.outbox, self.own):
            outbox.joined(b"", self.clock.now)
        self.reader.received([HELLO, encode_header("a", EPOCH, 0, 0, 0, 0), b"\xc0"], self.clock.now)
        self.items: list[Item] = []

    def _sent(self, frames: list[bytes]) -> bool:
        self.pipe.append(frames)
        return True

    def turn(self) -> None:
        """A venue moves, a second passes, or nothing happens; then everything under way arrives."""
        draw = self.draw
        self.clock.now += draw.choice((10_000, 1_000_000, 20_000_000))
        name = draw.choice(MARKETS)
        market = self.markets[name]
        what = draw.randrange(12)
        if what < 5:
            self.say(name, market.change(draw))
        elif what == 5:
            self.say(name, market.whole(draw))
        elif what == 6:
            self.say(name, market.touch(draw))
        elif what == 7:
            self.say(name, Stats(1, draw.random(), None, None))
        elif what < 10:
            self.say(name, Trade(1, None, Side.BUY, 1.0, 1.0, history=False))
        elif what == 10:
            self.second()
        self.flow()

    def say(self, name: str, event: object) -> None:
        self.outbox.publish(name, event, EPOCH, self.clock.now)  # type: ignore[arg-type]

    def second(self) -> None:
        self.clock.now += SECOND
        self.cache.beaten()
        for outbox in (self.own, self.outbox):
            outbox.publish(NO_MARKET, self.pulse.beat(Usage(1, 1.0), self.clock.now), EPOCH, self.clock.now)

    def flow(self) -> None:
        while self.pipe or self.service.busy or self.reader.asking.outgoing:
            sent, self.pipe = self.pipe, []
            for frames in sent:
                for arrived in self.way(frames):
                    if self.cache.store(arrived):
                        self.received(arrived)
            for prefix in self.cache.wanted:
                self.service.ask(prefix, self.clock.now)
            self.cache.wanted.clear()
            while self.service.wanted:
                self.outbox.joined(self.service.wanted.popleft(), self.clock.now)
            while self.reader.asking.outgoing:
                for asked in self.way(self.reader.asking.outgoing.popleft()):
                    self.service.request(b"c.1.x", asked, self.clock.now)
            self.service.pump(self._answered, 100)
        deadline = self.reader.deadline
        if deadline is not None and deadline <= self.clock.now:
            self.reader.woken(self.clock.now, idle=True)

    def received(self, frames: list[bytes]) -> None:
        """What the consumer makes of a message shows in its items, its counters, or what it holds back."""
        before = self.trace(frames[0])
        self.reader.received(frames, self.clock.now)
        assert before is None or self.trace(frames[0]) != before, frames

    def trace(self, topic: bytes) -> object:
        """``None`` for what nobody wants."""
        route = self.reader._routes.get(topic)  # noqa: SLF001
        if route is None or route.chain is None:
            return None
        chain = route.chain
        counted = sum(self.counters.values.values())
        return len(self.reader.items), counted, len(chain.held), chain.next, chain.sync, chain.run

    def _answered(self, frames: list[bytes]) -> bool:
        for arrived in self.way(frames[1:]):
            self.reader.answered(arrived, self.clock.now)
        return True

    def way(self, frames: list[bytes]) -> list[list[bytes]]:
        """What arrives of a message."""
        draw = self.draw
        if not self.damaging or draw.random() < 0.6:
            return [frames]
        self.damaged += 1
        frames = list(frames)
        what = draw.randrange(8)
        if what == 0:
            return []
        if what == 1:
            return [frames, frames]
        if what == 2:
            del frames[draw.randrange(len(frames))]
        elif what == 3:
            frames.insert(draw.randrange(len(frames) + 1), draw.choice((b"", b"\xc1", b"x" * 70, frames[-1])))
        elif what == 4:
            frames[0] = draw.choice(TOPICS)
        else:
            part = draw.randrange(len(frames))
            frames[part] = self.spoilt(frames[part])
        return [frames] if frames else []

    def spoilt(self, frame: bytes) -> bytes:
        """Bits flipped, bytes cut out or put in: lengths that lie, numbers beyond 64 bits, arrays of 4 billion."""
        draw = self.draw
        data = bytearray(frame or b"\0")
        for _ in range(draw.randrange(1, 4)):
            at = draw.randrange(len(data)) if data else 0
            kind = draw.randrange(4)
            if kind == 0 and data:
                data[at] ^= 1 << draw.randrange(8)
            elif kind == 1:
                del data[at : at + draw.randrange(1, 9)]
            elif kind == 2:
                data[at:at] = draw.choice((b"\xdd\xff\xff\xff\xff", b"\xcf" + b"\xff" * 8, b"\x91" * 2_000, b"\xc1"))
            else:
                data[at : at + 1] = draw.choice((b"\xc0", b"\x90", b"\xcb\x7f\xf8" + bytes(6), b"\xff", b"\xa1\xff"))
        return bytes(data)

    def settle(self) -> None:
        """Left alone, everything heals."""
        self.damaging = False
        for _ in range(12):
            for name, market in self.markets.items():
                self.say(name, market.whole(self.draw))
                self.say(name, market.change(self.draw))
            self.second()
            self.flow()
            for _ in range(4):
                self.clock.now += SECOND // 5
                self.flow()

    def is_whole(self) -> bool:
        for name, market in self.markets.items():
            chain = self.reader.chain("book", "aster", name)
            if chain is None or not chain.told or chain.levels.levels() != market.levels.levels():
                return False
        return True


@pytest.mark.fuzz
def test_damaged_messages_are_accounted_for_and_healed(fuzz_frames: int) -> None:
    line = Line(20_261_122)
    delivered, grown, at = 0, 0, 0
    while line.damaged < fuzz_frames:
        line.turn()
        for market in line.markets.values():
            # The whole past, which only other tests compare with.
            market.history.clear()
            market.quotes.clear()
        delivered += sum(isinstance(item, Message) for item in line.reader.items)
        line.reader.items.clear()
        if not at and line.damaged >= fuzz_frames // 5:
            at, grown = line.damaged, resident()
        if line.draw.random() < 0.000_5:
            line.settle()
            assert line.is_whole()
            line.damaging = True
    line.settle()
    assert line.is_whole()
    assert delivered > fuzz_frames // 20
    assert resident() - grown < MOST_GROWTH
    print(  # noqa: T201  (what a long run is run for)
        f"{line.damaged} damaged messages, {delivered} delivered, {(resident() - grown) / 1e6:+.1f} MB; "
        f"{line.counters.snapshot()}"
    )
