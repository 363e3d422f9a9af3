"""Paradex's frames and REST bodies as they are, and the requests it takes.

Data comes as SBE (little-endian, one message a binary frame), requests and their answers as JSON-RPC text, REST as
JSON. A decoder goes by the lengths that the message itself states: fields, group entries and strings that a later
schema version appends are skipped, those that an earlier one lacks are absent. Decimals are int64 mantissas; dividing
integers rounds correctly, so that the float is the one that parsing the decimal text gives.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from functools import lru_cache
from math import isfinite
from typing import Annotated, Final, TypeAlias

import msgspec
from msgspec import Meta, Struct

from bus.book import check_levels
from bus.errors import FrameError
from bus.events import Side, Trade
from connectors.paradex.spec import BBO, BOOK, CATEGORIES, RATE_DIGITS, SCHEMA_ID

E8: Final = 10**8
"""Mantissa of one: the exponent, -8 for all but ``fundingRatePrecise``, is not on the wire."""
NULL: Final = -(2**63)
MAX_US: Final = (2**63 - 1) // 1_000

Levels: TypeAlias = tuple[list[float], list[float], list[float], list[float]]
"""Flat lists bid_px, bid_sz, ask_px, ask_sz."""
Touch: TypeAlias = tuple[float | None, float | None, float | None, float | None]
"""Best bid price and size, best ask price and size; ``None`` on an empty side."""


class BookEvent(Struct, gc=False):
    """Template 3. ``market`` is the venue's symbol as bytes; sizes are absolute, 0 removes; ``ts`` is in µs."""

    ts: int
    seq: int
    snapshot: bool
    market: bytes
    levels: Levels


class BboEvent(Struct, gc=False):
    """Template 2: the touch as of a step of the book's sequence."""

    ts: int
    seq: int
    market: bytes
    touch: Touch


class TradeEvent(Struct, gc=False):
    """Template 1. ``key`` tells it from any other trade: its id, or all that is known of it where it has none."""

    market: bytes
    key: object
    trade: Trade


class SummaryEvent(Struct, gc=False):
    """Template 4. ``rate`` is the funding rate's mantissa at ``digits`` decimals, for the market's funding period."""

    ts: int
    market: bytes
    mark_px: float | None
    index_px: float | None
    open_interest: float | None
    rate: int | None
    digits: int


class FundingEvent(Struct, gc=False):
    """Template 5. ``rate`` is a mantissa at 8 decimals; ``hours`` 0 means that the venue did not say."""

    market: bytes
    created: int
    rate: int | None
    hours: int


class OtherEvent(Struct, gc=False):
    """A message of another template or schema: to be counted and skipped."""

    template: int
    schema: int


Event: TypeAlias = BookEvent | BboEvent | TradeEvent | SummaryEvent | FundingEvent | OtherEvent

_SIDES: Final = {1: Side.BUY, 2: Side.SELL}
_HEADER: Final = struct.Struct("<4H")
_GROUP: Final = struct.Struct("<2H")
_ENTRY: Final = struct.Struct("<2q")
_BOOK: Final = struct.Struct("<2qB")
_BBO: Final = struct.Struct("<6q")
_TRADE: Final = struct.Struct("<3qB3qB")
_FUNDING: Final = struct.Struct("<7qh")
_BOOK_BLOCK: Final = 89
_SUMMARY_FIELDS: Final = 27
_PRECISE: Final = 29
"""Index of ``fundingRatePrecise``, which schema version 1 appended."""


@lru_cache(maxsize=1_024)
def _longs(count: int) -> struct.Struct:
    return struct.Struct(f"<{count}q")


def template_of(frame: bytes) -> int | None:
    """Template of a frame, ``None`` when it is too short to have one."""
    return int.from_bytes(frame[2:4], "little") if len(frame) >= _HEADER.size else None


def seq_of(frame: bytes) -> int | None:
    """Sequence that a book frame claims, even when the rest of it is unusable."""
    return int.from_bytes(frame[16:24], "little", signed=True) if len(frame) >= _HEADER.size + _ENTRY.size else None


def decode(frame: bytes) -> Event:
    """The message of a binary frame. Raises FrameError when it is not what it says it is."""
    if len(frame) < _HEADER.size:
        raise FrameError("shorter than an SBE header")
    block, template, schema, _ = _HEADER.unpack_from(frame)
    decoder = _DECODERS.get(template)
    if decoder is None or schema != SCHEMA_ID:
        return OtherEvent(template, schema)
    try:
        return decoder(frame, block)
    except (struct.error, IndexError):
        raise FrameError(f"template {template} ends before its {block}-byte block, groups or market") from None


