"""Lighter as its documents describe it, over real sockets."""

from __future__ import annotations

import time
from decimal import Decimal
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
import websocket

from simulator.book import BID, Change
from simulator.truth import Trade
from simulator.venues.lighter import facts, messages, rest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.simulator.conftest import Client, Running

    Simulate = Callable[..., Running]

Sides = dict[str, dict[str, str]]


@pytest.fixture
def venue(simulate: Simulate) -> Running:
    return simulate(venues=("lighter",))


def subscribe(client: Client, *channels: str) -> None:
    for channel in channels:
        client.send({"type": "subscribe", "channel": channel})


def opened(venue: Running, *channels: str) -> Client:
    client = venue.connect("lighter", "/stream?readonly=true")
    greeting = client.next()
    assert greeting["type"] == "connected"
    assert len(greeting["session_id"]) == 36
    subscribe(client, *channels)
    return client


def of(kind: str) -> Callable[[Any], bool]:
    return lambda value: value.get("type") == kind


def apply(book: Sides, frame: dict[str, Any]) -> None:
    for side in ("bids", "asks"):
        for level in frame["order_book"][side]:
            if Decimal(level["size"]):
                book[side][level["price"]] = level["size"]
            else:
                book[side].pop(level["price"], None)


def test_diffs_chain_by_nonce_and_lead_to_the_truth(venue: Running) -> None:
    client = opened(venue, "order_book/0", "order_book/1")
    books: dict[str, Sides] = {}
    nonces: dict[str, int] = {}
    for _ in range(60):
        frame = client.until(lambda value: value["type"].endswith("/order_book"))
        market, chained = frame["channel"], frame["order_book"]
        if frame["type"] == "subscribed/order_book":
            assert chained["begin_nonce"] == 0
            books[market] = {"bids": {}, "asks": {}}
        else:
            assert chained["begin_nonce"] == nonces[market]
            assert chained["nonce"] > chained["begin_nonce"]
            assert chained["bids"] or chained["asks"]
        nonces[market] = chained["nonce"]
        apply(books[market], frame)
        ours = {"order_book:0": "ETH-PERP", "order_book:1": "BTC-PERP"}[market]
        truth = venue.truth("lighter", ours, seq=chained["nonce"])
        assert truth["seq"] == chained["nonce"]
        assert {side: dict(truth[side]) for side in ("bids", "asks")} == books[market]
    assert set(books) == {"order_book:0", "order_book:1"}


def test_a_snapshot_is_sorted_and_continued_by_the_next_diff(venue: Running) -> None:
    client = opened(venue, "order_book/2")
    frame = client.until(of("subscribed/order_book"))
    asks = [Decimal(level["price"]) for level in frame["order_book"]["asks"]]
    bids = [Decimal(level["price"]) for level in frame["order_book"]["bids"]]
    assert asks == sorted(asks)
    assert bids == sorted(bids, reverse=True)
    assert bids[0] < asks[0]
    assert frame["last_updated_at"] == frame["order_book"]["last_updated_at"]
    # The one is in whole milliseconds, the other in microseconds.
    assert -1_000 < frame["timestamp"] * 1000 - frame["last_updated_at"] < 60_000_000
    assert client.until(of("update/order_book"))["order_book"]["begin_nonce"] == frame["order_book"]["nonce"]


def test_the_nonce_is_shared_by_all_markets(venue: Running) -> None:
    client = opened(venue, "order_book/0", "order_book/1", "order_book/2")
    nonces = [client.until(of("update/order_book"))["order_book"]["nonce"] for _ in range(30)]
    assert len(set(nonces)) == 30
    assert max(nonces) - min(nonces) < 60 * 3 * 500


def test_offsets_belong_to_a_subscription(venue: Running) -> None:
    one, other = opened(venue, "order_book/0"), opened(venue, "order_book/0")
    found = []
    for client in (one, other):
        frames = [client.until(lambda value: value["type"].endswith("/order_book")) for _ in range(5)]
        offsets = [frame["offset"] for frame in frames]
        assert [frame["order_book"]["offset"] for frame in frames] == offsets
        steps = [after - before for before, after in pairwise(offsets)]
        assert all(1 <= step <= 7 for step in steps)
        found.append(offsets[0])
    assert found[0] != found[1]


def test_a_second_subscribe_is_refused_and_resync_gives_a_snapshot(venue: Running) -> None:
    client = opened(venue, "order_book/0")
    client.until(of("subscribed/order_book"))
    subscribe(client, "order_book/0")
    refusal = client.until(lambda value: "error" in value)
    assert refusal == {"error": {"code": 30003, "message": "Already Subscribed to : order_book:0"}}
    client.send({"type": "unsubscribe", "channel": "order_book/0"})
    subscribe(client, "order_book/0")
    assert client.until(of("unsubscribed")) == {"type": "unsubscribed", "channel": "order_book:0"}
    assert client.next()["type"] == "subscribed/order_book"


