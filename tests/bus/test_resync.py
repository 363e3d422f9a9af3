"""Requests for state and answers, byte for byte."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus.errors import WireError
from bus.resync import (
    MAX_ID,
    MAX_PREFIXES,
    End,
    Item,
    Refused,
    Request,
    Wish,
    decode_answer,
    decode_request,
    encode_answer,
    encode_request,
)

GOLDEN_REQUESTS = [
    (Request(b"1", (b"book.", b"delta.")), [b"STATE", b"1", b"book.", b"delta."]),
    (Request(b"7", (b"book.aster.BTC-PERP",), Wish.HEAL), [b"HEAL", b"7", b"book.aster.BTC-PERP"]),
    (Request(b"8", (b"",), Wish.FRESH), [b"FRESH", b"8", b""]),
]
GOLDEN_ANSWERS = [
    (Item(b"1", [b"topic", b"header", b"payload"]), [b"ITEM", b"1", b"topic", b"header", b"payload"]),
    (End(b"1"), [b"END", b"1"]),
    (Refused(b"1", 20), [b"REFUSED", b"1", b"20"]),
]


@pytest.mark.parametrize(("request_", "frames"), GOLDEN_REQUESTS)
def test_requests(request_: Request, frames: list[bytes]) -> None:
    assert encode_request(request_) == frames
    assert decode_request(frames) == request_


@pytest.mark.parametrize(("answer", "frames"), GOLDEN_ANSWERS)
def test_answers(answer: Item | End | Refused, frames: list[bytes]) -> None:
    assert encode_answer(answer) == frames
    assert decode_answer(frames) == answer


@pytest.mark.parametrize(
    "frames",
    [
        [],
        [b"STATE"],
        [b"STATE", b"1"],
        [b"NONSENSE", b"1", b"x"],
        [b"STATE", b"", b"x"],
        [b"STATE", b"x" * (MAX_ID + 1), b"x"],
        [b"STATE", b"1", *[b"x"] * (MAX_PREFIXES + 1)],
    ],
)
def test_other_requests_are_refused(frames: list[bytes]) -> None:
    with pytest.raises(WireError):
        decode_request(frames)


@pytest.mark.parametrize(
    "frames", [[], [b"END"], [b"ITEM", b"1", b"x"], [b"REFUSED", b"1", b"soon"], [b"REFUSED", b"1", b"9" * 10], [b"?"]]
)
def test_other_answers_are_refused(frames: list[bytes]) -> None:
    with pytest.raises(WireError):
        decode_answer(frames)


@given(st.lists(st.binary(max_size=10), max_size=6))
def test_foreign_frames_never_do_anything_else(frames: list[bytes]) -> None:
    for decode in (decode_request, decode_answer):
        try:
            decode(frames)
        except WireError:
            continue
