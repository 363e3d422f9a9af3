"""The wire: what is encoded decodes to the same, what is foreign is refused, the bytes are those documented."""

from __future__ import annotations

import re
from enum import Enum
from pathlib import Path
from typing import Any, get_args, get_origin

import msgpack
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus import wire
from bus.errors import WireError
from bus.events import EVENT_TYPES, LOG_KINDS, BusEvent, Seq, Trust
from tests.bus import samples

SIMPLE: dict[object, st.SearchStrategy[Any]] = {
    int: st.integers(-(2**63), 2**64 - 1),
    float: st.floats(allow_nan=False),
    str: st.text(max_size=20),
    bool: st.booleans(),
    object: st.none() | st.booleans() | st.text(max_size=20),
    type(None): st.none(),
}


def values(annotation: object) -> st.SearchStrategy[Any]:
    """What a field of this type may hold."""
    arguments = get_args(annotation)
    if annotation == Seq:
        return st.integers(0, 2**48)
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return st.sampled_from(list(annotation))
    if get_origin(annotation) is list:
        return st.lists(values(arguments[0]), max_size=5)
    if get_origin(annotation) is dict:
        return st.dictionaries(values(arguments[0]), values(arguments[1]), max_size=5)
    if arguments:
        return st.one_of([values(argument) for argument in arguments])
    return SIMPLE[annotation]


def events() -> st.SearchStrategy[BusEvent]:
    return st.one_of(
        [
            st.builds(event, **{field.name: values(field.type) for field in msgspec.structs.fields(event)})
            for event in EVENT_TYPES.values()
        ]
    )


@given(events())
def test_every_event_survives_the_wire(event: BusEvent) -> None:
    payload = wire.encode_payload(event)
    assert wire.decode_payload(event.kind, b"x", payload) == event


@given(st.integers(0, 2**63 - 1), st.integers(1, 2**48), st.integers(0, 2**63 - 3))
def test_a_header_survives_the_wire(epoch: int, seq: int, time: int) -> None:
    frame = wire.encode_header("a", epoch, seq, time, time + 1, time + 2)
    header = wire.decode_header(b"t", frame)
    assert header == wire.Header(1, "a", epoch, seq, time, time + 1, time + 2)
    assert frame.startswith(wire.run_prefix(frame, header))


@given(st.binary(max_size=200))
def test_foreign_bytes_are_refused_and_nothing_else_happens(data: bytes) -> None:
    for kind in EVENT_TYPES:
        try:
            wire.decode_payload(kind, b"topic", data)
        except WireError as error:
            assert error.topic == b"topic"  # noqa: PT017  (most bytes are refused, some are events)
    try:
        wire.decode_header(b"topic", data)
    except WireError:
        return


@pytest.mark.parametrize(
    ("frame", "problem"),
    [
        (b"\xc1", "header"),
        (msgpack.packb([2, "a", 1, 1, 1, 1, 1]), "schema 2"),
        (msgpack.packb([1, "a", 1]), "header"),
        (msgpack.packb([1, b"\xff", 1, 1, 1, 1, 1]), "header"),
    ],
)
def test_a_header_of_another_kind_is_refused(frame: bytes, problem: str) -> None:
    with pytest.raises(WireError, match=problem):
        wire.decode_header(b"book.x.y", frame)


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(WireError, match="unknown kind"):
        wire.decode_payload("candle", b"candle.x.y", b"\x90")


def test_nesting_without_end_is_refused() -> None:
    with pytest.raises(WireError):
        wire.decode_payload("telemetry", b"t", b"\x91" + b"\x81\xa1k" * 100_000)


def test_fields_appended_by_a_newer_sender_do_not_disturb() -> None:
    payload = msgspec.msgpack.decode(wire.encode_payload(samples.trade()))
    newer = msgpack.packb([*payload, "something new"])
    assert wire.decode_payload("trade", b"t", newer) == samples.trade()


def test_a_default_may_be_left_out_by_an_older_sender() -> None:
    payload = msgspec.msgpack.decode(wire.encode_payload(samples.trade()))
    assert wire.decode_payload("trade", b"t", msgpack.packb(payload[:-1])) == samples.trade()


@pytest.mark.parametrize("frame", [b"book", b"book.aster", b"\xff.a.b", b""])
def test_a_topic_needs_three_parts(frame: bytes) -> None:
    with pytest.raises(WireError, match=r"kind\.venue\.market"):
        wire.split_topic(frame)