@pytest.mark.parametrize(
    ("request_", "code", "text"),
    [
        ({"type": "subscribe", "channel": "order_book/77"}, 30005, "Invalid Channel:  (marketId)"),
        ({"type": "subscribe", "channel": "nothing/0"}, 30005, "Invalid Channel"),
        ({"type": "subscribe"}, 30005, "Invalid Channel"),
        ({"type": "unsubscribe", "channel": "trade/1"}, 30002, "Not Subscribed to : trade:1"),
        ({"type": "whatever"}, 30001, "Invalid Type"),
        ("{", 30000, "Invalid Json"),
    ],
)
def test_errors_have_the_documented_code_and_leave_the_socket_open(
    venue: Running,
    request_: object,
    code: int,
    text: str,
) -> None:
    client = opened(venue)
    client.send(request_)
    assert client.next() == {"error": {"code": code, "message": text}}
    client.send({"type": "ping"})
    assert client.next() == {"type": "pong"}


def test_the_ticker_is_true_and_shares_the_nonce(venue: Running) -> None:
    client = opened(venue, "ticker/1")
    assert client.next()["type"] == "subscribed/ticker"
    last = 0
    for _ in range(20):
        frame = client.until(of("update/ticker"))
        truth = venue.truth("lighter", "BTC-PERP", seq=frame["nonce"])
        assert [frame["ticker"]["b"]["price"], frame["ticker"]["b"]["size"]] == truth["bids"][0]
        assert [frame["ticker"]["a"]["price"], frame["ticker"]["a"]["size"]] == truth["asks"][0]
        assert frame["ticker"]["s"] == "BTC"
        assert frame["nonce"] > last
        assert frame["last_updated_at"] == truth["ts_us"]
        last = frame["nonce"]


def test_an_empty_side_of_the_ticker_is_an_empty_text() -> None:
    spec = facts.spec("SOL", facts.listing("SOL", ("SOL",)), 10)
    text = messages.ticker(spec, 2, messages.BookTimes(1, 0, 2, 3), ([], [(141_000, 5)]))
    assert b'"b":{"price":"","size":""}' in text
    assert b'"a":{"price":"141.000","size":"0.005"}' in text


def test_trades_replay_fifty_newest_first_then_go_on(simulate: Simulate) -> None:
    venue = simulate(venues=("lighter",), rate=10.0)
    client = opened(venue, "trade/0")
    first = client.until(of("subscribed/trade"))
    assert "timestamp" not in first
    replayed = [trade["trade_id"] for trade in first["trades"] + first["liquidation_trades"]]
    assert len(replayed) == 50
    ordinary = [trade["trade_id"] for trade in first["trades"]]
    assert ordinary == sorted(ordinary, reverse=True)
    seen, liquidations = set(replayed), 0
    while not liquidations:
        frame = client.until(of("update/trade"))
        for trade in frame["trades"] + frame["liquidation_trades"]:
            assert trade["trade_id"] not in seen
            seen.add(trade["trade_id"])
            usd = Decimal(trade["price"]) * Decimal(trade["size"])
            assert abs(usd - Decimal(trade["usd_amount"])) < Decimal("0.000001")
            assert trade["transaction_time"] // 1000 == trade["timestamp"]
        assert all(trade["type"] == "trade" for trade in frame["trades"])
        liquidations += len(frame["liquidation_trades"])


def test_the_taker_buys_from_a_resting_ask() -> None:
    spec = facts.spec("ETH", facts.listing("ETH", ("ETH",)), 10)
    assert messages.trade(spec, 0, Trade(1, 5, 264_000, 8, buy=True), 5)["is_maker_ask"] is True
    assert messages.trade(spec, 0, Trade(97, 5, 264_000, 8, buy=False), 5)["type"] == "liquidation"


def test_stats_carry_dollars_and_per_cents(venue: Running) -> None:
    client = opened(venue, "market_stats/0", "market_stats/all")
    one = client.until(of("subscribed/market_stats"))
    every = client.until(of("subscribed/market_stats"))
    if one["channel"] == "market_stats:all":
        one, every = every, one
    assert set(every["market_stats"]) == {"0", "1", "2"}
    stats = one["market_stats"]
    assert stats["symbol"] == "ETH"
    details = venue.get("lighter", "/api/v1/orderBookDetails", market_id=0).json()["order_book_details"][0]
    base = Decimal(stats["open_interest"]) / Decimal(stats["mark_price"])
    assert abs(base - Decimal(str(details["open_interest"]))) < 1000
    hour = stats["funding_timestamp"] // 3_600_000
    assert hour == int(time.time()) // 3600
    settled = Decimal(venue.truth("lighter", "ETH-PERP")["funding_settled"]) * 100
    assert Decimal(stats["funding_rate"]) == settled.quantize(Decimal("0.0001"))
    assert isinstance(stats["daily_price_change"], float)
    update = client.until(lambda value: value["type"] == "update/market_stats" and value["channel"].endswith("all"))
    assert len(update["market_stats"]) == 1


