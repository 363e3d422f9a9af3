"""Aster as its documents describe it, over real sockets."""

from __future__ import annotations

import time
from collections import Counter
from itertools import pairwise
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
import websocket

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.simulator.conftest import Client, Running

    Simulate = Callable[..., Running]

Sides = dict[str, dict[str, str]]
FOUR = ["btcusdt@depth@100ms", "btcusdt@bookTicker", "btcusdt@aggTrade", "btcusdt@markPrice@1s"]


@pytest.fixture
def venue(simulate: Simulate) -> Running:
    return simulate(venues=("aster",))


def combined(venue: Running, *streams: str) -> Client:
    return venue.connect("aster", "/stream?streams=" + "/".join(streams))


def ask(client: Client, number: object, method: str, *params: object) -> Any:  # noqa: ANN401 - JSON
    client.send({"method": method, "params": list(params), "id": number})
    return client.until(lambda value: "stream" not in value and "e" not in value)


def data(client: Client, stream: str) -> dict[str, Any]:
    found: dict[str, Any] = client.until(lambda value: value.get("stream") == stream)["data"]
    return found


def snapshot(venue: Running, symbol: str, limit: int = 1000) -> dict[str, Any]:
    found: dict[str, Any] = venue.get("aster", "/fapi/v3/depth", symbol=symbol, limit=limit).json()
    return found


def apply(book: Sides, event: dict[str, Any]) -> None:
    for side in "ba":
        for price, size in event[side]:
            if float(size):
                book[side][price] = size
            else:
                book[side].pop(price, None)


def true_book(venue: Running, market: str, seq: int) -> Sides:
    truth = venue.truth("aster", market, seq=seq)
    return {"b": dict(truth["bids"]), "a": dict(truth["asks"])}


# ---- books ----


@pytest.mark.parametrize(("symbol", "market"), [("BTCUSDT", "BTC-PERP"), ("SOLUSDT", "SOL-PERP")])
def test_a_snapshot_and_the_diffs_after_it_are_the_truth_of_their_ids(venue: Running, symbol: str, market: str) -> None:
    stream = f"{symbol.lower()}@depth@100ms"
    client = combined(venue, stream)
    event = data(client, stream)
    found = snapshot(venue, symbol)
    book: Sides = {"b": dict(found["bids"]), "a": dict(found["asks"])}
    assert book == true_book(venue, market, found["lastUpdateId"])
    while event["u"] < found["lastUpdateId"]:
        event = data(client, stream)
    assert event["pu"] <= found["lastUpdateId"]
    for _ in range(20):
        apply(book, event)
        assert book == true_book(venue, market, event["u"])
        assert event["pu"] < event["U"] <= event["u"]
        assert event["T"] <= event["E"]
        last, event = event, data(client, stream)
        assert event["pu"] == last["u"]


def bridge(events: list[dict[str, Any]], last: int) -> str:
    event = next(event for event in events if event["u"] >= last)
    if event["u"] == last:
        return "u == L"
    if event["pu"] > last:
        return "pu > L"
    return "U <= L <= u" if event["U"] <= last else "pu < L < U"


def test_every_way_to_bridge_a_snapshot_comes_up(venue: Running) -> None:
    streams = [f"{symbol}@depth@100ms" for symbol in ("btcusdt", "ethusdt", "solusdt")]
    client, seen, noise = combined(venue, *streams), Counter[str](), Random(1)
    give_up = time.monotonic() + 60
    while not {"u == L", "U <= L <= u", "pu < L < U"} <= set(seen):
        assert time.monotonic() < give_up, seen
        stream = noise.choice(streams)
        for _ in range(noise.randint(1, 3)):
            client.next()
        last = snapshot(venue, stream.partition("@")[0].upper(), 5)["lastUpdateId"]
        while data(client, stream)["u"] < last:
            pass
        seen[bridge([value["data"] for value in client.seen if value["stream"] == stream], last)] += 1
    # Whoever connected after the event that ends on the snapshot's id meets the same as ``pu == L``.
    assert "pu > L" not in seen


