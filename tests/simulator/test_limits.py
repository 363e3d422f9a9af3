"""Sliding windows and the ledger of violations."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.limits import KEPT, Ledger, Window


@given(st.lists(st.tuples(st.floats(0, 5), st.integers(1, 4)), max_size=60))
def test_no_window_ever_holds_more_than_its_limit(spends: list[tuple[float, int]]) -> None:
    window, now = Window(10, 7.0), 0.0
    granted: list[tuple[float, int]] = []
    for wait, cost in spends:
        now += wait
        inside = sum(paid for at, paid in granted if at > now - 7.0)
        allowed = window.spend(now, cost)
        assert allowed == (inside + cost <= 10)
        if allowed:
            granted.append((now, cost))
        assert window.used(now) <= 10


def test_the_wait_is_until_the_oldest_unit_leaves() -> None:
    window = Window(2, 60)
    assert window.retry_after(0) == 0
    assert window.spend(0)
    assert window.spend(10)
    assert not window.spend(20)
    assert window.retry_after(20) == pytest.approx(40)
    assert window.spend(60)


def test_the_ledger_counts_all_and_keeps_the_newest() -> None:
    ledger = Ledger()
    for number in range(KEPT + 5):
        ledger.record("aster", "weight", number, "GET /x")
    ledger.record("lighter", "messages", 7, "")
    report = ledger.report()
    assert report["total"] == KEPT + 6
    assert report["counts"] == {"aster.weight": KEPT + 5, "lighter.messages": 1}
    assert len(report["recent"]) == KEPT
    assert report["recent"][-1] == {"venue": "lighter", "limit": "messages", "at_ns": 7, "detail": ""}
