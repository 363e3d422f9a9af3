"""The protocol over path streams: discovery, the book's replay, and what breaks it."""

from __future__ import annotations

import pytest

from bus.events import Book, Delta, Instrument, Reason, Trust
from connectors.effects import Close, Count, Emit, Fetch, Open, Reconnect
from connectors.extended import spec
from tests.connectors.extended.drive import (
    ASKS,
    BBO,
    BIDS,
    BOOK,
    FUNDING,
    INDEX,
    MARK,
    MS,
    NOT_LISTED,
    TRADE,
    Drive,
    S,
    changes,
    levels,
    ok,
    row,
)

# Start and discovery


def test_the_book_is_opened_while_the_market_is_still_being_looked_up() -> None:
    effects = Drive().start()
    call, wish = effects
    assert isinstance(call, Fetch)
    assert (call.name, call.url) == ("markets", "https://api.starknet.extended.exchange/api/v1/info/markets")
    assert call.params == (("market", "BTC-USD"),)
    assert isinstance(wish, Open)
    assert wish.conn == BOOK
    assert wish.url == "wss://api.starknet.extended.exchange/stream.extended.exchange/v1/orderbooks/BTC-USD"
    assert call.headers["User-Agent"]
    assert wish.headers["User-Agent"]


def test_a_confirmed_market_has_all_its_streams_opened_and_its_polls_begun() -> None:
    drive = Drive()
    drive.start()
    effects = drive.answer("markets", row())
    base = "wss://api.starknet.extended.exchange/stream.extended.exchange/v1"
    assert {wish.conn: wish.url.removeprefix(base) for wish in drive.of(Open, effects)} == {
        BBO: "/orderbooks/BTC-USD?depth=1",
        TRADE: "/publicTrades/BTC-USD",
        MARK: "/prices/mark/BTC-USD",
        INDEX: "/prices/index/BTC-USD",
        FUNDING: "/funding/BTC-USD",
    }
    assert drive.of(Instrument, effects) == [Instrument("BTC-USD", "1", "0.00001", "USD", min_size="0.0001")]
    assert [call.name for call in drive.of(Fetch, effects)] == ["stats", "settled"]


def test_no_book_is_published_before_its_market_is_confirmed() -> None:
    drive = Drive()
    drive.start()
    drive.open(BOOK)
    drive.snapshot()
    drive.wait(5.0)
    drive.delta(changes(("84077", "0.1", "0.51547")))
    assert drive.book_events == []
    (book,) = drive.of(Book, drive.answer("markets", row()))
    assert book.trust is Trust.LIVE
    assert book.bid_sz[0] == 0.51547


def test_an_unknown_market_is_closed_said_once_and_asked_for_again_while_others_go_on() -> None:
    drive = Drive(markets=("BTC-PERP", "FOO-PERP"))
    drive.start()
    drive.open(BOOK, "book.FOO-PERP")
    effects = drive.answer("markets", NOT_LISTED, 404, "FOO-PERP")
    assert [gone.conn for gone in drive.of(Close, effects)] == ["book.FOO-PERP"]
    assert drive.notes() == ["market_unavailable"]
    drive.answer("markets", row())
    drive.snapshot()
    drive.wait(0.6)
    assert drive.trust() is Trust.LIVE
    drive.answer("markets", ok([]), market="FOO-PERP")
    drive.wait(2.0)
    assert drive.notes() == ["market_unavailable"]
    drive.answer("markets", row(name="FOO-USD"), market="FOO-PERP")
    assert {conn for conn in drive.wanted if conn.endswith("FOO-PERP")} == {f"{kind}.FOO-PERP" for kind in spec.KINDS}


def test_a_market_taken_off_the_list_is_left_and_its_book_withdrawn() -> None:
    drive = Drive().live()
    drive.quote()
    drive.wait(spec.MARKETS_EVERY_NS / S)
    effects = drive.answer("markets", row(status="REDUCE_ONLY"))
    assert drive.trust() is Trust.STALE
    assert drive.quote_trust() is Trust.STALE
    assert {gone.conn for gone in drive.of(Close, effects)} == {BOOK, BBO, TRADE, MARK, INDEX, FUNDING}
    assert drive.wanted == {}
    drive.calls.clear()
    drive.wait(30.0)
    assert {call.name for call in drive.calls} == {"markets"}


