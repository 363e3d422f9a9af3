"""Waits between attempts: full jitter, reset by health, a breaker with one probe at a time."""

from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from connectors.backoff import CAP_NS, FIRST_NS, FLOOR_NS, Backoff, Breaker

S = 1_000_000_000


@given(st.integers(0, 2**32), st.integers(1, 40))
def test_delays_stay_between_the_floor_and_their_doubling_ceiling(seed: int, attempts: int) -> None:
    backoff = Backoff(Random(seed))
    for attempt in range(attempts):
        ceiling = FIRST_NS if attempt == 0 else min(CAP_NS, S << min(attempt - 1, 10))
        assert FLOOR_NS <= backoff.delay_ns() <= ceiling


def test_a_reset_makes_the_next_delay_a_first_one_again() -> None:
    backoff = Backoff(Random(1))
    for _ in range(12):
        backoff.delay_ns()
    backoff.reset()
    assert backoff.delay_ns() <= FIRST_NS


def test_the_breaker_opens_at_its_limit_within_the_window_only() -> None:
    breaker = Breaker(limit=3, window_ns=10 * S)
    assert not breaker.failed(0)
    assert not breaker.failed(1 * S)
    assert not breaker.failed(12 * S), "the first two have left the window"
    assert not breaker.failed(13 * S)
    assert breaker.failed(14 * S)
    assert breaker.is_open


def test_an_open_breaker_allows_nothing_and_then_one_probe() -> None:
    breaker = Breaker(limit=1)
    assert breaker.allows(0)
    breaker.failed(0)
    assert not breaker.allows(4 * S)
    assert breaker.allows(5 * S)
    assert not breaker.allows(5 * S), "another probe is out"


def test_a_failed_probe_opens_it_again_for_longer_up_to_half_a_minute() -> None:
    breaker = Breaker(limit=1)
    breaker.failed(0)
    pauses = []
    now = 0
    for _ in range(6):
        assert breaker.open_until is not None
        pauses.append(breaker.open_until - now)
        now = breaker.open_until
        assert breaker.allows(now)
        assert breaker.failed(now)
    assert pauses == [5 * S, 10 * S, 20 * S, 30 * S, 30 * S, 30 * S]


def test_success_closes_it_and_forgets() -> None:
    breaker = Breaker(limit=2)
    breaker.failed(0)
    breaker.failed(0)
    breaker.succeeded()
    assert not breaker.is_open
    assert breaker.allows(0)
    assert not breaker.failed(1)


def test_data_by_the_probe_lets_the_others_try_but_forgets_nothing() -> None:
    breaker = Breaker(limit=1)
    breaker.failed(0)
    assert breaker.allows(5 * S)
    breaker.answered()
    assert breaker.allows(5 * S)
    breaker.failed(6 * S)
    assert breaker.open_until == 16 * S, "the second pause, not the first again"
