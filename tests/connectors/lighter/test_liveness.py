"""How Lighter's protocol tells quiet from dead, finds what is missing, and has REST stand in."""

from __future__ import annotations

import pytest

from bus.events import Bbo, Book, Delta, Reason, Source, Trust
from tests.connectors.drive import books, counted, events, notes, reasons, rejected
from tests.connectors.lighter.venue import BIDS, Drive, diff, orders, sent, snapshot, stats, ticker


def test_no_snapshot_at_all_ends_the_connection() -> None:
    drive = Drive().ready()
    drive.wait(5)
    assert reasons(drive.all) == [Reason.SNAPSHOT_TIMEOUT]


def test_one_snapshot_that_does_not_come_is_asked_for_anew_without_disturbing_the_others() -> None:
    drive = Drive().ready()
    drive.first(0)
    effects = drive.flow(5.5, 0)
    assert sent(effects) == ["unsubscribe order_book/1", "subscribe order_book/1"]
    assert reasons(effects) == []
    drive.first(1)
    assert set(drive.trust.values()) == {Trust.LIVE}


def quiet() -> Drive:
    """A drive whose BTC book has been silent for half its threshold while ETH moved."""
    drive = Drive(stale_ms=10_000).live()
    drive.flow(5.4, 0)
    return drive


def test_a_silent_book_is_compared_with_rest_before_it_is_stale() -> None:
    drive = quiet()
    [call] = drive.calls("probe")
    assert call.url == "https://mainnet.zklighter.elliot.ai/api/v1/orderBookOrders"
    assert (call.market, call.params) == ("BTC-PERP", (("market_id", "1"), ("limit", "250")))


def test_a_quiet_book_is_confirmed_and_never_stale() -> None:
    drive = quiet()
    for tries in range(1, 10):
        effects = drive.answer(drive.calls("probe")[-1], orders())
        [event] = events(effects, Delta)
        assert (event.trust, event.bid_px, event.venue_seq) == (Trust.LIVE, [], drive.nonces[1])
        drive.flow(5.5, 0)
        assert len(drive.calls("probe")) == tries + 1
    assert {event.trust for event in books(drive.all)} == {Trust.LIVE}
    assert "resyncs" not in counted(drive.all)


def test_orders_of_one_price_are_one_level() -> None:
    drive = quiet()
    split = [("83134.7", "0.30000"), ("83134.7", "0.20000"), BIDS[1]]
    assert len(events(drive.answer(drive.calls("probe")[-1], orders(bids=split)), Delta)) == 1


def test_a_side_cut_at_the_limit_is_compared_as_far_as_it_is_whole() -> None:
    drive = Drive().ready()
    drive.first(0)
    bids = [(f"{83134 - n / 10:.1f}", "1.00000") for n in range(300)]
    drive.frame(snapshot(bids=bids))
    drive.flow(5.4, 0)
    cut = [*bids[:249], ("83109.1", "0.5")]
    assert len(events(drive.answer(drive.calls("probe")[-1], orders(bids=cut)), Delta)) == 1


OTHER = [
    orders(bids=[("83134.7", "0.40000"), BIDS[1]]),
    orders(bids=[("83134.8", "0.50000"), *BIDS]),
    orders(bids=BIDS[:1]),
    orders(bids=[], asks=[]),
    {"code": 200, "asks": None, "bids": None},
]


@pytest.mark.parametrize("body", OTHER)
def test_a_book_that_rest_contradicts_twice_without_a_frame_between_is_rebuilt(body: object) -> None:
    drive = quiet()
    effects = drive.answer(drive.calls("probe")[-1], body)
    assert (books(effects), len(drive.calls("probe"))) == ([], 2)
    effects = drive.answer(drive.calls("probe")[-1], body)
    assert [event.trust for event in events(effects, Delta)] == [Trust.RESYNC]
    assert sent(effects) == ["unsubscribe order_book/1", "subscribe order_book/1"]


