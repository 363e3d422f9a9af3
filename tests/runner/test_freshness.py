"""Ages: what makes a venue younger, what must not, and what a stepped clock does."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from runner.freshness import LATE_NS, MS, SLICE_NS, SLICES, Freshness, Skew, WallSteps, to_ms

S = 1_000 * MS
BORN = 1_000 * S
TIMES = st.integers(BORN, BORN + 3_600 * S)
VENUE_TIMES = st.none() | st.integers(-10 * S, 10 * S)
EVENTS = st.lists(st.tuples(st.integers(0, 5 * S), st.integers(0, 3 * S), VENUE_TIMES), max_size=50)


def test_an_age_is_unknown_before_the_first_event() -> None:
    fresh = Freshness(BORN)
    assert (fresh.age_ms(BORN + S), fresh.event_age_ms(BORN + S)) == (None, None)


def test_silence_is_counted_from_the_start_of_watching() -> None:
    assert Freshness(BORN).silent_ms(BORN + 7 * S) == 7_000


def test_silence_is_counted_from_the_start_even_when_replayed_state_is_older() -> None:
    fresh = Freshness(BORN)
    fresh.applied(BORN + S, BORN - 60 * S, None)
    assert (fresh.silent_ms(BORN + S), fresh.age_ms(BORN + S)) == (1_000, 61_000)


def test_an_applied_event_makes_the_age_zero() -> None:
    fresh = Freshness(BORN)
    fresh.applied(BORN + 5 * S, BORN + 5 * S - 1, None)
    assert fresh.age_ms(BORN + 5 * S) == 0
    assert fresh.age_ms(BORN + 6 * S) == 1_000


def test_an_event_that_was_long_on_its_way_is_as_old_as_its_socket_time() -> None:
    fresh = Freshness(BORN)
    fresh.applied(BORN + 60 * S, BORN + 20 * S, None)
    assert fresh.age_ms(BORN + 60 * S) == 40_000


def test_replayed_state_does_not_rejuvenate() -> None:
    fresh = Freshness(BORN)
    fresh.applied(BORN + 20 * S, BORN + 20 * S, None)
    fresh.applied(BORN + 60 * S, BORN + 20 * S, None)
    assert fresh.age_ms(BORN + 60 * S) == 40_000


def test_an_older_event_does_not_age_either() -> None:
    fresh = Freshness(BORN)
    fresh.applied(BORN + 60 * S, BORN + 60 * S, 100)
    fresh.applied(BORN + 60 * S, BORN + 20 * S, 50)
    assert (fresh.age_ms(BORN + 60 * S), fresh.event_age_ms(100 + S)) == (0, 1_000)


def test_a_venue_ahead_of_our_clock_has_a_negative_event_age() -> None:
    fresh = Freshness(BORN)
    fresh.applied(BORN, BORN, 10 * S)
    assert fresh.event_age_ms(8 * S) == -2_000


def test_an_event_without_a_venue_time_leaves_the_newest_claim() -> None:
    fresh = Freshness(BORN)
    fresh.applied(BORN, BORN, 10 * S)
    fresh.applied(BORN + S, BORN + S, None)
    assert fresh.event_age_ms(12 * S) == 2_000


@given(EVENTS, TIMES)
def test_the_apply_age_knows_no_wall_clock_and_the_event_age_no_monotonic_one(
    events: list[tuple[int, int, int | None]], asked: int
) -> None:
    """Property: shifting the venue's (wall) times moves only the event age, and by exactly the shift."""
    shift = 3_600 * S
    one, other = Freshness(BORN), Freshness(BORN)
    now = BORN
    for step, delay, venue_ns in events:
        now += step
        one.applied(now, now - delay, venue_ns)
        other.applied(now, now - delay, None if venue_ns is None else venue_ns + shift)
    asked = max(asked, now)
    assert one.age_ms(asked) == other.age_ms(asked)
    mine, shifted = one.event_age_ms(asked), other.event_age_ms(asked + shift)
    assert mine == shifted


@given(EVENTS)
def test_an_age_is_never_younger_than_its_newest_cause_allows(events: list[tuple[int, int, int | None]]) -> None:
    """Property: the age is between nothing and the time since the newest cause, and exact for late events."""
    fresh = Freshness(BORN)
    now, newest = BORN, None
    for step, delay, venue_ns in events:
        now += step
        fresh.applied(now, now - delay, venue_ns)
        newest = now - delay if newest is None else max(newest, now - delay)
        age = fresh.age_ms(now)
        assert age is not None
        assert 0 <= age <= to_ms(now - newest)
        if delay <= LATE_NS:
            assert age == 0


@given(st.integers(-(10**18), 10**18))
def test_milliseconds_round_to_nearest_and_keep_the_sign(nanoseconds: int) -> None:
    assert abs(to_ms(nanoseconds) * MS - nanoseconds) <= MS // 2


def test_skew_is_unknown_without_observations() -> None:
    skew = Skew()
    skew.turn(BORN)
    assert skew.lowest_ms() is None


def test_skew_is_the_lowest_offset_of_the_last_minute() -> None:
    skew = Skew()
    skew.turn(0)
    for offset in (30 * MS, 20 * MS, 25 * MS):
        skew.add(offset)
    assert skew.lowest_ms() == 20
    skew.turn(SLICE_NS)
    skew.add(-5 * MS)
    assert skew.lowest_ms() == -5
    skew.turn(SLICES * SLICE_NS)
    assert skew.lowest_ms() == -5
    skew.turn((SLICES + 1) * SLICE_NS)
    assert skew.lowest_ms() is None


def test_skew_forgets_when_told_and_after_a_long_pause() -> None:
    skew = Skew()
    skew.turn(0)
    skew.add(MS)
    skew.clear()
    assert skew.lowest_ms() is None
    skew.add(MS)
    skew.turn(1_000 * SLICE_NS)
    assert skew.lowest_ms() is None


@given(st.lists(st.tuples(st.integers(0, 20 * S), st.integers(-5 * S, 5 * S)), min_size=1, max_size=60))
def test_skew_never_misses_the_lowest_of_the_last_fifty_seconds(steps: list[tuple[int, int]]) -> None:
    skew, seen, now = Skew(), [], 0
    skew.turn(0)
    for step, offset in steps:
        now += step
        skew.turn(now)
        skew.add(offset)
        seen.append((now, offset))
        lately = [value for when, value in seen if when > now - (SLICES - 1) * SLICE_NS]
        kept = [value for when, value in seen if when > now - (SLICES + 1) * SLICE_NS]
        lowest = skew.lowest_ms()
        assert lowest is not None
        assert to_ms(min(kept)) <= lowest <= to_ms(min(lately))


def test_a_step_of_the_wall_clock_is_counted_with_its_size() -> None:
    steps = WallSteps()
    assert not steps.tick(0, 1_000 * S)
    assert not steps.tick(S, 1_001 * S + 499 * MS)
    assert steps.tick(2 * S, 1_002 * S + 499 * MS + 600 * MS)
    assert (steps.count, steps.last_step_ms) == (1, 600)
    assert not steps.tick(3 * S, 1_003 * S + 499 * MS + 600 * MS)
    assert steps.tick(4 * S, 900 * S)
    assert steps.count == 2
    assert steps.last_step_ms is not None
    assert steps.last_step_ms < -100_000
