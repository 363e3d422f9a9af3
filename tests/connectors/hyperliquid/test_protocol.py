"""Hyperliquid's protocol: discovery, subscribing, books and their remedies, in memory."""

from __future__ import annotations

import pytest

from bus.events import Bbo, Book, Delta, Instrument, Reason, Source, Trust
from connectors.effects import Count, Emit, Refusal, Send
from tests.connectors.drive import books, counted, events, notes, opens, reasons, rejected
from tests.connectors.hyperliquid.venue import (
    ASKS,
    ASSETS,
    BIDS,
    TIME,
    Drive,
    bbo,
    book,
    ctx,
    echo,
    sent,
    trade,
    trades,
)

# -- discovery


def test_the_start_reads_the_list_and_connects_side_by_side() -> None:
    drive = Drive()
    effects = drive.start()
    assert opens(effects) == ["wss://api.hyperliquid.xyz/ws"]
    [call] = drive.calls("markets")
    assert (call.method, call.url, call.json) == ("POST", "https://api.hyperliquid.xyz/info", {"type": "meta"})


def test_nothing_is_subscribed_before_the_list_is_known() -> None:
    drive = Drive()
    drive.start()
    assert sent(drive.open()) == []
    assert sent(drive.listed())[:3] == ["subscribe l2Book:BTC", "subscribe l2Book:ETH", "subscribe bbo:BTC"]


def test_a_list_that_comes_before_the_connection_is_used_when_it_opens() -> None:
    drive = Drive()
    drive.start()
    effects = drive.listed()
    assert sent(effects) == []
    assert [event.venue_symbol for event in events(effects, Instrument)] == ["BTC", "ETH"]
    assert len(sent(drive.open())) == 8


def test_the_book_is_asked_for_fast() -> None:
    drive = Drive("BTC-PERP")
    drive.start()
    drive.open()
    [text, *_] = [effect.text for effect in drive.listed() if isinstance(effect, Send)]
    assert text == '{"method":"subscribe","subscription":{"type":"l2Book","coin":"BTC","fast":true}}'


@pytest.mark.parametrize("market", ["MATIC-PERP", "NOSUCH-PERP"])
def test_a_market_that_cannot_be_traded_is_noted_and_the_others_go_on(market: str) -> None:
    drive = Drive(market, "BTC-PERP")
    drive.start()
    drive.open()
    effects = drive.listed()
    assert notes(effects) == ["market_unavailable"]
    assert {request.partition(":")[2] for request in sent(effects)} == {"BTC"}


def test_a_missing_market_is_looked_for_every_minute_and_joins_when_it_is_listed() -> None:
    drive = Drive("NEW-PERP", "BTC-PERP").ready()
    drive.flow(61, "BTC")
    assert len(drive.calls("markets")) == 2
    effects = drive.listed(*ASSETS, {"name": "NEW", "szDecimals": 1})
    assert sent(effects) == [f"subscribe {kind}:NEW" for kind in ("l2Book", "bbo", "trades", "activeAssetCtx")]


def test_an_unchanged_list_says_nothing() -> None:
    drive = Drive().ready()
    drive.flow(901, "BTC", "ETH")
    assert events(drive.listed(), Instrument) == []


def test_a_delisted_market_is_unsubscribed_and_its_book_taken_back() -> None:
    drive = Drive().live()
    drive.flow(901, "BTC", "ETH")
    effects = drive.listed({**ASSETS[0], "isDelisted": True}, ASSETS[1])
    assert "unsubscribe l2Book:BTC" in sent(effects)
    assert drive.trust["BTC-PERP"] is Trust.STALE
    assert drive.trust["ETH-PERP"] is Trust.LIVE
    assert counted(drive.frame(book("BTC", drive.time))) == ["ignored_frames"]


def test_a_market_delisted_while_its_streams_wait_their_turn_is_not_asked_for() -> None:
    drive = Drive()
    drive.start()
    drive.listed()
    drive.open()
    drive.close()
    assert sent(drive.open()) == ["subscribe l2Book:BTC"]
    drive.wait(0.1)
    drive.answer(drive.calls("markets")[-1], {"universe": [ASSETS[1]]})
    assert sent(drive.frame(echo("l2Book"))) == []
    assert drive.protocol.deadline is not None


@pytest.mark.parametrize(
    ("status", "body"),
    [(500, b"null"), (None, b""), (200, b"<html>busy</html>"), (200, b'{"universe":[{"name":1}]}'), (429, b"")],
)
def test_the_list_is_asked_for_until_it_comes(status: int | None, body: bytes) -> None:
    drive = Drive()
    drive.start()
    for tries in range(1, 5):
        drive.answer(drive.calls("markets")[-1], body, status)
        drive.wait(5)
        assert len(drive.calls("markets")) == tries + 1
    assert sent(drive.listed()) == []
    assert len(sent(drive.open())) == 8


