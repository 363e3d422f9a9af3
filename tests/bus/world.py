"""Producers, a publisher and consumers in memory, with every pipe between them and everything that can befall it.

All parts are the product's own; only sockets and clocks are replaced. After every step of a consumer its books are
compared with the truth of the moment that they claim to show.
"""

from __future__ import annotations

from collections import deque
from random import Random

from bus.counters import Counters
from bus.events import NO_MARKET, BusEvent, Gap, Side, Stats, Trade, Trust
from bus.outbox import Outbox
from bus.process import Pulse, Usage
from bus.wire import decode_header, decode_payload, encode_header, split_topic, topic
from publisher.cache import Cache
from publisher.service import Service
from tests.bus.checked import Consumer
from tests.bus.venue import SECOND, Clock, Market

MS = 1_000_000
WALL = 1_790_000_000 * SECOND
MARKETS = ("BTC-PERP", "ETH-PERP")
VENUE_STEPS = ("change", "whole", "quote", "trade", "stats")


class Producer:
    """A connector: its venue's markets survive its restarts, everything else of it does not."""

    def __init__(self, world: World, venue: str, epoch: int) -> None:
        self.world = world
        self.venue = venue
        self.paused = False
        self.counters = Counters()
        self.pipe: deque[list[bytes]] | None = None
        """Towards the publisher; ``None``: not connected."""
        self.noticed = True
        self.announced: dict[tuple[bytes, int], int] = {}
        """Log events that gaps told of, by the gap's place."""
        self.outbox = Outbox(venue, epoch, "a", self.counters, self._send, world.log_room, world.clock)
        self.pulse = Pulse(1, epoch, self.counters)

    def _send(self, frames: list[bytes]) -> bool:
        if self.pipe is None:
            self._check(frames)
            return True  # the connection is gone and nobody knows yet
        if len(self.pipe) >= self.world.pipe_room:
            return False
        self.pipe.append(frames)
        self._check(frames)
        return True

    def _check(self, frames: list[bytes]) -> None:
        """What may not be used is taken back before anything else is said; what was dropped is announced."""
        kind, _, _ = split_topic(frames[0])
        if kind not in {"book", "delta", "bbo"}:
            assert not self.outbox._invalidations()  # noqa: SLF001  (what waits can be seen nowhere else)
        if kind == "gap":
            told = decode_payload(kind, frames[0], frames[2])
            assert isinstance(told, Gap)
            self.announced[frames[0], decode_header(frames[0], frames[1]).seq] = told.count

    def publish(self, market: str, event: BusEvent | None) -> None:
        if event is not None:
            self.outbox.publish(market, event, WALL + self.world.clock.now, self.world.clock.now)

    def attend(self) -> None:
        if self.pipe is None and not self.noticed:
            self.noticed = True
            self.outbox.left()
        if self.pipe is None and self.world.publisher is not None:
            self.pipe = deque()
            self.world.publisher.pipes.append(self.pipe)
            self.noticed = False
            self.outbox.joined(b"", self.world.clock.now)
        if self.outbox.deadline is not None and self.outbox.deadline <= self.world.clock.now:
            self.outbox.flush(self.world.clock.now)

    def beat(self) -> None:
        self.publish(NO_MARKET, self.pulse.beat(Usage(1, 1.0), self.world.clock.now))


class Publisher:
    """One life of the publisher."""

    def __init__(self, world: World, epoch: int) -> None:
        self.world = world
        self.counters = Counters()
        self.cache = Cache(self.counters, world.cached_deltas, 1 << 20)
        self.service = Service(self.cache, self.counters, 50)
        self.pipes: list[deque[list[bytes]]] = []
        self.epoch = epoch
        self.outbox = Outbox("publisher", epoch, "a", self.counters, self._out, 10, world.clock)
        self.outbox.joined(b"", world.clock.now)
        self.pulse = Pulse(2, epoch, self.counters)

    def forward(self, draw: Random) -> bool:
        """Pass on one message of any producer; False when there is none."""
        waiting = [pipe for pipe in self.pipes if pipe]
        if not waiting:
            return False
        frames = draw.choice(waiting).popleft()
        if self.cache.store(frames):
            self._out(frames, stored=True)
        for prefix in self.cache.wanted:
            self.service.ask(prefix, self.world.clock.now)
        self.cache.wanted.clear()
        return True

    def serve(self, most: int) -> None:
        self.service.pump(self._answer, most)
        while self.service.wanted:
            prefix = self.service.wanted.popleft()
            for producer in self.world.producers.values():
                if producer.pipe in self.pipes:
                    producer.outbox.joined(prefix, self.world.clock.now)

    def beat(self) -> None:
        self.cache.beaten()
        self.outbox.publish(NO_MARKET, self.pulse.beat(Usage(1, 1.0), self.world.clock.now), 1, self.world.clock.now)

    def welcome(self, consumer: Consumer) -> None:
        header = encode_header("a", self.epoch, 0, 0, 0, self.world.clock.now)
        consumer.queue.append([consumer.hello, header, b"\xc0"])

    def _out(self, frames: list[bytes], *, stored: bool = False) -> bool:
        if not stored:
            self.cache.store(frames)
        for consumer in self.world.consumers:
            if consumer.connected and len(consumer.queue) < self.world.queue_room:
                consumer.queue.append(frames)
        return True

    def _answer(self, frames: list[bytes]) -> bool | None:
        for consumer in self.world.consumers:
            if consumer.identity == frames[0]:
                if not consumer.connected:
                    return None
                consumer.answers.append(frames[1:])
                return True
        return None


