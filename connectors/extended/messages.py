"""Extended's frames and REST bodies as they are.

Prices and sizes are JSON strings in no canonical form (``"84050"`` and ``"84050.000000"`` are one level); as floats
they are equal. Times are integer milliseconds. Both transports carry the same payloads in nearly the same envelope.
"""

from __future__ import annotations

from math import isfinite, nan
from typing import Annotated, Any, Final, Literal, TypeVar

import msgspec
from msgspec import Meta, Raw, Struct

from bus.book import Book as Levels
from bus.book import BookSide, check_levels
from bus.errors import FrameError, VenueError
from bus.events import Instrument
from connectors.extended import spec
from connectors.replay import Levels as Flat

Millis = Annotated[int, Meta(gt=0, lt=4_102_444_800_000)]
"""Milliseconds since the epoch, before the year 2100."""
Sequence = Annotated[int, Meta(ge=0, lt=2**53)]
TradeId = Annotated[int, Meta(ge=0, le=2**63 - 1)]
"""About 2.1e18, beyond what a float holds."""

SNAPSHOT: Final = "SNAPSHOT"
DELTA: Final = "DELTA"
FULL: Final = "f"
TOUCH: Final = "1"
TOLERANCE: Final = 1e-9
"""Of a sum of two sizes, relative: decimals of 15 digits differ by 1e-15 in float64."""


class Result(Struct, gc=False):
    """v2: what became of a request."""

    method: str = ""
    status: str = ""
    subscription: str | None = None


class Envelope(Struct, gc=False):
    """Every frame of either transport; a v2 reply has an ``id`` and no ``seq``."""

    seq: Sequence | None = None
    ts: Millis | None = None
    type: str | None = None
    subscription: str | None = None
    data: Raw = Raw(b"")
    error: str | dict[str, Any] | None = None
    id: str | int | None = None
    result: Result | None = None


class Level(Struct, gc=False):
    """One price. ``q`` is the size in a snapshot and the change in a delta, where ``c`` is the size after it."""

    p: float
    q: float
    c: float = nan
    """Not a number where it is missing, and so no level that any book takes: nothing is guessed from the change."""


class BookData(Struct, gc=False):
    """A whole book, changed levels, or the touch; ``t`` and ``d`` are absent at times."""

    m: str
    b: list[Level]
    a: list[Level]
    t: str | None = None
    d: str | None = None


class TradeData(Struct, gc=False):
    """One trade; ``S`` is the taker's side."""

    i: TradeId
    m: str
    S: Literal["BUY", "SELL"]
    T: Millis
    p: float
    q: float
    tT: str = "TRADE"  # noqa: N815 - the venue's name


class PriceData(Struct, gc=False):
    """A mark or index price; ``ts`` is 0 on every mark frame seen."""

    m: str
    p: float
    ts: Annotated[int, Meta(ge=0, lt=4_102_444_800_000)] = 0


class FundingData(Struct, gc=False):
    """A rate as a fraction per hour."""

    m: str
    f: str
    T: Millis


class TradingConfig(Struct, gc=False, rename="camel"):
    """Rules of a market, as decimal strings."""

    min_price_change: str
    min_order_size_change: str
    min_order_size: str | None = None


class MarketRow(Struct, gc=False, rename="camel"):
    """One row of the market list; older ones lack ``type`` and ``isRfq``."""

    name: str
    active: bool
    status: str
    trading_config: TradingConfig
    type: str = "PERPETUAL"
    is_rfq: bool = False
    trading_hours: str = "CONTINUOUS"
    collateral_asset_name: str = "USD"


class StatsData(Struct, gc=False, rename="camel"):
    """Running figures of a market. No time. ``next_funding_rate`` is a time, whatever its name says."""

    open_interest_base: float
    mark_price: float | None = None
    index_price: float | None = None
    funding_rate: str | None = None
    next_funding_rate: Millis | None = None


class RestLevel(Struct, gc=False):
    """One price of the REST book."""

    qty: float
    price: float


class RestBook(Struct, gc=False):
    """The REST book: no sequence, no time."""

    market: str
    bid: list[RestLevel]
    ask: list[RestLevel]


class RestEnvelope(Struct, gc=False):
    """Every REST body; documents show ``ok`` where the venue sends ``OK``."""

    status: str
    data: Raw = Raw(b"")
    error: dict[str, Any] | None = None


