"""Aster's connections, REST, weights and engine: over real sockets, and by itself."""

from __future__ import annotations

import time
from itertools import pairwise
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
import requests
import websocket

from simulator.book import BID, Change
from simulator.truth import Version
from simulator.venues.aster import facts
from simulator.venues.aster.engine import Chain, Engine
from simulator.venues.aster.weights import Gate

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.simulator.conftest import Client, Running

    Simulate = Callable[..., Running]


@pytest.fixture
def venue(simulate: Simulate) -> Running:
    return simulate(venues=("aster",))


def ask(client: Client, number: object, method: str, *params: object) -> Any:  # noqa: ANN401 - JSON
    client.send({"method": method, "params": list(params), "id": number})
    return client.until(lambda value: "stream" not in value and "e" not in value)


# ---- connections ----


def test_more_than_ten_messages_a_second_end_the_connection(venue: Running) -> None:
    client = venue.connect("aster", "/stream")
    for number in range(11):
        client.send({"method": "LIST_SUBSCRIPTIONS", "id": number})
    assert client.until_closed().code == 1008
    assert venue.state()["violations"]["counts"] == {"aster.messages_per_second": 1}


def test_limits_that_are_only_counted_do_not_hurt(simulate: Simulate) -> None:
    venue = simulate(venues=("aster",), limits="count")
    client = venue.connect("aster", "/stream")
    client.send({"method": "SUBSCRIBE", "params": [f"s{number}@trade" for number in range(201)], "id": 1})
    for number in range(12):
        client.send({"method": "LIST_SUBSCRIPTIONS", "id": number + 2})
    assert client.until(lambda value: value["id"] == 13)["result"]
    assert set(venue.state()["violations"]["counts"]) == {"aster.streams", "aster.messages_per_second"}


def test_more_than_two_hundred_streams_are_refused(venue: Running) -> None:
    client = venue.connect("aster", "/stream")
    assert ask(client, 1, "SUBSCRIBE", *(f"s{number}@trade" for number in range(201)))["error"]["code"] == 2
    assert ask(client, 2, "LIST_SUBSCRIPTIONS")["result"] == []


@pytest.mark.parametrize("expiry", ["close", "abrupt"])
def test_a_connection_lives_a_day(simulate: Simulate, expiry: str) -> None:
    # A pong is due within 9 ms here, which a busy machine may miss.
    venue = simulate(venues=("aster",), time_scale=1e-5, limits="count", switches=(("aster.expiry", expiry),))
    client, opened = venue.connect("aster", "/ws"), time.monotonic()
    assert client.until_closed().code == {"close": 1001, "abrupt": 1006}[expiry]
    assert 0.5 < time.monotonic() - opened < 10


def test_the_server_pings_and_drops_who_never_answers(simulate: Simulate) -> None:
    venue = simulate(venues=("aster",), time_scale=0.001)
    answering, silent = venue.connect("aster", "/ws"), venue.connect("aster", "/ws")
    opened = time.monotonic()
    while time.monotonic() < opened + 1.5:
        opcode, payload = answering.frame()
        assert opcode == websocket.ABNF.OPCODE_PING
        answering.ws.pong(payload)
    assert silent.until_closed().code == 1006
    assert venue.state()["violations"]["counts"] == {"aster.pong_15min": 1}
    answering.ws.ping("x")
    frames = [answering.frame() for _ in range(3)]
    assert (websocket.ABNF.OPCODE_PONG, b"x") in frames


# ---- REST ----


def test_the_list_of_markets_has_whole_and_odd_rows(venue: Running) -> None:
    value = venue.get("aster", "/fapi/v1/exchangeInfo").json()
    rows = {row["symbol"]: row for row in value["symbols"]}
    assert rows["NEWUSDT"]["contractType"] == ""
    assert {symbol for symbol, row in rows.items() if row["status"] != "TRADING"} == {"NEWUSDT"}
    filters = {one["filterType"]: one for one in rows["SOLUSDT"]["filters"]}
    assert filters["PRICE_FILTER"]["tickSize"] == "0.0100"
    assert filters["LOT_SIZE"]["stepSize"] == "0.01"
    assert rows["SOLUSDT"]["pricePrecision"] == 4
    assert rows["BTCUSDT"]["quoteAsset"] == rows["BTCUSDT"]["marginAsset"] == "USDT"
    assert value["rateLimits"][0]["limit"] == 2400


def test_funding_is_by_interval_of_the_symbol(venue: Running) -> None:
    info = {row["symbol"]: row for row in venue.get("aster", "/fapi/v3/fundingInfo").json()}
    assert (info["BTCUSDT"]["fundingIntervalHours"], info["SOLUSDT"]["fundingIntervalHours"]) == (8, 4)
    assert info["BTCUSDT"]["fundingFeeCap"] == 0.003
    rows = venue.get("aster", "/fapi/v3/fundingRate", symbol="SOLUSDT", limit=5).json()
    times = [row["fundingTime"] for row in rows]
    assert all(after - before == 4 * 3_600_000 for before, after in pairwise(times))
    truth = venue.truth("aster", "SOL-PERP")
    assert times[-1] == truth["funding_settled_at_ms"]
    assert abs(float(rows[-1]["fundingRate"]) - 4 * float(truth["funding_settled"])) < 1e-12
    since = venue.get("aster", "/fapi/v3/fundingRate", symbol="SOLUSDT", startTime=times[0], limit=2).json()
    assert since == rows[:2]
    assert len(venue.get("aster", "/fapi/v3/fundingRate").json()) == 100


