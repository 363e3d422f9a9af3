"""What is written comes back; what is torn off or damaged costs its own block, and is said."""

from __future__ import annotations

import io
from collections.abc import Callable
from zlib import crc32

import msgspec
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from bus.events import Bbo, Reason, Source, State, Status, Trust
from connectors import capture
from connectors.capture import CaptureError, Header, Record, Tally, Torn
from connectors.effects import Fetch, Now, Refusal, Reply
from tests.connectors.doubles import SETTINGS, SPEC

HEADER = Header("fake", SETTINGS, SPEC, 7, 1_790_000_000_000_000_000, 0, "1.0", "3.11")
ASKED = Fetch("book", "http://venue/book", "BTC-PERP", "POST", (("limit", "5"),), {"type": "book"}, {"a": "b"})
TEXT = st.text(st.characters(codec="utf-8"), max_size=20)
NS = st.integers(0, 2**63 - 1)
CLOCKS = {"mono": NS, "wall": NS}
RECORDS = st.lists(
    st.one_of(
        st.builds(capture.Started, **CLOCKS),
        st.builds(capture.Received, **CLOCKS, key=TEXT, frame=st.binary(max_size=200), binary=st.booleans()),
        st.builds(capture.Ponged, **CLOCKS, key=TEXT),
        st.builds(capture.Woken, **CLOCKS),
        st.builds(capture.Opened, **CLOCKS, key=TEXT),
        st.builds(
            capture.Refused,
            **CLOCKS,
            key=TEXT,
            refusal=st.builds(Refusal, st.sampled_from(Reason), TEXT, st.none() | st.integers(100, 599), st.binary()),
        ),
        st.builds(capture.Lost, **CLOCKS, key=TEXT, reason=st.sampled_from(Reason), detail=TEXT),
        st.builds(
            capture.Fetched,
            **CLOCKS,
            key=TEXT,
            request=st.just(ASKED),
            reply=st.builds(Reply, st.none() | st.integers(100, 599), st.binary(), st.just({"a": "b"}), st.none()),
        ),
        st.builds(capture.Commanded, **CLOCKS),
        st.builds(capture.Ended, **CLOCKS),
        st.builds(capture.Checkpoint, events=NS, crc=st.integers(0, 2**32 - 1), state=st.binary(max_size=50)),
        st.builds(capture.Tried, key=TEXT, url=TEXT),
        st.builds(capture.Sent, key=TEXT, text=TEXT, problem=st.none() | TEXT),
        st.builds(capture.Pinged, key=TEXT, problem=st.none() | TEXT),
        st.builds(capture.Checked, events=NS, crc=st.integers(0, 2**32 - 1)),
        st.builds(Torn, records=st.none() | NS, why=TEXT),
        st.builds(capture.Stopped),
    ),
    max_size=8,
)


def reader(data: bytes) -> Callable[[int], bytes]:
    return io.BytesIO(data).read


def read(data: bytes) -> list[Record]:
    """Everything behind the header."""
    source = reader(data)
    assert capture.read_header(source) == HEADER
    return list(capture.read_records(source))


@given(st.lists(RECORDS, max_size=4))
def test_what_is_written_is_read(blocks: list[list[Record]]) -> None:
    data = capture.encode_header(HEADER) + b"".join(map(capture.encode_block, blocks))
    assert read(data) == [record for block in blocks for record in block]


def small() -> tuple[bytes, list[bytes], list[list[Record]]]:
    contents: list[list[Record]] = [
        [capture.Started(number, number), capture.Received(number, number, "1/main", b"frame %d" % number, False)]
        for number in range(3)
    ]
    return capture.encode_header(HEADER), [capture.encode_block(content) for content in contents], contents


