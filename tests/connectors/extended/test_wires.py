"""The RPC transport: requests, replies, and how long each stream may take."""

from __future__ import annotations

import json

import pytest

from bus.events import Reason, Trust
from connectors.effects import Note, Open
from connectors.extended import spec
from connectors.extended.wires import Wires, patience
from tests.connectors.extended.drive import (
    NOT_LISTED,
    RPC,
    Drive,
    S,
    row,
    scopes,
)

UNSUBSCRIBED = {"result": {"method": "unsubscribe", "status": "OK"}}


# Requests


def test_one_connection_is_opened_at_once_and_the_likely_books_are_asked_for_first() -> None:
    drive = Drive("v2", ("BTC-PERP", "ETH-PERP"))
    (wish,) = drive.of(Open, drive.start())
    assert (wish.conn, wish.url) == (
        RPC,
        "wss://api.starknet.extended.exchange/stream.extended.exchange/v2/rpc",
    )
    assert wish.headers["User-Agent"]
    drive.open(RPC)
    assert drive.sent == [
        {
            "method": "subscribe",
            "id": str(number),
            "jsonrpc": "2.0",
            "params": {"scope": "orderbooks", "selector": {"market": market, "depth": "full", "rfqOnly": False}},
        }
        for number, market in ((1, "BTC-USD"), (2, "ETH-USD"))
    ]


def test_a_confirmed_market_is_subscribed_to_in_full() -> None:
    drive = Drive("v2").listed().acked()
    assert [request["params"] for request in drive.sent[1:]] == [
        {"scope": "orderbooks", "selector": {"market": "BTC-USD", "depth": "1", "rfqOnly": False}},
        {"scope": "trades", "selector": {"market": "BTC-USD"}},
        {"scope": "prices", "selector": {"type": "mark", "market": "BTC-USD"}},
        {"scope": "prices", "selector": {"type": "index", "market": "BTC-USD"}},
        {"scope": "funding-rates", "selector": {"market": "BTC-USD"}},
    ]
    assert len({request["id"] for request in drive.sent}) == 6


def test_a_market_confirmed_before_the_connection_is_up_is_subscribed_to_when_it_is() -> None:
    drive = Drive("v2")
    drive.start()
    drive.answer("markets", row())
    assert drive.sent == []
    drive.open(RPC)
    assert scopes(drive.sent) == [
        "subscribe orderbooks",
        "subscribe orderbooks",
        "subscribe trades",
        "subscribe prices",
        "subscribe prices",
        "subscribe funding-rates",
    ]


def test_an_unlisted_market_is_unsubscribed_with_the_very_parameters_of_its_request() -> None:
    drive = Drive("v2", ("FOO-PERP",))
    drive.start()
    drive.open(RPC)
    drive.answer("markets", NOT_LISTED, 404, "FOO-PERP")
    first, second = drive.sent
    assert (second["method"], second["params"]) == ("unsubscribe", first["params"])
    assert drive.reply(UNSUBSCRIBED, "unsubscribe", "FOO-USD")
    drive.frame("orderbooks.FOO-USD", "ORDERBOOKS.DELTA", {"m": "FOO-USD", "b": [], "a": []})
    assert drive.counted("unknown_frames") == 1
    assert drive.reasons() == []


def test_an_unlisted_market_is_simply_forgotten_while_the_connection_is_down() -> None:
    drive = Drive("v2", ("FOO-PERP",))
    drive.start()
    drive.answer("markets", NOT_LISTED, 404, "FOO-PERP")
    drive.open(RPC)
    assert drive.sent == []


def test_an_unsubscription_confirmed_late_does_not_acknowledge_the_next_subscription() -> None:
    drive = Drive("v2", ("FOO-PERP",))
    drive.start()
    drive.open(RPC)
    drive.answer("markets", NOT_LISTED, 404, "FOO-PERP")
    drive.wait(1.0)
    drive.answer("markets", row(name="FOO-USD"), market="FOO-PERP")
    drive.reply(UNSUBSCRIBED, "unsubscribe", "FOO-USD")
    assert drive.counted("ignored_frames") == 1
    drive.wait(10.0)
    assert "stream_renewed" in drive.notes()


# Replies


def test_a_book_whose_request_is_answered_by_silence_is_asked_for_again_and_then_costs_the_connection() -> None:
    drive = Drive("v2").listed()
    drive.acked(but="orderbooks.BTC-USD")
    drive.wait(4.9)
    assert drive.notes() == []
    drive.wait(0.1)
    assert scopes(drive.sent[-1:]) == ["subscribe orderbooks"]
    drive.wait(5.0)
    assert drive.reasons() == [(RPC, Reason.ACK_TIMEOUT)]


