"""What one Lighter market makes of its frames: the chain of its book, quotes of the same nonce, trades and figures."""

from __future__ import annotations

import pytest

from bus.events import Bbo, Book, Delta, Funding, Reason, Side, Source, Stats, Trade, Trust
from connectors.feed import SeenTrades
from tests.connectors.drive import MS, WALL, S, books, counted, events, reasons, rejected
from tests.connectors.lighter.venue import (
    ASKS,
    BIDS,
    NONCE,
    TIME,
    Drive,
    diff,
    sent,
    snapshot,
    stats,
    ticker,
    trade,
    trades,
)

HOUR = 3_600 * S


def chained() -> Drive:
    """A drive whose BTC book is live at ``NONCE``."""
    drive = Drive().ready()
    drive.frame(snapshot())
    return drive


def test_a_snapshot_is_the_whole_book() -> None:
    drive = Drive().ready()
    [event] = events(drive.frame(snapshot()), Book)
    assert (event.trust, event.source, event.rebuild, event.depth) == (Trust.LIVE, Source.STREAM, 1, None)
    assert (event.venue_ns, event.venue_seq) == (TIME * 1_000_000, NONCE)
    assert (event.bid_px, event.ask_sz) == ([83134.7, 83130.0], [0.73085, 2.0])


def test_a_never_used_book_is_valid_and_empty() -> None:
    drive = Drive().ready()
    frame = snapshot(nonce=0, bids=[], asks=[], time=0)
    del frame["last_updated_at"]
    [event] = events(drive.frame(frame), Book)
    assert (event.trust, event.venue_ns, event.bid_px) == (Trust.LIVE, None, [])
    [change] = events(drive.frame(diff(0, 5, bids=BIDS)), Delta)
    assert change.trust is Trust.LIVE


def test_a_difference_sets_absolute_sizes_and_zero_removes_however_it_is_written() -> None:
    drive = chained()
    [event] = events(drive.frame(diff(NONCE, NONCE + 3, asks=[("83140.4", "0.00000"), ("83139", "0.1")])), Delta)
    assert (event.venue_seq, event.ask_px, event.ask_sz) == (NONCE + 3, [83140.4, 83139.0], [0.0, 0.1])
    drive.frame(diff(NONCE + 3, NONCE + 4, bids=[("83134.70", "0"), ("83130", "7"), ("1.0", "0.0")]))
    assert drive.book() == ([83130.0], [7.0], [83136.4, 83139.0], [0.73085, 0.1])


def test_an_empty_side_is_no_change() -> None:
    drive = chained()
    frame = diff(NONCE, NONCE + 1)
    frame["order_book"]["asks"] = None
    [event] = events(drive.frame(frame), Delta)
    assert (event.venue_seq, event.bid_px, event.ask_px) == (NONCE + 1, [], [])
    assert len(drive.book()[0]) == 2


def test_the_offset_says_nothing() -> None:
    drive = chained()
    frame = diff(NONCE, NONCE + 1, bids=[("83131.0", "1")])
    frame["offset"] = frame["order_book"]["offset"] = 1
    assert len(events(drive.frame(frame), Delta)) == 1


def test_a_gap_is_told_before_the_book_is_asked_for_anew_and_nothing_after_it_is_applied() -> None:
    drive = chained()
    drive.frame(ticker())
    effects = drive.frame(diff(NONCE + 1, NONCE + 5, bids=[("83131.0", "1")]))
    assert [(event.trust, event.bid_px) for event in books(effects)] == [(Trust.RESYNC, [])]
    assert counted(effects) == ["seq_gaps", "resyncs"]
    assert sent(effects) == ["unsubscribe order_book/1", "subscribe order_book/1"]
    assert events(effects, Bbo) == []
    late = drive.frame(diff(NONCE, NONCE + 1, bids=[("83132.0", "1")]))
    assert (books(late), counted(late)) == ([], ["ignored_frames"])
    [event] = events(drive.frame(snapshot(nonce=NONCE + 9)), Book)
    assert (event.trust, event.rebuild) == (Trust.LIVE, 2)
    assert len(events(drive.frame(diff(NONCE + 9, NONCE + 10)), Delta)) == 1


@pytest.mark.parametrize("begin", [None, NONCE - 1, NONCE + 1])
def test_any_other_beginning_is_a_gap(begin: int | None) -> None:
    drive = chained()
    frame = diff(NONCE, NONCE + 5)
    if begin is None:
        del frame["order_book"]["begin_nonce"]
    else:
        frame["order_book"]["begin_nonce"] = begin
    assert "seq_gaps" in counted(drive.frame(frame))


