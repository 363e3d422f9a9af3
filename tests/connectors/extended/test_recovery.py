"""Lost connections, REST standing in, keepalive, errors and the unknown."""

from __future__ import annotations

import json

import pytest

from bus.events import Bbo, Book, Delta, Reason, Source, Stats, Trust
from connectors.effects import Count, Fetch, Refusal, Reply
from connectors.extended import spec
from tests.connectors.extended.drive import (
    BBO,
    BOOK,
    FUNDING,
    MARK,
    MARKET,
    OTHER_BOOK,
    REST_BOOK,
    STATS,
    TRADE,
    Drive,
    S,
    ok,
    row,
)

# Connections


def test_a_lost_book_is_stale_and_its_quote_is_not() -> None:
    drive = Drive().live()
    drive.quote()
    effects = drive.close(BOOK)
    assert [event.trust for event in drive.of(Delta, effects)] == [Trust.STALE]
    assert drive.quote_trust() is Trust.LIVE


def test_a_lost_quote_is_stale_and_its_book_is_not() -> None:
    drive = Drive().live()
    drive.quote()
    effects = drive.close(BBO)
    assert [event.trust for event in drive.of(Bbo, effects)] == [Trust.STALE]
    assert drive.trust() is Trust.LIVE


def test_a_lost_price_stream_leaves_no_old_price_behind() -> None:
    drive = Drive().live()
    drive.frame(MARK, "MP", {"m": "BTC-USD", "p": "84000", "ts": 0})
    drive.close(MARK)
    (stats,) = drive.of(Stats, drive.answer("stats", ok(STATS)))
    assert stats.mark_px == 77006.091897999984


@pytest.mark.parametrize("call", ["opened", "closed", "ponged", "refused"])
def test_a_connection_that_is_not_wanted_is_nobodys(call: str) -> None:
    drive = Drive()
    drive.start()
    if call == "refused":
        assert drive.protocol.refused("book.X-PERP", Refusal(Reason.HTTP_STATUS, "404", 404), drive.now) == []
    else:
        assert getattr(drive.protocol, call)("book.X-PERP", drive.now) == []


def test_frames_of_a_closed_connection_are_ignored_and_counted() -> None:
    drive = Drive().live()
    drive.close(BOOK)
    assert drive.delta() == [Count("ignored_frames")]


def test_a_reconnected_book_continues_the_count_of_rebuilds() -> None:
    drive = Drive().live()
    drive.close(BOOK)
    drive.open(BOOK)
    drive.snapshot()
    drive.wait(0.25)
    assert drive.book_events[-1].rebuild == 2


# REST stands in


def lost(seconds: float = 2.0) -> Drive:
    """A live market whose book connection was lost so long ago."""
    drive = Drive().live()
    drive.close(BOOK)
    drive.wait(seconds)
    return drive


def test_rest_stands_in_for_a_book_lost_for_a_while() -> None:
    drive = lost(1.9)
    assert drive.pending("book") == []
    drive.wait(0.1)
    effects = drive.answer("book", REST_BOOK)
    (book,) = drive.of(Book, effects)
    assert (book.trust, book.source, book.venue_ns, book.venue_seq) == (Trust.REST, Source.REST, None, None)
    assert drive.counted("rest_books") == 1
    drive.wait(1.9)
    assert drive.pending("book") == []
    drive.wait(0.1)
    assert len(drive.pending("book")) == 1


def test_a_rest_book_stays_in_force_until_the_stream_is_live_again() -> None:
    drive = lost()
    drive.answer("book", OTHER_BOOK)
    drive.open(BOOK)
    drive.snapshot()
    assert drive.trust() is Trust.REST
    drive.wait(0.25)
    assert drive.trust() is Trust.LIVE
    assert drive.held()[0][84077.0] == 0.41547
    drive.calls.clear()
    drive.wait(5.0)
    assert drive.pending("book") == []


def test_a_rest_book_survives_another_failed_try() -> None:
    drive = lost()
    drive.answer("book", REST_BOOK)
    drive.open(BOOK)
    drive.close(BOOK)
    assert drive.trust() is Trust.REST


def test_a_rest_answer_that_comes_after_the_stream_is_ignored() -> None:
    drive = lost()
    drive.open(BOOK)
    drive.snapshot()
    drive.wait(0.25)
    assert drive.of(Book, drive.answer("book", OTHER_BOOK)) == []
    assert drive.trust() is Trust.LIVE


def test_a_rest_book_that_is_not_renewed_grows_stale_itself() -> None:
    drive = lost()
    drive.answer("book", REST_BOOK)
    drive.wait(14.0)
    assert drive.trust() is Trust.REST
    drive.wait(1.1)
    assert drive.trust() is Trust.STALE


def test_bad_rest_books_are_rejected_and_asked_for_again() -> None:
    drive = lost()
    drive.answer("book", b"<html>")
    drive.wait(0.5)
    drive.answer("book", b"", 503)
    drive.wait(1.0)
    assert drive.of(Book, drive.answer("book", REST_BOOK))
    assert len(drive.rejects()) == 1


