"""Every field of the documented frames and bodies, and what is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bus.errors import VenueError
from bus.events import Side
from connectors.aster import messages
from connectors.effects import Reply
from tests.connectors.aster.venue import MS, TIME, depth, listing, mark, row, ticker, trade


def test_a_diff_reads_levels_whatever_follows_them_and_takes_the_engine_time() -> None:
    update = messages.PUSH.decode(depth(160, 149, b=[["0.0024", "10", "x", {}]], a=[["0.0026", "0.000"]])).data
    assert isinstance(update, messages.DepthUpdate)
    assert (update.symbol, update.last, update.previous) == ("BTCUSDT", 160, 149)
    assert [(level.px, level.sz) for level in update.bids + update.asks] == [(0.0024, 10.0), (0.0026, 0.0)]
    assert update.venue_ns == TIME * MS


def test_without_an_engine_time_the_push_time_is_taken() -> None:
    update = messages.PUSH.decode(depth(160, 149, T=None)).data
    quote = messages.PUSH.decode(ticker(1, T=None)).data
    assert isinstance(update, messages.DepthUpdate)
    assert isinstance(quote, messages.BookTicker)
    assert update.venue_ns == (TIME + 4) * MS
    assert quote.venue_ns == (TIME + 3) * MS


@pytest.mark.parametrize(
    "other",
    [
        {"u": 2**63},
        {"u": -1},
        {"u": 1.5},
        {"pu": None},
        {"b": [["1"]]},
        {"b": [["x", "1"]]},
        {"b": None},
        {"a": {}},
        {"s": 5},
        {"E": 4_102_444_800_000},
        {"e": "kline"},
    ],
)
def test_a_malformed_diff_does_not_decode(other: dict[str, Any]) -> None:
    with pytest.raises(messages.UNREADABLE):
        messages.PUSH.decode(depth(160, 149, **other))


def test_key_order_does_not_matter() -> None:
    frame = json.loads(trade(5))
    frame = {"data": dict(reversed(frame["data"].items())), "stream": frame["stream"]}
    assert messages.PUSH.decode(json.dumps(frame).encode()) == messages.PUSH.decode(trade(5))


@pytest.mark.parametrize(
    ("bid", "ask", "touch"),
    [
        ((100.0, 1.0), (100.1, 2.0), (100.0, 1.0, 100.1, 2.0)),
        ((100.0, 1.0), (0.0, 0.0), (100.0, 1.0, None, None)),
        ((100.0, 0.0), (100.1, 2.0), (None, None, 100.1, 2.0)),
        ((0.0, 5.0), (0.0, 5.0), (None, None, None, None)),
    ],
)
def test_zero_price_or_size_is_an_empty_side(
    bid: tuple[float, float], ask: tuple[float, float], touch: messages.Touch
) -> None:
    quote = messages.PUSH.decode(ticker(1, bid, ask)).data
    assert isinstance(quote, messages.BookTicker)
    assert quote.touch == touch


@pytest.mark.parametrize(
    ("bid", "ask"), [((100.1, 1.0), (100.1, 1.0)), ((-1.0, 1.0), (100.1, 1.0)), ((float("nan"), 1.0), (100.1, 1.0))]
)
def test_an_impossible_touch_is_refused(bid: tuple[float, float], ask: tuple[float, float]) -> None:
    quote = messages.PUSH.decode(ticker(1, bid, ask)).data
    assert isinstance(quote, messages.BookTicker)
    with pytest.raises(VenueError):
        _ = quote.touch


@pytest.mark.parametrize(("sold", "side"), [(True, Side.SELL), (False, Side.BUY)])
def test_a_buyer_who_was_the_maker_means_that_the_taker_sold(sold: bool, side: Side) -> None:
    found = messages.PUSH.decode(trade(7, sold=sold)).data
    assert isinstance(found, messages.AggTrade)
    event = found.trade()
    assert (event.side, event.trade_id, event.px, event.sz) == (side, "7", 100.1, 0.02)
    assert (event.venue_ns, event.history) == (TIME * MS, False)


@pytest.mark.parametrize("other", [{"px": "0"}, {"sz": "0"}, {"px": "inf"}, {"sz": "nan"}, {"px": "-1"}])
def test_an_impossible_trade_is_refused(other: dict[str, str]) -> None:
    found = messages.PUSH.decode(trade(7, **other)).data  # type: ignore[arg-type]
    assert isinstance(found, messages.AggTrade)
    with pytest.raises(VenueError):
        found.trade()


def test_the_time_in_a_mark_price_is_the_next_funding() -> None:
    found = messages.PUSH.decode(mark()).data
    assert isinstance(found, messages.MarkPrice)
    assert found.prices == (100.2, 100.3)
    assert (found.rate, found.next, found.venue_ns) == ("0.00010000", TIME + 3_600_000, TIME * MS)


def test_missing_funding_and_index_stay_missing() -> None:
    frame = json.loads(mark(r="", T=0, p="0"))
    del frame["data"]["i"]
    found = messages.PUSH.decode(json.dumps(frame).encode()).data
    assert isinstance(found, messages.MarkPrice)
    assert (found.prices, found.rate, found.next) == ((None, None), "", 0)


@pytest.mark.parametrize("other", [{"p": "-1"}, {"i": "inf"}, {"p": "nan"}])
def test_an_impossible_mark_price_is_refused(other: dict[str, str]) -> None:
    found = messages.PUSH.decode(mark(**other)).data
    assert isinstance(found, messages.MarkPrice)
    with pytest.raises(VenueError):
        _ = found.prices


@pytest.mark.parametrize(
    "frame",
    [
        b'{"code":2,"msg":"Invalid request"}',
        b'{"id":7,"error":{"code":2,"msg":"Invalid request"}}',
        b'{"error":{"code":2,"msg":"Invalid request"},"id":7}',
    ],
)
def test_all_shapes_of_a_refusal_are_understood(frame: bytes) -> None:
    control = messages.control(frame)
    assert control is not None
    assert control.fault == messages.Fault(2, "Invalid request")


def test_an_answer_is_no_refusal_and_rubbish_is_neither() -> None:
    answer = messages.control(b'{"result":null,"id":1}')
    assert answer is not None
    assert (answer.id, answer.fault) == (1, None)
    assert messages.control(b"\xff\xfe") is None
    assert messages.control(b'{"stream":"\xff"}') is None
    assert messages.control(b'{"a":' * 100_000) is None


def test_a_broken_frame_still_names_its_stream() -> None:
    assert messages.stream_of(b'{"stream":"btcusdt@depth@100ms","data":{"e":"dep') == "btcusdt@depth@100ms"
    assert messages.stream_of(b'{"strea') == ""


def test_a_snapshot_is_read_and_its_levels_checked() -> None:
    found = messages.snapshot(b'{"lastUpdateId":5,"bids":[["1.50","2"]],"asks":[]}')
    assert (found.last, found.venue_ns, found.bids[0].px) == (5, None, 1.5)
    assert messages.snapshot(b'{"lastUpdateId":5,"E":9,"T":7,"bids":[],"asks":[]}').venue_ns == 7 * MS
    for body in (b'{"lastUpdateId":-1,"bids":[],"asks":[]}', b'{"lastUpdateId":5,"bids":[["nan","1"]],"asks":[]}'):
        with pytest.raises(VenueError):
            messages.snapshot(body)


def test_an_html_page_is_no_body() -> None:
    with pytest.raises(VenueError):
        messages.body(b"<html>503</html>", messages.Snapshot)
    with pytest.raises(VenueError):
        messages.rows(b"<html>503</html>", messages.Interval)


def test_odd_rows_do_not_hide_the_others() -> None:
    rows = messages.rows(b'[{"symbol":5},{"symbol":"BTCUSDT","fundingIntervalHours":8},7]', messages.Interval)
    assert [(each.symbol, each.hours) for each in rows] == [("BTCUSDT", 8.0)]


@pytest.mark.parametrize("amount", ["-1", "inf", "nan"])
def test_an_impossible_open_interest_is_refused(amount: str) -> None:
    assert messages.interest(b'{"symbol":"BTCUSDT","openInterest":"6196.323","time":1}') == 6196.323
    with pytest.raises(VenueError):
        messages.interest(json.dumps({"symbol": "BTCUSDT", "openInterest": amount}).encode())


def test_a_market_is_found_by_its_assets_not_by_its_name() -> None:
    rows: list[dict[str, object]] = [
        row("BTC", quoteAsset="USD1"),
        row("BTC", marginAsset="USDC"),
        row("BTC", symbol="TESTBTCUSDT"),
        row("BTC", contractType="CURRENT_QUARTER"),
        {"symbol": "ODDUSDT"},
        row("BTC", symbol="XBTUSDT", status="PENDING_TRADING", contractType=""),
        row("ETH"),
    ]
    found = messages.symbols(json.dumps(listing(*rows)).encode())
    btc = messages.find(found, "BTC")
    assert btc is not None
    assert (btc.symbol, btc.status) == ("XBTUSDT", "PENDING_TRADING")
    assert messages.find(found, "SOL") is None


def test_an_instrument_has_the_ticks_of_its_filters_not_its_precisions() -> None:
    found = messages.symbols(json.dumps(listing()).encode())[0].instrument()
    assert (found.venue_symbol, found.tick, found.lot, found.min_size) == ("BTCUSDT", "0.1", "0.001", "0.002")
    assert found.quote == "USDT"
    bare = messages.symbols(json.dumps(listing(row("BTC", filters=[]))).encode())[0].instrument()
    assert (bare.tick, bare.lot, bare.min_size) == (None, None, None)


def test_an_empty_market_list_is_no_market_list() -> None:
    with pytest.raises(VenueError):
        messages.symbols(b'{"symbols":[]}')


def test_numbers_are_decimals_and_nothing_else() -> None:
    assert messages.number("-0.00010000") == -0.0001
    assert messages.number("0") == 0.0
    for text in ("", "nan", "inf", "0x1", "1_0", "x"):
        with pytest.raises(VenueError):
            messages.number(text)


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (Reply(400, b'{"code":-1121,"msg":"Invalid symbol."}'), "HTTP 400, -1121: Invalid symbol."),
        (Reply(503, b"<html>"), "HTTP 503"),
        (Reply(None, problem="no answer within 10 s"), "no answer within 10 s"),
    ],
)
def test_a_bad_answer_says_what_it_is(reply: Reply, said: str) -> None:
    with pytest.raises(VenueError) as caught:
        messages.content(reply)
    assert caught.value.problem == said


def test_a_request_is_as_documented() -> None:
    assert messages.request("SUBSCRIBE", ["btcusdt@aggTrade"], 1) == (
        '{"method":"SUBSCRIBE","params":["btcusdt@aggTrade"],"id":1}'
    )
