"""What one market learns from quotes, trades, prices, funding and REST, and how it checks its book."""

from __future__ import annotations

import pytest

from bus.events import Bbo, Funding, Reason, Side, Stats, Trade, Trust
from connectors.extended import spec
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
    STATS,
    T0,
    TRADE,
    Drive,
    S,
    changes,
    levels,
    ok,
)

HOUR_MS = 3_600_000

# Quotes


def test_a_quote_is_the_whole_touch_and_each_replaces_the_one_before() -> None:
    drive = Drive().listed()
    drive.quote(("82588", "4.09776"), ("82590", "0.00011"))
    (quote,) = drive.of(Bbo, drive.snapshot(levels(("82588", "4.1")), [], conn=BBO))
    assert (quote.bid_px, quote.bid_sz, quote.ask_px, quote.ask_sz) == (82588.0, 4.1, None, None)
    assert (quote.trust, quote.venue_ns, quote.venue_seq) == (Trust.LIVE, drive.venue_ms * MS, 2)


# Trades


def test_the_first_trades_of_a_connection_are_history_and_the_rest_is_not() -> None:
    drive = Drive().listed()
    drive.trade(2103822896206974977, 2103822896206974978)
    drive.trade(2103822896206974979, S="BUY", tT="LIQUIDATION")
    first, second, third = drive.of(Trade)
    assert (first.history, second.history, third.history) == (True, True, False)
    assert (first.trade_id, first.side, first.px, first.sz, first.category) == (
        "2103822896206974977",
        Side.SELL,
        84077.0,
        0.1,
        "trade",
    )
    assert first.venue_ns == (drive.venue_ms - 5) * MS
    assert (third.side, third.category) == (Side.BUY, "liquidation")
    assert drive.counted("history_trades") == 2


def test_what_happened_while_the_connection_was_away_is_told_once() -> None:
    drive = Drive().listed()
    drive.trade(1, 2)
    drive.close(TRADE)
    drive.open(TRADE)
    effects = drive.trade(1, 2, 3)
    assert [(trade.trade_id, trade.history) for trade in drive.of(Trade, effects)] == [("3", True)]
    assert drive.counted("duplicates") == 2


def test_a_repeated_live_trade_is_dropped_and_counted() -> None:
    drive = Drive().listed()
    drive.trade(1)
    drive.trade(2)
    assert drive.of(Trade, drive.trade(2, 3)) == drive.of(Trade)[-1:]
    assert drive.counted("duplicates") == 1


def test_a_history_without_trades_is_still_the_history() -> None:
    drive = Drive().listed()
    drive.trade()
    assert drive.counted("ignored_frames") == 1
    drive.trade(1)
    assert [trade.history for trade in drive.of(Trade)] == [False]


def test_a_kind_of_trade_that_is_not_documented_keeps_the_venues_word() -> None:
    drive = Drive().listed()
    drive.trade(1, tT="SETTLEMENT_X")
    assert drive.of(Trade)[0].category == "settlement_x"


# Prices


def test_mark_and_index_are_merged_with_open_interest() -> None:
    drive = Drive().listed()
    drive.answer("stats", ok(STATS | {"markPrice": None, "indexPrice": None}))
    drive.frame(MARK, "MP", {"m": "BTC-USD", "p": "84058.473541750005", "ts": 0}, ts=T0 + 7)
    drive.frame(INDEX, "IP", {"m": "BTC-USD", "p": "84105.013533499994", "ts": T0 + 3}, ts=T0 + 8)
    assert drive.of(Stats) == [
        Stats(None, None, None, 1491.33012),
        Stats((T0 + 7) * MS, 84058.473541750005, None, 1491.33012),
        Stats((T0 + 3) * MS, 84058.473541750005, 84105.013533499994, 1491.33012),
    ]


def test_rest_prices_stand_in_only_while_the_stream_has_given_none() -> None:
    drive = Drive().listed()
    drive.answer("stats", ok(STATS))
    drive.frame(MARK, "MP", {"m": "BTC-USD", "p": "84058", "ts": 0})
    drive.wait(spec.STATS_EVERY_NS / S)
    (stats,) = drive.of(Stats, drive.answer("stats", ok(STATS)))
    assert (stats.mark_px, stats.index_px, stats.venue_ns) == (84058.0, 77050.739529925005, None)


def test_many_markets_share_the_rest_budget() -> None:
    drive = Drive(markets=(*(f"M{number}-PERP" for number in range(50)), MARKET))
    drive.listed()
    drive.answer("stats", ok(STATS))
    drive.wait(10.1)
    assert drive.pending("stats") == []
    drive.wait(0.2)
    assert len(drive.pending("stats")) == 1


# Funding