def test_a_page_of_some_proxy_is_no_word_of_the_venue() -> None:
    drive = Drive().live()
    drive.wait(spec.MARKETS_EVERY_NS / S)
    assert drive.of(Close, drive.answer("markets", b"<html>not found</html>", 404)) == []
    assert BOOK in drive.wanted
    drive.wait(0.6)
    assert len(drive.pending("markets")) == 1


def test_an_instrument_is_published_again_only_when_it_changed() -> None:
    drive = Drive().live()
    for tick, expected in (("1", 0), ("0.1", 1)):
        drive.wait(spec.MARKETS_EVERY_NS / S)
        config = {"minPriceChange": tick, "minOrderSizeChange": "0.00001", "minOrderSize": "0.0001"}
        assert len(drive.of(Instrument, drive.answer("markets", row(tradingConfig=config)))) == expected


def test_discovery_is_tried_for_ever() -> None:
    drive = Drive()
    drive.start()
    for status, body in ((None, b""), (503, b"<html>"), (200, b"<html>"), (200, ok([{}]))):
        drive.answer("markets", body, status)
        drive.wait(30.0)
    assert len(drive.pending("markets")) == 1
    assert len(drive.rejects()) == 2
    assert drive.notes() == ["rest_failing", "rest_failing"]


# The book


def test_a_replay_of_old_deltas_is_caught_up_with_before_the_book_is_live() -> None:
    drive = Drive().listed()
    old = drive.venue_ms - 50_000
    drive.snapshot(ts=old)
    for step in range(1, 500):
        drive.delta(changes(("84077", "0.001", f"{0.41547 + step / 1_000:.5f}")), ts=old + 100 * step)
    assert drive.book_events == []
    drive.wait(0.02)
    drive.delta(changes(("84076", "-0.25114", "0")))
    drive.wait(0.05)
    (book,) = drive.of(Book)
    assert book.bid_px == [84077.0, 84050.0]
    assert book.bid_sz[0] == 0.91447


def test_the_mark_streams_time_tells_a_skewed_venue_clock() -> None:
    drive = Drive().listed()
    drive.skew_ms = 3_000
    drive.frame(MARK, "MP", {"m": "BTC-USD", "p": "84000", "ts": 0})
    drive.frame(MARK, "MP", {"m": "BTC-USD", "p": "84001", "ts": 0})
    drive.snapshot(ts=drive.venue_ms - 3_500)
    drive.delta(ts=drive.venue_ms - 2_500)
    assert drive.book_events == [], "fresh by our clock, old by the venue's"
    (book,) = drive.of(Book, drive.delta(ts=drive.venue_ms - 900))
    assert book.venue_ns == (drive.venue_ms - 900) * MS


def test_a_first_frame_of_a_stream_does_not_tell_the_clock() -> None:
    drive = Drive().listed()
    drive.frame(MARK, "MP", {"m": "BTC-USD", "p": "84000", "ts": 0}, ts=drive.venue_ms - 40_000)
    drive.snapshot(ts=drive.venue_ms - 40_000)
    assert drive.book_events == []


def test_a_live_book_publishes_each_delta_and_the_minutely_snapshot() -> None:
    drive = Drive().live()
    drive.delta(changes(("84073", "0.00175", "0.00175"), ("84050", "-0.1", "0.71908")))
    drive.delta()
    drive.snapshot(levels(("84077", "0.5")), ASKS, ts=drive.venue_ms + 1)
    kinds = [type(event) for event in drive.book_events]
    assert kinds == [Book, Delta, Delta, Book]
    assert {event.rebuild for event in drive.book_events} == {1}
    assert drive.held() == ({84077.0: 0.5}, {84078.0: 2.8169, 84079.0: 2.17109})


def test_an_empty_side_of_a_delta_changes_nothing() -> None:
    drive = Drive().live()
    before = drive.held()
    drive.delta([], [])
    assert drive.held() == before


