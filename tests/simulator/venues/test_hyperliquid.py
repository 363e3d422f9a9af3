"""Hyperliquid as its documents describe it, over real sockets."""

from __future__ import annotations

import base64
import json
import time
import zlib
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
import requests
import websocket

from simulator.venues.hyperliquid import facts
from simulator.venues.hyperliquid.messages import premium

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.simulator.conftest import Client, Running

    Simulate = Callable[..., Running]

BOOK = {"type": "l2Book", "coin": "BTC", "fast": True}


@pytest.fixture
def venue(simulate: Simulate) -> Running:
    return simulate(venues=("hyperliquid",))


def subscribe(client: Client, **subscription: Any) -> None:  # noqa: ANN401 - JSON
    client.send({"method": "subscribe", "subscription": subscription})


def info(venue: Running, **body: Any) -> requests.Response:  # noqa: ANN401 - JSON
    return requests.post(venue.rest("hyperliquid") + "/info", json=body, timeout=20)


def of(channel: str) -> Callable[[Any], bool]:
    return lambda value: value["channel"] == channel


def numbers(levels: list[dict[str, Any]]) -> list[tuple[Decimal, Decimal]]:
    return [(Decimal(level["px"]), Decimal(level["sz"])) for level in levels]


def expected(levels: list[list[str]], depth: int) -> list[tuple[Decimal, Decimal]]:
    return [(Decimal(price), Decimal(size)) for price, size in levels[:depth]]


@pytest.mark.parametrize(
    ("sent", "echoed"),
    [
        ({"type": "l2Book", "coin": "BTC"}, {"nSigFigs": None, "mantissa": None, "fast": False}),
        ({"type": "l2Book", "coin": "BTC", "fast": True, "nLevels": 9}, {"nSigFigs": None, "fast": True}),
        ({"type": "l2Book", "coin": "BTC", "nSigFigs": 5, "mantissa": 2}, {"nSigFigs": 5, "mantissa": 2}),
        ({"type": "bbo", "coin": "SOL"}, {}),
        ({"type": "allMids"}, {}),
    ],
)
def test_a_subscription_is_acknowledged_in_its_normal_form(
    venue: Running, sent: dict[str, Any], echoed: dict[str, Any]
) -> None:
    client = venue.connect("hyperliquid", "/ws")
    subscribe(client, **sent)
    ack = client.next()
    assert ack["channel"] == "subscriptionResponse"
    assert ack["data"]["method"] == "subscribe"
    echo = ack["data"]["subscription"]
    assert {key: echo[key] for key in echoed} == echoed
    assert "nLevels" not in echo


def test_every_book_equals_the_truth_as_of_its_time(venue: Running) -> None:
    client = venue.connect("hyperliquid", "/ws")
    for coin in ("BTC", "ETH", "SOL"):
        subscribe(client, type="l2Book", coin=coin, fast=True)
        subscribe(client, type="l2Book", coin=coin)
    depths, last = set(), dict[str, int]()
    for _ in range(18):
        data = client.until(of("l2Book"))["data"]
        truth = venue.truth("hyperliquid", f"{data['coin']}-PERP", ts_ms=data["time"])
        depth = facts.FAST_DEPTH if data.get("fast") else facts.DEFAULT_DEPTH
        depths.add(depth)
        assert numbers(data["levels"][0]) == expected(truth["bids"], depth)
        assert numbers(data["levels"][1]) == expected(truth["asks"], depth)
        assert data["time"] >= last.get(data["coin"], 0)
        last[data["coin"]] = data["time"]
    assert depths == {5, 20}


def test_all_fast_books_of_a_push_share_their_time(venue: Running) -> None:
    client = venue.connect("hyperliquid", "/ws")
    for coin in ("BTC", "ETH"):
        subscribe(client, type="l2Book", coin=coin, fast=True)
    for _ in range(2):
        client.until(of("l2Book"))
    pushes = [[client.until(of("l2Book"))["data"] for _ in range(2)] for _ in range(3)]
    for one, other in pushes:
        assert one["time"] == other["time"]
        assert one["coin"] != other["coin"]


def test_the_touch_is_sent_when_it_changes_and_is_true(venue: Running) -> None:
    client = venue.connect("hyperliquid", "/ws")
    subscribe(client, type="bbo", coin="ETH")
    last = None
    for _ in range(15):
        data = client.until(of("bbo"))["data"]
        truth = venue.truth("hyperliquid", "ETH-PERP", ts_ms=data["time"])
        assert numbers(data["bbo"]) == [*expected(truth["bids"], 1), *expected(truth["asks"], 1)]
        assert data["bbo"] != last
        last = data["bbo"]


