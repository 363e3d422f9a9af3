"""How one Lighter market finds that its book or its quote is wrong, and when it believes them again."""

from __future__ import annotations

import pytest

from bus.events import Bbo, Book, Check, Delta, Trust
from tests.connectors.drive import books, counted, events, notes
from tests.connectors.lighter.venue import (
    ASKS,
    NONCE,
    Drive,
    diff,
    orders,
    sent,
    snapshot,
    ticker,
)


def chained() -> Drive:
    """A drive whose BTC book is live at ``NONCE``."""
    drive = Drive().ready()
    drive.frame(snapshot())
    return drive


def test_book_and_quote_of_the_same_nonce_are_compared_whichever_comes_first() -> None:
    drive = chained()
    assert events(drive.frame(ticker(NONCE)), Check) == [Check("bbo", 1, 0, 0.0, None)]
    drive.wait(1)
    drive.frame(ticker(NONCE + 5, bid=("83135.0", "1")))
    effects = drive.frame(diff(NONCE, NONCE + 5, bids=[("83135.0", "1")]))
    assert events(effects, Check) == [Check("bbo", 2, 0, 0.0, None)]
    assert events(drive.frame(ticker(NONCE + 6)), Check) == []


def contradict(drive: Drive, times: int) -> None:
    """Differences of the book, each with a quote of its nonce that says something else."""
    for _ in range(times):
        begin = drive.nonces[1]
        drive.nonces[1] += 1
        drive.frame(diff(begin, begin + 1))
        drive.frame(ticker(begin + 1, bid=("83134.6", "1")))


def test_a_book_that_contradicts_the_quotes_of_its_nonces_is_rebuilt() -> None:
    drive = Drive().live()
    contradict(drive, 2)
    assert set(drive.trust.values()) == {Trust.LIVE}
    contradict(drive, 1)
    assert drive.trust["BTC-PERP"] is Trust.RESYNC
    assert counted(drive.all).count("check_mismatches") == 3
    assert sent(drive.all)[-2:] == ["unsubscribe order_book/1", "subscribe order_book/1"]


def test_differences_among_agreements_add_up() -> None:
    drive = Drive().live()
    rounds = 0
    while drive.trust["BTC-PERP"] is Trust.LIVE:
        contradict(drive, 1)
        drive.tick(1, 1, 1)
        rounds += 1
    assert rounds == 4


def test_a_contradicted_book_is_withheld_until_a_comparison_has_agreed() -> None:
    drive = Drive().live()
    contradict(drive, 3)
    drive.frame(snapshot(nonce=drive.nonces[1]))
    assert sent(drive.all)[-1] == "subscribe order_book/1"
    drive.wait(1)
    drive.nonces[1] += 10
    drive.frame(snapshot(nonce=drive.nonces[1]))
    begin = drive.nonces[1]
    drive.frame(diff(begin, begin + 1, bids=[("83131.0", "1")]))
    assert drive.trust == {"BTC-PERP": Trust.RESYNC, "ETH-PERP": Trust.LIVE}
    [event] = events(drive.frame(ticker(begin + 1)), Book)
    assert (event.trust, event.bid_px, event.venue_seq) == (Trust.LIVE, [83134.7, 83131.0, 83130.0], begin + 1)
    assert len(events(drive.frame(diff(begin + 1, begin + 2)), Delta)) == 1


def test_a_withheld_book_that_rest_shows_too_is_believed() -> None:
    drive = Drive(stale_ms=10_000).live()
    contradict(drive, 3)
    drive.nonces[1] += 10
    drive.frame(snapshot(nonce=drive.nonces[1]))
    drive.flow(5.5, 0)
    drive.answer(drive.calls("probe")[-1], orders())
    assert set(drive.trust.values()) == {Trust.LIVE}


