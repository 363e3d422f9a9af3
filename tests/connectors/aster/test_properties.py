"""Whatever the venue and the network do: no live book that is wrong, no frame that raises, and a way back to live."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Final

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bus.events import Trust
from connectors.aster import joining, messages, spec
from tests.connectors.aster.venue import BTC, Desk, depth, levels, listing, mark, snapshot, ticker, trade
from tests.connectors.fuzzing import Run

State = tuple[dict[float, float], dict[float, float]]
STEPS: Final = (
    *("change", "change", "push", "push", "push", "lose", "repeat", "late", "cut", "quote"),
    *("answer", "answer", "answer old", "fail", "wait", "pause", "reopen"),
)


class Exchange:
    """One market of the venue: one id for every change, diffs of what changed since the last one, snapshots."""

    def __init__(self, source: random.Random) -> None:
        self.source = source
        self.id = 1_000
        self.pushed = self.id
        self.book: State = ({100.0: 1.0, 99.5: 2.0, 99.0: 3.0}, {100.1: 1.0, 100.6: 2.0, 101.1: 3.0})
        self.changed: tuple[set[float], set[float]] = (set(), set())
        self.past: dict[int, State] = {self.id: self._copy()}

    def _copy(self) -> State:
        return dict(self.book[0]), dict(self.book[1])

    def change(self) -> None:
        """One level appears, changes or goes; ids of other symbols lie between."""
        side = self.source.randrange(2)
        step = self.source.randrange(30) / 10
        price = round(100.0 - step if side == 0 else 100.1 + step, 1)
        size = self.source.choice((0.0, 0.5, 1.5, 2.5))
        book = self.book[side]
        if size or len(book) > 1:
            book.pop(price, None)
            if size:
                book[price] = size
            self.changed[side].add(price)
        self.id += self.source.randrange(1, 40)
        self.past[self.id] = self._copy()

    def push(self) -> bytes:
        """The next diff; without a change there would be none, so make one."""
        if self.pushed == self.id:
            self.change()
        pairs = [sorted((price, book.get(price, 0.0)) for price in changed) for book, changed in self._sides()]
        frame = depth(self.id, self.pushed, pairs[0], pairs[1])
        self.pushed = self.id
        self.changed = (set(), set())
        return frame

    def _sides(self) -> list[tuple[dict[float, float], set[float]]]:
        return list(zip(self.book, self.changed, strict=True))

    def touch(self) -> bytes:
        bid, ask = max(self.book[0]), min(self.book[1])
        return ticker(self.id, (bid, self.book[0][bid]), (ask, self.book[1][ask]))

    def snapshot(self, back: int = 0) -> dict[str, object]:
        """The best levels as of an id so many changes ago; ids of other symbols may have passed since."""
        ids = sorted(self.past)
        last = ids[max(0, len(ids) - 1 - back)]
        bids, asks = self.past[last]
        count = spec.SNAPSHOT_LEVELS
        body = snapshot(last, sorted(bids.items(), reverse=True)[:count], sorted(asks.items())[:count])
        later = ids[ids.index(last) + 1] if back and last != ids[-1] else self.id + 1
        return body | {"lastUpdateId": self.source.randrange(last, later)}

    def at(self, seq: int) -> State:
        return self.past[max(each for each in self.past if each <= seq)]


def check(desk: Desk, exchange: Exchange, *, whole: bool) -> None:
    """What the consumer may use equals the venue's book of that id: all of it, or without holes up to a price."""
    if BTC not in desk.trust or desk.trust[BTC] not in {Trust.LIVE, Trust.REST}:
        return
    bids, asks = exchange.at(desk.seqs[BTC] or 0)
    truth = (sorted(bids.items(), reverse=True), sorted(asks.items()))
    bid_px, bid_sz, ask_px, ask_sz = desk.books[BTC].levels()
    for held, side in zip(
        (list(zip(bid_px, bid_sz, strict=True)), list(zip(ask_px, ask_sz, strict=True))), truth, strict=True
    ):
        assert held == (side if whole else side[: len(held)])


def heal(desk: Desk, exchange: Exchange) -> None:
    """Left alone by faults, it is live in a while."""
    for _ in range(300):
        if not desk.conns:
            desk.open()
        if desk.asked("book"):
            desk.answer("book", exchange.snapshot())
        exchange.change()
        desk.frame(exchange.push())
        if desk.trust.get(BTC) is Trust.LIVE and desk.seqs[BTC] == exchange.pushed:
            return
        desk.wait(0.1)
    pytest.fail("not live after 30 s without faults")


class Play:
    """Performs the steps of one example."""

    def __init__(self, seed: int) -> None:
        self.source = random.Random(seed)
        self.exchange = Exchange(self.source)
        self.desk = Desk()
        self.desk.ready()
        self.last: list[bytes] = []
        self.held: list[bytes] = []

    def step(self, name: str) -> None:
        desk, exchange = self.desk, self.exchange
        if name in {"answer", "answer old", "fail"} and not desk.asked("book"):
            return
        acts: dict[str, Callable[[], object]] = {
            "change": exchange.change,
            "push": lambda: self._frame(exchange.push()),
            "lose": exchange.push,
            "repeat": self._repeat,
            "late": lambda: self.held.append(exchange.push()),
            "cut": lambda: self._frame(exchange.push()[: self.source.randrange(25, 60)]),
            "quote": lambda: self._frame(exchange.touch()),
            "answer": lambda: desk.answer("book", exchange.snapshot()),
            "answer old": lambda: desk.answer("book", exchange.snapshot(self.source.randrange(1, 6))),
            "fail": lambda: desk.answer("book", b"<html>", 503),
            "wait": lambda: desk.wait(0.1),
            "pause": lambda: desk.wait(self.source.choice((1.0, 3.0, 11.0))),
            "reopen": lambda: (desk.close(), desk.open()),
        }
        acts[name]()
        if name != "late" and self.held and self.source.random() < 0.5:
            self._frame(self.held.pop(0))

    def _repeat(self) -> None:
        for frame in self.last:
            self._frame(frame)

    def _frame(self, frame: bytes) -> None:
        if self.desk.conns:
            self.desk.frame(frame)
            self.last = [frame]
        else:
            self.desk.open()