def test_a_tail_torn_at_any_byte_costs_the_block_it_tears() -> None:
    head, blocks, contents = small()
    ends = [len(head) + sum(map(len, blocks[:count])) for count in range(4)]
    data = head + b"".join(blocks)
    for length in range(len(head), len(data) + 1):
        whole = sum(end <= length for end in ends) - 1
        expected: list[Record] = [record for content in contents[:whole] for record in content]
        if length not in ends:
            expected.append(Torn(None, "cut off within a block"))
        assert read(data[:length]) == expected


def test_a_header_torn_at_any_byte_is_refused() -> None:
    head, _, _ = small()
    for length in range(len(head)):
        with pytest.raises(CaptureError):
            capture.read_header(reader(head[:length]))


@given(st.data())
def test_a_damaged_byte_costs_its_block_and_never_gives_a_wrong_record(data: st.DataObject) -> None:
    head, blocks, contents = small()
    broken = data.draw(st.integers(0, 2))
    block = bytearray(blocks[broken])
    at = data.draw(st.integers(0, len(block) - 1))
    block[at] ^= data.draw(st.integers(1, 255))
    found = read(head + b"".join([*blocks[:broken], bytes(block), *blocks[broken + 1 :]]))
    good = [record for number, content in enumerate(contents) if number != broken for record in content]
    kept = [record for record in found if not isinstance(record, Torn)]
    assert len(found) > len(kept)
    assert kept[: 2 * broken] == good[: 2 * broken]
    # Only a damaged length hides what follows.
    assert kept == good or at < 4


def packed(content: bytes) -> bytes:
    """A block with a right checksum around anything."""
    return len(content).to_bytes(4, "little") + crc32(content).to_bytes(4, "little") + content


def test_blocks_that_hold_something_else_are_said_to() -> None:
    head, blocks, contents = small()
    odd = packed(zstandard.ZstdCompressor().compress(msgspec.msgpack.encode([[99, 1]])))
    found = read(head + packed(b"no zstandard") + odd + blocks[0])
    assert [type(record) for record in found[:2]] == [Torn, Torn]
    assert found[2:] == contents[0]


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"something else", "not a capture"),
        (b"", "not a capture"),
        (b"PRPHCAP9....", "layout"),
        (capture.MAGIC + packed(zstandard.ZstdCompressor().compress(b"\x80")), "header"),
    ],
)
def test_what_is_no_capture_is_refused(data: bytes, problem: str) -> None:
    with pytest.raises(CaptureError, match=problem):
        capture.read_header(reader(data))


def test_an_input_knows_its_clocks() -> None:
    assert capture.Woken(1, 2).now == Now(1, 2)


def quote(price: float) -> Bbo:
    return Bbo(1, None, Trust.LIVE, 1, Source.STREAM, price, 1.0, price + 1, 1.0)


def test_the_tally_counts_all_and_notices_one_in_sixteen_of_the_many_and_each_of_the_few() -> None:
    def tally(*events: Bbo | Status) -> capture.Checked:
        found = Tally()
        for event in events:
            found.add("BTC-PERP", event)
        return found.checked

    same = [quote(price) for price in range(32)]
    assert tally(*same) == tally(*same)
    assert tally(*same).events == 32
    assert tally(*same[:-1], quote(99)) != tally(*same)
    assert tally(*same[:-2], quote(99), same[-1]) == tally(*same)
    status = Status(State.LIVE, State.DOWN, "", "", 1)
    assert tally(status) != tally(msgspec.structs.replace(status, since_ns=2))


def test_names_of_segments_sort_by_age() -> None:
    names = [capture.segment_name("aster", stamp, number) for stamp in ("20260101", "20260102") for number in (9, 10)]
    assert names == sorted(names)


def test_the_oldest_segments_make_room_but_never_the_present_one() -> None:
    sizes = {"a-1": 10, "a-2": 10, "a-3": 10}
    assert capture.doomed(sizes, 30, "a-3") == []
    assert capture.doomed(sizes, 15, "a-3") == ["a-1", "a-2"]
    assert capture.doomed(sizes, 0, "a-3") == ["a-1", "a-2"]
