"""What must hold for every venue alike: its frames say what they are, so that every fault finds them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import websocket

from simulator.settings import VENUES
from tests.simulator.faulty import add, remove

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.simulator.conftest import Client, Running

    Simulate = Callable[..., Running]

AGENT = {"header": ["User-Agent: test"]}
PATHS = {
    "hyperliquid": "/ws",
    "paradex": "/v1?sbeSchemaId=1&sbeSchemaVersion=2",
    "lighter": "/stream",
    "extended": "/stream.extended.exchange/v1/orderbooks/BTC-USD",
    "aster": "/stream",
}
REQUESTS: dict[str, dict[str, Any]] = {
    "hyperliquid": {"method": "subscribe", "subscription": {"type": "l2Book", "coin": "BTC", "fast": True}},
    "paradex": {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "subscribe",
        "params": {"channel": "order_book.BTC-USD-PERP.deltas"},
    },
    "lighter": {"type": "subscribe", "channel": "order_book/1"},
    "aster": {"method": "SUBSCRIBE", "params": ["btcusdt@depth@100ms"], "id": 1},
}
SUBSCRIBING = sorted(REQUESTS)
"""Extended subscribes by opening a path."""


def opened(running: Running, venue: str) -> Client:
    client = running.connect(venue, PATHS[venue], **AGENT)
    if venue in REQUESTS:
        client.send(REQUESTS[venue])
    return client


def is_book(venue: str, opcode: int, data: bytes) -> bool:
    """Whether a frame carries the book that was subscribed to."""
    if venue == "paradex":
        return opcode == websocket.ABNF.OPCODE_BINARY
    marks = {"hyperliquid": b'"l2Book","data"', "lighter": b"/order_book", "extended": b'"b"', "aster": b"depthUpdate"}
    return opcode == websocket.ABNF.OPCODE_TEXT and marks[venue] in data


def book(client: Client, venue: str, most: int = 2000) -> bytes:
    for _ in range(most):
        opcode, data = client.frame()
        if is_book(venue, opcode, data):
            return data
    pytest.fail(f"no book among {most} frames")


def falls_silent(client: Client, most: int = 500) -> bool:
    """Whether nothing comes any more, after what was under way."""
    try:
        for _ in range(most):
            client.frame()
    except websocket.WebSocketTimeoutException:
        return True
    return False


@pytest.fixture
def fast(simulate: Simulate) -> Running:
    return simulate(limits="count", frames_per_second=50, markets=("BTC", "ETH"))


def test_all_five_are_served(fast: Running) -> None:
    assert tuple(fast.ports["venues"]) == VENUES
    for venue in VENUES:
        truth = fast.truth(venue, "ETH-PERP")
        assert float(truth["bids"][0][0]) < float(truth["asks"][0][0])
    for venue in VENUES:
        assert book(opened(fast, venue), venue)
    state = fast.state()
    assert all(len(state["venues"][venue]["connections"]) == 1 for venue in VENUES)
    assert state["violations"]["total"] == 0


@pytest.mark.parametrize("venue", VENUES)
def test_a_stall_of_one_market_silences_it_and_ends(fast: Running, venue: str) -> None:
    client = opened(fast, venue)
    book(client, venue)
    fault = add(fast, "stall", venue=venue, market="BTC-PERP")
    client.ws.settimeout(0.5)
    assert falls_silent(client)
    client.ws.settimeout(20)
    assert remove(fast, fault)["applied"] > 5
    assert book(client, venue)


@pytest.mark.parametrize("venue", VENUES)
@pytest.mark.parametrize("fault", ["crossed", "emptied", "corrupt", "truncated", "garbage", "wrong_types", "duplicate"])
def test_books_can_be_spoilt(fast: Running, venue: str, fault: str) -> None:
    client = opened(fast, venue)
    book(client, venue)
    params = {"kinds": "snapshot+delta"} if fault == "duplicate" else {}
    fault_id = add(fast, fault, venue=venue, market="BTC-PERP", params=params)
    for _ in range(300):
        client.frame()
        if fast.control("GET", "/faults").json()["active"][0]["applied"]:
            break
    assert remove(fast, fault_id)["applied"] == 1
    assert book(client, venue)


@pytest.mark.parametrize("venue", [venue for venue in VENUES if venue != "hyperliquid"])
@pytest.mark.parametrize("fault", ["gap", "reorder", "replay"])
def test_sequences_can_be_broken(fast: Running, venue: str, fault: str) -> None:
    client = opened(fast, venue)
    book(client, venue)
    fault_id = add(fast, fault, venue=venue, market="BTC-PERP")
    for _ in range(40):
        book(client, venue)
    assert remove(fast, fault_id)["applied"] == 1


@pytest.mark.parametrize("venue", SUBSCRIBING)
def test_subscriptions_can_be_refused_by_each(fast: Running, venue: str) -> None:
    fault = add(fast, "error_reply", venue=venue, market="BTC-PERP")
    client = opened(fast, venue)
    replies: list[object] = []
    while not any("error" in json.dumps(reply) for reply in replies):
        replies.append(client.next())
    remove(fast, fault)
    client.send(REQUESTS[venue])
    assert book(client, venue)


@pytest.mark.parametrize("venue", SUBSCRIBING)
def test_acknowledgements_can_be_lost_by_each(fast: Running, venue: str) -> None:
    fault = add(fast, "no_ack", venue=venue)
    client = opened(fast, venue)
    assert book(client, venue)
    assert remove(fast, fault)["applied"] == 1


@pytest.mark.parametrize("venue", VENUES)
def test_connections_end_and_come_back(fast: Running, venue: str) -> None:
    client = opened(fast, venue)
    book(client, venue)
    add(fast, "close", venue=venue, params={"code": 1012})
    assert client.until_closed().code == 1012
    fault = add(fast, "handshake", venue=venue, params={"status": 503})
    with pytest.raises(websocket.WebSocketBadStatusException, match="503"):
        opened(fast, venue)
    remove(fast, fault)
    again = opened(fast, venue)
    book(again, venue)
    add(fast, "reset", venue=venue)
    assert again.until_closed().code == 1006
