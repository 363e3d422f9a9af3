"""Extended's handshakes, keepalive, REST and limits, over real sockets."""

from __future__ import annotations

import time
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
import requests
import websocket

from simulator.venues.extended import facts
from tests.simulator.faulty import add

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.simulator.conftest import Client, Running

    Simulate = Callable[..., Running]

V1 = facts.STREAM + "/v1"
AGENT = {"User-Agent": "tests/1"}


@pytest.fixture
def venue(simulate: Simulate) -> Running:
    return simulate(venues=("extended",))


def path(venue: Running, topic: str) -> Client:
    return venue.connect("extended", f"{V1}/{topic}", header=AGENT)


# ---- connections ----


@pytest.mark.parametrize(
    ("topic", "code"),
    [
        ("orderbooks/NOPE-USD", 1001),
        ("orderbooks/btc-usd", 1001),
        ("orderbooks/BTC-USD?depth=20", 400),
        ("tickers/BTC-USD", 404),
    ],
)
def test_a_wrong_path_is_refused_at_the_handshake(venue: Running, topic: str, code: int) -> None:
    with pytest.raises(websocket.WebSocketBadStatusException) as refused:
        path(venue, topic)
    assert refused.value.status_code == 404
    assert f'"code":{code},' in str(refused.value)


def test_nothing_is_served_without_a_user_agent(venue: Running) -> None:
    with pytest.raises(websocket.WebSocketBadStatusException) as refused:
        venue.connect("extended", f"{V1}/orderbooks/BTC-USD")
    assert refused.value.status_code == 403
    url = venue.rest("extended") + "/api/v1/info/assets"
    assert requests.get(url, headers={"User-Agent": ""}, timeout=20).status_code == 403
    assert venue.state()["violations"]["counts"] == {"extended.user_agent": 2}


def test_a_plain_get_of_a_stream_is_refused(venue: Running) -> None:
    assert venue.get("extended", f"{V1}/orderbooks/BTC-USD").status_code == 400


def test_the_server_pings_and_drops_who_does_not_answer(simulate: Simulate) -> None:
    venue = simulate(venues=("extended",), rate=0.0, time_scale=0.05)
    answering, silent = path(venue, "orderbooks/rfq/BTC-USD"), path(venue, "orderbooks/rfq/ETH-USD")
    for _ in range(4):
        opcode, data = answering.frame()
        while opcode != websocket.ABNF.OPCODE_PING:
            opcode, data = answering.frame()
        answering.ws.pong(data)
    assert silent.until_closed().code == 1006
    assert venue.state()["violations"]["counts"] == {"extended.pong_10s": 1}
    answering.ws.ping("x")
    while (frame := answering.frame())[0] != websocket.ABNF.OPCODE_PONG:
        answering.ws.pong(frame[1])
    assert frame[1] == b"x"


def test_a_ping_that_a_stall_swallows_asks_for_no_pong(simulate: Simulate) -> None:
    venue = simulate(venues=("extended",), rate=0.0, time_scale=0.1)
    add(venue, "stall", params={"control": True}, for_s=3.2)
    client = path(venue, "orderbooks/rfq/BTC-USD")
    # Two pings are due while nothing is sent, and the pong to the first of them.
    opcode, data = client.frame()
    while opcode != websocket.ABNF.OPCODE_PING:
        opcode, data = client.frame()
    client.ws.pong(data)
    assert venue.state()["violations"]["total"] == 0


# ---- REST ----


def test_a_market_row_is_whole(venue: Running) -> None:
    value = venue.get("extended", "/api/v1/info/markets", market=["BTC-USD", "ETH-USD"]).json()
    assert value["status"] == "OK"
    row = value["data"][0]
    assert [one["name"] for one in value["data"]] == ["BTC-USD", "ETH-USD"]
    assert (row["type"], row["status"], row["active"], row["isRfq"]) == ("PERPETUAL", "ACTIVE", True, False)
    trading = row["tradingConfig"]
    assert (trading["minPriceChange"], trading["minOrderSizeChange"], trading["minOrderSize"]) == (
        "1",
        "0.00001",
        "0.0001",
    )
    assert trading["maxNumOrders"] == "200"
    assert row["referenceMarket"] == "null"
    assert len(venue.get("extended", "/api/v1/info/markets").json()["data"]) == 3


