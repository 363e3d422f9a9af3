"""Paradex's negotiation, keepalive, REST and encoder: over real sockets, and by itself."""

from __future__ import annotations

import struct
import time
from base64 import b64decode
from random import Random
from typing import TYPE_CHECKING

import pytest
import requests
import websocket

from simulator.truth import Truth
from simulator.venues.paradex import facts, sbe
from simulator.venues.paradex.bucket import Bucket
from simulator.venues.paradex.channels import Channel, Refused, parse
from simulator.venues.paradex.rpi import Overlay
from tests.simulator.venues.paradex_reader import (
    BTC,
    ETH,
    NULL,
    SOL,
    Reader,
    Sides,
    apply,
    binary,
    book,
    connect,
    subscribe,
    true_book,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.simulator.conftest import Running

    Simulate = Callable[..., Running]


@pytest.fixture
def venue(simulate: Simulate) -> Running:
    return simulate(venues=("paradex",))


# ---- connections ----


@pytest.mark.parametrize("query", ["", "?sbeSchemaId=2&sbeSchemaVersion=1", "?sbeSchemaId=1&sbeSchemaVersion=4"])
def test_versions_are_negotiated_by_refusal(venue: Running, query: str) -> None:
    with pytest.raises(websocket.WebSocketBadStatusException) as refused:
        venue.connect("paradex", "/v1" + query)
    assert refused.value.status_code == 400
    venue.control("PUT", "/switches/paradex/max_version", data="1").raise_for_status()
    with pytest.raises(websocket.WebSocketBadStatusException):
        connect(venue, 2)
    client = connect(venue, 1)
    subscribe(client, f"order_book.{BTC}.deltas")
    assert binary(client, 3).version == 1


@pytest.mark.parametrize("layout", ["long_block", "long_entries", "no_trade_id", "unknown"])
def test_layouts_that_a_later_server_may_use(simulate: Simulate, layout: str) -> None:
    venue = simulate(venues=("paradex",), switches=(("paradex.layout", layout),))
    client, held = connect(venue), Sides()
    subscribe(client, f"order_book.{BTC}.deltas", f"trades.{BTC}")
    for _ in range(5):
        event = book(client)
        apply(held, event)
        assert event.market == BTC
        assert held == true_book(venue, "BTC-PERP", event.seq)
    if layout == "unknown":
        assert binary(client, 99).schema == 1
    if layout == "no_trade_id":
        reader = binary(client, 1)
        assert (reader.text(), reader.text()) == (BTC, None)


def test_the_server_pings_and_drops_who_does_not_answer(simulate: Simulate) -> None:
    venue = simulate(venues=("paradex",), time_scale=0.06, switches=(("paradex.heartbeats", "1"),))
    answering, silent = connect(venue), connect(venue)
    beats = 0
    for _ in range(5):
        opcode, payload = answering.frame()
        if opcode == websocket.ABNF.OPCODE_PING:
            answering.ws.pong(payload)
        else:
            beats += Reader(payload).template == 40
    assert beats
    assert silent.until_closed().code == 1006
    assert venue.state()["violations"]["counts"] == {"paradex.pong_5s": 1}


def attempts(venue: Running, count: int) -> None:
    for _ in range(count):
        connect(venue)


def test_too_many_connects_are_refused(venue: Running) -> None:
    with pytest.raises(websocket.WebSocketBadStatusException) as refused:
        attempts(venue, 700)
    assert refused.value.status_code == 429
    assert venue.state()["violations"]["counts"] == {"paradex.connects": 1}


# ---- REST ----


def test_discovery_rows_are_whole(venue: Running) -> None:
    rows = {row["symbol"]: row for row in venue.get("paradex", "/v1/markets").json()["results"]}
    ticks = {symbol: (row["price_tick_size"], row["order_size_increment"]) for symbol, row in rows.items()}
    assert ticks == {BTC: ("0.1", "0.00001"), ETH: ("0.01", "0.0001"), SOL: ("0.001", "0.01")}
    assert {row["asset_kind"] for row in rows.values()} == {"PERP"}
    assert venue.get("paradex", "/v1/markets", market=SOL).json()["results"] == [rows[SOL]]


def test_pages_of_trades_join(venue: Running) -> None:
    whole = venue.get("paradex", "/v1/trades", market=BTC, page_size=60).json()["results"]
    end = whole[0]["created_at"]
    first = venue.get("paradex", "/v1/trades", market=BTC, page_size=20, end_at=end).json()
    second = venue.get("paradex", "/v1/trades", market=BTC, page_size=20, end_at=end, cursor=first["next"]).json()
    assert [row["id"] for row in first["results"] + second["results"]] == [row["id"] for row in whole[:40]]
    assert first["prev"] is None
    assert [row["created_at"] for row in whole] == sorted((row["created_at"] for row in whole), reverse=True)


def test_system_endpoints(venue: Running) -> None:
    assert abs(venue.get("paradex", "/v1/system/time").json()["server_time"] - time.time() * 1000) < 10_000
    assert venue.get("paradex", "/v1/system/state").json() == {"status": "ok"}
    venue.control("PUT", "/switches/paradex/system_state", data="maintenance").raise_for_status()
    assert venue.get("paradex", "/v1/system/state").json() == {"status": "maintenance"}
    assert venue.get("paradex", "/v1/system/config").json()["paraclear_decimals"] == 8
    summary = venue.get("paradex", "/v1/markets/summary", market="ALL").json()["results"]
    assert [row["symbol"] for row in summary] == [BTC, ETH, SOL]


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/markets?market=NOPE", 404, "MARKET_NOT_FOUND"),
        ("/orderbook/NOPE", 400, "MARKET_NOT_FOUND"),
        ("/trades", 400, "INVALID_REQUEST_PARAMETER"),
        (f"/trades?market={BTC}&page_size=1001", 400, "VALIDATION_ERROR"),
        (f"/funding/data?market={BTC}&cursor=%25", 400, "INVALID_REQUEST_PARAMETER"),
        ("/nothing", 401, "INVALID_TOKEN"),
    ],
)
def test_rest_errors(venue: Running, path: str, status: int, code: str) -> None:
    found = venue.get("paradex", "/v1" + path)
    assert (found.status_code, found.json()["error"]) == (status, code)


