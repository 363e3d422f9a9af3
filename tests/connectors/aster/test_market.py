"""Quotes, trades, mark price, funding and open interest of one market."""

from __future__ import annotations

import pytest

from bus.events import Bbo, Check, Funding, Stats, Trade, Trust
from connectors.effects import Emit, Reject
from tests.connectors.aster.venue import (
    ASKS,
    BIDS,
    BTC,
    MS,
    TIME,
    Desk,
    counted,
    depth,
    listing,
    mark,
    notes,
    only,
    reasons,
    row,
    sent,
    snapshot,
    ticker,
    trade,
)

INTERVALS = [{"symbol": "ETHUSDT", "fundingIntervalHours": 4}, {"symbol": "BTCUSDT", "fundingIntervalHours": 8}]


# -- quotes


def test_a_quote_is_published_even_while_the_book_is_built() -> None:
    desk = Desk()
    desk.ready()
    (quote,) = only(desk.frame(ticker(700)), Bbo)
    assert (quote.bid_px, quote.bid_sz, quote.ask_px, quote.ask_sz) == (*BIDS[0], *ASKS[0])
    assert (quote.trust, quote.venue_seq, quote.venue_ns) == (Trust.LIVE, 700, TIME * MS)


def test_an_older_quote_is_dropped() -> None:
    desk = Desk()
    desk.ready()
    desk.frame(ticker(700))
    assert counted(desk.frame(ticker(699, (99.0, 1.0)))) == {"duplicates": 1}
    assert desk.quotes[BTC].venue_seq == 700


def test_a_quote_of_one_side_has_one_side() -> None:
    desk = Desk()
    desk.ready()
    (quote,) = only(desk.frame(ticker(700, BIDS[0], (0.0, 0.0))), Bbo)
    assert (quote.ask_px, quote.ask_sz) == (None, None)


def test_a_bad_quote_takes_back_the_one_in_force() -> None:
    desk = Desk()
    desk.live()
    desk.frame(ticker(1_000))
    effects = desk.frame(ticker(1_100, (200.0, 1.0)))
    assert only(effects[:1], Bbo)[0].trust is Trust.RESYNC
    assert len(only(effects, Reject)) == 1
    assert desk.trust[BTC] is Trust.LIVE


def test_a_quote_of_the_books_own_id_must_equal_its_touch_in_either_order() -> None:
    desk = Desk()
    desk.live()
    (check,) = only(desk.frame(ticker(1_000)), Check)
    assert (check.against, check.divergence, check.compared, check.diverged) == ("bbo", 0.0, 1, 0)
    desk.wait(1.1)
    desk.frame(ticker(1_100, (100.0, 4.0)))
    (check,) = only(desk.frame(depth(1_100, 1_000, [(100.0, 4.0)])), Check)
    assert (check.divergence, check.compared) == (0.0, 2)


def test_quotes_between_two_diffs_are_not_compared() -> None:
    desk = Desk()
    desk.live()
    assert only(desk.frame(ticker(1_050, (100.0, 4.0))), Check) == []
    assert only(desk.frame(depth(1_100, 1_000)), Check) == []
    # Nor one that is ahead of the diffs, as most are.
    assert only(desk.frame(ticker(1_250, (100.0, 5.0))), Check) == []
    assert only(desk.frame(depth(1_200, 1_100)), Check) == []


def different() -> Desk:
    """Book and quote of one id differ."""
    desk = Desk()
    desk.live()
    effects = desk.frame(ticker(1_000, (100.0, 9.0)))
    assert counted(effects) == {"check_mismatches": 1}
    assert only(effects, Check)[0].divergence == pytest.approx(8 / 9)
    assert desk.asked("book")
    return desk


def test_rest_that_sides_with_the_quote_has_the_book_built_anew() -> None:
    desk = different()
    bids = [(100.0, 9.0), *BIDS[1:]]
    desk.wait(0.05)
    desk.answer("book", snapshot(1_050, bids))
    desk.frame(depth(1_100, 1_000))
    assert desk.trust[BTC] is Trust.LIVE
    desk.wait(1.0)
    desk.frame(depth(1_200, 1_100))
    desk.answer("book", snapshot(1_150, bids))
    assert desk.trust[BTC] is Trust.RESYNC
    desk.frame(depth(1_300, 1_200))
    desk.answer("book", snapshot(1_250, bids))
    assert desk.books[BTC].best()[:2] == (100.0, 9.0)
    assert desk.trust[BTC] is Trust.LIVE


def test_rest_that_sides_with_the_book_has_the_quote_taken_back() -> None:
    desk = different()
    desk.wait(0.05)
    desk.frame(depth(1_100, 1_000))
    desk.answer("book", snapshot(1_050))
    desk.frame(ticker(1_200, (100.0, 9.0)))
    desk.frame(depth(1_200, 1_100))
    assert desk.quotes[BTC].trust is Trust.RESYNC
    assert desk.trust[BTC] is Trust.LIVE


