"""Faults of frames and messages as a client sees them."""

from __future__ import annotations

import json
import time
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
import websocket

from tests.simulator.faulty import add, chain_breaks, drained, is_update, quiet_for, remove, subscribed

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.simulator.conftest import Running

    Simulate = Callable[..., Running]


def test_a_stalled_socket_stays_open_and_answers_pings(lighter: Running) -> None:
    client = subscribed(lighter)
    fault = add(lighter, "stall", venue="lighter")
    drained(client)
    client.send({"type": "ping"})
    assert client.next() == {"type": "pong"}
    report = remove(lighter, fault)
    assert report["applied"] > 0
    assert client.until(is_update)


def test_one_market_is_silent_while_others_run(lighter: Running) -> None:
    client = subscribed(lighter, "order_book/1", "order_book/0")
    add(lighter, "stall", venue="lighter", market="BTC-PERP")
    # What was under way when the market fell silent comes before the pong.
    client.send({"type": "ping"})
    client.until(lambda value: value["type"] == "pong")
    channels = {client.until(is_update)["channel"] for _ in range(30)}
    assert channels == {"order_book:0"}


def test_subscriptions_are_refused_in_the_venues_words(lighter: Running) -> None:
    add(lighter, "error_reply", params={})
    client = lighter.connect("lighter", "/stream")
    client.next()
    client.send({"type": "subscribe", "channel": "order_book/1"})
    assert client.next() == {"error": {"code": 30012, "message": "Failed to subscribe"}}
    client.send({"type": "ping"})
    assert client.next() == {"type": "pong"}
    other = lighter.connect("hyperliquid", "/ws")
    other.send({"method": "subscribe", "subscription": {"type": "bbo", "coin": "BTC"}})
    assert other.next()["channel"] == "error"


def test_refusals_can_be_of_one_market(lighter: Running) -> None:
    add(lighter, "error_reply", venue="lighter", market="ETH-PERP")
    client = lighter.connect("lighter", "/stream")
    client.next()
    for market_id in (0, 1):
        client.send({"type": "subscribe", "channel": f"ticker/{market_id}"})
    assert "error" in client.next()
    assert client.next()["channel"] == "ticker:1"


def test_a_deaf_venue_answers_nothing(lighter: Running) -> None:
    client = subscribed(lighter, "height")
    client.send({"type": "unsubscribe", "channel": "height"})
    client.until(lambda value: value.get("type") == "unsubscribed")
    fault = add(lighter, "deaf", venue="lighter")
    client.send({"type": "ping"})
    assert quiet_for(client, 0.3)
    remove(lighter, fault)
    client.send({"type": "ping"})
    assert client.next() == {"type": "pong"}


def test_no_pong_of_either_kind(lighter: Running) -> None:
    client = lighter.connect("lighter", "/stream")
    client.next()
    add(lighter, "no_pong", venue="lighter")
    client.send({"type": "ping"})
    client.ws.ping("x")
    assert quiet_for(client, 0.3)


def test_a_late_snapshot_comes_behind_its_diffs(lighter: Running) -> None:
    add(lighter, "late_snapshot", venue="lighter", params={"delay_s": 0.5})
    client = lighter.connect("lighter", "/stream")
    client.send({"type": "subscribe", "channel": "order_book/1"})
    assert client.until(lambda value: value.get("channel") == "order_book:1")["type"] == "update/order_book"
    assert client.until(lambda value: value["type"] == "subscribed/order_book")


def test_what_was_held_back_leaves_when_the_fault_ends(lighter: Running) -> None:
    fault = add(lighter, "late_ack", venue="hyperliquid", params={"delay_s": 1000})
    client = lighter.connect("hyperliquid", "/ws")
    client.send({"method": "subscribe", "subscription": {"type": "activeAssetCtx", "coin": "BTC"}})
    assert client.next()["channel"] == "activeAssetCtx"
    remove(lighter, fault)
    assert client.until(lambda value: value["channel"] == "subscriptionResponse")


@pytest.mark.parametrize(("fault", "breaks"), [("gap", 1), ("duplicate", 1), ("reorder", 3), ("replay", 1)])
def test_sequence_faults_break_the_chain_once(lighter: Running, fault: str, breaks: int) -> None:
    client = subscribed(lighter)
    client.until(is_update)
    add(lighter, fault, venue="lighter", market="BTC-PERP")
    assert chain_breaks(client, 60) == breaks


