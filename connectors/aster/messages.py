"""Aster's frames and REST bodies as they are, and the requests it takes.

Prices, sizes and rates are JSON strings, which ``strict=False`` turns into floats in C; ids and times (milliseconds)
are JSON numbers. One letter means different things in different events, so each event has its own type, told by ``e``.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import inf, isfinite
from typing import Annotated, Final, TypeAlias, TypeVar

import msgspec
from msgspec import Meta, Raw, Struct, field

from bus.book import check_levels
from bus.errors import FrameError, VenueError
from bus.events import Instrument, Side, Trade
from connectors.aster.spec import MS, QUOTE_ASSET
from connectors.effects import Reply

Id = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Millis = Annotated[int, Meta(ge=0, lt=4_102_444_800_000)]
"""Milliseconds since the epoch, before the year 2100; 0 is the venue's "none" where it says so."""
Touch: TypeAlias = tuple[float | None, float | None, float | None, float | None]
UNREADABLE: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What the decoder raises on hostile bytes."""


LARGEST: Final = 1e300
"""Bound that keeps out what is not finite."""


class Level(Struct, array_like=True, gc=False):
    """One price level; further items of it are ignored.

    The decoder refuses what is not a finite positive price with a finite size (80 numbers in 0.3 µs; in Python 2), so
    whatever has been decoded needs no further check.
    """

    px: Annotated[float, Meta(gt=0.0, lt=LARGEST)]
    sz: Annotated[float, Meta(ge=0.0, lt=LARGEST)]


class DepthUpdate(Struct, tag_field="e", tag="depthUpdate", gc=False):
    """Changed levels with absolute sizes; 0 removes. ``U`` is not read: ids are shared by all symbols."""

    symbol: str = field(name="s")
    last: Id = field(name="u")
    """Last update id inside."""
    previous: Id = field(name="pu")
    """``last`` of the diff before it on this stream: the only test of continuity."""
    bids: list[Level] = field(name="b")
    asks: list[Level] = field(name="a")
    pushed: Millis = field(name="E")
    engine: Millis | None = field(name="T", default=None)

    @property
    def venue_ns(self) -> int:
        """Engine time of the last change, or the push time."""
        return (self.engine or self.pushed) * MS


class BookTicker(Struct, tag_field="e", tag="bookTicker", gc=False):
    """Best level of both sides as of update ``last``; a zero price or size is an empty side."""

    symbol: str = field(name="s")
    last: Id = field(name="u")
    bid_px: float = field(name="b")
    bid_sz: float = field(name="B")
    ask_px: float = field(name="a")
    ask_sz: float = field(name="A")
    pushed: Millis = field(name="E")
    engine: Millis | None = field(name="T", default=None)

    @property
    def venue_ns(self) -> int:
        """Engine time, or the push time."""
        return (self.engine or self.pushed) * MS

    @property
    def touch(self) -> Touch:
        """Bid price and size, ask price and size. Raises VenueError on a touch that cannot be."""
        bid_px, bid_sz, ask_px, ask_sz = self.bid_px, self.bid_sz, self.ask_px, self.ask_sz
        if not (bid_px >= 0.0 and bid_sz >= 0.0 and ask_px >= 0.0 and ask_sz >= 0.0):
            raise FrameError("a negative touch")
        bid = (bid_px, bid_sz) if bid_px and bid_sz else (None, None)
        ask = (ask_px, ask_sz) if ask_px and ask_sz else (None, None)
        if bid[0] is not None and ask[0] is not None and bid[0] >= ask[0]:
            raise FrameError("a crossed touch")
        return (*bid, *ask)


class AggTrade(Struct, tag_field="e", tag="aggTrade", gc=False):
    """Fills of one taker order at one price."""

    symbol: str = field(name="s")
    id: Id = field(name="a")
    px: float = field(name="p")
    sz: float = field(name="q")
    time: Millis = field(name="T")
    buyer_is_maker: bool = field(name="m")

    def trade(self) -> Trade:
        """The trade. Raises VenueError on impossible numbers."""
        check_levels((self.px, self.sz), (self.sz, self.px))
        side = Side.SELL if self.buyer_is_maker else Side.BUY
        return Trade(self.time * MS, str(self.id), side, self.px, self.sz, history=False)


class MarkPrice(Struct, tag_field="e", tag="markPriceUpdate", gc=False):
    """Mark and index price, and the running estimate of the next funding."""

    symbol: str = field(name="s")
    pushed: Millis = field(name="E")
    mark: float = field(name="p")
    index: float | None = field(name="i", default=None)
    rate: str = field(name="r", default="")
    """Fraction for the symbol's interval; empty when there is none."""
    next: Millis = field(name="T", default=0)
    """Next funding time, not a time of this event; 0 when there is none."""

    @property
    def venue_ns(self) -> int:
        """Push time."""
        return self.pushed * MS

    @property
    def prices(self) -> tuple[float | None, float | None]:
        """Mark and index price, each ``None`` where there is none. Raises VenueError on impossible ones."""
        for price in (self.mark, self.index or 0.0):
            if not 0.0 <= price < inf:
                raise FrameError("an impossible price")
        return self.mark or None, self.index or None


class Push(Struct, gc=False):
    """A combined frame."""

    stream: str
    data: DepthUpdate | BookTicker | AggTrade | MarkPrice


class Fault(Struct):
    """A refusal, of a request on the socket or over REST."""

    code: int
    msg: str = ""


class Control(Struct):
    """Anything else on the socket: an answer, a refusal in one of its shapes, or a frame of another stream."""

    stream: str | None = None
    id: int | None = None
    error: Fault | None = None
    code: int | None = None
    msg: str = ""

    @property
    def fault(self) -> Fault | None:
        """The refusal, bare or in an envelope."""
        return Fault(self.code, self.msg) if self.code is not None else self.error