def test_requests_are_limited_by_a_bucket(venue: Running) -> None:
    url = venue.rest("paradex") + "/v1/system/state"
    with requests.Session() as session:
        found = session.get(url, timeout=20)
        for _ in range(facts.REST_PER_MINUTE * 2):
            if found.status_code != 200:
                break
            found = session.get(url, timeout=20)
    assert found.status_code == 429
    assert found.headers["X-RateLimit-Limit"] == "1500"
    assert found.headers["X-RateLimit-Remaining"] == "0"
    assert int(found.headers["Retry-After"]) == 1
    assert venue.state()["violations"]["counts"] == {"paradex.rest_per_minute": 1}


# ---- pure parts ----


def test_a_delta_is_the_bytes_that_the_venue_sent() -> None:
    captured = b64decode(
        "WQADAAEAAQAA3krUSV0GAJO5MsoBAAAAAQAAAAAAAACAAAAAAAAAAIAAAAAAAAAAgAAAAAAAAACAAAAAAAAAAIAAAAAAAAAAgAAAAAAAAACA"
        "AAAAAAAAAIAAAAAAAAAAgBAAAQAAgXQXlgcAADhKAAAAAAAAEAAAAAxCVEMtVVNELVBFUlA="
    )
    ts = struct.unpack_from("<q", captured, 8)[0]
    event = sbe.BookEvent(ts, 7687289235, sbe.DELTA)
    assert sbe.book(facts.spec("BTC", 10), sbe.Layout(1), event, [(834122, 19)], []) == captured


def test_a_side_without_levels_is_null() -> None:
    reader = Reader(sbe.bbo(facts.spec("ETH", 10), sbe.Layout(1), 5, 6, ([], [(264000, 3)])))
    assert reader.fields == (5, 6, NULL, NULL, 264_000_000_000, 30_000)


def test_names_are_read_by_their_grammar() -> None:
    specs = {spec.symbol: spec for spec in (facts.spec("BTC", 10),)}
    assert parse(f"bbo.{BTC}.interactive", specs) == Channel(f"bbo.{BTC}.interactive", "bbo", "BTC-PERP", rpi=True)
    tops = parse(f"order_book.{BTC}.interactive@15@400ms@2_5", specs)
    assert tops == Channel(f"order_book.{BTC}.interactive@15@400ms@2_5", "tops", "BTC-PERP", True, 400, 25)
    assert parse(f"order_book.{BTC}.snapshot@15@50ms@0_05", specs) == Channel(
        f"order_book.{BTC}.snapshot@15@50ms@0_05", "silent"
    )
    assert parse("funding_rate_comparison.ALL@500ms", specs) == Channel("funding_rate_comparison.ALL@500ms", "silent")
    assert parse("bbo.ALL.interactive", specs) == Refused("invalid channel")
    assert parse("trades", specs) == Refused("invalid channel")
    assert parse("orderbook.BTC-USD-PERP", specs) == Refused("invalid channel")


def test_an_overlay_never_crosses_the_plain_book() -> None:
    rng = Random(3)
    spec = facts.spec("BTC", 12)
    truth = Truth(spec, rng, seq=1, now_us=0)
    overlay = Overlay(truth, rng)
    bids, asks = map(dict, overlay.levels())
    for number in range(2, 400):
        version = truth.step(rng, facts.PACE, seq=number, now_us=number * 1000)
        overlay.step(rng)
        changed_bids, changed_asks = overlay.changes(version.changes)
        for held, changed in ((bids, changed_bids), (asks, changed_asks)):
            held.update(changed)
        whole = overlay.levels()
        assert ({p: q for p, q in bids.items() if q}, {p: q for p, q in asks.items() if q}) == tuple(map(dict, whole))
        assert whole[0][0][0] < truth.book.asks.prices[0]
        assert whole[1][0][0] > truth.book.bids.prices[-1]


def test_a_bucket_refills_evenly() -> None:
    bucket = Bucket(2, 60)
    assert [bucket.take(1.0) for _ in range(3)] == [True, True, False]
    assert bucket.wait(1.0) == 30.0
    assert not bucket.take(30.9)
    assert bucket.take(31.0)
    assert bucket.left(1000.0) == 2
