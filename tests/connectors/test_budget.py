"""No sliding window ever holds more than its budget."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from connectors.budget import Window
from connectors.venue import Budget


@given(
    st.integers(1, 20), st.integers(1, 100), st.lists(st.tuples(st.integers(0, 60), st.integers(1, 25)), max_size=60)
)
def test_waiting_as_told_never_exceeds_the_budget_in_any_window(
    units: int, per_ns: int, wishes: list[tuple[int, int]]
) -> None:
    window = Window(Budget(units, per_ns))
    spent: list[tuple[int, int]] = []
    now = 0
    for pause, wanted in wishes:
        now += pause
        now += window.wait_ns(now, wanted)
        assert window.wait_ns(now, wanted) == 0, "waiting as long as told is enough"
        amount = min(wanted, units)
        window.take(now, amount)
        spent.append((now, amount))
    for when, _ in spent:
        assert sum(amount for at, amount in spent if when - per_ns < at <= when) <= units


def test_a_wait_is_no_longer_than_needed() -> None:
    window = Window(Budget(2, 100))
    window.take(0)
    window.take(40)
    assert window.wait_ns(50) == 50
    assert window.wait_ns(50, 2) == 90
    assert window.wait_ns(99) == 1
    assert window.wait_ns(100) == 0


def test_a_wish_larger_than_the_whole_budget_goes_through_when_nothing_else_was_spent() -> None:
    window = Window(Budget(2, 100))
    assert window.wait_ns(0, 5) == 0
    window.take(0)
    assert window.wait_ns(0, 5) == 100


def test_without_a_budget_nothing_waits() -> None:
    window = Window(None)
    window.take(0, 1_000_000)
    assert window.wait_ns(0, 1_000_000) == 0


def test_the_least_that_was_left_is_told_once() -> None:
    window = Window(Budget(4, 100))
    assert window.headroom(0) == 1.0
    window.take(0, 3)
    assert window.headroom(150) == 0.25, "it is all back by now, and was not in between"
    assert window.headroom(150) == 1.0
    window.take(200, 4)
    assert [window.headroom(at) for at in (210, 299, 300, 301)] == [0.0, 0.0, 0.0, 1.0]


def test_nothing_is_left_when_more_than_the_whole_budget_was_spent() -> None:
    window = Window(Budget(2, 100))
    window.take(0, 5)
    assert window.headroom(0) == 0.0


def test_without_a_budget_there_is_no_headroom_to_tell_of() -> None:
    window = Window(None)
    window.take(0)
    assert window.headroom(0) is None


def test_a_successor_goes_on_with_what_was_spent_within_the_window() -> None:
    first, second = Window(Budget(4, 100)), Window(Budget(4, 100))
    for when in (0, 50, 60, 70):
        first.take(when)
    past = first.past(120)
    assert past == [(50, 1), (60, 1), (70, 1)]
    second.recall(past)
    assert second.headroom(120) == 0.25
    assert second.wait_ns(120) == 0
    second.take(120)
    assert second.wait_ns(120) == 30


def test_spendings_close_together_are_handed_down_as_one_and_none_is_forgiven() -> None:
    window = Window(Budget(1_000, 6_400))
    for when in (*range(200), 1_000):
        window.take(when)
    assert window.past(1_000) == [(99, 100), (199, 100), (1_000, 1)]


def test_without_a_budget_nothing_is_handed_down() -> None:
    window = Window(None)
    window.take(0)
    assert window.past(1) == []
    window.recall([(0, 1)])
    assert window.past(1) == []
