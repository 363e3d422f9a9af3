"""Whatever comes down the wire: nothing is raised, nothing is passed over in silence, and no live book is wrong."""

from __future__ import annotations

import json
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus.events import Trust
from connectors.effects import Effects, Reconnect
from tests.connectors.drive import mutated
from tests.connectors.extended.drive import (
    ASKS,
    BBO,
    BIDS,
    BOOK,
    FUNDING,
    INDEX,
    MARK,
    MARKET,
    MS,
    RPC,
    SUBSCRIPTIONS,
    T0,
    TRADE,
    Drive,
    changes,
    levels,
    ok,
    row,
)
from tests.connectors.fuzzing import Consumer, Run

CONNS = (BOOK, BBO, TRADE, MARK, INDEX, FUNDING)
LIKELY = b'{}[]",:0123456789.-eE\x00\xff'
ROOM = st.sampled_from(["v1", "v2"])


def frames(transport: str) -> list[tuple[str, dict[str, Any]]]:
    """One good frame of every kind, as it would follow a live book."""
    quote = {"t": "SNAPSHOT", "m": "BTC-USD", "b": levels(("84077", "1")), "a": levels(("84078", "1")), "d": "1"}
    delta = {"t": "DELTA", "m": "BTC-USD", "b": changes(("84077", "0.1", "0.51547")), "a": [], "d": "f"}
    trade = {"i": 7, "m": "BTC-USD", "S": "BUY", "tT": "TRADE", "T": T0, "p": "84077", "q": "0.1"}
    found: list[tuple[str, str | None, object]] = [
        (BOOK, "DELTA", delta),
        (BOOK, "SNAPSHOT", delta | {"t": "SNAPSHOT", "b": BIDS, "a": ASKS}),
        (BBO, "SNAPSHOT", quote),
        (TRADE, None, [trade, trade | {"i": 8}]),
        (MARK, "MP", {"m": "BTC-USD", "p": "84000", "ts": 0}),
        (INDEX, "IP", {"m": "BTC-USD", "p": "84000", "ts": T0}),
        (FUNDING, None, {"m": "BTC-USD", "f": "0.000013", "T": T0}),
    ]
    scopes = {BOOK: "ORDERBOOKS.", BBO: "ORDERBOOKS.", MARK: "PRICES.", INDEX: "PRICES."}
    envelopes = []
    for conn, kind, data in found:
        frame: dict[str, Any] = {"data": data, "ts": T0 + 500}
        if kind is not None:
            frame["type"] = scopes.get(conn, "") + kind if transport == "v2" else kind
        if transport == "v2":
            frame["subscription"] = SUBSCRIPTIONS[conn]
        envelopes.append((conn, frame))
    if transport == "v2":
        envelopes.append((RPC, {"id": "1", "result": {"method": "subscribe", "status": "OK"}, "jsonrpc": "2.0"}))
        envelopes.append((RPC, {"id": "2", "error": {"code": -32602, "message": "x"}, "jsonrpc": "2.0"}))
    return envelopes


def accounted(drive: Drive, before: int) -> bool:
    """Whether the frame left a trace: an event, a count or a rejection."""
    return len(drive.effects) > before


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.sampled_from(["", "nan", "-inf", "1e999", "84077", "DELTA", "SNAPSHOT", "BTC-USD", "f", "1", "\u00b9"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["m", "b", "a", "p", "q", "c", "t", "d", "T", "f", "i", "S"]), inner, max_size=4
        )
    ),
    max_leaves=12,
)


@given(transport=ROOM, conn=st.sampled_from(CONNS), frame=st.binary(max_size=200))
def test_arbitrary_bytes_are_accounted_for(transport: str, conn: str, frame: bytes) -> None:
    drive = Drive(transport).live()
    before = len(drive.effects)
    drive.raw(conn, frame)
    assert accounted(drive, before)
    drive.wait(1.0)


@given(transport=ROOM, random=st.randoms(use_true_random=False), data=st.data())
def test_mutated_bytes_of_good_frames_are_accounted_for(transport: str, random: Random, data: st.DataObject) -> None:
    drive = Drive(transport).live()
    conn, frame = data.draw(st.sampled_from(frames(transport)))
    if conn != RPC:
        frame["seq"] = drive.seqs[RPC if transport == "v2" else conn]
    text = bytearray(json.dumps(frame).encode())
    for _ in range(random.randint(1, 4)):
        at = random.randrange(len(text))
        if random.random() < 0.3:
            del text[at : at + random.randint(1, 9)]
            text = text or bytearray(b" ")
        else:
            text[at] = (
                random.choice(b'{}[]",:0123456789.-eE\x00\xff') if random.random() < 0.8 else random.randrange(256)
            )
    before = len(drive.effects)
    drive.raw(conn, bytes(text))
    if conn != RPC:
        assert accounted(drive, before)
    drive.wait(1.0)


