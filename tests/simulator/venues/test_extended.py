"""Extended as its documents describe it, over real sockets."""

from __future__ import annotations

import time
from decimal import Decimal
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from simulator.venues.extended import facts
from tests.simulator.faulty import add

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.simulator.conftest import Client, Running

    Simulate = Callable[..., Running]

Sides = dict[str, dict[Decimal, Decimal]]
V1 = facts.STREAM + "/v1"
V2 = facts.STREAM + "/v2/rpc"
AGENT = {"User-Agent": "tests/1"}


@pytest.fixture
def venue(simulate: Simulate) -> Running:
    return simulate(venues=("extended",))


def path(venue: Running, topic: str) -> Client:
    return venue.connect("extended", f"{V1}/{topic}", header=AGENT)


def rpc(venue: Running) -> Client:
    return venue.connect("extended", V2, header=AGENT)


def call(client: Client, number: str, method: str, scope: str | None = None, **selector: object) -> None:
    request: dict[str, Any] = {"method": method, "id": number, "jsonrpc": "2.0"}
    if scope is not None:
        request["params"] = {"scope": scope, "selector": selector}
    client.send(request)


def answer(client: Client, number: str) -> dict[str, Any]:
    found: dict[str, Any] = client.until(lambda value: value.get("id") == number)
    return found


def apply(book: Sides, frame: dict[str, Any]) -> None:
    """Apply a frame, holding a delta to ``old + q == c``."""
    data = frame["data"]
    if data["t"] == "SNAPSHOT":
        book["b"], book["a"] = ({Decimal(level["p"]): Decimal(level["q"]) for level in data[side]} for side in "ba")
        assert all("c" not in level for level in data["b"] + data["a"])
        return
    for side in "ba":
        for level in data[side]:
            price, after = Decimal(level["p"]), Decimal(level["c"])
            assert book[side].get(price, Decimal()) + Decimal(level["q"]) == after
            book[side][price] = after
            if not after:
                del book[side][price]


def true_book(venue: Running, market: str, ts_ms: int) -> Sides:
    truth = venue.truth("extended", market, ts_ms=ts_ms)
    assert truth["ts_ms"] == ts_ms
    return {
        side: {Decimal(price): Decimal(size) for price, size in truth[name]}
        for side, name in (("b", "bids"), ("a", "asks"))
    }


# ---- path streams ----


@pytest.mark.parametrize(("symbol", "market"), [("BTC-USD", "BTC-PERP"), ("SOL-USD", "SOL-PERP")])
def test_every_book_frame_is_the_truth_of_its_time(venue: Running, symbol: str, market: str) -> None:
    client, book = path(venue, f"orderbooks/{symbol}"), Sides()
    for number in range(1, 25):
        frame = client.next()
        assert frame["seq"] == number
        assert frame["type"] == frame["data"]["t"] == ("SNAPSHOT" if number == 1 else "DELTA")
        assert frame["data"]["m"] == symbol
        assert frame["data"]["d"] == "f"
        apply(book, frame)
        assert book == true_book(venue, market, frame["ts"])
    times = [frame["ts"] for frame in client.seen]
    assert all(before < after for before, after in pairwise(times))


def test_sides_are_sorted_and_prices_printed_in_several_ways(simulate: Simulate) -> None:
    venue = simulate(venues=("extended",), markets=("BTC",), depth=400)
    client = path(venue, "orderbooks/BTC-USD")
    data = client.next()["data"]
    bids, asks = ([Decimal(level["p"]) for level in data[side]] for side in "ba")
    assert bids == sorted(bids, reverse=True)
    assert asks == sorted(asks)
    texts = [level["p"] for level in data["b"] + data["a"]]
    assert {text.partition(".")[2] for text in texts} == {"", "0", "000000"}
    later = [level["p"] for _ in range(10) for side in "ba" for level in client.next()["data"][side]]
    assert later
    assert not any("." in text for text in later)


def test_a_late_subscriber_gets_an_old_snapshot_and_all_deltas_since_with_their_own_times(venue: Running) -> None:
    early, book = path(venue, "orderbooks/BTC-USD"), Sides()
    for _ in range(15):
        early.next()
    late = path(venue, "orderbooks/BTC-USD")
    asked = time.time() * 1000
    replay = [late.next() for _ in range(15)]
    assert [frame["data"] for frame in replay] == [frame["data"] for frame in early.seen]
    assert [(frame["ts"], frame["seq"]) for frame in replay] == [(frame["ts"], frame["seq"]) for frame in early.seen]
    assert replay[0]["ts"] < asked - 1000
    for frame in replay:
        apply(book, frame)
    assert book == true_book(venue, "BTC-PERP", replay[-1]["ts"])


