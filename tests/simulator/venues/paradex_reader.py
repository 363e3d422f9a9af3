"""A decoder of Paradex's binary frames, written from the published rules and used by tests alone."""

from __future__ import annotations

import struct
from decimal import Decimal
from typing import TYPE_CHECKING

import websocket

if TYPE_CHECKING:
    from tests.simulator.conftest import Client, Running

Sides = dict[str, dict[Decimal, Decimal]]
BTC, ETH, SOL = "BTC-USD-PERP", "ETH-USD-PERP", "SOL-USD-PERP"
NULL = -(1 << 63)
BLOCKS = {1: "<3qB3qB", 2: "<6q", 3: "<2qB9q", 4: "<27q", 5: "<7qh", 40: "<2q"}


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
