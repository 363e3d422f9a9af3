"""Silence: quiet, slow and dead are told apart, for every kind of stream."""

from __future__ import annotations

import pytest

from bus.events import Delta, Reason, Trust
from tests.connectors.extended.drive import (
    BBO,
    BOOK,
    INDEX,
    MARK,
    OTHER_BOOK,
    REST_BOOK,
    T0,
    Drive,
    row,
)


def test_a_quiet_market_is_confirmed_over_rest_before_it_would_be_stale() -> None:
    drive = Drive().live()
    drive.wait(7.5)
    effects = drive.answer("probe", REST_BOOK)
    (confirmation,) = drive.of(Delta, effects)
    assert (confirmation.trust, confirmation.venue_ns) == (Trust.LIVE, None)
    drive.wait(14.0)
    assert drive.trust() is Trust.LIVE
    assert drive.reasons() == []


def test_a_silent_book_that_rest_contradicts_is_dead() -> None:
    drive = Drive().live()
    drive.wait(7.5)
    drive.answer("probe", OTHER_BOOK)
    assert drive.reasons() == []
    drive.wait(0.5)
    assert drive.reasons() == [(BOOK, Reason.MARKET_STALE)]
    assert drive.trust() is Trust.STALE


def test_a_frame_that_was_on_its_way_clears_the_suspicion() -> None:
    drive = Drive().live()
    drive.wait(7.5)
    drive.answer("probe", OTHER_BOOK)
    drive.wait(0.1)
    drive.delta()
    drive.wait(2.0)
    assert drive.reasons() == []


def test_an_answer_to_an_older_look_is_ignored() -> None:
    drive = Drive().live()
    drive.wait(7.5)
    drive.delta()
    drive.wait(7.5)
    drive.answer("probe", OTHER_BOOK)
    drive.wait(1.0)
    assert drive.reasons() == []


def test_a_silent_quote_is_a_quiet_market_while_a_live_book_shows_the_same() -> None:
    drive = Drive().live()
    drive.quote()
    for _ in range(40):
        drive.delta()
        drive.wait(1.0)
    assert drive.reasons() == []
    assert drive.quote_trust() is Trust.LIVE


def test_a_silent_quote_with_no_live_book_beside_it_is_stale() -> None:
    drive = Drive().live()
    drive.quote()
    drive.close(BOOK)
    drive.wait(15.0)
    assert drive.quote_trust() is Trust.STALE
    assert drive.reasons() == [(BBO, Reason.MARKET_STALE)]


def test_silence_beyond_the_threshold_is_stale_whatever_rest_does() -> None:
    drive = Drive().live()
    drive.wait(14.7)
    assert drive.trust() is Trust.LIVE
    drive.wait(0.1)
    assert drive.trust() is Trust.STALE
    assert drive.reasons() == [(BOOK, Reason.MARKET_STALE)]


def test_a_threshold_too_short_for_the_rest_cache_asks_nobody() -> None:
    drive = Drive(stale_ms=5_000).live()
    drive.wait(5.0)
    assert drive.pending("probe") == []
    assert drive.reasons() == [(BOOK, Reason.MARKET_STALE)]


def test_a_silent_book_that_is_not_live_is_not_looked_up() -> None:
    drive = Drive()
    drive.start()
    drive.open(BOOK)
    drive.snapshot()
    drive.wait(15.0)
    assert drive.pending("probe") == []
    assert drive.reasons() == [(BOOK, Reason.MARKET_STALE)]


@pytest.mark.parametrize(
    ("conn", "after_s", "reason"),
    [(BOOK, 10.0, Reason.SNAPSHOT_TIMEOUT), (BBO, 60.0, Reason.MARKET_STALE), (MARK, 60.0, Reason.MARKET_STALE)],
)
def test_a_stream_that_never_begins_is_opened_again(conn: str, after_s: float, reason: Reason) -> None:
    drive = Drive()
    drive.start()
    drive.answer("markets", row())
    drive.open(conn)
    for _ in range(int(after_s)):
        assert drive.reasons() == []
        drive.wait(1.0)
    assert drive.reasons() == [(conn, reason)]


def test_a_price_stream_that_stops_is_opened_again_and_trades_and_funding_never_are() -> None:
    drive = Drive().listed()
    drive.close(BOOK)
    drive.close(BBO)
    drive.frame(INDEX, "IP", {"m": "BTC-USD", "p": "84000", "ts": T0})
    drive.frame(MARK, "MP", {"m": "BTC-USD", "p": "84000", "ts": 0})
    drive.trade(1)
    for _ in range(100):
        drive.wait(1.0)
    assert sorted(drive.reasons()) == [(INDEX, Reason.MARKET_STALE), (MARK, Reason.MARKET_STALE)]
