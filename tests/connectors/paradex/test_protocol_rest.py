"""Paradex over REST: a live book is compared with it, a quiet one confirmed by it, a missing one replaced by it."""

from __future__ import annotations

import pytest

from bus.events import Book, Check, Delta, Source, Trust
from connectors.effects import Effects, Fetch, Reply, Send
from tests.connectors.paradex import venue
from tests.connectors.paradex.venue import MS, Driver, S, counted, events, notes, of, reasons, rejects

BIDS, ASKS = [(99.0, 1.0)], [(101.0, 2.0), (102.0, 3.0)]
CHANNEL = "order_book.BTC-USD-PERP.deltas"
OTHERS = ("ETH-PERP", "SOL-PERP")


@pytest.fixture
def driver() -> Driver:
    return Driver().live()


def audit(driver: Driver) -> Effects:
    """Let time pass until REST is asked for the BTC book."""
    return driver.run(6 * S, until=lambda effects: [f for f in of(effects, Fetch) if f.market == "BTC-PERP"])


def told(driver: Driver, seq: int, bids: venue.Side = BIDS, asks: venue.Side = ASKS) -> Effects:
    return driver.answer("audit", venue.rest_book(seq, bids, asks), "BTC-PERP")


# -- comparison


def test_every_few_seconds_rest_is_asked_for_each_live_book(driver: Driver) -> None:
    audit(driver)
    assert driver.mono == 1_005 * S
    assert {(f.name, f.market) for f in driver.calls} >= {("audit", name) for name in driver.mirrors}
    call = next(f for f in driver.calls if f.name == "audit" and f.market == "BTC-PERP")
    assert (call.url, call.params) == (
        "https://api.prod.paradex.trade/v1/orderbook/BTC-USD-PERP",
        (("depth", "100"),),
    )


def test_the_period_follows_the_threshold_and_the_number_of_markets() -> None:
    hasty = Driver(stale_ms=1_500).live()
    audit(hasty)
    assert hasty.mono == 1_000 * S + 500 * MS


def test_a_quiet_book_is_confirmed_and_never_stale(driver: Driver) -> None:
    for _ in range(6):
        audit(driver)
        effects = told(driver, 1_000)
        assert [(d.trust, d.venue_seq, d.bid_px) for d in events(effects, Delta)] == [(Trust.LIVE, 1_000, [])]
        assert [(c.against, c.diverged) for c in events(effects, Check)] == [("rest", 0)]
        for name in OTHERS:
            driver.push(venue.book((driver.mirrors[name].seq or 0) + 1, [], [], venue.MARKETS[name]))
    assert driver.btc.live


def test_a_picture_of_a_past_step_is_compared_with_the_book_as_it_was(driver: Driver) -> None:
    audit(driver)
    driver.push(venue.book(1_001, [(98.0, 5.0)], []), venue.book(1_002, [(99.0, 0.0)], []))
    effects = told(driver, 1_001, [(99.0, 1.0), (98.0, 5.0)])
    assert [(c.compared, c.diverged) for c in events(effects, Check)] == [(1, 0)]
    assert events(effects, Delta) == []


def test_a_picture_ahead_of_the_stream_is_compared_when_the_stream_is_there(driver: Driver) -> None:
    audit(driver)
    assert told(driver, 1_002, [(98.0, 5.0)]) == []
    assert events(driver.push(venue.book(1_001, [(98.0, 5.0)], [])), Check) == []
    (check,) = events(driver.push(venue.book(1_002, [(99.0, 0.0)], [])), Check)
    assert (check.against, check.diverged) == ("rest", 0)


def test_a_picture_older_than_the_question_proves_nothing(driver: Driver) -> None:
    audit(driver)
    assert told(driver, 999, [(1.0, 1.0)]) == []


def test_a_picture_of_a_past_step_does_not_confirm_the_present_one(driver: Driver) -> None:
    audit(driver)
    driver.push(venue.book(1_001, [], []))
    assert events(told(driver, 1_000), Delta) == []


def test_only_as_many_levels_as_rest_shows_are_compared(driver: Driver) -> None:
    audit(driver)
    (check,) = events(told(driver, 1_000, BIDS, ASKS[:1]), Check)
    assert check.diverged == 0


