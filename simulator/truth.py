"""The seeded market behind a venue's symbol: what is true, and what was true at a sequence number or an instant.

Pure: every step takes the time and the random generator. Prices are integers in ticks, sizes in lots.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from simulator.book import ASK, BID, Book, Change
from simulator.decimals import fixed
from simulator.settings import TYPICAL_NOTIONAL, reference_price

if TYPE_CHECKING:
    from random import Random

CHECKPOINT_EVERY = 64
TRADES_KEPT = 500
PAST_TRADES = 120
INSERTS = 0.25
REMOVALS = 0.2
"""Shares of level edits that add and that remove a level; the rest changes a size."""
FEWEST_LEVELS = 2
WIDEST_GAP = 4
"""Ticks between the mid and the touch before somebody improves the price."""
MOST_FILLS = 4
WANDER = 0.03
"""The mid stays within this fraction of where it began, so that venues whose tick depends on the price keep theirs."""


@dataclass(frozen=True, slots=True)
class MarketSpec:
    """A market as the venue lists it.

    ``tick`` counts units of ``10**-price_decimals``; a lot is ``10**-size_decimals``; ``start`` is the first mid in
    ticks; ``typical`` a usual level size in lots; ``depth`` the levels aimed at on each side.
    """

    market: str
    base: str
    symbol: str
    price_decimals: int
    tick: int
    size_decimals: int
    start: int
    typical: int
    depth: int

    @classmethod
    def listed(
        cls, base: str, symbol: str, *, price_decimals: int, tick: int, size_decimals: int, depth: int
    ) -> MarketSpec:
        """A perpetual of ``base`` at a plausible price, with levels of a plausible size."""
        price = reference_price(base)
        return cls(
            market=f"{base}-PERP",
            base=base,
            symbol=symbol,
            price_decimals=price_decimals,
            tick=tick,
            size_decimals=size_decimals,
            start=round(price * 10**price_decimals) // tick,
            typical=max(1, int(TYPICAL_NOTIONAL / price * 10**size_decimals)),
            depth=depth,
        )

    def units(self, ticks: int) -> int:
        """Price in units of ``10**-price_decimals``."""
        return ticks * self.tick

    def price(self, ticks: int) -> str:
        """Price with all its decimals."""
        return fixed(ticks * self.tick, self.price_decimals)

    def size(self, lots: int) -> str:
        """Size with all its decimals."""
        return fixed(lots, self.size_decimals)


class Trade(NamedTuple):
    """One fill. ``buy`` is the taker's side; ``number`` counts from 1 within the market."""

    number: int
    ts_us: int
    price: int
    size: int
    buy: bool


class Version(NamedTuple):
    """One committed step: the book after it is the book as of ``seq`` and ``ts_us``."""

    seq: int
    ts_us: int
    changes: tuple[Change, ...]
    trades: tuple[Trade, ...]


@dataclass(frozen=True, slots=True)
class Pace:
    """How lively one step is: most level edits, chance that the mid moves, chance of a trade."""

    edits: int = 4
    move: float = 0.15
    trade: float = 0.1


class OutsideHistoryError(LookupError):
    """The asked sequence or instant lies before the kept history or after the present."""