def test_a_body_that_cannot_be_read_is_counted() -> None:
    drive = Drive()
    drive.start()
    assert len(rejected(drive.answer(drive.calls("markets")[0], b"<html>"))) == 1


def test_a_refused_connection_needs_nothing_of_the_protocol() -> None:
    drive = Drive()
    assert drive.protocol.refused("main", Refusal(Reason.CONNECT_ERROR, "refused"), drive.now) == []
    assert drive.protocol.ponged("main", drive.now) == []


# -- books


def test_the_first_book_is_live_with_five_levels_at_most() -> None:
    drive = Drive().ready()
    bids = [(f"{84143 - n}.0", "1.0") for n in range(7)]
    [event] = events(drive.frame(book(bids=bids)), Book)
    assert (event.trust, event.source, event.rebuild, event.depth) == (Trust.LIVE, Source.STREAM, 1, 5)
    assert event.venue_ns == TIME * 1_000_000
    assert event.bid_px == [84143.0, 84142.0, 84141.0, 84140.0, 84139.0]
    assert (event.ask_px, event.ask_sz) == ([84144.0, 84150.0], [50.66449, 0.00711])


def test_data_may_come_before_its_acknowledgement() -> None:
    drive = Drive()
    drive.start()
    drive.listed()
    drive.open()
    drive.frame(book())
    assert drive.trust == {"BTC-PERP": Trust.LIVE}


def test_an_unchanged_book_is_published_again_because_it_is_fresh() -> None:
    drive = Drive().live()
    drive.wait(0.5)
    [event] = events(drive.frame(book(time=drive.time)), Book)
    assert (event.rebuild, event.venue_ns) == (1, drive.time * 1_000_000)
    assert len(events(drive.frame(book(time=drive.time)), Book)) == 1


def test_an_older_book_is_dropped_and_does_not_count_as_life() -> None:
    drive = Drive(stale_ms=10_000).live()
    for _ in range(24):
        drive.wait(0.5)
        drive.tick("ETH")
        assert counted(drive.frame(book(time=TIME - 1))) == ["duplicates"]
    assert drive.trust["BTC-PERP"] is Trust.STALE


def test_time_starts_anew_on_a_new_connection() -> None:
    drive = Drive().live()
    drive.close()
    drive.open()
    [event] = events(drive.frame(book(time=TIME - 5_000)), Book)
    assert (event.trust, event.rebuild) == (Trust.LIVE, 2)


def test_a_lost_connection_invalidates_every_book_and_quote() -> None:
    drive = Drive().live()
    drive.frame(bbo())
    effects = drive.close()
    assert {event.trust for event in books(effects)} == {Trust.STALE}
    assert len(books(effects)) == 2
    assert [event.trust for event in events(effects, Bbo)] == [Trust.STALE]


def test_levels_out_of_order_are_rejected_and_not_published() -> None:
    drive = Drive().ready()
    effects = drive.frame(book(bids=BIDS[::-1]))
    assert rejected(effects) == ["levels are not in order"]
    assert books(effects) == []


def test_a_level_without_size_is_left_out() -> None:
    drive = Drive().ready()
    [event] = events(drive.frame(book(bids=[BIDS[0], ("84142.0", "0.0")])), Book)
    assert event.bid_px == [84143.0]


def test_a_book_of_a_coin_not_asked_for_is_ignored() -> None:
    drive = Drive().ready()
    for frame in (book("SOL"), bbo("SOL"), trades(trade(coin="SOL")), ctx(coin="SOL"), trades()):
        assert counted(drive.frame(frame)) == ["ignored_frames"]


CROSSED = book(bids=[("84150.0", "1.0")], asks=[("84150.0", "1.0")])


def test_a_crossed_book_is_invalidated_first_and_then_its_market_alone_is_subscribed_anew() -> None:
    drive = Drive().live()
    effects = drive.frame(CROSSED)
    kinds = [type(effect) for effect in effects]
    assert kinds.index(Emit) < kinds.index(Send)
    assert [(event.trust, event.bid_px) for event in books(effects)] == [(Trust.RESYNC, [])]
    assert sent(effects) == ["unsubscribe l2Book:BTC", "unsubscribe bbo:BTC"]
    assert counted(effects) == ["crossed_books", "resyncs"]
    assert sent(drive.frame(echo("l2Book", method="unsubscribe"))) == ["subscribe l2Book:BTC"]
    assert sent(drive.frame(echo("bbo", method="unsubscribe"))) == ["subscribe bbo:BTC"]
    assert sent(drive.frame(echo("bbo", "SOL", method="unsubscribe"))) == []
    [event] = events(drive.frame(book()), Book)
    assert (event.trust, event.rebuild) == (Trust.LIVE, 2)
    assert drive.trust["ETH-PERP"] is Trust.LIVE


def cross(drive: Drive) -> None:
    drive.frame({**CROSSED, "data": {**CROSSED["data"], "time": drive.time}})


