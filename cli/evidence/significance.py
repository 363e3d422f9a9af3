"""Whether two samples of blocks differ by more than noise.

Mann and Whitney's rank test, which asks for no shape of the distributions, with two corrections. Blocks of one run
still depend on each other: the test counts as many samples as are independent, by the autocorrelation of their ranks.
And many questions are asked of one pair of runs: Holm's correction keeps the chance of any false alarm at that of one.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import erfc, exp, lgamma, log, sqrt
from typing import Final

FEWEST: Final = 6
"""Blocks a run without which nothing can be told: with fewer, no order of ranks is improbable enough."""


def autocorrelation_time(runs: Sequence[Sequence[float]]) -> float:
    """How many samples in a row are worth one independent one: 1 + twice the sum of correlations."""
    centred = [[value - sum(run) / len(run) for value in run] for run in runs if run]
    variance = sum(value * value for run in centred for value in run)
    if variance <= 0:
        return 1.0
    shortest = min(len(run) for run in centred)
    inflation = 1.0
    for lag in range(1, max(2, shortest // 3)):
        covariance = sum(run[i] * run[i + lag] for run in centred for i in range(len(run) - lag))
        # The mean was taken from the same samples, which makes every correlation too small by so much.
        rho = covariance / variance + inflation / shortest
        if rho <= 0:
            break
        inflation += 2 * rho
    return inflation


def rank_test(before: Sequence[float], after: Sequence[float]) -> float | None:
    """Two-sided probability of such a difference by chance; ``None`` when there is too little to tell."""
    if min(len(before), len(after)) < FEWEST:
        return None
    counts: dict[float, list[int]] = {}
    for side, values in enumerate((before, after)):
        for value in values:
            counts.setdefault(value, [0, 0])[side] += 1
    n, m = len(before), len(after)
    below, ties = 0, 0
    rank: dict[float, float] = {}
    for value in sorted(counts):
        size = sum(counts[value])
        rank[value] = below + (size + 1) / 2
        ties += size**3 - size
        below += size
    spread = n * m / 12 * (n + m + 1 - ties / ((n + m) * (n + m - 1)))
    if spread <= 0:
        return 1.0
    ranks = [[rank[value] for value in values] for values in (before, after)]
    u = sum(ranks[0]) - n * (n + 1) / 2
    distance = max(0.0, abs(u - n * m / 2) - 0.5)
    z = distance / sqrt(spread) / sqrt(autocorrelation_time(ranks))
    return erfc(z / sqrt(2))


def count_test(before: int, after: int, before_ms: float, after_ms: float) -> float | None:
    """The same for numbers of rare happenings in two lengths of time (Poisson, conditional on their sum)."""
    total = before + after
    if before_ms <= 0 or after_ms <= 0:
        return None
    if not total:
        return 1.0
    share = before_ms / (before_ms + after_ms)
    chances = [_binomial(total, count, share) for count in range(total + 1)]
    return min(1.0, sum(chance for chance in chances if chance <= chances[before] * (1 + 1e-9)))


def _binomial(n: int, k: int, p: float) -> float:
    return exp(lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1) + k * log(p) + (n - k) * log(1 - p))


def holm(chances: Sequence[float | None]) -> list[float | None]:
    """Each probability corrected for all the questions that were asked."""
    asked = sorted((chance, index) for index, chance in enumerate(chances) if chance is not None)
    found: list[float | None] = [None] * len(chances)
    highest = 0.0
    for place, (chance, index) in enumerate(asked):
        highest = max(highest, min(1.0, chance * (len(asked) - place)))
        found[index] = highest
    return found