def test_rest_stands_in_for_a_stream_that_has_never_come() -> None:
    drive = Drive()
    drive.start()
    drive.answer("markets", row())
    drive.wait(2.0)
    assert drive.of(Book, drive.answer("book", REST_BOOK))


def test_late_answers_for_a_market_that_was_left_are_ignored() -> None:
    drive = lost()
    drive.wait(spec.MARKETS_EVERY_NS / S)
    drive.answer("markets", row(active=False))
    before = len(drive.effects)
    for name in ("book", "stats", "settled"):
        call = Fetch(name, "", MARKET)
        assert drive.do(drive.protocol.fetched(call, Reply(200, REST_BOOK), drive.now)) == []
    assert len(drive.effects) == before


def test_a_look_answered_after_the_connection_was_lost_is_ignored() -> None:
    drive = Drive().live()
    drive.wait(7.5)
    drive.close(BOOK)
    assert drive.answer("probe", REST_BOOK) == []


def test_a_failing_call_is_noted_once_for_each_way_of_failing() -> None:
    drive = Drive().live()
    for status in (503, 503, 429, None, 200, 503):
        drive.answer("stats", ok(STATS), status)
        drive.wait(30.0)
    assert drive.notes().count("rest_failing") == 4


def test_retry_after_is_obeyed() -> None:
    drive = Drive().live()
    (call,) = drive.pending("stats")
    drive.calls.clear()
    drive.do(drive.protocol.fetched(call, Reply(429, headers={"retry-after": "20"}), drive.now))
    drive.wait(19.9)
    assert drive.pending("stats") == []
    drive.wait(0.2)
    assert len(drive.pending("stats")) == 1


# Keepalive


def test_every_connection_is_pinged_and_an_answer_or_the_venues_own_ping_will_do() -> None:
    drive = Drive().listed()
    drive.answering = False
    drive.snapshot()
    drive.wait(15.0)
    assert set(drive.pings()) >= {BBO, TRADE, MARK, FUNDING}
    for conn in (BBO, TRADE, MARK, FUNDING, "index.BTC-PERP"):
        assert drive.protocol.ponged(conn, drive.now) == []
    drive.wait(10.0)
    assert Reason.PONG_TIMEOUT not in [reason for _, reason in drive.reasons()]


def test_an_unanswered_ping_ends_the_connection() -> None:
    drive = Drive(stale_ms=60_000).live()
    drive.answering = False
    drive.wait(14.75)
    assert BOOK in drive.pings()
    drive.wait(9.9)
    assert (BOOK, Reason.PONG_TIMEOUT) not in drive.reasons()
    drive.wait(0.2)
    assert (BOOK, Reason.PONG_TIMEOUT) in drive.reasons()
    assert drive.trust() is Trust.STALE


def test_data_is_as_good_an_answer_as_a_pong() -> None:
    drive = Drive().live()
    drive.answering = False
    for _ in range(600):
        drive.delta()
        drive.wait(0.1)
    assert drive.pings().count(BOOK) == 4
    assert BOOK not in dict(drive.reasons())


# Errors and the unknown


@pytest.mark.parametrize(
    "frame",
    [
        {"error": "Market not found", "ts": 1_790_425_396_200, "seq": 1},
        {"status": "ERROR", "error": {"code": 1001, "message": "Market not found."}},
    ],
)
def test_an_error_frame_ends_its_connection_and_says_why(frame: dict[str, object]) -> None:
    drive = Drive().listed()
    drive.raw(TRADE, json.dumps(frame).encode())
    assert drive.reasons() == [(TRADE, Reason.SUBSCRIBE_ERROR)]


def test_a_frame_of_an_unknown_kind_is_counted_and_noted_once() -> None:
    drive = Drive().live()
    for _ in range(3):
        drive.raw(BOOK, b'{"type":"HELLO"}')
    assert drive.counted("unknown_frames") == 3
    assert drive.notes() == ["unknown_frame"]
    assert drive.trust() is Trust.LIVE


def test_notes_of_unknown_kinds_are_bounded() -> None:
    drive = Drive().live()
    for number in range(50):
        drive.raw(BOOK, json.dumps({"type": f"HELLO{number}"}).encode())
    assert len(drive.notes()) == spec.NOTED_KINDS


@pytest.mark.parametrize("conn", [TRADE, MARK, FUNDING])
def test_a_bad_frame_of_a_stream_without_memory_costs_only_itself(conn: str) -> None:
    drive = Drive().listed()
    drive.raw(conn, b"{")
    drive.seqs[conn] += 1
    drive.frame(conn, None, {"m": "BTC-USD"})
    assert len(drive.rejects()) == 2
    assert drive.reasons() == []


@pytest.mark.parametrize("whole", [True, False])
def test_a_bad_quote_frame_takes_the_quote_back(whole: bool) -> None:
    drive = Drive().live()
    drive.quote()
    if whole:
        drive.quote(("84079", "1"), ("84078", "1"))
    else:
        drive.raw(BBO, b"{")
        drive.seqs[BBO] += 1
    assert drive.quote_trust() is Trust.RESYNC
    drive.quote()
    assert drive.quote_trust() is Trust.LIVE
    assert drive.trust() is Trust.LIVE
    assert drive.reasons() == []
