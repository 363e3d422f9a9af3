"""Lighter's frames and objects (pure). Prices and sizes are strings with all their decimals."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

from simulator.decimals import encode, fixed
from simulator.stats import HOUR_US, day_volume
from simulator.venues.lighter import facts

if TYPE_CHECKING:
    from simulator.book import Levels
    from simulator.stats import Stats
    from simulator.truth import MarketSpec, Trade, Truth

PONG = b'{"type":"pong"}'
UNLIMITED = "72057594037927936.000000"
"""2^56: no open-interest limit."""
PER_CENT = 100


def error(code: int, text: str) -> bytes:
    """Errors carry neither type nor channel."""
    return encode({"error": {"code": code, "message": text}})


def unsubscribed(channel: str) -> bytes:
    """The acknowledgement, spaces included."""
    return f'{{"type": "unsubscribed", "channel": "{channel}"}}'.encode()


class BookTimes(NamedTuple):
    """What chains and dates one book frame: send time in ms, engine time in us."""

    nonce: int
    begin_nonce: int
    timestamp_ms: int
    last_updated_us: int


class BookPieces(NamedTuple):
    """A book frame without its two offsets, which differ from subscription to subscription."""

    head: bytes
    middle: bytes
    tail: bytes

    def at(self, offset: int) -> bytes:
        """The whole frame."""
        text = str(offset).encode()
        return b"".join((self.head, text, self.middle, text, self.tail))


def levels(spec: MarketSpec, side: Levels) -> list[dict[str, str]]:
    """Level objects; size is absolute, zero removes."""
    price_decimals, size_decimals = spec.price_decimals, spec.size_decimals
    return [{"price": fixed(price, price_decimals), "size": fixed(size, size_decimals)} for price, size in side]


def book(spec: MarketSpec, market_id: int, times: BookTimes, sides: tuple[Levels, Levels]) -> BookPieces:
    """A snapshot when ``begin_nonce`` is 0, else a diff."""
    kind = "update" if times.begin_nonce else "subscribed"
    bids, asks = sides
    head = f'{{"channel":"order_book:{market_id}","last_updated_at":{times.last_updated_us},"offset":'
    middle = b"".join(
        (
            b',"order_book":{"code":0,"asks":',
            encode(levels(spec, asks)),
            b',"bids":',
            encode(levels(spec, bids)),
            b',"offset":',
        )
    )
    tail = (
        f',"nonce":{times.nonce},"last_updated_at":{times.last_updated_us},"begin_nonce":{times.begin_nonce}}},'
        f'"timestamp":{times.timestamp_ms},"type":"{kind}/order_book"}}'
    )
    return BookPieces(head.encode(), middle, tail.encode())


def ticker(spec: MarketSpec, market_id: int, times: BookTimes, sides: tuple[Levels, Levels]) -> bytes:
    """Best bid and ask; ``""`` for a side without orders. ``begin_nonce`` 0 marks the first frame."""
    bids, asks = levels(spec, sides[0][:1]), levels(spec, sides[1][:1])
    nobody = {"price": "", "size": ""}
    shown = {
        "s": spec.symbol,
        "a": asks[0] if asks else nobody,
        "b": bids[0] if bids else nobody,
        "last_updated_at": times.last_updated_us,
    }
    return encode(
        {
            "channel": f"ticker:{market_id}",
            "last_updated_at": times.last_updated_us,
            "nonce": times.nonce,
            "ticker": shown,
            "timestamp": times.timestamp_ms,
            "type": "update/ticker" if times.begin_nonce else "subscribed/ticker",
        }
    )


def trade(spec: MarketSpec, market_id: int, one: Trade, ts_us: int) -> dict[str, Any]:
    """One fill; ``is_maker_ask`` true means that the taker bought. ``ts_us`` is the printed engine time."""
    number = facts.FIRST_TRADE_ID + one.number * 4096 + market_id
    ask, bid = 281_474_976_710_656 + one.number, 562_949_953_421_311 - one.number
    liquidated = is_liquidation(one)
    found: dict[str, Any] = {
        "trade_id": number,
        "trade_id_str": str(number),
        "tx_hash": f"{number:016x}{ts_us // 1000:016x}".ljust(80, "0"),
        "type": "liquidation" if liquidated else "trade",
        "market_id": market_id,
        "size": spec.size(one.size),
        "price": spec.price(one.price),
        "usd_amount": usd_amount(spec, one),
        "ask_id": ask,
        "ask_id_str": str(ask),
        "bid_id": bid,
        "bid_id_str": str(bid),
        "ask_client_id": 0,
        "ask_client_id_str": "0",
        "bid_client_id": one.number,
        "bid_client_id_str": str(one.number),
        "ask_account_id": 314233 + one.number % 31,
        "bid_account_id": 722982 + one.number % 37,
        "is_maker_ask": one.buy,
        "block_height": facts.FIRST_HEIGHT + one.number,
        "timestamp": ts_us // 1000,
        "taker_position_size_before": "0.0000",
        "taker_entry_quote_before": "0.000000",
        "taker_initial_margin_fraction_before": 500,
        "maker_fee": 28,
        "maker_position_size_before": "0.0000",
        "maker_entry_quote_before": "0.000000",
        "maker_initial_margin_fraction_before": 500,
        "transaction_time": ts_us,
    }
    if liquidated:
        found["taker_fee"] = 10_000
    return found


def is_liquidation(one: Trade) -> bool:
    """Whether this fill belongs to ``liquidation_trades``."""
    return one.number % facts.LIQUIDATION_EVERY == 0


def usd_amount(spec: MarketSpec, one: Trade) -> str:
    """Price times size, six decimals."""
    exact = Decimal(one.price * spec.tick * one.size).scaleb(-spec.price_decimals - spec.size_decimals)
    return format(exact.quantize(Decimal("0.000001")), "f")


def trades(market_id: int, rows: list[dict[str, Any]], nonce: int, *, first: bool) -> bytes:
    """A trade frame: ordinary fills and liquidations apart; it has no top-level timestamp."""
    return encode(
        {
            "channel": f"trade:{market_id}",
            "liquidation_trades": [row for row in rows if row["type"] == "liquidation"],
            "nonce": nonce,
            "trades": [row for row in rows if row["type"] == "trade"],
            "type": "subscribed/trade" if first else "update/trade",
        }
    )


def per_cent(rate: Decimal) -> str:
    """A fraction per hour as percent per hour, four decimals."""
    return format((rate * PER_CENT).quantize(Decimal("0.0001")), "f")


def market_stats(truth: Truth, stats: Stats, market_id: int, settled_rate: Decimal, now_us: int) -> dict[str, Any]:
    """Mark, index, open interest (USD notional) and funding (percent per hour). ``now_us`` is the printed time."""
    spec = truth.spec
    bids, asks = truth.book.top_bids(1), truth.book.top_asks(1)
    best_bid, best_ask = spec.price(bids[0][0]), spec.price(asks[0][0])
    middle = (Decimal(best_bid) + Decimal(best_ask)) / 2
    digits = Decimal(1).scaleb(-spec.price_decimals)
    volume, mark = day_volume(stats, truth), stats.mark
    return {
        "symbol": spec.symbol,
        "market_id": market_id,
        "index_price": format(stats.index, "f"),
        "mark_price": format(mark, "f"),
        "mid_price": format(middle.quantize(digits), "f"),
        "best_ask_price": best_ask,
        "best_bid_price": best_bid,
        "open_interest": format((stats.open_interest * mark).quantize(Decimal("0.000001")), "f"),
        "open_interest_limit": UNLIMITED,
        "funding_clamp_small": "0.0500",
        "funding_clamp_big": "4.0000",
        "last_trade_price": spec.price(truth.trades[-1].price) if truth.trades else best_bid,
        "current_funding_rate": per_cent(stats.funding),
        "funding_rate": per_cent(settled_rate),
        "funding_timestamp": now_us // HOUR_US * HOUR_US // 1000 + 1,
        "base_interest_rate": "0.0100",
    } | daily(volume, mark, stats)


def daily(volume: Decimal, mark: Decimal, stats: Stats) -> dict[str, float]:
    """Day statistics are JSON numbers."""
    return {
        "daily_base_token_volume": float(volume),
        "daily_quote_token_volume": float(volume * mark),
        "daily_price_low": float(min(mark, stats.previous_day) * Decimal("0.98")),
        "daily_price_high": float(max(mark, stats.previous_day) * Decimal("1.02")),
        "daily_price_change": float((mark - stats.previous_day) / stats.previous_day * PER_CENT),
    }