def test_a_lasting_difference_has_the_book_built_anew_when_rest_is_mute() -> None:
    desk = different()
    u = 1_000
    for _ in range(49):
        desk.wait(0.1)
        u += 100
        desk.frame(ticker(u, (100.0, 9.0)))
        desk.frame(depth(u, u - 100))
        assert desk.trust[BTC] is Trust.LIVE
    desk.wait(0.1)
    desk.frame(ticker(u + 100, (100.0, 9.0)))
    desk.frame(depth(u + 100, u))
    assert desk.trust[BTC] is Trust.RESYNC


def test_a_difference_followed_by_an_agreement_is_forgotten() -> None:
    desk = different()
    for u in range(1_100, 8_000, 100):
        desk.wait(0.1)
        desk.frame(ticker(u))
        desk.frame(depth(u, u - 100))
    assert desk.trust[BTC] is Trust.LIVE


@pytest.mark.parametrize("quoted", [True, False])
def test_a_dead_quote_stream_is_seen_by_the_book_and_subscribed_anew(quoted: bool) -> None:
    desk = Desk()
    desk.live()
    if quoted:
        desk.frame(ticker(1_000))
    u = 1_000
    effects = []
    for _ in range(34):
        u += 100
        # The touch moves away from what it was when the quotes were last heard of.
        effects += desk.frame(depth(u, u - 100, [(100.0, 1.0 if u == 1_100 else u / 1_000)]))
        effects += desk.wait(0.1)
        if only(effects, Bbo):
            break
    if quoted:
        assert desk.quotes[BTC].trust is Trust.STALE
    assert [frame["params"] for frame in sent(effects)] == [["btcusdt@bookTicker"]] * 2
    assert "stream_dead" in notes(effects)
    assert desk.trust[BTC] is Trust.LIVE
    assert reasons(desk.log) == []


def test_a_touch_that_returns_owes_no_quote() -> None:
    desk = Desk()
    desk.live()
    desk.frame(ticker(1_000))
    u = 1_000
    for _ in range(50):
        u += 200
        desk.frame(depth(u - 100, u - 200, [(100.0, 5.0)]))
        desk.wait(0.05)
        desk.frame(depth(u, u - 100, [(100.0, 1.0)]))
        desk.wait(0.05)
    assert desk.quotes[BTC].trust is Trust.LIVE


# -- trades


def test_a_trade_is_published_once() -> None:
    desk = Desk()
    desk.ready()
    (found,) = only(desk.frame(trade(5)), Trade)
    assert (found.trade_id, found.history) == ("5", False)
    assert counted(desk.frame(trade(5))) == {"duplicates": 1}
    assert len(only(desk.frame(trade(9)), Trade)) == 1


def test_a_bad_trade_is_rejected_and_harms_nothing() -> None:
    desk = Desk()
    desk.live()
    assert [type(effect) for effect in desk.frame(trade(5, px="0"))] == [Reject]
    assert desk.trust[BTC] is Trust.LIVE


def test_nothing_is_published_of_a_symbol_that_is_not_confirmed() -> None:
    desk = Desk()
    desk.start()
    desk.open()
    for frame in (ticker(700), trade(5), mark()):
        assert counted(desk.frame(frame)) == {"ignored_frames": 1}
    desk.answer("markets", listing())
    assert len(only(desk.frame(trade(5)), Trade)) == 1


# -- mark price and funding


def intervals(desk: Desk, rows: object = INTERVALS) -> list[str]:
    desk.wait(0.6)
    return notes(desk.answer("intervals", rows))


def test_funding_is_a_fraction_an_hour_once_the_interval_is_known() -> None:
    desk = Desk()
    desk.ready()
    assert only(desk.frame(mark()), Funding) == []
    intervals(desk)
    (funding,) = only(desk.frame(mark(r="0.00010000")), Funding)
    assert funding.rate_hourly == pytest.approx(0.0000125)
    assert (funding.raw_rate, funding.raw_interval_hours, funding.settled) == ("0.00010000", 8.0, False)
    assert (funding.next_ns, funding.venue_ns) == ((TIME + 3_600_000) * MS, TIME * MS)


@pytest.mark.parametrize("other", [{"r": ""}, {"T": 0}])
def test_without_a_rate_or_a_time_there_is_no_funding_but_a_mark_price(other: dict[str, object]) -> None:
    desk = Desk()
    desk.ready()
    intervals(desk)
    effects = desk.frame(mark(**other))
    assert only(effects, Funding) == []
    assert only(effects, Stats)[0].mark_px == 100.2


def test_a_zero_rate_is_a_rate() -> None:
    desk = Desk()
    desk.ready()
    intervals(desk)
    assert only(desk.frame(mark(r="0")), Funding)[0].rate_hourly == 0.0


