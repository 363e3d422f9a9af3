"""SBE frames, schema 1, versions 0 to 3 (pure): little-endian, one message a frame, groups and strings after the block.

A field belongs to a version: lower versions have shorter blocks. ``Layout`` says what else may differ, so that clients
which count on today's lengths are found out.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from simulator.venues.paradex import facts

if TYPE_CHECKING:
    from decimal import Decimal

    from simulator.book import Levels
    from simulator.truth import MarketSpec, Trade

TRADE, BBO, BOOK, SUMMARY, FUNDING = 1, 2, 3, 4, 5
HEARTBEAT, UNKNOWN = 40, 99
NULL = -(1 << 63)
MOST = (1 << 63) - 1
SNAPSHOT, DELTA = 0, 1
BUY, SELL = 1, 2
FILL, LIQUIDATION, RPI = 1, 2, 5
PAD = b"\x00" * 8

_HEADER = struct.Struct("<4H")
_GROUP = struct.Struct("<2H")
_TRADE = struct.Struct("<3qB3qB")
_BBO = struct.Struct("<6q")
_BOOK = struct.Struct("<2qB9q")
_SUMMARY = struct.Struct("<27q")
_FUNDING = struct.Struct("<7qh")
_HEARTBEAT = struct.Struct("<2q")


@dataclass(frozen=True, slots=True)
class Layout:
    """The negotiated version, and what a later server may do within its rules."""

    version: int
    long_block: bool = False
    long_entries: bool = False
    trade_id: bool = True


def units(value: Decimal, exponent: int = 8) -> int:
    """The mantissa of ``value`` at ``10**-exponent``, cut off towards zero and held to 64 bits."""
    return max(-MOST, min(MOST, int(value.scaleb(exponent))))


@cache
def scales(spec: MarketSpec) -> tuple[int, int]:
    """Mantissas of one tick and of one lot."""
    return spec.tick * 10 ** (8 - spec.price_decimals), 10 ** (8 - spec.size_decimals)


def _message(template: int, layout: Layout, block: bytes, *tails: bytes) -> bytes:
    if layout.long_block:
        block += PAD
    return _HEADER.pack(len(block), template, facts.SCHEMA_ID, layout.version) + block + b"".join(tails)


def text(value: str) -> bytes:
    """A var-string."""
    data = value.encode()
    return bytes([len(data)]) + data


def _group(spec: MarketSpec, levels: Levels, layout: Layout) -> bytes:
    tick, lot = scales(spec)
    if layout.long_entries:
        entries = (struct.pack("<2q", price * tick, size * lot) + PAD for price, size in levels)
        return _GROUP.pack(24, len(levels)) + b"".join(entries)
    flat = [number for price, size in levels for number in (price * tick, size * lot)]
    return _GROUP.pack(16, len(levels)) + struct.pack(f"<{len(flat)}q", *flat)


class Touches(NamedTuple):
    """Best price and size with and without RPI orders, as mantissas; NULL when not told or empty."""

    bid: tuple[int, int] = (NULL, NULL)
    ask: tuple[int, int] = (NULL, NULL)
    spread: int = NULL
    bid_api: tuple[int, int] = (NULL, NULL)
    ask_api: tuple[int, int] = (NULL, NULL)


UNTOLD = Touches()


def mantissas(spec: MarketSpec, level: tuple[int, int] | None) -> tuple[int, int]:
    """Of one level."""
    if level is None:
        return NULL, NULL
    tick, lot = scales(spec)
    return level[0] * tick, level[1] * lot


def touches(spec: MarketSpec, interactive: tuple[Levels, Levels], api: tuple[Levels, Levels]) -> Touches:
    """Both kinds of best levels; each side is best first."""
    bid, ask = (mantissas(spec, side[0] if side else None) for side in interactive)
    bid_api, ask_api = (mantissas(spec, side[0] if side else None) for side in api)
    spread = NULL
    if NULL not in (bid[0], ask[0]):
        spread = (ask[0] - bid[0]) * 2 * 10**8 // (ask[0] + bid[0])
    return Touches(bid, ask, spread, bid_api, ask_api)


class BookEvent(NamedTuple):
    """A SNAPSHOT (``kind`` 0) or a DELTA (1)."""

    ts_us: int
    seq: int
    kind: int
    touches: Touches = UNTOLD


def book(spec: MarketSpec, layout: Layout, event: BookEvent, bids: Levels, asks: Levels) -> bytes:
    """Template 3; sizes are absolute and 0 removes a level."""
    told = event.touches
    block = _BOOK.pack(
        event.ts_us, event.seq, event.kind, *told.bid, *told.ask, told.spread, *told.bid_api, *told.ask_api
    )
    return _message(BOOK, layout, block, _group(spec, bids, layout), _group(spec, asks, layout), text(spec.symbol))


def bbo(spec: MarketSpec, layout: Layout, ts_us: int, seq: int, sides: tuple[Levels, Levels]) -> bytes:
    """Template 2; an empty side is null twice."""
    best = [number for side in sides for number in mantissas(spec, side[0] if side else None)]
    return _message(BBO, layout, _BBO.pack(ts_us, seq, *best), text(spec.symbol))


class TradeEvent(NamedTuple):
    """One fill; ``ts_us`` is when it was published, ``created_us`` when it happened."""

    ts_us: int
    seq: int
    trade: Trade
    created_us: int
    type: int


def low_bits(number: str) -> int:
    """The deprecated id: the low 64 bits of the real one, signed."""
    low = int(number) & ((1 << 64) - 1)
    return low - (1 << 64) if low >> 63 else low


def trade(spec: MarketSpec, layout: Layout, event: TradeEvent, number: str) -> bytes:
    """Template 1; the real id (``number``, 28 digits) came with version 2."""
    tick, lot = scales(spec)
    one = event.trade
    block = _TRADE.pack(
        event.ts_us,
        event.seq,
        low_bits(number),
        BUY if one.buy else SELL,
        one.price * tick,
        one.size * lot,
        event.created_us,
        event.type,
    )
    tail = text(number) if layout.version >= 2 and layout.trade_id else b""  # noqa: PLR2004 - the version
    return _message(TRADE, layout, block, text(spec.symbol), tail)


class SummaryEvent(NamedTuple):
    """Mantissas e-8 but ``precise`` (e-12); what is not here is null on a perpetual."""

    ts_us: int
    mark: int
    spot: int
    last: int
    volume: int
    interest: int
    funding: int
    bid: int
    ask: int
    change: int
    bid_size: int
    ask_size: int
    precise: int


def summary(spec: MarketSpec, layout: Layout, event: SummaryEvent) -> bytes:
    """Template 4; ``seq`` is 0, the lifetime volume stands at its largest value."""
    ivs, greeks = [NULL] * 4, [units_of_delta(event), *[NULL] * 6]
    block = _SUMMARY.pack(
        event.ts_us,
        0,
        event.mark,
        event.spot,
        event.last,
        event.volume,
        event.interest,
        event.funding,
        event.bid,
        event.ask,
        MOST,
        event.change,
        *ivs,
        *greeks,
        NULL,
        NULL,
        event.bid_size,
        event.ask_size,
    )
    if layout.version >= 1:
        block += struct.pack("<3q", NULL, NULL, event.precise)
    if layout.version >= 3:  # noqa: PLR2004 - the version
        block += struct.pack("<q", NULL)
    return _message(SUMMARY, layout, block, text(spec.symbol))


def units_of_delta(event: SummaryEvent) -> int:
    """A perpetual's delta is told although it is an option's field: mark over index."""
    return event.mark * 10**8 // event.spot


class FundingEvent(NamedTuple):
    """Mantissas e-8."""

    ts_us: int
    seq: int
    rate: int
    accrued: int
    created_us: int
    premium: int
    rate_8h: int
    hours: int
    impact: int


def funding(spec: MarketSpec, layout: Layout, event: FundingEvent) -> bytes:
    """Template 5."""
    block = _FUNDING.pack(*event[:8])
    if layout.version >= 1:
        block += struct.pack("<q", event.impact)
    return _message(FUNDING, layout, block, text(spec.symbol))


def heartbeat(layout: Layout, ts_us: int) -> bytes:
    """Template 40."""
    return _message(HEARTBEAT, layout, _HEARTBEAT.pack(ts_us, 0))


def unknown(layout: Layout, ts_us: int) -> bytes:
    """A template that no schema has."""
    return _message(UNKNOWN, layout, _HEARTBEAT.pack(ts_us, 0))
