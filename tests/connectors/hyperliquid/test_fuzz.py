"""Whatever arrives, Hyperliquid's protocol neither raises nor shows a live book that the venue did not send."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus.events import USABLE, Book
from connectors.effects import Effects
from tests.connectors.drive import events, mutated
from tests.connectors.hyperliquid.venue import Drive, bbo, book, ctx, echo, trade, trades

FRAMES: list[dict[str, Any]] = [
    book(),
    bbo(),
    trades(trade(1), trade(2)),
    ctx(),
    echo("l2Book"),
    echo("l2Book", method="unsubscribe"),
    {"channel": "error", "data": 'Already subscribed: {"type":"bbo","coin":"BTC"}'},
    {"channel": "pong"},
]


def check(frame: bytes, effects: Effects) -> None:
    """Every usable book shows exactly what the frame says, in order and uncrossed."""
    for event in events(effects, Book):
        if event.trust not in USABLE:
            continue
        told = json.loads(frame.decode(errors="replace"))["data"]["levels"]
        for px, sz, side in ((event.bid_px, event.bid_sz, told[0]), (event.ask_px, event.ask_sz, told[1])):
            assert [(float(x["px"]), float(x["sz"])) for x in side if float(x["sz"])][:5] == list(
                zip(px, sz, strict=True)
            )
        assert event.bid_px == sorted(set(event.bid_px), reverse=True)
        assert event.ask_px == sorted(set(event.ask_px))
        assert not event.bid_px or not event.ask_px or event.bid_px[0] < event.ask_px[0]


@given(st.binary(max_size=200), st.booleans())
def test_arbitrary_bytes(frame: bytes, binary: bool) -> None:
    drive = Drive().live()
    check(frame, drive.frame(frame, binary=binary))


@pytest.mark.fuzz
def test_mutated_frames(fuzz_frames: int) -> None:
    rng = random.Random(20_260_924)
    drive = Drive().live()
    for _ in range(fuzz_frames):
        frame = mutated(rng.choice(FRAMES), rng)
        effects = drive.frame(frame)
        check(frame, effects)
        drive.all.clear()
        if not drive.is_open:
            drive.open()
        if rng.random() < 0.05:
            drive.wait(rng.choice((0.1, 3.0, 11.0)))