def test_a_check_that_is_never_satisfied_is_told_but_takes_no_books_away_for_good() -> None:
    drive = Drive().live()
    for _ in range(14):
        contradict(drive, 3)
        drive.flow(5, 0)
        drive.nonces[1] += 100
        drive.frame(snapshot(nonce=drive.nonces[1]))
    assert notes(drive.all).count("check_unsatisfied") == 1
    contradict(drive, 3)
    assert set(drive.trust.values()) == {Trust.LIVE}
    drive.tick(1)
    contradict(drive, 3)
    assert drive.trust == {"BTC-PERP": Trust.RESYNC, "ETH-PERP": Trust.LIVE}


def test_a_side_that_loses_most_of_its_levels_is_asked_about() -> None:
    drive = Drive().ready()
    bids = [(f"{83134 - number}.0", "1.0") for number in range(20)]
    drive.frame(snapshot(bids=bids))
    drive.frame(diff(NONCE, NONCE + 1, bids=[(price, "0") for price, _ in bids[:10]]))
    assert drive.trust == {"BTC-PERP": Trust.LIVE}
    drive.frame(diff(NONCE + 1, NONCE + 2, bids=[(price, "0") for price, _ in bids[10:16]]))
    assert drive.trust["BTC-PERP"] is Trust.RESYNC
    drive.frame(snapshot(nonce=NONCE + 2, bids=bids[16:]))
    assert set(drive.trust.values()) == {Trust.LIVE}


def test_a_side_that_vanishes_is_asked_about_and_believed_when_a_snapshot_says_the_same() -> None:
    drive = chained()
    effects = drive.frame(diff(NONCE, NONCE + 1, asks=[(price, "0") for price, _ in ASKS]))
    assert [(event.trust, event.ask_px) for event in books(effects)] == [(Trust.RESYNC, [])]
    drive.frame(snapshot(nonce=NONCE + 1, asks=[]))
    assert drive.trust["BTC-PERP"] is Trust.LIVE
    drive.frame(diff(NONCE + 1, NONCE + 2, bids=[("83131.0", "1")]))
    assert drive.trust == {"BTC-PERP": Trust.LIVE}


def test_a_single_difference_rebuilds_nothing() -> None:
    drive = chained()
    drive.frame(ticker(NONCE, bid=("83134.6", "1")))
    drive.wait(3)
    drive.frame(diff(NONCE, NONCE + 1))
    drive.frame(ticker(NONCE + 1))
    assert drive.trust["BTC-PERP"] is Trust.LIVE


def test_a_book_that_stands_still_while_the_quote_moves_on_is_rebuilt() -> None:
    drive = chained()
    for number in range(5):
        drive.frame(ticker(NONCE + 10 + number, bid=("83133.0", "1")))
        drive.wait(0.5)
    assert drive.trust["BTC-PERP"] is Trust.RESYNC
    assert drive.s == pytest.approx(2.5)


def test_a_quote_ahead_of_the_book_that_the_book_catches_up_with_is_nothing() -> None:
    drive = chained()
    for number in range(10):
        drive.frame(ticker(NONCE + number + 1, bid=("83133.0", f"{number + 1}")))
        drive.wait(0.5)
        bids = [("83134.7", "0"), ("83133.0", f"{number + 1}")]
        drive.frame(diff(NONCE + number, NONCE + number + 1, bids=bids))
    assert drive.trust["BTC-PERP"] is Trust.LIVE


def test_a_quote_that_stands_still_while_the_book_moves_on_is_taken_back_and_asked_for_anew() -> None:
    drive = chained()
    drive.frame(ticker())
    found = []
    for number in range(6):
        found += drive.frame(diff(NONCE + number, NONCE + number + 1, bids=[(f"8313{5}.{number}", "1")]))
        drive.wait(0.5)
    assert [event.trust for event in events(found, Bbo)] == [Trust.STALE]
    assert sent(found) == ["unsubscribe ticker/1", "subscribe ticker/1"]
    assert drive.trust["BTC-PERP"] is Trust.LIVE
