"""The RPC transport: requests, replies, one sequence for all, one market started over alone."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bus.events import Bbo, Funding, Reason, Stats, Trade, Trust
from connectors.effects import Note, Open, Reconnect, Send
from connectors.extended import spec
from connectors.extended.wires import Wires, patience
from tests.connectors.extended.drive import (
    BBO,
    BIDS,
    FUNDING,
    INDEX,
    MARK,
    NOT_LISTED,
    RPC,
    T0,
    Drive,
    S,
    changes,
    row,
)

ACK = {"result": {"method": "subscribe", "status": "OK", "subscription": "orderbooks.BTC-USD"}}

UNSUBSCRIBED = {"result": {"method": "unsubscribe", "status": "OK"}}


def rpc(markets: tuple[str, ...] = ("BTC-PERP",)) -> Drive:
    """An RPC connection that is up, with its market confirmed."""
    drive = Drive("v2", markets).listed()
    return drive.acked()


def live() -> Drive:
    """The same with a live book."""
    drive = rpc()
    drive.snapshot()
    drive.wait(0.25)
    assert drive.trust() is Trust.LIVE
    return drive


def scopes(sent: list[dict[str, Any]]) -> list[str]:
    """What requests are about."""
    return [f"{request['method']} {request['params']['scope']}" for request in sent]


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
    drive = rpc()
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


def test_a_request_answered_by_silence_is_repeated_once_and_then_the_connection_is_given_up() -> None:
    drive = Drive("v2").listed()
    drive.acked(but="trades.BTC-USD")
    drive.snapshot()
    for _ in range(49):
        drive.wait(0.1)
        drive.delta()
    assert drive.notes() == []
    drive.wait(0.1)
    assert scopes(drive.sent[-1:]) == ["subscribe trades"]
    assert drive.trust() is Trust.LIVE
    for _ in range(49):
        drive.delta()
        drive.wait(0.1)
    drive.wait(0.2)
    assert drive.reasons() == [(RPC, Reason.ACK_TIMEOUT)]


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
    drive = live()
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
    for _ in range(130):
        drive.delta()
        drive.wait(5.0)
        drive.acked()
        if drive.pending("markets"):
            break
    drive.answer("markets", row())
    assert scopes(drive.sent[before:]).count("subscribe trades") == 1, "with the next look at the market list"


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
    drive = live()
    drive.raw(RPC, b'{"id":"999","result":{"method":"ping","status":"OK"},"jsonrpc":"2.0"}')
    assert drive.counted("ignored_frames") == 1
    assert drive.reasons() == []


def test_an_error_without_a_request_ends_the_connection() -> None:
    drive = live()
    drive.raw(RPC, b'{"id":null,"error":{"code":-32700,"message":"Parse error"},"jsonrpc":"2.0"}')
    assert drive.reasons() == [(RPC, Reason.SUBSCRIBE_ERROR)]


# Data


def test_every_topic_counts_in_one_sequence_from_zero() -> None:
    drive = rpc()
    drive.snapshot()
    drive.trade(1, 2)
    drive.frame(MARK, "PRICES.MP", {"m": "BTC-USD", "p": "84058.473541750005", "ts": 0})
    drive.frame(INDEX, "PRICES.IP", {"m": "BTC-USD", "p": "84105.013533499994", "ts": T0})
    drive.frame(FUNDING, "FUNDING_RATES", {"m": "BTC-USD", "f": "0.000013", "T": T0})
    drive.snapshot(BIDS[:1], [], conn=BBO)
    drive.trade(3)
    drive.wait(0.25)
    drive.delta(changes(("84077", "0.1", "0.51547")))
    assert [trade.history for trade in drive.of(Trade)] == [True, True, False]
    assert (len(drive.of(Stats)), len(drive.of(Funding)), len(drive.of(Bbo))) == (2, 1, 1)
    assert drive.trust() is Trust.LIVE
    assert drive.reasons() == []


def test_data_before_its_acknowledgement_is_as_good() -> None:
    drive = Drive("v2").listed()
    drive.snapshot()
    drive.acked()
    drive.wait(0.25)
    assert drive.trust() is Trust.LIVE


def test_a_gap_of_the_one_sequence_invalidates_every_book_first() -> None:
    drive = live()
    drive.quote()
    drive.seqs[RPC] += 1
    effects = drive.trade(1)
    assert isinstance(effects[-2], Reconnect)
    assert drive.trust() is Trust.RESYNC
    assert drive.quote_trust() is Trust.RESYNC
    assert drive.reasons() == [(RPC, Reason.SEQ_GAP)]


def test_fresh_stamps_on_a_replay_deceive_nobody() -> None:
    drive = rpc()
    drive.frame(MARK, "PRICES.MP", {"m": "BTC-USD", "p": "84058", "ts": 0})
    drive.frame(MARK, "PRICES.MP", {"m": "BTC-USD", "p": "84058", "ts": 0})
    drive.snapshot()
    for _ in range(300):
        drive.wait(0.001)
        drive.delta(changes(("84073", "1", "1")))
    assert drive.book_events == []
    drive.wait(0.1)
    drive.delta()
    assert drive.book_events == []
    drive.wait(0.1)
    drive.delta()
    assert drive.trust() is Trust.LIVE


def test_an_unreadable_frame_may_have_been_anyones() -> None:
    drive = live()
    drive.raw(RPC, b"{")
    assert drive.trust() is Trust.RESYNC
    assert drive.reasons() == [(RPC, Reason.PARSE_ERROR)]


def test_a_stream_never_asked_for_is_unknown_but_counts() -> None:
    drive = live()
    drive.frame("orderbooks.DOGE-USD", "ORDERBOOKS.DELTA", {"m": "DOGE-USD", "b": [], "a": []})
    drive.frame("candles.BTC-USD", None, {})
    drive.delta()
    assert drive.counted("unknown_frames") == 2
    assert drive.reasons() == []


# One market alone


def test_a_book_that_went_wrong_is_asked_for_again_on_the_same_connection() -> None:
    drive = live()
    drive.quote()
    effects = drive.delta([{"p": "84077", "q": "0.1"}])
    assert drive.trust() is Trust.RESYNC
    assert drive.quote_trust() is Trust.LIVE
    assert drive.counted("resyncs") == 1
    assert scopes([json.loads(send.text) for send in drive.of(Send, effects)]) == ["subscribe orderbooks"]
    drive.delta(changes(("84077", "0.1", "0.51547")))
    assert drive.counted("ignored_frames") == 1
    drive.reply(ACK)
    drive.snapshot(BIDS[:1])
    drive.wait(0.25)
    assert drive.trust() is Trust.LIVE
    assert drive.held()[0] == {84077.0: 0.41547}
    assert drive.reasons() == []


def test_a_book_that_goes_wrong_again_at_once_costs_the_connection() -> None:
    drive = live()
    for _ in range(2):
        drive.delta([{"p": "84077", "q": "0.1"}])
        drive.reply(ACK)
        drive.snapshot()
        drive.wait(0.25)
    assert drive.reasons() == [(RPC, Reason.PARSE_ERROR)]


def test_a_snapshot_that_was_asked_for_and_does_not_come_costs_the_connection() -> None:
    drive = live()
    drive.delta([{"p": "84077", "q": "0.1"}])
    drive.reply(ACK)
    for _ in range(101):
        drive.wait(0.1)
        drive.quote()
    assert drive.reasons() == [(RPC, Reason.SNAPSHOT_TIMEOUT)]


def test_a_delta_before_the_first_snapshot_is_no_leftover() -> None:
    drive = rpc()
    drive.delta()
    assert drive.counted("resyncs") == 1


def test_a_dead_book_is_asked_for_again_while_the_connection_lives_on() -> None:
    drive = live()
    drive.wait(14.8)
    assert drive.trust() is Trust.STALE
    assert drive.counted("resyncs") == 1
    assert drive.reasons() == []


def test_a_closed_connection_takes_everything_with_it() -> None:
    drive = live()
    drive.quote()
    drive.close(RPC)
    assert drive.trust() is Trust.STALE
    assert drive.quote_trust() is Trust.STALE
    drive.open(RPC)
    assert len(drive.sent) == 2 * len(spec.KINDS)


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