@pytest.mark.parametrize(
    ("step", "reason", "counter"),
    [(1, Reason.SEQ_GAP, "seq_gaps"), (-1, Reason.SEQ_MISMATCH, "duplicates"), (-2, Reason.SEQ_MISMATCH, "duplicates")],
)
def test_a_break_of_the_sequence_invalidates_first_and_then_reopens(step: int, reason: Reason, counter: str) -> None:
    drive = Drive().live()
    drive.delta()
    drive.seqs[BOOK] += step
    effects = drive.delta(changes(("84077", "0.1", "0.51547")))
    assert [type(effect) for effect in effects] == [Emit, Reconnect, Count]
    assert drive.trust() is Trust.RESYNC
    assert drive.reasons() == [(BOOK, reason)]
    assert drive.counted(counter) == 1
    assert drive.of(Count, drive.raw(BOOK, b"{}")) == [Count("ignored_frames")]
    drive.open(BOOK)
    drive.snapshot(BIDS[:1])
    drive.wait(0.25)
    assert drive.trust() is Trust.LIVE
    assert drive.book_events[-1].rebuild == 2


def test_the_first_number_of_a_connection_is_one() -> None:
    drive = Drive().listed()
    drive.seqs[BOOK] = 2
    drive.snapshot()
    assert drive.reasons() == [(BOOK, Reason.SEQ_GAP)]


def test_a_delta_before_the_snapshot_is_a_protocol_error() -> None:
    drive = Drive().listed()
    drive.delta()
    assert drive.reasons() == [(BOOK, Reason.SEQ_MISMATCH)]


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"\xff",
        b'{"type":"DELTA","data":{"t":"DELTA","m":"BTC-USD","b":[{"q":"0.1',
        b'{"data":' + b"[" * 100_000,
        b'{"type":"DELTA","data":{"m":"BTC-USD","b":[],"a":[]},"ts":1790425396200}',
        b'{"type":"DELTA","data":{"m":"BTC-USD","b":[],"a":[]},"seq":2}',
    ],
    ids=["empty", "not UTF-8", "half", "deep", "no seq", "no ts"],
)
def test_a_book_frame_that_cannot_be_read_leaves_the_book_unknown(frame: bytes) -> None:
    drive = Drive().live()
    drive.raw(BOOK, frame)
    assert drive.trust() is Trust.RESYNC
    assert drive.reasons() == [(BOOK, Reason.PARSE_ERROR)]
    assert len(drive.rejects()) == 1


@pytest.mark.parametrize(
    "bids",
    [
        [{"p": "84077", "q": "0.1"}],
        [{"p": "nan", "q": "0.1", "c": "1"}],
        [{"p": "84077", "q": "0.1", "c": "-1"}],
        [{"p": "84077"}],
        "none",
    ],
    ids=str,
)
def test_a_delta_that_cannot_be_digested_leaves_the_book_unknown(bids: object) -> None:
    drive = Drive().live()
    drive.delta(bids)
    assert drive.trust() is Trust.RESYNC
    assert drive.reasons() == [(BOOK, Reason.PARSE_ERROR)]
    assert len(drive.rejects()) == 1


def test_a_crossed_book_is_never_shown_and_given_up_when_it_stays() -> None:
    drive = Drive().live()
    drive.delta(changes(("84078", "1", "1")))
    assert drive.trust() is Trust.RESYNC
    assert drive.counted("crossed_books") == 1
    drive.wait(1.0)
    assert drive.reasons() == [(BOOK, Reason.CROSSED_BOOK)]


def test_an_empty_snapshot_of_a_continuous_market_is_not_believed() -> None:
    drive = Drive().live()
    drive.snapshot([], [], ts=drive.venue_ms + 1)
    assert drive.trust() is Trust.RESYNC
    drive.wait(1.0)
    assert drive.reasons() == [(BOOK, Reason.CROSSED_BOOK)]


def test_outside_trading_hours_a_market_may_be_empty() -> None:
    drive = Drive()
    drive.start()
    drive.open(BOOK)
    drive.answer("markets", row(tradingHours="WEEKDAYS"))
    drive.snapshot([], [])
    drive.wait(0.25)
    assert drive.trust() is Trust.LIVE
    assert drive.held() == ({}, {})


def test_a_stream_whose_replay_never_ends_is_opened_again() -> None:
    drive = Drive().listed()
    old = drive.venue_ms - 60_000
    drive.frame(MARK, "MP", {"m": "BTC-USD", "p": "84000", "ts": 0})
    drive.snapshot(ts=old)
    for _ in range(660):
        drive.wait(0.1)
        drive.frame(MARK, "MP", {"m": "BTC-USD", "p": "84000", "ts": 0})
        drive.delta(ts=old)
    drive.wait(0.1)
    assert (BOOK, Reason.SNAPSHOT_TIMEOUT) in drive.reasons()
    assert drive.of(Book) == []
