"""Extended's frames, as bytes (pure)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from simulator.decimals import encode, fixed, trimmed
from simulator.venues.extended import facts

if TYPE_CHECKING:
    from collections.abc import Callable
    from decimal import Decimal

    from simulator.book import Levels
    from simulator.frames import Kind
    from simulator.truth import MarketSpec, Trade

Befores = dict[tuple[int, int], int]
"""Sizes before a delta, by side and price."""


class Payload(NamedTuple):
    """A topic's frame before a connection numbers it.

    ``type`` is v2's; v1 says what follows the last point, and nothing for trades and funding. ``render`` builds
    ``data`` from other levels.
    """

    kind: Kind
    market: str | None
    type: str
    data: bytes
    ts_ms: int
    bids: Levels | None = None
    asks: Levels | None = None
    render: Callable[[Levels, Levels], bytes] | None = None


def v1(payload: Payload, ts_ms: int, seq: int, data: bytes) -> bytes:
    """The whole frame of a path stream."""
    head = _V1_HEADS.get(payload.type, b'{"data":')
    return b'%b%b,"ts":%d,"seq":%d}' % (head, data, ts_ms, seq)


_V1_HEADS = {
    "ORDERBOOKS.SNAPSHOT": b'{"type":"SNAPSHOT","data":',
    "ORDERBOOKS.DELTA": b'{"type":"DELTA","data":',
    "PRICES.MP": b'{"type":"MP","data":',
    "PRICES.IP": b'{"type":"IP","data":',
}


def v2(payload: Payload, ts_ms: int, seq: int, data: bytes, subscription: str) -> bytes:
    """The whole frame of an RPC subscription."""
    name, topic = payload.type.encode(), subscription.encode()
    return b'{"type":"%b","data":%b,"ts":%d,"seq":%d,"subscription":"%b"}' % (name, data, ts_ms, seq, topic)


class Printer:
    """Prints one market's levels. The venue's numbers are not canonical, and not the same way twice."""

    def __init__(self, spec: MarketSpec) -> None:
        self.spec = spec
        self.with_c = True
        self._prices: dict[int, str] = {}

    def price(self, ticks: int) -> str:
        """As deltas print it."""
        known = self._prices.get(ticks)
        if known is None:
            known = self._prices[ticks] = trimmed(self.spec.units(ticks), self.spec.price_decimals)
        return known

    def odd_price(self, ticks: int) -> str:
        """As snapshots print it: ``84050.000000`` and ``84052.0`` among plain ones."""
        if ticks % 25 == 0:
            return fixed(self.spec.units(ticks) * 10 ** (6 - self.spec.price_decimals), 6)
        text = self.price(ticks)
        return f"{text}.0" if ticks % 25 == 2 and "." not in text else text  # noqa: PLR2004 - any residue will do

    def size(self, lots: int) -> str:
        """``0`` alone is bare; now and then a trailing zero is missing."""
        if not lots:
            return "0"
        return trimmed(lots, self.spec.size_decimals) if lots % 70 == 0 else fixed(lots, self.spec.size_decimals)

    def snapshot(self, bids: Levels, asks: Levels, depth: str = "f") -> bytes:
        """``data`` of a full book, or with ``depth`` ``1`` of the best prices."""
        sides = [
            ",".join(f'{{"q":"{self.size(q)}","p":"{self.odd_price(p)}"}}' for p, q in one) for one in (bids, asks)
        ]
        return self._data("SNAPSHOT", sides, depth)

    def delta(self, bids: Levels, asks: Levels, befores: Befores) -> bytes:
        """``data`` of changes: ``q`` is the signed change, ``c`` the size after it."""
        sides = [self._changes(0, bids, befores), self._changes(1, asks, befores)]
        return self._data("DELTA", sides, "f")

    def _changes(self, side: int, levels: Levels, befores: Befores) -> str:
        decimals = self.spec.size_decimals
        return ",".join(
            f'{{"q":"{fixed(c - befores.get((side, p), 0), decimals)}","p":"{self.price(p)}"{self._after(c)}}}'
            for p, c in levels
        )

    def _after(self, lots: int) -> str:
        return f',"c":"{self.size(lots)}"' if self.with_c else ""

    def _data(self, kind: str, sides: list[str], depth: str) -> bytes:
        text = f'{{"t":"{kind}","m":"{self.spec.symbol}","b":[{sides[0]}],"a":[{sides[1]}],"d":"{depth}"}}'
        return text.encode()


def trade_id(one: Trade) -> int:
    """Above 2**53, ascending."""
    low = one.number & ((1 << facts.SNOWFLAKE_SHIFT) - 1)
    return (one.ts_us // 1000 - facts.SNOWFLAKE_EPOCH_MS) << facts.SNOWFLAKE_SHIFT | low


def trade(spec: MarketSpec, one: Trade, time_ms: int) -> dict[str, Any]:
    """One fill; ``S`` is the taker's side."""
    kind = "DELEVERAGE" if one.number % 499 == 0 else "LIQUIDATION" if one.number % 61 == 0 else "TRADE"
    return {
        "i": trade_id(one),
        "m": spec.symbol,
        "S": "BUY" if one.buy else "SELL",
        "tT": kind,
        "T": time_ms,
        "p": trimmed(spec.units(one.price), spec.price_decimals),
        "q": spec.size(one.size),
    }


def price(spec: MarketSpec, value: Decimal, calculated_ms: int) -> bytes:
    """Mark (whose time is always 0) or index."""
    return encode({"m": spec.symbol, "p": format(value, "f"), "ts": calculated_ms})


def funding(spec: MarketSpec, rate: Decimal, time_ms: int) -> dict[str, Any]:
    """A fraction per hour with six decimals: stream and history print the same."""
    return {"m": spec.symbol, "f": format(rate, "f"), "T": time_ms}


def ok(method: str, **more: object) -> bytes:
    """Data of an RPC answer that went well, without its id."""
    return encode({"method": method, "status": "OK"} | more)


def result(number: str, value: bytes) -> bytes:
    """An RPC answer."""
    return b'{"id":%b,"result":%b,"jsonrpc":"2.0"}' % (encode(number), value)


def failure(number: str | None, code: int, text: str) -> bytes:
    """An RPC refusal."""
    return encode({"id": number, "error": {"code": code, "message": text}, "jsonrpc": "2.0"})