class World:
    """Everything. ``do`` performs one step of a drawn story; ``quiesce`` lets all that is under way arrive."""

    def __init__(
        self,
        *,
        pipe_room: int = 20,
        queue_room: int = 30,
        log_room: int = 8,
        cached_deltas: int = 30,
        consumers: int = 2,
    ) -> None:
        self.clock = Clock()
        self.pipe_room = pipe_room
        self.queue_room = queue_room
        self.log_room = log_room
        self.cached_deltas = cached_deltas
        self.epochs = WALL
        self.restarts = 0
        self.lied = False
        self.publisher: Publisher | None = None
        self.markets = {venue: {market: Market() for market in MARKETS} for venue in ("aster", "lighter")}
        self.producers = {venue: Producer(self, venue, self._epoch()) for venue in self.markets}
        self.consumers = [Consumer(self, f"c{number}") for number in range(consumers)]

    def _epoch(self) -> int:
        self.epochs += SECOND
        return self.epochs

    def do(self, step: str, seed: int) -> None:
        draw = Random(seed)
        self.clock.now += draw.choice((1_000, MS, 20 * MS))
        if step in VENUE_STEPS:
            self._venue_moves(draw, step)
        else:
            getattr(self, f"_do_{step}")(draw)

    def quiesce(self, seconds: int = 12) -> None:
        draw = Random(1)
        for part in self._parts():
            part.paused = False
        self._do_publisher_starts(draw)
        for _ in range(seconds):
            self._do_second(draw)
            for _ in range(5):
                self.clock.now += 200 * MS
                self._flow(draw)
        self._flow(draw)

    # -- steps ----------------------------------------------------------------------------------------------------

    def _parts(self) -> list[Producer | Consumer]:
        return [*self.producers.values(), *self.consumers]

    def _producer(self, draw: Random) -> Producer:
        return self.producers[draw.choice(sorted(self.producers))]

    def _venue_moves(self, draw: Random, make: str) -> None:
        producer = self._producer(draw)
        if producer.paused:
            return
        name = draw.choice(MARKETS)
        market = self.markets[producer.venue][name]
        for _ in range(draw.choice((1, 1, 3, 40))):
            event: BusEvent | None
            match make:
                case "change":
                    event = market.change(draw)
                case "whole":
                    event = market.whole(draw)
                case "quote":
                    event = market.touch(draw)
                case "trade":
                    event = Trade(1, None, Side.BUY, 1.0, 1.0, history=False)
                case _:
                    event = Stats(1, draw.random(), None, None)
            producer.publish(name, event)

    def _do_invalidate(self, draw: Random) -> None:
        producer = self._producer(draw)
        if not producer.paused:
            name = draw.choice(MARKETS)
            producer.publish(name, self.markets[producer.venue][name].invalidate())

    def _do_attend(self, _: Random) -> None:
        for producer in self.producers.values():
            if not producer.paused:
                producer.attend()

    def _do_forward(self, draw: Random) -> None:
        if self.publisher is not None:
            for _ in range(draw.choice((1, 5, 50))):
                self.publisher.forward(draw)
            self.publisher.serve(draw.choice((1, 3, 100)))

    def _do_consume(self, draw: Random) -> None:
        consumer = draw.choice(self.consumers)
        if not consumer.paused:
            consumer.connect()
            for _ in range(draw.choice((1, 5, 50))):
                consumer.step(draw)
            consumer.wake()

    def _do_second(self, draw: Random) -> None:
        self.clock.now += SECOND
        if self.publisher is not None:
            self.publisher.beat()
        for producer in self.producers.values():
            if not producer.paused:
                producer.attend()
                producer.beat()

    def _do_flow(self, draw: Random) -> None:
        self._flow(draw)

    def _do_pause(self, draw: Random) -> None:
        part = draw.choice(self._parts())
        part.paused = not part.paused

    def _do_publisher_starts(self, draw: Random) -> None:
        if self.publisher is None:
            self.publisher = Publisher(self, self._next_epoch(draw))

    def _next_epoch(self, draw: Random) -> int:
        """Of a process that is started again; sometimes the wall clock was set back in between."""
        self.restarts += 1
        return self._epoch() if draw.random() < 0.8 else self.epochs - draw.randrange(100) * SECOND - self.restarts

    def _do_publisher_dies(self, draw: Random) -> None:
        if self.publisher is None:
            return
        self.publisher = None
        for producer in self.producers.values():
            producer.pipe = None
        for consumer in self.consumers:
            self._cut(consumer, draw)

    def _do_producer_dies(self, draw: Random) -> None:
        """Killed and started again; what it had sent may still be on its way."""
        old = self._producer(draw)
        self.producers[old.venue] = Producer(self, old.venue, self._next_epoch(draw))
        for market in self.markets[old.venue].values():
            market.trust = Trust.RESYNC
        for name, market in self.markets[old.venue].items():
            self.producers[old.venue].publish(name, market.whole(draw))

    def _do_connection_breaks(self, draw: Random) -> None:
        self._cut(draw.choice(self.consumers), draw)

    def _do_joins_late(self, draw: Random) -> None:
        if len(self.consumers) < 5:
            self.consumers.append(Consumer(self, f"late{len(self.consumers)}"))

    def _do_damage(self, draw: Random) -> None:
        """Bytes of a message to one consumer are changed."""
        waiting = [consumer for consumer in self.consumers if consumer.queue]
        if waiting:
            consumer = draw.choice(waiting)
            index = draw.randrange(len(consumer.queue))
            frames = list(consumer.queue[index])
            part = draw.choice((1, 2))
            if frames[0][:1] != b"~" and frames[part]:
                cut = draw.randrange(len(frames[part]))
                frames[part] = frames[part][:cut] + draw.choice((b"", b"\xc1", b"\xff\xff"))
                consumer.queue[index] = frames

    def _do_lie(self, draw: Random) -> None:
        """A message to one consumer names another run, another place in its chain, or another sender."""
        waiting = [consumer for consumer in self.consumers if consumer.queue]
        if not waiting:
            return
        consumer = draw.choice(waiting)
        index = draw.randrange(len(consumer.queue))
        self.lied = True
        name, header, payload = consumer.queue[index]
        if name[:1] == b"~":
            return
        told = decode_header(name, header)
        epoch, seq, lie = told.epoch, told.seq, draw.randrange(4)
        if lie == 0:
            epoch += draw.choice((-1, 1)) * draw.choice((1, SECOND, 10**6 * SECOND))
        elif lie == 1:
            seq = max(1, seq + draw.choice((-3, 2, 50, 2**40)))
        elif lie == 2:
            kind, venue, market = split_topic(name)
            # A book of another sender would be believed: nothing in it says whose it is.
            name = topic(kind, draw.choice((venue, "publisher", "runner")), market)
        else:
            payload = draw.choice((payload, b"", b"\xc0"))
        header = encode_header(told.line, epoch, seq, told.recv_ns, told.mono_ns, told.pub_ns)
        consumer.queue[index] = [name, header, payload]

    def _cut(self, consumer: Consumer, draw: Random) -> None:
        """The connection breaks: of what was under way, some had arrived."""
        consumer.connected = False
        consumer.answers.clear()
        for _ in range(draw.randint(0, len(consumer.queue))):
            consumer.queue.pop()

    def _flow(self, draw: Random) -> None:
        """Everything that can move does, until nothing is left to move."""
        moved = True
        while moved:
            moved = False
            self._do_attend(draw)
            if self.publisher is not None:
                for _ in range(10):
                    moved |= self.publisher.forward(draw)
                self.publisher.serve(100)
            for consumer in self.consumers:
                if not consumer.paused:
                    consumer.connect()
                    while consumer.step(draw):
                        moved = True
                    consumer.wake()