def test_height_counts_blocks(venue: Running) -> None:
    client = opened(venue, "height")
    first = client.until(of("subscribed/height"))["height"]
    assert [client.next()["height"] for _ in range(3)] == [first + 1, first + 2, first + 3]


def test_the_two_hundred_and_first_message_is_refused(venue: Running) -> None:
    client = opened(venue)
    for _ in range(201):
        client.send({"type": "ping"})
    answers = [client.next() for _ in range(201)]
    assert answers[:200] == [{"type": "pong"}] * 200
    assert answers[200] == {"error": {"code": 30009, "message": "Too Many Websocket Messages!"}}
    assert venue.state()["violations"]["counts"] == {"lighter.messages_per_minute": 1}


def test_more_than_fifty_unanswered_subscribes_are_refused(venue: Running) -> None:
    client = opened(venue, *["order_book/77"] * 60)
    codes = [client.next()["error"]["code"] for _ in range(60)]
    assert set(codes) == {30005, 30010}


def test_a_silent_client_is_closed_and_a_protocol_ping_counts(simulate: Simulate) -> None:
    venue = simulate(venues=("lighter",), time_scale=0.02)
    silent, pinging = opened(venue, "order_book/0"), opened(venue)
    counts: dict[str, int] = {}
    while not counts:
        counts = venue.state()["violations"]["counts"]
        pinging.ws.ping("")
        opcode, _ = pinging.frame()
        assert opcode == websocket.ABNF.OPCODE_PONG
        time.sleep(0.05)
    assert counts == {"lighter.client_silent_120s": 1}
    assert silent.until_closed().code == 1001


def test_a_server_ping_must_be_answered_where_it_is_switched_on(simulate: Simulate) -> None:
    venue = simulate(venues=("lighter",), time_scale=0.005, switches=(("lighter.server_ping_s", "20"),))
    mute, answering = opened(venue), opened(venue)
    assert mute.next() == {"type": "ping"}
    for _ in range(8):
        assert answering.next() == {"type": "ping"}
        answering.send({"type": "pong"})
    closed = mute.until_closed()
    assert (closed.code, closed.reason) == (1008, "no pong")


def test_the_listing_has_ids_decimals_and_a_row_to_be_filtered(venue: Running) -> None:
    rows = venue.get("lighter", "/api/v1/orderBooks").json()["order_books"]
    perps = {row["symbol"]: row for row in rows if row["market_type"] == "perp" and row["status"] == "active"}
    assert {symbol: row["market_id"] for symbol, row in perps.items()} == {"BTC": 1, "ETH": 0, "SOL": 2}
    assert [row["symbol"] for row in rows if row["status"] == "inactive"] == ["HYUNDAI"]
    assert [row["symbol"] for row in rows if row["market_type"] == "spot"] == ["SKY/USDC"]
    details = venue.get("lighter", "/api/v1/orderBookDetails", filter="perp").json()["order_book_details"]
    assert {row["symbol"] for row in details} == {"BTC", "ETH", "SOL"}
    needed = {"quote_multiplier", "daily_chart", "strategy_index", "closeout_margin_fraction", "market_config"}
    assert needed <= set(details[0])


def test_rest_orders_add_up_to_the_book(venue: Running) -> None:
    answer = venue.get("lighter", "/api/v1/orderBookOrders", market_id=0, limit=250).json()
    assert answer["total_asks"] == len(answer["asks"])
    sizes: dict[str, Decimal] = {}
    for order in answer["bids"]:
        sizes[order["price"]] = sizes.get(order["price"], Decimal(0)) + Decimal(order["remaining_base_amount"])
    prices = [Decimal(price) for price in sizes]
    assert prices == sorted(prices, reverse=True)
    assert "nonce" not in answer
    spec = facts.spec("ETH", facts.listing("ETH", ("ETH",)), 10)
    split = rest.orders(spec, [(264_001, 100), (264_000, 1)], 5)
    assert sum(Decimal(order["remaining_base_amount"]) for order in split) == Decimal("0.0101")


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("orderBookOrders", {"market_id": 0}),
        ("orderBookOrders", {"market_id": 0, "limit": 0}),
        ("orderBookOrders", {"market_id": 0, "limit": 256}),
        ("orderBookOrders", {"market_id": "x", "limit": 5}),
        ("recentTrades", {"market_id": 0, "limit": 101}),
        ("fundings", {"market_id": 0, "resolution": "5m"}),
        ("fundings", {"market_id": 0, "resolution": "1h", "start_timestamp": 9, "end_timestamp": 5, "count_back": 1}),
    ],
)
def test_bad_parameters_get_20001(venue: Running, path: str, query: dict[str, Any]) -> None:
    answer = venue.get("lighter", f"/api/v1/{path}", **query)
    assert (answer.status_code, answer.json()) == (400, {"code": 20001, "message": "invalid param "})