class Snapshot(Struct):
    """REST depth: the best levels of each side as of update ``last``."""

    last: Id = field(name="lastUpdateId")
    bids: list[Level]
    asks: list[Level]
    engine: Millis | None = field(name="T", default=None)

    @property
    def venue_ns(self) -> int | None:
        """Engine time, where it is given."""
        return self.engine * MS if self.engine else None


class Filter(Struct):
    """One trading rule of a symbol."""

    kind: str = field(name="filterType")
    tick: str | None = field(name="tickSize", default=None)
    step: str | None = field(name="stepSize", default=None)
    least: str | None = field(name="minQty", default=None)


class Symbol(Struct):
    """One row of ``exchangeInfo``."""

    symbol: str
    status: str
    base: str = field(name="baseAsset")
    quote: str = field(name="quoteAsset")
    margin: str = field(name="marginAsset")
    contract: str = field(name="contractType")
    filters: list[Filter]

    def instrument(self) -> Instrument:
        """What is published of it. The filters' order is not fixed."""
        rules = {rule.kind: rule for rule in self.filters}
        price, lot = rules.get("PRICE_FILTER"), rules.get("LOT_SIZE")
        tick = price.tick if price else None
        return Instrument(self.symbol, tick, lot.step if lot else None, self.quote, min_size=lot.least if lot else None)


class ExchangeInfo(Struct):
    """The market list."""

    symbols: list[Raw]


class Interval(Struct):
    """One row of ``fundingInfo``."""

    symbol: str
    hours: float | None = field(name="fundingIntervalHours", default=None)


class Settled(Struct):
    """One row of ``fundingRate``."""

    symbol: str
    time: Millis = field(name="fundingTime")
    rate: str = field(name="fundingRate")


class OpenInterest(Struct):
    """``openInterest``: base units, one-sided."""

    symbol: str
    amount: float = field(name="openInterest")


T = TypeVar("T")
PUSH: Final = msgspec.json.Decoder(Push, strict=False)
_CONTROL: Final = msgspec.json.Decoder(Control)
_RAWS: Final = msgspec.json.Decoder(list[Raw])
_PREFIX: Final = b'{"stream":"'


def control(frame: bytes) -> Control | None:
    """What a frame that is no ``Push`` says, ``None`` when it cannot be read either."""
    try:
        return _CONTROL.decode(frame)
    except UNREADABLE:
        return None


def stream_of(frame: bytes) -> str:
    """The stream that a broken frame claims to be of: live frames begin with it."""
    if not frame.startswith(_PREFIX):
        return ""
    return frame[len(_PREFIX) :].partition(b'"')[0].decode(errors="replace")


def body(data: bytes, kind: type[T]) -> T:
    """A REST body. Raises VenueError when it is anything else, such as an HTML page."""
    try:
        return msgspec.json.decode(data, type=kind, strict=False)
    except UNREADABLE as error:
        raise VenueError(str(error)) from None


def snapshot(data: bytes) -> Snapshot:
    """REST depth. Raises VenueError on an impossible level, too."""
    return body(data, Snapshot)


def interest(data: bytes) -> float:
    """Open interest. Raises VenueError on a body of another kind: the call is not documented."""
    amount = body(data, OpenInterest).amount
    if not 0.0 <= amount < inf:
        raise VenueError("an impossible open interest")
    return amount


def rows(data: bytes, kind: type[T]) -> list[T]:
    """The readable rows of a JSON array; one odd row among hundreds of symbols must not hide the others."""
    try:
        return list(_readable(_RAWS.decode(data), kind))
    except UNREADABLE as error:
        raise VenueError(str(error)) from None


def symbols(data: bytes) -> list[Symbol]:
    """The readable symbols of the market list. Raises VenueError when there are none."""
    found = list(_readable(body(data, ExchangeInfo).symbols, Symbol))
    if not found:
        raise VenueError("no symbols")
    return found


def _readable(raws: list[Raw], kind: type[T]) -> Iterator[T]:
    for raw in raws:
        try:
            yield msgspec.json.decode(raw, type=kind, strict=False)
        except UNREADABLE:
            continue


def find(listed: list[Symbol], base: str) -> Symbol | None:
    """The perpetual of this asset against USDT. Internal test markets are passed over."""
    for row in listed:
        if (row.base, row.quote, row.margin) != (base, QUOTE_ASSET, QUOTE_ASSET) or row.symbol.startswith("TEST"):
            continue
        # The contract type is empty until trading begins.
        if row.contract in {"PERPETUAL", ""}:
            return row
    return None


def number(text: str) -> float:
    """A decimal sent as text whose spelling is also wanted. Raises VenueError on anything not finite."""
    try:
        value = msgspec.convert(text, float, strict=False)
    except msgspec.ValidationError as error:
        raise VenueError(str(error)) from None
    if not isfinite(value):
        raise VenueError("not a number")
    return value


def content(reply: Reply) -> bytes:
    """Body of a good answer. Raises VenueError with one line on any other."""
    if reply.ok:
        return reply.body
    problem = reply.outcome
    if reply.status is not None:
        try:
            fault = body(reply.body, Fault)
            problem = f"{problem}, {fault.code}: {fault.msg}"
        except VenueError:
            pass
    raise VenueError(problem)


def request(method: str, streams: list[str], number: int) -> str:
    """``SUBSCRIBE`` or ``UNSUBSCRIBE``; the id must be an unsigned integer."""
    return msgspec.json.encode({"method": method, "params": streams, "id": number}).decode()