def test_a_switch_makes_snapshots_older_than_the_stream(venue: Running) -> None:
    client = combined(venue, "btcusdt@depth@100ms")
    event = data(client, "btcusdt@depth@100ms")
    venue.control("PUT", "/switches/aster/depth_lag_ms", data="600").raise_for_status()
    for _ in range(8):
        event = data(client, "btcusdt@depth@100ms")
    found = snapshot(venue, "BTCUSDT")
    assert found["lastUpdateId"] < event["pu"]
    assert {"b": dict(found["bids"]), "a": dict(found["asks"])} == true_book(venue, "BTC-PERP", found["lastUpdateId"])


def test_rest_shows_the_engine_as_of_a_tick(venue: Running) -> None:
    for symbol in ("BTCUSDT", "ETHUSDT"):
        found = snapshot(venue, symbol)
        assert found["T"] % 50 == 0
        assert 0 <= found["E"] - found["T"] < 1000
        bids, asks = ([float(price) for price, _ in found[side]] for side in ("bids", "asks"))
        assert bids == sorted(bids, reverse=True)
        assert asks == sorted(asks)
        assert bids[0] < asks[0]
    ticker = venue.get("aster", "/fapi/v3/ticker/bookTicker", symbol="BTCUSDT").json()
    book = true_book(venue, "BTC-PERP", ticker["lastUpdateId"])
    assert book["b"][ticker["bidPrice"]] == ticker["bidQty"]
    assert ticker["askPrice"] == min(book["a"], key=float)


@pytest.mark.parametrize("limit", [5, 10, 20])
def test_partial_depth_is_the_whole_top(venue: Running, limit: int) -> None:
    stream = f"btcusdt@depth{limit}@100ms"
    client = combined(venue, stream)
    for _ in range(6):
        event = data(client, stream)
        book = true_book(venue, "BTC-PERP", event["u"])
        assert event["e"] == "depthUpdate"
        assert [price for price, _ in event["b"]] == sorted(book["b"], key=float, reverse=True)[:limit]
        assert [price for price, _ in event["a"]] == sorted(book["a"], key=float)[:limit]


def test_each_speed_has_a_chain_of_its_own(venue: Running) -> None:
    speeds = {"@depth@0ms": 40, "@depth@100ms": 10, "@depth": 4, "@depth@500ms": 2}
    client = combined(venue, *(f"btcusdt{suffix}" for suffix in speeds))
    started = time.monotonic()
    client.until(lambda value: value["stream"] == "btcusdt@depth@500ms" and time.monotonic() - started > 2.5)
    for suffix in speeds:
        events = [value["data"] for value in client.seen if value["stream"] == f"btcusdt{suffix}"]
        assert all(after["pu"] == before["u"] for before, after in pairwise(events))
    counts = Counter(value["stream"].removeprefix("btcusdt") for value in client.seen)
    assert counts["@depth@0ms"] > counts["@depth@100ms"] > counts["@depth"] > counts["@depth@500ms"]


def test_ids_jump_because_all_symbols_share_them(venue: Running) -> None:
    client = combined(venue, "btcusdt@depth@100ms", "ethusdt@depth@100ms")
    events = [client.next()["data"] for _ in range(40)]
    gaps = [event["U"] - event["pu"] for event in events]
    assert max(gaps) > 500
    assert len({event["u"] for event in events}) == 40
    spread = max(event["u"] for event in events) - min(event["u"] for event in events)
    assert 5_000 < spread / 2 < 500_000


def test_decimals_are_printed_in_full_and_a_removal_is_a_zero_size(venue: Running) -> None:
    found = snapshot(venue, "SOLUSDT", 20)
    assert all(len(price.partition(".")[2]) == 4 and price.endswith("00") for price, _ in found["bids"])
    assert all(len(size.partition(".")[2]) == 2 for _, size in found["bids"])
    client = combined(venue, "solusdt@depth@100ms")
    client.until(lambda value: any(size == "0.00" for side in "ba" for _, size in value["data"][side]))


