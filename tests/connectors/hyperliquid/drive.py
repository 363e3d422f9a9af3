"""Drives the protocol as the engine does, in memory: time passes, effects are recorded, a reconnect closes at once."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, TypeAlias

import msgspec

from bus.events import Bbo, Book, Check, Delta, Funding, Instrument, Reason, Stats, Trade, Trust
from bus.settings import DEFAULT_VENUES
from connectors.effects import Count, Effects, Emit, Fetch, Note, Now, Open, Reconnect, Reject, Reply, Send
from connectors.feed import Rebuilds, SeenTrades
from connectors.hyperliquid.protocol import protocol
from connectors.venue import Context

S = 1_000_000_000
START = 1_000 * S
WALL = 1_790_000_000 * S
"""Wall clock at the start, 800 s after a full hour."""
TIME = WALL // 1_000_000
"""The same in the venue's milliseconds."""
Frame: TypeAlias = dict[str, Any]
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


class Drive:
    """One protocol. Each call returns its effects; everything is also kept."""

    def __init__(self, *markets: str, seen: SeenTrades | None = None, **settings: object) -> None:
        wanted = {"markets": markets or ("BTC-PERP", "ETH-PERP"), **settings}
        venue = msgspec.structs.replace(DEFAULT_VENUES["hyperliquid"], **wanted)
        self.protocol = protocol(Context(venue, Rebuilds(), seen or SeenTrades()))
        self.s = 0.0
        self.all: Effects = []
        self.is_open = False

    @property
    def now(self) -> Now:
        return Now(START + round(self.s * S), WALL + round(self.s * S))

    def _keep(self, effects: Effects) -> Effects:
        self.all += effects
        kept = list(effects)
        for effect in effects:
            if isinstance(effect, Reconnect) and self.is_open:
                kept += self.close()
        return kept

    def start(self) -> Effects:
        return self._keep(self.protocol.start(self.now))

    def open(self) -> Effects:
        self.is_open = True
        return self._keep(self.protocol.opened("main", self.now))

    def close(self) -> Effects:
        self.is_open = False
        return self._keep(self.protocol.closed("main", self.now))

    def frame(self, frame: object, *, binary: bool = False) -> Effects:
        data = frame if isinstance(frame, bytes) else json.dumps(frame).encode()
        return self._keep(self.protocol.received("main", data, binary, self.now))

    def answer(self, call: Fetch, body: object, status: int | None = 200, **headers: str) -> Effects:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        problem = "timed out" if status is None else None
        reply = Reply(status, data if status else b"", headers, problem)
        return self._keep(self.protocol.fetched(call, reply, self.now))

    def wait(self, seconds: float) -> Effects:
        """Let time pass; whatever becomes due is woken at its time, as often as it asks for."""
        end, found, turns = self.s + seconds, list[Any](), 0
        while (due := self.protocol.deadline) is not None and due <= START + round(end * S):
            self.s = max(self.s, (due - START) / S)
            found += self._keep(self.protocol.woken(self.now))
            turns += 1
            assert turns < 10_000, "woken again and again without progress"
        self.s = end
        return found

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
            found += self.wait(min(step, end - self.s))
            found += self.tick(*coins)
            if sent(found)[-1:] == ["ping :"]:
                self.frame({"channel": "pong"})
        return found

    @property
    def time(self) -> int:
        return TIME + round(self.s * 1_000)

    def calls(self, name: str) -> list[Fetch]:
        return [effect for effect in self.all if isinstance(effect, Fetch) and effect.name == name]

    @property
    def trust(self) -> dict[str, Trust]:
        """Trust of each market's book as a reader of the events knows it."""
        return {e.market: e.event.trust for e in self.all if isinstance(e, Emit) and isinstance(e.event, Book | Delta)}


def events(effects: Effects, kind: type[Any] | None = None) -> list[Any]:
    wanted = kind or (Bbo, Book, Check, Delta, Funding, Instrument, Stats, Trade)
    return [effect.event for effect in effects if isinstance(effect, Emit) and isinstance(effect.event, wanted)]


def books(effects: Effects) -> list[Book | Delta]:
    return [*events(effects, Book), *events(effects, Delta)]


def sent(effects: Effects) -> list[str]:
    """Requests as ``method type:coin``."""
    found = []
    for effect in effects:
        if isinstance(effect, Send):
            request = json.loads(effect.text)
            subscription = request.get("subscription", {})
            found.append(f"{request['method']} {subscription.get('type', '')}:{subscription.get('coin', '')}")
    return found


def counted(effects: Effects) -> list[str]:
    return [effect.label for effect in effects if isinstance(effect, Count)]


def reasons(effects: Effects) -> list[Reason]:
    return [effect.reason for effect in effects if isinstance(effect, Reconnect)]


def notes(effects: Effects) -> list[str]:
    return [effect.event for effect in effects if isinstance(effect, Note)]


def rejected(effects: Effects) -> list[str]:
    return [effect.problem for effect in effects if isinstance(effect, Reject)]


def opens(effects: Effects) -> list[str]:
    return [effect.url for effect in effects if isinstance(effect, Open)]
