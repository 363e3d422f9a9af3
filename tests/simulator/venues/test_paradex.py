"""Paradex as its documents describe it, over real sockets, read with a decoder of this test's own."""

from __future__ import annotations

import struct
import time
from base64 import b64decode
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
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

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.simulator.conftest import Client, Running

    Simulate = Callable[..., Running]

Sides = dict[str, dict[Decimal, Decimal]]
BTC, ETH, SOL = "BTC-USD-PERP", "ETH-USD-PERP", "SOL-USD-PERP"
NULL = -(1 << 63)
BLOCKS = {1: "<3qB3qB", 2: "<6q", 3: "<2qB9q", 4: "<27q", 5: "<7qh", 40: "<2q"}


@pytest.fixture
def venue(simulate: Simulate) -> Running:
    return simulate(venues=("paradex",))


class Reader:
    """Reads one frame by the published rules: the block's own length, groups by their own stride."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.block_length, self.template, self.schema, self.version = struct.unpack_from("<4H", data)
        self.fields = struct.unpack_from(BLOCKS[self.template], data, 8) if self.template in BLOCKS else ()
        self.tail = data[8 + struct.calcsize(BLOCKS.get(self.template, "")) : 8 + self.block_length]
        self.at = 8 + self.block_length

    def group(self) -> list[tuple[Decimal, Decimal]]:
        stride, count = struct.unpack_from("<2H", self.data, self.at)
        self.at += 4
        found = []
        for _ in range(count):
            price, size = struct.unpack_from("<2q", self.data, self.at)
            found.append((Decimal(price).scaleb(-8), Decimal(size).scaleb(-8)))
            self.at += stride
        return found

    def text(self) -> str | None:
        if self.at >= len(self.data):
            return None
        size = self.data[self.at]
        self.at += 1 + size
        return self.data[self.at - size : self.at].decode()


class Book:
    """A BookEvent."""

    def __init__(self, reader: Reader) -> None:
        self.ts, self.seq, self.kind, *self.touches = reader.fields
        self.bids, self.asks = reader.group(), reader.group()
        self.market = reader.text()


def connect(venue: Running, version: int = 2) -> Client:
    return venue.connect("paradex", f"/v1?sbeSchemaId=1&sbeSchemaVersion={version}")


def request(client: Client, number: int, method: str, channel: str, **params: object) -> None:
    client.send({"jsonrpc": "2.0", "id": number, "method": method, "params": {"channel": channel} | params})


def subscribe(client: Client, *channels: str) -> None:
    for number, channel in enumerate(channels, 1):
        request(client, number, "subscribe", channel)


def binary(client: Client, template: int, market: str | None = None) -> Reader:
    """The next binary frame of a template (and market); text frames are skipped."""
    while True:
        opcode, payload = client.frame()
        if opcode == websocket.ABNF.OPCODE_BINARY:
            reader = Reader(payload)
            if reader.template == template and (market is None or market.encode() in payload):
                return reader


def book(client: Client, market: str | None = None) -> Book:
    return Book(binary(client, 3, market))


def apply(held: Sides, event: Book) -> None:
    if event.kind == 0:
        held["bids"], held["asks"] = dict(event.bids), dict(event.asks)
        return
    for name, levels in (("bids", event.bids), ("asks", event.asks)):
        for price, size in levels:
            if size:
                held[name][price] = size
            else:
                held[name].pop(price, None)


def true_book(venue: Running, market: str, seq: int) -> Sides:
    truth = venue.truth("paradex", market, seq=seq)
    assert truth["seq"] == seq
    return {side: {Decimal(price): Decimal(size) for price, size in truth[side]} for side in ("bids", "asks")}


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
    clients = [connect(venue, version) for version in (1, 2)]
    for client in clients:
        subscribe(client, f"trades.{SOL}")
    rows = {row["id"]: row for row in venue.get("paradex", "/v1/trades", market=SOL).json()["results"]}
    old, new = ([binary(client, 1) for _ in range(3)] for client in clients)
    for first, second in zip(old, new, strict=True):
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
    venue = simulate(venues=("paradex",), time_scale=0.01, switches=(("paradex.heartbeats", "1"),))
    answering, silent = connect(venue), connect(venue)
    beats = 0
    for _ in range(8):
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
