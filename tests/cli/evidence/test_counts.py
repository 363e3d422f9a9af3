"""Growth of cumulative counters during a run."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cli.evidence.counts import Increase


def grown(readings: list[int], *, whole: bool) -> int:
    counter = Increase(whole=whole)
    for reading in readings:
        counter.take({"n": reading})
    return counter.grown.get("n", 0)


def test_a_plane_that_was_there_before_counts_from_where_it_was() -> None:
    assert grown([40, 40, 43], whole=False) == 3


def test_a_plane_that_began_with_the_run_counts_from_nothing() -> None:
    assert grown([40, 40, 43], whole=True) == 43


def test_a_counter_that_begins_anew_goes_on_adding() -> None:
    assert grown([5, 7, 1, 2], whole=False) == 2 + 2


def test_a_counter_that_appears_later_was_zero_before() -> None:
    counter = Increase(whole=False)
    counter.take({})
    assert counter.take({"stale_watchdog": 2}) == {"stale_watchdog": 2}
    assert counter.told


def test_only_what_has_grown_is_told() -> None:
    counter = Increase(whole=True)
    assert counter.take({"a": 1, "b": 0}) == {"a": 1}
    assert counter.take({"a": 1, "b": 1}) == {"b": 1}


@given(st.lists(st.lists(st.integers(0, 9), min_size=1), min_size=1))
def test_growth_over_restarts_is_the_sum_of_all_steps(lives: list[list[int]]) -> None:
    readings, total = [], 0
    for life in lives:
        count = 0
        for step in life:
            count += step
            readings.append(count)
        total += count
    assert grown(readings, whole=True) <= total
    if all(life[0] == 0 for life in lives):
        assert grown(readings, whole=True) == total
