"""Lighter's frames and bodies as they are."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus.errors import FrameError
from connectors.lighter import messages
from tests.connectors.lighter.venue import ROWS, diff, error, orders, row, snapshot, stats, ticker, trade, trades


@pytest.mark.parametrize(
    ("frame", "kind"),
    [
        (snapshot(), messages.Snapshot),
        (diff(1, 2), messages.Difference),
        (ticker(), messages.TickerFrame),
        (ticker(moment="subscribed"), messages.FirstTicker),
        (trades(trade()), messages.TradesFrame),
        (trades(trade(), moment="subscribed"), messages.FirstTrades),
        (stats(), messages.StatsFrame),
        (stats(moment="subscribed"), messages.FirstStats),
        ({"type": "ping"}, messages.Ping),
        ({"type": "pong"}, messages.Pong),
        ({"type": "error", "code": 30009, "message": "x"}, messages.ErrorFrame),
        (error(30009, "x"), messages.ErrorFrame),
        ({"type": "update/spot_market_stats"}, messages.Envelope),
    ],
)
def test_a_frame_is_told_by_its_type_wherever_that_stands(frame: dict[str, object], kind: type) -> None:
    assert type(messages.decode(json.dumps(frame).encode())) is kind
    assert type(messages.decode(json.dumps(dict(reversed(frame.items()))).encode())) is kind


def test_ids_and_nonces_keep_all_their_digits() -> None:
    frame = trades(trade(10_414_574_259_102_759))
    found = messages.decode(json.dumps(frame).encode())
    assert isinstance(found, messages.TradesFrame)
    assert found.trades is not None
    assert found.trades[0].trade_id == 10_414_574_259_102_759


def test_the_problem_is_named() -> None:
    frame = diff(1, 2)
    del frame["order_book"]["nonce"]
    with pytest.raises(FrameError) as caught:
        messages.decode(json.dumps(frame).encode())
    assert str(caught.value) == "update/order_book: Object missing required field `nonce` - at `$.order_book`"


@given(st.binary())
def test_no_bytes_raise_anything_but_a_frame_error(frame: bytes) -> None:
    with contextlib.suppress(FrameError):
        messages.decode(frame)
    for name in ("markets", "book", "probe"):
        with contextlib.suppress(FrameError):
            messages.body(name, frame)


@pytest.mark.parametrize(
    ("frame", "channel"),
    [
        (b'{"channel":"order_book:1","last', "order_book:1"),
        (b'{"x":1, "channel" : "market_stats:0"', "market_stats:0"),
        (b'{"channel":"order_book:', None),
        (b"", None),
        (b"\xff\xfe", None),
    ],
)
def test_a_broken_frame_may_still_name_its_channel(frame: bytes, channel: str | None) -> None:
    assert messages.channel_of(frame) == channel


@pytest.mark.parametrize(
    ("text", "channel"),
    [("Already Subscribed to : order_book:0", "order_book:0"), ("Invalid Channel:  (marketId)", None), ("", None)],
)
def test_a_refusal_may_quote_its_channel(text: str, channel: str | None) -> None:
    assert messages.channel_in(text) == channel


def listed(*found: dict[str, object]) -> list[messages.Row]:
    body = messages.body("markets", json.dumps({"order_book_details": found}).encode())
    assert isinstance(body, messages.Details)
    rows, bad = messages.rows(body)
    assert bad == []
    return rows


@pytest.mark.parametrize(
    ("market", "number"),
    [
        ("ETH-PERP", 0),
        ("BTC-PERP", 1),
        ("OFF-PERP", None),
        ("HID-PERP", None),
        ("ETH/USDC-PERP", None),
        ("X-PERP", None),
    ],
)
def test_a_market_is_an_active_perp_of_its_bare_name(market: str, number: int | None) -> None:
    found = messages.find(listed(*ROWS), market)
    assert (found.market_id if found else None) == number


def test_a_row_needs_only_what_older_rows_have() -> None:
    bare = row("BTC", 1)
    del bare["market_config"], bare["min_base_amount"]
    [found] = listed(bare)
    assert messages.instrument(found).min_size is None
    assert messages.find([found], "BTC-PERP") is found


@pytest.mark.parametrize(("decimals", "unit"), [(0, "1"), (1, "0.1"), (5, "0.00001")])
def test_decimals_are_steps(decimals: int, unit: str) -> None:
    [found] = listed(row("X", 1, supported_price_decimals=decimals, supported_size_decimals=decimals))
    assert (messages.instrument(found).tick, messages.instrument(found).lot) == (unit, unit)


def test_lists_of_orders_may_be_null() -> None:
    body = messages.body("book", json.dumps(orders() | {"asks": None}).encode())
    assert isinstance(body, messages.Orders)
    assert body.asks is None


def test_requests_have_a_slash_where_frames_have_a_colon() -> None:
    assert messages.subscribe("order_book:0") == '{"type":"subscribe","channel":"order_book/0"}'
    assert json.loads(messages.subscribe("ticker:1", "unsubscribe")) == {"type": "unsubscribe", "channel": "ticker/1"}
    assert (messages.PING, messages.PONG) == ('{"type":"ping"}', '{"type":"pong"}')