def test_the_periodic_snapshot_follows_a_delta_of_the_same_time_and_equals_the_book(simulate: Simulate) -> None:
    venue = simulate(venues=("extended",), time_scale=0.02, limits="count")
    client, book = path(venue, "orderbooks/ETH-USD"), Sides()
    before = client.next()
    apply(book, before)
    for _ in range(3):
        while (frame := client.next())["type"] == "DELTA":
            apply(book, frame)
            before = frame
        assert before["ts"] == frame["ts"]
        assert before["seq"] + 1 == frame["seq"]
        held = {side: dict(book[side]) for side in "ba"}
        apply(book, frame)
        assert book == held == true_book(venue, "ETH-PERP", frame["ts"])


def test_a_fast_market_gets_its_snapshots_earlier(simulate: Simulate) -> None:
    venue = simulate(venues=("extended",), markets=("BTC",), frames_per_second=2000)
    client = path(venue, "orderbooks/BTC-USD")
    client.next()
    again = client.until(lambda frame: frame["type"] == "SNAPSHOT")
    assert again["seq"] <= facts.MOST_REPLAYED + 3


def test_a_still_market_sends_only_snapshots_each_after_an_empty_delta(simulate: Simulate) -> None:
    venue = simulate(venues=("extended",), rate=0.0, time_scale=0.005, limits="count")
    client = path(venue, "orderbooks/BTC-USD")
    client.next()
    frames = [client.next() for _ in range(4)]
    assert [frame["type"] for frame in frames] == ["DELTA", "SNAPSHOT"] * 2
    assert all(frame["data"]["b"] == frame["data"]["a"] == [] for frame in frames[::2])


def test_a_switch_leaves_the_size_after_a_change_out(simulate: Simulate) -> None:
    venue = simulate(venues=("extended",), switches=(("extended.omits_c", "1"),))
    client = path(venue, "orderbooks/BTC-USD")
    for frame in (client.next(), *(client.next() for _ in range(5))):
        assert all(set(level) == {"q", "p"} for side in "ba" for level in frame["data"][side])


def test_one_stream_may_carry_every_market(venue: Running) -> None:
    client, books = path(venue, "orderbooks"), dict[str, Sides]()
    for number in range(1, 40):
        frame = client.next()
        assert frame["seq"] == number
        apply(books.setdefault(frame["data"]["m"], Sides()), frame)
    assert set(books) == {"BTC-USD", "ETH-USD", "SOL-USD"}


def test_best_prices_replace_each_other(venue: Running) -> None:
    client = path(venue, "orderbooks/BTC-USD?depth=1")
    for number in range(1, 15):
        frame = client.next()
        assert (frame["type"], frame["data"]["d"], frame["seq"]) == ("SNAPSHOT", "1", number)
        truth = true_book(venue, "BTC-PERP", frame["ts"])
        best = {"b": max(truth["b"]), "a": min(truth["a"])}
        for side in "ba":
            (level,) = frame["data"][side]
            assert (Decimal(level["p"]), Decimal(level["q"])) == (best[side], truth[side][best[side]])


def test_an_rfq_book_is_legally_empty(venue: Running) -> None:
    data = path(venue, "orderbooks/rfq/BTC-USD").next()["data"]
    assert data == {"t": "SNAPSHOT", "m": "BTC-USD", "b": [], "a": [], "d": "f"}


def test_trades_begin_with_fifty_past_ones_and_go_on_without_a_hole(simulate: Simulate) -> None:
    venue = simulate(venues=("extended",), markets=("BTC",), frames_per_second=50)
    client = path(venue, "publicTrades/BTC-USD")
    history = client.next()
    assert "type" not in history
    assert history["seq"] == 1
    assert len(history["data"]) == 50
    rows = history["data"]
    while len(rows) < 70:
        frame = client.next()
        assert frame["ts"] >= max(row["T"] for row in frame["data"])
        rows = rows + frame["data"]
    numbers = [row["i"] for row in rows]
    assert numbers == sorted(set(numbers))
    assert numbers[0] > 2**53
    low = [number & 0x3FFFFF for number in numbers]
    assert all(after == before + 1 for before, after in pairwise(low))
    assert {row["S"] for row in rows} == {"BUY", "SELL"}
    assert {row["tT"] for row in rows} <= {"TRADE", "LIQUIDATION", "DELEVERAGE"}
    assert [row["T"] for row in rows] == sorted(row["T"] for row in rows)


