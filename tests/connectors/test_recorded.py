"""Every call of the engine is noted before it is made, and what it did behind it."""

from __future__ import annotations

import pytest

from bus.counters import Counter
from bus.events import Reason
from connectors import capture
from connectors.capture import Record
from connectors.effects import Fetch, Ping, Refusal, Reply, Send
from connectors.recorded import BLOCK_BYTES, SLOW, RecordedEngine, RecordedPorts, Tap
from tests.connectors.doubles import MS, WALL, Rig, S, at


class Recording:
    """A rig whose engine is recorded into ``blocks``."""

    def __init__(self) -> None:
        self.blocks: list[list[Record]] = []
        self.takes = True
        self.rig = Rig()
        self.tap = Tap(self.hand, 500 * MS, self.rig.counters)
        self.rig.engine.ports = RecordedPorts(self.rig.ports, self.tap)
        self.engine = RecordedEngine(self.rig.engine, self.tap)

    def hand(self, block: list[Record]) -> bool:
        if self.takes:
            self.blocks.append(block)
        return self.takes

    def kinds(self) -> list[str]:
        self.tap.flush()
        return [type(record).__name__ for block in self.blocks for record in block]


def test_calls_and_what_came_of_them_are_noted_in_order() -> None:
    recording = Recording()
    engine, protocol_of = recording.engine, recording.rig
    engine.start(at(0))
    protocol_of.protocol.script["opened"] = [Send("main", "subscribe"), Ping("main")]
    engine.opened("1/main", at(1))
    engine.received("1/main", b"\x00", True, at(2))
    engine.ponged("1/main", at(3))
    engine.fetched("1", Fetch("markets", "http://venue"), Reply(200, b"body"), at(4))
    engine.lost("1/main", Reason.WS_CLOSED, "1006", at(5))
    engine.woken(at(6 * S))
    engine.refused("1/main", Refusal(Reason.CONNECT_ERROR, "no"), at(6 * S + 1))
    engine.command_reconnect(at(6 * S + 2))
    assert recording.kinds() == [
        *("Started", "Tried", "Opened", "Sent", "Pinged", "Received", "Ponged", "Fetched", "Lost", "Checked"),
        *("Woken", "Tried", "Refused", "Commanded", "Checked"),
    ]
    assert recording.blocks[0][5] == capture.Received(2, WALL + 2, "1/main", b"\x00", True)
    assert recording.blocks[0][1] == capture.Tried("1/main", "ws://venue/main")
    assert recording.rig.ports.sent == [("1/main", "subscribe")]


def test_the_outcome_of_a_send_is_noted() -> None:
    recording = Recording()
    recording.engine.start(at(0))
    recording.rig.ports.problem = "gone"
    recording.rig.protocol.script["opened"] = [Send("main", "subscribe")]
    recording.engine.opened("1/main", at(1))
    recording.tap.flush()
    assert capture.Sent("1/main", "subscribe", "gone") in recording.blocks[0]


def test_a_call_that_breaks_the_engine_is_the_last_of_its_record() -> None:
    recording = Recording()
    recording.engine.start(at(0))
    recording.rig.protocol.script["opened"] = [object()]  # type: ignore[list-item]
    with pytest.raises(KeyError):
        recording.engine.opened("1/main", at(1))
    assert recording.kinds()[-2:] == ["Opened", "Checked"]


def test_a_block_ends_between_calls_when_its_time_has_come_or_it_is_large() -> None:
    recording = Recording()
    recording.engine.start(at(0))
    recording.engine.woken(at(499 * MS))
    assert recording.blocks == []
    recording.engine.woken(at(500 * MS))
    assert len(recording.blocks) == 1
    recording.engine.received("1/main", bytes(BLOCK_BYTES), False, at(501 * MS))
    assert len(recording.blocks) == 1
    recording.engine.woken(at(502 * MS))
    assert len(recording.blocks) == 2


def test_a_block_says_what_was_published_up_to_it() -> None:
    recording = Recording()
    recording.engine.start(at(0))
    recording.tap.flush()
    recording.engine.opened("1/main", at(1))
    recording.tap.flush()
    counts = [record.events for block in recording.blocks for record in block if isinstance(record, capture.Checked)]
    assert counts[-1] == len(recording.rig.ports.events)
    assert 0 < counts[0] < counts[1]


def test_what_is_refused_is_counted_and_its_place_is_marked() -> None:
    recording = Recording()
    recording.engine.start(at(0))
    recording.takes = False
    recording.tap.flush()
    recording.engine.woken(at(1))
    recording.tap.flush()
    recording.takes = True
    recording.engine.woken(at(2))
    recording.tap.flush()
    # Start and its connect, then a wake: three records.
    assert recording.blocks[0][0] == capture.Torn(3, SLOW)
    assert recording.rig.counters.snapshot()[Counter.RECORDS_LOST.label] == 3
    recording.tap.flush()
    assert not isinstance(recording.blocks[1][0], capture.Torn)


def test_it_passes_for_the_engine() -> None:
    recording = Recording()
    recording.engine.start(at(0))
    recording.engine.refresh(at(1))
    assert recording.engine.deadline == recording.rig.engine.deadline


def test_stopping_is_the_engines_and_no_part_of_the_record() -> None:
    recording = Recording()
    recording.engine.start(at(0))
    before = recording.kinds()
    recording.engine.stop(at(1))
    assert "Woken" not in recording.kinds()[len(before) :]
    recording.engine.opened("1/main", at(2))
    assert recording.rig.ports.connects == [("1/main", "ws://venue/main")]