def test_a_book_that_moves_while_rest_is_asked_is_not_judged() -> None:
    drive = quiet()
    call = drive.calls("probe")[-1]
    drive.tick(1)
    assert counted(drive.answer(call, OTHER[0])) == ["ignored_frames"]
    assert drive.trust["BTC-PERP"] is Trust.LIVE


@pytest.mark.parametrize(("status", "body"), [(500, b""), (None, b""), (200, b"<html>")])
def test_without_an_answer_the_silent_book_is_stale_at_its_threshold_and_asked_for_anew(
    status: int | None, body: bytes
) -> None:
    drive = quiet()
    drive.answer(drive.calls("probe")[-1], body, status)
    drive.flow(4.4, 0)
    assert drive.trust["BTC-PERP"] is Trust.LIVE
    effects = drive.flow(0.5, 0)
    assert [event.trust for event in events(effects, Delta) if event.trust is not Trust.LIVE] == [Trust.STALE]
    assert "unsubscribe order_book/1" in sent(effects)
    assert reasons(drive.all) == []


def test_silence_of_everything_ends_the_connection_at_the_threshold() -> None:
    drive = Drive(stale_ms=10_000).live()
    drive.wait(9.99)
    assert set(drive.trust.values()) == {Trust.LIVE}
    effects = drive.wait(0.02)
    assert reasons(effects) == [Reason.STALE_WATCHDOG]
    assert [event.trust for event in events(effects, Delta)] == [Trust.STALE, Trust.STALE]
    assert [event.trust for event in events(effects, Bbo)] == [Trust.STALE, Trust.STALE]


def test_with_a_short_threshold_silence_is_stale_without_a_probe() -> None:
    drive = Drive(stale_ms=3_000).live()
    drive.flow(3.5, 0)
    assert drive.calls("probe") == []
    assert drive.trust["BTC-PERP"] is Trust.STALE


def test_a_market_that_stays_dead_is_asked_for_again_and_again_and_never_costs_the_others_their_connection() -> None:
    drive = Drive(stale_ms=10_000).live()
    effects = drive.flow(99, 0)
    assert reasons(effects) == []
    assert 15 <= counted(effects).count("resyncs") <= 25
    assert drive.trust == {"BTC-PERP": Trust.STALE, "ETH-PERP": Trust.LIVE}


def test_when_rest_moves_on_and_nothing_comes_at_all_the_connection_is_left() -> None:
    drive = Drive(stale_ms=10_000).live()
    drive.wait(5.5)
    drive.answer(drive.calls("probe")[0], OTHER[0])
    effects = drive.answer(drive.calls("probe")[-1], OTHER[0])
    assert reasons(effects) == [Reason.STALE_WATCHDOG]
    assert set(drive.trust.values()) == {Trust.STALE}


def test_figures_that_fall_silent_are_asked_for_anew() -> None:
    drive = Drive("ETH-PERP").ready()
    drive.first(0)
    for _ in range(61):
        drive.wait(1)
        drive.tick(0)
        drive.frame({"type": "pong"})
    assert sent(drive.all)[-2:] == ["unsubscribe market_stats/0", "subscribe market_stats/0"]


# -- keepalive


def test_a_ping_goes_out_every_interval_and_a_pong_settles_it() -> None:
    drive = Drive(ping_interval_ms=15_000).live()
    assert sent(drive.flow(60.5, 0, 1)) == ["ping"] * 4
    assert reasons(drive.all) == []


def test_two_pings_unanswered_end_the_connection() -> None:
    drive = Drive(ping_interval_ms=15_000).live()
    while not reasons(drive.all) and drive.s < 60:
        drive.wait(0.5)
        drive.tick(0, 1)
    assert reasons(drive.all) == [Reason.PONG_TIMEOUT]
    assert drive.s == pytest.approx(40.0)


# -- REST stands in