def test_a_crossed_book_is_seen_crossed(lighter: Running) -> None:
    client = subscribed(lighter)
    add(lighter, "crossed", venue="lighter", market="BTC-PERP")

    def crosses(value: dict[str, Any]) -> bool:
        if not is_update(value):
            return False
        ask = float(lighter.truth("lighter", "BTC-PERP", seq=value["order_book"]["nonce"])["asks"][0][0])
        return any(float(level["price"]) > ask + 0.2 for level in value["order_book"]["bids"])

    assert client.until(crosses, 200)


def test_an_emptied_side_is_removed_level_by_level(lighter: Running) -> None:
    client = subscribed(lighter)
    add(lighter, "emptied", venue="lighter", market="BTC-PERP", params={"side": "asks"})
    frame = client.until(lambda value: is_update(value) and len(value["order_book"]["asks"]) > 20, 500)
    assert {level["size"] for level in frame["order_book"]["asks"]} == {"0.00000"}


def is_json(data: bytes) -> bool:
    try:
        json.loads(data)
    except ValueError:
        return False
    return True


def test_bad_bytes_reach_the_client_and_leave_the_socket_open(lighter: Running) -> None:
    client = subscribed(lighter)
    add(lighter, "garbage", venue="lighter", market="BTC-PERP", params={"bytes": 77})
    while len(client.frame()[1]) != 77:
        pass
    add(lighter, "truncated", venue="lighter", market="BTC-PERP")
    while is_json(client.frame()[1]):
        pass
    add(lighter, "giant", venue="lighter", market="BTC-PERP", params={"megabytes": 3.0})
    while len(client.frame()[1]) < 3 << 20:
        pass
    assert client.until(is_update)


def test_a_frame_can_be_cut_in_half(lighter: Running) -> None:
    client = subscribed(lighter)
    add(lighter, "half_frame", venue="lighter", market="BTC-PERP")
    assert client.until_closed().code == 1006


def test_a_dripped_frame_arrives_byte_by_byte_and_whole_when_it_ends(lighter: Running) -> None:
    client = subscribed(lighter)
    client.until(is_update)
    fault = add(lighter, "drip", venue="lighter", market="BTC-PERP", params={"gap_s": 0.05})
    # The truth moves on while the frame crawls: the chain is unbroken all the same.
    time.sleep(0.5)
    remove(lighter, fault)
    assert chain_breaks(client, 30) == 0


def test_a_backlog_delivers_old_times_in_order(lighter: Running) -> None:
    client = subscribed(lighter)
    fault = add(lighter, "backlog", venue="lighter", params={"speed": 0.5})
    began = time.monotonic()
    lags = []
    while time.monotonic() - began < 2.0:
        frame = client.until(is_update)
        lags.append(time.time() - frame["timestamp"] / 1000)
    assert lags[-1] > 0.7
    assert lags[-1] > lags[0]
    remove(lighter, fault)
    assert chain_breaks(client, 60) == 0
    frame = client.until(is_update)
    assert time.time() - frame["timestamp"] / 1000 < 0.7


def test_bursts_come_together(lighter: Running) -> None:
    client = subscribed(lighter)
    add(lighter, "burst", venue="lighter", params={"hold_s": 0.5})
    drained_at: list[float] = []
    for _ in range(120):
        client.until(is_update)
        drained_at.append(time.monotonic())
    pauses = [after - before for before, after in pairwise(drained_at)]
    assert sum(pause > 0.3 for pause in pauses) >= 2
    assert sum(pause < 0.02 for pause in pauses) > 60


def test_a_ping_flood(lighter: Running) -> None:
    client = lighter.connect("lighter", "/stream")
    client.next()
    add(lighter, "ping_flood", venue="lighter", params={"per_s": 500})
    assert {client.frame()[0] for _ in range(200)} == {websocket.ABNF.OPCODE_PING}


def test_texts_can_be_injected_once_or_repeatedly(lighter: Running) -> None:
    client = lighter.connect("lighter", "/stream")
    client.next()
    add(lighter, "inject", venue="lighter", params={"text": '{"type":"shutdown","close_in_ms":1000}'})
    assert client.next() == {"type": "shutdown", "close_in_ms": 1000}
    add(lighter, "inject", venue="lighter", params={"text": '{"type":"ping"}', "per_s": 50})
    assert [client.next() for _ in range(5)] == [{"type": "ping"}] * 5
