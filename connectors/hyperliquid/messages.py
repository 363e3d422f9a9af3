"""Hyperliquid's frames and REST bodies as they are, and the requests it takes.

Every price, size and rate is a JSON string; ``strict=False`` turns them into floats in C. Times are integer
milliseconds. Key order has changed over the years and unknown keys appear: neither matters here.
"""

from __future__ import annotations

from math import inf
from operator import gt, lt
from typing import Annotated, Final, Literal, TypeAlias

import msgspec
from msgspec import Meta, Struct

from bus.book import check_levels
from bus.errors import FrameError, VenueError
from bus.events import Funding, Instrument, Side, Stats, Trade
from connectors.feed import Touch
from connectors.hyperliquid.spec import DEPTH, HOUR

GREETING: Final = b"Websocket connection established."
"""A text frame that older servers sent first; the official SDKs still skip it."""

NS_PER_MS: Final = 1_000_000
Millis = Annotated[int, Meta(gt=0, lt=4_102_444_800_000)]
"""Milliseconds since the epoch, before the year 2100: anything else would block the order guard for ever."""
TradeId = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Decimals = Annotated[int, Meta(ge=0, le=18)]


class Level(Struct, gc=False):
    """One price level or one side of the touch; the number of orders is not used."""

    px: float
    sz: float


class BookData(Struct, gc=False):
    """The whole visible book: bids best first, asks best first."""

    coin: str
    time: Millis
    levels: tuple[list[Level], list[Level]]
    fast: bool = False


class BookFrame(Struct, tag_field="channel", tag="l2Book", gc=False):
    """Channel ``l2Book``."""

    data: BookData


class BboData(Struct, gc=False):
    """The touch as of a block: bid, ask. An empty side is documented as null; fewer entries are tolerated."""

    coin: str
    time: Millis
    bbo: list[Level | None] = []


class BboFrame(Struct, tag_field="channel", tag="bbo", gc=False):
    """Channel ``bbo``."""

    data: BboData


class TradeData(Struct, gc=False):
    """One trade. ``side`` is the aggressor's; ``tid`` is unique only together with ``time`` and coin."""

    coin: str
    side: Literal["A", "B"]
    px: float
    sz: float
    time: Millis
    tid: TradeId


class TradesFrame(Struct, tag_field="channel", tag="trades", gc=False):
    """Channel ``trades``, oldest first."""

    data: list[TradeData]


class Ctx(Struct, gc=False, rename="camel"):
    """Running figures of a market. ``funding`` is a fraction per hour, ``open_interest`` in coins. No time."""

    funding: str
    open_interest: float
    mark_px: float
    oracle_px: float
    day_base_vlm: float | None = None
    """Coins traded within 24 h; absent before about 2025."""


class CtxData(Struct, gc=False):
    """A market and its figures."""

    coin: str
    ctx: Ctx


class CtxFrame(Struct, tag_field="channel", tag="activeAssetCtx", gc=False):
    """Channel ``activeAssetCtx``."""

    data: CtxData


class Subscription(Struct, gc=False):
    """What was subscribed, as echoed; the defaults the venue fills in do not matter."""

    type: str
    coin: str = ""

    @property
    def key(self) -> str:
        """Name of the stream."""
        return f"{self.type}:{self.coin}"


class AckData(Struct, gc=False):
    """Which request is acknowledged."""

    method: str
    subscription: Subscription


class AckFrame(Struct, tag_field="channel", tag="subscriptionResponse", gc=False):
    """Channel ``subscriptionResponse``."""

    data: AckData


class ErrorFrame(Struct, tag_field="channel", tag="error", gc=False):
    """Channel ``error``: a text that mostly ends in the request or the subscription it is about."""

    data: str


class PongFrame(Struct, tag_field="channel", tag="pong", gc=False):
    """Answer to the keepalive; it has no ``data``."""


Frame: TypeAlias = BookFrame | BboFrame | TradesFrame | CtxFrame | AckFrame | ErrorFrame | PongFrame
CHANNELS: Final = frozenset({"l2Book", "bbo", "trades", "activeAssetCtx", "subscriptionResponse", "error", "pong"})