def test_trades_of_all_markets_share_a_stream(venue: Running) -> None:
    rows = path(venue, "publicTrades").next()["data"]
    assert len(rows) == 50
    assert len({row["m"] for row in rows}) == 3
    assert [row["i"] for row in rows] == sorted(row["i"] for row in rows)


def test_mark_has_no_time_of_its_own_and_index_has(venue: Running) -> None:
    mark, index = path(venue, "prices/mark/BTC-USD").next(), path(venue, "prices/index/BTC-USD").next()
    assert (mark["type"], mark["data"]["ts"]) == ("MP", 0)
    assert index["type"] == "IP"
    assert 0 <= index["ts"] - index["data"]["ts"] < 1000
    assert len(mark["data"]["p"].partition(".")[2]) == 12
    truth = venue.truth("extended", "BTC-PERP")
    assert truth["mark"] == mark["data"]["p"] or time.time() * 1000 - mark["ts"] > 1000


def test_funding_comes_once_a_minute_and_at_once_when_switched_so(simulate: Simulate) -> None:
    venue = simulate(venues=("extended",), time_scale=0.01, limits="count")
    frame = path(venue, "funding/BTC-USD").next()
    assert "type" not in frame
    assert frame["data"]["m"] == "BTC-USD"
    assert frame["data"]["T"] == frame["ts"]
    assert abs(Decimal(frame["data"]["f"])) < Decimal("0.001")
    assert len(frame["data"]["f"].partition(".")[2]) == 6
    greeting = simulate(venues=("extended",), switches=(("extended.greets", "1"),))
    for topic in ("funding/BTC-USD", "prices/mark/ETH-USD", "prices/index/ETH-USD"):
        assert path(greeting, topic).next()["seq"] == 1


# ---- RPC ----


def test_rpc_numbers_all_topics_together_from_zero_and_answers_not_at_all(venue: Running) -> None:
    client = rpc(venue)
    call(client, "1", "subscribe", "orderbooks", market="BTC-USD", depth="full", rfqOnly=False)
    ack = {"method": "subscribe", "status": "OK", "subscription": "orderbooks.BTC-USD"}
    assert client.next() == {"id": "1", "result": ack, "jsonrpc": "2.0"}
    assert client.next()["type"] == "ORDERBOOKS.SNAPSHOT"
    call(client, "2", "subscribe", "trades", market="BTC-USD")
    call(client, "3", "subscribe", "prices", market="BTC-USD", type="mark")
    call(client, "4", "subscribe", "prices", market="ETH-USD", type="index")
    call(client, "5", "subscribe", "orderbooks", market="BTC-USD", depth="1", rfqOnly=False)
    call(client, "6", "subscribe", "funding-rates", market=None)
    assert answer(client, "6")["result"]["subscription"] == "funding-rates.all"
    kinds = {"ORDERBOOKS.SNAPSHOT", "ORDERBOOKS.DELTA", "TRADES", "PRICES.MP", "PRICES.IP"}
    client.until(lambda _: kinds <= {one.get("type") for one in client.seen})
    data = [one for one in client.seen if "type" in one]
    assert [one["seq"] for one in data] == list(range(len(data)))
    named = {(one["type"], one["subscription"]) for one in data}
    assert ("ORDERBOOKS.SNAPSHOT", "orderbooks.1.BTC-USD") in named
    assert ("PRICES.IP", "prices.index.ETH-USD") in named
    call(client, "7", "list-subscriptions")
    names = answer(client, "7")["result"]["subscriptions"]
    assert names == sorted(names)
    assert len(names) == 6


def test_rpc_numbers_are_unbroken_beside_a_market_that_is_silent(venue: Running) -> None:
    client = rpc(venue)
    for number, market in (("1", "BTC-USD"), ("2", "ETH-USD")):
        call(client, number, "subscribe", "orderbooks", market=market, depth="full", rfqOnly=False)
        answer(client, number)
    add(venue, "stall", venue="extended", market="ETH-PERP")
    stalled = len(client.seen)
    client.until(lambda _: len(client.seen) > stalled + 20)
    data = [one for one in client.seen if "type" in one]
    assert [one["seq"] for one in data] == list(range(len(data)))
    assert {one["data"]["m"] for one in data[-10:]} == {"BTC-USD"}


def test_rpc_replays_with_the_time_of_sending_unless_switched(venue: Running) -> None:
    path(venue, "orderbooks/BTC-USD").until(lambda frame: frame["seq"] == 12)
    for restamps in ("1", "0"):
        venue.control("PUT", "/switches/extended/v2_restamps", data=restamps).raise_for_status()
        client, book, asked = rpc(venue), Sides(), time.time() * 1000
        call(client, "1", "subscribe", "orderbooks", market="BTC-USD", depth="full", rfqOnly=False)
        frames = [frame for frame in (client.next() for _ in range(12)) if "seq" in frame]
        assert (frames[0]["ts"] >= asked - 2) == (restamps == "1")
        for frame in frames:
            apply(book, frame)


