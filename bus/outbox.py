"""What a producer has to say, in the order and completeness that the delivery contract promises.

State (books, quotes …) that cannot be sent at once is merged: the latest always arrives, and a book waiting to be sent
goes out whole. Log events (trades …) wait in a bounded buffer; when that overflows, the oldest are dropped and the
range is announced by a ``gap`` event. The reader of a venue never waits for the bus: ``publish`` sends or remembers.

Sequences count per chain. State takes its number when it is sent, so merging leaves no hole; log events take theirs
when they are made, so a drop leaves one that a ``gap`` explains.

Between ``hold`` and ``release`` what could be sent at once is kept and then sent in one go: each message that finds
ZeroMQ's thread asleep wakes it, and a wake costs more than the message.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple, TypeAlias

import msgpack
import msgspec

from bus import wire
from bus.counters import Counter, Counters
from bus.events import LOG_KINDS, BusEvent, Gap, Heartbeat
from bus.state import ORDER, Cell, StateCache
from bus.wire import SCHEMA, encode_payload

FIRST_RETRY_NS: Final = 1_000_000
LAST_RETRY_NS: Final = 20_000_000
BATCH: Final = 256
"""Messages that one ``flush`` sends at most, so that catching up does not keep the caller from its venue."""

Send: TypeAlias = Callable[[list[bytes]], bool]
"""Hands frames to ZeroMQ without waiting; False when refused."""

_PUBLISHED: Final = Counter.PUBLISHED.label
_pack_header = msgpack.Packer(autoreset=True).pack


class _Chain:
    """One sequence and what is kept of it."""

    __slots__ = ("cell", "created", "gap", "kind", "market", "mono_ns", "name", "recv_ns", "sent", "topic")

    def __init__(self, name: str, kind: str, market: str, cell: Cell | None) -> None:
        self.name = name
        self.topic = name.encode()
        """Topic of the chain's whole events."""
        self.kind = kind
        self.market = market
        self.cell = cell
        """Where its state is kept; ``None`` for the log class."""
        self.created = 0
        """Last number given (log class)."""
        self.sent = 0
        """Last number handed to ZeroMQ, or explained by a gap that was."""
        self.recv_ns = 0
        self.mono_ns = 0
        self.gap: tuple[int, int, int] | None = None
        """First, last and count of dropped events not announced yet."""

    def matches(self, prefix: bytes) -> bool:
        """Whether a subscription to ``prefix`` concerns this chain (a book is also asked for by its deltas)."""
        return self.topic.startswith(prefix) or (
            self.kind == "book" and self.topic.replace(b"book", b"delta", 1).startswith(prefix)
        )


class _Entry(NamedTuple):
    """One log event, packed."""

    chain: _Chain
    seq: int
    recv_ns: int
    mono_ns: int
    payload: bytes


class _Held(NamedTuple):
    """One message that is to be sent by ``release``."""

    chain: _Chain
    seq: int
    topic_frame: bytes
    recv_ns: int
    mono_ns: int
    payload: bytes
    entry: _Entry | None
    """What it is made of, for the log class."""