def test_an_unknown_market_looks_empty_over_rest(venue: Running) -> None:
    answer = venue.get("lighter", "/api/v1/orderBookOrders", market_id=77, limit=5)
    assert answer.json() == {"code": 200, "total_asks": 0, "asks": [], "total_bids": 0, "bids": []}


def test_settled_fundings_take_seconds_and_milliseconds(venue: Running) -> None:
    now = int(time.time())
    common = {"market_id": 0, "resolution": "1h", "count_back": 0}
    seconds = venue.get("lighter", "/api/v1/fundings", start_timestamp=now - 4 * 3600, end_timestamp=now, **common)
    thousands = venue.get(
        "lighter", "/api/v1/fundings", start_timestamp=(now - 4 * 3600) * 1000, end_timestamp=now * 1000, **common
    )
    rows = seconds.json()["fundings"]
    assert [row["timestamp"] for row in rows] == [(now // 3600 - back) * 3600 for back in range(4)[::-1]]
    assert [row["rate"] for row in thousands.json()["fundings"]] == [row["rate"] for row in rows]
    signed = Decimal(rows[-1]["rate"]) * (1 if rows[-1]["direction"] == "long" else -1)
    settled = Decimal(venue.truth("lighter", "ETH-PERP")["funding_settled"]) * 100
    assert abs(signed - settled) <= Decimal("0.0001")


def test_current_rates_are_per_eight_hours(venue: Running) -> None:
    rows = venue.get("lighter", "/api/v1/funding-rates").json()["funding_rates"]
    ours = {row["symbol"]: row["rate"] for row in rows if row["exchange"] == "lighter"}
    assert set(ours) == {"BTC", "ETH", "SOL"}
    stats = Decimal(venue.truth("lighter", "BTC-PERP")["funding"])
    assert abs(Decimal(str(ours["BTC"])) / 8 - stats) < Decimal("0.00002")
    assert {row["exchange"] for row in rows} == {"lighter", "binance", "bybit", "hyperliquid"}


@pytest.mark.parametrize("path", ["/api/v1/exchangeStats", "/api/v1/assetDetails", "/api/v1/announcement"])
def test_what_public_clients_ask_at_their_start_is_answered(venue: Running, path: str) -> None:
    assert venue.get("lighter", path).json()["code"] == 200


def test_the_root_is_a_health_probe_and_unknown_paths_are_not_found(venue: Running) -> None:
    health = venue.get("lighter", "/").json()
    assert health["status"] == 200
    assert abs(health["timestamp"] - time.time()) < 5
    assert venue.get("lighter", "/api/v1/nothing").status_code == 404


def test_sixty_requests_a_minute_then_429(venue: Running) -> None:
    answers = [venue.get("lighter", "/api/v1/funding-rates") for _ in range(61)]
    assert [answer.status_code for answer in answers] == [200] * 60 + [429]
    assert answers[-1].json() == {"code": 23000, "message": "Too Many Requests!"}


def test_heavy_requests_run_out_earlier(venue: Running) -> None:
    statuses = [venue.get("lighter", "/api/v1/recentTrades", market_id=0, limit=1).status_code for _ in range(41)]
    assert statuses == [200] * 40 + [429]


def test_a_deep_book_is_sent_whole(simulate: Simulate) -> None:
    venue = simulate(venues=("lighter",), markets=("ETH",), depth=1500)
    frame = opened(venue, "order_book/0").until(of("subscribed/order_book"))
    assert len(frame["order_book"]["bids"]) > 1300
    assert len(frame["order_book"]["asks"]) > 1300


def test_changes_of_a_level_name_their_side() -> None:
    spec = facts.spec("BTC", facts.listing("BTC", ("BTC",)), 10)
    change = Change(BID, 831_347, 0, 5)
    assert messages.levels(spec, [(change.price, change.size)]) == [{"price": "83134.7", "size": "0.00000"}]
