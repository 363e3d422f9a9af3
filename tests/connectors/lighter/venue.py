"""Lighter as the tests have it: frames as documented, and a drive that knows its requests."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TypeAlias

from bus.book import Book as Levels
from bus.events import Book, Delta
from connectors.effects import Effects, Emit, Send
from connectors.feed import SeenTrades
from tests.connectors.drive import MS, Frame
from tests.connectors.drive import Drive as Generic

TIME = MS
"""The venue's time at the start, in milliseconds."""
Pair: TypeAlias = tuple[str, str]
NONCE = 23_189_369_125
IDS = {"ETH": 0, "BTC": 1, "SOL": 2}
BIDS: list[Pair] = [("83134.7", "0.50000"), ("83130.0", "1.25000")]
ASKS: list[Pair] = [("83136.4", "0.73085"), ("83140.4", "2.00000")]


def row(symbol: str, market_id: int, **changed: object) -> Frame:
    found: Frame = {"symbol": symbol, "market_id": market_id, "market_type": "perp", "status": "active"}
    found |= {"supported_price_decimals": 1, "supported_size_decimals": 5, "min_base_amount": "0.00010"}
    return found | {"market_config": {"hidden": False, "trading_hours": ""}} | changed


ROWS = [row(symbol, number) for symbol, number in IDS.items()]
ROWS += [row("OFF", 7, status="inactive"), row("HID", 8, market_config={"hidden": True})]
ROWS += [row("ETH/USDC", 2048, market_type="spot")]


def levels(pairs: Sequence[Pair]) -> list[Frame]:
    return [{"price": price, "size": size} for price, size in pairs]


def snapshot(
    market: int = 1, nonce: int = NONCE, bids: Sequence[Pair] = BIDS, asks: Sequence[Pair] = ASKS, time: int = TIME
) -> Frame:
    return _book("subscribed", market, (0, nonce), bids, asks, time)


def diff(
    begin: int, nonce: int, bids: Sequence[Pair] = (), asks: Sequence[Pair] = (), market: int = 1, time: int = TIME
) -> Frame:
    return _book("update", market, (begin, nonce), bids, asks, time)


def _book(
    moment: str, market: int, chain: tuple[int, int], bids: Sequence[Pair], asks: Sequence[Pair], time: int
) -> Frame:
    book: Frame = {"code": 0, "asks": levels(asks), "bids": levels(bids), "offset": 5, "nonce": chain[1]}
    book |= {"last_updated_at": time * 1_000, "begin_nonce": chain[0]}
    envelope: Frame = {"channel": f"order_book:{market}", "last_updated_at": time * 1_000, "offset": 5}
    return envelope | {"order_book": book, "timestamp": time + 9, "type": f"{moment}/order_book"}


def ticker(
    nonce: int = NONCE,
    bid: Pair = BIDS[0],
    ask: Pair = ASKS[0],
    market: int = 1,
    moment: str = "update",
    time: int = TIME,
) -> Frame:
    sides = {"s": "BTC", "a": levels([ask])[0], "b": levels([bid])[0], "last_updated_at": time * 1_000}
    return {"channel": f"ticker:{market}", "nonce": nonce, "ticker": sides, "type": f"{moment}/ticker"}


def trade(trade_id: int = 1, time: int = TIME, **changed: object) -> Frame:
    found: Frame = {"trade_id": trade_id, "type": "trade", "market_id": 1, "price": "83135.0", "size": "0.00080"}
    found |= {"is_maker_ask": True, "timestamp": time + 40, "transaction_time": time * 1_000, "taker_fee": 28}
    return found | changed


def trades(*found: Frame, moment: str = "update", liquidations: Sequence[Frame] = (), market: int = 1) -> Frame:
    frame: Frame = {"channel": f"trade:{market}", "nonce": 5, "type": f"{moment}/trade"}
    return frame | {"trades": list(found), "liquidation_trades": list(liquidations)}


