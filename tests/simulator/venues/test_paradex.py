"""Paradex as its documents describe it, over real sockets, read with a decoder of this test's own."""

from __future__ import annotations

import struct
import time
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import TYPE_CHECKING

import pytest
import websocket

from tests.simulator.venues.paradex_reader import (
    BTC,
    ETH,
    NULL,
    SOL,
    Book,
    Reader,
    Sides,
    apply,
    binary,
    book,
    connect,
    request,
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


# ---- books ----


def test_a_snapshot_comes_first_and_every_delta_is_the_next_step_of_the_truth(venue: Running) -> None:
    client, held = connect(venue), dict[str, Sides]()
    subscribe(client, f"order_book.{BTC}.deltas", f"order_book.{SOL}.deltas")
    last: dict[str, int] = {}
    empty = 0
    for _ in range(60):
        event = book(client)
        market = event.market or ""
        assert event.kind == (1 if market in held else 0)
        if event.kind:
            assert event.seq == last[market] + 1
            empty += not event.bids and not event.asks
        else:
            assert [price for price, _ in event.bids] == sorted((price for price, _ in event.bids), reverse=True)
            assert [price for price, _ in event.asks] == sorted(price for price, _ in event.asks)
        assert event.touches == [NULL] * 9
        assert event.ts % 1000 == 0
        last[market] = event.seq
        apply(held.setdefault(market, {}), event)
        assert held[market] == true_book(venue, market.removesuffix("-USD-PERP") + "-PERP", event.seq)
    assert set(held) == {BTC, SOL}
    assert 10 < empty < 50
    assert abs(last[BTC] - last[SOL]) > 1_000_000


def test_the_counter_is_shared_and_goes_on_across_connections(venue: Running) -> None:
    client = connect(venue)
    subscribe(client, f"order_book.{BTC}.deltas", f"bbo.{BTC}", f"trades.{BTC}")
    held: Sides = {}
    checked, seq = 0, 0
    while checked < 8:
        opcode, payload = client.frame()
        if opcode != websocket.ABNF.OPCODE_BINARY:
            continue
        reader = Reader(payload)
        if reader.template == 3:
            event = Book(reader)
            apply(held, event)
            seq = event.seq
        elif reader.template == 2 and held:
            _, bbo_seq, bid, bid_size, ask, ask_size = reader.fields
            assert bbo_seq == seq
            best = max(held["bids"]), min(held["asks"])
            assert (Decimal(bid).scaleb(-8), Decimal(ask).scaleb(-8)) == best
            assert Decimal(bid_size).scaleb(-8) == held["bids"][best[0]]
            assert Decimal(ask_size).scaleb(-8) == held["asks"][best[1]]
            checked += 1
    later = connect(venue)
    subscribe(later, f"order_book.{BTC}.deltas")
    assert seq <= book(later).seq < seq + 200


def test_rest_at_a_number_is_the_book_of_the_stream(venue: Running) -> None:
    client, held = connect(venue), Sides()
    subscribe(client, f"order_book.{ETH}.deltas")
    apply(held, book(client))
    found = venue.get("paradex", f"/v1/orderbook/{ETH}", depth=1000).json()
    event = book(client)
    while event.seq <= found["seq_no"]:
        apply(held, event)
        event = book(client)
    for side in ("bids", "asks"):
        assert held[side] == {Decimal(price): Decimal(size) for price, size in found[side]}
    bbo = venue.get("paradex", f"/v1/bbo/{ETH}").json()
    truth = true_book(venue, "ETH-PERP", bbo["seq_no"])
    assert (Decimal(bbo["bid"]), Decimal(bbo["ask"])) == (max(truth["bids"]), min(truth["asks"]))
    assert len(venue.get("paradex", f"/v1/orderbook/{ETH}").json()["bids"]) == 20


def test_interactive_books_add_orders_and_tell_both_touches(venue: Running) -> None:
    client, held = connect(venue), Sides()
    subscribe(client, f"order_book.{BTC}.interactive_deltas")
    last, more = None, 0
    for _ in range(40):
        event = book(client)
        assert last is None or event.seq == last + 1
        last = event.seq
        apply(held, event)
        truth = true_book(venue, "BTC-PERP", event.seq)
        bid, bid_size, ask, ask_size, spread, bid_api, _, ask_api, _ = event.touches
        assert (Decimal(bid).scaleb(-8), Decimal(ask).scaleb(-8)) == (max(held["bids"]), min(held["asks"]))
        assert Decimal(bid_size).scaleb(-8) == held["bids"][max(held["bids"])]
        assert Decimal(ask_size).scaleb(-8) == held["asks"][min(held["asks"])]
        assert (Decimal(bid_api).scaleb(-8), Decimal(ask_api).scaleb(-8)) == (max(truth["bids"]), min(truth["asks"]))
        assert abs(spread / 1e8 - 2 * (ask - bid) / (ask + bid)) < 2e-8
        for side in ("bids", "asks"):
            assert all(held[side].get(price, 0) >= size for price, size in truth[side].items())
            more += held[side] != truth[side]
    assert more > 40


@pytest.mark.parametrize("tick", ["", "@0_1", "@1", "@10"])
def test_fifteen_levels_now_and_then(venue: Running, tick: str) -> None:
    client = connect(venue)
    subscribe(client, f"order_book.{BTC}.snapshot@15@100ms{tick}")
    step = Decimal(tick[1:].replace("_", ".") or "0.1")
    last = 0
    for _ in range(5):
        event = book(client)
        assert event.kind == 0
        assert event.seq > last
        last = event.seq
        truth = true_book(venue, "BTC-PERP", event.seq)
        for side, levels, rounding in (("bids", event.bids, ROUND_FLOOR), ("asks", event.asks, ROUND_CEILING)):
            buckets: dict[Decimal, Decimal] = {}
            for price, size in sorted(truth[side].items(), reverse=side == "bids"):
                bucket = (price / step).to_integral_value(rounding) * step
                buckets[bucket] = buckets.get(bucket, Decimal()) + size
            assert levels == list(buckets.items())[:15]


# ---- other channels ----


def test_trades_carry_a_real_id_from_version_two_on(venue: Running) -> None:
    rows = {row["id"]: row for row in venue.get("paradex", "/v1/trades", market=SOL).json()["results"]}
    clients = [connect(venue, version) for version in (1, 2)]
    for client in clients:
        subscribe(client, f"trades.{SOL}")
        client.next()
    # A trade may fall between the two subscriptions.
    old, new = ({(one := binary(client, 1)).fields[2]: one for _ in range(5)} for client in clients)
    shared = old.keys() & new.keys()
    assert len(shared) >= 2
    for low_id in shared:
        first, second = old[low_id], new[low_id]
        assert (first.version, second.version) == (1, 2)
        assert first.fields == second.fields
        assert (first.text(), first.text()) == (SOL, None)
        assert second.text() == SOL
        real = second.text() or ""
        assert len(real) == 28
        assert real not in rows
        ts, seq, low, side, price, size, created, kind = second.fields
        assert low == struct.unpack("<q", (int(real) & ((1 << 64) - 1)).to_bytes(8, "little"))[0]
        assert created <= ts < created + 2_000_000
        assert side in {1, 2}
        assert kind in {1, 2, 5}
        found = {row["id"]: row for row in venue.get("paradex", "/v1/trades", market=SOL).json()["results"]}[real]
        assert (Decimal(found["price"]), Decimal(found["size"])) == (
            Decimal(price).scaleb(-8),
            Decimal(size).scaleb(-8),
        )
        assert found["side"] == ("BUY", "SELL")[side - 1]
        assert venue.truth("paradex", "SOL-PERP", seq=seq)["seq"] == seq


@pytest.mark.parametrize(("version", "block"), [(0, 216), (1, 240), (2, 240), (3, 248)])
def test_summaries_grow_with_the_version(venue: Running, version: int, block: int) -> None:
    client = connect(venue, version)
    subscribe(client, f"markets_summary.{BTC}")
    reader = binary(client, 4)
    truth = venue.truth("paradex", "BTC-PERP")
    assert (reader.block_length, reader.version, reader.schema) == (block, version, 1)
    assert reader.fields[1] == 0
    assert Decimal(reader.fields[2]).scaleb(-8) == Decimal(truth["mark"])
    assert Decimal(reader.fields[3]).scaleb(-8) == Decimal(truth["index"])
    assert Decimal(reader.fields[6]).scaleb(-8) == Decimal(truth["open_interest"])
    rate = Decimal(truth["funding"]) * 8
    assert reader.fields[7] == int(rate.scaleb(8))
    assert reader.fields[10] == (1 << 63) - 1
    assert reader.text() == BTC
    if version:
        assert struct.unpack_from("<3q", reader.tail)[2] == int(rate.scaleb(12))


def test_funding_is_a_fraction_per_eight_hours(venue: Running) -> None:
    client = connect(venue)
    subscribe(client, f"funding_data.{ETH}")
    reader = binary(client, 5)
    _, _, rate, accrued, created, premium, rate_8h, hours = reader.fields
    truth = venue.truth("paradex", "ETH-PERP")
    assert (reader.block_length, hours) == (66, 8)
    assert rate == rate_8h == int((Decimal(truth["funding"]) * 8).scaleb(8))
    assert abs(Decimal(premium).scaleb(-8) - Decimal(rate).scaleb(-8) * Decimal(truth["index"])) < Decimal("0.001")
    assert created % 1000 == 0
    rows = venue.get("paradex", "/v1/funding/data", market=ETH, page_size=3).json()["results"]
    assert (rows[0]["created_at"], rows[0]["funding_period_hours"]) == (created // 1000, 8)
    assert int(Decimal(rows[0]["funding_rate"]).scaleb(8)) == rate
    assert int(Decimal(rows[0]["funding_index"]).scaleb(8)) == accrued


def test_bare_names_carry_every_market_and_a_scope_only_some(venue: Running) -> None:
    client = connect(venue)
    subscribe(client, "funding_data", "bbo.ALL", "trades.ALL")
    assert {binary(client, 5).text() for _ in range(3)} == {BTC, ETH, SOL}
    assert {binary(client, 2).text() for _ in range(3)} <= {BTC, ETH, SOL}
    scoped = connect(venue)
    request(scoped, 1, "subscribe", "markets_summary", markets=[BTC, ETH])
    assert {binary(scoped, 4).text() for _ in range(6)} == {BTC, ETH}
    request(scoped, 2, "modify_subscription", "markets_summary", add=[SOL], remove=[BTC])
    assert scoped.next()["result"] == {"channel": "markets_summary"}
    assert {binary(scoped, 4).text() for _ in range(6)} == {ETH, SOL}


# ---- control plane ----


def test_acknowledgements_end_with_a_line_and_precede_data(venue: Running) -> None:
    client = connect(venue)
    asked = time.time() * 1e6
    client.send({"jsonrpc": "2.0", "id": 7, "method": "subscribe", "params": {"channel": f"bbo.{BTC}"}})
    opcode, payload = client.frame()
    assert opcode == websocket.ABNF.OPCODE_TEXT
    assert payload.startswith(b'{"jsonrpc":"2.0","id":7,"result":{"channel":"bbo.BTC-USD-PERP"},"usIn":')
    assert payload.endswith(b"}\n")
    client.send('{"jsonrpc":"2.0","method":"unsubscribe","params":{"channel":"bbo.BTC-USD-PERP"}}')
    value = client.next()
    assert value["id"] == 0
    assert value["usOut"] - value["usIn"] == value["usDiff"] >= 0
    assert abs(value["usIn"] - asked) < 20e6


@pytest.mark.parametrize(
    ("channel", "cause"),
    [
        ("nope", "invalid channel"),
        ("order_book.NOPE-USD-PERP.deltas", "invalid channel"),
        (f"order_book.{SOL}.snapshot@15@70ms", "invalid channel"),
        (f"order_book.{SOL}.deltas@15@100ms", "no parameters expected for deltas topic."),
        (f"order_book.{SOL}.interactive_deltas@1", "no parameters expected for interactive_deltas topic."),
        (f"order_book.{BTC}.snapshot@15@100ms", "cannot share an SBE session with"),
        (f"order_book.{BTC}.interactive_deltas", "cannot share an SBE session with"),
        (f"order_book.{BTC}.deltas", "already subscribed"),
    ],
)
def test_refusals_name_their_cause_and_end_nothing(venue: Running, channel: str, cause: str) -> None:
    client = connect(venue)
    subscribe(client, f"order_book.{BTC}.deltas", channel)
    value = client.until(lambda value: value["id"] == 2)
    assert value["error"]["code"] == -32600
    assert value["error"]["message"] == "invalid subscribe request"
    assert cause in value["error"]["data"]
    assert book(client).market == BTC


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        ("{", -32700),
        ("[]", -32600),
        ('{"id":1}', -32600),
        ('{"id":1,"method":"ping"}', -32601),
        ('{"id":1,"method":"subscribe"}', -32602),
        ('{"id":1,"method":"unsubscribe","params":{"channel":"bbo.BTC-USD-PERP"}}', -32600),
        ('{"id":1,"method":"modify_subscription","params":{"channel":"markets_summary"}}', -32600),
    ],
)
def test_wrong_requests_have_codes(venue: Running, sent: str, code: int) -> None:
    client = connect(venue)
    client.send(sent)
    assert client.next()["error"]["code"] == code


@pytest.mark.parametrize(
    "channel", [f"bbo.interactive.{BTC}", f"bbo.{BTC}@interactive", f"order_book.{BTC}.snapshot@15@100ms@0_03x"[:-1]]
)
def test_some_names_are_acknowledged_and_never_heard_of_again(venue: Running, channel: str) -> None:
    client = connect(venue)
    subscribe(client, channel, f"markets_summary.{SOL}")
    assert client.next()["result"]["channel"] == channel
    for _ in range(3):
        opcode, payload = client.frame()
        assert opcode == websocket.ABNF.OPCODE_TEXT or Reader(payload).template == 4


def test_unsubscribing_and_subscribing_again_gives_a_new_snapshot(venue: Running) -> None:
    client = connect(venue)
    name = f"order_book.{BTC}.deltas"
    subscribe(client, name)
    first = book(client).seq
    request(client, 2, "unsubscribe", name)
    assert client.until(lambda value: value["id"] == 2)["result"] == {"channel": name}
    request(client, 3, "subscribe", name)
    assert client.until(lambda value: value["id"] == 3)["result"] == {"channel": name}
    again = book(client)
    assert (again.kind, again.market) == (0, BTC)
    assert again.seq >= first
    assert book(client).seq == again.seq + 1