T = TypeVar("T")
_MALFORMED: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_ENVELOPE: Final = msgspec.json.Decoder(Envelope, strict=False)
_BOOK: Final = msgspec.json.Decoder(BookData, strict=False)
_TRADES: Final = msgspec.json.Decoder(list[TradeData], strict=False)
_PRICE: Final = msgspec.json.Decoder(PriceData, strict=False)
_FUNDING: Final = msgspec.json.Decoder(FundingData, strict=False)
_REST: Final = msgspec.json.Decoder(RestEnvelope, strict=False)


def _decoded(decoder: msgspec.json.Decoder[T], body: bytes | Raw) -> T:
    try:
        return decoder.decode(body)
    except _MALFORMED as error:
        raise FrameError(f"{type(error).__name__}: {error}"[:200]) from None


def envelope(frame: bytes) -> Envelope:
    """Raises FrameError on anything that is not an object with envelope members of their types."""
    return _decoded(_ENVELOPE, frame)


def _same_market(named: str, symbol: str) -> None:
    if named != symbol:
        raise FrameError(f"names market {named[:40]!r}")


def book(frame: Envelope, symbol: str, depth: str) -> tuple[bool, BookData]:
    """Whether it is a snapshot, and its levels. Raises FrameError when it contradicts itself or is another market's."""
    data = _decoded(_BOOK, frame.data)
    _same_market(data.m, symbol)
    if data.d is not None and data.d != depth:
        raise FrameError(f"depth {data.d[:10]!r} where {depth!r} is due")
    kind = data.t if frame.type is None else frame.type.removeprefix("ORDERBOOKS.")
    if kind not in (SNAPSHOT, DELTA) or data.t not in (None, kind):
        raise FrameError(f"type {frame.type!r} with {data.t!r}"[:100])
    return kind == SNAPSHOT, data


def snapshot_levels(data: BookData) -> Flat:
    """Flat absolute levels. Raises VenueError on impossible ones, and on a price twice, as none of the two is sure."""
    bid_px, ask_px = [level.p for level in data.b], [level.p for level in data.a]
    if len(set(bid_px)) != len(bid_px) or len(set(ask_px)) != len(ask_px):
        raise FrameError("a price twice in one snapshot")
    bid_sz, ask_sz = [level.q for level in data.b], [level.q for level in data.a]
    check_levels(bid_px, bid_sz)
    check_levels(ask_px, ask_sz)
    return bid_px, bid_sz, ask_px, ask_sz


def delta_levels(data: BookData) -> Flat:
    """Flat absolute levels, to be checked by whoever takes them."""
    bids, asks = data.b, data.a
    return [row.p for row in bids], [row.c for row in bids], [row.p for row in asks], [row.c for row in asks]


def misfits(held: Levels, data: BookData) -> int:
    """How many changes of a delta do not lead from the sizes held to the sizes it states.

    A level that is not held, beyond the last one that is, is none: nobody promises that a snapshot goes to the end.
    """
    bids, asks = held.bids, held.asks
    return _misfits(bids, data.b) + _misfits(asks, data.a)


def _misfits(side: BookSide, levels: list[Level]) -> int:
    size, sign = side.sizes.get, side.sign
    # The hot path is this one pass; what it lets through fits at any size.
    suspects = [level for level in levels if not -TOLERANCE < size(level.p, 0.0) + level.q - level.c < TOLERANCE]
    if not suspects:
        return 0
    wrong, worst = 0, side.worst()
    for level in suspects:
        beyond = not size(level.p) and (worst is None or sign * level.p < sign * worst)
        wrong += not beyond and abs(size(level.p, 0.0) + level.q - level.c) > TOLERANCE * (1.0 + level.c)
    return wrong


def holds(held: Levels, levels: Flat) -> bool:
    """Whether a book has exactly these levels."""
    bid_px, bid_sz, ask_px, ask_sz = levels
    return held.bids.live() == dict(zip(bid_px, bid_sz, strict=True)) and held.asks.live() == dict(
        zip(ask_px, ask_sz, strict=True)
    )


def touch(data: BookData) -> tuple[float | None, float | None, float | None, float | None]:
    """Best bid and ask of a quote frame; an empty side is ``None``. Raises FrameError on more than a touch."""
    if len(data.b) > 1 or len(data.a) > 1:
        raise FrameError("more than one level a side in a quote")
    bid_px, bid_sz = (data.b[0].p, data.b[0].q) if data.b else (None, None)
    ask_px, ask_sz = (data.a[0].p, data.a[0].q) if data.a else (None, None)
    if bid_px is not None and ask_px is not None and bid_px >= ask_px:
        raise FrameError(f"crossed quote: bid {bid_px}, ask {ask_px}")
    return bid_px, bid_sz, ask_px, ask_sz


