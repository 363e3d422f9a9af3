"""Payloads: what is read from them, and what is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bus.book import Book
from bus.errors import FrameError, VenueError
from bus.events import Instrument
from connectors.extended import messages
from tests.connectors.extended.drive import ABSENT, ASKS, BIDS, ROW, STATS, changes, levels, ok, row


def frame(data: object, **more: object) -> messages.Envelope:
    """Decode one frame of a connection."""
    return messages.envelope(json.dumps({"data": data, "ts": 1_790_425_396_200, "seq": 1, **more}).encode())


def book(**changed: object) -> dict[str, Any]:
    """Payload of a snapshot."""
    return {"t": "SNAPSHOT", "m": "BTC-USD", "b": BIDS, "a": ASKS, "d": "f"} | changed


# Envelopes


def test_an_envelope_has_its_number_time_and_kind() -> None:
    found = frame([], type="SNAPSHOT")
    assert (found.seq, found.ts, found.type, bytes(found.data)) == (1, 1_790_425_396_200, "SNAPSHOT", b"[]")


def test_unknown_members_are_ignored_and_missing_ones_are_absent() -> None:
    found = messages.envelope(b'{"sourceEventId":null,"x":{"y":[1]}}')
    assert (found.seq, found.ts, found.type, bytes(found.data)) == (None, None, None, b"")


@pytest.mark.parametrize(
    "bad",
    [
        b"",
        b"null",
        b"[]",
        b"7",
        b'"text"',
        b"<html>",
        b"\xff\xfe",
        b'{"type":"\xff","seq":1}',
        b'{"seq":1,"ts":1790425396200,"data":[',
        b'{"seq":9223372036854775808}',
        b'{"seq":1e400}',
        b'{"seq":-1}',
        b'{"seq":true}',
        b'{"seq":{}}',
        b'{"ts":0}',
        b'{"ts":4102444800000}',
        b'{"ts":"soon"}',
        b'{"data":' + b"[" * 200_000,
        b'{"x":' + b'{"a":' * 50_000,
    ],
    ids=lambda bad: repr(bad[:40]),
)
def test_what_is_no_envelope_is_a_frame_error(bad: bytes) -> None:
    with pytest.raises(FrameError):
        messages.envelope(bad)


# Books


def test_a_snapshot_gives_absolute_sizes_and_differently_written_prices_are_one_float() -> None:
    whole, data = messages.book(frame(book(), type="SNAPSHOT"), "BTC-USD", "f")
    bid_px, bid_sz, ask_px, ask_sz = messages.snapshot_levels(data)
    assert whole
    assert (bid_px, bid_sz) == ([84077.0, 84076.0, 84050.0], [0.41547, 0.25114, 0.81908])
    assert (ask_px, ask_sz) == ([84078.0, 84079.0], [2.8169, 2.17109])


def test_a_delta_gives_the_size_after_the_change_never_the_change() -> None:
    data = book(t="DELTA", b=changes(("84050", "-0.10000", "0.71908")), a=changes(("84078", "-2.81690", "0")))
    whole, found = messages.book(frame(data, type="ORDERBOOKS.DELTA"), "BTC-USD", "f")
    assert not whole
    assert messages.delta_levels(found) == ([84050.0], [0.71908], [84078.0], [0.0])


def test_type_and_t_and_d_may_each_be_missing() -> None:
    assert messages.book(frame(book(t=None, d=None), type="SNAPSHOT"), "BTC-USD", "f")[0]
    assert messages.book(frame(book()), "BTC-USD", "f")[0]


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (book(m="ETH-USD"), "SNAPSHOT"),
        (book(d="1"), "SNAPSHOT"),
        (book(t="DELTA"), "SNAPSHOT"),
        (book(t=None), None),
        (book(), "MP"),
        (book(t="CANDLE"), "CANDLE"),
        (book(b=None), "SNAPSHOT"),
        (book(b=[{"p": "1"}]), "SNAPSHOT"),
        (book(b=[{"p": "x", "q": "1"}]), "SNAPSHOT"),
        (book(b=[["1", "2"]]), "SNAPSHOT"),
        ({"m": "BTC-USD"}, "SNAPSHOT"),
        ([], "SNAPSHOT"),
        (None, "SNAPSHOT"),
    ],
)
def test_a_book_that_contradicts_itself_is_refused(data: object, kind: str | None) -> None:
    with pytest.raises(VenueError):
        messages.book(frame(data, type=kind), "BTC-USD", "f")


@pytest.mark.parametrize(
    "bids",
    [
        levels(("84077", "1"), ("84077.0", "2")),
        levels(("nan", "1")),
        levels(("1", "inf")),
        levels(("-1", "1")),
        levels(("1", "-1")),
        levels(("0", "1")),
    ],
)
def test_a_snapshot_with_impossible_levels_is_refused(bids: object) -> None:
    for data in (book(b=bids), book(a=bids)):
        _, found = messages.book(frame(data), "BTC-USD", "f")
        with pytest.raises(VenueError):
            messages.snapshot_levels(found)


@pytest.mark.parametrize("side", ["b", "a"])
def test_a_change_without_its_absolute_size_is_no_level_that_a_book_takes(side: str) -> None:
    data = book(t="DELTA", b=[], a=[]) | {side: [{"p": "84077", "q": "0.1"}]}
    _, found = messages.book(frame(data), "BTC-USD", "f")
    with pytest.raises(VenueError):
        Book().apply(*messages.delta_levels(found))
    with pytest.raises(FrameError):
        messages.book(frame(data | {side: [{"p": "84077", "q": "0.1", "c": None}]}), "BTC-USD", "f")


def test_large_sizes_differ_by_more_than_small_ones_without_being_wrong() -> None:
    held = Book()
    held.replace([0.001], [123_456_789.1], [0.002], [1.0])
    data = book(t="DELTA", b=changes(("0.001", "0.2", "123456789.3")), a=[])
    assert messages.misfits(held, messages.book(frame(data), "BTC-USD", "f")[1]) == 0


HELD = Book()
HELD.replace([84077.0, 84073.0, 84050.0], [1.0, 0.00093, 0.81908], [84078.0, 84080.0], [2.0, 1.0])


@pytest.mark.parametrize(
    ("bids", "asks", "expected"),
    [
        ([("84073", "0.00082", "0.00175"), ("84050", "-0.81908", "0")], [("84079", "0.5", "0.5")], 0),
        ([("84077", "0.5", "1.6")], [("84078", "-1", "0")], 2),
        ([("84060", "-0.1", "0")], [("84079", "0.1", "0.2")], 2),
        ([("84049", "-0.1", "0")], [("84081", "0.1", "0.2")], 0),
    ],
    ids=["fit", "held and wrong", "not held though within", "beyond the last held"],
)
def test_changes_are_checked_against_the_sizes_held(
    bids: list[tuple[str, str, str]], asks: list[tuple[str, str, str]], expected: int
) -> None:
    data = book(t="DELTA", b=changes(*bids), a=changes(*asks))
    assert messages.misfits(HELD, messages.book(frame(data), "BTC-USD", "f")[1]) == expected


def test_a_book_holds_exactly_the_levels_of_a_snapshot_or_it_does_not() -> None:
    held = Book()
    held.replace([100.0, 99.0], [1.0, 2.0], [101.0], [3.0])
    assert messages.holds(held, ([99.0, 100.0], [2.0, 1.0], [101.0], [3.0]))
    assert not messages.holds(held, ([100.0], [1.0], [101.0], [3.0]))
    assert not messages.holds(held, ([100.0, 99.0], [1.0, 2.0], [101.0], [3.1]))


# Quotes, trades, prices, funding


def test_a_quote_may_lack_a_side() -> None:
    _, data = messages.book(frame(book(b=[], a=ASKS[:1], d="1")), "BTC-USD", "1")
    assert messages.touch(data) == (None, None, 84078.0, 2.8169)


@pytest.mark.parametrize(
    "changed", [{"b": BIDS}, {"b": [], "a": ASKS}, {"b": levels(("84078", "1")), "a": levels(("84078", "1"))}]
)
def test_a_quote_of_many_levels_or_crossed_is_refused(changed: dict[str, object]) -> None:
    _, data = messages.book(frame(book(**({"b": [], "a": []} | changed), d="1")), "BTC-USD", "1")
    with pytest.raises(FrameError):
        messages.touch(data)


TRADE: dict[str, Any] = {
    "i": 2103821900219158529,
    "m": "BTC-USD",
    "S": "SELL",
    "tT": "TRADE",
    "T": 1_790_425_202_790,
    "p": "84118",
    "q": "0.00237",
}


def test_trade_ids_keep_all_their_digits() -> None:
    (found,) = messages.trades(frame([TRADE]), "BTC-USD")
    assert (found.i, found.S, found.p, found.q, found.tT) == (2103821900219158529, "SELL", 84118.0, 0.00237, "TRADE")


@pytest.mark.parametrize(
    "changed",
    [
        {"m": "ETH-USD"},
        {"p": "nan"},
        {"p": "inf"},
        {"p": "0"},
        {"q": "-1"},
        {"q": "nan"},
        {"S": "HOLD"},
        {"S": None},
        {"i": 2**63},
        {"i": -1},
        {"i": "x"},
        {"T": 0},
    ],
)
def test_an_impossible_trade_is_refused(changed: dict[str, object]) -> None:
    with pytest.raises(VenueError):
        messages.trades(frame([TRADE, TRADE | changed]), "BTC-USD")


def test_a_price_has_its_own_time_or_none() -> None:
    assert messages.price(frame({"m": "BTC-USD", "p": "84105.013533499994", "ts": 5}), "BTC-USD").ts == 5
    assert messages.price(frame({"m": "BTC-USD", "p": "84058.473541750005"}), "BTC-USD").ts == 0


@pytest.mark.parametrize("changed", [{"m": "ETH-USD"}, {"p": "nan"}, {"p": "0"}, {"p": "-1"}, {"p": None}, {"ts": -1}])
def test_an_impossible_price_is_refused(changed: dict[str, object]) -> None:
    with pytest.raises(VenueError):
        messages.price(frame({"m": "BTC-USD", "p": "1", "ts": 0} | changed), "BTC-USD")


def test_a_rate_is_kept_as_written() -> None:
    assert messages.funding(frame({"m": "BTC-USD", "f": "0.000013", "T": 1}), "BTC-USD").f == "0.000013"
    assert messages.rate("-0.000013") == -0.000013


@pytest.mark.parametrize("text", ["", "x", "nan", "inf", "-Infinity", "1e999"])
def test_a_rate_that_is_no_number_or_another_markets_is_refused(text: str) -> None:
    with pytest.raises(VenueError):
        messages.rate(text)
    with pytest.raises(FrameError):
        messages.funding(frame({"m": "ETH-USD", "f": "0.000013", "T": 1}), "BTC-USD")


# REST


def test_a_market_is_found_by_its_exact_name() -> None:
    body = ok([{**ROW, "name": "btc-usd"}, {**ROW, "name": "BTCSPOT-USD"}, ROW])
    found = messages.market_row(body, "BTC-USD")
    assert found is not None
    assert messages.untradable(found) is None
    assert messages.market_row(ok([]), "BTC-USD") is None


def test_an_instrument_has_the_venues_own_decimals() -> None:
    found = messages.market_row(row(), "BTC-USD")
    assert found is not None
    instrument = messages.instrument(found)
    assert instrument == Instrument("BTC-USD", "1", "0.00001", "USD", min_size="0.0001")


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"type": "SPOT"}, "type SPOT"),
        ({"isRfq": True}, "its plain book is only indicative (RFQ)"),
        ({"active": False}, "status ACTIVE, active False"),
        ({"status": "REDUCE_ONLY"}, "status REDUCE_ONLY, active True"),
        ({"status": "DELISTED", "active": False}, "status DELISTED, active False"),
    ],
)
def test_what_is_not_an_active_perpetual_is_not_followed(changed: dict[str, object], why: str) -> None:
    assert messages.untradable(messages.market_row(row(**changed), "BTC-USD")) == why


def test_a_market_that_is_not_there_is_not_followed() -> None:
    assert messages.untradable(None) == "not listed"


def test_older_rows_without_type_are_perpetuals() -> None:
    old = {name: value for name, value in ROW.items() if name not in {"type", "isRfq", "tradingHours"}}
    assert messages.untradable(messages.market_row(ok([old]), "BTC-USD")) is None


@pytest.mark.parametrize("text", ["0", "-1", "x", "nan"])
@pytest.mark.parametrize("name", ["minPriceChange", "minOrderSizeChange"])
def test_an_impossible_step_is_refused(name: str, text: str) -> None:
    found = messages.market_row(row(tradingConfig={**ROW["tradingConfig"], name: text}), "BTC-USD")
    assert found is not None
    with pytest.raises(VenueError):
        messages.instrument(found)


@pytest.mark.parametrize("code", [1000, 1001, 1002, "1001", "NOT_FOUND"], ids=repr)
def test_the_venues_own_word_that_a_market_is_absent_is_understood(code: object) -> None:
    assert messages.says_absent(json.dumps({"status": "ERROR", "error": {"code": code}}).encode())


@pytest.mark.parametrize(
    "body",
    [
        b"<html>404</html>",
        b"",
        b"{}",
        b'{"status":"ERROR","error":null}',
        b'{"status":"ERROR","error":{"code":1010,"message":"maintenance"}}',
        b'{"status":"ERROR","error":{}}',
        row(),
    ],
)
def test_a_proxys_404_or_maintenance_is_not_that_word(body: bytes) -> None:
    assert not messages.says_absent(body)


@pytest.mark.parametrize(
    "body",
    [b"<html>", b"", b"{}", b"[]", json.dumps(ABSENT).encode(), b'{"status":"OK"}', b'{"status":"OK","data":{"x":1}}'],
)
def test_a_rest_body_of_another_shape_is_refused(body: bytes) -> None:
    for read in (
        lambda: messages.market_row(body, "BTC-USD"),
        lambda: messages.stats(body),
        lambda: messages.settled(body, "BTC-USD"),
        lambda: messages.rest_book(body, "BTC-USD"),
    ):
        with pytest.raises(VenueError):
            read()


def test_the_status_may_be_written_in_lower_case() -> None:
    assert messages.market_row(b'{"status":"ok","data":[]}', "BTC-USD") is None


def test_stats_are_in_base_units() -> None:
    found = messages.stats(ok(STATS))
    assert (found.open_interest_base, found.mark_price, found.index_price) == (
        1491.33012,
        77006.091897999984,
        77050.739529925005,
    )


@pytest.mark.parametrize(
    "changed", [{"openInterestBase": "nan"}, {"openInterestBase": "-1"}, {"markPrice": "nan"}, {"indexPrice": "0"}]
)
def test_impossible_stats_are_refused(changed: dict[str, object]) -> None:
    with pytest.raises(VenueError):
        messages.stats(ok(STATS | changed))


def test_the_newest_settled_funding_is_found_in_any_order() -> None:
    rows = [{"m": "BTC-USD", "f": "0.000001", "T": 5}, {"m": "BTC-USD", "f": "0.000002", "T": 9}]
    for order in (rows, rows[::-1]):
        found = messages.settled(ok(order), "BTC-USD")
        assert found is not None
        assert (found.T, found.f) == (9, "0.000002")
    assert messages.settled(ok([]), "BTC-USD") is None
    with pytest.raises(FrameError):
        messages.settled(ok([{"m": "ETH-USD", "f": "0.1", "T": 5}]), "BTC-USD")


def rest(bid: list[tuple[str, str]], ask: list[tuple[str, str]], market: str = "BTC-USD") -> bytes:
    """Body of a REST book of (price, size)."""
    sides = [[{"qty": size, "price": price} for price, size in side] for side in (bid, ask)]
    return ok({"market": market, "bid": sides[0], "ask": sides[1]})


def test_a_rest_book_comes_out_best_first_whatever_its_order() -> None:
    body = rest([("9", "1"), ("10", "2")], [("12", "3"), ("11", "4"), ("13", "0")])
    assert messages.rest_book(body, "BTC-USD") == ([10.0, 9.0], [2.0, 1.0], [11.0, 12.0], [4.0, 3.0])


@pytest.mark.parametrize(
    "body",
    [
        rest([("12", "1")], [("11", "1")]),
        rest([], [("11", "1")]),
        rest([("10", "1")], []),
        rest([("10", "1")], [("11", "1")], market="ETH-USD"),
        rest([("nan", "1")], [("11", "1")]),
    ],
)
def test_an_impossible_rest_book_is_refused(body: bytes) -> None:
    with pytest.raises(VenueError):
        messages.rest_book(body, "BTC-USD")
