"""Lighter's frames and REST bodies as they are, and the requests it takes.

Prices and sizes are JSON strings, turned into floats in C (``strict=False``); ids and nonces integers of up to 64 bits.
Times come in milliseconds and microseconds within one frame: the type of each field says which.
"""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal, TypeAlias

import msgspec
from msgspec import Meta, Struct

from bus.errors import FrameError, VenueError
from bus.events import Instrument
from connectors.feed import Touch

Millis = Annotated[int, Meta(ge=0, lt=4_102_444_800_000)]
"""Milliseconds since the epoch; 0 for none."""
Micros = Annotated[int, Meta(ge=0, lt=4_102_444_800_000_000)]
"""Microseconds since the epoch; 0 for none."""
Count64 = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Decimals = Annotated[int, Meta(ge=0, le=18)]


class Level(Struct, gc=False):
    """One price level; the size is the new absolute one, zero removes it."""

    price: float
    size: float


class OrderBook(Struct, gc=False):
    """A whole book or the levels of it that changed. ``begin_nonce`` of a difference is the ``nonce`` before it."""

    nonce: Count64
    asks: list[Level] | None
    bids: list[Level] | None
    begin_nonce: Count64 | None = None
    last_updated_at: Micros = 0


class Snapshot(Struct, tag_field="type", tag="subscribed/order_book", gc=False):
    """The whole book: the answer to a subscribe."""

    channel: str
    order_book: OrderBook


class Difference(Struct, tag_field="type", tag="update/order_book", gc=False):
    """Changed levels; an empty or absent side has not changed."""

    channel: str
    order_book: OrderBook


class Quote(Struct, gc=False):
    """One side of the touch; empty strings when there is none."""

    price: float | Literal[""]
    size: float | Literal[""]


class Ticker(Struct, gc=False):
    """The touch."""

    a: Quote
    b: Quote
    last_updated_at: Micros = 0


class TickerFrame(Struct, tag_field="type", tag="update/ticker", gc=False):
    """A new touch. ``nonce`` counts with the book's."""

    channel: str
    nonce: Count64
    ticker: Ticker


class FirstTicker(TickerFrame, tag_field="type", tag="subscribed/ticker", gc=False):
    """The touch at subscribing."""


class TradeData(Struct, gc=False):
    """One trade. When the resting order was the ask, the taker bought."""

    trade_id: Count64
    price: float
    size: float
    is_maker_ask: bool
    timestamp: Millis
    type: str = "trade"
    transaction_time: Micros = 0


class TradesFrame(Struct, tag_field="type", tag="update/trade", gc=False):
    """New trades; liquidations are further trades, not the same ones again."""

    channel: str
    trades: list[TradeData] | None = None
    liquidation_trades: list[TradeData] | None = None


class FirstTrades(TradesFrame, tag_field="type", tag="subscribed/trade", gc=False):
    """The last 50 trades and older liquidations, at every subscribing."""


class MarketStats(Struct, gc=False):
    """Figures of a market. Open interest is in USD, funding rates in percent per hour."""

    mark_price: float
    index_price: float
    open_interest: float
    current_funding_rate: str
    funding_rate: str
    funding_timestamp: Millis
    daily_base_token_volume: float | None = None


class StatsFrame(Struct, tag_field="type", tag="update/market_stats", gc=False):
    """New figures; ``timestamp`` is when they were sent, the only time they have."""

    channel: str
    market_stats: MarketStats
    timestamp: Millis = 0


class FirstStats(StatsFrame, tag_field="type", tag="subscribed/market_stats", gc=False):
    """The figures at subscribing."""


class Unsubscribed(Struct, tag_field="type", tag="unsubscribed", gc=False):
    """An unsubscribe was done."""

    channel: str


class Connected(Struct, tag_field="type", tag="connected", gc=False):
    """The first frame of a connection."""


class Ping(Struct, tag_field="type", tag="ping", gc=False):
    """The venue wants a pong at once, or closes with 1008."""


class Pong(Struct, tag_field="type", tag="pong", gc=False):
    """Answer to our ping."""


class Height(Struct, tag_field="type", tag="update/height", gc=False):
    """The chain has grown; not needed."""


class Shutdown(Struct, tag_field="type", tag="shutdown", gc=False):
    """This server is about to close."""

    close_in_ms: int = 0


class Failure(Struct, gc=False):
    """Why a request was refused."""

    code: int
    message: str = ""


class ErrorFrame(Struct, tag_field="type", tag="error", gc=False):
    """A refusal as the venue's schema has it."""

    code: int
    message: str = ""


class Refused(Struct, gc=False):
    """A refusal as the wire has it: without a ``type``."""

    error: Failure


Frame: TypeAlias = (
    Snapshot
    | Difference
    | FirstTicker
    | TickerFrame
    | FirstTrades
    | TradesFrame
    | FirstStats
    | StatsFrame
    | Unsubscribed
    | Connected
    | Ping
    | Pong
    | Height
    | Shutdown
    | ErrorFrame
)
TYPES: Final = frozenset(
    {
        *(f"{moment}/{kind}" for moment in ("subscribed", "update") for kind in ("order_book", "ticker", "trade")),
        *("subscribed/market_stats", "update/market_stats", "unsubscribed", "connected"),
        *("ping", "pong", "shutdown", "error", "update/height"),
    }
)


class Envelope(Struct, gc=False):
    """What every frame has, refusals excepted."""

    type: str


class MarketConfig(Struct):
    """Switches of a market."""

    hidden: bool = False