def test_best_prices_carry_the_id_of_their_book(venue: Running) -> None:
    client = combined(venue, "ethusdt@bookTicker")
    for _ in range(10):
        tick = client.next()["data"]
        assert list(tick) == ["e", "u", "s", "b", "B", "a", "A", "T", "E"]
        book = true_book(venue, "ETH-PERP", tick["u"])
        assert tick["b"] == max(book["b"], key=float)
        assert tick["a"] == min(book["a"], key=float)
        assert (book["b"][tick["b"]], book["a"][tick["a"]]) == (tick["B"], tick["A"])


# ---- trades, marks, tickers ----


def test_trades_over_every_way_are_the_same(simulate: Simulate) -> None:
    venue = simulate(venues=("aster",), markets=("BTC",), frames_per_second=100)
    client = combined(venue, "btcusdt@aggTrade", "btcusdt@trade")
    for _ in range(12):
        data(client, "btcusdt@aggTrade")
    aggregates = [value["data"] for value in client.seen if value["stream"] == "btcusdt@aggTrade"]
    singles = {value["data"]["t"]: value["data"] for value in client.seen if value["stream"] == "btcusdt@trade"}
    assert list(aggregates[0]) == ["e", "E", "a", "s", "p", "q", "f", "l", "T", "m"]
    assert all(after["a"] == before["a"] + 1 for before, after in pairwise(aggregates))
    assert all(before["l"] < after["f"] for before, after in pairwise(aggregates))
    assert all(0 <= one["E"] - one["T"] < 2000 for one in aggregates)
    for one in aggregates[1:]:
        parts = [singles[number] for number in range(one["f"], one["l"] + 1)]
        assert {part["p"] for part in parts} == {one["p"]}
        assert {part["m"] for part in parts} == {one["m"]}
        assert abs(sum(float(part["q"]) for part in parts) - float(one["q"])) < 1e-9
    rest = {row["a"]: row for row in venue.get("aster", "/fapi/v3/aggTrades", symbol="BTCUSDT", limit=100).json()}
    assert all({key: one[key] for key in "apqflTm"} == rest[one["a"]] for one in aggregates)
    ids = [row["id"] for row in venue.get("aster", "/fapi/v3/trades", symbol="BTCUSDT", limit=100).json()]
    assert len(ids) == 100
    assert ids == sorted(ids)


def test_a_mark_names_the_next_funding_time_and_a_rate_of_the_interval(venue: Running) -> None:
    client = combined(venue, "solusdt@markPrice@1s")
    mark = client.next()["data"]
    assert list(mark) == ["e", "E", "s", "p", "P", "i", "r", "T"]
    assert mark["E"] % 1000 == 0
    truth = venue.truth("aster", "SOL-PERP")
    assert mark["T"] == truth["next_funding_ms"]
    assert mark["T"] % (4 * 3_600_000) == 0
    assert abs(float(mark["r"]) - 4 * float(truth["funding"])) < 4e-6
    assert len(mark["p"].partition(".")[2]) == 8
    venue.control("PUT", "/switches/aster/blank_funding", data="1").raise_for_status()
    blank = client.until(lambda value: value["data"]["T"] == 0)["data"]
    assert blank["r"] == ""


def test_streams_of_all_symbols(venue: Running) -> None:
    client = combined(venue, "!markPrice@arr@1s", "!ticker@arr", "!miniTicker@arr", "!bookTicker", "ethusdt@ticker")
    for stream, kind in (
        ("!markPrice@arr@1s", "markPriceUpdate"),
        ("!ticker@arr", "24hrTicker"),
        ("!miniTicker@arr", "24hrMiniTicker"),
    ):
        rows: Any = data(client, stream)
        assert {row["s"] for row in rows} == {"BTCUSDT", "ETHUSDT", "SOLUSDT"}
        assert {row["e"] for row in rows} == {kind}
    assert data(client, "!bookTicker")["e"] == "bookTicker"
    assert data(client, "ethusdt@ticker")["s"] == "ETHUSDT"