def stats(market: int = 1, moment: str = "update", time: int = TIME, **changed: object) -> Frame:
    figures: Frame = {"symbol": "BTC", "market_id": market, "mark_price": "64356.3", "index_price": "64400.1"}
    figures |= {"open_interest": "102123609.308856", "current_funding_rate": "-0.0028", "funding_rate": "-0.0005"}
    figures |= {"funding_timestamp": TIME // 3_600_000 * 3_600_000 + 1, "daily_price_low": 61376.4}
    frame: Frame = {"channel": f"market_stats:{market}", "timestamp": time, "type": f"{moment}/market_stats"}
    return frame | {"market_stats": figures | changed}


def error(code: int, message: str) -> Frame:
    return {"error": {"code": code, "message": message}}


def orders(bids: Sequence[Pair] = BIDS, asks: Sequence[Pair] = ASKS) -> Frame:
    sides = [
        [{"price": px, "remaining_base_amount": sz, "initial_base_amount": "9"} for px, sz in s] for s in (bids, asks)
    ]
    return {"code": 200, "total_bids": len(bids), "bids": sides[0], "total_asks": len(asks), "asks": sides[1]}


class Drive(Generic):
    """Lighter's protocol."""

    def __init__(self, *markets: str, seen: SeenTrades | None = None, **settings: object) -> None:
        super().__init__("lighter", markets or ("BTC-PERP", "ETH-PERP"), seen, settings)
        self.nonces = {0: NONCE, 1: NONCE}

    def listed(self, *rows: Frame) -> Effects:
        """Answer the market list that was asked for last."""
        return self.answer(self.calls("markets")[-1], {"code": 200, "order_book_details": list(rows or ROWS)})

    def ready(self) -> Drive:
        """Started, listed, open."""
        self.start()
        self.listed()
        self.open()
        return self

    def first(self, market: int) -> Effects:
        """The first frames of a market's streams."""
        self.nonces[market] += 1_000
        frames = (
            snapshot(market, self.nonces[market]),
            ticker(self.nonces[market], market=market, moment="subscribed"),
        )
        found = [effect for frame in frames for effect in self.frame(frame)]
        found += self.frame(trades(moment="subscribed", market=market))
        return found + self.frame(stats(market, moment="subscribed"))

    def live(self) -> Drive:
        """Ready, with the first frames of both markets."""
        self.ready()
        self.first(0)
        self.first(1)
        return self

    def tick(self, *markets: int) -> Effects:
        """A change of each of these books, and the quote of the same nonce."""
        found: Effects = []
        for market in markets:
            begin = self.nonces[market]
            self.nonces[market] = begin + 7
            size = f"{1 + begin % 5}.00000"
            found += self.frame(diff(begin, begin + 7, bids=[("83130.0", size)], market=market, time=self.time))
            found += self.frame(ticker(begin + 7, market=market, time=self.time))
        return found

    def flow(self, seconds: float, *markets: int) -> Effects:
        """Let time pass with a change of these books every so often, and every ping answered."""
        end, step = self.s + seconds, 0.5 if seconds < 100 else 2.0
        effects: Effects = []
        while self.s < end:
            waited = self.wait(min(step, end - self.s))
            effects += [*waited, *self.tick(*markets)]
            if "ping" in sent(waited):
                self.frame({"type": "pong"})
            self.frame(stats(0, time=self.time))
            self.frame(stats(1, time=self.time))
        return effects

    def book(self, market: str = "BTC-PERP") -> tuple[list[float], ...]:
        """What a reader of the events holds for the market."""
        held = Levels()
        for effect in self.all:
            event = effect.event if isinstance(effect, Emit) and effect.market == market else None
            if isinstance(event, Book):
                held.replace(event.bid_px, event.bid_sz, event.ask_px, event.ask_sz)
            elif isinstance(event, Delta):
                held.apply(event.bid_px, event.bid_sz, event.ask_px, event.ask_sz)
        return held.levels()


def sent(effects: Effects) -> list[str]:
    """Requests as ``type channel``."""
    requests = [json.loads(effect.text) for effect in effects if isinstance(effect, Send)]
    return [f"{request['type']} {request.get('channel', '')}".strip() for request in requests]