def test_trades_begin_with_thirty_of_the_past(venue: Running) -> None:
    client = venue.connect("hyperliquid", "/ws")
    began = time.time() * 1000
    subscribe(client, type="trades", coin="SOL")
    replayed = client.until(of("trades"))["data"]
    assert len(replayed) == 30
    assert all(trade["time"] < began for trade in replayed)
    assert [trade["time"] for trade in replayed] == sorted(trade["time"] for trade in replayed)
    fresh = client.until(of("trades"))["data"]
    known = {(trade["time"], trade["tid"]) for trade in replayed}
    assert not any((trade["time"], trade["tid"]) in known for trade in fresh)
    assert all(trade["coin"] == "SOL" and trade["side"] in "AB" and len(trade["hash"]) == 66 for trade in fresh)
    assert all(trade["tid"] < 1 << 50 for trade in fresh)


def test_contexts_carry_mark_index_interest_and_funding(venue: Running) -> None:
    client = venue.connect("hyperliquid", "/ws")
    subscribe(client, type="activeAssetCtx", coin="BTC")
    context = client.until(of("activeAssetCtx"))["data"]["ctx"]
    assert "time" not in context
    texts = [value for value in context.values() if not isinstance(value, list)]
    assert all("." in text for text in texts)
    assert abs(Decimal(context["markPx"]) / Decimal(context["oraclePx"]) - 1) < Decimal("0.01")
    bid, ask = (Decimal(price) for price in context["impactPxs"])
    assert Decimal(context["premium"]) == premium(bid, ask, Decimal(context["oraclePx"]))
    assert (bid + ask) / 2 == Decimal(context["midPx"])


def test_ping_is_answered_without_data(venue: Running) -> None:
    client = venue.connect("hyperliquid", "/ws")
    client.send({"method": "ping"})
    assert client.next() == {"channel": "pong"}


def test_a_plain_text_may_come_first(simulate: Simulate) -> None:
    venue = simulate(venues=("hyperliquid",), switches=(("hyperliquid.greets", "1"),))
    client = venue.connect("hyperliquid", "/ws")
    assert client.frame()[1] == b"Websocket connection established."
    client.send({"method": "ping"})
    assert client.next() == {"channel": "pong"}


def test_protocol_pings_are_answered(venue: Running) -> None:
    client = venue.connect("hyperliquid", "/ws")
    client.ws.ping("abc")
    assert client.frame() == (websocket.ABNF.OPCODE_PONG, b"abc")


def test_subscribing_twice_and_unsubscribing_what_is_not_held_are_errors(venue: Running) -> None:
    client = venue.connect("hyperliquid", "/ws")
    subscribe(client, **BOOK)
    client.next()
    subscribe(client, **BOOK)
    normal = '{"type":"l2Book","coin":"BTC","nSigFigs":null,"mantissa":null,"fast":true}'
    assert client.until(of("error"))["data"] == f"Already subscribed: {normal}"
    client.send({"method": "unsubscribe", "subscription": BOOK})
    assert client.until(of("subscriptionResponse"))["data"]["method"] == "unsubscribe"
    client.send({"method": "unsubscribe", "subscription": BOOK})
    assert client.until(of("error"))["data"] == f"Already unsubscribed: {normal}"


@pytest.mark.parametrize(
    "text",
    [
        '{"method":"subscribe","subscription":{"type":"bbo","coin":["BTC","ETH"]}}',
        '{"method": "subscribe", "subscription": {"type": "noSuchType", "coin": "BTC"}}',
        '{"method":"subscribe"}',
        '{"method":"nothing"}',
        '{"method":"post","request":{"type":"info","payload":{}}}',
        "[1]",
        "not json",
        "[" * 5000,
    ],
)
def test_what_cannot_be_parsed_is_echoed_in_an_error(venue: Running, text: str) -> None:
    client = venue.connect("hyperliquid", "/ws")
    client.send(text)
    assert client.next() == {
        "channel": "error",
        "data": f"Error parsing JSON into valid websocket request: {text}",
    }
    client.send({"method": "ping"})
    assert client.next() == {"channel": "pong"}


