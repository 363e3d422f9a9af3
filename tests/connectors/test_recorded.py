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
        self.wish = 0
        self.tap = Tap(self.hand, 500 * MS, self.rig.counters, lambda: self.wish)
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


def test_stopping_is_noted_with_what_it_took_back() -> None:
    recording = Recording()
    recording.engine.start(at(0))
    recording.engine.stop(at(1))
    assert recording.kinds()[-2:] == ["Ended", "Checked"]
    assert capture.Ended(1, WALL + 1) in recording.blocks[0]


def test_a_checkpoint_is_written_at_the_beginning_of_a_block_once_for_each_wish() -> None:
    recording = Recording()
    recording.engine.start(at(0))
    recording.wish = 1
    for second in range(1, 4):
        recording.engine.woken(at(second * S))
    places = [
        (number, place)
        for number, block in enumerate(recording.blocks)
        for place, record in enumerate(block)
        if isinstance(record, capture.Checkpoint)
    ]
    assert places == [(1, 0)]
    (found,) = (record for record in recording.blocks[1] if isinstance(record, capture.Checkpoint))
    (before,) = (record for record in recording.blocks[0] if isinstance(record, capture.Checked))
    assert (found.events, found.crc) == (before.events, before.crc)
    assert found.state


def test_after_a_refusal_a_checkpoint_follows_until_one_is_taken() -> None:
    recording = Recording()
    recording.engine.start(at(0))
    recording.takes = False
    recording.engine.woken(at(1 * S))
    recording.engine.woken(at(2 * S))
    recording.takes = True
    recording.engine.woken(at(3 * S))
    assert [type(record).__name__ for record in recording.blocks[0]][:2] == ["Torn", "Checkpoint"]


def test_a_state_that_cannot_be_written_is_logged_and_the_engine_goes_on() -> None:
    recording = Recording()
    recording.engine.start(at(0))
    recording.rig.engine.active.oddity = lambda: None  # type: ignore[attr-defined]
    recording.wish = 1
    recording.engine.woken(at(1 * S))
    recording.tap.flush()
    assert recording.blocks[1][0] == capture.Checkpoint(5, recording.tap.tally.crc, b"")
    (line,) = (line for line in recording.rig.ports.logs if line[1] == "no_checkpoint")
    assert line[0] == "error"
    assert "oddity" in str(line[2]) or "local object" in str(line[2])


def test_a_call_that_is_not_answered_is_in_the_state() -> None:
    recording = Recording()
    recording.engine.start(at(0))
    one, other = Fetch("markets", "http://venue"), Fetch("book", "http://venue")
    recording.rig.engine.ports.fetch("1", one)
    recording.rig.engine.ports.fetch("1", other)
    assert recording.tap.asked == [("1", one), ("1", other)]
    recording.engine.fetched("1", one, Reply(200, b""), at(1))
    assert recording.tap.asked == [("1", other)]