def test_a_rate_that_is_no_number_is_rejected() -> None:
    desk = Desk()
    desk.ready()
    assert [type(effect) for effect in desk.frame(mark(r="x"))] == [Reject]


@pytest.mark.parametrize("hours", [None, 0, -1])
def test_a_symbol_without_an_interval_has_the_usual_one_and_that_is_said(hours: int | None) -> None:
    desk = Desk()
    desk.ready()
    rows = [{"symbol": "BTCUSDT", "fundingIntervalHours": hours}]
    assert "funding_interval_assumed" in intervals(desk, rows)
    assert only(desk.frame(mark()), Funding)[0].raw_interval_hours == 8.0


def test_a_changed_interval_is_taken_over_and_a_vanished_one_kept() -> None:
    desk = Desk()
    desk.ready()
    intervals(desk)
    desk.wait(600.0)
    desk.answer("intervals", [{"symbol": "BTCUSDT", "fundingIntervalHours": 4}])
    desk.wait(600.0)
    assert notes(desk.answer("intervals", [])) == []
    assert only(desk.frame(mark()), Funding)[0].raw_interval_hours == 4.0


def test_intervals_that_came_before_the_market_list_serve_too() -> None:
    desk = Desk()
    desk.start()
    desk.open()
    assert intervals(desk) == []
    desk.answer("markets", listing())
    assert only(desk.frame(mark()), Funding)[0].raw_interval_hours == 8.0


def settled(time: int, rate: str = "0.00010000", symbol: str = "BTCUSDT") -> dict[str, object]:
    return {"symbol": symbol, "fundingTime": time, "fundingRate": rate}


def test_settled_funding_is_the_newest_row_and_told_once() -> None:
    desk = Desk()
    desk.ready()
    intervals(desk)
    desk.wait(0.5)
    rows = [settled(TIME - 2, "0.0002"), settled(TIME - 1, "0.0004"), settled(TIME, symbol="ETHUSDT")]
    (funding,) = only(desk.answer("settled", rows), Funding)
    assert funding.rate_hourly == pytest.approx(0.00005)
    assert funding.raw_rate == "0.0004"
    assert (funding.settled, funding.next_ns, funding.venue_ns) == (True, None, (TIME - 1) * MS)
    desk.wait(60.0)
    assert desk.answer("settled", rows) == []
    desk.wait(60.0)
    assert len(only(desk.answer("settled", [settled(TIME)]), Funding)) == 1


def test_settled_funding_waits_for_the_interval() -> None:
    desk = Desk()
    desk.ready()
    desk.wait(1.0)
    assert desk.answer("settled", [settled(TIME)]) == []
    desk.answer("intervals", INTERVALS)
    desk.wait(60.0)
    assert len(only(desk.answer("settled", [settled(TIME)]), Funding)) == 1


def test_an_empty_funding_history_is_no_error() -> None:
    desk = Desk()
    desk.ready()
    intervals(desk)
    desk.wait(0.5)
    assert desk.answer("settled", []) == []


# -- open interest


def test_open_interest_joins_the_mark_price_and_is_unknown_when_its_call_goes_away() -> None:
    desk = Desk()
    desk.ready()
    desk.wait(0.6)
    (stats,) = only(desk.answer("interest", {"symbol": "BTCUSDT", "openInterest": "6196.323", "time": TIME}), Stats)
    assert (stats.open_interest, stats.mark_px, stats.venue_ns) == (6196.323, None, None)
    (stats,) = only(desk.frame(mark()), Stats)
    assert (stats.mark_px, stats.index_px, stats.open_interest) == (100.2, 100.3, 6196.323)
    desk.wait(30.0)
    effects = desk.answer("interest", b'{"code":-5000,"msg":"Path not found"}', 404)
    (stats,) = only(effects, Stats)
    assert (stats.mark_px, stats.open_interest) == (100.2, None)
    assert "rest_failed" in notes(effects)
    desk.wait(0.6)
    effects = desk.answer("interest", b'{"code":-5000,"msg":"Path not found"}', 404)
    assert [effect for effect in effects if isinstance(effect, Emit)] == []
    assert notes(effects) == []
    # After a success, a failure is news again.
    desk.wait(1.1)
    desk.answer("interest", {"symbol": "BTCUSDT", "openInterest": "1"})
    desk.wait(30.0)
    assert "rest_failed" in notes(desk.answer("interest", b"", 404))


def test_answers_for_a_market_that_is_no_longer_listed_are_ignored() -> None:
    desk = Desk()
    desk.ready()
    desk.wait(0.6)
    desk.wait(3_600.0)
    pending = [fetch for fetch in desk.pending if fetch.name == "interest"]
    desk.answer("markets", listing(row("BTC", status="SETTLING")))
    desk.pending = [*pending, *desk.pending]
    assert desk.answer("interest", {"symbol": "BTCUSDT", "openInterest": "1", "time": TIME}) == []
