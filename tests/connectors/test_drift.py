"""A stream that falls behind is told from one that is merely skewed, quiet or late once."""

from __future__ import annotations

from connectors.drift import Drift
from connectors.effects import Now

S = 1_000_000_000
START = 1_790_000_000 * S


def play(drift: Drift, speed: float, seconds: int, skew: int = 0) -> list[int | None]:
    """Ten events a second whose venue time advances at ``speed`` of real time."""
    ticks = range(seconds * 10)
    return [
        drift.observe(
            "main", "BTC-PERP", START + skew + int(tick * S // 10 * speed), Now(tick * S // 10, START + tick * S // 10)
        )
        for tick in ticks
    ]


def test_a_stream_at_full_speed_never_drifts_however_skewed_its_clock() -> None:
    assert not any(play(Drift(5 * S), 1.0, 300, skew=-3600 * S))


def test_a_stream_at_eighty_percent_is_found_once_it_is_five_seconds_behind_and_stays_so() -> None:
    verdicts = play(Drift(5 * S), 0.8, 60)
    found = next(index for index, verdict in enumerate(verdicts) if verdict is not None)
    assert 25 * 10 <= found <= 32 * 10
    behind = verdicts[found]
    assert behind is not None
    assert behind > 5 * S


def test_one_late_burst_that_catches_up_is_no_drift() -> None:
    drift = Drift(5 * S)
    play(drift, 1.0, 10)
    late = 30 * S
    for tick in range(20):
        now = Now(10 * S + late, START + 10 * S + late)
        assert drift.observe("main", "BTC-PERP", START + 10 * S + tick * late // 20, now) is None
    assert drift.observe("main", "BTC-PERP", START + 10 * S + late, Now(10 * S + late, START + 10 * S + late)) is None


def test_repeating_an_old_time_is_no_evidence() -> None:
    drift = Drift(5 * S)
    verdicts = [drift.observe("main", "BTC-PERP", START, Now(t * S, START + t * S)) for t in range(60)]
    assert not any(verdicts)


def test_a_smaller_lag_becomes_the_measure() -> None:
    drift = Drift(5 * S)
    drift.observe("main", "BTC-PERP", START - 4 * S, Now(0, START))
    drift.observe("main", "BTC-PERP", START, Now(0, START))
    verdict = None
    for second in range(1, 7):
        verdict = drift.observe("main", "BTC-PERP", START + second, Now((8 + second) * S, START + (8 + second) * S))
    assert verdict is not None


def test_a_new_connection_is_measured_afresh() -> None:
    drift = Drift(5 * S)
    play(drift, 1.0, 10)
    drift.forget("main")
    far = Now(100 * S, START + 100 * S)
    assert drift.observe("main", "BTC-PERP", START + 20 * S, far) is None
    assert drift.observe("main", "BTC-PERP", START + 21 * S, Now(101 * S, START + 101 * S)) is None


def test_a_step_of_the_wall_clock_is_told_and_voids_what_was_learnt() -> None:
    drift = Drift(5 * S)
    assert drift.clock_step(Now(0, START)) == 0
    assert drift.clock_step(Now(S, START + S + 400_000_000)) == 0, "below half a second: no step"
    play(drift, 1.0, 10)
    assert drift.clock_step(Now(2 * S, START + 3602 * S)) == 3600 * S - 400_000_000
    verdicts = [
        drift.observe("main", "BTC-PERP", START + t * S, Now(t * S, START + (3600 + t) * S)) for t in range(11, 40)
    ]
    assert not any(verdicts)