def _need(block: int, least: int) -> None:
    if block < least:
        raise FrameError(f"block of {block} bytes where {least} are known")


def _book(frame: bytes, block: int) -> BookEvent:
    _need(block, _BOOK_BLOCK)
    ts, seq, kind = _BOOK.unpack_from(frame, 8)
    if kind > 1:
        raise FrameError(f"package type {kind}")
    bid_px, bid_sz, at = _group(frame, 8 + block)
    ask_px, ask_sz, at = _group(frame, at)
    return BookEvent(ts, seq, kind == 0, _text(frame, at), (bid_px, bid_sz, ask_px, ask_sz))


def _group(frame: bytes, at: int) -> tuple[list[float], list[float], int]:
    width, count = _GROUP.unpack_from(frame, at)
    at += 4
    if not count:
        return [], [], at
    end = at + width * count
    if width == _ENTRY.size:
        flat = _longs(2 * count).unpack_from(frame, at)
    elif width > _ENTRY.size and end <= len(frame):
        flat = tuple(value for start in range(at, end, width) for value in _ENTRY.unpack_from(frame, start))
    else:
        raise FrameError(f"group of {count} entries of {width} bytes")
    return [price / E8 for price in flat[::2]], [size / E8 for size in flat[1::2]], end


def _text(frame: bytes, at: int) -> bytes:
    end = at + 1 + frame[at]
    if end > len(frame) or end == at + 1:
        raise FrameError("the market's name is cut off")
    return frame[at + 1 : end]


def _bbo(frame: bytes, block: int) -> BboEvent:
    _need(block, _BBO.size)
    ts, seq, bid_px, bid_sz, ask_px, ask_sz = _BBO.unpack_from(frame, 8)
    return BboEvent(ts, seq, _text(frame, 8 + block), (*_best(bid_px, bid_sz), *_best(ask_px, ask_sz)))


def _best(price: int, size: int) -> tuple[float | None, float | None]:
    """One side of the touch; the venue's null, price and size together, is an empty side, and so is a size of 0."""
    if (price == NULL) != (size == NULL):
        raise FrameError("half of a side is null")
    if price == NULL or size == 0:
        return None, None
    return price / E8, size / E8


def _trade(frame: bytes, block: int) -> TradeEvent:
    _need(block, _TRADE.size)
    _, seq, truncated, side, price, size, created, kind = _TRADE.unpack_from(frame, 8)
    market = _text(frame, 8 + block)
    at = 8 + block + 1 + len(market)
    trade_id = _text(frame, at).decode("ascii", "backslashreplace") if at < len(frame) and frame[at] else None
    if price <= 0 or size <= 0:
        raise FrameError("a trade without a positive price and size")
    word = CATEGORIES.get(kind, "unspecified")
    trade = Trade(nanoseconds(created), trade_id, _SIDES.get(side), price / E8, size / E8, history=False, category=word)
    return TradeEvent(market, trade_id or (seq, created, side, price, size, truncated), trade)


