"""Whatever arrives, Lighter's protocol neither raises nor shows a live book that the chain does not give."""

from __future__ import annotations

import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bus.book import Book
from bus.events import Trust
from tests.connectors.drive import Frame, mutated
from tests.connectors.fuzzing import Consumer, Run
from tests.connectors.lighter.venue import Drive, Pair, diff, error, sent, snapshot, stats, ticker, trade, trades


@given(st.binary(max_size=200), st.booleans())
def test_arbitrary_bytes(frame: bytes, binary: bool) -> None:
    drive = Drive().live()
    before = drive.book()
    drive.frame(frame, binary=binary)
    assert drive.trust["BTC-PERP"] is not Trust.LIVE or drive.book() == before


class Venue:
    """The truth of one market, its chain, and what a faulty wire makes of it."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.nonce = 1_000
        self.book = Book()
        self.history: dict[int, tuple[list[float], ...]] = {}
        self.move()

    def move(self) -> Frame:
        begin = self.nonce
        self.nonce += self.rng.randint(1, 500)
        bids = [self.level(8_300, 8_340) for _ in range(self.rng.randint(0, 3))]
        asks = [self.level(8_341, 8_380) for _ in range(self.rng.randint(0, 3))]
        flat = [[float(pair[number]) for pair in side] for side in (bids, asks) for number in (0, 1)]
        self.book.apply(*flat)
        self.history[self.nonce] = self.book.levels()
        return diff(begin, self.nonce, bids, asks)

    def level(self, low: int, high: int) -> Pair:
        return f"{self.rng.randint(low, high)}.0", self.rng.choice(("0.00000", "0", "1.50000", "2.25000"))

    def snapshot(self) -> Frame:
        bid_px, bid_sz, ask_px, ask_sz = ([str(value) for value in side] for side in self.book.levels())
        bids, asks = list(zip(bid_px, bid_sz, strict=True)), list(zip(ask_px, ask_sz, strict=True))
        return snapshot(nonce=self.nonce, bids=bids, asks=asks)

    def quote(self) -> Frame:
        bid_px, bid_sz, ask_px, ask_sz = self.book.best()
        bid = ("", "") if bid_px is None else (str(bid_px), str(bid_sz))
        ask = ("", "") if ask_px is None else (str(ask_px), str(ask_sz))
        return ticker(self.nonce, bid, ask)


def broken(frame: Frame, rng: random.Random) -> bytes:
    """Break a difference so that it shows: a changed digit or a lost level of a well-formed one could not be seen."""
    for side in ("asks", "bids"):
        for level in frame["order_book"][side]:
            level[rng.choice(("price", "size"))] = rng.choice((None, "", "NaN", "-1", [], "1e999"))
    data = json.dumps(frame).encode()
    return data[: rng.randrange(len(data))]


def drift(rng: random.Random, turns: int) -> None:
    """Lose, repeat, swap and break frames, and compare every live book with the venue's of the same nonce."""
    venue, drive = Venue(rng), Drive("BTC-PERP").ready()
    answered = 0
    wire: list[bytes] = [json.dumps(venue.snapshot()).encode()]
    for _ in range(turns):
        frame = venue.move()
        wire += {
            0: [],
            1: [json.dumps(frame).encode()] * 2,
            2: [broken(frame, rng)],
            3: [json.dumps(frame).encode(), mutated(rng.choice((stats(), trades(trade()), error(1, "x"))), rng)],
        }.get(rng.randint(0, 12), [json.dumps(frame).encode(), json.dumps(venue.quote()).encode()])
        if len(wire) > 1 and rng.random() < 0.1:
            wire.reverse()
        for data in wire:
            drive.frame(data)
            if drive.trust.get("BTC-PERP") is Trust.LIVE:
                feed = drive.book()
                assert feed == venue.history[last_nonce(drive)]
        wire = []
        drive.wait(rng.choice((0.0, 0.05, 0.7)))
        if not drive.is_open:
            drive.open()
        asked = sent(drive.all).count("subscribe order_book/1")
        if asked > answered:
            answered = asked
            wire = [json.dumps(venue.snapshot()).encode()]
        if len(drive.all) > 2_000:
            break
    drive.wait(40)
    if not drive.is_open:
        drive.open()
    drive.frame(venue.snapshot())
    drive.frame(venue.move())
    assert drive.trust["BTC-PERP"] is Trust.LIVE
    assert drive.book() == venue.book.levels()


def last_nonce(drive: Drive) -> int:
    for effect in reversed(drive.all):
        event = getattr(effect, "event", None)
        if type(event).__name__ in {"Book", "Delta"}:
            return int(event.venue_seq)  # type: ignore[union-attr]
    raise AssertionError


@given(st.integers(0, 2**32))
@settings(max_examples=60)
def test_no_live_book_is_ever_wrong_on_a_faulty_wire(seed: int) -> None:
    drift(random.Random(seed), 60)


FRAMES: list[Frame] = [
    snapshot(),
    diff(1, 2, bids=[("1", "1")]),
    ticker(),
    trades(trade(1), trade(2)),
    stats(),
    error(30003, "Already Subscribed to : order_book:1"),
    {"type": "pong"},
    {"type": "unsubscribed", "channel": "order_book:0"},
]


@pytest.mark.fuzz
def test_mutated_frames(fuzz_frames: int) -> None:
    rng = random.Random(20_260_924)
    drive = Drive().live()
    run = Run(fuzz_frames, quiet)
    run.consumer.take(drive.all)
    drive.all.clear()
    for number in range(3 * fuzz_frames):
        good = rng.choice(moving(run.consumer.seq["BTC-PERP"] or 0, rng))
        broken = number % 3 == 2
        frame = mutated(good, rng) if broken else json.dumps(good).encode()
        effects = drive.frame(frame)
        if broken:
            run.fed(frame, effects)
        if not drive.is_open:
            drive.s += 0.5
            drive.open()
        if rng.random() < 0.1:
            drive.wait(rng.choice((0.1, 0.1, 3.0, 11.0)))
        if "subscribe order_book/1" in sent(drive.all):
            drive.first(1)
        run.consumer.take(drive.all)
        agree(drive, run.consumer)
        run.live += run.consumer.usable("BTC-PERP")
        drive.all.clear()
    run.ended()
    assert run.live > fuzz_frames


def agree(drive: Drive, consumer: Consumer) -> None:
    """What the consumer holds is what the connector holds."""
    feed = drive.protocol._markets["BTC-PERP"].feed  # type: ignore[attr-defined]  # noqa: SLF001
    assert (consumer.trust["BTC-PERP"] is Trust.LIVE) == feed.live
    if feed.live:
        assert consumer.books["BTC-PERP"].levels() == feed.book.levels()


def moving(nonce: int, rng: random.Random) -> list[Frame]:
    """Frames that continue the chain, among others."""
    bids = [(f"{rng.randrange(83_000, 83_134)}.0", rng.choice(("0", "1.5", "2.25")))]
    return [diff(nonce, nonce + 7, bids=bids), diff(nonce, nonce + 9), *FRAMES]


def quiet(frame: bytes) -> bool:
    """Answers to what was asked, frames of no trade and figures already published need no word."""
    said = json.loads(frame.decode(errors="replace"))
    kind = said.get("type")
    return "error" in said or kind in {"pong", "unsubscribed", "connected", "update/market_stats", "update/trade"}
