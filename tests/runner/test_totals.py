"""Counters added up across restarts."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from runner.totals import REMEMBERED_EPOCHS, Totals


def test_a_counter_never_told_is_zero() -> None:
    assert Totals().get("frames") == 0


def test_a_restart_counts_from_nothing_and_the_total_goes_on() -> None:
    totals = Totals()
    totals.heard(1, {"frames": 10})
    totals.heard(1, {"frames": 15})
    totals.heard(2, {"frames": 3})
    assert (totals.get("frames"), totals.restarts) == (18, 1)


def test_a_late_word_of_an_ended_run_is_refused() -> None:
    totals = Totals()
    totals.heard(1, {"frames": 10})
    totals.heard(2, {"frames": 3})
    assert not totals.heard(1, {"frames": 11})
    assert totals.get("frames") == 13


def test_some_counters_of_a_run_leave_the_others_as_they_are() -> None:
    totals = Totals()
    totals.heard(1, {"frames": 10, "reconnect.seq_gap": 1})
    totals.heard(1, {"reconnect.seq_gap": 2})
    totals.heard(1, {"frames": 9})
    assert totals.all() == {"frames": 10, "reconnect.seq_gap": 2}
    assert totals.reconnects() == {"seq_gap": 2}


@given(st.lists(st.lists(st.integers(0, 50), max_size=5), max_size=REMEMBERED_EPOCHS))
def test_the_total_is_the_sum_of_the_highest_of_every_run(runs: list[list[int]]) -> None:
    totals = Totals()
    for epoch, counts in enumerate(runs):
        for count in counts:
            totals.heard(epoch, {"frames": count})
    assert totals.get("frames") == sum(max(counts, default=0) for counts in runs)