def test_a_lesser_stream_costs_live_books_their_connection_only_after_many_requests() -> None:
    drive = Drive("v2").listed()
    drive.acked(but="trades.BTC-USD")
    drive.snapshot()
    for _ in range(7 * 49):
        drive.wait(0.1)
        drive.delta()
        assert drive.reasons() == []
    assert drive.notes() == ["stream_renewed"]
    assert scopes(drive.sent).count("subscribe trades") == 1 + spec.RENEWALS
    drive.wait(1.0)
    assert drive.reasons() == [(RPC, Reason.ACK_TIMEOUT)]


def test_data_makes_up_for_requests_in_vain() -> None:
    drive = Drive("v2").listed()
    drive.acked(but="trades.BTC-USD")
    drive.snapshot()
    for second in range(60):
        drive.wait(1.0)
        drive.delta()
        if second == 20:
            drive.trade(1)
    assert drive.reasons() == []


def test_a_connection_is_given_up_once_however_many_requests_go_unanswered() -> None:
    drive = Drive("v2").listed()
    drive.wait(5.0)
    assert drive.notes() == ["stream_renewed"] * len(spec.KINDS)
    drive.wait(5.0)
    assert drive.reasons() == [(RPC, Reason.ACK_TIMEOUT)]


def test_silence_on_a_market_that_nobody_has_confirmed_harms_no_one() -> None:
    drive = Drive("v2")
    drive.start()
    drive.open(RPC)
    drive.wait(60.0)
    assert drive.reasons() == []
    drive.answer("markets", row())
    assert len(scopes(drive.sent)) == 1 + len(spec.KINDS)


@pytest.mark.parametrize("code", sorted(spec.V2_PERMANENT))
def test_a_lasting_refusal_is_loud_and_costs_only_that_stream(code: int) -> None:
    drive = Drive("v2").live()
    drive.close(RPC)
    drive.sent.clear()
    drive.open(RPC)
    refused = next(sent for sent in drive.sent if sent["params"]["scope"] == "trades")
    error = {"code": code, "message": "Invalid params"}
    effects = drive.raw(RPC, json.dumps({"id": refused["id"], "error": error, "jsonrpc": "2.0"}).encode())
    assert [(note.level, note.event) for note in drive.of(Note, effects)] == [("error", "subscription_refused")]
    drive.acked()
    drive.snapshot()
    drive.wait(0.25)
    assert drive.trust() is Trust.LIVE
    before = len(drive.sent)
    drive.wait(2.7)
    assert drive.pending("markets") == []
    drive.wait(0.1)
    drive.answer("markets", row())
    assert scopes(drive.sent[before:]) == ["subscribe trades"]


@pytest.mark.parametrize(
    "answer",
    [
        {"error": {"code": -32603, "message": "Internal error"}},
        {"error": {"code": -32700, "message": "Parse error"}},
        {"error": "busy"},
        {"result": {"method": "subscribe", "status": "ERROR"}},
        {"result": {"method": "subscribe", "status": "OK", "subscription": "trades.ETH-USD"}},
        {},
    ],
    ids=str,
)
def test_a_passing_refusal_or_a_wrong_answer_ends_the_connection(answer: dict[str, object]) -> None:
    drive = Drive("v2").listed()
    drive.reply(answer)
    assert drive.reasons() == [(RPC, Reason.SUBSCRIBE_ERROR)]


def test_a_reply_to_nothing_is_counted() -> None:
    drive = Drive("v2").live()
    drive.raw(RPC, b'{"id":"999","result":{"method":"ping","status":"OK"},"jsonrpc":"2.0"}')
    assert drive.counted("ignored_frames") == 1
    assert drive.reasons() == []


def test_an_error_without_a_request_ends_the_connection() -> None:
    drive = Drive("v2").live()
    drive.raw(RPC, b'{"id":null,"error":{"code":-32700,"message":"Parse error"},"jsonrpc":"2.0"}')
    assert drive.reasons() == [(RPC, Reason.SUBSCRIBE_ERROR)]


# Deadlines


def test_a_book_is_looked_at_when_half_its_patience_is_over_if_that_can_tell_anything() -> None:
    assert patience(15 * S, None)[spec.BOOK].silence_ns == 15 * S // 2
    assert patience(5 * S, None)[spec.BOOK].silence_ns == 5 * S


def test_trades_and_funding_may_be_silent_for_ever() -> None:
    for kind in (spec.TRADE, spec.FUNDING):
        found = patience(15 * S, None)[kind]
        assert (found.first_ns, found.silence_ns) == (None, None)


def test_path_streams_are_asked_for_by_no_message() -> None:
    drive = Drive().listed()
    assert not Wires(drive.settings).v2
    assert drive.sent == []