def test_the_streams_rate_is_the_running_one_for_the_next_full_hour() -> None:
    drive = Drive().listed()
    at = 1_790_426_050_286
    drive.frame(FUNDING, None, {"m": "BTC-USD", "f": "0.000013", "T": at})
    assert drive.of(Funding) == [
        Funding(at * MS, 0.000013, "0.000013", 1.0, settled=False, next_ns=1_790_427_600_000 * MS)
    ]


def test_a_running_rate_stamped_on_the_hour_is_for_the_hour_after() -> None:
    drive = Drive().listed()
    drive.frame(FUNDING, None, {"m": "BTC-USD", "f": "-0.000013", "T": 1_790_427_600_000})
    (funding,) = drive.of(Funding)
    assert funding.rate_hourly == -0.000013
    assert funding.next_ns == (1_790_427_600_000 + HOUR_MS) * MS


def test_a_rate_that_is_no_number_is_rejected() -> None:
    drive = Drive().listed()
    drive.frame(FUNDING, None, {"m": "BTC-USD", "f": "soon", "T": T0})
    drive.answer("stats", ok(STATS | {"fundingRate": "soon"}))
    assert drive.of(Funding) == []
    assert len(drive.rejects()) == 2
    assert drive.of(Stats) == []


def test_rest_gives_the_running_rate_while_the_stream_is_silent() -> None:
    drive = Drive().listed()
    expected = Funding(None, 0.000012, "0.000012", 1.0, settled=False, next_ns=1_790_427_600_000 * MS)
    assert drive.of(Funding, drive.answer("stats", ok(STATS))) == [expected]
    drive.wait(5.0)
    assert drive.of(Funding, drive.answer("stats", ok(STATS))) == []
    drive.frame(FUNDING, None, {"m": "BTC-USD", "f": "0.000013", "T": T0})
    drive.wait(5.0)
    changed = ok(STATS | {"fundingRate": "0.000014", "nextFundingRate": None})
    assert drive.of(Funding, drive.answer("stats", changed)) == []
    drive.wait(spec.FUNDING_QUIET_NS / S)
    (funding,) = drive.of(Funding, drive.answer("stats", changed))
    assert (funding.raw_rate, funding.next_ns) == ("0.000014", None)


def test_rest_speaks_at_once_when_the_funding_stream_is_lost() -> None:
    drive = Drive().listed()
    drive.frame(FUNDING, None, {"m": "BTC-USD", "f": "0.000013", "T": T0})
    drive.close(FUNDING)
    assert len(drive.of(Funding, drive.answer("stats", ok(STATS)))) == 1


def test_stats_without_funding_have_none() -> None:
    drive = Drive().listed()
    drive.answer("stats", ok({"openInterestBase": "1.5"}))
    assert drive.of(Funding) == []
    assert drive.of(Stats) == [Stats(None, None, None, 1.5)]


def test_charged_funding_comes_from_rest_once_each_hour() -> None:
    drive = Drive().listed()
    (call,) = drive.pending("settled")
    assert call.url.endswith("/api/v1/info/BTC-USD/funding")
    assert dict(call.params) == {"startTime": str(T0 - 2 * HOUR_MS), "endTime": str(T0)}
    rows = ok([{"m": "BTC-USD", "f": "0.000008", "T": 1_790_424_001_028}])
    expected = Funding(1_790_424_001_028 * MS, 0.000008, "0.000008", 1.0, settled=True)
    assert drive.of(Funding, drive.answer("settled", rows)) == [expected]
    for body in (rows, ok([])):
        drive.wait(spec.SETTLED_EVERY_NS / S)
        assert drive.of(Funding, drive.answer("settled", body)) == []


def test_a_failed_funding_poll_is_repeated() -> None:
    drive = Drive().listed()
    drive.answer("settled", b"", None)
    drive.wait(0.5)
    assert len(drive.pending("settled")) == 1


# Checks


def test_a_periodic_snapshot_must_equal_the_book_after_the_delta_of_its_time() -> None:
    drive = Drive().live()
    drive.delta(changes(("84076", "-0.25114", "0")))
    drive.snapshot([BIDS[0], BIDS[2]], ASKS)
    (check,) = drive.checks()
    assert (check.against, check.compared, check.diverged, check.divergence) == ("snapshot", 1, 0, 0.0)


@pytest.mark.parametrize("bids", [BIDS[:2], BIDS[1:]], ids=["below the touch", "at the touch"])
def test_a_snapshot_that_differs_at_the_same_time_is_told_before_it_replaces_the_book(bids: object) -> None:
    drive = Drive().live()
    drive.delta()
    effects = drive.snapshot(bids, ASKS)
    (check,) = drive.of(type(drive.checks()[0]), effects)
    assert (check.diverged, check.divergence > 0.0) == (1, True)
    assert drive.counted("check_mismatches") == 1
    assert [event.trust for event in drive.book_events] == [Trust.LIVE, Trust.LIVE, Trust.RESYNC, Trust.LIVE]
    assert drive.book_events[-1].rebuild == 2
    assert drive.reasons() == []


