"""Latencies: what is counted, what is sampled, what is always known."""

from __future__ import annotations

from itertools import pairwise

from runner.hops import BOUNDS_US, HOPS, SAMPLES, Hops, Sample
from runner.percentiles import Summary
from tests.runner.samples import MONO, WALL, S

TICK = 250_000_000


def sample(total_us: int, venue_ns: int | None = WALL - 7_000_000) -> Sample:
    return Sample(venue_ns, WALL, MONO, MONO + 50_000, MONO + total_us * 1_000)


def add(hops: Hops, total_us: int, venue_ns: int | None = WALL - 7_000_000) -> None:
    hops.add(venue_ns, WALL, MONO, MONO + 50_000, MONO + total_us * 1_000)


def filled(counts: list[int]) -> dict[int | None, int]:
    """Counts that are not zero, by their bound; ``None`` is what lies above them all."""
    return {bound: count for bound, count in zip((*BOUNDS_US, None), counts, strict=True) if count}


def test_the_hops_of_a_sample_are_told_in_microseconds() -> None:
    assert sample(200).micros() == (7_000, 50, 150, 200)


def test_a_venue_without_a_time_has_no_first_hop_and_one_ahead_of_us_a_negative_one() -> None:
    assert sample(200, None).micros() == (None, 50, 150, 200)
    assert sample(200, WALL + 3_000_000).micros()[0] == -3_000


def test_nothing_seen_is_told_as_nothing() -> None:
    hops = Hops(60 * S, TICK)
    hops.tick(MONO)
    assert set(hops.windows().values()) == set(hops.runs().values()) == {None}
    assert set(hops.windows()) == set(HOPS)


def test_an_unknown_first_hop_is_no_sample() -> None:
    hops = Hops(60 * S, TICK)
    add(hops, 200, None)
    hops.tick(MONO)
    assert hops.windows()["venue_to_socket"] is None
    assert hops.windows()["socket_to_apply"] == Summary(200, 200, 200, 200, 1)
    assert hops.runs()["socket_to_publish"] == Summary(50, 50, 50, 50, 1)


def test_the_slowest_event_is_known_even_when_it_is_not_sampled() -> None:
    hops = Hops(60 * S, TICK)
    for _ in range(10_000):
        add(hops, 100)
    hops.tick(MONO)
    add(hops, 900)
    hops.tick(MONO + TICK)
    window, run = hops.windows()["socket_to_apply"], hops.runs()["socket_to_apply"]
    assert window is not None
    assert run is not None
    assert (window.p99, window.max, run.max) == (100, 900, 900)


def test_the_number_of_samples_follows_the_rate_down_to_a_bounded_one() -> None:
    hops = Hops(60 * S, TICK)
    taken = [0]
    for tick in range(400):
        for _ in range(500):
            add(hops, 100)
        hops.tick(MONO + tick * TICK)
        run = hops.runs()["socket_to_apply"]
        assert run is not None
        taken.append(run.n)
    assert taken[1] == 500
    assert {after - before for before, after in pairwise(taken[1:])} == {SAMPLES // 240}
    window = hops.windows()["socket_to_apply"]
    assert window is not None
    assert window.n == SAMPLES


def test_samples_leave_the_window_with_time() -> None:
    hops = Hops(60 * S, TICK)
    add(hops, 200)
    hops.tick(MONO)
    hops.tick(MONO + 60 * S)
    assert hops.windows()["socket_to_apply"] is None
    assert hops.runs()["socket_to_apply"] is not None


def test_every_event_is_counted_at_the_least_bound_that_it_does_not_exceed() -> None:
    hops = Hops(60 * S, TICK)
    for _ in range(1_000):
        add(hops, 100)
    hops.tick(MONO)
    add(hops, 101)
    add(hops, 20_000_000)
    counts = hops.counts()
    assert filled(counts["socket_to_publish"]) == {50: 1_002}
    assert filled(counts["publish_to_apply"]) == {50: 1_000, 100: 1, None: 1}
    assert filled(counts["socket_to_apply"]) == {100: 1_000, 200: 1, None: 1}
    assert filled(counts["venue_to_socket"]) == {10_000: 1_002}
    assert hops.sums_us() == {
        "socket_to_publish": 50_100,
        "publish_to_apply": 50_000 + 51 + 19_999_950,
        "socket_to_apply": 100_000 + 101 + 20_000_000,
    }


def test_a_venue_ahead_of_us_is_counted_at_zero_and_one_without_a_time_not_at_all() -> None:
    hops = Hops(60 * S, TICK)
    add(hops, 100, WALL + 1)
    add(hops, 100, None)
    assert filled(hops.counts()["venue_to_socket"]) == {0: 1}
    assert filled(hops.counts()["socket_to_apply"]) == {100: 2}