@pytest.mark.parametrize(
    ("bids", "asks", "size"),
    [(BIDS, [(101.0, 1.0)], 0.5), ([(98.0, 1.0)], ASKS, 1 / 99), ([], ASKS, 1.0), ([*BIDS, (98.0, 1.0)], ASKS, 1.0)],
)
def test_a_book_that_differs_twice_is_rebuilt(driver: Driver, bids: venue.Side, asks: venue.Side, size: float) -> None:
    audit(driver)
    effects = told(driver, 1_000, bids, asks)
    (check,) = events(effects, Check)
    assert check.divergence == pytest.approx(size)
    assert counted(effects) == {"check_mismatches": 1}
    assert driver.btc.live
    started = driver.mono
    audit(driver)
    assert driver.mono - started == 500 * MS
    effects = told(driver, 1_000, bids, asks)
    assert counted(effects) == {"check_mismatches": 1, "resyncs": 1}
    assert driver.btc.trust is Trust.RESYNC
    assert [channel for _, channel in driver.requests(effects)] == [CHANNEL]


def test_a_snapshot_in_between_makes_a_comparison_void(driver: Driver) -> None:
    audit(driver)
    driver.push(venue.snapshot(1_010, BIDS, ASKS))
    assert told(driver, 1_005, [(1.0, 1.0)]) == []


def test_an_answer_after_the_book_was_lost_is_ignored(driver: Driver) -> None:
    audit(driver)
    driver.push(venue.book(1_005, [], []))
    assert of(told(driver, 1_000), Send) == []


# -- behind


def test_a_market_that_rest_has_overtaken_is_stale_long_before_its_threshold(driver: Driver) -> None:
    driver.keep(5 * S, *OTHERS)
    told(driver, 1_003)
    driver.push(venue.book(2_006, [], [], venue.ETH))
    assert driver.btc.live
    driver.mono += 2_000 * MS
    driver.push(venue.book(3_006, [], [], venue.SOL))
    effects = driver.run(1 * S)
    assert [d.trust for d in events(effects, Delta)] == [Trust.STALE]
    assert [channel for _, channel in driver.requests(effects)] == [CHANNEL]
    assert reasons(effects) == []
    driver.ack_all(effects)
    driver.push(venue.snapshot(1_005, BIDS, ASKS))
    assert driver.btc.live


def test_a_connection_that_rest_has_overtaken_in_silence_is_given_up(driver: Driver) -> None:
    audit(driver)
    told(driver, 1_003)
    assert reasons(driver.run(3 * S, until=reasons)) == ["stale_watchdog"]
    assert driver.mono == 1_000 * S + 7_500 * MS


def test_a_stream_that_comes_in_bursts_is_not_dead_between_them(driver: Driver) -> None:
    audit(driver)
    driver.push(venue.book(1_001, [], []))
    told(driver, 1_040)
    assert reasons(driver.run(2 * S)) == []
    assert driver.btc.live


def test_a_stream_that_moves_is_not_dead_however_far_behind(driver: Driver) -> None:
    audit(driver)
    told(driver, 1_003)
    driver.push(venue.book(1_001, [], []))
    driver.mono += 500 * MS
    driver.push(venue.book(2_001, [], [], venue.ETH))
    assert of(driver.run(2 * S), Send) == []
    assert driver.btc.live


def test_rest_that_counts_otherwise_is_not_believed_until_it_agrees(driver: Driver) -> None:
    driver.keep(5 * S, *OTHERS)
    told(driver, 9_000)
    driver.mono += 2_400 * MS
    driver.push(venue.book(2_006, [], [], venue.ETH))
    driver.ack_all(driver.run(1 * S))
    driver.push(venue.snapshot(1_005, BIDS, ASKS))
    driver.calls.clear()
    audit(driver)
    assert told(driver, 9_100) == []
    assert of(driver.run(2 * S), Send) == []
    assert driver.btc.live
    audit(driver)
    assert events(told(driver, 1_005), Check) != []
    driver.push(venue.book(2_007, [], [], venue.ETH))
    audit(driver)
    told(driver, 1_008)
    driver.push(venue.book(2_008, [], [], venue.ETH))
    assert "stale_watchdog" in reasons(driver.run(2 * S, until=reasons))


