"""Percentiles of many whole numbers."""

from __future__ import annotations

from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.evidence.tally import EXACT_BELOW, Percentiles, Tally, whole


def tally(values: list[float]) -> Tally:
    found = Tally()
    for value in values:
        found.add(value)
    return found


@given(st.lists(st.integers(-1000, EXACT_BELOW - 1), min_size=1))
def test_percentiles_are_samples_of_the_nearest_rank(values: list[int]) -> None:
    ranked = sorted(values)
    expected = [ranked[ceil(quantile * len(values)) - 1] for quantile in (0.5, 0.95, 0.99)]
    found = tally(list(values)).percentiles()
    assert found is not None
    assert [found.p50, found.p95, found.p99] == expected
    assert (found.max, found.min, found.n) == (max(values), min(values), len(values))


@given(st.integers(-(10**15), 10**15))
def test_large_values_lose_less_than_a_32768th(value: int) -> None:
    assert abs(whole(value) - value) <= abs(value) / 32_768


def test_a_day_of_growing_silence_takes_bounded_memory() -> None:
    found = tally([250.0 * tick for tick in range(345_600)])
    assert len(found.counts) < 700_000 / 2
    assert len(tally([float(value) for value in range(0, 86_400_000, 7)]).counts) < 500_000


def test_nothing_has_no_percentiles() -> None:
    assert Tally().percentiles() is None
    assert Tally().exceeding() == []


def test_the_mean_is_of_all_samples() -> None:
    assert tally([1, 2, 3, 10]).percentiles() == Percentiles(2, 10, 10, 10, 1, 4.0, 4)


def test_the_share_above_each_value_falls_to_nothing() -> None:
    assert tally([1, 1, 2, 5]).exceeding() == [(1, pytest.approx(0.5)), (2, pytest.approx(0.25)), (5, 0)]