def test_a_snapshot_of_another_time_proves_nothing() -> None:
    drive = Drive().live()
    drive.delta()
    drive.wait(0.1)
    drive.snapshot(BIDS[1:], ASKS)
    assert drive.checks() == []
    assert drive.trust() is Trust.LIVE


def test_a_change_that_does_not_fit_the_book_exposes_it() -> None:
    drive = Drive().live()
    drive.delta(changes(("84077", "-0.1", "0.5")))
    assert drive.trust() is Trust.RESYNC
    assert drive.counted("check_mismatches") == 1
    assert drive.reasons() == [(BOOK, Reason.SEQ_MISMATCH)]


def test_a_venue_whose_changes_never_fit_costs_no_more_than_a_rebuild_now_and_then() -> None:
    drive = Drive().live()
    drive.delta(changes(("84077", "-0.1", "0.5")))
    drive.open(BOOK)
    drive.snapshot()
    drive.wait(0.25)
    drive.delta(changes(("84077", "-0.1", "0.5")))
    assert drive.trust() is Trust.LIVE
    assert drive.held()[0][84077.0] == 0.5
    assert drive.reasons() == [(BOOK, Reason.SEQ_MISMATCH)]
    assert drive.notes() == ["check_failed_again"]
    assert drive.counted("check_mismatches") == 2


def test_book_and_quote_that_tell_of_the_same_touch_agree_and_say_so_once_a_second() -> None:
    drive = Drive().live()
    for _ in range(25):
        drive.quote()
        drive.delta()
        drive.wait(0.1)
    checks = drive.checks()
    assert {(check.against, check.diverged) for check in checks} == {("bbo", 0)}
    assert len(checks) == 3


def test_a_quote_that_is_ahead_of_the_book_is_no_divergence() -> None:
    drive = Drive().listed()
    drive.snapshot(levels(("84000", "1")), levels(("85000", "1")))
    drive.wait(0.25)
    drive.quote(("84000", "1"), ("85000", "1"))
    for bid in range(84_001, 84_101):
        drive.quote((str(bid), "1"), ("85000", "1"))
        drive.wait(0.05)
        drive.quote((str(bid + 1), "1"), ("85000", "1"))
        drive.wait(0.05)
        drive.delta(changes((str(bid), "1", "1")))
    assert drive.trust() is Trust.LIVE
    assert {(check.against, check.diverged) for check in drive.checks()} == {("bbo", 0)}


def test_a_quote_that_is_late_is_no_divergence() -> None:
    drive = Drive().listed()
    drive.snapshot(levels(("84000", "1")), levels(("85000", "1")))
    drive.wait(0.25)
    drive.quote(("84000", "1"), ("85000", "1"))
    for bid in range(84_001, 84_101):
        drive.delta(changes((str(bid), "1", "1")))
        drive.wait(0.1)
        if bid > 84_010:
            drive.quote((str(bid - 10), "1"), ("85000", "1"))
    assert {(check.against, check.diverged) for check in drive.checks()} == {("bbo", 0)}


def test_a_book_that_stopped_while_the_quote_moves_on_is_dead() -> None:
    drive = Drive().live()
    drive.quote()
    drive.delta()
    for step in range(72):
        assert drive.reasons() == []
        drive.quote(("84060", str(1 + step)), ("84061", "1"))
        drive.wait(0.1)
    drive.quote(("84060", "1"), ("84061", "1"))
    assert drive.reasons() == [(BOOK, Reason.MARKET_STALE)]
    assert drive.trust() is Trust.STALE
    assert drive.quote_trust() is Trust.LIVE


def test_a_quote_that_stopped_while_the_book_moves_on_is_dead() -> None:
    drive = Drive().live()
    drive.quote()
    drive.delta(changes(("84077", "-0.41547", "0")))
    for step in range(72):
        assert drive.reasons() == []
        drive.delta(changes(("84073", "1", str(1 + step))))
        drive.wait(0.1)
    drive.delta()
    assert drive.reasons() == [(BBO, Reason.MARKET_STALE)]
    assert drive.quote_trust() is Trust.STALE
    assert drive.trust() is Trust.LIVE
    assert drive.counted("check_mismatches") == 1


def test_of_two_that_differ_while_both_flow_the_book_is_rebuilt() -> None:
    drive = Drive().live()
    for step in range(75):
        drive.quote(("84060", f"{1 + step}"), ("84061", "1"))
        drive.delta(changes(("84073", "1", str(1 + step))))
        drive.wait(0.1)
        if drive.reasons():
            break
    assert drive.reasons() == [(BOOK, Reason.SEQ_MISMATCH)]
    assert drive.trust() is Trust.RESYNC