def test_a_difference_seen_before_is_dropped() -> None:
    drive = chained()
    drive.frame(diff(NONCE, NONCE + 5, bids=[("83131.0", "1")]))
    for frame in (diff(NONCE, NONCE + 5), diff(NONCE - 9, NONCE), diff(0, 0)):
        effects = drive.frame(frame)
        assert (counted(effects), books(effects)) == (["duplicates"], [])
    assert drive.trust["BTC-PERP"] is Trust.LIVE


def test_a_snapshot_always_replaces() -> None:
    drive = chained()
    [event] = events(drive.frame(snapshot(nonce=NONCE + 50, bids=BIDS[:1])), Book)
    assert (event.rebuild, event.bid_px) == (1, [83134.7])
    assert len(events(drive.frame(diff(NONCE + 50, NONCE + 51)), Delta)) == 1


def test_a_book_crossed_after_a_whole_frame_is_not_shown_and_rebuilt() -> None:
    drive = chained()
    effects = drive.frame(diff(NONCE, NONCE + 5, bids=[("83136.4", "1")]))
    assert [(event.trust, event.bid_px) for event in books(effects)] == [(Trust.RESYNC, [])]
    assert counted(effects) == ["crossed_books", "resyncs"]


def test_inside_a_frame_the_order_of_levels_is_free() -> None:
    drive = chained()
    frame = diff(NONCE, NONCE + 5, bids=[("83137.0", "1")], asks=[("83136.4", "0")])
    assert [event.trust for event in events(drive.frame(frame), Delta)] == [Trust.LIVE]


def test_a_crossed_snapshot_is_not_shown() -> None:
    drive = Drive().ready()
    effects = drive.frame(snapshot(bids=[("83136.4", "1")]))
    assert (books(effects), counted(effects)) == ([], ["crossed_books", "resyncs"])
    assert events(drive.frame(snapshot(bids=[("83136.4", "0"), *BIDS])), Book)[0].trust is Trust.LIVE


def test_an_impossible_level_is_applied_not_even_in_part() -> None:
    drive = chained()
    effects = drive.frame(diff(NONCE, NONCE + 5, bids=[("83131.0", "1"), ("83132.0", "-1")]))
    assert len(rejected(effects)) == 1
    assert drive.trust["BTC-PERP"] is Trust.RESYNC
    assert len(drive.book()[0]) == 2


def gaps(drive: Drive, *others: int) -> None:
    """Half a minute of snapshots each followed by a gap, while the other markets go on."""
    for _ in range(120):
        drive.wait(0.25)
        drive.tick(*others)
        drive.frame({"type": "pong"})
        if sent(drive.all)[-1] == "subscribe order_book/1":
            drive.first(1)
        drive.frame(diff(NONCE - 1, NONCE + 2**40))


def test_gaps_that_go_on_are_mended_at_a_slowing_pace_and_cost_the_others_nothing() -> None:
    drive = Drive().live()
    gaps(drive, 0)
    assert reasons(drive.all) == []
    assert 15 <= counted(drive.all).count("resyncs") <= 18


def test_when_no_other_book_is_live_gaps_that_go_on_cost_the_connection() -> None:
    drive = Drive("BTC-PERP").ready()
    drive.first(1)
    gaps(drive)
    assert reasons(drive.all) == [Reason.SEQ_GAP]


def test_gaps_far_apart_are_mended_alone_for_ever() -> None:
    drive = Drive().live()
    for _ in range(20):
        drive.flow(12, 0, 1)
        drive.frame(diff(NONCE - 1, NONCE + 2**40))
        drive.first(1)
    assert reasons(drive.all) == []
    assert counted(drive.all).count("resyncs") == 20


# -- quotes


def test_a_quote_has_the_engines_time_and_nonce() -> None:
    drive = chained()
    [event] = events(drive.frame(ticker(NONCE + 3, ask=("83136.0", "1"))), Bbo)
    assert (event.venue_ns, event.venue_seq, event.ask_px, event.trust) == (
        TIME * 1_000_000,
        NONCE + 3,
        83136.0,
        Trust.LIVE,
    )


def test_an_empty_side_is_none() -> None:
    [event] = events(Drive().ready().frame(ticker(ask=("", ""), time=0)), Bbo)
    assert (event.bid_px, event.ask_px, event.ask_sz, event.venue_ns) == (83134.7, None, None, None)


def test_an_older_quote_is_dropped_unless_it_is_the_first_of_a_subscription() -> None:
    drive = chained()
    drive.frame(ticker(NONCE + 3))
    assert counted(drive.frame(ticker(NONCE + 2))) == ["duplicates"]
    assert len(events(drive.frame(ticker(NONCE + 2, moment="subscribed")), Bbo)) == 1


