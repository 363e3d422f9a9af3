"""Hyperliquid's frames and objects, as bytes and plain values (pure)."""

from __future__ import annotations

import zlib
from base64 import b64encode
from decimal import Decimal
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from simulator.decimals import encode, pointed, pointed_decimal
from simulator.stats import day_volume

if TYPE_CHECKING:
    from simulator.book import Levels
    from simulator.stats import Stats
    from simulator.truth import MarketSpec, Trade, Truth

PONG = b'{"channel":"pong"}'


def message(channel: str, data: Any) -> bytes:  # noqa: ANN401 - any JSON value
    """One frame."""
    return encode({"channel": channel, "data": data})


def error(text: str) -> bytes:
    """An error frame: a plain string, no code, no id."""
    return message("error", text)


def response(method: str, subscription: dict[str, Any]) -> bytes:
    """An acknowledgement with the normalised subscription."""
    return message("subscriptionResponse", {"method": method, "subscription": subscription})


def orders(price: int, size: int) -> int:
    """A made-up but stable number of orders at a level."""
    return 1 + (price * 31 + size) % 7


def level(spec: MarketSpec, price: int, size: int) -> dict[str, Any]:
    """One level."""
    px = pointed(price * spec.tick, spec.price_decimals)
    return {"px": px, "sz": pointed(size, spec.size_decimals), "n": orders(price, size)}


def book_data(spec: MarketSpec, time_ms: int, bids: Levels, asks: Levels, *, fast: bool = False) -> dict[str, Any]:
    """The book object: the same over REST and in frames."""
    levels = [[level(spec, *one) for one in bids], [level(spec, *one) for one in asks]]
    data: dict[str, Any] = {"coin": spec.symbol, "time": time_ms, "levels": levels}
    if fast:
        data["fast"] = True
    return data


def bucketed_data(
    spec: MarketSpec, time_ms: int, bids: Levels, asks: Levels, figures: tuple[int, int], depth: int
) -> dict[str, Any]:
    """Bids rounded down and asks up to ``mantissa * 10**(digits - nSigFigs)``."""
    sides = [_buckets(spec, bids, figures, up=False)[:depth], _buckets(spec, asks, figures, up=True)[:depth]]
    data: dict[str, Any] = {"coin": spec.symbol, "time": time_ms, "levels": sides}
    if sides[0] and sides[1]:
        data["spread"] = pointed_decimal(Decimal(sides[1][0]["px"]) - Decimal(sides[0][0]["px"]))
    else:
        data["spread"] = "0.0"
    return data


def _buckets(spec: MarketSpec, levels: Levels, figures: tuple[int, int], *, up: bool) -> list[dict[str, Any]]:
    significant, mantissa = figures
    found: dict[int, list[int]] = {}
    for price, size in levels:
        units = price * spec.tick
        step = max(spec.tick, mantissa * 10 ** max(0, len(str(units)) - significant))
        bucket = -(-units // step) * step if up else units // step * step
        entry = found.setdefault(bucket, [0, 0])
        entry[0] += size
        entry[1] += orders(price, size)
    return [
        {"px": pointed(units, spec.price_decimals), "sz": pointed(size, spec.size_decimals), "n": count}
        for units, (size, count) in found.items()
    ]


def bbo(spec: MarketSpec, time_ms: int, bid: tuple[int, int] | None, ask: tuple[int, int] | None) -> bytes:
    """The touch; an empty side is documented as null."""
    sides = [level(spec, *side) if side else None for side in (bid, ask)]
    return message("bbo", {"coin": spec.symbol, "time": time_ms, "bbo": sides})


def trade(spec: MarketSpec, one: Trade, time_ms: int) -> dict[str, Any]:
    """One fill. ``tid`` is a 50-bit hash, the transaction hash is shared by the fills of one instant."""
    block = blake2b(f"{spec.symbol}:{one.ts_us}".encode(), digest_size=32).hexdigest()
    tid = int.from_bytes(blake2b(f"{spec.symbol}:{one.number}".encode(), digest_size=8).digest()) >> 14
    users = [f"0x{blake2b(f'{who}{one.number % 97}'.encode(), digest_size=20).hexdigest()}" for who in "bs"]
    return {
        "coin": spec.symbol,
        "side": "B" if one.buy else "A",
        "px": pointed(one.price * spec.tick, spec.price_decimals),
        "sz": pointed(one.size, spec.size_decimals),
        "time": time_ms,
        "hash": f"0x{block}",
        "tid": tid,
        "users": users,
    }


def context(stats: Stats, truth: Truth) -> dict[str, Any]:
    """Mark, index (oracle), open interest and funding; no time field exists."""
    spec = truth.spec
    bid, ask = truth.book.touch()
    day = day_volume(stats, truth)
    found: dict[str, Any] = {
        "funding": pointed_decimal(stats.funding),
        "openInterest": pointed_decimal(stats.open_interest),
        "prevDayPx": pointed_decimal(stats.previous_day),
        "dayNtlVlm": pointed_decimal(day * stats.mark),
        "premium": None,
        "oraclePx": pointed_decimal(stats.index),
        "markPx": pointed_decimal(stats.mark),
        "midPx": None,
        "impactPxs": None,
        "dayBaseVlm": pointed_decimal(day),
    }
    if bid and ask:
        sides = [Decimal(price * spec.tick).scaleb(-spec.price_decimals) for price, _ in (bid, ask)]
        found["midPx"] = pointed_decimal((sides[0] + sides[1]) / 2)
        found["impactPxs"] = [pointed_decimal(side) for side in sides]
        found["premium"] = pointed_decimal(premium(sides[0], sides[1], stats.index))
    return found


def premium(bid: Decimal, ask: Decimal, oracle: Decimal) -> Decimal:
    """The first dex's formula, to ten digits."""
    zero = Decimal(0)
    return ((max(bid - oracle, zero) - max(oracle - ask, zero)) / oracle).quantize(Decimal("1e-10"))


DELISTED_CONTEXT = {
    "funding": "0.0",
    "openInterest": "0.0",
    "prevDayPx": "0.37621",
    "dayNtlVlm": "0.0",
    "premium": None,
    "oraclePx": "0.3754",
    "markPx": "0.37621",
    "midPx": None,
    "impactPxs": None,
    "dayBaseVlm": "0.0",
}


def fast_contexts(changed: dict[str, dict[str, str | None]]) -> bytes:
    """base64 of raw DEFLATE of ``{coin: {markPx, midPx}}``."""
    packer = zlib.compressobj(wbits=-15)
    packed = packer.compress(encode(changed)) + packer.flush()
    return message("fastAssetCtxs", b64encode(packed).decode())
