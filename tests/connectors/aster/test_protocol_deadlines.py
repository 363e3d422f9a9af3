"""What is due from streams and connections, and what is done when it does not come."""

from __future__ import annotations

import pytest

from bus.events import Book, Reason, Trust
from connectors.effects import Ping, Reconnect, Refusal, Send
from tests.connectors.aster.venue import (
    BTC,
    Desk,
    counted,
    depth,
    listing,
    mark,
    only,
    reasons,
    sent,
    snapshot,
    ticker,
)

ETH = "ETH-PERP"


def test_a_subscription_without_ack_or_data_ends_the_connection() -> None:
    desk = Desk(marks=False)
    desk.acks = False
    desk.ready()
    assert reasons(desk.wait(4.9)) == []
    assert reasons(desk.wait(0.2))[:1] == [Reason.ACK_TIMEOUT]


def test_data_of_one_stream_shows_that_the_connection_serves_even_without_acks() -> None:
    desk = Desk()
    desk.acks = False
    desk.ready()
    desk.frame(depth(1_000, 900))
    desk.answer("book", snapshot(1_000))
    assert reasons(desk.flow(30.0)) == []


def test_a_dead_mark_price_is_subscribed_anew_alone() -> None:
    desk = Desk(marks=False)
    desk.live()
    desk.frame(mark())
    u = 1_000
    for _ in range(99):
        u += 100
        desk.wait(0.1)
        desk.frame(depth(u, u - 100))
    effects = desk.wait(0.2)
    assert [each["params"] for each in sent(effects)] == [["btcusdt@markPrice@1s"]] * 2
    assert reasons(desk.log) == []


def test_pings_are_sent_and_a_missing_pong_ends_the_connection() -> None:
    desk = Desk()
    desk.live()
    assert [each.conn for each in only(desk.flow(31.0), Ping)] == ["main", "main"]
    desk.pongs = False
    assert reasons(desk.flow(23.5)) == []
    assert reasons(desk.flow(1.0)) == [Reason.PONG_TIMEOUT]


def test_a_closed_connection_takes_its_books_and_quotes_with_it() -> None:
    desk = Desk()
    desk.live()
    desk.frame(ticker(1_000))
    desk.close()
    assert desk.trust[BTC] is Trust.STALE
    assert desk.quotes[BTC].trust is Trust.STALE
    desk.open()
    desk.frame(depth(9_000, 8_900))
    effects = desk.answer("book", snapshot(8_950))
    assert only(effects, Book)[0].rebuild == 2


def test_a_refused_attempt_is_the_engines_to_repeat() -> None:
    assert Desk().protocol.refused("main", Refusal(Reason.CONNECT_ERROR, "refused"), Desk().now) == []


def test_a_connection_by_which_no_book_comes_is_left_ever_more_rarely() -> None:
    desk = Desk()
    desk.ready()
    gaps: list[int] = []
    last = desk.mono
    u = 0
    while len(gaps) < 7:
        u += 100
        desk.frame(depth(u + 100, u))
        effects = desk.wait(1.0)
        for fetch in list(desk.pending):
            if fetch.name == "book":
                desk.answer("book", b"<html>", 503)
        if only(effects, Reconnect):
            assert reasons(effects) == [Reason.SNAPSHOT_TIMEOUT]
            gaps.append(round((desk.mono - last) / 1e9))
            last = desk.mono
            desk.open()
    assert gaps == [pytest.approx(each, abs=2) for each in (10, 20, 40, 80, 160, 320, 320)]


def test_while_one_book_lives_another_that_gets_no_snapshot_costs_no_connection() -> None:
    desk = Desk(BTC, ETH)
    desk.live()
    u = 1_000
    for _ in range(300):
        u += 100
        desk.frame(depth(u, u - 100))
        desk.frame(depth(u, u - 100, (), (), "ETHUSDT"))
        desk.wait(0.1)
        if desk.asked("book", ETH):
            desk.answer("book", b"", 503, ETH)
    assert reasons(desk.log) == []
    assert desk.trust == {BTC: Trust.LIVE}


def test_a_quiet_connection_without_books_is_not_left() -> None:
    desk = Desk()
    desk.ready()
    for _ in range(30):
        desk.wait(1.0)
        if desk.asked("book"):
            desk.answer("book", snapshot(1_000))
    assert reasons(desk.log) == []
    assert desk.trust[BTC] is Trust.REST


def test_a_market_that_stays_dead_is_asked_for_again_and_again_and_never_costs_the_others_their_connection() -> None:
    desk = Desk(BTC, ETH)
    desk.ready()
    u = 0
    for step in range(200):
        u += 100
        desk.frame(depth(u, u - 100, (), (), "ETHUSDT"))
        desk.wait(0.5)
        for market in (BTC, ETH):
            if desk.asked("book", market):
                # REST shows that BTC moves; the stream says nothing.
                desk.answer("book", snapshot(u, [(100.0, 1.0 + step)]) if market == BTC else snapshot(u), market=market)
    assert reasons(desk.log) == []
    asked = [frame["params"] for frame in sent(desk.log) if frame["method"] == "SUBSCRIBE"]
    assert asked.count(["btcusdt@depth@100ms"]) >= 5
    assert desk.trust == {BTC: Trust.REST, ETH: Trust.LIVE}


def test_every_connection_is_mended_alone() -> None:
    markets = [BTC, *(f"A{number}-PERP" for number in range(49)), ETH]
    desk = Desk(*markets)
    desk.start()
    desk.open()
    desk.open("main2")
    desk.answer("markets", listing())
    desk.frame(depth(1_000, 900))
    desk.answer("book", snapshot(1_000), market=BTC)
    desk.frame(depth(1_000, 900, (), (), "ETHUSDT"), "main2")
    desk.answer("book", snapshot(1_000), market=ETH)
    desk.close("main2")
    assert (desk.trust[BTC], desk.trust[ETH]) == (Trust.LIVE, Trust.STALE)


def test_unanswered_requests_of_a_lost_connection_are_forgotten() -> None:
    desk = Desk()
    desk.acks = False
    desk.ready()
    desk.close()
    (send,) = only(desk.open(), Send)
    assert send.conn == "main"
    assert counted(desk.control(result=None, id=1)) == {"ignored_frames": 1}
    assert desk.control(result=None, id=2) == []
