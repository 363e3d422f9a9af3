"""Hyperliquid's frames and bodies as they are."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus.errors import FrameError, VenueError
from bus.events import Instrument
from connectors.hyperliquid import messages
from tests.connectors.hyperliquid.venue import ASSETS, bbo, book, ctx, echo, trade, trades


def test_key_order_and_unknown_keys_do_not_matter() -> None:
    frame = {"data": dict(reversed(book()["data"].items())) | {"spread": "1", "news": [1]}, "channel": "l2Book"}
    found = messages.decode(json.dumps(frame).encode())
    assert isinstance(found, messages.BookFrame)
    assert (found.data.coin, found.data.fast, found.data.levels[0][0].px) == ("BTC", True, 84143.0)


@pytest.mark.parametrize(
    ("frame", "kind"),
    [
        (bbo(), messages.BboFrame),
        (trades(trade()), messages.TradesFrame),
        (ctx(), messages.CtxFrame),
        (echo("trades"), messages.AckFrame),
        ({"channel": "error", "data": "x"}, messages.ErrorFrame),
        ({"channel": "pong"}, messages.PongFrame),
        ({"channel": "allMids", "data": {"mids": {}}}, messages.Envelope),
    ],
)
def test_a_frame_is_told_by_its_channel(frame: object, kind: type) -> None:
    assert type(messages.decode(json.dumps(frame).encode())) is kind


@pytest.mark.parametrize(
    ("frame", "problem"),
    [
        (b'{"channel":"bbo","data":{"coin":"BTC"}}', "bbo: Object missing required field `time` - at `$.data`"),
        (b'{"method":"ping"}', "Object missing required field `channel`"),
        (b"[1]", "Expected `object`, got `array`"),
    ],
)
def test_the_problem_is_named(frame: bytes, problem: str) -> None:
    with pytest.raises(FrameError, match=problem.replace("$", r"\$")[:30]) as caught:
        messages.decode(frame)
    assert str(caught.value) == problem


@given(st.binary())
def test_no_bytes_raise_anything_but_a_frame_error(frame: bytes) -> None:
    with contextlib.suppress(FrameError):
        messages.decode(frame)
    for name in ("markets", "book", "funding"):
        with contextlib.suppress(FrameError):
            messages.body(name, frame)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('Already subscribed: {"type":"l2Book","coin":"SOL","nSigFigs":null}', ("Already subscribed", "l2Book:SOL")),
        ('Already unsubscribed: {"type":"bbo","coin":"BTC"}', ("Already unsubscribed", "bbo:BTC")),
        ('Invalid subscription {"type":"bbo","coin":"BTC"}', ("Invalid subscription", "bbo:BTC")),
        (
            'Error parsing JSON into valid websocket request: {"method":"subscribe","subscription":{"type":"x"}}',
            ("Error parsing JSON into valid websocket request", "x:"),
        ),
        (
            'Error parsing JSON into valid websocket request: {"method":"subscribe","subscription":{"coin":["BTC"]}}',
            ("Error parsing JSON into valid websocket request", None),
        ),
        ("Cannot track more than 15 total users", ("Cannot track more than 15 total users", None)),
    ],
)
def test_an_error_says_what_it_is_about(text: str, found: tuple[str, str | None]) -> None:
    assert messages.complaint(text) == found


def assets() -> list[messages.Asset]:
    found = messages.body("markets", json.dumps({"universe": ASSETS}).encode())
    assert isinstance(found, messages.Universe)
    return found.universe


@pytest.mark.parametrize(
    ("market", "name"), [("BTC-PERP", "BTC"), ("KPEPE-PERP", "kPEPE"), ("MATIC-PERP", "MATIC"), ("X-PERP", None)]
)
def test_a_market_is_found_by_its_name(market: str, name: str | None) -> None:
    found = messages.find(assets(), market)
    assert (found.name if found else None) == name


def test_an_exact_name_goes_before_one_in_another_case() -> None:
    rows = [messages.Asset("kX", 1), messages.Asset("KX", 2)]
    assert messages.find(rows, "KX-PERP") == rows[1]


@pytest.mark.parametrize(
    ("name", "decimals", "tick", "lot"),
    [
        ("BTC", 5, "0.1", "0.00001"),
        ("SOL", 2, "0.0001", "0.01"),
        ("kPEPE", 0, "0.000001", "1"),
        ("X", 7, "1", "0.0000001"),
    ],
)
def test_an_instrument_has_the_finest_tick_of_the_significant_figure_rule(
    name: str, decimals: int, tick: str, lot: str
) -> None:
    event = messages.instrument(messages.Asset(name, decimals))
    assert event == Instrument(name, tick, lot, "USDC", None, 5, None)


def test_a_requests_coin_is_written_as_json() -> None:
    assert json.loads(messages.subscribe("bbo", 'a"b', "unsubscribe")) == {
        "method": "unsubscribe",
        "subscription": {"type": "bbo", "coin": 'a"b'},
    }


PRICES = st.lists(st.integers(1, 10**6).map(lambda n: n / 10), min_size=0, max_size=12, unique=True)


@given(PRICES, PRICES)
def test_flat_levels_are_in_order_and_at_most_five(bids: list[float], asks: list[float]) -> None:
    levels = (
        [messages.Level(px, 1.0) for px in sorted(bids, reverse=True)],
        [messages.Level(px, 1.0) for px in sorted(asks)],
    )
    bid_px, bid_sz, ask_px, ask_sz = messages.flat(levels)
    assert bid_px == sorted(bids, reverse=True)[:5]
    assert ask_px == sorted(asks)[:5]
    assert (len(bid_sz), len(ask_sz)) == (len(bid_px), len(ask_px))


def test_the_same_price_twice_is_out_of_order() -> None:
    with pytest.raises(VenueError, match="not in order"):
        messages.flat(([messages.Level(1.0, 1.0), messages.Level(1.0, 2.0)], []))
