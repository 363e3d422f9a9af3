"""Hyperliquid's REST side, and what its pure modules promise."""

from __future__ import annotations

import time
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
import requests

from simulator.venues.hyperliquid import facts
from simulator.venues.hyperliquid.messages import bucketed_data
from simulator.venues.hyperliquid.subscriptions import parse

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


def test_an_empty_bucketed_book_is_empty() -> None:
    spec = facts.spec("BTC", 10)
    assert bucketed_data(spec, 1, [], [], (5, 2), 20)["levels"] == [[], []]


def test_mids_are_the_same_over_both_ways(venue: Running) -> None:
    client = venue.connect("hyperliquid", "/ws")
    subscribe(client, type="allMids")
    assert set(client.until(of("allMids"))["data"]["mids"]) == {"BTC", "ETH", "SOL"}
    assert set(info(venue, type="allMids").json()) == {"BTC", "ETH", "SOL"}


def test_a_post_answers_like_rest_and_null_for_an_unknown_coin(venue: Running) -> None:
    client = venue.connect("hyperliquid", "/ws")
    for number, coin in ((1, "BTC"), (7, "NOPE")):
        payload = {"type": "l2Book", "coin": coin}
        client.send({"method": "post", "id": number, "request": {"type": "info", "payload": payload}})
    first, second = client.next(), client.next()
    assert first["data"]["id"] == 1
    assert len(first["data"]["response"]["payload"]["data"]["levels"][0]) == 20
    assert second["data"] == {"id": 7, "response": {"type": "info", "payload": {"type": "l2Book", "data": None}}}


def test_the_universe_has_ticks_of_five_figures(venue: Running) -> None:
    meta, contexts = info(venue, type="metaAndAssetCtxs").json()
    assert [row["name"] for row in meta["universe"]] == ["BTC", "ETH", "SOL", "MATIC"]
    assert meta["universe"][3]["isDelisted"] is True
    assert [row["szDecimals"] for row in meta["universe"][:3]] == [5, 4, 2]
    assert len(contexts) == 4
    assert contexts[3]["midPx"] is None
    for coin in ("BTC", "ETH", "SOL"):
        book = info(venue, type="l2Book", coin=coin).json()
        for level in book["levels"][0]:
            digits = level["px"].replace(".0", "").replace(".", "")
            assert len(digits) <= 5
        assert "fast" not in book


def test_settled_funding_is_hourly_ascending_and_paged(venue: Running) -> None:
    now = int(time.time() * 1000)
    rows = info(venue, type="fundingHistory", coin="BTC", startTime=now - 5 * 3_600_000).json()
    assert [row["time"] // 3_600_000 for row in rows] == [now // 3_600_000 - back for back in range(len(rows))[::-1]]
    assert 4 <= len(rows) <= 5
    assert all(0 < row["time"] % 3_600_000 <= 118 for row in rows)
    page = info(venue, type="fundingHistory", coin="BTC", startTime=now - 900 * 3_600_000).json()
    assert len(page) == 500
    rest = info(venue, type="fundingHistory", coin="BTC", startTime=page[-1]["time"] + 1).json()
    assert rest[0]["time"] // 3_600_000 == page[-1]["time"] // 3_600_000 + 1
    truth = venue.truth("hyperliquid", "BTC-PERP")
    assert Decimal(rest[-1]["fundingRate"]) == Decimal(truth["funding_settled"])


@pytest.mark.parametrize(
    ("body", "status", "text"),
    [
        ({"type": "nope"}, 422, "Failed to deserialize the JSON body into the target type"),
        ({"type": "fundingHistory", "coin": "BTC"}, 422, "Failed to deserialize the JSON body into the target type"),
        ({"type": "fundingHistory", "coin": "NOPE", "startTime": 1}, 500, "null"),
        ({"type": "metaAndAssetCtxs", "dex": "nope"}, 500, "null"),
        ({"type": "l2Book", "coin": "NOPE"}, 200, "null"),
    ],
)
def test_rest_errors_are_the_documented_ones(venue: Running, body: dict[str, Any], status: int, text: str) -> None:
    answer = info(venue, **body)
    assert (answer.status_code, answer.text) == (status, text)


def test_rest_wants_json_by_post(venue: Running) -> None:
    url = venue.rest("hyperliquid") + "/info"
    assert requests.get(url, timeout=20).status_code == 405
    headers = {"Content-Type": "text/plain"}
    assert requests.post(url, data="{}", headers=headers, timeout=20).status_code == 415
    headers = {"Content-Type": "application/json"}
    broken = requests.post(url, data='{"type":', headers=headers, timeout=20)
    assert (broken.status_code, broken.text) == (400, "Failed to parse the request body as JSON")
    assert requests.get(venue.rest("hyperliquid") + "/other", timeout=20).status_code == 404


@pytest.mark.parametrize(
    "kind",
    ["meta", "spotMeta", "spotMetaAndAssetCtxs", "perpDexs", "allPerpMetas", "outcomeMeta", "predictedFundings"],
)
def test_what_public_clients_ask_at_their_start_is_answered(venue: Running, kind: str) -> None:
    answer = info(venue, type=kind, dex="")
    assert answer.status_code == 200
    assert answer.json() is not None


def test_the_predicted_next_time_lies_in_the_past(venue: Running) -> None:
    rows = dict(info(venue, type="predictedFundings").json())
    ours = dict(rows["BTC"])["HlPerp"]
    assert ours["nextFundingTime"] <= time.time() * 1000
    assert ours["fundingIntervalHours"] == 1


def test_recent_trades_are_newest_first(venue: Running) -> None:
    times = [trade["time"] for trade in info(venue, type="recentTrades", coin="BTC").json()]
    assert times == sorted(times, reverse=True)
    assert info(venue, type="recentTrades", coin="NOPE").status_code == 500


def test_the_weight_budget_answers_429_and_is_counted(venue: Running) -> None:
    statuses = [info(venue, type="meta").status_code for _ in range(61)]
    assert statuses == [200] * 60 + [429]
    assert venue.state()["violations"]["counts"] == {"hyperliquid.weight": 1}


def test_requests_are_read_strictly() -> None:
    assert parse('{"method":"ping"}') is not None
    assert parse('{"method":"subscribe","subscription":{"type":"l2Book","coin":"BTC","fast":1}}') is None
    request = parse('{"method":"subscribe","subscription":{"type":"l2Book","coin":"BTC","nSigFigs":true}}')
    assert request is not None
    assert request.bad


@pytest.mark.parametrize(("base", "tick"), [("BTC", "1.0"), ("ETH", "0.10"), ("SOL", "0.0100"), ("DOGE", "0.000010")])
def test_ticks_follow_the_five_figure_rule(base: str, tick: str) -> None:
    spec = facts.spec(base, 10)
    assert spec.price(1) == tick
