"""Percentiles: exact in the window, within one percent over the run; plateaus of at least three ticks."""

from __future__ import annotations

from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.percentiles import MAX_SAMPLES, QUANTILES, Ages, Plateau, Run, Summary, Window

S = 1_000_000_000
VALUES = st.lists(st.integers(-100_000, 10_000_000), min_size=1, max_size=200)


def nearest_rank(values: list[int], quantile: float) -> int:
    return sorted(values)[ceil(quantile * len(values)) - 1]


def test_nothing_seen_is_told_as_nothing() -> None:
    assert Window(S).summary() is None
    assert Run().summary() is None


@given(VALUES)
def test_a_window_is_exact(values: list[int]) -> None:
    window = Window(S)
    for value in values:
        window.push(0, value)
    p50, p95, p99 = (nearest_rank(values, quantile) for quantile in QUANTILES)
    assert window.summary() == Summary(p50, p95, p99, max(values), len(values))


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(-5, 5)), min_size=1, max_size=100))
def test_a_window_holds_exactly_its_span(steps: list[tuple[int, int]]) -> None:
    window, pushed, now = Window(10 * S), [], 0
    for step, value in steps:
        now += step * S
        window.push(now, value)
        pushed.append((now, value))
        window.expire(now)
        expected = [value for when, value in pushed if when > now - 10 * S]
        summary = window.summary()
        assert summary is not None
        assert (summary.n, summary.max) == (len(expected), max(expected))
    window.expire(now + 10 * S)
    assert window.summary() is None


def test_a_window_is_bounded() -> None:
    window = Window(S)
    for value in range(MAX_SAMPLES + 10):
        window.push(0, value)
    assert window.summary() == Summary(1_209, 2_289, 2_385, 2_409, MAX_SAMPLES)


@given(VALUES)
def test_a_run_is_within_a_percent_of_a_sample_and_its_maximum_exact(values: list[int]) -> None:
    run = Run()
    for value in values:
        run.push(value)
    summary = run.summary()
    assert summary is not None
    assert (summary.max, summary.n) == (max(values), len(values))
    ordered = sorted(values)
    for quantile, told in zip(QUANTILES, (summary.p50, summary.p95, summary.p99), strict=True):
        rank = int(quantile * (len(values) - 1))
        near = ordered[rank : rank + 2]
        assert any(abs(told - value) <= abs(value) * 0.0101 + 1 for value in near), (told, near)


def test_a_run_can_be_told_of_a_maximum_that_was_not_sampled() -> None:
    run = Run()
    run.push(5)
    run.raise_max(50)
    run.raise_max(7)
    assert run.summary() == Summary(5, 5, 5, 50, 1)


def test_a_run_of_many_samples_stays_small() -> None:
    run = Run()
    for value in range(0, 10_000_000, 97):
        run.push(value)
    summary = run.summary()
    assert summary is not None
    assert summary.p99 == pytest.approx(9_900_000, rel=0.011)
    assert run._sketch._store.length() < 2_000  # noqa: SLF001  # the memory is the point


def test_an_unknown_age_is_no_sample() -> None:
    ages = Ages(10 * S, S)
    ages.tick(0, None)
    assert (ages.window(), ages.run()) == (None, None)
    ages.tick(S, 7)
    assert ages.window() == ages.run() == Summary(7, 7, 7, 7, 1)


def test_ages_slide_out_of_the_window_and_stay_in_the_run() -> None:
    ages = Ages(10 * S, S)
    ages.tick(0, 900)
    for tick in range(1, 12):
        ages.tick(tick * S, tick)
    window, run = ages.window(), ages.run()
    assert window is not None
    assert run is not None
    assert (window.max, window.n) == (11, 10)
    assert (run.max, run.n) == (900, 12)


def test_a_long_window_keeps_the_largest_of_several_ticks() -> None:
    ages = Ages(2 * MAX_SAMPLES * S, S)
    for tick, age in enumerate([5, 9, 4, None, None, None, 8, 3]):
        ages.tick(tick * S, age)
    assert ages.window() == Summary(8, 9, 9, 9, 3)


def test_two_ticks_are_no_plateau_and_three_are() -> None:
    plateau = Plateau(10_000)
    for age in (10_000, 10_250):
        plateau.tick(age)
    assert (plateau.count, plateau.present) == (0, False)
    plateau.tick(10_500)
    assert (plateau.count, plateau.ticks, plateau.longest_ms, plateau.present) == (1, 3, 10_500, True)


def test_a_plateau_is_counted_once_and_ends_below_the_threshold() -> None:
    plateau = Plateau(10)
    for age in (10, 11, 12, 13, 9, 10, 11, 9, 10, 10, 10):
        plateau.tick(age)
    assert (plateau.count, plateau.ticks, plateau.longest_ms, plateau.present) == (2, 7, 13, True)


@given(st.lists(st.integers(0, 20), max_size=200))
def test_plateaus_are_the_runs_of_three_ticks_or_more(ages: list[int]) -> None:
    plateau = Plateau(10)
    runs, length = [], 0
    for age in [*ages, 0]:
        if age >= 10:
            length += 1
        else:
            runs.append(length)
            length = 0
    for age in ages:
        plateau.tick(age)
    long = [length for length in runs if length >= 3]
    assert (plateau.count, plateau.ticks) == (len(long), sum(long))