@given(transport=ROOM, name=st.sampled_from(["data", "ts", "seq", "type", "subscription"]), value=JSON, data=st.data())
def test_members_of_any_type_are_accounted_for(transport: str, name: str, value: object, data: st.DataObject) -> None:
    drive = Drive(transport).live()
    conn, frame = data.draw(st.sampled_from(frames(transport)[:7]))
    frame["seq"] = drive.seqs[RPC if transport == "v2" else conn]
    if name == "data" and isinstance(frame["data"], dict) and isinstance(value, dict):
        frame["data"] |= value
    else:
        frame[name] = value
    before = len(drive.effects)
    drive.raw(conn, json.dumps(frame).encode())
    assert accounted(drive, before)
    drive.wait(1.0)


@given(
    name=st.sampled_from(["markets", "stats", "settled", "book", "probe"]),
    status=st.sampled_from([None, 200, 200, 200, 400, 404, 429, 503]),
    body=st.binary(max_size=60) | JSON.map(ok) | JSON.map(lambda value: json.dumps(value).encode()),
)
def test_any_rest_answer_is_survived_and_the_call_made_again(name: str, status: int | None, body: bytes) -> None:
    drive = Drive().live()
    if name == "probe":
        drive.wait(7.5)
    if name == "book":
        drive.close(BOOK)
        drive.wait(2.0)
    if name == "markets":
        drive.wait(600.0)
    drive.calls = [call for call in drive.calls if call.name == name]
    drive.answer(name, body, status)
    if name == "markets":
        drive.wait(31.0)
        assert drive.pending("markets")
    drive.wait(1.0)


# No live book is wrong


class Venue:
    """A market's truth, its latest minutely snapshot, and every delta since: what a subscriber is sent."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.bids = {90.0 + number: 1.0 for number in range(10)}
        self.asks = {101.0 + number: 1.0 for number in range(10)}
        self.at: dict[int, tuple[dict[float, float], dict[float, float]]] = {}
        self.ts = T0 - 5_000
        self.snapshot_now()

    def snapshot_now(self) -> None:
        """Keep a new snapshot for those who come."""
        self._stamp()
        sides = [
            [{"p": f"{price:.3f}", "q": repr(size)} for price, size in side.items()] for side in (self.bids, self.asks)
        ]
        self.replay = [("SNAPSHOT", sides[0], sides[1], self.ts)]

    def move(self) -> None:
        """A few levels change."""
        sides = []
        for side, first in ((self.bids, 90), (self.asks, 101)):
            changed = []
            for price in self.random.sample(range(first, first + 10), self.random.randint(0, 3)):
                old, new = side.get(float(price), 0.0), self.random.choice([0.0, 0.5, 1.5, 2.25])
                if new == 0.0 and len(side) < 4:
                    continue
                side[float(price)] = new
                if not new:
                    del side[float(price)]
                changed.append({"p": str(price), "q": repr(new - old), "c": repr(new)})
            sides.append(changed)
        self._stamp()
        self.replay.append(("DELTA", sides[0], sides[1], self.ts))

    def _stamp(self) -> None:
        self.ts += self.random.choice([1, 100])
        self.at[self.ts * MS] = (dict(self.bids), dict(self.asks))


class Play:
    """A session over a wire that loses, repeats, swaps and cuts frames."""

    def __init__(self, transport: str, random: Random) -> None:
        self.drive = Drive(transport)
        self.drive.start()
        self.drive.answer("markets", row())
        self.venue = Venue(random)
        self.sent = 0
        self.up = False
        self.held: tuple[str, Any, Any, int] | None = None

    def connect(self) -> None:
        """What the engine does after every loss."""
        if not self.up:
            self.drive.open(BOOK)
            self.up, self.sent, self.held = True, 0, None

    def frame(self, what: tuple[str, Any, Any, int], cut: int | None = None) -> None:
        """Put one frame on the wire, perhaps only its beginning."""
        kind, bids, asks, ts = what
        before = len(self.drive.reasons())
        if cut is None:
            self.drive._book(kind, bids, asks, ts, BOOK)  # noqa: SLF001 - the helper's own
        else:
            self.drive.seqs[RPC if self.drive.v2 else BOOK] += 1
            self.drive.raw(BOOK, b'{"type":"DELTA","data":{"t":"DELTA","m":"BTC-USD","b":[]}'[:cut])
        self.up = self.up and len(self.drive.reasons()) == before
        self.check()

    def flush(self, how: str, cut: int) -> None:
        """Send what the venue has, with one fault on the way."""
        while self.up and self.sent < len(self.venue.replay):
            what = self.venue.replay[self.sent]
            self.sent += 1
            last = self.sent == len(self.venue.replay)
            if not last or how == "good":
                self.frame(what)
            elif how == "lost":
                self.drive.seqs[RPC if self.drive.v2 else BOOK] += 1
            elif how == "twice":
                self.frame(what)
                if self.up:
                    self.drive.seqs[RPC if self.drive.v2 else BOOK] -= 1
                    self.frame(what)
            else:
                self.frame(what, cut)

    def check(self) -> None:
        """A consumer that trusts its book has the venue's, as of the time it says."""
        events = self.drive.book_events
        if events and events[-1].trust is Trust.LIVE:
            stamp = events[-1].venue_ns
            assert stamp is not None
            assert self.drive.held() == self.venue.at[stamp]


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["move", "move", "move", "snapshot", "close", "wait", "swap"]),
        st.sampled_from(["good", "good", "good", "lost", "twice", "cut"]),
        st.integers(0, 50),
    ),
    max_size=40,
)