class Truth:
    """One market: its book now, its recent past, its trades."""

    def __init__(self, spec: MarketSpec, rng: Random, *, seq: int, now_us: int, history: int = 4096) -> None:
        self.spec = spec
        self.book = Book()
        self.mid = spec.start
        """Highest price a bid may have; asks begin one tick above."""
        self.trades: deque[Trade] = deque(maxlen=TRADES_KEPT)
        self.trades_total = 0
        self.volume = 0
        """Lots traded since the start."""
        self._history = max(history, CHECKPOINT_EVERY)
        self._touched: dict[tuple[int, int], int] = {}
        self._refill(rng)
        self._past(rng, now_us)
        self._touched.clear()
        self._versions = [Version(seq, now_us, (), ())]
        self._first = 0
        """Absolute number of ``_versions[0]``."""
        self._checkpoints: deque[tuple[int, dict[int, int], dict[int, int]]] = deque()
        self._checkpoint()

    def _past(self, rng: Random, now_us: int) -> None:
        """Trades of the last minute before the start: venues replay history to every new subscriber."""
        times = sorted(now_us - rng.randint(1, 60_000_000) for _ in range(PAST_TRADES))
        for ts_us in times:
            self._trade(rng, ts_us)
            self._refill(rng)

    # ---- stepping ----

    def step(self, rng: Random, pace: Pace, *, seq: int, now_us: int) -> Version:
        """Change the market once and commit it under ``seq``; both numbers must not be lower than the last ones."""
        trades = self._trade(rng, now_us) if rng.random() < pace.trade else ()
        if rng.random() < pace.move:
            self._move(rng)
        for _ in range(rng.randint(1, pace.edits) if pace.edits else 0):
            self._edit(rng)
        if pace.edits:
            self._refill(rng)
        return self._commit(seq, now_us, trades)

    def idle(self, *, seq: int, now_us: int) -> Version:
        """Commit a step without any change (a venue whose counter also counts other things)."""
        return self._commit(seq, now_us, ())

    def _commit(self, seq: int, now_us: int, trades: tuple[Trade, ...]) -> Version:
        last = self._versions[-1]
        if seq < last.seq or now_us < last.ts_us:
            message = f"{self.spec.market}: step back from {last.seq}@{last.ts_us} to {seq}@{now_us}"
            raise ValueError(message)
        changes = tuple(
            Change(side, price, size, before)
            for (side, price), before in self._touched.items()
            if (size := self.book.side(side).sizes.get(price, 0)) != before
        )
        self._touched.clear()
        version = Version(seq, now_us, changes, trades)
        self._versions.append(version)
        if (self._first + len(self._versions) - 1) % CHECKPOINT_EVERY == 0:
            self._checkpoint()
        return version

    def _put(self, side: int, price: int, size: int) -> None:
        before = self.book.side(side).put(price, size)
        self._touched.setdefault((side, price), before)

    def _draw_size(self, rng: Random) -> int:
        return max(1, int(self.spec.typical * rng.lognormvariate(0.0, 0.9)))

    def _edit(self, rng: Random) -> None:
        side = rng.getrandbits(1)
        book = self.book.side(side)
        chance = rng.random()
        if chance < INSERTS or len(book) < FEWEST_LEVELS:
            self._insert(side, rng)
            return
        # Squaring favours levels near the touch, where real books change most.
        index = int(rng.random() ** 2 * len(book))
        price = book.prices[index] if side == ASK else book.prices[-1 - index]
        self._put(side, price, 0 if chance < INSERTS + REMOVALS else self._draw_size(rng))

    def _insert(self, side: int, rng: Random) -> None:
        offset = int(rng.random() ** 2 * 3 * self.spec.depth)
        price = self.mid + 1 + offset if side == ASK else self.mid - offset
        self._put(side, max(1, price), self._draw_size(rng))

    def _move(self, rng: Random) -> None:
        reach = int(self.spec.start * WANDER)
        drift = 1 if rng.random() < 0.5 - (self.mid - self.spec.start) / (2 * reach or 1) else -1
        self.mid += drift * rng.randint(1, 3)
        while self.book.bids.prices and self.book.bids.prices[-1] > self.mid:
            self._put(BID, self.book.bids.prices[-1], 0)
        while self.book.asks.prices and self.book.asks.prices[0] <= self.mid:
            self._put(ASK, self.book.asks.prices[0], 0)

    def _refill(self, rng: Random) -> None:
        depth = self.spec.depth
        for side in (BID, ASK):
            book = self.book.side(side)
            touch = self.mid + 1 if side == ASK else self.mid
            if not book.prices or abs((book.prices[0] if side == ASK else book.prices[-1]) - touch) > WIDEST_GAP:
                self._put(side, touch, self._draw_size(rng))
            while len(book) < depth - depth // 10:
                self._insert(side, rng)
            while len(book) > depth + depth // 10:
                self._put(side, book.prices[-1] if side == ASK else book.prices[0], 0)

    def _trade(self, rng: Random, now_us: int) -> tuple[Trade, ...]:
        buy = bool(rng.getrandbits(1))
        side = ASK if buy else BID
        book = self.book.side(side)
        left = self._draw_size(rng)
        fills: list[Trade] = []
        while left > 0 and len(book) > 1 and len(fills) < MOST_FILLS:
            price = book.prices[0] if buy else book.prices[-1]
            size = min(left, book.sizes[price])
            left -= size
            self._put(side, price, book.sizes[price] - size)
            fills.append(self._record(now_us, price, size, buy=buy))
        return tuple(fills)

    def _record(self, now_us: int, price: int, size: int, *, buy: bool) -> Trade:
        self.trades_total += 1
        self.volume += size
        trade = Trade(self.trades_total, now_us, price, size, buy)
        self.trades.append(trade)
        return trade

    # ---- reading ----

    @property
    def last(self) -> Version:
        """The newest version."""
        return self._versions[-1]

    @property
    def number(self) -> int:
        """Absolute number of the newest version, counting from 0."""
        return self._first + len(self._versions) - 1

    def versions_after(self, number: int) -> list[Version]:
        """All kept versions numbered above ``number``."""
        return self._versions[max(0, number + 1 - self._first) :]

    def as_of_seq(self, seq: int, *, newest: int | None = None) -> tuple[Version, Book]:
        """Book after every step up to and including ``seq``; ``newest`` is a shared counter's present value."""
        if seq > max(self.last.seq, newest or 0):
            message = f"sequence {seq} has not happened yet (now {max(self.last.seq, newest or 0)})"
            raise OutsideHistoryError(message)
        return self._rebuild(bisect_right(self._versions, seq, key=_seq_of) - 1, f"sequence {seq}")

    def as_of_us(self, ts_us: int) -> tuple[Version, Book]:
        """Book after every step whose time is at or before ``ts_us``."""
        return self._rebuild(bisect_right(self._versions, ts_us, key=_ts_of) - 1, f"time {ts_us} us")

    def _rebuild(self, index: int, asked: str) -> tuple[Version, Book]:
        number = self._first + index
        checkpoint = next((point for point in reversed(self._checkpoints) if point[0] <= number), None)
        if index < 0 or checkpoint is None:
            message = f"{asked} is before the kept history"
            raise OutsideHistoryError(message)
        book = Book(checkpoint[1], checkpoint[2])
        for version in self._versions[checkpoint[0] + 1 - self._first : index + 1]:
            book.apply(version.changes)
        return self._versions[index], book

    def _checkpoint(self) -> None:
        self._checkpoints.append((self.number, dict(self.book.bids.sizes), dict(self.book.asks.sizes)))
        while len(self._checkpoints) > 1 and self._checkpoints[1][0] <= self.number - self._history:
            self._checkpoints.popleft()
        oldest = self._checkpoints[0][0]
        del self._versions[: oldest - self._first]
        self._first = oldest


def _seq_of(version: Version) -> int:
    return version.seq


def _ts_of(version: Version) -> int:
    return version.ts_us


class Replica:
    """A copy of a market's book that trails behind it: the book as of a time that only moves forward.

    A venue that stamps what it publishes with an instant a few hundred milliseconds ago reads from here, so that a
    frame's time says exactly which book it shows.
    """

    def __init__(self, truth: Truth) -> None:
        self.truth = truth
        self.book = truth.book.copy()
        self.number = truth.number

    def advance(self, ts_us: int) -> list[Version]:
        """Apply and return the versions up to ``ts_us``. Fails when left behind for longer than the history."""
        if self.number + 1 < self.truth._first:  # noqa: SLF001 - two halves of one thing
            message = "replica fell out of the history"
            raise OutsideHistoryError(message)
        taken = []
        for version in self.truth.versions_after(self.number):
            if version.ts_us > ts_us:
                break
            self.book.apply(version.changes)
            self.number += 1
            taken.append(version)
        return taken