class Envelope(Struct, gc=False):
    """What every frame has."""

    channel: str


class Asset(Struct, rename="camel"):
    """One row of the market list; ``name`` is the venue's symbol, case-sensitive."""

    name: str
    sz_decimals: Decimals
    is_delisted: bool = False


class Universe(Struct):
    """Answer to ``meta``."""

    universe: list[Asset]


class FundingRow(Struct, rename="camel"):
    """One settled hour; ``time`` is up to a few seconds after it."""

    coin: str
    funding_rate: str
    time: Millis


_frames: Final[msgspec.json.Decoder[Frame]] = msgspec.json.Decoder(Frame, strict=False)
_envelope = msgspec.json.Decoder(Envelope)
_subscription = msgspec.json.Decoder(Subscription)
_request = msgspec.json.Decoder(AckData)
_BAD: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def decode(frame: bytes) -> Frame | Envelope:
    """The frame by its channel, or its bare envelope when the channel is unknown. Raises FrameError."""
    try:
        return _frames.decode(frame)
    except _BAD as error:
        problem = str(error)
    try:
        envelope = _envelope.decode(frame)
    except _BAD:
        raise FrameError(problem) from None
    if envelope.channel in CHANNELS:
        raise FrameError(f"{envelope.channel}: {problem}")
    return envelope


Body: TypeAlias = Universe | BookData | list[FundingRow]
_BODIES: Final[dict[str, msgspec.json.Decoder[Body]]] = {
    "markets": msgspec.json.Decoder(Universe),
    "book": msgspec.json.Decoder(BookData, strict=False),
    "funding": msgspec.json.Decoder(list[FundingRow]),
}


def body(name: str, text: bytes) -> Body:
    """The answer to the call of this name; ``null``, an unknown coin's book, is no answer. Raises FrameError."""
    try:
        return _BODIES[name].decode(text)
    except _BAD as error:
        raise FrameError(str(error)) from None


def complaint(text: str) -> tuple[str, str | None]:
    """What an error frame says: its words, and the key of the stream it is about when it quotes one."""
    words, brace, rest = text.partition("{")
    quoted = (brace + rest).encode()
    for decoder in (_request, _subscription):
        try:
            found = decoder.decode(quoted)
        except _BAD:
            continue
        return words.strip(" :"), (found.subscription if isinstance(found, AckData) else found).key
    return words.strip(" :"), None


Flat: TypeAlias = tuple[list[float], list[float], list[float], list[float]]


def flat(levels: tuple[list[Level], list[Level]]) -> Flat:
    """Levels as bid_px, bid_sz, ask_px, ask_sz, at most ``DEPTH`` a side. Raises VenueError on what no book has.

    A level without size has never been seen and would say nothing: it is left out.
    """
    bids, asks = levels[0][:DEPTH], levels[1][:DEPTH]
    bid_px, bid_sz = [level.px for level in bids], [level.sz for level in bids]
    ask_px, ask_sz = [level.px for level in asks], [level.sz for level in asks]
    check_levels(bid_px, bid_sz)
    check_levels(ask_px, ask_sz)
    if not (all(map(gt, bid_px, bid_px[1:])) and all(map(lt, ask_px, ask_px[1:]))):
        raise VenueError("levels are not in order")
    if 0.0 in bid_sz or 0.0 in ask_sz:
        bids, asks = [level for level in bids if level.sz], [level for level in asks if level.sz]
        return [x.px for x in bids], [x.sz for x in bids], [x.px for x in asks], [x.sz for x in asks]
    return bid_px, bid_sz, ask_px, ask_sz


def crossed(levels: Flat) -> bool:
    """Whether the best bid is at or above the best ask."""
    return bool(levels[0]) and bool(levels[2]) and levels[0][0] >= levels[2][0]