# ---- requests ----


def test_subscribing_by_request(venue: Running) -> None:
    client = venue.connect("aster", "/stream")
    assert ask(client, 1, "SUBSCRIBE", *FOUR) == {"result": None, "id": 1}
    wanted = set(FOUR)
    while wanted:
        wanted.discard(client.next().get("stream"))
    assert ask(client, 2, "UNSUBSCRIBE", FOUR[0]) == {"result": None, "id": 2}
    assert ask(client, 3, "LIST_SUBSCRIPTIONS")["result"] == FOUR[1:]
    before = len(client.seen)
    for _ in range(15):
        client.next()
    assert all(value["stream"] != FOUR[0] for value in client.seen[before + 1 :])


def test_combined_frames_begin_with_the_stream(venue: Running) -> None:
    client = combined(venue, "btcusdt@bookTicker")
    opcode, payload = client.frame()
    assert opcode == websocket.ABNF.OPCODE_TEXT
    assert payload.startswith(b'{"stream":"btcusdt@bookTicker","data":{"e":')


def test_raw_frames_are_the_payload_until_switched(venue: Running) -> None:
    client = venue.connect("aster", "/ws/btcusdt@depth@100ms")
    assert client.next()["e"] == "depthUpdate"
    assert ask(client, 1, "GET_PROPERTY", "combined")["result"] is False
    assert ask(client, 2, "SET_PROPERTY", "combined", True) == {"result": None, "id": 2}
    assert client.next()["stream"] == "btcusdt@depth@100ms"
    bare = venue.connect("aster", "/ws")
    bare.send({"method": "SUBSCRIBE", "params": ["btcusdt@bookTicker"]})
    assert bare.next()["result"] is None
    assert bare.next()["e"] == "bookTicker"


def test_a_stream_that_does_not_exist_is_acknowledged_and_silent(venue: Running) -> None:
    client = venue.connect("aster", "/stream")
    dead = ["BTCUSDT@bookTicker", "nopeusdt@depth@100ms", "btcusdt@Depth@100ms"]
    assert ask(client, 1, "SUBSCRIBE", *dead, "btcusdt@bookTicker") == {"result": None, "id": 1}
    assert {client.next()["stream"] for _ in range(10)} == {"btcusdt@bookTicker"}


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        ("{", 3),
        ('{"id":1}', 2),
        ('{"method":"PING","id":1}', 2),
        ('{"method":"SUBSCRIBE","params":"x","id":1}', 2),
        ('{"method":"SUBSCRIBE","params":[],"id":"1"}', 2),
        ('{"method":"SUBSCRIBE","params":[],"id":1.5}', 2),
        ('{"method":"SUBSCRIBE","params":[],"id":-1}', 2),
        ('{"method":"LIST_SUBSCRIPTIONS","params":[1],"id":1}', 2),
        ('{"method":"GET_PROPERTY","params":[1],"id":1}', 2),
        ('{"method":"GET_PROPERTY","params":["x"],"id":1}', 0),
        ('{"method":"SET_PROPERTY","params":["combined","yes"],"id":1}', 1),
        ("[]", 2),
    ],
)
def test_wrong_requests_have_codes_in_any_of_three_shapes(venue: Running, sent: str, code: int) -> None:
    for shape in ("envelope", "bare", "reversed"):
        venue.control("PUT", "/switches/aster/error_shape", data=shape).raise_for_status()
        client = venue.connect("aster", "/stream")
        client.send(sent)
        value = client.next()
        assert (value["error"]["code"] if shape != "bare" else value["code"]) == code
        assert list(value) == {"envelope": ["id", "error"], "bare": ["code", "msg"], "reversed": ["error", "id"]}[shape]


def test_an_unknown_path_is_not_found(venue: Running) -> None:
    with pytest.raises(websocket.WebSocketBadStatusException) as refused:
        venue.connect("aster", "/public/ws")
    assert refused.value.status_code == 404
