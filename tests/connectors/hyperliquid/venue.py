"""Hyperliquid as the tests have it: frames as documented, and a drive that knows its requests."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, TypeAlias

from connectors.effects import Effects, Send
from connectors.feed import SeenTrades
from tests.connectors.drive import MS, Frame
from tests.connectors.drive import Drive as Generic

TIME = MS
"""The venue's time at the start."""
Pair: TypeAlias = tuple[str, str]
ASSETS: list[Frame] = [
    {"name": "BTC", "szDecimals": 5, "maxLeverage": 40},
    {"name": "ETH", "szDecimals": 4, "maxLeverage": 25},
    {"name": "SOL", "szDecimals": 2, "maxLeverage": 20},
    {"name": "kPEPE", "szDecimals": 0, "maxLeverage": 10},
    {"name": "MATIC", "szDecimals": 1, "maxLeverage": 20, "isDelisted": True},
]
BIDS = [("84143.0", "10.25923"), ("84142.0", "1.65875")]
ASKS = [("84144.0", "50.66449"), ("84150.0", "0.00711")]


def book(coin: str = "BTC", time: int = TIME, bids: Sequence[Pair] = BIDS, asks: Sequence[Pair] = ASKS) -> Frame:
    sides = [[{"px": px, "sz": sz, "n": 1} for px, sz in side] for side in (bids, asks)]
    return {"channel": "l2Book", "data": {"coin": coin, "time": time, "levels": sides, "fast": True}}


def bbo(coin: str = "BTC", time: int = TIME, bid: Pair | None = BIDS[0], ask: Pair | None = ASKS[0]) -> Frame:
    sides = [None if side is None else {"px": side[0], "sz": side[1], "n": 2} for side in (bid, ask)]
    return {"channel": "bbo", "data": {"coin": coin, "time": time, "bbo": sides}}


def trade(tid: int = 1, time: int = TIME, coin: str = "BTC", side: str = "B", px: str = "84144.0") -> Frame:
    extra = {"hash": "0x00", "users": ["0xa", "0xb"]}
    return {"coin": coin, "side": side, "px": px, "sz": "0.5", "time": time, "tid": tid, **extra}


def trades(*found: Frame) -> Frame:
    return {"channel": "trades", "data": list(found)}


def ctx(*, coin: str = "BTC", **changed: object) -> Frame:
    figures: Frame = {"funding": "0.0000125", "openInterest": "36585.31848", "prevDayPx": "86627.0", "dayNtlVlm": "4.1"}
    figures |= {"premium": None, "oraclePx": "84198.0", "markPx": "84148.0", "midPx": None, "impactPxs": None}
    return {"channel": "activeAssetCtx", "data": {"coin": coin, "ctx": figures | changed}}


def echo(kind: str, coin: str = "BTC", method: str = "subscribe") -> Frame:
    defaults = {"nSigFigs": None, "mantissa": None, "fast": True} if kind == "l2Book" else {}
    subscription = {"type": kind, "coin": coin, **defaults}
    return {"channel": "subscriptionResponse", "data": {"method": method, "subscription": subscription}}


class Drive(Generic):
    """Hyperliquid's protocol."""

    def __init__(self, *markets: str, seen: SeenTrades | None = None, **settings: object) -> None:
        super().__init__("hyperliquid", markets or ("BTC-PERP", "ETH-PERP"), seen, settings)

    def listed(self, *assets: Frame) -> Effects:
        """Answer the market list that was asked for last."""
        return self.answer(self.calls("markets")[-1], {"universe": list(assets or ASSETS)})

    def ready(self) -> Drive:
        """Started, listed, open, all acknowledged."""
        self.start()
        self.listed()
        self.open()
        self.acknowledge()
        return self

    def acknowledge(self) -> None:
        for effect in list(self.all):
            if isinstance(effect, Send) and '"subscribe"' in effect.text:
                subscription = json.loads(effect.text)["subscription"]
                self.frame(echo(subscription["type"], subscription["coin"]))

    def live(self) -> Drive:
        """Ready, with a book of each market."""
        self.ready()
        for coin in ("BTC", "ETH"):
            self.frame(book(coin, self.time))
        return self

    def tick(self, *coins: str) -> Effects:
        """A fresh book of each of these coins."""
        return [effect for coin in coins for effect in self.frame(book(coin, self.time))]

    def flow(self, seconds: float, *coins: str) -> Effects:
        """Let time pass with a book of these coins every so often, and every ping answered."""
        end, found, step = self.s + seconds, list[Any](), 0.5 if seconds < 100 else 2.0
        while self.s < end:
            waited = self.wait(min(step, end - self.s))
            found += [*waited, *self.tick(*coins)]
            if "ping :" in sent(waited):
                self.frame({"channel": "pong"})
        return found


def sent(effects: Effects) -> list[str]:
    """Requests as ``method type:coin``."""
    found = []
    for effect in effects:
        if isinstance(effect, Send):
            request = json.loads(effect.text)
            subscription = request.get("subscription", {})
            found.append(f"{request['method']} {subscription.get('type', '')}:{subscription.get('coin', '')}")
    return found