def test_a_crossed_quote_is_rejected() -> None:
    effects = Drive().ready().frame(ticker(bid=("83136.4", "1")))
    assert (rejected(effects), events(effects)) == (["crossed quote"], [])


# -- trades


def test_the_first_frame_after_subscribing_is_history_oldest_first_liquidations_included() -> None:
    old = trade(3, type="liquidation", is_maker_ask=False)
    effects = Drive().ready().frame(trades(trade(9), trade(8), moment="subscribed", liquidations=[old]))
    found = events(effects, Trade)
    assert [(event.trade_id, event.history) for event in found] == [("3", True), ("8", True), ("9", True)]
    assert (found[0].category, found[0].side) == ("liquidation", Side.SELL)
    assert counted(effects) == ["history_trades"] * 3


def test_a_trade_has_the_engines_time_and_the_takers_side() -> None:
    [event] = events(Drive().ready().frame(trades(trade(5))), Trade)
    assert event == Trade(TIME * 1_000_000, "5", Side.BUY, 83135.0, 0.0008, history=False)


def test_without_the_engines_time_the_blocks_time_is_used() -> None:
    frame = trades(trade(5, type="market-settlement"))
    del frame["trades"][0]["transaction_time"]
    [event] = events(Drive().ready().frame(frame), Trade)
    assert (event.venue_ns, event.category) == ((TIME + 40) * 1_000_000, "settlement")


def test_a_trade_seen_before_is_not_published_again() -> None:
    seen = SeenTrades()
    drive = Drive(seen=seen).ready()
    drive.frame(trades(trade(5)))
    effects = drive.frame(trades(trade(6), trade(5), moment="subscribed"))
    assert [event.trade_id for event in events(effects, Trade)] == ["6"]
    assert counted(Drive(seen=seen).ready().frame(trades(trade(6)))) == ["duplicates"]


def test_missing_lists_of_trades_are_empty() -> None:
    drive = Drive().ready()
    assert drive.frame({"type": "update/trade", "channel": "trade:1", "trades": None}) == []


@pytest.mark.parametrize("changed", [{"price": "0"}, {"size": "NaN"}, {"price": "inf"}, {"trade_id": 2**63}])
def test_an_impossible_trade_is_rejected(changed: dict[str, object]) -> None:
    effects = Drive().ready().frame(trades(trade(5) | changed))
    assert len(rejected(effects)) == 1


# -- figures


def test_figures_are_turned_into_base_units_and_hourly_fractions() -> None:
    effects = Drive().ready().frame(stats())
    time = MS * 1_000_000
    hour = WALL // HOUR * HOUR
    assert events(effects, Stats) == [Stats(time, 64356.3, 64400.1, 1586.84712)]
    settled, running = events(effects, Funding)
    assert settled == Funding(hour, -0.000005, "-0.0005", 1.0, settled=True, next_ns=hour + HOUR, raw_unit="percent")
    assert running == Funding(time, -0.000028, "-0.0028", 1.0, settled=False, next_ns=hour + HOUR, raw_unit="percent")


def test_only_what_has_changed_is_published() -> None:
    drive = Drive().ready()
    drive.frame(stats())
    assert drive.frame(stats(time=TIME + 200)) == []
    assert len(events(drive.frame(stats(mark_price="64356.4")), Stats)) == 1
    [event] = events(drive.frame(stats(mark_price="64356.4", current_funding_rate="0.0012")), Funding)
    assert event.rate_hourly == 0.000012


def test_without_a_settlement_none_is_published() -> None:
    assert [event.settled for event in events(Drive().ready().frame(stats(funding_timestamp=0)), Funding)] == [False]


@pytest.mark.parametrize(
    "changed",
    [
        {"mark_price": "0"},
        {"index_price": "NaN"},
        {"open_interest": "-1"},
        {"current_funding_rate": "x"},
        {"funding_rate": "150"},
        {"funding_rate": "nan"},
    ],
)
def test_impossible_figures_are_rejected(changed: dict[str, object]) -> None:
    frame = stats()
    frame["market_stats"] |= changed
    effects = Drive().ready().frame(frame)
    assert (len(rejected(effects)), events(effects)) == (1, [])


def test_the_worked_checks_of_the_funding_units_hold() -> None:
    [settled, running] = events(Drive().ready().frame(stats(current_funding_rate="0.0012")), Funding)
    assert 8 * running.rate_hourly == pytest.approx(0.000096)
    assert settled.rate_hourly == pytest.approx(float(settled.raw_rate) / 100)
    assert ASKS[0][0] == "83136.4"
