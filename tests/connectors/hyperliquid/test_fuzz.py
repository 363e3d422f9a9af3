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
from tests.connectors.hyperliquid.drive import Drive, bbo, book, ctx, echo, events, trade, trades

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
ODD: list[Any] = [None, True, -1, 0, 2**63, 2**64, 1e400, "", "NaN", "Infinity", "-1.0", "x", [], {}, [[]], [None] * 3]


def mutated(frame: object, rng: random.Random) -> bytes:
    """Break a frame: swap, drop or repeat values within it, or cut and flip its bytes."""
    frame = json.loads(json.dumps(frame))
    holders: list[tuple[Any, Any]] = []
    stack = [frame]
    while stack:
        item = stack.pop()
        pairs = item.items() if isinstance(item, dict) else enumerate(item) if isinstance(item, list) else ()
        for key, value in list(pairs):
            holders.append((item, key))
            stack.append(value)
    for _ in range(rng.randint(0, 3)):
        holder, key = rng.choice(holders)
        try:
            if rng.random() < 0.3:
                del holder[key]
            else:
                holder[key] = rng.choice(ODD)
        except (IndexError, KeyError):
            continue
    data = bytearray(json.dumps(frame).encode())
    if rng.random() < 0.2:
        data = data[: rng.randrange(len(data))]
    for _ in range(rng.choice((0, 0, 0, 1, 5)) if data else 0):
        data[rng.randrange(len(data))] = rng.randrange(256)
    return bytes(data)


def check(frame: bytes, effects: Effects) -> None:
    """Every usable book shows exactly what the frame says, in order and uncrossed."""
    for event in events(effects, Book):
        if event.trust not in USABLE:
            continue
        told = json.loads(frame)["data"]["levels"]
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