def fallen() -> Drive:
    drive = Drive().live()
    drive.close()
    drive.wait(2.1)
    return drive


def test_a_rest_book_stands_in_and_is_marked_as_such() -> None:
    drive = fallen()
    [first, _] = drive.calls("book")
    [event] = events(drive.answer(first, orders()), Book)
    assert (event.trust, event.source, event.depth, event.venue_ns) == (Trust.REST, Source.REST, 250, None)
    assert (event.bid_px, event.ask_sz) == ([83134.7, 83130.0], [0.73085, 2.0])
    assert counted(drive.all)[-1] == "rest_books"


def test_rest_is_asked_within_its_budget_and_not_any_more_when_the_stream_is_back() -> None:
    drive = fallen()
    answered = 0
    for _ in range(60):
        for call in drive.calls("book")[answered:]:
            drive.answer(call, orders())
            answered += 1
        drive.wait(1)
    assert 30 <= len(drive.calls("book")) <= 40
    drive.open()
    drive.first(0)
    drive.first(1)
    assert [event.trust for event in events(drive.all, Book)][-2:] == [Trust.LIVE, Trust.LIVE]
    asked = len(drive.calls("book"))
    drive.flow(20, 0, 1)
    assert len(drive.calls("book")) == asked


def test_a_rest_book_is_no_base_for_differences() -> None:
    drive = fallen()
    drive.answer(drive.calls("book")[0], orders())
    drive.open()
    assert counted(drive.frame(diff(drive.nonces[1], drive.nonces[1] + 1))) == ["ignored_frames"]
    assert drive.trust["BTC-PERP"] is Trust.REST


def test_a_rest_book_without_any_order_is_not_a_market() -> None:
    drive = fallen()
    effects = drive.answer(drive.calls("book")[0], orders([], []))
    assert (books(effects), notes(effects)) == ([], ["rest_book_empty"])


def test_an_impossible_rest_book_is_rejected() -> None:
    drive = fallen()
    effects = drive.answer(drive.calls("book")[0], orders(asks=[("83136.4", "-1")]))
    assert len(rejected(effects)) == 1
    assert books(effects) == []


def test_a_rest_book_that_grows_old_is_taken_back() -> None:
    drive = fallen()
    drive.answer(drive.calls("book")[0], orders())
    drive.wait(10.1)
    assert drive.trust["BTC-PERP"] is Trust.STALE


def test_an_answer_for_a_market_that_is_gone_changes_nothing() -> None:
    drive = fallen()
    call = drive.calls("book")[0]
    drive.wait(600)
    drive.listed({"symbol": "X"})
    assert drive.answer(call, orders()) == []
    assert drive.frame(ticker()) != []


def test_differences_that_begin_after_a_silence_show_that_the_snapshot_was_lost_in_it() -> None:
    drive = Drive().ready()
    drive.first(0)
    drive.flow(1.5, 0)
    effects = drive.frame(diff(10, 9))
    assert sent(effects) == ["unsubscribe order_book/1", "subscribe order_book/1"]
    assert sent(drive.frame(diff(11, 10))) == []
    drive.first(1)
    assert drive.trust["BTC-PERP"] is Trust.LIVE


def test_differences_before_a_late_snapshot_are_only_early() -> None:
    drive = Drive().ready()
    drive.first(0)
    drive.frame(diff(10, 9))
    drive.flow(2.0, 0)
    assert sent(drive.frame(diff(11, 10))) == []


def test_trades_that_the_volume_shows_and_nobody_sent_are_asked_for_anew() -> None:
    drive = Drive().live()
    before = len(drive.all)
    for number in range(18):
        drive.flow(1, 0, 1)
        drive.frame(stats(daily_base_token_volume=100.0 + number))
    found = [text for text in sent(drive.all[before:]) if "trade" in text]
    assert found == ["unsubscribe trade/1", "subscribe trade/1"]
    assert notes(drive.all).count("stream_dead") == 1
