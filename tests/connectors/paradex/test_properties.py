"""Whatever arrives from Paradex: nothing raises, and no book is live that differs from the venue's at its step."""

from __future__ import annotations

from random import Random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus.book import Book
from connectors.effects import Effects, Emit, Fetch, Reply
from tests.connectors.fuzzing import Run
from tests.connectors.paradex import venue
from tests.connectors.paradex.venue import Driver, S

FRAMES = (
    venue.snapshot(1_001, [(99.0, 1.0)], [(101.0, 2.0)]),
    venue.book(1_001, [(98.0, 1.0)], [(101.0, 0.0)]),
    venue.bbo(1_001, (99.0, 1.0), None),
    venue.trade(),
    venue.summary(),
    venue.funding(),
)
TEXTS = (
    b'{"jsonrpc":"2.0","id":16,"result":{"channel":"order_book.BTC-USD-PERP.deltas"},"usIn":1,"usDiff":1,"usOut":2}\n',
    b'{"jsonrpc":"2.0","id":1,"error":{"code":-32600,"message":"invalid subscribe request","data":"invalid channel"}}',
    b'{"jsonrpc":"2.0","method":"subscription","params":{"channel":"markets","data":{}}}',
)
BODIES = {
    "markets": venue.results(venue.row(), venue.row(venue.ETH)),
    "summary": venue.rest_summary(),
    "audit": venue.rest_book(1_000, [(99.0, 1.0)], [(101.0, 2.0)]),
    "book": venue.rest_book(1_000, [(99.0, 1.0)], [(101.0, 2.0)]),
}


def mutated(whole: bytes, data: st.DataObject) -> bytes:
    """A few bytes of a valid message replaced, cut out or doubled."""
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(whole)))
        until = data.draw(st.integers(at, min(len(whole), at + 8)))
        whole = whole[:at] + data.draw(st.binary(max_size=8)) + whole[until:]
    return whole


def publishable(effects: Effects) -> None:
    """What was published can be written to the bus."""
    for effect in effects:
        if isinstance(effect, Emit):
            msgspec.msgpack.encode(effect.event)


@given(st.data())
def test_no_binary_frame_raises(data: st.DataObject) -> None:
    driver = Driver().live()
    for _ in range(data.draw(st.integers(1, 6))):
        valid = data.draw(st.sampled_from(FRAMES))
        publishable(driver.push(data.draw(st.one_of(st.just(valid), st.binary(max_size=300))), mutated(valid, data)))
    publishable(driver.run(30 * S))


@given(st.data())
def test_no_text_frame_raises(data: st.DataObject) -> None:
    driver = Driver().live()
    for _ in range(data.draw(st.integers(1, 6))):
        publishable(driver.say(mutated(data.draw(st.sampled_from(TEXTS)), data)))
        publishable(driver.say(data.draw(st.binary(max_size=300))))
    publishable(driver.run(30 * S))


@given(st.data())
def test_no_rest_answer_raises(data: st.DataObject) -> None:
    driver = Driver().live()
    driver.run(6 * S)
    name = data.draw(st.sampled_from(sorted(BODIES)))
    body = data.draw(st.one_of(st.binary(max_size=300), st.just(mutated(BODIES[name], data))))
    status = data.draw(st.sampled_from((200, 200, 400, 404, 429, 503, None)))
    request = Fetch(name, "https://x", None if name == "markets" else "BTC-PERP")
    if data.draw(st.booleans()):
        driver.closed()
    publishable(driver.do(driver.protocol.fetched(request, Reply(status, body), driver.now)))
    publishable(driver.run(30 * S))


