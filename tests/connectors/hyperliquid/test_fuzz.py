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
from tests.connectors.fuzzing import Run
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
    run = Run(fuzz_frames, quiet)
    for number in range(3 * fuzz_frames):
        good = rng.choice(moving(drive, rng))
        broken = number % 3 == 2
        frame = mutated(good, rng) if broken else json.dumps(good).encode()
        effects = drive.frame(frame)
        check(frame, effects)
        if broken:
            run.fed(frame, effects)
        if not drive.is_open:
            drive.s += 0.5
            drive.open()
        if rng.random() < 0.1:
            drive.wait(rng.choice((0.01, 0.1, 0.1, 3.0, 11.0)))
        drive.acknowledge()
        run.consumer.take(drive.all)
        run.live += run.consumer.usable("BTC-PERP")
        drive.all.clear()
    run.ended()
    assert run.live > fuzz_frames


def moving(drive: Drive, rng: random.Random) -> list[dict[str, Any]]:
    """Frames of now, so that good ones are taken; a block's book and quote agree."""
    size = f"{rng.randrange(1, 9)}.5"
    bids, asks = [("84143.0", size), ("84142.0", "1.65875")], [("84144.0", "50.66449"), ("84150.0", "0.00711")]
    now = drive.time
    return [book(time=now, bids=bids, asks=asks), bbo(time=now, bid=bids[0]), trades(trade(now, now)), *FRAMES[3:]]


def quiet(frame: bytes) -> bool:
    """Answers to what was asked and figures already published need no word."""
    said = json.loads(frame.decode(errors="replace"))
    if said["channel"] in {"pong", "subscriptionResponse", "error"}:
        return True
    return bool(said["channel"] == "activeAssetCtx" and said["data"]["coin"] in {"BTC", "ETH"})