def test_premium_and_open_interest(venue: Running) -> None:
    rows = {row["symbol"]: row for row in venue.get("aster", "/fapi/v3/premiumIndex").json()}
    assert {"BTCUSDT", "ETHUSDT", "SOLUSDT", "APXUSDT"} == set(rows)
    assert rows["APXUSDT"]["lastFundingRate"] == "0"
    one = venue.get("aster", "/fapi/v3/premiumIndex", symbol="BTCUSDT").json()
    truth = venue.truth("aster", "BTC-PERP")
    assert one["nextFundingTime"] == truth["next_funding_ms"]
    assert abs(float(one["lastFundingRate"]) - 8 * float(truth["funding"])) < 8e-6
    assert one["time"] % 1000 == 0
    interest = venue.get("aster", "/fapi/v3/openInterest", symbol="BTCUSDT").json()
    assert abs(float(interest["openInterest"]) - float(truth["open_interest"])) < 100


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("depth", -1102),
        ("depth?symbol=btcusdt", -1121),
        ("depth?symbol=BTCUSDT&limit=7", -4021),
        ("depth?symbol=BTCUSDT&limit=x", -1100),
        ("openInterest", -1102),
        ("premiumIndex?symbol=NOPE", -1121),
        ("trades?symbol=BTCUSDT&limit=1001", -1130),
    ],
)
def test_rest_errors_have_codes(venue: Running, path: str, code: int) -> None:
    found = venue.get("aster", f"/fapi/v3/{path}")
    assert found.status_code == 400
    assert found.json()["code"] == code


def test_requests_cost_weight_and_who_ignores_refusals_is_banned(simulate: Simulate) -> None:
    venue = simulate(venues=("aster",), switches=(("aster.retry_after", "1"),))
    url = venue.rest("aster") + "/fapi/v3/depth?symbol=BTCUSDT&limit=1000"
    with requests.Session() as session:
        found = [session.get(url, timeout=20) for _ in range(120 + facts.PATIENCE + 2)]
        short = session.get(venue.rest("aster") + "/fapi/v3/ping", timeout=20)
    assert [one.status_code for one in found[:120]] == [200] * 120
    assert [one.status_code for one in found[120:]] == [429] * facts.PATIENCE + [418] * 2
    used = [int(one.headers["X-MBX-USED-WEIGHT-1M"]) for one in found]
    assert used[:120] == list(range(20, 2401, 20))
    assert short.status_code == 418
    assert short.json()["code"] == -1003
    assert "banned until" in short.json()["msg"]
    assert 100 < int(short.headers["Retry-After"]) <= 121


def test_weights_follow_the_limit(venue: Running) -> None:
    used = []
    for limit in (5, 50, 100, 500, 1000):
        found = venue.get("aster", "/fapi/v3/depth", symbol="BTCUSDT", limit=limit)
        used.append(int(found.headers["x-mbx-used-weight-1m"]))
    assert [after - before for before, after in pairwise([0, *used])] == [2, 2, 5, 10, 20]


# ---- pure parts ----


def test_a_ban_grows_and_ends() -> None:
    gate = Gate(120.0)
    assert gate.ask(0.0, 2400).status == 200
    refused = [gate.ask(1.0, 1) for _ in range(facts.PATIENCE)]
    assert {verdict.status for verdict in refused} == {429}
    assert refused[0].until == 60.0
    assert gate.ask(1.0, 1) == (418, 2400, 121.0)
    assert gate.ask(120.9, 1).status == 418
    assert gate.ask(121.0, 2400).status == 200
    verdicts = [gate.ask(122.0, 1) for _ in range(facts.PATIENCE + 1)]
    assert verdicts[-1].until == 122.0 + 240.0


def test_a_chain_names_what_came_before() -> None:
    chain = Chain(100)
    assert chain.cut() is None
    chain.note(110, Version(112, 1_000, (Change(BID, 5, 7, 0),), ()))
    chain.note(120, Version(125, 2_000, (Change(BID, 5, 9, 7), Change(BID, 4, 0, 3)), ()))
    event = chain.cut()
    assert event == (110, 125, 100, 2_000, [(5, 9), (4, 0)], [])
    chain.note(130, Version(130, 3_000, (Change(BID, 5, 1, 9),), ()))
    chain.note(140, Version(140, 4_000, (Change(BID, 5, 9, 1),), ()))
    there_and_back = chain.cut()
    assert there_and_back == (130, 140, 125, 4_000, [(5, 9)], []), "a snapshot may be of the instant between"
    chain.note(150, Version(151, 5_000, (Change(BID, 6, 1, 0),), ()))
    later = chain.cut()
    assert later is not None
    assert (later.first, later.last, later.previous) == (150, 151, 140)
    chain.note(160, Version(163, 6_000, (Change(BID, 7, 1, 0),), ()))
    chain.skip()
    chain.note(170, Version(171, 7_000, (Change(BID, 8, 1, 0),), ()))
    assert chain.cut() == (170, 171, 163, 7_000, [(8, 1)], [])


def test_a_tick_is_the_counter_before_anything_after_it() -> None:
    engine = Engine(1000, Random(7), 50.0)
    engine.observe(149_999)
    engine.take()
    engine.observe(150_000)
    assert engine.tick(149_999) == (100_000, 1000)
    assert engine.tick(150_000) == (150_000, engine.id)
    assert engine.tick(0) == (100_000, 1000)