def test_topics_and_chains() -> None:
    assert wire.topic("delta", "aster", "BTC-PERP") == b"delta.aster.BTC-PERP"
    assert wire.split_topic(b"delta.aster.BTC-PERP") == ("delta", "aster", "BTC-PERP")
    assert wire.chain("delta", "aster", "BTC-PERP") == wire.chain("book", "aster", "BTC-PERP") == "book.aster.BTC-PERP"
    assert wire.chain("trade", "aster", "BTC-PERP") == "trade.aster.BTC-PERP"


@pytest.mark.parametrize(
    "numbers",
    [(-1, 1, 0, 0, 0), (2**63, 1, 0, 0, 0), (1, 2**48 + 1, 0, 0, 0), (1, 1, -1, 0, 0), (1, 1, 0, 0, 2**64 - 1)],
)
def test_a_number_beyond_its_bounds_is_refused(numbers: tuple[int, int, int, int, int]) -> None:
    with pytest.raises(WireError, match="header"):
        wire.decode_header(b"t", wire.encode_header("a", *numbers))


@pytest.mark.parametrize("frames", [[], [b"a"], [b"a", b"b"], [b"a", b"b", b"c", b"d"]])
def test_a_message_is_three_frames(frames: list[bytes]) -> None:
    with pytest.raises(WireError, match=f"{len(frames)} frames"):
        wire.header_frame(frames)


def test_a_header_in_a_longer_form_than_needed_has_no_prefix() -> None:
    frame = b"\x97\xcc\x01" + wire.encode_header("a", 1, 1, 1, 1, 1)[2:]
    with pytest.raises(WireError, match="shortest"):
        wire.run_prefix(frame, wire.decode_header(b"t", frame))


EPOCH, RECV, MONO, PUB = 1_790_000_000_000_000_000, 1_790_000_100_000_000_000, 5_000_000_000, 5_000_040_000
GOLDEN: list[tuple[BusEvent | bytes, str]] = [
    (
        wire.encode_header("a", EPOCH, 7, RECV, MONO, PUB),
        "97 01 a161 cf18d75b8423f30000 07 cf18d75b9b6c69e800 cf000000012a05f200 cf000000012a068e40",
    ),
    (
        samples.book(levels=1),
        (
            "9a 01 01 a46c697665 01 a673747265616d 91cb4059000000000000 91cb3ff0000000000000"
            " 91cb4059400000000000 91cb4000000000000000 32"
        ),
    ),
    (
        samples.empty(trust=Trust.RESYNC),
        "98 03 03 a6726573796e63 01 90 90 90 90",
    ),
    (
        samples.trade(),
        "97 01 a131 a3627579 cb4059000000000000 cb3ff0000000000000 c2 a57472616465",
    ),
]


@pytest.mark.parametrize(("made", "golden"), GOLDEN)
def test_bytes_are_those_of_the_document(made: BusEvent | bytes, golden: str) -> None:
    data = made if isinstance(made, bytes) else wire.encode_payload(made)
    assert data.hex() == golden.replace(" ", "")


DOCUMENT = (Path(__file__).resolve().parents[2] / "docs" / "wire.md").read_text()


@pytest.mark.parametrize("golden", [golden for _, golden in GOLDEN])
def test_the_document_shows_these_bytes(golden: str) -> None:
    assert f"```\n{golden}\n```" in DOCUMENT


@pytest.mark.parametrize("event", EVENT_TYPES.values(), ids=EVENT_TYPES)
def test_the_document_names_every_field_in_order(event: type[BusEvent]) -> None:
    row = next(line for line in DOCUMENT.splitlines() if line.startswith(f"| `{event.kind}` |"))
    _, _, group, fields, _ = row.split("|")
    assert group.strip() == ("log" if event.kind in LOG_KINDS else "state")
    documented = [field.strip() for field in re.sub(r"\{.*?\}", "map", fields).split(",")]
    expected = msgspec.structs.fields(event)
    assert [field.split()[0] for field in documented] == [field.name for field in expected]
    assert ["=" in field for field in documented] == [not field.required for field in expected]
    assert ["?" in field for field in documented] == [type(None) in get_args(field.type) for field in expected]