def test_rpc_subscribing_again_replaces_and_begins_with_a_snapshot(venue: Running) -> None:
    client = rpc(venue)
    for number in ("1", "2"):
        call(client, number, "subscribe", "orderbooks", market="BTC-USD", depth="full", rfqOnly=False)
        assert answer(client, number)["result"]["status"] == "OK"
        assert client.next()["type"] == "ORDERBOOKS.SNAPSHOT"
    client.until(lambda frame: frame["type"] == "ORDERBOOKS.DELTA" and frame["ts"] > time.time() * 1000 - 500)
    live = [client.next()["ts"] for _ in range(6)]
    assert len(set(live)) == 6


def test_rpc_unsubscribing_ends_a_topic(venue: Running) -> None:
    client = rpc(venue)
    for scope, extra in (("orderbooks", {"depth": "full", "rfqOnly": False}), ("trades", {})):
        call(client, scope, "subscribe", scope, market="BTC-USD", **extra)
    call(client, "3", "unsubscribe", "orderbooks", market="BTC-USD", depth="full", rfqOnly=False)
    assert answer(client, "3") == {"id": "3", "result": {"method": "unsubscribe", "status": "OK"}, "jsonrpc": "2.0"}
    call(client, "4", "list-subscriptions")
    assert answer(client, "4")["result"]["subscriptions"] == ["trades.BTC-USD"]
    call(client, "5", "ping")
    assert answer(client, "5")["result"] == {"method": "ping", "status": "OK"}


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        ("{", -32700),
        ([], -32600),
        ({"id": 1, "jsonrpc": "2.0", "method": "ping"}, -32600),
        ({"id": "1", "jsonrpc": "2.0", "method": "fly"}, -32601),
        ({"id": "1", "jsonrpc": "2.0", "method": "subscribe"}, -32602),
        ({"id": "1", "jsonrpc": "2.0", "method": "subscribe", "params": {"scope": "x", "selector": {}}}, -32602),
        (
            {
                "id": "1",
                "jsonrpc": "2.0",
                "method": "subscribe",
                "params": {"scope": "trades", "selector": {"market": "NOPE-USD"}},
            },
            -32602,
        ),
    ],
)
def test_rpc_refuses_by_code(venue: Running, sent: object, code: int) -> None:
    client = rpc(venue)
    client.send(sent)
    assert client.next()["error"]["code"] == code


def test_rpc_is_silent_about_an_unknown_depth(venue: Running) -> None:
    client = rpc(venue)
    call(client, "1", "subscribe", "orderbooks", market="BTC-USD", depth="20", rfqOnly=False)
    call(client, "2", "list-subscriptions")
    assert client.next() == {
        "id": "2",
        "result": {"method": "list-subscriptions", "status": "OK", "subscriptions": []},
        "jsonrpc": "2.0",
    }


# ---- what faults rely on ----


def test_book_frames_can_be_rendered_from_other_levels(venue: Running) -> None:
    client = path(venue, "orderbooks/BTC-USD")
    client.next()
    frames: list[Any] = []

    def spy() -> None:
        (session,) = venue.simulator.venues["extended"].sessions.values()
        sent = session.send

        def send(frame: Any) -> None:  # noqa: ANN401 - a Frame
            frames.append(frame)
            sent(frame)

        session.send = send  # type: ignore[method-assign]

    venue.call(spy)
    client.next()
    client.next()
    frame = frames[0]
    assert frame.kind == "delta"
    assert frame.market == "BTC-PERP"
    assert frame.render(frame.bids, frame.asks) == frame.data
    forged = frame.render([(83_000, 5)], [])
    assert b'"b":[{"q":"0.00005","p":"83000","c":"0.00005"}],"a":[]' in forged


def test_a_skewed_clock_shows_in_times_and_the_truth_is_found_by_them(venue: Running) -> None:
    client, book = path(venue, "orderbooks/BTC-USD"), Sides()
    venue.call(lambda: venue.simulator.venues["extended"].clock.set_skew(-3_000_000))
    while True:
        frame = client.next()
        apply(book, frame)
        if frame["seq"] > 20 and book == true_book(venue, "BTC-PERP", frame["ts"]):
            break
    assert -3500 < frame["ts"] - time.time() * 1000 < -2500
