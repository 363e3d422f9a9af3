"""Events to publish, with little to say."""

from __future__ import annotations

from bus.events import Bbo, Book, Delta, Side, Source, Stats, Trade, Trust


def book(version: int = 1, trust: Trust = Trust.LIVE, rebuild: int = 1, levels: int = 2) -> Book:
    bids = [100.0 - step for step in range(levels)]
    asks = [101.0 + step for step in range(levels)]
    return Book(version, version, trust, rebuild, Source.STREAM, bids, [1.0] * levels, asks, [2.0] * levels, 50)


def delta(
    version: int = 2, size: float = 5.0, trust: Trust = Trust.LIVE, rebuild: int = 1, price: float = 100.0
) -> Delta:
    return Delta(version, version, trust, rebuild, [price], [size], [], [])


def empty(version: int = 3, trust: Trust = Trust.RESYNC, rebuild: int = 1) -> Delta:
    return Delta(version, version, trust, rebuild, [], [], [], [])


def bbo(version: int = 1, trust: Trust = Trust.LIVE) -> Bbo:
    return Bbo(version, version, trust, 1, Source.STREAM, 100.0, 1.0, 101.0, 2.0)


def trade(number: int = 1) -> Trade:
    return Trade(number, str(number), Side.BUY, 100.0, 1.0, history=False)


def stats(mark: float = 100.0) -> Stats:
    return Stats(1, mark, None, None)
