"""Lighter's protocol: discovery, subscribing, refusals and frames that cannot be read, in memory."""

from __future__ import annotations

import pytest

from bus.events import Bbo, Book, Delta, Instrument, Reason, Trust
from connectors.effects import Count, Refusal, Rotate
from connectors.lighter import spec
from tests.connectors.drive import books, counted, events, notes, opens, reasons, rejected
from tests.connectors.lighter.venue import (
    NONCE,
    ROWS,
    Drive,
    diff,
    error,
    row,
    sent,
    snapshot,
    stats,
    ticker,
    trade,
    trades,
)


def test_the_start_reads_the_list_and_connects_for_reading_only() -> None:
    drive = Drive()
    assert opens(drive.start()) == ["wss://mainnet.zklighter.elliot.ai/stream?readonly=true"]
    [call] = drive.calls("markets")
    assert (call.method, call.url) == ("GET", "https://mainnet.zklighter.elliot.ai/api/v1/orderBookDetails")


def test_all_books_are_asked_for_first_with_a_slash_and_the_ids_of_the_list() -> None:
    drive = Drive()
    drive.start()
    assert sent(drive.open()) == []
    effects = drive.listed()
    assert sent(effects)[:3] == ["subscribe order_book/1", "subscribe order_book/0", "subscribe ticker/1"]
    assert len(sent(effects)) == 8


def test_market_id_zero_is_a_market() -> None:
    drive = Drive("ETH-PERP").ready()
    [event] = events(drive.all, Instrument)
    assert event == Instrument("ETH", "0.1", "0.00001", "USDC", 0, None, "0.00010")
    drive.frame(snapshot(0))
    assert drive.trust == {"ETH-PERP": Trust.LIVE}


@pytest.mark.parametrize("market", ["OFF-PERP", "HID-PERP", "NOSUCH-PERP"])
def test_a_market_that_cannot_be_traded_is_noted_and_looked_for_again(market: str) -> None:
    drive = Drive(market, "BTC-PERP")
    drive.start()
    drive.open()
    effects = drive.listed()
    assert notes(effects) == ["market_unavailable"]
    assert {request[-1] for request in sent(effects)} == {"1"}
    drive.first(1)
    drive.flow(61, 1)
    assert len(drive.calls("markets")) == 2
    assert "subscribe order_book/9" in sent(drive.listed(*ROWS, row(market.removesuffix("-PERP"), 9)))


def test_a_row_that_cannot_be_read_hides_only_itself() -> None:
    drive = Drive("BTC-PERP")
    drive.start()
    effects = drive.listed({"symbol": "NEW", "market_id": "x"}, ROWS[1])
    assert len(rejected(effects)) == 1
    assert [event.venue_symbol for event in events(effects, Instrument)] == ["BTC"]


@pytest.mark.parametrize(
    ("status", "body"), [(500, b""), (None, b""), (200, b"<html>"), (200, b'{"code":20001,"message":"invalid param "}')]
)
def test_the_list_is_asked_for_until_it_comes(status: int | None, body: bytes) -> None:
    drive = Drive()
    drive.start()
    for tries in range(1, 5):
        drive.answer(drive.calls("markets")[-1], body, status)
        drive.wait(5)
        assert len(drive.calls("markets")) == tries + 1
    drive.listed()
    assert len(sent(drive.open())) == 8


def test_a_market_that_goes_inactive_is_left_and_its_book_taken_back() -> None:
    drive = Drive().live()
    drive.flow(601, 0, 1)
    effects = drive.listed(row("BTC", 1, status="inactive"), ROWS[0])
    assert "unsubscribe order_book/1" in sent(effects)
    assert drive.trust == {"BTC-PERP": Trust.STALE, "ETH-PERP": Trust.LIVE}
    for frame in (diff(1, 2), snapshot(), ticker(), trades(trade()), stats()):
        assert counted(drive.frame(frame)) == ["ignored_frames"]


def test_a_market_that_gets_another_id_is_followed() -> None:
    drive = Drive("BTC-PERP").ready()
    drive.first(1)
    drive.flow(601, 1)
    effects = drive.listed(row("BTC", 11))
    assert sent(effects)[:4] == [f"unsubscribe {kind}/1" for kind in spec.CHANNELS]
    assert sent(effects)[4:] == [f"subscribe {kind}/11" for kind in spec.CHANNELS]
    assert drive.trust == {"BTC-PERP": Trust.STALE}


def test_an_unchanged_list_says_nothing() -> None:
    drive = Drive().live()
    drive.flow(601, 0, 1)
    effects = drive.listed()
    assert (events(effects), sent(effects)) == ([], [])


