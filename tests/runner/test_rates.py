"""Events per second."""

from __future__ import annotations

from runner.rates import Rates

S = 1_000_000_000


def test_a_rate_is_over_the_time_since_the_start_until_ten_seconds_have_passed() -> None:
    rates = Rates(0)
    rates.counts["book"] = 20
    assert rates.per_second(0) == {}
    assert rates.per_second(4 * S) == {"book": 5.0}


def test_later_it_is_over_the_last_ten_seconds() -> None:
    rates = Rates(0)
    for second in range(1, 31):
        rates.counts["book"] = 100 if second <= 15 else 100 + (second - 15) * 7
        rates.turn(second * S)
    rates.counts["trade"] = 5
    assert rates.per_second(30 * S) == {"book": 7.0, "trade": 0.5}


def test_a_pause_without_turns_is_averaged_over() -> None:
    rates = Rates(0)
    rates.turn(1 * S)
    rates.counts["book"] = 60
    rates.turn(61 * S)
    assert rates.per_second(61 * S) == {"book": 1.0}