def damaged(frame: bytes, rng: Random) -> bytes:
    """A few bits flipped, a stretch lost or bytes put in."""
    bad = bytearray(frame)
    for _ in range(rng.randrange(4)):
        at = rng.randrange(len(bad))
        kind = rng.randrange(4)
        if kind == 0:
            bad[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            del bad[at : at + rng.randrange(1, 9)]
        elif kind == 2:
            bad[at:at] = rng.randbytes(rng.randrange(1, 9))
        else:
            bad[at : at + 8] = rng.choice((bytes(8), b"\xff" * 8, bytes(7) + b"\x80"))
        bad = bad or bytearray(1)
    return bytes(bad)


@pytest.mark.fuzz
def test_damaged_frames_leave_a_consumer_with_the_connectors_book_or_none(fuzz_frames: int) -> None:
    rng = Random(20_261_008)
    driver = Driver(markets=("BTC-PERP",)).live()
    asked: Effects = []
    live = 0
    # Figures (templates 4 and 5) that have been published need no second word.
    run = Run(fuzz_frames, lambda frame: frame[2:4] in (b"\4\0", b"\5\0"))
    for _ in range(fuzz_frames):
        seq = (driver.btc.seq or 0) + 1
        valid = rng.choice(
            (*FRAMES[2:], venue.snapshot(seq, [(99.0, 1.0)], [(101.0, 2.0)]), venue.book(seq, [(98.0, 1.0)], []))
        )
        frame = damaged(valid, rng)
        effects = driver.push(frame)
        publishable(effects)
        run.fed(frame, effects)
        feed = driver.protocol._markets["BTC-PERP"].feed  # noqa: SLF001
        assert driver.btc.live == feed.live
        assert not feed.live or (driver.btc.levels.levels() == feed.book.levels() and not feed.book.is_crossed())
        live += feed.live
        asked = driver.opened() if venue.reasons(effects) else effects if driver.requests(effects) else asked
        if rng.random() < 0.2:
            driver.ack_all(asked)
            asked = []
        if rng.random() < 0.02:
            asked += driver.opened() if venue.reasons(driver.run(rng.choice((S, 6 * S)), until=venue.reasons)) else []
        driver.log.clear()
        driver.calls.clear()
    run.ended()
    assert live > fuzz_frames // 20


class Venue:
    """One market's truth, and what a faulty way to the client makes of its frames."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.book = Book()
        self.book.replace([99.0, 98.0], [1.0, 2.0], [101.0, 102.0], [1.0, 2.0])
        self.seq = 1_000
        self.truth = {self.seq: self.sides()}

    def sides(self) -> tuple[venue.Side, venue.Side]:
        bid_px, bid_sz, ask_px, ask_sz = self.book.levels()
        return list(zip(bid_px, bid_sz, strict=True)), list(zip(ask_px, ask_sz, strict=True))

    def snapshot(self) -> bytes:
        return venue.snapshot(self.seq, *self.sides())

    def step(self) -> bytes:
        """Up to two levels change; half of the steps change none."""
        count = self.random.choice((0, 0, 1, 2))
        levels = [(self.random.choice((95.0, 96.0, 97.0, 98.0, 99.0)), self.size()) for _ in range(count)]
        asks = [(200.0 - px, self.size()) for px, _ in levels[1:]]
        bids = list(dict(levels[:1]).items())
        self.book.apply([x for x, _ in bids], [x for _, x in bids], [x for x, _ in asks], [x for _, x in asks])
        self.seq += 1
        self.truth[self.seq] = self.sides()
        return venue.book(self.seq, bids, asks)

    def size(self) -> float:
        return self.random.choice((0.0, 0.5, 1.5))


FAULTS = ("none", "none", "none", "drop", "twice", "cut", "header", "count", "market", "noise", "past", "reopen")


def suffer(fault: str, frame: bytes, past: bytes, random: Random) -> list[bytes]:
    """What a fault makes of one frame."""
    if fault == "cut":
        return [frame[: random.randrange(len(frame))]]
    if fault in ("header", "count", "market"):
        at = {"header": random.randrange(2, 6), "count": 99, "market": -2}[fault]
        damaged = bytearray(frame)
        damaged[at] ^= 1 << random.randrange(8)
        return [bytes(damaged)]
    broken = {"drop": [], "twice": [frame, frame], "noise": [random.randbytes(40), frame], "past": [frame, past]}
    return broken.get(fault, [frame])


def reply(driver: Driver, truth: Venue, effects: Effects) -> None:
    """The venue acknowledges what was asked and serves the book, after a straggler of the old subscription."""
    asked = driver.requests(effects)
    if any(channel == "order_book.BTC-USD-PERP.deltas" for _, channel in asked):
        driver.push(truth.step())
        for number, channel in asked:
            driver.ack(number, channel)
        driver.push(truth.snapshot())


def deliver(driver: Driver, truth: Venue, frame: bytes) -> None:
    """One frame arrives, and the venue does what the protocol then asks for; the book is right or not live."""
    effects = driver.push(frame)
    assert not driver.btc.live or driver.btc.sides() == truth.truth[driver.btc.seq or 0]
    reply(driver, truth, driver.opened() if venue.reasons(effects) else effects)
    assert not driver.btc.live or driver.btc.sides() == truth.truth[driver.btc.seq or 0]


@given(st.integers(0, 2**32), st.lists(st.sampled_from(FAULTS), min_size=1, max_size=40))
def test_a_live_book_is_the_venues_whatever_happens_to_the_frames(seed: int, faults: list[str]) -> None:
    driver, truth = Driver(markets=("BTC-PERP",)), Venue(seed)
    driver.start()
    driver.answer("markets", venue.results(venue.row()))
    past = truth.snapshot()
    reply(driver, truth, driver.opened())
    for fault in faults:
        frame = truth.step()
        if fault == "reopen":
            driver.closed()
            reply(driver, truth, driver.opened())
            continue
        for each in suffer(fault, frame, past, truth.random):
            deliver(driver, truth, each)
        past = frame
    for _ in range(2):
        deliver(driver, truth, truth.step())
    assert driver.btc.live
    assert driver.btc.sides() == truth.sides()