def test_a_book_that_stays_crossed_is_mended_at_a_slowing_pace_and_costs_the_others_nothing() -> None:
    drive = Drive().live()
    for _ in range(120):
        drive.flow(0.25, "ETH")
        cross(drive)
    assert reasons(drive.all) == []
    assert 15 <= counted(drive.all).count("resyncs") <= 18


def test_when_no_other_book_is_live_a_book_that_stays_crossed_costs_the_connection() -> None:
    drive = Drive("BTC-PERP").ready()
    drive.tick("BTC")
    while not reasons(drive.all) and drive.s < 30:
        drive.wait(0.5)
        cross(drive)
    assert reasons(drive.all) == [Reason.CROSSED_BOOK]
    assert counted(drive.all).count("resyncs") == 3


def test_a_book_that_contradicts_the_quotes_for_long_is_built_anew() -> None:
    drive = Drive().live()
    drive.frame(bbo(bid=("84142.5", "1.0")))
    for _ in range(20):
        drive.wait(0.5)
        drive.tick("BTC", "ETH")
        if "resyncs" in counted(drive.all):
            break
    assert 3.0 <= drive.s <= 4.0
    assert counted(drive.all).count("check_mismatches") >= 5
    assert Trust.RESYNC in {event.trust for event in events(drive.all, Delta)}


# -- what is not understood


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"[]",
        b"null",
        b"{",
        b'{"channel":1}',
        b'{"data":{}}',
        b'{"channel":"l2Book"}',
        b'{"channel":"l2Book","data":{"coin":"BTC","time":1,"levels":[[]]}}',
        b'{"channel":"l2Book","data":{"coin":"BTC","time":-5,"levels":[[],[]]}}',
        b'{"channel":"l2Book","data":{"coin":"BTC","time":9223372036854775808,"levels":[[],[]]}}',
        b'{"channel":"l2Book","data":{"coin":"BTC","time":1790000000000,"levels":[[{"px":"x","sz":"1"}],[]]}}',
        b'{"channel":"l2Book","data":{"coin":"BTC","time":1790000000000,"levels":[[{"px":"NaN","sz":"1"}],[]]}}',
        b'{"channel":"l2Book","data":{"coin":"BTC","time":1790000000000,"levels":[[{"px":"1","sz":"-1"}],[]]}}',
        b'{"channel":"l2Book","data":{"coin":"BTC","time":1790000000000,"levels":[[{"px":"inf","sz":"1"}],[]]}}',
        b'{"channel":"bbo","data":{"coin":"BTC","time":1790000000000,"bbo":[{"px":"2","sz":"1"},{"px":"1","sz":"1"}]}}',
        b'{"channel":"\xff"}',
        b'{"channel":"pong","x":' + b"[" * 100_000,
        b"Websocket connection established, or so",
    ],
)
def test_what_cannot_be_digested_is_rejected_and_changes_nothing(frame: bytes) -> None:
    drive = Drive().live()
    before = dict(drive.trust)
    effects = drive.frame(frame)
    assert len(rejected(effects)) == 1
    assert books(effects) == []
    assert drive.trust == before


def test_a_binary_frame_is_rejected() -> None:
    assert rejected(Drive().live().frame(b'{"channel":"pong"}', binary=True)) == ["binary frame"]


def test_the_greeting_of_older_servers_is_ignored() -> None:
    assert counted(Drive().ready().frame(b"Websocket connection established.")) == ["ignored_frames"]


def test_an_unknown_channel_is_counted_and_named_once() -> None:
    drive = Drive().ready()
    first = drive.frame({"channel": "news", "data": 1})
    assert (counted(first), notes(first)) == (["unknown_frames"], ["unknown_channel"])
    assert drive.frame({"channel": "news"}) == [Count("unknown_frames")]
    for number in range(100):
        drive.frame({"channel": f"news{number}"})
    assert notes(drive.all).count("unknown_channel") == 20


def test_a_pong_has_no_data() -> None:
    assert Drive().ready().frame({"channel": "pong"}) == []


def test_a_quote_is_published_with_its_empty_side() -> None:
    drive = Drive().live()
    [event] = events(drive.frame(bbo(ask=None)), Bbo)
    assert (event.bid_px, event.bid_sz, event.ask_px, event.ask_sz) == (84143.0, 10.25923, None, None)
    assert event.trust is Trust.LIVE
    [event] = events(drive.frame({"channel": "bbo", "data": {"coin": "BTC", "time": TIME, "bbo": []}}), Bbo)
    assert (event.bid_px, event.ask_px) == (None, None)


def test_a_quote_in_front_of_the_last_one_is_dropped() -> None:
    drive = Drive().live()
    drive.frame(bbo(time=TIME + 70))
    assert counted(drive.frame(bbo(time=TIME))) == ["duplicates"]
    assert events(drive.frame(bbo(time=TIME + 70, ask=ASKS[1])), Bbo)[0].ask_px == 84150.0
