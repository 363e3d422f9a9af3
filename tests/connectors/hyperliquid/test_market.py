"""What one Hyperliquid market makes of its trades and figures, and of quotes that contradict its book."""

from __future__ import annotations

import pytest

from bus.events import Book, Check, Funding, Side, Stats, Trade, Trust
from connectors.feed import SeenTrades
from tests.connectors.drive import WALL, S, books, counted, events, notes, rejected
from tests.connectors.hyperliquid.venue import ASKS, TIME, Drive, bbo, book, ctx, echo, trade, trades

HOUR = 3_600 * S


def test_the_first_array_after_subscribing_is_history() -> None:
    drive = Drive().ready()
    effects = drive.frame(trades(trade(1, TIME - 20_000), trade(2, TIME + 50)))
    assert [event.history for event in events(effects, Trade)] == [True, True]
    assert counted(effects) == ["history_trades", "history_trades"]
    [event] = events(drive.frame(trades(trade(3, TIME + 60))), Trade)
    assert event.history is False


def test_a_single_old_trade_is_history_too() -> None:
    [event] = events(Drive().ready().frame(trades(trade(1, TIME - 1))), Trade)
    assert event.history is True


def test_the_first_trade_ever_of_a_market_is_live() -> None:
    drive = Drive().ready()
    drive.wait(1)
    [event] = events(drive.frame(trades(trade(1, drive.time))), Trade)
    assert event.history is False


def test_a_trade_has_the_takers_side_and_an_id_made_of_time_and_tid() -> None:
    drive = Drive().ready()
    drive.frame(trades(trade(1, TIME - 1)))
    bought, sold = events(drive.frame(trades(trade(7, TIME), trade(7, TIME + 1, side="A"))), Trade)
    assert bought == Trade(TIME * 1_000_000, f"{TIME}-7", Side.BUY, 84144.0, 0.5, history=False)
    assert (sold.side, sold.trade_id) == (Side.SELL, f"{TIME + 1}-7")


def test_a_trade_seen_before_is_not_published_again_not_even_after_a_reconnect_or_by_another_generation() -> None:
    seen = SeenTrades()
    drive = Drive(seen=seen).ready()
    drive.frame(trades(trade(1, TIME - 2), trade(2, TIME - 1)))
    assert counted(drive.frame(trades(trade(2, TIME - 1)))) == ["duplicates"]
    drive.close()
    drive.open()
    effects = drive.frame(trades(trade(1, TIME - 2), trade(2, TIME - 1), trade(3, TIME)))
    assert [event.trade_id for event in events(effects, Trade)] == [f"{TIME}-3"]
    assert notes(effects) == []
    other = Drive(seen=seen).ready()
    assert counted(other.frame(trades(trade(3, TIME), trade(2, TIME - 1)))) == ["duplicates", "duplicates"]


def test_the_same_tid_in_another_market_is_another_trade() -> None:
    drive = Drive().ready()
    drive.frame(trades(trade(1)))
    assert len(events(drive.frame(trades(trade(1, coin="ETH"))), Trade)) == 1


def test_a_replay_that_does_not_reach_back_to_the_last_trade_is_said_to_have_a_hole() -> None:
    drive = Drive().ready()
    drive.frame(trades(trade(1, TIME - 2)))
    drive.close()
    drive.open()
    assert notes(drive.frame(trades(trade(5, TIME + 100), trade(6, TIME + 200)))) == ["trades_missed"]


@pytest.mark.parametrize("changed", [{"px": "0.0"}, {"px": "nan"}, {"sz": "inf"}, {"sz": "-1.0"}])
def test_an_impossible_trade_is_rejected_and_does_not_hide_its_neighbours(changed: dict[str, str]) -> None:
    drive = Drive().ready()
    effects = drive.frame(trades(trade(1), {**trade(2), **changed}))
    assert len(rejected(effects)) == 1
    assert events(effects, Trade) == []
    assert len(events(drive.frame(trades(trade(1))), Trade)) == 1


@pytest.mark.parametrize("changed", [{"side": "C"}, {"tid": 2**63}, {"tid": -1}, {"time": 0}, {"coin": None}])
def test_a_trade_of_another_shape_is_rejected(changed: dict[str, object]) -> None:
    assert len(rejected(Drive().ready().frame(trades(trade(1) | changed)))) == 1


