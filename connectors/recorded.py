"""The hook of a recording: stands where the engine stands, and where its ports do, and notes what passes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from bus.counters import Counter, Counters
from bus.events import BusEvent, Reason
from connectors import capture, checkpoint
from connectors.capture import NOTES, Checkpoint, Input, Output, Record, Tally
from connectors.effects import Fetch, Now, Refusal, Reply
from connectors.engine import Engine
from connectors.past import Past
from connectors.ports import Ports

BLOCK_BYTES: Final = 262_144
"""Bytes of frames after which a block is handed on early: packing one takes about 0.1 ms."""
SLOW: Final = "the disk is slower than the venue"


class Tap:
    """Collects records and hands them on in blocks. ``hand`` takes a block without waiting, or refuses it.

    A block ends between two calls of the engine, at the latest at the first one ``flush_ns`` after it began; the
    engine's own supervision calls four times a second. The next begins with a checkpoint when the number that ``wish``
    gives has changed, or when this one was refused: what follows a tear can then be replayed.
    """

    def __init__(
        self,
        hand: Callable[[list[Record]], bool],
        flush_ns: int,
        counters: Counters,
        wish: Callable[[], int] = lambda: 0,
    ) -> None:
        self.tally = Tally()
        self.state: Callable[[], bytes] = bytes
        """Gives the engine's state; whoever has the engine puts it here."""
        self.asked: list[tuple[str, Fetch]] = []
        """REST calls that are not answered yet."""
        self._wish = wish
        self._granted = 0
        self._hand = hand
        self._flush_ns = flush_ns
        self._counters = counters
        self._records: list[Record] = []
        self._bytes = 0
        self._due: int | None = None
        self._refused = 0

    def enter(self, record: Input, size: int = 64) -> None:
        """The engine is about to be called; ``size`` is about how many bytes the record has."""
        if self._due is None:
            self._due = record.mono + self._flush_ns
        elif record.mono >= self._due or self._bytes >= BLOCK_BYTES:
            self.flush()
            self._due = record.mono + self._flush_ns
            if (wish := self._wish()) != self._granted:
                self._granted = wish
                self._records.append(Checkpoint(self.tally.events, self.tally.crc, self.state()))
        self._bytes += size
        self._records.append(record)

    def add(self, record: Output) -> None:
        """The engine did something."""
        self._records.append(record)

    def flush(self, *more: Record) -> None:
        """Hand on what there is, with what was published up to now. Between two calls of the engine only."""
        block: list[Record] = [*self._records, self.tally.checked, *more]
        if self._refused:
            block.insert(0, capture.Torn(self._refused, SLOW))
        self._records, self._bytes, self._due = [], 0, None
        if self._hand(block):
            self._refused = 0
        else:
            missed = sum(not isinstance(record, NOTES) for record in block)
            self._refused += missed
            self._granted = -1
            self._counters.add(Counter.RECORDS_LOST, missed)


class RecordedPorts:
    """The engine's ports, with a note of each attempt and frame that goes out and of what was published."""

    def __init__(self, ports: Ports, tap: Tap) -> None:
        self._ports = ports
        self._tap = tap
        self.drop = ports.drop
        self.log = ports.log

    def connect(self, key: str, url: str, headers: Mapping[str, str]) -> None:
        """As ``Ports.connect``."""
        self._tap.add(capture.Tried(key, url))
        self._ports.connect(key, url, headers)

    def send(self, key: str, text: str) -> str | None:
        """As ``Ports.send``."""
        problem = self._ports.send(key, text)
        self._tap.add(capture.Sent(key, text, problem))
        return problem

    def ping(self, key: str) -> str | None:
        """As ``Ports.ping``."""
        problem = self._ports.ping(key)
        self._tap.add(capture.Pinged(key, problem))
        return problem

    def fetch(self, key: str, request: Fetch) -> None:
        """As ``Ports.fetch``."""
        self._tap.asked.append((key, request))
        self._ports.fetch(key, request)

    def publish(self, market: str, event: BusEvent, now: Now) -> None:
        """As ``Ports.publish``."""
        self._tap.tally.add(market, event)
        self._ports.publish(market, event, now)


class RecordedEngine:
    """An engine whose every call is noted before it is made, so that the call that broke it is the last of its record.

    What the engine calls of itself (its watch gives up an attempt) goes past this, for a replay does it again.
    """

    def __init__(self, engine: Engine, tap: Tap) -> None:
        self._engine = engine
        self._tap = tap
        self.refresh = engine.refresh
        self.settle = engine.settle
        tap.state = self._state
        self.limits = engine.limits

    @property
    def deadline(self) -> int | None:
        """As ``Engine.deadline``."""
        return self._engine.deadline

    def start(self, now: Now, past: Past | None = None) -> None:
        """As ``Engine.start``."""
        self._tap.enter(capture.Started(now.mono, now.wall, past or Past()))
        self._engine.start(now, past)

    def opened(self, key: str, now: Now) -> None:
        """As ``Engine.opened``."""
        self._tap.enter(capture.Opened(now.mono, now.wall, key))
        self._engine.opened(key, now)

    def refused(self, key: str, refusal: Refusal, now: Now) -> None:
        """As ``Engine.refused``."""
        self._tap.enter(capture.Refused(now.mono, now.wall, key, refusal))
        self._engine.refused(key, refusal, now)

    def lost(self, key: str, reason: Reason, detail: str, now: Now) -> None:
        """As ``Engine.lost``."""
        self._tap.enter(capture.Lost(now.mono, now.wall, key, reason, detail))
        self._engine.lost(key, reason, detail, now)

    def received(self, key: str, frame: bytes, binary: bool, now: Now) -> None:  # noqa: FBT001
        """As ``Engine.received``."""
        self._tap.enter(capture.Received(now.mono, now.wall, key, frame, binary), len(frame))
        self._engine.received(key, frame, binary, now)

    def ponged(self, key: str, now: Now) -> None:
        """As ``Engine.ponged``."""
        self._tap.enter(capture.Ponged(now.mono, now.wall, key))
        self._engine.ponged(key, now)

    def fetched(self, key: str, request: Fetch, reply: Reply, now: Now) -> None:
        """As ``Engine.fetched``."""
        self._tap.enter(capture.Fetched(now.mono, now.wall, key, request, reply), len(reply.body))
        self._tap.asked = [one for one in self._tap.asked if one[1] is not request]
        self._engine.fetched(key, request, reply, now)

    def woken(self, now: Now) -> None:
        """As ``Engine.woken``."""
        self._tap.enter(capture.Woken(now.mono, now.wall))
        self._engine.woken(now)

    def stop(self, now: Now) -> None:
        """As ``Engine.stop``."""
        self._tap.enter(capture.Ended(now.mono, now.wall))
        self._engine.stop(now)

    def command_reconnect(self, now: Now) -> None:
        """As ``Engine.command_reconnect``."""
        self._tap.enter(capture.Commanded(now.mono, now.wall))
        self._engine.command_reconnect(now)

    def _state(self) -> bytes:
        try:
            return checkpoint.dump(self._engine, self._tap.asked)
        except checkpoint.UNWRITABLE as error:
            # A replay cannot begin here then; that is no reason to end the connector.
            self._engine.ports.log("error", "no_checkpoint", {"problem": str(error)})
            return b""