# -- stand-in


def test_a_market_without_a_stream_is_shown_from_rest_after_a_while(driver: Driver) -> None:
    driver.closed()
    assert [f for f in of(driver.run(1_900 * MS), Fetch) if f.name == "book"] == []
    driver.run(200 * MS)
    effects = driver.answer("book", venue.rest_book(1_005, BIDS, ASKS[:1], updated=1_790_000_000_001), "BTC-PERP")
    assert counted(effects) == {"rest_books": 1}
    (book,) = events(effects, Book)
    assert (book.trust, book.source, book.venue_seq, book.rebuild, book.depth) == (
        Trust.REST,
        Source.REST,
        1_005,
        2,
        100,
    )
    assert (book.bid_px, book.ask_sz) == ([99.0], [2.0])
    driver.run(1 * S)
    assert events(driver.answer("book", venue.rest_book(1_006, [], ASKS, updated=0), "BTC-PERP"), Book)


def test_a_rest_picture_is_no_base_for_deltas_and_ends_with_the_streams_snapshot(driver: Driver) -> None:
    driver.closed()
    driver.run(2_100 * MS)
    driver.answer("book", venue.rest_book(1_005, BIDS, ASKS), "BTC-PERP")
    driver.ack_all(driver.opened())
    assert counted(driver.push(venue.book(1_006, [(98.0, 1.0)], []))) == {"ignored_frames": 1}
    driver.run(1 * S)
    driver.push(venue.snapshot(1_010, BIDS, ASKS))
    assert driver.btc.live
    assert driver.answer("book", venue.rest_book(1_005, [(1.0, 1.0)], ASKS), "BTC-PERP") == []
    assert [f for f in of(driver.run(3 * S), Fetch) if (f.name, f.market) == ("book", "BTC-PERP")] == []


def test_a_connection_lost_again_does_not_take_the_rest_picture_away(driver: Driver) -> None:
    driver.closed()
    driver.run(2_100 * MS)
    driver.answer("book", venue.rest_book(1_005, BIDS, ASKS), "BTC-PERP")
    driver.opened()
    driver.closed()
    assert driver.btc.trust is Trust.REST


def test_a_rest_picture_that_grows_old_is_stale(driver: Driver) -> None:
    driver.closed()
    driver.run(2_100 * MS)
    driver.answer("book", venue.rest_book(1_005, BIDS, ASKS), "BTC-PERP")
    kept = [(driver.run(each * S), driver.btc.trust)[1] for each in (14, 2)]
    assert kept == [Trust.REST, Trust.STALE]


def test_an_older_crossed_or_unreadable_picture_is_not_shown(driver: Driver) -> None:
    driver.closed()
    driver.run(2_100 * MS)
    assert (
        events(driver.answer("book", venue.rest_book(1, BIDS, ASKS, updated=1_789_999_999_999), "BTC-PERP"), Book) == []
    )
    assert rejects(driver.answer("book", venue.rest_book(1, ASKS, BIDS), "ETH-PERP"))
    assert rejects(driver.answer("book", b"<html>", "SOL-PERP"))
    # Either the time or the sequence may have been set back; both together are the past.
    for picture in (venue.rest_book(1_001, BIDS, ASKS, updated=0), venue.rest_book(1, BIDS, ASKS)):
        driver.run(1 * S)
        assert events(driver.answer("book", picture, "BTC-PERP"), Book)


def test_a_depth_that_rest_refuses_is_asked_for_no_more(driver: Driver) -> None:
    driver.closed()
    driver.run(2_100 * MS)
    effects = driver.fail("book", Reply(400, b'{"error":"VALIDATION_ERROR"}'))
    assert notes(effects) == ["rest_failed"]
    driver.calls.clear()
    driver.run(1 * S)
    assert {f.params for f in driver.calls if f.name == "book"} == {(("depth", "20"),)}


def test_a_late_answer_of_an_audit_after_a_rest_failure_harms_nothing(driver: Driver) -> None:
    audit(driver)
    assert rejects(driver.answer("audit", b"[]", "BTC-PERP"))
    assert driver.btc.live