def test_stats_agree_with_the_truth(venue: Running) -> None:
    stats = venue.get("extended", "/api/v1/info/markets/BTC-USD/stats").json()["data"]
    truth = venue.truth("extended", "BTC-PERP")
    assert abs(Decimal(stats["openInterestBase"]) - Decimal(truth["open_interest"])) < 10
    assert stats["fundingRate"] == truth["funding"]
    assert stats["nextFundingRate"] == truth["next_funding_ms"]
    assert Decimal(stats["bidPrice"]) < Decimal(stats["askPrice"])


def test_the_rest_book_has_no_sequence_and_is_cached(venue: Running) -> None:
    bodies = {venue.get("extended", "/api/v1/info/markets/BTC-USD/orderbook").text for _ in range(5)}
    assert len(bodies) <= 2
    value = venue.get("extended", "/api/v1/info/markets/BTC-USD/orderbook").json()["data"]
    assert set(value) == {"market", "bid", "ask"}
    assert set(value["bid"][0]) == {"qty", "price"}
    assert Decimal(value["bid"][0]["price"]) < Decimal(value["ask"][0]["price"])


def test_rest_trades_look_like_streamed_ones(venue: Running) -> None:
    rows = venue.get("extended", "/api/v1/info/markets/BTC-USD/trades").json()["data"]
    streamed = {row["i"]: row for row in path(venue, "publicTrades/BTC-USD").next()["data"]}
    assert len(rows) == 50
    shared = [row for row in rows if row["i"] in streamed]
    assert len(shared) > 30
    assert all(streamed[row["i"]] == row for row in shared)


def test_settled_funding_is_newest_first_just_after_the_hour(venue: Running) -> None:
    now = int(time.time() * 1000)
    asked = {"startTime": now - 10 * 3_600_000, "endTime": now}
    value = venue.get("extended", "/api/v1/info/BTC-USD/funding", **asked).json()
    times = [row["T"] for row in value["data"]]
    assert 9 <= len(times) <= 10
    assert times == sorted(times, reverse=True)
    assert all(900 <= one % 3_600_000 <= 1300 for one in times)
    assert value["pagination"]["count"] == len(times)
    page = venue.get("extended", "/api/v1/info/BTC-USD/funding", limit=3, **asked).json()
    rest = venue.get("extended", "/api/v1/info/BTC-USD/funding", cursor=page["pagination"]["cursor"], **asked).json()
    assert page["data"] + rest["data"] == value["data"]
    truth = venue.truth("extended", "BTC-PERP")
    settled = {row["T"] // 3_600_000 * 3_600_000: row["f"] for row in value["data"]}
    if truth["funding_settled_at_ms"] in settled:
        assert settled[truth["funding_settled_at_ms"]] == truth["funding_settled"]


def test_open_interest_history_needs_a_known_interval(venue: Running) -> None:
    now = int(time.time() * 1000)
    asked = {"startTime": now - 1000 * 3_600_000, "endTime": now}
    rows = venue.get("extended", "/api/v1/info/BTC-USD/open-interests", interval="PT1H", **asked).json()["data"]
    assert len(rows) == 300
    assert set(rows[0]) == {"i", "I", "t"}
    assert venue.get("extended", "/api/v1/info/BTC-USD/open-interests", interval="1h", **asked).status_code == 400


@pytest.mark.parametrize(
    ("asked", "status", "code"),
    [
        ("/info/markets/NOPE-USD/stats", 404, 1001),
        ("/info/markets?market=NOPE-USD", 404, 1001),
        ("/info/BTC-USD/funding", 400, 400),
        ("/nothing", 404, 404),
    ],
)
def test_rest_errors_come_in_the_envelope(venue: Running, asked: str, status: int, code: int) -> None:
    found = venue.get("extended", "/api/v1" + asked)
    assert found.status_code == status
    assert found.json()["status"] == "ERROR"
    assert found.json()["error"]["code"] == code


@pytest.mark.parametrize("limits", ["enforce", "count"])
def test_more_than_a_thousand_requests_a_minute_are_too_many(simulate: Simulate, limits: str) -> None:
    venue = simulate(venues=("extended",), limits=limits)
    url = venue.rest("extended") + "/api/v1/info/assets"
    with requests.Session() as session:
        found = [session.get(url, timeout=20).status_code for _ in range(1001)]
    assert found[:1000] == [200] * 1000
    assert found[1000] == (429 if limits == "enforce" else 200)
    assert venue.state()["violations"]["counts"] == {"extended.rest_per_minute": 1}