def test_figures_are_base_units_and_an_hourly_fraction() -> None:
    effects = Drive().ready().frame(ctx(funding="-0.0000018952"))
    assert events(effects, Stats) == [Stats(None, 84148.0, 84198.0, 36585.31848)]
    next_ns = (WALL // HOUR + 1) * HOUR
    assert events(effects, Funding) == [
        Funding(None, -0.0000018952, "-0.0000018952", 1.0, settled=False, next_ns=next_ns)
    ]


def test_funding_is_published_when_it_changes_or_the_hour_does() -> None:
    drive = Drive().ready()
    assert len(events(drive.frame(ctx()), Funding)) == 1
    effects = drive.frame(ctx(markPx="84149.0"))
    assert (len(events(effects, Funding)), len(events(effects, Stats))) == (0, 1)
    assert len(events(drive.frame(ctx(funding="0.0000126")), Funding)) == 1
    drive.s += 2_900
    assert len(events(drive.frame(ctx(funding="0.0000126")), Funding)) == 1


@pytest.mark.parametrize(
    "changed",
    [
        {"funding": "x"},
        {"funding": "nan"},
        {"funding": "1.5"},
        {"funding": None},
        {"markPx": "0.0"},
        {"oraclePx": "inf"},
        {"openInterest": "-1.0"},
        {"openInterest": "nan"},
        {"markPx": None},
    ],
)
def test_impossible_figures_are_rejected(changed: dict[str, object]) -> None:
    frame = ctx()
    frame["data"]["ctx"] |= changed
    effects = Drive().ready().frame(frame)
    assert len(rejected(effects)) == 1
    assert events(effects) == []


def test_the_book_is_compared_with_the_quote_that_was_in_force_at_its_time() -> None:
    drive = Drive().ready()
    drive.frame(bbo(time=TIME))
    drive.frame(book(time=TIME + 10))
    drive.frame(bbo(time=TIME + 20, ask=ASKS[1]))
    effects = drive.frame(book(time=TIME + 30, asks=ASKS[1:]))
    assert events(effects, Check) == [Check("bbo", 1, 0, 0.0, None)]
    drive.wait(1.1)
    assert events(drive.frame(book(time=TIME + 40)), Check) == [Check("bbo", 2, 0, 0.0, None)]


def test_a_difference_is_told_with_its_size_and_since_when() -> None:
    drive = Drive().ready()
    drive.frame(bbo(time=TIME, bid=("84100.0", "1.0")))
    drive.frame(book(time=TIME))
    drive.wait(0.5)
    [check] = events(drive.frame(book(time=TIME + 500)), Check)
    assert (check.compared, check.diverged, check.since_ns) == (1, 1, WALL + S // 2)
    assert check.divergence == pytest.approx(43.0 / 84100.0)


def test_differences_that_pass_build_nothing_anew() -> None:
    drive = Drive("BTC-PERP").ready()
    for number in range(60):
        drive.wait(0.5)
        wrong = number % 5 != 0
        drive.frame(bbo(time=drive.time, bid=("84100.0", "1.0") if wrong else ("84143.0", "10.25923")))
        drive.frame(book(time=drive.time))
        if number % 20 == 0:
            drive.frame({"channel": "pong"})
    assert counted(drive.all).count("resyncs") == 0
    assert {event.trust for event in events(drive.all, Book)} == {Trust.LIVE}


def contradicted() -> Drive:
    """A drive whose BTC books have been contradicted for so long that they are withheld."""
    drive = Drive().live()
    drive.frame(bbo(bid=("84142.5", "1.0")))
    drive.flow(4, "BTC", "ETH")
    assert drive.trust["BTC-PERP"] is Trust.RESYNC
    drive.frame(echo("l2Book", method="unsubscribe"))
    drive.frame(echo("bbo", method="unsubscribe"))
    return drive


def test_a_contradicted_book_is_withheld_until_one_agrees() -> None:
    drive = contradicted()
    drive.frame(bbo(time=drive.time, bid=("84142.5", "1.0")))
    drive.flow(2, "BTC", "ETH")
    assert drive.trust == {"BTC-PERP": Trust.RESYNC, "ETH-PERP": Trust.LIVE}
    drive.frame(bbo(time=drive.time + 1))
    drive.flow(1.5, "BTC", "ETH")
    assert drive.trust == {"BTC-PERP": Trust.LIVE, "ETH-PERP": Trust.LIVE}


def test_a_check_that_is_never_satisfied_is_told_but_takes_no_books_away_for_good() -> None:
    drive = contradicted()
    for _ in range(130):
        drive.frame(bbo(time=drive.time, bid=("84142.5", "1.0")))
        drive.flow(0.5, "BTC", "ETH")
        if not drive.is_open:
            drive.open()
            drive.acknowledge()
    assert "check_unsatisfied" in notes(drive.all)
    assert drive.trust["BTC-PERP"] is Trust.LIVE
    resyncs = counted(drive.all).count("resyncs")
    drive.flow(20, "BTC", "ETH")
    assert counted(drive.all).count("resyncs") == resyncs
    assert events(drive.all, Check)[-1].divergence > 0
    assert drive.trust["BTC-PERP"] is Trust.LIVE


def test_a_book_without_a_side_that_the_quote_shows_is_not_shown() -> None:
    drive = Drive().live()
    drive.frame(bbo())
    drive.wait(0.5)
    effects = drive.frame(book(time=drive.time, asks=[]))
    assert [event.trust for event in books(effects)] == [Trust.RESYNC]
    assert counted(effects) == ["resyncs"]
    drive.frame(bbo(time=drive.time))
    for _ in range(10):
        drive.flow(0.5, "ETH")
        assert books(drive.frame(book(time=drive.time, asks=[]))) == []
    drive.frame({"channel": "pong"})
    drive.flow(1.5, "BTC", "ETH")
    assert drive.trust == {"BTC-PERP": Trust.LIVE, "ETH-PERP": Trust.LIVE}


def test_a_book_without_a_side_is_believed_when_the_quote_says_the_same() -> None:
    drive = Drive().live()
    drive.frame(bbo(ask=None))
    [event] = events(drive.frame(book(asks=[])), Book)
    assert (event.trust, event.ask_px) == (Trust.LIVE, [])


def test_a_book_without_a_side_is_believed_when_it_lasts_and_nothing_says_otherwise() -> None:
    drive = Drive("BTC-PERP").ready()
    seen = []
    for _ in range(8):
        seen.append(len(events(drive.frame(book(time=drive.time, bids=[], asks=[])), Book)))
        drive.wait(0.5)
    assert seen == [0, 0, 0, 0, 0, 0, 1, 1]
    assert drive.trust["BTC-PERP"] is Trust.LIVE
    assert counted(drive.all).count("resyncs") == 1


def test_without_a_quote_nothing_is_compared() -> None:
    drive = Drive().live()
    drive.frame(bbo(time=TIME + 100))
    assert events(drive.flow(3, "BTC", "ETH"), Check) != []
    assert events(Drive().live().flow(3, "BTC", "ETH"), Check) == []
