"""Mark, index, open interest and funding of a market, beside its book (pure).

Rates are fractions of notional per hour. Settled rates are a fixed function of seed, market and hour, so that a history
asked for twice is the same twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from hashlib import blake2b
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from random import Random

    from simulator.truth import Truth

HOUR_US = 3_600_000_000
BASELINE = Decimal("0.0000125")
"""0.01 % per 8 h, the usual interest component of a perpetual."""


@dataclass(slots=True)
class Stats:
    """Values now. Prices in quote currency, ``open_interest`` in base units, ``funding`` predicted, per hour."""

    mark: Decimal
    index: Decimal
    open_interest: Decimal
    funding: Decimal
    previous_day: Decimal
    day_volume: Decimal
    """Base units traded in the day before the start of the run."""


def price_of(truth: Truth) -> Decimal:
    """The mid between the highest possible bid and lowest possible ask, exact."""
    spec = truth.spec
    return (Decimal(2 * truth.mid + 1) / 2 * spec.tick).scaleb(-spec.price_decimals)


def first_stats(truth: Truth, rng: Random) -> Stats:
    """Stats at the start of a run."""
    price = price_of(truth)
    quantum = Decimal(1).scaleb(-truth.spec.size_decimals)
    interest = (Decimal(rng.randint(200_000_000, 900_000_000)) / price).quantize(quantum)
    digits = Decimal(1).scaleb(-truth.spec.price_decimals)
    volume = (Decimal(rng.randint(800_000_000, 3_000_000_000)) / price).quantize(quantum)
    stats = Stats(price, price, interest, BASELINE, (price * Decimal("0.987")).quantize(digits), volume)
    step_stats(stats, truth, rng)
    return stats


def day_volume(stats: Stats, truth: Truth) -> Decimal:
    """Base units traded in a day, rolling in name only: it grows by what is traded in the run."""
    return stats.day_volume + Decimal(truth.volume).scaleb(-truth.spec.size_decimals)


def step_stats(stats: Stats, truth: Truth, rng: Random) -> None:
    """Move mark and index near the book, and open interest a little."""
    price = price_of(truth)
    digits = Decimal(1).scaleb(-truth.spec.price_decimals)
    stats.index = (price * (1 + Decimal(rng.randint(-600, 600)).scaleb(-6))).quantize(digits)
    stats.mark = (price * (1 + Decimal(rng.randint(-150, 150)).scaleb(-6))).quantize(digits)
    lot = Decimal(1).scaleb(-truth.spec.size_decimals)
    stats.open_interest = max(lot, stats.open_interest + rng.randint(-50, 50) * truth.spec.typical * lot / 10).quantize(
        lot
    )


def step_funding(stats: Stats, rng: Random) -> None:
    """Move the funding estimate a little; it is pulled back to the baseline."""
    drift = Decimal(rng.randint(-4000, 4000)).scaleb(-10)
    stats.funding = (stats.funding + drift + (BASELINE - stats.funding) / 50).quantize(Decimal("1e-10"))


def settled(seed: int, market: str, hour: int) -> Decimal:
    """The rate settled at ``hour`` (hours since the epoch), a fraction per hour with at most 8 decimals."""
    digest = blake2b(f"{seed}:{market}:{hour}".encode(), digest_size=4).digest()
    return BASELINE.quantize(Decimal("1e-8")) + Decimal(int.from_bytes(digest) % 4001 - 2000).scaleb(-8)
