"""Noise and news."""

from __future__ import annotations

from math import comb, exp, sqrt
from random import Random

import pytest

from cli.evidence.significance import FEWEST, autocorrelation_time, count_test, holm, rank_test


def ar(rng: Random, count: int, phi: float, level: float = 0.0) -> list[float]:
    """Samples of which each remembers the one before it."""
    value, found = rng.gauss(0, 1), []
    for _ in range(count):
        value = phi * value + rng.gauss(0, sqrt(1 - phi * phi))
        found.append(level + value)
    return found


@pytest.mark.parametrize("phi", [0.0, 0.3, 0.6])
def test_false_alarms_stay_rare_although_samples_depend_on_each_other(phi: float) -> None:
    rng = Random(1)
    alarms = sum((rank_test(ar(rng, 60, phi), ar(rng, 60, phi)) or 0) < 0.05 for _ in range(400))
    assert alarms <= 400 * 0.09


def test_without_the_correction_there_would_be_many() -> None:
    rng = Random(1)
    independent = autocorrelation_time([ar(rng, 2_000, 0.0)])
    dependent = autocorrelation_time([ar(rng, 2_000, 0.6)])
    assert independent == pytest.approx(1, abs=0.25)
    assert dependent == pytest.approx((1 + 0.6) / (1 - 0.6), rel=0.25)


def test_a_real_shift_is_found() -> None:
    rng = Random(1)
    found = [rank_test(ar(rng, 60, 0.3), ar(rng, 60, 0.3, 1.5)) or 1 for _ in range(50)]
    assert sum(chance < 0.001 for chance in found) >= 45


def test_too_few_samples_tell_nothing() -> None:
    assert rank_test([1.0] * (FEWEST - 1), [2.0] * 50) is None
    assert rank_test([1.0] * FEWEST, [2.0] * FEWEST) is not None


def test_samples_that_are_all_the_same_are_no_difference() -> None:
    assert rank_test([0.0] * 20, [0.0] * 20) == 1.0
    assert autocorrelation_time([[0.0] * 20, [0.0] * 20]) == 1.0


def test_which_run_comes_first_does_not_matter() -> None:
    rng = Random(3)
    one, other = ar(rng, 30, 0.2), ar(rng, 40, 0.2, 0.5)
    assert rank_test(one, other) == pytest.approx(rank_test(other, one))


@pytest.mark.parametrize(("before", "after"), [(0, 0), (3, 3), (0, 5), (9, 1), (40, 20)])
def test_counts_are_compared_exactly(before: int, after: int) -> None:
    total = before + after
    chances = [comb(total, k) / 2**total for k in range(total + 1)]
    expected = sum(chance for chance in chances if chance <= chances[before] * (1 + 1e-9))
    assert count_test(before, after, 1_000, 1_000) == pytest.approx(min(1, expected))


def test_counts_are_compared_by_length_of_time() -> None:
    long = count_test(10, 100, 1_000, 10_000)
    assert long is not None
    assert long > 0.9
    assert count_test(1, 1, 0, 10) is None


def test_holm_corrects_for_all_that_was_asked() -> None:
    assert holm([0.01, None, 0.04, 0.03]) == [pytest.approx(0.03), None, pytest.approx(0.06), pytest.approx(0.06)]
    assert holm([0.9, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


def test_exponential_waits_are_no_normal_samples_and_still_no_news() -> None:
    rng = Random(5)
    alarms = sum(
        (rank_test([exp(rng.gauss(0, 2)) for _ in range(40)], [exp(rng.gauss(0, 2)) for _ in range(40)]) or 0) < 0.05
        for _ in range(200)
    )
    assert alarms <= 200 * 0.08
