"""Discovery, subscriptions, control frames, deadlines and remedies of the whole venue."""

from __future__ import annotations

import pytest

from bus.events import Instrument, Reason, Trust
from connectors.aster.protocol import protocol
from connectors.effects import Fetch, Open, Reject
from connectors.venue import load
from tests.connectors.aster.venue import (
    BTC,
    Desk,
    counted,
    depth,
    listing,
    notes,
    only,
    push,
    reasons,
    row,
    sent,
    snapshot,
    ticker,
    trade,
)

ETH, SOL = "ETH-PERP", "SOL-PERP"
STREAMS = ["depth@100ms", "bookTicker", "aggTrade", "markPrice@1s"]


def names(symbol: str) -> list[str]:
    return [f"{symbol}@{stream}" for stream in STREAMS]


def test_the_engine_finds_the_venue_by_its_name() -> None:
    spec, factory = load("aster")
    assert spec.venue == "aster"
    assert factory is protocol
    assert protocol(Desk().context).deadline is None


# -- start and discovery


def test_the_market_list_is_read_and_the_connection_opened_at_the_same_time() -> None:
    effects = Desk().start()
    assert [each.url for each in only(effects, Open)] == ["wss://fstream.asterdex.com/stream"]
    assert [each.url for each in only(effects, Fetch)] == ["https://fapi.asterdex.com/fapi/v3/exchangeInfo"]


def test_likely_symbols_are_subscribed_at_once_in_one_message_and_confirmed_by_the_list() -> None:
    desk = Desk(BTC, ETH)
    desk.start()
    (frame,) = sent(desk.open())
    assert frame == {"method": "SUBSCRIBE", "params": names("btcusdt") + names("ethusdt"), "id": 1}
    effects = desk.answer("markets", listing())
    assert [each.venue_symbol for each in only(effects, Instrument)] == ["BTCUSDT", "ETHUSDT"]
    assert sent(effects) == []


def test_a_symbol_that_is_another_than_likely_replaces_it() -> None:
    desk = Desk()
    desk.start()
    desk.open()
    effects = desk.answer("markets", listing(row("BTC", symbol="XBTUSDT")))
    assert [(each["method"], each["params"]) for each in sent(effects)] == [
        ("UNSUBSCRIBE", names("btcusdt")),
        ("SUBSCRIBE", names("xbtusdt")),
    ]
    # A frame that was on its way is no mystery; one of a stream that nobody asked for is, once.
    assert counted(desk.frame(trade(5))) == {"ignored_frames": 1}
    desk.frame(depth(1_000, 900, (), (), "XBTUSDT"))
    desk.answer("book", snapshot(1_000))
    assert desk.trust[BTC] is Trust.LIVE


def test_a_list_that_comes_before_the_connection_leaves_nothing_to_unsubscribe() -> None:
    desk = Desk(BTC, ETH)
    desk.start()
    effects = desk.answer("markets", listing(row("BTC", symbol="XBTUSDT")))
    assert sent(effects) == []
    assert [each["params"] for each in sent(desk.open())] == [names("xbtusdt")]


def test_a_market_that_is_not_listed_is_asked_for_every_minute_while_the_others_go_on() -> None:
    desk = Desk(BTC, SOL)
    desk.start()
    desk.open()
    effects = desk.answer("markets", listing(row("BTC")))
    assert notes(effects) == ["market_unavailable"]
    assert [(each["method"], each["params"]) for each in sent(effects)] == [("UNSUBSCRIBE", names("solusdt"))]
    desk.frame(depth(1_000, 900))
    desk.answer("book", snapshot(1_000))
    desk.flow(59.0)
    assert not desk.asked("markets")
    desk.flow(2.0)
    effects = desk.answer("markets", listing(row("BTC"), row("SOL")))
    assert [(each["method"], each["params"]) for each in sent(effects)] == [("SUBSCRIBE", names("solusdt"))]
    desk.flow(61.0)
    assert not desk.asked("markets")
    desk.wait(3_600.0)
    assert desk.asked("markets")


@pytest.mark.parametrize("status", ["PENDING_TRADING", "PRE_SETTLE", "SETTLING", "CLOSE", ""])
def test_a_market_that_stops_trading_is_invalidated_and_left(status: str) -> None:
    desk = Desk()
    desk.live()
    desk.frame(ticker(1_000))
    desk.flow(3_600.0)
    effects = desk.answer("markets", listing(row("BTC", status=status)))
    assert desk.trust[BTC] is Trust.STALE
    assert desk.quotes[BTC].trust is Trust.STALE
    assert "market_unavailable" in notes(effects)
    desk.wait(30.0)
    assert not desk.asked("book")
    desk.close()
    assert sent(desk.open()) == []


def test_a_live_market_that_is_missing_from_a_list_goes_on() -> None:
    desk = Desk()
    desk.live()
    desk.flow(3_600.0)
    assert notes(desk.answer("markets", listing(row("ETH")))) == []
    assert desk.trust[BTC] is Trust.LIVE


@pytest.mark.parametrize("body", [b"<html>", b'{"symbols":[]}', b'{"symbols":5}', b"[]", b""])
def test_discovery_is_tried_for_ever(body: bytes) -> None:
    desk = Desk()
    desk.start()
    desk.open()
    for wait in (0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0):
        assert len(only(desk.answer("markets", body), Reject)) == 1
        desk.wait(wait + 0.01)
        assert desk.asked("markets")
    assert reasons(desk.log) == []
    desk.pending = [fetch for fetch in desk.pending if fetch.cause != 1]
    desk.answer("markets", listing())
    desk.wait(1.0)
    desk.frame(depth(1_000, 900))
    desk.answer("book", snapshot(1_000))
    assert desk.trust[BTC] is Trust.LIVE


