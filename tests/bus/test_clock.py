"""Clocks of shells."""

from __future__ import annotations

import time

from bus import clock


def test_both_clocks_are_read_together() -> None:
    before_mono, before_wall = time.monotonic_ns(), time.time_ns()
    mono, wall = clock.now()
    assert before_mono <= mono <= time.monotonic_ns()
    assert before_wall <= wall <= time.time_ns()
    assert mono <= clock.mono()
    assert wall <= clock.wall()


def test_usage_is_this_process() -> None:
    usage = clock.usage()
    assert usage.rss_bytes > 1_000_000
    assert usage.cpu_s > 0.0