def _summary(frame: bytes, block: int) -> SummaryEvent:
    _need(block, 8 * _SUMMARY_FIELDS)
    fields = _longs(min(block // 8, _PRECISE + 1)).unpack_from(frame, 8)
    rate, digits = fields[7], 8
    if len(fields) > _PRECISE and fields[_PRECISE] != NULL:
        rate, digits = fields[_PRECISE], RATE_DIGITS
    return SummaryEvent(
        fields[0],
        _text(frame, 8 + block),
        _value(fields[2]),
        _value(fields[3]),
        _value(fields[6]),
        None if rate == NULL else rate,
        digits,
    )


def _value(mantissa: int) -> float | None:
    return None if mantissa == NULL else mantissa / E8


def _funding(frame: bytes, block: int) -> FundingEvent:
    _need(block, _FUNDING.size)
    fields = _FUNDING.unpack_from(frame, 8)
    rate = fields[2]
    return FundingEvent(_text(frame, 8 + block), fields[4], None if rate == NULL else rate, fields[7])


_DECODERS: Final[dict[int, Callable[[bytes, int], Event]]] = {
    1: _trade,
    BBO: _bbo,
    BOOK: _book,
    4: _summary,
    5: _funding,
}


def nanoseconds(us: int) -> int | None:
    """A time of the venue's (µs) in ns; ``None`` for one that is no time."""
    return us * 1_000 if 0 < us <= MAX_US else None


def decimal(mantissa: int, digits: int) -> str:
    """A mantissa as the decimal number it stands for, all digits shown."""
    whole, fraction = divmod(abs(mantissa), 10**digits)
    return f"{'-' if mantissa < 0 else ''}{whole}.{fraction:0{digits}d}"


# -- control plane ----------------------------------------------------------------------------------------------------


class RpcResult(Struct, gc=False):
    """What an acknowledgement is for."""

    channel: str = ""


class RpcError(Struct, gc=False):
    """Why a request was refused; ``data`` tells the cause."""

    code: int
    message: str = ""
    data: object = None


class Rpc(Struct, gc=False):
    """A text frame: acknowledgement (``result``), refusal (``error``) or notification (``method``)."""

    id: int | str | None = None
    result: RpcResult | None = None
    error: RpcError | None = None
    method: str | None = None


_rpc = msgspec.json.Decoder(Rpc)
_BAD: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def decode_text(frame: bytes) -> Rpc:
    """A text frame. Raises FrameError."""
    try:
        return _rpc.decode(frame)
    except _BAD as error:
        raise FrameError(str(error)) from None


def request(number: int, method: str, channel: str) -> str:
    """Text of a ``subscribe`` or ``unsubscribe`` request; the answer echoes the number."""
    body = {"jsonrpc": "2.0", "id": number, "method": method, "params": {"channel": channel}}
    return msgspec.json.encode(body).decode()


# -- REST -------------------------------------------------------------------------------------------------------------

Loose: TypeAlias = str | int | float | None
"""A number that the venue writes as text or as a number; empty text means that it has none."""
Seq = Annotated[int, Meta(ge=0, le=2**63 - 1)]


class MarketRow(Struct):
    """One row of ``/markets``. Any field but the symbol may be absent in older payloads."""

    symbol: str
    asset_kind: str = ""
    quote_currency: str = "USD"
    price_tick_size: Loose = None
    order_size_increment: Loose = None
    trading_mode: str = ""
    open_at: Loose = None
    expiry_at: Loose = None
    funding_period_hours: Loose = None


class RestBook(Struct):
    """``/orderbook/{market}``: ``seq_no`` is the stream's sequence, ``last_updated_at`` in ms."""

    seq_no: Seq
    bids: list[tuple[float, float]]
    asks: list[tuple[float, float]]
    last_updated_at: Seq = 0

    def levels(self) -> Levels:
        """Flat lists, best first (the order was seen with one level only)."""
        bids, asks = sorted(self.bids, reverse=True), sorted(self.asks)
        return [x[0] for x in bids], [x[1] for x in bids], [x[0] for x in asks], [x[1] for x in asks]


class SummaryRow(Struct):
    """One row of ``/markets/summary``; ``created_at`` in ms."""

    symbol: str
    created_at: Seq = 0
    mark_price: Loose = None
    underlying_price: Loose = None
    open_interest: Loose = None
    funding_rate: Loose = None


class _Results(Struct):
    results: list[msgspec.Raw]


_results = msgspec.json.Decoder(_Results)
_market_row = msgspec.json.Decoder(MarketRow)
_summary_row = msgspec.json.Decoder(SummaryRow)
_rest_book = msgspec.json.Decoder(RestBook, strict=False)


def market_rows(body: bytes) -> tuple[list[MarketRow], int]:
    """Rows of ``/markets``, and how many of them could not be read. Raises FrameError."""
    rows, bad = [], 0
    for raw in _raw(body):
        try:
            rows.append(_market_row.decode(raw))
        except _BAD:
            bad += 1
    return rows, bad


def summary_row(body: bytes, symbol: str) -> SummaryRow:
    """The market's row of ``/markets/summary``. Raises FrameError."""
    for raw in _raw(body):
        try:
            row = _summary_row.decode(raw)
        except _BAD as error:
            raise FrameError(str(error)) from None
        if row.symbol == symbol:
            return row
    raise FrameError(f"no summary of {symbol}")


def rest_book(body: bytes) -> RestBook:
    """Answer of ``/orderbook/{market}``. Raises VenueError, also for impossible levels."""
    try:
        book = _rest_book.decode(body)
    except _BAD as error:
        raise FrameError(str(error)) from None
    bid_px, bid_sz, ask_px, ask_sz = book.levels()
    check_levels(bid_px, bid_sz)
    check_levels(ask_px, ask_sz)
    return book


def _raw(body: bytes) -> list[msgspec.Raw]:
    try:
        return _results.decode(body).results
    except _BAD as error:
        raise FrameError(str(error)) from None


def number(value: Loose) -> float | None:
    """A number however it was written, ``None`` for none and for text that is no finite number."""
    try:
        found = None if value is None else float(value)
    except (ValueError, OverflowError):
        return None
    return found if found is not None and isfinite(found) else None