class Outbox:
    """Everything one process publishes under one venue part of the topic.

    ``epoch`` is the process's start in wall clock ns, ``clock`` gives monotonic ns. The shell tells of subscribers by
    ``joined`` and ``left`` and calls ``flush`` when ``deadline`` has come.
    """

    def __init__(
        self,
        venue: str,
        epoch: int,
        line: str,
        counters: Counters,
        send: Send,
        log_capacity: int,
        clock: Callable[[], int],
    ) -> None:
        self.deadline: int | None = None
        """Monotonic ns when ``flush`` is due, ``None`` for never."""
        self._venue = venue
        self._epoch = epoch
        self._line = line
        self._counters = counters
        self._counts = counters.values
        self._send = send
        self._capacity = log_capacity
        self._clock = clock
        self._state = StateCache()
        self._chains: dict[str, _Chain] = {}
        self._routes: dict[tuple[str, type[BusEvent]], tuple[bytes, _Chain]] = {}
        self._subscribed = False
        self._clear = False
        """Whether nothing waits, so that what comes may be sent at once."""
        self._pressed = False
        """Whether something waits because ZeroMQ refused it, not because somebody joined and is told everything."""
        self._dirty: dict[_Chain, None] = {}
        self._gaps: dict[_Chain, None] = {}
        self._said: deque[_Entry] = deque(maxlen=log_capacity)
        self._repeats: deque[_Entry] = deque()
        self._waiting: deque[_Entry] = deque()
        self._holding = False
        self._held: list[_Held] = []
        self._backoff = FIRST_RETRY_NS
        self._budget = 0

    @property
    def subscribed(self) -> bool:
        """Whether anybody listens."""
        return self._subscribed

    def publish(self, market: str, event: BusEvent, recv_ns: int, mono_ns: int) -> None:
        """Send an event of a market (or ``-``), or remember it; the times are those of the frame that caused it."""
        route = self._routes.get((market, event.__class__))
        topic_frame, chain = self._route(market, event) if route is None else route
        cell = chain.cell
        if cell is None:
            self._publish_log(chain, event, recv_ns, mono_ns)
            return
        cell.absorb(event)
        chain.recv_ns = recv_ns
        chain.mono_ns = mono_ns
        if cell.due:
            topic_frame, event = chain.topic, cell.whole() or event
        if not self._clear:
            self._postpone(chain)
        elif self._holding:
            chain.sent += 1
            payload = encode_payload(self._completed(event))
            self._held.append(_Held(chain, chain.sent, topic_frame, recv_ns, mono_ns, payload, None))
        elif not self._send_state(topic_frame, chain, event):
            self._postpone(chain)
            self._refused(self._clock())

    def hold(self) -> None:
        """From now on keep what could be sent; ``release`` must follow soon."""
        self._holding = True

    def release(self) -> None:
        """Send what was kept, in its order. What ZeroMQ refuses is treated as if it had been refused by itself."""
        self._holding = False
        if not self._held:
            return
        held, self._held = self._held, []
        now = self._clock()
        for number, (_, seq, topic_frame, recv_ns, mono_ns, payload, entry) in enumerate(held):
            header = _pack_header((SCHEMA, self._line, self._epoch, seq, recv_ns, mono_ns, now))
            if not self._send([topic_frame, header, payload]):
                self._refused(now)
                self._take_back(held[number:])
                return
            self._counts[_PUBLISHED] = self._counts.get(_PUBLISHED, 0) + 1
            if entry is not None:
                self._said.append(entry)

    def _take_back(self, held: list[_Held]) -> None:
        """These were not sent after all: state is merged, log events wait."""
        for message in reversed(held):
            message.chain.sent = message.seq - 1
        for message in held:
            if message.entry is None:
                self._postpone(message.chain)
            else:
                self._wait(message.entry)

    def joined(self, prefix: bytes, now: int) -> None:
        """Somebody subscribed to ``prefix`` (empty: everything): say all state again, and the log events still held."""
        self.release()
        self._counters.add(Counter.STATE_RESENDS)
        self._subscribed = True
        self._clear = False
        for chain in self._chains.values():
            if chain.cell is not None and chain.matches(prefix):
                self._dirty[chain] = None
        if not prefix:
            self._repeats = deque(self._said)
        self.deadline = now
        self.flush(now)

    def left(self) -> None:
        """Nobody listens any more: send nothing, keep all state, and log events as far as there is room."""
        self.release()
        self._subscribed = self._clear = self._pressed = False
        self._dirty.clear()
        self._repeats.clear()
        self.deadline = None

    def flush(self, now: int) -> None:
        """Send what waits, as far as ZeroMQ takes it: invalidations, gaps, log events, then the rest of the state."""
        if not self._subscribed or self._clear or (self.deadline is not None and now < self.deadline):
            return
        self._budget = BATCH
        if (
            self._flush_state(self._invalidations())
            and self._flush_gaps()
            and self._flush_log(self._repeats)
            and self._flush_log(self._waiting)
            and self._flush_state(sorted(self._dirty, key=lambda chain: ORDER.index(chain.kind)))
        ):
            self._clear = True
            self._pressed = False
            self._backoff = FIRST_RETRY_NS
            self.deadline = None
        elif self._budget < 0:
            self.deadline = now
        else:
            self._refused(now)

    def chains(self) -> dict[str, int]:
        """Last sequence sent, by chain."""
        return {name: chain.sent for name, chain in self._chains.items() if chain.sent}

    def _route(self, market: str, event: BusEvent) -> tuple[bytes, _Chain]:
        name = wire.chain(event.kind, self._venue, market)
        found = self._chains.get(name)
        if found is None:
            cell = None if event.kind in LOG_KINDS else self._state.cell(market, event.kind)
            found = self._chains[name] = _Chain(name, name.partition(".")[0], market, cell)
        route = self._routes[market, event.__class__] = (wire.topic(event.kind, self._venue, market), found)
        return route

    def _publish_log(self, chain: _Chain, event: BusEvent, recv_ns: int, mono_ns: int) -> None:
        chain.created += 1
        entry = _Entry(chain, chain.created, recv_ns, mono_ns, encode_payload(event))
        if self._clear:
            if self._holding:
                chain.sent = entry.seq
                self._held.append(_Held(chain, entry.seq, chain.topic, recv_ns, mono_ns, entry.payload, entry))
                return
            if self._send_log(entry):
                return
            self._refused(self._clock())
        self._wait(entry)

    def _wait(self, entry: _Entry) -> None:
        self._counters.add(Counter.LOSSLESS_WAIT)
        if len(self._waiting) >= self._capacity:
            self._drop(self._waiting.popleft())
        self._waiting.append(entry)

    def _drop(self, entry: _Entry) -> None:
        self._counters.add(Counter.LOG_DROPPED)
        chain = entry.chain
        first, _, count = chain.gap or (entry.seq, 0, 0)
        chain.gap = (first, entry.seq, count + 1)
        self._gaps[chain] = None

    def _postpone(self, chain: _Chain) -> None:
        if not self._subscribed:
            return
        if self._pressed and chain in self._dirty:
            self._counters.add(Counter.PENDING_REPLACED)
        self._dirty[chain] = None

    def _refused(self, now: int) -> None:
        self._counters.add(Counter.TRY_SEND_FULL)
        self._clear = False
        self._pressed = True
        self.deadline = now + self._backoff
        self._backoff = min(self._backoff * 2, LAST_RETRY_NS)

    def _invalidations(self) -> list[_Chain]:
        found = [chain for chain in self._dirty if chain.cell is not None and chain.cell.invalid]
        return sorted(found, key=lambda chain: ORDER.index(chain.kind))

    def _flush_state(self, chains: Iterable[_Chain]) -> bool:
        for chain in chains:
            event = None if chain.cell is None else chain.cell.whole()
            if event is not None and not (self._spend() and self._send_state(chain.topic, chain, event)):
                return False
            del self._dirty[chain]
        return True

    def _flush_gaps(self) -> bool:
        while self._gaps:
            lost = next(iter(self._gaps))
            first, last, count = lost.gap or (0, 0, 0)
            event = Gap(lost.name, first, last, count, "buffer_full")
            _, chain = self._route(lost.market, event)
            now = self._clock()
            entry = _Entry(chain, chain.created + 1, now, now, encode_payload(event))
            if not (self._spend() and self._send_log(entry)):
                return False
            chain.created += 1
            lost.sent = max(lost.sent, last)
            lost.gap = None
            del self._gaps[lost]
        return True

    def _flush_log(self, entries: deque[_Entry]) -> bool:
        while entries:
            if not (self._spend() and self._send_log(entries[0], again=entries is self._repeats)):
                return False
            entries.popleft()
        return True

    def _spend(self) -> bool:
        """Whether this flush may send one more; from then on the budget is negative."""
        self._budget -= 1
        return self._budget >= 0

    def _send_state(self, topic_frame: bytes, chain: _Chain, event: BusEvent) -> bool:
        seq = chain.sent + 1
        header = _pack_header(
            (SCHEMA, self._line, self._epoch, seq, chain.recv_ns, chain.mono_ns, self._clock()),
        )
        if not self._send([topic_frame, header, encode_payload(self._completed(event))]):
            return False
        chain.sent = seq
        self._counts[_PUBLISHED] = self._counts.get(_PUBLISHED, 0) + 1
        return True

    def _completed(self, event: BusEvent) -> BusEvent:
        return msgspec.structs.replace(event, chains=self.chains()) if event.__class__ is Heartbeat else event

    def _send_log(self, entry: _Entry, *, again: bool = False) -> bool:
        chain, seq, recv_ns, mono_ns, payload = entry
        header = _pack_header((SCHEMA, self._line, self._epoch, seq, recv_ns, mono_ns, self._clock()))
        if not self._send([chain.topic, header, payload]):
            return False
        chain.sent = max(chain.sent, seq)
        self._counts[_PUBLISHED] = self._counts.get(_PUBLISHED, 0) + 1
        if not again:
            self._said.append(entry)
        return True
