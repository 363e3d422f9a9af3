"""How fast a book takes changes, beside one kept in ``sortedcontainers`` and, where installed, cryptofeed's in C."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.util import find_spec
from random import Random
from statistics import median
from typing import Any, Final

from sortedcontainers import SortedDict  # type: ignore[import-untyped]

from benchmarks.figures import Section, Table
from bus.book import Book

Levels = tuple[list[float], list[float], list[float], list[float]]
Apply = Callable[[Levels], object]
DEPTHS: Final = (20, 200, 1_000)
CHANGES: Final = 10
"""Changed levels a side in one update."""
TICK: Final = 0.5
MIDDLE: Final = 100_000.0


def _start(depth: int) -> Levels:
    bids = [MIDDLE - TICK * (step + 1) for step in range(depth)]
    asks = [MIDDLE + TICK * (step + 1) for step in range(depth)]
    return bids, [1.0] * depth, asks, [1.0] * depth


def _updates(depth: int, count: int) -> list[Levels]:
    """Changes as venues send them: mostly near the touch, one in four a removal, prices that come back."""
    draw = Random(7)

    def side(sign: float) -> tuple[list[float], list[float]]:
        steps = [min(depth, 1 + int(draw.expovariate(8.0 / depth))) for _ in range(CHANGES)]
        sizes = [0.0 if draw.random() < 0.25 else float(draw.randint(1, 9)) for _ in steps]
        return [MIDDLE + sign * TICK * step for step in steps], sizes

    return [(*side(-1.0), *side(1.0)) for _ in range(count)]


def _ours(start: Levels) -> tuple[Apply, Callable[[], Levels]]:
    book = Book()
    book.replace(*start)
    return (lambda update: book.apply(*update)), book.levels


def _sorted(start: Levels) -> tuple[Apply, Callable[[], Levels]]:
    bids, asks = SortedDict(), SortedDict()

    def apply(update: Levels) -> None:
        bid_px, bid_sz, ask_px, ask_sz = update
        for side, prices, sizes in ((bids, bid_px, bid_sz), (asks, ask_px, ask_sz)):
            for price, size in zip(prices, sizes, strict=True):
                if size:
                    side[price] = size
                else:
                    side.pop(price, None)

    def levels() -> Levels:
        return list(bids.keys())[::-1], list(bids.values())[::-1], list(asks.keys()), list(asks.values())

    apply(start)
    return apply, levels


def _cryptofeed(start: Levels) -> tuple[Apply, Callable[[], Levels]]:
    kept: Any = import_module("order_book").OrderBook()

    def apply(update: Levels) -> None:
        bid_px, bid_sz, ask_px, ask_sz = update
        for side, prices, sizes in ((kept.bids, bid_px, bid_sz), (kept.asks, ask_px, ask_sz)):
            for price, size in zip(prices, sizes, strict=True):
                if size:
                    side[price] = size
                elif price in side:
                    del side[price]

    def levels() -> Levels:
        bids, asks = kept.bids.to_dict(), kept.asks.to_dict()
        return list(bids.keys()), list(bids.values()), list(asks.keys()), list(asks.values())

    apply(start)
    return apply, levels


MAKERS: Final = {"ours": _ours, "sortedcontainers": _sorted} | (
    {"cryptofeed (order_book)": _cryptofeed} if find_spec("order_book") else {}
)


def _us(name: str, start: Levels, updates: Sequence[Levels], rounds: int) -> tuple[float, Levels]:
    """CPU µs an update, median of the rounds, and the book that came out."""
    times: list[float] = []
    end = start
    for _ in range(rounds):
        apply, levels = MAKERS[name](start)
        before = time.process_time_ns()
        for update in updates:
            apply(update)
        times.append((time.process_time_ns() - before) / 1e3 / len(updates))
        end = levels()
    return median(times), end


def measure(*, quick: bool) -> Section:
    """Every book takes the same updates, and must end the same."""
    count, rounds = (2_000, 3) if quick else (20_000, 5)
    rows: list[list[str | float]] = []
    for depth in DEPTHS:
        start, updates = _start(depth), _updates(depth, count)
        found = {name: _us(name, start, updates, rounds) for name in MAKERS}
        ends = {name: end for name, (_, end) in found.items()}
        if any(end != ends["ours"] for end in ends.values()):
            raise RuntimeError(f"books of {depth} levels differ in the end")
        ours = found["ours"][0]
        rows += [[f"{depth} levels a side", name, us, 1e6 / us, us / ours] for name, (us, _) in found.items()]
    table = Table(
        f"Books: one update sets {CHANGES} levels a side",
        ("book", "kept by", "CPU µs", "updates/s", "× ours"),
        rows,
        "Ours also checks every level (finite, positive). All end with the same levels.",
    )
    return Section("books", [table], [])