def touch(data: BboData) -> Touch:
    """A quote as bid_px, bid_sz, ask_px, ask_sz, ``None`` for an empty side. Raises VenueError when it is crossed."""
    bid, ask = (*data.bbo, None, None)[:2]
    if bid is not None and ask is not None and bid.px >= ask.px:
        raise VenueError("crossed quote", market=data.coin)
    bid_px, bid_sz = (bid.px, bid.sz) if bid is not None else (None, None)
    ask_px, ask_sz = (ask.px, ask.sz) if ask is not None else (None, None)
    return bid_px, bid_sz, ask_px, ask_sz


def best(levels: Flat) -> Touch:
    """The touch of a book."""
    bid_px, bid_sz, ask_px, ask_sz = levels
    bid = (bid_px[0], bid_sz[0]) if bid_px else (None, None)
    ask = (ask_px[0], ask_sz[0]) if ask_px else (None, None)
    return *bid, *ask


def find(assets: list[Asset], market: str) -> Asset | None:
    """The row of one of our markets: ``BTC-PERP`` is ``BTC``, ``KPEPE-PERP`` is ``kPEPE`` (thousands of a token)."""
    base = market.removesuffix("-PERP")
    rows = {asset.name: asset for asset in assets}
    return rows.get(base) or next((asset for asset in assets if asset.name.upper() == base), None)


def instrument(asset: Asset) -> Instrument:
    """A row as an event. Prices have at most 5 significant figures and ``6 - szDecimals`` decimals."""
    return Instrument(
        venue_symbol=asset.name,
        tick=_unit(max(6 - asset.sz_decimals, 0)),
        lot=_unit(asset.sz_decimals),
        quote="USDC",
        significant_figures=5,
    )


def _unit(decimals: int) -> str:
    return f"0.{'1':0>{decimals}}" if decimals else "1"


def trade(data: TradeData, *, history: bool) -> Trade:
    """A trade as an event; its id is time and ``tid`` together. Raises VenueError."""
    if not (0.0 < data.px < inf and 0.0 < data.sz < inf):
        raise VenueError("a trade without a price or a size", market=data.coin)
    side = Side.BUY if data.side == "B" else Side.SELL
    return Trade(data.time * NS_PER_MS, f"{data.time}-{data.tid}", side, data.px, data.sz, history)


def stats(ctx: Ctx) -> Stats:
    """Mark, index (the validators' oracle) and open interest in coins. Raises VenueError."""
    if not (0.0 < ctx.mark_px < inf and 0.0 < ctx.oracle_px < inf and 0.0 <= ctx.open_interest < inf):
        raise VenueError("impossible mark, index or open interest")
    return Stats(None, ctx.mark_px, ctx.oracle_px, ctx.open_interest)


def running(ctx: Ctx, wall_ns: int) -> Funding:
    """The estimate for the next full hour, already a fraction per hour. Raises VenueError.

    The venue publishes no usable next time (its own lies in the past), but settles every perp at every full UTC hour.
    """
    return Funding(None, _rate(ctx.funding), ctx.funding, 1.0, settled=False, next_ns=(wall_ns // HOUR + 1) * HOUR)


def settled(row: FundingRow) -> Funding:
    """A charged hour, stamped with the full hour it belongs to. Raises VenueError."""
    hour = row.time * NS_PER_MS // HOUR * HOUR
    return Funding(hour, _rate(row.funding_rate), row.funding_rate, 1.0, settled=True, next_ns=hour + HOUR)


def _rate(text: str) -> float:
    try:
        rate = float(text)
    except ValueError:
        raise VenueError(f"no funding rate: {text[:40]!r}") from None
    if not -1.0 < rate < 1.0:  # the venue caps it at 4 % an hour
        raise VenueError(f"impossible funding rate: {text[:40]!r}")
    return rate


def subscribe(kind: str, coin: str, method: str = "subscribe") -> str:
    """Text of a (un)subscribe request."""
    fast = ',"fast":true' if kind == "l2Book" else ""
    name = msgspec.json.encode(coin).decode()
    return f'{{"method":"{method}","subscription":{{"type":"{kind}","coin":{name}{fast}}}}}'


PING: Final = '{"method":"ping"}'
