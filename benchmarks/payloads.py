"""Frames as two venues send them, prepared before anything is measured, and the books that they make.

Aster: ``depthUpdate`` of 20 changed levels a side of a book of 200 a side, the wire format it shares with the exchange
it descends from. Hyperliquid: ``l2Book`` of the fast feed, whole books of five levels a side. The touch never moves and
nothing crosses, so that no reader has a reason to do more than digest the frame.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from random import Random
from typing import Final, NamedTuple, TypeAlias

LEVELS: Final = 200
"""Levels a side of the Aster book."""
CHANGED: Final = 20
"""Changed levels a side and frame."""
SHOWN: Final = 5
"""Levels a side of Hyperliquid's fast feed."""
FIRST_ID: Final = 600_000_000_000
STEP: Final = 10
GONE: Final = 0.15
"""Share of changes that remove a level or bring one back."""
CYCLE: Final = 2_000
"""Different frames; only ids and times go on after them."""


class Side(NamedTuple):
    """Changes of one side in one frame: level numbers (0 is the best) and sizes in thousandths."""

    levels: tuple[int, ...]
    sizes: tuple[int, ...]


def _changes(rng: Random) -> Iterator[Side]:
    """An endless row of changes, never of level 0."""
    there = bytearray([1]) * LEVELS
    near = range(1, 4 * CHANGED)
    while True:
        levels = tuple(sorted(rng.sample(near, CHANGED)))
        sizes = []
        for level in levels:
            there[level] = 1 if not there[level] else rng.random() >= GONE
            sizes.append(rng.randrange(1, 90_000) if there[level] else 0)
        yield Side(levels, tuple(sizes))


def _bid(level: int) -> str:
    return f"{84_000 - level / 10:.1f}"


def _ask(level: int) -> str:
    return f"{84_000.1 + level / 10:.1f}"


def _size(thousandths: int) -> str:
    return f"{thousandths // 1000}.{thousandths % 1000:03}"


class Aster:
    """A chain of diffs of BTCUSDT, and the snapshot before any of them."""

    stream: Final = "btcusdt@depth@100ms"

    def __init__(self, count: int, start_ms: int, seed: int = 1) -> None:
        rng = Random(seed)
        sides = zip(_changes(rng), _changes(rng), strict=True)
        self._changes = [next(sides) for _ in range(min(count, CYCLE))]
        self._start_ms = start_ms
        tails = [f'"b":[{_pairs(bids, _bid)}],"a":[{_pairs(asks, _ask)}]}}}}' for bids, asks in self._changes]
        self.frames: list[bytes] = [self._frame(position, tails[position % CYCLE]) for position in range(count)]
        self._at = 0
        self._bids: dict[int, int] = {}
        self._asks: dict[int, int] = {}
        self._rewind()

    def mark(self, position: int) -> int:
        """Update id after this frame."""
        return FIRST_ID + position * STEP

    def book(self, position: int) -> dict[str, object]:
        """The answer to ``depth`` after so many frames."""
        if position < self._at:
            self._rewind()
        for number in range(self._at, position):
            bids, asks = self._changes[number % CYCLE]
            self._bids.update(zip(*bids, strict=True))
            self._asks.update(zip(*asks, strict=True))
        self._at = position
        now = self._start_ms + position
        return {
            "lastUpdateId": self.mark(position - 1),
            "E": now,
            "T": now,
            "bids": [[_bid(level), _size(size)] for level, size in sorted(self._bids.items()) if size],
            "asks": [[_ask(level), _size(size)] for level, size in sorted(self._asks.items()) if size],
        }

    def _rewind(self) -> None:
        self._at = 0
        self._bids = dict.fromkeys(range(LEVELS), 1_000)
        self._asks = dict(self._bids)

    def _frame(self, position: int, tail: str) -> bytes:
        last, now = self.mark(position), self._start_ms + position
        return (
            f'{{"stream":"{self.stream}","data":{{"e":"depthUpdate","E":{now},"T":{now},"s":"BTCUSDT",'
            f'"U":{last - STEP + 1},"u":{last},"pu":{last - STEP},{tail}'
        ).encode()


def _pairs(side: Side, price: Callable[[int], str]) -> str:
    return ",".join(f'["{price(level)}","{_size(size)}"]' for level, size in zip(*side, strict=True))


class Hyperliquid:
    """Whole books of BTC, five levels a side."""

    def __init__(self, count: int, start_ms: int, seed: int = 1) -> None:
        rng = Random(seed)
        self._start_ms = start_ms
        tails = [self._levels(rng) for _ in range(min(count, CYCLE))]
        self.frames: list[bytes] = [self._frame(position, tails[position % CYCLE]) for position in range(count)]

    def mark(self, position: int) -> int:
        """The venue's time of this frame in ns."""
        return (self._start_ms + position) * 1_000_000

    @staticmethod
    def _levels(rng: Random) -> str:
        bids = _objects(rng, [84_000 - level for level in range(SHOWN)])
        asks = _objects(rng, [84_001 + level for level in range(SHOWN)])
        return f'"levels":[[{bids}],[{asks}]],"fast":true}}}}'

    def _frame(self, position: int, tail: str) -> bytes:
        return f'{{"channel":"l2Book","data":{{"coin":"BTC","time":{self._start_ms + position},{tail}'.encode()


def _objects(rng: Random, prices: list[int]) -> str:
    return ",".join(
        f'{{"px":"{price}.0","sz":"{rng.randrange(1, 40)}.{rng.randrange(10_000, 99_999)}","n":{rng.randrange(1, 30)}}}'
        for price in prices
    )


Payloads: TypeAlias = Aster | Hyperliquid
"""``frames`` are text frames without their header; ``mark`` tells each from all others once it is an event."""


def prepare(venue: str, count: int, start_ms: int) -> Payloads:
    """Frames of a venue; ``start_ms`` is the time that the first one claims."""
    makers: Mapping[str, type[Payloads]] = {"aster": Aster, "hyperliquid": Hyperliquid}
    return makers[venue](count, start_ms)
