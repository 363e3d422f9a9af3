"""Captures that the tests of the commands share, made as a connector makes them but in memory and in no time."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random

import msgspec

from bus.counters import Counters
from bus.events import BusEvent, Reason
from bus.settings import DEFAULT_VENUES
from connectors import capture
from connectors.capture import Header, Record
from connectors.effects import Now, Refusal, Reply
from connectors.engine import Engine
from connectors.recorded import RecordedEngine, RecordedPorts, Tap
from connectors.recorder import Segments
from connectors.venue import Factory, VenueSpec, load
from connectors.watch import Watch
from tests.connectors.doubles import MS, FakePorts, S, at
from tests.connectors.drive import Frame
from tests.connectors.hyperliquid.venue import ASSETS, bbo, book, trade, trades

EPOCH = 1_790_000_000_000_000_000
SEED = 42
VENUE = "hyperliquid"
START_MS = 1_790_000_000_000


class Story:
    """A recorded engine that is told a short history; ``blocks`` is its capture."""

    def __init__(
        self,
        venue: str = VENUE,
        spec: VenueSpec | None = None,
        factory: Factory | None = None,
        *,
        checkpoints: bool = False,
    ) -> None:
        """``checkpoints``: every block but the first begins with one."""
        self.blocks: list[list[Record]] = []
        self.ports = FakePorts()
        settings = msgspec.structs.replace(DEFAULT_VENUES[venue], markets=("BTC-PERP", "ETH-PERP"))
        real_spec, real_factory = load(venue)
        self.header = Header(venue, settings, spec or real_spec, SEED, EPOCH, 0, "1.0", "3.11")
        self.tap = Tap(self._hand, 500 * MS, Counters(), lambda: len(self.blocks) if checkpoints else 0)
        ports = RecordedPorts(self.ports, self.tap)
        engine = Engine(
            self.header.spec, factory or real_factory, settings, ports, Counters(), Random(self.header.seed)
        )
        engine.watch = Watch()
        self.engine = RecordedEngine(engine, self.tap)
        self.now = 0

    def _hand(self, block: list[Record]) -> bool:
        self.blocks.append(block)
        return True

    @property
    def events(self) -> list[tuple[str, BusEvent]]:
        return self.ports.events

    def at(self) -> Now:
        return at(self.now)

    def wait(self, seconds: float) -> None:
        """Wake the engine as often as it asks for until then."""
        end = self.now + int(seconds * S)
        while (due := self.engine.deadline) is not None and due <= end:
            self.now = max(self.now, due)
            self.engine.woken(self.at())
        self.now = end

    def frame(self, frame: Frame | bytes) -> None:
        data = frame if isinstance(frame, bytes) else json.dumps(frame).encode()
        self.engine.received("1/main", data, False, self.at())

    def flow(self, seconds: int) -> None:
        """Books, quotes and trades."""
        for _ in range(seconds * 2):
            self.wait(0.5)
            for coin in ("BTC", "ETH"):
                time = START_MS + self.now // MS
                self.frame(book(coin, time))
                self.frame(bbo(coin, time))
                self.frame(trades(trade(self.now, time, coin)))

    def answer(self) -> None:
        """Answer every REST call that was made."""
        while self.ports.fetches:
            key, request = self.ports.fetches.pop(0)
            body = {"universe": ASSETS} if request.name == "markets" else []
            self.engine.fetched(key, request, Reply(200, json.dumps(body).encode()), self.at())

    def told(self) -> Story:
        """Two attempts, live, a bad frame, a lost connection, one that takes no request, and live again."""
        self.engine.start(self.at())
        self.answer()
        self.engine.refused("1/main", Refusal(Reason.CONNECT_ERROR, "connection refused"), self.at())
        self.wait(1)
        self.engine.opened("1/main", self.at())
        self.flow(3)
        self.frame(b"\xff no JSON")
        self.engine.ponged("1/main", self.at())
        self.flow(2)
        self.engine.lost("1/main", Reason.WS_CLOSED, "1006", self.at())
        self.wait(1)
        self.ports.problem = "broken pipe"
        self.engine.opened("1/main", self.at())
        self.ports.problem = None
        self.wait(1)
        self.engine.opened("1/main", self.at())
        self.flow(2)
        self.engine.command_reconnect(self.at())
        return self

    def finished(self) -> Story:
        self.tap.flush(capture.Stopped())
        return self

    def records(self) -> list[Record]:
        return [record for block in self.blocks for record in block]


def write(folder: Path, story: Story, *, epoch: int = EPOCH, rotate: int = 1 << 20) -> list[Path]:
    """The capture of a story as files."""
    segments = Segments(folder, msgspec.structs.replace(story.header, epoch=epoch), rotate, 1 << 30)
    for block in story.blocks:
        segments.append(capture.encode_block(block))
    segments.close()
    return sorted(folder.glob("*.cap"))