def test_an_instrument_is_published_again_only_when_it_changes() -> None:
    desk = Desk()
    desk.ready()
    desk.wait(3_601.0)
    assert only(desk.answer("markets", listing()), Instrument) == []
    desk.wait(3_601.0)
    other = [{"filterType": "PRICE_FILTER", "tickSize": "0.5"}]
    assert only(desk.answer("markets", listing(row("BTC", filters=other))), Instrument)[0].tick == "0.5"


def test_many_markets_are_spread_over_connections_of_two_hundred_streams() -> None:
    desk = Desk(*(f"A{number}-PERP" for number in range(120)))
    assert [each.conn for each in only(desk.start(), Open)] == ["main", "main2", "main3"]
    (frame,) = sent(desk.open("main3"))
    assert isinstance(frame["params"], list)
    assert len(frame["params"]) == 80
    assert desk.close("main2") == []


# -- frames


def test_data_may_come_before_the_ack_and_the_ack_by_any_number() -> None:
    desk = Desk()
    desk.acks = False
    desk.ready()
    desk.frame(depth(1_000, 900))
    assert desk.control(result=None, id=1) == []
    assert counted(desk.control(result=None, id=1)) == {"ignored_frames": 1}
    assert counted(desk.control(result=["btcusdt@aggTrade"], id=77)) == {"ignored_frames": 1}


@pytest.mark.parametrize(
    "shape",
    [{"code": 2, "msg": "bad"}, {"id": 1, "error": {"code": 2, "msg": "bad"}}, {"code": 2, "msg": "bad", "id": 1}],
)
def test_a_refused_subscription_is_loud_and_has_the_connection_opened_again(shape: dict[str, object]) -> None:
    desk = Desk()
    desk.acks = False
    desk.ready()
    effects = desk.control(**shape)
    assert "request_refused" in notes(effects)
    assert reasons(effects) == [Reason.SUBSCRIBE_ERROR]


def test_a_refusal_of_nothing_that_was_asked_is_only_noted() -> None:
    desk = Desk()
    desk.ready()
    for shape in ({"code": 3, "msg": "x"}, {"id": 99, "error": {"code": 2, "msg": "x"}}):
        effects = desk.control(**shape)
        assert notes(effects) == ["request_refused"]
        assert reasons(effects) == []


@pytest.mark.parametrize(
    "frame",
    [
        push("btcusdt@kline_1m", {"e": "kline", "E": 1}),
        push("dogeusdt@aggTrade", {"e": "aggTrade", "a": 1, "s": "DOGEUSDT", "p": "1", "q": "1", "T": 1, "m": True}),
        b"{}",
        b'{"stream":"dogeusdt@depth@100ms","data":5}',
    ],
)
def test_a_strange_frame_is_counted_and_noted_once(frame: bytes) -> None:
    desk = Desk()
    desk.live()
    assert notes(desk.frame(frame)) == ["unknown_frame"]
    effects = desk.frame(frame)
    assert notes(effects) == []
    assert counted(effects) == {"unknown_frames": 1}
    assert desk.trust[BTC] is Trust.LIVE


def test_notes_of_strange_frames_are_bounded() -> None:
    desk = Desk()
    desk.ready()
    for number in range(300):
        desk.frame(push(f"btcusdt@kline_{number}m", {"e": "kline"}))
    assert notes(desk.log).count("unknown_frame") == 100
    assert counted(desk.log)["unknown_frames"] == 300


@pytest.mark.parametrize("frame", [b"", b"\xff\xfe", b"null", b"[" * 50_000, b'{"a":' * 50_000, b'{"strea'])
def test_rubbish_is_rejected_and_the_book_stays(frame: bytes) -> None:
    desk = Desk()
    desk.live()
    (reject,) = desk.frame(frame)
    assert isinstance(reject, Reject)
    assert (reject.conn, reject.sample) == ("main", frame)
    assert desk.trust[BTC] is Trust.LIVE


@pytest.mark.parametrize(
    "frame",
    [
        depth(1_100, 1_000)[:-30],
        depth(1_100, 1_000, u="x"),
        depth(1_100, 1_000, u=2**63),
        depth(1_100, 1_000, b=[["1e999", "1"]]),
        depth(1_100, 1_000, s="ETHUSDT"),
        push("btcusdt@depth@100ms", {"e": "forceOrder"}),
        push("btcusdt@depth@100ms", {"e": "aggTrade", "a": 1, "s": "BTCUSDT", "p": "1", "q": "1", "T": 1, "m": True}),
        b'{"stream":"btcusdt@depth@100ms","data":{"e":"depthUpdate","s":"\xff"}}',
        b'{"stream":"btcusdt@depth@100ms","data":' + b'{"a":' * 50_000,
    ],
)
def test_a_bad_diff_invalidates_its_book_first_and_has_it_built_anew(frame: bytes) -> None:
    desk = Desk(BTC, ETH)
    desk.live()
    effects = desk.frame(frame)
    assert desk.trust[BTC] is Trust.RESYNC
    assert len(only(effects, Reject)) == 1
    assert desk.asked("book", BTC)
    desk.frame(depth(1_200, 1_100))
    desk.answer("book", snapshot(1_150), market=BTC)
    assert desk.trust[BTC] is Trust.LIVE