class Row(Struct):
    """One row of the market list."""

    symbol: str
    market_id: Count64
    market_type: str
    status: str
    supported_price_decimals: Decimals
    supported_size_decimals: Decimals
    min_base_amount: str | None = None
    market_config: MarketConfig | None = None


class Details(Struct):
    """Answer to ``orderBookDetails``; each row is read by itself, for new kinds of rows appear without notice."""

    order_book_details: list[msgspec.Raw]


class Order(Struct, gc=False):
    """One resting order."""

    price: float
    remaining_base_amount: float


class Orders(Struct):
    """Answer to ``orderBookOrders``: single orders, best first. An unknown market has none."""

    asks: list[Order] | None
    bids: list[Order] | None


Body: TypeAlias = Details | Orders
_frames: Final[msgspec.json.Decoder[Frame]] = msgspec.json.Decoder(Frame, strict=False)
_refused = msgspec.json.Decoder(Refused)
_envelope = msgspec.json.Decoder(Envelope)
_BODIES: Final[dict[str, msgspec.json.Decoder[Body]]] = {
    "markets": msgspec.json.Decoder(Details),
    "book": msgspec.json.Decoder(Orders, strict=False),
    "probe": msgspec.json.Decoder(Orders, strict=False),
}
_row = msgspec.json.Decoder(Row)
_BAD: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_CHANNEL: Final = re.compile(rb'"channel"\s*:\s*"([a-z_]+:\d+)"')
_QUOTED: Final = re.compile(r"([a-z_]+:\d+)")


def decode(frame: bytes) -> Frame | Envelope:
    """The frame by its type, or its bare envelope when the type is unknown. Raises FrameError."""
    try:
        return _frames.decode(frame)
    except _BAD as error:
        problem = str(error)
    try:
        failure = _refused.decode(frame).error
        return ErrorFrame(failure.code, failure.message)
    except _BAD:
        pass
    try:
        envelope = _envelope.decode(frame)
    except _BAD:
        raise FrameError(problem) from None
    if envelope.type in TYPES:
        raise FrameError(f"{envelope.type}: {problem}")
    return envelope


def body(name: str, text: bytes) -> Body:
    """The answer to the call of this name. Raises FrameError."""
    try:
        return _BODIES[name].decode(text)
    except _BAD as error:
        raise FrameError(str(error)) from None


def rows(details: Details) -> tuple[list[Row], list[tuple[str, bytes]]]:
    """Rows of the market list, and those that cannot be read, with why."""
    found: list[Row] = []
    bad: list[tuple[str, bytes]] = []
    for raw in details.order_book_details:
        try:
            found.append(_row.decode(raw))
        except _BAD as error:
            bad.append((str(error), bytes(raw)))
    return found, bad


def find(listed: list[Row], market: str) -> Row | None:
    """The row of one of our markets that can be traded: ``BTC-PERP`` is the perp ``BTC``; a spot pair has a slash."""
    symbol = market.removesuffix("-PERP")
    return next((row for row in listed if row.symbol == symbol and row.market_type == "perp" and tradable(row)), None)


def tradable(row: Row) -> bool:
    """Whether the market is open. Inactive ones stay listed."""
    return row.status == "active" and not (row.market_config is not None and row.market_config.hidden)


def instrument(row: Row) -> Instrument:
    """A row as an event. Market id 0 is valid."""
    return Instrument(
        venue_symbol=row.symbol,
        tick=_unit(row.supported_price_decimals),
        lot=_unit(row.supported_size_decimals),
        quote="USDC",
        venue_id=row.market_id,
        min_size=row.min_base_amount,
    )


def _unit(decimals: int) -> str:
    return f"0.{'1':0>{decimals}}" if decimals else "1"


def channel_of(frame: bytes) -> str | None:
    """The channel that a broken frame still names, if it names one."""
    found = _CHANNEL.search(frame)
    return found[1].decode() if found else None


def well_formed(frame: bytes) -> bool:
    """Whether a frame is whole JSON, so that it is what the venue meant to send."""
    try:
        msgspec.json.decode(frame)
    except _BAD:
        return False
    return True


def channel_in(message: str) -> str | None:
    """The channel that a refusal quotes, if it quotes one."""
    found = _QUOTED.search(message)
    return found[1] if found else None


Flat: TypeAlias = tuple[list[float], list[float], list[float], list[float]]


def flat(book: OrderBook) -> Flat:
    """Levels as bid_px, bid_sz, ask_px, ask_sz, in the order they came."""
    bids, asks = book.bids or (), book.asks or ()
    return (
        [level.price for level in bids],
        [level.size for level in bids],
        [level.price for level in asks],
        [level.size for level in asks],
    )


def touch(ticker: Ticker) -> Touch:
    """A quote as bid_px, bid_sz, ask_px, ask_sz, ``None`` for an empty side. Raises VenueError when it is crossed."""
    bid_px, bid_sz = _side(ticker.b)
    ask_px, ask_sz = _side(ticker.a)
    if bid_px is not None and ask_px is not None and bid_px >= ask_px:
        raise VenueError("crossed quote")
    return bid_px, bid_sz, ask_px, ask_sz


def _side(quote: Quote) -> tuple[float, float] | tuple[None, None]:
    if isinstance(quote.price, str) or isinstance(quote.size, str):
        return None, None
    return quote.price, quote.size


def subscribe(channel: str, verb: str = "subscribe") -> str:
    """Text of a (un)subscribe request; requests have a slash where frames have a colon."""
    return f'{{"type":"{verb}","channel":"{channel.replace(":", "/")}"}}'


PING: Final = '{"type":"ping"}'
PONG: Final = '{"type":"pong"}'