@pytest.mark.parametrize(
    "subscription",
    [
        {"type": "bbo", "coin": "btc"},
        {"type": "trades", "coin": "NOPE"},
        {"type": "l2Book", "coin": "BTC", "nSigFigs": 6},
        {"type": "l2Book", "coin": "BTC", "nSigFigs": 4, "mantissa": 2},
        {"type": "l2Book", "coin": "BTC", "nSigFigs": 5, "mantissa": 3},
    ],
)
def test_a_bad_coin_or_figure_ends_the_socket_without_a_word(venue: Running, subscription: dict[str, Any]) -> None:
    client = venue.connect("hyperliquid", "/ws")
    subscribe(client, **subscription)
    assert client.until_closed().code == 1006
    assert client.seen == []


def test_a_delisted_coin_has_an_empty_book(venue: Running) -> None:
    client = venue.connect("hyperliquid", "/ws")
    subscribe(client, type="l2Book", coin="MATIC")
    assert client.until(of("l2Book"))["data"]["levels"] == [[], []]


def test_bucketed_books_round_away_from_the_mid(venue: Running) -> None:
    client = venue.connect("hyperliquid", "/ws")
    subscribe(client, type="l2Book", coin="BTC", nSigFigs=4)
    data = client.until(of("l2Book"))["data"]
    bids, asks = numbers(data["levels"][0]), numbers(data["levels"][1])
    assert all(price % 10 == 0 for price, _ in [*bids, *asks])
    assert Decimal(data["spread"]) == asks[0][0] - bids[0][0]
    truth = venue.truth("hyperliquid", "BTC-PERP", ts_ms=data["time"])
    total = sum(Decimal(size) for price, size in truth["bids"] if Decimal(price) >= bids[0][0])
    assert bids[0][1] == total


def test_fast_contexts_are_deflated_and_later_only_what_changed(venue: Running) -> None:
    client = venue.connect("hyperliquid", "/ws")
    subscribe(client, type="fastAssetCtxs")
    text = client.until(of("fastAssetCtxs"))["data"]
    first = json.loads(zlib.decompress(base64.b64decode(text), -15))
    assert set(first) == {"BTC", "ETH", "SOL"}
    assert set(first["BTC"]) == {"markPx", "midPx"}


def test_an_eleventh_connection_is_refused(venue: Running) -> None:
    clients = [venue.connect("hyperliquid", "/ws") for _ in range(10)]
    with pytest.raises(websocket.WebSocketBadStatusException, match="429"):
        venue.connect("hyperliquid", "/ws")
    assert venue.state()["violations"]["counts"] == {"hyperliquid.connections": 1}
    assert len(clients) == 10


def test_limits_may_be_only_counted(simulate: Simulate) -> None:
    venue = simulate(venues=("hyperliquid",), limits="count")
    clients = [venue.connect("hyperliquid", "/ws") for _ in range(11)]
    clients[-1].send({"method": "ping"})
    assert clients[-1].next() == {"channel": "pong"}
    assert venue.state()["violations"]["counts"] == {"hyperliquid.connections": 1}


def test_a_life_ends_with_expired(simulate: Simulate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(facts, "LIFETIME_S", (100.0, 106.0))
    venue = simulate(venues=("hyperliquid",), time_scale=0.01)
    client = venue.connect("hyperliquid", "/ws")
    began = time.monotonic()
    subscribe(client, **BOOK)
    closed = client.until_closed()
    assert (closed.code, closed.reason) == (1000, "Expired")
    assert time.monotonic() - began >= 0.9


def test_a_socket_the_server_is_silent_on_is_dropped(simulate: Simulate) -> None:
    venue = simulate(venues=("hyperliquid",), time_scale=0.005)
    client = venue.connect("hyperliquid", "/ws")
    began = time.monotonic()
    assert client.until_closed().code == 1006
    assert time.monotonic() - began >= 0.25
    assert venue.state()["violations"]["counts"] == {"hyperliquid.idle_60s": 1}


def test_frames_per_second_sets_the_pace_of_fast_books(simulate: Simulate) -> None:
    venue = simulate(venues=("hyperliquid",), frames_per_second=100, markets=("BTC",))
    client = venue.connect("hyperliquid", "/ws")
    subscribe(client, **BOOK)
    client.until(of("l2Book"))
    began = time.monotonic()
    for _ in range(100):
        client.until(of("l2Book"))
    assert time.monotonic() - began < 5
