"""A run over time in bounded memory."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cli.evidence.series import MAX_BUCKETS, Plateau, Series, Spans


@given(st.lists(st.tuples(st.integers(0, 90_000_000), st.integers(-100, 100_000)), max_size=300))
def test_no_value_is_lost_to_the_picture(values: list[tuple[int, int]]) -> None:
    series = Series()
    for at, value in values:
        series.add(at, value)
    assert sum(bucket.count for bucket in series.buckets.values()) == len(values)
    assert series.highest == max((value for _, value in values), default=None)
    assert max((high for _, high in series.highs()), default=None) == series.highest
    assert series.lowest == min((value for _, value in values), default=None)


def test_a_day_is_told_in_a_bounded_number_of_points() -> None:
    series = Series()
    for tick in range(345_600):
        series.add(tick * 250, 90_000 if tick == 200_000 else 20)
    assert MAX_BUCKETS // 2 < len(series.highs()) <= MAX_BUCKETS
    [(at, _)] = [point for point in series.highs() if point[1] > 20]
    assert abs(at - 200_000 * 250) <= series.width_ms
    assert [mean for _, mean in series.means()].count(20) == len(series.buckets) - 1


def test_where_nothing_was_added_there_is_nothing() -> None:
    series = Series()
    assert (series.mean, series.first, series.last, series.highs()) == (None, None, None, [])
    series.add(0, 5)
    series.add(10_000, 7)
    assert series.highs() == [(125, 5), (10_125, 7)]
    assert (series.first, series.last, series.mean) == (5, 7, 6)


def test_trouble_lasts_from_its_first_tick_to_the_first_good_one() -> None:
    spans = Spans()
    for at, why in enumerate(["", "stale", "down", "", ""]):
        spans.set(why, at * 250)
    assert [(span.begin_ms, span.end_ms, span.why) for span in spans.kept] == [(250, 750, "stale")]
    assert (spans.count, spans.total_ms, spans.present) == (1, 500, None)


def test_trouble_that_is_not_over_has_no_end() -> None:
    spans = Spans()
    spans.set("stale", 1)
    assert spans.present is not None
    assert spans.present.end_ms is None


def test_more_troubles_than_are_kept_are_still_counted() -> None:
    spans = Spans(limit=2)
    for at in range(10):
        spans.set("x" if at % 2 else "", at)
    assert (spans.count, len(spans.kept)) == (5, 2)


def test_a_plateau_needs_three_ticks_in_a_row() -> None:
    plateau = Plateau(10_000)
    for silent in [9_999, 10_000, 10_250, 20, 10_000, 10_250, 10_500, 10_750, 0]:
        plateau.tick(silent)
    assert (plateau.count, plateau.ticks, plateau.longest_ms) == (1, 4, 10_750)