def test_no_more_than_35_requests_wait_for_an_answer() -> None:
    names = [f"M{number}" for number in range(20)]
    drive = Drive(*(f"{name}-PERP" for name in names))
    drive.start()
    drive.listed(*(row(name, number) for number, name in enumerate(names)))
    assert len(sent(drive.open())) == 35
    assert sent(drive.frame(snapshot(0))) == ["subscribe ticker/15"]
    drive.frame(error(30010, "Too Many Inflight Messages!"))
    assert sent(drive.frame(snapshot(1))) == []


def test_requests_that_are_never_answered_do_not_hold_up_the_others_for_ever() -> None:
    names = [f"M{number}" for number in range(20)]
    drive = Drive(*(f"{name}-PERP" for name in names))
    drive.start()
    drive.listed(*(row(name, number) for number, name in enumerate(names)))
    drive.open()
    for number in range(20):
        drive.frame(snapshot(number))
    drive.wait(9)
    assert "subscribe market_stats/19" not in sent(drive.all)
    for _ in range(5):
        drive.wait(1)
        drive.frame(diff(NONCE, NONCE + 1, market=0))
    assert "subscribe market_stats/19" in sent(drive.all)


def test_a_lost_connection_invalidates_every_book_and_quote_and_ends_every_chain() -> None:
    drive = Drive().live()
    effects = drive.close()
    assert [event.trust for event in books(effects)] == [Trust.STALE, Trust.STALE]
    assert [event.trust for event in events(effects, Bbo)] == [Trust.STALE, Trust.STALE]
    drive.open()
    assert counted(drive.tick(1)) == ["ignored_frames"]
    [event] = events(drive.frame(snapshot(nonce=5)), Book)
    assert (event.trust, event.rebuild) == (Trust.LIVE, 2)


def test_a_market_that_is_not_listed_has_nothing_to_lose() -> None:
    drive = Drive("NOSUCH-PERP", "BTC-PERP").ready()
    drive.first(1)
    assert [event.trust for event in books(drive.close())] == [Trust.STALE]
    drive.wait(3)
    assert {call.market for call in drive.calls("book")} == {"BTC-PERP"}


def test_a_refused_upgrade_tells_why() -> None:
    drive = Drive()
    refusal = Refusal(Reason.HTTP_STATUS, "HTTP 400", 400, b'{"code":20558,"message":"restricted"}')
    assert notes(drive.protocol.refused("main", refusal, drive.now)) == ["upgrade_refused"]
    assert drive.protocol.refused("main", Refusal(Reason.CONNECT_ERROR, "refused"), drive.now) == []
    assert drive.protocol.ponged("main", drive.now) == []


# -- refusals


def test_already_subscribed_is_an_answer_when_data_flows() -> None:
    drive = Drive().live()
    assert sent(drive.frame(error(30003, "Already Subscribed to : order_book:1"))) == []
    assert sent(drive.frame(error(30003, "Already Subscribed to : ticker:1"))) == []


def test_already_subscribed_without_a_snapshot_asks_for_one_back_to_back() -> None:
    drive = Drive().ready()
    effects = drive.frame(error(30003, "Already Subscribed to : order_book:1"))
    assert sent(effects) == ["unsubscribe order_book/1", "subscribe order_book/1"]


def test_not_subscribed_is_done() -> None:
    assert Drive().live().frame(error(30002, "Not Subscribed to : order_book:1")) == [Count("ignored_frames")]


def test_an_invalid_channel_has_the_list_read_again() -> None:
    drive = Drive().live()
    assert notes(drive.frame(error(30005, "Invalid Channel:  (marketId)"))) == ["venue_error"]
    drive.flow(2, 0, 1)
    assert len(drive.calls("markets")) == 2


@pytest.mark.parametrize("flat", [False, True])
def test_being_too_fast_is_not_answered_by_reconnecting(flat: bool) -> None:
    drive = Drive().ready()
    drive.frame({"type": "error", "code": 30009, "message": "x"} if flat else error(30009, "Too Many!"))
    drive.wait(12)
    assert reasons(drive.all) == []
    assert "resyncs" in counted(drive.all)


def test_other_refusals_are_noted() -> None:
    drive = Drive().live()
    for code in (30000, 30004, 23001, 99999):
        assert notes(drive.frame(error(code, "text"))) == ["venue_error"]
    assert reasons(drive.all) == []


def test_a_request_without_an_answer_is_made_again() -> None:
    drive = Drive("BTC-PERP").ready()
    drive.frame(snapshot())
    drive.nonces[1] = NONCE
    for _ in range(21):
        drive.wait(0.5)
        begin = drive.nonces[1]
        drive.nonces[1] += 1
        drive.frame(diff(begin, begin + 1))
    again = sent(drive.all)[4:]
    assert again == ["subscribe ticker/1", "subscribe trade/1", "subscribe market_stats/1"]


# -- control frames and what is not understood


def test_the_venues_ping_is_answered_at_once() -> None:
    assert sent(Drive().ready().frame({"type": "ping"})) == ["pong"]