@given(st.lists(st.sampled_from(STEPS), max_size=80), st.integers(0, 2**32))
def test_a_live_book_is_the_venues_through_every_fault(steps: list[str], seed: int) -> None:
    play = Play(seed)
    for step in steps:
        play.step(step)
        check(play.desk, play.exchange, whole=True)
    heal(play.desk, play.exchange)
    check(play.desk, play.exchange, whole=True)


@given(st.lists(st.sampled_from(STEPS), max_size=80), st.integers(0, 2**32))
def test_a_book_with_a_horizon_has_no_holes_before_it(steps: list[str], seed: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(spec, "SNAPSHOT_LEVELS", 4)
        patch.setattr(joining, "SNAPSHOT_LEVELS", 4)
        play = Play(seed)
        for step in steps:
            play.step(step)
            check(play.desk, play.exchange, whole=False)
        heal(play.desk, play.exchange)
        check(play.desk, play.exchange, whole=False)


@given(st.binary(max_size=200))
@example(b'{"stream":"btcusdt@depth@100ms"}')
@example(b'{"id":' + b"9" * 400 + b"}")
def test_arbitrary_bytes_never_raise_and_never_pass_in_silence(data: bytes) -> None:
    desk = Desk()
    desk.live()
    for frame in (data, b'{"stream":"btcusdt@depth@100ms","data":' + data, b'{"stream":"btcusdt@bookTicker",' + data):
        assert desk.frame(frame)
    heal(desk, Exchange(random.Random(1)))


@given(
    st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5), st.lists, max_leaves=5)
)
def test_any_value_in_any_field_is_an_event_or_a_counted_refusal(value: object) -> None:
    for frame in (depth(1_100, 1_000, [(99.9, 5.0)], [(100.2, 4.0)]), ticker(1_100), trade(5), mark()):
        whole = json.loads(frame)
        for key in whole["data"]:
            desk = Desk()
            desk.live()
            data = {**whole["data"], key: value}
            assert desk.frame(json.dumps({**whole, "data": data}).encode())
            del data[key]
            assert desk.frame(json.dumps({**whole, "data": data}).encode()) or key in {"U", "T"}


@given(st.binary(max_size=100))
def test_arbitrary_answers_never_raise(data: bytes) -> None:
    for body in (data, b'{"lastUpdateId":1000,"bids":' + data, b'{"symbols":[' + data):
        desk = Desk()
        desk.start()
        desk.open()
        desk.wait(2.0)
        for name in ("markets", "intervals", "book"):
            desk.answer(name, body)
        desk.wait(1.0)
        desk.answer("markets", listing())
        desk.wait(2.0)
        for name in ("interest", "settled"):
            desk.answer(name, body)
        heal(desk, Exchange(random.Random(1)))


@pytest.mark.fuzz
def test_mutated_frames_are_events_or_counted(fuzz_frames: int) -> None:
    source = random.Random(17)
    desk = Desk()
    desk.live()
    # Diffs wait in silence while a snapshot is being fetched.
    run = Run(fuzz_frames, lambda frame: desk.trust[BTC] is not Trust.LIVE or messages.control(frame) is not None)
    u = 1_000
    for number in range(2 * fuzz_frames):
        u += 100
        valid = [depth(u, u - 100, [(99.9, 5.0)], [(100.2, 4.0)]), ticker(u), trade(u), mark()]
        if number % 2:
            valid.append(json.dumps({"id": 5, "error": {"code": 2, "msg": "x"}}).encode())
            frame = mutated(bytearray(source.choice(valid)), source)
            run.fed(frame, desk.frame(frame))
        else:
            desk.frame(valid[0])
        if not desk.conns:
            desk.open()
        if desk.asked("book") and source.random() < 0.3:
            desk.answer("book", snapshot(u - 50))
        desk.wait(0.02)
        run.consumer.take(desk.log)
        run.live += run.consumer.usable(BTC)
        held = desk.protocol._markets[BTC].book.feed  # noqa: SLF001
        assert not held.live or run.consumer.books[BTC].levels() == held.book.levels()
        desk.log.clear()
        desk.pending = [call for call in desk.pending if call.name == "book"]
        assert len(desk.pending) < 10
    run.ended()
    assert run.live > fuzz_frames // 4


def mutated(frame: bytearray, source: random.Random) -> bytes:
    """Cut, flip, insert, repeat or swap at random places."""
    for _ in range(source.randrange(1, 4)):
        place = source.randrange(len(frame) + 1)
        kind = source.randrange(5)
        if kind == 0:
            del frame[place:]
        elif kind == 1:
            frame[place:place] = bytes([source.randrange(256)])
        elif kind == 2:
            frame[place : place + 1] = source.choice((b"-", b'"', b"9", b"[", b"}", b"e", b"\xff", b"0"))
        elif kind == 3:
            frame[place:place] = frame[place : place + source.randrange(20)]
        else:
            del frame[place : place + source.randrange(10)]
    return bytes(frame)


def test_levels_are_written_as_the_venue_writes_them() -> None:
    assert levels([(100.0, 0.0)]) == [["100.0", "0.000"]]