@pytest.mark.parametrize("transport", ["v1", "v2"])
@given(random=st.randoms(use_true_random=False), steps=STEPS)
def test_a_book_that_is_said_to_be_live_is_the_venues(
    transport: str, random: Random, steps: list[tuple[str, str, int]]
) -> None:
    play = Play(transport, random)
    for what, how, cut in steps:
        play.connect()
        if what == "snapshot":
            kept = len(play.venue.replay) - play.sent
            if not kept and play.sent:
                play.venue.move()
                play.flush("good", 0)
                if play.up:
                    play.venue.snapshot_now()
                    play.sent = 0
        elif what == "close":
            play.drive.close(BOOK)
            play.up = False
        else:
            play.venue.move()
        if how == "good" or what != "wait":
            play.flush(how, cut)
        play.drive.wait(0.3 if what == "wait" else 0.06)
        play.check()
    for _ in range(2):
        play.connect()
        play.venue.move()
        play.flush("good", 0)
        play.drive.wait(0.3)
        play.check()
    assert play.up
    assert play.drive.trust() is Trust.LIVE
    assert play.drive.held() == (play.venue.bids, play.venue.asks)


# Many frames, one after another


def renewed(drive: Drive, effects: Effects) -> None:
    """What the engine and the venue do after a loss: a fresh connection, an acknowledgement, a first snapshot."""
    for effect in drive.of(Reconnect, effects):
        drive.open(effect.conn)
    if drive.v2 and drive.sent:
        drive.acked()


def agree(drive: Drive, consumer: Consumer) -> None:
    """What the consumer holds is what the connector holds."""
    feed = drive.protocol._markets[MARKET].feed  # type: ignore[attr-defined]  # noqa: SLF001
    assert (consumer.trust[MARKET] is Trust.LIVE) == feed.live
    if feed.live:
        assert consumer.books[MARKET].levels() == feed.book.levels()


@pytest.mark.fuzz
@pytest.mark.parametrize("transport", ["v1", "v2"])
def test_mutated_frames(transport: str, fuzz_frames: int) -> None:
    rng = Random(20_261_122)
    drive = Drive(transport).live()
    # A snapshot is held until what is replayed after it has come.
    run = Run(fuzz_frames // 2, lambda _: not run.consumer.usable(MARKET))
    run.consumer.take(drive.effects)
    good = frames(transport)[:7]

    def feed(*, broken: bool) -> None:
        conn, frame = rng.choice(good)
        if conn == BOOK and not run.consumer.usable(MARKET):
            conn, frame = good[1]
        name = RPC if drive.v2 else conn
        frame = frame | {"seq": drive.seqs[name], "ts": drive.venue_ms}
        drive.seqs[name] += 1
        data = mutated(frame, rng) if broken else json.dumps(frame).encode()
        drive.effects.clear()
        effects = drive.raw(conn, data)
        if broken:
            run.fed(data, effects)
        renewed(drive, effects)
        renewed(drive, drive.wait(rng.choice((0.001, 0.05, 0.1, 0.3))))
        run.consumer.take(drive.effects)
        agree(drive, run.consumer)

    for _ in range(fuzz_frames // 2):
        for _ in range(rng.choice((0, 1, 3))):
            feed(broken=False)
        feed(broken=True)
        run.live += run.consumer.usable(MARKET)
        drive.calls.clear()
        drive.sent.clear()
    run.ended()
    assert run.live > fuzz_frames // 40