def test_a_shutdown_is_noted_and_the_connection_replaced_before_it() -> None:
    effects = Drive().live().frame({"type": "shutdown", "close_in_ms": 1_000})
    assert notes(effects) == ["shutdown_announced"]
    assert Rotate("main", "the venue closes in 1000 ms") in effects


@pytest.mark.parametrize(
    "frame",
    [
        {"type": "connected", "session_id": "x"},
        {"type": "unsubscribed", "channel": "order_book:1"},
        {"type": "update/height", "channel": "height", "height": 1, "timestamp": 5},
        {"type": "update/ticker", "channel": "ticker:77", "nonce": 1, "ticker": ticker()["ticker"]},
    ],
)
def test_what_is_known_and_not_needed_is_ignored(frame: object) -> None:
    assert counted(Drive().live().frame(frame)) == ["ignored_frames"]


def test_an_unknown_type_is_counted_and_named_once() -> None:
    drive = Drive().live()
    first = drive.frame({"type": "news"})
    assert (counted(first), notes(first)) == (["unknown_frames"], ["unknown_type"])
    assert drive.frame({"type": "news"}) == [Count("unknown_frames")]
    for number in range(100):
        drive.frame({"type": f"news{number}"})
    assert notes(drive.all).count("unknown_type") == 20


def spoil(frame: dict[str, object], **changed: object) -> dict[str, object]:
    frame["order_book"] = {**dict(frame["order_book"]), **changed}  # type: ignore[call-overload]
    return frame


BAD_LEVELS = [[{"price": "1"}], [{"price": "x", "size": "1"}], [{"price": "NaN", "size": "1"}], [1], "x", 5]


@pytest.mark.parametrize("bad", BAD_LEVELS)
def test_a_bad_difference_invalidates_its_book_alone_and_has_it_rebuilt(bad: object) -> None:
    drive = Drive().live()
    begin = drive.nonces[1]
    effects = drive.frame(spoil(diff(begin, begin + 5), asks=bad))
    assert len(rejected(effects)) == 1
    assert [event.trust for event in events(effects, Delta)] == [Trust.RESYNC]
    assert sent(effects) == ["unsubscribe order_book/1", "subscribe order_book/1"]
    assert counted(drive.frame(diff(begin + 5, begin + 9))) == ["ignored_frames"]
    assert drive.trust == {"BTC-PERP": Trust.RESYNC, "ETH-PERP": Trust.LIVE}
    drive.frame(snapshot(nonce=begin + 9))
    assert drive.trust["BTC-PERP"] is Trust.LIVE


@pytest.mark.parametrize("missing", ["nonce", "asks", "bids"])
def test_a_difference_that_lacks_something_is_a_bad_one(missing: str) -> None:
    drive = Drive().live()
    frame = diff(drive.nonces[1], drive.nonces[1] + 5)
    del frame["order_book"][missing]
    assert len(rejected(drive.frame(frame))) == 1
    assert drive.trust["BTC-PERP"] is Trust.RESYNC


def test_a_frame_that_names_no_channel_may_have_been_of_any_book() -> None:
    drive = Drive().live()
    effects = drive.frame(b'{"type":"update/order')
    assert len(rejected(effects)) == 1
    assert drive.trust == {"BTC-PERP": Trust.RESYNC, "ETH-PERP": Trust.RESYNC}
    assert counted(effects).count("resyncs") == 2


def test_a_bad_frame_of_another_stream_leaves_the_books_alone() -> None:
    drive = Drive().live()
    for frame in (ticker(bid=("x", "1")), trades({"trade_id": 1}), stats(mark_price="?"), stats(mark_price="0")):
        assert len(rejected(drive.frame(frame))) == 1
    assert set(drive.trust.values()) == {Trust.LIVE}


def test_a_bad_frame_of_a_book_not_ours_leaves_the_books_alone() -> None:
    drive = Drive().live()
    assert len(rejected(drive.frame(b'{"channel":"order_book:99","type":"update/order_book"}'))) == 1
    assert set(drive.trust.values()) == {Trust.LIVE}


@pytest.mark.parametrize("frame", [b"", b"nonsense", b"\xff\xfe", b'{"type":"pong","x":' + b"[" * 100_000])
def test_garbage_is_rejected_and_the_books_are_rebuilt(frame: bytes) -> None:
    drive = Drive().live()
    assert len(rejected(drive.frame(frame))) == 1
    assert set(drive.trust.values()) == {Trust.RESYNC}


@pytest.mark.parametrize("frame", [b"[]", b'"text"', b'{"hello":1}', b"17"])
def test_whole_json_that_is_no_frame_is_rejected_and_no_book_suffers(frame: bytes) -> None:
    drive = Drive().live()
    assert len(rejected(drive.frame(frame))) == 1
    assert set(drive.trust.values()) == {Trust.LIVE}


def test_a_binary_frame_is_rejected() -> None:
    assert rejected(Drive().live().frame(b'{"type":"pong"}', binary=True)) == ["binary frame"]