def trades(frame: Envelope, symbol: str) -> list[TradeData]:
    """Trades of a frame, oldest first. Raises FrameError when one of them is impossible or another market's."""
    rows = _decoded(_TRADES, frame.data)
    for row in rows:
        _same_market(row.m, symbol)
        if not (isfinite(row.p) and isfinite(row.q) and row.p > 0.0 and row.q > 0.0):
            raise FrameError(f"trade of {row.q} at {row.p}")
    return rows


def price(frame: Envelope, symbol: str) -> PriceData:
    """A mark or index price. Raises FrameError when it is impossible or another market's."""
    data = _decoded(_PRICE, frame.data)
    _same_market(data.m, symbol)
    return PriceData(data.m, _positive(data.p), data.ts)


def _positive(number: float) -> float:
    if not (isfinite(number) and number > 0.0):
        raise FrameError(f"price {number}")
    return number


def funding(frame: Envelope, symbol: str) -> FundingData:
    """A funding rate. Raises FrameError on another market's; see ``rate``."""
    data = _decoded(_FUNDING, frame.data)
    _same_market(data.m, symbol)
    return data


def rate(text: str) -> float:
    """The number in a funding figure. Raises VenueError when there is none."""
    try:
        number = float(text)
    except ValueError:
        number = float("nan")
    if not isfinite(number):
        raise VenueError(f"funding rate {text[:40]!r}")
    return number


# REST


def _rest(body: bytes, kind: Any) -> Any:  # noqa: ANN401 - a type in, a value of it out
    reply = _decoded(_REST, body)
    if reply.status.upper() != "OK":
        raise VenueError(f"{reply.status[:20]}: {reply.error}"[:200])
    return _decoded(msgspec.json.Decoder(kind, strict=False), reply.data)


def says_absent(body: bytes) -> bool:
    """Whether an error body is the venue's word that there is no such market, not a proxy's or a maintenance page."""
    try:
        error = _decoded(_REST, body).error
    except FrameError:
        return False
    return error is not None and str(error.get("code")) in spec.REST_ABSENT


def market_row(body: bytes, symbol: str) -> MarketRow | None:
    """The row of this very name, ``None`` when it is not listed. Raises VenueError."""
    rows: list[MarketRow] = _rest(body, list[MarketRow])
    return next((row for row in rows if row.name == symbol), None)


def untradable(row: MarketRow | None) -> str | None:
    """Why a market may not be followed, ``None`` when it may."""
    if row is None:
        return "not listed"
    if row.type != "PERPETUAL":
        return f"type {row.type}"
    if row.is_rfq:
        return "its plain book is only indicative (RFQ)"
    if not row.active or row.status != "ACTIVE":
        return f"status {row.status}, active {row.active}"
    return None


def instrument(row: MarketRow) -> Instrument:
    """Raises VenueError when a rule is not a positive decimal."""
    rules = row.trading_config
    for text in (rules.min_price_change, rules.min_order_size_change):
        if not rate(text) > 0.0:
            raise VenueError(f"step {text[:40]!r}", market=row.name)
    return Instrument(
        row.name,
        rules.min_price_change,
        rules.min_order_size_change,
        row.collateral_asset_name,
        min_size=rules.min_order_size,
    )


def stats(body: bytes) -> StatsData:
    """Running figures. Raises VenueError."""
    found: StatsData = _rest(body, StatsData)
    numbers = [number for number in (found.mark_price, found.index_price) if number is not None]
    for number in numbers:
        _positive(number)
    if not (isfinite(found.open_interest_base) and found.open_interest_base >= 0.0):
        raise VenueError(f"open interest {found.open_interest_base}")
    return found


def settled(body: bytes, symbol: str) -> FundingData | None:
    """The newest charged funding, ``None`` when there is none in the span asked for. Raises VenueError."""
    rows: list[FundingData] = _rest(body, list[FundingData])
    for row in rows:
        _same_market(row.m, symbol)
    return max(rows, key=lambda row: row.T, default=None)


def rest_book(body: bytes, symbol: str) -> Flat:
    """A REST book, best first. Raises VenueError when it is crossed, without a side, or another market's."""
    data: RestBook = _rest(body, RestBook)
    _same_market(data.market, symbol)
    sides: Flat = (
        [level.price for level in data.bid],
        [level.qty for level in data.bid],
        [level.price for level in data.ask],
        [level.qty for level in data.ask],
    )
    found = Levels()
    found.replace(*sides)
    if found.is_crossed() or not found.is_two_sided():
        raise VenueError(f"REST book is crossed or lacks a side: {found.best()}", market=symbol)
    return found.levels()
