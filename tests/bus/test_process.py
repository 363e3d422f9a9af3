"""Heartbeats: once a second, honest about lateness, never in bursts."""

from __future__ import annotations

from bus.counters import Counter, Counters
from bus.process import PERIOD_NS, Pulse, Usage

USAGE = Usage(10, 1.5)


def test_a_heartbeat_says_what_the_process_is_and_has_counted() -> None:
    counters = Counters()
    counters.add(Counter.FRAMES, 3)
    beat = Pulse(7, 99, counters).beat(USAGE, 5)
    assert (beat.pid, beat.started_ns, beat.counters, beat.chains) == (7, 99, {"frames": 3}, {})
    assert (beat.loop_lag_ms, beat.rss_bytes, beat.cpu_s) == (0.0, 10, 1.5)
    assert beat.headroom == {}
    assert Pulse(7, 99, counters).beat(USAGE, 5, {"rest": 0.5}).headroom == {"rest": 0.5}


def test_the_first_is_due_at_once_and_then_one_a_second() -> None:
    pulse = Pulse(1, 1, Counters())
    assert pulse.deadline == 0
    pulse.beat(USAGE, 5)
    assert pulse.deadline == 5 + PERIOD_NS
    pulse.beat(USAGE, 5 + PERIOD_NS + 3)
    assert pulse.deadline == 5 + 2 * PERIOD_NS


def test_missed_ones_are_not_made_up_for() -> None:
    pulse = Pulse(1, 1, Counters())
    pulse.beat(USAGE, 5)
    beat = pulse.beat(USAGE, 5 + 10 * PERIOD_NS)
    assert pulse.deadline == 5 + 10 * PERIOD_NS
    assert beat.loop_lag_ms == 9_000.0


def test_the_worst_lateness_is_reported_once() -> None:
    pulse = Pulse(1, 1, Counters())
    pulse.beat(USAGE, 5)
    pulse.late(100, 3_000_100)
    pulse.late(100, 1_000_100)
    assert pulse.beat(USAGE, pulse.deadline).loop_lag_ms == 3.0
    assert pulse.beat(USAGE, pulse.deadline).loop_lag_ms == 0.0
