"""Aster's payloads, as bytes and plain values (pure)."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

from simulator.decimals import encode, fixed
from simulator.venues.aster import facts

if TYPE_CHECKING:
    from simulator.book import Levels
    from simulator.stats import Stats
    from simulator.truth import MarketSpec, Trade
    from simulator.venues.aster.engine import Event

EIGHT = Decimal("1e-8")


def combined(stream: str, payload: bytes) -> bytes:
    """Compact, ``stream`` first: a client in use routes on these bytes."""
    return b'{"stream":"%b","data":%b}' % (stream.encode(), payload)


def levels(spec: MarketSpec, side: Levels) -> str:
    """``["74210.5","1.100"],…`` with all printed decimals; a removal has size zero."""
    return ",".join(f'["{spec.price(price)}","{spec.size(size)}"]' for price, size in side)


def depth(spec: MarketSpec, event: Event, times: tuple[int, int], bids: Levels, asks: Levels) -> bytes:
    """A diff, or (with whole sides) the best levels; ``times`` are push and engine time in ms."""
    return (
        f'{{"e":"depthUpdate","E":{times[0]},"T":{times[1]},"s":"{spec.symbol}","U":{event.first},"u":{event.last},'
        f'"pu":{event.previous},"b":[{levels(spec, bids)}],"a":[{levels(spec, asks)}]}}'
    ).encode()


def snapshot(spec: MarketSpec, last: int, times: tuple[int, int], bids: Levels, asks: Levels) -> bytes:
    """The REST book."""
    return (
        f'{{"lastUpdateId":{last},"E":{times[0]},"T":{times[1]},"bids":[{levels(spec, bids)}],'
        f'"asks":[{levels(spec, asks)}]}}'
    ).encode()


def _side(spec: MarketSpec, side: Levels) -> tuple[str, str]:
    """An empty side is zero at zero."""
    if not side:
        return fixed(0, spec.price_decimals), fixed(0, spec.size_decimals)
    return spec.price(side[0][0]), spec.size(side[0][1])


def book_ticker(spec: MarketSpec, last: int, times: tuple[int, int], bids: Levels, asks: Levels) -> bytes:
    """The best levels."""
    bid, ask = _side(spec, bids), _side(spec, asks)
    return (
        f'{{"e":"bookTicker","u":{last},"s":"{spec.symbol}","b":"{bid[0]}","B":"{bid[1]}","a":"{ask[0]}",'
        f'"A":"{ask[1]}","T":{times[1]},"E":{times[0]}}}'
    ).encode()


def rest_book_ticker(spec: MarketSpec, last: int, time_ms: int, bids: Levels, asks: Levels) -> dict[str, Any]:
    """The same over REST, under other names."""
    bid, ask = _side(spec, bids), _side(spec, asks)
    return {
        "symbol": spec.symbol,
        "bidPrice": bid[0],
        "bidQty": bid[1],
        "askPrice": ask[0],
        "askQty": ask[1],
        "time": time_ms,
        "lastUpdateId": last,
    }


class Fill(NamedTuple):
    """One of the fills that an aggregate trade stands for."""

    id: int
    size: int


def fills(one: Trade) -> list[Fill]:
    """Ids ascend and leave holes."""
    count = min(one.size, one.number % facts.FILLS + 1)
    first = facts.FILL_BASE + one.number * facts.FILLS
    part, rest = divmod(one.size, count)
    return [Fill(first + index, part + (rest if index == 0 else 0)) for index in range(count)]


def aggregate(spec: MarketSpec, one: Trade, time_ms: int) -> dict[str, Any]:
    """``m``: the buyer was the maker, so the taker sold."""
    parts = fills(one)
    return {
        "a": facts.AGGREGATE_BASE + one.number,
        "p": spec.price(one.price),
        "q": spec.size(one.size),
        "f": parts[0].id,
        "l": parts[-1].id,
        "T": time_ms,
        "m": not one.buy,
    }


def agg_trade(spec: MarketSpec, one: Trade, times: tuple[int, int]) -> bytes:
    """Push and trade time in ms."""
    row = aggregate(spec, one, times[1])
    return encode({"e": "aggTrade", "E": times[0], "a": row.pop("a"), "s": spec.symbol} | row)


def trades(spec: MarketSpec, one: Trade, times: tuple[int, int]) -> list[bytes]:
    """Every fill by itself; now and then one that never was in the book."""
    origin = "INSURANCE_FUND" if one.number % 211 == 0 else "MARKET"
    head = {"e": "trade", "E": times[0], "T": times[1], "s": spec.symbol}
    price = spec.price(one.price)
    return [
        encode(head | {"t": fill.id, "p": price, "q": spec.size(fill.size), "X": origin, "m": not one.buy})
        for fill in fills(one)
    ]


def rest_trades(spec: MarketSpec, one: Trade, time_ms: int) -> list[dict[str, Any]]:
    """The same over REST."""
    price = spec.price(one.price)
    return [
        {
            "id": fill.id,
            "price": price,
            "qty": spec.size(fill.size),
            "quoteQty": format(Decimal(price) * Decimal(spec.size(fill.size)), ".2f"),
            "time": time_ms,
            "isBuyerMaker": not one.buy,
        }
        for fill in fills(one)
    ]


def eight(value: Decimal) -> str:
    """Mark, index and rates print eight decimals, but nothing is plain ``0``."""
    return format(value.quantize(EIGHT), "f") if value else "0"


def mark_price(spec: MarketSpec, stats: Stats, hours: int, times: tuple[int, int], *, blank: bool) -> dict[str, Any]:
    """``times``: the whole second, and the next funding time (not a time of this event)."""
    return {
        "e": "markPriceUpdate",
        "E": times[0],
        "s": spec.symbol,
        "p": eight(stats.mark),
        "P": eight(stats.index),
        "i": eight(stats.index),
        "r": "" if blank else eight(stats.funding * hours),
        "T": 0 if blank else times[1],
    }


def ticker(day: dict[str, Any], now_ms: int) -> dict[str, Any]:
    """The day of a symbol under the stream's names."""
    names = {"p": "priceChange", "P": "priceChangePercent", "w": "weightedAvgPrice", "c": "lastPrice", "Q": "lastQty"}
    names |= {"o": "openPrice", "h": "highPrice", "l": "lowPrice", "v": "volume", "q": "quoteVolume"}
    names |= {"O": "openTime", "C": "closeTime", "F": "firstId", "L": "lastId", "n": "count"}
    head = {"e": "24hrTicker", "E": now_ms, "s": day["symbol"]}
    return head | {short: day[name] for short, name in names.items()}


def mini_ticker(day: dict[str, Any], now_ms: int) -> dict[str, Any]:
    """Fewer of them."""
    head = {"e": "24hrMiniTicker", "E": now_ms, "s": day["symbol"]}
    names = {"c": "lastPrice", "o": "openPrice", "h": "highPrice", "l": "lowPrice", "v": "volume", "q": "quoteVolume"}
    return head | {short: day[name] for short, name in names.items()}
